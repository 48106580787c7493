/* tcp_state: one step per segment, in the order in which Zeek looks at it: history, window, sequence numbers, state,
 * data. */
#include "agent/capture/tcp_state.h"
#include <ctype.h>

/* Sequence numbers that a SYN or RST moves by more than this are not believed. */
#define JUMP_MAX 1048576

/* What is noted once per direction, or again only with another sequence number: bits of tcp_end.noted. */
enum {
    NOTED_SYN = 1 << 0,
    NOTED_FIN = 1 << 1,
    NOTED_RST = 1 << 2,
    NOTED_DATA = 1 << 3,
    NOTED_ACK = 1 << 4,
    NOTED_FIN_RST = 1 << 5,
    NOTED_MULTI = 1 << 6,
};

/* One segment with all that it touches. */
struct step {
    struct tcp_end *end;  /* the sender's */
    struct tcp_end *peer; /* the receiver's */
    struct tcp_history *history;
    const struct tcp_segment *segment;
    uint32_t length; /* of the data and flags in sequence space */
    bool originator; /* sent it */
    bool syn, fin, rst, ack;
};

static int32_t distance(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

void tcp_history_add(struct tcp_history *h, char letter, bool originator)
{
    if (!originator)
        letter = (char)tolower((unsigned char)letter);
    if (h->length < sizeof h->letters)
        h->letters[h->length++] = letter;
}

static void note(struct step *t, char letter)
{
    tcp_history_add(t->history, letter, t->originator);
}

/* Notes the letter the first time; false then. */
static bool noted_before(struct step *t, uint8_t bit, char letter)
{
    if (t->end->noted & bit)
        return true;
    t->end->noted |= bit;
    note(t, letter);
    return false;
}

/* Notes the letter again if the sequence number is another one than the last time. */
static void note_seq(struct step *t, uint8_t bit, char letter, uint32_t seq, uint32_t *last)
{
    if (noted_before(t, bit, letter) && seq != *last)
        note(t, letter);
    *last = seq;
}

/* Notes the letter at the 1st, 10th, 100th... time. */
static void note_scaled(struct tcp_history *h, uint32_t *count, char letter, bool originator)
{
    if (*count == UINT32_MAX)
        return;
    uint32_t n = ++*count;
    while (n >= 10 && n % 10 == 0)
        n /= 10;
    if (n == 1)
        tcp_history_add(h, letter, originator);
}

static void end_start(struct tcp_end *end, uint32_t start, uint32_t last)
{
    end->start_seq = end->acked_seq = start;
    end->last_seq = last;
    end->seen_seq = start + 1;
    end->ranges = 0;
}

/* The first segment of an end, or a SYN that makes it start again. */
static void start_sender(struct step *t)
{
    struct tcp_end *end = t->end;
    uint32_t seq = t->segment->seq;
    switch ((enum tcp_end_state)end->state) {
    case TCP_END_INACTIVE:
        if (t->syn)
            end_start(end, seq, seq + t->length);
        else
            end_start(end, seq - 1, seq); /* as if a SYN had been seen; the segment itself is not a retransmission */
        break;
    case TCP_END_SYN_SENT:
    case TCP_END_SYN_ACK_SENT:
        if (t->syn && seq != end->start_seq)
            end_start(end, seq, seq + t->length);
        break;
    case TCP_END_ESTABLISHED:
    case TCP_END_PARTIAL:
        if (t->syn)
            end_start(end, seq, seq + t->length);
        break;
    case TCP_END_RESET:
        if (t->syn && end->previous == TCP_END_INACTIVE) /* a RST is no good start: it may be anybody's */
            end_start(end, seq, seq + t->length);
        break;
    case TCP_END_CLOSED:
        break;
    }
}

static void history_flags(struct step *t)
{
    uint32_t seq = t->segment->seq - t->end->start_seq;
    int flags = t->syn + t->fin + t->rst;
    if (flags > 1) {
        bool odd = t->fin && t->rst;
        (void)noted_before(t, odd ? NOTED_FIN_RST : NOTED_MULTI, odd ? 'I' : 'Q');
    } else if (t->syn) {
        note_seq(t, NOTED_SYN, t->ack ? 'H' : 'S', seq, &t->end->syn_seq);
    } else if (t->fin) {
        note_seq(t, NOTED_FIN, 'F', seq + t->segment->length, &t->end->fin_seq);
    } else if (t->rst) {
        note_seq(t, NOTED_RST, 'R', seq, &t->end->rst_seq);
    } else if (t->segment->length) {
        (void)noted_before(t, NOTED_DATA, 'D');
    } else if (t->ack) {
        (void)noted_before(t, NOTED_ACK, 'A');
    }
}

/* A zero window is of no interest once no more data are to come. */
static void history_window(struct step *t)
{
    if (t->segment->window == 0 && !t->rst && t->peer->state != TCP_END_CLOSED && t->end->state != TCP_END_RESET)
        note_scaled(t->history, &t->end->zero_windows, 'W', t->originator);
}

static void acknowledge(struct step *t)
{
    uint32_t ack = t->segment->ack;
    if (t->peer->state == TCP_END_INACTIVE) {
        end_start(t->peer, ack - 1, ack - 1);
        return;
    }
    int32_t delta = distance(ack, t->peer->acked_seq);
    bool broken = ack == 0 && delta > JUMP_MAX;
    if (!t->rst && !broken && delta > 0 && distance(ack, t->peer->start_seq) >= 0)
        t->peer->acked_seq = ack;
}

static void advance(struct step *t)
{
    struct tcp_end *end = t->end;
    uint32_t last = t->segment->seq + t->length;
    int32_t delta = distance(last, end->last_seq);
    if ((t->syn || t->rst) && (delta > JUMP_MAX || delta < -JUMP_MAX))
        return;
    if (t->fin && end->last_seq == end->start_seq + 1) {
        end->last_seq = last; /* only SYN and FIN were seen: the FIN is right however far it jumped */
        return;
    }
    if (end->state == TCP_END_RESET)
        return;
    if (delta > 0)
        end->last_seq = last;
    else if (t->segment->length)
        note_scaled(t->history, &end->retransmitted, 'T', t->originator);
}

static void set_state(struct tcp_end *end, enum tcp_end_state state)
{
    if (end->state == (uint8_t)state)
        return;
    end->previous = end->state;
    end->state = (uint8_t)state;
}

/* The first SYN of an end. */
static void first_syn(struct step *t)
{
    struct tcp_end *end = t->end, *peer = t->peer;
    if (t->originator && t->ack) {
        set_state(end, TCP_END_SYN_ACK_SENT);
    } else if (t->originator) {
        /* If the SYN-ACK was seen before the SYN that it answers, the handshake is as good as done. */
        set_state(end, peer->state == TCP_END_ESTABLISHED ? TCP_END_ESTABLISHED : TCP_END_SYN_SENT);
    } else {
        if (peer->state == TCP_END_SYN_SENT)
            set_state(peer, TCP_END_ESTABLISHED);
        set_state(end, TCP_END_ESTABLISHED);
    }
}

static void step_inactive(struct step *t)
{
    struct tcp_end *end = t->end, *peer = t->peer;
    if (t->syn)
        first_syn(t);
    if (t->fin) {
        set_state(end, TCP_END_CLOSED);
        end->closed = 1;
    }
    if (t->rst) {
        set_state(end, TCP_END_RESET);
        end->closed = 1;
    }
    if (end->state != TCP_END_INACTIVE)
        return;
    /* Some answer a SYN by an ACK before the SYN-ACK: that is no connection in midstream. */
    if (!t->originator && t->segment->length == 0 && peer->state == TCP_END_SYN_SENT)
        return;
    /* Only the SYN was missed. */
    bool answered = t->ack && peer->state == TCP_END_ESTABLISHED;
    set_state(end, answered ? TCP_END_ESTABLISHED : TCP_END_PARTIAL);
}

static void step_syn_sent(struct step *t)
{
    if (t->fin)
        set_state(t->end, TCP_END_CLOSED);
    if (t->rst)
        set_state(t->end, TCP_END_RESET);
    if (t->fin || t->rst)
        t->end->closed = 1;
}

static void step_established(struct step *t)
{
    struct tcp_end *end = t->end, *peer = t->peer;
    if (t->syn && !t->ack && end->state == TCP_END_PARTIAL && peer->state == TCP_END_INACTIVE)
        set_state(end, TCP_END_SYN_SENT);
    if (t->fin && !t->rst) {
        set_state(end, TCP_END_CLOSED);
        end->closed = 1;
        if (peer->state == TCP_END_RESET && peer->previous == TCP_END_CLOSED)
            set_state(peer, TCP_END_CLOSED); /* FIN, RST, FIN: a normal end after all */
    }
    if (t->rst) {
        set_state(end, TCP_END_RESET);
        end->closed = 1;
    }
}

static void step_closed(struct step *t)
{
    if (t->rst && t->peer->state != TCP_END_CLOSED) {
        set_state(t->end, TCP_END_RESET);
        t->end->closed = 1;
    }
}

static void step_state(struct step *t)
{
    switch ((enum tcp_end_state)t->end->state) {
    case TCP_END_INACTIVE:
        step_inactive(t);
        break;
    case TCP_END_SYN_SENT:
    case TCP_END_SYN_ACK_SENT:
        step_syn_sent(t);
        break;
    case TCP_END_ESTABLISHED:
    case TCP_END_PARTIAL:
        step_established(t);
        break;
    case TCP_END_CLOSED:
        step_closed(t);
        break;
    case TCP_END_RESET:
        break;
    }
}

static void drop_range(struct tcp_end *end, unsigned i)
{
    end->ranges--;
    for (; i < end->ranges; i++) {
        end->range[i][0] = end->range[i + 1][0];
        end->range[i][1] = end->range[i + 1][1];
    }
}

/* Data behind a hole: remembered in order, overlapping stretches joined. */
static void add_range(struct tcp_end *end, uint32_t from, uint32_t to)
{
    unsigned i = 0;
    while (i < end->ranges && distance(from, end->range[i][1]) > 0)
        i++;
    if (i == end->ranges || distance(to, end->range[i][0]) < 0) {
        if (end->ranges == TCP_RANGES_MAX) { /* no room: the holes on both sides become one with the last stretch */
            i = i < end->ranges ? i : end->ranges - 1u;
        } else {
            for (unsigned j = end->ranges++; j > i; j--) {
                end->range[j][0] = end->range[j - 1][0];
                end->range[j][1] = end->range[j - 1][1];
            }
            end->range[i][0] = from;
            end->range[i][1] = to;
            return;
        }
    }
    if (distance(from, end->range[i][0]) < 0)
        end->range[i][0] = from;
    if (distance(to, end->range[i][1]) > 0)
        end->range[i][1] = to;
    while (i + 1u < end->ranges && distance(end->range[i][1], end->range[i + 1][0]) >= 0) {
        if (distance(end->range[i + 1][1], end->range[i][1]) > 0)
            end->range[i][1] = end->range[i + 1][1];
        drop_range(end, i + 1);
    }
}

/* Everything that joins what was seen without a hole. */
static void join_ranges(struct tcp_end *end)
{
    while (end->ranges && distance(end->range[0][0], end->seen_seq) <= 0) {
        if (distance(end->range[0][1], end->seen_seq) > 0)
            end->seen_seq = end->range[0][1];
        drop_range(end, 0);
    }
}

static void see_data(struct step *t)
{
    uint32_t from = t->segment->seq + (t->syn ? 1 : 0), to = from + t->segment->length;
    struct tcp_end *end = t->end;
    if (t->segment->length == 0 || t->rst || distance(t->segment->seq, end->start_seq) < 0 ||
        distance(to, end->seen_seq) <= 0)
        return;
    if (distance(from, end->seen_seq) > 0) {
        add_range(end, from, to);
    } else {
        end->seen_seq = to;
        join_ranges(end);
    }
}

static bool is_clean(const struct tcp_end *end)
{
    return end->state == TCP_END_ESTABLISHED || (end->state == TCP_END_CLOSED && end->previous == TCP_END_ESTABLISHED);
}

/* Data that were acknowledged though we never saw them: one gap per hole. Judged only where sequence numbers are sure. */
static void find_gaps(struct step *t)
{
    struct tcp_end *peer = t->peer;
    uint32_t ack = t->segment->ack;
    if (peer->fins && distance(ack, peer->start_seq + peer->fin_seq) > 0)
        ack = peer->start_seq + peer->fin_seq; /* the FIN itself is no data */
    if (peer->state == TCP_END_INACTIVE || distance(ack, peer->seen_seq) <= 0)
        return;
    bool sure = is_clean(peer) && is_clean(t->end);
    while (distance(ack, peer->seen_seq) > 0) {
        uint32_t to = ack;
        if (peer->ranges && distance(peer->range[0][0], ack) < 0)
            to = peer->range[0][0];
        if (sure) {
            note_scaled(t->history, &peer->gaps, 'G', !t->originator);
            peer->gap_bytes += to - peer->seen_seq;
        }
        peer->seen_seq = to;
        join_ranges(peer);
    }
}

void tcp_state_segment(struct tcp_state *s, struct tcp_history *h, unsigned originator, unsigned sender,
                       const struct tcp_segment *g)
{
    struct step t = {
        .end = &s->end[sender],
        .peer = &s->end[!sender],
        .history = h,
        .segment = g,
        .originator = sender == originator,
        .syn = g->flags & TCP_SYN,
        .fin = g->flags & TCP_FIN,
        .rst = g->flags & TCP_RST,
        .ack = g->flags & TCP_ACK,
    };
    t.length = (t.rst ? 0 : g->length) + t.syn + t.fin;
    start_sender(&t);
    history_flags(&t);
    history_window(&t);
    if (t.fin && t.end->fins < UINT8_MAX)
        t.end->fins++;
    if (t.ack)
        acknowledge(&t);
    advance(&t);
    step_state(&t);
    if (t.ack)
        find_gaps(&t);
    see_data(&t);
}

bool tcp_state_is_new(const struct tcp_state *s, unsigned originator, unsigned sender, const struct tcp_segment *g)
{
    const struct tcp_end *client = &s->end[originator], *server = &s->end[!originator];
    if (!(g->flags & TCP_SYN) || (client->state == TCP_END_INACTIVE && server->state == TCP_END_INACTIVE))
        return false;
    if (g->flags & TCP_ACK)
        return client->state == TCP_END_INACTIVE && g->seq != server->start_seq;
    if (client->closed || server->closed)
        return g->seq != s->end[sender].start_seq;
    return g->seq != client->start_seq;
}

/* Bytes that an end sent or had acknowledged, without those for SYN and FIN. */
static uint32_t sent_bytes(const struct tcp_end *end)
{
    uint32_t last = distance(end->last_seq, end->acked_seq) > 0 ? end->last_seq : end->acked_seq;
    uint32_t size = last - end->start_seq;
    if (size)
        size--;
    if (size && end->fins)
        size--;
    return size;
}

static bool is_quiet(const struct tcp_end *end)
{
    return end->state == TCP_END_INACTIVE || end->state == TCP_END_PARTIAL;
}

/* The originator sent SYN, then RST, and nothing in between that shows an answer. */
static bool gave_up(const struct tcp_history *h)
{
    unsigned i = h->length && h->letters[0] == '^';
    if (i >= h->length || h->letters[i] != 'S')
        return false;
    for (i++; i < h->length; i++) {
        char c = h->letters[i];
        if (c == 'R')
            return true;
        if (c == 'H' || c == 'A' || c == 'F' || c == 'G' || c == 'I' || c == 'Q')
            return false;
    }
    return false;
}

enum flow_state tcp_state_name(const struct tcp_state *s, unsigned originator, const struct tcp_history *h)
{
    const struct tcp_end *o = &s->end[originator], *r = &s->end[!originator];
    if (r->state == TCP_END_RESET) {
        if (o->state == TCP_END_SYN_SENT || o->state == TCP_END_SYN_ACK_SENT ||
            (o->state == TCP_END_RESET && sent_bytes(o) == 0 && sent_bytes(r) == 0))
            return FLOW_STATE_REJ;
        return is_quiet(o) ? FLOW_STATE_RSTRH : FLOW_STATE_RSTR;
    }
    if (o->state == TCP_END_RESET) {
        if (!is_quiet(r))
            return FLOW_STATE_RSTO;
        return gave_up(h) ? FLOW_STATE_RSTOS0 : FLOW_STATE_OTH;
    }
    if (o->state == TCP_END_CLOSED && r->state == TCP_END_CLOSED)
        return FLOW_STATE_SF;
    if (o->state == TCP_END_CLOSED)
        return is_quiet(r) ? FLOW_STATE_SH : FLOW_STATE_S2;
    if (r->state == TCP_END_CLOSED)
        return is_quiet(o) ? FLOW_STATE_SHR : FLOW_STATE_S3;
    if (o->state == TCP_END_SYN_SENT && r->state == TCP_END_INACTIVE)
        return FLOW_STATE_S0;
    if (o->state == TCP_END_ESTABLISHED && r->state == TCP_END_ESTABLISHED)
        return FLOW_STATE_S1;
    return FLOW_STATE_OTH;
}

bool tcp_state_is_closed(const struct tcp_state *s)
{
    const struct tcp_end *a = &s->end[0], *b = &s->end[1];
    if (a->state == TCP_END_RESET || b->state == TCP_END_RESET || (a->closed && b->closed))
        return true;
    return (a->closed && b->state == TCP_END_INACTIVE) || (b->closed && a->state == TCP_END_INACTIVE);
}

bool tcp_state_is_established(const struct tcp_state *s)
{
    return s->end[0].state >= TCP_END_PARTIAL || s->end[1].state >= TCP_END_PARTIAL;
}
