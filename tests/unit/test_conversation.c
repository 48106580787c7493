/*
 * conversation: what flows and exchanges say of HTTP, however segments came: cut anywhere, twice, out of order, in any chunks, or not at all.
 */
#include "agent/capture/conversation.h"
#include "tests/unit/conversation_play.h"

#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- HTTP */
static const struct message pages[] = {
    {C, "GET /a?secret HTTP/1.1\r\nHost: web.example\r\nUser-Agent: curl/8\r\n\r\n", 0},
    {S, "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello", 0},
    {C, "POST /b HTTP/1.1\r\nHost: web.example\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", 0},
    {S, "HTTP/1.1 100 Continue\r\n\r\n", 0},
    {C, "abc", 0},
    {S, "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 0},
    /* pipelined */
    {C, "HEAD /c HTTP/1.1\r\nHost: h\r\n\r\nGET /d HTTP/1.1\r\nHost: h\r\n\r\nGET /e HTTP/1.1\r\nHost: h\r\n\r\n", 0},
    {S, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n", 0},
    {S, "HTTP/1.1 500 Oh\r\n\r\nuntil the end", 0},
};

static const char pages_told[] =
    " time=10 wait=10 duration=10 request_bytes=65 reply_bytes=83 method=GET http_host=web.example path=/a "
    "content_type=text/html status=200 app=http ordinal=1 send=0 request_body=0 reply_body=5 outcome=complete "
    "version=HTTP/1.1\n"
    " time=30 wait=10 duration=30 request_bytes=83 reply_bytes=66 method=POST http_host=web.example path=/b status=404 "
    "app=http ordinal=2 send=20 request_body=3 reply_body=2 outcome=complete version=HTTP/1.1\n"
    " time=70 wait=10 duration=10 request_bytes=29 reply_bytes=40 method=HEAD http_host=h path=/c status=200 app=http "
    "ordinal=3 send=0 request_body=0 reply_body=0 outcome=complete version=HTTP/1.1\n"
    " time=70 wait=10 duration=10 request_bytes=28 reply_bytes=29 method=GET http_host=h path=/d status=304 app=http "
    "ordinal=4 send=0 request_body=0 reply_body=0 outcome=complete version=HTTP/1.1\n"
    " time=70 wait=20 duration=20 request_bytes=28 reply_bytes=32 method=GET http_host=h path=/e status=500 app=http "
    "ordinal=5 send=0 request_body=0 reply_body=13 outcome=complete version=HTTP/1.1\n";

static void test_http(void **state)
{
    (void)state;
    struct told t;
    PLAY_SCENE(pages, &PLAY, &t);
    told_expect(&t, pages_told);
    assert_string_equal(t.flow, "http h curl/8 nginx");
    static const uint64_t sums[8] = {5, 1, 2, 1, 1, 1, 500, 0};
    assert_memory_equal(t.sums, sums, sizeof sums);
    scene_check_all_ways(pages, sizeof pages / sizeof *pages, &PLAY, &t);
}

/* A request that waits, then a reply that goes on: each chunk tells how far they came, and the last one how they ended. */
static void test_what_goes_on_is_told(void **state)
{
    (void)state;
    static const struct {
        struct message said;
        const char *running;
    } steps[] = {
        {{C, "GET /long HTTP/1.1\r\nHost: h\r\n", 0}, ""}, /* the head goes on */
        {{C, "\r\nGET /next HTTP/1.1\r\n\r\n", 0}, " 1: 31 2: 22"},
        {{S, "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n", 0}, " 1: 31+41 2: 22"},
        {{S, NULL, 1000}, " 1: 31+1041 2: 22"},
        {{S, NULL, 1000}, " 1: 31+2041 2: 22"},
        {{S, NULL, 1000}, " 2: 22"},
    };
    struct told t = {0};
    struct flow_table_options o = {.epoch = {1}, .app_payload = FLOW_TABLE_APP_ALL};
    static const struct play p = {.lost = -1};
    struct stage g = {.play = &p, .told = &t, .seq = {1, 1}, .now = T0, .ports = {40000, 80}};
    static char body[1000];
    assert_int_equal(flow_table_new(&o, &g.table, NULL), 0);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct message m = steps[i].said;
        m.bytes = m.bytes ? m.bytes : body;
        t.running[0] = 0;
        stage_say(&g, &m, false);
        told_seal(&t, g.table);
        assert_string_equal(t.running, steps[i].running);
    }
    assert_true(flow_table_end(g.table, FLOW_END_FORCED));
    told_seal(&t, g.table);
    static const char ended[] = "path=/long status=200 app=http ordinal=1 send=10 request_body=0 reply_body=3000 "
                                "outcome=complete version=HTTP/1.1\n time=20 request_bytes=22 method=GET path=/next "
                                "app=http ordinal=2 send=0 request_body=0 outcome=open";
    assert_non_null(strstr(t.exchanges, ended));
    assert_int_equal(t.sums[0], 2); /* each counts once */
    flow_table_free(g.table);
}

/* Each word takes away what it names, from the exchange and from the flow, and nothing else. */
static void test_http_is_blanked(void **state)
{
    (void)state;
    static const struct message scene[] = {
        {C, "GET /way?q HTTP/1.1\r\nHost: web.example\r\nUser-Agent: curl/8\r\n\r\n", 0},
        {S, "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", 0}};
    static const struct message proxy[] = {{C, "CONNECT web.example:443 HTTP/1.1\r\nHost: web.example:443\r\n\r\n", 0},
                                           {S, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 0}};
    static const struct {
        uint8_t bit;
        const char *said;
    } words[] = {{HTTP_BLANK_PATH, "/way"},
                 {HTTP_BLANK_HOST, "web.example"},
                 {HTTP_BLANK_USER_AGENT, "curl/8"},
                 {HTTP_BLANK_SERVER, "nginx"},
                 {HTTP_BLANK_CONTENT_TYPE, "text/html"}};
    char all[TEXT_MAX + sizeof((struct told *)0)->flow];
    struct told t;
    for (unsigned blank = 0; blank <= HTTP_BLANK_ALL; blank++) {
        struct play p = PLAY;
        p.blank = (uint8_t)blank;
        PLAY_SCENE(scene, &p, &t);
        snprintf(all, sizeof all, "%s%s", t.exchanges, t.flow);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            assert_int_equal(strstr(all, words[i].said) == NULL, (blank & words[i].bit) != 0);
        assert_non_null(strstr(t.exchanges, "method=GET"));
        assert_non_null(strstr(t.exchanges, "status=200"));
    }
    struct play p = PLAY;
    p.blank = HTTP_BLANK_HOST;
    PLAY_SCENE(proxy, &p, &t);
    assert_null(strstr(t.exchanges, "web.example"));
    assert_non_null(strstr(t.exchanges, "method=CONNECT"));
}

static void test_http_ends(void **state)
{
    (void)state;
    static const struct message unanswered[] = {{C, "GET / HTTP/1.1\r\n\r\n", 0}};
    static const struct message cut_request[] = {{C, "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", 0}};
    static const struct message cut_reply[] = {{C, "GET / HTTP/1.1\r\n\r\n", 0},
                                               {S, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 0}};
    static const struct message cut_head[] = {{C, "GET / HTTP/1.1\r\n\r\n", 0}, {S, "HTTP/1.1 200 OK\r\nServ", 0}};
    static const struct message early[] = {{C, "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", 0},
                                           {S, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", 0}};
    static const struct message upgraded[] = {{C, "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 0},
                                              {S, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", 0},
                                              {C, "GET / HTTP/1.1\r\n\r\n", 0}};
    static const struct message tunnel[] = {
        {C, "CONNECT x:1 HTTP/1.1\r\n\r\n", 0}, {S, "HTTP/1.1 200 OK\r\n\r\n", 0}, {C, "GET / HTTP/1.1\r\n\r\n", 0}};
    static const struct message broken[] = {{C, "GET / HTTP/1.1\r\n\r\n", 0}, {S, "HTTP/1.1 x\r\n\r\n", 0}};
    static const struct message confused[] = {{C, "GET / HTTP/1.1\r\n\r\n", 0},
                                              {S, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", 0}};
    struct told t;
    PLAY_SCENE(confused, &PLAY, &t);
    told_expect(
        &t, " time=10 wait=10 request_bytes=18 reply_bytes=38 method=GET path=/ status=200 app=http ordinal=1 send=0 "
            "request_body=0 reply_body=0 outcome=unseen version=HTTP/1.1\n");
    struct play open = PLAY;
    open.no_fin = true;
    assert_string_equal(OUTCOMES(unanswered, &PLAY), "unanswered");
    assert_string_equal(OUTCOMES(unanswered, &open), "open");
    assert_string_equal(OUTCOMES(cut_request, &PLAY), "cut");
    assert_string_equal(OUTCOMES(cut_request, &open), "open");
    PLAY_SCENE(cut_reply, &PLAY, &t);
    assert_non_null(strstr(t.exchanges, " duration=")); /* as far as it came */
    assert_string_equal(OUTCOMES(cut_reply, &PLAY), "cut");
    assert_string_equal(OUTCOMES(cut_reply, &open), "open");
    assert_string_equal(OUTCOMES(cut_head, &PLAY), "cut");
    assert_string_equal(OUTCOMES(early, &PLAY), "complete");
    assert_string_equal(OUTCOMES(upgraded, &PLAY), "complete");
    assert_string_equal(OUTCOMES(tunnel, &PLAY), "complete");
    assert_string_equal(OUTCOMES(broken, &PLAY), "unseen");
}

static void test_what_is_missing(void **state)
{
    (void)state;
    struct play p = PLAY;
    p.lost = 0; /* the first request */
    assert_string_equal(OUTCOMES(pages, &p), "unseen complete complete complete complete");
    p.lost = 1; /* the first reply */
    assert_string_equal(OUTCOMES(pages, &p), "unseen complete complete complete complete");
    p.lost = 4; /* a body needs not be seen */
    assert_string_equal(OUTCOMES(pages, &p), "complete complete complete complete complete");
    p.lost = 5;
    assert_string_equal(OUTCOMES(pages, &p), "complete unseen complete complete complete");
    p.lost = 7; /* two replies, and the next one answers the last request */
    assert_string_equal(OUTCOMES(pages, &p), "complete complete unseen unseen complete");
    p.lost = -1;
    p.mute[S] = true; /* requests alone; replies alone */
    assert_string_equal(OUTCOMES(pages, &p), "unseen unseen unseen unseen unseen");
    p.mute[S] = false;
    p.mute[C] = true;
    p.no_fin = true;
    assert_string_equal(OUTCOMES(pages, &p), "unseen unseen unseen"); /* the one for HEAD seems to have a body */
}

static void test_a_capture_that_begins_later(void **state)
{
    (void)state;
    struct play p = PLAY;
    p.no_syn = true;
    struct told t;
    PLAY_SCENE(pages, &p, &t);
    told_expect(&t, pages_told);
    static const struct message late[] = {
        {S, "the rest of a page", 0}, {C, "GET / HTTP/1.1\r\n\r\n", 0}, {S, "HTTP/1.1 204 No\r\n\r\n", 0}};
    assert_string_equal(OUTCOMES(late, &p), "complete");
}

static void test_packets_that_are_cut(void **state)
{
    (void)state;
    static const struct message long_body[] = {
        {C, "GET / HTTP/1.1\r\n\r\n", 0},
        {S,
         "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
         "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
         0},
        {C, "GET /2 HTTP/1.1\r\n\r\n", 0},
        {S, "HTTP/1.1 204 No\r\n\r\n", 0}};
    struct play p = PLAY;
    p.cut = 50;
    assert_string_equal(OUTCOMES(long_body, &p), "complete complete");
    p.cut = 10; /* not even the heads: what was asked for, as far as that goes */
    assert_string_equal(OUTCOMES(long_body, &p), "unseen unseen");
}

/* ---------------------------------------------------------------- bounds */
static void test_what_may_not_be_looked_at(void **state)
{
    (void)state;
    struct flow_table_options o = {.epoch = {1}};
    struct told t = {0};
    struct play p = PLAY;
    struct stage g = {.play = &p, .told = &t, .seq = {1, 1}, .now = T0, .ports = {40000, 80}};
    assert_int_equal(flow_table_new(&o, &g.table, NULL), 0);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        stage_say(&g, &pages[i], false);
    told_seal(&t, g.table);
    flow_table_free(g.table);
    assert_string_equal(t.exchanges, "");
    assert_string_equal(t.flow, "");
    /* so many bytes: as if no more had been captured */
    p.payload = 10;
    assert_string_equal(OUTCOMES(pages, &p), "unseen unseen unseen");
}

static void test_memory_has_a_limit(void **state)
{
    (void)state;
    struct told t;
    struct play p = PLAY;
    for (p.memory = 1; p.memory < 400000; p.memory += p.memory < 8000 ? 61 : 7919) {
        p.piece = p.memory % 50;
        PLAY_SCENE(pages, &p, &t); /* must not fall over */
        assert_true(t.packets > 0 && (t.unheard == 1 || t.exchanges[0]));
        assert_true(p.memory > 100 || t.unheard == 1);
    }
}

/* By the snaplen: a row has what was captured. */
static void test_requests_that_are_cut(void **state)
{
    (void)state;
    static const struct message cut[] = {
        {C, "GET /a/long/path?q HTTP/1.1\r\nHost: web.example\r\nAccept: text/html\r\n\r\n", 0},
        {S, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0}};
    struct told t;
    struct play p = PLAY;
    p.cut = 10;
    PLAY_SCENE(cut, &p, &t);
    assert_non_null(strstr(t.exchanges, "method=GET path=/a/lon"));
    assert_non_null(strstr(t.exchanges, "outcome=unseen"));
    assert_null(strstr(t.exchanges, "version="));
    p.cut = 50;
    PLAY_SCENE(cut, &p, &t);
    assert_non_null(strstr(t.exchanges, "method=GET http_host=web.example path=/a/long/path"));
}

/* The request's body was refused before it was sent whole, or without a look at it. */
static void test_an_early_reply_has_a_wait(void **state)
{
    (void)state;
    static const struct message refused[] = {{C, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", 0},
                                             {S, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 0},
                                             {C, "defghi", 0}};
    struct told t;
    PLAY_SCENE(refused, &PLAY, &t);
    assert_non_null(strstr(t.exchanges, " wait=10 "));
    scene_play(refused, 2, &PLAY, &t);
    assert_non_null(strstr(t.exchanges, " wait=10 "));
}

/* An ack of what nobody can have sent yet hides nothing. */
static void test_acks_are_not_believed_beyond_a_window(void **state)
{
    (void)state;
    struct flow_table_options o = {.epoch = {1}, .app_payload = FLOW_TABLE_APP_ALL};
    static const struct message asked = {C, "GET / HTTP/1.1\r\nHost: web.example\r\n\r\n", 0},
                                answered = {S, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0};
    struct told t = {0};
    struct play p = PLAY;
    struct stage g = {.play = &p, .told = &t, .seq = {1000, 2000}, .now = T0, .ports = {40000, 80}};
    assert_int_equal(flow_table_new(&o, &g.table, NULL), 0);
    stage_give(&g, C, TCP_SYN, g.seq[C] - 1, NULL, 0);
    stage_give(&g, S, TCP_SYN | TCP_ACK, g.seq[S] - 1, NULL, 0);
    uint32_t seq = g.seq[S];
    g.seq[S] += 100000; /* which the client's next packet acknowledges */
    stage_say(&g, &asked, false);
    g.seq[S] = seq;
    stage_say(&g, &answered, false);
    told_seal(&t, g.table);
    assert_non_null(strstr(t.exchanges, "status=200"));
    assert_non_null(strstr(t.exchanges, "outcome=complete"));
    flow_table_free(g.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_what_goes_on_is_told),
        cmocka_unit_test(test_http_is_blanked),
        cmocka_unit_test(test_http_ends),
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_a_capture_that_begins_later),
        cmocka_unit_test(test_packets_that_are_cut),
        cmocka_unit_test(test_what_may_not_be_looked_at),
        cmocka_unit_test(test_memory_has_a_limit),
        cmocka_unit_test(test_requests_that_are_cut),
        cmocka_unit_test(test_an_early_reply_has_a_wait),
        cmocka_unit_test(test_acks_are_not_believed_beyond_a_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
