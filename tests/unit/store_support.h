/*
 * store_support: chunks made for tests of the store, and a store in an own folder.
 */
#ifndef FLEETDUMP_TESTS_STORE_SUPPORT_H
#define FLEETDUMP_TESTS_STORE_SUPPORT_H

#include "collector/store/store.h"
#include "tests/unit/support.h"

#define T0     UINT64_C(1763776800000000000) /* 2025-11-22T02:00:00Z, the begin of an hour */
#define SECOND UINT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define HOUR   (3600 * SECOND)

/* How a chunk is to look; the rest is made from (stream, seq), always the same. */
struct wish {
    uint8_t stream; /* epoch is 16 times this byte; agent "agent-<stream>", capture "capture" */
    uint64_t seq;
    uint8_t kind;      /* 0: HEAD_CHUNK */
    uint64_t last_seq; /* GAP */
    bool no_body;
    uint32_t rows;               /* 0: 3 rows */
    uint64_t first_ns;           /* packets: [first, first + 1 s]; 0: T0 + seq s */
    uint8_t variant;             /* another content under the same id */
    const char *agent, *capture; /* NULL: as above */
    const char *interface;       /* NULL: eth0 */
    const char *says;            /* the DNS name of its flows; NULL: none */
    const struct exchange_row *exchanges;
    uint32_t exchange_count; /* of flows that flow_id_of names */
};

struct made {
    struct buffer head;
    struct chunk_head decoded;
    struct buffer body;
    uint8_t install[16];
};

void make_chunk(const struct wish *w, struct made *m);
void made_free(struct made *m);

/* Row `number` of a chunk: client 10.<stream>.<seq>.<number>, port 1000 + number, server 192.0.2.<number % 8>, port 80 or 443. */
void make_row(const struct wish *w, uint32_t number, struct flow_row *row);
uint64_t flow_id_of(const struct wish *w, uint32_t number);

struct store_part head_part(struct made *m, uint64_t arrived_ns);
/* The body in a scratch file of the store (part_done closes it). */
struct store_part body_part(struct made *m, uint64_t arrived_ns);
void part_done(struct store_part *part);

/* Commits one part and returns its result (the group must not fail); text of the error in `why` (may be NULL). */
int commit_head(struct store *s, const struct wish *w, uint64_t arrived_ns, struct error *why);
int commit_body(struct store *s, const struct wish *w, uint64_t arrived_ns, struct error *why);

/* Both, which must succeed. */
void commit_chunk(struct store *s, const struct wish *w, uint64_t arrived_ns);

void epoch_of(uint8_t stream, uint8_t epoch[EPOCH_SIZE]);

struct store *open_store(const char *path, const struct store_config *config);

/* What a scan gave. */
struct seen_chunk {
    uint8_t stream, kind, gap, body_state;
    uint64_t seq, last_seq, rows;
    bool excluded;
};
struct seen {
    struct seen_chunk items[4096];
    size_t count;
};
void scan_all(struct store *s, const struct store_scan *scan, struct seen *out);
const struct seen_chunk *seen_find(const struct seen *seen, uint8_t stream, uint64_t seq);

/* Whether the body of a chunk can be read and is the one that was made. */
bool body_is_whole(struct store *s, const struct wish *w);

/* Findings of store_check; each is printed if `print`. */
uint64_t check_findings(const char *path, bool print);

#endif
