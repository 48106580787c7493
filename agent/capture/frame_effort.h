/*
 * frame_effort: how much work the compression of a frame of packets is worth: less where there is little to gain, and
 * less while more frames wait for it, so that the ring is read in time. Pure.
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
    bool store; /* as it is; else */
    int level;  /* of zstd */
};

/* For a frame of pcapng packet blocks. One that looks like noise is stored, unless packets in it repeat, as on
 * loopback. */
struct frame_effort frame_effort(int level, unsigned pressure, const uint8_t *raw, size_t len);

#endif
