#include "tests/unit/conversation_play.h"

#include "agent/capture/conversation.h"
#include "tests/unit/packet_build.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET 1
#define CLIENT   "10.0.0.1"
#define SERVER   "10.0.0.2"

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

void told_seal(struct told *t, struct flow_table *table)
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
void stage_give(struct stage *g, int from, unsigned flags, uint32_t seq, const uint8_t *bytes, size_t len)
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
        told_seal(g->told, g->table);
    flow_table_packet(g->table, &p, 0, g->now, FLOW_FRAME_NONE);
    free(copy);
    g->told->packets++;
    if (g->play->sealed)
        told_seal(g->told, g->table);
}

void stage_piece(struct stage *g, int from, const uint8_t *bytes, size_t at, size_t len)
{
    for (int i = 0; i < (g->play->twice ? 2 : 1); i++)
        stage_give(g, from, TCP_ACK | TCP_PSH, g->seq[from] + (uint32_t)at, bytes + at, len);
}

void stage_say(struct stage *g, const struct message *m, bool is_lost)
{
    size_t len = m->len ? m->len : strlen(m->bytes), most = g->play->piece ? g->play->piece : 1400;
    const uint8_t *bytes = (const uint8_t *)m->bytes;
    g->now += STEP_NS;
    if (g->udp && !is_lost)
        stage_piece(g, m->from, bytes, 0, len);
    for (size_t at = 0; at < len && !is_lost && !g->udp; at += 2 * most) {
        size_t first = len - at < most ? len - at : most, rest = len - at - first;
        size_t second = rest < most ? rest : most;
        if (second && g->play->swapped) {
            stage_piece(g, m->from, bytes, at + first, second);
            stage_piece(g, m->from, bytes, at, first);
        } else {
            stage_piece(g, m->from, bytes, at, first);
            if (second)
                stage_piece(g, m->from, bytes, at + first, second);
        }
    }
    g->seq[m->from] += (uint32_t)len;
}

void scene_play(const struct message *m, size_t n, const struct play *p, struct told *t)
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
        stage_give(&g, C, TCP_SYN, g.seq[C] - 1, NULL, 0);
        stage_give(&g, S, TCP_SYN | TCP_ACK, g.seq[S] - 1, NULL, 0);
        stage_give(&g, C, TCP_ACK, g.seq[C], NULL, 0);
    }
    for (size_t i = 0; i < n; i++)
        stage_say(&g, &m[i], (int)i == p->lost);
    if (p->far)
        stage_give(&g, C, TCP_ACK | TCP_PSH, g.seq[C] + p->far, (const uint8_t *)"far ahead", strlen("far ahead"));
    if (!p->no_fin && !p->udp) {
        stage_give(&g, S, TCP_FIN | TCP_ACK, g.seq[S]++, NULL, 0);
        stage_give(&g, C, TCP_FIN | TCP_ACK, g.seq[C]++, NULL, 0);
        stage_give(&g, S, TCP_ACK, g.seq[S], NULL, 0);
    }
    while (!flow_table_end(g.table, FLOW_END_FORCED))
        told_seal(t, g.table);
    told_seal(t, g.table);
    struct flow_table_stats stats = flow_table_stats(g.table);
    assert_true(p->memory || !stats.unheard);
    for (unsigned i = 0; i < NUMBERS_MAX && !p->memory; i++)
        assert_int_equal(t->goes_on[i], 0); /* what went on ended at last */
    t->unheard = stats.unheard;
    assert_int_equal(stats.app_memory, 0); /* all of it came back */
    flow_table_free(g.table);
}

void told_expect(const struct told *t, const char *want)
{
    if (strcmp(t->exchanges, want) != 0)
        fail_msg("is\n%s\nnot\n%s", t->exchanges, want);
}

void scene_check_all_ways(const struct message *m, size_t n, const struct play *as, const struct told *want)
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
            scene_play(m, n, &p, t);
            if (strcmp(t->exchanges, want->exchanges) != 0 || memcmp(t->sums, want->sums, sizeof t->sums) != 0 ||
                strcmp(t->flow, want->flow) != 0)
                fail_msg("pieces of %zu, way %u: is\n%s%s\nnot\n%s%s", size, way, t->exchanges, t->flow,
                         want->exchanges, want->flow);
        }
    free(t);
}

/* ---------------------------------------------------------------- HTTP */
const char *scene_outcomes(const struct message *m, size_t n, const struct play *p)
{
    static char out[512];
    struct told *t = malloc(sizeof *t);
    size_t len = 0;
    assert_non_null(t);
    scene_play(m, n, p, t);
    out[0] = 0;
    for (const char *at = t->exchanges; (at = strstr(at, "outcome=")); at++) {
        const char *word = at + strlen("outcome=");
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%.*s", len ? " " : "", (int)strcspn(word, " \n"), word);
    }
    free(t);
    return out;
}
