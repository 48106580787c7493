/*
 * reader: one thread's view of the store: its own connections to the catalog and, as they are used, to partitions.
 *
 * A partition that is dropped meanwhile stays readable where it is open; where it is not open yet, it is as if it had
 * gone before.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_READER_H
#define FLEETDUMP_COLLECTOR_STORE_READER_H

#include "collector/store/store_impl.h"

#define READER_SLOTS 8u /* partitions open at a time */

struct reader_slot {
    struct partition *p; /* a reference; NULL: free */
    struct db *db;
    unsigned users;
    unsigned snapshots; /* users that want to see one state */
    uint64_t last_use;
};

/* A pack that bodies are read from, shared by them. */
struct reader_pack {
    struct reader_pack *next;
    uint64_t partition, number;
    int fd;
    uint64_t size;
    unsigned users;
};

struct store_reader {
    struct store *s;
    struct db *catalog;
    struct reader_slot slots[READER_SLOTS];
    uint64_t clock;
    struct reader_pack *packs;
};

/* Opens the partition if it is not. ERROR_NOT_FOUND if it was dropped; ERROR_LIMIT if all slots are in use. */
MUST_CHECK int reader_acquire(struct store_reader *r, struct partition *p, bool snapshot, struct reader_slot **out,
                              struct error *e);
void reader_release(struct reader_slot *slot, bool snapshot);

/* The item (epoch, seq) and the slot of its partition, acquired: 0, or ERROR_NOT_FOUND. */
MUST_CHECK int reader_find(struct store_reader *r, const uint8_t epoch[EPOCH_SIZE], uint64_t seq,
                           struct reader_slot **out, struct head_row *row, struct error *e);

/* What the store holds of each stream, partition by partition; texts are valid during the call. */
typedef int reader_portion_fn(void *context, const struct partition_view *view, const struct portion *p,
                              struct error *e);
MUST_CHECK int reader_each_portion(struct store_reader *r, reader_portion_fn *each, void *context, struct error *e);
MUST_CHECK int reader_each_portion_of(struct store_reader *r, const struct partition_view *view,
                                      reader_portion_fn *each, void *context, struct error *e);

/* Whether the scan names a stream of this agent and capture. */
bool reader_wants(const struct store_scan *scan, const char *agent, const char *capture);

#endif
