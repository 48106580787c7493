#include "agent/capture/bpf.h"
#include "agent/capture/ring_filter.h"

#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET 1

static const char *const filters[] = {
    "",
    "tcp port 80",
    "not tcp port 80 and not udp portrange 50-60",
    "host 10.0.0.1 or net 192.168.0.0/16",
    "tcp[13] & 2 != 0 and tcp[((tcp[12] & 0xf0) >> 2)] = 1",
    "ip[2:2] - ((ip[0] & 0xf) << 2) > 20 and ip[8] * 2 = 128",
    "ip[8] / ip[1] = 1",
    "len % 7 = 3 or (len ^ 5) | 8 = 9",
    "ip6 and ip6[40:2] > 1000 or 1 << (ip6[6] & 7) = 2",
    "vlan 5 and udp port 53",
    "mpls 7 and icmp",
    "-ip[9] + 17 = 0",
    "greater 100 and ether[20:4] != 0",
    "ip[6:2] & 0x1fff != 0 or icmp[0] = 3",
    "ip6[6] = 44 or (icmp6 and ip6[40] >= 1 and ip6[40] <= 4)",
};
#define FILTERS (sizeof filters / sizeof *filters)

static struct bpf_program compile(const char *text)
{
    struct bpf_program program;
    pcap_t *dead = pcap_open_dead(DLT_EN10MB, 65535);
    assert_non_null(dead);
    if (pcap_compile(dead, &program, text, 0, PCAP_NETMASK_UNKNOWN) != 0)
        fail_msg("'%s': %s", text, pcap_geterr(dead));
    pcap_close(dead);
    return program;
}

/* Packets of each kind that the filters tell apart. */
static struct build build_packet(unsigned kind)
{
    struct build b = build_new();
    build_payload(&b, kind % 3 * 40);
    if (kind % 4 == 0)
        build_tcp(&b, 1234, 80, 0x12);
    else if (kind % 4 == 1)
        build_udp(&b, 53, 5353);
    else if (kind % 4 == 2)
        build_icmp(&b, 3, 1);
    static const unsigned protocols[] = {6, 17, 1, 58};
    unsigned type = kind % 5 == 4 ? 0x86dd : 0x0800;
    if (kind % 5 == 4)
        build_ip6(&b, kind % 2 ? protocols[kind % 4] : 44, "fd00::1", "fd00::2");
    else
        build_put16(build_ip4(&b, protocols[kind % 4], "10.0.0.1", "192.168.3.4") + 6, kind % 7 == 6 ? 185 : 0);
    if (kind % 3 == 1) {
        build_vlan(&b, 5, type);
        type = 0x8100;
    } else if (kind % 3 == 2) {
        build_mpls(&b, 7, 1);
        type = 0x8847;
    }
    build_ethernet(&b, type);
    return b;
}
#define KINDS 420u

static void it_judges_as_libpcap_does_also_packets_that_are_cut(void **state)
{
    (void)state;
    for (size_t f = 0; f < FILTERS; f++) {
        struct bpf_program program = compile(filters[f]);
        for (unsigned kind = 0; kind < KINDS; kind++) {
            struct build b = build_packet(kind);
            uint32_t wire = build_length(&b);
            for (uint32_t captured = 0; captured <= wire; captured += captured < 60 ? 1 : 17) {
                struct pcap_pkthdr h = {.caplen = captured, .len = wire};
                struct bpf_packet p = {.data = build_data(&b), .captured = captured, .wire = wire};
                assert_int_equal(bpf_run(&program, &p), pcap_offline_filter(&program, &h, build_data(&b)));
            }
        }
        pcap_freecode(&program);
    }
}

static void a_tag_beside_the_packet_is_not_in_it(void **state)
{
    (void)state;
    for (size_t f = 0; f < FILTERS; f++) {
        struct bpf_program program = compile(filters[f]);
        for (unsigned kind = 0; kind < KINDS; kind += 3) { /* those without a tag */
            struct build plain = build_packet(kind), tagged = plain;
            uint8_t *data = build_data(&plain);
            uint32_t length = build_length(&plain);
            struct bpf_packet without = {.data = data, .captured = length, .wire = length};
            tagged.start -= 4;
            memcpy(build_data(&tagged), data, 12);
            build_put32(build_data(&tagged) + 12, 0x81002005);
            struct bpf_packet with = {
                .data = build_data(&tagged), .captured = length + 4, .wire = length + 4, .tagged = true, .tag_at = 12};
            assert_int_equal(bpf_run(&program, &with), bpf_run(&program, &without));
        }
        pcap_freecode(&program);
    }
}

static uint32_t run(const struct bpf_insn *insns, size_t count, const struct bpf_packet *p)
{
    struct bpf_insn copy[16];
    assert_true(count <= 16);
    memcpy(copy, insns, count * sizeof *insns);
    return bpf_run(&(struct bpf_program){.bf_len = (u_int)count, .bf_insns = copy}, p);
}

static uint32_t beside(int what, const struct bpf_packet *p)
{
    struct bpf_insn load[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + what)),
                              BPF_STMT(BPF_RET | BPF_A, 0)};
    return run(load, 2, p);
}

static void what_the_kernel_knows_beside_the_bytes_is_told(void **state)
{
    (void)state;
    uint8_t data[18] = {[12] = 0x81, [14] = 0x20, [15] = 0x05};
    struct bpf_packet p = {
        .data = data, .captured = 18, .wire = 18, .packet_type = PACKET_OUTGOING, .interface = 7, .tag_at = 12};
    assert_int_equal(beside(SKF_AD_PKTTYPE, &p), PACKET_OUTGOING);
    assert_int_equal(beside(SKF_AD_IFINDEX, &p), 7);
    assert_int_equal(beside(SKF_AD_VLAN_TAG_PRESENT, &p), 0);
    assert_int_equal(beside(SKF_AD_VLAN_TAG, &p), 0);
    p.tagged = true;
    assert_int_equal(beside(SKF_AD_VLAN_TAG_PRESENT, &p), 1);
    assert_int_equal(beside(SKF_AD_VLAN_TAG, &p), 0x2005);
    assert_int_equal(beside(SKF_AD_CPU, &p), 0); /* not known: nothing matches */
}

static void a_wrong_program_matches_nothing(void **state)
{
    (void)state;
    uint8_t data[4] = {1, 2, 3, 4};
    struct bpf_packet p = {.data = data, .captured = 4, .wire = 4};
    struct bpf_insn ret = BPF_STMT(BPF_RET | BPF_K, 9);
    assert_int_equal(run(&ret, 1, &p), 9);
    assert_int_equal(run(&ret, 0, &p), 0);
    const struct bpf_insn wrong[] = {
        BPF_STMT(BPF_LD | BPF_MEM, 99),
        BPF_STMT(BPF_ST, BPF_MEMWORDS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 1),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0x7fffffff),
        BPF_STMT(BPF_LD | 0xe0, 0),
        BPF_STMT(BPF_ALU | 0xf0, 0),
        BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff),
        BPF_STMT(BPF_JMP | 0xf0, 0),
        BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_X, 0),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct bpf_insn program[] = {wrong[i], ret};
        assert_int_equal(run(program, 2, &p), 0);
    }
}

/* Not by reading past the end of one of our packets, nor by a division by 0. */
static bool always_ends(const char *text)
{
    return !strchr(text, '[');
}

static void two_programs_become_one_that_takes_what_either_does(void **state)
{
    (void)state;
    for (size_t f = 0; f < FILTERS; f++)
        for (size_t g = 0; g < FILTERS; g += 3) {
            struct bpf_program first = compile(filters[f]), second = compile(filters[g]), both;
            assert_true(bpf_or(&first, &second, &both));
            for (unsigned kind = 0; kind < KINDS; kind += 5) {
                struct build b = build_packet(kind);
                struct bpf_packet p = {.data = build_data(&b), .captured = build_length(&b), .wire = build_length(&b)};
                uint32_t a = bpf_run(&first, &p), got = bpf_run(&both, &p);
                uint32_t either = a ? a : bpf_run(&second, &p);
                if (a || always_ends(filters[f]))
                    assert_int_equal(got, either);
                else
                    assert_true(got == either || got == 0);
            }
            assert_true(bpf_validate(both.bf_insns, (int)both.bf_len));
            bpf_free(&both);
            pcap_freecode(&first);
            pcap_freecode(&second);
        }
}

static void what_would_be_too_long_for_the_kernel_is_not_made(void **state)
{
    (void)state;
    static struct bpf_insn many[BPF_PROGRAM_MAX];
    struct bpf_program most = {.bf_len = BPF_PROGRAM_MAX - 1, .bf_insns = many};
    struct bpf_program one = {.bf_len = 1, .bf_insns = many}, two = {.bf_len = 2, .bf_insns = many}, out;
    assert_true(bpf_or(&most, &one, &out));
    bpf_free(&out);
    assert_false(bpf_or(&most, &two, &out));
    assert_null(out.bf_insns);
}

/* ---------------------------------------------------------------- companions */

static bool look(struct build *b)
{
    return ring_filter_may_be_companion(ETHERNET, build_data(b), build_length(b));
}

static struct build ip4_packet(unsigned proto, unsigned fragment, unsigned tags)
{
    struct build b = build_new();
    build_payload(&b, 40);
    build_put16(build_ip4(&b, proto, "10.0.0.1", "10.0.0.2") + 6, fragment);
    for (unsigned i = 0; i < tags; i++)
        build_vlan(&b, 5, i ? 0x8100 : 0x0800);
    build_ethernet(&b, tags ? 0x8100 : 0x0800);
    return b;
}

static void only_icmp_and_fragments_may_be_companions(void **state)
{
    (void)state;
    for (unsigned tags = 0; tags < 3; tags++) {
        struct build tcp = ip4_packet(6, 0, tags), first = ip4_packet(17, 0x2000, tags);
        struct build later = ip4_packet(17, 185, tags), icmp = ip4_packet(1, 0, tags);
        assert_false(look(&tcp) || look(&first));
        assert_true(look(&later) && look(&icmp));
    }
    static const struct {
        unsigned next;
        bool may;
    } six[] = {{6, false}, {44, true}, {58, true}, {0, false}};
    for (size_t i = 0; i < sizeof six / sizeof *six; i++) {
        struct build b = build_new();
        build_payload(&b, 40);
        build_ip6(&b, six[i].next, "fd00::1", "fd00::2");
        assert_int_equal(ring_filter_may_be_companion(101, build_data(&b), build_length(&b)), six[i].may);
        build_ethernet(&b, 0x86dd);
        assert_int_equal(look(&b), six[i].may);
        assert_true(
            ring_filter_may_be_companion(9, build_data(&b), build_length(&b))); /* a link type not looked into */
    }
}

static void the_look_reads_nothing_behind_the_end(void **state)
{
    (void)state;
    static const int links[] = {ETHERNET, 101, 113, 276, 9};
    struct build b = ip4_packet(1, 185, 2);
    for (size_t l = 0; l < sizeof links / sizeof *links; l++)
        for (uint32_t n = 0; n <= build_length(&b); n++) {
            uint8_t *exact = malloc(n ? n : 1);
            memcpy(exact, build_data(&b), n);
            (void)ring_filter_may_be_companion(links[l], exact, n);
            free(exact);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_judges_as_libpcap_does_also_packets_that_are_cut),
        cmocka_unit_test(a_tag_beside_the_packet_is_not_in_it),
        cmocka_unit_test(what_the_kernel_knows_beside_the_bytes_is_told),
        cmocka_unit_test(a_wrong_program_matches_nothing),
        cmocka_unit_test(two_programs_become_one_that_takes_what_either_does),
        cmocka_unit_test(what_would_be_too_long_for_the_kernel_is_not_made),
        cmocka_unit_test(only_icmp_and_fragments_may_be_companions),
        cmocka_unit_test(the_look_reads_nothing_behind_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
