#include "collector/query/connections.h"
#include "collector/query/exchange_set.h"
#include <stdlib.h>

#define WINDOW 64u /* sights of one number of one connection that are looked at for one */

/* One vantage's line of an exchange. */
struct sight {
    uint64_t hash;     /* of connection, and what was asked */
    uint64_t numbered; /* and of its number in the connection */
    uint64_t time_ns;
    uint32_t line, vantage;
    uint32_t first, best; /* of those that saw the same: which is the first, and of this one which is taken */
    uint8_t rank;         /* the least is taken */
    bool shared, gone;
};

static struct sight sight_of(const struct plan *p, const struct owners *o, const struct exchange_set *s, size_t i)
{
    const struct exchange_line *l = &s->lines[i];
    const struct flow_row *flow = &l->flow->sum;
    uint64_t hash = exchange_asked_hash(&l->row, connections_hash(&flow->key));
    unsigned outcome = column_has(&l->row.has, EXCHANGE_OUTCOME) ? l->row.outcome : 0;
    bool missed = outcome == EXCHANGE_UNSEEN, running = outcome == EXCHANGE_RUNNING; /* elsewhere it may have ended */
    uint8_t rank = owners_rank(o, flow, l->row.time_ns, l->row.time_ns);
    return (struct sight){.hash = hash,
                          .numbered = hash + l->row.ordinal,
                          .time_ns = l->row.time_ns,
                          .line = (uint32_t)i,
                          .vantage = p->places.place[flow->key.interface].vantage,
                          .rank = (uint8_t)(running << 3 | missed << 2 | rank)};
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

/* `later` saw what `first` saw. */
static void unite(struct sight *first, struct sight *best, struct sight *later, uint32_t number)
{
    first->shared = best->shared = later->shared = true;
    if (later->rank < best->rank) {
        best->gone = true;
        first->best = number;
    } else {
        later->gone = true;
    }
}

static bool is_near(const struct sight *early, const struct sight *late)
{
    return late->time_ns - early->time_ns <= CONNECTION_SLACK_NS;
}

/* Whether s[i] may be of what s[first] saw: no other of its vantage is. */
static bool takes(const struct sight *s, size_t first, size_t i)
{
    if (s[first].first != first || !is_near(&s[first], &s[i]))
        return false;
    for (size_t k = first; k < i; k++)
        if (s[k].first == first && s[k].vantage == s[i].vantage)
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
        s[i].first = s[i].best = (uint32_t)first;
        if (first < i)
            unite(&s[first], &s[s[first].best], &s[i], (uint32_t)i);
    }
}

/* Of the same question alone, what nobody else has by number: a vantage that came later counts from another one. Those that wait for another vantage are
 * all of one. */
static void join_rest(struct sight *s, size_t n)
{
    size_t oldest = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i].shared)
            continue;
        while (oldest < i && (s[oldest].shared || !is_near(&s[oldest], &s[i])))
            oldest++;
        if (oldest < i && s[oldest].vantage != s[i].vantage)
            unite(&s[oldest], &s[oldest], &s[i], (uint32_t)i);
    }
}

static void join_all(struct sight *s, size_t count)
{
    qsort(s, count, sizeof *s, by_number);
    for (size_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && s[i + n].numbered == s[i].numbered;)
            n++;
        join_numbered(&s[i], n);
    }
    qsort(s, count, sizeof *s, by_hash);
    for (size_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && s[i + n].hash == s[i].hash;)
            n++;
        join_rest(&s[i], n);
    }
}

static int by_line(const void *a, const void *b)
{
    const struct sight *x = a, *y = b;
    return x->line < y->line ? -1 : x->line > y->line;
}

/* Leaves the lines that are taken, or with `all` every one. */
static void leave(struct exchange_set *set, struct sight *s, bool all, uint64_t *shared)
{
    size_t left = 0;
    qsort(s, set->count, sizeof *s, by_line);
    for (size_t i = 0; i < set->count; i++) {
        if (s[i].gone && !all)
            continue;
        *shared += s[i].shared;
        set->lines[left++] = set->lines[i];
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
    int r = sights ? owners_new(p, &owners, e) : error_set(e, ERROR_MEMORY, "no memory for %zu exchanges", s->count);
    if (r == 0) {
        for (size_t i = 0; i < s->count; i++)
            sights[i] = sight_of(p, owners, s, i);
        join_all(sights, s->count);
        leave(s, sights, all, shared);
    }
    owners_free(owners);
    free(sights);
    return r;
}
