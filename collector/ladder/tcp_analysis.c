/* A segment's way: what begins, the rules, what is remembered, what its options say of those that follow. */
#include "collector/ladder/tcp_inside.h"
#include <stdlib.h>

/* ------------------------------------------------------------------ acks */

static void count_duplicates(const struct tcp_step *p, struct tcp_reading *out)
{
    struct tcp_side *its = p->its;
    if (p->found & TCP_DUPLICATE_ACK) {
        its->duplicates = its->duplicates == UNSEEN_SAID ? 1 : its->duplicates + 1;
        out->duplicate = its->duplicates;
        out->duplicate_of = its->first_of_ack;
    }
    if (p->s->ack != its->last_ack) {
        its->first_of_ack = p->s->number;
        its->duplicates = 0;
    }
}

/* An ack of what was not seen. The boundary moves on, so that it is said once; where it cannot, because the other end
 * sends nothing but acks, its counter of duplicates tells that it was said. */
static void judge_ack(struct tcp_step *p)
{
    struct tcp_side *other = p->other;
    if (!other->gapless || !tcp_before(other->gapless, p->s->ack) || !(p->s->flags & TCP_ACK))
        return;
    if (tcp_before(other->gapless, other->next)) {
        other->gapless = other->next;
        p->found |= TCP_ACK_LOST_SEGMENT;
        return;
    }
    if (other->duplicates == 0)
        p->found |= TCP_ACK_LOST_SEGMENT;
    other->duplicates = UNSEEN_SAID;
}

/* ------------------------------------------------------------------ a segment */

static void remember(const struct tcp_step *p, uint32_t next)
{
    struct tcp_side *its = p->its;
    bool counts = !(p->found & TCP_ZERO_WINDOW_PROBE);
    if (counts && (!its->next || tcp_before(its->next, next))) {
        its->next = next;
        its->next_number = p->s->number;
        its->next_ns = p->s->time_ns;
    }
    if (counts && (!its->gapless || p->s->seq == its->gapless))
        its->gapless = its->next;
    its->last_window = p->s->window;
    its->last_ack = p->s->ack;
    its->last_ns = p->s->time_ns;
    its->last_findings = p->found;
    its->mptcp = p->a->mptcp;
}

static int analyze(struct tcp_step *p, struct tcp_reading *out, struct error *e)
{
    const struct tcp_segment *s = p->s;
    uint32_t next;
    if (s->flags & TCP_ACK)
        p->other->seen_whole = true;
    tcp_rules_alone(p);
    if (p->found & TCP_LOST_SEGMENT)
        p->its->seen_whole = false;
    count_duplicates(p, out);
    judge_ack(p);
    if (s->length > 0 || tcp_takes_number(s))
        tcp_rules_again(p);
    if ((p->found & (TCP_RETRANSMISSION | TCP_FAST_RETRANSMISSION | TCP_SPURIOUS_RETRANSMISSION)) == TCP_RETRANSMISSION)
        tcp_flight_find_rto(p, out);
    int r = tcp_flight_keep(p, &next, e);
    if (r)
        return r;
    remember(p, next);
    tcp_flight_take_acks(p, out);
    tcp_flight_count(p, out);
    return 0;
}

/* ------------------------------------------------------------------ the connection */

static void begin(struct tcp_analysis *a)
{
    for (unsigned i = 0; i < 2; i++) {
        struct tcp_unacked *kept = a->side[i].unacked;
        uint32_t room = a->side[i].unacked_room;
        a->side[i] = (struct tcp_side){.last_window = UINT32_MAX,
                                       .scale = SCALE_UNKNOWN,
                                       .seen_whole = true,
                                       .unacked = kept,
                                       .unacked_room = room};
    }
    a->syn_ns = 0;
    a->handshake_ns = 0;
    a->mptcp_known = false;
    a->mptcp = 0;
}

/* A SYN that comes again: an RST may have made next what the other end expected, so it is as after the first. */
static void look_at_syn(struct tcp_analysis *a, struct tcp_step *p)
{
    struct tcp_side *its = p->its;
    bool other_number = its->has_base && its->base != p->s->seq;
    if (!(p->s->flags & TCP_SYN) || !its->has_base)
        return;
    if (!(p->s->flags & TCP_ACK) && other_number)
        begin(a);
    else if (!(p->s->flags & TCP_ACK))
        its->next = its->gapless;
    else if (other_number)
        its->base = p->s->seq;
    if (other_number)
        p->found |= TCP_REUSED_PORTS;
}

static void find_bases(const struct tcp_step *p)
{
    const struct tcp_segment *s = p->s;
    if (!p->its->has_base) {
        p->its->base = s->flags & TCP_SYN ? s->seq : s->seq - 1;
        p->its->has_base = true;
    }
    if (!p->other->has_base && (s->flags & TCP_ACK)) {
        p->other->base = s->ack - 1;
        p->other->has_base = true;
    }
}

static void note_handshake(struct tcp_analysis *a, const struct tcp_step *p)
{
    unsigned flags = p->s->flags & (TCP_SYN | TCP_ACK);
    if (flags == TCP_SYN)
        a->syn_ns = p->s->time_ns;
    if (flags == TCP_ACK && a->syn_ns && !a->handshake_ns)
        a->handshake_ns = (int64_t)tcp_since(p->s, a->syn_ns);
    if (flags & TCP_SYN)
        p->its->unscaled_yet = true;
    else if (flags == TCP_ACK)
        p->its->unscaled_yet = false;
}

/* Windows are scaled if both SYNs say so (RFC 7323, 2.2). */
static void note_options(struct tcp_analysis *a, const struct tcp_step *p)
{
    struct tcp_side *its = p->its;
    if (p->s->scale >= 0)
        its->scale = p->s->scale;
    its->sacks = p->s->sacks;
    its->sack_bytes = p->s->sack_bytes;
    a->mptcp_known = a->mptcp_known || p->s->mptcp;
    a->mptcp |= p->s->mptcp;
    if (!(p->s->flags & TCP_SYN))
        return;
    if (its->scale == SCALE_UNKNOWN)
        its->scale = p->other->scale = SCALE_NONE;
    else if ((p->s->flags & TCP_ACK) && p->other->scale == SCALE_NONE)
        its->scale = SCALE_NONE;
}

static void read_numbers(const struct tcp_step *p, struct tcp_reading *out)
{
    const struct tcp_segment *s = p->s;
    bool scale = p->its->scale >= 0 && !(s->flags & TCP_SYN);
    out->seq = s->seq - (p->its->has_base ? p->its->base : 0);
    out->ack = s->flags & TCP_ACK && p->other->has_base ? s->ack - p->other->base : s->ack;
    out->next = s->whole ? out->seq + s->length + tcp_takes_number(s) : 0;
    out->window = (uint32_t)s->window << (scale ? p->its->scale : 0);
    out->scaled = p->its->scale != SCALE_UNKNOWN || (s->flags & TCP_SYN);
}

int tcp_analysis_next(struct tcp_analysis *a, unsigned from, const struct tcp_segment *s, struct tcp_reading *out,
                      struct error *e)
{
    struct tcp_step p = {.s = s, .a = a, .its = &a->side[from], .other = &a->side[!from]};
    int r = 0;
    *out = (struct tcp_reading){0};
    look_at_syn(a, &p);
    p.its->sacks = 0;
    if (s->whole) {
        find_bases(&p);
        r = analyze(&p, out, e);
    }
    read_numbers(&p, out);
    out->findings = p.found;
    note_handshake(a, &p);
    note_options(a, &p);
    return r;
}

int64_t tcp_analysis_handshake_ns(const struct tcp_analysis *a)
{
    return a->handshake_ns;
}

int tcp_analysis_new(struct tcp_analysis **out, struct error *e)
{
    struct tcp_analysis *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(e, ERROR_MEMORY, "no memory for a connection");
    begin(a);
    *out = a;
    return 0;
}

void tcp_analysis_free(struct tcp_analysis *a)
{
    if (!a)
        return;
    free(a->side[0].unacked);
    free(a->side[1].unacked);
    free(a);
}
