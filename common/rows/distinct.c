#include "common/rows/distinct.h"

#include "common/base/hash.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE          1024u
#define SAMPLE_DISTINCT 384u /* of SAMPLE values */

#define TEXT_SLOTS            256u /* to begin with */
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
    while (d->place[slot] && d->values[d->place[slot] - 1] != v) {
        slot = (slot + 1) & (d->slots - 1);
        d->steps++;
    }
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

/* Sorts the values and puts them back into the table at their new places. In whichever order values come into such a
 * table, the steps that all of them take are as many: no more than were allowed. */
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

/* Puts the numbers [from, to) into the table, indexes are in the order in which they were found; false if they are too
 * many, or the steps are more than allowed for `to` numbers. */
static bool find_numbers(struct distinct_numbers *d, const uint64_t *values, size_t from, size_t to, uint64_t *indexes)
{
    for (size_t i = from; i < to; i++) {
        if (i && values[i] == values[i - 1]) {
            indexes[i] = indexes[i - 1];
            continue;
        }
        uint16_t *place = number_find(d, values[i]);
        if (d->steps > DISTINCT_STEPS(to))
            return false;
        if (!*place) {
            if (d->count == DISTINCT_NUMBERS_MAX)
                return false;
            d->values[d->count++] = values[i];
            *place = (uint16_t)d->count;
        }
        indexes[i] = *place - 1u;
    }
    return true;
}

static bool ascend(const uint64_t *values, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (values[i] < values[i - 1])
            return false;
    return true;
}

/* From the order in which they were found to that of their size. */
static void sort_numbers(struct distinct_numbers *d, size_t n, uint64_t *indexes)
{
    if (ascend(d->values, d->count))
        return;
    memcpy(d->found, d->values, d->count * sizeof(*d->found));
    number_table_sort(d);
    for (uint32_t k = 0; k < d->count; k++)
        d->found[k] = *number_find(d, d->found[k]) - 1u;
    for (size_t i = 0; i < n; i++)
        indexes[i] = d->found[indexes[i]];
}

bool distinct_numbers(struct distinct_numbers *d, const uint64_t *values, size_t n, bool sample, uint64_t *indexes)
{
    size_t first = n < SAMPLE ? n : SAMPLE;
    d->count = 0;
    d->steps = 0;
    for (d->slots = 16; d->slots < 2 * n && d->slots < 2 * DISTINCT_NUMBERS_MAX;)
        d->slots *= 2;
    number_table_clear(d);
    if (!find_numbers(d, values, 0, first, indexes) || (sample && n > SAMPLE && d->count > SAMPLE_DISTINCT) ||
        !find_numbers(d, values, first, n, indexes))
        return false;
    sort_numbers(d, n, indexes);
    return true;
}

/* Place in the entries + 1, or 0: free; and half of the hash, which says where it belongs and tells most others apart without their
 * bytes. */
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

static uint32_t text_hash(const struct text *t)
{
    if (t->len > SHORT_TEXT)
        return (uint32_t)hash64(t->data, t->len);
    struct short_text x = short_text(t);
    return (uint32_t)hash64_mix(x.word[0] ^ hash64_mix(x.word[1] + t->len));
}

/* Entries of an open hash table, at most half of whose slots are taken. */
struct text_table {
    struct text_slot *slot;
    size_t slots;
    size_t count;
    size_t steps; /* taken */
    struct text *entries;
};

static void text_slot_fill(struct text_table *t, struct text_slot taken)
{
    size_t at = taken.hash & (t->slots - 1);
    while (t->slot[at].place) {
        at = (at + 1) & (t->slots - 1);
        t->steps++;
    }
    t->slot[at] = taken;
}

/* Twice as many slots, behind the old ones in memory; false if there is none. */
static bool text_table_grow(struct text_table *t, struct buffer *memory)
{
    size_t old_slots = t->slots;
    t->slots = old_slots ? 2 * old_slots : TEXT_SLOTS;
    if (!buffer_grow(memory, t->slots * sizeof(*t->slot)))
        return false;
    struct text_slot *end = (struct text_slot *)(void *)(memory->data + memory->len);
    t->slot = end - t->slots;
    memset(t->slot, 0, t->slots * sizeof(*t->slot));
    for (const struct text_slot *old = t->slot - old_slots; old < t->slot; old++)
        if (old->place)
            text_slot_fill(t, *old);
    return true;
}

/* The place + 1 of the text among the entries, where it is now if it was not. */
static uint32_t text_place(struct text_table *t, const struct text *text)
{
    uint32_t hash = text_hash(text);
    size_t at = hash & (t->slots - 1);
    while (t->slot[at].place && (t->slot[at].hash != hash || !same_text(text, &t->entries[t->slot[at].place - 1]))) {
        at = (at + 1) & (t->slots - 1);
        t->steps++;
    }
    if (!t->slot[at].place) {
        t->entries[t->count++] = *text;
        t->slot[at] = (struct text_slot){.place = (uint32_t)t->count, .hash = hash};
    }
    return t->slot[at].place;
}

size_t distinct_texts(const struct text *values, size_t n, bool sample, struct text *entries, uint64_t *uses,
                      struct buffer *memory)
{
    struct text_table t = {.entries = entries};
    buffer_clear(memory);
    for (size_t i = 0; i < n; i++) {
        if (sample && i == SAMPLE_TEXTS && t.count > SAMPLE_TEXTS_DISTINCT)
            return 0;
        if (i && same_text(&values[i], &values[i - 1])) {
            uses[i] = uses[i - 1] ? uses[i - 1] : t.count;
            continue;
        }
        if (2 * t.count >= t.slots && !text_table_grow(&t, memory))
            return 0;
        size_t known = t.count;
        uint32_t place = text_place(&t, &values[i]);
        if (t.steps > DISTINCT_STEPS(n))
            return 0;
        uses[i] = place > known ? 0 : place;
    }
    return t.count;
}
