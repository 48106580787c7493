/* icmp: types, their counterparts, and the packet that an error quotes. */
#include "common/packet/decode.h"
#include <string.h>

#define ICMP_QUOTE_OFFSET 8 /* all errors of both versions quote behind 8 bytes */

/* Queries and replies, as Community ID and Zeek pair them. */
static const struct {
    uint8_t proto, query, reply;
} pairs[] = {
    {PROTO_ICMP, 8, 0},      /* echo */
    {PROTO_ICMP, 10, 9},     /* router solicitation, advertisement */
    {PROTO_ICMP, 13, 14},    /* timestamp */
    {PROTO_ICMP, 15, 16},    /* information */
    {PROTO_ICMP, 17, 18},    /* address mask */
    {PROTO_ICMP6, 128, 129}, /* echo */
    {PROTO_ICMP6, 130, 131}, /* multicast listener query, report */
    {PROTO_ICMP6, 133, 134}, /* router solicitation, advertisement */
    {PROTO_ICMP6, 135, 136}, /* neighbour solicitation, advertisement */
    {PROTO_ICMP6, 139, 140}, /* node information */
    {PROTO_ICMP6, 144, 145}, /* home agent address discovery */
};

/* The type that answers this one or is answered by it, or -1. */
static int counterpart(uint8_t proto, uint8_t type)
{
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i].proto != proto)
            continue;
        if (pairs[i].query == type)
            return pairs[i].reply;
        if (pairs[i].reply == type)
            return pairs[i].query;
    }
    return -1;
}

bool packet_icmp_two_way(uint8_t proto, uint8_t type)
{
    return counterpart(proto, type) >= 0;
}

/* Types that quote the packet that caused them: RFC 792 (unreachable, quench, redirect, time, parameter), RFC 4443. */
static bool quotes(uint8_t proto, uint8_t type)
{
    if (proto == PROTO_ICMP6)
        return type >= 1 && type <= 4;
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

/* Reads the quoted packet with the same layers into a packet of its own, of which only the flow is kept. */
static void quoted_flow(struct decoder *d, uint8_t proto)
{
    struct packet inner = {.data = d->p->data};
    struct decoder q = *d;
    q.p = &inner;
    q.quote = true;
    q.found = false;
    if (!decode_take(&q, ICMP_QUOTE_OFFSET))
        return;
    if (proto == PROTO_ICMP6)
        decode_ip6(&q);
    else
        decode_ip4(&q);
    if (q.found)
        d->p->quoted = inner.net;
}

void decode_icmp(struct decoder *d)
{
    struct packet *p = d->p;
    uint8_t proto = p->net.proto;
    const uint8_t *h = decode_peek(d, 2);
    if (!h)
        return;
    p->has_icmp = true;
    p->icmp_type = h[0];
    p->icmp_code = h[1];
    int other = counterpart(proto, h[0]);
    p->net.port[0] = h[0];
    p->net.port[1] = other < 0 ? h[1] : (uint16_t)other;
    if (d->quote || !decode_peek(d, ICMP_QUOTE_OFFSET))
        return;
    p->payload_offset = p->transport_offset + ICMP_QUOTE_OFFSET;
    p->payload_length = d->wire_left - ICMP_QUOTE_OFFSET;
    if (quotes(proto, h[0]))
        quoted_flow(d, proto);
}
