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

static void noise_is_stored_unless_it_repeats(void **state)
{
    (void)state;
    struct buffer b = {0};
    packets(&b, COUNT, 0xff);
    assert_true(frame_effort(3, 0, b.data, b.len).store);
    packets(&b, COUNT / 2, 0xff); /* half of them come twice */
    assert_false(frame_effort(3, 0, b.data, b.len).store);
    assert_int_equal(frame_effort(3, 0, b.data, b.len).level, FRAME_LEVEL_NOISE);
    buffer_free(&b);
}

static void what_compresses_is_compressed_less_the_more_wait(void **state)
{
    (void)state;
    struct buffer b = {0};
    packets(&b, COUNT, 0x0f);
    int level = 4;
    for (uint32_t waiting = 0; waiting < COMPRESSOR_QUEUE; waiting++) {
        struct frame_effort effort = frame_effort(3, frame_pressure(waiting), b.data, b.len);
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
    assert_false(frame_effort(3, frame_pressure(UINT32_MAX), b.data, b.len).store);
    buffer_free(&b);
    free(jumbo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_is_stored_unless_it_repeats),
        cmocka_unit_test(what_compresses_is_compressed_less_the_more_wait),
        cmocka_unit_test(what_is_larger_than_a_block_is_never_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
