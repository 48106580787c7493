#include "common/rows/distinct.h"

#include "common/base/hash.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE          1024u
#define SAMPLE_DISTINCT 384u /* of SAMPLE values */

#define SAMPLE_TEXTS          4096u
#define SAMPLE_TEXTS_DISTINCT 3840u /* of SAMPLE_TEXTS texts: they hardly repeat */

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
        if (!*place) {
            if (d->count == DISTINCT_NUMBERS_MAX)
                return false;
            d->values[d->count++] = values[i];
            *place = (uint16_t)d->count;
        }
        indexes[i] = *place - 1u;
    }
    memcpy(d->found, d->values, d->count * sizeof(*d->found));
    number_table_sort(d);
    for (uint32_t k = 0; k < d->count; k++)
        d->found[k] = *number_find(d, d->found[k]) - 1u;
    for (size_t i = 0; i < n; i++)
        indexes[i] = d->found[indexes[i]];
    return true;
}

/* Place in the entries + 1, or 0: free; and a part of the hash, which tells most others apart without their bytes. */
struct text_slot {
    uint32_t place;
    uint32_t hash;
};

/* Texts of up to this many bytes are compared and hashed as two numbers: names, letters and addresses are mostly so short. */
#define SHORT_TEXT 16u

struct short_text {
    uint64_t word[2];
};

static uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

/* All bytes of a text of up to SHORT_TEXT, in words that may overlap. */
static struct short_text short_text(const struct text *t)
{
    const char *p = t->data;
    size_t n = t->len;
    if (n >= 8)
        return (struct short_text){{load(p, 8), load(p + n - 8, 8)}};
    if (n >= 4)
        return (struct short_text){{load(p, 4), load(p + n - 4, 4)}};
    return (struct short_text){{n ? load(p, 1) | load(p + n / 2, 1) << 8 | load(p + n - 1, 1) << 16 : 0, 0}};
}

static bool same_text(const struct text *a, const struct text *b)
{
    if (a->len != b->len)
        return false;
    if (a->data == b->data)
        return true;
    if (a->len > SHORT_TEXT)
        return memcmp(a->data, b->data, a->len) == 0;
    struct short_text x = short_text(a);
    struct short_text y = short_text(b);
    return x.word[0] == y.word[0] && x.word[1] == y.word[1];
}

static uint64_t text_hash(const struct text *t)
{
    if (t->len > SHORT_TEXT)
        return hash64(t->data, t->len);
    struct short_text x = short_text(t);
    return hash64_mix(x.word[0] ^ hash64_mix(x.word[1] + t->len));
}

size_t distinct_texts(const struct text *values, size_t n, bool sample, struct text *entries, uint64_t *uses,
                      struct buffer *table)
{
    size_t slots = 16;
    size_t count = 0;
    uint32_t place = 0; /* of the text before */
    while (slots < 2 * n)
        slots *= 2;
    buffer_clear(table);
    struct text_slot *slot = buffer_grow(table, slots * sizeof(*slot));
    if (!slot)
        return 0;
    memset(slot, 0, slots * sizeof(*slot));
    for (size_t i = 0; i < n; i++) {
        if (sample && i == SAMPLE_TEXTS && count > SAMPLE_TEXTS_DISTINCT)
            return 0;
        if (i && same_text(&values[i], &values[i - 1])) {
            uses[i] = place;
            continue;
        }
        uint64_t hash = text_hash(&values[i]);
        size_t at = hash & (slots - 1);
        while (slot[at].place && (slot[at].hash != hash >> 32 || !same_text(&values[i], &entries[slot[at].place - 1])))
            at = (at + 1) & (slots - 1);
        uses[i] = slot[at].place;
        if (!slot[at].place) {
            entries[count++] = values[i];
            slot[at] = (struct text_slot){.place = (uint32_t)count, .hash = (uint32_t)(hash >> 32)};
        }
        place = slot[at].place;
    }
    return count;
}
