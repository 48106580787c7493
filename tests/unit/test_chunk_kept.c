/*
 * The chunk builder: which packets are kept, and how much of them.
 */
#include "common/rows/flow_row.h"
#include "tests/unit/chunk_memory.h"

#include <string.h>

/* ---------------------------------------------------------------- giving packets */
static int come_along(struct chunk_builder *b, struct build p, double seconds)
{
    struct pcapng_packet k = packet_of(&p, seconds);
    k.comment = COMPANION;
    return chunk_builder_packets(b, &(struct chunk_packet){.packet = k, .companion = true}, 1, NULL);
}

/* An ICMP error that quotes a packet whole. */
static struct build quoting(struct build inner)
{
    inner.start += 14; /* its Ethernet header */
    build_icmp(&inner, 3, 4);
    build_ip4(&inner, PROTO_ICMP, "10.0.0.9", "10.0.0.1");
    build_ethernet(&inner, ETHERTYPE_IP4);
    return inner;
}

static struct build fragment4(unsigned offset, bool more, unsigned id)
{
    struct build p = build_new();
    build_payload(&p, 64);
    if (!offset)
        build_udp(&p, 1000, 53);
    uint8_t *ip = build_ip4(&p, PROTO_UDP, "10.0.0.1", "10.0.0.2");
    build_put16(ip + 4, id);
    build_put16(ip + 6, offset / 8 | (more ? 0x2000u : 0));
    build_ethernet(&p, ETHERTYPE_IP4);
    return p;
}

/* ---------------------------------------------------------------- which packets */
static void companions_are_kept_if_their_connection_is_known(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = memory_start(m, whole);
    struct kept k[PACKETS];
    assert_int_equal(come_along(b, quoting(frame_tcp(4000, 20)), 0), 0); /* too early */
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 1), 0);
    assert_int_equal(come_along(b, quoting(frame_tcp(4000, 20)), 2), 0);
    assert_int_equal(come_along(b, quoting(frame_tcp(4001, 20)), 2), 0);   /* another */
    assert_int_equal(come_along(b, frame_tcp(4000, 20), 2), 0);            /* is no companion at all */
    assert_int_equal(come_along(b, quoting(frame_tcp(4000, 20)), 302), 0); /* too late */
    builder_end(b);
    assert_int_equal(memory_packets(m, k), 2);
    assert_true(!k[0].companion && k[1].companion);
    assert_int_equal(memory_totals(m).value[COUNTER_FILTERED], 4);
    assert_int_equal(memory_row_sum(m, FLOW_ICMP_ERRORS), 1);
    memory_check_sums(m);
    memory_free(m);
}

static void fragments_are_kept_if_their_first_was(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = memory_start(m, whole);
    struct kept k[PACKETS];
    assert_int_equal(come_along(b, fragment4(64, false, 5), 0), 0);
    assert_int_equal(builder_give(b, fragment4(0, true, 5), 1), 0);
    assert_int_equal(come_along(b, fragment4(64, true, 5), 1), 0);
    assert_int_equal(come_along(b, fragment4(128, false, 5), 1), 0);
    assert_int_equal(come_along(b, fragment4(128, false, 6), 1), 0); /* of another packet */
    builder_end(b);
    assert_int_equal(memory_packets(m, k), 3);
    assert_true(!k[0].companion && k[1].companion && k[2].companion);
    assert_int_equal(memory_row_sum(m, FLOW_LATER_FRAGMENTS_0) + memory_row_sum(m, FLOW_LATER_FRAGMENTS_1), 2);
    assert_int_equal(memory_totals(m).value[COUNTER_FILTERED], 2);
    memory_check_sums(m);
    memory_free(m);
}

static struct build fragment6_of_dns(unsigned port)
{
    struct build p = build_new();
    build_payload(&p, 64);
    build_udp(&p, port, 53);
    build_fragment6(&p, PROTO_UDP, 0, 1, 9);
    build_ip6(&p, 44, "fd00::1", "fd00::2");
    build_ethernet(&p, ETHERTYPE_IP6);
    return p;
}

static void a_first_fragment_that_the_filter_cannot_see_into_comes_along_with_its_flow(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = memory_start(m, whole);
    struct build whole_packet = build_new();
    struct kept k[PACKETS];
    build_payload(&whole_packet, 10);
    build_udp(&whole_packet, 53, 1000);
    build_ip6(&whole_packet, PROTO_UDP, "fd00::2", "fd00::1");
    build_ethernet(&whole_packet, ETHERTYPE_IP6);
    assert_int_equal(come_along(b, fragment6_of_dns(1000), 0), 0);
    assert_int_equal(builder_give(b, whole_packet, 1), 0);
    assert_int_equal(come_along(b, fragment6_of_dns(1000), 2), 0);
    assert_int_equal(come_along(b, fragment6_of_dns(1001), 2), 0);
    builder_end(b);
    assert_int_equal(memory_packets(m, k), 2);
    assert_int_equal(memory_totals(m).value[COUNTER_FILTERED], 2);
    memory_check_sums(m);
    memory_free(m);
}

static void our_own_connections_are_left_out_and_counted(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.own_family = FAMILY_IP4;
    memcpy(o.own_address, "\x0a\0\0\x05", 4);
    o.own_port = 4741;
    struct chunk_builder *b = memory_start(m, o);
    struct kept k[PACKETS];
    assert_int_equal(builder_give(b, frame_tcp_between("10.0.0.1", 5000, "10.0.0.5", 4741, 100), 0), 0);
    assert_int_equal(builder_give(b, frame_tcp_between("10.0.0.5", 4741, "10.0.0.7", 5000, 100), 0), 0);
    assert_int_equal(builder_give(b, frame_tcp_between("10.0.0.5", 4742, "10.0.0.7", 5000, 100), 0), 0);
    assert_int_equal(builder_give(b, frame_tcp_between("10.0.0.5", 5000, "10.0.0.7", 4741, 100), 0), 0);
    struct build tunnelled = frame_tcp_between("10.0.0.1", 5000, "10.0.0.5", 4741, 100);
    tunnelled.start += 14;
    build_ip4(&tunnelled, 4, "192.168.0.1", "192.168.0.2");
    build_ethernet(&tunnelled, ETHERTYPE_IP4);
    assert_int_equal(builder_give(b, tunnelled, 0), 0);
    builder_end(b);
    assert_int_equal(memory_packets(m, k), 2);
    assert_int_equal(memory_totals(m).value[COUNTER_OWN], 3);
    memory_check_sums(m);
    memory_free(m);
}

static void over_the_rate_is_left_out_and_counted(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.rate = 1000000;
    struct chunk_builder *b = memory_start(m, o);
    unsigned given = 0;
    for (unsigned i = 0; i < 3000; i++, given++) /* 2 MB at once, then 2 MB within 10 s */
        assert_int_equal(builder_give(b, frame_tcp(4000, 946), i < 2000 ? 0 : 1 + (i - 2000) * 0.01), 0);
    builder_end(b);
    assert_int_equal(memory_totals(m).value[COUNTER_KEPT], 2000);
    assert_int_equal(memory_totals(m).value[COUNTER_POLICY], given - 2000);
    memory_check_sums(m);
    memory_free(m);
}

static void a_low_rate_lets_a_large_packet_pass_now_and_then(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.rate = 100;
    struct chunk_builder *b = memory_start(m, o);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(builder_give(b, frame_tcp(4000, 3946), i * 0.01), 0);
    builder_end(b);
    assert_in_range(memory_totals(m).value[COUNTER_KEPT], 65, 130);
    memory_check_sums(m);
    memory_free(m);
}

static void a_limit_ends_with_its_packet(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.most_packets = 3;
    struct chunk_builder *b = memory_start(m, o);
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 0), 0);
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 1), 0);
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 2), 1);
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 3), 1);
    builder_end(b);
    assert_int_equal(memory_totals(m).value[COUNTER_RECEIVED], 3);
    memory_check_sums(m);
    memory_free(m);
    m = memory_new();
    o = whole;
    o.most_bytes = 2 * 74 + 1;
    b = memory_start(m, o);
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 0), 0);
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 1), 0);
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 2), 1);
    builder_end(b);
    assert_int_equal(memory_totals(m).value[COUNTER_KEPT_BYTES], 3 * 74);
    memory_check_sums(m);
    memory_free(m);
}

/* ---------------------------------------------------------------- how much */
static void of_headers_alone_the_payload_is_missing_and_its_length_known(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.headers_only = true;
    struct chunk_builder *b = memory_start(m, o);
    struct kept k[PACKETS];
    struct build lldp = build_new(), gre = build_new(), esp = build_new(), ping = build_new();
    build_payload(&lldp, 200);
    build_ethernet(&lldp, 0x88cc);
    build_payload(&gre, 50);
    build_tcp(&gre, 1, 2, 0x10);
    build_ip4(&gre, PROTO_TCP, "10.1.0.1", "10.1.0.2");
    build_hex(&gre, "0000 0800");
    build_ip4(&gre, 47, "10.0.0.1", "10.0.0.2");
    build_ethernet(&gre, ETHERTYPE_IP4);
    build_payload(&esp, 100);
    build_ip4(&esp, 50, "10.0.0.1", "10.0.0.2");
    build_ethernet(&esp, ETHERTYPE_IP4);
    build_payload(&ping, 100);
    build_icmp(&ping, 8, 0);
    build_ip4(&ping, PROTO_ICMP, "10.0.0.1", "10.0.0.2");
    build_ethernet(&ping, ETHERTYPE_IP4);
    struct build all[] = {frame_tcp(4000, 500),
                          frame_udp(1000, 500),
                          frame_udp(1000, 0),
                          quoting(frame_tcp(4000, 500)),
                          fragment4(64, false, 3),
                          lldp,
                          gre,
                          esp,
                          ping};
    static const uint32_t expected[] = {54, 42, 42, 42 + 28, 34, PACKET_HEADERS_OTHER, 34 + 4 + 40, 34, 42};
    enum { COUNT = sizeof all / sizeof *all };
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(builder_give(b, all[i], i), 0);
    builder_end(b);
    assert_int_equal(memory_packets(m, k), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(k[i].captured, expected[i]);
        assert_int_equal(k[i].wire, build_length(&all[i]));
    }
    assert_int_equal(memory_totals(m).value[COUNTER_TRUNCATED], 0);
    assert_int_equal(memory_row_sum(m, FLOW_PAYLOAD_0) + memory_row_sum(m, FLOW_PAYLOAD_1),
                     500 + 500 + 540 + 64 + 50 + 100 + 100);
    memory_check_sums(m);
    memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(companions_are_kept_if_their_connection_is_known),
        cmocka_unit_test(fragments_are_kept_if_their_first_was),
        cmocka_unit_test(a_first_fragment_that_the_filter_cannot_see_into_comes_along_with_its_flow),
        cmocka_unit_test(our_own_connections_are_left_out_and_counted),
        cmocka_unit_test(over_the_rate_is_left_out_and_counted),
        cmocka_unit_test(a_low_rate_lets_a_large_packet_pass_now_and_then),
        cmocka_unit_test(a_limit_ends_with_its_packet),
        cmocka_unit_test(of_headers_alone_the_payload_is_missing_and_its_length_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
