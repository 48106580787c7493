/*
 * The rules stand in two tables, in the order in which they are asked: what a segment says by itself, and why data comes
 * that came before. They only look; what is remembered changes afterwards, in remember().
 */
#include "collector/ladder/tcp_analysis.h"
#include "common/base/clock.h"
#include <stdlib.h>

#define FAST_NS         (20 * NS_PER_MS)
#define OUT_OF_ORDER_NS (3 * NS_PER_MS)
#define IN_FLIGHT_MOST  2000000000u /* more is a mistake */
#define UNSEEN_SAID     UINT32_MAX  /* in place of a number of duplicates: an ack_lost_segment was found */
#define SCALE_UNKNOWN   (-1)
#define SCALE_NONE      (-2)

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

struct unacked {
    uint64_t time_ns;
    uint32_t number, seq, next;
};

/* What is known of one end by the segments that it sent. Numbers of 0 are not known. */
struct side {
    bool has_base;
    uint32_t base; /* seq that is 0 in relative numbers */
    uint32_t next, gapless;
    uint32_t next_number; /* segment that made next, and its time */
    uint64_t next_ns;
    uint32_t last_ack, last_window;
    uint64_t last_ns;
    uint16_t last_findings;
    uint32_t first_of_ack; /* segment with which its ack became what it is */
    uint32_t duplicates;   /* of it, or UNSEEN_SAID */
    int8_t scale;
    bool unscaled_yet; /* it sent a SYN and no ACK without SYN since */
    bool seen_whole;   /* nothing that it sent is missing, as far as acks tell: what is in flight is known */
    uint8_t mptcp;
    uint8_t sacks; /* of its latest segment */
    uint32_t sack_bytes;
    uint32_t pushed;
    bool push_last;
    struct unacked *unacked; /* in the order sent; owned */
    uint32_t unacked_count, unacked_room;
};

struct tcp_analysis {
    struct side side[2];
    uint64_t syn_ns; /* latest SYN without ACK, 0: none */
    int64_t handshake_ns;
    bool mptcp_known;
    uint8_t mptcp;
};

/* A segment on its way through the rules. */
struct step {
    const struct tcp_segment *s;
    const struct tcp_analysis *a;
    struct side *its, *other;
    uint16_t found;
};

static bool before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* As time differences are compared: one that is negative is very long. */
static uint64_t since(const struct tcp_segment *s, uint64_t time_ns)
{
    return s->time_ns - time_ns;
}

static bool is_plain(const struct tcp_segment *s)
{
    return !(s->flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

static bool takes_number(const struct tcp_segment *s)
{
    return (s->flags & (TCP_SYN | TCP_FIN)) != 0;
}

/* ------------------------------------------------------------------ what a segment says by itself */

static bool repeats(const struct step *p)
{
    return p->s->length == 0 && p->s->seq == p->its->next && p->s->ack == p->its->last_ack && is_plain(p->s);
}

static bool zero_window_probe(const struct step *p)
{
    return p->s->length == 1 && p->s->seq == p->its->next && p->other->last_window == 0;
}

static bool zero_window(const struct step *p)
{
    return p->s->window == 0 && is_plain(p->s);
}

static bool lost_segment(const struct step *p)
{
    return p->its->next && before(p->its->next, p->s->seq) && !(p->s->flags & TCP_RST);
}

static bool keep_alive(const struct step *p)
{
    return p->s->length <= 1 && p->s->seq == p->its->next - 1 && is_plain(p->s);
}

static bool window_update(const struct step *p)
{
    return repeats(p) && p->s->window && p->s->window != p->its->last_window;
}

static bool window_full(const struct step *p)
{
    const struct side *other = p->other;
    unsigned shift = other->unscaled_yet || other->scale < 0 ? 0 : (unsigned)other->scale;
    return p->s->length > 0 && other->scale != SCALE_UNKNOWN && is_plain(p->s) &&
           p->s->seq + p->s->length == other->last_ack + (other->last_window << shift);
}

static bool repeats_all(const struct step *p)
{
    return repeats(p) && p->s->window == p->its->last_window;
}

static bool keep_alive_ack(const struct step *p)
{
    return repeats_all(p) && p->s->window && (p->other->last_findings & TCP_KEEP_ALIVE);
}

static bool zero_window_probe_ack(const struct step *p)
{
    return repeats_all(p) && !p->s->window && (p->other->last_findings & TCP_ZERO_WINDOW_PROBE);
}

static bool duplicate_ack(const struct step *p)
{
    bool changed = p->a->mptcp_known && p->a->mptcp != p->its->mptcp;
    return repeats_all(p) && p->s->window && !changed;
}

/* ------------------------------------------------------------------ why data comes again */

static bool again(const struct step *p)
{
    const struct tcp_segment *s = p->s;
    return p->its->next && before(s->seq, p->its->next) && !(s->length > 1 && s->seq == p->its->next - 1);
}

static bool is_keep_alive(const struct step *p)
{
    return (p->found & TCP_KEEP_ALIVE) != 0;
}

static bool spurious(const struct step *p)
{
    return p->s->length > 0 && p->other->last_ack && (int32_t)(p->s->seq + p->s->length - p->other->last_ack) <= 0;
}

static bool fast(const struct step *p)
{
    return again(p) && p->other->duplicates >= 2 && p->other->last_ack == p->s->seq &&
           since(p->s, p->other->last_ns) < FAST_NS;
}

static bool out_of_order(const struct step *p)
{
    uint64_t most = p->a->handshake_ns ? (uint64_t)p->a->handshake_ns : OUT_OF_ORDER_NS;
    return again(p) && since(p->s, p->its->next_ns) < most &&
           p->its->next != p->s->seq + p->s->length + takes_number(p->s);
}

struct rule {
    uint16_t finding;
    bool ends; /* the rules behind it are not asked if it holds */
    bool (*holds)(const struct step *p);
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

static void ask(const struct rule *rules, struct step *p)
{
    for (const struct rule *r = rules; r->holds; r++)
        if (r->holds(p)) {
            p->found |= r->finding;
            if (r->ends)
                return;
        }
}

/* ------------------------------------------------------------------ acks */

static void count_duplicates(const struct step *p, struct tcp_reading *out)
{
    struct side *its = p->its;
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
static void judge_ack(struct step *p)
{
    struct side *other = p->other;
    if (!other->gapless || !before(other->gapless, p->s->ack) || !(p->s->flags & TCP_ACK))
        return;
    if (before(other->gapless, other->next)) {
        other->gapless = other->next;
        p->found |= TCP_ACK_LOST_SEGMENT;
        return;
    }
    if (other->duplicates == 0)
        p->found |= TCP_ACK_LOST_SEGMENT;
    other->duplicates = UNSEEN_SAID;
}

/* Forgets the segments that this one acks; the oldest that ends right at its ack is what it answers. */
static void take_acks(const struct step *p, struct tcp_reading *out)
{
    struct side *other = p->other;
    uint32_t ack = p->s->ack, kept = 0;
    for (uint32_t i = other->unacked_count; i-- > 0;) {
        const struct unacked *u = &other->unacked[i];
        if (u->next == ack) {
            out->acks = u->number;
            out->acks_after_ns = (int64_t)since(p->s, u->time_ns);
        }
    }
    for (uint32_t i = 0; i < other->unacked_count; i++) {
        struct unacked u = other->unacked[i];
        if (!before(ack, u.next))
            continue;
        if (before(u.seq, ack))
            u.seq = ack;
        other->unacked[kept++] = u;
    }
    other->unacked_count = kept;
}

/* ------------------------------------------------------------------ what is remembered */

static int grow(struct side *its, struct error *e)
{
    uint32_t room = its->unacked_room ? 2 * its->unacked_room : 16;
    struct unacked *grown = realloc(its->unacked, room * sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for %u segments without ack", room);
    its->unacked = grown;
    its->unacked_room = room;
    return 0;
}

/* Its end, and it is kept until it is acked. A SYN or FIN for which there is no room does not count. */
static int keep(struct step *p, uint32_t *next, struct error *e)
{
    struct side *its = p->its;
    *next = p->s->seq + p->s->length;
    if ((p->s->length == 0 && !takes_number(p->s)) || its->unacked_count >= TCP_UNACKED_MAX)
        return 0;
    if (its->unacked_count == its->unacked_room && grow(its, e))
        return ERROR_MEMORY;
    *next += takes_number(p->s);
    its->unacked[its->unacked_count++] =
        (struct unacked){.time_ns = p->s->time_ns, .number = p->s->number, .seq = p->s->seq, .next = *next};
    return 0;
}

static void remember(const struct step *p, uint32_t next)
{
    struct side *its = p->its;
    bool counts = !(p->found & TCP_ZERO_WINDOW_PROBE);
    if (counts && (!its->next || before(its->next, next))) {
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

/* ------------------------------------------------------------------ in flight */

/* From the first to the last number that its sender has without ack, and what the other end has selectively. */
static uint32_t in_flight(const struct step *p)
{
    const struct side *its = p->its;
    uint32_t first = UINT32_MAX, last = 0;
    for (uint32_t i = 0; i < its->unacked_count; i++) {
        uint32_t from = its->unacked[i].seq - its->base, to = its->unacked[i].next - its->base;
        first = from < first ? from : first;
        last = to > last ? to : last;
    }
    return last - first - (p->other->sacks ? p->other->sack_bytes : 0);
}

static void count_in_flight(const struct step *p, struct tcp_reading *out)
{
    struct side *its = p->its;
    if (p->s->length == 0 || !its->unacked_count || !its->seen_whole)
        return;
    uint32_t bytes = in_flight(p);
    if (bytes > 0 && bytes < IN_FLIGHT_MOST)
        out->in_flight = bytes - takes_number(p->s);
    its->pushed = its->push_last ? p->s->length : its->pushed + p->s->length;
    its->push_last = (p->s->flags & TCP_PSH) != 0;
    out->pushed = its->pushed;
}

/* ------------------------------------------------------------------ a segment */

static void find_rto(const struct step *p, struct tcp_reading *out)
{
    const struct side *its = p->its;
    bool kept = its->unacked_count > 0;
    out->rto_of = kept ? its->unacked[0].number : its->next_number;
    out->rto_ns = (int64_t)since(p->s, kept ? its->unacked[0].time_ns : its->next_ns);
}

static int analyze(struct step *p, struct tcp_reading *out, struct error *e)
{
    const struct tcp_segment *s = p->s;
    uint32_t next;
    if (s->flags & TCP_ACK)
        p->other->seen_whole = true;
    ask(alone, p);
    if (p->found & TCP_LOST_SEGMENT)
        p->its->seen_whole = false;
    count_duplicates(p, out);
    judge_ack(p);
    if (s->length > 0 || takes_number(s))
        ask(repeated, p);
    if ((p->found & (TCP_RETRANSMISSION | TCP_FAST_RETRANSMISSION | TCP_SPURIOUS_RETRANSMISSION)) == TCP_RETRANSMISSION)
        find_rto(p, out);
    int r = keep(p, &next, e);
    if (r)
        return r;
    remember(p, next);
    take_acks(p, out);
    count_in_flight(p, out);
    return 0;
}

/* ------------------------------------------------------------------ the connection */

static void begin(struct tcp_analysis *a)
{
    for (unsigned i = 0; i < 2; i++) {
        struct unacked *kept = a->side[i].unacked;
        uint32_t room = a->side[i].unacked_room;
        a->side[i] = (struct side){.last_window = UINT32_MAX,
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
static void look_at_syn(struct tcp_analysis *a, struct step *p)
{
    struct side *its = p->its;
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

static void find_bases(const struct step *p)
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

static void note_handshake(struct tcp_analysis *a, const struct step *p)
{
    unsigned flags = p->s->flags & (TCP_SYN | TCP_ACK);
    if (flags == TCP_SYN)
        a->syn_ns = p->s->time_ns;
    if (flags == TCP_ACK && a->syn_ns && !a->handshake_ns)
        a->handshake_ns = (int64_t)since(p->s, a->syn_ns);
    if (flags & TCP_SYN)
        p->its->unscaled_yet = true;
    else if (flags == TCP_ACK)
        p->its->unscaled_yet = false;
}

/* Windows are scaled if both SYNs say so (RFC 7323, 2.2). */
static void note_options(struct tcp_analysis *a, const struct step *p)
{
    struct side *its = p->its;
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

static void read_numbers(const struct step *p, struct tcp_reading *out)
{
    const struct tcp_segment *s = p->s;
    bool scale = p->its->scale >= 0 && !(s->flags & TCP_SYN);
    out->seq = s->seq - (p->its->has_base ? p->its->base : 0);
    out->ack = s->flags & TCP_ACK && p->other->has_base ? s->ack - p->other->base : s->ack;
    out->next = s->whole ? out->seq + s->length + takes_number(s) : 0;
    out->window = (uint32_t)s->window << (scale ? p->its->scale : 0);
    out->scaled = p->its->scale != SCALE_UNKNOWN || (s->flags & TCP_SYN);
}

int tcp_analysis_next(struct tcp_analysis *a, unsigned from, const struct tcp_segment *s, struct tcp_reading *out,
                      struct error *e)
{
    struct step p = {.s = s, .a = a, .its = &a->side[from], .other = &a->side[!from]};
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
