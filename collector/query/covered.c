#include "collector/query/covered.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

#define NEIGHBOURS 64u /* flows of one key that one is compared with: before and behind it in time */

struct seen {
    struct flow_set_entry *flow;
    uint64_t hash; /* of key and agent */
    uint32_t place, vantage;
    bool any;  /* the vantage is */
    bool kept; /* its capture keeps packets */
};

static uint64_t key_hash(const struct flow_key *key, const char *agent)
{
    struct flow_key plain = *key;
    plain.interface = 0;
    return hash64_seed(&plain, sizeof plain, hash64_table(agent, strlen(agent)));
}

/* Those without packets first: of two that are alike the one with packets is left. */
static int by_key(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->flow->sum.first_ns != y->flow->sum.first_ns)
        return x->flow->sum.first_ns < y->flow->sum.first_ns ? -1 : 1;
    if (x->kept != y->kept)
        return x->kept ? 1 : -1;
    return x->place < y->place ? -1 : x->place > y->place;
}

bool covered_in_time(const struct plan *p, const struct flow_row *flow, const struct flow_row *by, uint64_t slack_ns)
{
    uint64_t first = flow->first_ns > p->q->since_ns ? flow->first_ns : p->q->since_ns;
    uint64_t last = flow->last_ns < p->q->until_ns ? flow->last_ns : p->q->until_ns;
    return by->first_ns <= first + slack_ns && last <= by->last_ns + slack_ns;
}

/* Beyond the question's time chunks may reach differently far. */
static bool has_its_packets(const struct plan *p, const struct flow_row *flow, const struct flow_row *by)
{
    bool sticks_out = flow->first_ns < p->q->since_ns || flow->last_ns > p->q->until_ns;
    return sticks_out || (by->packets[0] >= flow->packets[0] && by->packets[1] >= flow->packets[1]);
}

static bool covers(const struct plan *p, const struct seen *flow, const struct seen *by, bool packets)
{
    if (by->hash != flow->hash || by->place == flow->place || !by->flow->selected || (packets && !by->kept))
        return false;
    if (by->vantage != flow->vantage && !(flow->any && !by->any))
        return false;
    return covered_in_time(p, &flow->flow->sum, &by->flow->sum, COVERED_SLACK_NS) &&
           has_its_packets(p, &flow->flow->sum, &by->flow->sum);
}

static bool is_covered(const struct plan *p, const struct seen *all, size_t count, size_t at, bool packets)
{
    size_t from = at > NEIGHBOURS ? at - NEIGHBOURS : 0, to = at + NEIGHBOURS < count ? at + NEIGHBOURS : count;
    for (size_t i = from; i < to; i++)
        if (covers(p, &all[at], &all[i], packets))
            return true;
    return false;
}

static size_t collect(struct plan *p, struct seen *all)
{
    size_t count = 0;
    for (size_t i = 0; i < flow_set_count(p->flows); i++) {
        struct flow_set_entry *f = flow_set_at(p->flows, i);
        const struct place *place = &p->places.place[f->sum.key.interface];
        const struct vantage *v = &p->places.vantage[place->vantage];
        if (f->selected)
            all[count++] = (struct seen){.flow = f,
                                         .hash = key_hash(&f->sum.key, v->agent),
                                         .place = f->sum.key.interface,
                                         .vantage = place->vantage,
                                         .any = vantage_is_any(v),
                                         .kept = place->keeps_packets};
    }
    return count;
}

bool covered_may(const struct plan *p)
{
    for (uint32_t i = 0; i < p->places.vantage_count; i++)
        if (p->places.vantage[i].streams > 1 || vantage_is_any(&p->places.vantage[i]))
            return true;
    return false;
}

int covered_unselect(struct plan *p, bool packets, struct error *e)
{
    if (!covered_may(p))
        return 0;
    struct seen *all = calloc(p->selected + 1, sizeof *all);
    if (!all)
        return error_set(e, ERROR_MEMORY, "no memory for %llu flows", (unsigned long long)p->selected);
    size_t count = collect(p, all);
    qsort(all, count, sizeof *all, by_key);
    for (size_t i = 0; i < count; i++)
        if (!(packets && all[i].kept) && is_covered(p, all, count, i, packets)) {
            all[i].flow->selected = false;
            p->selected--;
        }
    free(all);
    return 0;
}
