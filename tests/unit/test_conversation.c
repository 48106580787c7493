/*
 * conversation: what flows and exchanges say of applications, however segments came: cut anywhere, twice, out of order, in any chunks, or
 * not at all.
 *
 * A scene is a list of messages; each is sent in pieces, all of the message's at the same time, 10 ms after the message before.
 */
#include "agent/capture/conversation.h"
#include "agent/capture/flow_table.h"
#include "common/base/clock.h"
#include "common/rows/column.h"
#include "tests/unit/hello_build.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET    1
#define T0          (UINT64_C(1700000000) * NS_PER_S)
#define STEP_NS     UINT64_C(10000000)
#define CLIENT      "10.0.0.1"
#define SERVER      "10.0.0.2"
#define TEXT_MAX    262144u
#define NUMBERS_MAX 1024u

enum { C, S }; /* who says it: client, server */

struct message {
    int from;
    const char *bytes;
    size_t len; /* 0: that of the text */
};

/* How a scene is played. */
struct play {
    bool udp;
    unsigned port;    /* the server's; 0: 80 */
    size_t piece;     /* bytes of each; 0: whole messages */
    bool twice;       /* each piece comes again */
    bool swapped;     /* each two pieces of a message change places */
    bool sealed;      /* a chunk ends behind each packet */
    bool no_syn;      /* the capture began later */
    bool mute[2];     /* what this end sends is not seen */
    int lost;         /* this message is not seen (-1: none) */
    size_t cut;       /* bytes of each packet's payload that are captured; 0: all */
    bool no_fin;      /* the capture ends before the connection */
    uint32_t far;     /* behind all that, the client sends a segment that begins so far ahead */
    uint32_t payload; /* what may be looked at; 0: all */
    uint64_t memory;
    uint8_t blank; /* enum http_blank */
};
#define PLAY ((struct play){.lost = -1})

struct told {
    char exchanges[TEXT_MAX];
    size_t len;
    char flow[4096];  /* the last row's columns of applications, counts summed */
    uint64_t sums[8]; /* exchanges, statuses by class */
    unsigned packets;
    uint64_t unheard;
    char running[4096]; /* exchanges that went on in the latest chunk with such: number, bytes of each side */
    bool more_running;
    unsigned outcomes[EXCHANGE_RUNNING]; /* how many ended so */
    bool is_brief;                       /* these alone */
    uint32_t goes_on[NUMBERS_MAX]; /* by number: how often it was told that it goes on, and not yet that it ended */
};

static void add(struct told *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct told *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    t->len += (size_t)vsnprintf(t->exchanges + t->len, TEXT_MAX - t->len, fmt, ap);
    va_end(ap);
    assert_true(t->len < TEXT_MAX);
}

static void add_column(struct told *t, const struct column *c, const void *row)
{
    const struct text *text = (const void *)((const char *)row + c->offset);
    uint64_t value = 0;
    (void)column_uint(c, row, &value);
    if (c->unit == UNIT_TIME_NS)
        value = (value - T0) / 1000000;
    if (c->unit == UNIT_NS)
        value /= 1000000;
    if (c->type == COLUMN_TEXT)
        add(t, " %s=%.*s", c->name, (int)text->len, text->data);
    else if (c->value_name && c->value_name(value))
        add(t, " %s=%s", c->name, c->value_name(value));
    else
        add(t, " %s=%" PRIu64, c->name, value);
}

/* How far it came; the latest of those told together. */
static void take_running(struct told *t, const struct exchange_row *x)
{
    size_t len = t->more_running ? strlen(t->running) : 0;
    len += (size_t)snprintf(t->running + len, sizeof t->running - len, " %u: %" PRIu64, x->ordinal, x->request_bytes);
    if (column_has(&x->has, EXCHANGE_REPLY_BYTES))
        len += (size_t)snprintf(t->running + len, sizeof t->running - len, "+%" PRIu64, x->reply_bytes);
    assert_true(len < sizeof t->running && !column_has(&x->has, EXCHANGE_DURATION));
    t->more_running = true;
}

static void take_exchanges(struct told *t, struct flow_table *table, const struct flow_row *rows, size_t flows)
{
    const struct exchange_row *x;
    size_t n;
    flow_table_exchanges(table, &x, &n);
    t->more_running = false;
    for (size_t i = 0; i < n; i++) {
        bool has_flow = false;
        for (size_t k = 0; k < flows; k++)
            has_flow |= rows[k].flow_id == x[i].flow_id;
        assert_true(has_flow && x[i].ordinal > 0);
        uint32_t *goes_on = &t->goes_on[x[i].ordinal % NUMBERS_MAX];
        *goes_on = x[i].outcome == EXCHANGE_RUNNING ? *goes_on + 1 : 0;
        if (*goes_on) {
            take_running(t, &x[i]);
            continue;
        }
        t->outcomes[x[i].outcome]++;
        if (t->is_brief)
            continue;
        for (unsigned k = 0; k < table_exchange.count; k++)
            if (table_exchange.columns[k].id != EXCHANGE_FLOW_ID && column_has(&x[i].has, table_exchange.columns[k].id))
                add_column(t, &table_exchange.columns[k], &x[i]);
        add(t, "\n");
    }
}

static void take_flow(struct told *t, const struct flow_row *r)
{
    static const struct {
        unsigned column;
        size_t offset;
    } texts[] = {{FLOW_APP, offsetof(struct flow_row, app)},
                 {FLOW_SNI, offsetof(struct flow_row, sni)},
                 {FLOW_ALPN, offsetof(struct flow_row, alpn)},
                 {FLOW_HTTP_HOST, offsetof(struct flow_row, http_host)},
                 {FLOW_DNS_NAME, offsetof(struct flow_row, dns_name)},
                 {FLOW_SOFTWARE_0, offsetof(struct flow_row, software[0])},
                 {FLOW_SOFTWARE_1, offsetof(struct flow_row, software[1])}};
    size_t len = 0;
    t->flow[0] = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct text *text = (const void *)((const char *)r + texts[i].offset);
        if (column_has(&r->has, texts[i].column))
            len += (size_t)snprintf(t->flow + len, sizeof t->flow - len, "%s%.*s", i ? " " : "", (int)text->len,
                                    text->data);
    }
    if (column_has(&r->has, FLOW_EXCHANGES))
        t->sums[0] += r->exchanges;
    for (unsigned i = 0; i < EXCHANGE_STATUS_CLASSES; i++)
        if (column_has(&r->has, FLOW_STATUS_1XX + i))
            t->sums[1 + i] += r->status_class[i];
    if (column_has(&r->has, FLOW_STATUS) && r->status > t->sums[6])
        t->sums[6] = r->status;
}

static void seal(struct told *t, struct flow_table *table)
{
    struct flow_row *rows;
    size_t n;
    assert_int_equal(flow_table_rows(table, &rows, &n, NULL), 0);
    take_exchanges(t, table, rows, n);
    for (size_t i = 0; i < n; i++)
        take_flow(t, &rows[i]);
    flow_table_next(table);
}

/* ---------------------------------------------------------------- packets */

struct stage {
    struct flow_table *table;
    const struct play *play;
    struct told *told;
    uint32_t seq[2];
    uint64_t now;
    bool udp;
    unsigned ports[2];
};

static void give(struct stage *g, int from, unsigned flags, uint32_t seq, const uint8_t *bytes, size_t len)
{
    struct build b = build_new();
    struct packet p;
    if (g->play->mute[from])
        return;
    uint8_t *payload = build_zero(&b, len);
    if (len)
        memcpy(payload, bytes, len);
    if (g->udp) {
        build_udp(&b, g->ports[from], g->ports[!from]);
    } else {
        uint8_t *h = build_tcp(&b, g->ports[from], g->ports[!from], flags);
        build_put32(h + 4, seq);
        build_put32(h + 8, g->seq[!from]);
    }
    build_ip4(&b, g->udp ? PROTO_UDP : PROTO_TCP, from == C ? CLIENT : SERVER, from == C ? SERVER : CLIENT);
    build_ethernet(&b, ETHERTYPE_IP4);
    uint32_t wire = build_length(&b), captured = wire;
    if (g->play->cut && len > g->play->cut)
        captured = wire - (uint32_t)(len - g->play->cut);
    uint8_t *copy = malloc(captured); /* of this size, so that a sanitizer sees what is read beyond */
    assert_non_null(copy);
    memcpy(copy, build_data(&b), captured);
    packet_decode(ETHERNET, copy, captured, wire, &p);
    while (!flow_table_advance(g->table, g->now))
        seal(g->told, g->table);
    flow_table_packet(g->table, &p, 0, g->now, FLOW_FRAME_NONE);
    free(copy);
    g->told->packets++;
    if (g->play->sealed)
        seal(g->told, g->table);
}

static void piece(struct stage *g, int from, const uint8_t *bytes, size_t at, size_t len)
{
    for (int i = 0; i < (g->play->twice ? 2 : 1); i++)
        give(g, from, TCP_ACK | TCP_PSH, g->seq[from] + (uint32_t)at, bytes + at, len);
}

static void say(struct stage *g, const struct message *m, bool is_lost)
{
    size_t len = m->len ? m->len : strlen(m->bytes), most = g->play->piece ? g->play->piece : 1400;
    const uint8_t *bytes = (const uint8_t *)m->bytes;
    g->now += STEP_NS;
    if (g->udp && !is_lost)
        piece(g, m->from, bytes, 0, len);
    for (size_t at = 0; at < len && !is_lost && !g->udp; at += 2 * most) {
        size_t first = len - at < most ? len - at : most, rest = len - at - first;
        size_t second = rest < most ? rest : most;
        if (second && g->play->swapped) {
            piece(g, m->from, bytes, at + first, second);
            piece(g, m->from, bytes, at, first);
        } else {
            piece(g, m->from, bytes, at, first);
            if (second)
                piece(g, m->from, bytes, at + first, second);
        }
    }
    g->seq[m->from] += (uint32_t)len;
}

static void play(const struct message *m, size_t n, const struct play *p, struct told *t)
{
    struct flow_table_options o = {.epoch = {1},
                                   .app_payload = p->payload ? p->payload : FLOW_TABLE_APP_ALL,
                                   .app_memory = p->memory,
                                   .http_blank = p->blank};
    struct stage g = {.play = p,
                      .told = t,
                      .seq = {UINT32_MAX - 20, 7000},
                      .now = T0,
                      .udp = p->udp,
                      .ports = {40000, p->port ? p->port : 80}};
    *t = (struct told){0};
    assert_int_equal(flow_table_new(&o, &g.table, NULL), 0);
    if (!p->no_syn && !p->udp) {
        give(&g, C, TCP_SYN, g.seq[C] - 1, NULL, 0);
        give(&g, S, TCP_SYN | TCP_ACK, g.seq[S] - 1, NULL, 0);
        give(&g, C, TCP_ACK, g.seq[C], NULL, 0);
    }
    for (size_t i = 0; i < n; i++)
        say(&g, &m[i], (int)i == p->lost);
    if (p->far)
        give(&g, C, TCP_ACK | TCP_PSH, g.seq[C] + p->far, (const uint8_t *)"far ahead", strlen("far ahead"));
    if (!p->no_fin && !p->udp) {
        give(&g, S, TCP_FIN | TCP_ACK, g.seq[S]++, NULL, 0);
        give(&g, C, TCP_FIN | TCP_ACK, g.seq[C]++, NULL, 0);
        give(&g, S, TCP_ACK, g.seq[S], NULL, 0);
    }
    while (!flow_table_end(g.table, FLOW_END_FORCED))
        seal(t, g.table);
    seal(t, g.table);
    struct flow_table_stats stats = flow_table_stats(g.table);
    assert_true(p->memory || !stats.unheard);
    for (unsigned i = 0; i < NUMBERS_MAX && !p->memory; i++)
        assert_int_equal(t->goes_on[i], 0); /* what went on ended at last */
    t->unheard = stats.unheard;
    assert_int_equal(stats.app_memory, 0); /* all of it came back */
    flow_table_free(g.table);
}

#define PLAY_SCENE(scene, p, t) play(scene, sizeof(scene) / sizeof *(scene), p, t)

static void expect(const struct told *t, const char *want)
{
    if (strcmp(t->exchanges, want) != 0)
        fail_msg("is\n%s\nnot\n%s", t->exchanges, want);
}

/* However it is played, what is told stays. */
static void check_all_ways(const struct message *m, size_t n, const struct play *as, const struct told *want)
{
    struct told *t = malloc(sizeof *t);
    assert_non_null(t);
    for (unsigned way = 0; way < 8; way++)
        for (size_t size = 0; size < 40; size++) {
            struct play p = *as;
            p.piece = size;
            p.twice = way & 1;
            p.swapped = way & 2;
            p.sealed = way & 4;
            play(m, n, &p, t);
            if (strcmp(t->exchanges, want->exchanges) != 0 || memcmp(t->sums, want->sums, sizeof t->sums) != 0 ||
                strcmp(t->flow, want->flow) != 0)
                fail_msg("pieces of %zu, way %u: is\n%s%s\nnot\n%s%s", size, way, t->exchanges, t->flow,
                         want->exchanges, want->flow);
        }
    free(t);
}

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
    expect(&t, pages_told);
    assert_string_equal(t.flow, "http h curl/8 nginx");
    static const uint64_t sums[8] = {5, 1, 2, 1, 1, 1, 500, 0};
    assert_memory_equal(t.sums, sums, sizeof sums);
    check_all_ways(pages, sizeof pages / sizeof *pages, &PLAY, &t);
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
        say(&g, &m, false);
        seal(&t, g.table);
        assert_string_equal(t.running, steps[i].running);
    }
    assert_true(flow_table_end(g.table, FLOW_END_FORCED));
    seal(&t, g.table);
    static const char ended[] = "path=/long status=200 app=http ordinal=1 send=10 request_body=0 reply_body=3000 "
                                "outcome=complete version=HTTP/1.1\n time=20 request_bytes=22 method=GET path=/next "
                                "app=http ordinal=2 send=0 request_body=0 outcome=open";
    assert_non_null(strstr(t.exchanges, ended));
    assert_int_equal(t.sums[0], 2); /* each counts once */
    flow_table_free(g.table);
}

/* Only how each exchange ended, in order. */
static const char *outcomes(const struct message *m, size_t n, const struct play *p)
{
    static char out[512];
    struct told *t = malloc(sizeof *t);
    size_t len = 0;
    assert_non_null(t);
    play(m, n, p, t);
    out[0] = 0;
    for (const char *at = t->exchanges; (at = strstr(at, "outcome=")); at++) {
        const char *word = at + strlen("outcome=");
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%.*s", len ? " " : "", (int)strcspn(word, " \n"), word);
    }
    free(t);
    return out;
}
#define OUTCOMES(scene, p) outcomes(scene, sizeof(scene) / sizeof *(scene), p)

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
    expect(&t,
           " time=10 wait=10 request_bytes=18 reply_bytes=38 method=GET path=/ status=200 app=http ordinal=1 send=0 "
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
    expect(&t, pages_told);
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
    expect(&t, names_told);
    assert_string_equal(t.flow, "dns z.example");
    assert_int_equal(t.sums[0], 4);
    check_all_ways(names_udp, sizeof names_udp / sizeof *names_udp, &p, &t);
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
    seal(g->told, g->table);
    expect(g->told, want);
    g->told->len = 0;
    g->told->exchanges[0] = 0;
}

static void end_names(struct stage *g)
{
    while (!flow_table_end(g->table, FLOW_END_FORCED))
        seal(g->told, g->table);
    seal(g->told, g->table);
    assert_int_equal(flow_table_stats(g->table).app_memory, 0);
    flow_table_free(g->table);
}

static void test_dns_without_an_answer(void **state)
{
    (void)state;
    struct told t;
    struct stage g = begin_names((struct flow_table_options){.epoch = {1}}, &t);
    say(&g, &asked_a, false);
    g.now += DNS_WAIT_NS / 2;
    say(&g, &asked_b, false);
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
    say(&g, &asked_a, false);
    g.now += DNS_WAIT_NS; /* within the same second as the next: the packet itself tells */
    say(&g, &answered_a, false);
    say(&g, &answered_a, false); /* said again */
    seal(&t, g.table);
    assert_memory_equal(t.exchanges, unanswered, strlen(unanswered));
    assert_string_equal(t.exchanges + strlen(unanswered),
                        " time=10 wait=5010 duration=5010 reply_bytes=43 dns_name=a.example dns_answers=10.0.0.1 "
                        "dns_type=A dns_rcode=NOERROR app=dns ordinal=1 outcome=late\n");
    assert_int_equal(t.sums[0], 2);
    t.len = 0;
    say(&g, &asked_b, false);
    g.now += DNS_WAIT_NS + NS_PER_S;
    say(&g, &asked_b, false); /* so late that it is another question */
    seal(&t, g.table);
    assert_non_null(strstr(t.exchanges, "b.example dns_type=A app=dns ordinal=2 send=0 outcome=unanswered"));
    t.len = 0;
    g.now += DNS_WAIT_NS + NS_PER_S;
    assert_true(flow_table_advance(g.table, g.now));
    seal(&t, g.table);
    assert_non_null(strstr(t.exchanges, "b.example dns_type=A app=dns ordinal=3 send=0 outcome=unanswered"));
    end_names(&g);
}

static void test_dns_wait_is_as_configured(void **state)
{
    (void)state;
    struct told t;
    struct flow_table_options o = {.timeouts.ns = {[FLOW_TIMER_DNS_QUERY] = 20 * NS_PER_S}};
    struct stage g = begin_names(o, &t);
    say(&g, &asked_a, false);
    g.now += 19 * NS_PER_S;
    say(&g, &answered_a, false);
    seal(&t, g.table);
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
        say(&g, &asked_a, false);
        say(&g, &asked_b, false);
    }
    while (flow_table_has_rows(g.table))
        seal(&t, g.table);
    assert_int_equal(t.len, 0);
    unsigned chunks = 0;
    for (g.now += DNS_WAIT_NS + NS_PER_S; !flow_table_advance(g.table, g.now); chunks++)
        seal(&t, g.table);
    seal(&t, g.table);
    assert_true(chunks >= FLOWS / ROWS);
    unsigned told = 0;
    for (const char *at = t.exchanges; (at = strstr(at, "outcome=unanswered")); at++)
        told++;
    assert_int_equal(told, 2 * FLOWS);
    assert_int_equal(flow_table_stats(g.table).alive, FLOWS);
    end_names(&g);
}

/* A capture that fails frees its flows as they are; the id of each is another. */
static void test_dns_given_up(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < 64; i++) {
        struct told t;
        struct stage g = begin_names((struct flow_table_options){.epoch = {i}}, &t);
        say(&g, &asked_a, false);
        say(&g, &asked_b, false);
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
    expect(&t, " time=10 wait=10 duration=10 request_bytes=29 reply_bytes=45 dns_name=b.example dns_answers=10.0.0.1 "
               "dns_type=A dns_rcode=NOERROR app=dns ordinal=2 send=0 outcome=complete\n"
               " time=10 wait=20 duration=20 request_bytes=29 reply_bytes=45 dns_name=a.example dns_answers=10.0.0.1 "
               "dns_type=A dns_rcode=NOERROR app=dns ordinal=1 send=0 outcome=complete\n");
    check_all_ways(names_tcp, sizeof names_tcp / sizeof *names_tcp, &p, &t);
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
    play(scene, sizeof scene / sizeof *scene, p, t);
    if (all_ways)
        check_all_ways(scene, sizeof scene / sizeof *scene, p, t);
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
    assert_string_equal(outcomes(scene, 1, &PLAY), "unanswered");
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
    check_all_ways(lines, sizeof lines / sizeof *lines, &p, &t);
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
        say(&g, &pages[i], false);
    seal(&t, g.table);
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
    play(refused, 2, &PLAY, &t);
    assert_non_null(strstr(t.exchanges, " wait=10 "));
}

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
    play(many, 10, &p, &t);
    assert_int_equal(t.unheard, 0);
    play(many, sizeof many / sizeof *many, &p, &t);
    assert_int_equal(t.unheard, 1);
}

/* One page in a connection of its own. */
static void visit(struct stage *g, unsigned port)
{
    static const struct message asked = {C, "GET / HTTP/1.1\r\nHost: web.example\r\n\r\n", 0},
                                answer = {S, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0};
    g->ports[C] = port;
    g->seq[C] = g->seq[S] = 1;
    say(g, &asked, false);
    say(g, &answer, false);
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
        say(g, &m, false);
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
        seal(t, g.table);
        assert_in_range(flow_table_stats(g.table).app_memory, 1, MEMORY - 1);
    }
    uint64_t unheard = flow_table_stats(g.table).unheard;
    assert_in_range(unheard, 1, HOARDERS);
    for (unsigned i = 0; i < VISITS; i++) {
        visit(&g, 2000 + i);
        seal(t, g.table);
        assert_int_equal(t->outcomes[EXCHANGE_COMPLETE], i + 1);
    }
    assert_true(flow_table_stats(g.table).unheard > unheard);
    while (!flow_table_end(g.table, FLOW_END_FORCED))
        seal(t, g.table);
    seal(t, g.table);
    assert_int_equal(t->outcomes[EXCHANGE_OPEN],
                     HOARDERS * REQUESTS); /* each is told, and that nobody knows how it ended */
    assert_int_equal(flow_table_stats(g.table).app_memory, 0);
    flow_table_free(g.table);
    free(t);
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
    give(&g, C, TCP_SYN, g.seq[C] - 1, NULL, 0);
    give(&g, S, TCP_SYN | TCP_ACK, g.seq[S] - 1, NULL, 0);
    uint32_t seq = g.seq[S];
    g.seq[S] += 100000; /* which the client's next packet acknowledges */
    say(&g, &asked, false);
    g.seq[S] = seq;
    say(&g, &answered, false);
    seal(&t, g.table);
    assert_non_null(strstr(t.exchanges, "status=200"));
    assert_non_null(strstr(t.exchanges, "outcome=complete"));
    flow_table_free(g.table);
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
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_what_goes_on_is_told),
        cmocka_unit_test(test_http_is_blanked),
        cmocka_unit_test(test_http_ends),
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_a_capture_that_begins_later),
        cmocka_unit_test(test_packets_that_are_cut),
        cmocka_unit_test(test_what_may_not_be_looked_at),
        cmocka_unit_test(test_memory_has_a_limit),
        cmocka_unit_test(test_a_flow_has_a_limit),
        cmocka_unit_test(test_the_silent_give_way),
        cmocka_unit_test(test_a_segment_that_is_far_ahead),
        cmocka_unit_test(test_other_things),
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_dns_without_an_answer),
        cmocka_unit_test(test_dns_answer_that_comes_late),
        cmocka_unit_test(test_dns_wait_is_as_configured),
        cmocka_unit_test(test_dns_many_without_an_answer),
        cmocka_unit_test(test_dns_given_up),
        cmocka_unit_test(test_dns_over_tcp),
        cmocka_unit_test(test_mdns_has_no_exchanges),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_tls_that_fails),
        cmocka_unit_test(test_tls_to_a_plain_port),
        cmocka_unit_test(test_requests_that_are_cut),
        cmocka_unit_test(test_an_early_reply_has_a_wait),
        cmocka_unit_test(test_acks_are_not_believed_beyond_a_window),
        cmocka_unit_test(test_ssh),
        cmocka_unit_test(test_names_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
