/*
 * fleetdump flows: connections, one line each, or sums over groups of them.
 */
#include "collector/cli/client.h"
#include "collector/cli/question.h"
#include "collector/cli/sheet.h"
#include "collector/cli/when.h"
#include "common/base/clock.h"
#include "common/base/suggest.h"
#include "common/rows/block.h"
#include "common/rows/field.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_GROUPS "flows,packets,bytes"  /* behind what they are grouped by */
#define CLOCK_RANGE_NS (24 * 3600 * NS_PER_S) /* a range of less needs no dates */

static const struct sheet_choice of_flows = {
    .narrow = "time,client,server,state,duration,bytes,agent", /* IPv4 addresses fit into 80 columns */
    .table = "time,client,server,proto,state,duration,packets,bytes,agent",
    .wide = "time,id,agent,interface,capture,client,server,proto,vlan,state,history,duration,packets,bytes,payload,"
            "orig_packets,resp_packets,orig_bytes,resp_bytes,loss,icmp_errors,end_reason,originator_by,community_id",
};

struct flows {
    struct question u;
    char **by;
    uint32_t by_count;
    const char *sort;
    uint64_t limit;
    struct sheet_column columns[SHEET_COLUMNS_MAX];
    const struct field *fields[SHEET_COLUMNS_MAX];
    size_t count;
    enum when when;
    struct sheet *sheet;
    struct buffer block;
    uint64_t rows;
};

enum { OPTION_SORT = 0x300, OPTION_LIMIT, OPTION_BY, OPTION_TOP };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Which lines:", 20},
    {"sort", OPTION_SORT, "FIELD", 0,
     "order by this field; -FIELD for the greatest first (default: time; groups: -bytes)", 20},
    {"limit", OPTION_LIMIT, "N", 0, "at most N lines", 20},
    {"by", OPTION_BY, "FIELDS", 0, "sums over the flows that have these fields alike, e.g. server or agent,proto", 20},
    {"top", OPTION_TOP, "N", 0, "the same as --limit", 20},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct flows *f = state->input;
    struct error e = ERROR_INIT;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &f->u;
        state->child_inputs[1] = f->u.cli;
        return 0;
    case OPTION_SORT:
        f->sort = arg;
        return 0;
    case OPTION_LIMIT:
    case OPTION_TOP:
        if (units_parse(UNIT_COUNT, arg, &f->limit, &e) || f->limit == 0)
            argp_error(state, "--limit and --top take a number from 1: '%s'", arg);
        return 0;
    case OPTION_BY:
        if (split_list(arg, &f->by, &f->by_count, &e))
            argp_failure(state, EXIT_FAILED, 0, "%s", e.text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------ cells */

static enum sheet_cell cell(void *context, const void *row, size_t column, bool exact, struct buffer *out)
{
    const struct flows *f = context;
    const struct field *field = f->fields[column];
    char text[FIELD_TEXT_MAX];
    uint64_t ns;
    size_t n;
    if (!exact && f->u.cli->format == OUTPUT_TABLE && field->unit == UNIT_TIME_NS && field_number(field, row, &ns))
        n = strlen(when_format(ns, f->when, text, sizeof text));
    else
        n = field_text(field, row, exact, text, sizeof text);
    buffer_append(out, text, n);
    if (n == 0)
        return SHEET_MISSING;
    return field->kind == FIELD_NUMBER && strspn(text, "0123456789") == n ? SHEET_JSON : SHEET_TEXT;
}

/* ------------------------------------------------------------------ columns */

static const struct field *find_field(const char *option, const char *name, struct error *e)
{
    struct suggest meant;
    size_t count;
    const struct field *fields = field_table(&count), *found = field_named(name, strlen(name));
    if (found)
        return found;
    suggest_begin(&meant, name, strlen(name));
    for (size_t i = 0; i < count; i++)
        suggest_consider(&meant, fields[i].name);
    (void)error_set(e, ERROR_USAGE, "%s: no field '%.64s'%s%s%s (`fleetdump flows --help` lists them)", option, name,
                    meant.word ? ": did you mean '" : "", meant.word ? meant.word : "", meant.word ? "'?" : "");
    return NULL;
}

/* Whether the values of several flows make one of the group: sums, extremes, sets. The others are only those of one of its flows. */
static bool adds_up(const struct field *field)
{
    static const bool adds[] = {[MERGE_SUM] = true, [MERGE_MIN] = true, [MERGE_MAX] = true, [MERGE_OR] = true};
    for (unsigned i = 0; i < table_flow.count; i++) {
        const struct column *c = &table_flow.columns[i];
        if (column_has(&field->needs, c->id) && c->id != FLOW_ORIGINATOR &&
            (c->merge >= sizeof adds / sizeof adds[0] || !adds[c->merge]))
            return false;
    }
    return true;
}

static bool shown(const struct flows *f, const struct field *field)
{
    if (f->by_count == 0)
        return strcmp(field->name, "flows") != 0;
    for (uint32_t i = 0; i < f->by_count; i++)
        if (strcmp(f->by[i], field->name) == 0)
            return true;
    return adds_up(field);
}

static int check_fields(const struct flows *f, struct error *e)
{
    for (uint32_t i = 0; i < f->by_count; i++)
        if (!find_field("--by", f->by[i], e))
            return ERROR_USAGE;
    if (!f->sort)
        return 0;
    const char *name = f->sort + (f->sort[0] == '-');
    const struct field *field = find_field("--sort", name, e);
    if (field && !shown(f, field))
        return error_set(e, ERROR_USAGE, "--sort: '%s' is of single flows, not of %s", name,
                         f->by_count ? "groups: sort by one of the --by fields or a sum" : "flows without --by");
    return field ? 0 : ERROR_USAGE;
}

/* "server,flows,packets,bytes"; malloc'ed, or NULL. */
static char *group_columns(const struct flows *f)
{
    struct buffer list = {0};
    for (uint32_t i = 0; i < f->by_count; i++)
        buffer_printf(&list, "%s,", f->by[i]);
    buffer_printf(&list, "%s", COLUMNS_GROUPS);
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

static int take_columns(struct flows *f, struct error *e)
{
    struct sheet_column all[SHEET_COLUMNS_MAX];
    const struct field *of[SHEET_COLUMNS_MAX];
    size_t count, n = 0, picked[SHEET_COLUMNS_MAX];
    const struct field *fields = field_table(&count);
    for (size_t i = 0; i < count && n < SHEET_COLUMNS_MAX; i++)
        if (shown(f, &fields[i])) {
            of[n] = &fields[i];
            all[n++] = column_of(&fields[i]);
        }
    char *groups = f->by_count ? group_columns(f) : NULL;
    const struct sheet_choice of_groups = {NULL, groups, groups};
    int r = sheet_pick(f->u.cli, all, n, groups ? &of_groups : &of_flows, picked, &f->count, e);
    free(groups);
    for (size_t i = 0; r == 0 && i < f->count; i++) {
        f->columns[i] = all[picked[i]];
        f->fields[i] = of[picked[i]]; /* cppcheck-suppress uninitvar ; what is picked is below n */
    }
    return r;
}

/* ------------------------------------------------------------------ the answer */

static int print_block(struct flows *f, struct error *e)
{
    struct block *block = NULL;
    void *rows = NULL;
    int r = block_open(&table_flow, f->block.data, f->block.len, &block, e);
    if (r == 0)
        r = block_read(block, &rows, e);
    if (r)
        (void)error_prefix(e, "the answer of the collector at %s is damaged", f->u.cli->collector);
    for (uint32_t i = 0; r == 0 && i < block_rows(block); i++, f->rows++)
        r = sheet_row(f->sheet, (const struct flow_row *)rows + i, e);
    free(rows);
    block_close(block);
    return r;
}

static int take(void *context, const struct message_result *result, struct error *e)
{
    struct flows *f = context;
    buffer_append(&f->block, result->data, result->length);
    if (f->block.failed)
        return error_set(e, ERROR_LIMIT, "a part of the answer is larger than %u bytes", BLOCK_BYTES_MAX);
    if (!result->end_of_block)
        return 0;
    int r = print_block(f, e);
    buffer_clear(&f->block);
    return r;
}

/* A limit is not an answer that lacks something, but it should not be forgotten either. */
static void say_limit(const struct flows *f, const struct client_answer *answer)
{
    json_int_t all = json_integer_value(json_object_get(answer->manifest, "selected_flows"));
    if (f->by_count == 0 && all > 0 && f->rows < (uint64_t)all)
        note(f->u.cli,
             "the first %llu of %lld flows by %s; --limit changes how many, --sort the order, --by makes sums",
             (unsigned long long)f->rows, (long long)all, f->sort ? f->sort : "time");
}

static int ask(struct flows *f, struct error *e)
{
    const struct sheet_source source = {.cell = cell, .context = f};
    struct client_answer answer;
    int r = sheet_new(f->u.cli, f->columns, f->count, false, &source, &f->sheet, e);
    if (r)
        return r;
    r = client_ask(f->u.cli, &f->u.q, "flows", take, f, &answer, e);
    if (r == 0 && (answer.code == 0 || answer.code == ERROR_INCOMPLETE))
        r = sheet_end(f->sheet, e);
    if (r == 0) {
        say_limit(f, &answer);
        r = client_conclude(f->u.cli, &answer, "the answer is", e);
    }
    client_answer_free(&answer);
    return r;
}

static enum when when_of(const struct flows *f)
{
    uint64_t end_ns = f->u.q.until_ns == UINT64_MAX ? clock_wall_ns() : f->u.q.until_ns;
    bool is_short = f->u.q.since_ns && f->u.q.since_ns <= end_ns && end_ns - f->u.q.since_ns < CLOCK_RANGE_NS;
    return is_short ? WHEN_CLOCK : WHEN_EXACT;
}

static int prepare(struct flows *f, struct error *e)
{
    int r = check_fields(f, e);
    if (r == 0)
        r = take_columns(f, e);
    if (r == 0)
        r = question_prepare(&f->u, QUERY_FLOWS, e);
    f->u.q.sort = (char *)(uintptr_t)f->sort;
    f->u.q.limit = f->limit;
    f->u.q.by = f->by;
    f->u.q.by_count = f->by_count;
    f->when = when_of(f);
    return r;
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct flows f = {.u = QUESTION_INIT(cli), .block = {.limit = BLOCK_BYTES_MAX}};
    cli_parse(&command_flows, argc, argv, &f);
    int r = prepare(&f, e);
    if (r == 0)
        r = ask(&f, e);
    sheet_free(f.sheet);
    buffer_free(&f.block);
    free_list(f.by, f.by_count);
    question_free(&f.u);
    return r;
}

static const struct argp_child children[] = {{&question_argp, 0, NULL, 0}, {&cli_table_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {options,
                                 parse,
                                 "[FILTER]",
                                 "Connections, one line each, or sums over groups of them.\v"
                                 "Examples:\n"
                                 "  fleetdump flows 'from 10.0.0.5 and to port 80' --since 15m\n"
                                 "  fleetdump flows 'state S0 or state REJ' --by server --top 10\n"
                                 "  fleetdump flows 'bytes > 10M' --sort -bytes -o json\n"
                                 "  fleetdump flows --capture monday -o csv --columns time,client,server,bytes\n\n"
                                 "`fleetdump help filter` lists the words of filters.\n",
                                 children,
                                 NULL,
                                 NULL};

static const char *column(size_t i, const char **help)
{
    size_t count;
    const struct field *fields = field_table(&count);
    *help = i < count ? fields[i].help : NULL;
    return i < count ? fields[i].name : NULL;
}

const struct command command_flows = {
    .name = "flows",
    .summary = "connections, one line each",
    .argp = &argp,
    .run = run,
    .column = column,
};
