/*
 * rebuild: a partition made anew, from its packs and from what its old database still gives.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_REBUILD_H
#define FLEETDUMP_COLLECTOR_STORE_REBUILD_H

#include "collector/store/check.h"

/*
 * Makes a new partition, with a new name and the same rank, that takes the place of `old`: its packs are the same files
 * (links), its heads come
 *   - from the old flows.db, as far as it can be read and the heads are whole
 *   - from the packs, which hold the heads of all bodies
 *   - where items are known to have been there and are in neither: as gaps (GAP_DAMAGED), which is said
 * In one transaction of the catalog the new one becomes valid and the old one goes to the trash. Needs the store's
 * lock.
 */
MUST_CHECK int rebuild_partition(struct checking *c, struct store *s, struct partition *old, struct error *e);

#endif
