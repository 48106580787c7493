/*
 * store_impl: what the files of the store share.
 *
 * The writer's thread changes the list of partitions and what is guarded in them under `lock`; it may read them
 * without. Readers copy what they need under the lock and hold references.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_STORE_IMPL_H
#define FLEETDUMP_COLLECTOR_STORE_STORE_IMPL_H

#include "collector/store/catalog.h"
#include "collector/store/partition.h"
#include "collector/store/schema.h"
#include "collector/store/store.h"
#include "collector/store/stream.h"

struct store {
    struct store_config config;
    char *path; /* absolute, without links; config.path is the same */
    int dirfd, partitions_fd, trash_fd, lock_fd;
    struct db *catalog;

    pthread_mutex_t lock;
    struct partition **partitions; /* by rank, then id */
    size_t partition_count, partition_size;
    uint64_t expired_chunks, expired_bytes;
    uint64_t lost_cursors; /* nonzero: the catalog was made anew, so unknown streams may go on at any item */

    /* the writer's */
    struct partition *open; /* the one that takes heads; NULL: none yet */
    struct epoch_map streams;
};

/* "PATH/name" (the path of the store); the caller's to free, NULL without memory. */
char *store_path(const struct store *s, const char *name);

/* Puts the partition into the list, at its place; the list takes the caller's reference. */
MUST_CHECK int store_add_partition(struct store *s, struct partition *p, struct error *e);
/* Takes it out, with the list's reference. */
void store_remove_partition(struct store *s, struct partition *p);

/* A copy of the list with references to each: malloc'ed. Any thread. */
MUST_CHECK int store_hold_partitions(struct store *s, struct partition_view **out, size_t *count, struct error *e);
void store_release_partitions(struct partition_view *views, size_t count);

/* Closes a partition: postings to disk, portions to the catalog. */
MUST_CHECK int store_close_partition(struct store *s, struct partition *p, struct error *e);

/* If no body is waited for any more, and no reader has it open: makes a closed partition's database final. */
MUST_CHECK int store_settle_partition(struct store *s, struct partition *p, struct error *e);

/* The open partition for heads that arrived then; a new one is made where that one is over. */
MUST_CHECK int store_partition_for(struct store *s, uint64_t arrived_ns, struct partition **out, struct error *e);

/* Moves the folder of a partition in state DROPPING to the trash and empties that. */
MUST_CHECK int store_trash(struct store *s, const struct partition *p, struct error *e);
MUST_CHECK int store_empty_trash(struct store *s, struct error *e);

/* Takes a partition out of the store: cursors to the catalog, the folder to the trash. */
MUST_CHECK int store_drop_partition(struct store *s, struct partition *p, struct error *e);

/* Removes the packs of a partition whose bodies expired. */
MUST_CHECK int store_remove_packs(const struct partition *p, struct error *e);

/* The parts of store_open that check and reindex need too: folder, lock; *s is zeroed before. */
MUST_CHECK int store_enter(struct store *s, const char *path, bool make, struct error *e);
void store_leave(struct store *s);
/* Makes an empty catalog.db, durably. */
MUST_CHECK int store_make_catalog(struct store *s, struct error *e);

#endif
