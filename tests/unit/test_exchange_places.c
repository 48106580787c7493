/* Exchanges that several places saw: several captures on one interface, several interfaces, several agents. */
#include "tests/unit/exchange_support.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    uint8_t stream;
    const char *agent, *interface;
};

static void commit_without_body(struct store *store, struct chunk_head *h)
{
    struct buffer head = {0};
    h->body = BODY_NEVER;
    h->frame_count = 0;
    h->body_length = h->body_raw_length = h->body_hash = 0;
    assert_int_equal(head_encode(h, &head, NULL), 0);
    struct made made = {.head = head, .install = {1}};
    assert_int_equal(store_verify_head(head.data, head.len, &made.decoded, NULL), 0);
    struct store_part part = head_part(&made, T0 + MINUTE);
    assert_int_equal(store_commit(store, &part, 1, NULL), 0);
    assert_int_equal(part.result, 0);
    made_free(&made);
}

/* One and the same connection with these exchanges, as a place of `at` saw it: with a flow id of its own. In the chunk `seq`. */
static void commit_part(struct world *w, const struct place *at, uint64_t seq, const struct exchange_row *seen,
                        size_t count)
{
    const struct wish alike = {.stream = 1, .rows = 1};
    const struct wish wish = {
        .stream = at->stream, .seq = seq, .rows = 1, .agent = at->agent, .interface = at->interface};
    struct exchange_row *x = calloc(count, sizeof *x);
    struct buffer flows = {0}, exchanges = {0};
    struct flow_row row;
    struct made m;
    assert_non_null(x);
    make_chunk(&wish, &m);
    make_row(&alike, 0, &row);
    row.flow_id += at->stream;
    column_add(&row.has, FLOW_ORIGINATOR);
    for (size_t i = 0; i < count; i++) {
        x[i] = seen[i];
        x[i].flow_id = row.flow_id;
    }
    assert_int_equal(block_encode(&table_flow, &row, 1, &flows, NULL), 0);
    assert_int_equal(block_encode(&table_exchange, x, count, &exchanges, NULL), 0);
    struct chunk_head h = m.decoded;
    h.flows = flows.data;
    h.flows_length = flows.len;
    h.exchanges = exchanges.data;
    h.exchanges_length = exchanges.len;
    commit_without_body(w->store, &h);
    made_free(&m);
    buffer_free(&flows);
    buffer_free(&exchanges);
    free(x);
}

static void commit_seen(struct world *w, const struct place *at, const struct exchange_row *seen, size_t count)
{
    commit_part(w, at, 0, seen, count);
}

/* A request for /same. */
static struct exchange_row same(uint32_t ordinal, uint64_t after_ns, uint64_t wait_ns)
{
    struct exchange_row x = exchange_new(&(struct wish){.stream = 1}, 0, ordinal, "http", T0 + after_ns, wait_ns);
    exchange_say(&x, EXCHANGE_PATH, "/same");
    return x;
}

/* Two captures on one interface, and one on `any`: each exchange once, whole rather than cut. */
static void several_captures_on_one_interface_are_one_place(void **state)
{
    struct world *w = *state;
    const struct message_query q = question_of("", "");
    for (uint8_t i = 1; i <= 3; i++) {
        const struct place at = {i, "web-1", i == 3 ? "any" : "eth0"};
        const struct exchange_row x[] = {same(1, i, i == 1 ? 0 : MS), same(2, SECOND + i, MS)};
        commit_seen(w, &at, x, 2);
    }
    answer_expect(
        w, &q, NULL, "interface,ordinal,outcome,time",
        LIST("eth0 1 complete 2025-11-22T02:00:00.000000002Z", "eth0 2 complete 2025-11-22T02:00:01.000000001Z"));
}

static void expect_shared(struct world *w, const struct message_query *q, unsigned lines, unsigned shared)
{
    struct answer a;
    char expected[64];
    answer_run(w, q, NULL, "ordinal", &a);
    snprintf(expected, sizeof expected, "\"seen_by_several_agents\":%u,", shared);
    if (a.count != lines || !a.outcome.manifest || !strstr(a.outcome.manifest, expected))
        fail_msg("%zu lines instead of %u, or not %u shared: %s", a.count, lines, shared,
                 a.outcome.manifest ? a.outcome.manifest : a.outcome.text);
    free(a.outcome.manifest);
}

/* What several places saw is one exchange; the same asked again later, or once more by one place, is another one. */
static void what_several_places_saw_counts_once(void **state)
{
    struct world *w = *state;
    static const struct {
        struct place at;
        uint64_t after_ns;
        unsigned lines, shared, all_shared;
    } list[] = {{{1, "web-1", "eth0"}, 0, 1, 0, 0},
                {{2, "web-1", "eth1"}, MS, 1, 1, 2},
                {{3, "web-2", "eth0"}, 60 * SECOND, 2, 1, 2},
                {{4, "web-2", "eth0"}, 2 * MS, 2, 1, 3},
                {{5, "web-3", "eth0"}, 61 * SECOND, 2, 2, 5}};
    const struct message_query one = question_of("http", "");
    struct message_query all = one;
    all.vantage = VANTAGE_ALL;
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        const struct exchange_row x = same(1, list[i].after_ns, MS);
        commit_seen(w, &list[i].at, &x, 1);
        expect_shared(w, &one, list[i].lines, list[i].shared);
        expect_shared(w, &all, i + 1, list[i].all_shared);
    }
}

/* A query whose answer came late has two lines, of whatever places; neither stands for the other. */
static void a_late_answer_is_not_its_query(void **state)
{
    struct world *w = *state;
    const struct message_query one = question_of("http", "");
    for (uint8_t i = 1; i <= 3; i++) {
        const struct place at = {i, i == 1 ? "web-1" : "web-2", i == 2 ? "eth0" : "eth1"};
        struct exchange_row x[] = {same(1, i * MS, 0), same(1, i * MS, 8 * SECOND)};
        exchange_put(&x[1], EXCHANGE_OUTCOME, EXCHANGE_LATE);
        commit_seen(w, &at, x, 2);
    }
    answer_expect(w, &one, NULL, "ordinal,outcome", LIST("1 unanswered", "1 late"));
}

static struct exchange_row running(struct exchange_row x)
{
    exchange_put(&x, EXCHANGE_OUTCOME, EXCHANGE_RUNNING);
    return x;
}

static void expect_running(struct world *w, const struct message_query *q, unsigned running)
{
    struct answer a;
    char expected[64];
    answer_run(w, q, NULL, "ordinal", &a);
    snprintf(expected, sizeof expected, "\"running\":%u,", running);
    if (a.outcome.code || !strstr(a.outcome.manifest, expected))
        fail_msg("not %u running: %s", running, a.outcome.manifest ? a.outcome.manifest : a.outcome.text);
    free(a.outcome.manifest);
}

/* Rows of what goes on give way to later ones, whatever the filter says of either: each exchange is a line, as it was told last. */
static void what_goes_on_is_one_line(void **state)
{
    struct world *w = *state;
    char outcome[] = "outcome";
    char *by[] = {outcome};
    struct message_query any = question_of("", ""), sums = any, short_ones = question_of("", "wait < 50ms"),
                         going = question_of("", "outcome = running");
    sums.by = by;
    sums.by_count = 1;
    sums.sort = outcome;
    const struct place at = {1, "web-1", "eth0"};
    const struct exchange_row first[] = {running(same(1, 0, 0)), running(same(2, SECOND, MS))};
    commit_part(w, &at, 0, first, 2);
    answer_expect(w, &any, NULL, "ordinal,outcome", LIST("1 running", "2 running"));
    answer_expect(w, &short_ones, NULL, "ordinal,outcome", LIST("2 running"));
    expect_running(w, &any, 2);
    const struct exchange_row second[] = {running(same(1, 0, MS)), same(2, SECOND, 80 * MS)};
    commit_part(w, &at, 1, second, 2);
    answer_expect(w, &any, NULL, "ordinal,outcome,wait", LIST("1 running 1000000", "2 complete 80000000"));
    answer_expect(w, &short_ones, NULL, "ordinal,outcome", LIST("1 running"));
    answer_expect(w, &sums, NULL, "outcome,exchanges", LIST("complete 1", "running 1"));
    expect_running(w, &any, 1);
    expect_running(w, &short_ones, 1);
    const struct exchange_row third = same(1, 0, 90 * MS);
    commit_part(w, &at, 2, &third, 1);
    answer_expect(w, &any, NULL, "ordinal,outcome", LIST("1 complete", "2 complete"));
    answer_expect(w, &short_ones, NULL, "ordinal", NOTHING);
    answer_expect(w, &going, NULL, "ordinal", NOTHING);
    expect_running(w, &any, 0);
}

/* Where one place saw the end, and the other one has not told of it yet, it is over; thousands of them as well. */
static void what_goes_on_elsewhere_is_over(void **state)
{
    enum { MANY = 3000 };
    struct world *w = *state;
    struct exchange_row *x = calloc(MANY, sizeof *x);
    static const struct place places[] = {{1, "web-1", "eth0"}, {2, "web-2", "eth0"}};
    struct message_query any = question_of("", ""), going = question_of("", "outcome = running");
    any.limit = 1;
    assert_non_null(x);
    for (uint32_t i = 0; i < MANY; i++)
        x[i] = running(same(i + 1, i * MS, 0));
    commit_seen(w, &places[0], x, MANY);
    commit_seen(w, &places[1], x, MANY);
    expect_running(w, &any, MANY);
    for (uint32_t i = 1; i < MANY; i++)
        x[i] = same(i + 1, i * MS, MS);
    commit_part(w, &places[1], 1, x + 1, MANY - 1);
    expect_running(w, &any, 1);
    commit_part(w, &places[0], 1, x + 1, MANY - 1);
    answer_expect(w, &going, NULL, "ordinal", LIST("1"));
    free(x);
}

/* So it is where another capture of the interface saw the end, though that was no good one. */
static void what_goes_on_in_another_capture_is_over(void **state)
{
    struct world *w = *state;
    const struct message_query any = question_of("", "");
    static const struct place places[] = {{1, "web-1", "eth0"}, {2, "web-1", "eth0"}};
    const struct exchange_row x = running(same(1, 0, 0)), over = same(1, 1, 0);
    commit_seen(w, &places[0], &x, 1);
    commit_seen(w, &places[1], &over, 1);
    answer_expect(w, &any, NULL, "ordinal,outcome", LIST("1 unanswered"));
    expect_running(w, &any, 0);
}

static void expect_selected(struct world *w, const struct message_query *q, unsigned selected)
{
    struct answer a;
    char expected[64];
    answer_run(w, q, NULL, "ordinal", &a);
    snprintf(expected, sizeof expected, "\"selected_exchanges\":%u,\"seen_by_several_agents\":%u,", selected, selected);
    if (a.outcome.code || !strstr(a.outcome.manifest, expected))
        fail_msg("not %u, all of them shared: %s", selected, a.outcome.manifest ? a.outcome.manifest : a.outcome.text);
    free(a.outcome.manifest);
}

static void has_address(struct world *w, uint8_t install, const char *agent, const char *address)
{
    struct filter_address a = {.family = FAMILY_IP4};
    const struct store_agent hello = {.install = {install},
                                      .name = agent,
                                      .software = "v1",
                                      .labels = "",
                                      .peer = "",
                                      .addresses = &a,
                                      .address_count = 1,
                                      .seen_ns = T0};
    assert_int_equal(inet_pton(AF_INET, address, a.addr), 1);
    assert_int_equal(store_agent_seen(w->store, &hello, NULL), 0);
}

static void the_servers_agent_is_believed(void **state)
{
    struct world *w = *state;
    static const struct place client = {1, "client", "eth0"}, server = {2, "server", "eth0"},
                              other = {3, "bridge", "eth0"};
    static char agent[] = "agent";
    char *by[] = {agent};
    struct exchange_row unseen = same(2, SECOND + 2 * MS, MS);
    exchange_put(&unseen, EXCHANGE_OUTCOME, EXCHANGE_UNSEEN);
    const struct exchange_row at_client[] = {same(1, 0, 3 * MS), same(2, SECOND, 3 * MS)};
    const struct exchange_row at_server[] = {same(1, 2 * MS, MS), unseen};
    const struct exchange_row at_other[] = {same(1, MS, 2 * MS), same(2, SECOND + MS, 2 * MS)};
    struct message_query q = question_of("http", "");
    has_address(w, 1, "client", "10.1.0.0");
    has_address(w, 2, "server", "192.0.2.0");
    commit_seen(w, &other, at_other, 2);
    commit_seen(w, &client, at_client, 2);
    commit_seen(w, &server, at_server, 2);
    answer_expect(w, &q, NULL, "agent,ordinal,wait",
                  LIST("server 1 1000000", "client 2 3000000")); /* it missed something of the second */
    q.filter = (char *)(uintptr_t) "wait > 1ms";                 /* what does not match is not taken */
    answer_expect(w, &q, NULL, "agent,ordinal", LIST("client 1", "client 2"));
    q = question_of("http", "");
    q.vantage = VANTAGE_ALL;
    q.by = by;
    q.by_count = 1;
    q.sort = agent;
    answer_expect(w, &q, NULL, "agent,exchanges", LIST("bridge 2", "client 2", "server 2"));
    q.vantage = VANTAGE_AUTO;
    answer_expect(w, &q, NULL, "agent,exchanges", LIST("client 1", "server 1"));
}

/* Who comes later counts requests from another one: those that ask the same are put together in their order. */
static void numbers_need_not_be_the_same(void **state)
{
    struct world *w = *state;
    static const struct place early = {1, "web-1", "eth0"}, late = {2, "web-2", "eth0"};
    struct exchange_row all[40];
    const struct message_query q = question_of("http", "");
    for (uint32_t i = 0; i < 40; i++)
        all[i] = same(i + 1, i * SECOND, MS);
    commit_seen(w, &early, all, 40);
    for (uint32_t i = 10; i < 40; i++)
        all[i] = same(i - 9, i * SECOND + MS, MS);
    commit_seen(w, &late, all + 10, 30);
    expect_shared(w, &q, 40, 30);
}

/* Of three places one comes later, and stamps a little later than one of the others, and before the other one: in whatever order they tell of it,
 * each request is one line. */
static void a_third_place_may_come_later(void **state)
{
    enum { REQUESTS = 40, BEFORE = 10, ORDERS = 6 };
    struct world *w = *state;
    static const struct {
        const char *agent;
        uint32_t from;
        uint64_t late_ns;
    } places[] = {{"web-1", 0, 0}, {"web-2", 0, 2 * MS}, {"web-3", BEFORE, MS}};
    static const uint8_t orders[ORDERS][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct exchange_row x[REQUESTS];
    struct message_query few = question_of("http", "");
    few.limit = 1;
    for (uint8_t order = 0; order < ORDERS; order++) {
        for (uint8_t k = 0; k < 3; k++) {
            uint8_t n = orders[order][k];
            const struct place at = {(uint8_t)(1 + 3 * order + k), places[n].agent, "eth0"};
            uint32_t count = REQUESTS - places[n].from;
            uint64_t begin_ns = order * 600 * SECOND + places[n].late_ns;
            for (uint32_t i = 0; i < count; i++)
                x[i] = same(i + 1, begin_ns + (places[n].from + i) * 700 * MS, MS);
            commit_seen(w, &at, x, count);
        }
        expect_selected(w, &few, (order + 1u) * REQUESTS);
    }
}

/* Sums over flows count a connection once, lists have it from each place. */
static void sums_over_flows_count_a_connection_once(void **state)
{
    struct world *w = *state;
    static const struct place places[] = {{1, "web-1", "eth0"}, {2, "web-2", "eth0"}};
    static char port[] = "resp_port", agent[] = "agent";
    char *by[] = {port}, *by_agent[] = {agent};
    const struct exchange_row x = same(1, 0, MS);
    struct message_query q = question_of("", "");
    q.kind = QUERY_FLOWS;
    for (size_t i = 0; i < 2; i++)
        commit_seen(w, &places[i], &x, 1);
    answer_expect(w, &q, NULL, "agent", LIST("web-1", "web-2"));
    q.by = by;
    q.by_count = 1;
    answer_expect(w, &q, NULL, "resp_port,flows", LIST("80 1"));
    q.vantage = VANTAGE_ALL;
    answer_expect(w, &q, NULL, "resp_port,flows", LIST("80 2"));
    q.by = by_agent;
    answer_expect(w, &q, NULL, "agent,flows", LIST("web-1 1", "web-2 1"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(several_captures_on_one_interface_are_one_place),
        TEST(what_several_places_saw_counts_once),
        TEST(a_late_answer_is_not_its_query),
        TEST(what_goes_on_is_one_line),
        TEST(what_goes_on_elsewhere_is_over),
        TEST(what_goes_on_in_another_capture_is_over),
        TEST(the_servers_agent_is_believed),
        TEST(numbers_need_not_be_the_same),
        TEST(a_third_place_may_come_later),
        TEST(sums_over_flows_count_a_connection_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
