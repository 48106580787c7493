/*
 * fake_collector: a collector in memory that checks what an agent sends, and misbehaves on request. Runs on the test's loop.
 *
 * What breaks the protocol's rules fails the test at once: pieces out of order, a head that does not decode, a body that does not fit its head, an item that came already.
 */
#ifndef FLEETDUMP_TESTS_FAKE_COLLECTOR_H
#define FLEETDUMP_TESTS_FAKE_COLLECTOR_H

#include "common/net/stream.h"
#include <stdbool.h>

#define FAKE_STREAMS 48u
#define FAKE_ITEMS   256u

struct fake_item {
    bool have;
    uint8_t kind, gap, body; /* of the head */
    uint64_t last_seq;
    uint64_t body_length, body_hash;
    uint64_t kept, evicted; /* totals */
    bool body_stored;
    uint8_t fate_gap;                /* of a BODY_FATE; 0 none */
    unsigned head_order, body_order; /* when they came */
};

struct fake_stream {
    uint8_t epoch[EPOCH_SIZE];
    char capture[HEAD_NAME_MAX + 1];
    uint64_t head_next, body_next;
    struct fake_item items[FAKE_ITEMS];
    bool ended;
    /* the part that comes */
    struct buffer part;
    uint64_t part_seq;
    uint8_t part_kind;
};

struct fake_collector {
    uv_loop_t *loop;
    struct listener *listener;
    char address[32];
    struct fake_stream streams[FAKE_STREAMS];
    size_t count;
    struct stream *data, *control;
    struct error why[2]; /* how the last control (0) and data (1) connection ended */
    unsigned accepted, hellos, statuses, pieces, orders, announced;
    uint64_t bytes; /* of pieces */
    char *status;   /* the last one */
    unsigned flushed;
    int32_t flush_code; /* of the last FLUSHED */
    char *flush_text;
    char agent[HEAD_NAME_MAX + 1];
    uint8_t install[16];
    uint32_t labels;

    /* misbehaviour */
    bool silent; /* no WELCOME */
    bool refuse; /* REFUSE instead */
    bool no_acks;
    unsigned cut_at_piece; /* that many pieces, then the connection is cut; 0 never */
    bool cut_before_ack;   /* each time something was stored, once for each item */
    bool cut_now;          /* of the item at hand */
    uint8_t refuse_epoch[EPOCH_SIZE];
    uint64_t lie_next; /* added to head_next in STREAM_STATE */
};

void fake_start(struct fake_collector *c, uv_loop_t *loop, const char *address);
void fake_stop(struct fake_collector *c); /* run the loop afterwards */
void fake_free(struct fake_collector *c);
struct fake_stream *fake_find(struct fake_collector *c, const uint8_t epoch[EPOCH_SIZE]); /* NULL if it did not come */

/* Asks the agent to hand over what it has of the captures that fit the glob. */
void fake_flush(struct fake_collector *c, const char *capture);

/* Acks what is stored, after no_acks. */
void fake_ack_all(struct fake_collector *c);

#endif
