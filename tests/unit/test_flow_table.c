/*
 * flow_table: which flow a packet belongs to, who began it, and what its rows say.
 */
#include "tests/unit/flow_table_support.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool history_is(const struct flow_row *r, const char *text)
{
    return r->history.len == strlen(text) && memcmp(r->history.data, text, r->history.len) == 0;
}

static void test_both_directions_are_one_flow(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build syn = packet_tcp(B, 40000, A, 80, TCP_SYN, 100, 0),
                 back = packet_tcp(A, 80, B, 40000, TCP_SYN | TCP_ACK, 500, 0);
    build_put32(build_data(&back) + 14 + 20 + 8, 101); /* what it acknowledges */
    table_give(t, &syn, 0);
    table_give(t, &back, 0.5);
    const struct flow_row *r = table_rows(t, 1);
    assert_int_equal(r->packets[0], 1);
    assert_int_equal(r->packets[1], 1);
    assert_int_equal(r->bytes[1], build_length(&syn));
    assert_int_equal(r->originator, 1); /* 10.0.0.2 is the greater address */
    assert_int_equal(r->originator_by, ORIGINATOR_SYN);
    assert_int_equal(r->syn[0], 1);
    assert_int_equal(r->tcp_flags[0], TCP_SYN | TCP_ACK);
    assert_int_equal(r->state, FLOW_STATE_S1);
    assert_true(history_is(r, "Sh"));
    assert_int_equal(r->start_ns, T0);
    assert_int_equal(r->last_ns, T0 + NS_PER_S / 2);
    assert_false(column_has(&r->has, FLOW_FRAMES));
    flow_table_free(t);
}

/* By the port that was asked, by who asked, and as they began. */
static void test_alike_rows_stand_together(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        unsigned from_port, to_port;
    } asked[] = {{B, 5000, 443}, {A, 5001, 80}, {B, 5002, 80}, {A, 5003, 443}, {B, 5004, 80}, {A, 5005, 80}};
    static const unsigned expected[] = {5001, 5005, 5002, 5004, 5003, 5000};
    struct flow_table *t = table_of(0);
    for (unsigned i = 0; i < 6; i++) {
        struct build b = packet_tcp(asked[i].from, asked[i].from_port, "192.168.0.1", asked[i].to_port, TCP_SYN, 1, 0);
        table_give(t, &b, i);
    }
    const struct flow_row *r = table_rows(t, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(r[i].key.port[r[i].originator], expected[i]);
    flow_table_free(t);
}

/* So many rows of connections to `ports` ports of B, from as many clients as there are rows, or from one; whether they stand in the order in which they
 * began. */
static bool stand_as_they_came(unsigned ports, bool many_clients)
{
    struct flow_table *t = table_of(0);
    for (unsigned i = 0; i < FLOW_TABLE_ORDER_ALWAYS; i++) {
        char from[16];
        snprintf(from, sizeof from, "10.1.%u.%u", many_clients ? i >> 8 : 0, many_clients ? i & 255 : 0);
        struct build b = packet_udp(from, 10000 + i, B, 1 + i % ports, 8);
        table_give(t, &b, i / 1e6);
    }
    const struct flow_row *r = table_rows(t, FLOW_TABLE_ORDER_ALWAYS);
    bool as_they_came = true;
    for (unsigned i = 1; i < FLOW_TABLE_ORDER_ALWAYS; i++)
        as_they_came &= r[i - 1].start_ns < r[i].start_ns;
    flow_table_free(t);
    return as_they_came;
}

static void test_many_rows_with_little_in_common_stand_as_they_came(void **state)
{
    (void)state;
    assert_true(stand_as_they_came(8, true));
    assert_false(stand_as_they_came(8, false));
}

/* Each new flow pushes out one that had its row in a chunk before. */
static void test_rows_of_what_ended_stand_in_front(void **state)
{
    (void)state;
    enum { FLOWS = FLOW_TABLE_ORDER_ALWAYS / 2 };
    struct flow_table *t = table_of(FLOWS);
    for (unsigned i = 0; i < 2 * FLOWS; i++) {
        char from[16];
        snprintf(from, sizeof from, "10.1.%u.%u", i >> 8, i & 255);
        struct build b = packet_udp(from, 10000 + i, B, 53, 8);
        table_give(t, &b, i / 1e6);
        if (i + 1 == FLOWS)
            flow_table_next(t);
    }
    const struct flow_row *r = table_rows(t, (size_t)2 * FLOWS);
    for (unsigned i = 0; i < 2 * FLOWS; i++) {
        assert_int_equal(r[i].key.port[r[i].originator], 10000 + i);
        assert_int_equal(r[i].end_reason, i < FLOWS ? FLOW_END_RESOURCES : 0);
    }
    flow_table_free(t);
}

static void test_interfaces_are_apart(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build b = packet_udp(A, 5000, B, 53, 10);
    table_give_on(t, &b, 0, 0, FLOW_FRAME_NONE);
    table_give_on(t, &b, 1, 0, FLOW_FRAME_NONE);
    (void)table_rows(t, 2);
    flow_table_free(t);
}

static void test_originator(void **state)
{
    (void)state;
    static const struct {
        unsigned from, to;
        bool udp, sender;
        enum originator_by by;
    } cases[] = {
        {40000, 443, false, true, ORIGINATOR_KNOWN_PORT},  {443, 40000, false, false, ORIGINATOR_KNOWN_PORT},
        {4711, 4712, false, false, ORIGINATOR_LOWER_PORT}, {4712, 4711, false, true, ORIGINATOR_LOWER_PORT},
        {4711, 4712, true, true, ORIGINATOR_FIRST_SEEN},   {900, 4712, true, false, ORIGINATOR_LOWER_PORT},
        {53, 40000, true, false, ORIGINATOR_KNOWN_PORT},   {123, 123, true, true, ORIGINATOR_FIRST_SEEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flow_table *t = table_of(0);
        struct build b = cases[i].udp ? packet_udp(A, cases[i].from, B, cases[i].to, 4)
                                      : packet_tcp(A, cases[i].from, B, cases[i].to, TCP_ACK, 1, 4);
        table_give(t, &b, 0);
        const struct flow_row *r = table_rows(t, 1);
        assert_int_equal(r->originator, cases[i].sender ? 0 : 1);
        assert_int_equal(r->originator_by, cases[i].by);
        assert_int_equal(r->history.data[0] == '^', !cases[i].sender);
        flow_table_free(t);
    }
}

static void socket_at(struct listener *l, const char *address, uint16_t port)
{
    l->port = port;
    l->family = strchr(address, ':') ? FAMILY_IP6 : FAMILY_IP4;
    assert_int_equal(inet_pton(l->family == FAMILY_IP6 ? AF_INET6 : AF_INET, address, l->addr), 1);
}

/* This host is 10.0.0.1 and fd00::1. */
static struct listeners *some_listeners(void)
{
    uint8_t own[2][16] = {{10, 0, 0, 1}, {0xfd, [15] = 1}};
    static const uint8_t families[] = {FAMILY_IP4, FAMILY_IP6};
    struct listener sockets[5] = {{.port = 0}};
    socket_at(&sockets[0], "0.0.0.0", 50000);
    socket_at(&sockets[1], "::", 50001);
    socket_at(&sockets[2], "::", 50002);
    sockets[2].only_ip6 = true;
    socket_at(&sockets[3], "10.0.0.1", 50003);
    socket_at(&sockets[4], "10.0.0.7", 50004); /* one that it has not any more, say */
    struct listeners *l;
    assert_int_equal(listeners_new(sockets, 5, (const uint8_t(*)[16])own, families, 2, &l, NULL), 0);
    return l;
}

static void test_where_sockets_listen(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        uint16_t port;
        bool there;
    } cases[] = {
        {"10.0.0.1", 50000, true},  {"10.0.0.2", 50000, false}, {"fd00::1", 50000, false},  {"10.0.0.1", 50001, true},
        {"fd00::1", 50001, true},   {"fd00::2", 50001, false},  {"10.0.0.1", 50002, false}, {"fd00::1", 50002, true},
        {"10.0.0.1", 50003, true},  {"10.0.0.2", 50003, false}, {"10.0.0.7", 50004, true},  {"10.0.0.1", 50004, false},
        {"10.0.0.1", 49999, false}, {"10.0.0.1", 50005, false},
    };
    struct listeners *l = some_listeners();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct listener at = {.port = 0};
        socket_at(&at, cases[i].address, cases[i].port);
        if (listeners_has(l, at.family, at.addr, at.port) != cases[i].there)
            fail_msg("%s port %u", cases[i].address, cases[i].port);
        assert_false(listeners_has(NULL, at.family, at.addr, at.port));
    }
    listeners_free(l);
}

/* Of a connection without its SYN: before ports, whatever these are; a SYN says more. */
static void test_originator_by_listening_socket(void **state)
{
    (void)state;
    static const struct {
        unsigned from, to;
        uint8_t flags;
        unsigned originator;
        enum originator_by by;
    } cases[] = {
        {50000, 443, TCP_ACK, 1, ORIGINATOR_LISTENING}, /* A's socket listens: B is the client */
        {50000, 4711, TCP_ACK, 1, ORIGINATOR_LISTENING},  {4711, 50000, TCP_ACK, 1, ORIGINATOR_LOWER_PORT},
        {40000, 443, TCP_ACK, 0, ORIGINATOR_KNOWN_PORT},  {50000, 443, TCP_SYN, 0, ORIGINATOR_SYN},
        {50004, 4711, TCP_ACK, 0, ORIGINATOR_LOWER_PORT},
    };
    struct listeners *l = some_listeners();
    struct flow_table_options o = {.epoch = {1}, .listeners = l};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flow_table *t = table_with(&o);
        struct build b = packet_tcp(A, cases[i].from, B, cases[i].to, cases[i].flags, 1, 4);
        table_give(t, &b, 0);
        const struct flow_row *r = table_rows(t, 1);
        assert_int_equal(r->originator, cases[i].originator);
        assert_int_equal(r->originator_by, cases[i].by);
        flow_table_free(t);
    }
    struct flow_table *t = table_with(&o);
    struct build b = packet_udp(A, 50000, B, 53, 4);
    table_give(t, &b, 0);
    assert_int_equal(table_rows(t, 1)->originator_by, ORIGINATOR_KNOWN_PORT);
    flow_table_free(t);
    listeners_free(l);
}

static void test_nobody_answers_from_multicast(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build b = packet_udp(A, 53, "224.0.0.251", 40000, 10);
    table_give(t, &b, 0);
    assert_int_equal(table_rows(t, 1)->originator, 0);
    flow_table_free(t);
}

static void test_udp_states(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build ask = packet_udp(A, 5000, B, 53, 10), answer = packet_udp(B, 53, A, 5000, 30);
    table_give(t, &ask, 0);
    assert_int_equal(table_rows(t, 1)->state, FLOW_STATE_S0);
    table_give(t, &answer, 0.1);
    table_give(t, &ask, 0.2);
    const struct flow_row *r = table_rows(t, 1);
    assert_int_equal(r->state, FLOW_STATE_SF);
    assert_true(history_is(r, "Dd"));
    assert_int_equal(r->payload[0], 20);
    assert_int_equal(r->payload[1], 30);
    flow_table_free(t);
}

/* A first fragment with ports and later ones without are one flow, if the first came first. */
static void test_fragments(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build first = build_new(), later = build_new();
    build_payload(&first, 64);
    build_udp(&first, 5000, 53);
    build_put16(build_ip4(&first, PROTO_UDP, A, B) + 6, 0x2000);
    build_ethernet(&first, ETHERTYPE_IP4);
    build_payload(&later, 40);
    build_put16(build_ip4(&later, PROTO_UDP, A, B) + 6, 9);
    build_ethernet(&later, ETHERTYPE_IP4);
    table_give(t, &later, 0); /* too early: a flow of its own */
    table_give(t, &first, 1);
    table_give(t, &later, 1.1);
    table_give(t, &later, 100);            /* too late: the flow is over */
    struct flow_row *r = table_rows(t, 3); /* without ports come first */
    assert_false(r[0].key.has_ports);
    assert_int_equal(r[0].state, FLOW_STATE_OTH);
    assert_int_equal(r[0].start_ns, T0);
    assert_false(r[1].key.has_ports);
    assert_int_equal(r[1].packets[0], 1);
    assert_true(r[2].key.has_ports);
    assert_int_equal(r[2].packets[0], 2);
    assert_int_equal(r[2].later_fragments[0], 1);
    assert_int_equal(r[2].payload[0], 64 + 40);
    flow_table_free(t);
}

static void test_icmp_errors_count_in_the_quoted_flow(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build ask = packet_udp(A, 5000, B, 53, 10), error = packet_icmp_error("10.9.9.9", &ask);
    table_give(t, &ask, 0);
    flow_table_next(t);
    table_give(t, &error, 1);
    struct flow_row *r = table_rows(t, 2); /* its own flow, and a row for the quoted one although it had no packets */
    const struct flow_row *q = r[0].key.proto == PROTO_UDP ? &r[0] : &r[1];
    assert_int_equal(q->key.proto, PROTO_UDP);
    assert_int_equal(q->packets[0] + q->packets[1], 0);
    assert_int_equal(q->prior_packets, 1);
    assert_int_equal(q->icmp_errors, 1);
    assert_int_equal(q->icmp_error_type, 3);
    assert_int_equal(q->icmp_error_code, 1);
    assert_int_equal(q->last_ns, T0);
    flow_table_next(t);
    assert_false(flow_table_has_rows(t));
    flow_table_free(t);
}

static void test_full_chunk(void **state)
{
    (void)state;
    struct flow_table_options o = {.max_rows = 64};
    struct flow_table *t;
    assert_int_equal(flow_table_new(&o, &t, NULL), 0);
    unsigned flows = 0;
    for (; flow_table_advance(t, T0); flows++) {
        struct build b = packet_udp(A, 1000 + flows, B, 9, 4);
        table_give(t, &b, 0);
    }
    assert_true(flows > 40 && flows <= 64);
    flow_table_next(t);
    assert_true(flow_table_advance(t, T0));
    unsigned rows = 0;
    while (!flow_table_end(t, FLOW_END_FORCED)) {
        struct flow_row *r;
        size_t n;
        assert_int_equal(flow_table_rows(t, &r, &n, NULL), 0);
        assert_true(n <= 64);
        rows += (unsigned)n;
        flow_table_next(t);
    }
    struct flow_row *r;
    size_t n;
    assert_int_equal(flow_table_rows(t, &r, &n, NULL), 0);
    assert_int_equal(rows + n, flows);
    flow_table_free(t);
}

static void test_capture_loss(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build u = packet_udp(A, 5000, B, 53, 10), other = packet_udp(A, 6000, B, 53, 10);
    assert_true(flow_table_loss(t, 0, 5)); /* before the flow */
    table_give(t, &u, 0);
    assert_true(flow_table_loss(t, 0, 7));
    assert_true(flow_table_loss(t, 3, 100)); /* elsewhere */
    table_give(t, &other, 1);
    struct flow_row *r = table_rows(t, 2);
    assert_int_equal(r[0].capture_loss, 7);
    assert_int_equal(r[1].capture_loss, 0);
    flow_table_next(t);
    assert_true(flow_table_loss(t, 0, 1));
    assert_true(flow_table_end(t, FLOW_END_FORCED));
    r = table_rows(t, 2);
    assert_int_equal(r[0].capture_loss + r[1].capture_loss, 2);
    flow_table_free(t);
}

static void test_frames(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build u = packet_udp(A, 5000, B, 53, 10);
    for (uint32_t i = 0; i < 60; i++)
        table_give_on(t, &u, 0, i * 0.001, i / 2 * 3);
    const struct flow_row *r = table_rows(t, 1);
    assert_int_equal(r->frames.count, 30);
    for (uint32_t i = 0; i < 30; i++)
        assert_int_equal(r->frames.items[i], i * 3);
    flow_table_free(t);
}

/* A packet from the future ends what is idle by its clock; a clock set back for good does not keep flows for ever. */
static void test_wrong_clocks(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build u = packet_udp(A, 5000, B, 53, 10);
    table_give(t, &u, 1e6);
    for (unsigned i = 0; i < 2000; i++) {
        struct build b = packet_udp(A, 1000 + i, B, 9999, 4);
        table_give(t, &b, i * 0.01);
    }
    flow_table_advance(t, T0 + 200 * NS_PER_S);
    assert_int_equal(flow_table_stats(t).alive, 0);
    flow_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_directions_are_one_flow),
        cmocka_unit_test(test_alike_rows_stand_together),
        cmocka_unit_test(test_many_rows_with_little_in_common_stand_as_they_came),
        cmocka_unit_test(test_rows_of_what_ended_stand_in_front),
        cmocka_unit_test(test_interfaces_are_apart),
        cmocka_unit_test(test_originator),
        cmocka_unit_test(test_where_sockets_listen),
        cmocka_unit_test(test_originator_by_listening_socket),
        cmocka_unit_test(test_nobody_answers_from_multicast),
        cmocka_unit_test(test_udp_states),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_icmp_errors_count_in_the_quoted_flow),
        cmocka_unit_test(test_full_chunk),
        cmocka_unit_test(test_capture_loss),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_wrong_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
