/*
 * Reading the values of one column. Every count, length, index and value is checked here. The bytes are described in
 * codec.h.
 */
#include "common/base/hash.h"
#include "common/rows/block_inside.h"
#include "common/rows/cells.h"
#include "common/rows/codec.h"
#include "common/rows/order.h"

#include <stdlib.h>

const char column_no_memory[] = "no memory for its values";
static const char outside[] = "an index outside of the dictionary";
const char column_other_damaged[] = "the checksum of a column that it is relative to does not match";

static bool all_up_to(const uint64_t *v, size_t n, uint64_t most)
{
    uint64_t greatest = 0;
    if (sequence_bits(v, n) <= most) /* none is more than the bits of all together */
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

/* Uses of entries, to indexes. */
static bool take_uses(struct bytes *in, const struct stored *s, size_t entries, uint64_t *indexes)
{
    if (!sequence_take(in, s->count - 1, indexes + 1))
        return false;
    uint64_t known = 1;
    indexes[0] = 0;
    for (size_t i = 1; i < s->count; i++) {
        if (indexes[i] > known)
            return false;
        indexes[i] = indexes[i] ? indexes[i] - 1 : known++;
    }
    return known == entries;
}

/* What each row has that has one, by its cell, of n values; without values, which. */
static bool take_cells(const struct block *b, const struct stored *s, const uint64_t *values, size_t n, uint64_t *out)
{
    uint64_t value[BLOCK_CELLS_MAX + 1] = {0};
    const uint8_t *cells = s->cells;
    size_t rows = b->rows;
    if (n > BLOCK_CELLS_MAX || cells_greatest(cells, rows) > n)
        return false;
    for (size_t i = 0; i < n; i++)
        value[i + 1] = values ? values[i] : i;
    if (!s->presence) {
        for (size_t i = 0; i < rows; i++)
            out[i] = value[cells[i]];
        return true;
    }
    for (size_t i = 0, k = 0; i < rows; i++) {
        out[k] = value[cells[i]];
        k += cells[i] != 0;
    }
    return true;
}

static const char *read_dictionary(struct block *b, const struct stored *s, struct bytes *in, uint64_t *out)
{
    uint64_t *entries = b->scratch.more;
    size_t n = take_entry_count(in, s);
    if (n == 0 || !sequence_take(in, n, entries))
        return "not a dictionary of numbers";
    for (size_t i = 1; i < n; i++)
        if (entries[i] <= entries[i - 1])
            return "a dictionary that does not ascend";
    if (s->entry.codec == FORM_CELLS)
        return take_cells(b, s, entries, n, out) ? NULL : outside;
    if (!sequence_take(in, s->count, out) || !all_up_to(out, s->count, n - 1))
        return outside;
    for (size_t i = 0; i < s->count; i++)
        out[i] = entries[out[i]];
    return NULL;
}

static const char *read_split(struct block *b, const struct stored *s, struct bytes *in, uint64_t *out)
{
    uint64_t *rest = b->scratch.more;
    uint64_t factor = bytes_varint(in);
    if (in->bad || factor < 2 || !sequence_take(in, s->count, out) || !sequence_take(in, s->count, rest))
        return "not quotients and remainders";
    if (!all_up_to(rest, s->count, factor - 1))
        return "a remainder that is not less than the factor";
    for (size_t i = 0; i < s->count; i++)
        out[i] = out[i] * factor + rest[i];
    return NULL;
}

/* As they are stored. */
static const char *read_stored(struct block *b, const struct stored *s, struct bytes *in, uint64_t *out)
{
    switch (s->entry.codec) {
    case FORM_DICTIONARY:
    case FORM_CELLS:
        return read_dictionary(b, s, in, out);
    case FORM_SPLIT:
        return read_split(b, s, in, out);
    default:
        return sequence_read(s->entry.codec, in, s->count, out) ? NULL : "not a sequence of numbers";
    }
}

static const char *at_end(const struct bytes *in, const char *fault)
{
    return fault ? fault : bytes_left(in) ? "bytes behind its last value" : NULL;
}

/* The values of a column that is not relative. */
static const char *read_numbers(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                uint64_t *out)
{
    const char *fault = at_end(in, read_stored(b, s, in, out));
    if (fault)
        return fault;
    for (size_t i = 0; s->entry.flags & BLOCK_MIXED && i < s->count; i++)
        out[i] = hash64_mix(out[i]);
    return all_up_to(out, s->count, column_most(c)) ? NULL : "a value that does not fit the column";
}

/* The numbers of the other column to scratch.others. */
static const char *load_other(struct block *b, uint64_t id)
{
    struct scratch *k = &b->scratch;
    const struct column *c = id < COLUMNS_MAX ? table_column(b->table, (unsigned)id) : NULL;
    struct stored *s = c && c->type == COLUMN_UINT ? block_find(b, c->id) : NULL;
    if (!s || s->entry.flags & BLOCK_OTHER)
        return "relative to a column that does not serve for that";
    if (k->other == c->id)
        return NULL;
    struct bytes in;
    k->other = 0;
    if (!k->others)
        k->others = malloc(b->rows * sizeof(*k->others));
    int r = k->others ? block_load(b, s, c, &in, NULL) : ERROR_MEMORY;
    if (r < 0)
        return r == ERROR_MEMORY    ? column_no_memory
               : r == ERROR_CORRUPT ? column_other_damaged
                                    : "relative to a column that cannot be read";
    const char *fault = read_numbers(b, s, c, &in, k->others);
    if (fault)
        return fault;
    column_spread(s, b->rows, k->others);
    k->other = c->id;
    return NULL;
}

/* The numbers of the rows that have the column, in the order of another one's -> in the order of the rows. `from` has them; `items` has room
 * for two each. */
static void put_in_order(const struct block *b, const struct stored *s, const uint64_t *keys, struct order_item *items,
                         const uint64_t *from, uint64_t *out)
{
    size_t n = 0;
    for (uint32_t i = 0; i < b->rows; i++)
        if (!s->presence || s->presence[i / 8] >> i % 8 & 1) {
            items[n] = (struct order_item){keys[i], (uint32_t)n};
            n++;
        }
    items = order_sort(items, n);
    for (size_t k = 0; k < n; k++)
        out[items[k].place] = from[k];
}

/* The numbers of a column that others may be ordered by, 0 for rows without it. */
static const char *read_keys(struct block *b, uint64_t id, uint64_t *keys)
{
    const struct column *c = id < COLUMNS_MAX ? table_column(b->table, (unsigned)id) : NULL;
    struct stored *s = c && c->type == COLUMN_UINT ? block_find(b, c->id) : NULL;
    if (!s || s->entry.flags & BLOCK_ORDERED)
        return "ordered by a column that does not serve for that";
    struct bytes in;
    int r = block_load(b, s, c, &in, NULL);
    if (r < 0)
        return r == ERROR_MEMORY    ? column_no_memory
               : r == ERROR_CORRUPT ? column_other_damaged
                                    : "ordered by a column that cannot be read";
    const char *fault = column_read_numbers(b, s, c, &in, keys);
    if (!fault)
        column_spread(s, b->rows, keys);
    return fault;
}

static const char *read_ordered(struct block *b, const struct stored *s, const struct column *c, uint64_t other,
                                struct bytes *in, uint64_t *out)
{
    if (other != c->order) /* or each column of a small block had its rows sorted */
        return "ordered by a column that does not serve for that";
    struct order_item *items = malloc(2 * (size_t)b->rows * sizeof(*items));
    uint64_t *keys = malloc(b->rows * sizeof(*keys));
    uint64_t *numbers = malloc(b->rows * sizeof(*numbers));
    const char *fault = items && keys && numbers ? NULL : column_no_memory;
    if (!fault)
        fault = read_numbers(b, s, c, in, numbers);
    if (!fault)
        fault = read_keys(b, other, keys);
    if (!fault)
        put_in_order(b, s, keys, items, numbers, out);
    free(items);
    free(keys);
    free(numbers);
    return fault;
}

/* What is stored in `out` -> values. */
static const char *add_other(struct block *b, const struct stored *s, uint64_t id, uint64_t *out)
{
    const char *fault = load_other(b, id);
    if (fault)
        return fault;
    const uint64_t *other = b->scratch.others;
    uint64_t flip = s->entry.flags & BLOCK_BELOW ? UINT64_MAX : 0; /* -v is (v ^ flip) - flip */
    if (!s->presence) {
        for (size_t i = 0; i < b->rows; i++)
            out[i] = other[i] + (out[i] ^ flip) - flip;
        return NULL;
    }
    for (size_t i = 0, k = 0; i < b->rows; i++)
        if (s->presence[i / 8] >> i % 8 & 1) {
            out[k] = other[i] + (out[k] ^ flip) - flip;
            k++;
        }
    return NULL;
}

void column_spread(const struct stored *s, size_t rows, uint64_t *numbers)
{
    size_t k = s->count;
    for (size_t i = rows; s->presence && i-- > 0;)
        numbers[i] = s->presence[i / 8] >> i % 8 & 1 ? numbers[--k] : 0;
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
    bool cells = s->entry.codec == FORM_CELLS;
    bool dictionary = cells || s->entry.codec == FORM_DICTIONARY;
    size_t n = dictionary ? take_entry_count(in, s) : s->count;
    *indexes = dictionary ? b->scratch.numbers : NULL;
    if (!dictionary && s->entry.codec != FORM_PLAIN)
        return "a codec that is not for its type";
    if (n == 0)
        return "not a dictionary";
    if (!(c->type == COLUMN_ADDRESS ? take_addresses(b, in, n) : take_texts(b, in, n)))
        return c->type == COLUMN_ADDRESS ? "not addresses" : "not texts";
    if (cells ? !take_cells(b, s, NULL, n, b->scratch.numbers) : dictionary && !take_uses(in, s, n, b->scratch.numbers))
        return outside;
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

const char *column_read_numbers(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                uint64_t *out)
{
    if (!(s->entry.flags & BLOCK_OTHER))
        return read_numbers(b, s, c, in, out);
    uint64_t other = bytes_varint(in);
    if (in->bad)
        return "ends within the other column's id";
    if (s->entry.flags & BLOCK_ORDERED)
        return read_ordered(b, s, c, other, in, out);
    const char *fault = at_end(in, read_stored(b, s, in, out));
    if (!fault)
        fault = add_other(b, s, other, out);
    if (fault)
        return fault;
    return all_up_to(out, s->count, column_most(c)) ? NULL : "a value that does not fit the column";
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
