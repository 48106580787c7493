/*
 * Block -> rows: puts the values of columns into row structs, or into an array. What is checked stands in block_open.c
 * and column_read.c.
 */
#include "common/rows/block_inside.h"

#include <stdlib.h>
#include <string.h>

/* Where the values go. */
struct target {
    uint8_t *rows;
    size_t stride;
    size_t n;
    const struct column *column;
    const uint8_t *presence;
};

static void clear_column(const struct target *t)
{
    for (size_t i = 0; i < t->n; i++)
        column_remove((struct column_set *)(void *)(t->rows + i * t->stride), t->column->id);
}

/* Stores the value for each row that has the column; k counts them. Nothing that is stored may be taken for the target: it is a copy. */
#define STORE(type, value)                                                                                             \
    *(type *)(void *)at = (value);                                                                                     \
    *(uint64_t *)(void *)set |= bit
#define SCATTER(type, value)                                                                                           \
    do {                                                                                                               \
        const uint64_t bit = UINT64_C(1) << t.column->id % 64;                                                         \
        uint8_t *set = t.rows + offsetof(struct column_set, word[t.column->id / 64]);                                  \
        uint8_t *at = t.rows + t.column->offset;                                                                       \
        for (size_t k = 0; !t.presence && k < t.n; k++, at += t.stride, set += t.stride) {                             \
            STORE(type, value);                                                                                        \
        }                                                                                                              \
        for (size_t i = 0, k = 0; t.presence && i < t.n; i++, at += t.stride, set += t.stride) {                       \
            if (!(t.presence[i / 8] >> i % 8 & 1)) {                                                                   \
                *(uint64_t *)(void *)set &= ~bit;                                                                      \
                continue;                                                                                              \
            }                                                                                                          \
            STORE(type, value);                                                                                        \
            k++;                                                                                                       \
        }                                                                                                              \
    } while (0)

static void scatter_numbers(struct target t, const uint64_t *v)
{
    switch (t.column->size) {
    case 1:
        SCATTER(uint8_t, (uint8_t)v[k]);
        break;
    case 2:
        SCATTER(uint16_t, (uint16_t)v[k]);
        break;
    case 4:
        SCATTER(uint32_t, (uint32_t)v[k]);
        break;
    default:
        SCATTER(uint64_t, v[k]);
        break;
    }
}

struct address {
    uint8_t bytes[ADDRESS_SIZE];
};

static void scatter_entries(struct target t, const struct scratch *s, const uint64_t *indexes)
{
    const struct address *addresses = (const struct address *)(const void *)s->addresses;
    if (t.column->type == COLUMN_TEXT)
        SCATTER(struct text, s->texts[indexes ? indexes[k] : k]);
    else
        SCATTER(struct address, addresses[indexes ? indexes[k] : k]);
}

static void scatter_lists(struct target t, const struct stored *s, const uint64_t *counts)
{
    const uint32_t *item = s->items;
    SCATTER(struct list, ((struct list){.items = (item += counts[k]) - counts[k], .count = (uint32_t)counts[k]}));
}

static const char *read_values(struct block *b, struct stored *s, struct bytes *in, const struct target *t)
{
    const char *fault;
    const uint64_t *indexes = NULL;
    switch (t->column->type) {
    case COLUMN_UINT:
        fault = column_read_numbers(b, s, t->column, in, b->scratch.numbers);
        if (!fault)
            scatter_numbers(*t, b->scratch.numbers);
        break;
    case COLUMN_LIST:
        fault = column_read_lists(b, s, in);
        if (!fault)
            scatter_lists(*t, s, b->scratch.more);
        break;
    default:
        fault = column_read_entries(b, s, t->column, in, &indexes);
        if (!fault)
            scatter_entries(*t, &b->scratch, indexes);
    }
    return fault;
}

static int no_column(const struct block *b, unsigned id, struct error *e)
{
    return error_set(e, ERROR_NOT_FOUND, "the table %s has no column %u", b->table->name, id);
}

int block_read_column(struct block *b, unsigned id, void *rows, struct error *e)
{
    const struct column *c = table_column(b->table, id);
    if (!c)
        return no_column(b, id, e);
    struct target t = {.rows = rows, .stride = b->table->row_size, .n = b->rows, .column = c};
    struct stored *s = block_find(b, id);
    if (!s) {
        clear_column(&t);
        return 0;
    }
    struct bytes in;
    int r = block_load(b, s, c, &in, e);
    if (r < 0)
        return r;
    t.presence = s->presence;
    const char *fault = read_values(b, s, &in, &t);
    return fault ? block_bad_column(e, b, c, fault) : 0;
}

/* s is NULL if the block has no such column. */
static void copy_presence(const struct stored *s, size_t rows, uint8_t *present)
{
    size_t size = (rows + 7) / 8;
    if (s && s->presence) {
        memcpy(present, s->presence, size);
        return;
    }
    memset(present, s ? 0xff : 0, size);
    if (s && rows % 8)
        present[size - 1] = (uint8_t)(0xff >> (8 - rows % 8));
}

int block_read_numbers(struct block *b, unsigned id, uint64_t *numbers, uint8_t *present, struct error *e)
{
    const struct column *c = table_column(b->table, id);
    if (!c)
        return no_column(b, id, e);
    if (c->type != COLUMN_UINT)
        return error_set(e, ERROR_USAGE, "column %s is no column of numbers", c->name);
    struct stored *s = block_find(b, id);
    if (s) {
        struct bytes in;
        int r = block_load(b, s, c, &in, e);
        const char *fault = r < 0 ? NULL : column_read_numbers(b, s, c, &in, numbers);
        if (r < 0 || fault)
            return r < 0 ? r : block_bad_column(e, b, c, fault);
        column_spread(s, b->rows, numbers);
    } else {
        memset(numbers, 0, b->rows * sizeof(*numbers));
    }
    if (present)
        copy_presence(s, b->rows, present);
    return 0;
}

int block_read(struct block *b, void **rows, struct error *e)
{
    *rows = NULL;
    if (b->rows == 0)
        return 0;
    void *all = calloc(b->rows, b->table->row_size);
    if (!all)
        return error_set(e, ERROR_MEMORY, "no memory for %u rows", b->rows);
    int r = 0;
    for (unsigned i = 0; i < b->table->count && r == 0; i++)
        if (block_has_column(b, b->table->columns[i].id))
            r = block_read_column(b, b->table->columns[i].id, all, e);
    if (r < 0)
        free(all);
    else
        *rows = all;
    return r;
}
