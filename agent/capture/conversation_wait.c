/*
 * conversation_wait: who waits, longest first: a heap, leftist, so that any of them comes and goes in a number of steps that is the logarithm of how
 * many there are, whatever times their packets claim.
 */
#include "agent/capture/conversation_impl.h"
#include <assert.h>

static uint32_t way_down(const struct waiter *w)
{
    return w ? w->way_down : 0;
}

/* The shorter way down is the right one. Whether it is another than before. */
static bool settle(struct waiter *w)
{
    struct waiter *left = w->below[0], *right = w->below[1];
    uint32_t before = w->way_down;
    if (way_down(left) < way_down(right)) {
        w->below[0] = right;
        w->below[1] = left;
    }
    w->way_down = way_down(w->below[1]) + 1;
    return w->way_down != before;
}

/* Along their right sides alone, which are short. */
static struct waiter *merge(struct waiter *a, struct waiter *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->since_ns < a->since_ns) {
        struct waiter *later = a;
        a = b;
        b = later;
    }
    a->below[1] = merge(a->below[1], b);
    a->below[1]->above = a;
    (void)settle(a);
    return a;
}

static void put_on_top(struct conversations *all, struct waiter *w)
{
    all->waiting = w;
    if (w)
        w->above = NULL;
}

void conversation_wait(struct hearing *h, struct waiter *w, uint64_t since_ns)
{
    *w = (struct waiter){.since_ns = since_ns, .way_down = 1, .flow = h->v->flow};
    put_on_top(h->all, merge(h->all->waiting, w));
}

void conversation_wait_no_more(struct conversations *all, struct waiter *w)
{
    struct waiter *above = w->above, *rest = merge(w->below[0], w->below[1]);
    if (!above) {
        put_on_top(all, rest);
        return;
    }
    above->below[above->below[1] == w] = rest;
    if (rest)
        rest->above = above;
    while (above && settle(above))
        above = above->above;
}

bool conversations_due(const struct conversations *all, uint64_t now_ns, uint32_t *flow)
{
    const struct waiter *w = all->waiting;
    if (!w || exchange_since(now_ns, w->since_ns) <= all->options.dns_wait_ns)
        return false;
    *flow = w->flow;
    return true;
}

void conversation_overdue(struct conversations *all, struct conversation_place *place, uint64_t flow_id,
                          uint64_t now_ns)
{
    struct conversation *v = place->it;
    struct waiter *w = all->waiting;
    struct hearing h = {.all = all, .v = v, .flow_id = flow_id, .time_ns = now_ns, .first_ns = now_ns};
    assert(w->flow == v->flow);
    v->place = place;
    v->reader->overdue(&h, w);
    assert(all->waiting != w);
}
