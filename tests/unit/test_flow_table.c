/* flow_table: which flow a packet belongs to, when flows end, and that rows add up wherever chunks are cut. */
#include "agent/capture/flow_table.h"
#include "agent/capture/originator.h"
#include "common/base/clock.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET 1
#define T0       (UINT64_C(1700000000) * NS_PER_S)
#define A        "10.0.0.1"
#define B        "10.0.0.2"

static struct flow_table *table_with(const struct flow_table_options *o)
{
    struct flow_table *t;
    assert_int_equal(flow_table_new(o, &t, NULL), 0);
    return t;
}

static struct flow_table *table_of(uint32_t max_flows)
{
    struct flow_table_options o = {.epoch = {1, 2, 3}, .max_flows = max_flows};
    return table_with(&o);
}

static void give_on(struct flow_table *t, struct build *b, uint32_t interface, double seconds, uint32_t frame)
{
    struct packet p;
    packet_decode(ETHERNET, build_data(b), build_length(b), build_length(b), &p);
    uint64_t time_ns = T0 + (uint64_t)(int64_t)(seconds * 1e9);
    (void)flow_table_advance(t, time_ns);
    flow_table_packet(t, &p, interface, time_ns, frame);
}

static void give(struct flow_table *t, struct build *b, double seconds)
{
    give_on(t, b, 0, seconds, FLOW_FRAME_NONE);
}

static struct build tcp(const char *from, unsigned from_port, const char *to, unsigned to_port, unsigned flags,
                        uint32_t seq, size_t payload)
{
    struct build b = build_new();
    build_payload(&b, payload);
    uint8_t *h = build_tcp(&b, from_port, to_port, flags);
    build_put32(h + 4, seq);
    build_ip4(&b, PROTO_TCP, from, to);
    build_ethernet(&b, ETHERTYPE_IP4);
    return b;
}

static struct build udp(const char *from, unsigned from_port, const char *to, unsigned to_port, size_t payload)
{
    struct build b = build_new();
    build_payload(&b, payload);
    build_udp(&b, from_port, to_port);
    build_ip4(&b, PROTO_UDP, from, to);
    build_ethernet(&b, ETHERTYPE_IP4);
    return b;
}

static struct flow_row *rows_of(struct flow_table *t, size_t count)
{
    struct flow_row *rows;
    size_t n;
    assert_int_equal(flow_table_rows(t, &rows, &n, NULL), 0);
    assert_int_equal(n, count);
    return rows;
}

static bool history_is(const struct flow_row *r, const char *text)
{
    return r->history.len == strlen(text) && memcmp(r->history.data, text, r->history.len) == 0;
}

static void test_both_directions_are_one_flow(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build syn = tcp(B, 40000, A, 80, TCP_SYN, 100, 0), back = tcp(A, 80, B, 40000, TCP_SYN | TCP_ACK, 500, 0);
    build_put32(build_data(&back) + 14 + 20 + 8, 101); /* what it acknowledges */
    give(t, &syn, 0);
    give(t, &back, 0.5);
    const struct flow_row *r = rows_of(t, 1);
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
        struct build b = tcp(asked[i].from, asked[i].from_port, "192.168.0.1", asked[i].to_port, TCP_SYN, 1, 0);
        give(t, &b, i);
    }
    const struct flow_row *r = rows_of(t, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(r[i].key.port[r[i].originator], expected[i]);
    flow_table_free(t);
}

static void test_interfaces_are_apart(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build b = udp(A, 5000, B, 53, 10);
    give_on(t, &b, 0, 0, FLOW_FRAME_NONE);
    give_on(t, &b, 1, 0, FLOW_FRAME_NONE);
    (void)rows_of(t, 2);
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
        struct build b = cases[i].udp ? udp(A, cases[i].from, B, cases[i].to, 4)
                                      : tcp(A, cases[i].from, B, cases[i].to, TCP_ACK, 1, 4);
        give(t, &b, 0);
        const struct flow_row *r = rows_of(t, 1);
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
        struct build b = tcp(A, cases[i].from, B, cases[i].to, cases[i].flags, 1, 4);
        give(t, &b, 0);
        const struct flow_row *r = rows_of(t, 1);
        assert_int_equal(r->originator, cases[i].originator);
        assert_int_equal(r->originator_by, cases[i].by);
        flow_table_free(t);
    }
    struct flow_table *t = table_with(&o);
    struct build b = udp(A, 50000, B, 53, 4);
    give(t, &b, 0);
    assert_int_equal(rows_of(t, 1)->originator_by, ORIGINATOR_KNOWN_PORT);
    flow_table_free(t);
    listeners_free(l);
}

static void test_nobody_answers_from_multicast(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build b = udp(A, 53, "224.0.0.251", 40000, 10);
    give(t, &b, 0);
    assert_int_equal(rows_of(t, 1)->originator, 0);
    flow_table_free(t);
}

static void test_udp_states(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build ask = udp(A, 5000, B, 53, 10), answer = udp(B, 53, A, 5000, 30);
    give(t, &ask, 0);
    assert_int_equal(rows_of(t, 1)->state, FLOW_STATE_S0);
    give(t, &answer, 0.1);
    give(t, &ask, 0.2);
    const struct flow_row *r = rows_of(t, 1);
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
    give(t, &later, 0); /* too early: a flow of its own */
    give(t, &first, 1);
    give(t, &later, 1.1);
    give(t, &later, 100);               /* too late: the flow is over */
    struct flow_row *r = rows_of(t, 3); /* without ports come first */
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

static struct build icmp_error(const char *router, struct build *quoted)
{
    struct build b = build_new();
    size_t length = 28; /* the quoted header and 8 bytes, without its Ethernet header */
    memcpy(build_zero(&b, length), build_data(quoted) + 14, length);
    build_icmp(&b, 3, 1);
    build_ip4(&b, PROTO_ICMP, router, A);
    build_ethernet(&b, ETHERTYPE_IP4);
    return b;
}

static void test_icmp_errors_count_in_the_quoted_flow(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build ask = udp(A, 5000, B, 53, 10), error = icmp_error("10.9.9.9", &ask);
    give(t, &ask, 0);
    flow_table_next(t);
    give(t, &error, 1);
    struct flow_row *r = rows_of(t, 2); /* its own flow, and a row for the quoted one although it had no packets */
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

static void test_idle_flows_end(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build u = udp(A, 5000, B, 53, 10), other = udp(A, 6000, B, 53, 10);
    give(t, &u, 0);
    flow_table_next(t);
    give(t, &other, 59);
    assert_int_equal(flow_table_stats(t).alive, 2);
    flow_table_next(t);
    flow_table_advance(t, T0 + 62 * NS_PER_S);
    const struct flow_row *r = rows_of(t, 1); /* a last row, without packets */
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
    struct build u = udp(A, 5000, B, 53, 10);
    for (int late = 0; late < 2; late++) {
        struct flow_table *t = table_of(0);
        give(t, &u, 0);
        give(t, &u, late ? 60.001 : 60);
        struct flow_row *r = rows_of(t, late ? 2 : 1);
        if (late)
            assert_int_not_equal(r[0].flow_id, r[1].flow_id);
        flow_table_free(t);
    }
}

static void test_timeouts_are_what_was_asked_for(void **state)
{
    (void)state;
    struct flow_table_options o = {.timeouts.ns = {[FLOW_TIMER_UDP] = 2 * NS_PER_S}};
    struct build u = udp(A, 5000, B, 53, 10), icmp = build_new();
    build_icmp(&icmp, 8, 0);
    build_ip4(&icmp, PROTO_ICMP, A, B);
    build_ethernet(&icmp, ETHERTYPE_IP4);
    struct flow_table *t = table_with(&o);
    give(t, &u, 0);
    give(t, &icmp, 0);
    give(t, &u, 2);
    assert_int_equal(flow_table_stats(t).flows, 2);
    give(t, &u, 4.001);
    assert_int_equal(flow_table_stats(t).flows, 3);
    give(t, &icmp, FLOW_TIMEOUT_ICMP); /* not said: as always */
    assert_int_equal(flow_table_stats(t).flows, 3);
    flow_table_free(t);
}

/* Longer than the clock looks ahead: neither ended too soon, nor forgotten. */
static void test_timeouts_may_be_long(void **state)
{
    (void)state;
    struct flow_table_options o = {.timeouts.ns = {[FLOW_TIMER_UDP] = 2000 * NS_PER_S}};
    struct build u = udp(A, 5000, B, 53, 10);
    struct flow_table *t = table_with(&o);
    give(t, &u, 0);
    for (unsigned round = 1; round <= 2; round++) {
        unsigned end = 2000 * round;
        for (unsigned second = end - 1999; second <= end; second++)
            assert_true(flow_table_advance(t, T0 + second * NS_PER_S));
        if (round == 1)
            give(t, &u, 2000);
        assert_int_equal(flow_table_stats(t).alive, 1);
        assert_int_equal(flow_table_stats(t).flows, 1);
    }
    for (unsigned second = 4001; second <= 4002; second++)
        assert_true(flow_table_advance(t, T0 + second * NS_PER_S));
    assert_int_equal(flow_table_stats(t).alive, 0);
    assert_int_equal(rows_of(t, 1)->end_reason, FLOW_END_IDLE);
    flow_table_free(t);
}

static void open_tcp(struct flow_table *t, double at)
{
    struct build syn = tcp(A, 40000, B, 80, TCP_SYN, 100, 0), answer = tcp(B, 80, A, 40000, TCP_SYN | TCP_ACK, 900, 0);
    struct build ack = tcp(A, 40000, B, 80, TCP_ACK, 101, 0);
    give(t, &syn, at);
    give(t, &answer, at + 0.01);
    give(t, &ack, at + 0.02);
}

static void test_tcp_timers(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build data = tcp(A, 40000, B, 80, TCP_ACK, 101, 5), fin = tcp(A, 40000, B, 80, TCP_FIN | TCP_ACK, 106, 0);
    struct build nif = tcp(B, 80, A, 40000, TCP_FIN | TCP_ACK, 901, 0), syn = tcp(A, 40000, B, 80, TCP_SYN, 7777, 0);
    open_tcp(t, 0);
    give(t, &data, 290); /* established: 300 s */
    give(t, &fin, 291);
    give(t, &nif, 291.1);
    give(t, &data, 294); /* late, but still of this flow */
    flow_table_advance(t, T0 + 301 * NS_PER_S);
    const struct flow_row *r = rows_of(t, 1);
    assert_int_equal(r->state, FLOW_STATE_SF);
    assert_int_equal(r->end_reason, FLOW_END_DETECTED);
    assert_int_equal(r->packets[0] + r->packets[1], 7);
    give(t, &syn, 302);
    (void)rows_of(t, 2);
    flow_table_free(t);
}

static void test_reuse_ends_the_flow(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build syn = tcp(A, 40000, B, 80, TCP_SYN, 7777, 0);
    open_tcp(t, 0);
    give(t, &syn, 1);
    struct flow_row *r = rows_of(t, 2);
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
        b[i] = udp(A, 5000 + i, B, 53, 4);
        give(t, &b[i], i);
        if (i == 2)
            give(t, &b[0], 2.5); /* so that number 1 is the oldest */
    }
    struct flow_row *r = rows_of(t, 4);
    assert_int_equal(r[1].end_reason, FLOW_END_RESOURCES);
    assert_int_equal(r[0].end_reason, FLOW_GOES_ON);
    assert_int_equal(flow_table_stats(t).resources, 1);
    assert_int_equal(flow_table_stats(t).alive, 3);
    flow_table_free(t);
}

/* A handshake and its answer between A and B, over at `seconds`. */
static void connect_tcp(struct flow_table *t, unsigned port, double seconds)
{
    struct build syn = tcp(A, port, B, 80, TCP_SYN, 100, 0), back = tcp(B, 80, A, port, TCP_SYN | TCP_ACK, 500, 0),
                 ack = tcp(A, port, B, 80, TCP_ACK, 101, 0);
    build_put32(build_data(&back) + 14 + 20 + 8, 101);
    build_put32(build_data(&ack) + 14 + 20 + 8, 501);
    give(t, &syn, seconds);
    give(t, &back, seconds);
    give(t, &ack, seconds);
}

/* n questions that nobody answers, each from another place, the first one from the place number `first`; chunks are sealed as they become
 * full. */
static void flood(struct flow_table *t, unsigned first, unsigned n, double seconds)
{
    for (unsigned i = first; i < first + n; i++) {
        char from[32];
        snprintf(from, sizeof from, "172.%u.%u.%u", 16 + i / 65536 % 16, i / 256 % 256, i % 256);
        struct build b = i % 2 ? tcp(from, 9999, B, 80, TCP_SYN, i, 0) : udp(from, 9999, B, 53, 10);
        while (!flow_table_advance(t, T0 + (uint64_t)(seconds * 1e9)))
            flow_table_next(t);
        give(t, &b, seconds);
    }
}

/* Whether the packet belongs to a flow that had packets before: in an open chunk of its own. */
static bool goes_on(struct flow_table *t, struct build *b, double seconds)
{
    flow_table_next(t);
    give(t, b, seconds);
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
        struct build ask = udp(A, 30000 + i, B, 53, 20), answer = udp(B, 53, A, 30000 + i, 40);
        give(t, &ask, 1);
        give(t, &answer, 1);
    }
    flood(t, 0, many, 2);
    assert_int_equal(flow_table_stats(t).alive, size);
    assert_int_equal(flow_table_stats(t).flows, 2 * old + many);
    assert_int_equal(flow_table_stats(t).resources, 2 * old + many - size);
    for (unsigned i = 0; i < old; i++) {
        struct build more = tcp(A, 20000 + i, B, 80, TCP_ACK, 101, 10), again = udp(A, 30000 + i, B, 53, 20);
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
    struct build early = udp(A, 5000, B, 53, 10), late = udp(A, 5001, B, 53, 10);
    give(t, &early, 2);
    flood(t, 5000, size / 2, 2);
    give(t, &late, 2);
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
    struct build ask = udp(A, 5000, B, 53, 10), answer = udp(B, 53, A, 5000, 10), other = udp(A, 5001, B, 53, 10);
    give(t, &ask, 0);
    give(t, &answer, 0);
    for (unsigned second = 1; second <= 1000; second++)
        assert_true(flow_table_advance(t, T0 + second * NS_PER_S));
    connect_tcp(t, 20000, 1000);
    give(t, &other, 1001);
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
    struct build reset = tcp(B, 80, A, 20001, TCP_RST | TCP_ACK, 501, 0);
    build_put32(build_data(&reset) + 14 + 20 + 8, 101);
    give(t, &reset, 4);
    connect_tcp(t, 20003, 4);
    struct flow_row *r = rows_of(t, 4);
    assert_int_equal(r[0].end_reason, FLOW_GOES_ON);
    assert_int_equal(r[1].end_reason, FLOW_END_DETECTED);
    assert_int_equal(flow_table_stats(t).resources, 0);
    connect_tcp(t, 20004, 5); /* nothing can be spared: the oldest goes */
    r = rows_of(t, 5);
    assert_int_equal(r[0].end_reason, FLOW_END_RESOURCES);
    assert_int_equal(r[2].end_reason, FLOW_GOES_ON);
    assert_int_equal(flow_table_stats(t).resources, 1);
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
        struct build b = udp(A, 1000 + flows, B, 9, 4);
        give(t, &b, 0);
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
    struct build u = udp(A, 5000, B, 53, 10), other = udp(A, 6000, B, 53, 10);
    assert_true(flow_table_loss(t, 0, 5)); /* before the flow */
    give(t, &u, 0);
    assert_true(flow_table_loss(t, 0, 7));
    assert_true(flow_table_loss(t, 3, 100)); /* elsewhere */
    give(t, &other, 1);
    struct flow_row *r = rows_of(t, 2);
    assert_int_equal(r[0].capture_loss, 7);
    assert_int_equal(r[1].capture_loss, 0);
    flow_table_next(t);
    assert_true(flow_table_loss(t, 0, 1));
    assert_true(flow_table_end(t, FLOW_END_FORCED));
    r = rows_of(t, 2);
    assert_int_equal(r[0].capture_loss + r[1].capture_loss, 2);
    flow_table_free(t);
}

static void test_frames(void **state)
{
    (void)state;
    struct flow_table *t = table_of(0);
    struct build u = udp(A, 5000, B, 53, 10);
    for (uint32_t i = 0; i < 60; i++)
        give_on(t, &u, 0, i * 0.001, i / 2 * 3);
    const struct flow_row *r = rows_of(t, 1);
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
    struct build u = udp(A, 5000, B, 53, 10);
    give(t, &u, 1e6);
    for (unsigned i = 0; i < 2000; i++) {
        struct build b = udp(A, 1000 + i, B, 9999, 4);
        give(t, &b, i * 0.01);
    }
    flow_table_advance(t, T0 + 200 * NS_PER_S);
    assert_int_equal(flow_table_stats(t).alive, 0);
    flow_table_free(t);
}

/* ---------------------------------------------------------------- rows do not depend on where chunks are cut */

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % n;
}

#define PACKETS 3000
#define HOSTS   4

struct scene {
    struct build packet[PACKETS];
    uint64_t time_ns[PACKETS];
    uint32_t interface[PACKETS];
    uint32_t loss[PACKETS];
};

static const char *host(uint64_t n)
{
    static const char *const hosts[HOSTS] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "224.0.0.1"};
    return hosts[n];
}

static struct build random_packet(struct scene *s, unsigned at)
{
    const char *from = host(random_below(HOSTS - 1)), *to = host(random_below(HOSTS));
    unsigned ports[2] = {1000 + (unsigned)random_below(6), (unsigned)(random_below(3) ? 80 : 53)};
    bool back = random_below(2);
    switch (random_below(8)) {
    case 0:
        return udp(from, ports[back], to, ports[!back], random_below(50));
    case 1:
        return at ? icmp_error(from, &s->packet[random_below(at)]) : udp(from, ports[0], to, ports[1], 4);
    case 2: {
        struct build b = udp(from, ports[back], to, ports[!back], 40);
        uint8_t *ip = build_data(&b) + 14;
        build_put16(ip + 4, (unsigned)random_below(5));
        build_put16(ip + 6, random_below(2) ? 0x2000 : 5);
        return b;
    }
    default: {
        static const unsigned flags[] = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK, TCP_ACK,
                                         TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST, TCP_FIN};
        struct build b = tcp(from, ports[back], to, ports[!back], flags[random_below(8)],
                             (uint32_t)random_below(20) * 10, random_below(3) * 10);
        uint8_t *h = build_data(&b) + 14 + 20;
        build_put32(h + 8, (uint32_t)random_below(20) * 10);
        build_put16(h + 14, (unsigned)random_below(4) * 10);
        return b;
    }
    }
}

static void make_scene(struct scene *s)
{
    uint64_t now = T0;
    for (unsigned i = 0; i < PACKETS; i++) {
        now += random_below(100) ? random_below(NS_PER_S / 10) : random_below(100 * NS_PER_S);
        s->packet[i] = random_packet(s, i);
        s->time_ns[i] = now - random_below(NS_PER_S / 100); /* a little out of order */
        s->interface[i] = (uint32_t)random_below(2);
        s->loss[i] = random_below(50) ? 0 : (uint32_t)random_below(9);
    }
}

#define FLOWS_MAX 4000

/* Sums by flow, in the order in which flows began. */
struct sums {
    struct flow_row row[FLOWS_MAX];
    char history[FLOWS_MAX][FLOW_HISTORY_MAX];
    size_t count;
};

static void add_row(struct sums *s, const struct flow_row *r)
{
    size_t i = 0;
    while (i < s->count && s->row[i].flow_id != r->flow_id)
        i++;
    assert_true(i < FLOWS_MAX);
    if (i == s->count) {
        s->row[i] = *r;
        column_remove(&s->row[i].has, FLOW_FRAMES);
        s->count++;
    } else {
        table_merge(&table_flow, &s->row[i], r);
    }
    if (column_has(&r->has, FLOW_HISTORY)) {
        memcpy(s->history[i], r->history.data, r->history.len); /* the table's own goes away */
        s->row[i].history = (struct text){s->history[i], r->history.len};
    }
}

static void seal(struct flow_table *t, struct sums *s)
{
    struct flow_row *rows;
    size_t n;
    assert_int_equal(flow_table_rows(t, &rows, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        add_row(s, &rows[i]);
    flow_table_next(t);
}

static void run_scene(struct scene *scene, unsigned seal_every, struct sums *s)
{
    struct flow_table *t = table_of(0);
    s->count = 0;
    for (unsigned i = 0; i < PACKETS; i++) {
        struct packet p;
        packet_decode(ETHERNET, build_data(&scene->packet[i]), build_length(&scene->packet[i]),
                      build_length(&scene->packet[i]), &p);
        if (scene->loss[i])
            assert_true(flow_table_loss(t, scene->interface[i], scene->loss[i]));
        if (seal_every && random_below(seal_every) == 0)
            seal(t, s);
        while (!flow_table_advance(t, scene->time_ns[i]))
            seal(t, s);
        flow_table_packet(t, &p, scene->interface[i], scene->time_ns[i], i);
    }
    assert_true(flow_table_end(t, FLOW_END_FORCED));
    seal(t, s);
    flow_table_free(t);
}

static bool same_value(const struct column *c, const struct flow_row *a, const struct flow_row *b)
{
    bool has = column_has(&a->has, c->id);
    if (has != column_has(&b->has, c->id))
        return false;
    const void *x = (const char *)a + c->offset, *y = (const char *)b + c->offset;
    if (!has)
        return true;
    if (c->type == COLUMN_TEXT) {
        const struct text *s = x, *t = y;
        return s->len == t->len && memcmp(s->data, t->data, s->len) == 0;
    }
    return memcmp(x, y, c->size) == 0;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct flow_row *)a)->flow_id, y = ((const struct flow_row *)b)->flow_id;
    return x < y ? -1 : x > y;
}

static void compare_sums(struct sums *whole, struct sums *cut)
{
    assert_int_equal(whole->count, cut->count);
    qsort(whole->row, whole->count, sizeof *whole->row, by_id);
    qsort(cut->row, cut->count, sizeof *cut->row, by_id);
    for (size_t i = 0; i < whole->count; i++)
        for (unsigned c = 0; c < table_flow.count; c++) {
            const struct column *column = &table_flow.columns[c];
            bool by_row =
                column->id == FLOW_FRAMES || column->id == FLOW_PRIOR_PACKETS || column->id == FLOW_PRIOR_BYTES;
            if (!by_row && !same_value(column, &whole->row[i], &cut->row[i]))
                fail_msg("column %s of flow %zu depends on where chunks were cut", column->name, i);
        }
}

static void test_rows_do_not_depend_on_chunk_borders(void **state)
{
    (void)state;
    struct scene *scene = malloc(sizeof *scene);
    struct sums *whole = malloc(sizeof *whole), *cut = malloc(sizeof *cut);
    static const unsigned every[] = {1, 2, 7, 50, 500};
    for (uint64_t seed = 1; seed <= 8; seed++) {
        random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
        make_scene(scene);
        run_scene(scene, 0, whole);
        assert_true(whole->count > 30);
        for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
            run_scene(scene, every[i], cut);
            compare_sums(whole, cut);
        }
    }
    free(scene);
    free(whole);
    free(cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_directions_are_one_flow),
        cmocka_unit_test(test_alike_rows_stand_together),
        cmocka_unit_test(test_interfaces_are_apart),
        cmocka_unit_test(test_originator),
        cmocka_unit_test(test_where_sockets_listen),
        cmocka_unit_test(test_originator_by_listening_socket),
        cmocka_unit_test(test_nobody_answers_from_multicast),
        cmocka_unit_test(test_udp_states),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_icmp_errors_count_in_the_quoted_flow),
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
        cmocka_unit_test(test_full_chunk),
        cmocka_unit_test(test_capture_loss),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_wrong_clocks),
        cmocka_unit_test(test_rows_do_not_depend_on_chunk_borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
