/*
 * flow_store: the flows of a table in memory: found by key, in buckets by the second in which they may have to end, and
 * in a queue of those that can be spared. Private to the files of flow_table.
 *
 * All of it is one region of addresses that is taken at the beginning and never grows: for as many flows as may be
 * alive, and those that ended in the open chunk. Nothing is allocated afterwards. The kernel gives memory to it where
 * it is first used, and lower places are used first; so a capture of few flows takes little.
 *
 * A flow is named by its index, which stays the same for its life. Index 0 is never used: it means none.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_FLOW_STORE_H
#define FLEETDUMP_AGENT_CAPTURE_FLOW_STORE_H

#include "agent/capture/conversation.h"
#include "agent/capture/flow_table.h"
#include "agent/capture/tcp_measures.h"
#include "agent/capture/tcp_state.h"
#include <stddef.h>
#include <string.h>

#define FLOW_BUCKETS    512u /* seconds */
#define FRAME_NODE_SIZE 7u
#define FLOW_CACHE_LINE 64u
#define FLOW_HOT_BYTES  (3 * FLOW_CACHE_LINE) /* what each packet touches */

enum flow_life { FLOW_UNUSED, FLOW_ALIVE, FLOW_ENDED };

/* In the order of how often it is touched: a packet needs the first three lines of the cache, and what only TCP has.
 * Flows lie anywhere in memory, and to wait for a line takes as long as all the counting in it. */
struct flow {
    _Alignas(FLOW_CACHE_LINE) struct flow_key key;
    uint32_t hash;
    uint8_t life;  /* enum flow_life */
    uint8_t timer; /* enum flow_timer */
    uint8_t originator;
    uint8_t originator_by;

    uint64_t last_ns; /* greatest packet time */
    uint32_t row;     /* has a row in the open chunk: where it stands among those touched, + 1 */
    uint8_t sent;     /* bit 0, 1: endpoint 0, 1 sent a packet that was no later fragment */
    bool spare;       /* it is in the queue of those that can be spared */
    uint8_t end_reason;
    uint8_t icmp_error_type;
    /* The row: since the last chunk */
    uint64_t first_ns, row_last_ns;
    uint32_t packets[2];
    uint64_t bytes[2];
    uint32_t frame_count;
    uint8_t tcp_flags[2];
    uint8_t icmp_error_code;

    uint64_t payload[2];
    struct conversation_place conversation;
    uint32_t frames[FRAME_NODE_SIZE]; /* the last of the list of frames; those before are in nodes, ... */
    uint32_t frames_node;             /* ... of which this is the last */

    struct tcp_history history;
    uint16_t bucket;
    uint32_t syn[2], fin[2], rst[2];
    uint32_t later_fragments[2];
    uint32_t icmp_errors;

    /* The whole flow */
    uint32_t prior_payload[2]; /* up to UINT32_MAX */
    uint64_t prior_packets, prior_bytes;
    uint64_t id;
    uint64_t ordinal;
    uint64_t start_ns;
    /* The interface's loss that rows have told already, or that was before the flow; once it has ended, the loss that
     * its last row tells */
    uint64_t loss;

    uint32_t next, previous; /* in the bucket, or in the list of unused flows */

    /* Queue of those that can be spared */
    uint32_t spare_next, spare_previous;
    uint64_t spare_ns; /* last_ns when it came to the end of the queue */
};
_Static_assert(offsetof(struct flow, last_ns) == FLOW_CACHE_LINE &&
                   offsetof(struct flow, payload) == 2 * FLOW_CACHE_LINE &&
                   offsetof(struct flow, history) == FLOW_HOT_BYTES,
               "what belongs together is in one line");

/* What only flows of TCP have. */
struct flow_tcp {
    struct tcp_state state;
    struct tcp_measures measures;
};

struct flow_entry {
    uint32_t hash;
    uint32_t flow; /* 0: empty */
};

struct flow_store {
    void *region;
    size_t region_bytes;
    struct flow *flows;   /* by index; [0] is the head of the queue, a ring */
    struct flow_tcp *tcp; /* by index; used by flows of TCP alone */
    uint32_t room;        /* indexes are below */
    uint32_t used;        /* indexes from here on were never used */
    uint32_t unused;      /* those that were, and are not: list by next */
    uint32_t alive;

    /* open addressing, linear; mask + 1 of them, at most half full; a larger table stands behind it */
    struct flow_entry *entries;
    uint32_t mask;

    uint32_t buckets[FLOW_BUCKETS];
};

static inline struct flow *flow_at(const struct flow_store *s, uint32_t index)
{
    return &s->flows[index];
}

/* Has the flow fetched into the cache, for soon. */
static inline void flow_prefetch(const struct flow *f)
{
    for (size_t at = 0; at < sizeof *f; at += FLOW_CACHE_LINE)
        __builtin_prefetch((const uint8_t *)f + at, 1);
}

/* Of a flow with flow_is_tcp. */
static inline struct flow_tcp *flow_tcp_at(const struct flow_store *s, uint32_t index)
{
    return &s->tcp[index];
}

static inline bool flow_is_tcp(const struct flow_key *key)
{
    return key->proto == PROTO_TCP && key->has_ports;
}

/* For so many flows alive, and so many ended ones besides. ERROR_MEMORY. */
MUST_CHECK int flow_store_init(struct flow_store *s, uint32_t alive, uint32_t ended, struct error *e);
void flow_store_free(struct flow_store *s);

/* Whether the keys are the same: bytes, since they have no padding. */
static inline bool flow_key_same(const struct flow_key *a, const struct flow_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The flow alive of this key, or 0. */
uint32_t flow_store_find(const struct flow_store *s, const struct flow_key *key, uint32_t hash);

/* Has the place of flows of this hash fetched into the cache. */
static inline void flow_store_prefetch(const struct flow_store *s, uint32_t hash)
{
    __builtin_prefetch(&s->entries[hash & s->mask]);
}

/* A flow alive of this hash, which may have another key, or 0. */
static inline uint32_t flow_store_candidate(const struct flow_store *s, uint32_t hash)
{
    uint32_t i = hash & s->mask;
    while (s->entries[i].flow && s->entries[i].hash != hash)
        i = (i + 1) & s->mask;
    return s->entries[i].flow;
}

/* A new flow, zeroed, with its key, alive and found from now on, in no bucket and not in the queue; 0 without room. */
uint32_t flow_store_add(struct flow_store *s, const struct flow_key *key, uint32_t hash);

/* Not found any more, in no bucket and not in the queue; stays in memory as FLOW_ENDED. */
void flow_store_end(struct flow_store *s, uint32_t index);

/* Gives an ended flow's memory back to the store. */
void flow_store_reuse(struct flow_store *s, uint32_t index);

/* Puts a flow into the bucket of a second (from another one, if it is in one). */
void flow_store_schedule(struct flow_store *s, uint32_t index, uint64_t second);

/* Puts a flow at the end of the queue, from wherever it is in it; takes it out, if it is there. */
void flow_store_spare(struct flow_store *s, uint32_t index);
void flow_store_keep(struct flow_store *s, uint32_t index);

/* The one that is in the queue longest, or 0. */
static inline uint32_t flow_store_first_spare(const struct flow_store *s)
{
    return s->flows[0].spare_next;
}

#endif
