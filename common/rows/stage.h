/*
 * stage: rows as one array per column, put there a tile of rows at a time, column after column: from records of any
 * kind that lie anywhere. Columns that no row of a tile has cost nothing.
 */
#ifndef FLEETDUMP_ROWS_STAGE_H
#define FLEETDUMP_ROWS_STAGE_H

#include "common/base/error.h"
#include "common/rows/column.h"

#define STAGE_TILE 64u /* rows that are put at a time; one word of presence */

/* Zeroed, it has no memory yet; used again, it keeps what it has. */
struct stage {
    const struct table *table;
    size_t n;     /* rows it is for */
    size_t words; /* of a presence bitmap */
    size_t tiles; /* begun */
    size_t values_room, presence_room;
    uint8_t *values; /* owned: per column of the table n values of its size; of rows without it whatever stood there */
    uint64_t *presence;          /* owned: per column of the table a bitmap of the rows that have it */
    uint8_t place[COLUMNS_MAX];  /* by id: the column's place in the table */
    size_t at[COLUMNS_MAX];      /* by the column's place in the table: where in `values` */
    size_t count[COLUMNS_MAX];   /* the same: rows that have it */
    uint64_t first[COLUMNS_MAX]; /* the same: of COLUMN_UINT a value, of others its first half, ... */
    uint64_t rest[COLUMNS_MAX];  /* ... and of others the second half, ... */
    bool varies[COLUMNS_MAX];    /* ... which all rows that have it have, if this is false */
};

/* Makes it ready for n rows. ERROR_MEMORY. */
MUST_CHECK int stage_begin(struct stage *s, const struct table *t, size_t n, struct error *e);
void stage_free(struct stage *s);

/* Begins the next STAGE_TILE rows, or those that are left: returns how many. Rows of a tile are numbered from 0, and
 * sets of them have bit r for row r. No row has a column yet. */
size_t stage_next(struct stage *s);

/* Each row r of the set `rows` gets the column, from records[r] + offset: a number of `size` bytes (as many as the
 * column's, or 4 where that has 8), an address, a struct text or list. Each row at most once. What texts and lists
 * refer to is not copied. */
void stage_put(struct stage *s, unsigned id, uint64_t rows, const void *const *records, size_t offset, unsigned size);

/* The same number for all rows of the set; it stands at `value`. */
void stage_put_same(struct stage *s, unsigned id, uint64_t rows, const void *value, unsigned size);

/* As stage_put, from an array of the column's type, of which values[r] is for row r. */
void stage_put_values(struct stage *s, unsigned id, uint64_t rows, const void *values);

/* The columns from id `first` to `last` of row structs, of which the r-th is for row r. */
void stage_put_rows(struct stage *s, unsigned first, unsigned last, const void *row_structs);

/* Row structs of all rows. */
void stage_rows(const struct stage *s, void *rows);

/* The values of the rows that have the i-th column of the table, count[i] of them, in the order of the rows. */
void stage_numbers(const struct stage *s, unsigned i, uint64_t *out); /* COLUMN_UINT */
void stage_texts(const struct stage *s, unsigned i,
                 struct text *out); /* COLUMN_TEXT; COLUMN_ADDRESS as texts of 16 bytes */
void stage_lists(const struct stage *s, unsigned i, struct list *out); /* COLUMN_LIST */

/* The text (or address) of the i-th column that does not vary; `address` is room for its bytes. */
struct text stage_same_text(const struct stage *s, unsigned i, uint8_t address[16]);

/* For each row that has the i-th column its number in the j-th one, or 0. */
void stage_others(const struct stage *s, unsigned i, unsigned j, uint64_t *out);

/* The first column of the table, up to the i-th, that the same rows have as the i-th. */
unsigned stage_alike(const struct stage *s, unsigned i);

/* A byte for each row: 0 without the i-th column, else the number of that one of its values, and 1; numbers NULL: all have the number 0. */
void stage_cells(const struct stage *s, unsigned i, const uint64_t *numbers, uint8_t *out);

/* The bitmap, as (n + 7) / 8 bytes: bit r % 8 of byte r / 8 is row r. */
void stage_presence(const struct stage *s, unsigned i, uint8_t *out);

#endif
