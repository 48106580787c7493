/*
 * grid: rows of text in columns, for people; by libsmartcols.
 *
 * Fitted to the terminal if that is standard output: columns that may be cut are cut, the widest first, and end in a
 * mark; those that may be broken go on in the next line. Rows are printed in batches of GRID_BATCH, so that a long grid
 * costs little memory and begins soon; columns do not get narrower from one batch to the next.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_GRID_H
#define FLEETDUMP_COLLECTOR_CLI_GRID_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define GRID_BATCH 2000u

/* What happens to values for which a narrow terminal has no room. */
enum grid_squeeze { GRID_WHOLE, GRID_CUT, GRID_BREAK };

struct grid_column {
    const char *title;
    bool right; /* aligned right */
    enum grid_squeeze squeeze;
};

struct grid;

/* With `fit` false nothing is cut or broken. The columns are copied. */
MUST_CHECK int grid_new(const struct grid_column *columns, size_t count, bool header, bool fit, struct grid **out,
                        struct error *e);
/* Adds a row: a printable text for each column, copied. */
MUST_CHECK int grid_row(struct grid *g, const char *const *texts, struct error *e);
/* Prints the rows that were not printed yet; nothing at all if there were none. */
MUST_CHECK int grid_end(struct grid *g, struct error *e);
void grid_free(struct grid *g);

/* What stands where a text was cut: one column wide. */
const char *grid_mark(void);

/* Columns of the terminal that standard output is; 0 if it is none. */
unsigned grid_terminal_width(void);

#endif
