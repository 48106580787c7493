/*
 * counter: every number that accounts for packets, declared once (counter.c); the same name from the agent to the
 * exported file.
 *
 * received = kept + filtered + kernel_drops + agent_drops + policy + own + forbidden (+ what is still in the ring), per
 * interface. Values in a head are those of that chunk alone, so that sums over chunks add up; END and GAP items carry
 * totals of what they stand for.
 */
#ifndef FLEETDUMP_CHUNK_COUNTER_H
#define FLEETDUMP_CHUNK_COUNTER_H

#include "common/base/units.h"
#include <stddef.h>
#include <stdint.h>

/* Stored: never renumber. */
enum counter {
    COUNTER_RECEIVED = 0,       /* packets that reached the capture (file: packets read) */
    COUNTER_RECEIVED_BYTES = 1, /* their bytes on the wire */
    COUNTER_KEPT = 2,           /* packets counted in rows (and stored, unless flows only) */
    COUNTER_KEPT_BYTES = 3,
    COUNTER_STORED = 4,          /* packets written to the body */
    COUNTER_STORED_BYTES = 5,    /* captured bytes written to the body */
    COUNTER_FILTERED = 6,        /* did not match the capture's filter in our own process */
    COUNTER_KERNEL_DROPS = 7,    /* dropped by the kernel: ring full */
    COUNTER_INTERFACE_DROPS = 8, /* dropped by the interface or its driver */
    COUNTER_AGENT_DROPS = 9,     /* dropped by us: queues full */
    COUNTER_POLICY = 10,         /* over the rate of the capture, not kept */
    COUNTER_TRUNCATED = 11,      /* kept, decoded as truncated */
    COUNTER_INVALID = 12,        /* kept, decoded as invalid */
    COUNTER_EVICTED = 13,        /* packets whose bodies or chunks were given up for want of room */
    COUNTER_CRASH_LOST = 14,     /* packets lost because a process died */
    COUNTER_OVERFLOWED = 15,     /* packets counted in a row of last resort because the flow table was full */
    COUNTER_TIME_LIMITED = 16,   /* kept at another time than theirs, which is before 1970 or after 2554 */
    COUNTER_OWN = 17,            /* of fleetdump's own connections, left out */
    COUNTER_FORBIDDEN =
        18, /* of networks and ports that the host's policy forbids, or of whose addresses too little is readable */
    COUNTER_CUTOFF_BYTES = 19,  /* captured, but behind the first bytes of a flow that the capture wants: not stored */
    COUNTER_FRAMES_FASTER = 20, /* frames compressed less than they could be, as the queue filled up */
    COUNTER_FLOWS_EVICTED = 21, /* flows that ended early for want of room in the flow table */
    COUNTER_APPS_UNREAD =
        22, /* flows whose applications were not read (on), and exchanges without a row, for want of memory */
    COUNTER_EXCHANGES_UNTOLD = 23, /* for each chunk, exchanges that went on and had no row, of flows that had one */
    COUNTER_COUNT
};

struct counter_info {
    const char *name; /* "kernel_drops" */
    enum unit unit;
    int isb_option; /* pcapng interface statistics option that carries it, or 0 */
    /* packets that an answer lacks: what became of them, "dropped by the kernel"; NULL: they are none */
    const char *lost;
    const char *help;
};
extern const struct counter_info counter_table[COUNTER_COUNT];

#define COUNTER_HIDDEN UINT64_MAX /* the value is not for whoever asks */

struct counters {
    uint64_t value[COUNTER_COUNT];
};

/* "9 packets lost when a capturer died", of a loss. Returns buf. */
char *counter_say_lost(enum counter c, uint64_t n, char *buf, size_t len);

/* into += from, saturating. */
void counters_add(struct counters *into, const struct counters *from);

#endif
