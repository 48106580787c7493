/*
 * conversation: how much is listened to, and who gives way to whom.
 */
#include "agent/capture/conversation.h"
#include "tests/unit/conversation_play.h"

#include <stdlib.h>
#include <string.h>

/* However much there is for all: requests that nobody answers are kept as far as one flow may go. */
static void test_a_flow_has_a_limit(void **state)
{
    (void)state;
    static struct message many[CONVERSATION_FLOW_MAX / 1000];
    static char request[1000];
    struct told t;
    struct play p = PLAY;
    p.memory = 64u << 20;
    memset(request, 'a', sizeof request - 1);
    memcpy(request, "GET /", 5);
    memcpy(request + sizeof request - 1 - 13, " HTTP/1.1\r\n\r\n", 13);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        many[i] = (struct message){C, request, 0};
    scene_play(many, 10, &p, &t);
    assert_int_equal(t.unheard, 0);
    scene_play(many, sizeof many / sizeof *many, &p, &t);
    assert_int_equal(t.unheard, 1);
}

/* One page in a connection of its own. */
static void visit(struct stage *g, unsigned port)
{
    static const struct message asked = {C, "GET / HTTP/1.1\r\nHost: web.example\r\n\r\n", 0},
                                answer = {S, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0};
    g->ports[C] = port;
    g->seq[C] = g->seq[S] = 1;
    stage_say(g, &asked, false);
    stage_say(g, &answer, false);
}

#define REQUESTS 80u

/* Requests that wait for replies which never come, nearly as many as one connection may have. */
static void hoard(struct stage *g, unsigned port)
{
    static char request[1000];
    const struct message m = {C, request, 0};
    memset(request, 'a', sizeof request - 1);
    memcpy(request, "GET /", 5);
    memcpy(request + sizeof request - 1 - 13, " HTTP/1.1\r\n\r\n", 13);
    g->ports[C] = port;
    g->seq[C] = g->seq[S] = 1;
    for (unsigned i = 0; i < REQUESTS; i++)
        stage_say(g, &m, false);
}

/* Connections that take all memory and fall silent give way to others: those are read on, and what was known of the first is told. */
static void test_the_silent_give_way(void **state)
{
    (void)state;
    enum { MEMORY = 4 << 20, HOARDERS = 80, VISITS = 300 };
    struct flow_table_options o = {.epoch = {1}, .app_payload = FLOW_TABLE_APP_ALL, .app_memory = MEMORY};
    static const struct play p = {.lost = -1};
    struct told *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->is_brief = true;
    struct stage g = {.play = &p, .told = t, .now = T0, .ports = {40000, 80}};
    assert_int_equal(flow_table_new(&o, &g.table, NULL), 0);
    for (unsigned i = 0; i < HOARDERS; i++) {
        hoard(&g, 1000 + i);
        told_seal(t, g.table);
        assert_in_range(flow_table_stats(g.table).app_memory, 1, MEMORY - 1);
    }
    uint64_t unheard = flow_table_stats(g.table).unheard;
    assert_in_range(unheard, 1, HOARDERS);
    for (unsigned i = 0; i < VISITS; i++) {
        visit(&g, 2000 + i);
        told_seal(t, g.table);
        assert_int_equal(t->outcomes[EXCHANGE_COMPLETE], i + 1);
    }
    assert_true(flow_table_stats(g.table).unheard > unheard);
    while (!flow_table_end(g.table, FLOW_END_FORCED))
        told_seal(t, g.table);
    told_seal(t, g.table);
    assert_int_equal(t->outcomes[EXCHANGE_OPEN],
                     HOARDERS * REQUESTS); /* each is told, and that nobody knows how it ended */
    assert_int_equal(flow_table_stats(g.table).app_memory, 0);
    flow_table_free(g.table);
    free(t);
}

/* Where the memory is full of what stays with flows, nobody gives way: that would free next to nothing, again with each packet. */
static void test_nobody_gives_way_in_vain(void **state)
{
    (void)state;
    enum { MEMORY = 4 << 20, PACKETS = 100 };
    static const struct message asked = {C, "GET / HTTP/1.1\r\nHost: web.example\r\n\r\n", 0},
                                answer = {S, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0},
                                switched = {S, "HTTP/1.1 101 Switching Protocols\r\nServer: web\r\n\r\n", 0};
    struct flow_table_options o = {.epoch = {1}, .app_payload = FLOW_TABLE_APP_ALL, .app_memory = MEMORY};
    static const struct play p = {.lost = -1};
    struct told *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->is_brief = true;
    struct stage g = {.play = &p, .told = t, .now = T0, .ports = {1000, 80}, .seq = {1, 1}};
    assert_int_equal(flow_table_new(&o, &g.table, NULL), 0);
    stage_say(&g, &asked, false); /* will be silent */
    unsigned others = 0;
    for (; flow_table_stats(g.table).app_memory < MEMORY / 16 * 15; others++) {
        g.ports[C]++;
        g.seq[C] = g.seq[S] = 1;
        g.now -= 2 * STEP_NS; /* nothing is idle */
        stage_say(&g, &asked, false);
        stage_say(&g, &switched, false);
        told_seal(t, g.table);
    }
    g.ports[C]++;
    g.seq[C] = g.seq[S] = 1;
    for (unsigned i = 0; i < PACKETS; i++)
        stage_say(&g, i % 2 ? &answer : &asked, false);
    g.ports[C] = 1000;
    g.seq[C] = 1 + (uint32_t)strlen(asked.bytes);
    g.seq[S] = 1;
    stage_say(&g, &answer, false);
    told_seal(t, g.table);
    assert_int_equal(t->outcomes[EXCHANGE_COMPLETE], others + PACKETS / 2 + 1);
    assert_int_equal(flow_table_stats(g.table).unheard, 0);
    while (!flow_table_end(g.table, FLOW_END_FORCED))
        told_seal(t, g.table);
    told_seal(t, g.table);
    assert_int_equal(flow_table_stats(g.table).app_memory, 0);
    flow_table_free(g.table);
    free(t);
}

/* Exchanges that go on in the chunk, which then ends; *most: of one flow, whose rows stand together. */
static size_t seal_running(struct flow_table *table, size_t *most)
{
    const struct exchange_row *x;
    struct flow_row *rows;
    size_t n, count = 0, alike = 0;
    *most = 0;
    assert_int_equal(flow_table_rows(table, &rows, &n, NULL), 0);
    flow_table_exchanges(table, &x, &n);
    for (size_t i = 0; i < n; i++) {
        alike = i && x[i].flow_id == x[i - 1].flow_id ? alike + 1 : 1;
        *most = alike > *most ? alike : *most;
        count += x[i].outcome == EXCHANGE_RUNNING;
    }
    flow_table_next(table);
    return count;
}

/* What goes on is told of each flow, if not all of it, and gets only its share of the memory; what is not told is counted, and not lost. */
static void test_what_goes_on_has_limits(void **state)
{
    (void)state;
    enum { MEMORY = 4 << 20, FLOWS = 600, QUERIES = 20 };
    struct flow_table_options o = {.epoch = {1}, .app_payload = FLOW_TABLE_APP_ALL, .app_memory = MEMORY};
    static const struct play p = {.lost = -1};
    struct stage g = {.play = &p, .now = T0, .udp = true, .ports = {40000, 53}};
    struct told *t = calloc(1, sizeof *t);
    size_t told, most;
    assert_non_null(t);
    t->is_brief = true;
    g.told = t;
    assert_int_equal(flow_table_new(&o, &g.table, NULL), 0);
    for (unsigned i = 0; i < FLOWS * QUERIES; i++) {
        uint8_t query[] = "\0\0\1\0\0\1\0\0\0\0\0\0\7example\0\0\1\0\1";
        query[1] = (uint8_t)(i % QUERIES);
        g.ports[C] = 1000 + i / QUERIES;
        stage_give(&g, C, 0, 0, query, sizeof query - 1);
        if (i + 1 == QUERIES)
            assert_int_equal(seal_running(g.table, &most), CONVERSATION_RUNNING_MAX);
    }
    assert_int_equal(flow_table_stats(g.table).untold, QUERIES - CONVERSATION_RUNNING_MAX);
    told = seal_running(g.table, &most);
    assert_in_range(told, 100, MEMORY / 2 / sizeof(struct exchange_row));
    assert_in_range(most, 1, CONVERSATION_RUNNING_MAX);
    assert_int_equal(told + flow_table_stats(g.table).untold - (QUERIES - CONVERSATION_RUNNING_MAX),
                     (FLOWS - 1) * QUERIES);
    assert_int_equal(flow_table_stats(g.table).unheard, 0);
    while (!flow_table_end(g.table, FLOW_END_FORCED))
        told_seal(t, g.table);
    told_seal(t, g.table);
    assert_int_equal(t->outcomes[EXCHANGE_OPEN], FLOWS * QUERIES);
    flow_table_free(g.table);
    free(t);
}

/* Asks for the longest name; returns the length of the message. */
static size_t long_query(uint8_t *at, unsigned id)
{
    static const uint8_t labels[] = {63, 63, 63, 61};
    const uint8_t header[] = {(uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    static const uint8_t end[] = {0, 0, 1, 0, 1};
    uint8_t *to = at + sizeof header;
    memcpy(at, header, sizeof header);
    for (size_t i = 0; i < sizeof labels; i++, to += labels[i - 1]) {
        *to++ = labels[i];
        memset(to, 'a', labels[i]);
    }
    memcpy(to, end, sizeof end);
    return (size_t)(to - at) + sizeof end;
}

/* Queries that nobody answered do not use up what their flow may take. */
static void test_unanswered_names_are_forgotten(void **state)
{
    (void)state;
    enum { QUERIES = 600 };
    struct flow_table_options o = {.epoch = {1}, .app_payload = FLOW_TABLE_APP_ALL};
    static const struct play p = {.lost = -1};
    struct told *t = calloc(1, sizeof *t);
    uint8_t message[512];
    assert_non_null(t);
    t->is_brief = true;
    struct stage g = {.play = &p, .told = t, .now = T0, .udp = true, .ports = {40000, 53}};
    assert_int_equal(flow_table_new(&o, &g.table, NULL), 0);
    for (unsigned i = 0; i < QUERIES; i++) {
        size_t len = long_query(message, i);
        g.now += NS_PER_S / 10;
        stage_give(&g, C, 0, 0, message, len);
        assert_in_range(flow_table_stats(g.table).app_memory, 1, CONVERSATION_FLOW_MAX / 4 * 3);
        if (i + 1 < QUERIES)
            continue;
        message[2] |= 0x80; /* a response */
        stage_give(&g, S, 0, 0, message, len);
    }
    assert_int_equal(flow_table_stats(g.table).unheard, 0);
    while (!flow_table_end(g.table, FLOW_END_IDLE))
        told_seal(t, g.table);
    told_seal(t, g.table);
    assert_int_equal(t->outcomes[EXCHANGE_COMPLETE], 1);
    assert_int_equal(t->outcomes[EXCHANGE_UNANSWERED], QUERIES - 1);
    flow_table_free(g.table);
    free(t);
}

/* Half of all numbers ahead: the segment begins before what is next, and ends behind it. */
static void test_a_segment_that_is_far_ahead(void **state)
{
    (void)state;
    static const struct message cut_request[] = {{C, "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", 0},
                                                 {S, "HTTP/1.1 100 Continue\r\n\r\n", 0}};
    struct play p = PLAY;
    p.no_fin = true;
    for (uint32_t less = 0; less < 12; less++) {
        p.far = INT32_MAX - less;
        assert_string_equal(OUTCOMES(cut_request, &p), "open"); /* the body is missing, and was only counted */
    }
}

static void test_other_things(void **state)
{
    (void)state;
    static const struct message strange[] = {
        {C, "\x01\x02\x03\x04 what is this, and why is it so long that nobody can say", 0},
        {S, "\xff\xfe\xfd\xfc neither is this anything that anybody ever knew of, no", 0},
        {C, "GET / HTTP/1.1\r\n\r\n", 0}};
    struct told t;
    PLAY_SCENE(strange, &PLAY, &t);
    assert_string_equal(t.exchanges, "");
    assert_string_equal(t.flow, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flow_has_a_limit),
        cmocka_unit_test(test_the_silent_give_way),
        cmocka_unit_test(test_nobody_gives_way_in_vain),
        cmocka_unit_test(test_what_goes_on_has_limits),
        cmocka_unit_test(test_unanswered_names_are_forgotten),
        cmocka_unit_test(test_a_segment_that_is_far_ahead),
        cmocka_unit_test(test_other_things),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
