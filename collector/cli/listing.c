#include "collector/cli/listing.h"
#include "collector/cli/when.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_DIGITS 8

/* ------------------------------------------------------------------ cells */

struct cells {
    enum output_format format;
    const struct list_column *columns[SHEET_COLUMNS_MAX];
};

/* The value at a.b.c of an object, borrowed; NULL if there is none. */
static json_t *value_at(const json_t *row, const char *path)
{
    json_t *v = json_object_getn(row, path, strcspn(path, "."));
    const char *dot = strchr(path, '.');
    return dot && v ? value_at(v, dot + 1) : v;
}

/* Whole seconds: "17s", "2m05s". */
static char *format_seconds(uint64_t ns, char *buf, size_t len)
{
    if (ns >= 60 * NS_PER_S)
        return units_format(UNIT_NS, ns / NS_PER_S * NS_PER_S, buf, len);
    snprintf(buf, len, "%us", (unsigned)(ns / NS_PER_S));
    return buf;
}

static void put_time(const char *text, enum look look, enum output_format format, struct buffer *out)
{
    uint64_t ns, now = clock_wall_ns();
    char buf[40];
    if (units_parse_time(text, now, &ns, NULL))
        buffer_printf(out, "%s", text);
    else if (look == LOOK_AGO && ns + NS_PER_S > now)
        buffer_printf(out, "now");
    else if (look == LOOK_AGO)
        buffer_printf(out, "%s ago", format_seconds(now - ns, buf, sizeof buf));
    else if (format == OUTPUT_TABLE)
        buffer_printf(out, "%s", when_format(ns, WHEN_DATE, buf, sizeof buf));
    else
        buffer_printf(out, "%s", units_format(UNIT_TIME_NS, ns, buf, sizeof buf));
}

/* "+0.3 ms": as much of it as matters. */
static void put_span(int64_t ns, const char *sign, struct buffer *out)
{
    static const struct {
        double ns;
        const char *unit;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}};
    double size = ns < 0 ? -(double)ns : (double)ns;
    size_t i = 0;
    while (i < 3 && size < units[i].ns / 10)
        i++;
    buffer_printf(out, "%s%.*f %s", ns < 0 ? "-" : sign, i < 3 ? 1 : 0, size / units[i].ns, units[i].unit);
}

static void put_offset(const json_t *row, const json_t *v, struct buffer *out)
{
    const json_t *uncertainty = value_at(row, "status.clock.uncertainty_ns");
    put_span(json_integer_value(v), "+", out);
    if (json_is_integer(uncertainty)) {
        buffer_printf(out, " ± ");
        put_span(json_integer_value(uncertainty), "", out);
    }
}

/* Addresses that the agent has now, one after the other. */
static void put_addresses(const json_t *list, struct buffer *out)
{
    size_t i;
    json_t *a;
    json_array_foreach(list, i, a)
    {
        const char *text = json_string_value(json_object_get(a, "address"));
        if (text && json_integer_value(json_object_get(a, "to_ns")) == INT64_MAX)
            buffer_printf(out, "%s%s", out->len ? " " : "", text);
    }
}

static enum sheet_cell put_json_value(const json_t *v, struct buffer *out)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    if (text)
        buffer_append(out, text, strlen(text));
    free(text);
    return text ? SHEET_JSON : SHEET_MISSING;
}

static void put_number(enum look look, json_int_t v, struct buffer *out)
{
    static const enum unit units[] = {[LOOK_BYTES] = UNIT_BYTES, [LOOK_RATE] = UNIT_BYTES, [LOOK_LEFT] = UNIT_NS};
    enum unit unit = look < sizeof units / sizeof units[0] && units[look] ? units[look] : UNIT_COUNT;
    uint64_t value = v < 0 ? 0 : (uint64_t)v;
    char buf[40];
    if (look == LOOK_LEFT && value >= INT64_MAX)
        buffer_printf(out, "for ever");
    else if (look == LOOK_LEFT)
        buffer_printf(out, "%s", format_seconds(value, buf, sizeof buf));
    else
        buffer_printf(out, "%s%s", units_format(unit, value, buf, sizeof buf), look == LOOK_RATE ? "/s" : "");
}

/* Texts, one after the other. */
static void put_words(const json_t *list, struct buffer *out)
{
    size_t i;
    json_t *text;
    json_array_foreach(list, i, text)
    {
        if (json_is_string(text))
            buffer_printf(out, "%s%s", out->len ? ", " : "", json_string_value(text));
    }
}

static enum sheet_cell put_human(const struct list_column *c, enum output_format format, const json_t *row,
                                 const json_t *v, struct buffer *out)
{
    if (c->look == LOOK_ADDRESSES)
        put_addresses(v, out);
    else if (c->look == LOOK_OFFSET && json_is_integer(v))
        put_offset(row, v, out);
    else if (c->look == LOOK_SPAN && json_is_integer(v))
        put_span(json_integer_value(v), "", out);
    else if (json_is_boolean(v))
        buffer_printf(out, "%s", json_is_true(v) ? "yes" : "no");
    else if (c->look == LOOK_WORDS && json_is_array(v))
        put_words(v, out);
    else if (json_is_integer(v))
        put_number(c->look, json_integer_value(v), out);
    else if (json_is_string(v) && (c->look == LOOK_TIME || c->look == LOOK_AGO))
        put_time(json_string_value(v), c->look, format, out);
    else if (json_is_string(v) && c->look == LOOK_ID && format == OUTPUT_TABLE)
        buffer_printf(out, "%.*s", ID_DIGITS, json_string_value(v));
    else if (json_is_string(v))
        buffer_append(out, json_string_value(v), json_string_length(v));
    else
        return put_json_value(v, out);
    return SHEET_TEXT;
}

static enum sheet_cell cell(void *context, const void *row, size_t column, bool exact, struct buffer *out)
{
    const struct cells *cells = context;
    const struct list_column *c = cells->columns[column];
    const json_t *v = value_at(row, c->path ? c->path : c->name);
    if (!v || json_is_null(v))
        return SHEET_MISSING;
    if (!exact)
        return put_human(c, cells->format, row, v, out);
    if (!json_is_string(v))
        return put_json_value(v, out);
    buffer_append(out, json_string_value(v), json_string_length(v));
    return SHEET_TEXT;
}

/* ------------------------------------------------------------------ printing */

static struct sheet_column column_of(const struct list_column *c)
{
    static const bool right[] = {[LOOK_COUNT] = true, [LOOK_BYTES] = true, [LOOK_RATE] = true,
                                 [LOOK_LEFT] = true,  [LOOK_SPAN] = true,  [LOOK_OFFSET] = true};
    static const bool cut[] = {[LOOK_TEXT] = true, [LOOK_WORDS] = true, [LOOK_ADDRESSES] = true, [LOOK_JSON] = true};
    return (struct sheet_column){.name = c->name,
                                 .title = c->title,
                                 .right = c->look < sizeof right && right[c->look],
                                 .time = c->look == LOOK_TIME,
                                 .squeeze = c->look < sizeof cut && cut[c->look] ? GRID_CUT : GRID_WHOLE};
}

static int take_columns(const struct cli *cli, const struct listing *l, struct sheet_column *columns,
                        struct cells *cells, size_t *count, struct error *e)
{
    struct sheet_column all[SHEET_COLUMNS_MAX];
    size_t n = 0, picked[SHEET_COLUMNS_MAX];
    for (; l->columns[n].name; n++)
        all[n] = column_of(&l->columns[n]);
    int r = sheet_pick(cli, all, n, &l->choice, picked, count, e);
    for (size_t i = 0; r == 0 && i < *count; i++) {
        columns[i] = all[picked[i]];
        cells->columns[i] = &l->columns[picked[i]];
    }
    return r;
}

static int print_rows(struct sheet *sheet, const json_t *document, struct error *e)
{
    size_t i;
    json_t *row;
    int r = json_is_object(document) ? sheet_row(sheet, document, e) : 0;
    json_array_foreach(document, i, row)
    {
        if (r == 0)
            r = sheet_row(sheet, row, e);
    }
    return r ? r : sheet_end(sheet, e);
}

int listing_print(const struct cli *cli, const struct listing *l, const json_t *document, struct error *e)
{
    struct sheet_column columns[SHEET_COLUMNS_MAX];
    struct cells cells = {.format = l->single ? OUTPUT_WIDE : cli->format}; /* no title would tell the zone */
    const struct sheet_source source = {.cell = cell, .context = &cells};
    struct sheet *sheet = NULL;
    size_t count;
    int r = take_columns(cli, l, columns, &cells, &count, e);
    if (r == 0)
        r = sheet_new(cli, columns, count, l->single, &source, &sheet, e);
    if (r == 0)
        r = print_rows(sheet, document, e);
    if (r == 0 && l->nothing && json_array_size(document) == 0)
        note(cli, "%s", client_is_bound() ? "nothing found among what you may see" : l->nothing);
    sheet_free(sheet);
    return r;
}

int listing_check(const struct cli *cli, const struct listing *l, struct error *e)
{
    struct sheet_column columns[SHEET_COLUMNS_MAX];
    struct cells cells;
    size_t count;
    return take_columns(cli, l, columns, &cells, &count, e);
}

int listing_show(const struct cli *cli, const struct listing *l, const struct message_query *q, struct error *e)
{
    json_t *document = NULL;
    int r = listing_check(cli, l, e);
    if (r == 0)
        r = client_document(cli, q, &document, e);
    if (r == 0)
        r = listing_print(cli, l, document, e);
    json_decref(document);
    return r;
}

const char *listing_column(const void *listing, size_t i, const char **help)
{
    const struct listing *l = listing;
    *help = NULL;
    return l->columns[i].name;
}
