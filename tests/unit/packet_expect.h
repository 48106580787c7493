/*
 * packet_expect: what the decoder's tests share: two hosts, a datagram between them, and looking at what came out.
 */
#ifndef FLEETDUMP_TESTS_PACKET_EXPECT_H
#define FLEETDUMP_TESTS_PACKET_EXPECT_H

#include "common/packet/packet.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/packet_truth.h"
#include "tests/unit/support.h"

#define A4 "10.0.0.1"
#define B4 "10.0.0.2"
#define A6 "2001:db8::1"
#define B6 "2001:db8::2"

static inline struct packet decode(struct build *b, int link_type)
{
    struct packet p;
    packet_decode(link_type, build_data(b), build_length(b), build_length(b), &p);
    assert_null(truth_of_packet(&p));
    assert_null(truth_of_key(&p));
    return p;
}

static inline void assert_addresses(const struct packet_net *net, uint8_t family, const char *from, const char *to)
{
    char text[64];
    assert_int_equal(net->family, family);
    assert_string_equal(packet_addr_text(family, net->addr[0], text, sizeof text), from);
    assert_string_equal(packet_addr_text(family, net->addr[1], text, sizeof text), to);
}

static inline void assert_ports(const struct packet_net *net, unsigned proto, unsigned from, unsigned to)
{
    assert_int_equal(net->proto, proto);
    assert_true(net->has_ports);
    assert_int_equal(net->port[0], from);
    assert_int_equal(net->port[1], to);
}

/* A UDP datagram in IPv4, on which link headers are put. */
static inline struct build datagram(void)
{
    struct build b = build_new();
    build_payload(&b, 10);
    build_udp(&b, 1000, 53);
    build_ip4(&b, PROTO_UDP, A4, B4);
    return b;
}

static inline void assert_datagram(const struct packet *p)
{
    assert_int_equal(p->end, PACKET_OK);
    assert_addresses(&p->net, FAMILY_IP4, A4, B4);
    assert_ports(&p->net, PROTO_UDP, 1000, 53);
    assert_int_equal(p->payload_length, 10);
    assert_int_equal(p->data[p->payload_offset], 1);
    assert_int_equal(p->ethertype, ETHERTYPE_IP4);
}

/* A datagram that is IPv6. */
static inline struct build datagram6(void)
{
    struct build b = build_new();
    build_payload(&b, 10);
    build_udp(&b, 1000, 53);
    return b;
}

#endif
