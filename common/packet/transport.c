/* transport: ports, and where the payload begins. */
#include "common/packet/decode.h"

/* The header's length is known: the payload is what is left behind it, and at most `most`. */
static void note_payload(struct decoder *d, uint32_t header, uint32_t most)
{
    struct packet *p = d->p;
    uint32_t length = d->wire_left > header ? d->wire_left - header : 0;
    p->payload_offset = p->transport_offset + header;
    p->payload_length = length < most ? length : most;
}

/* The ports that begin all these headers; false if they are cut, or all there is to know (a quoted packet). */
static bool ports(struct decoder *d)
{
    struct packet_net *net = &d->p->net;
    const uint8_t *h = decode_peek(d, 4);
    if (!h)
        return false;
    net->port[0] = decode_be16(h);
    net->port[1] = decode_be16(h + 2);
    net->has_ports = true;
    return !d->quote;
}

static void tcp(struct decoder *d)
{
    struct packet *p = d->p;
    const uint8_t *h;
    if (!ports(d) || !(h = decode_peek(d, 20)))
        return;
    uint32_t header = (h[12] >> 4) * 4u;
    if (header < 20 || decode_too_long(d, header)) {
        decode_invalid(d);
        return;
    }
    p->tcp_seq = decode_be32(h + 4);
    p->tcp_ack = decode_be32(h + 8);
    p->tcp_flags = h[13];
    p->tcp_window = decode_be16(h + 14);
    p->has_tcp = true;
    note_payload(d, header, UINT32_MAX);
    (void)decode_peek(d, header);
}

static void udp(struct decoder *d)
{
    struct packet *p = d->p;
    const uint8_t *h;
    if (!ports(d) || !(h = decode_peek(d, 8)))
        return;
    uint32_t length = decode_be16(h + 4);
    if (length == 0 && !d->fenced) /* jumbogram (RFC 2675) or segmentation offload, where IP has no length either */
        length = UINT32_MAX;
    else if (length < 8 || decode_too_long(d, length))
        decode_invalid(d);
    note_payload(d, 8, length < 8 ? 0 : length - 8);
    if (p->end != PACKET_OK)
        return;
    decode_fence(d, length);
    (void)decode_take(d, 8);
    decode_udp_tunnel(d, p->net.port[1]);
}

static void sctp(struct decoder *d)
{
    if (ports(d) && decode_peek(d, 12))
        note_payload(d, 12, UINT32_MAX);
}

/* RFC 3828. libpcap's `port` does not look here, nor into DCCP. */
static void udplite(struct decoder *d)
{
    d->p->plain = false;
    if (ports(d) && decode_peek(d, 8))
        note_payload(d, 8, UINT32_MAX);
}

/* RFC 4340, 5.1: the data offset counts 4 bytes. */
static void dccp(struct decoder *d)
{
    const uint8_t *h;
    d->p->plain = false;
    if (!ports(d) || !(h = decode_peek(d, 12)))
        return;
    uint32_t header = h[4] * 4u;
    if (header < 12 || decode_too_long(d, header)) {
        decode_invalid(d);
        return;
    }
    note_payload(d, header, UINT32_MAX);
    (void)decode_peek(d, header);
}

/* Where an ICMP error quotes a tunnel, the error is about the outer packet. */
static void unported(struct decoder *d)
{
    note_payload(d, 0, UINT32_MAX);
    if (d->quote)
        return;
    switch (d->p->net.proto) {
    case PROTO_IPIP:
        decode_ipip(d, ETHERTYPE_IP4);
        break;
    case PROTO_6IN4:
        decode_ipip(d, ETHERTYPE_IP6);
        break;
    case PROTO_GRE:
        decode_gre(d);
        break;
    default:
        break;
    }
}

void decode_transport(struct decoder *d)
{
    struct packet *p = d->p;
    if (p->net.fragment == FRAGMENT_LATER) {
        p->payload_offset = decode_offset(d);
        p->payload_length = d->wire_left;
        return;
    }
    p->transport_offset = decode_offset(d);
    switch (p->net.proto) {
    case PROTO_TCP:
        tcp(d);
        break;
    case PROTO_UDP:
        udp(d);
        break;
    case PROTO_ICMP:
    case PROTO_ICMP6:
        decode_icmp(d);
        break;
    case PROTO_SCTP:
        sctp(d);
        break;
    case PROTO_UDPLITE:
        udplite(d);
        break;
    case PROTO_DCCP:
        dccp(d);
        break;
    default:
        unported(d);
        break;
    }
}
