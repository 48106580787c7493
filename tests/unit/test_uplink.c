/*
 * The shipper against a collector in memory: everything arrives once, whatever breaks.
 */
#include "common/base/log.h"
#include "tests/unit/uplink_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* ------------------------------------------------------------ the good case */
static void everything_arrives_and_the_spool_is_empty(void **state)
{
    struct world *w = *state;
    made_whole_stream(w, 1, 10, 300000);
    made_whole_stream(w, 2, 5, 1000);
    made_whole_stream(w, 3, 0, 0);
    world_ship_until_empty(w);
    arrived_whole(w, 1, 10);
    arrived_whole(w, 2, 5);
    arrived_whole(w, 3, 0);
    assert_string_equal(w->collector.agent, "agent-1");
    assert_string_equal(arrived_stream(w, 2)->capture, "capture-2");
    assert_int_equal(w->collector.labels, 2);
    assert_memory_equal(w->collector.install, spool_install(w->spool), 16);
    assert_int_equal(left_files_in(w->folder), 2); /* install, shipper.lock */
}

static void heads_go_before_bodies(void **state)
{
    struct world *w = *state;
    made_whole_stream(w, 1, 12, 400000);
    made_whole_stream(w, 2, 12, 400000);
    world_ship_until_empty(w);
    unsigned last_head = 0;
    unsigned first_body = UINT32_MAX;
    for (uint8_t n = 1; n <= 2; n++)
        for (uint64_t seq = 0; seq < 12; seq++) {
            const struct fake_item *i = &arrived_stream(w, n)->items[seq];
            last_head = i->head_order > last_head ? i->head_order : last_head;
            if (i->body_stored && i->body_order < first_body)
                first_body = i->body_order;
        }
    assert_true(last_head < first_body);
}

static void new_items_are_noticed(void **state)
{
    struct world *w = *state;
    world_start(w);
    RUN_UNTIL(w, w->collector.data);
    struct spool_stream *t = made_stream(w, 7, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 5; seq++) {
        made_chunk(t, 7, seq, 5000, 0);
        RUN_UNTIL(w, arrived_all(w, 7, seq + 1)); /* by events alone: the next look is an hour away */
        RUN_UNTIL(w, seq == 0 || !left_file(w, 7, seq - 1, ".head"));
        assert_true(seq == 0 || !left_file(w, 7, seq - 1, ".pcapng.zst"));
        assert_true(left_file(w, 7, seq, ".head")); /* the newest stays */
    }
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    assert_int_equal(spool_list(w->spool, &list, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(list[0].next_seq, 5);
    assert_true(list[0].writer_alive);
    free(list);
    made_end(t, 7, 5);
    RUN_UNTIL(w, arrived_all(w, 7, 6));
    world_run_for(w, 300);
    assert_int_equal(left_streams(w), 1); /* its writer is still there */
    spool_stream_close(t);
    RUN_UNTIL(w, left_streams(w) == 0);
    assert_int_equal(w->collector.announced, 1);
}

/* All is sent and acked; the newest chunk's body is gone, too, once something newer is there. */
static void a_restart_sends_nothing_twice(void **state)
{
    struct world *w = *state;
    struct spool_stream *t = made_stream(w, 1, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 4; seq++)
        made_chunk(t, 1, seq, 70000, 0);
    world_start(w);
    RUN_UNTIL(w, arrived_all(w, 1, 4));
    world_stop(w);
    uint64_t bytes = w->collector.bytes;
    world_start(w);
    RUN_UNTIL(w, w->collector.announced == 2);
    world_run_for(w, 200);
    assert_int_equal(w->collector.bytes, bytes);
    world_stop(w);
    spool_stream_close(t);
}

static void a_sleeping_shipper_sleeps(void **state)
{
    struct world *w = *state;
    struct rusage before, after;
    w->config.status_least_ms = 0; /* as in life */
    w->config.look_ms = 0;
    w->config.room_ms = 0;
    struct spool_stream *t = made_stream(w, 1, EVICT_OLDEST);
    made_chunk(t, 1, 0, 1000, 0);
    world_start(w);
    RUN_UNTIL(w, arrived_all(w, 1, 1));
    world_run_for(w, 1500);
    uv_timer_stop(&w->tick);
    uv_timer_start(&w->tick, world_on_tick, 3000, 0);
    unsigned turns = 0;
    getrusage(RUSAGE_THREAD, &before);
    for (uint64_t end = uv_now(&w->loop) + 3000; uv_now(&w->loop) < end; turns++)
        uv_run(&w->loop, UV_RUN_ONCE);
    getrusage(RUSAGE_THREAD, &after);
    long us =
        (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
        after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec;
    assert_in_range(turns, 1, 6);
    assert_in_range(us, 0, 20000);
    spool_stream_close(t);
}

/* ------------------------------------------------------------ what breaks */
static void connections_that_are_cut_lose_nothing(void **state)
{
    struct world *w = *state;
    made_whole_stream(w, 1, 9, 600000);
    made_whole_stream(w, 2, 6, 300);
    w->collector.cut_at_piece = 5; /* a body has three pieces: so that each attempt gets on */
    world_ship_until_empty(w);
    arrived_whole(w, 1, 9);
    arrived_whole(w, 2, 6);
    assert_true(w->collector.announced > 4);
}

/* Two would make each try a warning of its own: only what was said last is not said again. */
static void a_connection_that_breaks_has_one_reason(void **state)
{
    struct world *w = *state;
    static char said[1 << 16];
    int log = memfd_create("log", MFD_CLOEXEC), kept = dup(STDERR_FILENO);
    assert_true(log >= 0 && kept >= 0 && dup2(log, STDERR_FILENO) >= 0);
    log_setup("test_uplink", LOG_LEVEL_INFO);
    made_whole_stream(w, 1, 9, 600000);
    w->collector.cut_at_piece = 5;
    world_ship_until_empty(w);
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    ssize_t n = pread(log, said, sizeof(said) - 1, 0);
    close(kept);
    close(log);
    assert_true(n > 0);
    for (char *at = said; (at = strstr(at, "data connection: the connection with "));) {
        at += strcspn(at, "\n"); /* up again, before it may end in another way */
        char *closed = strstr(at, "data connection: closed by"), *up = strstr(at, "data connection to ");
        assert_true(!closed || (up && up < closed));
    }
}

static void acks_that_are_lost_double_nothing(void **state)
{
    struct world *w = *state;
    made_whole_stream(w, 1, 9, 300000);
    w->collector.cut_before_ack = true;
    world_ship_until_empty(w);
    arrived_whole(w, 1, 9);
    assert_true(w->collector.announced > 4);
}

static void a_collector_that_is_away_is_waited_for(void **state)
{
    struct world *w = *state;
    char address[32];
    made_whole_stream(w, 1, 4, 5000);
    snprintf(address, sizeof(address), "%s", w->collector.address);
    fake_stop(&w->collector);
    world_run_for(w, 50);
    world_start(w);
    world_run_for(w, 500);
    char *status = uplink_status(w->uplink);
    assert_non_null(strstr(status, "\"data\": \"down\""));
    free(status);
    fake_start(&w->collector, &w->loop, address);
    RUN_UNTIL(w, left_streams(w) == 0);
    arrived_whole(w, 1, 4);
}

static void a_collector_that_says_nothing_is_left(void **state)
{
    struct world *w = *state;
    w->config.greeting_ms = 50;
    w->collector.silent = true;
    made_whole_stream(w, 1, 2, 100);
    world_start(w);
    RUN_UNTIL(w, w->collector.hellos >= 6);
    w->collector.silent = false;
    RUN_UNTIL(w, left_streams(w) == 0);
}

static void a_refused_agent_keeps_all(void **state)
{
    struct world *w = *state;
    w->collector.refuse = true;
    made_whole_stream(w, 1, 2, 100);
    world_start(w);
    RUN_UNTIL(w, w->collector.hellos >= 4);
    assert_int_equal(left_streams(w), 1);
    w->collector.refuse = false;
    RUN_UNTIL(w, left_streams(w) == 0);
}

static void a_refused_stream_stays_and_others_go(void **state)
{
    struct world *w = *state;
    made_epoch(1, w->collector.refuse_epoch);
    made_whole_stream(w, 1, 3, 100000);
    made_whole_stream(w, 2, 3, 100000);
    world_start(w);
    RUN_UNTIL(w, left_streams(w) == 1);
    arrived_whole(w, 2, 3);
    world_run_for(w, 200);
    assert_int_equal(left_streams(w), 1);
    RUN_UNTIL(w, w->collector.status && strstr(w->collector.status, "\"refused\": \"not \\\"mine\\\"\""));
    unsigned pieces = w->collector.pieces;
    world_run_for(w, 200);
    assert_int_equal(w->collector.pieces, pieces); /* not tried again and again */
    world_stop(w);
    memset(w->collector.refuse_epoch, 0, EPOCH_SIZE); /* the reason is gone: the next connection ships it */
    world_ship_until_empty(w);
    arrived_whole(w, 1, 3);
}

/* On the same connection, after a while. */
static void a_refused_stream_is_tried_again(void **state)
{
    struct world *w = *state;
    made_epoch(1, w->collector.refuse_epoch);
    made_whole_stream(w, 1, 3, 100000);
    w->config.refused_ms = 100;
    w->config.look_ms = 20;
    world_start(w);
    RUN_UNTIL(w, w->collector.status && strstr(w->collector.status, "\"refused\": \"not"));
    unsigned hellos = w->collector.hellos;
    memset(w->collector.refuse_epoch, 0, EPOCH_SIZE);
    RUN_UNTIL(w, left_streams(w) == 0);
    arrived_whole(w, 1, 3);
    assert_int_equal(w->collector.hellos, hellos);
}

static void a_collector_that_has_more_than_there_is_gets_nothing(void **state)
{
    struct world *w = *state;
    w->collector.lie_next = 10;
    made_whole_stream(w, 1, 3, 1000);
    world_start(w);
    RUN_UNTIL(w, w->collector.status && strstr(w->collector.status, "\"refused\""));
    for (uint64_t seq = 0; seq < 4; seq++)
        assert_true(left_file(w, 1, seq, ".head"));
    assert_int_equal(w->collector.pieces, 0);
}

static void only_so_much_is_under_way(void **state)
{
    struct world *w = *state;
    w->config.window_bytes = MIB;
    w->collector.no_acks = true;
    made_whole_stream(w, 1, 12, 400000);
    world_start(w);
    RUN_UNTIL(w, w->collector.bytes > MIB);
    world_run_for(w, 300);
    assert_in_range(w->collector.bytes, MIB, MIB + 410000);
    fake_ack_all(&w->collector);
    RUN_UNTIL(w, left_streams(w) == 0);
    arrived_whole(w, 1, 12);
}

static void there_is_one_shipper(void **state)
{
    struct world *w = *state;
    struct uplink *second = NULL;
    struct error e = ERROR_INIT;
    char pid[16];
    world_start(w);
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_int_equal(uplink_start(&w->loop, &w->config, NULL, NULL, &second, &e), ERROR_BUSY);
    assert_non_null(strstr(e.text, pid));
}

/* ------------------------------------------------------------ room */
/* A spool with more streams than files may be open is shipped in turns. */
static void many_streams_are_shipped_in_turns(void **state)
{
    struct world *w = *state;
    struct rlimit before, few;
    log_setup("test_uplink", LOG_LEVEL_ERROR);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (uint8_t n = 1; n <= 40; n++)
        made_whole_stream(w, n, 1, 100);
    few = before;
    few.rlim_cur = 60;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    world_ship_until_empty(w);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (uint8_t n = 1; n <= 40; n++)
        arrived_whole(w, n, 1);
}

/* ------------------------------------------------------------ death */
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc == 2 ? argv[1] : NULL);
    const struct CMUnitTest tests[] = {
        TEST(everything_arrives_and_the_spool_is_empty),
        TEST(heads_go_before_bodies),
        TEST(new_items_are_noticed),
        TEST(a_restart_sends_nothing_twice),
        TEST(a_sleeping_shipper_sleeps),
        TEST(connections_that_are_cut_lose_nothing),
        TEST(a_connection_that_breaks_has_one_reason),
        TEST(acks_that_are_lost_double_nothing),
        TEST(a_collector_that_is_away_is_waited_for),
        TEST(a_collector_that_says_nothing_is_left),
        TEST(a_refused_agent_keeps_all),
        TEST(a_refused_stream_stays_and_others_go),
        TEST(a_refused_stream_is_tried_again),
        TEST(a_collector_that_has_more_than_there_is_gets_nothing),
        TEST(only_so_much_is_under_way),
        TEST(there_is_one_shipper),
        TEST(many_streams_are_shipped_in_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
