/* Forbidden networks and ports: on every layer of a packet, and what cannot be read is left out, too. */
#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#include "agent/forbid.h"

#include <string.h>

#define ETHERNET 1
#define VXLAN    "0800000000000700" /* VNI 7 */

static struct forbid rules(const char *const *nets, const char *const *ports)
{
    struct forbid f = {0};
    for (; nets && *nets; nets++)
        assert_int_equal(forbid_add_net(&f, *nets, NULL), 0);
    for (; ports && *ports; ports++)
        assert_int_equal(forbid_add_ports(&f, *ports, NULL), 0);
    return f;
}

static const char *const nets[] = {"10.1.0.0/16", "192.0.2.7", "2001:db8::/32", NULL};
static const char *const ports[] = {"22", "5000-5999", NULL};

static bool left_out(const struct forbid *f, struct build *b, uint32_t captured)
{
    struct packet p;
    uint32_t wire = build_length(b);
    packet_decode(ETHERNET, build_data(b), captured < wire ? captured : wire, wire, &p);
    return forbid_packet(f, &p);
}

static struct build tcp4(const char *from, const char *to, unsigned from_port, unsigned to_port)
{
    struct build b = build_new();
    build_payload(&b, 20);
    build_tcp(&b, from_port, to_port, 0);
    build_ip4(&b, PROTO_TCP, from, to);
    return b;
}

static bool plain(const struct forbid *f, const char *from, const char *to, unsigned from_port, unsigned to_port)
{
    struct build b = tcp4(from, to, from_port, to_port);
    build_ethernet(&b, ETHERTYPE_IP4);
    return left_out(f, &b, UINT32_MAX);
}

static void either_end_counts(void **state)
{
    (void)state;
    struct forbid f = rules(nets, ports);
    assert_false(plain(&f, "10.2.0.1", "10.3.0.1", 1000, 80));
    assert_true(plain(&f, "10.1.0.1", "10.3.0.1", 1000, 80));
    assert_true(plain(&f, "10.3.0.1", "10.1.255.255", 1000, 80));
    assert_false(plain(&f, "10.3.0.1", "10.0.255.255", 1000, 80));
    assert_true(plain(&f, "192.0.2.7", "10.3.0.1", 1000, 80));
    assert_false(plain(&f, "192.0.2.6", "10.3.0.1", 1000, 80));
    assert_true(plain(&f, "10.2.0.1", "10.3.0.1", 22, 80));
    assert_true(plain(&f, "10.2.0.1", "10.3.0.1", 1000, 5999));
    assert_false(plain(&f, "10.2.0.1", "10.3.0.1", 1000, 6000));
}

static void version_6_and_what_is_embedded_in_it(void **state)
{
    (void)state;
    struct forbid f = rules(nets, NULL);
    const struct {
        const char *from;
        bool out;
    } cases[] = {{"2001:db8:1::5", true},
                 {"2001:db7::5", false},
                 {"::ffff:10.1.2.3", true},
                 {"64:ff9b::10.1.2.3", true},
                 {"::ffff:10.2.2.3", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct build b = build_new();
        build_udp(&b, 1000, 53);
        build_ip6(&b, PROTO_UDP, cases[i].from, "fe80::1");
        build_ethernet(&b, ETHERTYPE_IP6);
        assert_int_equal(left_out(&f, &b, UINT32_MAX), cases[i].out);
    }
}

static void tags_hide_nothing(void **state)
{
    (void)state;
    struct forbid f = rules(nets, ports);
    struct build b = tcp4("10.1.0.1", "10.3.0.1", 1000, 80), ok = tcp4("10.2.0.1", "10.3.0.1", 1000, 80);
    build_vlan(&b, 5, ETHERTYPE_IP4);
    build_vlan(&b, 6, 0x8100);
    build_ethernet(&b, 0x88a8);
    assert_true(left_out(&f, &b, UINT32_MAX));
    build_vlan(&ok, 5, ETHERTYPE_IP4);
    build_ethernet(&ok, 0x8100);
    assert_false(left_out(&f, &ok, UINT32_MAX));
}

static struct build in_vxlan(const char *inside, const char *outside)
{
    struct build b = tcp4(inside, "10.3.0.1", 1000, 80);
    build_ethernet(&b, ETHERTYPE_IP4);
    build_hex(&b, VXLAN);
    build_udp(&b, 40000, 4789);
    build_ip4(&b, PROTO_UDP, outside, "10.9.0.2");
    return b;
}

static void inside_and_outside_of_tunnels(void **state)
{
    (void)state;
    struct forbid f = rules(nets, NULL);
    const struct {
        const char *inside, *outside;
        bool out;
    } cases[] = {{"10.2.0.1", "10.9.0.1", false}, {"10.1.0.1", "10.9.0.1", true}, {"10.2.0.1", "10.1.0.1", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct build b = in_vxlan(cases[i].inside, cases[i].outside);
        build_ethernet(&b, ETHERTYPE_IP4);
        assert_int_equal(left_out(&f, &b, UINT32_MAX), cases[i].out);
    }
    /* two tunnels: the one in the middle is not seen */
    struct build b = in_vxlan("10.2.0.1", "10.9.0.1");
    build_ip4(&b, 4, "10.9.1.1", "10.9.1.2");
    build_ethernet(&b, ETHERTYPE_IP4);
    assert_true(left_out(&f, &b, UINT32_MAX));
    /* a tunnel of which the inside is not readable */
    struct build cut = in_vxlan("10.2.0.1", "10.9.0.1");
    build_ethernet(&cut, ETHERTYPE_IP4);
    assert_true(left_out(&f, &cut, 14 + 20 + 8 + 8 + 14 + 10));
    struct build gre = build_new();
    build_hex(&gre, "0000880b00000000");
    build_ip4(&gre, 47, "10.9.0.1", "10.9.0.2");
    build_ethernet(&gre, ETHERTYPE_IP4);
    assert_true(left_out(&f, &gre, UINT32_MAX));
}

/* One packet of protocol `proto` between allowed addresses, of which nobody knows what it carries. */
static bool carried(const struct forbid *f, unsigned proto)
{
    struct build b = tcp4("10.1.0.1", "10.3.0.1", 1000, 80);
    build_ip4(&b, proto, "10.9.0.1", "10.9.0.2");
    build_ethernet(&b, ETHERTYPE_IP4);
    return left_out(f, &b, UINT32_MAX);
}

static bool over_udp(const struct forbid *f, unsigned from, unsigned to)
{
    struct build b = tcp4("10.1.0.1", "10.3.0.1", 1000, 80);
    build_zero(&b, 8);
    build_udp(&b, from, to);
    build_ip4(&b, PROTO_UDP, "10.9.0.1", "10.9.0.2");
    build_ethernet(&b, ETHERTYPE_IP4);
    return left_out(f, &b, UINT32_MAX);
}

/* L2TP, GTP, Teredo, ...: not looked into, so nothing of them is taken. */
static void tunnels_that_nobody_looks_into(void **state)
{
    (void)state;
    struct forbid f = rules(nets, NULL);
    static const uint8_t protos[] = {55, 94, 97, 98, 103, 108, 115, 137, 143, 144};
    static const uint16_t udp[] = {1701, 2152, 3544, 4341, 4754, 4790, 5247, 6080, 6635};
    for (size_t i = 0; i < sizeof protos; i++)
        assert_true(carried(&f, protos[i]));
    for (size_t i = 0; i < sizeof udp / sizeof *udp; i++) {
        assert_true(over_udp(&f, 40000, udp[i]));
        assert_true(over_udp(&f, udp[i], 40000));
    }
    assert_false(carried(&f, 50)); /* encrypted: judged by what is outside */
    assert_false(carried(&f, 89)); /* OSPF carries no packets */
    assert_false(over_udp(&f, 40000, 53));
}

/* Behind an extension header that the first fragment had to its end stands what later ones go on with: a tunnel's inside, say. */
static void extension_headers_that_were_not_read_to_their_end(void **state)
{
    (void)state;
    struct forbid f = rules(nets, NULL);
    static const struct {
        unsigned next;
        bool out;
    } later[] = {{60, true}, {43, true}, {0, true}, {51, true}, {135, true}, {PROTO_TCP, false}};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        struct build b = build_new();
        build_payload(&b, 40);
        build_fragment6(&b, later[i].next, 1280, 0, 7);
        build_ip6(&b, 44, "fd00::1", "fd00::2");
        build_ethernet(&b, ETHERTYPE_IP6);
        assert_int_equal(left_out(&f, &b, UINT32_MAX), later[i].out);
    }
    struct build ah = build_new(); /* IPv4 */
    build_payload(&ah, 40);
    build_put16(build_ip4(&ah, 51, "10.9.0.1", "10.9.0.2") + 6, 100);
    build_ethernet(&ah, ETHERTYPE_IP4);
    assert_true(left_out(&f, &ah, UINT32_MAX));
    /* more of them than the decoder follows, and a tunnel behind */
    for (unsigned n = 0; n <= 2 * PACKET_DEPTH_MAX; n += 2 * PACKET_DEPTH_MAX) {
        struct build b = tcp4("10.2.0.1", "10.3.0.1", 1000, 80);
        for (unsigned i = 0; i < n; i++)
            build_extension(&b, i ? 60 : PROTO_TCP);
        build_ip6(&b, n ? 60 : 4, "fd00::1", "fd00::2");
        build_ethernet(&b, ETHERTYPE_IP6);
        assert_int_equal(left_out(&f, &b, UINT32_MAX), n != 0);
    }
}

static struct build error4(const char *quoted, unsigned to_port)
{
    struct build b = tcp4(quoted, "10.3.0.1", 1000, to_port);
    build_icmp(&b, 3, 1);
    build_ip4(&b, PROTO_ICMP, "10.9.0.1", "10.9.0.2");
    build_ethernet(&b, ETHERTYPE_IP4);
    return b;
}

static void what_errors_quote(void **state)
{
    (void)state;
    struct forbid f = rules(nets, ports);
    struct build bad = error4("10.1.0.1", 80), port = error4("10.2.0.1", 22), good = error4("10.2.0.1", 80);
    assert_true(left_out(&f, &bad, UINT32_MAX));
    assert_true(left_out(&f, &port, UINT32_MAX));
    assert_false(left_out(&f, &good, UINT32_MAX));
    assert_true(left_out(&f, &good, 14 + 20 + 8 + 12)); /* cut in what is quoted */
    struct build echo = build_new();
    build_icmp(&echo, 8, 0);
    build_ip4(&echo, PROTO_ICMP, "10.9.0.1", "10.9.0.2");
    build_ethernet(&echo, ETHERTYPE_IP4);
    assert_false(left_out(&f, &echo, UINT32_MAX));
    /* a redirect names another address */
    struct build redirect = build_new();
    build_zero(&redirect, 32);
    build_icmp(&redirect, 137, 0);
    build_ip6(&redirect, PROTO_ICMP6, "fe80::1", "fe80::2");
    build_ethernet(&redirect, ETHERTYPE_IP6);
    assert_true(left_out(&f, &redirect, UINT32_MAX));
}

static void what_cannot_be_read_is_left_out(void **state)
{
    (void)state;
    struct forbid f = rules(nets, NULL), p = rules(NULL, ports);
    struct build b = tcp4("10.2.0.1", "10.3.0.1", 1000, 80);
    build_ethernet(&b, ETHERTYPE_IP4);
    for (uint32_t n = 0; n < 14 + 20; n++)
        assert_true(left_out(&f, &b, n));
    for (uint32_t n = 0; n < 14 + 20 + 4; n++)
        assert_true(left_out(&p, &b, n));
    assert_false(left_out(&f, &b, 14 + 20));
    assert_false(left_out(&p, &b, 14 + 20 + 4));
    struct packet unknown;
    packet_decode(147, build_data(&b), build_length(&b), build_length(&b), &unknown);
    assert_true(forbid_packet(&f, &unknown));
    build_data(&b)[14] = 0x15; /* no version of IP */
    assert_true(left_out(&f, &b, UINT32_MAX));
}

static void later_fragments_have_no_ports(void **state)
{
    (void)state;
    struct forbid f = rules(nets, NULL), p = rules(NULL, ports);
    struct build tcp = build_new(), udp = build_new();
    build_payload(&tcp, 40);
    build_put16(build_ip4(&tcp, PROTO_TCP, "10.2.0.1", "10.3.0.1") + 6, 100);
    build_ethernet(&tcp, ETHERTYPE_IP4);
    build_payload(&udp, 40);
    build_put16(build_ip4(&udp, PROTO_UDP, "10.2.0.1", "10.3.0.1") + 6, 100);
    build_ethernet(&udp, ETHERTYPE_IP4);
    assert_false(left_out(&f, &tcp, UINT32_MAX));
    assert_true(left_out(&p, &tcp, UINT32_MAX));
    assert_true(left_out(&f, &udp, UINT32_MAX)); /* may be of a tunnel */
}

static void frames_without_ip(void **state)
{
    (void)state;
    struct forbid f = rules(nets, ports);
    const struct {
        unsigned type;
        bool out;
    } cases[] = {{0x88cc, false}, {0x8809, false}, {0x1234, true}, {0x88e5, true}, {ETHERTYPE_IP4, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct build b = build_new();
        build_zero(&b, 30);
        build_ethernet(&b, cases[i].type);
        assert_int_equal(left_out(&f, &b, UINT32_MAX), cases[i].out);
    }
    /* 802.3: spanning tree and IS-IS; IP by its own number (RFC 1042), and what nobody knows */
    static const struct {
        const char *llc;
        bool out;
    } llcs[] = {{"424203", false}, {"fefe03", false}, {"060603", true}, {"aaaa03 0080c2 0007", true}, {"123403", true}};
    for (size_t i = 0; i < sizeof llcs / sizeof *llcs; i++) {
        struct build b = tcp4("10.1.0.1", "10.3.0.1", 1000, 80);
        build_hex(&b, llcs[i].llc);
        build_ethernet(&b, build_length(&b));
        assert_int_equal(left_out(&f, &b, UINT32_MAX), llcs[i].out);
    }
    /* Linux cooked, of an interface with frames of radio */
    struct build radio = build_new();
    struct packet p;
    build_zero(&radio, 60);
    build_hex(&radio, "0000 0000 00000001 0323 00 06 020000000001 0000");
    packet_decode(276, build_data(&radio), build_length(&radio), build_length(&radio), &p);
    assert_true(forbid_packet(&f, &p));
    /* ARP names addresses */
    struct build arp = build_new(), other = build_new();
    build_hex(&arp, "0001080006040001 020000000001 0a010001 000000000000 0a020001");
    build_ethernet(&arp, ETHERTYPE_ARP);
    assert_true(left_out(&f, &arp, UINT32_MAX));
    build_hex(&other, "0001080006040001 020000000001 0a030001 000000000000 0a020001");
    build_ethernet(&other, ETHERTYPE_ARP);
    assert_false(left_out(&f, &other, UINT32_MAX));
}

static void what_is_no_network_and_no_port(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    struct forbid f = {0};
    static const char *const bad_nets[] = {"",           "10.0.0.0/33", "10.0.0.0/",      "10.0.0.1/8",  "10.0.0",
                                           "web-1",      "::/129",      "2001:db8::1/32", "10.0.0.0/8x", " 10.0.0.0/8",
                                           "10.0.0.0/-1"};
    static const char *const bad_ports[] = {"",       "x", "65536", "5-", "-5", "9-5", "22,23", "99999999999999999999",
                                            "1-65536"};
    for (size_t i = 0; i < sizeof bad_nets / sizeof *bad_nets; i++)
        assert_int_equal(forbid_add_net(&f, bad_nets[i], &e), ERROR_USAGE);
    for (size_t i = 0; i < sizeof bad_ports / sizeof *bad_ports; i++)
        assert_int_equal(forbid_add_ports(&f, bad_ports[i], &e), ERROR_USAGE);
    assert_false(forbid_any(&f));
    for (unsigned i = 0; i < FORBID_MAX; i++)
        assert_int_equal(forbid_add_ports(&f, "7", &e), 0);
    assert_int_equal(forbid_add_ports(&f, "7", &e), ERROR_LIMIT);
    struct forbid all = {0};
    assert_int_equal(forbid_add_net(&all, "0.0.0.0/0", NULL), 0);
    assert_true(plain(&all, "1.2.3.4", "5.6.7.8", 1, 2));
}

static void the_kernel_s_words(void **state)
{
    (void)state;
    struct forbid f = rules(nets, ports);
    struct buffer b = {.limit = 1000};
    forbid_filter(&f, &b);
    buffer_u8(&b, 0);
    assert_string_equal((char *)b.data,
                        "net 10.1.0.0/16 or net 192.0.2.7/32 or net 2001:db8::/32 or port 22 or portrange 5000-5999");
    buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(either_end_counts),
        cmocka_unit_test(version_6_and_what_is_embedded_in_it),
        cmocka_unit_test(tags_hide_nothing),
        cmocka_unit_test(inside_and_outside_of_tunnels),
        cmocka_unit_test(tunnels_that_nobody_looks_into),
        cmocka_unit_test(extension_headers_that_were_not_read_to_their_end),
        cmocka_unit_test(what_errors_quote),
        cmocka_unit_test(what_cannot_be_read_is_left_out),
        cmocka_unit_test(later_fragments_have_no_ports),
        cmocka_unit_test(frames_without_ip),
        cmocka_unit_test(what_is_no_network_and_no_port),
        cmocka_unit_test(the_kernel_s_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
