/*
 * The shipper when the spool is full: what is given up, in which order, and that it is accounted for.
 */
#include "tests/unit/uplink_support.h"

#include <stdlib.h>
#include <string.h>

static uint64_t used(struct world *w)
{
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    uint64_t sum = 0;
    assert_int_equal(spool_list(w->spool, &list, &count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        sum += list[i].bytes;
    free(list);
    return sum;
}

/* 40 chunks of 100 KB into a quota of 2 MiB, and nobody takes them: the oldest packets go. */
static void the_oldest_packets_go_first(void **state)
{
    struct world *w = *state;
    w->config.limits.quota_bytes = 2 * MIB;
    w->config.collector = "127.0.0.1:1";
    world_start(w);
    struct spool_stream *t = made_stream(w, 1, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 40; seq++) {
        made_chunk(t, 1, seq, 100000, 0);
        RUN_UNTIL(w, used(w) <= 2 * MIB);
    }
    made_end(t, 1, 40);
    spool_stream_close(t);
    RUN_UNTIL(w, used(w) <= 2 * MIB - MIB / 4);
    world_stop(w);
    w->config.collector = w->collector.address;
    world_ship_until_empty(w);
    const struct fake_stream *f = arrived_stream(w, 1);
    unsigned bodies = 0;
    for (uint64_t seq = 0; seq < 40; seq++) {
        assert_int_equal(f->items[seq].kind, HEAD_CHUNK); /* all rows are here */
        bodies += f->items[seq].body_stored;
        assert_int_equal(f->items[seq].fate_gap, f->items[seq].body_stored ? 0 : GAP_QUOTA);
        assert_true(seq == 0 || f->items[seq].body_stored >= f->items[seq - 1].body_stored);
    }
    assert_in_range(bodies, 10, 17);
}

/* Only rows, and still too much: the oldest become gaps that say how much they held. */
static void then_the_oldest_rows(void **state)
{
    struct world *w = *state;
    w->config.limits.quota_bytes = MIB / 4;
    w->config.collector = "127.0.0.1:1";
    struct spool_stream *t = made_stream(w, 1, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 40; seq++)
        made_chunk(t, 1, seq, seq == 20 ? 9000 : NO_BODY, 8000); /* heads of two blocks */
    made_end(t, 1, 40);
    spool_stream_close(t);
    world_start(w);
    RUN_UNTIL(w, used(w) <= MIB / 4 - MIB / 32);
    world_stop(w);
    w->config.collector = w->collector.address;
    world_ship_until_empty(w);
    const struct fake_stream *f = arrived_stream(w, 1);
    uint64_t kept = 0;
    unsigned gaps = 0;
    for (uint64_t seq = 0; seq < 40; seq++) {
        const struct fake_item *i = &f->items[seq];
        kept += i->kept;
        gaps += i->kind == HEAD_GAP;
        assert_int_equal(i->evicted, i->kind == HEAD_GAP ? KEPT : 0);
        assert_int_equal(i->gap, i->kind == HEAD_GAP ? GAP_QUOTA : 0);
        assert_true(seq == 0 || i->kind <= f->items[seq - 1].kind); /* the oldest */
    }
    assert_int_equal(kept, 40 * KEPT); /* not one packet is unaccounted for */
    assert_in_range(gaps, 20, 35);
    assert_true(f->ended);
}

static void what_waits_is_not_given_up(void **state)
{
    struct world *w = *state;
    w->config.limits.quota_bytes = MIB;
    w->config.collector = "127.0.0.1:1";
    struct spool_stream *patient = made_stream(w, 1, EVICT_NEVER);
    struct spool_stream *live = made_stream(w, 2, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 12; seq++) {
        made_chunk(patient, 1, seq, 100000, 0);
        made_chunk(live, 2, seq, 10000, 8000);
    }
    world_start(w);
    char *status = NULL;
    do {
        free(status);
        world_run_for(w, 20);
        status = uplink_status(w->uplink);
    } while (!strstr(status, "\"full\": \"the spool holds"));
    free(status);
    for (uint64_t seq = 0; seq < 12; seq++) {
        assert_true(left_file(w, 1, seq, ".pcapng.zst"));
        assert_false(left_file(w, 2, seq, ".pcapng.zst"));
    }
    spool_stream_close(patient);
    spool_stream_close(live);
}

/* The collector has the head and waits for the packets when they are given up, and then the rows here, too. */
static void what_the_collector_waits_for_is_told(void **state)
{
    struct world *w = *state;
    struct spool_stream *t = made_stream(w, 1, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 8; seq++)
        made_chunk(t, 1, seq, 100000, 8000);
    w->config.window_bytes = 30000; /* some heads, and no body */
    w->collector.no_acks = true;
    world_start(w);
    RUN_UNTIL(w, arrived_stream(w, 1) && arrived_stream(w, 1)->head_next >= 3);
    world_stop(w);
    assert_in_range(arrived_stream(w, 1)->head_next, 3, 7);
    w->config.collector = "127.0.0.1:1";
    w->config.limits.quota_bytes = 80000;
    world_start(w);
    RUN_UNTIL(w, used(w) < 80000);
    world_stop(w);
    made_end(t, 1, 8);
    spool_stream_close(t);
    w->config.collector = w->collector.address;
    w->config.window_bytes = 0;
    w->collector.no_acks = false;
    world_ship_until_empty(w);
    assert_true(arrived_all(w, 1, 9));
    assert_int_equal(arrived_stream(w, 1)->items[0].kind, HEAD_CHUNK);
    assert_int_not_equal(arrived_stream(w, 1)->items[0].fate_gap, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc == 2 ? argv[1] : NULL);
    const struct CMUnitTest tests[] = {
        TEST(the_oldest_packets_go_first),
        TEST(then_the_oldest_rows),
        TEST(what_waits_is_not_given_up),
        TEST(what_the_collector_waits_for_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
