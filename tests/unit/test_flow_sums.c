/*
 * flow_table: rows add up, wherever chunks are cut.
 */
#include "tests/unit/flow_table_support.h"

#include <stdlib.h>
#include <string.h>

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % n;
}

#define PACKETS 3000
#define HOSTS   4

struct scene {
    struct build packet[PACKETS];
    uint64_t time_ns[PACKETS];
    uint32_t interface[PACKETS];
    uint32_t loss[PACKETS];
};

static const char *host(uint64_t n)
{
    static const char *const hosts[HOSTS] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "224.0.0.1"};
    return hosts[n];
}

static struct build random_packet(struct scene *s, unsigned at)
{
    const char *from = host(random_below(HOSTS - 1)), *to = host(random_below(HOSTS));
    unsigned ports[2] = {1000 + (unsigned)random_below(6), (unsigned)(random_below(3) ? 80 : 53)};
    bool back = random_below(2);
    switch (random_below(8)) {
    case 0:
        return packet_udp(from, ports[back], to, ports[!back], random_below(50));
    case 1:
        return at ? packet_icmp_error(from, &s->packet[random_below(at)]) : packet_udp(from, ports[0], to, ports[1], 4);
    case 2: {
        struct build b = packet_udp(from, ports[back], to, ports[!back], 40);
        uint8_t *ip = build_data(&b) + 14;
        build_put16(ip + 4, (unsigned)random_below(5));
        build_put16(ip + 6, random_below(2) ? 0x2000 : 5);
        return b;
    }
    default: {
        static const unsigned flags[] = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK, TCP_ACK,
                                         TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST, TCP_FIN};
        struct build b = packet_tcp(from, ports[back], to, ports[!back], flags[random_below(8)],
                                    (uint32_t)random_below(20) * 10, random_below(3) * 10);
        uint8_t *h = build_data(&b) + 14 + 20;
        build_put32(h + 8, (uint32_t)random_below(20) * 10);
        build_put16(h + 14, (unsigned)random_below(4) * 10);
        return b;
    }
    }
}

static void make_scene(struct scene *s)
{
    uint64_t now = T0;
    for (unsigned i = 0; i < PACKETS; i++) {
        now += random_below(100) ? random_below(NS_PER_S / 10) : random_below(100 * NS_PER_S);
        s->packet[i] = random_packet(s, i);
        s->time_ns[i] = now - random_below(NS_PER_S / 100); /* a little out of order */
        s->interface[i] = (uint32_t)random_below(2);
        s->loss[i] = random_below(50) ? 0 : (uint32_t)random_below(9);
    }
}

#define FLOWS_MAX 4000

/* Sums by flow, in the order in which flows began. */
struct sums {
    struct flow_row row[FLOWS_MAX];
    char history[FLOWS_MAX][FLOW_HISTORY_MAX];
    size_t count;
};

static void add_row(struct sums *s, const struct flow_row *r)
{
    size_t i = 0;
    while (i < s->count && s->row[i].flow_id != r->flow_id)
        i++;
    assert_true(i < FLOWS_MAX);
    if (i == s->count) {
        s->row[i] = *r;
        column_remove(&s->row[i].has, FLOW_FRAMES);
        s->count++;
    } else {
        table_merge(&table_flow, &s->row[i], r);
    }
    if (column_has(&r->has, FLOW_HISTORY)) {
        memcpy(s->history[i], r->history.data, r->history.len); /* the table's own goes away */
        s->row[i].history = (struct text){s->history[i], r->history.len};
    }
}

static void seal(struct flow_table *t, struct sums *s)
{
    struct flow_row *rows;
    size_t n;
    assert_int_equal(flow_table_rows(t, &rows, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        add_row(s, &rows[i]);
    flow_table_next(t);
}

static void run_scene(struct scene *scene, unsigned seal_every, struct sums *s)
{
    struct flow_table *t = table_of(0);
    s->count = 0;
    for (unsigned i = 0; i < PACKETS; i++) {
        struct packet p;
        packet_decode(ETHERNET, build_data(&scene->packet[i]), build_length(&scene->packet[i]),
                      build_length(&scene->packet[i]), &p);
        if (scene->loss[i])
            assert_true(flow_table_loss(t, scene->interface[i], scene->loss[i]));
        if (seal_every && random_below(seal_every) == 0)
            seal(t, s);
        while (!flow_table_advance(t, scene->time_ns[i]))
            seal(t, s);
        flow_table_packet(t, &p, scene->interface[i], scene->time_ns[i], i);
    }
    assert_true(flow_table_end(t, FLOW_END_FORCED));
    seal(t, s);
    flow_table_free(t);
}

static bool same_value(const struct column *c, const struct flow_row *a, const struct flow_row *b)
{
    bool has = column_has(&a->has, c->id);
    if (has != column_has(&b->has, c->id))
        return false;
    const void *x = (const char *)a + c->offset, *y = (const char *)b + c->offset;
    if (!has)
        return true;
    if (c->type == COLUMN_TEXT) {
        const struct text *s = x, *t = y;
        return s->len == t->len && memcmp(s->data, t->data, s->len) == 0;
    }
    return memcmp(x, y, c->size) == 0;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct flow_row *)a)->flow_id, y = ((const struct flow_row *)b)->flow_id;
    return x < y ? -1 : x > y;
}

static void compare_sums(struct sums *whole, struct sums *cut)
{
    assert_int_equal(whole->count, cut->count);
    qsort(whole->row, whole->count, sizeof *whole->row, by_id);
    qsort(cut->row, cut->count, sizeof *cut->row, by_id);
    for (size_t i = 0; i < whole->count; i++)
        for (unsigned c = 0; c < table_flow.count; c++) {
            const struct column *column = &table_flow.columns[c];
            bool by_row =
                column->id == FLOW_FRAMES || column->id == FLOW_PRIOR_PACKETS || column->id == FLOW_PRIOR_BYTES;
            if (!by_row && !same_value(column, &whole->row[i], &cut->row[i]))
                fail_msg("column %s of flow %zu depends on where chunks were cut", column->name, i);
        }
}

static void test_rows_do_not_depend_on_chunk_borders(void **state)
{
    (void)state;
    struct scene *scene = malloc(sizeof *scene);
    struct sums *whole = malloc(sizeof *whole), *cut = malloc(sizeof *cut);
    static const unsigned every[] = {1, 2, 7, 50, 500};
    for (uint64_t seed = 1; seed <= 8; seed++) {
        random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
        make_scene(scene);
        run_scene(scene, 0, whole);
        assert_true(whole->count > 30);
        for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
            run_scene(scene, every[i], cut);
            compare_sums(whole, cut);
        }
    }
    free(scene);
    free(whole);
    free(cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_do_not_depend_on_chunk_borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
