/*
 * Segments that one vantage saw as a larger one. Rows that were not seen at a vantage, and rows that were seen only there,
 * stand in order of sequence number; a run of the latter that begins and ends where one of the former does is its parts.
 */
#include "collector/ladder/ladder_inside.h"
#include "common/base/clock.h"
#include <stdlib.h>
#include <string.h>

#define APART_MAX_NS ((int64_t)NS_PER_S) /* further apart is another transmission */
#define AGAIN_MAX    16u                 /* transmissions of one number that are looked at */

struct piece {
    uint32_t row, seq, end;
    uint8_t from;
    bool taken;
};

struct pieces {
    struct piece *items;
    uint32_t count;
};

static int by_seq(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Rows with data that `at` saw and `not_at` did not. */
static int collect(const struct ladder *l, uint32_t at, uint32_t not_at, struct pieces *p, struct error *e)
{
    p->count = 0;
    p->items = calloc(l->row_count + 1u, sizeof *p->items);
    if (!p->items)
        return error_set(e, ERROR_MEMORY, "no memory for %u packets", l->row_count);
    for (uint32_t i = 0; i < l->row_count; i++) {
        const struct ladder_sight *s = ladder_sight_at(l, &l->rows[i], at);
        if (s && s->has_tcp && s->segment.length && l->rows[i].sight[not_at] == LADDER_NONE)
            p->items[p->count++] = (struct piece){
                .row = i, .seq = s->segment.seq, .end = s->segment.seq + s->segment.length, .from = s->from};
    }
    qsort(p->items, p->count, sizeof *p->items, by_seq);
    return 0;
}

static int64_t here_ns(const struct ladder *l, uint32_t row, uint32_t vantage)
{
    const struct ladder_vantage *v = &l->vantage[vantage];
    const struct ladder_sight *s = ladder_sight_at(l, &l->rows[row], vantage);
    return (int64_t)s->time_ns - v->ahead_ns - (s->from == LADDER_CLIENT ? v->away_ns : -v->away_ns);
}

/* Whether a small one goes on, in number and time, where the run for a large one is. */
static bool fits(const struct ladder *l, const struct piece *small, uint32_t small_at, const struct piece *large,
                 uint32_t large_at, uint32_t seq)
{
    if (small->taken || small->from != large->from || small->seq != seq || small->end - seq > large->end - seq)
        return false;
    int64_t apart = here_ns(l, small->row, small_at) - here_ns(l, large->row, large_at);
    return apart < APART_MAX_NS && apart > -APART_MAX_NS;
}

static uint32_t lower_bound(const struct pieces *p, uint8_t from, uint32_t seq)
{
    uint32_t low = 0, high = p->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct piece *at = &p->items[middle];
        if (at->from < from || (at->from == from && at->seq < seq))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The small one that begins at seq, or NULL. */
static struct piece *next_piece(const struct ladder *l, struct pieces *small, uint32_t small_at,
                                const struct piece *large, uint32_t large_at, uint32_t seq)
{
    uint32_t first = lower_bound(small, large->from, seq);
    for (uint32_t i = first; i < small->count && i < first + AGAIN_MAX && small->items[i].seq == seq; i++)
        if (fits(l, &small->items[i], small_at, large, large_at, seq))
            return &small->items[i];
    return NULL;
}

/* Gives the sights of a run to the large one's row. */
static void join(struct ladder *l, struct pieces *small, uint32_t small_at, const struct piece *large,
                 uint32_t large_at)
{
    uint32_t *link = &l->rows[large->row].sight[small_at];
    for (uint32_t seq = large->seq; seq != large->end;) {
        struct piece *p = next_piece(l, small, small_at, large, large_at, seq);
        uint32_t sight = l->rows[p->row].sight[small_at];
        *link = sight;
        link = &l->sights[sight].more;
        l->sights[sight].row = large->row;
        l->rows[p->row].sight[small_at] = LADDER_NONE;
        p->taken = true;
        seq = p->end;
    }
}

/* At least two pieces from its beginning to its end. */
static bool whole_run(const struct ladder *l, struct pieces *small, uint32_t small_at, const struct piece *large,
                      uint32_t large_at)
{
    uint32_t n = 0;
    for (uint32_t seq = large->seq; seq != large->end; n++) {
        const struct piece *p = next_piece(l, small, small_at, large, large_at, seq);
        if (!p)
            return false;
        seq = p->end;
    }
    return n > 1;
}

static int join_at(struct ladder *l, uint32_t large_at, uint32_t small_at, struct error *e)
{
    struct pieces large = {0}, small = {0};
    int r = collect(l, large_at, small_at, &large, e);
    if (r == 0)
        r = collect(l, small_at, large_at, &small, e);
    for (uint32_t i = 0; r == 0 && i < large.count; i++)
        if (whole_run(l, &small, small_at, &large.items[i], large_at))
            join(l, &small, small_at, &large.items[i], large_at);
    free(large.items);
    free(small.items);
    return r;
}

static bool is_empty(const struct ladder *l, const struct ladder_row *row)
{
    for (uint32_t v = 0; v < l->vantages; v++)
        if (row->sight[v] != LADDER_NONE)
            return false;
    return true;
}

static void remove_empty(struct ladder *l)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->row_count; i++)
        if (!is_empty(l, &l->rows[i]))
            l->rows[kept++] = l->rows[i];
    l->row_count = kept;
}

int ladder_join_parts(struct ladder *l, struct error *e)
{
    int r = 0;
    for (uint32_t a = 0; r == 0 && a < l->vantages; a++)
        for (uint32_t b = 0; r == 0 && b < l->vantages; b++)
            if (a != b)
                r = join_at(l, a, b, e);
    remove_empty(l);
    return r;
}
