/*
 * Reading the values of one column. Every count, length, index and value is checked here. The bytes are described in
 * codec.h.
 */
#include "common/rows/block_inside.h"
#include "common/rows/codec.h"

#include <stdlib.h>

const char column_no_memory[] = "no memory for its values";

static bool all_up_to(const uint64_t *v, size_t n, uint64_t most)
{
    uint64_t greatest = 0;
    if (most == UINT64_MAX)
        return true;
    for (size_t i = 0; i < n; i++)
        greatest = v[i] > greatest ? v[i] : greatest;
    return greatest <= most;
}

/* How many entries a dictionary has: at least one, at most one a value. 0: invalid. */
static size_t take_entry_count(struct bytes *in, const struct stored *s)
{
    uint64_t n = bytes_varint(in);
    return !in->bad && n <= s->count ? (size_t)n : 0;
}

static bool take_indexes(struct bytes *in, const struct stored *s, size_t entries, uint64_t *indexes)
{
    return sequence_take(in, s->count, indexes) && all_up_to(indexes, s->count, entries - 1);
}

static const char *read_numbers(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                uint64_t *out)
{
    if (s->entry.codec != FORM_DICTIONARY) {
        if (!sequence_read(s->entry.codec, in, s->count, out))
            return "not a sequence of numbers";
        return all_up_to(out, s->count, column_most(c)) ? NULL : "a value that does not fit the column";
    }
    uint64_t *entries = b->scratch.more;
    size_t n = take_entry_count(in, s);
    if (n == 0 || !sequence_take(in, n, entries))
        return "not a dictionary of numbers";
    for (size_t i = 1; i < n; i++)
        if (entries[i] <= entries[i - 1])
            return "a dictionary that does not ascend";
    if (entries[n - 1] > column_most(c))
        return "a value that does not fit the column";
    if (!take_indexes(in, s, n, out))
        return "an index outside of the dictionary";
    for (size_t i = 0; i < s->count; i++)
        out[i] = entries[out[i]];
    return NULL;
}

/* n addresses into scratch. */
static bool take_addresses(struct block *b, struct bytes *in, size_t n)
{
    unsigned width = bytes_u8(in);
    if (width == 0 || width > ADDRESS_SIZE)
        return false;
    const uint8_t *p = bytes_take(in, width * n);
    if (!p)
        return false;
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < ADDRESS_SIZE; k++)
            b->scratch.addresses[i][k] = k < width ? p[k * n + i] : 0;
    return true;
}

/* n texts into scratch; they point into the column's bytes. */
static bool take_texts(struct block *b, struct bytes *in, size_t n)
{
    uint64_t *lengths = b->scratch.more;
    if (!sequence_take(in, n, lengths) || !all_up_to(lengths, n, COLUMN_TEXT_MAX))
        return false;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = bytes_take(in, (size_t)lengths[i]);
        b->scratch.texts[i] = (struct text){.data = (const char *)p, .len = (uint32_t)lengths[i]};
    }
    return !in->bad;
}

static const char *read_entries(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                const uint64_t **indexes)
{
    bool dictionary = s->entry.codec == FORM_DICTIONARY;
    size_t n = dictionary ? take_entry_count(in, s) : s->count;
    *indexes = dictionary ? b->scratch.numbers : NULL;
    if (!dictionary && s->entry.codec != FORM_PLAIN)
        return "a codec that is not for its type";
    if (n == 0)
        return "not a dictionary";
    if (!(c->type == COLUMN_ADDRESS ? take_addresses(b, in, n) : take_texts(b, in, n)))
        return c->type == COLUMN_ADDRESS ? "not addresses" : "not texts";
    if (dictionary && !take_indexes(in, s, n, b->scratch.numbers))
        return "an index outside of the dictionary";
    return NULL;
}

/* Counts into scratch.more, first items into scratch.numbers. */
static const char *read_list_shape(struct block *b, const struct stored *s, struct bytes *in, size_t *items,
                                   size_t *lists)
{
    uint64_t *counts = b->scratch.more;
    *items = 0;
    *lists = 0;
    if (s->entry.codec != FORM_LISTS || !sequence_take(in, s->count, counts) ||
        !all_up_to(counts, s->count, COLUMN_LIST_MAX))
        return "not lists";
    for (size_t i = 0; i < s->count; i++) {
        *items += (size_t)counts[i];
        *lists += counts[i] != 0;
    }
    if (*items > BLOCK_ITEMS_MAX)
        return "lists of too many items";
    return sequence_take(in, *lists, b->scratch.numbers) ? NULL : "not first items of lists";
}

/* Puts first items and gaps together; false if an item is too great. */
static bool fill_lists(const struct block *b, const struct stored *s, const uint64_t *gaps)
{
    const uint64_t *first = b->scratch.numbers;
    uint32_t *item = s->items;
    for (size_t i = 0; i < s->count; i++) {
        uint64_t left = b->scratch.more[i];
        if (left == 0)
            continue;
        uint64_t v = *first++;
        for (;; v += *gaps++) {
            if (v > UINT32_MAX)
                return false;
            *item++ = (uint32_t)v;
            if (--left == 0)
                break;
            if (*gaps > UINT32_MAX)
                return false;
        }
    }
    return true;
}

static const char *read_lists(struct block *b, struct stored *s, struct bytes *in)
{
    size_t items;
    size_t lists;
    const char *fault = read_list_shape(b, s, in, &items, &lists);
    if (fault)
        return fault;
    uint64_t *gaps = malloc((items - lists + 1) * sizeof(*gaps));
    if (!s->items)
        s->items = malloc((items + 1) * sizeof(*s->items));
    if (!gaps || !s->items)
        fault = column_no_memory;
    else if (!sequence_take(in, items - lists, gaps))
        fault = "not gaps of lists";
    else if (!fill_lists(b, s, gaps))
        fault = "a list's item of more than 32 bits";
    free(gaps); /* the items belong to the block, whatever happened */
    return fault;
}

static const char *at_end(const struct bytes *in, const char *fault)
{
    return fault ? fault : bytes_left(in) ? "bytes behind its last value" : NULL;
}

const char *column_read_numbers(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                uint64_t *out)
{
    return at_end(in, read_numbers(b, s, c, in, out));
}

const char *column_read_entries(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                const uint64_t **indexes)
{
    return at_end(in, read_entries(b, s, c, in, indexes));
}

const char *column_read_lists(struct block *b, struct stored *s, struct bytes *in)
{
    return at_end(in, read_lists(b, s, in));
}
