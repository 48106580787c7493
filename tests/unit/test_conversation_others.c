/*
 * conversation: what flows and exchanges say of DNS, TLS, SSH, and of what is known by name alone.
 */
#include "tests/unit/conversation_play.h"
#include "tests/unit/hello_build.h"

#include <string.h>

/* ---------------------------------------------------------------- DNS */
#define BYTES(text)                text, sizeof(text) - 1
#define HEADER(id, flags, answers) id flags "\0\1\0" answers "\0\0\0\0"
#define NAME(letter)               letter "\7example\0"
#define QUERY(id, letter)          HEADER(id, "\1\0", "\0") NAME("\1" letter) "\0\1\0\1"

#define ANSWER(id, letter, rcode)                                                                                      \
    HEADER(id, "\x81" rcode, "\1") NAME("\1" letter) "\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x0a\0\0\1"

static const struct message names_udp[] = {
    {C, BYTES(QUERY("\0\1", "A"))},          {C, BYTES(QUERY("\0\2", "b"))}, {C, BYTES(QUERY("\0\1", "A"))}, /* again */
    {S, BYTES(ANSWER("\0\2", "b", "\x80"))}, {C, BYTES(QUERY("\0\2", "b"))}, {S, BYTES(ANSWER("\0\1", "A", "\x83"))},
    {S, BYTES(ANSWER("\0\1", "A", "\x83"))}, /* told already */
    {S, BYTES(ANSWER("\0\7", "z", "\x80"))}, /* not asked */
};

static const char names_told[] =
    " time=20 wait=20 duration=20 request_bytes=27 reply_bytes=43 dns_name=b.example dns_answers=10.0.0.1 dns_type=A "
    "dns_rcode=NOERROR app=dns ordinal=2 send=0 outcome=complete\n"
    " time=10 wait=50 duration=50 request_bytes=27 reply_bytes=43 dns_name=a.example dns_answers=10.0.0.1 dns_type=A "
    "dns_rcode=NXDOMAIN app=dns ordinal=1 send=0 outcome=complete\n"
    " time=80 reply_bytes=43 dns_name=z.example dns_answers=10.0.0.1 dns_type=A dns_rcode=NOERROR app=dns ordinal=4 "
    "outcome=unseen\n"
    " time=50 request_bytes=27 dns_name=b.example dns_type=A app=dns ordinal=3 send=0 outcome=open\n";

static void test_dns(void **state)
{
    (void)state;
    struct told t;
    struct play p = PLAY;
    p.udp = true;
    p.port = 53;
    PLAY_SCENE(names_udp, &p, &t);
    told_expect(&t, names_told);
    assert_string_equal(t.flow, "dns z.example");
    assert_int_equal(t.sums[0], 4);
    scene_check_all_ways(names_udp, sizeof names_udp / sizeof *names_udp, &p, &t);
}

#define DNS_WAIT_NS (FLOW_TIMEOUT_DNS_QUERY * NS_PER_S)

static const struct message asked_a = {C, BYTES(QUERY("\0\1", "a"))}, asked_b = {C, BYTES(QUERY("\0\2", "b"))},
                            answered_a = {S, BYTES(ANSWER("\0\1", "a", "\x80"))};

/* A stage for DNS whose table has these options besides; end_names frees it. */
static struct stage begin_names(struct flow_table_options o, struct told *t)
{
    static const struct play p = {.lost = -1};
    struct stage g = {.play = &p, .told = t, .now = T0, .udp = true, .ports = {40000, 53}};
    o.app_payload = FLOW_TABLE_APP_ALL;
    *t = (struct told){0};
    assert_int_equal(flow_table_new(&o, &g.table, NULL), 0);
    return g;
}

/* What was told since the last time. */
static void expect_now(struct stage *g, const char *want)
{
    told_seal(g->told, g->table);
    told_expect(g->told, want);
    g->told->len = 0;
    g->told->exchanges[0] = 0;
}

static void end_names(struct stage *g)
{
    while (!flow_table_end(g->table, FLOW_END_FORCED))
        told_seal(g->told, g->table);
    told_seal(g->told, g->table);
    assert_int_equal(flow_table_stats(g->table).app_memory, 0);
    flow_table_free(g->table);
}

static void test_dns_without_an_answer(void **state)
{
    (void)state;
    struct told t;
    struct stage g = begin_names((struct flow_table_options){.epoch = {1}}, &t);
    stage_say(&g, &asked_a, false);
    g.now += DNS_WAIT_NS / 2;
    stage_say(&g, &asked_b, false);
    assert_true(flow_table_advance(g.table, T0 + STEP_NS + DNS_WAIT_NS)); /* just not over */
    expect_now(&g, "");
    assert_string_equal(t.running, " 1: 27 2: 27");
    g.now = T0 + DNS_WAIT_NS + NS_PER_S; /* no packet: time goes on, the flow as well, and the other query waits */
    assert_true(flow_table_advance(g.table, g.now));
    expect_now(&g,
               " time=10 request_bytes=27 dns_name=a.example dns_type=A app=dns ordinal=1 send=0 outcome=unanswered\n");
    assert_int_equal(flow_table_stats(g.table).alive, 1);
    g.now += 100 * NS_PER_S; /* the flow ends, and with it the other one */
    assert_true(flow_table_advance(g.table, g.now));
    expect_now(&g, " time=2520 request_bytes=27 dns_name=b.example dns_type=A app=dns ordinal=2 send=0 "
                   "outcome=unanswered\n");
    end_names(&g);
    assert_string_equal(t.exchanges, "");
}

/* It is told once, by itself, and the answer is told apart from what is asked again meanwhile. */
static void test_dns_answer_that_comes_late(void **state)
{
    (void)state;
    struct told t;
    struct stage g = begin_names((struct flow_table_options){.epoch = {1}}, &t);
    static const char unanswered[] =
        " time=10 request_bytes=27 dns_name=a.example dns_type=A app=dns ordinal=1 send=0 outcome=unanswered\n";
    stage_say(&g, &asked_a, false);
    g.now += DNS_WAIT_NS; /* within the same second as the next: the packet itself tells */
    stage_say(&g, &answered_a, false);
    stage_say(&g, &answered_a, false); /* said again */
    told_seal(&t, g.table);
    assert_memory_equal(t.exchanges, unanswered, strlen(unanswered));
    assert_string_equal(t.exchanges + strlen(unanswered),
                        " time=10 wait=5010 duration=5010 reply_bytes=43 dns_name=a.example dns_answers=10.0.0.1 "
                        "dns_type=A dns_rcode=NOERROR app=dns ordinal=1 outcome=late\n");
    assert_int_equal(t.sums[0], 2);
    t.len = 0;
    stage_say(&g, &asked_b, false);
    g.now += DNS_WAIT_NS + NS_PER_S;
    stage_say(&g, &asked_b, false); /* so late that it is another question */
    told_seal(&t, g.table);
    assert_non_null(strstr(t.exchanges, "b.example dns_type=A app=dns ordinal=2 send=0 outcome=unanswered"));
    t.len = 0;
    g.now += DNS_WAIT_NS + NS_PER_S;
    assert_true(flow_table_advance(g.table, g.now));
    told_seal(&t, g.table);
    assert_non_null(strstr(t.exchanges, "b.example dns_type=A app=dns ordinal=3 send=0 outcome=unanswered"));
    end_names(&g);
}

/* The capture ends within the second in which the wait is over, of which the query's flow knows nothing. */
static void test_dns_without_an_answer_at_the_end(void **state)
{
    (void)state;
    struct told t;
    struct stage g = begin_names((struct flow_table_options){.epoch = {1}}, &t);
    stage_say(&g, &asked_a, false);
    g.ports[C]++;
    g.now = T0 + DNS_WAIT_NS - STEP_NS;
    stage_say(&g, &asked_b, false); /* just not over */
    g.now += NS_PER_S / 2;
    stage_say(&g, &asked_a, false);
    end_names(&g);
    assert_int_equal(t.outcomes[EXCHANGE_UNANSWERED], 1);
    assert_int_equal(t.outcomes[EXCHANGE_OPEN], 2);
    assert_non_null(strstr(t.exchanges, "time=10 request_bytes=27 dns_name=a.example dns_type=A app=dns ordinal=1 "
                                        "send=0 outcome=unanswered\n"));
}

static void test_dns_wait_is_as_configured(void **state)
{
    (void)state;
    struct told t;
    struct flow_table_options o = {.timeouts.ns = {[FLOW_TIMER_DNS_QUERY] = 20 * NS_PER_S}};
    struct stage g = begin_names(o, &t);
    stage_say(&g, &asked_a, false);
    g.now += 19 * NS_PER_S;
    stage_say(&g, &answered_a, false);
    told_seal(&t, g.table);
    assert_non_null(strstr(t.exchanges, "ordinal=1 send=0 outcome=complete"));
    end_names(&g);
}

/* Flows whose queries nobody answers end in the order of their queries, as many in a chunk as it has room for; none is left or told twice. */
static void test_dns_many_without_an_answer(void **state)
{
    (void)state;
    enum { FLOWS = 100, ROWS = 2 * FLOW_TABLE_ROWS_SPARE };
    struct told t;
    struct stage g = begin_names((struct flow_table_options){.max_rows = ROWS}, &t);
    for (unsigned i = 0; i < FLOWS; i++) {
        g.ports[C] = 1000 + i;
        stage_say(&g, &asked_a, false);
        stage_say(&g, &asked_b, false);
    }
    while (flow_table_has_rows(g.table))
        told_seal(&t, g.table);
    assert_int_equal(t.len, 0);
    unsigned chunks = 0;
    for (g.now += DNS_WAIT_NS + NS_PER_S; !flow_table_advance(g.table, g.now); chunks++)
        told_seal(&t, g.table);
    told_seal(&t, g.table);
    assert_true(chunks >= FLOWS / ROWS);
    unsigned told = 0;
    for (const char *at = t.exchanges; (at = strstr(at, "outcome=unanswered")); at++)
        told++;
    assert_int_equal(told, 2 * FLOWS);
    assert_int_equal(flow_table_stats(g.table).alive, FLOWS);
    end_names(&g);
}

/* Packets may claim any time, in any order: each query waits from its own on. */
static void test_dns_waits_in_any_order(void **state)
{
    (void)state;
    enum { FLOWS = 8, QUERIES = 25, CLAIMED = 100, WAIT = 60, LONG = 1000 };
    struct told t;
    struct flow_table_options o = {
        .timeouts.ns = {[FLOW_TIMER_DNS_QUERY] = WAIT * NS_PER_S, [FLOW_TIMER_UDP] = LONG * NS_PER_S}};
    struct stage g = begin_names(o, &t);
    unsigned since[CLAIMED + 1] = {0}, answered = 0, told = 0, over = 0;
    t.is_brief = true;
    for (unsigned i = 0; i < FLOWS * QUERIES; i++) {
        unsigned second = CLAIMED - i * 37 % (CLAIMED + 1); /* the first one is the latest */
        uint8_t query[] = QUERY("\0\0", "a");
        query[1] = (uint8_t)i;
        g.ports[C] = 1000 + i % FLOWS;
        g.now = T0 + second * NS_PER_S;
        stage_give(&g, C, 0, 0, query, sizeof query - 1);
        since[second]++;
        if (i % 3)
            continue;
        query[2] = 0x81;
        stage_give(&g, S, 0, 0, query, sizeof query - 1);
        since[second]--;
        answered++;
    }
    for (unsigned now = CLAIMED + 1; now <= CLAIMED + WAIT + 1; now++) {
        while (!flow_table_advance(g.table, T0 + now * NS_PER_S))
            told_seal(&t, g.table);
        told_seal(&t, g.table);
        for (; told + WAIT < now; told++)
            over += since[told];
        assert_int_equal(t.outcomes[EXCHANGE_UNANSWERED], over);
    }
    assert_int_equal(over, FLOWS * QUERIES - answered);
    assert_int_equal(t.outcomes[EXCHANGE_COMPLETE], answered);
    assert_int_equal(flow_table_stats(g.table).alive, FLOWS);
    end_names(&g);
}

/* The clock stands still at the time that one packet claims; what the others say counts nevertheless. */
static void test_dns_behind_a_time_to_come(void **state)
{
    (void)state;
    static const struct message answered_b = {S, BYTES(ANSWER("\0\2", "b", "\x80"))};
    struct told t;
    struct stage g = begin_names((struct flow_table_options){.epoch = {1}}, &t);
    g.now = T0 + 2 * DNS_WAIT_NS;
    stage_say(&g, &asked_a, false);
    g.now = T0;
    stage_say(&g, &asked_b, false);
    g.now += DNS_WAIT_NS;
    stage_say(&g, &answered_b, false);
    told_seal(&t, g.table);
    assert_int_equal(t.outcomes[EXCHANGE_UNANSWERED], 1);
    assert_int_equal(t.outcomes[EXCHANGE_LATE], 1);
    assert_string_equal(t.running, " 1: 27");
    end_names(&g);
}

/* One that came later, but waits for longer, is told alone: the first one goes on. */
static void test_dns_told_before_the_first(void **state)
{
    (void)state;
    struct told t;
    struct stage g = begin_names((struct flow_table_options){.epoch = {1}}, &t);
    g.now = T0 + 2 * DNS_WAIT_NS;
    stage_say(&g, &asked_a, false);
    g.now = T0 + DNS_WAIT_NS + NS_PER_S;
    stage_say(&g, &asked_b, false);
    while (!flow_table_advance(g.table, T0 + 2 * DNS_WAIT_NS + 3 * NS_PER_S))
        told_seal(&t, g.table);
    told_seal(&t, g.table);
    assert_int_equal(t.outcomes[EXCHANGE_UNANSWERED], 1);
    assert_string_equal(t.running, " 1: 27");
    end_names(&g);
}

/* A capture that fails frees its flows as they are; the id of each is another. */
static void test_dns_given_up(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < 64; i++) {
        struct told t;
        struct stage g = begin_names((struct flow_table_options){.epoch = {i}}, &t);
        stage_say(&g, &asked_a, false);
        stage_say(&g, &asked_b, false);
        flow_table_free(g.table);
    }
}

static void test_dns_over_tcp(void **state)
{
    (void)state;
    static const struct message names_tcp[] = {{C, BYTES("\0\x1b" QUERY("\0\1", "a") "\0\x1b" QUERY("\0\2", "b"))},
                                               {S, BYTES("\0\x2b" ANSWER("\0\2", "b", "\x80"))},
                                               {S, BYTES("\0\x2b" ANSWER("\0\1", "a", "\x80"))}};
    struct told t;
    struct play p = PLAY;
    p.port = 53;
    PLAY_SCENE(names_tcp, &p, &t);
    told_expect(&t,
                " time=10 wait=10 duration=10 request_bytes=29 reply_bytes=45 dns_name=b.example dns_answers=10.0.0.1 "
                "dns_type=A dns_rcode=NOERROR app=dns ordinal=2 send=0 outcome=complete\n"
                " time=10 wait=20 duration=20 request_bytes=29 reply_bytes=45 dns_name=a.example dns_answers=10.0.0.1 "
                "dns_type=A dns_rcode=NOERROR app=dns ordinal=1 send=0 outcome=complete\n");
    scene_check_all_ways(names_tcp, sizeof names_tcp / sizeof *names_tcp, &p, &t);
    p.lost = 1;
    assert_string_equal(OUTCOMES(names_tcp, &p), "complete unseen");
}

static void test_mdns_has_no_exchanges(void **state)
{
    (void)state;
    static const struct message asked[] = {{C, BYTES(QUERY("\0\0", "a"))}};
    struct told t;
    struct play p = PLAY;
    p.udp = true;
    p.port = 5353;
    PLAY_SCENE(asked, &p, &t);
    assert_string_equal(t.exchanges, "");
    assert_string_equal(t.flow, "mdns a.example");
}

/* ---------------------------------------------------------------- TLS, SSH */
static const uint16_t suites[] = {0x1301, 0xc02f, 0}, versions[] = {0x0304, 0}, signatures[] = {0x0403, 0};

static const char *const protocols[] = {"h2", "http/1.1", NULL};

static struct message record(int from, uint8_t type, const void *data, size_t len, struct hello_build *room)
{
    *room = hello_records(type, data, len, 16384);
    return (struct message){from, (const char *)room->at, room->len};
}

static void play_tls(bool is_13, const struct play *p, struct told *t, bool all_ways)
{
    static struct hello_build room[8];
    struct hello_parts client = {.version = 0x0303,
                                 .ciphers = suites,
                                 .server_name = "Web.Example",
                                 .alpn = protocols,
                                 .versions = versions,
                                 .signatures = signatures,
                                 .padding = 700};
    struct hello_parts server = {
        .version = 0x0303, .ciphers = is_13 ? suites : suites + 1, .versions = is_13 ? versions : NULL};
    struct hello_build c = hello_client(&client), s = hello_server(&server, 0);
    struct message scene[] = {record(C, 22, c.at, c.len, &room[0]),
                              record(S, 22, s.at, s.len, &room[1]),
                              record(S, 20, "\1", 1, &room[2]),
                              record(S, is_13 ? 23 : 22, "finished....", 12, &room[3]),
                              record(C, 20, "\1", 1, &room[4]),
                              record(C, is_13 ? 23 : 22, "finished....", 12, &room[5]),
                              record(C, 23, "GET / HTTP/1.1", 14, &room[6]),
                              record(S, 23, "HTTP/1.1 200 OK", 15, &room[7])};
    scene_play(scene, sizeof scene / sizeof *scene, p, t);
    if (all_ways)
        scene_check_all_ways(scene, sizeof scene / sizeof *scene, p, t);
}

static void test_tls(void **state)
{
    (void)state;
    struct told t;
    struct play p = PLAY;
    p.port = 443;
    play_tls(true, &p, &t, true);
    assert_non_null(strstr(t.exchanges, " time=10 wait=10 duration=50 "));
    assert_non_null(strstr(
        t.exchanges, " app=tls ordinal=1 send=0 outcome=complete version=TLS 1.3 sni=web.example alpn=h2 ja4=t13d"));
    assert_non_null(strstr(t.exchanges, " tls_cipher=TLS_AES_128_GCM_SHA256\n"));
    assert_string_equal(t.flow, "tls web.example h2");
    assert_int_equal(t.sums[0], 1);
    play_tls(false, &p, &t, true);
    assert_non_null(strstr(t.exchanges, " duration=40 ")); /* to the client's ChangeCipherSpec */
    assert_non_null(strstr(t.exchanges, "version=TLS 1.2"));
    p.mute[S] = true;
    play_tls(true, &p, &t, false);
    assert_non_null(strstr(t.exchanges, "outcome=unseen"));
    p.mute[S] = false;
    p.mute[C] = true;
    p.no_fin = true;
    play_tls(true, &p, &t, false);
    assert_non_null(strstr(t.exchanges, "outcome=unseen version=TLS 1.3"));
}

static void test_tls_that_fails(void **state)
{
    (void)state;
    static struct hello_build room[2];
    struct hello_parts client = {.version = 0x0303, .ciphers = suites, .server_name = "x.example"};
    struct hello_build c = hello_client(&client);
    struct message scene[] = {record(C, 22, c.at, c.len, &room[0]), record(S, 21, "\2\x28", 2, &room[1])};
    struct told t;
    PLAY_SCENE(scene, &PLAY, &t);
    assert_non_null(strstr(t.exchanges, "outcome=cut sni=x.example"));
    assert_non_null(strstr(t.exchanges, "tls_alert=handshake_failure"));
    assert_string_equal(scene_outcomes(scene, 1, &PLAY), "unanswered");
}

/* A server of something else on that port says so in its own words. */
static void test_tls_to_a_plain_port(void **state)
{
    (void)state;
    static struct hello_build room;
    struct hello_parts client = {.version = 0x0303, .ciphers = suites, .server_name = "x.example"};
    struct hello_build c = hello_client(&client);
    struct message scene[] = {record(C, 22, c.at, c.len, &room), {S, "HTTP/1.1 400 Bad Request\r\n\r\n", 0}};
    struct told t;
    struct play p = PLAY;
    p.port = 80;
    PLAY_SCENE(scene, &p, &t);
    assert_non_null(strstr(t.exchanges, "app=tls"));
    assert_non_null(strstr(t.exchanges, "outcome=cut sni=x.example"));
    assert_non_null(strstr(t.flow, "tls"));
}

static void test_ssh(void **state)
{
    (void)state;
    static const struct message lines[] = {
        {S, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 0}, {C, "SSH-2.0-PuTTY\r\n", 0}, {C, "\x00\x01\x02 whatever", 12}};
    struct told t;
    struct play p = PLAY;
    p.port = 22;
    PLAY_SCENE(lines, &p, &t);
    assert_string_equal(t.exchanges, "");
    assert_string_equal(t.flow, "ssh SSH-2.0-PuTTY SSH-2.0-OpenSSH_9.2p1 Debian-2");
    scene_check_all_ways(lines, sizeof lines / sizeof *lines, &p, &t);
}

static void test_names_alone(void **state)
{
    (void)state;
    static const struct message mail[] = {{S, "220 mx.example ESMTP Postfix\r\n", 0}, {C, "EHLO me\r\n", 0}};
    struct told t;
    struct play p = PLAY;
    p.port = 25;
    PLAY_SCENE(mail, &p, &t);
    assert_string_equal(t.exchanges, "");
    assert_string_equal(t.flow, "smtp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_dns_without_an_answer),
        cmocka_unit_test(test_dns_answer_that_comes_late),
        cmocka_unit_test(test_dns_without_an_answer_at_the_end),
        cmocka_unit_test(test_dns_wait_is_as_configured),
        cmocka_unit_test(test_dns_waits_in_any_order),
        cmocka_unit_test(test_dns_behind_a_time_to_come),
        cmocka_unit_test(test_dns_told_before_the_first),
        cmocka_unit_test(test_dns_many_without_an_answer),
        cmocka_unit_test(test_dns_given_up),
        cmocka_unit_test(test_dns_over_tcp),
        cmocka_unit_test(test_mdns_has_no_exchanges),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_tls_that_fails),
        cmocka_unit_test(test_tls_to_a_plain_port),
        cmocka_unit_test(test_ssh),
        cmocka_unit_test(test_names_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
