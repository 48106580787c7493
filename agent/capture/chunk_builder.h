/*
 * chunk_builder: packets -> the items of a stream. Gives each packet to the flow table and to a frame of its interface,
 * seals chunks when it is time, and keeps every counter.
 *
 * A chunk is sealed at CHUNK_BYTES compressed, CHUNK_NS of packet time, the flow table's limit of rows, a change of
 * interfaces, a flush, or the end. Frames are of one interface each and at most FRAME_RAW_TARGET, unless one packet
 * alone is more. One thread (the giver's); compression and writing happen in the compressor's.
 *
 * Every packet given is RECEIVED, and one of: KEPT; FILTERED; FORBIDDEN, which is judged before all else that looks at
 * the packet; OWN, of one of our own connections; POLICY, over the rate.
 *
 * Live, nothing here waits but what says so: give packets while chunk_builder_ready, tell the time by
 * chunk_builder_tick when there are none, and look at chunk_builder_sealed, or be told by the sink, for what is
 * durable.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_CHUNK_BUILDER_H
#define FLEETDUMP_AGENT_CAPTURE_CHUNK_BUILDER_H

#include "agent/capture/flow_table.h"
#include "agent/capture/sink.h"
#include "agent/forbid.h"
#include "common/chunk/head.h"
#include "common/chunk/pcapng.h"

#define CHUNK_BYTES           (16u << 20)
#define CHUNK_NS              (UINT64_C(60) * 1000000000)
#define CHUNK_OPEN_FRAMES_MAX (8u << 20) /* bytes in frames that are not closed yet, over all interfaces */
#define CHUNK_RATE_BURST_NS   UINT64_C(1000000000)

struct chunk_builder_options {
    uint8_t epoch[EPOCH_SIZE];
    const char *agent; /* texts are copied */
    const char *capture;
    const char *software;
    const char *filter; /* "" for none */
    bool filter_here;   /* packets are filtered here, not before */
    uint32_t snaplen;   /* packets are cut to it; 0 for no limit but PACKET_SNAPLEN_MAX */
    bool keep_packets;  /* else flows only: no bodies */
    bool headers_only;  /* of the packets kept, without payload */
    bool live;
    int level;          /* of zstd */
    uint32_t max_flows; /* 0 for the default; likewise below */
    uint32_t max_rows;
    struct flow_timeouts timeouts;
    uint64_t chunk_bytes;
    uint64_t chunk_ns;
    uint8_t seal;       /* enum head_seal for every chunk instead of what sealed it; 0 for none */
    uint64_t first_seq; /* of the first item */
    /* Of all that is kept; 0 for no limit */
    uint64_t most_packets, most_bytes; /* on the wire */
    uint64_t rate;                     /* bytes on the wire in a second of packet time; CHUNK_RATE_BURST_NS at once */
    /* Innermost TCP with this address and port at either end is our own; family FAMILY_NONE: there is none */
    uint8_t own_family;
    uint8_t own_address[16];
    uint16_t own_port;
    uint32_t payload;   /* most bytes kept behind the headers of each packet; 0: all */
    bool no_apps;       /* what applications say is not looked at; nor with headers_only, nor beyond `payload` */
    uint8_t http_blank; /* enum http_blank (conversation.h): what HTTP said and rows do not tell */
    uint32_t cutoff;    /* most payload kept of each direction of a flow, its first; headers always; 0: all */
    /* packets that are left out whatever the filter says; NULL: none. Outlives the builder */
    const struct forbid *forbid;
    const struct listeners *listeners; /* as in flow_table.h */
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

/* A new interface: its index for the calls below. ERROR_LIMIT past HEAD_INTERFACES_MAX, ERROR_USAGE if the filter does
 * not fit its link type. */
MUST_CHECK int chunk_builder_interface(struct chunk_builder *b, const struct pcapng_interface *info, uint32_t *index,
                                       struct error *e);

struct chunk_packet {
    struct pcapng_packet packet; /* `interface` as above */
    /* The filter does not want it: it is kept only if it belongs to a flow that is alive, being an ICMP error that
     * quotes it, or a fragment of it. */
    bool companion;
};
#define CHUNK_PACKETS 16u /* that are worked on together; more at once are of no use */

/* Packets, in this order. 1 if with one of them (or before them) the limit of packets or bytes is reached: those behind
 * it were not looked at. */
MUST_CHECK int chunk_builder_packets(struct chunk_builder *b, const struct chunk_packet *p, size_t n, struct error *e);

/* The time passes: all packets before now_ns were given. Ends flows, and seals what is old enough. */
MUST_CHECK int chunk_builder_tick(struct chunk_builder *b, uint64_t now_ns, struct error *e);

/* Whether chunk_builder_tick would do nothing, however late it is: nothing is open and no flow alive. */
bool chunk_builder_idle(const struct chunk_builder *b);

/* Counts what did not become packets here: KERNEL_DROPS, INTERFACE_DROPS, CRASH_LOST, ..., or what is to be known of
 * the packet just given: TIME_LIMITED. RECEIVED grows with those that reached the capture, which INTERFACE_DROPS did
 * not, and were not given. */
MUST_CHECK int chunk_builder_count(struct chunk_builder *b, uint32_t interface, enum counter which, uint64_t n,
                                   struct error *e);

/* Seals what there is now, if there is anything. */
MUST_CHECK int chunk_builder_seal(struct chunk_builder *b, enum head_seal why, struct error *e);

/* One behind the last item that was sealed; one behind the last that is durable. */
uint64_t chunk_builder_next_seq(const struct chunk_builder *b);
uint64_t chunk_builder_sealed(struct chunk_builder *b);

/* Live: whether a packet may be given; the second waits for it, at most so long. */
bool chunk_builder_ready(struct chunk_builder *b);
bool chunk_builder_wait_ready(struct chunk_builder *b, unsigned timeout_ms);

/* Ends all flows, seals, and writes the END item: nothing may be given any more. */
MUST_CHECK int chunk_builder_end(struct chunk_builder *b, struct error *e);

/* Waits until all is durable, at most so long: 1 if it is not. */
MUST_CHECK int chunk_builder_wait(struct chunk_builder *b, unsigned timeout_ms, struct error *e);

/* Both; all is durable when it returns. */
MUST_CHECK int chunk_builder_finish(struct chunk_builder *b, struct error *e);

void chunk_builder_stats(const struct chunk_builder *b, struct chunk_builder_stats *s);

#endif
