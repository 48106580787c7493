/*
 * flow_table: when flows end: by silence, by reuse, and for want of room, those first that matter least.
 */
#include "tests/unit/flow_table_support.h"

#include <stdio.h>

static void test_idle_flows_end(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build u = packet_udp(A, 5000, B, 53, 10), other = packet_udp(A, 6000, B, 53, 10);
    table_give(t, &u, 0);
    flow_table_next(t);
    table_give(t, &other, 59);
    assert_int_equal(flow_table_stats(t).alive, 2);
    flow_table_next(t);
    flow_table_advance(t, T0 + 62 * NS_PER_S);
    const struct flow_row *r = table_rows(t, 1); /* a last row, without packets */
    assert_int_equal(r->end_reason, FLOW_END_IDLE);
    assert_int_equal(r->packets[0], 0);
    assert_int_equal(r->prior_packets, 1);
    assert_int_equal(r->last_ns, T0);
    assert_int_equal(flow_table_stats(t).alive, 1);
    flow_table_free(t);
}

/* Exactly after the timeout the same key is another flow, although no clock ticked between. */
static void test_timeouts_are_exact(void **state)
{
    (void)state;
    struct build u = packet_udp(A, 5000, B, 53, 10);
    for (int late = 0; late < 2; late++) {
        struct flow_table *t = table_of(0);
        table_give(t, &u, 0);
        table_give(t, &u, late ? 60.001 : 60);
        struct flow_row *r = table_rows(t, late ? 2 : 1);
        if (late)
            assert_int_not_equal(r[0].flow_id, r[1].flow_id);
        flow_table_free(t);
    }
}

static void test_timeouts_are_what_was_asked_for(void **state)
{
    (void)state;
    struct flow_table_options o = {.timeouts.ns = {[FLOW_TIMER_UDP] = 2 * NS_PER_S}};
    struct build u = packet_udp(A, 5000, B, 53, 10), icmp = build_new();
    build_icmp(&icmp, 8, 0);
    build_ip4(&icmp, PROTO_ICMP, A, B);
    build_ethernet(&icmp, ETHERTYPE_IP4);
    struct flow_table *t = table_with(&o);
    table_give(t, &u, 0);
    table_give(t, &icmp, 0);
    table_give(t, &u, 2);
    assert_int_equal(flow_table_stats(t).flows, 2);
    table_give(t, &u, 4.001);
    assert_int_equal(flow_table_stats(t).flows, 3);
    table_give(t, &icmp, FLOW_TIMEOUT_ICMP); /* not said: as always */
    assert_int_equal(flow_table_stats(t).flows, 3);
    flow_table_free(t);
}

/* Longer than the clock looks ahead: neither ended too soon, nor forgotten. */
static void test_timeouts_may_be_long(void **state)
{
    (void)state;
    struct flow_table_options o = {.timeouts.ns = {[FLOW_TIMER_UDP] = 2000 * NS_PER_S}};
    struct build u = packet_udp(A, 5000, B, 53, 10);
    struct flow_table *t = table_with(&o);
    table_give(t, &u, 0);
    for (unsigned round = 1; round <= 2; round++) {
        unsigned end = 2000 * round;
        for (unsigned second = end - 1999; second <= end; second++)
            assert_true(flow_table_advance(t, T0 + second * NS_PER_S));
        if (round == 1)
            table_give(t, &u, 2000);
        assert_int_equal(flow_table_stats(t).alive, 1);
        assert_int_equal(flow_table_stats(t).flows, 1);
    }
    for (unsigned second = 4001; second <= 4002; second++)
        assert_true(flow_table_advance(t, T0 + second * NS_PER_S));
    assert_int_equal(flow_table_stats(t).alive, 0);
    assert_int_equal(table_rows(t, 1)->end_reason, FLOW_END_IDLE);
    flow_table_free(t);
}

static void open_tcp(struct flow_table *t, double at)
{
    struct build syn = packet_tcp(A, 40000, B, 80, TCP_SYN, 100, 0),
                 answer = packet_tcp(B, 80, A, 40000, TCP_SYN | TCP_ACK, 900, 0);
    struct build ack = packet_tcp(A, 40000, B, 80, TCP_ACK, 101, 0);
    table_give(t, &syn, at);
    table_give(t, &answer, at + 0.01);
    table_give(t, &ack, at + 0.02);
}

static void test_tcp_timers(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build data = packet_tcp(A, 40000, B, 80, TCP_ACK, 101, 5),
                 fin = packet_tcp(A, 40000, B, 80, TCP_FIN | TCP_ACK, 106, 0);
    struct build nif = packet_tcp(B, 80, A, 40000, TCP_FIN | TCP_ACK, 901, 0),
                 syn = packet_tcp(A, 40000, B, 80, TCP_SYN, 7777, 0);
    open_tcp(t, 0);
    table_give(t, &data, 290); /* established: 300 s */
    table_give(t, &fin, 291);
    table_give(t, &nif, 291.1);
    table_give(t, &data, 294); /* late, but still of this flow */
    flow_table_advance(t, T0 + 301 * NS_PER_S);
    const struct flow_row *r = table_rows(t, 1);
    assert_int_equal(r->state, FLOW_STATE_SF);
    assert_int_equal(r->end_reason, FLOW_END_DETECTED);
    assert_int_equal(r->packets[0] + r->packets[1], 7);
    table_give(t, &syn, 302);
    (void)table_rows(t, 2);
    flow_table_free(t);
}

static void test_reuse_ends_the_flow(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build syn = packet_tcp(A, 40000, B, 80, TCP_SYN, 7777, 0);
    open_tcp(t, 0);
    table_give(t, &syn, 1);
    struct flow_row *r = table_rows(t, 2);
    assert_int_equal(r[0].end_reason, FLOW_END_DETECTED);
    assert_int_equal(r[1].end_reason, FLOW_GOES_ON);
    assert_int_equal(r[1].state, FLOW_STATE_S0);
    flow_table_free(t);
}

static void test_full_table_ends_the_nearest(void **state)
{
    (void)state;
    struct flow_table *t = table_of(3);
    struct build b[4];
    for (unsigned i = 0; i < 4; i++) {
        b[i] = packet_udp(A, 5000 + i, B, 53, 4);
        table_give(t, &b[i], i);
        if (i == 2)
            table_give(t, &b[0], 2.5); /* so that number 1 is the oldest */
    }
    struct flow_row *r = table_rows(t, 4);
    assert_int_equal(r[1].end_reason, FLOW_END_RESOURCES);
    assert_int_equal(r[0].end_reason, FLOW_GOES_ON);
    assert_int_equal(flow_table_stats(t).resources, 1);
    assert_int_equal(flow_table_stats(t).alive, 3);
    flow_table_free(t);
}

/* A handshake and its answer between A and B, over at `seconds`. */
static void connect_tcp(struct flow_table *t, unsigned port, double seconds)
{
    struct build syn = packet_tcp(A, port, B, 80, TCP_SYN, 100, 0),
                 back = packet_tcp(B, 80, A, port, TCP_SYN | TCP_ACK, 500, 0),
                 ack = packet_tcp(A, port, B, 80, TCP_ACK, 101, 0);
    build_put32(build_data(&back) + 14 + 20 + 8, 101);
    build_put32(build_data(&ack) + 14 + 20 + 8, 501);
    table_give(t, &syn, seconds);
    table_give(t, &back, seconds);
    table_give(t, &ack, seconds);
}

/* n questions that nobody answers, each from another place, the first one from the place number `first`; chunks are sealed as they become
 * full. */
static void flood(struct flow_table *t, unsigned first, unsigned n, double seconds)
{
    for (unsigned i = first; i < first + n; i++) {
        char from[32];
        snprintf(from, sizeof from, "172.%u.%u.%u", 16 + i / 65536 % 16, i / 256 % 256, i % 256);
        struct build b = i % 2 ? packet_tcp(from, 9999, B, 80, TCP_SYN, i, 0) : packet_udp(from, 9999, B, 53, 10);
        while (!flow_table_advance(t, T0 + (uint64_t)(seconds * 1e9)))
            flow_table_next(t);
        table_give(t, &b, seconds);
    }
}

/* Whether the packet belongs to a flow that had packets before: in an open chunk of its own. */
static bool goes_on(struct flow_table *t, struct build *b, double seconds)
{
    flow_table_next(t);
    table_give(t, b, seconds);
    struct flow_row *rows;
    size_t n;
    assert_int_equal(flow_table_rows(t, &rows, &n, NULL), 0);
    assert_true(n == 1 || n == 2); /* the one without packets was pushed out */
    const struct flow_row *r = rows[0].packets[0] + rows[0].packets[1] ? &rows[0] : &rows[n - 1];
    return r->prior_packets > 0;
}

static void test_a_flood_does_not_push_out_connections(void **state)
{
    (void)state;
    const unsigned old = 100, size = 1000, many = 50000;
    struct flow_table *t = table_of(size);
    for (unsigned i = 0; i < old; i++) {
        connect_tcp(t, 20000 + i, 1);
        struct build ask = packet_udp(A, 30000 + i, B, 53, 20), answer = packet_udp(B, 53, A, 30000 + i, 40);
        table_give(t, &ask, 1);
        table_give(t, &answer, 1);
    }
    flood(t, 0, many, 2);
    assert_int_equal(flow_table_stats(t).alive, size);
    assert_int_equal(flow_table_stats(t).flows, 2 * old + many);
    assert_int_equal(flow_table_stats(t).resources, 2 * old + many - size);
    for (unsigned i = 0; i < old; i++) {
        struct build more = packet_tcp(A, 20000 + i, B, 80, TCP_ACK, 101, 10),
                     again = packet_udp(A, 30000 + i, B, 53, 20);
        assert_true(goes_on(t, &more, 3));
        assert_true(goes_on(t, &again, 3));
    }
    flow_table_free(t);
}

static void test_who_waits_for_an_answer_is_pushed_out_in_turn(void **state)
{
    (void)state;
    const unsigned size = 1000;
    struct flow_table *t = table_of(size);
    flood(t, 0, 5000, 1);
    struct build early = packet_udp(A, 5000, B, 53, 10), late = packet_udp(A, 5001, B, 53, 10);
    table_give(t, &early, 2);
    flood(t, 5000, size / 2, 2);
    table_give(t, &late, 2);
    flood(t, 6000, size / 2, 2);
    assert_true(goes_on(t, &late, 3));
    assert_false(goes_on(t, &early, 3));
    flow_table_free(t);
}

/* Of flows that were answered; the one with the long timeout waits in an earlier bucket than its end's. */
static void test_the_nearest_is_found_among_long_timeouts(void **state)
{
    (void)state;
    struct flow_table_options o = {.max_flows = 2, .timeouts.ns = {[FLOW_TIMER_UDP] = 2000 * NS_PER_S}};
    struct flow_table *t = table_with(&o);
    struct build ask = packet_udp(A, 5000, B, 53, 10), answer = packet_udp(B, 53, A, 5000, 10),
                 other = packet_udp(A, 5001, B, 53, 10);
    table_give(t, &ask, 0);
    table_give(t, &answer, 0);
    for (unsigned second = 1; second <= 1000; second++)
        assert_true(flow_table_advance(t, T0 + second * NS_PER_S));
    connect_tcp(t, 20000, 1000);
    table_give(t, &other, 1001);
    assert_true(goes_on(t, &ask, 1002));
    assert_int_equal(flow_table_stats(t).resources, 1); /* TCP, which would have ended at 1300 */
    flow_table_free(t);
}

static void test_what_is_over_is_pushed_out_before_what_goes_on(void **state)
{
    (void)state;
    struct flow_table *t = table_of(3);
    for (unsigned i = 0; i < 3; i++)
        connect_tcp(t, 20000 + i, 1 + i);
    struct build reset = packet_tcp(B, 80, A, 20001, TCP_RST | TCP_ACK, 501, 0);
    build_put32(build_data(&reset) + 14 + 20 + 8, 101);
    table_give(t, &reset, 4);
    connect_tcp(t, 20003, 4);
    struct flow_row *r = table_rows(t, 4);
    assert_int_equal(r[0].end_reason, FLOW_GOES_ON);
    assert_int_equal(r[1].end_reason, FLOW_END_DETECTED);
    assert_int_equal(flow_table_stats(t).resources, 0);
    connect_tcp(t, 20004, 5); /* nothing can be spared: the oldest goes */
    r = table_rows(t, 5);
    assert_int_equal(r[0].end_reason, FLOW_END_RESOURCES);
    assert_int_equal(r[2].end_reason, FLOW_GOES_ON);
    assert_int_equal(flow_table_stats(t).resources, 1);
    flow_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_flows_end),
        cmocka_unit_test(test_timeouts_are_exact),
        cmocka_unit_test(test_timeouts_are_what_was_asked_for),
        cmocka_unit_test(test_timeouts_may_be_long),
        cmocka_unit_test(test_tcp_timers),
        cmocka_unit_test(test_reuse_ends_the_flow),
        cmocka_unit_test(test_full_table_ends_the_nearest),
        cmocka_unit_test(test_a_flood_does_not_push_out_connections),
        cmocka_unit_test(test_who_waits_for_an_answer_is_pushed_out_in_turn),
        cmocka_unit_test(test_the_nearest_is_found_among_long_timeouts),
        cmocka_unit_test(test_what_is_over_is_pushed_out_before_what_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
