/*
 * random_rows: rows of any table with random values and random missing columns, for property tests of common/rows.
 * Walks the table: a new column is tested without a word here.
 */
#ifndef FLEETDUMP_TESTS_RANDOM_ROWS_H
#define FLEETDUMP_TESTS_RANDOM_ROWS_H

#include "common/rows/block.h"
#include "common/rows/flow_row.h"
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#define RANDOM_TEXTS 64
#define RANDOM_LISTS 64

/* Where texts and lists of random rows live. */
struct random_pool {
    uint64_t state;
    char text[RANDOM_TEXTS][COLUMN_TEXT_MAX];
    uint32_t list[RANDOM_LISTS][300];
};

static inline uint64_t random_next(struct random_pool *p)
{
    p->state ^= p->state << 13;
    p->state ^= p->state >> 7;
    p->state ^= p->state << 17;
    return p->state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint64_t random_below(struct random_pool *p, uint64_t n)
{
    return (random_next(p) >> 11) % n;
}

static inline struct random_pool *random_pool_new(uint64_t seed)
{
    struct random_pool *p = malloc(sizeof(*p));
    assert_non_null(p);
    p->state = seed * 2654435761 + 88172645463325252;
    for (size_t i = 0; i < RANDOM_TEXTS; i++)
        for (size_t k = 0; k < COLUMN_TEXT_MAX; k++)
            p->text[i][k] = (char)random_next(p);
    for (size_t i = 0; i < RANDOM_LISTS; i++) {
        uint32_t v = (uint32_t)random_below(p, 1000);
        for (size_t k = 0; k < 300; k++)
            p->list[i][k] = v += (uint32_t)random_below(p, i % 3 ? 3 : 10000000);
    }
    return p;
}

/* How the values of a column of one set of rows look. */
enum random_style {
    RANDOM_CONSTANT,
    RANDOM_SMALL,
    RANDOM_FULL,
    RANDOM_ASCENDING,
    RANDOM_FEW,
    RANDOM_OUTLIERS,
    RANDOM_STYLES
};

struct random_shape {
    enum random_style style;
    unsigned missing; /* of 16 rows */
    uint64_t value;
    uint64_t few[4];
};

static inline uint64_t random_number(struct random_pool *p, struct random_shape *s)
{
    switch (s->style) {
    case RANDOM_CONSTANT:
        return s->value;
    case RANDOM_SMALL:
        return s->value % 1000 + random_below(p, 20);
    case RANDOM_ASCENDING:
        return s->value += random_below(p, 5000);
    case RANDOM_FEW:
        return s->few[random_below(p, 4)];
    case RANDOM_OUTLIERS:
        return random_below(p, 50) ? random_below(p, 3) : random_next(p);
    default:
        return random_next(p) >> random_below(p, 64);
    }
}

static inline void random_value(struct random_pool *p, const struct column *c, struct random_shape *s, void *row)
{
    uint8_t *at = (uint8_t *)row + c->offset;
    uint64_t v = random_number(p, s);
    column_add(row, c->id);
    if (c->type == COLUMN_UINT) {
        uint64_t most = column_most(c);
        column_set_uint(c, row, most == UINT64_MAX ? v : v % (most + 1));
    } else if (c->type == COLUMN_ADDRESS) {
        memset(at, 0, 16);
        memcpy(at, &v, 4);
        if (s->few[0] & 1)
            memcpy(at + 8, &v, 8);
    } else if (c->type == COLUMN_TEXT) {
        uint32_t len = (uint32_t)(v % 7 ? v % 20 : v % (COLUMN_TEXT_MAX + 1));
        *(struct text *)(void *)at = (struct text){.data = len ? p->text[v % RANDOM_TEXTS] : NULL, .len = len};
    } else {
        uint32_t count = (uint32_t)(v % 5 ? v % 3 : v % 301);
        *(struct list *)(void *)at = (struct list){.items = count ? p->list[v % RANDOM_LISTS] : NULL, .count = count};
    }
}

static inline void random_shapes(struct random_pool *p, struct random_shape shapes[COLUMNS_MAX])
{
    static const unsigned missing[] = {0, 0, 0, 1, 8, 15, 16};
    for (size_t i = 0; i < COLUMNS_MAX; i++) {
        shapes[i].style = (enum random_style)random_below(p, RANDOM_STYLES);
        shapes[i].missing = missing[random_below(p, sizeof(missing) / sizeof(*missing))];
        shapes[i].value = random_next(p) >> random_below(p, 64);
        for (size_t k = 0; k < 4; k++)
            shapes[i].few[k] = random_next(p) >> random_below(p, 64);
    }
}

/* n rows (malloc'ed, also for 0) whose texts and lists live in the pool. */
static inline void *random_rows(struct random_pool *p, const struct table *t, size_t n)
{
    struct random_shape shapes[COLUMNS_MAX];
    random_shapes(p, shapes);
    uint8_t *rows = calloc(n ? n : 1, t->row_size);
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < t->count; k++)
            if (random_below(p, 16) >= shapes[k].missing)
                random_value(p, &t->columns[k], &shapes[k], rows + i * t->row_size);
    return rows;
}

/* Whether both rows lack a column, or have it with the same value. */
static inline bool same_value(const struct column *c, const void *a, const void *b)
{
    const uint8_t *x = (const uint8_t *)a + c->offset;
    const uint8_t *y = (const uint8_t *)b + c->offset;
    if (column_has(a, c->id) != column_has(b, c->id))
        return false;
    if (!column_has(a, c->id))
        return true;
    if (c->type == COLUMN_TEXT) {
        const struct text *s = (const void *)x;
        const struct text *t = (const void *)y;
        return s->len == t->len && (s->len == 0 || memcmp(s->data, t->data, s->len) == 0);
    }
    if (c->type == COLUMN_LIST) {
        const struct list *s = (const void *)x;
        const struct list *t = (const void *)y;
        return s->count == t->count && (s->count == 0 || memcmp(s->items, t->items, s->count * sizeof(uint32_t)) == 0);
    }
    return memcmp(x, y, c->size) == 0;
}

static inline void assert_same_rows(const struct table *t, const void *a, const void *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < t->count; k++)
            if (!same_value(&t->columns[k], (const uint8_t *)a + i * t->row_size, (const uint8_t *)b + i * t->row_size))
                fail_msg("row %zu differs in %s", i, t->columns[k].name);
}

#endif
