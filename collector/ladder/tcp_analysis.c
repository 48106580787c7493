/* tcp_analysis: the findings, and around them the segments without ack. */
#include "collector/ladder/tcp_analysis.h"

#include "collector/ladder/tcp_flight.h"
#include <stdlib.h>

struct tcp_analysis {
    struct tcp_talk talk;
    struct tcp_flight flight[2]; /* by sender */
};

static bool begins_anew(const struct tcp_found *found, const struct tcp_segment *s)
{
    return (found->findings & TCP_REUSED_PORTS) && !(s->flags & TCP_ACK);
}

static void read_numbers(const struct tcp_analysis *a, unsigned from, const struct tcp_segment *s,
                         const struct tcp_found *found, struct tcp_reading *out)
{
    const struct tcp_side *its = &a->talk.side[from], *other = &a->talk.side[!from];
    out->seq = s->seq - (its->has_base ? its->base : 0);
    out->ack = s->flags & TCP_ACK && other->has_base ? s->ack - other->base : s->ack;
    out->next = s->whole ? out->seq + s->length + tcp_takes_number(s) : 0;
    out->window = found->window;
    out->scaled = found->scaled;
    out->findings = found->findings;
    out->duplicate = found->duplicate;
    out->duplicate_of = found->duplicate_of;
}

static bool is_by_timeout(uint16_t findings)
{
    return (findings & (TCP_RETRANSMISSION | TCP_FAST_RETRANSMISSION | TCP_SPURIOUS_RETRANSMISSION)) ==
           TCP_RETRANSMISSION;
}

/* `before`: its sender as it was before the segment. */
static int follow_flight(struct tcp_analysis *a, unsigned from, const struct tcp_side *before,
                         const struct tcp_segment *s, struct tcp_reading *out, struct error *e)
{
    struct tcp_flight *own = &a->flight[from], *others = &a->flight[!from];
    if (is_by_timeout(out->findings))
        tcp_flight_find_rto(own, before, s, out);
    int r = tcp_flight_keep(own, s, e);
    if (r)
        return r;
    tcp_flight_take_acks(others, s, out);
    tcp_flight_count(own, others, &a->talk.side[from], s, out);
    return 0;
}

int tcp_analysis_next(struct tcp_analysis *a, unsigned from, const struct tcp_segment *s, struct tcp_reading *out,
                      struct error *e)
{
    const struct tcp_side before = a->talk.side[from];
    struct tcp_found found;
    *out = (struct tcp_reading){0};
    tcp_talk_next(&a->talk, from, s, !tcp_flight_is_full(&a->flight[from]), &found);
    if (begins_anew(&found, s)) {
        tcp_flight_begin(&a->flight[0]);
        tcp_flight_begin(&a->flight[1]);
    }
    read_numbers(a, from, s, &found, out);
    int r = s->whole ? follow_flight(a, from, &before, s, out, e) : 0;
    a->flight[from].sacks = s->sacks;
    a->flight[from].sack_bytes = s->sack_bytes;
    return r;
}

int64_t tcp_analysis_handshake_ns(const struct tcp_analysis *a)
{
    return a->talk.handshake_ns;
}

int tcp_analysis_new(struct tcp_analysis **out, struct error *e)
{
    struct tcp_analysis *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(e, ERROR_MEMORY, "no memory for a connection");
    tcp_talk_begin(&a->talk);
    *out = a;
    return 0;
}

void tcp_analysis_free(struct tcp_analysis *a)
{
    if (!a)
        return;
    tcp_flight_free(&a->flight[0]);
    tcp_flight_free(&a->flight[1]);
    free(a);
}
