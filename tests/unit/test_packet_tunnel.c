/* packet: tunnels, wrong guesses about them, and the packets that ICMP errors quote. */
#include "tests/unit/packet_expect.h"

#define OUT4  "192.0.2.1"
#define PEER4 "192.0.2.2"
#define OUT6  "fd00::1"
#define PEER6 "fd00::2"

static void assert_outer(const struct packet *p, enum packet_tunnel tunnel, uint32_t id, unsigned proto)
{
    assert_datagram(p);
    assert_false(p->plain);
    assert_int_equal(p->tunnel, tunnel);
    assert_int_equal(p->tunnel_id, id);
    assert_addresses(&p->outer, FAMILY_IP4, OUT4, PEER4);
    assert_int_equal(p->outer.proto, proto);
}

/* The packet is shown as UDP between the tunnel's ends, and nothing is wrong with it. */
static void assert_plain_udp(const struct packet *p, unsigned port)
{
    assert_int_equal(p->end, PACKET_OK);
    assert_true(p->plain);
    assert_int_equal(p->tunnel, TUNNEL_NONE);
    assert_int_equal(p->tunnel_id, 0);
    assert_int_equal(p->outer.family, FAMILY_NONE);
    assert_addresses(&p->net, FAMILY_IP4, OUT4, PEER4);
    assert_ports(&p->net, PROTO_UDP, 50000, port);
    assert_int_equal(p->payload_offset, 28);
    assert_int_equal(p->payload_length, p->wire - 28);
    assert_int_equal(p->ethertype, ETHERTYPE_IP4);
    assert_int_equal(p->vlans, 0);
}

static void udp_between_ends(struct build *b, unsigned port)
{
    build_udp(b, 50000, port);
    build_ip4(b, PROTO_UDP, OUT4, PEER4);
}

static void gre(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint32_t key;
    } cases[] = {
        {"0000 0800", 0},
        {"8000 0800 1111 0000", 0},
        {"2000 0800 000000ff", 255},
        {"1000 0800 00000001", 0},
        {"b000 0800 1111 0000 deadbeef 00000001", 0xdeadbeef},
        {"4000 0800 0000 0000 0800 00 04 0a0a0a0a 0000 00 00", 0}, /* one source route entry, then the end */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct build b = datagram();
        build_hex(&b, cases[i].header);
        build_ip4(&b, 47, OUT4, PEER4);
        struct packet p = decode(&b, 101);
        assert_outer(&p, TUNNEL_GRE, cases[i].key, 47);
    }
    struct build b = datagram(); /* Ethernet inside, tagged */
    build_vlan(&b, 7, ETHERTYPE_IP4);
    build_ethernet(&b, 0x8100);
    build_hex(&b, "2000 6558 00000005");
    build_ip4(&b, 47, OUT4, PEER4);
    struct packet p = decode(&b, 101);
    assert_outer(&p, TUNNEL_GRE, 5, 47);
    assert_int_equal(p.vlan[0], 7);
    assert_false(p.has_mac); /* the outermost link has none */
}

static void gre_that_is_not_looked_through(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "0000 88be",                    /* ERSPAN */
        "3001 880b 0010 0001 00000001", /* version 1 */
        "2001 0800 00000001",           /**/
        "0000 0000",                    /* keepalive */
        "0000 2001",                    /* NHRP */
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct build b = datagram();
        build_hex(&b, headers[i]);
        build_ip4(&b, 47, OUT4, PEER4);
        struct packet p = decode(&b, 101);
        assert_int_equal(p.end, PACKET_OK);
        assert_true(p.plain);
        assert_addresses(&p.net, FAMILY_IP4, OUT4, PEER4);
        assert_int_equal(p.net.proto, 47);
        assert_int_equal(p.tunnel, TUNNEL_NONE);
        assert_int_equal(p.transport_offset, 20);
    }
    struct build b = datagram(); /* it says IP, and it is not */
    build_data(&b)[0] = 0x55;
    build_hex(&b, "2000 0800 00000009");
    build_ip4(&b, 47, OUT4, PEER4);
    struct packet p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_INVALID);
    assert_int_equal(p.net.proto, 47);
    assert_int_equal(p.tunnel_id, 0);
    assert_int_equal(p.outer.family, FAMILY_NONE);
}

static void ip_in_ip(void **state)
{
    (void)state;
    struct build b = datagram();
    build_ip4(&b, 4, OUT4, PEER4);
    struct packet p = decode(&b, 101);
    assert_outer(&p, TUNNEL_IPIP, 0, 4);
    assert_int_equal(p.net_offset, 20);

    b = datagram6();
    build_ip6(&b, PROTO_UDP, A6, B6);
    build_ip4(&b, 41, OUT4, PEER4);
    p = decode(&b, 101);
    assert_addresses(&p.net, FAMILY_IP6, A6, B6);
    assert_addresses(&p.outer, FAMILY_IP4, OUT4, PEER4);
    assert_int_equal(p.ethertype, ETHERTYPE_IP6);

    b = datagram();
    build_ip6(&b, 4, OUT6, PEER6);
    p = decode(&b, 101);
    assert_datagram(&p);
    assert_addresses(&p.outer, FAMILY_IP6, OUT6, PEER6);
}

static void vxlan(void **state)
{
    (void)state;
    static const unsigned ports[] = {4789, 8472};
    for (size_t i = 0; i < 2; i++) {
        struct build b = datagram();
        build_ethernet(&b, ETHERTYPE_IP4);
        build_hex(&b, "08000000 123456 00");
        udp_between_ends(&b, ports[i]);
        struct packet p = decode(&b, 101);
        assert_outer(&p, TUNNEL_VXLAN, 0x123456, PROTO_UDP);
        assert_int_equal(p.outer.port[1], ports[i]);
        assert_true(p.outer.has_ports);
    }
    struct build b = build_new(); /* ARP inside is the view, too */
    build_hex(&b, "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002");
    build_ethernet(&b, ETHERTYPE_ARP);
    build_hex(&b, "08000000 000001 00");
    udp_between_ends(&b, 4789);
    struct packet p = decode(&b, 101);
    assert_addresses(&p.net, FAMILY_IP4, A4, B4);
    assert_int_equal(p.ethertype, ETHERTYPE_ARP);
    assert_int_equal(p.tunnel, TUNNEL_VXLAN);
    assert_int_equal(p.payload_length, 0);
}

static void geneve(void **state)
{
    (void)state;
    struct build b = datagram();
    build_ethernet(&b, ETHERTYPE_IP4);
    build_hex(&b, "0200 6558 00002a 00 0102030405060708");
    udp_between_ends(&b, 6081);
    struct packet p = decode(&b, 101);
    assert_outer(&p, TUNNEL_GENEVE, 42, PROTO_UDP);

    b = datagram(); /* IP at once */
    build_hex(&b, "0000 0800 00002a 00");
    udp_between_ends(&b, 6081);
    p = decode(&b, 101);
    assert_outer(&p, TUNNEL_GENEVE, 42, PROTO_UDP);
}

static void a_port_is_only_a_guess(void **state)
{
    (void)state;
    static const struct {
        unsigned port;
        const char *header;
        unsigned type; /* of the Ethernet frame inside */
    } cases[] = {
        {4789, "80000000 000001 00", ETHERTYPE_IP4},  /* no id */
        {4789, "08000000 000001 00", 0x88cc},         /* not IP */
        {4789, "08000000 000001 00", ETHERTYPE_IP6},  /* not the IP it says */
        {4789, "08000000 000001 00", 0x8100},         /* a tag, then rubbish */
        {8472, "deadbeef deadbeef", ETHERTYPE_IP4},   /* where the flag is there, but an offset wrong */
        {6081, "4000 6558 000001 00", ETHERTYPE_IP4}, /* version 1 */
        {6081, "0000 0000 000001 00", ETHERTYPE_IP4}, /* no ethertype */
        {6081, "3f00 6558 000001 00", ETHERTYPE_IP4}, /* options past the end */
        {4790, "08000000 000001 00", ETHERTYPE_IP4},  /* another port */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct build b = datagram();
        if (cases[i].port == 8472)
            build_data(&b)[0] = 0x41; /* an IP header of 4 bytes */
        build_ethernet(&b, cases[i].type);
        build_hex(&b, cases[i].header);
        udp_between_ends(&b, cases[i].port);
        struct packet p = decode(&b, 101);
        assert_plain_udp(&p, cases[i].port);
    }
    struct build b = build_new(); /* too short for any header */
    build_payload(&b, 5);
    udp_between_ends(&b, 4789);
    struct packet p = decode(&b, 101);
    assert_plain_udp(&p, 4789);
}

static void an_invalid_datagram_is_no_tunnel(void **state)
{
    (void)state;
    struct build b = datagram();
    build_ethernet(&b, ETHERTYPE_IP4);
    build_hex(&b, "08000000 000001 00");
    udp_between_ends(&b, 4789);
    build_put16(build_data(&b) + 24, 1400); /* UDP says more than IP */
    struct packet p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_INVALID);
    assert_int_equal(p.tunnel, TUNNEL_NONE);
    assert_ports(&p.net, PROTO_UDP, 50000, 4789);
}

static void nested_tunnels(void **state)
{
    (void)state;
    struct build b = datagram();
    build_ethernet(&b, ETHERTYPE_IP4);
    build_hex(&b, "08000000 000007 00");
    build_udp(&b, 50001, 4789);
    build_ip4(&b, PROTO_UDP, "172.16.0.1", "172.16.0.2");
    build_hex(&b, "2000 0800 00000005");
    build_ip4(&b, 47, OUT4, PEER4);
    struct packet p = decode(&b, 101);
    assert_outer(&p, TUNNEL_VXLAN, 7, 47); /* innermost tunnel, outermost addresses */

    b = datagram(); /* a wrong guess inside a tunnel costs nothing of it */
    build_ethernet(&b, 0x88cc);
    build_hex(&b, "08000000 000007 00");
    build_udp(&b, 1000, 4789);
    build_ip4(&b, PROTO_UDP, A4, B4);
    build_hex(&b, "2000 0800 00000005");
    build_ip4(&b, 47, OUT4, PEER4);
    p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_OK);
    assert_int_equal(p.tunnel, TUNNEL_GRE);
    assert_int_equal(p.tunnel_id, 5);
    assert_ports(&p.net, PROTO_UDP, 1000, 4789);
    assert_addresses(&p.net, FAMILY_IP4, A4, B4);

    b = datagram(); /* deeper than allowed: the view stays at the deepest that is */
    for (unsigned i = 0; i <= PACKET_DEPTH_MAX; i++)
        build_ip4(&b, 4, OUT4, PEER4);
    p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_INVALID);
    assert_int_equal(p.net_offset, 20 * PACKET_DEPTH_MAX);
    assert_int_equal(p.net.proto, 4);
}

static void a_tunnel_in_fragments(void **state)
{
    (void)state;
    struct build b = datagram();
    build_put16(build_data(&b) + 2, 1500); /* the rest of it comes in the next fragment */
    build_put16(build_data(&b) + 24, 1480);
    build_hex(&b, "0000 0800");
    build_put16(build_ip4(&b, 47, OUT4, PEER4) + 6, 0x2000);
    struct packet p = decode(&b, 101);
    assert_int_equal(p.end, PACKET_OK);
    assert_ports(&p.net, PROTO_UDP, 1000, 53);
    assert_int_equal(p.net.fragment, FRAGMENT_NONE);
    assert_int_equal(p.outer.fragment, FRAGMENT_FIRST);
    assert_int_equal(p.payload_length, 10);

    build_put16(build_data(&b) + 6, 185); /* the next one */
    p = decode(&b, 101);
    assert_addresses(&p.net, FAMILY_IP4, OUT4, PEER4);
    assert_int_equal(p.net.fragment, FRAGMENT_LATER);
    assert_int_equal(p.tunnel, TUNNEL_NONE);
}

static void a_guess_that_is_cut_is_no_guess(void **state)
{
    (void)state;
    struct build b = datagram();
    build_ethernet(&b, ETHERTYPE_IP4);
    build_hex(&b, "08000000 123456 00");
    udp_between_ends(&b, 4789);
    struct packet p;
    packet_decode(101, build_data(&b), 28 + 8 + 14 + 19, build_length(&b), &p);
    assert_int_equal(p.end, PACKET_TRUNCATED);
    assert_ports(&p.net, PROTO_UDP, 50000, 4789);
    assert_int_equal(p.tunnel, TUNNEL_NONE);
    packet_decode(101, build_data(&b), 28 + 8 + 14 + 20, build_length(&b), &p);
    assert_int_equal(p.end, PACKET_TRUNCATED);
    assert_int_equal(p.tunnel, TUNNEL_VXLAN);
    assert_addresses(&p.net, FAMILY_IP4, A4, B4);
    assert_false(p.net.has_ports);
}

/* --- ICMP errors --- */

static void icmp_errors_quote(void **state)
{
    (void)state;
    static const unsigned types[] = {3, 4, 5, 11, 12};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct build b = build_new(); /* no more than RFC 792 promises: 8 bytes of what was sent */
        build_hex(&b, "9c40 01bb 00000001");
        build_put16(build_ip4(&b, PROTO_TCP, A4, B4) + 2, 1500);
        build_icmp(&b, types[i], 1);
        build_ip4(&b, PROTO_ICMP, "10.9.9.9", A4);
        struct packet p = decode(&b, 101);
        assert_int_equal(p.end, PACKET_OK);
        assert_true(p.plain);
        assert_int_equal(p.net.port[0], types[i]);
        assert_int_equal(p.net.port[1], 1);
        assert_addresses(&p.net, FAMILY_IP4, "10.9.9.9", A4);
        assert_addresses(&p.quoted, FAMILY_IP4, A4, B4);
        assert_ports(&p.quoted, PROTO_TCP, 40000, 443);
        assert_false(p.has_tcp);
        assert_int_equal(p.tunnel, TUNNEL_NONE);
    }
}

static void icmp6_errors_quote(void **state)
{
    (void)state;
    for (unsigned type = 1; type <= 4; type++) {
        struct build b = datagram6();
        build_extension(&b, PROTO_UDP);
        build_ip6(&b, 60, A6, B6);
        build_icmp(&b, type, 0);
        build_ip6(&b, PROTO_ICMP6, "2001:db8::ffff", A6);
        struct packet p = decode(&b, 101);
        assert_int_equal(p.end, PACKET_OK);
        assert_addresses(&p.quoted, FAMILY_IP6, A6, B6);
        assert_ports(&p.quoted, PROTO_UDP, 1000, 53);
    }
}

static void what_is_quoted_of_others(void **state)
{
    (void)state;
    struct build b = build_new(); /* a ping */
    build_icmp(&b, 8, 0);
    build_ip4(&b, PROTO_ICMP, A4, B4);
    build_icmp(&b, 11, 0);
    build_ip4(&b, PROTO_ICMP, "10.9.9.9", A4);
    struct packet p = decode(&b, 101);
    assert_int_equal(p.quoted.proto, PROTO_ICMP);
    assert_int_equal(p.quoted.port[0], 8);
    assert_int_equal(p.quoted.port[1], 0);

    b = datagram(); /* a later fragment, a tunnel: the quoted packet itself, not what is in it */
    build_put16(build_data(&b) + 6, 10);
    build_icmp(&b, 11, 1);
    build_ip4(&b, PROTO_ICMP, "10.9.9.9", A4);
    p = decode(&b, 101);
    assert_int_equal(p.quoted.fragment, FRAGMENT_LATER);
    assert_false(p.quoted.has_ports);

    b = datagram();
    build_ip4(&b, 4, OUT4, PEER4);
    build_icmp(&b, 3, 4);
    build_ip4(&b, PROTO_ICMP, "10.9.9.9", OUT4);
    p = decode(&b, 101);
    assert_addresses(&p.quoted, FAMILY_IP4, OUT4, PEER4);
    assert_int_equal(p.quoted.proto, 4);

    b = datagram();
    build_ethernet(&b, ETHERTYPE_IP4);
    build_hex(&b, "08000000 000001 00");
    udp_between_ends(&b, 4789);
    build_icmp(&b, 3, 4);
    build_ip4(&b, PROTO_ICMP, "10.9.9.9", OUT4);
    p = decode(&b, 101);
    assert_addresses(&p.quoted, FAMILY_IP4, OUT4, PEER4);
    assert_ports(&p.quoted, PROTO_UDP, 50000, 4789);

    b = build_new(); /* nothing that could be read */
    build_payload(&b, 19);
    build_icmp(&b, 3, 4);
    build_ip4(&b, PROTO_ICMP, "10.9.9.9", A4);
    p = decode(&b, 101);
    assert_int_equal(p.quoted.family, FAMILY_NONE);
    assert_int_equal(p.end, PACKET_OK);
    assert_true(p.has_icmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gre),
        cmocka_unit_test(gre_that_is_not_looked_through),
        cmocka_unit_test(ip_in_ip),
        cmocka_unit_test(vxlan),
        cmocka_unit_test(geneve),
        cmocka_unit_test(a_port_is_only_a_guess),
        cmocka_unit_test(an_invalid_datagram_is_no_tunnel),
        cmocka_unit_test(nested_tunnels),
        cmocka_unit_test(a_tunnel_in_fragments),
        cmocka_unit_test(a_guess_that_is_cut_is_no_guess),
        cmocka_unit_test(icmp_errors_quote),
        cmocka_unit_test(icmp6_errors_quote),
        cmocka_unit_test(what_is_quoted_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
