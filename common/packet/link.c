/* link: link headers, tags, labels and all else that stands before the IP header. */
#include "common/packet/decode.h"
#include <string.h>

#define AF_INET_ANY 2 /* the same on every system */

/* --- Headers between the link and IP --- */

static void vlan_note(struct packet *p, uint16_t id)
{
    if (p->vlans < 2)
        p->vlan[p->vlans] = id;
    if (p->vlans < UINT8_MAX)
        p->vlans++;
}

/* 802.2 LLC, and SNAP in it with the two organisation codes whose ids are ethertypes (RFC 1042, 802.1H). */
static void llc(struct decoder *d)
{
    struct packet *p = d->p;
    const uint8_t *h = decode_peek(d, 3);
    p->ethertype = 0;
    if (!h)
        return;
    p->lsap = decode_be16(h);
    if (p->lsap != 0xaaaa || h[2] != 3)
        return;
    p->plain = false;
    if (!(h = decode_peek(d, 8)))
        return;
    uint32_t organisation = decode_be32(h + 2) & 0xffffff;
    uint16_t type = decode_be16(h + 6);
    if ((organisation != 0 && organisation != 0x0000f8) || type < ETHERTYPE_MIN || !decode_deeper(d))
        return;
    (void)decode_take(d, 8);
    decode_ethertype(d, type);
}

/* What follows the type or length field of Ethernet. */
static void type_or_length(struct decoder *d, uint16_t value)
{
    if (value <= LLC_LENGTH_MAX) {
        decode_fence(d, value);
        llc(d);
    } else {
        decode_ethertype(d, value);
    }
}

static void vlan(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 4);
    if (!h || !decode_deeper(d))
        return;
    vlan_note(d->p, decode_be16(h) & 0x0fff);
    (void)decode_take(d, 4);
    type_or_length(d, decode_be16(h + 2));
}

/* One guess about what labels carry; false if it was wrong, and then all is as before. A guess that the capture cut is
 * neither: no other may be tried. */
static bool label_guess(struct decoder *d, void (*layer)(struct decoder *), uint32_t skip)
{
    struct checkpoint here;
    decode_mark(d, &here);
    if (decode_take(d, skip))
        layer(d);
    if (d->found)
        return true;
    decode_back(d, &here);
    if (d->p->end == PACKET_TRUNCATED)
        return true;
    d->p->end = PACKET_OK;
    return false;
}

/* Whether the first nibble and the length are those of an IP packet. */
static bool ip_by_length(const uint8_t *h, uint32_t wire_left)
{
    uint32_t length = decode_be16(h + 2);
    if (h[0] >> 4 == 6)
        length = 40u + decode_be16(h + 4);
    else if (h[0] >> 4 != 4)
        return false;
    return length >= 20 && length <= wire_left;
}

/* Labels do not say what they carry. A first nibble of 4 or 6 means IP, 0 the control word of a pseudowire (RFC 4385).
 * But an Ethernet pseudowire without control word begins with any address. */
static void mpls_payload(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 6);
    if (!h || !decode_deeper(d))
        return;
    unsigned nibble = h[0] >> 4;
    if (ip_by_length(h, d->wire_left) && label_guess(d, decode_ip, 0))
        return;
    if (nibble == 0 && label_guess(d, decode_ethernet, 4))
        return;
    if (!label_guess(d, decode_ethernet, 0) && (nibble == 4 || nibble == 6))
        (void)label_guess(d, decode_ip, 0);
}

static void mpls(struct decoder *d)
{
    for (;;) {
        const uint8_t *h = decode_peek(d, 4);
        if (!h || !decode_deeper(d))
            return;
        d->p->mpls++;
        (void)decode_take(d, 4);
        if (h[2] & 1) /* bottom of stack */
            break;
    }
    mpls_payload(d);
}

/* The protocol field of PPP, which may be compressed to one byte (RFC 1661, 6.5). */
static void ppp_protocol(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 1);
    if (!h)
        return;
    bool compressed = h[0] & 1;
    if (compressed)
        d->p->plain = false;
    else if (!decode_peek(d, 2))
        return;
    uint16_t protocol = compressed ? h[0] : decode_be16(h);
    (void)decode_take(d, compressed ? 1 : 2);
    switch (protocol) {
    case 0x0021:
        decode_ip4(d);
        break;
    case 0x0057:
        decode_ip6(d);
        break;
    case 0x0281:
    case 0x0283: /* multicast */
        mpls(d);
        break;
    default:
        break;
    }
}

/* RFC 2516, session stage. */
static void pppoe(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 6);
    if (!h || h[0] != 0x11 || h[1] != 0 || !decode_deeper(d))
        return;
    (void)decode_take(d, 6);
    decode_fence(d, decode_be16(h + 4));
    ppp_protocol(d);
}

void decode_ethertype(struct decoder *d, uint16_t type)
{
    d->p->ethertype = type;
    switch (type) {
    case ETHERTYPE_IP4:
        decode_ip4(d);
        break;
    case ETHERTYPE_IP6:
        decode_ip6(d);
        break;
    case ETHERTYPE_ARP:
    case ETHERTYPE_RARP:
        decode_arp(d, type);
        break;
    case ETHERTYPE_VLAN:
    case ETHERTYPE_QINQ:
    case ETHERTYPE_QINQ1:
        vlan(d);
        break;
    case ETHERTYPE_MPLS:
    case ETHERTYPE_MPLSM:
        mpls(d);
        break;
    case ETHERTYPE_PPPOE:
        pppoe(d);
        break;
    default:
        break;
    }
}

void decode_ethernet(struct decoder *d)
{
    const uint8_t *h = decode_take(d, 14);
    if (h)
        type_or_length(d, decode_be16(h + 12));
}

/* --- Link types --- */

static void link_ethernet(struct decoder *d)
{
    struct packet *p = d->p;
    const uint8_t *h = decode_peek(d, 12);
    if (!h)
        return;
    p->has_mac = true;
    memcpy(p->mac[0], h + 6, 6);
    memcpy(p->mac[1], h, 6);
    decode_ethernet(d);
}

/* The address family of the system that captured, in its byte order (NULL) or big-endian (LOOP). IPv6 has another
 * number on each; libpcap knows those of the system it runs on alone. */
static void address_family(struct decoder *d, uint32_t family)
{
    switch (family) {
    case AF_INET_ANY:
        decode_ip4(d);
        break;
    case 24: /* NetBSD, OpenBSD */
    case 28: /* FreeBSD */
    case 30: /* macOS */
    case 23: /* Windows */
        d->p->plain = false;
        decode_ip6(d);
        break;
    case 10: /* Linux */
        decode_ip6(d);
        break;
    default:
        break;
    }
}

static void link_null(struct decoder *d)
{
    const uint8_t *h = decode_take(d, 4);
    if (!h)
        return;
    uint32_t family = decode_be32(h);
    bool big_endian = family <= 0xffff;
    if (!big_endian)
        family = __builtin_bswap32(family);
    if (big_endian)
        d->p->plain = false;
    address_family(d, family);
}

static void link_loop(struct decoder *d)
{
    const uint8_t *h = decode_take(d, 4);
    if (h)
        address_family(d, decode_be32(h));
}

/* ARPHRD_ types with which the protocol field of Linux cooked is no ethertype. */
static bool cooked_foreign(uint16_t arphrd)
{
    return arphrd == 824 /* netlink */ || arphrd == 770 /* frame relay access */ || arphrd == 803 /* radiotap */;
}

static void cooked(struct decoder *d, uint16_t arphrd, uint16_t protocol, uint16_t addr_length, const uint8_t *addr)
{
    struct packet *p = d->p;
    p->has_mac = addr_length == 6;
    if (p->has_mac)
        memcpy(p->mac[0], addr, 6);
    if (cooked_foreign(arphrd))
        p->plain = false;
    else if (protocol == 4) /* LINUX_SLL_P_802_2 */
        llc(d);
    else if (protocol >= ETHERTYPE_MIN)
        decode_ethertype(d, protocol);
}

static void link_cooked(struct decoder *d)
{
    const uint8_t *h = decode_take(d, 16);
    if (h)
        cooked(d, decode_be16(h + 2), decode_be16(h + 14), decode_be16(h + 4), h + 6);
}

static void link_cooked2(struct decoder *d)
{
    const uint8_t *h = decode_take(d, 20);
    if (h)
        cooked(d, decode_be16(h + 8), decode_be16(h), h[11], h + 12);
}

static void link_cisco_hdlc(struct decoder *d)
{
    const uint8_t *h = decode_take(d, 4);
    if (h)
        decode_ethertype(d, decode_be16(h + 2));
}

/* With or without the address and control bytes of HDLC framing (RFC 1662). */
static void link_ppp(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 2);
    d->p->ethertype = ETHERTYPE_PPP;
    if (!h)
        return;
    if (decode_be16(h) == 0xff03)
        (void)decode_take(d, 2);
    else
        d->p->plain = false;
    ppp_protocol(d);
}

/* PPP or Cisco's HDLC, told apart by the address byte. */
static void link_serial(struct decoder *d)
{
    const uint8_t *h = decode_peek(d, 1);
    if (h && (h[0] == 0x0f || h[0] == 0x8f)) {
        d->p->plain = false;
        link_cisco_hdlc(d);
    } else {
        link_ppp(d);
    }
}

void decode_link(struct decoder *d, int link_type)
{
    static const struct {
        int link_type;
        void (*layer)(struct decoder *);
    } types[] = {
        {0, link_null},    {9, link_serial},  {12, decode_ip}, /* RAW, as some systems write it */
        {14, decode_ip},                                       /* RAW, as OpenBSD writes it */
        {50, link_serial}, {101, decode_ip},  {104, link_cisco_hdlc}, {108, link_loop},    {113, link_cooked},
        {219, mpls},       {228, decode_ip4}, {229, decode_ip6},      {276, link_cooked2},
    };
    if (link_type == 1) {
        link_ethernet(d);
        return;
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].link_type == link_type) {
            types[i].layer(d);
            return;
        }
    }
    d->p->plain = false; /* libpcap may know it */
}
