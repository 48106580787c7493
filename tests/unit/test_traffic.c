/*
 * Traffic: what rows and exchanges say of random conversations (HTTP with pipelining, DNS; cut in random pieces, many at once). All columns are the
 * same wherever chunks are cut; and packets that come twice or late change no words, and break nothing that has to hold.
 */
#include "agent/capture/flow_table.h"
#include "common/base/clock.h"
#include "common/rows/column.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET      1
#define T0            (UINT64_C(1700000000) * NS_PER_S)
#define MS            UINT64_C(1000000)
#define TALKS         24u
#define PACKETS_MAX   20000u
#define FLOWS_MAX     64u
#define EXCHANGES_MAX 4000u
#define TEXTS_MAX     (8u << 20)
#define PIECE_MAX     700u

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % n;
}

/* ---------------------------------------------------------------- packets */

struct sent {
    uint64_t time_ns;
    uint32_t order; /* of equal times */
    uint32_t len;
    uint8_t *data; /* of its own size; shared by copies */
    bool fixed;    /* begins or ends a connection: neither late nor twice */
    bool is_copy;
};

struct scene {
    struct sent sent[PACKETS_MAX];
    uint32_t count;
};

/* One connection while it is made up. */
struct talk {
    struct scene *scene;
    uint64_t now;
    uint32_t seq[2];
    unsigned client_port, server_port;
    char client[16];
    bool udp;
};

static struct sent *add(struct scene *s, const struct sent *p)
{
    assert_in_range(s->count, 0, PACKETS_MAX - 1);
    s->sent[s->count] = *p;
    s->sent[s->count].order = s->count;
    return &s->sent[s->count++];
}

static void give(struct talk *t, int from, unsigned flags, const char *bytes, size_t len)
{
    struct build b = build_new();
    unsigned ports[] = {t->client_port, t->server_port};
    uint8_t *payload = build_zero(&b, len);
    if (len)
        memcpy(payload, bytes, len);
    if (t->udp) {
        build_udp(&b, ports[from], ports[!from]);
    } else {
        uint8_t *h = build_tcp(&b, ports[from], ports[!from], flags);
        build_put32(h + 4, t->seq[from]);
        build_put32(h + 8, flags & TCP_ACK ? t->seq[!from] : 0);
    }
    build_ip4(&b, t->udp ? PROTO_UDP : PROTO_TCP, from ? "192.0.2.1" : t->client, from ? t->client : "192.0.2.1");
    build_ethernet(&b, ETHERTYPE_IP4);
    struct sent p = {.time_ns = t->now, .len = build_length(&b), .fixed = flags & (TCP_SYN | TCP_FIN)};
    p.data = malloc(p.len);
    assert_non_null(p.data);
    memcpy(p.data, build_data(&b), p.len);
    add(t->scene, &p);
    t->seq[from] += (uint32_t)len + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
}

static void say(struct talk *t, int from, const char *bytes, size_t len)
{
    t->now += 10 * MS + random_below(10 * MS);
    while (len) {
        size_t n = 1 + random_below(len < PIECE_MAX ? len : PIECE_MAX);
        give(t, from, TCP_ACK | TCP_PSH, bytes, n);
        bytes += n;
        len -= n;
        t->now += MS / 2 + random_below(MS / 2);
    }
}

/* ---------------------------------------------------------------- what is said */

struct words {
    char text[16384];
    size_t len;
};

static void put(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct words *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    w->len += (size_t)vsnprintf(w->text + w->len, sizeof w->text - w->len, fmt, ap);
    va_end(ap);
    assert_true(w->len < sizeof w->text);
}

static void put_body(struct words *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(w, "%c", 'a' + (int)(i % 26));
}

static void put_request(struct words *w, bool *is_head)
{
    size_t body = random_below(4) ? 0 : random_below(900);
    *is_head = !body && random_below(5) == 0;
    put(w, "%s /%u HTTP/1.1\r\nHost: h%u.example\r\n",
        body       ? "POST"
        : *is_head ? "HEAD"
                   : "GET",
        (unsigned)random_below(1000), (unsigned)random_below(3));
    if (body)
        put(w, "Content-Length: %zu\r\n", body);
    put(w, "\r\n");
    put_body(w, body);
}

static void put_reply(struct words *w, bool is_head)
{
    static const unsigned statuses[] = {200, 200, 200, 304, 404, 503};
    unsigned status = statuses[random_below(6)];
    size_t body = status == 304 ? 0 : random_below(1500);
    if (random_below(10) == 0)
        put(w, "HTTP/1.1 103 Early Hints\r\n\r\n");
    put(w, "HTTP/1.1 %u Word\r\nContent-Type: text/plain\r\n", status);
    if (random_below(3) == 0 && status != 304 && !is_head) {
        put(w, "Transfer-Encoding: chunked\r\n\r\n");
        for (; body > 100; body -= 100) {
            put(w, "64\r\n");
            put_body(w, 100);
            put(w, "\r\n");
        }
        put(w, "0\r\n\r\n");
        return;
    }
    put(w, "Content-Length: %zu\r\n\r\n", body);
    if (!is_head)
        put_body(w, body);
}

static void talk_http(struct talk *t)
{
    static struct words w;
    give(t, 0, TCP_SYN, "", 0);
    give(t, 1, TCP_SYN | TCP_ACK, "", 0);
    give(t, 0, TCP_ACK, "", 0);
    for (uint64_t turns = 1 + random_below(8); turns; turns--) {
        bool is_head[4];
        size_t n = 1 + random_below(4);
        w.len = 0;
        for (size_t i = 0; i < n; i++)
            put_request(&w, &is_head[i]);
        say(t, 0, w.text, w.len);
        w.len = 0;
        for (size_t i = 0; i < n; i++)
            put_reply(&w, is_head[i]);
        say(t, 1, w.text, w.len);
    }
    t->now += 100 * MS;
    give(t, 0, TCP_FIN | TCP_ACK, "", 0);
    give(t, 1, TCP_FIN | TCP_ACK, "", 0);
}

static void talk_dns(struct talk *t)
{
    for (unsigned n = 1 + (unsigned)random_below(6); n; n--) {
        uint8_t query[64] = {(uint8_t)n, 7, 1, 0, 0, 1}, *at = query + 12;
        *at++ = 5;
        at += snprintf((char *)at, 8, "host%u", (unsigned)random_below(9));
        memcpy(at, "\3lab\0\0\1\0\1", 9);
        size_t len = (size_t)(at + 9 - query);
        t->now += 10 * MS + random_below(10 * MS);
        give(t, 0, 0, (char *)query, len);
        query[2] = 0x81;
        query[3] = random_below(3) ? 0 : 3;
        t->now += 10 * MS;
        if (random_below(5))
            give(t, 1, 0, (char *)query, len);
    }
}

static int by_time(const void *a, const void *b)
{
    const struct sent *x = a, *y = b;
    return x->time_ns != y->time_ns ? (x->time_ns < y->time_ns ? -1 : 1) : x->order < y->order ? -1 : 1;
}

static void make_scene(struct scene *s)
{
    s->count = 0;
    for (unsigned i = 0; i < TALKS; i++) {
        struct talk t = {.scene = s,
                         .now = T0 + random_below(NS_PER_S),
                         .seq = {(uint32_t)random_below(UINT32_MAX), UINT32_MAX - 500},
                         .client_port = 30000 + i,
                         .udp = i % 3 == 2};
        t.server_port = t.udp ? 53 : 80;
        snprintf(t.client, sizeof t.client, "10.0.0.%u", i % 5);
        (t.udp ? talk_dns : talk_http)(&t);
    }
    qsort(s->sent, s->count, sizeof *s->sent, by_time);
}

static void free_scene(struct scene *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (!s->sent[i].is_copy)
            free(s->sent[i].data);
}

/* Some packets come again, some up to `late_ns` later than they were sent. */
static void disturb(struct scene *s, uint64_t late_ns)
{
    for (uint32_t i = 0, n = s->count; i < n; i++) {
        struct sent *p = &s->sent[i];
        if (!p->fixed && random_below(5) == 0) {
            struct sent copy = *p;
            copy.time_ns += random_below(late_ns);
            copy.is_copy = true;
            add(s, &copy);
        }
        if (!p->fixed && random_below(4) == 0)
            p->time_ns += random_below(late_ns);
    }
    qsort(s->sent, s->count, sizeof *s->sent, by_time);
}

/* ---------------------------------------------------------------- what is told */

struct told {
    struct flow_row flows[FLOWS_MAX];
    struct exchange_row exchanges[EXCHANGES_MAX];
    size_t flow_count, exchange_count;
    char texts[TEXTS_MAX]; /* that the table's own go away */
    size_t text_len;
};

static void own_texts(struct told *t, const struct table *table, void *row)
{
    const struct column_set *has = row; /* both kinds of rows begin with it */
    for (unsigned i = 0; i < table->count; i++) {
        const struct column *c = &table->columns[i];
        if (c->type != COLUMN_TEXT || !column_has(has, c->id))
            continue;
        struct text *text = (struct text *)(void *)((char *)row + c->offset);
        assert_true(t->text_len + text->len <= TEXTS_MAX);
        memcpy(t->texts + t->text_len, text->data, text->len);
        text->data = t->texts + t->text_len;
        t->text_len += text->len;
    }
}

static void take_flow(struct told *t, const struct flow_row *row)
{
    struct flow_row mine = *row;
    size_t i = 0;
    own_texts(t, &table_flow, &mine);
    while (i < t->flow_count && t->flows[i].flow_id != row->flow_id)
        i++;
    if (i < t->flow_count) {
        table_merge(&table_flow, &t->flows[i], &mine);
        return;
    }
    assert_in_range(i, 0, FLOWS_MAX - 1);
    t->flows[t->flow_count++] = mine;
}

/* One that went on is another row later: the last one counts. */
static void take_exchange(struct told *t, const struct exchange_row *row)
{
    size_t i = 0;
    while (i < t->exchange_count &&
           (t->exchanges[i].flow_id != row->flow_id || t->exchanges[i].ordinal != row->ordinal ||
            t->exchanges[i].outcome != EXCHANGE_RUNNING))
        i++;
    t->exchange_count += i == t->exchange_count;
    assert_in_range(t->exchange_count, 1, EXCHANGES_MAX);
    t->exchanges[i] = *row;
    own_texts(t, &table_exchange, &t->exchanges[i]);
}

static void seal(struct told *t, struct flow_table *table)
{
    struct flow_row *rows;
    const struct exchange_row *x;
    size_t n, exchanges;
    assert_int_equal(flow_table_rows(table, &rows, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        take_flow(t, &rows[i]);
    flow_table_exchanges(table, &x, &exchanges);
    for (size_t i = 0; i < exchanges; i++) {
        bool has_flow = false;
        for (size_t k = 0; k < n; k++)
            has_flow |= rows[k].flow_id == x[i].flow_id;
        assert_true(has_flow);
        take_exchange(t, &x[i]);
    }
    flow_table_next(table);
}

static int by_key(const void *a, const void *b)
{
    const struct flow_row *x = a, *y = b;
    int c = memcmp(&x->key, &y->key, sizeof x->key);
    return c ? c : x->flow_id < y->flow_id ? -1 : x->flow_id > y->flow_id;
}

static int by_ordinal(const void *a, const void *b)
{
    const struct exchange_row *x = a, *y = b;
    if (x->flow_id != y->flow_id)
        return x->flow_id < y->flow_id ? -1 : 1;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

/* In an order that does not depend on when flows began; exchanges have the number of their flow for its id. */
static void put_in_order(struct told *t)
{
    qsort(t->flows, t->flow_count, sizeof *t->flows, by_key);
    for (size_t i = 0; i < t->exchange_count; i++) {
        size_t flow = 0;
        while (t->flows[flow].flow_id != t->exchanges[i].flow_id)
            flow++;
        t->exchanges[i].flow_id = flow;
    }
    qsort(t->exchanges, t->exchange_count, sizeof *t->exchanges, by_ordinal);
}

/* With `cut`, a chunk ends behind one packet in `cut`. */
static void play(const struct scene *s, unsigned cut, struct told *t)
{
    const struct flow_table_options o = {.epoch = {1}, .app_payload = FLOW_TABLE_APP_ALL};
    struct flow_table *table;
    struct packet p;
    t->flow_count = t->exchange_count = t->text_len = 0;
    assert_int_equal(flow_table_new(&o, &table, NULL), 0);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct sent *sent = &s->sent[i];
        packet_decode(ETHERNET, sent->data, sent->len, sent->len, &p);
        while (!flow_table_advance(table, sent->time_ns))
            seal(t, table);
        flow_table_packet(table, &p, 0, sent->time_ns, FLOW_FRAME_NONE);
        if (cut && random_below(cut) == 0)
            seal(t, table);
    }
    while (!flow_table_end(table, FLOW_END_FORCED))
        seal(t, table);
    seal(t, table);
    assert_int_equal(flow_table_stats(table).app_memory, 0);
    flow_table_free(table);
    put_in_order(t);
}

/* ---------------------------------------------------------------- what is the same */

static bool same_value(const struct column *c, const void *a, const void *b)
{
    bool has = column_has(a, c->id);
    const void *x = (const char *)a + c->offset, *y = (const char *)b + c->offset;
    if (has != column_has(b, c->id) || !has)
        return has == column_has(b, c->id);
    const struct text *s = x, *t = y;
    return c->type == COLUMN_TEXT ? s->len == t->len && memcmp(s->data, t->data, s->len) == 0
                                  : memcmp(x, y, c->size) == 0;
}

static void check_same(const struct table *table, const void *a, const void *b, const uint8_t *but, const char *why)
{
    for (unsigned i = 0; i < table->count; i++) {
        const struct column *c = &table->columns[i];
        if (!strchr((const char *)but, c->id) && !same_value(c, a, b))
            fail_msg("%s.%s is another one %s", table->name, c->name, why);
    }
}

/* All columns but these; of flows nothing without `but_flow`. */
static void compare(const struct told *a, const struct told *b, const uint8_t *but_flow, const uint8_t *but_exchange,
                    const char *why)
{
    assert_int_equal(a->flow_count, b->flow_count);
    for (size_t i = 0; i < a->flow_count && but_flow; i++)
        check_same(&table_flow, &a->flows[i], &b->flows[i], but_flow, why);
    assert_int_equal(a->exchange_count, b->exchange_count);
    for (size_t i = 0; i < a->exchange_count; i++)
        check_same(&table_exchange, &a->exchanges[i], &b->exchanges[i], but_exchange, why);
}

/* What rows say of what was before them, and of frames. */
static const uint8_t of_chunks[] = {FLOW_FRAMES, FLOW_PRIOR_PACKETS, FLOW_PRIOR_BYTES, 0};
static const uint8_t none[] = {0};

/* When it came, and how long that took; of DNS a query that comes twice is as long as both. */
static const uint8_t of_time[] = {
    EXCHANGE_TIME, EXCHANGE_WAIT, EXCHANGE_DURATION, EXCHANGE_SEND, EXCHANGE_REQUEST_BYTES, EXCHANGE_REPLY_BYTES, 0};

static void test_nothing_depends_on_chunk_borders(void **state)
{
    (void)state;
    struct scene *s = malloc(sizeof *s);
    struct told *whole = malloc(sizeof *whole), *cut = malloc(sizeof *cut);
    static const unsigned every[] = {1, 3, 20, 200};
    assert_true(s && whole && cut);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        random_state = seed;
        make_scene(s);
        if (seed % 3)
            disturb(s, seed % 3 * 30 * MS);
        play(s, 0, whole);
        assert_in_range(whole->exchange_count, 50, EXCHANGES_MAX);
        for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
            play(s, every[i], cut);
            compare(whole, cut, of_chunks, none, "where chunks are cut elsewhere");
        }
        free_scene(s);
    }
    free(s);
    free(whole);
    free(cut);
}

/* ---------------------------------------------------------------- what has to hold */

static void check_end(const struct flow_row *r, unsigned i)
{
    assert_true(r->retrans[i] + r->out_of_order[i] + r->keep_alives[i] <= r->packets[i]);
    assert_true(r->spurious[i] <= r->retrans[i] && r->fast[i] <= r->retrans[i]);
    assert_true(r->retrans_bytes[i] <= r->payload[i] && r->payload[i] <= r->bytes[i]);
    assert_true(r->acked_max[i] <= PIECE_MAX && r->lost_max[i] <= PIECE_MAX);
    if (r->rtt_count[i]) {
        assert_true(r->rtt_min[i] <= r->rtt_max[i]);
        assert_true(r->rtt_min[i] * r->rtt_count[i] <= r->rtt_sum[i] &&
                    r->rtt_sum[i] <= r->rtt_max[i] * r->rtt_count[i]);
    }
}

static void check_flow(const struct flow_row *r)
{
    assert_true(r->first_ns <= r->last_ns && r->start_ns == r->first_ns);
    for (unsigned i = 0; i < 2; i++)
        check_end(r, i);
    assert_true(r->wait_max <= r->wait_sum && (r->replies || !r->wait_sum));
    assert_true(!column_has(&r->has, FLOW_HANDSHAKE) || r->syn_answer <= r->handshake);
}

static void check_exchange(const struct exchange_row *x, const struct flow_row *flow)
{
    bool complete = x->outcome == EXCHANGE_COMPLETE;
    assert_true(x->time_ns >= flow->first_ns && x->time_ns <= flow->last_ns);
    assert_true(!complete || (column_has(&x->has, EXCHANGE_WAIT) && column_has(&x->has, EXCHANGE_DURATION)));
    assert_true(!complete || x->wait_ns <= x->duration_ns);
    assert_true(x->time_ns + x->duration_ns <= flow->last_ns);
    assert_true(x->request_body <= x->request_bytes && x->reply_body <= x->reply_bytes);
}

/* Numbers without holes, and as many as the flow counts. */
static void check_invariants(const struct scene *s, const struct told *t)
{
    uint64_t packets = 0;
    size_t at = 0;
    for (size_t i = 0; i < t->flow_count; i++) {
        const struct flow_row *r = &t->flows[i];
        uint64_t said[EXCHANGE_STATUS_CLASSES + 1] = {0}, n = 0, worst = 0;
        check_flow(r);
        packets += r->packets[0] + r->packets[1];
        for (; at < t->exchange_count && t->exchanges[at].flow_id == i; at++) {
            const struct exchange_row *x = &t->exchanges[at];
            assert_int_equal(x->ordinal, ++n);
            check_exchange(x, r);
            said[column_has(&x->has, EXCHANGE_STATUS) ? x->status / 100 : 0]++;
            worst = column_has(&x->has, EXCHANGE_STATUS) && x->status > worst ? x->status : worst;
        }
        assert_int_equal(r->exchanges, n);
        assert_int_equal(r->status, worst);
        for (unsigned c = 2; c <= EXCHANGE_STATUS_CLASSES; c++)
            assert_int_equal(r->status_class[c - 1], said[c]);
    }
    assert_int_equal(at, t->exchange_count);
    assert_int_equal(packets, s->count);
}

/* Up to 5 ms late is within a message, with fewer segments than are waited for, and its words are the same; later than that, replies come before
 * requests. */
static void test_packets_twice_and_late_break_nothing(void **state)
{
    (void)state;
    struct scene *s = malloc(sizeof *s);
    struct told *plain = malloc(sizeof *plain), *other = malloc(sizeof *other);
    assert_true(s && plain && other);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        random_state = seed;
        make_scene(s);
        play(s, 0, plain);
        check_invariants(s, plain);
        disturb(s, seed % 2 ? 5 * MS : 200 * MS);
        play(s, 0, other);
        check_invariants(s, other);
        if (seed % 2)
            compare(plain, other, NULL, of_time, "with packets twice and late");
        free_scene(s);
    }
    free(s);
    free(plain);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_depends_on_chunk_borders),
        cmocka_unit_test(test_packets_twice_and_late_break_nothing),
    };
    return cmocka_run_group_tests_name("traffic", tests, NULL, NULL);
}
