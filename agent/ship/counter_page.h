/*
 * counter_page: the numbers of a running stream in a small file that is mapped shared, so that they outlive a SIGKILL of the capturer (not a power cut).
 *
 * One writer, the capturer; readers see each 64-bit value whole (relaxed atomics), and after the writer's death all of them final. `kept` counts packets given to rows and
 * frames; `sealed` what sealed items hold; so kept - sealed (and received - ... ) is what a crash lost, exactly.
 */
#ifndef FLEETDUMP_AGENT_SHIP_COUNTER_PAGE_H
#define FLEETDUMP_AGENT_SHIP_COUNTER_PAGE_H

#include "common/chunk/counter.h"
#include "common/chunk/head.h"
#include <stdatomic.h>

#define COUNTER_PAGE_MAGIC   UINT64_C(0x3147505f44544c46) /* "FLTD_PG1" */
#define COUNTER_PAGE_VERSION 1u

struct counter_page {
    uint64_t magic;
    uint32_t version;
    uint32_t pid; /* of the capturer */
    uint8_t epoch[EPOCH_SIZE];
    char agent[HEAD_NAME_MAX + 1]; /* what a stream without any item needs to be named in its END */
    char capture[HEAD_NAME_MAX + 1];
    uint64_t start_wall_ns;
    _Atomic uint64_t seq;                    /* of the open chunk */
    _Atomic uint64_t sealed_items;
    _Atomic uint64_t total[COUNTER_COUNT];   /* since the stream's start, over all interfaces */
    _Atomic uint64_t sealed[COUNTER_COUNT];  /* the part of it that sealed items hold */
    _Atomic uint64_t progress_bytes;         /* of --read: bytes of the files read so far */
    _Atomic uint64_t progress_total;
};

static inline void counter_page_add(struct counter_page *p, enum counter c, uint64_t n)
{
    atomic_store_explicit(&p->total[c], atomic_load_explicit(&p->total[c], memory_order_relaxed) + n, memory_order_relaxed);
}

#endif
