#include "collector/store/postings.h"

#include "common/base/bytes.h"

#include <stdlib.h>
#include <string.h>

struct head_set {
    uint32_t limit;
    uint64_t bits[];
};

/* What the fold hands around. */
struct selection {
    const struct postings_source *source;
    uint32_t limit;
};

/* A leaf in the making. */
struct gathering {
    const struct selection *selection;
    struct head_set *set;
    bool failed;
};

static size_t words_of(uint32_t limit)
{
    return (size_t)limit / 64 + 1;
}

bool head_set_has(const struct head_set *s, uint64_t id)
{
    return !s || (id <= s->limit && (s->bits[id / 64] >> (id % 64) & 1) != 0);
}

void head_set_free(struct head_set *s)
{
    free(s);
}

/* Adds a list's heads; those behind the limit came after the caller's snapshot. */
static int gather(void *context, const struct postings_key *key, const void *list, size_t len, struct error *e)
{
    struct gathering *g = context;
    struct bytes b = bytes_of(list, len);
    uint64_t id = 0;
    (void)key;
    while (bytes_left(&b)) {
        uint64_t step = bytes_varint(&b);
        if (b.bad || step == 0 || step > UINT32_MAX)
            return error_set(e, ERROR_CORRUPT, "a list of postings is damaged");
        id += step;
        if (id > g->set->limit)
            break;
        g->set->bits[id / 64] |= UINT64_C(1) << (id % 64);
    }
    return 0;
}

static void gather_range(struct gathering *g, const struct postings_key *first, const struct postings_key *last)
{
    const struct postings_source *s = g->selection->source;
    if (!g->failed && s->range(s->context, first, last, gather, g, NULL) != 0)
        g->failed = true;
}

static struct gathering gather_begin(const struct selection *s)
{
    struct gathering g = {.selection = s};
    g.set = calloc(1, sizeof(*g.set) + words_of(s->limit) * sizeof(g.set->bits[0]));
    if (g.set)
        g.set->limit = s->limit;
    g.failed = !g.set;
    return g;
}

/* The set, with those that have no rows to judge if `rowless`; NULL (all) if any part could not be read. */
static struct head_set *gather_end(struct gathering *g, bool rowless)
{
    struct postings_key key = postings_key_of(POSTINGS_ROWLESS, NULL, 0);
    if (rowless)
        gather_range(g, &key, &key);
    if (!g->failed)
        return g->set;
    free(g->set);
    return NULL;
}

/* The keys of the least and the greatest address of a net. */
static void net_keys(const struct filter_term *t, struct postings_key *first, struct postings_key *last)
{
    size_t size = t->family == FAMILY_IP4 ? 4 : t->family == FAMILY_LINK ? 6 : 16;
    uint8_t low[17] = {t->family}, high[17] = {t->family};
    for (size_t i = 0; i < size; i++) {
        unsigned kept = t->prefix >= 8 * (i + 1) ? 8 : t->prefix <= 8 * i ? 0 : t->prefix - 8 * (unsigned)i;
        uint8_t mask = (uint8_t)(0xff00u >> kept);
        low[1 + i] = t->addr[i] & mask;
        high[1 + i] = (uint8_t)(low[1 + i] | (uint8_t)~mask);
    }
    *first = postings_key_of(POSTINGS_ADDRESS, low, 1 + size);
    *last = postings_key_of(POSTINGS_ADDRESS, high, 1 + size);
}

static struct postings_key u16_key(enum postings_kind kind, uint64_t v)
{
    const uint8_t value[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    return postings_key_of(kind, value, sizeof(value));
}

static void gather_stream(void *context, uint32_t stream)
{
    const uint8_t value[4] = {(uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8),
                              (uint8_t)stream};
    struct postings_key key = postings_key_of(POSTINGS_STREAM, value, sizeof(value));
    gather_range(context, &key, &key);
}

/* The range of keys that a term stands for; false if no index helps. */
static bool keys_of(const struct filter_term *t, struct postings_key *first, struct postings_key *last)
{
    struct filter_term net = *t;
    uint64_t open; /* flow ids: the bits below the given digits */
    switch (t->kind) {
    case FILTER_TERM_ADDRESS:
        net.prefix = 128;
        net_keys(&net, first, last);
        return t->family != FAMILY_NONE;
    case FILTER_TERM_NET:
        net_keys(t, first, last);
        return t->family != FAMILY_NONE;
    case FILTER_TERM_PORT:
        *first = *last = u16_key(POSTINGS_PORT, t->port);
        return true;
    case FILTER_TERM_PORT_RANGE:
        *first = u16_key(POSTINGS_PORT, t->port);
        *last = u16_key(POSTINGS_PORT, t->last_port);
        return true;
    case FILTER_TERM_FLOW_ID:
        open = t->prefix >= 16 ? 0 : UINT64_MAX >> (4 * t->prefix);
        *first = u16_key(POSTINGS_FLOW, (t->flow_id & ~open) >> 48);
        *last = u16_key(POSTINGS_FLOW, (t->flow_id | open) >> 48);
        return true;
    default:
        return false;
    }
}

static void *leaf(void *context, const struct filter_term *t)
{
    const struct selection *s = context;
    struct postings_key first, last;
    if (t->kind == FILTER_TERM_AGENT) {
        struct gathering g = gather_begin(s);
        s->source->streams(s->source->context, t->glob, gather_stream, &g);
        return gather_end(&g, false);
    }
    if (!keys_of(t, &first, &last))
        return NULL;
    struct gathering g = gather_begin(s);
    gather_range(&g, &first, &last);
    return gather_end(&g, true);
}

static void *both(void *context, void *a, void *b)
{
    (void)context;
    struct head_set *x = a, *y = b;
    if (!x || !y)
        return x ? x : y;
    for (size_t i = 0; i < words_of(x->limit); i++)
        x->bits[i] &= y->bits[i];
    free(y);
    return x;
}

static void *either(void *context, void *a, void *b)
{
    (void)context;
    struct head_set *x = a, *y = b;
    if (x && y)
        for (size_t i = 0; i < words_of(x->limit); i++)
            x->bits[i] |= y->bits[i];
    else if (x) {
        free(x);
        x = NULL;
    }
    free(y);
    return x;
}

struct head_set *postings_select(const struct filter *f, uint32_t limit, const struct postings_source *source)
{
    struct selection s = {.source = source, .limit = limit};
    const struct filter_fold ops = {.leaf = leaf, .both = both, .either = either, .context = &s};
    return filter_fold(f, &ops);
}
