/*
 * head: what a chunk says of itself; everything but the packets. Plain struct <-> bytes.
 *
 * The exact bytes are described on top of head.c: magic, version, sections (tag, length, content), and a hash64 over
 * all at the end. A head is valid if its magic and version are known, its sections fill it exactly, required sections
 * stand once, and the hash matches; unknown sections are skipped (a newer writer).
 *
 * A stream is a sequence of items numbered by seq from 0 without holes; each item is a head of one of these kinds:
 *   CHUNK  rows of a stretch of the stream, and (unless flows only) the body that belongs to it
 *   GAP    stands for seq..last_seq, which are not to come: why, and how much they held
 *   END    the stream's last item: totals of the whole stream
 */
#ifndef FLEETDUMP_CHUNK_HEAD_H
#define FLEETDUMP_CHUNK_HEAD_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/chunk/counter.h"
#include "common/rows/column.h"

/* Stored: never renumber any of these. */
enum head_kind { HEAD_CHUNK = 1, HEAD_GAP = 2, HEAD_END = 3 };
enum head_seal {
    SEAL_BYTES = 1,
    SEAL_TIME = 2,
    SEAL_ROWS = 3,
    SEAL_END = 4,
    SEAL_INTERFACES = 5,
    SEAL_FLUSH = 6,
    SEAL_RECOVERED = 7
};
enum head_gap { GAP_QUOTA = 1, GAP_DISK = 2, GAP_CRASH = 3, GAP_DAMAGED = 4, GAP_EXPIRED = 5 };
enum body_state { BODY_NEVER = 0, BODY_ON_AGENT = 1, BODY_STORED = 2, BODY_EVICTED = 3, BODY_EXPIRED = 4 };
const char *head_seal_name(int seal);
const char *head_gap_name(int gap);
const char *head_gap_words(int gap); /* the same for people: "too little disk was free" */
const char *body_state_name(int state);

#define HEAD_BYTES_MAX      (64u << 20)
#define HEAD_NAME_MAX       255u /* agent, capture, interface names */
#define HEAD_FILTER_MAX     8192u
#define HEAD_INTERFACES_MAX 1024u
#define HEAD_FRAMES_MAX     65536u
#define HEAD_FLOW_ROWS_MAX  65536u
#define EPOCH_SIZE          16

struct head_interface {
    char *name;        /* as on the agent: "eth0"; of files: the name in the file or the file's base name */
    char *description; /* "" if none */
    uint16_t link_type;
    uint32_t snaplen;
    uint8_t mac[6];
    uint8_t has_mac;
    uint64_t speed_bps; /* 0 unknown */
    struct counters counters;
};

/* One zstd frame of packets of one interface. Its index is what flow_row.frames names. */
struct head_frame {
    uint32_t interface;
    uint32_t length;     /* compressed */
    uint64_t offset;     /* in the body */
    uint32_t raw_length; /* expanded: whole pcapng blocks */
    uint32_t packets;
    uint64_t first_ns; /* least and greatest packet time */
    uint64_t last_ns;
};

struct chunk_head {
    uint8_t kind; /* enum head_kind */
    uint8_t seal; /* enum head_seal; CHUNK only */
    uint8_t gap;  /* enum head_gap; GAP only */
    uint8_t body; /* enum body_state when the head was written: BODY_NEVER or BODY_ON_AGENT */
    uint8_t epoch[EPOCH_SIZE];
    uint64_t seq;
    uint64_t last_seq; /* GAP: last seq that it stands for; else = seq */

    char *agent;    /* the agent's name */
    char *capture;  /* the capture's name */
    char *software; /* "fleetdump 0.1" */
    char *filter;   /* the capture's filter, "" for none */
    uint32_t snaplen;

    /* Clocks: two pairs, read together */
    uint64_t open_wall_ns, open_mono_ns;
    uint64_t seal_wall_ns, seal_mono_ns;

    /* Least and greatest packet time; first > last if there is no packet */
    uint64_t first_ns, last_ns;

    struct head_interface *interfaces;
    uint32_t interface_count;

    /* The body, unless BODY_NEVER */
    uint64_t body_length;
    uint64_t body_raw_length;
    uint64_t body_hash; /* hash64 of the whole body */
    struct head_frame *frames;
    uint32_t frame_count;

    /* Rows: encoded blocks (common/rows/block.h), or NULL and 0 */
    const uint8_t *flows;
    uint64_t flows_length;
    const uint8_t *exchanges;
    uint64_t exchanges_length;
    uint32_t flow_rows; /* row count of `flows`, so that it need not be opened to know */

    struct counters totals; /* over all interfaces; GAP: of what is missing; END: of the whole stream */

    void *memory; /* owned by head_decode; freed by head_free */
};

/* Appends the head's bytes. Checks limits; ERROR_LIMIT says which. */
MUST_CHECK int head_encode(const struct chunk_head *h, struct buffer *out, struct error *e);

/* Reads a head of exactly len bytes into *h; flows and exchanges point into `data`, which must outlive it, the rest is
 * owned by h (free with head_free). Verifies everything but the blocks' columns. Errors name the byte offset and the
 * section. */
MUST_CHECK int head_decode(const void *data, size_t len, struct chunk_head *h, struct error *e);
void head_free(struct chunk_head *h);

#endif
