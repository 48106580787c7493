/*
 * merge: packets of many frames in order of time. Pure: frames are loaded and packets given through functions of the
 * caller.
 *
 * Memory: the frames whose times overlap at one moment. Packets of equal time come in the order of `rank` (the caller's
 * order of places), then as they stand. A packet that several streams saw at one vantage (same length and bytes, times
 * within MERGE_SAME_NS) comes once: listeners on one interface may each stamp a packet for themselves (Linux does so
 * with what comes out of a veth pair, since the sender's departure time stands where the stamp would).
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_MERGE_H
#define FLEETDUMP_COLLECTOR_QUERY_MERGE_H

#include "common/base/buffer.h"
#include "common/chunk/head.h"
#include "common/chunk/pcapng.h"

#define MERGE_SAME_NS UINT64_C(1000000)

struct merge_frame {
    struct head_frame info;
    uint32_t chunk;   /* the caller's */
    uint32_t number;  /* frame of the chunk */
    uint32_t place;   /* stream and interface: packets of one place are never taken for duplicates of each other */
    uint32_t vantage; /* where packets of several places may be the same */
    uint32_t rank;    /* order among packets of equal time */
};

struct merge_ops {
    /* Expands a frame into raw (empty). ERROR_NOT_FOUND or damage: the frame is left out, and the function has taken
     * note of it; other errors end the merge. */
    int (*load)(void *context, const struct merge_frame *f, struct buffer *raw, struct error *e);
    /* Whether the packet is wanted; judged before duplicates are sought. */
    int (*want)(void *context, const struct merge_frame *f, const struct pcapng_packet *p, bool *wanted,
                struct error *e);
    int (*emit)(void *context, const struct merge_frame *f, const struct pcapng_packet *p, struct error *e);
    /* How many of its first bytes each copy of this packet at its vantage has, whichever copy this is; 0: only one
     * stream captured there (nothing to compare). */
    uint32_t (*common_bytes)(void *context, const struct merge_frame *f, const struct pcapng_packet *p);
    void *context;
};

/* Sorts `frames` and merges them. At most `most_open` frames at once (ERROR_LIMIT). *duplicates counts packets left out
 * as such. */
MUST_CHECK int merge_run(struct merge_frame *frames, size_t count, size_t most_open, const struct merge_ops *ops,
                         uint64_t *duplicates, struct error *e);

#endif
