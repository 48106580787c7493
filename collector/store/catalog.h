/*
 * catalog: catalog.db: which partitions there are, what closed ones hold, cursors of streams whose partitions are gone,
 * and agents.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_CATALOG_H
#define FLEETDUMP_COLLECTOR_STORE_CATALOG_H

#include "collector/store/partition.h"

struct store;

#define CATALOG_NAME "catalog.db"

/* Opens the store's catalog. */
MUST_CHECK int catalog_open(const struct store *s, enum db_mode mode, struct db **out, struct error *e);

/* All partitions, by rank, as they are recorded. `each` takes the partition. */
MUST_CHECK int catalog_each_partition(struct db *db, const struct store *s,
                                      int (*each)(void *context, struct partition *p, struct error *e), void *context,
                                      struct error *e);

/* Records a partition that is to be made, with a new id (and, if rank is 0, a rank equal to it). */
MUST_CHECK int catalog_new_partition(struct db *db, const struct store *s, uint64_t begin_ns, uint64_t end_ns,
                                     uint64_t rank, struct partition **out, struct error *e);

/* Records one that is there already (reindex): state OPEN, so that it is closed anew. */
MUST_CHECK int catalog_adopt_partition(struct db *db, const struct partition *p, struct error *e);

/* Each of these is one statement; put them in a transaction where several belong together. */
MUST_CHECK int catalog_set_state(struct db *db, const struct partition *p, enum partition_state state, struct error *e);
MUST_CHECK int catalog_update(struct db *db, const struct partition *p, enum partition_state state, bool settled,
                              bool bodies_expired, const struct partition_sums *sums, struct error *e);
MUST_CHECK int catalog_remove_partition(struct db *db, const struct partition *p, struct error *e);
MUST_CHECK int catalog_add_meta(struct db *db, const char *name, uint64_t more, struct error *e);
MUST_CHECK int catalog_get_meta(struct db *db, const char *name, uint64_t *value, struct error *e);

/* Copies what flows.db says of its streams to table portion. */
MUST_CHECK int catalog_copy_portions(struct db *db, const struct partition *p, struct db *flows, struct error *e);
/* Copies the cursors of the partition's portions to table stream, and removes the portions. */
MUST_CHECK int catalog_keep_cursors(struct db *db, const struct partition *p, struct error *e);

/* Removes the portions. */
MUST_CHECK int catalog_forget_portions(struct db *db, const struct partition *p, struct error *e);

/* Which of the partitions may hold the item: those that the catalog names, and those whose portions it does not know
 * yet. `may` has room for `count` numbers of views; *found is set. Any thread, with a connection of its own. */
MUST_CHECK int catalog_holders(struct db *db, const uint8_t epoch[EPOCH_SIZE], uint64_t seq,
                               const struct partition_view *views, size_t count, size_t *may, size_t *found,
                               struct error *e);

#endif
