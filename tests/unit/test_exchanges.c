/* Questions about exchanges: joined with their flows, filtered, grouped, bound; and how the store keeps them. */
#include "collector/query/query.h"
#include "common/rows/block.h"
#include "common/rows/field.h"
#include "tests/unit/store_support.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS    UINT64_C(1000000)
#define LINES 64u

/* ------------------------------------------------------------------ exchanges */

static void put(struct exchange_row *x, unsigned id, uint64_t value)
{
    column_set_uint(table_column(&table_exchange, id), x, value);
}

static void say(struct exchange_row *x, unsigned id, const char *text)
{
    const struct column *c = table_column(&table_exchange, id);
    *(struct text *)(void *)((char *)x + c->offset) = (struct text){text, (uint32_t)strlen(text)};
    column_add(&x->has, id);
}

static struct exchange_row exchange(const struct wish *w, uint32_t flow, uint32_t ordinal, const char *app,
                                    uint64_t time_ns, uint64_t wait_ns)
{
    struct exchange_row x = {.flow_id = flow_id_of(w, flow)};
    column_add(&x.has, EXCHANGE_FLOW_ID);
    put(&x, EXCHANGE_ORDINAL, ordinal);
    put(&x, EXCHANGE_TIME, time_ns);
    say(&x, EXCHANGE_APP, app);
    put(&x, EXCHANGE_OUTCOME, wait_ns ? EXCHANGE_COMPLETE : EXCHANGE_UNANSWERED);
    if (wait_ns)
        put(&x, EXCHANGE_WAIT, wait_ns);
    put(&x, EXCHANGE_REQUEST_BYTES, 100);
    return x;
}

static struct exchange_row http(const struct wish *w, uint32_t flow, uint32_t ordinal, const char *method,
                                const char *path, uint64_t status)
{
    uint64_t wait_ns = status ? ordinal * 10 * MS : 0;
    struct exchange_row x = exchange(w, flow, ordinal, "http", T0 + ordinal * MS, wait_ns);
    say(&x, EXCHANGE_METHOD, method);
    say(&x, EXCHANGE_PATH, path);
    say(&x, EXCHANGE_HTTP_HOST, flow ? "www.Example.org" : "api.example.org");
    if (status)
        put(&x, EXCHANGE_STATUS, status);
    return x;
}

static struct exchange_row dns(const struct wish *w, uint32_t ordinal, const char *name, int rcode)
{
    struct exchange_row x = exchange(w, 2, ordinal, "dns", T0 + ordinal * MS, rcode < 0 ? 0 : MS);
    say(&x, EXCHANGE_DNS_NAME, name);
    put(&x, EXCHANGE_DNS_TYPE, ordinal % 2 ? 1 : 28);
    if (rcode >= 0)
        put(&x, EXCHANGE_DNS_RCODE, (uint64_t)rcode);
    return x;
}

/* ------------------------------------------------------------------ a store and its answers */

struct world {
    char *folder;
    const char *path;
    struct store *store;
};

/* An answer: for each line the fields that are asked for, joined by blanks. */
struct answer {
    struct query_outcome outcome;
    struct buffer bytes;
    void *flows;
    struct block *flow_block;
    struct buffer flow_bytes;
    const char *fields;
    bool of_flows; /* single blocks */
    char lines[LINES][512];
    size_t count;
};

static void take_line(struct answer *a, const struct flow_row *row)
{
    char text[FIELD_TEXT_MAX], *line = a->lines[a->count++];
    assert_in_range(a->count, 1, LINES);
    size_t at = 0;
    for (const char *f = a->fields; *f; f += strcspn(f, ",") + (f[strcspn(f, ",")] == ',')) {
        const struct field *field = field_named(f, strcspn(f, ","));
        assert_non_null(field);
        field_text(field, row, true, text, sizeof text);
        at += (size_t)snprintf(line + at, sizeof a->lines[0] - at, "%s%s", at ? " " : "", text);
    }
}

static void take_pair(struct answer *a)
{
    struct block *b = NULL;
    void *rows = NULL;
    if (!a->flow_block) {
        a->flow_bytes = a->bytes;
        a->bytes = (struct buffer){0};
        assert_int_equal(block_open(&table_flow, a->flow_bytes.data, a->flow_bytes.len, &a->flow_block, NULL), 0);
        assert_int_equal(block_read(a->flow_block, &a->flows, NULL), 0);
        return;
    }
    assert_int_equal(block_open(&table_exchange, a->bytes.data, a->bytes.len, &b, NULL), 0);
    assert_int_equal(block_read(b, &rows, NULL), 0);
    assert_int_equal(block_rows(b), block_rows(a->flow_block));
    for (uint32_t i = 0; i < block_rows(b); i++) {
        struct flow_row *row = (struct flow_row *)a->flows + i;
        row->exchange = (const struct exchange_row *)rows + i;
        take_line(a, row);
    }
    free(rows);
    block_close(b);
    block_close(a->flow_block);
    a->flow_block = NULL;
    free(a->flows);
    buffer_free(&a->flow_bytes);
    buffer_clear(&a->bytes);
}

static void take_flows(struct answer *a)
{
    struct block *b = NULL;
    void *rows = NULL;
    assert_int_equal(block_open(&table_flow, a->bytes.data, a->bytes.len, &b, NULL), 0);
    assert_int_equal(block_read(b, &rows, NULL), 0);
    for (uint32_t i = 0; i < block_rows(b); i++)
        take_line(a, (const struct flow_row *)rows + i);
    free(rows);
    block_close(b);
    buffer_clear(&a->bytes);
}

static int take(void *context, const void *data, size_t len, bool end_of_block, struct error *e)
{
    struct answer *a = context;
    (void)e;
    buffer_append(&a->bytes, data, len);
    if (end_of_block)
        (a->of_flows ? take_flows : take_pair)(a);
    return 0;
}

static void run(struct world *w, const struct message_query *q, const struct query_bounds *bounds, const char *fields,
                struct answer *a)
{
    static const struct query_live live;
    atomic_bool cancel = false;
    *a = (struct answer){.fields = fields, .of_flows = q->kind == QUERY_FLOWS};
    const struct query_sink sink = {take, a};
    query_run(w->store, q, bounds, &live, &sink, &cancel, &a->outcome);
    assert_null(a->flow_block); /* blocks come in pairs */
    buffer_free(&a->bytes);
}

static struct message_query question(const char *app, const char *filter)
{
    return (struct message_query){.kind = QUERY_EXCHANGES,
                                  .app = (char *)(uintptr_t)app,
                                  .filter = (char *)(uintptr_t)filter,
                                  .until_ns = UINT64_MAX};
}

static void assert_lines(const struct answer *a, const char *const *expected)
{
    size_t n = 0;
    if (a->outcome.code && a->outcome.code != ERROR_INCOMPLETE)
        fail_msg("%s", a->outcome.text);
    for (; expected[n]; n++)
        if (n >= a->count || strcmp(a->lines[n], expected[n]) != 0)
            fail_msg("line %zu is '%s', not '%s'", n, n < a->count ? a->lines[n] : "missing", expected[n]);
    assert_int_equal(a->count, n);
}

#define LIST(...)                                                                                                      \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }
#define NOTHING                                                                                                        \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        NULL                                                                                                           \
    }

static void expect(struct world *w, const struct message_query *q, const struct query_bounds *bounds,
                   const char *fields, const char *const *lines)
{
    struct answer a;
    run(w, q, bounds, fields, &a);
    assert_lines(&a, lines);
    free(a.outcome.manifest);
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

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->path = w->folder = support_folder();
    const struct store_config config = {.path = w->path, .partition_ns = HOUR};
    w->store = open_store(w->path, &config);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    store_close(w->store);
    support_folder_remove(w->folder);
    free(w);
    return 0;
}

/* ------------------------------------------------------------------ tests */

static void exchanges_come_with_their_flows(void **state)
{
    struct world *w = *state;
    const struct message_query q = question("http", "");
    commit_busy(w);
    expect(w, &q, NULL, "client,server,agent,interface,method,path,status,wait,unanswered",
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
        const struct message_query q = question(list[i].app, list[i].filter);
        char got[1024] = "";
        struct answer a;
        run(w, &q, NULL, "ordinal", &a);
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
    struct message_query q = question("http", "");
    commit_busy(w);
    q.sort = (char *)(uintptr_t) "-wait";
    q.limit = 2;
    expect(w, &q, NULL, "path", LIST("/api/slow", "/x"));
    q.sort = (char *)(uintptr_t) "path";
    expect(w, &q, NULL, "path", LIST("/", "/api/a"));
    q.sort = (char *)(uintptr_t) "-client";
    expect(w, &q, NULL, "path", LIST("/x", "/api/slow")); /* equal ones by time */
}

static void groups_have_sums_and_waits(void **state)
{
    struct world *w = *state;
    static char host[] = "http_host", name[] = "dns_name", agent[] = "agent";
    char *by[] = {host};
    char *by_name[] = {agent, name};
    struct message_query q = question("http", "");
    commit_busy(w);
    q.by = by;
    q.by_count = 1;
    expect(w, &q, NULL, "http_host,exchanges,errors,unanswered,wait,wait_p95,wait_max,request_bytes,path",
           LIST("api.example.org 3 2 0 20000000 30000000 30000000 300 ",
                "www.Example.org 3 0 1 45000000 50000000 50000000 300 "));
    q = question("dns", "");
    q.by = by_name;
    q.by_count = 2;
    q.sort = (char *)(uintptr_t) "dns_name";
    expect(w, &q, NULL, "agent,dns_name,exchanges,errors,unanswered",
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
    struct message_query q = question("http", "");
    for (uint32_t i = 0; i < 100; i++)
        all[i] = exchange(&busy, 0, i + 1, "http", T0 + i, (i * 37 % 100 + 1) * MS);
    wish.exchanges = all;
    wish.exchange_count = 100;
    commit_chunk(w->store, &wish, T0 + MINUTE);
    q.by = by;
    q.by_count = 1;
    expect(w, &q, NULL, "exchanges,wait,wait_p95,wait_max", LIST("100 50500000 95000000 100000000"));
}

/* A request that waits is told of by the chunk in which it ended, and belongs to the time in which it began. */
static void they_belong_to_the_time_of_their_request(void **state)
{
    struct world *w = *state;
    const struct wish later = {.stream = 1, .seq = 0, .first_ns = T0 + 2 * HOUR, .rows = 1};
    struct exchange_row x = exchange(&later, 0, 1, "http", T0 + SECOND, 2 * HOUR);
    struct wish wish = later;
    struct message_query q = question("http", "");
    wish.exchanges = &x;
    wish.exchange_count = 1;
    commit_chunk(w->store, &wish, T0 + 2 * HOUR);
    q.until_ns = T0 + MINUTE;
    expect(w, &q, NULL, "ordinal", LIST("1"));
    q.since_ns = T0 + SECOND;
    q.until_ns = T0 + SECOND;
    expect(w, &q, NULL, "ordinal", LIST("1"));
    q.since_ns++;
    q.until_ns = UINT64_MAX;
    expect(w, &q, NULL, "ordinal", NOTHING);

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
    struct message_query q = question("http", "not (port 80) or status >= 0 or unanswered");
    struct answer a;
    commit_busy(w);
    expect(w, &q, &port, "ordinal", LIST("1", "2", "3"));
    expect(w, &q, &one_way, "ordinal", NOTHING); /* replies went the other way */
    expect(w, &q, &range, "ordinal", LIST("3", "4", "5", "6"));
    run(w, &q, &packets, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_REFUSED);
    assert_int_equal(a.count, 0);
}

/* What applications said is in packets behind the bytes that somebody with a snaplen sees. */
static void flows_do_not_tell_what_a_snaplen_hides(void **state)
{
    struct world *w = *state;
    const struct query_bounds few = {.snaplen = 96};
    struct message_query q = question("", "dns_name *");
    struct wish wish = {.stream = 1, .rows = 1, .says = "secret.example"};
    q.kind = QUERY_FLOWS;
    commit_chunk(w->store, &wish, T0 + MINUTE);
    expect(w, &q, NULL, "client,dns_name", LIST("10.1.0.0:1000 secret.example"));
    expect(w, &q, &few, "client,dns_name", NOTHING);
    q.filter = (char *)(uintptr_t) "";
    expect(w, &q, &few, "client,dns_name", LIST("10.1.0.0:1000 "));
}

/* ------------------------------------------------------------------ seen at several places */

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

/* One and the same connection with these exchanges, as a place of `at` saw it: with a flow id of its own. */
static void commit_seen(struct world *w, const struct place *at, const struct exchange_row *seen, size_t count)
{
    const struct wish alike = {.stream = 1, .rows = 1};
    const struct wish wish = {.stream = at->stream, .rows = 1, .agent = at->agent, .interface = at->interface};
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

/* A request for /same. */
static struct exchange_row same(uint32_t ordinal, uint64_t after_ns, uint64_t wait_ns)
{
    struct exchange_row x = exchange(&(struct wish){.stream = 1}, 0, ordinal, "http", T0 + after_ns, wait_ns);
    say(&x, EXCHANGE_PATH, "/same");
    return x;
}

/* Two captures on one interface, and one on `any`: each exchange once, whole rather than cut. */
static void several_captures_on_one_interface_are_one_place(void **state)
{
    struct world *w = *state;
    const struct message_query q = question("", "");
    for (uint8_t i = 1; i <= 3; i++) {
        const struct place at = {i, "web-1", i == 3 ? "any" : "eth0"};
        const struct exchange_row x[] = {same(1, i, i == 1 ? 0 : MS), same(2, SECOND + i, MS)};
        commit_seen(w, &at, x, 2);
    }
    expect(w, &q, NULL, "interface,ordinal,outcome,time",
           LIST("eth0 1 complete 2025-11-22T02:00:00.000000002Z", "eth0 2 complete 2025-11-22T02:00:01.000000001Z"));
}

static void expect_shared(struct world *w, const struct message_query *q, unsigned lines, unsigned shared)
{
    struct answer a;
    char expected[64];
    run(w, q, NULL, "ordinal", &a);
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
    const struct message_query one = question("http", "");
    struct message_query all = one;
    all.vantage = VANTAGE_ALL;
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        const struct exchange_row x = same(1, list[i].after_ns, MS);
        commit_seen(w, &list[i].at, &x, 1);
        expect_shared(w, &one, list[i].lines, list[i].shared);
        expect_shared(w, &all, i + 1, list[i].all_shared);
    }
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
    put(&unseen, EXCHANGE_OUTCOME, EXCHANGE_UNSEEN);
    const struct exchange_row at_client[] = {same(1, 0, 3 * MS), same(2, SECOND, 3 * MS)};
    const struct exchange_row at_server[] = {same(1, 2 * MS, MS), unseen};
    const struct exchange_row at_other[] = {same(1, MS, 2 * MS), same(2, SECOND + MS, 2 * MS)};
    struct message_query q = question("http", "");
    has_address(w, 1, "client", "10.1.0.0");
    has_address(w, 2, "server", "192.0.2.0");
    commit_seen(w, &other, at_other, 2);
    commit_seen(w, &client, at_client, 2);
    commit_seen(w, &server, at_server, 2);
    expect(w, &q, NULL, "agent,ordinal,wait",
           LIST("server 1 1000000", "client 2 3000000")); /* it missed something of the second */
    q.filter = (char *)(uintptr_t) "wait > 1ms";          /* what does not match is not taken */
    expect(w, &q, NULL, "agent,ordinal", LIST("client 1", "client 2"));
    q = question("http", "");
    q.vantage = VANTAGE_ALL;
    q.by = by;
    q.by_count = 1;
    q.sort = agent;
    expect(w, &q, NULL, "agent,exchanges", LIST("bridge 2", "client 2", "server 2"));
    q.vantage = VANTAGE_AUTO;
    expect(w, &q, NULL, "agent,exchanges", LIST("client 1", "server 1"));
}

/* Who comes later counts requests from another one: those that ask the same are put together in their order. */
static void numbers_need_not_be_the_same(void **state)
{
    struct world *w = *state;
    static const struct place early = {1, "web-1", "eth0"}, late = {2, "web-2", "eth0"};
    struct exchange_row all[40];
    const struct message_query q = question("http", "");
    for (uint32_t i = 0; i < 40; i++)
        all[i] = same(i + 1, i * SECOND, MS);
    commit_seen(w, &early, all, 40);
    for (uint32_t i = 10; i < 40; i++)
        all[i] = same(i - 9, i * SECOND + MS, MS);
    commit_seen(w, &late, all + 10, 30);
    expect_shared(w, &q, 40, 30);
}

/* Sums over flows count a connection once, lists have it from each place. */
static void sums_over_flows_count_a_connection_once(void **state)
{
    struct world *w = *state;
    static const struct place places[] = {{1, "web-1", "eth0"}, {2, "web-2", "eth0"}};
    static char port[] = "resp_port", agent[] = "agent";
    char *by[] = {port}, *by_agent[] = {agent};
    const struct exchange_row x = same(1, 0, MS);
    struct message_query q = question("", "");
    q.kind = QUERY_FLOWS;
    for (size_t i = 0; i < 2; i++)
        commit_seen(w, &places[i], &x, 1);
    expect(w, &q, NULL, "agent", LIST("web-1", "web-2"));
    q.by = by;
    q.by_count = 1;
    expect(w, &q, NULL, "resp_port,flows", LIST("80 1"));
    q.vantage = VANTAGE_ALL;
    expect(w, &q, NULL, "resp_port,flows", LIST("80 2"));
    q.by = by_agent;
    expect(w, &q, NULL, "agent,flows", LIST("web-1 1", "web-2 1"));
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
        const struct message_query q = question("http", list[i].filter);
        run(w, &q, NULL, "ordinal", &a);
        assert_int_equal(a.outcome.code, ERROR_USAGE);
        if (!strstr(a.outcome.text, list[i].text))
            fail_msg("'%s': %s", list[i].filter, a.outcome.text);
    }
    struct message_query q = question("http", "");
    q.by = by;
    q.by_count = 1;
    run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_USAGE);
    q.by = by_groups;
    run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_USAGE);
    assert_non_null(strstr(a.outcome.text, "cannot group by 'wait_p95': groups have it"));
    q = question("", "");
    q.kind = QUERY_FLOWS;
    q.by = by_number;
    q.by_count = 1;
    run(w, &q, NULL, "agent", &a);
    assert_non_null(strstr(a.outcome.text, "cannot group by 'flows': groups have it"));
    q = question("", "path /x or rcode 3");
    q.kind = QUERY_FLOWS;
    run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_USAGE);
    assert_non_null(strstr(a.outcome.text, "'path /x' is known of single exchanges"));
    q.kind = QUERY_PULL;
    run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_USAGE);
    assert_non_null(strstr(a.outcome.text, "pull their connections by `id`"));
}

static void an_empty_answer_explains_itself(void **state)
{
    struct world *w = *state;
    struct answer a;
    struct message_query q = question("http", "status 599");
    const struct wish flows_alone = {.stream = 2, .no_body = true};
    commit_chunk(w->store, &flows_alone, T0 + MINUTE);
    run(w, &q, NULL, "ordinal", &a);
    assert_non_null(strstr(a.outcome.text, "no exchange of http was seen in it, or none has ended. Captured was"));
    free(a.outcome.manifest);
    commit_busy(w);
    run(w, &q, NULL, "ordinal", &a);
    assert_non_null(
        strstr(a.outcome.text, "2 chunks of that time, and none of the 6 exchanges of http in them matches"));
    free(a.outcome.manifest);
    q = question("tls", "");
    run(w, &q, NULL, "ordinal", &a);
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
    const struct message_query q = question("http", "");
    x[1].flow_id++;
    wish.exchanges = x;
    wish.exchange_count = 2;
    commit_chunk(w->store, &wish, T0 + MINUTE);
    run(w, &q, NULL, "ordinal", &a);
    assert_int_equal(a.outcome.code, ERROR_INCOMPLETE);
    assert_non_null(strstr(a.outcome.text, "1 exchanges are of flows that the chunk does not have"));
    assert_lines(&a, LIST("1"));
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
    const struct message_query q = question("http", "status >= 500");
    struct store_report report;
    commit_busy(w);
    store_close(w->store);
    assert_int_equal(check_findings(w->path, true), 0);
    assert_int_equal(store_reindex(w->path, hush, NULL, &report, NULL), 0);
    const struct store_config config = {.path = w->path, .partition_ns = HOUR, .retain_age_ns = 24 * HOUR};
    w->store = open_store(w->path, &config);
    expect(w, &q, NULL, "path", LIST("/api/b"));
    assert_int_equal(store_maintain(w->store, T0 + 100 * HOUR, NULL), 0);
    struct answer a;
    run(w, &q, NULL, "path", &a);
    assert_int_equal(a.outcome.code, ERROR_INCOMPLETE); /* they were there, and have expired */
    assert_int_equal(a.count, 0);
    free(a.outcome.manifest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(exchanges_come_with_their_flows),
        TEST(filters_ask_for_exchanges_and_their_flows),
        TEST(they_are_sorted_and_limited),
        TEST(groups_have_sums_and_waits),
        TEST(a_percentile_is_exact),
        TEST(they_belong_to_the_time_of_their_request),
        TEST(bounds_hold),
        TEST(flows_do_not_tell_what_a_snaplen_hides),
        TEST(several_captures_on_one_interface_are_one_place),
        TEST(what_several_places_saw_counts_once),
        TEST(the_servers_agent_is_believed),
        TEST(numbers_need_not_be_the_same),
        TEST(sums_over_flows_count_a_connection_once),
        TEST(what_cannot_be_answered_is_said),
        TEST(an_empty_answer_explains_itself),
        TEST(without_a_flow_the_chunk_is_damaged),
        TEST(they_are_restored_and_expire_with_their_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
