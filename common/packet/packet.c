/* packet: the frame around the layers: what is known before the first and after the last of them. */
#include "common/packet/decode.h"
#include <string.h>

/* What an ICMP error quotes at the least behind the IP header (RFC 792), and the least TCP header. */
#define QUOTED_TRANSPORT 8u
#define TCP_HEADER       20u

void decode_mark(struct decoder *d, struct checkpoint *here)
{
    here->decoder = *d;
    here->packet = *d->p;
    d->found = false;
}

void decode_back(struct decoder *d, const struct checkpoint *here)
{
    enum packet_end end = d->p->end;
    unsigned depth = d->depth; /* kept: guesses within guesses stay bounded */
    *d = here->decoder;
    d->depth = depth;
    *d->p = here->packet;
    d->p->end = end;
}

/* No IP header was reached: what talks are the link addresses, if there are any. */
static void link_view(struct packet *p)
{
    if (!p->has_mac)
        return;
    p->net.family = FAMILY_LINK;
    memcpy(p->net.addr[0], p->mac[0], sizeof p->mac[0]);
    memcpy(p->net.addr[1], p->mac[1], sizeof p->mac[1]);
}

/* gcc makes `rep stos` of a memset of known size, which costs as much as all the decoding of a common packet. */
static void clear(struct packet *p)
{
    size_t size = sizeof *p;
    __asm__("" : "+r"(size));
    memset(p, 0, size);
}

void packet_decode(int link_type, const uint8_t *data, uint32_t captured, uint32_t wire, struct packet *p)
{
    if (wire < captured)
        wire = captured;
    clear(p);
    p->data = data;
    p->captured = captured;
    p->wire = wire;
    p->link_type = link_type;
    p->plain = true;
    p->vlan[0] = p->vlan[1] = VLAN_NONE;
    struct decoder d = {.p = p, .at = data, .left = captured, .wire_left = wire};
    decode_link(&d, link_type);
    if (!d.found)
        link_view(p);
    if (p->end != PACKET_OK)
        p->plain = false;
}

uint32_t packet_headers(const struct packet *p)
{
    uint32_t at = p->payload_offset;
    if (p->quoted.family == FAMILY_IP6)
        return at + 40 + QUOTED_TRANSPORT;
    if (p->quoted.family == FAMILY_IP4)
        return at + (at < p->captured ? (p->data[at] & 15u) * 4 : 0) + QUOTED_TRANSPORT;
    if (at)
        return at;
    return p->transport_offset ? p->transport_offset + TCP_HEADER : PACKET_HEADERS_OTHER;
}
