/*
 * record: rows of the store's tables as structs.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_RECORD_H
#define FLEETDUMP_COLLECTOR_STORE_RECORD_H

#include "collector/store/db.h"
#include "common/base/buffer.h"
#include "common/chunk/counter.h"
#include "common/chunk/head.h"

/* What a partition holds of one stream. Texts are borrowed from the statement that read them until portion_keep. */
struct portion {
    uint64_t id; /* of the stream in flows.db; the partition in the catalog */
    uint8_t epoch[EPOCH_SIZE];
    const char *agent, *capture, *software, *filter;
    uint32_t snaplen;
    uint8_t install[16];
    uint64_t head_next;
    bool ended, restored;
    uint64_t first_seq;
    uint64_t first_ns, last_ns; /* packets; first > last if there is none */
    uint64_t first_arrived_ns, last_arrived_ns;
    uint64_t chunks, rows, packets, bytes, head_bytes, body_bytes, bodies, gap_packets;
    struct counters totals;
    bool changed; /* in memory only: to be written */
    char *memory; /* owned texts, after portion_keep */
};

/* Reads `id, PORTION_COLUMNS` of the row. */
void portion_read(const struct sql *q, struct portion *p);

/* Binds PORTION_COLUMNS; `scratch` holds the counters until the statement ran. */
void portion_bind(struct sql *q, const struct portion *p, struct buffer *scratch);

/* Makes the texts p's own. ERROR_MEMORY. */
MUST_CHECK int portion_keep(struct portion *p, struct error *e);
void portion_free(struct portion *p); /* p itself too; NULL is fine */

/* A new portion for the stream of `h`, which has nothing yet; texts are copied. NULL without memory. */
struct portion *portion_new(const struct chunk_head *h, const uint8_t *install);

/* Adds a head of encoded `length` that arrived at arrived_ns. */
void portion_add_head(struct portion *p, const struct chunk_head *h, uint64_t length, uint64_t arrived_ns);

/* A row of table head. */
struct head_row {
    uint64_t id, stream, seq, last_seq;
    uint8_t kind, seal, gap, body;
    uint64_t arrived_ns, first_ns, last_ns, since_ns, until_ns, open_ns, seal_ns;
    uint64_t rows, length, hash, body_length, body_hash;
    uint64_t request_ns; /* in memory only: the first of its exchanges; UINT64_MAX: none */
    struct counters totals;
    bool placed; /* pack and offset are known */
    uint64_t pack, offset;
};

/* Reads HEAD_COLUMNS of the row. */
void head_row_read(const struct sql *q, struct head_row *row);

/* Binds the values of PARTITION_HEAD_PUT. */
void head_row_bind(struct sql *q, const struct head_row *row, struct buffer *scratch);

/* The row of an encoded head; the span is set to the packets', for the caller to widen if there are none, and reaches
 * back to the requests of its exchanges. */
void head_row_of(const struct chunk_head *h, const void *data, size_t len, uint64_t arrived_ns, struct head_row *row);

/* An item without packets is about all that its stream had until then ([first, last] of its packets): a query must hear
 * of its losses. */
void head_row_widen(struct head_row *row, uint64_t first_ns, uint64_t last_ns);

/* Whether a body is to come after this head. */
bool head_wants_body(const struct chunk_head *h);

/* Counters as varints, trailing zeros left out; unknown ones (of a newer program) are skipped. */
void record_write_counters(struct buffer *out, const struct counters *c);
void record_read_counters(const void *data, size_t len, struct counters *c);

/* Sums over what a partition holds. */
struct partition_sums {
    uint64_t chunks, rows, packets, head_bytes, body_bytes, bodies, database_bytes;
    uint64_t heads;              /* items of any kind; the greatest id */
    uint64_t since_ns, until_ns; /* least and greatest of the heads' spans; since > until if there is none */
    uint64_t last_arrived_ns;
};
void partition_sums_clear(struct partition_sums *s);
void partition_sums_add(struct partition_sums *s, const struct head_row *row);

/* 32 hex digits. buf has at least 33 bytes and is returned. */
char *record_epoch_text(const uint8_t epoch[EPOCH_SIZE], char *buf);
#define EPOCH_TEXT_SIZE (2 * EPOCH_SIZE + 1)

#endif
