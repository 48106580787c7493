/*
 * stage: rows turned into one array per column, a few rows at a time: rows are large, and so they are in the first cache while every
 * column is taken from them.
 */
#ifndef FLEETDUMP_ROWS_STAGE_H
#define FLEETDUMP_ROWS_STAGE_H

#include "common/base/error.h"
#include "common/rows/column.h"

#define STAGE_TILE 64u /* rows that are turned at a time; one word of presence */

/* Zeroed, it has no memory yet; used again, it keeps what it has. */
struct stage {
    const struct table *table;
    size_t n;      /* rows it is for */
    size_t words;  /* of a presence bitmap */
    size_t filled; /* tiles */
    size_t values_room, presence_room;
    uint8_t *values; /* owned: per column of the table n values of its size; of rows without it whatever stood there */
    uint64_t *presence;          /* owned: per column of the table a bitmap of the rows that have it */
    size_t at[COLUMNS_MAX];      /* by the column's place in the table: where in `values` */
    size_t count[COLUMNS_MAX];   /* the same: rows that have it */
    uint64_t first[COLUMNS_MAX]; /* the same, of COLUMN_UINT: a value, ... */
    bool varies[COLUMNS_MAX];    /* ... which all rows that have it have, if this is false */
};

/* Makes it ready for n rows. ERROR_MEMORY. */
MUST_CHECK int stage_begin(struct stage *s, const struct table *t, size_t n, struct error *e);

/* Copies the next STAGE_TILE rows, or those that are left; texts and lists still belong to the caller. */
void stage_add(struct stage *s, const void *rows);
void stage_free(struct stage *s);

/* The values of the rows that have the i-th column of the table, count[i] of them, in the order of the rows. */
void stage_numbers(const struct stage *s, unsigned i, uint64_t *out); /* COLUMN_UINT */
void stage_texts(const struct stage *s, unsigned i,
                 struct text *out); /* COLUMN_TEXT; COLUMN_ADDRESS as texts of 16 bytes */
void stage_lists(const struct stage *s, unsigned i, struct list *out); /* COLUMN_LIST */

/* The bitmap, as (n + 7) / 8 bytes: bit r % 8 of byte r / 8 is row r. */
void stage_presence(const struct stage *s, unsigned i, uint8_t *out);

#endif
