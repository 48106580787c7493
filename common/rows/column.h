/*
 * column: what a column of a table is. Each column is declared once (columns_flow.c, columns_exchange.c); encoding,
 * merging, filters, printing, SQL, JSON and help walk these tables.
 */
#ifndef FLEETDUMP_ROWS_COLUMN_H
#define FLEETDUMP_ROWS_COLUMN_H

#include "common/base/units.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which columns of a row are known: missing is missing, never 0. */
#define COLUMNS_MAX 128
struct column_set {
    uint64_t word[COLUMNS_MAX / 64];
};

static inline bool column_has(const struct column_set *s, unsigned id)
{
    return id < COLUMNS_MAX && (s->word[id / 64] >> (id % 64) & 1) != 0;
}

static inline void column_add(struct column_set *s, unsigned id)
{
    if (id < COLUMNS_MAX)
        s->word[id / 64] |= UINT64_C(1) << (id % 64);
}

static inline void column_remove(struct column_set *s, unsigned id)
{
    if (id < COLUMNS_MAX)
        s->word[id / 64] &= ~(UINT64_C(1) << (id % 64));
}

/* Bytes owned by somebody else (a block's arena, a flow table entry); not terminated. */
struct text {
    const char *data;
    uint32_t len;
};

/* Numbers owned by somebody else, ascending. */
struct list {
    const uint32_t *items;
    uint32_t count;
};

enum column_type {
    COLUMN_UINT,    /* uint8_t, 16, 32 or 64 by `size` */
    COLUMN_ADDRESS, /* 16 bytes; the row's family column says how to read them */
    COLUMN_TEXT,    /* struct text, at most COLUMN_TEXT_MAX bytes */
    COLUMN_LIST,    /* struct list of ascending uint32_t, at most COLUMN_LIST_MAX */
};
#define COLUMN_TEXT_MAX 1024u
#define COLUMN_LIST_MAX 65536u

/* How the values of the rows of one flow become the flow's value. Rows are merged in order of time. */
enum column_merge {
    MERGE_KEY, /* same in all rows of a flow */
    MERGE_SUM,
    MERGE_MIN,
    MERGE_MAX,
    MERGE_OR,     /* of bits */
    MERGE_LAST,   /* so far: of the latest row that has it */
    MERGE_STICKY, /* repeated in each row from when it is known: of the latest row that has it */
    MERGE_NONE,   /* says something of one chunk only (frame numbers): not merged, dropped from the sum */
};

/* How a block is likely to encode it best: what the encoder tries. */
enum column_codec {
    CODEC_AUTO,       /* everything; the smallest is taken */
    CODEC_DELTA,      /* mostly ascending numbers: no dictionary */
    CODEC_DICTIONARY, /* few distinct values: everything, the dictionary even if a sample has many */
    CODEC_PLAIN,      /* random: nothing but the bit width */
    CODEC_MIXED,      /* hash64_mix of mostly ascending numbers */
};

struct column {
    uint16_t id;      /* on disk: never reused, < COLUMNS_MAX, ascending in the table */
    const char *name; /* "orig_packets" style names are made by field.h; this is the stored name: "packets.0" */
    enum column_type type;
    uint8_t size;    /* bytes of the value in the row struct */
    uint16_t offset; /* of the value in the row struct */
    enum unit unit;
    enum column_merge merge;
    enum column_codec codec;
    uint64_t most; /* COLUMN_UINT: greatest valid value; 0: all that fit in `size` */
    /* COLUMN_UINT: id of a column than which it is often a little more (less), or equal; 0: none. That one has
     * neither */
    uint16_t above, below;
    /* COLUMN_UINT: id of a column in whose order it mostly ascends; 0: none. It has neither of the two, that one has no
     * order */
    uint16_t order;
    const char *(*value_name)(uint64_t value); /* for enumerations: NULL for unknown values */
    const char *help;
};

struct table {
    const char *name;             /* "flow", "exchange" */
    uint16_t id;                  /* on disk */
    const struct column *columns; /* ascending ids */
    unsigned count;
    size_t row_size; /* of the row struct; a struct column_set stands at offset 0 of each */
};

extern const struct table table_flow;     /* struct flow_row */
extern const struct table table_exchange; /* struct exchange_row */

/* The column with this id or name, or NULL. (People's names are fields, of field.h; columns are named by tests.) */
const struct column *table_column(const struct table *t, unsigned id);
const struct column *table_column_named(const struct table *t, const char *name);

/* The value of a COLUMN_UINT column of a row; false if it is missing. */
bool column_uint(const struct column *c, const void *row, uint64_t *value);

/* Stores a COLUMN_UINT value, cut to the column's size, in a row and marks it as known. */
void column_set_uint(const struct column *c, void *row, uint64_t value);

/* The greatest value that a COLUMN_UINT column may have. */
uint64_t column_most(const struct column *c);

/* Adds `from` to `into` by each column's merge rule; both are rows of the same flow, `from` not earlier than `into` in
 * the order in which rows are merged (chunk order of the stream). Merging is associative: any cut of a sequence of
 * rows, each piece merged and then the pieces, gives the same. Text and lists are shared, not copied. SUM saturates. */
void table_merge(const struct table *t, void *into, const void *from);

#endif
