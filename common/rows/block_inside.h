/*
 * block_inside: an opened block as its readers see it: block_open.c (bytes and checks), column_read.c (values),
 * block_read.c (rows).
 */
#ifndef FLEETDUMP_ROWS_BLOCK_INSIDE_H
#define FLEETDUMP_ROWS_BLOCK_INSIDE_H

#include "common/base/bytes.h"
#include "common/rows/block.h"
#include "common/rows/block_format.h"

#include <zstd.h>

/* A column of an opened block. */
struct stored {
    struct block_entry entry;
    const uint8_t *data;     /* in the caller's memory */
    bool verified;           /* the hash matched */
    uint8_t *expanded;       /* owned; rows' texts may point into it */
    uint32_t *items;         /* owned; rows' lists point into it */
    const uint8_t *presence; /* once loaded; NULL: all rows have it */
    uint8_t *bits;           /* owned; presence by cells */
    const uint8_t *cells;    /* FORM_CELLS, once loaded: one for each row */
    uint16_t place;          /* FORM_CELLS: among the columns of cells */
    size_t count;            /* once loaded: rows that have it */
};

struct scratch {
    uint64_t *numbers; /* values, indexes, first items */
    uint64_t *more;    /* entries of a dictionary, lengths, counts */
    struct text *texts;
    uint8_t (*addresses)[ADDRESS_SIZE];
    uint64_t *others; /* by row: numbers that those of another column are relative to, 0 where there is none, ... */
    unsigned other;   /* ... of this column; 0: none yet */
};

struct block {
    const struct table *table;
    uint32_t rows;
    uint16_t columns;
    struct stored *stored;  /* ascending ids */
    struct scratch scratch; /* for `rows` values each; made at the first read */
    ZSTD_DCtx *zstd;
    struct stored *in_cells; /* the cells; NULL: none */
    uint16_t cells_columns;
    const uint8_t *cells_by_row;
    uint8_t
        *cells; /* owned, once loaded: column after column, CELLS_TOGETHER of them put there when one is read, ... */
    uint64_t turned; /* ... of the first 64 times as many columns noted here; of others done again */
};

/* The column's place in the block, or NULL. */
struct stored *block_find(const struct block *b, unsigned id);

/* Verifies and expands the bytes of a column that the block has, and makes the scratch memory; `in` is then at the
 * values. */
MUST_CHECK int block_load(struct block *b, struct stored *s, const struct column *c, struct bytes *in, struct error *e);

/* Fills e for a column with what is wrong with it. */
int block_bad_column(struct error *e, const struct block *b, const struct column *c, const char *what);

/* These read all values of a loaded column, which must end where they do, and return NULL or what is wrong with it. */

/* The numbers of the rows that have it, to `out` (which is not scratch.more nor scratch.others). */
const char *column_read_numbers(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                uint64_t *out);

/* Addresses or texts, to scratch.addresses or scratch.texts: one for each row that has it, or with *indexes set the
 * entries of a dictionary and for each row which. */
const char *column_read_entries(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                const uint64_t **indexes);

/* All items to s->items, one list after the other, the counts to scratch.more. */
const char *column_read_lists(struct block *b, struct stored *s, struct bytes *in);

/* Moves the numbers of the rows that have the column to the places of their rows; 0 is in the others. */
void column_spread(const struct stored *s, size_t rows, uint64_t *numbers);

/* What the readers above return if memory is missing, or if the other column's checksum does not match. */
extern const char column_no_memory[];
extern const char column_other_damaged[];

#endif
