/*
 * Which sights are the same packet. Sights with equal keys make a group; most groups have one sight of each vantage,
 * and these tell how far the clocks differ, by which the others are then matched.
 */
#include "collector/ladder/ladder_inside.h"
#include <stdlib.h>
#include <string.h>

#define SAMPLES_MAX 4096u /* of each direction and vantage */
#define NEAREST_MAX 64u   /* larger groups are matched in order, whatever is missing */

/* ------------------------------------------------------------------ groups of equal keys */

struct entry {
    uint64_t key;
    uint32_t sight;
    uint8_t vantage;
};

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->vantage != y->vantage)
        return x->vantage < y->vantage ? -1 : 1;
    return x->sight < y->sight ? -1 : x->sight > y->sight;
}

static struct entry *sorted_entries(const struct ladder *l, struct error *e)
{
    struct entry *entries = calloc(l->sight_count + 1u, sizeof *entries);
    if (!entries) {
        (void)error_set(e, ERROR_MEMORY, "no memory for %u packets", l->sight_count);
        return NULL;
    }
    for (uint32_t i = 0; i < l->sight_count; i++)
        entries[i] = (struct entry){l->sights[i].key, i, l->sights[i].vantage};
    qsort(entries, l->sight_count, sizeof *entries, by_key);
    return entries;
}

static uint32_t group_length(const struct ladder *l, const struct entry *entries, uint32_t from)
{
    uint32_t n = 1;
    while (from + n < l->sight_count && entries[from + n].key == entries[from].key)
        n++;
    return n;
}

/* Of a group, where each vantage's entries begin and how many they are. */
struct group {
    const struct entry *first[LADDER_VANTAGES_MAX];
    uint32_t count[LADDER_VANTAGES_MAX];
    uint32_t most; /* vantage that has most */
};

static struct group group_of(const struct entry *entries, uint32_t n)
{
    struct group g = {.most = entries->vantage};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = entries[i].vantage;
        if (g.count[v]++ == 0)
            g.first[v] = &entries[i];
        if (g.count[v] > g.count[g.most])
            g.most = v;
    }
    return g;
}

/* ------------------------------------------------------------------ clocks */

struct samples {
    int64_t ns[SAMPLES_MAX];
    uint32_t count;
};

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t median(struct samples *s)
{
    qsort(s->ns, s->count, sizeof s->ns[0], by_value);
    return s->ns[s->count / 2];
}

/* Differences between a vantage and the reference, and between the hop limits there. */
struct pairs {
    struct samples way[2]; /* by direction */
    int64_t hops; /* how much less hop limit the vantage sees of the client's packets, or more of the server's */
};

static void note_pair(const struct ladder *l, const struct group *g, uint32_t v, struct pairs *p)
{
    if (g->count[v] != 1 || g->count[l->reference] != 1)
        return;
    const struct ladder_sight *here = &l->sights[g->first[v]->sight];
    const struct ladder_sight *there = &l->sights[g->first[l->reference]->sight];
    struct samples *way = &p->way[here->from];
    int hops = (int)there->hop_limit - here->hop_limit;
    p->hops += here->from == LADDER_CLIENT ? hops : -hops;
    if (way->count < SAMPLES_MAX)
        way->ns[way->count++] = (int64_t)(here->time_ns - there->time_ns);
}

/* With packets of one direction alone the clocks are believed. */
static void estimate(struct ladder_vantage *v, struct pairs *p)
{
    bool client = p->way[LADDER_CLIENT].count > 0, server = p->way[LADDER_SERVER].count > 0;
    int64_t there = client ? median(&p->way[LADDER_CLIENT]) : 0, back = server ? median(&p->way[LADDER_SERVER]) : 0;
    v->estimated = client && server;
    v->ahead_ns = v->estimated ? there / 2 + back / 2 : 0;
    v->away_ns = v->estimated ? there / 2 - back / 2 : there - back;
    if ((p->hops > 0 && v->away_ns <= 0) || (p->hops < 0 && v->away_ns >= 0))
        v->away_ns = p->hops > 0 ? 1 : -1; /* hop limits know better */
}

static int estimate_all(struct ladder *l, const struct entry *entries, struct error *e)
{
    struct pairs *pairs = malloc(sizeof *pairs);
    if (!pairs)
        return error_set(e, ERROR_MEMORY, "no memory to compare clocks");
    for (uint32_t v = 0; v < l->vantages; v++) {
        if (v == l->reference)
            continue;
        pairs->way[0].count = pairs->way[1].count = 0;
        pairs->hops = 0;
        for (uint32_t i = 0, n; i < l->sight_count; i += n) {
            n = group_length(l, entries, i);
            struct group g = group_of(&entries[i], n);
            note_pair(l, &g, v, pairs);
        }
        estimate(&l->vantage[v], pairs);
    }
    free(pairs);
    return 0;
}

/* ------------------------------------------------------------------ rows */

/* By the reference's clock, and moved to the reference's place. */
static int64_t place_in_time(const struct ladder *l, uint32_t sight)
{
    const struct ladder_sight *s = &l->sights[sight];
    const struct ladder_vantage *v = &l->vantage[s->vantage];
    int64_t way = s->from == LADDER_CLIENT ? v->away_ns : -v->away_ns;
    return (int64_t)s->time_ns - v->ahead_ns - way;
}

static void put(struct ladder *l, uint32_t row, uint32_t sight)
{
    l->rows[row].sight[l->sights[sight].vantage] = sight;
    l->sights[sight].row = row;
}

/* The row of the group that has no sight of this vantage yet and is nearest in time. */
static uint32_t nearest_row(const struct ladder *l, uint32_t first, uint32_t count, uint32_t most, uint32_t sight)
{
    uint32_t best = LADDER_NONE, v = l->sights[sight].vantage;
    uint64_t best_ns = UINT64_MAX;
    for (uint32_t i = first; i < first + count; i++) {
        if (l->rows[i].sight[v] != LADDER_NONE)
            continue;
        int64_t d = place_in_time(l, sight) - place_in_time(l, l->rows[i].sight[most]);
        uint64_t ns = (uint64_t)(d < 0 ? -d : d);
        if (best == LADDER_NONE || ns < best_ns) {
            best = i;
            best_ns = ns;
        }
    }
    return best;
}

static void make_rows(struct ladder *l, const struct group *g)
{
    uint32_t first = l->row_count, count = g->count[g->most];
    for (uint32_t i = 0; i < count; i++) {
        memset(&l->rows[l->row_count], 0, sizeof *l->rows);
        memset(l->rows[l->row_count].sight, 0xff, sizeof l->rows->sight);
        put(l, l->row_count++, g->first[g->most][i].sight);
    }
    for (uint32_t v = 0; v < l->vantages; v++)
        for (uint32_t i = 0; v != g->most && i < g->count[v]; i++) {
            uint32_t sight = g->first[v][i].sight;
            bool in_order = g->count[v] == count || count > NEAREST_MAX;
            put(l, in_order ? first + i : nearest_row(l, first, count, g->most, sight), sight);
        }
}

/* Where the handshake was seen, else most packets. */
static uint32_t choose_reference(const struct ladder *l)
{
    bool syn[LADDER_VANTAGES_MAX] = {false};
    uint32_t best = 0;
    for (uint32_t i = 0; i < l->sight_count; i++)
        if (l->sights[i].has_tcp && (l->sights[i].segment.flags & TCP_SYN))
            syn[l->sights[i].vantage] = true;
    for (uint32_t v = 1; v < l->vantages; v++)
        if (syn[v] != syn[best] ? syn[v] : l->vantage[v].sights > l->vantage[best].sights)
            best = v;
    return best;
}

int ladder_match(struct ladder *l, struct error *e)
{
    l->rows = calloc(l->sight_count + 1u, sizeof *l->rows);
    struct entry *entries = sorted_entries(l, e);
    int r = l->rows && entries ? 0 : error_set(e, ERROR_MEMORY, "no memory for %u packets", l->sight_count);
    l->reference = choose_reference(l);
    if (r == 0 && l->vantages > 1)
        r = estimate_all(l, entries, e);
    for (uint32_t i = 0, n; r == 0 && i < l->sight_count; i += n) {
        n = group_length(l, entries, i);
        struct group g = group_of(&entries[i], n);
        make_rows(l, &g);
    }
    free(entries);
    return r;
}
