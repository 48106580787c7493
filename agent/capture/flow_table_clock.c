/*
 * flow_table_clock: ends flows by the clock of the packets, which is the greatest packet time so far. A flow waits in the bucket of the second in
 * which it would end had it no more packets; when that second passes, a flow that had some moves on to a later bucket. So a packet of a living
 * flow touches no list. Whether a flow has ended is judged exactly at its next packet, whatever its bucket says; so what flows there are
 * depends on the packets alone.
 */
#include "agent/capture/flow_table_impl.h"
#include "common/base/clock.h"

/* After this many packets in a row that are far older than the clock, it was the clock that was wrong. */
#define BEHIND_PACKETS 1000u
#define BEHIND_SECONDS 300u
#define SPARE_LOOKS    8u

void flow_timeouts_fill(struct flow_timeouts *t)
{
    static const uint64_t seconds[FLOW_TIMER_COUNT] = {
        [FLOW_TIMER_TCP_ATTEMPT] = FLOW_TIMEOUT_TCP_ATTEMPT,
        [FLOW_TIMER_TCP] = FLOW_TIMEOUT_TCP,
        [FLOW_TIMER_TCP_CLOSED] = FLOW_TIMEOUT_TCP_CLOSED,
        [FLOW_TIMER_UDP] = FLOW_TIMEOUT_UDP,
        [FLOW_TIMER_ICMP] = FLOW_TIMEOUT_ICMP,
        [FLOW_TIMER_OTHER] = FLOW_TIMEOUT_OTHER,
        [FLOW_TIMER_DNS_QUERY] = FLOW_TIMEOUT_DNS_QUERY,
    };
    for (size_t i = 0; i < FLOW_TIMER_COUNT; i++)
        if (!t->ns[i])
            t->ns[i] = seconds[i] * NS_PER_S;
}

void flow_end(struct flow_table *t, uint32_t index, uint8_t reason)
{
    struct flow *f = flow_at(&t->store, index);
    flow_touch(t, index);
    f->end_reason = reason;
    f->loss = flow_loss_of(t, f->key.interface) - f->loss;
    conversation_end(t->conversations, &f->conversation, f->id, f->last_ns, reason);
    if (t->last == index)
        t->last = 0;
    flow_store_end(&t->store, index);
}

uint8_t flow_end_reason(const struct flow *f)
{
    return f->timer == FLOW_TIMER_TCP_CLOSED ? FLOW_END_DETECTED : FLOW_END_IDLE;
}

/* The second after which it ends if it stays silent. */
static uint64_t due_second(const struct flow_table *t, const struct flow *f)
{
    return (f->last_ns + t->options.timeouts.ns[f->timer]) / NS_PER_S + 1;
}

void flow_schedule(struct flow_table *t, uint32_t index)
{
    uint64_t second = due_second(t, flow_at(&t->store, index));
    if (second <= t->second)
        second = t->second + 1;
    if (second > t->second + FLOW_BUCKETS - 1)
        second = t->second + FLOW_BUCKETS - 1; /* from there it moves on */
    flow_store_schedule(&t->store, index, second);
}

/* While flows of a bucket end, the next ones are fetched in two steps, the flow first and then, when its hash is there, its place in the
 * table. */
static void fetch_ends(const struct flow_table *t, uint32_t next)
{
    if (!next)
        return;
    const struct flow *f = flow_at(&t->store, next);
    flow_store_prefetch(&t->store, f->hash);
    if (f->next)
        flow_prefetch(flow_at(&t->store, f->next));
}

/* Ends or moves on all flows of the bucket; false if the chunk is full. */
static bool bucket_done(struct flow_table *t, uint64_t second, uint64_t now_ns)
{
    uint32_t next;
    for (uint32_t i = t->store.buckets[second % FLOW_BUCKETS]; i; i = next) {
        struct flow *f = flow_at(&t->store, i);
        next = f->next;
        fetch_ends(t, next);
        if (!flow_is_over(t, f, now_ns)) {
            flow_schedule(t, i);
            continue;
        }
        if (flow_rows_full(t))
            return false;
        flow_end(t, i, flow_end_reason(f));
    }
    return true;
}

/* The clock was set back: every flow is looked at within the next second. */
static void clock_back(struct flow_table *t, uint64_t now_ns)
{
    uint64_t second = now_ns / NS_PER_S;
    t->second = second;
    t->now_ns = now_ns;
    t->behind = 0;
    for (uint32_t b = 0; b < FLOW_BUCKETS; b++) {
        uint32_t i = t->store.buckets[b];
        while (i && b != (second + 1) % FLOW_BUCKETS) {
            uint32_t next = flow_at(&t->store, i)->next;
            flow_store_schedule(&t->store, i, second + 1);
            i = next;
        }
    }
}

/* What waits in flows that go on; false if the chunk is full. */
static bool tell_overdue(struct flow_table *t, uint64_t now_ns)
{
    uint32_t index;
    while (conversations_due(t->conversations, now_ns, &index)) {
        struct flow *f = flow_at(&t->store, index);
        if (flow_rows_full(t))
            return false;
        flow_touch(t, index);
        conversation_overdue(t->conversations, &f->conversation, f->id, now_ns);
    }
    return true;
}

bool flow_table_advance(struct flow_table *t, uint64_t time_ns)
{
    uint64_t second = time_ns / NS_PER_S;
    if (flow_rows_full(t))
        return false;
    if (!t->started) {
        t->second = second;
        t->started = true;
    }
    if (time_ns > t->now_ns)
        t->now_ns = time_ns;
    if (second == t->second)
        return true;
    if (second + BEHIND_SECONDS < t->second) {
        if (++t->behind >= BEHIND_PACKETS)
            clock_back(t, time_ns);
        return true;
    }
    t->behind = 0;
    if (second > t->second + FLOW_BUCKETS)
        t->second = second - FLOW_BUCKETS; /* all buckets once are enough */
    if (t->second < second && !tell_overdue(t, time_ns))
        return false;
    while (t->second < second) {
        uint64_t due = t->second + 1;
        t->second = due; /* what moves on goes behind it */
        if (!bucket_done(t, due, time_ns)) {
            t->second = due - 1;
            return false;
        }
    }
    return !flow_rows_full(t);
}

/* The one that can be spared longest, but for those that had packets since they came to the end of the queue: these go there again. */
static uint32_t choose_spare(struct flow_table *t)
{
    for (unsigned i = 0; i < SPARE_LOOKS; i++) {
        uint32_t index = flow_store_first_spare(&t->store);
        const struct flow *f = flow_at(&t->store, index);
        if (!index || f->last_ns == f->spare_ns)
            return index;
        flow_store_spare(&t->store, index);
    }
    return flow_store_first_spare(&t->store);
}

static uint32_t choose_nearest(struct flow_table *t)
{
    for (uint64_t second = t->second + 1; second <= t->second + FLOW_BUCKETS; second++) {
        uint32_t next;
        for (uint32_t i = t->store.buckets[second % FLOW_BUCKETS]; i; i = next) {
            struct flow *f = flow_at(&t->store, i);
            next = f->next;
            if (due_second(t, f) <= second || second + 1 >= t->second + FLOW_BUCKETS)
                return i;
            flow_schedule(t, i); /* it had packets since, or is due behind all buckets */
        }
    }
    return 0;
}

/* While the table is full, the next ones are soon to end, too: fetched likewise. */
static void fetch_spares(const struct flow_table *t)
{
    uint32_t next = flow_store_first_spare(&t->store);
    if (!next)
        return;
    const struct flow *f = flow_at(&t->store, next);
    flow_store_prefetch(&t->store, f->hash);
    if (f->spare_next)
        flow_prefetch(flow_at(&t->store, f->spare_next));
}

void flow_end_one(struct flow_table *t)
{
    uint32_t index = choose_spare(t);
    if (!index)
        index = choose_nearest(t);
    if (!index)
        return;
    bool over = flow_at(&t->store, index)->timer == FLOW_TIMER_TCP_CLOSED;
    flow_end(t, index, over ? FLOW_END_DETECTED : FLOW_END_RESOURCES);
    t->resources += !over;
    fetch_spares(t);
}

bool flow_table_end(struct flow_table *t, uint8_t reason)
{
    if (!tell_overdue(t, t->now_ns))
        return false;
    for (uint32_t b = 0; b < FLOW_BUCKETS; b++)
        while (t->store.buckets[b]) {
            if (flow_rows_full(t))
                return false;
            uint32_t i = t->store.buckets[b];
            const struct flow *f = flow_at(&t->store, i);
            fetch_ends(t, f->next);
            flow_end(t, i, f->timer == FLOW_TIMER_TCP_CLOSED ? (uint8_t)FLOW_END_DETECTED : reason);
        }
    return true;
}
