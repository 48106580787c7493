/*
 * tcp_findings: what each segment of a TCP connection means, given those before it, by the exact rules of Wireshark 4.0
 * (tcp.analysis.*). Pure; what is remembered of a connection has one small size.
 *
 * The segments are those of one vantage, in the order seen there: both ends' views mixed look like retransmissions that
 * never were. Sequence numbers are compared modulo 2^32. SYN and FIN take one number each.
 *
 * Words, of the segment's sender ("its") and of the other end:
 *   next         the highest number that followed a segment of its so far, zero window probes aside
 *   gapless      next at the time of its first segment; becomes next whenever a segment begins right there, and when an
 *                ack passes it
 *   last ack, last window   those of its latest segment (an ack also counts without its flag)
 *   again        a segment that begins before its next, but not if it has several bytes and begins one before its next
 *   without SYN, ...        with none of these flags
 *
 * A SYN without ACK whose seq is not the one that its end's numbers count from (its first SYN's, else one before its
 * first segment's) begins everything anew.
 *
 * Findings, the first that ends its group being the last one asked for:
 *  of any segment:
 *   reused_ports            it begins everything anew, or is a SYN+ACK whose seq is not the one that its end's numbers
 *                           count from (they count from there on)
 *   ack_lost_segment        its ack (with the flag) is beyond the other end's gapless, which moves on to next; said
 *                           again for the same next only after the other end's ack changed
 *  by what it is, in this order:
 *   zero_window_probe       one byte at its next while the other end's last window is 0; ends the group
 *   zero_window             a window of 0 without SYN, FIN, RST
 *   lost_segment            it begins beyond its next, without RST
 *   keep_alive              at most one byte, one before its next, without SYN, FIN, RST
 *   window_update           no bytes, at its next, with its last ack, not its last window nor 0, without SYN, FIN, RST
 *   window_full             bytes that end where the other end's last ack plus its last window (scaled by what its SYN
 *                           said, but not before its first ACK) is, if it is known whether it scales, without SYN, FIN,
 *                           RST
 *   keep_alive_ack          no bytes, at its next, with its last ack and last window, that not being 0, right after a
 *                           keep_alive of the other end, without SYN, FIN, RST; ends the group
 *   zero_window_probe_ack   no bytes, at its next, with its last ack and last window, that being 0, right after a
 *                           zero_window_probe of the other end, without SYN, FIN, RST; ends the group
 *   duplicate_ack           no bytes, at its next, with its last ack and last window, that not being 0, without SYN,
 *                           FIN, RST, and no kind of MPTCP option was new in the connection since its latest segment
 *  why it comes again, if it has bytes, SYN or FIN and is no keep_alive; the first that holds ends the group:
 *   spurious_retransmission bytes that all lie before the other end's last ack (a retransmission, too)
 *   fast_retransmission     again, at the other end's last ack, which that has sent as two or more duplicate_acks or
 *                           with an ack_lost_segment that was not said again, the latest less than 20 ms ago (a
 *                           retransmission, too)
 *   out_of_order            again, less than the handshake took (3 ms if that is not known) after the segment that made
 *                           its next, and not ending there
 *   retransmission          again
 */
#ifndef FLEETDUMP_TCP_TCP_FINDINGS_H
#define FLEETDUMP_TCP_TCP_FINDINGS_H

#include "common/tcp/tcp_segment.h"

enum tcp_finding {
    TCP_RETRANSMISSION = 0x0001,
    TCP_LOST_SEGMENT = 0x0002,
    TCP_ACK_LOST_SEGMENT = 0x0004,
    TCP_KEEP_ALIVE = 0x0008,
    TCP_DUPLICATE_ACK = 0x0010,
    TCP_ZERO_WINDOW = 0x0020,
    TCP_ZERO_WINDOW_PROBE = 0x0040,
    TCP_ZERO_WINDOW_PROBE_ACK = 0x0080,
    TCP_KEEP_ALIVE_ACK = 0x0100,
    TCP_OUT_OF_ORDER = 0x0200,
    TCP_FAST_RETRANSMISSION = 0x0400,
    TCP_WINDOW_UPDATE = 0x0800,
    TCP_WINDOW_FULL = 0x1000,
    TCP_REUSED_PORTS = 0x2000,
    TCP_SPURIOUS_RETRANSMISSION = 0x4000,
};

/* A finding's name ("fast_retransmission"; tshark puts "tcp.analysis." in front) and what people read ("fast
 * retransmission"). Terminated by a name of NULL. */
struct tcp_finding_name {
    uint16_t finding;
    const char *name, *words;
};
extern const struct tcp_finding_name tcp_finding_names[];

/* What is known of one end by the segments that it sent. Numbers of 0 are not known. */
struct tcp_side {
    uint32_t base; /* seq that is 0 in relative numbers */
    uint32_t next, gapless;
    uint32_t next_number; /* segment that made next, and its time */
    uint64_t next_ns;
    uint64_t last_ns;
    uint32_t last_ack, last_window;
    uint32_t first_of_ack; /* segment with which its ack became what it is */
    uint32_t duplicates;   /* of it, or that an ack_lost_segment was found */
    uint16_t last_findings;
    int8_t scale;  /* of its windows; negative: none, or not known */
    uint8_t mptcp; /* of the connection at its latest segment */
    bool has_base;
    bool unscaled_yet; /* it sent a SYN and no ACK without SYN since */
    bool seen_whole;   /* nothing that it sent is missing, as far as acks tell */
};

/* A connection: made by tcp_talk_begin, copied and dropped freely. */
struct tcp_talk {
    struct tcp_side side[2];
    uint64_t syn_ns;      /* latest SYN without ACK, 0: none */
    int64_t handshake_ns; /* from the latest SYN before it to the first ACK without SYN; 0: not known (yet) */
    bool mptcp_known;
    uint8_t mptcp;
};

struct tcp_found {
    uint32_t window;       /* the segment's, scaled where the scale is known */
    bool scaled;           /* it is known whether and how windows are scaled */
    uint16_t findings;     /* bits of enum tcp_finding */
    uint32_t duplicate;    /* duplicate_ack: which one, from 1 on */
    uint32_t duplicate_of; /* ... and of which segment (its number) */
};

void tcp_talk_begin(struct tcp_talk *t);

/* The next segment; `from` is 0 or 1 and names its sender. `counts`: its SYN or FIN takes a number (a caller that keeps
 * segments until they are acked, and has no room for more, says no, as Wireshark does). */
void tcp_talk_next(struct tcp_talk *t, unsigned from, const struct tcp_segment *s, bool counts, struct tcp_found *out);

#endif
