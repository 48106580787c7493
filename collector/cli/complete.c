/*
 * fleetdump complete WHAT [COMMAND]: words for the completion of shells, one a line. What cannot be found out is no error: then there are
 * no words.
 */
#include "collector/cli/client.h"
#include "common/filter/filter.h"
#include <stdio.h>
#include <string.h>

static void put_option(void *context, const struct argp_option *o)
{
    (void)context;
    if (o->name)
        printf("--%s%s\n", o->name, o->arg ? "=" : "");
}

static void put_commands(const struct cli *cli, const struct command *of)
{
    (void)cli;
    (void)of;
    for (const struct command *const *c = commands; *c; c++)
        printf("%s\n", (*c)->name);
}

static void put_options(const struct cli *cli, const struct command *of)
{
    (void)cli;
    if (of)
        cli_each_option(of->argp, put_option, NULL);
    printf("--help\n");
}

static void put_columns(const struct cli *cli, const struct command *of)
{
    const char *help, *name;
    (void)cli;
    for (size_t i = 0; of && of->column && (name = of->column(i, &help)); i++)
        printf("%s\n", name);
}

static void put_words(const struct cli *cli, const struct command *of)
{
    (void)cli;
    (void)of;
    for (const struct filter_word *w = filter_words; w->name; w++)
        printf("%s\n", w->name);
}

/* The names in a list that the collector answers. Those that a shell would take apart are left out. */
static void put_names(const struct cli *cli, uint8_t kind, const char *key)
{
    const struct message_query q = {.kind = kind, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    json_t *list, *item;
    size_t i;
    if (client_document(cli, &q, &list, NULL))
        return;
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, key));
        if (name && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+")] == 0)
            printf("%s\n", name);
    }
    json_decref(list);
}

static void put_agents(const struct cli *cli, const struct command *of)
{
    (void)of;
    put_names(cli, QUERY_AGENTS, "agent");
}

static void put_captures(const struct cli *cli, const struct command *of)
{
    (void)of;
    put_names(cli, QUERY_CAPTURES, "capture");
}

static const struct {
    const char *what;
    void (*put)(const struct cli *cli, const struct command *of);
} kinds[] = {
    {"commands", put_commands}, {"options", put_options}, {"columns", put_columns},
    {"words", put_words},       {"agents", put_agents},   {"captures", put_captures},
};

struct complete {
    struct cli *cli;
    const char *words[2];
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct complete *c = state->input;
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = c->cli;
    else if (key == ARGP_KEY_ARG && state->arg_num < 2)
        c->words[state->arg_num] = arg;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct complete c = {.cli = cli};
    cli_parse(&command_complete, argc, argv, &c);
    for (size_t i = 0; c.words[0] && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].what, c.words[0]) == 0) {
            kinds[i].put(cli, c.words[1] ? command_named(c.words[1]) : NULL);
            return 0;
        }
    return error_set(e, ERROR_USAGE,
                     "complete what? commands, options COMMAND, columns COMMAND, words, agents, captures");
}

static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {NULL,
                                 parse,
                                 "commands|options|columns|words|agents|captures [COMMAND]",
                                 "Words for the completion of shells, one a line.",
                                 children,
                                 NULL,
                                 NULL};

const struct command command_complete = {"complete", "words for the completion of shells", &argp, run, NULL};
