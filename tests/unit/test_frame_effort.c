/* frame_effort: which frames are compressed, how much, and which are stored as they are. */
#include "agent/capture/compressor.h"
#include "agent/capture/frame_effort.h"
#include "common/chunk/frame.h"
#include "common/chunk/pcapng.h"
#include "tests/unit/support.h"

#include <stdlib.h>

#define PACKET 1000u
#define COUNT  100u

/* Packets of noise; `distinct` of them, which come again and again. */
static void packets(struct buffer *out, unsigned distinct, uint8_t mask)
{
    static uint8_t noise[COUNT][PACKET];
    srandom(1);
    for (unsigned i = 0; i < COUNT; i++)
        for (unsigned k = 0; k < PACKET; k++)
            noise[i][k] = (uint8_t)random() & mask;
    buffer_clear(out);
    for (unsigned i = 0; i < COUNT; i++)
        pcapng_write_packet(out, &(struct pcapng_packet){
                                     .data = noise[i % distinct], .captured = PACKET, .wire = PACKET, .time_ns = i});
    assert_false(out->failed);
}

/* The first of its capture. */
static struct frame_effort effort_of(unsigned pressure, const struct buffer *frame)
{
    struct frame_history none = {0};
    return frame_effort(3, pressure, frame->data, frame->len, &none);
}

static void noise_is_stored_unless_it_repeats(void **state)
{
    (void)state;
    struct buffer b = {0};
    packets(&b, COUNT, 0xff);
    assert_true(effort_of(0, &b).store);
    packets(&b, COUNT / 2, 0xff); /* half of them come twice */
    assert_false(effort_of(0, &b).store);
    assert_int_equal(effort_of(0, &b).level, FRAME_LEVEL_NOISE);
    buffer_free(&b);
}

static void what_compresses_is_compressed_less_the_more_wait(void **state)
{
    (void)state;
    struct buffer b = {0};
    packets(&b, COUNT, 0x0f);
    int level = 4;
    for (uint32_t waiting = 0; waiting < COMPRESSOR_QUEUE; waiting++) {
        struct frame_effort effort = effort_of(frame_pressure(waiting), &b);
        assert_true(effort.level <= level && effort.level <= 3);
        level = effort.level;
        assert_true(waiting > 0 || (!effort.store && effort.level == 3));
        assert_true(effort.store || waiting < COMPRESSOR_QUEUE - 1);
    }
    buffer_free(&b);
}

static void what_is_larger_than_a_block_is_never_stored(void **state)
{
    (void)state;
    struct buffer b = {0};
    uint8_t *jumbo = calloc(1, FRAME_STORED_MAX);
    assert_non_null(jumbo);
    pcapng_write_packet(&b,
                        &(struct pcapng_packet){.data = jumbo, .captured = FRAME_STORED_MAX, .wire = FRAME_STORED_MAX});
    assert_false(effort_of(frame_pressure(UINT32_MAX), &b).store);
    buffer_free(&b);
    free(jumbo);
}

/* How many of the next frames like this one are stored before one is tried, which comes to so many percent of its size. */
static unsigned stored_until_tried(struct frame_history *h, const struct buffer *frame, unsigned percent)
{
    for (unsigned stored = 0;; stored++) {
        struct frame_effort effort = frame_effort(3, 0, frame->data, frame->len, h);
        assert_true(effort.doubtful && stored < COUNT);
        if (!effort.store) {
            frame_tried(h, &effort, frame->len, frame->len * percent / 100);
            return stored;
        }
    }
}

static void fewer_doubtful_ones_are_tried_the_more_did_not_shrink(void **state)
{
    (void)state;
    struct buffer doubtful = {0}, text = {0}, again = {0};
    struct frame_history h = {0};
    packets(&doubtful, COUNT, 0x3f);
    static const unsigned in_turn[][2] = {{0, 95}, {1, 95}, {3, 95}, {7, 95}, {7, 95}, {7, 50}, {0, 95}, {1, 95}};
    for (size_t i = 0; i < sizeof in_turn / sizeof *in_turn; i++)
        assert_int_equal(stored_until_tried(&h, &doubtful, in_turn[i][1]), in_turn[i][0]);
    packets(&text, COUNT, 0x0f);
    assert_false(frame_effort(3, 0, text.data, text.len, &h).store);
    packets(&again, COUNT / 2, 0x3f);
    assert_false(frame_effort(3, 0, again.data, again.len, &h).store); /* though it is one to skip */
    assert_true(frame_effort(3, 0, doubtful.data, doubtful.len, &h).store);
    buffer_free(&doubtful);
    buffer_free(&text);
    buffer_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_is_stored_unless_it_repeats),
        cmocka_unit_test(fewer_doubtful_ones_are_tried_the_more_did_not_shrink),
        cmocka_unit_test(what_compresses_is_compressed_less_the_more_wait),
        cmocka_unit_test(what_is_larger_than_a_block_is_never_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
