/*
 * What a question is answered does not depend on where chunks were cut: the same random packets go through builders that seal
 * when nothing forces them, at random, and by each limit; then random filters are answered from the heads that came out, as a
 * collector does. The seeds are a fixed one and the clock's, or FLEETDUMP_SEED.
 *
 * And heads tell of applications what may be told.
 */
#include "agent/capture/chunk_builder.h"
#include "collector/query/flow_set.h"
#include "common/filter/filter.h"
#include "common/rows/block.h"
#include "tests/unit/filter_random.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/packet_random.h"
#include "tests/unit/sink_memory.h"
#include "tests/unit/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACKETS     2000
#define FILTERS     40
#define CHUNKS_MAX  (PACKETS + 100)
#define START_NS    (UINT64_C(1700000000) * NS)
#define NS          UINT64_C(1000000000)
#define FLOWS_LIMIT 100000

/* --- The packets --- */

struct scene {
    struct random_packet packet[PACKETS];
    uint64_t time_ns[PACKETS];
    uint32_t lost[PACKETS]; /* before it */
    uint32_t max_flows;
};

/* Bursts, and now and then a silence that some or all flows do not outlive. */
static uint64_t pause_ns(struct random *r)
{
    if (random_chance(r, 98))
        return random_below(r, NS / 5);
    return random_below(r, random_chance(r, 20) ? 400 : 70) * NS;
}

static void make_scene(struct random *r, struct scene *s)
{
    uint64_t now = START_NS;
    for (unsigned i = 0; i < PACKETS; i++) {
        now += pause_ns(r);
        s->time_ns[i] = now - random_below(r, NS / 100); /* a little out of order */
        s->lost[i] = random_chance(r, 2) ? 1 + random_below(r, 9) : 0;
        if (i > 0 && random_chance(r, 60)) /* or flows would hardly have a second packet */
            s->packet[i] = s->packet[random_below(r, i)];
        else
            random_packet(r, random_chance(r, 50), &s->packet[i]);
    }
    s->max_flows = random_chance(r, 50) ? 40 : 0;
}

/* --- Chunks in memory --- */

struct chunk {
    struct chunk_head head;
    struct block *block;
    struct flow_row *rows;
};

struct shelf {
    struct sink_memory made;
    struct chunk chunk[CHUNKS_MAX]; /* of each item */
    unsigned seals[SEAL_RECOVERED + 1];
};

/* What a row in a chunk leaves to its head, as the collector fills it in. */
static void complete(struct chunk *c)
{
    for (uint32_t i = 0; i < block_rows(c->block); i++) {
        struct flow_row *row = &c->rows[i];
        const char *name = c->head.interfaces[row->key.interface].name;
        row->agent = (struct text){c->head.agent, (uint32_t)strlen(c->head.agent)};
        row->interface_name = (struct text){name, (uint32_t)strlen(name)};
        column_add(&row->has, FLOW_AGENT);
        column_add(&row->has, FLOW_INTERFACE_NAME);
    }
}

static struct shelf *shelf_new(void)
{
    struct shelf *s = calloc(1, sizeof *s);
    assert_non_null(s);
    sink_memory_init(&s->made, CHUNKS_MAX, false);
    return s;
}

static void read_chunks(struct shelf *s)
{
    struct error e = ERROR_INIT;
    for (unsigned i = 0; i < s->made.count; i++) {
        struct chunk *c = &s->chunk[i];
        if (head_decode(s->made.items[i].head.data, s->made.items[i].head.len, &c->head, &e))
            fail_msg("head %u: %s", i, e.text);
        if (c->head.kind != HEAD_CHUNK)
            continue;
        s->seals[c->head.seal]++;
        if (!c->head.flows_length)
            continue;
        void *rows = NULL;
        if (block_open(&table_flow, c->head.flows, c->head.flows_length, &c->block, &e) ||
            block_read(c->block, &rows, &e))
            fail_msg("rows of head %u: %s", i, e.text);
        c->rows = rows;
        complete(c);
    }
    assert_int_equal(s->chunk[s->made.count - 1].head.kind, HEAD_END);
}

static void shelf_free(struct shelf *s)
{
    for (unsigned i = 0; i < s->made.count; i++) {
        free(s->chunk[i].rows);
        block_close(s->chunk[i].block);
        head_free(&s->chunk[i].head);
    }
    sink_memory_free(&s->made);
    free(s);
}

/* --- Ways to cut --- */

struct cut {
    const char *name;
    unsigned seal_percent; /* of packets that are followed by a seal */
    uint32_t max_rows;
    uint64_t chunk_ns, chunk_bytes;
    bool flows_only;
    unsigned seal; /* enum head_seal that this makes often, or 0 */
};

#define NEVER_NS    (UINT64_C(1) << 62)
#define NEVER_BYTES (UINT64_C(1) << 40)

static const struct cut whole = {"only where interfaces change", 0, 0, NEVER_NS, NEVER_BYTES, false, 0};
static const struct cut cuts[] = {
    {"after each packet", 100, 0, NEVER_NS, NEVER_BYTES, false, SEAL_FLUSH},
    {"often", 40, 0, NEVER_NS, NEVER_BYTES, false, SEAL_FLUSH},
    {"seldom", 2, 0, NEVER_NS, NEVER_BYTES, false, SEAL_FLUSH},
    {"by time", 0, 0, 3 * NS, NEVER_BYTES, false, SEAL_TIME},
    {"by rows", 0, 2 * FLOW_TABLE_ROWS_SPARE, NEVER_NS, NEVER_BYTES, false, SEAL_ROWS},
    {"by rows, without packets", 3, 20, NEVER_NS, NEVER_BYTES, true, SEAL_ROWS},
    {"by bytes", 0, 0, NEVER_NS, 1, false, 0}, /* whenever the compressor has caught up */
};

struct run {
    struct chunk_builder *builder;
    int64_t interface[512]; /* by link type; -1: none yet */
};

static uint32_t interface_of(struct run *u, int link_type)
{
    uint32_t index = 0;
    if (u->interface[link_type] < 0) {
        char name[32];
        snprintf(name, sizeof name, "eth%d", link_type);
        struct pcapng_interface i = {.name = name, .link_type = (uint16_t)link_type, .snaplen = 65535};
        assert_int_equal(chunk_builder_interface(u->builder, &i, &index, NULL), 0);
        u->interface[link_type] = index;
    }
    return (uint32_t)u->interface[link_type];
}

static void give(struct run *u, const struct scene *s, unsigned i)
{
    struct error e = ERROR_INIT;
    const struct random_packet *from = &s->packet[i];
    struct chunk_packet p = {.packet = {.interface = interface_of(u, from->link_type),
                                        .time_ns = s->time_ns[i],
                                        .captured = from->captured,
                                        .wire = from->wire,
                                        .data = from->data}};
    if (s->lost[i])
        assert_int_equal(chunk_builder_count(u->builder, p.packet.interface, COUNTER_KERNEL_DROPS, s->lost[i], &e), 0);
    if (chunk_builder_packets(u->builder, &p, 1, &e))
        fail_msg("packet %u: %s", i, e.text);
}

static struct shelf *build(struct random *r, const struct scene *s, const struct cut *cut)
{
    struct shelf *shelf = shelf_new();
    struct chunk_builder_options o = {.epoch = "one for all",
                                      .agent = "web-1",
                                      .capture = "test",
                                      .software = "test",
                                      .filter = "",
                                      .keep_packets = !cut->flows_only,
                                      .level = 1,
                                      .max_flows = s->max_flows,
                                      .max_rows = cut->max_rows,
                                      .chunk_bytes = cut->chunk_bytes,
                                      .chunk_ns = cut->chunk_ns};
    struct run u;
    memset(u.interface, -1, sizeof u.interface);
    assert_int_equal(chunk_builder_new(&o, &shelf->made.sink, &u.builder, NULL), 0);
    for (unsigned i = 0; i < PACKETS; i++) {
        give(&u, s, i);
        if (random_chance(r, cut->seal_percent))
            assert_int_equal(chunk_builder_seal(u.builder, SEAL_FLUSH, NULL), 0);
    }
    assert_int_equal(chunk_builder_finish(u.builder, NULL), 0);
    chunk_builder_free(u.builder);
    read_chunks(shelf);
    return shelf;
}

/* --- Answers --- */

/* Sums of the flows that the filter may select, judged on each row alone first, as a scan of rows does. */
static struct flow_set *answer(const struct shelf *s, const struct filter *f)
{
    struct flow_set *set = flow_set_new(FLOWS_LIMIT);
    assert_non_null(set);
    for (unsigned i = 0; i < s->made.count; i++)
        for (uint32_t n = 0; s->chunk[i].block && n < block_rows(s->chunk[i].block); n++)
            if (filter_row_part(f, &s->chunk[i].rows[n]) != TRUTH_NO)
                assert_int_equal(flow_set_add(set, &s->chunk[i].rows[n], NULL), 0);
    return set;
}

static bool same_value(const struct column *c, const struct flow_row *a, const struct flow_row *b)
{
    if (column_has(&a->has, c->id) != column_has(&b->has, c->id))
        return false;
    const void *x = (const char *)a + c->offset, *y = (const char *)b + c->offset;
    if (!column_has(&a->has, c->id))
        return true;
    if (c->type != COLUMN_TEXT)
        return memcmp(x, y, c->size) == 0;
    const struct text *s = x, *t = y;
    return s->len == t->len && memcmp(s->data, t->data, s->len) == 0;
}

/* What is of one chunk, or of what was before it, is left out. */
static const struct column *difference(const struct flow_row *a, const struct flow_row *b)
{
    for (unsigned i = 0; i < table_flow.count; i++) {
        const struct column *c = &table_flow.columns[i];
        bool by_chunk = c->id == FLOW_FRAMES || c->id == FLOW_PRIOR_PACKETS || c->id == FLOW_PRIOR_BYTES;
        if (!by_chunk && !same_value(c, a, b))
            return c;
    }
    return NULL;
}

static size_t count_selected(const struct filter *f, struct flow_set *set)
{
    size_t n = 0;
    for (size_t i = 0; i < flow_set_count(set); i++)
        n += filter_row_sum(f, &flow_set_at(set, i)->sum) != TRUTH_NO;
    return n;
}

/* The same flows with the same sums and the same certainty. How many. */
static size_t compare_answers(const struct filter *f, struct flow_set *expected, struct flow_set *got, const char *how,
                              const char *text, uint64_t seed)
{
    size_t selected = count_selected(f, expected), others = count_selected(f, got);
    if (selected != others)
        fail_msg("FLEETDUMP_SEED=%" PRIu64 " cut %s: %zu flows instead of %zu for %s", seed, how, others, selected,
                 text);
    for (size_t i = 0; i < flow_set_count(expected); i++) {
        const struct flow_row *sum = &flow_set_at(expected, i)->sum;
        enum truth truth = filter_row_sum(f, sum);
        if (truth == TRUTH_NO)
            continue;
        const struct flow_set_entry *same = flow_set_find(got, sum->flow_id);
        if (!same || filter_row_sum(f, &same->sum) != truth)
            fail_msg("FLEETDUMP_SEED=%" PRIu64 " cut %s: flow %016" PRIx64 " is answered otherwise for %s", seed, how,
                     sum->flow_id, text);
        const struct column *c = difference(sum, &same->sum);
        if (c)
            fail_msg("FLEETDUMP_SEED=%" PRIu64 " cut %s: flow %016" PRIx64 " has another %s", seed, how, sum->flow_id,
                     c->name);
    }
    return selected;
}

struct totals {
    size_t flows, answers, selected, some;
};

static void ask(struct shelf *const *shelves, size_t count, const char *text, uint64_t seed, struct totals *t)
{
    struct error e = ERROR_INIT;
    struct filter *f;
    if (filter_compile(text, NULL, &f, &e))
        fail_msg("FLEETDUMP_SEED=%" PRIu64 " %s", seed, e.text);
    struct flow_set *expected = answer(shelves[0], f);
    for (size_t i = 1; i < count; i++) {
        struct flow_set *got = answer(shelves[i], f);
        size_t selected = compare_answers(f, expected, got, cuts[i - 1].name, text, seed);
        t->answers++;
        t->selected += selected;
        t->some += selected > 0 && selected < t->flows;
        flow_set_free(got);
    }
    flow_set_free(expected);
    filter_free(f);
}

/* A row knows what the rows before it hold, so that a missing chunk shows. */
static void check_prior(const struct shelf *s)
{
    struct flow_set *before = flow_set_new(FLOWS_LIMIT);
    for (unsigned i = 0; i < s->made.count; i++)
        for (uint32_t n = 0; s->chunk[i].block && n < block_rows(s->chunk[i].block); n++) {
            const struct flow_row *row = &s->chunk[i].rows[n];
            const struct flow_set_entry *known = flow_set_find(before, row->flow_id);
            const struct flow_row *sum = known ? &known->sum : &(struct flow_row){0};
            assert_int_equal(row->prior_packets, sum->packets[0] + sum->packets[1]);
            assert_int_equal(row->prior_bytes, sum->bytes[0] + sum->bytes[1]);
            assert_int_equal(flow_set_add(before, row, NULL), 0);
        }
    flow_set_free(before);
}

#define CUTS (sizeof cuts / sizeof *cuts)

static void run(uint64_t seed, struct totals *t)
{
    static struct random_filter texts;
    struct random r = {seed};
    struct scene *scene = malloc(sizeof *scene);
    struct shelf *shelves[1 + CUTS];
    assert_non_null(scene);
    make_scene(&r, scene);
    shelves[0] = build(&r, scene, &whole);
    for (size_t i = 0; i < CUTS; i++) {
        shelves[1 + i] = build(&r, scene, &cuts[i]);
        check_prior(shelves[1 + i]);
        if (cuts[i].seal && shelves[1 + i]->seals[cuts[i].seal] < 5)
            fail_msg("FLEETDUMP_SEED=%" PRIu64 " was not cut %s", seed, cuts[i].name);
    }
    ask(shelves, 1 + CUTS, "", seed, t);
    t->flows = t->selected / CUTS;
    for (unsigned i = 0; i < FILTERS; i++) {
        random_filter(&r, true, &texts);
        ask(shelves, 1 + CUTS, texts.text[RANDOM_OURS], seed, t);
    }
    for (size_t i = 0; i < 1 + CUTS; i++)
        shelf_free(shelves[i]);
    free(scene);
}

static void answers_do_not_depend_on_chunk_borders(void **state)
{
    (void)state;
    const char *given = getenv("FLEETDUMP_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t clock = (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
    const uint64_t seeds[] = {given ? strtoull(given, NULL, 10) : 20261122, clock};
    for (size_t i = 0; i < (given ? 1 : sizeof seeds / sizeof *seeds); i++) {
        struct totals t = {0};
        run(seeds[i], &t);
        print_message("%zu flows, %zu answers, %zu of some and not all\n", t.flows, t.answers, t.some);
        assert_in_range(t.flows, 50, PACKETS);
        assert_in_range(t.some, t.answers / 4, t.answers);
    }
}

/* --- Applications --- */

static void give_http(struct chunk_builder *b, uint32_t interface, unsigned n)
{
    static const char *const said[] = {"GET /private HTTP/1.1\r\nHost: web.example\r\n\r\n",
                                       "HTTP/1.1 204 No Content\r\n\r\n"};
    static const uint32_t seq[] = {1000, 5000};
    size_t len = strlen(said[n]);
    struct build p = build_new();
    memcpy(build_zero(&p, len), said[n], len);
    uint8_t *h = build_tcp(&p, n ? 80 : 40000, n ? 40000 : 80, TCP_ACK | TCP_PSH);
    build_put32(h + 4, seq[n]);
    build_put32(h + 8, n ? seq[0] + (uint32_t)strlen(said[0]) : seq[1]);
    build_ip4(&p, PROTO_TCP, n ? "10.0.0.2" : "10.0.0.1", n ? "10.0.0.1" : "10.0.0.2");
    build_ethernet(&p, ETHERTYPE_IP4);
    struct pcapng_packet k = {.interface = interface,
                              .time_ns = START_NS + n,
                              .captured = build_length(&p),
                              .wire = build_length(&p),
                              .data = build_data(&p)};
    assert_int_equal(chunk_builder_packets(b, &(struct chunk_packet){.packet = k}, 1, NULL), 0);
}

/* What the head of a chunk with one exchange has: the flow's application, exchanges, and what stands behind the first line's beginning. */
static void check_told(struct chunk_builder_options o, bool app, bool exchanges, bool host)
{
    struct shelf *shelf = shelf_new();
    struct chunk_builder *b;
    struct pcapng_interface i = {.name = "eth0", .link_type = 1, .snaplen = 65535};
    uint32_t index;
    o.agent = o.capture = o.software = "test";
    o.level = 1;
    assert_int_equal(chunk_builder_new(&o, &shelf->made.sink, &b, NULL), 0);
    assert_int_equal(chunk_builder_interface(b, &i, &index, NULL), 0);
    give_http(b, index, 0);
    give_http(b, index, 1);
    assert_int_equal(chunk_builder_finish(b, NULL), 0);
    chunk_builder_free(b);
    read_chunks(shelf);
    const struct chunk *c = &shelf->chunk[0];
    assert_int_equal(c->head.exchanges != NULL, exchanges);
    assert_int_equal(column_has(&c->rows[0].has, FLOW_APP), app);
    assert_int_equal(column_has(&c->rows[0].has, FLOW_HTTP_HOST), host);
    assert_int_equal(column_has(&c->rows[0].has, FLOW_EXCHANGES), app);
    shelf_free(shelf);
}

static void rows_tell_no_more_than_packets(void **state)
{
    (void)state;
    check_told((struct chunk_builder_options){.keep_packets = true}, true, true, true);
    check_told((struct chunk_builder_options){.keep_packets = false}, true, true, true);
    check_told((struct chunk_builder_options){.keep_packets = true, .headers_only = true}, false, false, false);
    check_told((struct chunk_builder_options){.keep_packets = false, .no_apps = true}, false, false, false);
    check_told((struct chunk_builder_options){.keep_packets = true, .payload = 8}, true, true, false);
    check_told((struct chunk_builder_options){.keep_packets = true, .payload = 1000}, true, true, true);
    check_told((struct chunk_builder_options){.keep_packets = true, .snaplen = 60}, true, true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_tell_no_more_than_packets),
        cmocka_unit_test(answers_do_not_depend_on_chunk_borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
