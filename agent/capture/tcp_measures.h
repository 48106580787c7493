/*
 * tcp_measures: how a TCP connection fares, per direction: what was sent again and why, acks said twice, windows, round
 * trips, the handshake, and how long requests waited for their replies. What counts as what is said in tcp_findings.h
 * and columns_flow.c.
 *
 * Round trips (Karn's rule; RFC 6298, 3 and 4, with one segment timed at a time): the first segment with bytes, SYN or
 * FIN that its end sends while none is timed, and that is new (no retransmission, out of order, keep-alive or probe),
 * is timed until the first ack of the other end that covers it all. If its end sends again what lies at or before it
 * meanwhile, it is not timed any more.
 *
 * Requests and replies, whatever the protocol, also under TLS: a reply begins with the responder's first new payload
 * after new payload of the originator, and waited since the last byte of that.
 *
 * Pure: no clock, no memory; the measures since the last tcp_measures_next are one row's.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_TCP_MEASURES_H
#define FLEETDUMP_AGENT_CAPTURE_TCP_MEASURES_H

#include "common/tcp/tcp_findings.h"

/* What one end sent, in a row. */
struct tcp_sent {
    uint32_t retrans, spurious, fast, out_of_order, duplicate_acks, zero_windows, full_windows, keep_alives;
    uint64_t retrans_bytes;
    uint32_t acked_max, lost_max; /* payload of the largest segment that was acked, that was sent again; 0: none */
    uint32_t rtt_count;
    uint64_t rtt_sum_ns, rtt_min_ns, rtt_max_ns;
};

/* What the first SYN of an end said. */
struct tcp_syn {
    bool seen;
    bool sack;
    int8_t scale; /* -1: none */
    uint16_t mss; /* 0: none */
    uint32_t seq;
};

struct tcp_timed {
    bool running;
    uint32_t end, length;
    uint64_t time_ns;
    uint32_t unacked_max; /* payload of the largest segment since all was acked */
};

struct tcp_measures {
    struct tcp_talk talk;
    struct tcp_timed timed[2];

    /* Of the whole connection; once known it stays */
    struct tcp_syn syn[2];
    bool has_handshake, has_syn_answer;
    bool has_syn, asked;
    uint64_t handshake_ns;  /* from the latest SYN to the first ACK without SYN and RST */
    uint64_t syn_answer_ns; /* from the latest SYN to the first SYN+ACK */

    uint64_t syn_ns;   /* has_syn: the latest SYN without ACK */
    uint64_t asked_ns; /* asked: the last new payload of the originator, which nobody answered yet */

    struct tcp_sent sent[2]; /* since the row began */
    uint32_t replies;
    uint64_t wait_sum_ns, wait_max_ns;
};

void tcp_measures_begin(struct tcp_measures *m);

/* The next segment, which endpoint `sender` (0 or 1) sent. */
void tcp_measures_segment(struct tcp_measures *m, unsigned originator, unsigned sender, const struct tcp_segment *s);

/* The next row: counts begin at 0. */
void tcp_measures_next(struct tcp_measures *m);

#endif
