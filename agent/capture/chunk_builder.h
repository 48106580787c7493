/*
 * chunk_builder: packets -> the items of a stream. Gives each packet to the flow table and to a frame of its interface,
 * seals chunks when it is time, and keeps every counter.
 *
 * A chunk is sealed at CHUNK_BYTES compressed, CHUNK_NS of packet time, the flow table's limit of rows, a change of
 * interfaces, or the end. Frames are of one interface each and at most FRAME_RAW_TARGET, unless one packet alone is
 * more. One thread (the giver's); compression and writing happen in the compressor's.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_CHUNK_BUILDER_H
#define FLEETDUMP_AGENT_CAPTURE_CHUNK_BUILDER_H

#include "agent/capture/flow_table.h"
#include "agent/capture/sink.h"
#include "common/chunk/head.h"
#include "common/chunk/pcapng.h"

#define CHUNK_BYTES           (16u << 20)
#define CHUNK_NS              (UINT64_C(60) * 1000000000)
#define CHUNK_OPEN_FRAMES_MAX (8u << 20) /* bytes in frames that are not closed yet, over all interfaces */

struct chunk_builder_options {
    uint8_t epoch[EPOCH_SIZE];
    const char *agent; /* texts are copied */
    const char *capture;
    const char *software;
    const char *filter; /* "" for none */
    bool filter_here;   /* packets are filtered here, not before */
    uint32_t snaplen;   /* packets are cut to it; 0 for no limit but PACKET_SNAPLEN_MAX */
    bool keep_packets;  /* else flows only: no bodies */
    bool headers_only;  /* packets are cut behind their transport header */
    /* Live: connections with this address and port, at either end, are left out and counted (COUNTER_OWN); family 0: none */
    uint8_t own_family;
    uint8_t own_address[16];
    uint16_t own_port;
    uint64_t rate; /* live: bytes per second on the wire that are kept, more is dropped (COUNTER_POLICY); 0: no limit */
    int level;     /* of zstd */
    uint32_t max_flows; /* 0 for the default; likewise below */
    uint32_t max_rows;
    uint64_t chunk_bytes;
    uint64_t chunk_ns;
    uint8_t seal;       /* enum head_seal for every chunk instead of what sealed it; 0 for none */
    uint64_t first_seq; /* of the first item */
};

struct chunk_builder_stats {
    struct counters counters; /* since the start */
    uint64_t flows;
    uint64_t chunks;
    uint64_t rows;
    uint64_t raw_bytes;    /* of pcapng in the frames */
    uint64_t stored_bytes; /* of bodies and heads as written */
};

struct chunk_builder;

/* `sink` must outlive it. */
MUST_CHECK int chunk_builder_new(const struct chunk_builder_options *o, struct sink *sink, struct chunk_builder **out,
                                 struct error *e);

/* Gives up what is not sealed. NULL is fine. */
void chunk_builder_free(struct chunk_builder *b);

/* A new interface: its index for the calls below. ERROR_LIMIT past HEAD_INTERFACES_MAX, ERROR_USAGE if the filter does not
 * fit its link type. */
MUST_CHECK int chunk_builder_interface(struct chunk_builder *b, const struct pcapng_interface *info, uint32_t *index,
                                       struct error *e);

/* A packet; p->interface as above. */
MUST_CHECK int chunk_builder_packet(struct chunk_builder *b, const struct pcapng_packet *p, struct error *e);

/* A packet that came because it may belong to a captured connection though the capture's filter does not match it: kept, with the comment
 * CHUNK_BUILDER_COMPANION, if a flow that is alive is quoted in it, or it is a later fragment of one; else FILTERED. */
#define CHUNK_BUILDER_COMPANION "fleetdump: belongs to a captured connection, the capture's filter does not match it"
MUST_CHECK int chunk_builder_companion(struct chunk_builder *b, const struct pcapng_packet *p, struct error *e);

/* Live: time has come to now_ns (wall clock) without packets: flows end, an old chunk is sealed. */
MUST_CHECK int chunk_builder_tick(struct chunk_builder *b, uint64_t now_ns, struct error *e);

/* Seals what there is and waits until it is durable; *next_seq is behind the last item. */
MUST_CHECK int chunk_builder_flush(struct chunk_builder *b, uint64_t *next_seq, struct error *e);

/* Counts what did not become packets here: KERNEL_DROPS, INTERFACE_DROPS, CRASH_LOST, ..., or what is to be known of the
 * packet just given: TIME_LIMITED. RECEIVED grows with those that reached the capture, which INTERFACE_DROPS did not, and
 * were not given. */
MUST_CHECK int chunk_builder_count(struct chunk_builder *b, uint32_t interface, enum counter which, uint64_t n,
                                   struct error *e);

/* Seals what there is now, if there is anything. */
MUST_CHECK int chunk_builder_seal(struct chunk_builder *b, enum head_seal why, struct error *e);

/* Ends all flows, seals, and writes the END item; all is durable when it returns. */
MUST_CHECK int chunk_builder_finish(struct chunk_builder *b, struct error *e);

void chunk_builder_stats(const struct chunk_builder *b, struct chunk_builder_stats *s);

#endif
