#include "agent/capture/exchange_write.h"

#include "common/base/hash.h"
#include "common/rows/order.h"
#include "common/rows/stage.h"
#include <stdlib.h>

/* What was asked for: the host or the name. */
static struct text name_of(const struct exchange_row *x)
{
    static const struct {
        unsigned column;
        size_t offset;
    } names[] = {{EXCHANGE_DNS_NAME, offsetof(struct exchange_row, dns_name)},
                 {EXCHANGE_HTTP_HOST, offsetof(struct exchange_row, http_host)},
                 {EXCHANGE_SNI, offsetof(struct exchange_row, sni)}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (column_has(&x->has, names[i].column))
            return *(const struct text *)(const void *)((const uint8_t *)x + names[i].offset);
    return (struct text){.data = NULL};
}

static uint64_t short_hash(const struct text *t)
{
    return t->len ? hash64(t->data, t->len) >> 32 : 0;
}

/* Names in full, by their hash, and then paths. */
static uint64_t full_key(const struct exchange_row *x)
{
    struct text name = name_of(x);
    return short_hash(&name) << 32 | (column_has(&x->has, EXCHANGE_PATH) ? short_hash(&x->path) : 0);
}

/* A byte of the application, and the last ones of the name from the end: names of one domain are near each other. */
static uint64_t rough_key(const struct exchange_row *x)
{
    struct text name = name_of(x);
    uint64_t key = column_has(&x->has, EXCHANGE_APP) && x->app.len ? (uint8_t)x->app.data[0] : 0;
    for (uint32_t i = 1; i < sizeof key; i++)
        key = key << 8 | (i <= name.len ? (uint8_t)name.data[name.len - i] : 0);
    return key;
}

/* There is room for 2 n items; by the finer key first, as equal ones keep their order. */
static const struct order_item *order(const struct exchange_row *rows, struct order_item *items, size_t n)
{
    for (uint32_t i = 0; i < n; i++)
        items[i] = (struct order_item){full_key(&rows[i]), i};
    const struct order_item *sorted = order_sort(items, n);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct order_item){rough_key(&rows[sorted[i].place]), sorted[i].place};
    return order_sort(items, n);
}

struct given {
    const struct exchange_row *rows;
    const struct order_item *order;
};

static void fill(void *context, size_t from, size_t n, struct stage *tile)
{
    const struct given *g = context;
    struct exchange_row rows[STAGE_TILE];
    for (size_t i = 0; i < n; i++)
        rows[i] = g->rows[g->order[from + i].place];
    stage_put_rows(tile, 0, COLUMNS_MAX, rows);
}

int exchanges_write(struct block_writer *w, const struct exchange_row *rows, size_t n, struct buffer *out,
                    struct error *e)
{
    struct order_item *items = calloc(2 * n + 1, sizeof *items);
    if (!items)
        return error_set(e, ERROR_MEMORY, "no memory to write %zu exchanges", n);
    struct given given = {.rows = rows, .order = order(rows, items, n)};
    int r = block_writer_encode(w, &table_exchange, fill, &given, n, out, e);
    free(items);
    return r;
}
