/*
 * The rules stand in two tables, in the order in which they are asked: what a segment says by itself, and why data comes
 * that came before. They only look; what is remembered changes afterwards.
 */
#include "common/tcp/tcp_inside.h"

#include "common/base/clock.h"
#include <stddef.h>

#define FAST_NS         (20 * NS_PER_MS)
#define OUT_OF_ORDER_NS (3 * NS_PER_MS)

const struct tcp_finding_name tcp_finding_names[] = {
    {TCP_REUSED_PORTS, "reused_ports", "ports reused"},
    {TCP_RETRANSMISSION, "retransmission", "retransmission"},
    {TCP_FAST_RETRANSMISSION, "fast_retransmission", "fast retransmission"},
    {TCP_SPURIOUS_RETRANSMISSION, "spurious_retransmission", "spurious retransmission"},
    {TCP_OUT_OF_ORDER, "out_of_order", "out of order"},
    {TCP_LOST_SEGMENT, "lost_segment", "segment before it not seen"},
    {TCP_ACK_LOST_SEGMENT, "ack_lost_segment", "acks a segment not seen"},
    {TCP_WINDOW_UPDATE, "window_update", "window update"},
    {TCP_WINDOW_FULL, "window_full", "window full"},
    {TCP_KEEP_ALIVE, "keep_alive", "keep-alive"},
    {TCP_KEEP_ALIVE_ACK, "keep_alive_ack", "keep-alive ack"},
    {TCP_DUPLICATE_ACK, "duplicate_ack", "duplicate ack"},
    {TCP_ZERO_WINDOW_PROBE, "zero_window_probe", "zero window probe"},
    {TCP_ZERO_WINDOW, "zero_window", "zero window"},
    {TCP_ZERO_WINDOW_PROBE_ACK, "zero_window_probe_ack", "zero window probe ack"},
    {0, NULL, NULL},
};

/* ------------------------------------------------------------------ what a segment says by itself */

static bool repeats(const struct tcp_step *p)
{
    return p->s->length == 0 && p->s->seq == p->its->next && p->s->ack == p->its->last_ack && tcp_is_plain(p->s);
}

static bool zero_window_probe(const struct tcp_step *p)
{
    return p->s->length == 1 && p->s->seq == p->its->next && p->other->last_window == 0;
}

static bool zero_window(const struct tcp_step *p)
{
    return p->s->window == 0 && tcp_is_plain(p->s);
}

static bool lost_segment(const struct tcp_step *p)
{
    return p->its->next && tcp_before(p->its->next, p->s->seq) && !(p->s->flags & TCP_RST);
}

static bool keep_alive(const struct tcp_step *p)
{
    return p->s->length <= 1 && p->s->seq == p->its->next - 1 && tcp_is_plain(p->s);
}

static bool window_update(const struct tcp_step *p)
{
    return repeats(p) && p->s->window && p->s->window != p->its->last_window;
}

static bool window_full(const struct tcp_step *p)
{
    const struct tcp_side *other = p->other;
    unsigned shift = other->unscaled_yet || other->scale < 0 ? 0 : (unsigned)other->scale;
    return p->s->length > 0 && other->scale != SCALE_UNKNOWN && tcp_is_plain(p->s) &&
           p->s->seq + p->s->length == other->last_ack + (other->last_window << shift);
}

static bool repeats_all(const struct tcp_step *p)
{
    return repeats(p) && p->s->window == p->its->last_window;
}

static bool keep_alive_ack(const struct tcp_step *p)
{
    return repeats_all(p) && p->s->window && (p->other->last_findings & TCP_KEEP_ALIVE);
}

static bool zero_window_probe_ack(const struct tcp_step *p)
{
    return repeats_all(p) && !p->s->window && (p->other->last_findings & TCP_ZERO_WINDOW_PROBE);
}

static bool duplicate_ack(const struct tcp_step *p)
{
    bool changed = p->t->mptcp_known && p->t->mptcp != p->its->mptcp;
    return repeats_all(p) && p->s->window && !changed;
}

/* ------------------------------------------------------------------ why data comes again */

static bool again(const struct tcp_step *p)
{
    const struct tcp_segment *s = p->s;
    return p->its->next && tcp_before(s->seq, p->its->next) && !(s->length > 1 && s->seq == p->its->next - 1);
}

static bool is_keep_alive(const struct tcp_step *p)
{
    return (p->found & TCP_KEEP_ALIVE) != 0;
}

static bool spurious(const struct tcp_step *p)
{
    return p->s->length > 0 && p->other->last_ack && (int32_t)(p->s->seq + p->s->length - p->other->last_ack) <= 0;
}

static bool fast(const struct tcp_step *p)
{
    return again(p) && p->other->duplicates >= 2 && p->other->last_ack == p->s->seq &&
           tcp_since(p->s, p->other->last_ns) < FAST_NS;
}

static bool out_of_order(const struct tcp_step *p)
{
    uint64_t most = p->t->handshake_ns ? (uint64_t)p->t->handshake_ns : OUT_OF_ORDER_NS;
    return again(p) && tcp_since(p->s, p->its->next_ns) < most &&
           p->its->next != p->s->seq + p->s->length + tcp_takes_number(p->s);
}

struct rule {
    uint16_t finding;
    bool ends; /* the rules behind it are not asked if it holds */
    bool (*holds)(const struct tcp_step *p);
};

static const struct rule alone[] = {
    {TCP_ZERO_WINDOW_PROBE, true, zero_window_probe}, {TCP_ZERO_WINDOW, false, zero_window},
    {TCP_LOST_SEGMENT, false, lost_segment},          {TCP_KEEP_ALIVE, false, keep_alive},
    {TCP_WINDOW_UPDATE, false, window_update},        {TCP_WINDOW_FULL, false, window_full},
    {TCP_KEEP_ALIVE_ACK, true, keep_alive_ack},       {TCP_ZERO_WINDOW_PROBE_ACK, true, zero_window_probe_ack},
    {TCP_DUPLICATE_ACK, true, duplicate_ack},         {0},
};

static const struct rule repeated[] = {
    {0, true, is_keep_alive},
    {TCP_SPURIOUS_RETRANSMISSION | TCP_RETRANSMISSION, true, spurious},
    {TCP_FAST_RETRANSMISSION | TCP_RETRANSMISSION, true, fast},
    {TCP_OUT_OF_ORDER, true, out_of_order},
    {TCP_RETRANSMISSION, true, again},
    {0},
};

bool tcp_rules_find_nothing(const struct tcp_step *p)
{
    const struct tcp_segment *s = p->s;
    return s->seq == p->its->next && s->window && p->other->last_window && tcp_is_plain(s) &&
           (s->length ? !window_full(p) && !spurious(p) : s->ack != p->its->last_ack);
}

static void ask(const struct rule *rules, struct tcp_step *p)
{
    for (const struct rule *r = rules; r->holds; r++)
        if (r->holds(p)) {
            p->found |= r->finding;
            if (r->ends)
                return;
        }
}

void tcp_rules_alone(struct tcp_step *p)
{
    ask(alone, p);
}

void tcp_rules_again(struct tcp_step *p)
{
    ask(repeated, p);
}
