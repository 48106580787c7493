/* packet: IP and transport headers, one by one. */
#include "tests/unit/packet_expect.h"

/* --- Common packets --- */

static void tcp_in_ip4(void **state)
{
    (void)state;
    struct build b = build_new();
    build_payload(&b, 100);
    build_tcp(&b, 40000, 443, TCP_PSH | TCP_ACK);
    build_ip4(&b, PROTO_TCP, A4, B4);
    build_ethernet(&b, ETHERTYPE_IP4);
    struct packet p = decode(&b, 1);
    assert_int_equal(p.end, PACKET_OK);
    assert_true(p.plain);
    assert_true(p.has_mac);
    assert_int_equal(p.mac[0][5], 1);
    assert_int_equal(p.mac[1][5], 2);
    assert_int_equal(p.ethertype, ETHERTYPE_IP4);
    assert_addresses(&p.net, FAMILY_IP4, A4, B4);
    assert_ports(&p.net, PROTO_TCP, 40000, 443);
    assert_int_equal(p.net_offset, 14);
    assert_int_equal(p.net_length, 140);
    assert_int_equal(p.fragment_id, 0x1234);
    assert_int_equal(p.hop_limit, 64);
    assert_int_equal(p.transport_offset, 34);
    assert_int_equal(p.payload_offset, 54);
    assert_int_equal(p.payload_length, 100);
    assert_true(p.has_tcp);
    assert_int_equal(p.tcp_seq, 0x01020304);
    assert_int_equal(p.tcp_ack, 0x05060708);
    assert_int_equal(p.tcp_window, 0x1000);
    assert_int_equal(p.tcp_flags, TCP_PSH | TCP_ACK);
    assert_int_equal(p.tunnel, TUNNEL_NONE);
    assert_int_equal(p.outer.family, FAMILY_NONE);
    assert_int_equal(p.quoted.family, FAMILY_NONE);
}

static void udp_in_ip6(void **state)
{
    (void)state;
    struct build b = datagram6();
    build_ip6(&b, PROTO_UDP, A6, B6);
    build_ethernet(&b, ETHERTYPE_IP6);
    struct packet p = decode(&b, 1);
    assert_int_equal(p.end, PACKET_OK);
    assert_true(p.plain);
    assert_addresses(&p.net, FAMILY_IP6, A6, B6);
    assert_ports(&p.net, PROTO_UDP, 1000, 53);
    assert_int_equal(p.net_length, 58);
    assert_int_equal(p.payload_offset, 62);
    assert_int_equal(p.payload_length, 10);
}

static void padding_is_no_payload(void **state)
{
    (void)state;
    struct build inner = build_new();
    build_tcp(&inner, 1, 2, TCP_ACK);
    build_ip4(&inner, PROTO_TCP, A4, B4);
    build_ethernet(&inner, ETHERTYPE_IP4);
    struct build b = build_new();
    build_zero(&b, 6);
    memcpy(build_zero(&b, build_length(&inner)), build_data(&inner), build_length(&inner));
    struct packet p = decode(&b, 1);
    assert_int_equal(p.captured, 60);
    assert_int_equal(p.payload_length, 0);
    assert_int_equal(p.net_length, 40);
    assert_int_equal(p.end, PACKET_OK);
}

static void ip4_options_are_skipped(void **state)
{
    (void)state;
    struct build b = build_new();
    build_udp(&b, 5, 6);
    build_hex(&b, "94040000 01010101");
    uint8_t *h = build_ip4(&b, PROTO_UDP, A4, B4);
    h[0] = 0x47;
    struct packet p = decode(&b, 101);
    assert_ports(&p.net, PROTO_UDP, 5, 6);
    assert_true(p.plain);
}

static void lengths_of_zero_are_the_wire(void **state)
{
    (void)state;
    struct build b = build_new();
    build_payload(&b, 1000);
    build_tcp(&b, 1, 2, TCP_ACK);
    build_put16(build_ip4(&b, PROTO_TCP, A4, B4) + 2, 0);
    struct packet p = decode(&b, 101);
    assert_int_equal(p.payload_length, 1000);
    assert_int_equal(p.net_length, 1040);

    /* IPv6 says 0 only for what is too long to say, with or without the jumbo payload option. */
    b = build_new();
    build_payload(&b, 100);
    build_tcp(&b, 1, 2, TCP_ACK);
    build_put16(build_ip6(&b, PROTO_TCP, A6, B6) + 4, 0);
    packet_decode(101, build_data(&b), build_length(&b), 100000, &p);
    assert_int_equal(p.end, PACKET_OK);
    assert_int_equal(p.payload_length, 100000 - 60);
    packet_decode(101, build_data(&b), build_length(&b), build_length(&b), &p);
    assert_int_equal(p.end, PACKET_INVALID);
    assert_false(p.has_tcp);
}

static void claims_beyond_the_wire_are_not_believed(void **state)
{
    (void)state;
    struct build b = datagram();
    build_put16(build_data(&b) + 2, 60000);
    struct packet p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_OK);
    assert_int_equal(p.net_length, 38);
    assert_int_equal(p.payload_length, 10);
    packet_decode(101, build_data(&b), build_length(&b), 200, &p); /* captured with a snaplen */
    assert_int_equal(p.net_length, 200);
    assert_int_equal(p.payload_length, 10);                      /* as UDP says */
    packet_decode(101, build_data(&b), build_length(&b), 0, &p); /* a wire length that cannot be */
    assert_int_equal(p.wire, p.captured);
}

static void invalid_headers(void **state)
{
    (void)state;
    static const struct {
        unsigned offset, value;
    } ip4[] = {{0, 0x44}, {0, 0x65}, {0, 0x05}, {3, 19}}; /* IHL 4, version 6, version 0, total length 19 */
    for (size_t i = 0; i < sizeof ip4 / sizeof *ip4; i++) {
        struct build b = datagram();
        build_data(&b)[ip4[i].offset] = (uint8_t)ip4[i].value;
        build_ethernet(&b, ETHERTYPE_IP4);
        struct packet p = decode(&b, 1);
        assert_int_equal(p.end, PACKET_INVALID);
        assert_int_equal(p.net.family, FAMILY_LINK);
        assert_int_equal(p.ethertype, ETHERTYPE_IP4);
    }
    struct build b = datagram();
    build_data(&b)[3] = 26; /* IP ends within the UDP header */
    struct packet p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_INVALID);
    assert_ports(&p.net, PROTO_UDP, 1000, 53);

    b = datagram();
    build_data(&b)[25] = 7; /* UDP length */
    assert_int_equal(decode(&b, 101).end, PACKET_INVALID);
    build_data(&b)[25] = 19; /* one more than IP has */
    p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_INVALID);
    assert_int_equal(p.payload_length, 10);

    build_put16(build_data(&b) + 24, 0); /* nothing, though IP has a length */
    assert_int_equal(decode(&b, 101).end, PACKET_INVALID);
    build_put16(build_data(&b) + 2, 0); /* neither has one: segmentation offload */
    p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_OK);
    assert_int_equal(p.payload_length, 10);

    static const uint8_t offsets[] = {0x40, 0x60}; /* 16 bytes; 24, where there are 20 */
    for (size_t i = 0; i < sizeof offsets; i++) {
        b = build_new();
        build_tcp(&b, 1, 2, TCP_SYN)[12] = offsets[i];
        build_ip4(&b, PROTO_TCP, A4, B4);
        p = decode(&b, 101);
        assert_int_equal(p.end, PACKET_INVALID);
        assert_ports(&p.net, PROTO_TCP, 1, 2);
        assert_false(p.has_tcp);
    }
}

static void cut_tcp_options(void **state)
{
    (void)state;
    struct build b = build_new();
    build_payload(&b, 100);
    build_zero(&b, 12);
    build_tcp(&b, 1, 2, TCP_ACK)[12] = 0x80;
    build_ip4(&b, PROTO_TCP, A4, B4);
    struct packet p;
    packet_decode(101, build_data(&b), 45, build_length(&b), &p);
    assert_int_equal(p.end, PACKET_TRUNCATED);
    assert_true(p.has_tcp);
    assert_false(p.plain);
    assert_int_equal(p.payload_offset, 52);
    assert_int_equal(p.payload_length, 100);
    packet_decode(101, build_data(&b), 39, build_length(&b), &p);
    assert_false(p.has_tcp);
    assert_int_equal(p.payload_offset, 0);
    assert_ports(&p.net, PROTO_TCP, 1, 2);
}

/* --- Fragments --- */

static void ip4_fragments(void **state)
{
    (void)state;
    struct build b = datagram();
    build_put16(build_data(&b) + 6, 0x2000);
    build_put16(build_data(&b) + 24, 3000); /* UDP speaks of the whole datagram */
    struct packet p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_OK);
    assert_int_equal(p.net.fragment, FRAGMENT_FIRST);
    assert_ports(&p.net, PROTO_UDP, 1000, 53);
    assert_int_equal(p.payload_length, 10);
    assert_int_equal(p.fragment_id, 0x1234);
    assert_false(p.plain);

    for (unsigned more = 0; more < 2; more++) {
        b = datagram();
        build_put16(build_data(&b) + 6, more << 13 | 100);
        p = decode(&b, 101);
        assert_int_equal(p.net.fragment, FRAGMENT_LATER);
        assert_false(p.net.has_ports);
        assert_int_equal(p.net.proto, PROTO_UDP);
        assert_int_equal(p.transport_offset, 0);
        assert_int_equal(p.payload_offset, 20);
        assert_int_equal(p.payload_length, 18);
        assert_false(p.plain);
    }
    b = datagram();
    build_put16(build_data(&b) + 6, 0x4000); /* don't fragment */
    p = decode(&b, 101);
    assert_int_equal(p.net.fragment, FRAGMENT_NONE);
    assert_true(p.plain);
}

static void later_fragments_have_no_headers(void **state)
{
    (void)state;
    struct build b = datagram6(); /* what follows is data, whatever the header's number promises */
    build_extension(&b, PROTO_UDP);
    build_fragment6(&b, 60, 1448, 0, 7);
    build_ip6(&b, 44, A6, B6);
    struct packet p = decode(&b, 101);
    assert_int_equal(p.net.fragment, FRAGMENT_LATER);
    assert_int_equal(p.net.proto, 60);
    assert_int_equal(p.payload_offset, 48);

    b = datagram6();
    build_extension(&b, PROTO_UDP);
    build_put16(build_ip4(&b, 51, A4, B4) + 6, 100);
    p = decode(&b, 101);
    assert_int_equal(p.net.proto, 51);
    assert_int_equal(p.payload_offset, 20);
}

static void a_tiny_first_fragment_is_cut_not_invalid(void **state)
{
    (void)state;
    struct build b = build_new();
    build_hex(&b, "00010002 00000003");
    build_put16(build_ip4(&b, PROTO_TCP, A4, B4) + 6, 0x2000);
    struct packet p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_TRUNCATED);
    assert_ports(&p.net, PROTO_TCP, 1, 2);
}

static void ip6_fragments(void **state)
{
    (void)state;
    static const struct {
        unsigned offset, more;
        enum packet_fragment fragment;
    } cases[] = {{0, 1, FRAGMENT_FIRST}, {1448, 1, FRAGMENT_LATER}, {2896, 0, FRAGMENT_LATER}, {0, 0, FRAGMENT_NONE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct build b = datagram6();
        build_fragment6(&b, PROTO_UDP, cases[i].offset, cases[i].more, 0xcafe0001);
        build_ip6(&b, 44, A6, B6);
        struct packet p = decode(&b, 101);
        assert_int_equal(p.end, PACKET_OK);
        assert_int_equal(p.net.fragment, cases[i].fragment);
        assert_int_equal(p.net.has_ports, cases[i].fragment != FRAGMENT_LATER);
        assert_int_equal(p.net.proto, PROTO_UDP);
        assert_int_equal(p.fragment_id, 0xcafe0001);
        assert_false(p.plain);
    }
}

/* --- Extension headers --- */

static void extension_headers_are_looked_through(void **state)
{
    (void)state;
    static const unsigned kinds[] = {0, 43, 60, 135, 139, 140};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct build b = datagram6();
        build_extension(&b, PROTO_UDP);
        build_ip6(&b, kinds[i], A6, B6);
        struct packet p = decode(&b, 101);
        assert_int_equal(p.end, PACKET_OK);
        assert_ports(&p.net, PROTO_UDP, 1000, 53);
        assert_int_equal(p.transport_offset, 48);
        assert_false(p.plain);
    }
    struct build b = datagram6(); /* a chain, with lengths */
    build_zero(&b, 16);
    build_extension(&b, PROTO_UDP)[1] = 2;
    build_extension(&b, 60);
    build_extension(&b, 43);
    build_ip6(&b, 0, A6, B6);
    struct packet p = decode(&b, 101);
    assert_ports(&p.net, PROTO_UDP, 1000, 53);
    assert_int_equal(p.transport_offset, 40 + 8 + 8 + 24);
}

static void authentication_header(void **state)
{
    (void)state;
    struct build b = datagram6();
    build_zero(&b, 24);
    uint8_t *h = build_zero(&b, 0);
    h[0] = PROTO_UDP;
    h[1] = 4;
    struct build b4 = b;
    build_ip6(&b, 51, A6, B6);
    struct packet p = decode(&b, 101);
    assert_ports(&p.net, PROTO_UDP, 1000, 53);
    assert_int_equal(p.transport_offset, 64);
    build_ip4(&b4, 51, A4, B4);
    p = decode(&b4, 101);
    assert_ports(&p.net, PROTO_UDP, 1000, 53);
    assert_false(p.plain);
}

static void headers_that_are_messages(void **state)
{
    (void)state;
    static const unsigned kinds[] = {135, 139, 140};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct build b = build_new();
        build_extension(&b, 59);
        build_ip6(&b, kinds[i], A6, B6);
        struct packet p = decode(&b, 101);
        assert_int_equal(p.end, PACKET_OK);
        assert_int_equal(p.net.proto, kinds[i]);
        assert_int_equal(p.payload_length, 8);
    }
    struct build b = build_new(); /* encrypted: the end of what can be seen; and nothing at all */
    build_payload(&b, 20);
    build_ip6(&b, 50, A6, B6);
    assert_int_equal(decode(&b, 101).net.proto, 50);
    b = build_new();
    build_ip6(&b, 59, A6, B6);
    assert_int_equal(decode(&b, 101).payload_length, 0);
}

static void an_extension_past_the_end(void **state)
{
    (void)state;
    struct build b = datagram6();
    build_extension(&b, PROTO_UDP)[1] = 200;
    build_ip6(&b, 60, A6, B6);
    struct packet p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_INVALID);
    assert_addresses(&p.net, FAMILY_IP6, A6, B6);
    assert_false(p.net.has_ports);
}

static void too_many_headers(void **state)
{
    (void)state;
    for (unsigned n = PACKET_DEPTH_MAX; n <= PACKET_DEPTH_MAX + 1; n++) {
        struct build b = datagram6();
        for (unsigned i = 0; i < n; i++)
            build_extension(&b, i ? 60 : PROTO_UDP);
        build_ip6(&b, 60, A6, B6);
        struct packet p = decode(&b, 101);
        assert_int_equal(p.end, n > PACKET_DEPTH_MAX ? PACKET_INVALID : PACKET_OK);
        assert_int_equal(p.net.has_ports, n <= PACKET_DEPTH_MAX);
    }
    struct build b = datagram();
    for (unsigned i = 0; i <= PACKET_DEPTH_MAX; i++)
        build_vlan(&b, i, i ? 0x8100 : ETHERTYPE_IP4);
    build_ethernet(&b, 0x8100);
    struct packet p = decode(&b, 1);
    assert_int_equal(p.end, PACKET_INVALID);
    assert_int_equal(p.vlans, PACKET_DEPTH_MAX);
    assert_int_equal(p.net.family, FAMILY_LINK);
}

/* --- Transport --- */

static void other_transports(void **state)
{
    (void)state;
    struct build b = build_new();
    build_payload(&b, 30);
    build_hex(&b, "0bb80bb9 00000001 00000000");
    build_ip4(&b, PROTO_SCTP, A4, B4);
    struct packet p = decode(&b, 101);
    assert_ports(&p.net, PROTO_SCTP, 3000, 3001);
    assert_int_equal(p.payload_length, 30);
    assert_true(p.plain);

    b = build_new();
    build_payload(&b, 30);
    build_udp(&b, 7, 8);
    build_ip4(&b, 136, A4, B4);
    p = decode(&b, 101);
    assert_ports(&p.net, 136, 7, 8);
    assert_int_equal(p.payload_length, 30);
    assert_false(p.plain); /* libpcap's `port` does not look there */

    b = build_new();
    build_payload(&b, 30);
    build_hex(&b, "00070008 04 000000 00000000 00000000");
    build_ip4(&b, 33, A4, B4);
    p = decode(&b, 101);
    assert_ports(&p.net, 33, 7, 8);
    assert_int_equal(p.payload_length, 30);
    assert_int_equal(p.payload_offset, 36);
    build_data(&b)[24] = 2; /* a header of 8 bytes */
    assert_int_equal(decode(&b, 101).end, PACKET_INVALID);

    b = build_new(); /* OSPF: no ports, all is payload */
    build_payload(&b, 44);
    build_ip4(&b, 89, A4, B4);
    p = decode(&b, 101);
    assert_int_equal(p.net.proto, 89);
    assert_false(p.net.has_ports);
    assert_int_equal(p.transport_offset, 20);
    assert_int_equal(p.payload_length, 44);
    assert_true(p.plain);
}

static void icmp_queries(void **state)
{
    (void)state;
    struct build b = build_new();
    build_payload(&b, 56);
    build_icmp(&b, 8, 0);
    build_ip4(&b, PROTO_ICMP, A4, B4);
    struct packet p = decode(&b, 101);
    assert_true(p.has_icmp);
    assert_true(p.plain);
    assert_int_equal(p.icmp_type, 8);
    assert_false(p.net.has_ports);
    assert_int_equal(p.net.port[0], 8);
    assert_int_equal(p.net.port[1], 0);
    assert_int_equal(p.payload_length, 56);
    assert_int_equal(p.quoted.family, FAMILY_NONE);

    b = build_new();
    build_icmp(&b, 136, 0);
    build_ip6(&b, PROTO_ICMP6, A6, B6);
    p = decode(&b, 101);
    assert_int_equal(p.net.port[0], 136);
    assert_int_equal(p.net.port[1], 135);

    b = build_new(); /* a type without counterpart: its code */
    build_icmp(&b, 143, 5);
    build_ip6(&b, PROTO_ICMP6, A6, B6);
    p = decode(&b, 101);
    assert_int_equal(p.net.port[0], 143);
    assert_int_equal(p.net.port[1], 5);
}

/* --- Where headers end --- */

static void headers_end_behind_transport(void **state)
{
    (void)state;
    struct build b = datagram();
    struct packet p = decode(&b, 101);
    assert_int_equal(packet_headers(&p), 28);
    packet_decode(101, build_data(&b), 22, build_length(&b), &p); /* within UDP: as far as TCP could reach */
    assert_int_equal(p.transport_offset, 20);
    assert_int_equal(packet_headers(&p), 40);
    b = build_new();
    build_payload(&b, 50);
    build_ethernet(&b, 0x88cc);
    p = decode(&b, 1);
    assert_int_equal(packet_headers(&p), PACKET_HEADERS_OTHER);
}

/* Of the packet that an ICMP error quotes its headers, too. */
static void headers_end_behind_quotes(void **state)
{
    (void)state;
    struct build b = datagram();
    build_icmp(&b, 3, 1);
    build_ip4(&b, PROTO_ICMP, B4, A4);
    struct packet p = decode(&b, 101);
    assert_int_equal(p.quoted.family, FAMILY_IP4);
    uint32_t of_ip4 = packet_headers(&p) - p.payload_offset;
    assert_true(of_ip4 >= 20 + 8);
    b = datagram6();
    build_ip6(&b, PROTO_UDP, A6, B6);
    build_icmp(&b, 1, 0);
    build_ip6(&b, PROTO_ICMP6, B6, A6);
    p = decode(&b, 101);
    assert_int_equal(p.quoted.family, FAMILY_IP6);
    assert_int_equal(packet_headers(&p) - p.payload_offset, of_ip4 + 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_in_ip4),
        cmocka_unit_test(udp_in_ip6),
        cmocka_unit_test(padding_is_no_payload),
        cmocka_unit_test(ip4_options_are_skipped),
        cmocka_unit_test(lengths_of_zero_are_the_wire),
        cmocka_unit_test(claims_beyond_the_wire_are_not_believed),
        cmocka_unit_test(invalid_headers),
        cmocka_unit_test(cut_tcp_options),
        cmocka_unit_test(ip4_fragments),
        cmocka_unit_test(later_fragments_have_no_headers),
        cmocka_unit_test(a_tiny_first_fragment_is_cut_not_invalid),
        cmocka_unit_test(ip6_fragments),
        cmocka_unit_test(extension_headers_are_looked_through),
        cmocka_unit_test(authentication_header),
        cmocka_unit_test(headers_that_are_messages),
        cmocka_unit_test(an_extension_past_the_end),
        cmocka_unit_test(too_many_headers),
        cmocka_unit_test(other_transports),
        cmocka_unit_test(icmp_queries),
        cmocka_unit_test(headers_end_behind_transport),
        cmocka_unit_test(headers_end_behind_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
