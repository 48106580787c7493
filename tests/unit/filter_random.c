#include "tests/unit/filter_random.h"

#include <arpa/inet.h>
#include <pcap/pcap.h>
/* after pcap.h, which it needs */
#include <pcap/namedb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t random_next(struct random *r) /* splitmix64 */
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

unsigned random_below(struct random *r, unsigned n)
{
    return (unsigned)(random_next(r) % n);
}

bool random_chance(struct random *r, unsigned percent)
{
    return random_below(r, 100) < percent;
}

#define COUNT(a)   ((unsigned)(sizeof(a) / sizeof *(a)))
#define PICK(r, a) ((a)[random_below(r, COUNT(a))])

/* --- Pools --- */

static const char *const ip4[] = {"10.0.0.1",    "10.0.0.2", "10.1.0.5", "192.168.1.1",    "192.168.1.77",
                                  "224.0.0.251", "0.0.0.0",  "10.0.1.1", "255.255.255.255"};
static const char *const ip6[] = {"fe80::1", "fe80::2", "2001:db8::1", "2001:db8:1::2", "ff02::1", "::1"};
static const uint16_t ports[] = {22, 53, 80, 443, 8080, 40000};
static const uint8_t protocols[] = {6, 6,  6,   6,   17, 17, 17, 132, 132, 1,  58,
                                    2, 50, 103, 112, 47, 4,  41, 136, 33,  89, 51};
static const uint16_t ethertypes[] = {0x88cc, 0x6004, 0x9000, 0x8137, 0x0600, 0x05ff, 0x88f7, 0x6003};
static const uint16_t vlans[] = {0, 1, 5, 100, 4095};

/* --- Packets --- */

struct builder {
    struct random *r;
    uint8_t *data;
    uint32_t len;
    unsigned depth;
    bool plain;
};

static void put(struct builder *b, const void *data, uint32_t len)
{
    if (b->len + len <= RANDOM_PACKET_MAX) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
}

static void put8(struct builder *b, unsigned v)
{
    uint8_t byte = (uint8_t)v;
    put(b, &byte, 1);
}

static void put16(struct builder *b, unsigned v)
{
    put8(b, v >> 8 & 0xff);
    put8(b, v & 0xff);
}

static void put32(struct builder *b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b, v & 0xffff);
}

static void put_filler(struct builder *b, unsigned most)
{
    for (unsigned n = random_below(b->r, most + 1); n; n--)
        put8(b, random_below(b->r, 256));
}

static void put_address(struct builder *b, int family)
{
    uint8_t addr[16] = {0};
    inet_pton(family, family == AF_INET ? PICK(b->r, ip4) : PICK(b->r, ip6), addr);
    put(b, addr, family == AF_INET ? 4 : 16);
}

static void put_network(struct builder *b, unsigned ethertype);
static void put_ethernet(struct builder *b);

static void put_tunnel(struct builder *b, unsigned kind)
{
    unsigned id = random_below(b->r, 3) + 100;
    switch (kind) {
    case 47:
        put16(b, 0x2000);
        put16(b, 0x0800);
        put32(b, id);
        put_network(b, 0x0800);
        break;
    case 4789:
        put32(b, 0x08000000);
        put32(b, id << 8);
        put_ethernet(b);
        break;
    case 6081:
        put16(b, 0);
        put16(b, 0x6558);
        put32(b, id << 8);
        put_ethernet(b);
        break;
    default:
        put_network(b, kind == 4 ? 0x0800 : 0x86dd);
        break;
    }
}

static void put_ports(struct builder *b)
{
    put16(b, PICK(b->r, ports));
    put16(b, PICK(b->r, ports));
}

static void put_udp(struct builder *b)
{
    unsigned tunnel = b->depth < 3 && random_chance(b->r, b->plain ? 2 : 15) ? 4789 + 1292 * random_below(b->r, 2) : 0;
    uint32_t start = b->len;
    put16(b, PICK(b->r, ports));
    put16(b, tunnel ? tunnel : PICK(b->r, ports));
    put16(b, 8);
    put16(b, 0);
    if (tunnel)
        put_tunnel(b, tunnel);
    else
        put_filler(b, 12);
    uint32_t length = b->len - start;
    b->data[start + 4] = (uint8_t)(length >> 8);
    b->data[start + 5] = (uint8_t)length;
}

static void put_transport(struct builder *b, unsigned proto)
{
    switch (proto) {
    case 6:
        put_ports(b);
        put32(b, 1);
        put32(b, 2);
        put16(b, 0x5000 | PICK(b->r, ((const uint8_t[]){2, 0x12, 0x10, 0x18, 4, 1})));
        put32(b, 0x10000000);
        put16(b, 0);
        put_filler(b, 12);
        break;
    case 17:
        put_udp(b);
        break;
    case 132:
        put_ports(b);
        put32(b, 7);
        put32(b, 8);
        put_filler(b, 8);
        break;
    case 136:
    case 33:
        put_ports(b);
        put32(b, 0x03000000);
        put32(b, 0);
        put_filler(b, 8);
        break;
    case 1:
        put8(b, PICK(b->r, ((const uint8_t[]){8, 0, 5, 13})));
        put8(b, 0);
        put16(b, 0);
        put32(b, 77);
        break;
    case 58:
        put8(b, PICK(b->r, ((const uint8_t[]){128, 129, 135, 136})));
        put8(b, 0);
        put16(b, 0);
        put32(b, 77);
        break;
    case 47:
    case 4:
    case 41:
        put_tunnel(b, proto);
        break;
    default:
        put32(b, 0x01020304);
        put_filler(b, 12);
        break;
    }
}

static unsigned pick_protocol(struct builder *b)
{
    unsigned proto = PICK(b->r, protocols);
    bool odd = proto == 47 || proto == 4 || proto == 41 || proto == 51 || proto == 136 || proto == 33;
    return odd && (b->depth >= 3 || (b->plain && random_chance(b->r, 80))) ? 6 : proto;
}

static void put_ip4(struct builder *b)
{
    uint32_t start = b->len;
    unsigned proto = pick_protocol(b);
    bool fragmented = random_chance(b->r, b->plain ? 3 : 12);
    unsigned offset = fragmented && random_chance(b->r, 60) ? 185 : 0;
    bool options = random_chance(b->r, 10);
    put8(b, options ? 0x46 : 0x45);
    put8(b, 0);
    put16(b, 0);
    put16(b, random_below(b->r, 4));
    put16(b, offset | (fragmented && (!offset || random_chance(b->r, 50)) ? 0x2000 : 0));
    put8(b, 30 + random_below(b->r, 70));
    put8(b, proto);
    put16(b, 0);
    put_address(b, AF_INET);
    put_address(b, AF_INET);
    if (options)
        put32(b, 0x01010100);
    if (offset)
        put_filler(b, 30);
    else
        put_transport(b, proto);
    uint32_t total = b->len - start;
    b->data[start + 2] = (uint8_t)(total >> 8);
    b->data[start + 3] = (uint8_t)total;
}

/* The next header and the extension headers before it. */
static void put_ip6(struct builder *b)
{
    uint32_t start = b->len;
    unsigned proto = pick_protocol(b);
    unsigned extension = random_chance(b->r, b->plain ? 3 : 20) ? PICK(b->r, ((const uint8_t[]){0, 60, 44, 43})) : 255;
    unsigned offset = extension == 44 && random_chance(b->r, 60) ? 1480 : 0;
    put32(b, 0x60000000);
    put16(b, 0);
    put8(b, extension == 255 ? proto : extension);
    put8(b, 64);
    put_address(b, AF_INET6);
    put_address(b, AF_INET6);
    if (extension != 255) {
        put8(b, proto);
        put8(b, 0);
        put16(b, extension == 44 ? offset | (offset ? random_below(b->r, 2) : 1) : 0x0104);
        put32(b, extension == 44 ? random_below(b->r, 4) : 0);
    }
    if (offset)
        put_filler(b, 30);
    else
        put_transport(b, proto);
    uint32_t payload = b->len - start - 40;
    b->data[start + 4] = (uint8_t)(payload >> 8);
    b->data[start + 5] = (uint8_t)payload;
}

static void put_arp(struct builder *b)
{
    put16(b, 1);
    put16(b, 0x0800);
    put8(b, 6);
    put8(b, b->plain || random_chance(b->r, 90) ? 4 : 16);
    put16(b, 1 + random_below(b->r, 2));
    put(b, "\2\0\0\0\0\1", 6);
    put_address(b, AF_INET);
    put(b, "\2\0\0\0\0\2", 6);
    put_address(b, AF_INET);
}

static void put_network(struct builder *b, unsigned ethertype)
{
    b->depth++;
    switch (ethertype) {
    case 0x0800:
        put_ip4(b);
        break;
    case 0x86dd:
        put_ip6(b);
        break;
    case 0x0806:
    case 0x8035:
        put_arp(b);
        break;
    default:
        put_filler(b, 40);
        break;
    }
}

static unsigned pick_ethertype(struct builder *b)
{
    unsigned n = random_below(b->r, 100);
    return n < 50 ? 0x0800 : n < 78 ? 0x86dd : n < 88 ? 0x0806 : n < 91 ? 0x8035 : PICK(b->r, ethertypes);
}

/* Tags, labels, LLC, and what they carry. */
static void put_typed(struct builder *b)
{
    unsigned ethertype = pick_ethertype(b);
    if (!random_chance(b->r, b->plain ? 4 : 25)) {
        put16(b, ethertype);
        put_network(b, ethertype);
        return;
    }
    switch (random_below(b->r, 4)) {
    case 0:
        put16(b, 0x88a8);
        put16(b, PICK(b->r, vlans));
        __attribute__((fallthrough));
    case 1:
        put16(b, 0x8100);
        put16(b, PICK(b->r, vlans));
        put16(b, ethertype);
        put_network(b, ethertype);
        break;
    case 2:
        put16(b, 0x8847);
        put32(b, 0x00064140); /* 100, bottom of stack */
        put_network(b, ethertype == 0x86dd ? 0x86dd : 0x0800);
        break;
    default:
        put16(b, 50);
        put(b, random_chance(b->r, 50) ? "\x42\x42\x03" : "\xaa\xaa\x03", 3);
        put(b, "\0\0\0", 3);
        put16(b, ethertype);
        put_network(b, ethertype);
        break;
    }
}

static void put_ethernet(struct builder *b)
{
    static const char *const macs[] = {"\2\0\0\0\0\1", "\2\0\0\0\0\2", "\xff\xff\xff\xff\xff\xff", "\1\0\x5e\0\0\xfb"};
    put(b, PICK(b->r, macs), 6);
    put(b, macs[random_below(b->r, 2)], 6);
    put_typed(b);
}

/* Ethernet more often than the others. */
const int random_link_types[] = {1, 1, 1, 1, 1, 1, 101, 113, 276, 108};
const unsigned random_link_type_count = COUNT(random_link_types);

static void put_link(struct builder *b, int link_type)
{
    bool six = random_chance(b->r, 40);
    switch (link_type) {
    case 1:
        put_ethernet(b);
        break;
    case 113:
        put16(b, random_below(b->r, 5));
        put16(b, 1);
        put16(b, 6);
        put(b, "\2\0\0\0\0\1\0\0", 8);
        put_typed(b);
        break;
    case 276: {
        unsigned ethertype = pick_ethertype(b);
        put16(b, ethertype);
        put16(b, 0);
        put32(b, 2);
        put16(b, 1);
        put8(b, random_below(b->r, 5));
        put8(b, 6);
        put(b, "\2\0\0\0\0\1\0\0", 8);
        put_network(b, ethertype);
        break;
    }
    case 108:
        put32(b, six ? 10 : 2);
        __attribute__((fallthrough));
    default:
        put_network(b, six ? 0x86dd : 0x0800);
        break;
    }
}

void random_packet(struct random *r, bool plain, struct random_packet *p)
{
    struct builder b = {.r = r, .data = p->data, .plain = plain};
    p->link_type = PICK(r, random_link_types);
    put_link(&b, p->link_type);
    p->captured = p->wire = b.len;
    if (plain)
        return;
    if (random_chance(r, 15))
        p->captured = random_below(r, b.len + 1);
    if (random_chance(r, 4))
        p->data[random_below(r, b.len)] = (uint8_t)random_below(r, 256);
}

/* --- Filters --- */

struct writer {
    struct random *r;
    struct random_filter *f;
    size_t len[3];
    bool all;
    bool outer;
    bool names; /* this machine knows names of ports */
};

__attribute__((format(printf, 3, 0))) static void append(struct writer *w, int which, const char *fmt, va_list args)
{
    size_t room = RANDOM_TEXT_MAX - w->len[which];
    int n = vsnprintf(w->f->text[which] + w->len[which], room, fmt, args);
    w->len[which] += n > 0 && (size_t)n < room ? (size_t)n : 0;
}

__attribute__((format(printf, 2, 3))) static void say(struct writer *w, const char *fmt, ...)
{
    for (int i = 0; i < 3; i++) {
        va_list args;
        va_start(args, fmt);
        append(w, i, fmt, args);
        va_end(args);
    }
}

__attribute__((format(printf, 3, 4))) static void say_to(struct writer *w, int which, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    append(w, which, fmt, args);
    va_end(args);
}

#define ANY_OF(w, ...) PICK((w)->r, ((const char *const[]){__VA_ARGS__}))

static const char *direction(struct writer *w)
{
    return ANY_OF(w, "", "", "src ", "dst ", "src or dst ", "dst or src ", "src and dst ", "dst and src ");
}

enum value { VALUE_IP4, VALUE_IP6, VALUE_PORT, VALUE_PORT_NAME, VALUE_RANGE, VALUE_NET4, VALUE_NET6, VALUE_PROTO };

static void say_value(struct writer *w, enum value kind)
{
    struct random *r = w->r;
    switch (kind) {
    case VALUE_IP4:
        say(w, "%s", random_chance(r, 92) ? PICK(r, ip4) : ANY_OF(w, "10.0", "10.0.0", "192.168.1"));
        break;
    case VALUE_IP6:
        say(w, "%s", PICK(r, ip6));
        break;
    case VALUE_PORT:
        say(w, random_chance(r, 90) ? "%u" : "0x%x", PICK(r, ports));
        break;
    case VALUE_PORT_NAME:
        say(w, "%s", ANY_OF(w, "domain", "ssh", "http", "https", "\\domain"));
        break;
    case VALUE_RANGE:
        say(w, "%u-%u", PICK(r, ports), PICK(r, ports));
        break;
    case VALUE_NET4:
        say(w, "%s",
            ANY_OF(w, "10", "0", "10.0", "10.0.0", "192.168.1", "10.0.0.1", "10.0.0.0/8", "10.0.0.0/23", "192.168/16",
                   "0.0.0.0/0", "10.0.0.0 mask 255.255.0.0", "10.0 mask 255.255", "10.0.0.1/32", "128.0.0.0/1"));
        break;
    case VALUE_NET6:
        say(w, "%s", ANY_OF(w, "fe80::/10", "2001:db8::/32", "2001:db8::/48", "::/0", "::1", "fe80::1/128"));
        break;
    case VALUE_PROTO:
        say(w, "%s", ANY_OF(w, "6", "17", "\\tcp", "\\udp", "1", "58", "\\icmp", "50", "89", "\\sctp", "0x11", "112"));
        break;
    }
}

/* One value, or several in one of the ways to say so. */
static void say_values(struct writer *w, enum value kind, unsigned depth)
{
    unsigned n = random_below(w->r, 100);
    if (n < 70 || depth == 0) {
        say_value(w, kind);
    } else if (n < 78) {
        say(w, "not ");
        say_values(w, kind, depth - 1);
    } else {
        bool open = n < 90;
        say(w, open ? "(" : "");
        say_value(w, kind);
        for (unsigned i = random_below(w->r, 3) + 1; i; i--) {
            say(w, "%s", ANY_OF(w, " or ", " || ", " and ", " and not ", " or not "));
            say_value(w, kind);
        }
        say(w, open ? ")" : "");
    }
}

static void say_host(struct writer *w)
{
    bool six = random_chance(w->r, 35), net = random_chance(w->r, 35);
    const char *protocol = six ? ANY_OF(w, "", "", "ip6 ") : ANY_OF(w, "", "", "", "ip ", "ip ", "arp ", "rarp ");
    const char *side = direction(w);
    const char *type = net ? "net " : *side && random_chance(w->r, 50) ? "" : "host ";
    say(w, "%s%s%s", protocol, side, type);
    say_values(w, net ? (six ? VALUE_NET6 : VALUE_NET4) : six ? VALUE_IP6 : VALUE_IP4, 2);
}

static void say_port(struct writer *w)
{
    unsigned n = random_below(w->r, 100);
    bool named = w->names && n<10, range = n> 75;
    say(w, "%s%s%s", named ? "" : ANY_OF(w, "", "", "tcp ", "udp ", "sctp "), direction(w),
        range ? "portrange " : "port ");
    say_values(w, named ? VALUE_PORT_NAME : range ? VALUE_RANGE : VALUE_PORT, 2);
}

/* The sender is the originator of the packets of one spelling and the other end in the other. */
static void say_role(struct writer *w)
{
    bool from = random_chance(w->r, 50);
    say_to(w, RANDOM_OURS, from ? "from " : "to ");
    say_to(w, RANDOM_FROM_ORIGINATOR, from ? "src " : "dst ");
    say_to(w, RANDOM_TO_ORIGINATOR, from ? "dst " : "src ");
    unsigned n = random_below(w->r, 4);
    say(w, "%s", n == 0 ? "port " : n == 1 ? "net " : random_chance(w->r, 50) ? "host " : "");
    say_values(w, n == 0 ? VALUE_PORT : n == 1 ? VALUE_NET4 : n == 2 ? VALUE_IP4 : VALUE_IP6, 2);
}

static void say_proto(struct writer *w)
{
    if (random_chance(w->r, 25)) {
        say(w, "ether proto %s", ANY_OF(w, "\\arp", "\\ip", "\\ip6", "0x88cc", "0x0800", "\\lat", "\\rarp", "0x0600"));
        return;
    }
    say(w, "%sproto ", ANY_OF(w, "", "ip ", "ip6 "));
    say_values(w, VALUE_PROTO, 2);
}

static void say_expression(struct writer *w, unsigned depth);

/* Words that are judged by libpcap, by our decoder alone, or by the connection. */
static void say_other(struct writer *w, unsigned depth)
{
    switch (random_below(w->r, w->outer ? 9 : 16)) {
    case 0:
    case 1:
        say(w, "%s", ANY_OF(w, "vlan", "vlan 5", "vlan 100", "vlan 0", "geneve", "vxlan", "vxlan 100", "geneve 101"));
        break;
    case 2:
        say(w, "%s",
            ANY_OF(w, "tcp[tcpflags] & tcp-syn != 0", "tcp[13] & 2 = 0", "(tcp[12] & 0xf0) >> 2 > 20", "ip[8] < 64",
                   "udp[4:2] > 12", "ip6[7] = 64", "icmp[icmptype] = icmp-echo"));
        break;
    case 3:
        say(w, "%s %u", ANY_OF(w, "less", "greater", "len >", "len !="), 20 + random_below(w->r, 100));
        break;
    case 4:
        say(w, "%s",
            ANY_OF(w, "ether host 02:00:00:00:00:01", "ether dst ff:ff:ff:ff:ff:ff", "ether[0] & 1 = 0", "mpls",
                   "mpls 100"));
        break;
    case 5:
    case 6:
        say(w, "%s",
            ANY_OF(w, "ah", "proto 51", "ip6 proto 44", "ip6 proto 0", "protochain 6", "ip6 protochain 17", "stp"));
        break;
    case 7:
    case 8:
        say(w, "%s",
            ANY_OF(w, "ether proto 0x8100", "1 = 1", "2 < 1", "len = len", "ip[200] = 5", "not ether[300] = 1"));
        break;
    case 9:
    case 10:
        w->outer = true;
        say(w, "outer (");
        say_expression(w, depth ? depth - 1 : 0);
        say(w, ")");
        w->outer = false;
        break;
    case 11:
    case 12:
        say(w, "%s %s %u",
            ANY_OF(w, "packets", "bytes", "orig_packets", "resp_packets", "orig_port", "resp_port", "vlan"),
            ANY_OF(w, ">", ">=", "<", "=", "!="), random_below(w->r, 4) * (random_chance(w->r, 50) ? 1 : 40));
        break;
    case 13:
        say(w, "state %s", ANY_OF(w, "S0", "SF,REJ", "S1,OTH"));
        break;
    case 14:
        say(w, "agent %s", ANY_OF(w, "web-1", "web-*", "db?"));
        break;
    default:
        say(w, "id %x", random_below(w->r, 16));
        break;
    }
}

static void say_primitive(struct writer *w, unsigned depth)
{
    unsigned n = random_below(w->r, 100);
    if (w->all && n < 30) {
        say_other(w, depth);
    } else if (n < 50) {
        say_host(w);
    } else if (n < 70) {
        say_port(w);
    } else if (n < 80 && !w->outer) {
        say_role(w);
    } else if (n < 86) {
        say_proto(w);
    } else {
        say(w, "%s",
            ANY_OF(w, "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "pim", "esp", "vrrp",
                   "lat", "decnet", "ip multicast", "ip6 multicast", "tcp", "udp"));
    }
}

static void say_term(struct writer *w, unsigned depth)
{
    unsigned n = random_below(w->r, 100);
    if (n < 12)
        say(w, "%s", ANY_OF(w, "not ", "! ", "not not "));
    if (depth && n % 3 == 0) {
        say(w, "(");
        say_expression(w, depth - 1);
        say(w, ")");
    } else {
        say_primitive(w, depth);
    }
}

static void say_expression(struct writer *w, unsigned depth)
{
    say_term(w, depth);
    for (unsigned i = random_below(w->r, 3); i; i--) {
        say(w, "%s", ANY_OF(w, " and ", " or ", " && ", " || ", "\n  and "));
        say_term(w, depth);
    }
}

void random_filter(struct random *r, bool all, struct random_filter *f)
{
    int port, proto;
    struct writer w = {.r = r, .f = f, .all = all, .names = pcap_nametoport("domain", &port, &proto) != 0};
    memset(f, 0, sizeof *f);
    say_expression(&w, random_below(r, 6));
}
