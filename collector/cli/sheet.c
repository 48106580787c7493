#include "collector/cli/sheet.h"
#include "collector/cli/when.h"
#include "common/base/suggest.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX  (64u << 10)
#define TITLE_MAX 64u

struct sheet {
    const struct cli *cli;
    const struct sheet_column *columns;
    size_t count, rows;
    bool single;
    const struct sheet_source *source;
    struct grid *grid;  /* of tables */
    struct buffer cell; /* as the source gave it; terminated */
    struct buffer line; /* the row as it will be printed; of tables the texts, each terminated */
};

/* ------------------------------------------------------------------ text */

/* Appends the character at *p, a control character (C0, DEL, or C1 in UTF-8) as its number behind `escape`. */
static void put_char(struct buffer *out, const char *escape, const uint8_t **p)
{
    const uint8_t *at = *p;
    bool c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
    *p += c1 ? 2 : 1;
    if (c1 || *at < 0x20 || *at == 0x7f)
        buffer_printf(out, "%s%02x", escape, at[c1]);
    else
        buffer_u8(out, *at);
}

/* Appends text with `before` in front of each of the characters that are `special`. */
static void put_text(struct buffer *out, const char *text, const char *escape, const char *special, char before)
{
    for (const uint8_t *p = (const uint8_t *)text; *p;) {
        if (strchr(special, *p))
            buffer_u8(out, (uint8_t)before);
        put_char(out, escape, &p);
    }
}

static void put_plain(struct buffer *out, const char *text)
{
    put_text(out, text, "\\x", "", 0);
}

static void put_json(struct buffer *out, const char *text)
{
    buffer_u8(out, '"');
    put_text(out, text, "\\u00", "\"\\", '\\');
    buffer_u8(out, '"');
}

static void put_csv(struct buffer *out, const char *text)
{
    if (!strpbrk(text, ",\"")) { /* ends of lines are control characters */
        put_plain(out, text);
        return;
    }
    buffer_u8(out, '"');
    put_text(out, text, "\\x", "\"", '"');
    buffer_u8(out, '"');
}

/* ------------------------------------------------------------------ one row */

static enum sheet_cell take_cell(struct sheet *s, const void *row, size_t column, bool exact)
{
    buffer_clear(&s->cell);
    enum sheet_cell kind = s->source->cell(s->source->context, row, column, exact, &s->cell);
    buffer_u8(&s->cell, 0);
    if (s->cell.failed) {
        s->line.failed = true; /* the row cannot be printed as it is */
        return SHEET_MISSING;
    }
    return kind;
}

static const char *text_of(const struct sheet *s)
{
    return (const char *)s->cell.data;
}

static int make_csv(struct sheet *s, const void *row, struct error *e)
{
    (void)e;
    for (size_t i = 0; i < s->count; i++) {
        if (i)
            buffer_u8(&s->line, ',');
        if (take_cell(s, row, i, true) != SHEET_MISSING)
            put_csv(&s->line, text_of(s));
    }
    buffer_u8(&s->line, '\n');
    return 0;
}

static void put_object(struct sheet *s, const void *row)
{
    bool first = true;
    buffer_u8(&s->line, '{');
    for (size_t i = 0; i < s->count; i++) {
        enum sheet_cell kind = take_cell(s, row, i, true);
        if (kind == SHEET_MISSING)
            continue;
        if (!first)
            buffer_u8(&s->line, ',');
        first = false;
        put_json(&s->line, s->columns[i].name);
        buffer_u8(&s->line, ':');
        if (kind == SHEET_JSON)
            buffer_append(&s->line, s->cell.data, s->cell.len - 1);
        else
            put_json(&s->line, text_of(s));
    }
    buffer_u8(&s->line, '}');
}

static int make_json(struct sheet *s, const void *row, struct error *e)
{
    (void)e;
    if (!s->single)
        buffer_printf(&s->line, "%s", s->rows ? ",\n " : "[");
    put_object(s, row);
    return 0;
}

static int make_ndjson(struct sheet *s, const void *row, struct error *e)
{
    (void)e;
    put_object(s, row);
    buffer_u8(&s->line, '\n');
    return 0;
}

/* The texts of a row, one behind the other in s->line. */
static void put_texts(struct sheet *s, const void *row)
{
    for (size_t i = 0; i < s->count; i++) {
        bool missing = take_cell(s, row, i, false) == SHEET_MISSING || s->cell.len == 1;
        put_plain(&s->line, missing ? "-" : text_of(s));
        buffer_u8(&s->line, 0);
    }
}

static int make_table(struct sheet *s, const void *row, struct error *e)
{
    const char *texts[SHEET_COLUMNS_MAX];
    int r = 0;
    put_texts(s, row);
    if (s->line.failed)
        return 0;
    const char *at = (const char *)s->line.data;
    for (size_t i = 0; i < s->count; i++, at += strlen(at) + 1)
        texts[i] = at;
    if (!s->single)
        r = grid_row(s->grid, texts, e);
    for (size_t i = 0; r == 0 && s->single && i < s->count; i++)
        r = grid_row(s->grid, (const char *const[]){s->columns[i].title, texts[i]}, e);
    buffer_clear(&s->line);
    return r;
}

/* ------------------------------------------------------------------ beginnings and ends */

static int begin_table(struct sheet *s, struct error *e)
{
    struct grid_column columns[SHEET_COLUMNS_MAX] = {{.title = ""}, {.title = ""}};
    char titles[SHEET_COLUMNS_MAX][TITLE_MAX], zone[16];
    when_zone(zone, sizeof zone);
    for (size_t i = 0; !s->single && i < s->count; i++) {
        const struct sheet_column *c = &s->columns[i];
        bool short_time = c->time && s->cli->format == OUTPUT_TABLE;
        snprintf(titles[i], TITLE_MAX, "%s%s%s%s", c->title, short_time ? " (" : "", short_time ? zone : "",
                 short_time ? ")" : "");
        columns[i] = (struct grid_column){titles[i], c->right, c->squeeze};
    }
    return grid_new(columns, s->single ? 2 : s->count, !s->cli->no_header && !s->single, s->cli->format == OUTPUT_TABLE,
                    &s->grid, e);
}

static int end_table(struct sheet *s, struct error *e)
{
    return grid_end(s->grid, e);
}

static int begin_csv(struct sheet *s, struct error *e)
{
    (void)e;
    for (size_t i = 0; !s->cli->no_header && i < s->count; i++)
        printf("%s%s", i ? "," : "", s->columns[i].name);
    if (!s->cli->no_header)
        fputc('\n', stdout);
    return 0;
}

static int end_json(struct sheet *s, struct error *e)
{
    (void)e;
    fputs(s->single ? "\n" : s->rows ? "]\n" : "[]\n", stdout);
    return 0;
}

static const struct {
    int (*begin)(struct sheet *s, struct error *e);
    int (*make)(struct sheet *s, const void *row, struct error *e); /* fills s->line with what is to be printed */
    int (*end)(struct sheet *s, struct error *e);
} formats[] = {
    [OUTPUT_TABLE] = {begin_table, make_table, end_table},
    [OUTPUT_WIDE] = {begin_table, make_table, end_table},
    [OUTPUT_JSON] = {NULL, make_json, end_json},
    [OUTPUT_NDJSON] = {NULL, make_ndjson, NULL},
    [OUTPUT_CSV] = {begin_csv, make_csv, NULL},
};

static int written(struct error *e)
{
    if (!ferror(stdout))
        return 0;
    if (errno == EPIPE)
        return error_set(e, ERROR_CANCELLED, "%s", ""); /* the reader has had enough, `head` for one */
    return error_sys(e, errno, "cannot write to standard output");
}

int sheet_new(const struct cli *cli, const struct sheet_column *columns, size_t count, bool single,
              const struct sheet_source *source, struct sheet **out, struct error *e)
{
    struct sheet *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, ERROR_MEMORY, "no memory for a table");
    *s = (struct sheet){.cli = cli, .columns = columns, .count = count, .single = single, .source = source};
    s->cell.limit = CELL_MAX;
    int r = formats[cli->format].begin ? formats[cli->format].begin(s, e) : 0;
    if (r) {
        sheet_free(s);
        return r;
    }
    *out = s;
    return 0;
}

int sheet_row(struct sheet *s, const void *row, struct error *e)
{
    buffer_clear(&s->line);
    int r = formats[s->cli->format].make(s, row, e);
    if (r == 0 && s->line.failed)
        r = error_set(e, ERROR_LIMIT, "no memory for line %zu of the output, or a value in it is larger than %u bytes",
                      s->rows + 1, CELL_MAX);
    if (r)
        return r;
    s->rows++;
    if (s->line.len)
        fwrite(s->line.data, 1, s->line.len, stdout);
    return written(e);
}

int sheet_end(struct sheet *s, struct error *e)
{
    int r = formats[s->cli->format].end ? formats[s->cli->format].end(s, e) : 0;
    if (r)
        return r;
    fflush(stdout);
    return written(e);
}

void sheet_free(struct sheet *s)
{
    if (!s)
        return;
    grid_free(s->grid);
    buffer_free(&s->cell);
    buffer_free(&s->line);
    free(s);
}

/* ------------------------------------------------------------------ --columns */

static int unknown_column(const struct sheet_column *columns, size_t count, const char *name, size_t len,
                          struct error *e)
{
    struct suggest meant;
    suggest_begin(&meant, name, len);
    for (size_t i = 0; i < count; i++)
        suggest_consider(&meant, columns[i].name);
    return error_set(e, ERROR_USAGE, "no column '%.*s'%s%s%s (--help lists them)", (int)(len < 64 ? len : 64), name,
                     meant.word ? ": did you mean '" : "", meant.word ? meant.word : "", meant.word ? "'?" : "");
}

static size_t find_column(const struct sheet_column *columns, size_t count, const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(columns[i].name) == len && memcmp(columns[i].name, name, len) == 0)
            return i;
    return count;
}

static const char *default_list(const struct cli *cli, const struct sheet_choice *choice)
{
    unsigned width = grid_terminal_width();
    switch (cli->format) {
    case OUTPUT_TABLE:
        return choice->narrow && width && width < SHEET_NARROW ? choice->narrow : choice->table;
    case OUTPUT_WIDE:
        return choice->wide;
    default:
        return NULL;
    }
}

int sheet_pick(const struct cli *cli, const struct sheet_column *columns, size_t count,
               const struct sheet_choice *choice, size_t picked[SHEET_COLUMNS_MAX], size_t *picked_count,
               struct error *e)
{
    const char *list = cli->columns ? cli->columns : default_list(cli, choice);
    size_t n = 0;
    for (; !list && n < count; n++)
        picked[n] = n;
    while (list && *list) {
        size_t len = strcspn(list, ",");
        size_t i = find_column(columns, count, list, len);
        if (i == count)
            return unknown_column(columns, count, list, len, e);
        for (size_t k = 0; k < n; k++)
            if (picked[k] == i)
                return error_set(e, ERROR_USAGE, "--columns names '%s' twice", columns[i].name);
        picked[n++] = i; /* so at most `count` */
        list += len + (list[len] == ',');
    }
    *picked_count = n;
    return n ? 0 : error_set(e, ERROR_USAGE, "no columns to show: --columns is empty");
}
