/*
 * tcp_segment: what the headers of one TCP segment say, options included (RFC 9293, 3.1; RFC 7323; RFC 2018; RFC 8684).
 * Pure.
 */
#ifndef FLEETDUMP_TCP_TCP_SEGMENT_H
#define FLEETDUMP_TCP_TCP_SEGMENT_H

#include "common/packet/packet.h"

#define TCP_SACKS_MAX 3u /* ranges of an option that count as received */

struct tcp_segment {
    uint64_t time_ns;
    uint32_t number; /* the caller's name for it */
    uint32_t seq, ack;
    uint32_t length; /* payload bytes, as the headers claim */
    bool whole;      /* the length is known: no fragment, and its header is not cut on the wire */
    uint16_t flags;  /* all 12 bits: TCP_*, 0x100 AE, above it what is reserved */
    uint16_t window;
    int8_t scale;         /* window scale option, at most 14; -1: none */
    uint8_t mptcp;        /* a bit for each subtype of MPTCP options that says to which connection it belongs */
    uint8_t sacks;        /* of the ranges below */
    bool sack_permitted;  /* option */
    uint32_t sack_bytes;  /* in the ranges */
    uint16_t mss;         /* of its option; 0: none */
    bool has_stamp;       /* timestamp option */
    uint32_t stamp, echo; /* of it */
    uint32_t sack_left, sack_right; /* of the first range, if there is one */
};

/* Reads the segment of a packet with has_tcp; options that are cut or malformed end what is read of them. */
void tcp_segment_read(const struct packet *p, uint64_t time_ns, uint32_t number, struct tcp_segment *s);

/* Sequence numbers modulo 2^32: whether a comes before b. */
static inline bool tcp_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* Without SYN, FIN, RST. */
static inline bool tcp_is_plain(const struct tcp_segment *s)
{
    return !(s->flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

/* SYN and FIN take one number together. */
static inline bool tcp_takes_number(const struct tcp_segment *s)
{
    return (s->flags & (TCP_SYN | TCP_FIN)) != 0;
}

#endif
