/*
 * frame_effort: how much work the compression of a frame of packets is worth: less where there is little to gain, and
 * less while more frames wait for it, so that the ring is read in time.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_FRAME_EFFORT_H
#define FLEETDUMP_AGENT_CAPTURE_FRAME_EFFORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_EFFORT_FASTEST                                                                                           \
    (-1) /* what level 1, the lowest that can be asked for, means: zstd's own takes twice the time for 2% */

/* 0: there is time; more: as so many frames wait, the frame is compressed less than it could be, at the most not at
 * all. */
unsigned frame_pressure(uint32_t waiting);

struct frame_effort {
    bool store;    /* as it is; else */
    int level;     /* of zstd */
    bool doubtful; /* its sample looks like something between noise and text: some of that shrinks, some does not */
};

/* What became of the doubtful frames before, of one capture; zeroed at the beginning. */
struct frame_history {
    uint8_t failures; /* in a row */
    uint8_t skip;     /* so many are stored without trying */
};

/* For a frame of pcapng packet blocks. One that looks like noise is stored, and so is a doubtful one if those before
 * did not shrink, unless packets in it repeat, as on loopback. */
struct frame_effort frame_effort(int level, unsigned pressure, const uint8_t *raw, size_t len,
                                 struct frame_history *history);

/* The frame was compressed, to so many bytes: the more doubtful ones in a row have not shrunk, the fewer of those that
 * follow are tried. */
void frame_tried(struct frame_history *history, const struct frame_effort *effort, size_t raw_len,
                 size_t compressed_len);

#endif
