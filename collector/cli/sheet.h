/*
 * sheet: rows of cells, printed as a table for people, JSON, NDJSON or CSV for programs. Every list that fleetdump prints is one.
 *
 * table, wide: libsmartcols, fitted to the terminal (wide: nothing is cut); values as people read them. json: an array of objects, ndjson: an object a line, numbers as
 * numbers, missing values left out. csv (RFC 4180): exact values, missing ones empty. Control characters in values never reach a terminal.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_SHEET_H
#define FLEETDUMP_COLLECTOR_CLI_SHEET_H

#include "collector/cli/command.h"
#include <jansson.h>
#include <stddef.h>

#define SHEET_COLUMNS_MAX 96u

struct sheet_column {
    const char *name;  /* in --columns, JSON and CSV */
    const char *title; /* in tables */
    bool right;        /* aligned right */
    bool narrow;       /* may be cut where the terminal is too narrow */
};

/* Where a cell's two faces come from; json and human are asked for as the format wants. `row` is what sheet_row was given. */
struct sheet_source {
    void (*human)(void *context, const void *row, size_t column, char *buf, size_t len); /* "" if missing */
    json_t *(*exact)(void *context, const void *row, size_t column);                     /* NULL if missing */
    void *context;
};

struct sheet;

/* Begins; columns and source must outlive it. */
MUST_CHECK int sheet_new(const struct cli *cli, const struct sheet_column *columns, size_t count,
                         const struct sheet_source *source, struct sheet **out, struct error *e);
MUST_CHECK int sheet_row(struct sheet *s, const void *row, struct error *e);
/* Prints what is still to be printed. ERROR_SYSTEM if stdout cannot be written. */
MUST_CHECK int sheet_end(struct sheet *s, struct error *e);
void sheet_free(struct sheet *s);

/* Which of the `count` columns --columns (or `fallback`, same form; or all in wide and exact formats) names: indexes into picked, and how many. */
MUST_CHECK int sheet_pick(const struct cli *cli, const struct sheet_column *columns, size_t count, const char *fallback,
                          size_t *picked, size_t *picked_count, struct error *e);

#endif
