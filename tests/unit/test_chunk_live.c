/*
 * The chunk builder: when chunks are sealed, and who waits for whom.
 */
#include "agent/capture/conversation.h"
#include "common/rows/flow_row.h"
#include "tests/unit/chunk_memory.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- giving packets */
static int tick(struct chunk_builder *b, double seconds)
{
    return chunk_builder_tick(b, T0 + (uint64_t)(int64_t)(seconds * 1e9), NULL);
}

/* ---------------------------------------------------------------- time */
static void what_is_old_enough_is_sealed_without_further_packets(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = memory_start(m, whole);
    assert_true(chunk_builder_idle(b));
    assert_int_equal(tick(b, 0), 0);
    assert_true(chunk_builder_idle(b));
    assert_int_equal(builder_give(b, frame_udp(1000, 10), 1), 0);
    assert_false(chunk_builder_idle(b));
    assert_int_equal(tick(b, 60), 0);
    assert_int_equal(chunk_builder_next_seq(b), 0);
    assert_int_equal(tick(b, 61), 0); /* CHUNK_NS */
    assert_int_equal(chunk_builder_next_seq(b), 1);
    assert_false(chunk_builder_idle(b)); /* the flow lives */
    assert_int_equal(tick(b, 65), 0);    /* no more: its last row waits */
    assert_int_equal(tick(b, 124), 0);
    assert_int_equal(chunk_builder_next_seq(b), 1);
    assert_int_equal(tick(b, 125), 0);
    assert_int_equal(chunk_builder_next_seq(b), 2);
    assert_true(chunk_builder_idle(b));
    assert_int_equal(tick(b, 1000), 0);
    builder_end(b);
    assert_int_equal(m->count, 3);
    assert_int_equal(m->items[0].head.seal, SEAL_TIME);
    assert_int_equal(m->items[1].head.seal, SEAL_TIME);
    assert_int_equal(m->items[1].head.flow_rows, 1);
    assert_int_equal(m->items[1].head.body, BODY_NEVER);
    assert_int_equal(memory_row_sum(m, FLOW_END_REASON), FLOW_END_IDLE);
    memory_check_sums(m);
    memory_free(m);
}

static void counts_alone_are_sealed_too(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = memory_start(m, whole);
    assert_int_equal(chunk_builder_count(b, 0, COUNTER_KERNEL_DROPS, 7, NULL), 0);
    assert_false(chunk_builder_idle(b));
    assert_int_equal(tick(b, 10), 0);
    assert_int_equal(tick(b, 70), 0);
    assert_true(chunk_builder_idle(b));
    builder_end(b);
    assert_int_equal(m->count, 2);
    assert_int_equal(memory_totals(m).value[COUNTER_KERNEL_DROPS], 7);
    memory_check_sums(m);
    memory_free(m);
}

static void many_flows_that_end_at_once_make_as_many_chunks_as_they_need(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.max_rows = 64;
    struct chunk_builder *b = memory_start(m, o);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(builder_give(b, frame_udp(1000 + i, 10), 0), 0);
    assert_int_equal(tick(b, 61), 0);
    while (!chunk_builder_idle(b))
        assert_int_equal(tick(b, 200), 0);
    builder_end(b);
    assert_int_equal(memory_row_sum(m, FLOW_PACKETS_0) + memory_row_sum(m, FLOW_PACKETS_1), 500);
    assert_int_equal(memory_row_sum(m, FLOW_END_REASON), 500 * FLOW_END_IDLE);
    for (uint32_t i = 0; i < m->count; i++)
        assert_true(m->items[i].head.flow_rows <= 64);
    memory_check_sums(m);
    memory_free(m);
}

/* ---------------------------------------------------------------- who waits */
static void nothing_waits_for_a_disk_that_is_full(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.chunk_bytes = 1 << 20;
    struct chunk_builder *b = memory_start(m, o);
    m->shut = true;
    unsigned given = 0;
    for (; chunk_builder_ready(b); given++)
        assert_int_equal(builder_give(b, frame_tcp(1000 + given % 5000, 1400), given * 1e-5), 0);
    assert_true(given > 1000 && given < 10000);
    assert_false(chunk_builder_wait_ready(b, 5));
    assert_int_equal(chunk_builder_seal(b, SEAL_FLUSH, NULL), 0);
    assert_int_equal(chunk_builder_next_seq(b), 1);
    assert_int_equal(chunk_builder_sealed(b), 0);
    assert_int_equal(chunk_builder_wait(b, 5, NULL), 1);
    m->shut = false;
    assert_true(chunk_builder_wait_ready(b, 60000));
    assert_int_equal(chunk_builder_wait(b, 60000, NULL), 0);
    assert_int_equal(chunk_builder_sealed(b), 1);
    assert_int_equal(m->items[0].head.seal, SEAL_FLUSH);
    m->shut = true; /* the end does not wait either */
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 10), 0);
    assert_int_equal(chunk_builder_end(b, NULL), 0);
    assert_int_equal(chunk_builder_wait(b, 5, NULL), 1);
    m->shut = false;
    assert_int_equal(chunk_builder_wait(b, 60000, NULL), 0);
    chunk_builder_free(b);
    assert_int_equal(memory_totals(m).value[COUNTER_KEPT], given + 1);
    memory_check_sums(m);
    memory_free(m);
}

/* Gives all that is taken while nothing is written; returns how many frames were compressed less. */
static uint64_t frames_faster(struct memory *m)
{
    struct chunk_builder *b = memory_start(m, whole);
    m->shut = true;
    for (unsigned given = 0; chunk_builder_ready(b); given++)
        assert_int_equal(builder_give(b, frame_tcp(1000 + given % 5000, 1400), given * 1e-5), 0);
    m->shut = false;
    builder_end(b);
    return memory_totals(m).value[COUNTER_FRAMES_FASTER];
}

static void frames_that_come_too_fast_are_compressed_less(void **state)
{
    (void)state;
    static struct kept k[4 * PACKETS];
    uint64_t faster = 0;
    for (unsigned tries = 0; !faster && tries < 200; tries++) { /* whoever gives slowly finds that it is the disk */
        struct memory *m = memory_new();
        faster = frames_faster(m);
        assert_int_equal(memory_packets(m, k), memory_totals(m).value[COUNTER_KEPT]);
        memory_check_sums(m);
        memory_free(m);
    }
    assert_in_range(faster, 1, 64);
}

static void frames_of_a_quiet_capture_are_compressed_as_asked(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = memory_start(m, whole);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(builder_give(b, frame_tcp(1000 + i, 1400), i * 1e-3), 0);
        assert_int_equal(chunk_builder_wait(b, 60000, NULL), 0);
    }
    builder_end(b);
    assert_int_equal(memory_totals(m).value[COUNTER_FRAMES_FASTER], 0);
    memory_check_sums(m);
    memory_free(m);
}

static void flows_that_a_full_table_ends_are_counted(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.max_flows = 100;
    struct chunk_builder *b = memory_start(m, o);
    for (unsigned i = 0; i < 150; i++)
        assert_int_equal(builder_give(b, frame_udp(1000 + i, 20), i * 1e-3), 0);
    builder_end(b);
    assert_int_equal(memory_totals(m).value[COUNTER_FLOWS_EVICTED], 50);
    memory_check_sums(m);
    memory_free(m);
}

static struct build frame_query(uint8_t id)
{
    static const uint8_t query[] = "\0\0\1\0\0\1\0\0\0\0\0\0\7example\0\0\1\0\1";
    struct build p = build_new();
    uint8_t *at = build_zero(&p, sizeof query - 1);
    memcpy(at, query, sizeof query - 1);
    at[1] = id;
    build_udp(&p, 1000, 53);
    build_ip4(&p, PROTO_UDP, "10.0.0.1", "10.0.0.2");
    build_ethernet(&p, ETHERTYPE_IP4);
    return p;
}

static void exchanges_that_a_chunk_does_not_tell_are_counted(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = memory_start(m, whole);
    for (uint8_t i = 0; i < CONVERSATION_RUNNING_MAX + 4; i++)
        assert_int_equal(builder_give(b, frame_query(i), i * 1e-3), 0);
    assert_int_equal(chunk_builder_seal(b, SEAL_FLUSH, NULL), 0);
    builder_end(b);
    assert_int_equal(m->items[0].head.totals.value[COUNTER_EXCHANGES_UNTOLD], 4);
    assert_int_equal(memory_totals(m).value[COUNTER_EXCHANGES_UNTOLD], 4);
    memory_check_sums(m);
    memory_free(m);
}

static void who_is_told_to_stop_gives_up_a_full_disk(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = memory_start(m, whole);
    struct error e = ERROR_INIT;
    m->shut = true;
    assert_int_equal(builder_give(b, frame_tcp(4000, 20), 0), 0);
    assert_int_equal(chunk_builder_end(b, NULL), 0);
    assert_int_equal(chunk_builder_wait(b, 5, &e), 1);
    m->give_up = true;
    int code;
    while ((code = chunk_builder_wait(b, 100, &e)) > 0)
        ;
    assert_int_equal(code, ERROR_CANCELLED);
    assert_true(chunk_builder_ready(b));
    chunk_builder_free(b);
    assert_int_equal(m->count, 0);
    assert_int_equal(m->page.total[COUNTER_KEPT], 1);
    memory_free(m);
}

static void a_flush_of_nothing_seals_nothing(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = memory_start(m, whole);
    assert_int_equal(chunk_builder_seal(b, SEAL_FLUSH, NULL), 0);
    assert_int_equal(chunk_builder_next_seq(b), 0);
    assert_int_equal(chunk_builder_sealed(b), 0);
    builder_end(b);
    assert_int_equal(m->count, 1);
    memory_free(m);
}

/* A body's size is that of the open chunk, however far behind the writing is. */
static void a_chunk_is_not_sealed_by_the_bytes_of_the_one_before(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.chunk_bytes = 256 << 10;
    o.live = false;
    struct chunk_builder *b = memory_start(m, o);
    unsigned random = 1;
    for (unsigned i = 0; i < 2500; i++) {
        struct build p = frame_tcp(4000, 1400);
        for (uint32_t n = 60; n < build_length(&p); n++)
            build_data(&p)[n] = (uint8_t)((random = random * 1103515245 + 12345) >> 16);
        assert_int_equal(builder_give(b, p, i * 1e-5), 0);
    }
    builder_end(b);
    for (uint32_t i = 0; i + 2 < m->count; i++)
        assert_true(m->items[i].head.body_length >= 256 << 10);
    assert_in_range(m->count, 3, 16); /* a disk that keeps up: the least chunks that are allowed, and the end */
    memory_check_sums(m);
    memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_old_enough_is_sealed_without_further_packets),
        cmocka_unit_test(counts_alone_are_sealed_too),
        cmocka_unit_test(many_flows_that_end_at_once_make_as_many_chunks_as_they_need),
        cmocka_unit_test(nothing_waits_for_a_disk_that_is_full),
        cmocka_unit_test(frames_that_come_too_fast_are_compressed_less),
        cmocka_unit_test(frames_of_a_quiet_capture_are_compressed_as_asked),
        cmocka_unit_test(flows_that_a_full_table_ends_are_counted),
        cmocka_unit_test(exchanges_that_a_chunk_does_not_tell_are_counted),
        cmocka_unit_test(who_is_told_to_stop_gives_up_a_full_disk),
        cmocka_unit_test(a_flush_of_nothing_seals_nothing),
        cmocka_unit_test(a_chunk_is_not_sealed_by_the_bytes_of_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
