/*
 * fleetdump flows: connections, one line each, or sums over groups of them.
 */
#include "collector/cli/client.h"
#include "collector/cli/question.h"
#include "collector/cli/sheet.h"
#include "common/rows/block.h"
#include "common/rows/field.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_FLOWS "time,agent,proto,orig_addr,orig_port,resp_addr,resp_port,state,duration,packets,bytes"
#define MEASURES      "flows,packets,bytes"

struct flows {
    struct question u;
    char **by;
    uint32_t by_count;
    const char *sort;
    uint64_t limit;
    struct sheet_column columns[SHEET_COLUMNS_MAX];
    const struct field *fields[SHEET_COLUMNS_MAX];
    size_t count;
    struct sheet *sheet;
    struct buffer block;
    uint64_t rows;
};

enum { OPTION_SORT = 0x300, OPTION_LIMIT, OPTION_BY, OPTION_TOP };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Which lines:", 20},
    {"sort", OPTION_SORT, "FIELD", 0,
     "order by this field; -FIELD for the greatest first (default: time, groups: -bytes)", 20},
    {"limit", OPTION_LIMIT, "N", 0, "at most N lines", 20},
    {"by", OPTION_BY, "FIELDS", 0, "sums over flows that have these fields alike, e.g. resp_addr,resp_port", 20},
    {"top", OPTION_TOP, "N", 0, "the first N lines only (the same as --limit)", 20},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct flows *f = state->input;
    struct error e = ERROR_INIT;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &f->u;
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

/* The end of --help: the fields, from their table. */
static char *help(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text;
    char *out = NULL;
    size_t len = 0, count;
    FILE *to = open_memstream(&out, &len);
    if (!to)
        return NULL;
    const struct field *fields = field_table(&count);
    fprintf(to, "Examples:\n"
                "  fleetdump flows 'from 10.0.0.5 and to port 80' --since 15m\n"
                "  fleetdump flows 'state S0 or state REJ' --by resp_addr,resp_port --top 10\n"
                "  fleetdump flows 'bytes > 10M' --sort -bytes -o json\n"
                "  fleetdump flows --capture monday -o csv --columns time,orig_addr,resp_addr,bytes\n\n"
                "Fields (for --columns, --sort, --by; numbers also in filters, as in 'bytes > 1M'):\n");
    for (size_t i = 0; i < count; i++)
        fprintf(to, "  %-22s %s\n", fields[i].name, fields[i].help);
    fclose(to);
    return out;
}

/* ------------------------------------------------------------------ lines */

static void human(void *context, const void *row, size_t column, char *buf, size_t len)
{
    struct flows *f = context;
    char text[FIELD_TEXT_MAX];
    field_text(f->fields[column], row, false, text, sizeof text);
    snprintf(buf, len, "%s", text);
}

static json_t *exact(void *context, const void *row, size_t column)
{
    struct flows *f = context;
    const struct field *field = f->fields[column];
    char text[FIELD_TEXT_MAX];
    uint64_t number;
    size_t n = field_text(field, row, true, text, sizeof text);
    if (n == 0)
        return NULL;
    bool digits = strspn(text, "0123456789") == n;
    if (field->kind == FIELD_NUMBER && digits && field_number(field, row, &number) && number <= INT64_MAX)
        return json_integer((json_int_t)number);
    json_t *v = json_stringn(text, n);
    return v ? v : json_string("?");
}

static bool named(char **list, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* The columns of groups: what they are grouped by, then the sums. */
static char *group_columns(const struct flows *f)
{
    char *out = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&out, &len);
    if (!to)
        return NULL;
    for (uint32_t i = 0; i < f->by_count; i++)
        fprintf(to, "%s,", f->by[i]);
    fputs(MEASURES, to);
    fclose(to);
    return out;
}

static bool shown(const struct flows *f, const struct field *field)
{
    return f->by_count == 0 || field->is_measure || strcmp(field->name, "flows") == 0 ||
           named(f->by, f->by_count, field->name);
}

static int take_columns(struct flows *f, struct error *e)
{
    struct sheet_column all[SHEET_COLUMNS_MAX];
    const struct field *of[SHEET_COLUMNS_MAX];
    size_t count, n = 0, picked[SHEET_COLUMNS_MAX];
    const struct field *fields = field_table(&count);
    for (size_t i = 0; i < count && n < SHEET_COLUMNS_MAX; i++) {
        if (!shown(f, &fields[i]))
            continue;
        of[n] = &fields[i];
        all[n++] = (struct sheet_column){
            .name = fields[i].name, .title = fields[i].title, .right = fields[i].right, .narrow = !fields[i].right};
    }
    char *groups = f->by_count ? group_columns(f) : NULL;
    int r = sheet_pick(f->u.cli, all, n, groups ? groups : COLUMNS_FLOWS, picked, &f->count, e);
    free(groups);
    for (size_t i = 0; r == 0 && i < f->count; i++) {
        f->columns[i] = all[picked[i]];
        f->fields[i] = of[picked[i]];
    }
    return r;
}

static int print_block(struct flows *f, struct error *e)
{
    struct block *block = NULL;
    void *rows = NULL;
    int r = block_open(&table_flow, f->block.data, f->block.len, &block, e);
    if (r == 0)
        r = block_read(block, &rows, e);
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

/* ------------------------------------------------------------------ the command */

static int ask(struct flows *f, struct error *e)
{
    const struct sheet_source source = {.human = human, .exact = exact, .context = f};
    struct client_answer answer;
    int r = sheet_new(f->u.cli, f->columns, f->count, &source, &f->sheet, e);
    if (r)
        return r;
    r = client_ask(f->u.cli, &f->u.q, "flows", take, f, &answer, e);
    if (r)
        return r;
    free(answer.manifest);
    if (answer.code == 0 || answer.code == ERROR_INCOMPLETE)
        r = sheet_end(f->sheet, e);
    if (r == 0 && answer.code == ERROR_INCOMPLETE)
        return error_set(e, answer.code, "the answer is good, but inside the question is missing:\n%s", answer.text);
    if (r == 0 && answer.code)
        return error_set(e, answer.code, "%s", answer.text);
    if (r == 0 && f->rows == 0 && !f->u.cli->quiet)
        fprintf(stderr, "%s\n", answer.text[0] ? answer.text : "nothing found");
    return r;
}

int command_flows(int argc, char **argv, struct cli *cli, struct error *e)
{
    static const struct argp_child children[] = {{&question_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options,  parse, "[FILTER]", "Connections, one line each.\vx",
                                     children, help,  NULL};
    struct flows f = {.u = {.cli = cli}, .block = {.limit = BLOCK_BYTES_MAX}};
    argp_parse(&argp, argc, argv, 0, NULL, &f);
    int r = take_columns(&f, e);
    if (r == 0)
        r = question_prepare(&f.u, QUERY_FLOWS, e);
    if (r == 0) {
        f.u.q.sort = (char *)(uintptr_t)f.sort;
        f.u.q.limit = f.limit;
        f.u.q.by = f.by;
        f.u.q.by_count = f.by_count;
        r = ask(&f, e);
    }
    sheet_free(f.sheet);
    buffer_free(&f.block);
    for (uint32_t i = 0; i < f.by_count; i++)
        free(f.by[i]);
    free(f.by);
    question_free(&f.u);
    return r;
}
