#include "common/rows/distinct.h"

#include "common/base/hash.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE          1024u
#define SAMPLE_DISTINCT 384u /* of SAMPLE values */

static uint32_t number_slot(uint64_t v, uint32_t slots)
{
    v *= UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(v >> 40) & (slots - 1);
}

/* The slot that holds v, or the free one where it belongs. */
static uint16_t *number_find(struct distinct_numbers *d, uint64_t v)
{
    uint32_t slot = number_slot(v, d->slots);
    while (d->place[slot] && d->values[d->place[slot] - 1] != v)
        slot = (slot + 1) & (d->slots - 1);
    return &d->place[slot];
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void number_table_clear(struct distinct_numbers *d)
{
    memset(d->place, 0, d->slots * sizeof(*d->place));
}

/* Sorts the values and puts them back into the table at their new places. */
static void number_table_sort(struct distinct_numbers *d)
{
    qsort(d->values, d->count, sizeof(*d->values), compare_numbers);
    number_table_clear(d);
    for (uint32_t i = 0; i < d->count; i++) {
        uint32_t slot = number_slot(d->values[i], d->slots);
        while (d->place[slot])
            slot = (slot + 1) & (d->slots - 1);
        d->place[slot] = (uint16_t)(i + 1);
    }
}

bool distinct_numbers(struct distinct_numbers *d, const uint64_t *values, size_t n, bool sample, uint64_t *indexes)
{
    d->count = 0;
    for (d->slots = 16; d->slots < 2 * n && d->slots < 2 * DISTINCT_NUMBERS_MAX;)
        d->slots *= 2;
    number_table_clear(d);
    for (size_t i = 0; i < n; i++) {
        uint16_t *place = number_find(d, values[i]);
        if (sample && i == SAMPLE && d->count > SAMPLE_DISTINCT)
            return false;
        if (*place)
            continue;
        if (d->count == DISTINCT_NUMBERS_MAX)
            return false;
        d->values[d->count++] = values[i];
        *place = (uint16_t)d->count;
    }
    number_table_sort(d);
    for (size_t i = 0; i < n; i++)
        indexes[i] = *number_find(d, values[i]) - 1u;
    return true;
}

/* Place in the entries + 1, or 0: free; and a part of the hash, which tells most others apart without their bytes. */
struct text_slot {
    uint32_t place;
    uint32_t hash;
};

static bool same_text(const struct text *a, const struct text *b)
{
    return a->len == b->len && (a->len == 0 || a->data == b->data || memcmp(a->data, b->data, a->len) == 0);
}

size_t distinct_texts(const struct text *values, size_t n, struct text *entries, uint64_t *indexes,
                      struct buffer *table)
{
    size_t slots = 16;
    size_t count = 0;
    while (slots < 2 * n)
        slots *= 2;
    buffer_clear(table);
    struct text_slot *slot = buffer_grow(table, slots * sizeof(*slot));
    if (!slot)
        return 0;
    memset(slot, 0, slots * sizeof(*slot));
    for (size_t i = 0; i < n; i++) {
        if (i && same_text(&values[i], &values[i - 1])) {
            indexes[i] = indexes[i - 1];
            continue;
        }
        uint64_t hash = hash64(values[i].len ? values[i].data : "", values[i].len);
        size_t at = hash & (slots - 1);
        while (slot[at].place && (slot[at].hash != hash >> 32 || !same_text(&values[i], &entries[slot[at].place - 1])))
            at = (at + 1) & (slots - 1);
        if (!slot[at].place) {
            entries[count++] = values[i];
            slot[at] = (struct text_slot){.place = (uint32_t)count, .hash = (uint32_t)(hash >> 32)};
        }
        indexes[i] = slot[at].place - 1;
    }
    return count;
}
