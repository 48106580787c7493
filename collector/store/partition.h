/*
 * partition: what arrived in one hour: a folder with flows.db and packs.
 *
 * Life: MAKING (the folder may not be there yet) -> OPEN (takes heads)
 *       -> CLOSED (postings are on disk; takes bodies of its heads)
 *       -> settled (no body is waited for: flows.db never changes again and is a plain file without WAL)
 *       -> DROPPING (on its way to the trash).
 * Each step is made durable in the catalog; each can be repeated after a crash.
 *
 * Shared between threads: what stands under "guarded". The store's list holds one reference, each reader that uses it
 * another; the writer drops a partition without waiting for readers, who go on with the files that they have open.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_PARTITION_H
#define FLEETDUMP_COLLECTOR_STORE_PARTITION_H

#include "collector/store/epoch_map.h"
#include "collector/store/pack.h"
#include "collector/store/postings.h"
#include "collector/store/record.h"

#include <pthread.h>
#include <stdatomic.h>

struct store;

/* Stored: never renumber. */
enum partition_state {
    PARTITION_MAKING = 1,
    PARTITION_OPEN = 2,
    PARTITION_CLOSED = 3,
    PARTITION_DROPPING = 4,
};

#define PARTITION_NAME_MAX 48u

struct partition {
    /* set when it is made */
    uint64_t id;
    uint64_t rank;             /* order of arrival among partitions: the id, or what reindex kept of an older one */
    uint64_t begin_ns, end_ns; /* arrival: [begin, end) */
    char name[PARTITION_NAME_MAX];
    char *path; /* of the folder */
    atomic_uint references;

    /* guarded by the store's lock; written by the writer */
    enum partition_state state;
    bool settled;
    bool bodies_expired;
    struct partition_sums sums;

    /* postings of an open partition: built from its blocks when somebody asks, under postings_lock */
    pthread_mutex_t postings_lock;
    struct postings *postings; /* NULL: nothing built yet, or on disk already */
    bool postings_on_disk;

    /* the writer's */
    struct db *db; /* NULL while nothing is written */
    bool in_transaction;
    bool sealing;                 /* and its packs' sync, or the commit, was begun */
    bool must_mend;               /* a commit failed: what it left in the WAL must go before the next write */
    bool used;                    /* since the last maintenance */
    struct partition_sums staged; /* sums with those of the running transaction */
    struct epoch_map portions;    /* struct portion, read from the database at first use */
    struct pack *pack;            /* being appended to, or NULL */
    uint64_t next_pack;
    size_t posting_keys; /* in memory, at the last look */
    uint64_t disk_bytes; /* of all its files, at the last look */
};

/* What a reader knows of a partition: a reference and a copy of what is guarded. */
struct partition_view {
    struct partition *p;
    enum partition_state state;
    bool settled, bodies_expired;
    struct partition_sums sums;
};

/* A partition in memory, one reference. ERROR_MEMORY. */
MUST_CHECK int partition_new(const struct store *s, uint64_t id, uint64_t rank, const char *name, uint64_t begin_ns,
                             uint64_t end_ns, struct partition **out, struct error *e);
void partition_ref(struct partition *p);
void partition_unref(struct partition *p); /* NULL is fine */

/* "PATH/flows.db"; the result is the caller's to free, NULL without memory. */
char *partition_database(const struct partition *p);

/* "20261122T03-000017" */
void partition_name(uint64_t id, uint64_t begin_ns, char buf[PARTITION_NAME_MAX]);
/* The id and the begin in a folder's name; false if it is none of ours. */
bool partition_parse_name(const char *name, uint64_t *id, uint64_t *begin_ns);

/* ------------------------------------------------------------------ the writer's */
/* Makes folder and flows.db, all synced. The name must not exist. */
MUST_CHECK int partition_make(const struct store *s, struct partition *p, struct error *e);

/* After a start: applies the WAL, cuts packs at their committed ends, removes packs that were never committed, counts
 * sums, finds out whether postings are on disk. Leaves the database open for writing. */
MUST_CHECK int partition_mend(struct partition *p, struct error *e);

/* Opens the database for writing if it is not, and mends what a failed commit left. */
MUST_CHECK int partition_writable(struct partition *p, struct error *e);

/* Begins the transaction of a group if it has none. */
MUST_CHECK int partition_touch(struct partition *p, struct error *e);

/* What the partition holds of this stream, for change: NULL in *out if nothing. */
MUST_CHECK int partition_portion(struct partition *p, const uint8_t epoch[EPOCH_SIZE], struct portion **out,
                                 struct error *e);

/* A new portion, written at once: the partition owns it from now on, also after an error. */
MUST_CHECK int partition_add_portion(struct partition *p, struct portion *portion, struct error *e);

/* The stream's portion, made from its head if there is none. */
MUST_CHECK int partition_portion_for(struct partition *p, const struct chunk_head *h, const uint8_t *install,
                                     struct portion **out, struct error *e);

/* Inserts a head: row (its id is set) and encoded bytes. Sums are the caller's. */
MUST_CHECK int partition_insert_head(struct partition *p, struct head_row *row, const void *data, struct error *e);

/* Writes where a head's body is (pack 0: nowhere). */
MUST_CHECK int partition_update_head(struct partition *p, uint64_t head, enum body_state state, unsigned gap,
                                     uint64_t pack, uint64_t offset, struct error *e);

/* The pack to append `size` bytes to. */
MUST_CHECK int partition_pack(struct partition *p, uint64_t size, uint64_t now_ns, struct pack **out, struct error *e);

/* Writes changed portions and the pack's end into the transaction. */
MUST_CHECK int partition_flush(struct partition *p, struct error *e);

/* Syncs the pack if the group appended to it; commits. The caller publishes `staged`. */
MUST_CHECK int partition_sync(struct partition *p, struct error *e);
MUST_CHECK int partition_commit(struct partition *p, struct error *e);

/* After a failed group: nothing of it happened. The pack is left behind: a commit that failed may yet be found to have
 * happened, and its bytes must stay where they are. */
void partition_abandon(struct partition *p);

/* Cuts packs at their committed ends and removes those that were never committed. */
MUST_CHECK int partition_trim(struct partition *p, struct error *e);

/* Closes database and pack; forgets portions. */
void partition_rest(struct partition *p);

/* Adds heads that came since to the postings in memory; the writer's connection or a reader's. */
MUST_CHECK int partition_index(struct partition *p, struct db *db, struct error *e);

/* Bytes of all its files. */
uint64_t partition_disk_bytes(const struct partition *p);
/* Bytes of flows.db and its WAL. */
uint64_t partition_database_bytes(const struct partition *p);

#endif
