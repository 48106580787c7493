/* packet: link types, and what stands between them and IP. */
#include "tests/unit/packet_expect.h"

/* --- Link types --- */

static void link_types_with_fixed_headers(void **state)
{
    (void)state;
    static const struct {
        int link_type;
        const char *header;
        bool plain;
    } cases[] = {
        {0, "02000000", true},                                         /* NULL, little-endian as here */
        {0, "00000002", false},                                        /* NULL, big-endian */
        {108, "00000002", true},                                       /* LOOP */
        {12, "", true},                                                /* RAW, by three numbers */
        {14, "", true},                                                /**/
        {101, "", true},                                               /**/
        {228, "", true},                                               /* IPV4 */
        {113, "0000 0001 0006 0200000000010000 0800", true},           /* LINUX_SLL */
        {276, "0800 0000 00000003 0001 00 06 0200000000010000", true}, /* LINUX_SLL2 */
        {9, "ff03 0021", true},                                        /* PPP */
        {9, "0021", false},                                            /* without address and control */
        {9, "21", false},                                              /* compressed protocol */
        {9, "0f00 0800", false},                                       /* Cisco HDLC */
        {50, "ff03 0021", true},                                       /**/
        {104, "0f00 0800", true},                                      /**/
        {219, "00001140", false},                                      /* MPLS */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct build b = datagram();
        build_hex(&b, cases[i].header);
        struct packet p = decode(&b, cases[i].link_type);
        assert_datagram(&p);
        assert_int_equal(p.plain, cases[i].plain);
        assert_int_equal(p.has_mac, cases[i].link_type == 113 || cases[i].link_type == 276);
    }
}

static void ppp_carries_more_than_ip4(void **state)
{
    (void)state;
    struct build b = datagram6();
    build_ip6(&b, PROTO_UDP, A6, B6);
    build_hex(&b, "ff03 0057");
    struct packet p = decode(&b, 9);
    assert_addresses(&p.net, FAMILY_IP6, A6, B6);
    for (unsigned multicast = 0; multicast < 2; multicast++) {
        b = datagram();
        build_mpls(&b, 20, 1);
        build_hex(&b, multicast ? "ff03 0283" : "ff03 0281");
        p = decode(&b, 9);
        assert_datagram(&p);
        assert_int_equal(p.mpls, 1);
    }
    b = datagram();
    build_hex(&b, "ff03 c021"); /* LCP */
    p = decode(&b, 9);
    assert_int_equal(p.net.family, FAMILY_NONE);
}

static void ip6_on_null_has_a_number_for_each_system(void **state)
{
    (void)state;
    static const uint8_t families[] = {10, 23, 24, 28, 30};
    for (size_t i = 0; i < sizeof families; i++) {
        struct build b = datagram6();
        build_ip6(&b, PROTO_UDP, A6, B6);
        build_hex(&b, "00000000")[0] = families[i];
        struct packet p = decode(&b, 0);
        assert_ports(&p.net, PROTO_UDP, 1000, 53);
        assert_int_equal(p.plain, families[i] == 10); /* libpcap's on Linux */
    }
}

static void cooked_knows_the_sender(void **state)
{
    (void)state;
    struct build b = build_new();
    build_payload(&b, 20);
    build_hex(&b, "0004 0001 0006 0200000000070000 88cc");
    struct packet p = decode(&b, 113);
    assert_addresses(&p.net, FAMILY_LINK, "02:00:00:00:00:07", "00:00:00:00:00:00");
    assert_int_equal(p.ethertype, 0x88cc);

    b = datagram(); /* netlink: the protocol is no ethertype */
    build_hex(&b, "0004 0338 0000 0000000000000000 0800");
    p = decode(&b, 113);
    assert_int_equal(p.net.family, FAMILY_NONE);
    assert_false(p.plain);
}

static void unknown_link_type(void **state)
{
    (void)state;
    struct build b = datagram();
    struct packet p = decode(&b, 147);
    assert_int_equal(p.end, PACKET_OK);
    assert_int_equal(p.net.family, FAMILY_NONE);
    assert_int_equal(p.ethertype, 0);
    assert_false(p.plain);
}

static void unknown_ethertype(void **state)
{
    (void)state;
    struct build b = build_new();
    build_payload(&b, 40);
    build_ethernet(&b, 0x88cc);
    struct packet p = decode(&b, 1);
    assert_int_equal(p.end, PACKET_OK);
    assert_true(p.plain);
    assert_addresses(&p.net, FAMILY_LINK, "02:00:00:00:00:01", "02:00:00:00:00:02");
    assert_int_equal(p.ethertype, 0x88cc);
    assert_int_equal(p.transport_offset, 0);
}

/* --- Tags, labels, LLC, PPPoE, ARP --- */

static void vlan_tags(void **state)
{
    (void)state;
    static const unsigned types[] = {0x8100, 0x88a8, 0x9100};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct build b = datagram();
        build_vlan(&b, 0xe00a, ETHERTYPE_IP4); /* priority bits are no part of the id */
        build_ethernet(&b, types[i]);
        struct packet p = decode(&b, 1);
        assert_datagram(&p);
        assert_int_equal(p.vlans, 1);
        assert_int_equal(p.vlan[0], 10);
        assert_int_equal(p.vlan[1], VLAN_NONE);
        assert_false(p.plain);
    }
    struct build b = datagram();
    build_vlan(&b, 30, ETHERTYPE_IP4);
    build_vlan(&b, 20, 0x8100);
    build_vlan(&b, 10, 0x8100);
    build_ethernet(&b, 0x88a8);
    struct packet p = decode(&b, 1);
    assert_datagram(&p);
    assert_int_equal(p.vlans, 3);
    assert_int_equal(p.vlan[0], 10);
    assert_int_equal(p.vlan[1], 20);
}

static void mpls_labels(void **state)
{
    (void)state;
    struct build b = datagram();
    build_mpls(&b, 200, 1);
    build_mpls(&b, 100, 0);
    build_ethernet(&b, 0x8847);
    struct packet p = decode(&b, 1);
    assert_datagram(&p);
    assert_int_equal(p.mpls, 2);
    assert_false(p.plain);

    b = datagram6();
    build_ip6(&b, PROTO_UDP, A6, B6);
    build_mpls(&b, 100, 1);
    build_ethernet(&b, 0x8848);
    p = decode(&b, 1);
    assert_addresses(&p.net, FAMILY_IP6, A6, B6);
}

static void mpls_pseudowires(void **state)
{
    (void)state;
    static const char *const before[] = {"00000000", "", "", "", ""}; /* with and without control word */
    static const uint8_t first[] = {0x02, 0x02, 0x12, 0x46, 0x46}; /* of the Ethernet address, which may look like IP */
    static const uint16_t second[] = {0, 0, 0, 0, 0xffff};         /* where IP would have its length */
    for (size_t i = 0; i < sizeof first; i++) {
        struct build b = datagram();
        build_put16(build_ethernet(&b, ETHERTYPE_IP4) + 2, second[i]);
        build_data(&b)[0] = first[i];
        build_hex(&b, before[i]);
        build_mpls(&b, 100, 1);
        build_ethernet(&b, 0x8847);
        struct packet p = decode(&b, 1);
        assert_datagram(&p);
        assert_int_equal(p.mac[0][5], 1); /* the outermost */
    }
    static const char *const other[] = {"10000000 4500", "00000000 deadbeef"}; /* an associated channel; who knows */
    for (size_t i = 0; i < 2; i++) {
        struct build b = build_new();
        build_payload(&b, 30);
        build_hex(&b, other[i]);
        build_mpls(&b, 100, 1);
        build_ethernet(&b, 0x8847);
        struct packet p = decode(&b, 1);
        assert_int_equal(p.end, PACKET_OK);
        assert_int_equal(p.net.family, FAMILY_LINK);
        assert_int_equal(p.ethertype, 0x8847);
        assert_int_equal(p.mpls, 1);
    }
}

static void llc_and_snap(void **state)
{
    (void)state;
    struct build b = build_new(); /* spanning tree */
    build_payload(&b, 35);
    build_hex(&b, "424203");
    build_ethernet(&b, 38);
    struct packet p = decode(&b, 1);
    assert_int_equal(p.end, PACKET_OK);
    assert_int_equal(p.ethertype, 0);
    assert_int_equal(p.lsap, 0x4242);
    assert_int_equal(p.net.family, FAMILY_LINK);
    assert_true(p.plain);

    for (unsigned n = 1500; n <= 1501; n++) { /* the greatest length; no length any more */
        b = build_new();
        build_payload(&b, n - 3);
        build_hex(&b, "424203");
        build_ethernet(&b, n);
        p = decode(&b, 1);
        assert_int_equal(p.end, PACKET_OK);
        assert_int_equal(p.lsap, n == 1500 ? 0x4242 : 0);
        assert_int_equal(p.ethertype, n == 1500 ? 0 : 1501);
    }

    b = datagram();
    build_hex(&b, "aaaa03 000000 0800");
    build_ethernet(&b, build_length(&b));
    p = decode(&b, 1);
    assert_datagram(&p);
    assert_false(p.plain);

    b = datagram(); /* somebody's own protocol number, not an ethertype */
    build_hex(&b, "aaaa03 00000c 0800");
    build_ethernet(&b, build_length(&b));
    p = decode(&b, 1);
    assert_int_equal(p.net.family, FAMILY_LINK);
    assert_int_equal(p.ethertype, 0);
    assert_int_equal(p.lsap, 0xaaaa);
    assert_false(p.plain);

    b = datagram(); /* the length field ends what is there */
    build_hex(&b, "aaaa03 000000 0800");
    build_ethernet(&b, 8 + 22);
    p = decode(&b, 1);
    assert_addresses(&p.net, FAMILY_IP4, A4, B4);
    assert_false(p.net.has_ports);
}

static void pppoe_sessions(void **state)
{
    (void)state;
    struct build b = datagram();
    build_hex(&b, "1100 0001 0028 0021");
    build_ethernet(&b, 0x8864);
    struct packet p = decode(&b, 1);
    assert_datagram(&p);
    assert_false(p.plain);
    static const uint8_t others[2][2] = {{0x11, 0xa7}, {0x21, 0x00}}; /* a termination; another version */
    for (size_t i = 0; i < 2; i++) {
        memcpy(build_data(&b) + 14, others[i], 2);
        p = decode(&b, 1);
        assert_int_equal(p.net.family, FAMILY_LINK);
        assert_int_equal(p.ethertype, 0x8864);
    }
}

static void arp(void **state)
{
    (void)state;
    static const unsigned types[] = {ETHERTYPE_ARP, ETHERTYPE_RARP};
    for (size_t i = 0; i < 2; i++) {
        struct build b = build_new();
        build_zero(&b, 18);
        build_hex(&b, "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002");
        build_ethernet(&b, types[i]);
        struct packet p = decode(&b, 1);
        assert_int_equal(p.end, PACKET_OK);
        assert_true(p.plain);
        assert_int_equal(p.ethertype, types[i]);
        assert_addresses(&p.net, FAMILY_IP4, A4, B4);
        assert_int_equal(p.net.proto, 0);
        assert_int_equal(p.transport_offset, 0);
    }
    struct build b = build_new(); /* link addresses of 2 bytes: libpcap would look elsewhere */
    build_hex(&b, "0007 0800 02 04 0001 0101 0a000001 0202 0a000002");
    build_ethernet(&b, ETHERTYPE_ARP);
    struct packet p = decode(&b, 1);
    assert_addresses(&p.net, FAMILY_IP4, A4, B4);
    assert_false(p.plain);

    b = build_new(); /* not for IPv4 */
    build_zero(&b, 40);
    build_hex(&b, "0001 809b 06 03 0001");
    build_ethernet(&b, ETHERTYPE_ARP);
    p = decode(&b, 1);
    assert_int_equal(p.net.family, FAMILY_LINK);
    assert_int_equal(p.ethertype, ETHERTYPE_ARP);
    assert_false(p.plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_types_with_fixed_headers),
        cmocka_unit_test(ppp_carries_more_than_ip4),
        cmocka_unit_test(ip6_on_null_has_a_number_for_each_system),
        cmocka_unit_test(cooked_knows_the_sender),
        cmocka_unit_test(unknown_link_type),
        cmocka_unit_test(unknown_ethertype),
        cmocka_unit_test(vlan_tags),
        cmocka_unit_test(mpls_labels),
        cmocka_unit_test(mpls_pseudowires),
        cmocka_unit_test(llc_and_snap),
        cmocka_unit_test(pppoe_sessions),
        cmocka_unit_test(arp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
