/*
 * distinct: the distinct values of a column, for dictionaries.
 */
#ifndef FLEETDUMP_ROWS_DISTINCT_H
#define FLEETDUMP_ROWS_DISTINCT_H

#include "common/base/buffer.h"
#include "common/rows/column.h"

#define DISTINCT_NUMBERS_MAX 4096u

/* The distinct numbers among n > 0 values, ascending, at most DISTINCT_NUMBERS_MAX. */
struct distinct_numbers {
    uint32_t count;
    uint64_t values[DISTINCT_NUMBERS_MAX];
    /* implementation: an open hash table of values and their places in `values`; and in the order in which they were
     * found, the values and then their places */
    uint64_t found[DISTINCT_NUMBERS_MAX];
    uint32_t slots;
    uint16_t place[2 * DISTINCT_NUMBERS_MAX]; /* + 1; 0: free */
};

/* Finds them and gives each value's index; false if there are more than the maximum, or if `sample` and the first
 * values repeat too little for a dictionary to be worth it. */
bool distinct_numbers(struct distinct_numbers *d, const uint64_t *values, size_t n, bool sample, uint64_t *indexes);

/* The distinct texts among n values in the order of their first use: entries (room for n) are copies of the structs,
 * not of the bytes; uses one per value, as in codec.h. `table` is scratch memory. Returns their number; 0 without
 * memory, or if `sample` and hardly any text repeats. */
size_t distinct_texts(const struct text *values, size_t n, bool sample, struct text *entries, uint64_t *uses,
                      struct buffer *table);

#endif
