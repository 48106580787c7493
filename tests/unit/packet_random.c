#include "tests/unit/packet_random.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t protocols[] = {6, 6,  6,   6,   17, 17, 17, 132, 132, 1,  58,
                                    2, 50, 103, 112, 47, 4,  41, 136, 33,  89, 51};
static const uint16_t ethertypes[] = {0x88cc, 0x6004, 0x9000, 0x8137, 0x0600, 0x05ff, 0x88f7, 0x6003};
static const uint16_t vlans[] = {0, 1, 5, 100, 4095};

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
    inet_pton(family, family == AF_INET ? PICK(b->r, random_ip4) : PICK(b->r, random_ip6), addr);
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
    put16(b, PICK(b->r, random_ports));
    put16(b, PICK(b->r, random_ports));
}

static void put_udp(struct builder *b)
{
    unsigned tunnel = b->depth < 3 && random_chance(b->r, b->plain ? 2 : 15) ? 4789 + 1292 * random_below(b->r, 2) : 0;
    uint32_t start = b->len;
    put16(b, PICK(b->r, random_ports));
    put16(b, tunnel ? tunnel : PICK(b->r, random_ports));
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
