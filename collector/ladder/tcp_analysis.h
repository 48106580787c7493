/*
 * tcp_analysis: what each segment of a TCP connection means, given those before it: relative numbers and findings, by
 * the exact rules of Wireshark 4.0 (tcp.seq, tcp.ack, tcp.nxtseq, tcp.analysis.*). Pure.
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
 * Relative numbers: seq counts from the number of its first segment, that being 0 if it has SYN and else 1; before any
 * segment of the other end was seen, the first ack with its flag is 1. A SYN without ACK whose seq is not the one that
 * its end's numbers count from begins everything anew.
 *
 * Findings, the first that ends its group being the last one asked for:
 *  of any segment:
 *   reused_ports            it begins everything anew, or is a SYN+ACK whose seq is not the one that its end's numbers
 *                           count from (they count from there on)
 *   ack_lost_segment        its ack (with the flag) is beyond the other end's gapless, which moves on to next; said again
 *                           for the same next only after the other end's ack changed
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
 *   duplicate_ack           no bytes, at its next, with its last ack and last window, that not being 0, without SYN, FIN,
 *                           RST, and no kind of MPTCP option was new in the connection since its latest segment
 *  why it comes again, if it has bytes, SYN or FIN and is no keep_alive; the first that holds ends the group:
 *   spurious_retransmission bytes that all lie before the other end's last ack (a retransmission, too)
 *   fast_retransmission     again, at the other end's last ack, which that has sent as two or more duplicate_acks or
 *                           with an ack_lost_segment that was not said again, the latest less than 20 ms ago (a
 *                           retransmission, too)
 *   out_of_order            again, less than the handshake took (3 ms if that is not known) after the segment that made
 *                           its next, and not ending there
 *   retransmission          again
 */
#ifndef FLEETDUMP_COLLECTOR_LADDER_TCP_ANALYSIS_H
#define FLEETDUMP_COLLECTOR_LADDER_TCP_ANALYSIS_H

#include "common/base/error.h"
#include "common/packet/packet.h"

/* Segments without ack that are remembered for each end; more than these neither measure times nor count as in flight.
 */
#define TCP_UNACKED_MAX 10000u
#define TCP_SACKS_MAX   3u /* ranges of an option that count as received */

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

/* What a segment's headers say. */
struct tcp_segment {
    uint64_t time_ns;
    uint32_t number; /* the caller's name for it, not 0 */
    uint32_t seq, ack;
    uint32_t length; /* payload bytes, as the headers claim */
    bool whole;      /* the length is known: no fragment, and its header is not cut on the wire */
    uint16_t flags;  /* all 12 bits: TCP_*, 0x100 AE, above it what is reserved */
    uint16_t window;
    int8_t scale;         /* window scale option, at most 14; -1: none */
    uint8_t mptcp;        /* a bit for each subtype of MPTCP options that says to which connection it belongs */
    uint8_t sacks;        /* of the ranges below */
    uint32_t sack_bytes;  /* in them */
    uint16_t mss;         /* of its option; 0: none */
    bool has_stamp;       /* timestamp option */
    uint32_t stamp, echo; /* of it */
    uint32_t sack_left, sack_right; /* of the first range, if there is one */
};

/* Reads the segment of a packet with has_tcp; options that are cut or malformed end what is read of them. */
void tcp_segment_read(const struct packet *p, uint64_t time_ns, uint32_t number, struct tcp_segment *s);

struct tcp_reading {
    uint32_t seq, ack;     /* relative; ack as it stands in the header if the flag is not set */
    uint32_t next;         /* of this segment: seq + length + SYN or FIN; 0 if it is not whole */
    uint32_t window;       /* scaled, where the scale is known */
    bool scaled;           /* it is known whether and how windows are scaled */
    uint16_t findings;     /* bits of enum tcp_finding */
    uint32_t duplicate;    /* duplicate_ack: which one, from 1 on */
    uint32_t duplicate_of; /* ... and of which segment (its number) */
    uint32_t acks;         /* number of the segment that ends exactly at this ack, 0: none */
    int64_t acks_after_ns; /* time since that segment */
    uint32_t in_flight;    /* bytes that its sender sent and the other end did not ack yet; 0 also if not known */
    uint32_t pushed;       /* with in_flight: bytes that its sender sent since the last PSH before */
    uint32_t rto_of;       /* retransmission: the oldest segment without ack, 0: none, and the time since then */
    int64_t rto_ns;
};

struct tcp_analysis;

MUST_CHECK int tcp_analysis_new(struct tcp_analysis **out, struct error *e);
void tcp_analysis_free(struct tcp_analysis *a);

/* The next segment; `from` is 0 or 1 and names its sender. Fails for want of memory alone. */
MUST_CHECK int tcp_analysis_next(struct tcp_analysis *a, unsigned from, const struct tcp_segment *s,
                                 struct tcp_reading *out, struct error *e);

/* Time from the latest SYN before it to the first ACK without SYN: 0 if not known (yet). */
int64_t tcp_analysis_handshake_ns(const struct tcp_analysis *a);

#endif
