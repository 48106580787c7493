#include "agent/forbid.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTO_DCCP    33
#define PROTO_AUTH    51
#define PROTO_UDPLITE 136

/* ---------------------------------------------------------------- reading */

static bool read_number(const char *text, size_t len, unsigned most, unsigned *value)
{
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (unsigned)(text[i] - '0');
        if (*value > most)
            return false;
    }
    return len > 0;
}

/* False: the address has bits behind the prefix. */
static bool set_net(struct forbid_net *n, const uint8_t addr[16], unsigned bits)
{
    uint8_t mask[16] = {0};
    for (unsigned bit = 0; bit < bits; bit++)
        mask[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
    n->bits = (uint8_t)bits;
    memcpy(n->addr, addr, sizeof n->addr);
    memcpy(n->mask, mask, sizeof n->mask);
    return !(n->addr[0] & ~n->mask[0]) && !(n->addr[1] & ~n->mask[1]);
}

int forbid_add_net(struct forbid *f, const char *text, struct error *e)
{
    char address[64];
    uint8_t addr[16] = {0};
    struct forbid_net n = {0};
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof address)
        return error_set(e, ERROR_USAGE, "'%.60s' is no network: write 10.1.0.0/16 or 2001:db8::/32", text);
    memcpy(address, text, len);
    address[len] = 0;
    n.family = strchr(address, ':') ? FAMILY_IP6 : FAMILY_IP4;
    unsigned most = n.family == FAMILY_IP6 ? 128 : 32, bits = most;
    if (inet_pton(n.family == FAMILY_IP6 ? AF_INET6 : AF_INET, address, addr) != 1 ||
        (slash && !read_number(slash + 1, strlen(slash + 1), most, &bits)))
        return error_set(e, ERROR_USAGE, "'%.60s' is no network: write 10.1.0.0/16 or 2001:db8::/32", text);
    if (!set_net(&n, addr, bits))
        return error_set(e, ERROR_USAGE, "'%.60s': the address has bits behind the prefix of %u", text, bits);
    if (f->net_count == FORBID_MAX)
        return error_set(e, ERROR_LIMIT, "more than %u networks", FORBID_MAX);
    f->nets[f->net_count++] = n;
    return 0;
}

int forbid_add_ports(struct forbid *f, const char *text, struct error *e)
{
    const char *dash = strchr(text, '-');
    unsigned first, last;
    size_t len = dash ? (size_t)(dash - text) : strlen(text);
    bool good = read_number(text, len, UINT16_MAX, &first);
    last = first;
    if (good && dash)
        good = read_number(dash + 1, strlen(dash + 1), UINT16_MAX, &last) && first <= last;
    if (!good)
        return error_set(e, ERROR_USAGE, "'%.60s' is no port: write 22 or 5000-5999", text);
    if (f->port_count == FORBID_MAX)
        return error_set(e, ERROR_LIMIT, "more than %u ports", FORBID_MAX);
    f->ports[f->port_count++] = (struct forbid_ports){(uint16_t)first, (uint16_t)last};
    return 0;
}

/* ---------------------------------------------------------------- judging */

static inline bool is_inside(const struct forbid_net *n, const uint64_t addr[2])
{
    return !(((addr[0] ^ n->addr[0]) & n->mask[0]) | ((addr[1] ^ n->addr[1]) & n->mask[1]));
}

/* IPv4 in IPv6 (::ffff:a.b.c.d, 64:ff9b::a.b.c.d of RFC 6052) is IPv4, too. */
static bool embedded(const uint8_t addr[16], uint8_t inner[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, translated[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(addr, mapped, sizeof mapped) != 0 && memcmp(addr, translated, sizeof translated) != 0)
        return false;
    memset(inner, 0, 16);
    memcpy(inner, addr + 12, 4);
    return true;
}

static bool address_is_forbidden(const struct forbid *f, uint8_t family, const uint8_t addr[16])
{
    uint8_t inner[16];
    uint64_t words[2];
    memcpy(words, addr, sizeof words);
    for (uint32_t i = 0; i < f->net_count; i++)
        if (f->nets[i].family == family && is_inside(&f->nets[i], words))
            return true;
    return family == FAMILY_IP6 && embedded(addr, inner) && address_is_forbidden(f, FAMILY_IP4, inner);
}

static bool port_is_forbidden(const struct forbid *f, uint16_t port)
{
    for (uint32_t i = 0; i < f->port_count; i++)
        if (port >= f->ports[i].first && port <= f->ports[i].last)
            return true;
    return false;
}

static bool carries_ports(uint8_t proto)
{
    return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP || proto == PROTO_UDPLITE ||
           proto == PROTO_DCCP;
}

/* `whole`: the headers were read to their end. */
static bool ports_are_forbidden(const struct forbid *f, const struct packet_net *n, bool whole)
{
    if (n->has_ports)
        return port_is_forbidden(f, n->port[0]) || port_is_forbidden(f, n->port[1]);
    return carries_ports(n->proto) || !whole || n->fragment == FRAGMENT_LATER;
}

static bool net_is_forbidden(const struct forbid *f, const struct packet_net *n, bool whole)
{
    if (n->family != FAMILY_IP4 && n->family != FAMILY_IP6)
        return true;
    if (address_is_forbidden(f, n->family, n->addr[0]) || address_is_forbidden(f, n->family, n->addr[1]))
        return true;
    return f->port_count && ports_are_forbidden(f, n, whole);
}

static bool is_among(unsigned value, const uint16_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}
#define IS_AMONG(value, list) is_among((value), (list), sizeof(list) / sizeof *(list))

/* L2TP, GTP, Teredo, LISP, GRE in UDP, VXLAN, VXLAN-GPE, CAPWAP, GUE, GENEVE, MPLS in UDP, VXLAN as Linux has it. */
static const uint16_t tunnel_ports[] = {1701, 2152, 3544, 4341, 4754, 4789, 4790, 5247, 6080, 6081, 6635, 8472};

/* IP in IP, 6in4, GRE, minimal encapsulation, IP in IP of KA9Q, EtherIP, ENCAP, PIM (registers), IPComp, L2TP, MPLS, Ethernet, AGGFRAG. */
static const uint16_t tunnel_protos[] = {4, 41, 47, 55, 94, 97, 98, 103, 108, 115, 137, 143, 144};

/* Extension headers: where one was the last to be read, it is not known what follows. Those of mobility, HIP and Shim6 may be all there is. */
static bool hides_rest(const struct packet_net *n)
{
    static const uint16_t never_last[] = {0, 43, 44, 60}, maybe_last[] = {135, 139, 140};
    if (n->proto == PROTO_AUTH)
        return true;
    if (n->family != FAMILY_IP6)
        return false;
    return IS_AMONG(n->proto, never_last) || (n->fragment == FRAGMENT_LATER && IS_AMONG(n->proto, maybe_last));
}

/* A tunnel's own packet, of which the inside was not readable, or a later fragment of what may be one. */
static bool hides_packet(const struct packet_net *n)
{
    if (n->proto == PROTO_TCP)
        return false;
    if (n->proto == PROTO_UDP && n->fragment == FRAGMENT_LATER)
        return true;
    if (n->proto == PROTO_UDP && n->has_ports)
        return IS_AMONG(n->port[0], tunnel_ports) || IS_AMONG(n->port[1], tunnel_ports);
    return IS_AMONG(n->proto, tunnel_protos) || hides_rest(n);
}

static bool is_icmp_error(const struct packet *p)
{
    uint8_t type = p->icmp_type;
    if (p->net.proto == PROTO_ICMP6)
        return type < 128 || type == 137; /* RFC 4443, 2.1; redirects (RFC 4861, 4.5) */
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static bool icmp_is_forbidden(const struct forbid *f, const struct packet *p)
{
    if (p->net.proto != PROTO_ICMP && p->net.proto != PROTO_ICMP6)
        return false;
    if (!p->has_icmp)
        return p->net.fragment == FRAGMENT_LATER || p->end != PACKET_OK;
    if (!is_icmp_error(p))
        return false;
    return net_is_forbidden(f, &p->quoted, true) || hides_packet(&p->quoted);
}

/* Frames that carry no IP addresses: LACP, LLDP, 802.1X, PTP, loopback tests, discovery of PPPoE; by 802.2 spanning tree, IS-IS, NetBIOS, IPX. */
static bool is_without_ip(const struct packet *p)
{
    static const uint16_t types[] = {0x8809, 0x88cc, 0x888e, 0x88f7, 0x9000, 0x8863},
                          lsaps[] = {0x4242, 0x4243, 0xfefe, 0xf0f0, 0xf0f1, 0xe0e0, 0xffff};
    if (p->net.family != FAMILY_LINK || p->end != PACKET_OK)
        return false;
    return p->ethertype ? IS_AMONG(p->ethertype, types) : IS_AMONG(p->lsap, lsaps);
}

bool forbid_packet(const struct forbid *f, const struct packet *p)
{
    bool whole = p->end == PACKET_OK;
    if (is_without_ip(p))
        return false;
    if (net_is_forbidden(f, &p->net, whole) || hides_packet(&p->net) || p->tunnels > 1)
        return true;
    if (p->outer.family != FAMILY_NONE && net_is_forbidden(f, &p->outer, true))
        return true;
    return icmp_is_forbidden(f, p);
}

/* ---------------------------------------------------------------- in words */

void forbid_filter(const struct forbid *f, struct buffer *out)
{
    char address[64];
    const char * or = "";
    for (uint32_t i = 0; i < f->net_count; i++, or = " or ") {
        const struct forbid_net *n = &f->nets[i];
        (void)inet_ntop(n->family == FAMILY_IP6 ? AF_INET6 : AF_INET, n->addr, address, sizeof address);
        buffer_printf(out, "%snet %s/%u", or, address, n->bits);
    }
    for (uint32_t i = 0; i < f->port_count; i++, or = " or ") {
        if (f->ports[i].first == f->ports[i].last)
            buffer_printf(out, "%sport %u", or, f->ports[i].first);
        else
            buffer_printf(out, "%sportrange %u-%u", or, f->ports[i].first, f->ports[i].last);
    }
}
