#include "collector/cli/rows.h"

#include "collector/cli/pulling.h"
#include "collector/cli/rows_impl.h"
#include "common/base/clock.h"
#include "common/rows/block.h"

#include <stdlib.h>
#include <string.h>

#define CLOCK_RANGE_NS (24 * 3600 * NS_PER_S) /* a range of less needs no dates */

enum { OPTION_SORT = 0x300, OPTION_LIMIT, OPTION_BY, OPTION_TOP, OPTION_VANTAGE };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Which lines:", 20},
    {"sort", OPTION_SORT, "FIELD", 0,
     "order by this field; -FIELD for the greatest first (default: time; groups: the largest first)", 20},
    {"limit", OPTION_LIMIT, "N", 0, "at most N lines", 20},
    {"by", OPTION_BY, "FIELDS", 0,
     "sums over the lines that have these fields alike, e.g. resp_addr or agent,orig_addr", 20},
    {"top", OPTION_TOP, "N", 0, "the same as --limit", 20},
    {"vantage", OPTION_VANTAGE, "auto|all", 0,
     "of what several agents or interfaces saw: auto takes the server's agent's, else the client's, else the earliest; "
     "all takes every one (default: auto; by agent, interface or capture: all; flows without --by are always all)",
     20},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct rows *r = state->input;
    struct error e = ERROR_INIT;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &r->u;
        state->child_inputs[1] = r->u.cli;
        return 0;
    case OPTION_SORT:
        free(r->sort);
        r->sort = strdup(arg);
        return r->sort ? 0 : ENOMEM;
    case OPTION_LIMIT:
    case OPTION_TOP:
        if (units_parse(UNIT_COUNT, arg, &r->limit, &e) || r->limit == 0)
            argp_error(state, "--limit and --top take a number from 1: '%s'", arg);
        return 0;
    case OPTION_BY:
        if (split_list(arg, &r->by, &r->by_count, &e))
            argp_failure(state, EXIT_FAILED, 0, "%s", e.text);
        return 0;
    case OPTION_VANTAGE:
        r->vantage = pulling_vantage(arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&question_argp, 0, NULL, 0}, {&cli_table_argp, 0, NULL, 0}, {0}};

const struct argp rows_argp = {options, parse, NULL, NULL, children, NULL, NULL};

const struct argp_child rows_children[] = {{&rows_argp, 0, NULL, 0}, {0}};

error_t rows_parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

void rows_init(struct rows *r, const struct rows_kind *kind, struct cli *cli)
{
    *r = (struct rows){.kind = kind, .vantage = -1, .u = QUESTION_INIT(cli), .block = {.limit = BLOCK_BYTES_MAX}};
}

static void free_pair(struct rows *r)
{
    free(r->flows);
    block_close(r->flow_block);
    r->flows = NULL;
    r->flow_block = NULL;
}

void rows_free(struct rows *r)
{
    free_pair(r);
    buffer_free(&r->block);
    buffer_free(&r->flow_bytes);
    free_list(r->by, r->by_count);
    free(r->sort);
    free(r->columns);
    question_free(&r->u);
}

/* ------------------------------------------------------------------ the answer */

struct asking {
    struct rows *rows;
    rows_each_fn *each;
    void *context;
};

static int damaged(const struct rows *r, struct error *e)
{
    return error_prefix(e, "the answer of the collector at %s is damaged", r->u.cli->collector);
}

static int open_block(const struct rows *r, const struct table *t, const struct buffer *bytes, struct block **block,
                      void **all, struct error *e)
{
    int code = block_open(t, bytes->data, bytes->len, block, e);
    if (code == 0)
        code = block_read(*block, all, e);
    return code ? damaged(r, e) : 0;
}

static int give_flows(struct asking *a, struct error *e)
{
    struct rows *r = a->rows;
    struct block *block = NULL;
    void *all = NULL;
    int code = open_block(r, &table_flow, &r->block, &block, &all, e);
    for (uint32_t i = 0; code == 0 && i < block_rows(block); i++, r->given++)
        code = a->each(a->context, (const struct flow_row *)all + i, e);
    free(all);
    block_close(block);
    return code;
}

/* The first block of a pair waits for the second, with the bytes that it was opened from. */
static int keep_flows(struct rows *r, struct error *e)
{
    buffer_free(&r->flow_bytes);
    r->flow_bytes = r->block;
    r->block = (struct buffer){.limit = BLOCK_BYTES_MAX};
    return open_block(r, &table_flow, &r->flow_bytes, &r->flow_block, &r->flows, e);
}

static int give_exchanges(struct asking *a, struct error *e)
{
    struct rows *r = a->rows;
    struct block *block = NULL;
    void *all = NULL;
    if (!r->flow_block)
        return keep_flows(r, e);
    int code = open_block(r, &table_exchange, &r->block, &block, &all, e);
    if (code == 0 && block_rows(block) != block_rows(r->flow_block)) {
        (void)error_set(e, ERROR_CORRUPT, "%u exchanges of %u flows", block_rows(block), block_rows(r->flow_block));
        code = damaged(r, e);
    }
    for (uint32_t i = 0; code == 0 && i < block_rows(block); i++, r->given++) {
        struct flow_row *row = (struct flow_row *)r->flows + i;
        row->exchange = (const struct exchange_row *)all + i;
        code = a->each(a->context, row, e);
    }
    free(all);
    block_close(block);
    free_pair(r);
    return code;
}

static int take(void *context, const struct message_result *result, struct error *e)
{
    struct asking *a = context;
    struct rows *r = a->rows;
    buffer_append(&r->block, result->data, result->length);
    if (r->block.failed)
        return error_set(e, ERROR_LIMIT, "a part of the answer is larger than %u bytes", BLOCK_BYTES_MAX);
    if (!result->end_of_block)
        return 0;
    int code = (r->kind->query == QUERY_EXCHANGES ? give_exchanges : give_flows)(a, e);
    buffer_clear(&r->block);
    return code;
}

int rows_ask(struct rows *r, rows_each_fn *each, void *context, struct client_answer *answer, struct error *e)
{
    struct asking a = {r, each, context};
    return client_ask(r->u.cli, &r->u.q, r->kind->what, take, &a, answer, e);
}

void rows_of_other(struct rows *r, const struct rows *of, const char *app, uint64_t earlier_ns)
{
    rows_init(r, of->kind, of->u.cli);
    r->u.q = of->u.q;
    r->u.q.app = (char *)(uintptr_t)app;
    r->u.q.filter = NULL;
    r->u.q.names = NULL;
    r->u.q.name_count = 0;
    r->u.q.sort = NULL;
    r->u.q.limit = 0;
    r->u.q.since_ns = of->u.q.since_ns > earlier_ns ? of->u.q.since_ns - earlier_ns : 0;
}

static bool is_by_place(const struct rows *r)
{
    return rows_is_by(r, "agent") || rows_is_by(r, "interface") || rows_is_by(r, "capture");
}

/* Each with its line where single flows are meant: numbers of different places do not add up. */
static int take_vantage(struct rows *r, struct error *e)
{
    bool flows = r->kind->query == QUERY_FLOWS && r->by_count == 0;
    if (flows && r->vantage == VANTAGE_AUTO)
        return error_set(e, ERROR_USAGE,
                         "--vantage auto is about sums: flows have a line for each place that saw them (with --by "
                         "a connection counts once)");
    r->u.q.vantage = r->vantage >= 0 ? (uint8_t)r->vantage : flows || is_by_place(r) ? VANTAGE_ALL : VANTAGE_AUTO;
    return 0;
}

static json_int_t number(const struct client_answer *answer, const char *name)
{
    return json_integer_value(json_object_get(answer->manifest, name));
}

/* Of all agents; 0 where it is not told. */
static json_int_t counter(const struct client_answer *answer, const char *name)
{
    const json_t *agent;
    json_int_t sum = 0;
    size_t i;
    json_array_foreach(json_object_get(answer->manifest, "agents"), i, agent) sum +=
        json_integer_value(json_object_get(json_object_get(agent, "counters"), name));
    return sum;
}

/* What is not as one might take it. */
static void say_exchanges(const struct rows *r, const struct client_answer *answer, long long all)
{
    json_int_t running = number(answer, "running");
    json_int_t unread = r->kind->query == QUERY_EXCHANGES ? counter(answer, "apps_unread") : 0;
    if (running > 0)
        note(r->u.cli, "%lld of %lld %s had not ended in what was captured until now (outcome = running)",
             (long long)running, all, r->kind->what);
    if (unread > 0)
        note(r->u.cli,
             "of %lld connection%s what was said was not read, or not to its end, for want of memory (apps_unread): "
             "exchanges may be missing; max_flows in agent.conf says how much there is",
             (long long)unread, unread == 1 ? "" : "s");
}

static void say_vantage(const struct rows *r, const struct client_answer *answer, long long all)
{
    long long shared = number(answer, "seen_by_several_agents"), connections = number(answer, "several_vantages");
    if (connections > 0)
        note(r->u.cli, "%lld connections were seen at several places: each counts once (--vantage all takes every one)",
             connections);
    else if (shared > 0 && r->u.q.vantage == VANTAGE_AUTO)
        note(r->u.cli,
             "%lld of %lld %s were seen at several places: each is taken from one of them (--vantage all takes every "
             "one)",
             shared, all, r->kind->what);
    else if (shared > 0 && !is_by_place(r))
        note(r->u.cli,
             "%lld of %lld %s are of some that were seen at several places: such a one counts once for each of them "
             "(--vantage auto takes one)",
             shared, all, r->kind->what);
}

/* A limit is not an answer that lacks something, but it should not be forgotten either. */
void rows_say_notes(const struct rows *r, const struct client_answer *answer)
{
    json_int_t all = number(answer, r->kind->selected);
    say_vantage(r, answer, (long long)all);
    say_exchanges(r, answer, (long long)all);
    if (r->by_count == 0 && all > 0 && r->given < (uint64_t)all)
        note(r->u.cli, "the first %llu of %lld %s by %s; --limit changes how many, --sort the order, --by makes sums",
             (unsigned long long)r->given, (long long)all, r->kind->what, r->sort ? r->sort : "time");
}

static int print_row(void *context, const struct flow_row *row, struct error *e)
{
    return sheet_row(context, row, e);
}

static int ask_and_print(struct rows *r, struct error *e)
{
    const struct sheet_source source = {.cell = rows_cell, .context = r};
    struct sheet *sheet = NULL;
    struct client_answer answer;
    int code = sheet_new(r->u.cli, r->column, r->count, false, &source, &sheet, e);
    if (code)
        return code;
    code = rows_ask(r, print_row, sheet, &answer, e);
    if (code == 0 && (answer.code == 0 || answer.code == ERROR_INCOMPLETE))
        code = sheet_end(sheet, e);
    if (code == 0) {
        rows_say_notes(r, &answer);
        code = client_conclude(r->u.cli, &answer, "the answer is", e);
    }
    client_answer_free(&answer);
    sheet_free(sheet);
    return code;
}

static enum when when_of(const struct message_query *q)
{
    uint64_t end_ns = q->until_ns == UINT64_MAX ? clock_wall_ns() : q->until_ns;
    bool is_short = q->since_ns && q->since_ns <= end_ns && end_ns - q->since_ns < CLOCK_RANGE_NS;
    return is_short ? WHEN_CLOCK : WHEN_EXACT;
}

int rows_prepare(struct rows *r, struct error *e)
{
    int code = rows_take_by(r, e);
    if (code == 0)
        code = rows_take_sort(r, e);
    if (code == 0)
        code = rows_take_columns(r, e);
    if (code == 0)
        code = question_prepare(&r->u, r->kind->query, e);
    r->u.q.sort = r->sort;
    r->u.q.limit = r->limit;
    r->u.q.by = r->by;
    r->u.q.by_count = r->by_count;
    r->u.q.app = (char *)(uintptr_t)r->kind->app;
    if (code == 0)
        code = take_vantage(r, e);
    r->when = when_of(&r->u.q);
    return code;
}

/* ------------------------------------------------------------------ the command */

char **rows_arguments(int *argc, char **argv)
{
    static char help[] = "help";
    char **all = calloc((size_t)*argc + 2, sizeof *all);
    if (!all)
        return NULL;
    memcpy(all, argv, (size_t)*argc * sizeof *all);
    if (strcmp(argv[*argc - 1], "--columns") == 0)
        all[(*argc)++] = help;
    return all;
}

int rows_show(struct rows *r, struct error *e)
{
    const char *columns = r->u.cli->columns;
    if (columns && strcmp(columns, "help") == 0)
        return rows_list_columns(r->kind, r->u.cli, e);
    int code = rows_prepare(r, e);
    return code ? code : ask_and_print(r, e);
}

int rows_run(const struct rows_kind *kind, int argc, char **argv, struct cli *cli, struct error *e)
{
    struct rows r;
    char **all = rows_arguments(&argc, argv);
    if (!all)
        return rows_no_memory(e);
    rows_init(&r, kind, cli);
    cli_parse(kind->command, argc, all, &r);
    int code = rows_show(&r, e);
    rows_free(&r);
    free(all);
    return code;
}

const char *rows_column(const void *of, size_t i, const char **help)
{
    const struct rows_kind *kind = of;
    size_t count;
    const struct field *fields = field_table(&count);
    for (size_t k = 0; k < count; k++)
        if (kind->has(kind, &fields[k]) && i-- == 0) {
            *help = rows_help_of(kind, &fields[k]);
            return fields[k].name;
        }
    *help = NULL;
    return NULL;
}
