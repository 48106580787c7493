/*
 * compressor: the second thread of a capturer: compresses frames, writes bodies and seals items, in the order in which
 * they are given.
 *
 * The queue is bounded: who fills it waits, unless the compressor is `live`. Then no call but those that say so ever
 * waits, and who gives frames asks before whether there is room (compressor_ready), so that a disk that is full or slow
 * holds up nothing but the writing. The first error stops all writing; what is given after it is dropped, and every
 * call returns it.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_COMPRESSOR_H
#define FLEETDUMP_AGENT_CAPTURE_COMPRESSOR_H

#include "agent/capture/sink.h"
#include "common/base/buffer.h"
#include "common/chunk/head.h"

#define COMPRESSOR_QUEUE 24u /* frames that may wait, each of about FRAME_RAW_TARGET */

/* An item that is being made: given at its opening, filled in further until it is sealed, then owned by the
 * compressor. */
struct draft {
    struct chunk_head head;      /* texts belong to the giver and outlive the compressor */
    struct counters *cumulative; /* per interface, since the stream's start; at sealing */
    struct counters stream;      /* all interfaces, since the stream's start; at sealing */
    struct buffer rows;          /* encoded: head.flows */
    struct buffer exchanges;     /* encoded: head.exchanges */
    bool with_body;
};
struct draft *draft_new(uint32_t interfaces); /* NULL without memory; head.interfaces is allocated */
void draft_free(struct draft *d);

struct compressor;
MUST_CHECK int compressor_new(struct sink *sink, int level, bool live, struct compressor **out, struct error *e);

/* Waits until all that was given is done, and ends the thread. NULL is fine. */
void compressor_free(struct compressor *c);

/* An empty buffer for a frame, NULL without memory; given back by compressor_frame. Unless live, waits while all are in
 * use: at most COMPRESSOR_QUEUE + `open`, the ones that the caller has. */
struct buffer *compressor_buffer(struct compressor *c, uint32_t open);

/* Begins the item: a body is opened if it is to have one. Items come one after the other. */
MUST_CHECK int compressor_open(struct compressor *c, struct draft *d, struct error *e);
/* `pressure`: that of the moment (frame_effort.h). It is 0 unless live, and while frames wait for the disk and not for
 * the compression. */
unsigned compressor_pressure(struct compressor *c);
MUST_CHECK int compressor_frame(struct compressor *c, uint32_t number, const struct head_frame *f, unsigned pressure,
                                struct buffer *raw, struct error *e);
MUST_CHECK int compressor_seal(struct compressor *c, struct draft *d, struct error *e);

/* Whether another frame may be given without making the queue longer than it should be; costs one load. */
bool compressor_ready(struct compressor *c);

/* Waits until it is, at most so long; whether it is then. */
bool compressor_wait_ready(struct compressor *c, unsigned timeout_ms);

/* Waits until all that was given is done; the error if one happened. The second at most so long: 1 if there is more to
 * do. */
MUST_CHECK int compressor_wait(struct compressor *c, struct error *e);
MUST_CHECK int compressor_wait_for(struct compressor *c, unsigned timeout_ms, struct error *e);

/* One behind the last item that is durable; 0 if none is. */
uint64_t compressor_sealed(struct compressor *c);

/* Compressed bytes of the item's body, which is the newest one, and of all bodies; may lag behind what was given. */
uint64_t compressor_body_bytes(struct compressor *c, uint64_t seq);
uint64_t compressor_all_bytes(struct compressor *c);

#endif
