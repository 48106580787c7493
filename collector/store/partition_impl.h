/*
 * partition_impl: what partition.c (which writes) and partition_mend.c (which makes one, and mends what a crash left)
 * share.
 */
#ifndef FLEETDUMP_STORE_PARTITION_IMPL_H
#define FLEETDUMP_STORE_PARTITION_IMPL_H

#include "collector/store/partition.h"

/* ERROR_MEMORY. */
MUST_CHECK int partition_no_memory(struct error *e);
/* Its descriptor, the caller's. */
MUST_CHECK int partition_open_folder(const struct partition *p, struct error *e);
/* Opens p->db. */
MUST_CHECK int partition_open_database(struct partition *p, enum db_mode mode, struct error *e);

#endif
