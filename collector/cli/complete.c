/*
 * fleetdump complete: words for the completion of shells, one a line. What cannot be found out is no error: then there
 * are no words.
 *
 *   complete KIND [COMMAND...]     all of a kind
 *   complete line -- WORD... WORD  what may stand in place of the last word of a command line (without "fleetdump")
 */
#include "collector/cli/client.h"
#include "collector/cli/manual.h"
#include "common/filter/filter.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 256 /* of a line; more are not looked at */

/* ------------------------------------------------------------------ kinds of words */

static void put_option(void *context, const struct argp_option *o)
{
    (void)context;
    if (o->name)
        printf("--%s%s\n", o->name, o->arg ? "=" : "");
}

static void put_commands(const struct cli *cli, const struct command *of)
{
    (void)cli;
    for (const struct command *const *c = of ? of->subcommands : commands; c && *c; c++)
        printf("%s\n", command_word(*c));
    if (!of)
        printf("help\n");
}

static void put_options(const struct cli *cli, const struct command *of)
{
    (void)cli;
    if (of && of->argp)
        cli_each_option(of->argp, put_option, NULL);
    printf("--help\n");
}

static void put_columns(const struct cli *cli, const struct command *of)
{
    const char *help, *name;
    (void)cli;
    for (size_t i = 0; of && of->column && (name = of->column(of->columns_of, i, &help)); i++)
        printf("%s\n", name);
}

static void put_words(const struct cli *cli, const struct command *of)
{
    (void)cli;
    (void)of;
    for (const struct filter_word *w = filter_words; w->name; w++)
        printf("%s\n", w->name);
}

/* The texts of a list that the collector answers, taken apart at commas. Those that a shell would take apart are left
 * out. */
static void put_texts(const struct cli *cli, uint8_t kind, const char *key)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+=";
    const struct message_query q = {.kind = kind, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    json_t *list, *item;
    size_t i;
    if (client_document(cli, &q, &list, NULL))
        return;
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(json_object_get(item, key));
        for (size_t n; text && *text; text += n + (text[n] == ',')) {
            n = strcspn(text, ",");
            if (n && strspn(text, plain) >= n)
                printf("%.*s\n", (int)n, text);
        }
    }
    json_decref(list);
}

static void put_agents(const struct cli *cli, const struct command *of)
{
    (void)of;
    put_texts(cli, QUERY_AGENTS, "agent");
}

static void put_labels(const struct cli *cli, const struct command *of)
{
    (void)of;
    put_texts(cli, QUERY_AGENTS, "labels");
}

static void put_captures(const struct cli *cli, const struct command *of)
{
    (void)of;
    put_texts(cli, QUERY_CAPTURES, "capture");
}

static void put_orders(const struct cli *cli, const struct command *of)
{
    (void)of;
    put_texts(cli, QUERY_ORDERS, "capture");
}

static void put_users(const struct cli *cli, const struct command *of)
{
    json_t *list = NULL, *item;
    size_t i;
    (void)of;
    if (client_admin(cli, ADMIN_USER_LIST, NULL, &list, NULL))
        return;
    json_array_foreach(list, i, item) printf("%s\n", json_string_value(json_object_get(item, "user")));
    json_decref(list);
}

/* Hosts that wait to be approved. */
static void put_pending(const struct cli *cli, const struct command *of)
{
    json_t *answer = NULL, *item;
    size_t i;
    (void)of;
    if (client_admin(cli, ADMIN_CREDENTIALS, json_pack("{s:b}", "pending", 1), &answer, NULL))
        return;
    json_array_foreach(json_object_get(answer, "pending"), i, item)
        printf("%s\n", json_string_value(json_object_get(item, "name")));
    json_decref(answer);
}

static const struct kind {
    const char *name;
    void (*put)(const struct cli *cli, const struct command *of);
} kinds[] = {
    {"commands", put_commands},
    {"options", put_options},
    {"columns", put_columns},
    {"words", put_words},
    {"agents", put_agents},
    {"captures", put_captures},
    {"orders", put_orders},
    {"labels", put_labels},
    {"users", put_users},
    {"pending", put_pending},
    {"manual-commands", manual_put_commands},
    {"manual-shared", manual_put_shared},
    {"manual-words", manual_put_words},
    {"manual-fields", manual_put_fields},
};

static const struct kind *kind_named(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

/* ------------------------------------------------------------------ a line */

/* What stands behind an option: a kind of words, or the words themselves; of one command, if it is named. The first
 * that fits counts. */
static const struct {
    const char *option, *values, *command;
} values[] = {
    {"output", "table json svg html", "show"},
    {"on", "agents", NULL},
    {"label", "labels", NULL},
    {"capture", "captures", NULL},
    {"columns", "columns", NULL},
    {"sort", "columns", NULL},
    {"by", "columns", NULL},
    {"output", "table wide json ndjson csv", NULL},
    {"vantage", "auto all", NULL},
    {"keep", "packets headers flows", NULL},
    {"for", "10s 60s 5m 1h ever", NULL},
    {"bytes", "100M 1G 10G none", NULL},
    {"fresh", "500ms 1500ms 5s no", NULL},
    {"ttl", "1h 1d 7d", NULL},
    {"role", "viewer analyst operator admin", NULL},
    {"who", "users", NULL},
    {"event", "query command admin refused connect enroll lost cut start stop", NULL},
};

/* What stands on the place of a command's own arguments. */
static const struct {
    const char *command, *values;
} arguments[] = {
    {"flows", "words"},
    {"http", "words"},
    {"dns", "words"},
    {"tls", "words"},
    {"pull", "words"},
    {"print", "words"},
    {"chunks", "words"},
    {"show", "words"},
    {"capture start", "words"},
    {"capture list", "orders"},
    {"capture show", "orders"},
    {"capture stop", "orders"},
    {"capture rm", "orders"},
    {"help", "commands"},
    {"admin enroll", "agents"},
    {"admin approve", "pending"},
    {"admin revoke", "agents"},
    {"admin user add", "users"},
    {"admin user remove", "users"},
};

static void put_values(const struct cli *cli, const char *list, const struct command *of)
{
    const struct kind *kind = kind_named(list);
    if (kind)
        kind->put(cli, of);
    for (size_t n; !kind && *list; list += n + (list[n] == ' ')) {
        n = strcspn(list, " ");
        printf("%.*s\n", (int)n, list);
    }
}

/* Looks for the option that a word is, and that takes a value: -n, --on. */
struct search {
    const char *word;
    const char *found; /* its long name */
};

static void compare(void *context, const struct argp_option *o)
{
    struct search *s = context;
    bool is_long = s->word[0] == '-' && s->word[1] == '-' && o->name && strcmp(s->word + 2, o->name) == 0;
    bool is_short = s->word[0] == '-' && s->word[1] == o->key && s->word[1] && !s->word[2];
    if (o->arg && (is_long || is_short))
        s->found = o->name ? o->name : "";
}

static const char *option_before(const struct command *of, const char *word)
{
    struct search s = {.word = word};
    if (of && of->argp)
        cli_each_option(of->argp, compare, &s);
    return s.found;
}

static void put_values_of(const struct cli *cli, const char *option, const struct command *of)
{
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strcmp(values[i].option, option) == 0 && (!values[i].command || strcmp(values[i].command, of->name) == 0)) {
            put_values(cli, values[i].values, of);
            return;
        }
}

static void put_argument(const struct cli *cli, const struct command *of)
{
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++)
        if (strcmp(arguments[i].command, of->name) == 0)
            put_values(cli, arguments[i].values, of);
}

static void put_line(const struct cli *cli, char *const *words, int count)
{
    int used = 0;
    const char *last = words[count - 1];
    const struct command *of = command_named(words, count - 1, &used);
    const char *option = count > 1 ? option_before(of, words[count - 2]) : NULL;
    if (option) {
        put_values_of(cli, option, of);
        return;
    }
    if (last[0] == '-')
        put_options(cli, of);
    else if (!of && count > 1 && strcmp(words[0], "help") == 0)
        put_commands(cli, command_named(words + 1, count - 2, NULL));
    else if (!of || of->subcommands)
        put_commands(cli, of);
    else
        put_argument(cli, of);
}

/* ------------------------------------------------------------------ the command */

struct complete {
    struct cli *cli;
    char *words[WORDS_MAX];
    int count;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct complete *c = state->input;
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = c->cli;
    else if (key == ARGP_KEY_ARG && c->count < WORDS_MAX)
        c->words[c->count++] = arg;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct complete c = {.cli = cli};
    cli_parse(&command_complete, argc, argv, &c);
    const struct kind *kind = c.count ? kind_named(c.words[0]) : NULL;
    if (kind)
        kind->put(cli, command_named(c.words + 1, c.count - 1, NULL));
    else if (c.count > 1 && strcmp(c.words[0], "line") == 0)
        put_line(cli, c.words + 1, c.count - 1);
    else
        return error_set(e, ERROR_USAGE,
                         "complete what? commands, options COMMAND, columns COMMAND, words, agents, labels, captures, "
                         "orders, or line -- WORD...");
    return 0;
}

static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {NULL,
                                 parse,
                                 "commands|options|columns|words|agents|labels|captures|orders [COMMAND]\n"
                                 "line -- WORD...",
                                 "Words for the completion of shells, one a line.",
                                 children,
                                 NULL,
                                 NULL};

const struct command command_complete = {
    .name = "complete",
    .summary = "words for the completion of shells",
    .argp = &argp,
    .run = run,
};
