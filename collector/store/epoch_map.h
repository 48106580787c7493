/*
 * epoch_map: a hash table from a stream's epoch to something the caller owns. Nothing is removed one by one: these are
 * caches, which are emptied as a whole when what they copy has changed.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_EPOCH_MAP_H
#define FLEETDUMP_COLLECTOR_STORE_EPOCH_MAP_H

#include "common/chunk/head.h"

struct epoch_slot {
    uint8_t epoch[EPOCH_SIZE];
    void *value; /* NULL: free */
};

/* A zeroed map is valid and empty. */
struct epoch_map {
    struct epoch_slot *slots; /* a power of two */
    size_t size, count;
    uint64_t seed; /* epochs are chosen by peers */
};

void *epoch_map_find(const struct epoch_map *m, const uint8_t epoch[EPOCH_SIZE]);

/* Adds a value whose epoch is not there yet. ERROR_MEMORY. */
MUST_CHECK int epoch_map_add(struct epoch_map *m, const uint8_t epoch[EPOCH_SIZE], void *value, struct error *e);

/* The values one by one: start with *at = 0; NULL at the end. */
void *epoch_map_next(const struct epoch_map *m, size_t *at);

/* Empties the map, giving each value to `release`. */
void epoch_map_clear(struct epoch_map *m, void (*release)(void *value));

#endif
