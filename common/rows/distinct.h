/*
 * distinct: the distinct values of a column, for dictionaries.
 *
 * Values are looked up in open hash tables, at most half full, whose hashes anybody can compute: who chooses the values
 * (addresses and names come from the network) can choose them so that all belong into one slot, and each is found only
 * behind all the others. So the work of a call is bounded: past DISTINCT_STEPS(n) steps, n being the number of values, it
 * answers as for too many distinct values, and the column is written without a dictionary. A step passes a slot that
 * another value has taken (and compares the two at most), be it to find a value or to make the table larger. The bound
 * is looked at behind each search: the last one, of no more steps than there are distinct values, may exceed it, and the
 * last growth, of no more than it took to fill the table. Honest values take less than two steps each: there is room for
 * the most frequent one to lie far from its slot.
 */
#ifndef FLEETDUMP_ROWS_DISTINCT_H
#define FLEETDUMP_ROWS_DISTINCT_H

#include "common/base/buffer.h"
#include "common/rows/column.h"

#define DISTINCT_NUMBERS_MAX 4096u
#define DISTINCT_STEPS(n)    (16 * (size_t)(n) + 4096)

/* The distinct numbers among n > 0 values, ascending, at most DISTINCT_NUMBERS_MAX. */
struct distinct_numbers {
    uint32_t count;
    uint64_t values[DISTINCT_NUMBERS_MAX];
    /* implementation: an open hash table of values and their places in `values`; and in the order in which they were
     * found, the values and then their places */
    uint64_t found[DISTINCT_NUMBERS_MAX];
    size_t steps; /* taken */
    uint32_t slots;
    uint16_t place[2 * DISTINCT_NUMBERS_MAX]; /* + 1; 0: free */
};

/* Finds them and gives each value's index; false if there are more than the maximum, if that takes too many steps, or if
 * `sample` and the first values repeat too little for a dictionary to be worth it. */
bool distinct_numbers(struct distinct_numbers *d, const uint64_t *values, size_t n, bool sample, uint64_t *indexes);

/* The distinct texts among n values in the order of their first use: entries (room for n) are copies of the structs,
 * not of the bytes; uses one per value, as in codec.h. `memory` is for the table. Returns their number; 0 without
 * memory, if that takes too many steps, or if `sample` and hardly any text repeats. */
size_t distinct_texts(const struct text *values, size_t n, bool sample, struct text *entries, uint64_t *uses,
                      struct buffer *memory);

#endif
