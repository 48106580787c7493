#include "collector/ladder/tcp_flight.h"
#include <stdlib.h>

#define IN_FLIGHT_MOST 2000000000u /* more is a mistake */

void tcp_flight_begin(struct tcp_flight *f)
{
    *f = (struct tcp_flight){.unacked = f->unacked, .room = f->room};
}

void tcp_flight_free(struct tcp_flight *f)
{
    free(f->unacked);
}

bool tcp_flight_is_full(const struct tcp_flight *f)
{
    return f->count >= TCP_UNACKED_MAX;
}

static int grow(struct tcp_flight *f, struct error *e)
{
    uint32_t room = f->room ? 2 * f->room : 16;
    struct tcp_unacked *grown = realloc(f->unacked, room * sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for %u segments without ack", room);
    f->unacked = grown;
    f->room = room;
    return 0;
}

int tcp_flight_keep(struct tcp_flight *f, const struct tcp_segment *s, struct error *e)
{
    if ((s->length == 0 && !tcp_takes_number(s)) || tcp_flight_is_full(f))
        return 0;
    if (f->count == f->room && grow(f, e))
        return ERROR_MEMORY;
    f->unacked[f->count++] = (struct tcp_unacked){
        .time_ns = s->time_ns, .number = s->number, .seq = s->seq, .next = s->seq + s->length + tcp_takes_number(s)};
    return 0;
}

void tcp_flight_take_acks(struct tcp_flight *others, const struct tcp_segment *s, struct tcp_reading *out)
{
    uint32_t kept = 0;
    for (uint32_t i = others->count; i-- > 0;) {
        const struct tcp_unacked *u = &others->unacked[i];
        if (u->next == s->ack) {
            out->acks = u->number;
            out->acks_after_ns = (int64_t)(s->time_ns - u->time_ns);
        }
    }
    for (uint32_t i = 0; i < others->count; i++) {
        struct tcp_unacked u = others->unacked[i];
        if (!tcp_before(s->ack, u.next))
            continue;
        if (tcp_before(u.seq, s->ack))
            u.seq = s->ack;
        others->unacked[kept++] = u;
    }
    others->count = kept;
}

static uint32_t in_flight(const struct tcp_flight *f, const struct tcp_flight *others, uint32_t base)
{
    uint32_t first = UINT32_MAX, last = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t from = f->unacked[i].seq - base, to = f->unacked[i].next - base;
        first = from < first ? from : first;
        last = to > last ? to : last;
    }
    return last - first - (others->sacks ? others->sack_bytes : 0);
}

void tcp_flight_count(struct tcp_flight *f, const struct tcp_flight *others, const struct tcp_side *its,
                      const struct tcp_segment *s, struct tcp_reading *out)
{
    if (s->length == 0 || !f->count || !its->seen_whole)
        return;
    uint32_t bytes = in_flight(f, others, its->base);
    if (bytes > 0 && bytes < IN_FLIGHT_MOST)
        out->in_flight = bytes - tcp_takes_number(s);
    f->pushed = f->push_last ? s->length : f->pushed + s->length;
    f->push_last = (s->flags & TCP_PSH) != 0;
    out->pushed = f->pushed;
}

void tcp_flight_find_rto(const struct tcp_flight *f, const struct tcp_side *its, const struct tcp_segment *s,
                         struct tcp_reading *out)
{
    out->rto_of = f->count ? f->unacked[0].number : its->next_number;
    out->rto_ns = (int64_t)(s->time_ns - (f->count ? f->unacked[0].time_ns : its->next_ns));
}
