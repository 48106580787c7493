/*
 * decode: what the layers of the decoder share. Private to common/packet.
 *
 * A layer takes its header from the front of what is left, writes down what it learned and goes on to the layer inside.
 * Nothing is returned: packet.end tells how it went, and `found` whether it came to addresses.
 *
 * Two lengths bound what is left. `left` is what was captured, and no byte beyond it is ever read. `wire_left` is what
 * the frame, or the innermost header with a length, says is there. A header that needs more than was captured is
 * truncated; one that needs more than the packet's own lengths allow ("fenced") is invalid, however much was captured.
 */
#ifndef FLEETDUMP_PACKET_DECODE_H
#define FLEETDUMP_PACKET_DECODE_H

#include "common/packet/packet.h"

#define ETHERTYPE_TEB   0x6558 /* transparent Ethernet bridging: a whole Ethernet frame */
#define ETHERTYPE_VLAN  0x8100
#define ETHERTYPE_PPP   0x880b
#define ETHERTYPE_MPLS  0x8847
#define ETHERTYPE_MPLSM 0x8848 /* multicast */
#define ETHERTYPE_PPPOE 0x8864 /* session stage */
#define ETHERTYPE_QINQ  0x88a8
#define ETHERTYPE_QINQ1 0x9100 /* before 802.1ad */
#define ETHERTYPE_MIN   0x0600 /* smaller values are no ethertypes */
#define LLC_LENGTH_MAX  1500   /* up to here the field of Ethernet is a length, and LLC follows */

#define PROTO_IPIP    4
#define PROTO_DCCP    33
#define PROTO_6IN4    41
#define PROTO_GRE     47
#define PROTO_UDPLITE 136

struct decoder {
    struct packet *p;
    const uint8_t *at;  /* next byte */
    uint32_t left;      /* captured bytes from there on */
    uint32_t wire_left; /* bytes of the packet from there on, captured or not; at least `left` */
    unsigned depth;     /* headers looked through */
    bool fenced;        /* wire_left is what a header claims, less than what the frame has */
    bool found;         /* came to an IP or ARP header in this frame or tunnel */
    bool quote; /* this is the packet in an ICMP error: only 8 bytes of transport are sure, lengths may be wrong */
};

/* A place to come back to when a guess about what follows was wrong. */
struct checkpoint {
    struct decoder decoder;
    struct packet packet;
};

static inline uint16_t decode_be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

static inline uint32_t decode_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Offset of the next byte in the packet. */
static inline uint32_t decode_offset(const struct decoder *d)
{
    return (uint32_t)(d->at - d->p->data);
}

/* Whether the packet's own lengths say that it has no n bytes left. */
static inline bool decode_too_long(const struct decoder *d, uint32_t n)
{
    return n > d->wire_left && d->fenced;
}

/* The next n bytes, or NULL, and the end is TRUNCATED or INVALID. */
static inline const uint8_t *decode_peek(struct decoder *d, uint32_t n)
{
    if (__builtin_expect(n > d->left, 0)) {
        d->p->end = decode_too_long(d, n) ? PACKET_INVALID : PACKET_TRUNCATED;
        return NULL;
    }
    return d->at;
}

/* As decode_peek, and goes past them. */
static inline const uint8_t *decode_take(struct decoder *d, uint32_t n)
{
    const uint8_t *h = decode_peek(d, n);
    if (h) {
        d->at += n;
        d->left -= n;
        d->wire_left -= n;
    }
    return h;
}

/* A header says that n bytes follow. More than there are on the wire is not believed. */
static inline void decode_fence(struct decoder *d, uint32_t n)
{
    if (n > d->wire_left)
        return;
    d->wire_left = n;
    d->fenced = true;
    if (d->left > n)
        d->left = n;
}

static inline void decode_invalid(struct decoder *d)
{
    d->p->end = PACKET_INVALID;
}

/* One more header looked through, so libpcap sees another packet than we do; false (and invalid) past PACKET_DEPTH_MAX.
 */
static inline bool decode_deeper(struct decoder *d)
{
    d->p->plain = false;
    if (d->depth == PACKET_DEPTH_MAX) {
        decode_invalid(d);
        return false;
    }
    d->depth++;
    return true;
}

/* Marks this place; no IP or ARP header is found from here on until one is. */
void decode_mark(struct decoder *d, struct checkpoint *here);

/* Back to the mark with all that was known then, but `end`. */
void decode_back(struct decoder *d, const struct checkpoint *here);

void decode_link(struct decoder *d, int link_type);       /* link.c: the outermost header */
void decode_ethernet(struct decoder *d);                  /* link.c: an Ethernet header, its addresses not noted */
void decode_ethertype(struct decoder *d, uint16_t type);  /* link.c: what an ethertype announces */
void decode_ip(struct decoder *d);                        /* net.c: IPv4 or IPv6 by its version */
void decode_ip4(struct decoder *d);                       /* net.c */
void decode_ip6(struct decoder *d);                       /* net.c */
void decode_arp(struct decoder *d, uint16_t type);        /* net.c: ARP and RARP */
void decode_transport(struct decoder *d);                 /* transport.c: what net.proto announces */
void decode_icmp(struct decoder *d);                      /* icmp.c: ICMP and ICMPv6 */
void decode_ipip(struct decoder *d, uint16_t type);       /* tunnel.c */
void decode_gre(struct decoder *d);                       /* tunnel.c */
void decode_udp_tunnel(struct decoder *d, uint16_t port); /* tunnel.c: guesses by the destination port */

#endif
