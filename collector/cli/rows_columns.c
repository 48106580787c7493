/*
 * The fields of rows: which there are, which a question may be sorted and grouped by, and how each is shown.
 */
#include "collector/cli/rows_impl.h"
#include "common/base/suggest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ cells */

enum sheet_cell rows_cell(void *context, const void *row, size_t column, bool exact, struct buffer *out)
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

bool rows_is_by(const struct rows *r, const char *name)
{
    for (uint32_t i = 0; i < r->by_count; i++)
        if (strcmp(r->by[i], name) == 0)
            return true;
    return false;
}

static bool is_group_field(const struct rows *r, const struct field *f)
{
    return rows_is_by(r, f->name) || r->kind->adds_up(f);
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

int rows_no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for a question");
}

int rows_take_by(struct rows *r, struct error *e)
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
            return f ? rows_no_memory(e) : ERROR_USAGE;
        free(r->by[i]);
        r->by[i] = name;
    }
    return 0;
}

int rows_take_sort(struct rows *r, struct error *e)
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
        return rows_no_memory(e);
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
        return code ? code : rows_no_memory(e);
    }
    r->columns = (char *)list.data;
    if (r->u.cli->columns)
        r->u.cli->columns = r->columns;
    return 0;
}

int rows_take_columns(struct rows *r, struct error *e)
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

/* ------------------------------------------------------------------ the list of columns */

const char *rows_help_of(const struct rows_kind *kind, const struct field *f)
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
                                 [LIST_MEANING] = rows_help_of(context, f)};
    (void)exact;
    buffer_append(out, texts[column], strlen(texts[column]));
    return SHEET_TEXT;
}

int rows_list_columns(const struct rows_kind *kind, const struct cli *cli, struct error *e)
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
