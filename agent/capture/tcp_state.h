/*
 * tcp_state: what state a TCP connection is in and what happened so far, by the words of Zeek.
 *
 * conn_state and history mean what Zeek's documentation says (docs.zeek.org, base/protocols/conn/main.zeek): letters in
 * upper case are the originator's, in lower case the responder's:
 *
 *   S  SYN without ACK     A  ACK without data        R  RST               W  zero window
 *   H  SYN with ACK        D  data                    T  retransmission    I  FIN and RST together
 *   F  FIN                 G  gap in the data         ^  originator was    Q  SYN with FIN or RST
 *                             (acknowledged, unseen)     not first to send
 *
 * A, D, I and Q are noted once per direction; S, H, F and R again when their sequence number differs; T, G and W at the
 * 1st, 10th, 100th, ... time. C (bad checksum) is never noted: packets that a host sends itself have no checksum yet
 * where we see them. Data that were on the wire but cut off by the snaplen count as seen.
 *
 * Pure: no clock, no memory.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_TCP_STATE_H
#define FLEETDUMP_AGENT_CAPTURE_TCP_STATE_H

#include "common/rows/flow_row.h"
#include "common/tcp/tcp_segment.h"

/* What one end has done. */
enum tcp_end_state {
    TCP_END_INACTIVE = 0, /* nothing seen */
    TCP_END_SYN_SENT,
    TCP_END_SYN_ACK_SENT, /* of the originator only: answered a SYN, though it was known as the client before */
    TCP_END_PARTIAL,      /* sent packets, but its SYN was not seen */
    TCP_END_ESTABLISHED,
    TCP_END_CLOSED, /* sent FIN */
    TCP_END_RESET,  /* sent RST */
};

#define TCP_RANGES_MAX 3 /* stretches behind a hole that are remembered; more are joined */

/* One end of a connection. Sequence numbers are as on the wire and compared modulo 2^32 (RFC 9293, 3.4). */
struct tcp_end {
    uint32_t start_seq; /* of its SYN, or what it would have been */
    uint32_t last_seq;  /* one past the greatest that it sent */
    uint32_t acked_seq; /* the greatest that the other end acknowledged */
    uint32_t seen_seq;  /* all data below were seen, or given up as a gap */
    uint32_t range[TCP_RANGES_MAX][2];
    uint32_t syn_seq, fin_seq, rst_seq; /* relative, of the last one in the history */
    uint32_t retransmitted, gaps, zero_windows;
    uint64_t gap_bytes; /* in gaps, since somebody set it to 0 */
    uint8_t ranges;
    uint8_t state, previous; /* enum tcp_end_state */
    uint8_t noted;           /* letters in the history: see tcp_state.c */
    uint8_t fins;            /* saturates */
    uint8_t closed;          /* its FIN or RST ended its side */
};

struct tcp_state {
    struct tcp_end end[2]; /* by endpoint of the flow's key */
};

/* Letters so far. */
struct tcp_history {
    uint8_t length;
    char letters[FLOW_HISTORY_MAX];
};

/* Appends a letter, if there is room: in lower case unless the sender is the originator. */
void tcp_history_add(struct tcp_history *h, char letter, bool originator);

/* Takes a segment that endpoint `sender` (0 or 1) sent. `originator` is the endpoint that is taken for the client; the
 * same in all calls.
 */
void tcp_state_segment(struct tcp_state *s, struct tcp_history *h, unsigned originator, unsigned sender,
                       const struct tcp_segment *g);

/* Whether the segment begins another connection between the same endpoints: a SYN with another sequence number than
 * that of the connection. */
bool tcp_state_is_new(const struct tcp_state *s, unsigned originator, unsigned sender, const struct tcp_segment *g);

/* The conn_state so far. */
enum flow_state tcp_state_name(const struct tcp_state *s, unsigned originator, const struct tcp_history *h);

/* Whether both ends are done: no more packets but late ones. */
bool tcp_state_is_closed(const struct tcp_state *s);

/* Whether the handshake is over, or was never seen. */
bool tcp_state_is_established(const struct tcp_state *s);

#endif
