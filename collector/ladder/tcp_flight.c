/* Segments without ack: when they are answered, how much is in flight, which one a retransmission repeats. */
#include "collector/ladder/tcp_inside.h"
#include <stdlib.h>

#define IN_FLIGHT_MOST 2000000000u /* more is a mistake */

static int grow(struct tcp_side *its, struct error *e)
{
    uint32_t room = its->unacked_room ? 2 * its->unacked_room : 16;
    struct tcp_unacked *grown = realloc(its->unacked, room * sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for %u segments without ack", room);
    its->unacked = grown;
    its->unacked_room = room;
    return 0;
}

int tcp_flight_keep(struct tcp_step *p, uint32_t *next, struct error *e)
{
    struct tcp_side *its = p->its;
    *next = p->s->seq + p->s->length;
    if ((p->s->length == 0 && !tcp_takes_number(p->s)) || its->unacked_count >= TCP_UNACKED_MAX)
        return 0;
    if (its->unacked_count == its->unacked_room && grow(its, e))
        return ERROR_MEMORY;
    *next += tcp_takes_number(p->s);
    its->unacked[its->unacked_count++] =
        (struct tcp_unacked){.time_ns = p->s->time_ns, .number = p->s->number, .seq = p->s->seq, .next = *next};
    return 0;
}

void tcp_flight_take_acks(const struct tcp_step *p, struct tcp_reading *out)
{
    struct tcp_side *other = p->other;
    uint32_t ack = p->s->ack, kept = 0;
    for (uint32_t i = other->unacked_count; i-- > 0;) {
        const struct tcp_unacked *u = &other->unacked[i];
        if (u->next == ack) {
            out->acks = u->number;
            out->acks_after_ns = (int64_t)tcp_since(p->s, u->time_ns);
        }
    }
    for (uint32_t i = 0; i < other->unacked_count; i++) {
        struct tcp_unacked u = other->unacked[i];
        if (!tcp_before(ack, u.next))
            continue;
        if (tcp_before(u.seq, ack))
            u.seq = ack;
        other->unacked[kept++] = u;
    }
    other->unacked_count = kept;
}

/* From the first to the last number that its sender has without ack, and what the other end has selectively. */
static uint32_t in_flight(const struct tcp_step *p)
{
    const struct tcp_side *its = p->its;
    uint32_t first = UINT32_MAX, last = 0;
    for (uint32_t i = 0; i < its->unacked_count; i++) {
        uint32_t from = its->unacked[i].seq - its->base, to = its->unacked[i].next - its->base;
        first = from < first ? from : first;
        last = to > last ? to : last;
    }
    return last - first - (p->other->sacks ? p->other->sack_bytes : 0);
}

void tcp_flight_count(const struct tcp_step *p, struct tcp_reading *out)
{
    struct tcp_side *its = p->its;
    if (p->s->length == 0 || !its->unacked_count || !its->seen_whole)
        return;
    uint32_t bytes = in_flight(p);
    if (bytes > 0 && bytes < IN_FLIGHT_MOST)
        out->in_flight = bytes - tcp_takes_number(p->s);
    its->pushed = its->push_last ? p->s->length : its->pushed + p->s->length;
    its->push_last = (p->s->flags & TCP_PSH) != 0;
    out->pushed = its->pushed;
}

void tcp_flight_find_rto(const struct tcp_step *p, struct tcp_reading *out)
{
    const struct tcp_side *its = p->its;
    bool kept = its->unacked_count > 0;
    out->rto_of = kept ? its->unacked[0].number : its->next_number;
    out->rto_ns = (int64_t)tcp_since(p->s, kept ? its->unacked[0].time_ns : its->next_ns);
}
