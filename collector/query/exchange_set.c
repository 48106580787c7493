#include "collector/query/exchange_set.h"
#include "collector/query/covered.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

#define SAME_NS UINT64_C(1000000) /* as MERGE_SAME_NS of packets: two captures need not stamp one alike */

void exchange_set_free(struct exchange_set *s)
{
    free(s->lines);
    *s = (struct exchange_set){0};
}

static bool make_room(struct exchange_set *s)
{
    if (s->count < s->cap)
        return true;
    size_t cap = s->cap ? s->cap * 2 : 1024;
    struct exchange_line *lines = realloc(s->lines, cap * sizeof *lines);
    if (!lines)
        return false;
    s->lines = lines;
    s->cap = cap;
    return true;
}

static bool same_text(const struct exchange_row *row, const struct column *c, const struct text *t)
{
    const struct text *other = (const void *)((const char *)row + c->offset);
    return column_has(&row->has, c->id) && t->len == other->len && memcmp(t->data, other->data, t->len) == 0;
}

/* Makes the set of flows the owner of the row's texts; those that `before` (or NULL) has, too, it owns already. */
static bool own(struct flow_set *texts, struct exchange_row *row, const struct exchange_row *before)
{
    for (unsigned i = 0; i < table_exchange.count; i++) {
        const struct column *c = &table_exchange.columns[i];
        if (c->type != COLUMN_TEXT || !column_has(&row->has, c->id))
            continue;
        struct text *t = (struct text *)(void *)((char *)row + c->offset);
        if (before && same_text(before, c, t))
            *t = *(const struct text *)(const void *)((const char *)before + c->offset);
        else
            *t = flow_set_text(texts, t->data, t->len);
        if (!t->data)
            return false;
    }
    return true;
}

int exchange_set_add(struct exchange_set *s, struct flow_set *texts, const struct exchange_row *row,
                     struct flow_set_entry *flow, struct error *e)
{
    struct exchange_row copy = *row;
    if (s->count >= QUERY_FLOWS_MAX)
        return error_set(e, ERROR_LIMIT,
                         "more than %u exchanges in the question: narrow it by time (--since, --until), agent (--on), "
                         "capture (--capture) or filter",
                         QUERY_FLOWS_MAX);
    if (!make_room(s) || (texts && !own(texts, &copy, NULL)))
        return error_set(e, ERROR_MEMORY, "no memory for more than %zu exchanges", s->count);
    s->lines[s->count++] = (struct exchange_line){copy, flow};
    return 0;
}

int exchange_set_replace(struct exchange_set *s, struct flow_set *texts, uint32_t line, const struct exchange_row *row,
                         struct error *e)
{
    struct exchange_row copy = *row;
    if (!own(texts, &copy, &s->lines[line].row))
        return error_set(e, ERROR_MEMORY, "no memory for more than %zu exchanges", s->count);
    s->lines[line].row = copy;
    return 0;
}

/* ------------------------------------------------------------------ seen by several captures */

struct seen {
    uint64_t hash; /* of key, agent, and what was asked */
    uint64_t time_ns;
    uint32_t line, place, vantage;
    uint8_t rank; /* the least of several is left */
};

static uint64_t text_hash(const struct exchange_row *x, unsigned id, const struct text *t, uint64_t seed)
{
    return column_has(&x->has, id) ? hash64_seed(t->data, t->len, seed + id) : seed;
}

uint64_t exchange_asked_hash(const struct exchange_row *x, uint64_t hash)
{
    hash = text_hash(x, EXCHANGE_APP, &x->app, hash);
    hash = text_hash(x, EXCHANGE_METHOD, &x->method, hash);
    hash = text_hash(x, EXCHANGE_PATH, &x->path, hash);
    hash = text_hash(x, EXCHANGE_DNS_NAME, &x->dns_name, hash);
    return column_has(&x->has, EXCHANGE_DNS_TYPE) ? hash + x->dns_type : hash;
}

static uint64_t exchange_hash(const struct exchange_line *l, const char *agent)
{
    struct flow_key key = l->flow->sum.key;
    key.interface = 0;
    return exchange_asked_hash(&l->row, hash64_seed(&key, sizeof key, hash64_table(agent, strlen(agent))));
}

static struct seen seen_of(const struct plan *p, const struct exchange_set *s, size_t i)
{
    const struct exchange_line *l = &s->lines[i];
    const struct place *place = &p->places.place[l->flow->sum.key.interface];
    const struct vantage *v = &p->places.vantage[place->vantage];
    unsigned outcome = column_has(&l->row.has, EXCHANGE_OUTCOME) ? l->row.outcome : 0;
    unsigned rank = (vantage_is_any(v) ? 8u : 0u) |
                    (outcome == EXCHANGE_RUNNING ? 4u : 0u) | /* elsewhere it may have ended */
                    (outcome != EXCHANGE_COMPLETE ? 2u : 0u) | !place->keeps_packets;
    return (struct seen){.hash = exchange_hash(l, v->agent),
                         .time_ns = l->row.time_ns,
                         .line = (uint32_t)i,
                         .place = l->flow->sum.key.interface,
                         .vantage = vantage_is_any(v) ? UINT32_MAX : place->vantage,
                         .rank = (uint8_t)rank};
}

static int by_time(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static bool is_better(const struct seen *a, const struct seen *b)
{
    bool alike = a->place != b->place && (a->vantage == b->vantage || b->vantage == UINT32_MAX);
    return alike && (a->rank != b->rank ? a->rank < b->rank : a->place < b->place);
}

static bool has_better(const struct seen *all, size_t count, size_t at)
{
    for (size_t i = at; i-- > 0 && all[i].hash == all[at].hash && all[at].time_ns - all[i].time_ns <= SAME_NS;)
        if (is_better(&all[i], &all[at]))
            return true;
    for (size_t i = at + 1; i < count && all[i].hash == all[at].hash && all[i].time_ns - all[at].time_ns <= SAME_NS;
         i++)
        if (is_better(&all[i], &all[at]))
            return true;
    return false;
}

int exchange_set_leave_one(struct exchange_set *s, const struct plan *p, struct error *e)
{
    if (!covered_may(p))
        return 0;
    struct seen *all = calloc(s->count + 1, sizeof *all);
    uint8_t *gone = calloc(s->count + 1, 1);
    for (size_t i = 0; all && i < s->count; i++)
        all[i] = seen_of(p, s, i);
    if (all && gone) {
        size_t left = 0;
        qsort(all, s->count, sizeof *all, by_time);
        for (size_t i = 0; i < s->count; i++)
            gone[all[i].line] = has_better(all, s->count, i);
        for (size_t i = 0; i < s->count; i++)
            if (!gone[i])
                s->lines[left++] = s->lines[i];
        s->count = left;
    }
    int r = all && gone ? 0 : error_set(e, ERROR_MEMORY, "no memory for %zu exchanges", s->count);
    free(gone);
    free(all);
    return r;
}
