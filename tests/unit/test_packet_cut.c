/* packet: every packet cut at every length. No byte past the end is read (each cut is a copy of exactly its size, so the
 * address sanitizer sees), and what is known of a shorter piece is never contradicted by a longer one. */
#include "tests/unit/packet_expect.h"
#include <stdlib.h>

struct sample {
    const char *name;
    int link_type;
    void (*build)(struct build *b); /* puts headers around a datagram, or makes another packet of it */
};

static void again(struct build *b, struct build other)
{
    *b = other;
}

static void tagged_tcp(struct build *b)
{
    again(b, build_new());
    build_payload(b, 9);
    build_hex(b, "01010101 01010101");
    build_tcp(b, 1, 2, TCP_SYN)[12] = 0x70;
    build_ip4(b, PROTO_TCP, A4, B4);
    build_vlan(b, 20, ETHERTYPE_IP4);
    build_vlan(b, 10, 0x8100);
    build_ethernet(b, 0x88a8);
}

static void options(struct build *b)
{
    again(b, build_new());
    build_payload(b, 9);
    build_udp(b, 1, 2);
    build_hex(b, "01010101");
    build_ip4(b, PROTO_UDP, A4, B4)[0] = 0x46;
}

static void extensions(struct build *b)
{
    again(b, build_new());
    build_payload(b, 9);
    build_tcp(b, 1, 2, TCP_SYN);
    build_fragment6(b, PROTO_TCP, 0, 1, 77);
    build_zero(b, 8);
    build_extension(b, 44)[1] = 1;
    build_zero(b, 16);
    uint8_t *h = build_extension(b, 60);
    h[1] = 4;
    build_extension(b, 51);
    build_ip6(b, 0, A6, B6);
    build_ethernet(b, ETHERTYPE_IP6);
}

static void later_fragment(struct build *b)
{
    build_put16(build_data(b) + 6, 185);
}

static void snap(struct build *b)
{
    build_hex(b, "aaaa03 000000 0800");
    build_ethernet(b, build_length(b));
}

static void labels(struct build *b)
{
    build_mpls(b, 2, 1);
    build_mpls(b, 1, 0);
    build_ethernet(b, 0x8847);
}

static void pseudowire(struct build *b)
{
    build_ethernet(b, ETHERTYPE_IP4);
    build_hex(b, "00000001");
    labels(b);
}

static void bare_pseudowire(struct build *b)
{
    build_ethernet(b, ETHERTYPE_IP4)[0] = 0x46;
    labels(b);
}

static void rubbish_under_labels(struct build *b)
{
    build_data(b)[0] = 0x31;
    build_ethernet(b, ETHERTYPE_IP4)[0] = 0x46;
    labels(b);
}

static void pppoe(struct build *b)
{
    build_hex(b, "1100 0001 0028 0021");
    build_ethernet(b, 0x8864);
}

static void cooked(struct build *b)
{
    build_hex(b, "0000 0001 0006 0200000000010000 0800");
}

static void cooked2(struct build *b)
{
    build_hex(b, "0800 0000 00000003 0001 00 06 0200000000010000");
}

static void null_link(struct build *b)
{
    build_hex(b, "02000000");
}

static void ppp(struct build *b)
{
    build_hex(b, "ff03 0021");
}

static void arp(struct build *b)
{
    again(b, build_new());
    build_hex(b, "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002");
    build_ethernet(b, ETHERTYPE_ARP);
}

static void gre(struct build *b)
{
    build_ethernet(b, ETHERTYPE_IP4);
    build_hex(b, "f000 6558 0000 0000 00000009 00000001 0800 00 04 0a0a0a0a 0000 00 00");
    build_ip4(b, 47, "192.0.2.1", "192.0.2.2");
}

static void six_in_four_in_six(struct build *b)
{
    again(b, build_new());
    build_payload(b, 9);
    build_tcp(b, 1, 2, TCP_SYN);
    build_ip6(b, PROTO_TCP, A6, B6);
    build_ip4(b, 41, "192.0.2.1", "192.0.2.2");
    build_ip6(b, 4, "fd00::1", "fd00::2");
    build_ethernet(b, ETHERTYPE_IP6);
}

static void vxlan(struct build *b)
{
    build_ethernet(b, ETHERTYPE_IP4);
    build_hex(b, "08000000 123456 00");
    build_udp(b, 50000, 4789);
    build_ip4(b, PROTO_UDP, "192.0.2.1", "192.0.2.2");
    build_vlan(b, 10, ETHERTYPE_IP4);
    build_ethernet(b, 0x8100);
}

static void tagged_vxlan(struct build *b)
{
    build_vlan(b, 30, ETHERTYPE_IP4);
    build_ethernet(b, 0x8100);
    build_hex(b, "08000000 123456 00");
    build_udp(b, 50000, 4789);
    build_ip4(b, PROTO_UDP, "192.0.2.1", "192.0.2.2");
    build_ethernet(b, ETHERTYPE_IP4);
}

static void wrong_vxlan(struct build *b)
{
    build_data(b)[0] = 0x31;
    vxlan(b);
}

static void geneve(struct build *b)
{
    build_hex(b, "0100 0800 123456 00 01020304");
    build_udp(b, 50000, 6081);
    build_ip6(b, PROTO_UDP, A6, B6);
    build_ethernet(b, ETHERTYPE_IP6);
}

static void icmp_error(struct build *b)
{
    build_icmp(b, 3, 3);
    build_ip4(b, PROTO_ICMP, B4, A4);
    build_ethernet(b, ETHERTYPE_IP4);
}

static void icmp6_error(struct build *b)
{
    again(b, build_new());
    build_payload(b, 9);
    build_udp(b, 1, 2);
    build_extension(b, PROTO_UDP);
    build_ip6(b, 0, A6, B6);
    build_icmp(b, 1, 4);
    build_ip6(b, PROTO_ICMP6, B6, A6);
}

static void sctp(struct build *b)
{
    again(b, build_new());
    build_hex(b, "0bb80bb9 00000001 00000000 00000000");
    build_ip4(b, PROTO_SCTP, A4, B4);
}

static void dccp(struct build *b)
{
    again(b, build_new());
    build_hex(b, "00070008 04000000 00000000 00000000 00000000");
    build_ip4(b, 33, A4, B4);
}

static void bad_tcp(struct build *b)
{
    again(b, build_new());
    build_tcp(b, 1, 2, TCP_SYN)[12] = 0x60;
    build_ip4(b, PROTO_TCP, A4, B4);
}

static void bad_udp(struct build *b)
{
    build_put16(build_data(b) + 24, 5);
}

static const struct sample samples[] = {
    {"tagged tcp", 1, tagged_tcp},
    {"options", 101, options},
    {"extension headers", 1, extensions},
    {"later fragment", 101, later_fragment},
    {"snap", 1, snap},
    {"labels", 1, labels},
    {"pseudowire", 1, pseudowire},
    {"pseudowire without control word", 1, bare_pseudowire},
    {"rubbish under labels", 1, rubbish_under_labels},
    {"pppoe", 1, pppoe},
    {"cooked", 113, cooked},
    {"cooked 2", 276, cooked2},
    {"null", 0, null_link},
    {"ppp", 9, ppp},
    {"arp", 1, arp},
    {"gre", 101, gre},
    {"6in4in6", 1, six_in_four_in_six},
    {"vxlan", 1, vxlan},
    {"tagged inside vxlan", 1, tagged_vxlan},
    {"wrong vxlan", 1, wrong_vxlan},
    {"geneve", 1, geneve},
    {"icmp error", 1, icmp_error},
    {"icmp6 error", 101, icmp6_error},
    {"sctp", 101, sctp},
    {"dccp", 101, dccp},
    {"impossible tcp header", 101, bad_tcp},
    {"impossible udp length", 101, bad_udp},
};

/* Decodes the first n bytes from memory that ends there. The view must not be used to look at the bytes. */
static struct packet decode_cut(const struct sample *s, const uint8_t *data, uint32_t n, uint32_t wire)
{
    struct packet p;
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, data, n);
    packet_decode(s->link_type, copy, n, wire, &p);
    const char *wrong = truth_of_packet(&p);
    if (!wrong)
        wrong = truth_of_key(&p);
    free(copy);
    if (wrong)
        fail_msg("%s at %u of %u bytes: %s", s->name, n, wire, wrong);
    return p;
}

static void known_things_stay_true(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct build b = datagram();
        samples[i].build(&b);
        uint32_t wire = build_length(&b);
        struct packet less = decode_cut(&samples[i], build_data(&b), 0, wire);
        assert_int_equal(less.end, PACKET_TRUNCATED);
        for (uint32_t n = 1; n <= wire; n++) {
            struct packet more = decode_cut(&samples[i], build_data(&b), n, wire);
            const char *wrong = truth_of_cut(&less, &more);
            if (wrong)
                fail_msg("%s from %u to %u of %u bytes: %s", samples[i].name, n - 1, n, wire, wrong);
            less = more;
        }
        assert_int_not_equal(less.end, PACKET_TRUNCATED);
    }
}

/* The same where the frame itself was that short: nothing may be read that is not there, and it is never fine. */
static void short_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct build b = datagram();
        samples[i].build(&b);
        for (uint32_t n = 0; n < build_length(&b); n++) {
            struct packet p = decode_cut(&samples[i], build_data(&b), n, n);
            assert_true(p.payload_offset == 0 || p.payload_offset + p.payload_length <= n || p.payload_length == 0);
        }
    }
}

/* Each sample reaches what it is there for, or the loop above would prove nothing. */
static void samples_are_what_they_say(void **state)
{
    (void)state;
    unsigned tunnels = 0, tags = 0, quotes = 0, invalid = 0, tcp = 0;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct build b = datagram();
        samples[i].build(&b);
        struct packet p = decode_cut(&samples[i], build_data(&b), build_length(&b), build_length(&b));
        tunnels += p.tunnel != TUNNEL_NONE;
        tags += p.vlans > 0;
        quotes += p.quoted.family != FAMILY_NONE;
        invalid += p.end == PACKET_INVALID;
        tcp += p.has_tcp;
    }
    assert_int_equal(tunnels, 5);
    assert_int_equal(tags, 4);
    assert_int_equal(quotes, 2);
    assert_int_equal(invalid, 2);
    assert_int_equal(tcp, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_things_stay_true),
        cmocka_unit_test(short_frames),
        cmocka_unit_test(samples_are_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
