#include "agent/capture/tcp_measures.h"

#include <string.h>

/* Bytes that are not new to the other end, or no part of the data. */
#define NOT_NEW (TCP_RETRANSMISSION | TCP_OUT_OF_ORDER | TCP_KEEP_ALIVE | TCP_ZERO_WINDOW_PROBE)

void tcp_measures_begin(struct tcp_measures *m)
{
    *m = (struct tcp_measures){0};
    tcp_talk_begin(&m->talk);
}

void tcp_measures_next(struct tcp_measures *m)
{
    memset(m->sent, 0, sizeof m->sent);
    m->replies = 0;
    m->wait_sum_ns = m->wait_max_ns = 0;
}

static uint64_t since(uint64_t now_ns, uint64_t then_ns)
{
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

static void count(struct tcp_sent *sent, uint16_t findings, const struct tcp_segment *s)
{
    if (findings & TCP_RETRANSMISSION) {
        sent->retrans++;
        sent->retrans_bytes += s->length;
        sent->spurious += (findings & TCP_SPURIOUS_RETRANSMISSION) != 0;
        sent->fast += (findings & TCP_FAST_RETRANSMISSION) != 0;
        if (!(findings & TCP_SPURIOUS_RETRANSMISSION) && s->length > sent->lost_max)
            sent->lost_max = s->length;
    }
    sent->out_of_order += (findings & TCP_OUT_OF_ORDER) != 0;
    sent->duplicate_acks += (findings & TCP_DUPLICATE_ACK) != 0;
    sent->zero_windows += (findings & TCP_ZERO_WINDOW) != 0;
    sent->full_windows += (findings & TCP_WINDOW_FULL) != 0;
    sent->keep_alives += (findings & TCP_KEEP_ALIVE) != 0;
}

static void note_acked(struct tcp_sent *sent, uint32_t length)
{
    if (length > sent->acked_max)
        sent->acked_max = length;
}

static void note_round_trip(struct tcp_sent *sent, uint64_t ns)
{
    if (!sent->rtt_count || ns < sent->rtt_min_ns)
        sent->rtt_min_ns = ns;
    if (ns > sent->rtt_max_ns)
        sent->rtt_max_ns = ns;
    sent->rtt_count++;
    sent->rtt_sum_ns += ns;
}

/* What the ack says of what the other end sent. */
static void take_ack(struct tcp_measures *m, unsigned sender, const struct tcp_segment *s)
{
    struct tcp_timed *timed = &m->timed[!sender];
    struct tcp_sent *sent = &m->sent[!sender];
    if (timed->running && !tcp_before(s->ack, timed->end)) {
        timed->running = false;
        note_round_trip(sent, since(s->time_ns, timed->time_ns));
        note_acked(sent, timed->length);
    }
    if (timed->unacked_max && s->ack == m->talk.side[!sender].next) {
        note_acked(sent, timed->unacked_max);
        timed->unacked_max = 0;
    }
}

static void take_data(struct tcp_timed *timed, uint16_t findings, const struct tcp_segment *s)
{
    bool is_new = !(findings & NOT_NEW);
    if (s->length > timed->unacked_max && !(findings & TCP_SPURIOUS_RETRANSMISSION))
        timed->unacked_max = s->length;
    if (timed->running && !is_new && tcp_before(s->seq, timed->end))
        timed->running = false;
    else if (!timed->running && is_new) {
        timed->running = true;
        timed->end = s->seq + s->length + tcp_takes_number(s);
        timed->length = s->length;
        timed->time_ns = s->time_ns;
    }
}

static void take_turn(struct tcp_measures *m, bool originator, uint64_t now_ns)
{
    if (!originator && m->asked) {
        uint64_t wait = since(now_ns, m->asked_ns);
        m->replies++;
        m->wait_sum_ns += wait;
        if (wait > m->wait_max_ns)
            m->wait_max_ns = wait;
    }
    m->asked = originator;
    m->asked_ns = now_ns;
}

static void take_syn(struct tcp_measures *m, unsigned sender, const struct tcp_segment *s)
{
    struct tcp_syn *syn = &m->syn[sender];
    if (!syn->seen)
        *syn =
            (struct tcp_syn){.seen = true, .sack = s->sack_permitted, .scale = s->scale, .mss = s->mss, .seq = s->seq};
    if (!(s->flags & TCP_ACK)) {
        m->has_syn = true;
        m->syn_ns = s->time_ns;
    } else if (m->has_syn && !m->has_syn_answer) {
        m->has_syn_answer = true;
        m->syn_answer_ns = since(s->time_ns, m->syn_ns);
    }
}

static void take_handshake(struct tcp_measures *m, const struct tcp_segment *s)
{
    if (m->has_syn && !m->has_handshake && (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK) {
        m->has_handshake = true;
        m->handshake_ns = since(s->time_ns, m->syn_ns);
    }
}

void tcp_measures_segment(struct tcp_measures *m, unsigned originator, unsigned sender, const struct tcp_segment *s)
{
    struct tcp_found found;
    tcp_talk_next(&m->talk, sender, s, true, &found);
    if ((found.findings & TCP_REUSED_PORTS) && !(s->flags & TCP_ACK))
        memset(m->timed, 0, sizeof m->timed);
    count(&m->sent[sender], found.findings, s);
    if (s->flags & TCP_SYN)
        take_syn(m, sender, s);
    take_handshake(m, s);
    if (!s->whole)
        return;
    if (s->flags & TCP_ACK)
        take_ack(m, sender, s);
    if (s->length || tcp_takes_number(s))
        take_data(&m->timed[sender], found.findings, s);
    if (s->length && !(found.findings & NOT_NEW))
        take_turn(m, sender == originator, s->time_ns);
}
