#include "collector/store/postings.h"

#include "common/base/buffer.h"
#include "common/base/hash.h"
#include "common/rows/block.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SIZE_FIRST  1024u
#define INLINE_LIST 12u

/* One key with its list, most of which are short. */
struct posting {
    struct postings_key key; /* len 0: free */
    uint32_t last;           /* greatest id in the list */
    uint32_t len, cap;       /* bytes of the list; cap 0: it is inline */
    union {
        uint8_t bytes[INLINE_LIST];
        uint8_t *data;
    } list;
};

struct postings {
    struct posting *slots; /* a power of two */
    size_t size, count;
    uint64_t seed; /* addresses are chosen by strangers */
    uint32_t last;
};

struct postings_key postings_key_of(enum postings_kind kind, const void *value, size_t len)
{
    struct postings_key k = {.len = (uint8_t)(1 + len), .bytes = {(uint8_t)kind}};
    if (len)
        memcpy(k.bytes + 1, value, len);
    return k;
}

static int compare_keys(const struct postings_key *a, const struct postings_key *b)
{
    size_t len = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->bytes, b->bytes, len);
    return order ? order : (int)a->len - (int)b->len;
}

static size_t address_size(uint8_t family)
{
    return family == FAMILY_IP4 ? 4 : family == FAMILY_LINK ? 6 : 16;
}

static struct postings_key address_key(uint8_t family, const uint8_t addr[16])
{
    uint8_t value[17] = {family};
    memcpy(value + 1, addr, address_size(family));
    return postings_key_of(POSTINGS_ADDRESS, value, 1 + address_size(family));
}

static struct postings_key u16_key(enum postings_kind kind, uint16_t v)
{
    const uint8_t value[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    return postings_key_of(kind, value, sizeof(value));
}

static struct postings_key stream_key(uint32_t v)
{
    const uint8_t value[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    return postings_key_of(POSTINGS_STREAM, value, sizeof(value));
}

/* ------------------------------------------------------------------ in memory */

struct postings *postings_new(void)
{
    struct postings *p = calloc(1, sizeof(*p));
    if (p)
        p->slots = calloc(SIZE_FIRST, sizeof(*p->slots));
    if (!p || !p->slots) {
        free(p);
        return NULL;
    }
    p->size = SIZE_FIRST;
    if (getrandom(&p->seed, sizeof(p->seed), 0) != (ssize_t)sizeof(p->seed))
        p->seed = (uint64_t)(uintptr_t)p;
    return p;
}

void postings_free(struct postings *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->size; i++)
        if (p->slots[i].cap)
            free(p->slots[i].list.data);
    free(p->slots);
    free(p);
}

static struct posting *slot_of(struct posting *slots, size_t size, uint64_t seed, const struct postings_key *k)
{
    size_t mask = size - 1;
    size_t i = (size_t)hash64_seed(k->bytes, k->len, seed) & mask;
    while (slots[i].key.len && compare_keys(&slots[i].key, k) != 0)
        i = (i + 1) & mask;
    return &slots[i];
}

static bool grow(struct postings *p)
{
    size_t size = 2 * p->size;
    struct posting *slots = calloc(size, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < p->size; i++)
        if (p->slots[i].key.len)
            *slot_of(slots, size, p->seed, &p->slots[i].key) = p->slots[i];
    free(p->slots);
    p->slots = slots;
    p->size = size;
    return true;
}

static uint8_t *list_of(struct posting *s)
{
    return s->cap ? s->list.data : s->list.bytes;
}

/* Room for one more number in the list. */
static bool reserve(struct posting *s)
{
    uint32_t cap = s->cap ? s->cap : INLINE_LIST;
    if (cap - s->len >= 5)
        return true;
    uint8_t *data = realloc(s->cap ? s->list.data : NULL, (size_t)cap * 2);
    if (!data)
        return false;
    if (!s->cap)
        memcpy(data, s->list.bytes, s->len);
    s->list.data = data;
    s->cap = cap * 2;
    return true;
}

static bool add(struct postings *p, const struct postings_key *k, uint32_t id)
{
    if (p->count + p->count / 2 >= p->size && !grow(p))
        return false;
    struct posting *s = slot_of(p->slots, p->size, p->seed, k);
    if (s->last == id && s->key.len)
        return true;
    if (!s->key.len) {
        s->key = *k;
        p->count++;
    }
    if (!reserve(s))
        return false;
    uint8_t *list = list_of(s);
    uint32_t v = id - s->last;
    for (; v > 0x7f; v >>= 7)
        list[s->len++] = (uint8_t)(v | 0x80);
    list[s->len++] = (uint8_t)v;
    s->last = id;
    return true;
}

static bool add_row(struct postings *p, uint32_t id, const struct flow_row *row)
{
    const struct flow_key *key = &row->key;
    struct postings_key k = u16_key(POSTINGS_FLOW, (uint16_t)(row->flow_id >> 48));
    if (!add(p, &k, id))
        return false;
    for (int i = 0; i < 2; i++) {
        k = address_key(key->family, key->addr[i]);
        if (key->family != FAMILY_NONE && !add(p, &k, id))
            return false;
        k = u16_key(POSTINGS_PORT, key->port[i]);
        if ((key->has_ports || key->port[i]) && !add(p, &k, id))
            return false;
    }
    return true;
}

/* Reads what keys are made of; the rows are the caller's to free. ERROR_CORRUPT and the like if they cannot be read. */
static int read_rows(struct block *b, struct flow_row **rows, struct error *e)
{
    static const uint8_t columns[] = {FLOW_ADDR_0, FLOW_ADDR_1, FLOW_PORT_0,   FLOW_PORT_1,
                                      FLOW_FAMILY, FLOW_ID,     FLOW_HAS_PORTS};
    *rows = calloc((size_t)block_rows(b) + 1, sizeof(**rows));
    int r = *rows ? 0 : error_set(e, ERROR_MEMORY, "no memory for %u rows", block_rows(b));
    for (size_t i = 0; !r && i < sizeof(columns); i++)
        r = block_read_column(b, columns[i], *rows, e);
    return r;
}

static int add_rows(struct postings *p, uint32_t id, const struct chunk_head *h, struct error *e)
{
    struct block *b = NULL;
    struct flow_row *rows = NULL;
    int r = block_open(&table_flow, h->flows, h->flows_length, &b, e);
    if (!r)
        r = read_rows(b, &rows, e);
    for (uint32_t i = 0; !r && i < block_rows(b); i++)
        if (!add_row(p, id, &rows[i]))
            r = error_set(e, ERROR_MEMORY, "no memory for the postings of %zu keys", p->count);
    free(rows);
    block_close(b);
    return r;
}

int postings_add_unknown(struct postings *p, uint32_t id, uint32_t stream, struct error *e)
{
    struct postings_key by_stream = stream_key(stream);
    struct postings_key rowless = postings_key_of(POSTINGS_ROWLESS, NULL, 0);
    if (!add(p, &by_stream, id) || !add(p, &rowless, id))
        return error_set(e, ERROR_MEMORY, "no memory for the postings of %zu keys", p->count);
    p->last = id;
    return 0;
}

int postings_add(struct postings *p, uint32_t id, uint32_t stream, const struct chunk_head *h, struct error *e)
{
    if (h->kind != HEAD_CHUNK)
        return postings_add_unknown(p, id, stream, e);
    struct error why = ERROR_INIT;
    int r = h->flows ? add_rows(p, id, h, &why) : 0;
    if (r == ERROR_MEMORY) {
        if (e)
            *e = why;
        return r;
    }
    if (r)
        return postings_add_unknown(p, id, stream, e);
    struct postings_key by_stream = stream_key(stream);
    if (!add(p, &by_stream, id))
        return error_set(e, ERROR_MEMORY, "no memory for the postings of %zu keys", p->count);
    p->last = id;
    return 0;
}

size_t postings_keys(const struct postings *p)
{
    return p->count;
}

uint32_t postings_last(const struct postings *p)
{
    return p->last;
}

static int compare_postings(const void *a, const void *b)
{
    return compare_keys(&(*(struct posting *const *)a)->key, &(*(struct posting *const *)b)->key);
}

static bool inside(const struct posting *s, const struct postings_key *first, const struct postings_key *last)
{
    return s->key.len && compare_keys(&s->key, first) >= 0 && compare_keys(&s->key, last) <= 0;
}

static int range_sorted(struct postings *p, const struct postings_key *first, const struct postings_key *last,
                        postings_each_fn *each, void *context, struct error *e)
{
    struct posting **order = malloc((p->count + 1) * sizeof(struct posting *));
    if (!order)
        return error_set(e, ERROR_MEMORY, "no memory to sort %zu keys", p->count);
    size_t count = 0;
    for (size_t i = 0; i < p->size; i++)
        if (inside(&p->slots[i], first, last))
            order[count++] = &p->slots[i];
    qsort(order, count, sizeof(struct posting *), compare_postings);
    int r = 0;
    for (size_t i = 0; !r && i < count; i++)
        r = each(context, &order[i]->key, list_of(order[i]), order[i]->len, e);
    free(order);
    return r;
}

int postings_range(struct postings *p, const struct postings_key *first, const struct postings_key *last, bool sorted,
                   postings_each_fn *each, void *context, struct error *e)
{
    if (sorted)
        return range_sorted(p, first, last, each, context, e);
    int r = 0;
    if (compare_keys(first, last) == 0) {
        struct posting *s = slot_of(p->slots, p->size, p->seed, first);
        return s->key.len ? each(context, &s->key, list_of(s), s->len, e) : 0;
    }
    for (size_t i = 0; !r && i < p->size; i++)
        if (inside(&p->slots[i], first, last))
            r = each(context, &p->slots[i].key, list_of(&p->slots[i]), p->slots[i].len, e);
    return r;
}
