/* Vantages from the client's to the server's, and rows in order of time. */
#include "collector/ladder/ladder_inside.h"
#include <stdlib.h>
#include <string.h>

/* Insertion sort: stable, and there are few. order[new] = old. */
static void find_order(const struct ladder *l, uint32_t order[LADDER_VANTAGES_MAX])
{
    for (uint32_t i = 0; i < l->vantages; i++) {
        uint32_t at = i;
        for (; at > 0 && l->vantage[order[at - 1]].away_ns > l->vantage[i].away_ns; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

static void move_vantages(struct ladder *l, const uint32_t order[LADDER_VANTAGES_MAX])
{
    struct ladder_vantage vantages[LADDER_VANTAGES_MAX];
    uint8_t now[LADDER_VANTAGES_MAX];
    memcpy(vantages, l->vantage, sizeof vantages);
    for (uint32_t i = 0; i < l->vantages; i++) {
        l->vantage[i] = vantages[order[i]];
        now[order[i]] = (uint8_t)i;
    }
    l->reference = now[l->reference]; /* cppcheck-suppress uninitvar ; one of the vantages, each of which has a place */
    for (uint32_t i = 0; i < l->sight_count; i++)
        l->sights[i].vantage = now[l->sights[i].vantage];
    for (uint32_t i = 0; i < l->row_count; i++) {
        uint32_t sights[LADDER_VANTAGES_MAX];
        memcpy(sights, l->rows[i].sight, sizeof sights);
        for (uint32_t v = 0; v < l->vantages; v++)
            l->rows[i].sight[now[v]] = sights[v];
    }
}

static void choose_main(struct ladder *l, struct ladder_row *row)
{
    row->main = row->sight[l->reference];
    for (uint32_t v = 0; row->main == LADDER_NONE; v++)
        row->main = row->sight[v];
    const struct ladder_sight *s = &l->sights[row->main];
    const struct ladder_vantage *v = &l->vantage[s->vantage];
    row->time_ns = s->time_ns - (uint64_t)v->ahead_ns - (uint64_t)(s->from == LADDER_CLIENT ? v->away_ns : -v->away_ns);
}

static int by_time(const void *a, const void *b)
{
    const struct ladder_row *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return x->main < y->main ? -1 : x->main > y->main;
}

void ladder_order(struct ladder *l)
{
    uint32_t order[LADDER_VANTAGES_MAX];
    find_order(l, order);
    move_vantages(l, order);
    for (uint32_t i = 0; i < l->row_count; i++)
        choose_main(l, &l->rows[i]);
    qsort(l->rows, l->row_count, sizeof *l->rows, by_time);
    for (uint32_t i = 0; i < l->row_count; i++)
        for (uint32_t v = 0; v < l->vantages; v++)
            for (uint32_t s = l->rows[i].sight[v]; s != LADDER_NONE; s = l->sights[s].more)
                l->sights[s].row = i;
}
