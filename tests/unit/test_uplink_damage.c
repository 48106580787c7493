/*
 * The shipper and what is not whole in the spool: streams whose writer died, damaged files, and flushes that wait for them or name them.
 */
#include "tests/unit/uplink_support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------ what breaks */
static void a_stream_whose_writer_died_is_told_once(void **state)
{
    struct world *w = *state;
    struct spool_stream *t = made_stream(w, 1, EVICT_OLDEST);
    struct spool_stream *living = made_stream(w, 2, EVICT_OLDEST);
    made_chunk(t, 1, 0, 100, 0);
    spool_stream_close(t);
    made_whole_stream(w, 3, 1, 10);
    w->config.look_ms = 50;
    world_start(w);
    RUN_UNTIL(w, arrived_all(w, 1, 1) && w->abandoned); /* what was sealed is shipped */
    world_run_for(w, 300);
    assert_int_equal(w->abandoned, 1);
    uint8_t epoch[EPOCH_SIZE];
    made_epoch(1, epoch);
    assert_int_equal(spool_stream_adopt(w->spool, epoch, &t, NULL), 0); /* and recovered */
    made_end(t, 1, 1);
    spool_stream_close(t);
    RUN_UNTIL(w, left_streams(w) == 1);
    spool_stream_close(living);
}

/* ------------------------------------------------------------ flushes */
static void flush(struct world *w, const char *capture)
{
    unsigned before = w->collector.flushed;
    fake_flush(&w->collector, capture);
    RUN_UNTIL(w, w->collector.flushed > before);
}

static void a_flush_waits_for_what_a_dead_writer_left(void **state)
{
    struct world *w = *state;
    struct spool_stream *t = made_stream(w, 1, EVICT_OLDEST);
    uint8_t epoch[EPOCH_SIZE];
    made_epoch(1, epoch);
    made_chunk(t, 1, 0, 1000, 0);
    world_start(w);
    RUN_UNTIL(w, arrived_all(w, 1, 1) && w->collector.control);
    RUN_UNTIL(w, !left_file(w, 1, 0, ".pcapng.zst")); /* it needs no room any more */
    assert_true(left_file(w, 1, 0, ".head"));
    flush(w, "");
    assert_int_equal(w->collector.flush_code, 0); /* its writer lives, and hands over by itself */
    spool_stream_close(t);
    flush(w, "capture-2");
    assert_int_equal(w->collector.flush_code, 0); /* another capture */
    assert_int_equal(w->abandoned, 0);
    flush(w, "");
    assert_int_equal(w->collector.flush_code, ERROR_BUSY); /* nobody recovers it */
    assert_non_null(strstr(w->collector.flush_text, "a capturer died"));
    assert_int_equal(w->abandoned, 1);
    assert_int_equal(spool_stream_adopt(w->spool, epoch, &t, NULL), 0);
    fake_flush(&w->collector, "capture-1");
    world_run_for(w, 100);
    assert_int_equal(w->collector.flushed, 3); /* while it is recovered */
    made_chunk(t, 1, 1, NO_BODY, 0);
    made_end(t, 1, 2);
    spool_stream_close(t);
    RUN_UNTIL(w, w->collector.flushed == 4);
    assert_int_equal(w->collector.flush_code, 0);
    assert_true(arrived_all(w, 1, 3));
}

static void a_flush_names_what_is_refused(void **state)
{
    struct world *w = *state;
    made_epoch(1, w->collector.refuse_epoch);
    made_whole_stream(w, 1, 2, 1000);
    world_start(w);
    RUN_UNTIL(w, w->collector.status && strstr(w->collector.status, "\"refused\"") && w->collector.control);
    flush(w, "");
    assert_int_equal(w->collector.flush_code, ERROR_CONFLICT);
    assert_non_null(strstr(w->collector.flush_text, "refuses"));
}

/* ------------------------------------------------------------ damage */
static void damage_costs_what_is_damaged(void **state)
{
    struct world *w = *state;
    made_whole_stream(w, 1, 12, 50000);
    left_damage(w, 1, 0, ".head");
    left_damage(w, 1, 3, ".pcapng.zst");
    assert_int_equal(truncate(left_path(w, 1, 4, ".pcapng.zst"), 10), 0);
    assert_int_equal(unlink(left_path(w, 1, 6, ".pcapng.zst")), 0);
    assert_int_equal(unlink(left_path(w, 1, 7, ".head")), 0); /* its body is an orphan */
    assert_int_equal(unlink(left_path(w, 1, 8, ".head")), 0);
    assert_int_equal(rename(left_path(w, 1, 10, ".head"), left_path(w, 1, 9, ".head")), 0); /* another item's */
    assert_int_equal(truncate(left_path(w, 1, 11, ".head"), 0), 0);
    world_ship_until_empty(w);
    const struct fake_stream *t = arrived_stream(w, 1);
    static const uint8_t kinds[] = {HEAD_GAP, HEAD_CHUNK, HEAD_CHUNK, HEAD_CHUNK, HEAD_CHUNK, HEAD_CHUNK, HEAD_CHUNK,
                                    HEAD_GAP, 0,          HEAD_GAP,   HEAD_GAP,   HEAD_GAP,   HEAD_END};
    for (uint64_t seq = 0; seq <= 12; seq++)
        if (t->items[seq].kind != kinds[seq])
            fail_msg("item %llu is of kind %u", (unsigned long long)seq, t->items[seq].kind);
    assert_int_equal(t->items[7].last_seq, 8);
    for (uint64_t seq = 0; seq < 12; seq++)
        if (kinds[seq] == HEAD_GAP)
            assert_int_equal(t->items[seq].gap, GAP_DAMAGED);
    assert_true(t->items[1].body_stored);
    assert_true(!t->items[3].body_stored && t->items[3].fate_gap == GAP_DAMAGED);
    assert_true(!t->items[4].body_stored && t->items[4].fate_gap == GAP_DAMAGED);
    assert_true(!t->items[6].body_stored && t->items[6].fate_gap == GAP_DAMAGED);
    assert_in_range(left_files_in(support_path(w->folder, "damaged")), 6, 9);
}

static void damaged_files_are_bounded(void **state)
{
    struct world *w = *state;
    made_whole_stream(w, 1, 60, 100);
    for (uint64_t seq = 0; seq < 60; seq++)
        left_damage(w, 1, seq, ".head");
    world_ship_until_empty(w);
    assert_int_equal(left_files_in(support_path(w->folder, "damaged")), 32);
}

static void a_damaged_page_does_not_stop_a_stream(void **state)
{
    struct world *w = *state;
    made_whole_stream(w, 1, 3, 100);
    char name[64] = "";
    for (int i = 0; i < 16; i++)
        strcat(name, "01");
    strcat(name, "/counters");
    support_write(w->folder, name, "x", 1);
    world_ship_until_empty(w);
    arrived_whole(w, 1, 3);
    assert_string_equal(arrived_stream(w, 1)->capture, "capture"); /* from a head */
}

/* ------------------------------------------------------------ death */
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc == 2 ? argv[1] : NULL);
    const struct CMUnitTest tests[] = {
        TEST(a_stream_whose_writer_died_is_told_once),
        TEST(a_flush_waits_for_what_a_dead_writer_left),
        TEST(a_flush_names_what_is_refused),
        TEST(damage_costs_what_is_damaged),
        TEST(damaged_files_are_bounded),
        TEST(a_damaged_page_does_not_stop_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
