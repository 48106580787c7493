/* tunnel: headers that carry another packet. The view moves inside only if there is an IP or ARP header to be found
 * there; otherwise it stays at the tunnel's own packet. */
#include "common/packet/decode.h"
#include <string.h>

#define GRE_CHECKSUM 0x8000
#define GRE_ROUTING  0x4000
#define GRE_KEY      0x2000
#define GRE_SEQUENCE 0x1000
#define GRE_VERSION  0x0007

#define PORT_VXLAN       4789
#define PORT_VXLAN_LINUX 8472 /* Linux's default, older than the assignment */
#define PORT_GENEVE      6081

#define VXLAN_HAS_ID 0x08

/* From here on the packet is the one inside. */
static void enter(struct packet *p, enum packet_tunnel tunnel, uint32_t id)
{
    if (p->outer.family == FAMILY_NONE)
        p->outer = p->net;
    p->tunnel = tunnel;
    p->tunnel_id = id;
    p->tunnels++;
    memset(&p->net, 0, sizeof p->net);
    memset(&p->fragment_id, 0, sizeof *p - offsetof(struct packet, fragment_id));
}

/* True if the view is inside now; else it is as before, and packet.end says what was wrong inside. */
static bool look_inside(struct decoder *d, enum packet_tunnel tunnel, uint32_t id, uint16_t type)
{
    struct checkpoint here;
    decode_mark(d, &here);
    if (decode_deeper(d)) {
        enter(d->p, tunnel, id);
        if (type == ETHERTYPE_TEB)
            decode_ethernet(d);
        else
            decode_ethertype(d, type);
    }
    if (!d->found) {
        decode_back(d, &here);
        return false;
    }
    return true;
}

void decode_ipip(struct decoder *d, uint16_t type)
{
    (void)look_inside(d, TUNNEL_IPIP, 0, type);
}

/* Source route entries (RFC 1701) until the empty one. */
static bool gre_routes(struct decoder *d)
{
    for (;;) {
        const uint8_t *h = decode_take(d, 4);
        if (!h)
            return false;
        if (decode_be16(h) == 0 && h[3] == 0)
            return true;
        if (!decode_take(d, h[3]))
            return false;
    }
}

/* RFC 2784 and 2890, with the routing of RFC 1701. Version 1 is PPTP's, which carries PPP. */
void decode_gre(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 4);
    if (!h)
        return;
    uint16_t flags = decode_be16(h), type = decode_be16(h + 2);
    uint32_t key = 0;
    if (flags & GRE_VERSION || type < ETHERTYPE_MIN)
        return;
    (void)decode_take(d, 4);
    if (flags & (GRE_CHECKSUM | GRE_ROUTING) && !decode_take(d, 4))
        return;
    if (flags & GRE_KEY) {
        if (!(h = decode_take(d, 4)))
            return;
        key = decode_be32(h);
    }
    if (flags & GRE_SEQUENCE && !decode_take(d, 4))
        return;
    if (flags & GRE_ROUTING && !gre_routes(d))
        return;
    (void)look_inside(d, TUNNEL_GRE, key, type);
}

/* RFC 7348. */
static bool vxlan(struct decoder *d)
{
    const uint8_t *h = decode_take(d, 8);
    return h && h[0] & VXLAN_HAS_ID && look_inside(d, TUNNEL_VXLAN, decode_be32(h + 4) >> 8, ETHERTYPE_TEB);
}

/* RFC 8926. */
static bool geneve(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 8);
    if (!h || h[0] >> 6 != 0)
        return false;
    uint16_t type = decode_be16(h + 2);
    uint32_t options = (h[0] & 0x3fu) * 4;
    return type >= ETHERTYPE_MIN && decode_take(d, 8 + options) &&
           look_inside(d, TUNNEL_GENEVE, decode_be32(h + 4) >> 8, type);
}

/* A port is a guess: what does not look like the tunnel is somebody's UDP, and nothing is wrong with it. */
void decode_udp_tunnel(struct decoder *d, uint16_t port)
{
    bool inside = true;
    if (port == PORT_VXLAN || port == PORT_VXLAN_LINUX)
        inside = vxlan(d);
    else if (port == PORT_GENEVE)
        inside = geneve(d);
    if (!inside && d->p->end == PACKET_INVALID)
        d->p->end = PACKET_OK;
}
