#include "common/rows/column.h"

#include <string.h>

const struct column *table_column(const struct table *t, unsigned id)
{
    unsigned low = 0;
    unsigned high = t->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (t->columns[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->count && t->columns[low].id == id ? &t->columns[low] : NULL;
}

const struct column *table_column_named(const struct table *t, const char *name)
{
    for (unsigned i = 0; i < t->count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

static uint64_t load(const struct column *c, const void *row)
{
    const uint8_t *p = (const uint8_t *)row + c->offset;
    switch (c->size) {
    case 1:
        return *p;
    case 2:
        return *(const uint16_t *)(const void *)p;
    case 4:
        return *(const uint32_t *)(const void *)p;
    default:
        return *(const uint64_t *)(const void *)p;
    }
}

static void store(const struct column *c, void *row, uint64_t value)
{
    uint8_t *p = (uint8_t *)row + c->offset;
    switch (c->size) {
    case 1:
        *p = (uint8_t)value;
        break;
    case 2:
        *(uint16_t *)(void *)p = (uint16_t)value;
        break;
    case 4:
        *(uint32_t *)(void *)p = (uint32_t)value;
        break;
    default:
        *(uint64_t *)(void *)p = value;
        break;
    }
}

bool column_uint(const struct column *c, const void *row, uint64_t *value)
{
    if (c->type != COLUMN_UINT || !column_has(row, c->id))
        return false;
    *value = load(c, row);
    return true;
}

void column_set_uint(const struct column *c, void *row, uint64_t value)
{
    store(c, row, value);
    column_add(row, c->id);
}

uint64_t column_most(const struct column *c)
{
    return c->most ? c->most : UINT64_MAX >> (64 - 8 * c->size);
}

static uint64_t add_saturated(const struct column *c, uint64_t a, uint64_t b)
{
    uint64_t most = column_most(c);
    return b > most - a ? most : a + b;
}

static uint64_t merge_uint(const struct column *c, uint64_t a, uint64_t b)
{
    switch (c->merge) {
    case MERGE_SUM:
        return add_saturated(c, a, b);
    case MERGE_MIN:
        return b < a ? b : a;
    case MERGE_MAX:
        return b > a ? b : a;
    case MERGE_OR:
        return a | b;
    default:
        return b;
    }
}

/* Both rows have the column. */
static void merge_values(const struct column *c, void *into, const void *from)
{
    if (c->merge == MERGE_KEY)
        return;
    if (c->type == COLUMN_UINT)
        store(c, into, merge_uint(c, load(c, into), load(c, from)));
    else
        memcpy((uint8_t *)into + c->offset, (const uint8_t *)from + c->offset, c->size);
}

void table_merge(const struct table *t, void *into, const void *from)
{
    for (const struct column *c = t->columns; c < t->columns + t->count; c++) {
        if (c->merge == MERGE_NONE) {
            column_remove(into, c->id);
            continue;
        }
        if (!column_has(from, c->id))
            continue;
        if (column_has(into, c->id)) {
            merge_values(c, into, from);
            continue;
        }
        memcpy((uint8_t *)into + c->offset, (const uint8_t *)from + c->offset, c->size);
        column_add(into, c->id);
    }
}
