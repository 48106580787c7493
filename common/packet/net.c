/* net: IPv4, IPv6 with its extension headers, ARP. */
#include "common/packet/decode.h"
#include <string.h>

#define IP4_MORE_FRAGMENTS 0x2000
#define IP4_OFFSET         0x1fff
#define IP6_MORE_FRAGMENTS 0x0001
#define IP6_OFFSET         0xfff8

#define EXTENSION_HOP_BY_HOP  0
#define EXTENSION_ROUTING     43
#define EXTENSION_FRAGMENT    44
#define EXTENSION_AUTH        51
#define EXTENSION_NONE        59
#define EXTENSION_DESTINATION 60
#define EXTENSION_MOBILITY    135
#define EXTENSION_HIP         139
#define EXTENSION_SHIM6       140

static void accept_net(struct decoder *d, uint8_t family, uint16_t ethertype, const uint8_t *from, const uint8_t *to)
{
    struct packet *p = d->p;
    size_t len = family == FAMILY_IP6 ? 16 : 4;
    d->found = true;
    p->net.family = family;
    p->ethertype = ethertype;
    memcpy(p->net.addr[0], from, len);
    memcpy(p->net.addr[1], to, len);
}

static void note_fragment(struct decoder *d, uint16_t offset, bool more)
{
    struct packet *p = d->p;
    if (offset) {
        p->net.fragment = FRAGMENT_LATER;
    } else if (more) {
        p->net.fragment = FRAGMENT_FIRST;
        d->fenced = false; /* what is missing here comes in the next fragment */
    }
}

/* AH is looked through in IPv4 as in IPv6 (RFC 4302): what it protects is in the clear. */
static bool auth_header(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 2);
    if (!h || !decode_deeper(d) || !decode_take(d, (h[1] + 2u) * 4))
        return false;
    d->p->net.proto = h[0];
    return true;
}

void decode_ip4(struct decoder *d)
{
    struct packet *p = d->p;
    const uint8_t *h = decode_peek(d, 20);
    if (!h)
        return;
    uint32_t header = (h[0] & 15u) * 4;
    uint32_t total = decode_be16(h + 2);
    if (h[0] >> 4 != 4 || header < 20 || (total && total < header && !d->quote)) {
        decode_invalid(d);
        return;
    }
    accept_net(d, FAMILY_IP4, ETHERTYPE_IP4, h + 12, h + 16);
    p->net_offset = decode_offset(d);
    if (total && !d->quote) /* 0: left to the interface by segmentation offload */
        decode_fence(d, total);
    p->net_length = d->wire_left;
    p->hop_limit = h[8];
    p->net.proto = h[9];
    p->fragment_id = decode_be16(h + 4);
    uint16_t fragment = decode_be16(h + 6);
    if (fragment & (IP4_MORE_FRAGMENTS | IP4_OFFSET)) {
        p->plain = false;
        note_fragment(d, fragment & IP4_OFFSET, true);
    }
    if (!decode_take(d, header))
        return;
    if (p->net.proto == EXTENSION_AUTH && p->net.fragment != FRAGMENT_LATER && !auth_header(d))
        return;
    decode_transport(d);
}

/* A header of the usual form: next, length in 8 bytes without the first 8 (RFC 6564). */
static bool usual_extension(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 2);
    if (!h || !decode_deeper(d) || !decode_take(d, (h[1] + 1u) * 8))
        return false;
    d->p->net.proto = h[0];
    return true;
}

/* Headers that are a message themselves, unless something follows them (RFC 6275, 7401, 5533). */
static bool message_extension(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 2);
    return h && h[0] != EXTENSION_NONE && usual_extension(d);
}

static bool fragment_header(struct decoder *d)
{
    struct packet *p = d->p;
    const uint8_t *h = decode_peek(d, 8);
    if (!h || !decode_deeper(d))
        return false;
    uint16_t fragment = decode_be16(h + 2);
    (void)decode_take(d, 8);
    p->net.proto = h[0];
    p->fragment_id = decode_be32(h + 4);
    note_fragment(d, fragment & IP6_OFFSET, fragment & IP6_MORE_FRAGMENTS);
    return p->net.fragment != FRAGMENT_LATER;
}

/* Looks through the extension header that net.proto announces; false if it is none, or the last to be looked at. */
static bool extension(struct decoder *d)
{
    switch (d->p->net.proto) {
    case EXTENSION_HOP_BY_HOP:
    case EXTENSION_ROUTING:
    case EXTENSION_DESTINATION:
        return usual_extension(d);
    case EXTENSION_FRAGMENT:
        return fragment_header(d);
    case EXTENSION_AUTH:
        return auth_header(d);
    case EXTENSION_MOBILITY:
    case EXTENSION_HIP:
    case EXTENSION_SHIM6:
        return message_extension(d);
    default:
        return false;
    }
}

/* A jumbogram, or one without the option, as Linux makes them for itself. A length of 0 has no other good use. */
static bool unbounded_ip6(const struct decoder *d, uint32_t payload, uint8_t next)
{
    return payload == 0 && (next == EXTENSION_HOP_BY_HOP || d->wire_left > 40 + UINT16_MAX);
}

void decode_ip6(struct decoder *d)
{
    struct packet *p = d->p;
    const uint8_t *h = decode_peek(d, 40);
    if (!h)
        return;
    if (h[0] >> 4 != 6) {
        decode_invalid(d);
        return;
    }
    accept_net(d, FAMILY_IP6, ETHERTYPE_IP6, h + 8, h + 24);
    p->net_offset = decode_offset(d);
    uint32_t payload = decode_be16(h + 4);
    if (!d->quote && !unbounded_ip6(d, payload, h[6]))
        decode_fence(d, 40 + payload);
    p->net_length = d->wire_left;
    p->hop_limit = h[7];
    p->net.proto = h[6];
    (void)decode_take(d, 40);
    while (extension(d))
        ;
    if (p->end == PACKET_OK)
        decode_transport(d);
}

void decode_ip(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 1);
    if (!h)
        return;
    if (h[0] >> 4 == 4)
        decode_ip4(d);
    else if (h[0] >> 4 == 6)
        decode_ip6(d);
    else
        decode_invalid(d);
}

/* RFC 826, 903: only for IPv4, with link addresses of any length. libpcap expects them to have 6 bytes. */
void decode_arp(struct decoder *d, uint16_t type)
{
    const uint8_t *h = decode_peek(d, 8);
    if (!h)
        return;
    uint32_t link = h[4];
    if (decode_be16(h + 2) != ETHERTYPE_IP4 || h[5] != 4) {
        d->p->plain = false;
        return;
    }
    if (link != 6)
        d->p->plain = false;
    if (!decode_peek(d, 8 + 2 * (link + 4)))
        return;
    accept_net(d, FAMILY_IP4, type, h + 8 + link, h + 8 + link + 4 + link);
    d->p->net_offset = decode_offset(d);
}
