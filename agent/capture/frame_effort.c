#include "agent/capture/frame_effort.h"
#include "agent/capture/compressor.h"
#include "common/base/bytes.h"
#include "common/chunk/frame.h"
#include "common/chunk/pcapng.h"
#include <limits.h>
#include <string.h>

/* By pressure. */
static const struct {
    uint32_t from; /* frames that wait */
    int level;     /* at the most */
    bool store;
} steps[] = {
    {0, INT_MAX, false},
    {COMPRESSOR_QUEUE / 3, FRAME_LEVEL_FAST, false},
    {COMPRESSOR_QUEUE / 2, FRAME_LEVEL_NOISE, false},
    {COMPRESSOR_QUEUE * 3 / 4, FRAME_LEVEL_NOISE, true},
};
#define STEPS (sizeof steps / sizeof *steps)

unsigned frame_pressure(uint32_t waiting)
{
    unsigned pressure = STEPS - 1;
    while (waiting < steps[pressure].from)
        pressure--;
    return pressure;
}

#define SLOTS_BITS 8u

/* A word from the middle of the packet, which is payload in all but the smallest, and never 0. */
static uint32_t word_of(const struct pcapng_packet *p)
{
    uint32_t word;
    memcpy(&word, p->data + p->captured / 2, sizeof word);
    return word | 1;
}

/* Whether more than an eighth of the bytes are of packets that come again: of each as many bytes as it has, and one word, are compared. */
static bool has_repeats(const uint8_t *raw, size_t len)
{
    uint32_t seen[1u << SLOTS_BITS] = {0};
    size_t again = 0;
    struct bytes b = bytes_of(raw, len);
    struct pcapng_item item;
    while (pcapng_next(&b, &item, NULL) > 0) {
        const struct pcapng_packet *p = &item.packet;
        if (item.kind != PCAPNG_ITEM_PACKET || p->captured < 2 * sizeof(uint32_t))
            continue;
        uint32_t word = word_of(p) ^ p->captured << 1, *slot = &seen[word * UINT32_C(0x9e3779b1) >> (32 - SLOTS_BITS)];
        again += *slot == word ? p->captured : 0;
        *slot = word;
    }
    return again > len / 8;
}

#define WORTH_PERCENT 110u /* what spares less takes longer to find than to write, ship and keep */
#define FAILURES_MAX  3u

/* One in 2, then in 4, then in 8 is tried. */
static uint8_t to_skip(unsigned failures)
{
    return (uint8_t)((1u << failures) - 1);
}

void frame_tried(struct frame_history *history, const struct frame_effort *effort, size_t raw_len,
                 size_t compressed_len)
{
    if (!effort->doubtful || effort->level < FRAME_LEVEL_FAST) /* under pressure nothing shrinks much */
        return;
    if (raw_len * 100 >= compressed_len * WORTH_PERCENT)
        history->failures = 0;
    else if (history->failures < FAILURES_MAX)
        history->failures++;
    history->skip = to_skip(history->failures);
}

struct frame_effort frame_effort(int level, unsigned pressure, const uint8_t *raw, size_t len,
                                 struct frame_history *history)
{
    int worth = frame_level(level, raw, len), most = steps[pressure].level;
    bool noise = worth <= FRAME_LEVEL_NOISE && level > FRAME_LEVEL_NOISE;
    bool doubtful = !noise && worth <= FRAME_LEVEL_FAST && level > FRAME_LEVEL_FAST;
    bool skipped = doubtful && history->skip;
    history->skip -= skipped;
    return (struct frame_effort){
        .store =
            len && len <= FRAME_STORED_MAX && (steps[pressure].store || ((noise || skipped) && !has_repeats(raw, len))),
        .level = worth < most ? worth : most,
        .doubtful = doubtful,
    };
}
