/*
 * compressor: the second thread of a capturer: compresses frames, writes bodies and seals items, in the order in which
 * they are given.
 *
 * The queue is bounded: who fills it waits. The first error stops all writing; what is given after it is dropped, and
 * every call returns it.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_COMPRESSOR_H
#define FLEETDUMP_AGENT_CAPTURE_COMPRESSOR_H

#include "agent/capture/sink.h"
#include "common/base/buffer.h"
#include "common/chunk/head.h"

#define COMPRESSOR_QUEUE 24u /* frames that may wait, each of about FRAME_RAW_TARGET */

/* An item that is being made: given at its opening, filled in further until it is sealed, then owned by the compressor. */
struct draft {
    struct chunk_head head;      /* texts belong to the giver and outlive the compressor */
    struct counters *cumulative; /* per interface, since the stream's start; at sealing */
    struct counters stream;      /* all interfaces, since the stream's start; at sealing */
    struct buffer rows;          /* encoded: head.flows */
    bool with_body;
};
struct draft *draft_new(uint32_t interfaces); /* NULL without memory; head.interfaces is allocated */
void draft_free(struct draft *d);

struct compressor;
MUST_CHECK int compressor_new(struct sink *sink, int level, struct compressor **out, struct error *e);

/* Waits until all that was given is done, and ends the thread. NULL is fine. */
void compressor_free(struct compressor *c);

/* An empty buffer for a frame, NULL without memory; given back by compressor_frame. Waits while all are in use: at most
 * COMPRESSOR_QUEUE + `open`, the ones that the caller has. */
struct buffer *compressor_buffer(struct compressor *c, uint32_t open);

/* Begins the item: a body is opened if it is to have one. Items come one after the other. */
MUST_CHECK int compressor_open(struct compressor *c, struct draft *d, struct error *e);
MUST_CHECK int compressor_frame(struct compressor *c, uint32_t number, const struct head_frame *f, struct buffer *raw,
                                struct error *e);
MUST_CHECK int compressor_seal(struct compressor *c, struct draft *d, struct error *e);

/* Waits until all that was given is done; the error if one happened. */
MUST_CHECK int compressor_wait(struct compressor *c, struct error *e);

/* Compressed bytes of the open body, and of all bodies; may lag behind what was given. */
uint64_t compressor_body_bytes(struct compressor *c);
uint64_t compressor_all_bytes(struct compressor *c);

#endif
