/*
 * counter_page: the numbers of a running stream in a small file that is mapped shared, so that they outlive a SIGKILL
 * of the capturer (not a power cut).
 *
 * One writer, the capturer; readers see each 64-bit value whole (relaxed atomics), and after the writer's death all of
 * them final. `kept` counts packets given to rows and frames; `sealed` what sealed items hold; so kept - sealed (and
 * received - ... ) is what a crash lost, exactly.
 */
#ifndef FLEETDUMP_AGENT_SHIP_COUNTER_PAGE_H
#define FLEETDUMP_AGENT_SHIP_COUNTER_PAGE_H

#include "common/chunk/counter.h"
#include "common/chunk/head.h"
#include <stdatomic.h>
#include <stdbool.h>

#define COUNTER_PAGE_MAGIC   UINT64_C(0x3147505f44544c46) /* "FLTD_PG1" */
#define COUNTER_PAGE_VERSION 4u
#define COUNTER_PAGE_SLOTS   32u /* room for counters to come, so that the page stays the same */
_Static_assert(COUNTER_COUNT <= COUNTER_PAGE_SLOTS, "every counter has a slot");

/* What happens when there is no room for a stream: its capturer waits, and nothing of it is given up (files being read,
 * which do not run away), or the shipper gives up its oldest bodies, then its oldest items. */
enum counter_page_evict { EVICT_NEVER = 0, EVICT_OLDEST = 1 };

struct counter_page {
    uint64_t magic;
    uint32_t version;
    uint32_t pid; /* of the capturer */
    uint8_t epoch[EPOCH_SIZE];
    char agent[HEAD_NAME_MAX + 1]; /* what a stream without any item needs to be named in its END */
    char capture[HEAD_NAME_MAX + 1];
    uint64_t start_wall_ns;
    _Atomic uint32_t evict; /* enum counter_page_evict */
    uint32_t reserved;
    _Atomic uint64_t seq;                        /* of the open chunk */
    _Atomic uint64_t sealed_items;               /* counted by spool_stream_seal */
    _Atomic uint64_t total[COUNTER_PAGE_SLOTS];  /* since the stream's start, over all interfaces */
    _Atomic uint64_t sealed[COUNTER_PAGE_SLOTS]; /* the part of it that sealed items hold */
    /* While an item is being sealed: what `sealed` is to be from then on, and the seq behind that item. A page whose
     * stream goes on at sealing_next died before it could copy it. */
    _Atomic uint64_t sealing[COUNTER_PAGE_SLOTS];
    _Atomic uint64_t sealing_next;
    _Atomic uint64_t progress_bytes; /* of --read: bytes of the files read so far */
    _Atomic uint64_t progress_total;
    _Atomic uint64_t alive_wall_ns; /* then the capturer of a live capture last did something; 0: not known */
};

static inline void counter_page_add(struct counter_page *p, enum counter c, uint64_t n)
{
    atomic_store_explicit(&p->total[c], atomic_load_explicit(&p->total[c], memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t counter_page_total(const struct counter_page *p, enum counter c)
{
    return atomic_load_explicit(&p->total[c], memory_order_relaxed);
}

/* Maps dirfd/counters. To write: the file is made if it is missing, and started anew (all zero but magic, version and
 * epoch) if it is not a counter page of this stream; its blocks are allocated, so that a full disk shows here and not
 * as a signal later. To read: ERROR_NOT_FOUND, ERROR_INVALID. */
MUST_CHECK int counter_page_map(int dirfd, const uint8_t epoch[EPOCH_SIZE], bool writable, struct counter_page **out,
                                struct error *e);
void counter_page_unmap(struct counter_page *p);

/* Copies it, for who must not end by it: others may write the file, and who reads a page that is mapped and was cut off
 * meanwhile gets a signal. Errors as above. */
MUST_CHECK int counter_page_copy(int dirfd, const uint8_t epoch[EPOCH_SIZE], struct counter_page *copy,
                                 struct error *e);

/* Writes it to the disk, so that what it says of the stream outlives a power cut. Fault point: spool.counters.sync. */
MUST_CHECK int counter_page_sync(struct counter_page *p, struct error *e);

/* Copies a name out of the page: terminated, whatever the page holds. */
void counter_page_name(const char field[HEAD_NAME_MAX + 1], char name[HEAD_NAME_MAX + 1]);

#endif
