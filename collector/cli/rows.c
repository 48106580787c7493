#include "collector/cli/rows.h"
#include "collector/cli/pulling.h"
#include "common/base/clock.h"
#include "common/base/suggest.h"
#include "common/rows/block.h"
#include <stdio.h>
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

/* ------------------------------------------------------------------ cells */

static enum sheet_cell cell(void *context, const void *row, size_t column, bool exact, struct buffer *out)
{
    const struct rows *r = context;
    const struct field *field = r->fields[column];
    char text[FIELD_TEXT_MAX];
    uint64_t ns;
    size_t n;
    if (!exact && r->u.cli->format == OUTPUT_TABLE && field->unit == UNIT_TIME_NS && field_number(field, row, &ns))
        n = strlen(when_format(ns, r->when, text, sizeof text));
    else
        n = field_text(field, row, exact, text, sizeof text);
    buffer_append(out, text, n);
    if (n == 0)
        return SHEET_MISSING;
    return field->kind == FIELD_NUMBER && strspn(text, "0123456789") == n ? SHEET_JSON : SHEET_TEXT;
}

/* ------------------------------------------------------------------ fields */

/* The field that this command means by the name, or NULL. */
static const struct field *named(const struct rows *r, const char *name, size_t len)
{
    for (const struct rows_name *n = r->kind->names; n && n->name; n++)
        if (strlen(n->name) == len && memcmp(n->name, name, len) == 0)
            return field_named(n->field, strlen(n->field));
    return field_named(name, len);
}

static bool is_by(const struct rows *r, const char *name)
{
    for (uint32_t i = 0; i < r->by_count; i++)
        if (strcmp(r->by[i], name) == 0)
            return true;
    return false;
}

static bool is_group_field(const struct rows *r, const struct field *f)
{
    return is_by(r, f->name) || r->kind->adds_up(f);
}

static bool shown(const struct rows *r, const struct field *f)
{
    if (!r->kind->has(r->kind, f))
        return false;
    return r->by_count ? is_group_field(r, f) : !field_is_of_groups(f);
}

/* Which command's lines have a field that these do not. */
static const char *command_of(const struct field *f)
{
    const char *app = field_app(f);
    return app ? app : field_is_of_flows(f) ? "flows" : "http";
}

/* A field that these lines do not show. */
static int refuse_field(const struct rows *r, const char *option, const struct field *f, struct error *e)
{
    if (!r->kind->has(r->kind, f))
        return error_set(e, ERROR_USAGE, "%s: no field '%s' of %s: `fleetdump %s` has it", option, f->name,
                         r->kind->command->name, command_of(f));
    if (r->by_count)
        return error_set(e, ERROR_USAGE,
                         "%s: '%s' is of single %s, not of groups: take one of the --by fields or a sum", option,
                         f->name, r->kind->what);
    return error_set(e, ERROR_USAGE, "%s: '%s' is of groups, not of single %s: it goes with --by", option, f->name,
                     r->kind->what);
}

static const struct field *find_field(const struct rows *r, const char *option, const char *name, struct error *e)
{
    struct suggest meant;
    size_t count;
    const struct field *fields = field_table(&count), *found = named(r, name, strlen(name));
    if (found && r->kind->has(r->kind, found))
        return found;
    if (found) {
        (void)refuse_field(r, option, found, e);
        return NULL;
    }
    suggest_begin(&meant, name, strlen(name));
    for (size_t i = 0; i < count; i++)
        if (r->kind->has(r->kind, &fields[i]))
            suggest_consider(&meant, fields[i].name);
    (void)error_set(e, ERROR_USAGE, "%s: no field '%.64s'%s%s%s (`fleetdump %s --columns` lists them)", option, name,
                    meant.word ? ": did you mean '" : "", meant.word ? meant.word : "", meant.word ? "'?" : "",
                    r->kind->command->name);
    return NULL;
}

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for a question");
}

/* Makes the names in --by those of the fields. */
static int take_by(struct rows *r, struct error *e)
{
    for (uint32_t i = 0; i < r->by_count; i++) {
        const struct field *f = find_field(r, "--by", r->by[i], e);
        if (f && field_is_of_groups(f))
            return error_set(
                e, ERROR_USAGE,
                "--by: '%s' is of groups, which cannot be made by it: they can be ordered by it (--sort -%s)", f->name,
                f->name);
        char *name = f ? strdup(f->name) : NULL;
        if (!name)
            return f ? no_memory(e) : ERROR_USAGE;
        free(r->by[i]);
        r->by[i] = name;
    }
    return 0;
}

static int take_sort(struct rows *r, struct error *e)
{
    if (!r->sort)
        return 0;
    bool descends = r->sort[0] == '-';
    const struct field *f = find_field(r, "--sort", r->sort + descends, e);
    if (!f)
        return ERROR_USAGE;
    if (!shown(r, f))
        return refuse_field(r, "--sort", f, e);
    char *name = NULL;
    if (asprintf(&name, "%s%s", descends ? "-" : "", f->name) < 0)
        return no_memory(e);
    free(r->sort);
    r->sort = name;
    return 0;
}

/* ------------------------------------------------------------------ columns */

/* "server,flows,packets,bytes"; malloc'ed, or NULL. */
static char *group_columns(const struct rows *r)
{
    struct buffer list = {0};
    for (uint32_t i = 0; i < r->by_count; i++)
        buffer_printf(&list, "%s,", r->by[i]);
    buffer_printf(&list, "%s", r->kind->groups);
    buffer_u8(&list, 0);
    if (!list.failed)
        return (char *)list.data;
    buffer_free(&list);
    return NULL;
}

static struct sheet_column column_of(const struct field *field)
{
    bool ends = strcmp(field->name, "client") == 0 || strcmp(field->name, "server") == 0;
    return (struct sheet_column){.name = field->name,
                                 .title = field->title,
                                 .right = field->right,
                                 .time = field->unit == UNIT_TIME_NS,
                                 .squeeze = ends                        ? GRID_BREAK
                                            : field->kind == FIELD_TEXT ? GRID_CUT
                                                                        : GRID_WHOLE};
}

/* Makes the names in --columns those of the fields, as far as they are any: what is not is complained of later. */
static int rename_columns(struct rows *r, struct error *e)
{
    struct buffer list = {0};
    int code = 0;
    for (const char *at = r->u.cli->columns; code == 0 && at && *at; at += strcspn(at, ",")) {
        at += *at == ',';
        int len = (int)strcspn(at, ",");
        const struct field *f = named(r, at, (size_t)len);
        if (f && !shown(r, f))
            code = refuse_field(r, "--columns", f, e);
        buffer_printf(&list, "%s%.*s", list.len ? "," : "", f ? (int)strlen(f->name) : len, f ? f->name : at);
    }
    buffer_u8(&list, 0);
    if (code || list.failed) {
        buffer_free(&list);
        return code ? code : no_memory(e);
    }
    r->columns = (char *)list.data;
    if (r->u.cli->columns)
        r->u.cli->columns = r->columns;
    return 0;
}

static int take_columns(struct rows *r, struct error *e)
{
    struct sheet_column all[SHEET_COLUMNS_MAX];
    const struct field *of[SHEET_COLUMNS_MAX];
    size_t count, n = 0, picked[SHEET_COLUMNS_MAX];
    const struct field *fields = field_table(&count);
    for (size_t i = 0; i < count && n < SHEET_COLUMNS_MAX; i++)
        if (shown(r, &fields[i])) {
            of[n] = &fields[i];
            all[n++] = column_of(&fields[i]);
        }
    char *groups = r->by_count ? group_columns(r) : NULL;
    const struct sheet_choice of_groups = {NULL, groups, groups};
    int code = rename_columns(r, e);
    if (code == 0)
        code = sheet_pick(r->u.cli, all, n, groups ? &of_groups : &r->kind->single, picked, &r->count, e);
    free(groups);
    for (size_t i = 0; code == 0 && i < r->count; i++) {
        r->column[i] = all[picked[i]];
        r->fields[i] = of[picked[i]]; /* cppcheck-suppress uninitvar ; what is picked is below n */
    }
    return code;
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
    return is_by(r, "agent") || is_by(r, "interface") || is_by(r, "capture");
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
    const struct sheet_source source = {.cell = cell, .context = r};
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
    int code = take_by(r, e);
    if (code == 0)
        code = take_sort(r, e);
    if (code == 0)
        code = take_columns(r, e);
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

/* ------------------------------------------------------------------ the list of columns */

/* What the field is of these lines: of a name that both have the exchange's. */
static const char *help_of(const struct rows_kind *kind, const struct field *f)
{
    return kind->query == QUERY_EXCHANGES && f->exchange ? f->exchange->help : f->help;
}

enum { LIST_NAME, LIST_UNIT, LIST_MEANING, LIST_COLUMNS };

static enum sheet_cell list_cell(void *context, const void *row, size_t column, bool exact, struct buffer *out)
{
    static const char *const units[] = {[UNIT_NONE] = "number",
                                        [UNIT_COUNT] = "number",
                                        [UNIT_BYTES] = "bytes",
                                        [UNIT_NS] = "ns",
                                        [UNIT_TIME_NS] = "time"};
    const struct field *f = row;
    const char *const texts[] = {[LIST_NAME] = f->name,
                                 [LIST_UNIT] = f->kind == FIELD_TEXT ? "text" : units[f->unit],
                                 [LIST_MEANING] = help_of(context, f)};
    (void)exact;
    buffer_append(out, texts[column], strlen(texts[column]));
    return SHEET_TEXT;
}

static int list_columns(const struct rows_kind *kind, const struct cli *cli, struct error *e)
{
    static const struct sheet_column columns[LIST_COLUMNS] = {
        [LIST_NAME] = {.name = "name", .title = "NAME"},
        [LIST_UNIT] = {.name = "unit", .title = "UNIT"},
        [LIST_MEANING] = {.name = "meaning", .title = "MEANING", .squeeze = GRID_BREAK}};
    const struct sheet_source source = {.cell = list_cell, .context = (void *)(uintptr_t)kind};
    struct sheet *sheet = NULL;
    size_t count;
    const struct field *fields = field_table(&count);
    int code = sheet_new(cli, columns, LIST_COLUMNS, false, &source, &sheet, e);
    for (size_t i = 0; code == 0 && i < count; i++)
        if (kind->has(kind, &fields[i]))
            code = sheet_row(sheet, &fields[i], e);
    if (code == 0)
        code = sheet_end(sheet, e);
    sheet_free(sheet);
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
        return list_columns(r->kind, r->u.cli, e);
    int code = rows_prepare(r, e);
    return code ? code : ask_and_print(r, e);
}

int rows_run(const struct rows_kind *kind, int argc, char **argv, struct cli *cli, struct error *e)
{
    struct rows r;
    char **all = rows_arguments(&argc, argv);
    if (!all)
        return no_memory(e);
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
            *help = help_of(kind, &fields[k]);
            return fields[k].name;
        }
    *help = NULL;
    return NULL;
}
