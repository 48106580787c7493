#include "collector/cli/grid.h"
#include <langinfo.h>
#include <libsmartcols.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define CUT_LEAST   8u  /* what is cut keeps so many columns of the terminal */
#define BREAK_LEAST 16u /* what is broken likewise */

struct grid {
    struct libscols_table *table;
    enum grid_squeeze *squeeze; /* of each column */
    size_t columns, rows;       /* rows: not printed yet */
    bool fit;
};

const char *grid_mark(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "\u2026" : "~";
}

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for a table: ask for less, or use -o ndjson");
}

static bool add_column(struct grid *g, const struct grid_column *c, bool fit)
{
    static const int flags[] = {
        [GRID_WHOLE] = 0, [GRID_CUT] = 0 /* by us, with a mark */, [GRID_BREAK] = SCOLS_FL_WRAP};
    return scols_table_new_column(g->table, c->title, 0,
                                  (c->right ? SCOLS_FL_RIGHT : 0) | (fit ? flags[c->squeeze] : 0)) != NULL;
}

int grid_new(const struct grid_column *columns, size_t count, bool header, bool fit, struct grid **out, struct error *e)
{
    struct grid *g = calloc(1, sizeof *g);
    if (!g)
        return no_memory(e);
    g->columns = count;
    scols_init_debug(0);
    g->table = scols_new_table();
    g->squeeze = calloc(count + 1, sizeof *g->squeeze);
    bool good = g->table && g->squeeze;
    g->fit = fit = fit && isatty(STDOUT_FILENO);
    for (size_t i = 0; good && i < count; i++) {
        g->squeeze[i] = columns[i].squeeze;
        good = add_column(g, &columns[i], fit);
    }
    if (!good) {
        grid_free(g);
        return no_memory(e);
    }
    scols_table_enable_noheadings(g->table, !header);
    scols_table_enable_noencoding(g->table, 1); /* texts are printable */
    if (!fit)
        scols_table_set_termforce(g->table, SCOLS_TERMFORCE_NEVER);
    *out = g;
    return 0;
}

/* ------------------------------------------------------------------ what there is no room for */

/* Bytes of the text's characters that fit into `most` columns of the terminal; *width: those that they take. */
static size_t fitting(const char *text, size_t most, size_t *width)
{
    mbstate_t state = {0};
    size_t at = 0, len = strlen(text);
    *width = 0;
    while (at < len) {
        wchar_t c;
        size_t n = mbrtowc(&c, text + at, len - at, &state);
        bool bad = n == 0 || n > len - at;
        int columns = bad ? 1 : wcwidth(c);
        size_t takes = columns < 0 ? 1 : (size_t)columns;
        if (*width + takes > most)
            break;
        *width += takes;
        at += bad ? 1 : n;
        if (bad)
            state = (mbstate_t){0};
    }
    return at;
}

static size_t width_of(const char *text)
{
    size_t width;
    (void)fitting(text ? text : "", SIZE_MAX, &width);
    return width;
}

static const char *text_at(const struct grid *g, size_t row, size_t column)
{
    return scols_cell_get_data(scols_line_get_cell(scols_table_get_line(g->table, row), column));
}

static size_t natural_width(const struct grid *g, size_t column)
{
    const char *title = scols_cell_get_data(scols_column_get_header(scols_table_get_column(g->table, column)));
    size_t most = width_of(title);
    for (size_t row = 0; row < g->rows; row++) {
        size_t width = width_of(text_at(g, row, column));
        most = width > most ? width : most;
    }
    return g->squeeze[column] == GRID_BREAK && most > BREAK_LEAST ? BREAK_LEAST : most;
}

/* The one that is cut next: the widest of those that may be. */
static size_t widest(const struct grid *g, const size_t *widths)
{
    size_t found = g->columns;
    for (size_t i = 0; i < g->columns; i++)
        if (g->squeeze[i] == GRID_CUT && widths[i] > CUT_LEAST && (found == g->columns || widths[i] > widths[found]))
            found = i;
    return found;
}

static bool cut_cell(struct grid *g, size_t row, size_t column, size_t most)
{
    size_t width;
    const char *text = text_at(g, row, column);
    if (width_of(text) <= most)
        return true;
    size_t len = fitting(text, most - 1, &width);
    char *cut = NULL;
    if (asprintf(&cut, "%.*s%s", (int)len, text, grid_mark()) < 0)
        return false;
    return scols_line_refer_data(scols_table_get_line(g->table, row), column, cut) == 0; /* it frees it */
}

/* Narrow columns stay as they are, as long as others have more to give. */
static bool fit_columns(struct grid *g)
{
    size_t terminal = grid_terminal_width(), total = g->columns - 1, i;
    size_t *widths = calloc(g->columns, sizeof *widths);
    bool good = widths != NULL;
    for (i = 0; good && i < g->columns; i++)
        total += widths[i] = natural_width(g, i);
    while (good && terminal && total > terminal && (i = widest(g, widths)) < g->columns) {
        widths[i]--;
        total--;
    }
    for (i = 0; good && i < g->columns; i++)
        for (size_t row = 0; good && g->squeeze[i] == GRID_CUT && row < g->rows; row++)
            good = cut_cell(g, row, i, widths[i]);
    free(widths);
    return good;
}

/* ------------------------------------------------------------------ printing */

/* Later batches stand below the same titles. */
static void keep_widths(struct grid *g)
{
    struct libscols_column *c;
    for (size_t i = 0; (c = scols_table_get_column(g->table, i)); i++)
        (void)scols_column_set_whint(c, (double)scols_column_get_width(c));
    scols_table_enable_noheadings(g->table, 1);
}

static int print(struct grid *g, struct error *e)
{
    if ((g->fit && !fit_columns(g)) || scols_print_table(g->table))
        return no_memory(e);
    keep_widths(g);
    scols_table_remove_lines(g->table);
    g->rows = 0;
    return 0;
}

int grid_row(struct grid *g, const char *const *texts, struct error *e)
{
    struct libscols_line *line = scols_table_new_line(g->table, NULL);
    for (size_t i = 0; line && i < g->columns; i++)
        if (scols_line_set_data(line, i, texts[i]))
            line = NULL;
    if (!line)
        return no_memory(e);
    return ++g->rows < GRID_BATCH ? 0 : print(g, e);
}

int grid_end(struct grid *g, struct error *e)
{
    return g->rows ? print(g, e) : 0;
}

void grid_free(struct grid *g)
{
    if (g && g->table)
        scols_unref_table(g->table);
    if (g)
        free(g->squeeze);
    free(g);
}

unsigned grid_terminal_width(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
