#include "collector/cli/sheet.h"
#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CELL_MAX 1200u

struct sheet {
    const struct cli *cli;
    const struct sheet_column *columns;
    size_t count, rows;
    const struct sheet_source *source;
    struct libscols_table *table;
};

static bool is_table(const struct sheet *s)
{
    return s->cli->format == OUTPUT_TABLE || s->cli->format == OUTPUT_WIDE;
}

/* ------------------------------------------------------------------ tables */

static int begin_table(struct sheet *s, struct error *e)
{
    scols_init_debug(0);
    s->table = scols_new_table();
    if (!s->table)
        return error_set(e, ERROR_MEMORY, "no memory for a table");
    scols_table_enable_noheadings(s->table, s->cli->no_header);
    scols_table_enable_nowrap(s->table, s->cli->format == OUTPUT_WIDE);
    if (s->cli->format == OUTPUT_WIDE || !isatty(STDOUT_FILENO))
        scols_table_set_termforce(s->table, SCOLS_TERMFORCE_NEVER);
    for (size_t i = 0; i < s->count; i++) {
        int flags = (s->columns[i].right ? SCOLS_FL_RIGHT : 0) |
                    (s->columns[i].narrow && s->cli->format == OUTPUT_TABLE ? SCOLS_FL_TRUNC : 0);
        if (!scols_table_new_column(s->table, s->columns[i].title, 0, flags))
            return error_set(e, ERROR_MEMORY, "no memory for a table");
    }
    return 0;
}

static int table_row(struct sheet *s, const void *row, struct error *e)
{
    struct libscols_line *line = scols_table_new_line(s->table, NULL);
    char text[CELL_MAX];
    for (size_t i = 0; line && i < s->count; i++) {
        text[0] = 0;
        s->source->human(s->source->context, row, i, text, sizeof text);
        for (char *c = text; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = '?';
        if (scols_line_set_data(line, i, text[0] ? text : "-"))
            line = NULL;
    }
    return line ? 0
                : error_set(e, ERROR_MEMORY, "no memory for a table of %zu lines: ask for less, or use -o ndjson",
                            s->rows);
}

/* ------------------------------------------------------------------ for programs */

static void csv_text(const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void csv_value(json_t *v)
{
    if (!v)
        return;
    if (json_is_string(v)) {
        csv_text(json_string_value(v));
        return;
    }
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (text)
        csv_text(text);
    free(text);
}

static void csv_row(struct sheet *s, const void *row)
{
    for (size_t i = 0; i < s->count; i++) {
        json_t *v = s->source->exact(s->source->context, row, i);
        if (i)
            putchar(',');
        csv_value(v);
        json_decref(v);
    }
    fputs("\r\n", stdout);
}

static int json_row(struct sheet *s, const void *row, struct error *e)
{
    json_t *o = json_object();
    for (size_t i = 0; o && i < s->count; i++) {
        json_t *v = s->source->exact(s->source->context, row, i);
        if (v && json_object_set_new(o, s->columns[i].name, v))
            break;
    }
    char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(o);
    if (!text)
        return error_set(e, ERROR_MEMORY, "no memory for a line of output");
    if (s->cli->format == OUTPUT_JSON)
        fputs(s->rows > 1 ? ",\n " : "[", stdout);
    fputs(text, stdout);
    if (s->cli->format == OUTPUT_NDJSON)
        putchar('\n');
    free(text);
    return 0;
}

/* ------------------------------------------------------------------ all of them */

static int written(struct error *e)
{
    if (!ferror(stdout))
        return 0;
    if (errno == EPIPE)
        return error_set(e, ERROR_CANCELLED, "%s", ""); /* the reader has had enough, `head` for one */
    return error_sys(e, errno, "cannot write to standard output");
}

int sheet_new(const struct cli *cli, const struct sheet_column *columns, size_t count,
              const struct sheet_source *source, struct sheet **out, struct error *e)
{
    struct sheet *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, ERROR_MEMORY, "no memory for a table");
    *s = (struct sheet){.cli = cli, .columns = columns, .count = count, .source = source};
    int r = is_table(s) ? begin_table(s, e) : 0;
    if (r) {
        sheet_free(s);
        return r;
    }
    if (cli->format == OUTPUT_CSV && !cli->no_header) {
        for (size_t i = 0; i < count; i++)
            printf("%s%s", i ? "," : "", columns[i].name);
        fputs("\r\n", stdout);
    }
    *out = s;
    return 0;
}

int sheet_row(struct sheet *s, const void *row, struct error *e)
{
    s->rows++;
    if (is_table(s))
        return table_row(s, row, e);
    if (s->cli->format == OUTPUT_CSV)
        csv_row(s, row);
    else {
        int r = json_row(s, row, e);
        if (r)
            return r;
    }
    return written(e);
}

int sheet_end(struct sheet *s, struct error *e)
{
    if (is_table(s) && s->rows > 0 && scols_print_table(s->table))
        return error_set(e, ERROR_SYSTEM, "cannot print the table");
    if (s->cli->format == OUTPUT_JSON)
        fputs(s->rows ? "]\n" : "[]\n", stdout);
    fflush(stdout);
    return written(e);
}

void sheet_free(struct sheet *s)
{
    if (s && s->table)
        scols_unref_table(s->table);
    free(s);
}

/* ------------------------------------------------------------------ --columns */

static int unknown_column(const struct sheet_column *columns, size_t count, const char *word, struct error *e)
{
    const char *names[SHEET_COLUMNS_MAX * 2 + 1];
    size_t n = 0;
    for (; n < count && n < SHEET_COLUMNS_MAX * 2; n++)
        names[n] = columns[n].name;
    names[n] = NULL;
    const char *near = nearest_word(word, names);
    if (near)
        return error_set(e, ERROR_USAGE, "no column '%s': did you mean '%s'? (--help lists them all)", word, near);
    return error_set(e, ERROR_USAGE, "no column '%s' (--help lists them all)", word);
}

int sheet_pick(const struct cli *cli, const struct sheet_column *columns, size_t count, const char *fallback,
               size_t *picked, size_t *picked_count, struct error *e)
{
    const char *list = cli->columns ? cli->columns : cli->format == OUTPUT_TABLE ? fallback : NULL;
    *picked_count = 0;
    for (size_t i = 0; !list && i < count && i < SHEET_COLUMNS_MAX; i++)
        picked[(*picked_count)++] = i;
    while (list && *list) {
        char word[64];
        size_t n = strcspn(list, ","), i = 0;
        snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), list);
        while (i < count && strcmp(columns[i].name, word) != 0)
            i++;
        if (i == count)
            return unknown_column(columns, count, word, e);
        if (*picked_count == SHEET_COLUMNS_MAX)
            return error_set(e, ERROR_LIMIT, "more than %u columns", SHEET_COLUMNS_MAX);
        picked[(*picked_count)++] = i;
        list += n + (list[n] == ',');
    }
    return 0;
}
