/* chunk_builder_impl: what the parts of the chunk builder share. Private to chunk_builder*.c. */
#ifndef FLEETDUMP_AGENT_CAPTURE_CHUNK_BUILDER_IMPL_H
#define FLEETDUMP_AGENT_CAPTURE_CHUNK_BUILDER_IMPL_H

#include "agent/capture/chunk_builder.h"
#include "agent/capture/compressor.h"
#include "common/filter/capture_filter.h"
#include "common/rows/block.h"

struct interface {
    struct head_interface head; /* counters: of the open chunk */
    struct counters cumulative;
    struct capture_filter *filter;
    struct buffer *raw; /* the open frame, or NULL */
    struct head_frame frame;
    uint32_t frame_number;
};

/* A packet that is worked on, and what is known of it. */
struct look {
    struct interface *interface;
    struct pcapng_packet kept; /* as given, cut to the snaplen, then to what is kept */
    bool companion;
    bool match;           /* the filter that is judged here */
    struct packet packet; /* decoded, with its name, if it matches */
    struct flow_name name;
};

struct chunk_builder {
    struct chunk_builder_options options;
    char *agent, *capture, *software, *filter;
    struct sink *sink;
    struct compressor *compressor;
    struct flow_table *flows;
    struct block_writer *rows;

    struct interface *interfaces;
    uint32_t interface_count;

    struct draft *draft; /* the open chunk, or NULL */
    uint64_t seq;        /* of the open or next item */
    uint32_t frames;     /* numbers given in the open chunk */
    uint32_t open_frames;
    uint64_t open_bytes;
    bool has_packet;
    bool has_counts;   /* something was counted since the last chunk */
    bool begun;        /* there is something to seal, ... */
    uint64_t begin_ns; /* ... since this packet's time, or this tick */

    uint64_t start_wall_ns, start_mono_ns; /* live: since then packets are captured */

    uint64_t allowed; /* bytes that may be kept at once, ... */
    uint64_t rate_ns; /* ... at this packet's time */

    struct chunk_builder_stats stats;
    struct counters published; /* what the counter page has of them */

    /* Those that are worked on together; here, and not on the stack, which release builds clear */
    struct look looks[CHUNK_PACKETS];
};

/* chunk_builder.c */
void chunk_count(struct chunk_builder *b, struct interface *n, enum counter which, uint64_t value);
/* Tells the counter page what was counted: before anything of it can be on disk, and when some packets were worked
 * on. */
void chunk_publish(struct chunk_builder *b);
MUST_CHECK int chunk_open(struct chunk_builder *b, struct error *e);
void chunk_begin(struct chunk_builder *b, uint64_t time_ns); /* unless it has begun */

/* Before a packet of this time: seals what is due, and ends the flows that were idle until then, in as many chunks as
 * that takes. */
MUST_CHECK int chunk_make_ready(struct chunk_builder *b, uint64_t time_ns, struct error *e);

/* chunk_packet.c: closes the open frames of all interfaces. */
MUST_CHECK int chunk_close_frames(struct chunk_builder *b, struct error *e);
/* Counts the flows that were ended for want of room, and what applications said that could not be read, since the last
 * time: of this interface, whose packets or end made it known. */
void chunk_count_evicted(struct chunk_builder *b, struct interface *n);
/* Likewise, once the chunk's rows are taken, the exchanges that went on and are not among them. */
void chunk_count_untold(struct chunk_builder *b, struct interface *n);

#endif
