#include "collector/query/connections.h"
#include "collector/query/exchange_set.h"
#include <stdlib.h>

#define WINDOW 64u /* sights beside one that are looked at for what saw the same */
#define NONE   UINT32_MAX

/* One vantage's line of an exchange. Those that saw the same make a group, of each vantage one at the most; in the beginning each is its own. */
struct sight {
    uint64_t hash;     /* of connection, and what was asked */
    uint64_t numbered; /* and of its number in the connection */
    uint64_t time_ns;
    uint32_t line, vantage;
    uint32_t group;    /* the line of the group's first */
    uint32_t best;     /* of the first: the line that is taken */
    uint32_t next;     /* where another one of the group is, once all are in the order of by_hash */
    uint8_t rank;      /* the least is taken */
    uint8_t best_rank; /* of the first */
    bool shared;
};

/* Sights in the order of by_hash, and where each line's is. */
struct sights {
    struct sight *s;
    const uint32_t *at;
};

static struct sight sight_of(const struct plan *p, const struct owners *o, const struct exchange_set *s, size_t i)
{
    const struct exchange_line *l = &s->lines[i];
    const struct flow_row *flow = &l->flow->sum;
    uint64_t hash = exchange_asked_hash(&l->row, connections_hash(&flow->key));
    unsigned outcome = column_has(&l->row.has, EXCHANGE_OUTCOME) ? l->row.outcome : 0;
    bool missed = outcome == EXCHANGE_UNSEEN, running = outcome == EXCHANGE_RUNNING; /* elsewhere it may have ended */
    uint8_t rank = (uint8_t)(running << 3 | missed << 2 | owners_rank(o, flow, l->row.time_ns, l->row.time_ns));
    return (struct sight){.hash = hash,
                          .numbered = hash + l->row.ordinal,
                          .time_ns = l->row.time_ns,
                          .line = (uint32_t)i,
                          .group = (uint32_t)i,
                          .best = (uint32_t)i,
                          .next = NONE,
                          .vantage = p->places.place[flow->key.interface].vantage,
                          .rank = rank,
                          .best_rank = rank};
}

static int by_time(const struct sight *x, const struct sight *y)
{
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static int by_number(const void *a, const void *b)
{
    const struct sight *x = a, *y = b;
    return x->numbered != y->numbered ? (x->numbered < y->numbered ? -1 : 1) : by_time(x, y);
}

static int by_hash(const void *a, const void *b)
{
    const struct sight *x = a, *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : by_time(x, y);
}

/* `other`, alone until now, saw what the group saw of which this is the first. */
static void unite(struct sight *first, struct sight *other)
{
    first->shared = other->shared = true;
    other->group = first->line;
    if (other->rank < first->best_rank) {
        first->best = other->line;
        first->best_rank = other->rank;
    }
}

static bool are_near(const struct sight *a, const struct sight *b)
{
    return (a->time_ns < b->time_ns ? b->time_ns - a->time_ns : a->time_ns - b->time_ns) <= CONNECTION_SLACK_NS;
}

/* ------------------------------------------------------------------ by number */

/* Whether s[i] may be of what s[first] saw: no other of its vantage is. */
static bool takes(const struct sight *s, size_t first, size_t i)
{
    if (s[first].group != s[first].line || !are_near(&s[first], &s[i]))
        return false;
    for (size_t k = first; k < i; k++)
        if (s[k].group == s[first].line && s[k].vantage == s[i].vantage)
            return false;
    return true;
}

/* Of the same number and question: few, but where ports are used again and again. */
static void join_numbered(struct sight *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t first = i > WINDOW ? i - WINDOW : 0;
        while (first < i && !takes(s, first, i))
            first++;
        if (first < i)
            unite(&s[first], &s[i]);
    }
}

/* ------------------------------------------------------------------ by time */

/* Steps through what is near s[i] in time, [from, to) of the same question, nearest first. */
struct around {
    const struct sight *s;
    size_t i, from, to;
    size_t low, high; /* what was seen: [low, high) */
};

static struct around around_of(const struct sight *s, size_t i, size_t from, size_t to)
{
    return (struct around){s, i, from, to, i, i + 1};
}

/* NONE: there is no more, or too much was looked at. */
static uint32_t next_near(struct around *a)
{
    bool has_low = a->low > a->from && are_near(&a->s[a->low - 1], &a->s[a->i]);
    bool has_high = a->high < a->to && are_near(&a->s[a->high], &a->s[a->i]);
    if ((!has_low && !has_high) || a->high - a->low > WINDOW)
        return NONE;
    uint64_t now = a->s[a->i].time_ns;
    if (has_low && (!has_high || now - a->s[a->low - 1].time_ns <= a->s[a->high].time_ns - now))
        return (uint32_t)--a->low;
    return (uint32_t)a->high++;
}

static uint32_t first_of(const struct sights *all, size_t i)
{
    return all->at[all->s[i].group];
}

static bool has_vantage(const struct sights *all, uint32_t first, uint32_t vantage)
{
    for (uint32_t k = first; k != NONE; k = all->s[k].next)
        if (all->s[k].vantage == vantage)
            return true;
    return false;
}

/* Whether another one of the vantage of s[i], alone as well, is nearer to s[k]. */
static bool has_nearer(const struct sights *all, size_t i, size_t k, size_t from, size_t to)
{
    struct around a = around_of(all->s, k, from, to);
    for (uint32_t n; (n = next_near(&a)) != NONE && n != i;)
        if (!all->s[n].shared && all->s[n].vantage == all->s[i].vantage)
            return true;
    return false;
}

/* The nearest group without the vantage of s[i] becomes its own; of several that could be in it, first the nearest. */
static void join_nearest(struct sights *all, size_t i, size_t from, size_t to, bool any)
{
    struct around a = around_of(all->s, i, from, to);
    for (uint32_t k; (k = next_near(&a)) != NONE;) {
        uint32_t first = first_of(all, k);
        if (has_vantage(all, first, all->s[i].vantage))
            continue;
        if (any || !has_nearer(all, i, k, from, to)) {
            unite(&all->s[first], &all->s[i]);
            all->s[i].next = all->s[first].next;
            all->s[first].next = (uint32_t)i;
        }
        return;
    }
}

/* Of the same question alone, what nobody else has by number, and what others have: a vantage that came later counts from another one. */
static void join_rest(struct sights *all, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        uint32_t first = first_of(all, i);
        if (first == i)
            continue;
        all->s[i].next = all->s[first].next;
        all->s[first].next = (uint32_t)i;
    }
    for (int any = 0; any < 2; any++)
        for (size_t i = from; i < to; i++)
            if (!all->s[i].shared)
                join_nearest(all, i, from, to, any);
}

static void join_all(struct sight *s, uint32_t *at, size_t count)
{
    struct sights all = {s, at};
    qsort(s, count, sizeof *s, by_number);
    for (size_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && s[i + n].numbered == s[i].numbered;)
            n++;
        join_numbered(&s[i], n);
    }
    qsort(s, count, sizeof *s, by_hash);
    for (size_t i = 0; i < count; i++)
        at[s[i].line] = (uint32_t)i;
    for (size_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && s[i + n].hash == s[i].hash;)
            n++;
        if (n > 1)
            join_rest(&all, i, i + n);
    }
}

/* Leaves the lines that are taken, or with `all` every one. */
static void leave(struct exchange_set *set, const struct sight *s, const uint32_t *at, bool all, uint64_t *shared)
{
    size_t left = 0;
    for (uint32_t line = 0; line < set->count; line++) {
        const struct sight *own = &s[at[line]];
        if (s[at[own->group]].best != line && !all)
            continue;
        *shared += own->shared;
        set->lines[left++] = set->lines[line];
    }
    set->count = left;
}

int exchange_set_join(struct exchange_set *s, struct plan *p, bool all, uint64_t *shared, struct error *e)
{
    struct owners *owners = NULL;
    *shared = 0;
    if (p->places.vantage_count < 2)
        return 0;
    struct sight *sights = calloc(s->count + 1, sizeof *sights);
    uint32_t *at = calloc(s->count + 1, sizeof *at);
    int r =
        sights && at ? owners_new(p, &owners, e) : error_set(e, ERROR_MEMORY, "no memory for %zu exchanges", s->count);
    if (r == 0) {
        for (size_t i = 0; i < s->count; i++)
            sights[i] = sight_of(p, owners, s, i);
        join_all(sights, at, s->count);
        leave(s, sights, at, all, shared);
    }
    owners_free(owners);
    free(at);
    free(sights);
    return r;
}
