/*
 * arena: the memory of one message, with a limit, freed all at once. For common/net alone.
 */
#ifndef FLEETDUMP_NET_ARENA_H
#define FLEETDUMP_NET_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t left; /* bytes that it may still take */
};

/* NULL if there is no memory or the limit is reached. The memory is zeroed. */
void *arena_alloc(struct arena *a, size_t size);

/* What arena_alloc was asked for. */
size_t arena_size(const void *p);

/* Frees all that was taken; the arena itself may be in one of its own blocks. */
void arena_free(struct arena *a);

#endif
