/* Questions about exchanges: joined with their flows, filtered, grouped, bound; and how the store keeps them. */
#include "tests/unit/exchange_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ exchanges */

static struct exchange_row http(const struct wish *w, uint32_t flow, uint32_t ordinal, const char *method,
                                const char *path, uint64_t status)
{
    uint64_t wait_ns = status ? ordinal * 10 * MS : 0;
    struct exchange_row x = exchange_new(w, flow, ordinal, "http", T0 + ordinal * MS, wait_ns);
    exchange_say(&x, EXCHANGE_METHOD, method);
    exchange_say(&x, EXCHANGE_PATH, path);
    exchange_say(&x, EXCHANGE_HTTP_HOST, flow ? "www.Example.org" : "api.example.org");
    if (status)
        exchange_put(&x, EXCHANGE_STATUS, status);
    return x;
}

static struct exchange_row dns(const struct wish *w, uint32_t ordinal, const char *name, int rcode)
{
    struct exchange_row x = exchange_new(w, 2, ordinal, "dns", T0 + ordinal * MS, rcode < 0 ? 0 : MS);
    exchange_say(&x, EXCHANGE_DNS_NAME, name);
    exchange_put(&x, EXCHANGE_DNS_TYPE, ordinal % 2 ? 1 : 28);
    if (rcode >= 0)
        exchange_put(&x, EXCHANGE_DNS_RCODE, (uint64_t)rcode);
    return x;
}

/* Six requests of two flows and four queries of a third, all in one chunk. */
static const struct wish busy = {.stream = 1, .rows = 3};
static void commit_busy(struct world *w)
{
    const struct exchange_row all[] = {
        http(&busy, 0, 1, "GET", "/", 200),
        http(&busy, 0, 2, "GET", "/api/a", 404),
        http(&busy, 0, 3, "POST", "/api/b", 500),
        http(&busy, 1, 4, "GET", "/x", 200),
        http(&busy, 1, 5, "GET", "/api/slow", 200),
        http(&busy, 1, 6, "GET", "/never", 0),
        dns(&busy, 1, "a.corp", 0),
        dns(&busy, 2, "A.CORP", 3),
        dns(&busy, 3, "b.example", -1),
        dns(&busy, 4, "b.example", 0),
    };
    struct wish wish = busy;
    wish.exchanges = all;
    wish.exchange_count = sizeof all / sizeof all[0];
    commit_chunk(w->store, &wish, T0 + MINUTE);
}

/* ------------------------------------------------------------------ tests */

static void exchanges_come_with_their_flows(void **state)
{
    struct world *w = *state;
    const struct message_query q = question_of("http", "");
    commit_busy(w);
    answer_expect(w, &q, NULL, "client,server,agent,interface,method,path,status,wait,unanswered",
                  LIST("10.1.0.0:1000 192.0.2.0:80 agent-1 eth0 GET / 200 10000000 ",
                       "10.1.0.0:1000 192.0.2.0:80 agent-1 eth0 GET /api/a 404 20000000 ",
                       "10.1.0.0:1000 192.0.2.0:80 agent-1 eth0 POST /api/b 500 30000000 ",
                       "10.1.0.1:1001 192.0.2.1:443 agent-1 eth0 GET /x 200 40000000 ",
                       "10.1.0.1:1001 192.0.2.1:443 agent-1 eth0 GET /api/slow 200 50000000 ",
                       "10.1.0.1:1001 192.0.2.1:443 agent-1 eth0 GET /never   "));
}

static void filters_ask_for_exchanges_and_their_flows(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *app, *filter, *ordinals;
    } list[] = {
        {"http", "status >= 500", "3"},
        {"http", "status >= 400 and method GET", "2"},
        {"http", "status 200", "1 4 5"},
        {"http", "method post", "3"},
        {"http", "method != GET", "3"},
        {"http", "path /api/*", "2 3 5"},
        {"http", "path '/api/?'", "2 3"},
        {"http", "http_host www.example.org", "4 5 6"},
        {"http", "http-host '*.example.org' and not http_host api*", "4 5 6"},
        {"http", "unanswered", "6"},
        {"http", "not unanswered and wait > 35ms", "4 5"},
        {"http", "port 443", "4 5 6"},
        {"http", "src port 443", "4 5 6"}, /* either end spoke */
        {"http", "from 10.1.0.0 and to port 80", "1 2 3"},
        {"http", "to 10.1.0.0", ""},
        {"http", "agent agent-2", ""},
        {"http", "not agent agent-2 and interface eth0", "1 2 3 4 5 6"},
        {"http", "external", "1 2 3 4 5 6"},
        {"http", "app dns", ""},
        {"", "app dns and ordinal < 3", "1 2"},
        {"dns", "", "1 2 3 4"},
        {"dns", "unanswered or rcode != NOERROR", "2 3"},
        {"dns", "rcode != NOERROR", "2"}, /* what is missing is not other */
        {"dns", "dns_name a.corp", "1 2"},
        {"dns", "name *.corp and qtype aaaa", "2"},
        {"dns", "rcode 3", "2"},
        {"tls", "", ""},
    };
    commit_busy(w);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const struct message_query q = question_of(list[i].app, list[i].filter);
        char got[1024] = "";
        struct answer a;
        answer_run(w, &q, NULL, "ordinal", &a);
        for (size_t n = 0; n < a.count; n++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.20s", n ? " " : "", a.lines[n]);
        if (strcmp(got, list[i].ordinals) != 0)
            fail_msg("'%s' gives '%s', not '%s': %s", list[i].filter, got, list[i].ordinals, a.outcome.text);
        assert_int_equal(a.outcome.code, 0);
        free(a.outcome.manifest);
    }
}

static void they_are_sorted_and_limited(void **state)
{
    struct world *w = *state;
    struct message_query q = question_of("http", "");
    commit_busy(w);
    q.sort = (char *)(uintptr_t) "-wait";
    q.limit = 2;
    answer_expect(w, &q, NULL, "path", LIST("/api/slow", "/x"));
    q.sort = (char *)(uintptr_t) "path";
    answer_expect(w, &q, NULL, "path", LIST("/", "/api/a"));
    q.sort = (char *)(uintptr_t) "-client";
    answer_expect(w, &q, NULL, "path", LIST("/x", "/api/slow")); /* equal ones by time */
}

static void groups_have_sums_and_waits(void **state)
{
    struct world *w = *state;
    static char host[] = "http_host", name[] = "dns_name", agent[] = "agent";
    char *by[] = {host};
    char *by_name[] = {agent, name};
    struct message_query q = question_of("http", "");
    commit_busy(w);
    q.by = by;
    q.by_count = 1;
    answer_expect(w, &q, NULL, "http_host,exchanges,errors,unanswered,wait,wait_p95,wait_max,request_bytes,path",
                  LIST("api.example.org 3 2 0 20000000 30000000 30000000 300 ",
                       "www.Example.org 3 0 1 45000000 50000000 50000000 300 "));
    q = question_of("dns", "");
    q.by = by_name;
    q.by_count = 2;
    q.sort = (char *)(uintptr_t) "dns_name";
    answer_expect(w, &q, NULL, "agent,dns_name,exchanges,errors,unanswered",
                  LIST("agent-1 A.CORP 1 1 0", "agent-1 a.corp 1 0 0", "agent-1 b.example 2 0 1"));
}

/* The percentile is one of the values: of 100 the 95th. */
static void a_percentile_is_exact(void **state)
{
    struct world *w = *state;
    static struct exchange_row all[100];
    static char app[] = "app";
    char *by[] = {app};
    struct wish wish = busy;
    struct message_query q = question_of("http", "");
    for (uint32_t i = 0; i < 100; i++)
        all[i] = exchange_new(&busy, 0, i + 1, "http", T0 + i, (i * 37 % 100 + 1) * MS);
    wish.exchanges = all;
    wish.exchange_count = 100;
    commit_chunk(w->store, &wish, T0 + MINUTE);
    q.by = by;
    q.by_count = 1;
    answer_expect(w, &q, NULL, "exchanges,wait,wait_p95,wait_max", LIST("100 50500000 95000000 100000000"));
}

/* A request that waits is told of by the chunk in which it ended, and belongs to the time in which it began. */
static void they_belong_to_the_time_of_their_request(void **state)
{
    struct world *w = *state;
    const struct wish later = {.stream = 1, .seq = 0, .first_ns = T0 + 2 * HOUR, .rows = 1};
    struct exchange_row x = exchange_new(&later, 0, 1, "http", T0 + SECOND, 2 * HOUR);
    struct wish wish = later;
    struct message_query q = question_of("http", "");
    wish.exchanges = &x;
    wish.exchange_count = 1;
    commit_chunk(w->store, &wish, T0 + 2 * HOUR);
    q.until_ns = T0 + MINUTE;
    answer_expect(w, &q, NULL, "ordinal", LIST("1"));
    q.since_ns = T0 + SECOND;
    q.until_ns = T0 + SECOND;
    answer_expect(w, &q, NULL, "ordinal", LIST("1"));
    q.since_ns++;
    q.until_ns = UINT64_MAX;
    answer_expect(w, &q, NULL, "ordinal", NOTHING);

    struct seen seen; /* flows of that time are none */
    const struct store_scan flows = {.until_ns = T0 + MINUTE};
    const struct store_scan both = {.until_ns = T0 + MINUTE, .exchanges = true};
    scan_all(w->store, &flows, &seen);
    assert_int_equal(seen.count, 0);
    scan_all(w->store, &both, &seen);
    assert_int_equal(seen.count, 1);
}

static void bounds_hold(void **state)
{
    struct world *w = *state;
    const struct query_bounds port = {.filter = "port 80"}, one_way = {.filter = "dst port 80"},
                              range = {.since_ns = T0 + 3 * MS}, packets = {.filter = "tcp[13] = 2"};
    struct message_query q = question_of("http", "not (port 80) or status >= 0 or unanswered");
    struct answer a;
    commit_busy(w);
    answer_expect(w, &q, &port, "ordinal", LIST("1", "2", "3"));
    answer_expect(w, &q, &one_way, "ordinal", NOTHING); /* replies went the other way */
    answer_expect(w, &q, &range, "ordinal", LIST("3", "4", "5", "6"));
    answer_run(w, &q, &packets, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_REFUSED);
    assert_int_equal(a.count, 0);
}

/* What applications said is in packets behind the bytes that somebody with a snaplen sees. */
static void flows_do_not_tell_what_a_snaplen_hides(void **state)
{
    struct world *w = *state;
    const struct query_bounds few = {.snaplen = 96};
    struct message_query q = question_of("", "dns_name *");
    struct wish wish = {.stream = 1, .rows = 1, .says = "secret.example"};
    q.kind = QUERY_FLOWS;
    commit_chunk(w->store, &wish, T0 + MINUTE);
    answer_expect(w, &q, NULL, "client,dns_name", LIST("10.1.0.0:1000 secret.example"));
    answer_expect(w, &q, &few, "client,dns_name", NOTHING);
    q.filter = (char *)(uintptr_t) "";
    answer_expect(w, &q, &few, "client,dns_name", LIST("10.1.0.0:1000 "));
}

static void what_cannot_be_answered_is_said(void **state)
{
    struct world *w = *state;
    static char bytes[] = "bytes", p95[] = "wait_p95", number_of[] = "flows";
    char *by[] = {bytes}, *by_groups[] = {p95}, *by_number[] = {number_of};
    static const struct {
        const char *filter, *text;
    } list[] = {{"bytes > 1M", "'bytes > 1M' is counted for flows"},
                {"state S0", "'state S0' is counted for flows"},
                {"path /x and refused", "'refused' is counted for flows"},
                {"tcp[13] = 2", "is judged packet by packet"},
                {"tcp[13] = 2", "or words such as host, to port, unanswered, wait > 50ms"},
                {"wait_p95 > 1ms", "'wait_p95 > 1ms' is of groups"},
                {"status 200 and errors > 0", "'errors > 0' is of groups"},
                {"rcode NXDOMAIN", "'rcode NXDOMAIN' is known of dns, not of http: use `fleetdump dns`"},
                {"status 200 or sni x.org", "'sni x.org' is known of tls, not of http"}};
    commit_busy(w);
    struct answer a;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const struct message_query q = question_of("http", list[i].filter);
        answer_run(w, &q, NULL, "ordinal", &a);
        assert_int_equal(a.outcome.code, ERROR_USAGE);
        if (!strstr(a.outcome.text, list[i].text))
            fail_msg("'%s': %s", list[i].filter, a.outcome.text);
    }
    struct message_query q = question_of("http", "");
    q.by = by;
    q.by_count = 1;
    answer_run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_USAGE);
    q.by = by_groups;
    answer_run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_USAGE);
    assert_non_null(strstr(a.outcome.text, "cannot group by 'wait_p95': groups have it"));
    q = question_of("", "");
    q.kind = QUERY_FLOWS;
    q.by = by_number;
    q.by_count = 1;
    answer_run(w, &q, NULL, "agent", &a);
    assert_non_null(strstr(a.outcome.text, "cannot group by 'flows': groups have it"));
    q = question_of("", "path /x or rcode 3");
    q.kind = QUERY_FLOWS;
    answer_run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_USAGE);
    assert_non_null(strstr(a.outcome.text, "'path /x' is known of single exchanges"));
    q.kind = QUERY_PULL;
    answer_run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_USAGE);
    assert_non_null(strstr(a.outcome.text, "pull their connections by `id`"));
}

static void an_empty_answer_explains_itself(void **state)
{
    struct world *w = *state;
    struct answer a;
    struct message_query q = question_of("http", "status 599");
    const struct wish flows_alone = {.stream = 2, .no_body = true};
    commit_chunk(w->store, &flows_alone, T0 + MINUTE);
    answer_run(w, &q, NULL, "ordinal", &a);
    assert_non_null(strstr(a.outcome.text, "no exchange of http was seen in it. Captured was"));
    free(a.outcome.manifest);
    commit_busy(w);
    answer_run(w, &q, NULL, "ordinal", &a);
    assert_non_null(
        strstr(a.outcome.text, "2 chunks of that time, and none of the 6 exchanges of http in them matches"));
    free(a.outcome.manifest);
    q = question_of("tls", "");
    answer_run(w, &q, NULL, "ordinal", &a);
    assert_non_null(strstr(a.outcome.text, "no exchange of tls was seen in them (packets of 1 were cut"));
    assert_non_null(strstr(a.outcome.manifest, "\"selected_exchanges\":0"));
    free(a.outcome.manifest);
}

/* An agent that breaks the rule costs its chunk, and is named. */
static void without_a_flow_the_chunk_is_damaged(void **state)
{
    struct world *w = *state;
    struct exchange_row x[] = {http(&busy, 0, 1, "GET", "/", 200), http(&busy, 1, 2, "GET", "/", 200)};
    struct wish wish = busy;
    struct answer a;
    const struct message_query q = question_of("http", "");
    x[1].flow_id++;
    wish.exchanges = x;
    wish.exchange_count = 2;
    commit_chunk(w->store, &wish, T0 + MINUTE);
    answer_run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_INCOMPLETE);
    assert_non_null(strstr(a.outcome.text, "1 exchanges are of flows that the chunk does not have"));
    answer_assert(&a, LIST("1"));
    free(a.outcome.manifest);
}

static void hush(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static void they_are_restored_and_expire_with_their_chunk(void **state)
{
    struct world *w = *state;
    const struct message_query q = question_of("http", "status >= 500");
    struct store_report report;
    commit_busy(w);
    store_close(w->store);
    assert_int_equal(check_findings(w->path, true), 0);
    assert_int_equal(store_reindex(w->path, hush, NULL, &report, NULL), 0);
    const struct store_config config = {.path = w->path, .partition_ns = HOUR, .retain_age_ns = 24 * HOUR};
    w->store = open_store(w->path, &config);
    answer_expect(w, &q, NULL, "path", LIST("/api/b"));
    assert_int_equal(store_maintain(w->store, T0 + 100 * HOUR, NULL), 0);
    struct answer a;
    answer_run(w, &q, NULL, "path", &a);
    assert_int_equal(a.outcome.code, ERROR_INCOMPLETE); /* they were there, and have expired */
    assert_int_equal(a.count, 0);
    free(a.outcome.manifest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(exchanges_come_with_their_flows),
        TEST(filters_ask_for_exchanges_and_their_flows),
        TEST(they_are_sorted_and_limited),
        TEST(groups_have_sums_and_waits),
        TEST(a_percentile_is_exact),
        TEST(they_belong_to_the_time_of_their_request),
        TEST(bounds_hold),
        TEST(flows_do_not_tell_what_a_snaplen_hides),
        TEST(what_cannot_be_answered_is_said),
        TEST(an_empty_answer_explains_itself),
        TEST(without_a_flow_the_chunk_is_damaged),
        TEST(they_are_restored_and_expire_with_their_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
