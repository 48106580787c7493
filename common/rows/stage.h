/*
 * stage: rows turned into one array per column, in one pass over the rows: rows are large, and reading each once for
 * every column would cost more than all the encoding.
 */
#ifndef FLEETDUMP_ROWS_STAGE_H
#define FLEETDUMP_ROWS_STAGE_H

#include "common/base/error.h"
#include "common/rows/column.h"

struct stage {
    const struct table *table;
    size_t n;
    size_t words;    /* of a presence bitmap */
    uint8_t *values; /* owned: per column of the table n values of its size; of rows without it whatever stood there */
    uint64_t *presence;        /* owned: per column of the table a bitmap of the rows that have it */
    size_t at[COLUMNS_MAX];    /* by the column's place in the table: where in `values` */
    size_t count[COLUMNS_MAX]; /* the same: rows that have it */
};

/* Copies n rows; texts and lists still belong to the caller. ERROR_MEMORY. */
MUST_CHECK int stage_fill(struct stage *s, const struct table *t, const void *rows, size_t n, struct error *e);
void stage_free(struct stage *s);

/* The values of the rows that have the i-th column of the table, count[i] of them, in the order of the rows. */
void stage_numbers(const struct stage *s, unsigned i, uint64_t *out); /* COLUMN_UINT */
void stage_texts(const struct stage *s, unsigned i,
                 struct text *out); /* COLUMN_TEXT; COLUMN_ADDRESS as texts of 16 bytes */
void stage_lists(const struct stage *s, unsigned i, struct list *out); /* COLUMN_LIST */

/* The bitmap, as (n + 7) / 8 bytes: bit r % 8 of byte r / 8 is row r. */
void stage_presence(const struct stage *s, unsigned i, uint8_t *out);

#endif
