#include "collector/cli/question.h"
#include "collector/cli/grid.h"
#include "collector/cli/names.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include "common/filter/filter.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SINCE_DEFAULT "1h"

enum { OPTION_DEADLINE = 0x200, OPTION_FRESH };

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
    {"fresh", OPTION_FRESH, "TIME", 0,
     "wait so long at the most for agents to hand over what they captured until now, or no: not at all (default: "
     "1500ms)",
     10},
    {0},
};

int add_to_list(const char *item, size_t len, char ***items, uint32_t *count, struct error *e)
{
    char **grown = realloc(*items, (*count + 1) * sizeof(char *));
    if (grown)
        *items = grown;
    if (!grown || !(grown[*count] = strndup(item, len)))
        return error_set(e, ERROR_MEMORY, "no memory for the options");
    ++*count;
    return 0;
}

int split_list(const char *list, char ***items, uint32_t *count, struct error *e)
{
    int r = 0;
    while (*list && r == 0) {
        size_t n = strcspn(list, ",");
        if (n > 0)
            r = add_to_list(list, n, items, count, e);
        list += n + (list[n] == ',');
    }
    return r;
}

int append_word(char **text, const char *word, struct error *e)
{
    size_t have = *text ? strlen(*text) : 0;
    char *grown = realloc(*text, have + strlen(word) + 2);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for the filter");
    *text = grown;
    snprintf(grown + have, strlen(word) + 2, "%s%s", have ? " " : "", word);
    return 0;
}

static void take_duration(const char *option, const char *arg, const char *none, uint64_t *ms, struct argp_state *state)
{
    struct error e = ERROR_INIT;
    uint64_t ns = 0;
    if (none && strcmp(arg, none) == 0)
        *ms = 0;
    else if (units_parse(UNIT_NS, arg, &ns, &e))
        argp_error(state, "%s: %s%s%s%s", option, e.text, none ? " (or '" : "", none ? none : "", none ? "')" : "");
    else
        *ms = ns / NS_PER_MS + (ns % NS_PER_MS > 0);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct question *u = state->input;
    struct error e = ERROR_INIT;
    switch (key) {
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
        take_duration("--deadline", arg, NULL, &u->deadline_ms, state);
        u->deadline_ms++; /* 0 would be the collector's own */
        return 0;
    case OPTION_FRESH:
        take_duration("--fresh", arg, "no", &u->fresh_ms, state);
        return 0;
    case ARGP_KEY_ARG:
        if (append_word(&u->filter, arg, &e))
            argp_failure(state, EXIT_FAILED, 0, "%s", e.text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp question_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

int question_help(struct error *e)
{
    static const struct grid_column columns[] = {{.title = "WORDS"}, {.title = "MEANING"}};
    static const char *const of_fields[][2] = {
        {"bytes > 1M", "any number that `fleetdump flows --columns` lists"},
        {"sni *.x.org, rcode != NOERROR", "texts and names, also those of `fleetdump http --columns`, dns, tls"},
        {"wait = *, not status = *", "what has any value there, and what has none"}};
    struct grid *grid;
    int r = grid_new(columns, 2, true, true, &grid, e);
    if (r)
        return r;
    for (const struct filter_word *w = filter_words; r == 0 && w->name; w++)
        if (w->form[0])
            r = grid_row(grid, (const char *const[]){w->form, w->help}, e);
    for (size_t i = 0; r == 0 && i < sizeof of_fields / sizeof *of_fields; i++)
        r = grid_row(grid, of_fields[i], e);
    if (r == 0)
        r = grid_end(grid, e);
    grid_free(grid);
    return r;
}

/* ------------------------------------------------------------------ times */

static void say_times(const struct question *u)
{
    char since[40], until[40];
    bool open_end = u->q.until_ns == UINT64_MAX;
    if (u->since || u->until || !u->capture)
        note(u->cli, "time: %s to %s",
             u->q.since_ns ? units_format_time(u->q.since_ns, since, sizeof since) : "the beginning",
             u->goes_on ? "Ctrl-C"
             : open_end ? "now"
                        : units_format_time(u->q.until_ns, until, sizeof until));
}

static int take_time(const char *text, const char *option, uint64_t now_ns, uint64_t *ns, struct error *e)
{
    if (!text || units_parse_time(text, now_ns, ns, e) == 0)
        return 0;
    return error_prefix(e, "%s", option);
}

static int take_times(struct question *u, struct error *e)
{
    uint64_t now = clock_wall_ns();
    bool all = u->capture || u->until; /* whose beginning is the question's */
    u->q.since_ns = 0;
    u->q.until_ns = UINT64_MAX;
    int r = take_time(u->since ? u->since : all ? NULL : SINCE_DEFAULT, "--since", now, &u->q.since_ns, e);
    if (r == 0)
        r = take_time(u->until, "--until", now, &u->q.until_ns, e);
    if (r == 0 && u->q.since_ns > u->q.until_ns)
        r = error_set(e, ERROR_USAGE, "--since is later than --until");
    return r;
}

/* ------------------------------------------------------------------ the query */

static const char *filter_of(const struct question *u)
{
    return u->filter ? u->filter : "";
}

/* What the collector will do with it, done here first: its errors are this program's. */
static int check_filter(const struct question *u, struct error *e)
{
    struct filter_name *names = NULL;
    struct filter *filter = NULL;
    int r = names_for_filter(u->names, u->name_count, &names, e);
    if (r == 0)
        r = filter_compile(filter_of(u), &(struct filter_names){names, u->name_count}, &filter, e);
    filter_free(filter);
    names_for_filter_free(names, u->name_count);
    return r;
}

int question_prepare(struct question *u, uint8_t kind, struct error *e)
{
    u->q = (struct message_query){
        .kind = kind,
        .filter = u->filter,
        .capture = (char *)(uintptr_t)u->capture,
        .agents = u->on,
        .agent_count = u->on_count,
        .link_type = UINT32_MAX,
        .deadline_ms = u->deadline_ms,
        .fresh_ms = kind == QUERY_FLOWS || kind == QUERY_EXCHANGES || kind == QUERY_PULL ? u->fresh_ms : 0,
    };
    int r = take_times(u, e);
    if (r == 0)
        r = names_resolve(u->cli, filter_of(u), &u->names, &u->name_count, e);
    if (r == 0)
        r = check_filter(u, e);
    if (r)
        return r;
    u->q.names = u->names;
    u->q.name_count = u->name_count;
    say_times(u);
    return 0;
}

void free_list(char **items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(items[i]);
    free(items);
}

void question_free(struct question *u)
{
    free_list(u->on, u->on_count);
    free(u->filter);
    names_free(u->names, u->name_count);
}
