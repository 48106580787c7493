#include "collector/cli/grid.h"
#include <libsmartcols.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct grid {
    struct libscols_table *table;
    size_t columns, rows; /* rows: not printed yet */
};

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for a table: ask for less, or use -o ndjson");
}

static bool add_column(struct grid *g, const struct grid_column *c, bool fit)
{
    static const int flags[] = {[GRID_WHOLE] = 0, [GRID_CUT] = SCOLS_FL_TRUNC, [GRID_BREAK] = SCOLS_FL_WRAP};
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
    bool good = g->table != NULL;
    fit = fit && isatty(STDOUT_FILENO);
    for (size_t i = 0; good && i < count; i++)
        good = add_column(g, &columns[i], fit);
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
    if (scols_print_table(g->table))
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
    free(g);
}

unsigned grid_terminal_width(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
