#include "collector/query/exchange_set.h"
#include "collector/query/group.h"
#include <stdlib.h>
#include <string.h>

#define STATUS_ERROR       400u
#define ALERT_CLOSE_NOTIFY 0u

/* Of which group, how long. */
struct wait {
    uint32_t group;
    uint64_t ns;
};

struct grouping {
    const struct group_by *by;
    struct group_map *map;
    struct exchange_set *out;
    struct wait *waits; /* owned */
    size_t wait_count;
};

static bool has(const struct exchange_row *x, unsigned id)
{
    return column_has(&x->has, id);
}

static bool is_error(const struct exchange_row *x)
{
    return (has(x, EXCHANGE_STATUS) && x->status >= STATUS_ERROR) ||
           (has(x, EXCHANGE_DNS_RCODE) && x->dns_rcode != 0) ||
           (has(x, EXCHANGE_TLS_ALERT) && x->tls_alert != ALERT_CLOSE_NOTIFY);
}

static void set(struct exchange_row *row, unsigned id, uint64_t value)
{
    column_set_uint(table_column(&table_exchange, id), row, value);
}

/* What one exchange is in a sum. */
static struct exchange_row part_of(const struct exchange_row *x)
{
    struct exchange_row part = *x;
    memset(&part.has, 0, sizeof part.has);
    for (unsigned i = 0; i < table_exchange.count; i++) {
        const struct column *c = &table_exchange.columns[i];
        if (c->merge == MERGE_SUM && has(x, c->id))
            column_add(&part.has, c->id);
    }
    set(&part, EXCHANGE_EXCHANGES, 1);
    set(&part, EXCHANGE_ERRORS, is_error(x));
    set(&part, EXCHANGE_NO_REPLY, has(x, EXCHANGE_OUTCOME) && x->outcome == EXCHANGE_UNANSWERED);
    if (has(x, EXCHANGE_WAIT))
        set(&part, EXCHANGE_WAIT_MAX, x->wait_ns);
    return part;
}

/* A group begins as what all its exchanges have alike. */
static int begin(struct grouping *g, const struct exchange_line *first, struct error *e)
{
    struct exchange_row row = first->row;
    memset(&row.has, 0, sizeof row.has);
    for (uint32_t i = 0; i < g->by->count; i++) {
        const struct column *c = g->by->fields[i]->exchange;
        if (c && has(&first->row, c->id))
            column_add(&row.has, c->id);
    }
    return exchange_set_add(g->out, NULL, &row, first->flow, e);
}

static int add(struct grouping *g, const struct exchange_line *l, struct error *e)
{
    l->flow->sum.exchange = &l->row;
    int64_t number = group_map_of(g->map, &l->flow->sum, e);
    l->flow->sum.exchange = NULL;
    int r = number < 0 ? (int)number : (size_t)number == g->out->count ? begin(g, l, e) : 0;
    if (r)
        return r;
    struct exchange_row *into = &g->out->lines[number].row, part = part_of(&l->row);
    for (unsigned i = 0; i < table_exchange.count; i++) /* what groups are made by is not summed */
        if (table_exchange.columns[i].merge == MERGE_NONE)
            column_remove(&part.has, table_exchange.columns[i].id);
    struct column_set alike = into->has;
    table_merge(&table_exchange, into, &part);
    for (unsigned i = 0; i < table_exchange.count; i++)
        if (table_exchange.columns[i].merge == MERGE_NONE && column_has(&alike, table_exchange.columns[i].id))
            column_add(&into->has, table_exchange.columns[i].id);
    if (has(&l->row, EXCHANGE_WAIT))
        g->waits[g->wait_count++] = (struct wait){(uint32_t)number, l->row.wait_ns};
    return 0;
}

static int by_group(const void *a, const void *b)
{
    const struct wait *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->ns < y->ns ? -1 : x->ns > y->ns;
}

/* Of n ascending waits. The percentile is the least that 95 of 100 do not pass. */
static void put_waits(struct exchange_row *row, const struct wait *w, size_t n)
{
    uint64_t whole = 0, rest = 0; /* of the mean: no sum that could be too large */
    for (size_t i = 0; i < n; i++) {
        whole += w[i].ns / n;
        rest += w[i].ns % n;
    }
    set(row, EXCHANGE_WAIT, whole + rest / n);
    set(row, EXCHANGE_WAIT_P95, w[(n * 95 + 99) / 100 - 1].ns);
}

static void finish(struct grouping *g)
{
    qsort(g->waits, g->wait_count, sizeof *g->waits, by_group);
    for (size_t i = 0, n; i < g->wait_count; i += n) {
        for (n = 1; i + n < g->wait_count && g->waits[i + n].group == g->waits[i].group;)
            n++;
        put_waits(&g->out->lines[g->waits[i].group].row, &g->waits[i], n);
    }
}

int exchange_groups(const struct exchange_set *all, const struct message_query *q, struct exchange_set *out,
                    struct error *e)
{
    struct group_by by;
    struct grouping g = {.by = &by, .out = out};
    int r = group_by_of(q, &by, e);
    if (r)
        return r;
    g.map = group_map_new(&by);
    g.waits = calloc(all->count + 1, sizeof *g.waits);
    if (!g.map || !g.waits)
        r = error_set(e, ERROR_MEMORY, "no memory for %zu exchanges", all->count);
    for (size_t i = 0; r == 0 && i < all->count; i++)
        r = add(&g, &all->lines[i], e);
    if (r == 0)
        finish(&g);
    free(g.waits);
    group_map_free(g.map);
    return r;
}
