/*
 * tcp_analysis: what people read of each segment of a TCP connection, given those before it: relative numbers, the
 * findings of tcp_findings.h, what its ack answers and how much is in flight, by the exact rules of Wireshark 4.0
 * (tcp.seq, tcp.ack, tcp.nxtseq, tcp.analysis.*). Pure.
 *
 * The segments are those of one vantage, in the order seen there: both ends' views mixed look like retransmissions that
 * never were. Sequence numbers are compared modulo 2^32. SYN and FIN take one number each.
 *
 * Relative numbers: seq counts from the number of its first segment, that being 0 if it has SYN and else 1; before any
 * segment of the other end was seen, the first ack with its flag is 1. A SYN without ACK whose seq is not the one that
 * its end's numbers count from begins everything anew.
 */
#ifndef FLEETDUMP_COLLECTOR_LADDER_TCP_ANALYSIS_H
#define FLEETDUMP_COLLECTOR_LADDER_TCP_ANALYSIS_H

#include "common/base/error.h"
#include "common/tcp/tcp_findings.h"

/* Segments without ack that are remembered for each end; more than these neither measure times nor count as in flight.
 */
#define TCP_UNACKED_MAX 10000u

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

/* Time from the latest SYN before it to the first ACK without SYN: 0 if not known (yet). By it out of order is told
 * from retransmitted; tests compare it with tshark's. */
int64_t tcp_analysis_handshake_ns(const struct tcp_analysis *a);

#endif
