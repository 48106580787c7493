/*
 * flow_table_impl: what the files of the flow table share.
 *
 *   flow_table.c         a packet: its flow, found or made, and what it counts there
 *   flow_table_clock.c   when flows end
 *   flow_table_rows.c    the rows of the open chunk
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_FLOW_TABLE_IMPL_H
#define FLEETDUMP_AGENT_CAPTURE_FLOW_TABLE_IMPL_H

#include "agent/capture/conversation.h"
#include "agent/capture/flow_store.h"
#include "agent/capture/fragments.h"
#include "common/rows/order.h"
#include "common/rows/stage.h"

struct frame_node {
    uint32_t items[FRAME_NODE_SIZE];
    uint32_t before; /* the node before it in the flow's list */
};

struct flow_table {
    struct flow_table_options options;
    struct flow_store store;
    struct fragments *fragments; /* made at the first one */
    struct conversations *conversations;
    uint64_t seed;
    uint64_t first_id; /* before it is mixed: that of the first flow; each next one has the next */
    bool failed;       /* no memory: rows would lie */

    uint64_t second; /* the clock: buckets up to here are done */
    uint64_t now_ns; /* the same, as exact as it was told */
    uint32_t behind; /* packets in a row that were far older */
    bool started;
    uint32_t last; /* flow of the last packet: often that of the next, too */

    uint64_t made, resources;

    uint32_t *touched; /* flows with a row, in order */
    uint32_t touched_count, touched_room;

    struct frame_node *nodes; /* of this chunk; 0 is not used */
    uint32_t node_count, node_room;
    size_t frame_count; /* in all lists */

    uint64_t *loss; /* by interface, since the start */
    uint32_t loss_room;

    struct flow_row *said;    /* of a tile of rows, what applications said */
    struct flow_row *rows;    /* what flow_table_rows gave */
    struct order_item *order; /* room for sorting flows with a row, ... */
    size_t order_room;
    const struct order_item *ordered; /* ... which then stand here, each one's index as its place */
    uint32_t *frames;                 /* lists of rows, ... */
    size_t frames_room;
    size_t frames_filled; /* ... of those that were asked for */
    char *letters;        /* histories of rows, ... */
    size_t letters_room;
    size_t letters_filled; /* ... of those that were asked for */
    struct text last_letters;
};

/* What each packet touches. */
static inline void flow_prefetch_hot(const struct flow *f)
{
    for (size_t at = 0; at < FLOW_HOT_BYTES; at += FLOW_CACHE_LINE)
        __builtin_prefetch((const uint8_t *)f + at, 1);
}

static inline void flow_tcp_prefetch(const struct flow_tcp *tcp)
{
    for (size_t at = 0; at < sizeof *tcp; at += FLOW_CACHE_LINE)
        __builtin_prefetch((const uint8_t *)tcp + at, 1);
}

static inline uint64_t flow_loss_of(const struct flow_table *t, uint32_t interface)
{
    return interface < t->loss_room ? t->loss[interface] : 0;
}

/* Silent for longer than its timer allows, in either direction of time. */
static inline bool flow_is_over(const struct flow_table *t, const struct flow *f, uint64_t now_ns)
{
    uint64_t silent = now_ns > f->last_ns ? now_ns - f->last_ns : f->last_ns - now_ns;
    return silent > t->options.timeouts.ns[f->timer];
}

/* A group of letters that only transports with a direction have. */
static inline bool flow_has_history(const struct flow_key *key)
{
    return key->has_ports && (key->proto == PROTO_TCP || key->proto == PROTO_UDP);
}

/* flow_table_clock.c */
void flow_timeouts_fill(struct flow_timeouts *t);
void flow_end(struct flow_table *t, uint32_t index, uint8_t reason);
/* Of a flow that is over (flow_is_over). */
uint8_t flow_end_reason(const struct flow *f);
/* The second after which the flow ends if it stays silent, but not one that is done already; if that is too far away,
 * as far as buckets reach. */
void flow_schedule(struct flow_table *t, uint32_t index);
/* Makes room for one more flow: one that can be spared ends, else the one nearest to its timeout. */
void flow_end_one(struct flow_table *t);

/* flow_table_rows.c */
/* Makes sure that the flow has a row; its times are those of the flow until a packet comes. */
void flow_touch(struct flow_table *t, uint32_t index);
/* Frames of an interface are filled one after the other, so their numbers ascend in each flow. */
void flow_add_frame(struct flow_table *t, struct flow *f, uint32_t frame);
/* Whether the chunk has as many rows as it may. */
bool flow_rows_full(const struct flow_table *t);

#endif
