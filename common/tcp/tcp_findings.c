/* tcp_findings: a segment's way: what begins, the rules, what is remembered, what its options say of those that follow. */
#include "common/tcp/tcp_inside.h"

#define UNSEEN_SAID UINT32_MAX /* in place of a number of duplicates: an ack_lost_segment was found */

/* ------------------------------------------------------------------ acks */

static void count_duplicates(const struct tcp_step *p, struct tcp_found *out)
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
    its->mptcp = p->t->mptcp;
}

static void analyze(struct tcp_step *p, bool counts, struct tcp_found *out)
{
    const struct tcp_segment *s = p->s;
    if (s->flags & TCP_ACK)
        p->other->seen_whole = true;
    bool ordinary = tcp_rules_find_nothing(p);
    if (!ordinary)
        tcp_rules_alone(p);
    if (p->found & TCP_LOST_SEGMENT)
        p->its->seen_whole = false;
    count_duplicates(p, out);
    judge_ack(p);
    if (!ordinary && (s->length > 0 || tcp_takes_number(s)))
        tcp_rules_again(p);
    remember(p, s->seq + s->length + (counts && tcp_takes_number(s)));
}

/* ------------------------------------------------------------------ the connection */

void tcp_talk_begin(struct tcp_talk *t)
{
    const struct tcp_side side = {.last_window = UINT32_MAX, .scale = SCALE_UNKNOWN, .seen_whole = true};
    *t = (struct tcp_talk){.side = {side, side}};
}

/* A SYN that comes again: an RST may have made next what the other end expected, so it is as after the first. */
static void look_at_syn(struct tcp_talk *t, struct tcp_step *p)
{
    struct tcp_side *its = p->its;
    bool other_number = its->has_base && its->base != p->s->seq;
    if (!(p->s->flags & TCP_SYN) || !its->has_base)
        return;
    if (!(p->s->flags & TCP_ACK) && other_number)
        tcp_talk_begin(t);
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

static void note_handshake(struct tcp_talk *t, const struct tcp_step *p)
{
    unsigned flags = p->s->flags & (TCP_SYN | TCP_ACK);
    if (flags == TCP_SYN)
        t->syn_ns = p->s->time_ns;
    if (flags == TCP_ACK && t->syn_ns && !t->handshake_ns)
        t->handshake_ns = (int64_t)tcp_since(p->s, t->syn_ns);
    if (flags & TCP_SYN)
        p->its->unscaled_yet = true;
    else if (flags == TCP_ACK)
        p->its->unscaled_yet = false;
}

/* Windows are scaled if both SYNs say so (RFC 7323, 2.2). */
static void note_options(struct tcp_talk *t, const struct tcp_step *p)
{
    struct tcp_side *its = p->its;
    if (p->s->scale >= 0)
        its->scale = p->s->scale;
    t->mptcp_known = t->mptcp_known || p->s->mptcp;
    t->mptcp |= p->s->mptcp;
    if (!(p->s->flags & TCP_SYN))
        return;
    if (its->scale == SCALE_UNKNOWN)
        its->scale = p->other->scale = SCALE_NONE;
    else if ((p->s->flags & TCP_ACK) && p->other->scale == SCALE_NONE)
        its->scale = SCALE_NONE;
}

static void read_window(const struct tcp_step *p, struct tcp_found *out)
{
    bool syn = p->s->flags & TCP_SYN, scale = p->its->scale >= 0 && !syn;
    out->window = (uint32_t)p->s->window << (scale ? p->its->scale : 0);
    out->scaled = p->its->scale != SCALE_UNKNOWN || syn;
}

void tcp_talk_next(struct tcp_talk *t, unsigned from, const struct tcp_segment *s, bool counts, struct tcp_found *out)
{
    struct tcp_step p = {.s = s, .t = t, .its = &t->side[from], .other = &t->side[!from]};
    *out = (struct tcp_found){0};
    look_at_syn(t, &p);
    if (s->whole) {
        find_bases(&p);
        analyze(&p, counts, out);
    }
    read_window(&p, out);
    out->findings = p.found;
    note_handshake(t, &p);
    note_options(t, &p);
}
