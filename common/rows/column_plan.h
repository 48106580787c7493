/*
 * column_plan: chooses how the values of a column are stored: the first half of writing it (column_write.h). Nothing is
 * chosen that a reader would refuse. What the choice depends on is sizes: what the numbers take when packed, by samples
 * where that is enough.
 */
#ifndef FLEETDUMP_ROWS_COLUMN_PLAN_H
#define FLEETDUMP_ROWS_COLUMN_PLAN_H

#include "common/rows/codec.h"
#include "common/rows/column_write.h"
#include "common/rows/distinct.h"

#include <zstd.h>

#define SPLIT_FACTOR 1000u /* times in ns are often whole microseconds */

struct column_writer {
    ZSTD_CCtx *zstd;
    struct distinct_numbers distinct;

    /* The column that is being written */
    const struct column *column;
    size_t n;           /* rows that have it */
    uint64_t *numbers;  /* COLUMN_UINT: what is stored of them */
    uint64_t *rest;     /* FORM_SPLIT: their remainders */
    unsigned presence;  /* BLOCK_PRESENCE, BLOCK_LIKE or 0 */
    unsigned like;      /* id of the column that the same rows have */
    unsigned flags;     /* of BLOCK_NUMBERS and BLOCK_ORDERED */
    unsigned other;     /* id of the column that it is relative to or ordered by */
    struct text *texts; /* COLUMN_TEXT and COLUMN_ADDRESS */
    struct list *lists; /* COLUMN_LIST */
    enum form form;
    struct sequence main;          /* the numbers, or the indexes of a dictionary; n is 0 without them */
    size_t entries;                /* of the dictionary, or of the cells */
    uint8_t address[ADDRESS_SIZE]; /* if all rows have the same */

    /* Memory */
    struct buffer values;       /* numbers, texts or lists */
    struct buffer indexes;      /* uint64_t per value */
    struct buffer entry_values; /* struct text per value */
    struct buffer lengths;      /* uint64_t: lengths, counts, first items */
    struct buffer gaps;         /* uint64_t; or remainders */
    struct buffer differences;  /* uint64_t */
    struct buffer quotients;    /* uint64_t */
    struct buffer ordered;      /* uint64_t: the numbers, as those of another column go */
    struct buffer items;        /* struct order_item, two per value */
    struct buffer hashes;
    struct buffer raw; /* the column before zstd */
    struct buffer squeezed;
};

/* Gathers the values of the i-th column of the staged table, checks them and chooses the form: fills all that is of the
 * column that is being written. ERROR_LIMIT, ERROR_INVALID name the column. ERROR_MEMORY; for some lack of it, a buffer
 * is `failed` instead. */
MUST_CHECK int column_plan(struct column_writer *w, const struct stage *s, unsigned i, struct error *e);

/* Makes the buffer so long, its content is lost; NULL without memory. */
void *column_room(struct buffer *b, size_t bytes);
uint64_t *column_room_for_numbers(struct buffer *b, size_t n);

/* Bytes of addresses but the zeroes at the end of all. */
unsigned column_address_width(const struct text *texts, size_t n);

#endif
