/*
 * sheet: rows of cells, printed as a table for people, or as JSON, NDJSON or CSV for programs. Every list that
 * fleetdump prints is one.
 *
 * table, wide: values as people read them, "-" where there is none; table is fitted to the terminal, wide has more
 * columns and nothing is cut. json: an array of objects; ndjson: an object a line; numbers as numbers, missing values
 * left out. csv (RFC 4180): exact values, missing ones empty. Control characters in values never reach a terminal: in
 * JSON they are \u00NN, elsewhere \xNN.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_SHEET_H
#define FLEETDUMP_COLLECTOR_CLI_SHEET_H

#include "collector/cli/cli.h"
#include "collector/cli/grid.h"
#include "common/base/buffer.h"

#define SHEET_COLUMNS_MAX 256u

struct sheet_column {
    const char *name;  /* in --columns, JSON and CSV */
    const char *title; /* in tables */
    bool right;        /* aligned right */
    bool time;         /* the title of a fitted table names the zone */
    enum grid_squeeze squeeze;
};

enum sheet_cell {
    SHEET_MISSING,
    SHEET_TEXT, /* UTF-8 */
    SHEET_JSON, /* a number, or any other JSON value: stands in JSON as it is */
};

/* Where cells come from. `row` is what sheet_row was given, `column` the index of the column in sheet_new's array. */
struct sheet_source {
    /* Appends the value to `out`, as people read it or exact (always exact if SHEET_JSON is returned). */
    enum sheet_cell (*cell)(void *context, const void *row, size_t column, bool exact, struct buffer *out);
    void *context;
};

struct sheet;

/* Begins; columns and source must outlive it. With `single` it is of one row only: a line for each column in tables, an
 * object alone in JSON. */
MUST_CHECK int sheet_new(const struct cli *cli, const struct sheet_column *columns, size_t count, bool single,
                         const struct sheet_source *source, struct sheet **out, struct error *e);
MUST_CHECK int sheet_row(struct sheet *s, const void *row, struct error *e);
/* Prints what is still to be printed. As sheet_row: ERROR_CANCELLED with an empty text if standard output is a pipe
 * that nobody reads any more, another error if it cannot be written. */
MUST_CHECK int sheet_end(struct sheet *s, struct error *e);
void sheet_free(struct sheet *s); /* NULL is fine */

/* Columns shown without --columns, as lists of names; NULL: all. */
struct sheet_choice {
    const char *narrow; /* in a terminal of less than SHEET_NARROW columns; NULL: as table */
    const char *table;
    const char *wide;
};
#define SHEET_NARROW 100u

/* Which of the `count` columns (at most SHEET_COLUMNS_MAX) to show, as indexes into `columns`: those of --columns, else
 * of `choice`, in exact formats all. ERROR_USAGE suggests a column for one that does not exist. */
MUST_CHECK int sheet_pick(const struct cli *cli, const struct sheet_column *columns, size_t count,
                          const struct sheet_choice *choice, size_t picked[SHEET_COLUMNS_MAX], size_t *picked_count,
                          struct error *e);

#endif
