/*
 * flow_table: packets -> the rows of the open chunk. Pure: packets and their times are the arguments, no clock, no
 * threads.
 *
 * A flow lives from its first packet to its end: closed by both sides (and lingering for late packets), idle for too
 * long, or pushed out because the table is full: first those that nobody has answered (of TCP: whose handshake is not
 * over) and that are over, longest so first, then whichever is nearest to its timeout. So a flood of questions does not
 * push out connections. Packets of the same key after that make another flow, with another id. A flow has one row in
 * each chunk in which it had packets, was quoted by an ICMP error, had a query that nobody answered in time, gave what
 * was remembered of its application for others, or ended; what sums of rows say does not depend on where chunks were
 * cut. Exchanges (conversation.h) are in the chunk in which they ended; as running ones also in those before, as far as
 * these have room for them.
 *
 *   each packet:      while (!flow_table_advance(...)) seal the chunk; flow_table_packet
 *   or many at once:  flow_table_name for all of them, flow_table_fetch for all of them, then for each as above, with
 *                     flow_table_count
 *   seal the chunk:   flow_table_prepare, flow_table_fill, write the rows, flow_table_next
 *   end:              while (!flow_table_end(...)) seal; seal
 *
 * Memory: for max_flows alive and max_rows ended ones, prepared at the beginning (flow_store.h); packets allocate
 * nothing, but for the frames of flows.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_FLOW_TABLE_H
#define FLEETDUMP_AGENT_CAPTURE_FLOW_TABLE_H

#include "agent/capture/listeners.h"
#include "common/base/error.h"
#include "common/chunk/head.h"
#include "common/packet/packet.h"
#include "common/rows/flow_row.h"

#define FLOW_TABLE_ROWS_MAX      HEAD_FLOW_ROWS_MAX
#define FLOW_TABLE_ROWS_SPARE    8u /* rows that one packet may add at the most */
#define FLOW_TABLE_FLOWS_DEFAULT 262144u
#define FLOW_TABLE_FLOWS_MAX     (1u << 24)
#define FLOW_TABLE_FLOW_BYTES    1024u /* what a flow alive takes at the most: of TCP, with its places in the table */
#define FLOW_TABLE_APP_BYTES                                                                                           \
    256u /* for what applications said: so much for each flow that may be alive, shared by all */
#define FLOW_FRAME_NONE UINT32_MAX

/* How long a flow may be silent before it ends, in packet time. */
enum flow_timer {
    FLOW_TIMER_TCP_ATTEMPT, /* no handshake yet */
    FLOW_TIMER_TCP,
    FLOW_TIMER_TCP_CLOSED,
    FLOW_TIMER_UDP,
    FLOW_TIMER_ICMP,
    FLOW_TIMER_OTHER,
    FLOW_TIMER_DNS_QUERY, /* of no flow: how long a query waits for its answer before it counts as unanswered */
    FLOW_TIMER_COUNT
};

/* Seconds, unless said otherwise; Zeek's values, but for the first. */
#define FLOW_TIMEOUT_TCP_ATTEMPT 60  /* ours: Zeek waits for 5, which divides the repeated SYNs of one attempt */
#define FLOW_TIMEOUT_TCP         300 /* tcp_inactivity_timeout */
#define FLOW_TIMEOUT_TCP_CLOSED  5   /* tcp_close_delay */
#define FLOW_TIMEOUT_UDP         60  /* udp_inactivity_timeout */
#define FLOW_TIMEOUT_ICMP        60  /* icmp_inactivity_timeout */
#define FLOW_TIMEOUT_OTHER       60  /* unknown_ip_inactivity_timeout */
#define FLOW_TIMEOUT_DNS_QUERY   5   /* ours: resolvers have given up or ask again by then (resolv.conf: timeout:5) */

struct flow_timeouts {
    uint64_t ns[FLOW_TIMER_COUNT]; /* 0 for these */
};

struct flow_table_options {
    uint8_t epoch[EPOCH_SIZE]; /* of the stream: part of each flow id */
    uint64_t part;             /* of the stream, where several tables make its rows: part of each flow id as well */
    uint32_t max_flows;        /* alive at once; 0 for FLOW_TABLE_FLOWS_DEFAULT */
    uint32_t max_rows;         /* in a chunk; 0 for FLOW_TABLE_ROWS_MAX; at least 2 * FLOW_TABLE_ROWS_SPARE */
    struct flow_timeouts timeouts;
    const struct listeners *listeners; /* of the host, for the originator; NULL: not known. Outlive the table */
    uint32_t app_payload; /* bytes of each packet's payload that may be looked at to learn of applications; 0: none */
    bool one_chunk;       /* all is in one chunk, as it was when it was captured: exchanges do not fill it */
    uint64_t app_memory;  /* for what is remembered of them; 0: FLOW_TABLE_APP_BYTES for each of max_flows */
    uint8_t http_blank;   /* enum http_blank (conversation.h): what HTTP said and rows do not tell */
};
#define FLOW_TABLE_APP_ALL UINT32_MAX

struct flow_table_stats {
    uint64_t flows; /* made so far */
    uint32_t alive;
    uint64_t resources; /* ended because the table was full, and not over already */
    uint64_t unheard;   /* whose applications nobody listened to for want of memory */
    uint64_t untold;    /* for each chunk, exchanges that went on when it ended and had no row, of flows that had one */
    uint64_t app_memory; /* bytes in use for what applications of flows said, without the exchanges of the open chunk */
};

struct flow_table;
struct stage;
MUST_CHECK int flow_table_new(const struct flow_table_options *o, struct flow_table **out, struct error *e);
void flow_table_free(struct flow_table *t);

/* The clock: ends flows that were idle for too long at time_ns, that of the next packet, or later without packets.
 * False if the chunk has as many rows as it may: seal it, and again. */
bool flow_table_advance(struct flow_table *t, uint64_t time_ns);

/* Which flow a packet belongs to, before it is looked for. */
struct flow_name {
    struct flow_key key;
    uint32_t hash;
    unsigned sender; /* which endpoint of the key */
};

/* Names the flow of a packet of the interface. */
void flow_table_name(struct flow_table *t, const struct packet *p, uint32_t interface, struct flow_name *name);

/* Has the memory of the flow fetched into the cache: flows lie anywhere in it, and to wait for each of them costs more
 * than to count. */
void flow_table_fetch(const struct flow_table *t, const struct flow_name *name);

/* Counts a packet of this name, seen at time_ns, whose bytes are in `frame` of the body (FLOW_FRAME_NONE: not kept). */
void flow_table_count(struct flow_table *t, const struct packet *p, const struct flow_name *name, uint64_t time_ns,
                      uint32_t frame);

/* The same of a packet of the interface that has no name yet. */
void flow_table_packet(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns,
                       uint32_t frame);

/* Whether the packet belongs to a flow that is alive though a filter sees no ports in it: an ICMP error that quotes it,
 * or a fragment of one of its packets. */
bool flow_table_knows(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns);

/* Payload that the sender of the packet has sent before it in its flow; 0 if none is alive. */
uint64_t flow_table_sent(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns);

/* n packets of the interface did not reach us. Returns false without memory. */
bool flow_table_loss(struct flow_table *t, uint32_t interface, uint64_t n);

bool flow_table_has_rows(const struct flow_table *t);
size_t flow_table_row_count(const struct flow_table *t);

/* Before the open chunk's rows are asked for by flow_table_fill. ERROR_MEMORY. */
MUST_CHECK int flow_table_prepare(struct flow_table *t, struct error *e);

/* From so many rows on they are put in order only if more than half have something in common with one before. */
#define FLOW_TABLE_ORDER_ALWAYS 8192u

/* Puts the rows [from, from + n) of the open chunk, alike ones together (by the responder's port, the originator's
 * address, and then as they began) where that is worth it, else as they came, but those of flows that ended first,
 * into the tile that was begun (stage.h); asked for in this order. Text and lists belong to the table, and are valid
 * until the next packet or chunk. */
void flow_table_fill(struct flow_table *t, size_t from, size_t n, struct stage *tile);

/* All of them at once, in memory of the table; valid until the next call. ERROR_MEMORY. */
MUST_CHECK int flow_table_rows(struct flow_table *t, struct flow_row **rows, size_t *count, struct error *e);

/* The exchanges of the open chunk, in the order in which they ended, and behind them, once all rows were asked for,
 * those of the rows' flows that go on (conversation_running); each one's flow has a row. Valid until the next call. */
void flow_table_exchanges(const struct flow_table *t, const struct exchange_row **rows, size_t *count);

/* The next chunk: no rows. */
void flow_table_next(struct flow_table *t);

/* Ends all flows that are alive, for this reason (enum flow_end), at the greatest time that was told; false if the
 * chunk became full before: seal it, and again. */
bool flow_table_end(struct flow_table *t, uint8_t reason);

struct flow_table_stats flow_table_stats(const struct flow_table *t);

/* Two of them, for after each packet. */
uint64_t flow_table_resources(const struct flow_table *t);
uint64_t flow_table_unheard(const struct flow_table *t);

#endif
