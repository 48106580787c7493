#include "collector/cli/question.h"
#include "collector/cli/names.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/filter/filter.h"

#define SINCE_DEFAULT "1h"

enum { OPTION_DEADLINE = 0x200 };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Which flows and packets:", 10},
    {"since", 's', "TIME", 0,
     "from this time on: 15m (ago), '2026-11-22 03:00', 'yesterday 22:00', 03:00, RFC 3339, @EPOCH (default: 1h, or "
     "all of a capture)",
     10},
    {"until", 'U', "TIME", 0, "up to this time (default: now)", 10},
    {"capture", 'k', "NAME", 0, "of captures with this name (a glob)", 10},
    {"on", 'n', "AGENT", 0, "captured on agents with this name (a glob; may repeat, or be separated by commas)", 10},
    {"deadline", OPTION_DEADLINE, "TIME", 0, "give up after this time (30s, 5m)", 10},
    {0},
};

int split_list(const char *list, char ***items, uint32_t *count, struct error *e)
{
    while (*list) {
        size_t n = strcspn(list, ",");
        char **grown = realloc(*items, (*count + 1) * sizeof(char *));
        if (grown)
            *items = grown;
        if (!grown || !(grown[*count] = strndup(list, n)))
            return error_set(e, ERROR_MEMORY, "no memory for the options");
        *count += n > 0;
        if (n == 0)
            free(grown[*count]);
        list += n + (list[n] == ',');
    }
    return 0;
}

static error_t add_word(struct question *u, const char *word, struct argp_state *state)
{
    size_t have = u->filter ? strlen(u->filter) : 0;
    char *grown = realloc(u->filter, have + strlen(word) + 2);
    if (!grown)
        argp_failure(state, EXIT_FAILED, 0, "no memory for the filter");
    else {
        u->filter = grown;
        snprintf(grown + have, strlen(word) + 2, "%s%s", have ? " " : "", word);
    }
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct question *u = state->input;
    struct error e = ERROR_INIT;
    uint64_t ns;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = u->cli;
        return 0;
    case 's':
        u->since = arg;
        return 0;
    case 'U':
        u->until = arg;
        return 0;
    case 'k':
        u->capture = arg;
        return 0;
    case 'n':
        if (split_list(arg, &u->on, &u->on_count, &e))
            argp_failure(state, EXIT_FAILED, 0, "%s", e.text);
        return 0;
    case OPTION_DEADLINE:
        if (units_parse(UNIT_NS, arg, &ns, &e))
            argp_error(state, "--deadline: %s", e.text);
        else
            u->deadline_ms = ns / NS_PER_MS + 1;
        return 0;
    case ARGP_KEY_ARG:
        return add_word(u, arg, state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
const struct argp question_argp = {options, parse, NULL, NULL, children, NULL, NULL};

/* ------------------------------------------------------------------ times */

static void say_times(const struct question *u)
{
    char since[64], until[64];
    if (u->cli->quiet || (!u->since && !u->until && u->capture))
        return;
    fprintf(stderr, "time: %s to %s\n",
            u->q.since_ns ? units_format(UNIT_TIME_NS, u->q.since_ns, since, sizeof since) : "the beginning",
            u->q.until_ns == UINT64_MAX ? "the end" : units_format(UNIT_TIME_NS, u->q.until_ns, until, sizeof until));
}

static int take_times(struct question *u, struct error *e)
{
    uint64_t now = clock_wall_ns();
    const char *since = u->since ? u->since : u->capture || u->until ? NULL : SINCE_DEFAULT;
    u->q.since_ns = 0;
    u->q.until_ns = UINT64_MAX;
    int r = since ? units_parse_time(since, now, &u->q.since_ns, e) : 0;
    if (r)
        return error_prefix(e, "--since");
    r = u->until ? units_parse_time(u->until, now, &u->q.until_ns, e) : 0;
    if (r)
        return error_prefix(e, "--until");
    if (u->q.since_ns > u->q.until_ns)
        return error_set(e, ERROR_USAGE, "--since is later than --until");
    say_times(u);
    return 0;
}

int question_prepare(struct question *u, uint8_t kind, struct error *e)
{
    struct filter_name *names = NULL;
    struct filter *filter = NULL;
    int r = names_resolve(u->cli, u->filter ? u->filter : "", &u->names, &u->name_count, e);
    if (r)
        return r;
    u->q = (struct message_query){
        .kind = kind,
        .filter = u->filter,
        .names = u->names,
        .name_count = u->name_count,
        .capture = (char *)(uintptr_t)u->capture,
        .agents = u->on,
        .agent_count = u->on_count,
        .link_type = UINT32_MAX,
        .deadline_ms = u->deadline_ms,
    };
    r = names_for_filter(u->names, u->name_count, &names, e);
    if (r == 0)
        r = filter_compile(u->filter ? u->filter : "", &(struct filter_names){names, u->name_count}, &filter, e);
    filter_free(filter);
    names_for_filter_free(names, u->name_count);
    return r ? r : take_times(u, e);
}

void question_free(struct question *u)
{
    for (uint32_t i = 0; i < u->on_count; i++)
        free(u->on[i]);
    free(u->on);
    free(u->filter);
    names_free(u->names, u->name_count);
}
