/*
 * hash: xxHash (XXH3) under names of ours. Checksums of files and frames are hash64; ids are hash128 or random.
 * Neither is cryptographic.
 */
#ifndef FLEETDUMP_BASE_HASH_H
#define FLEETDUMP_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash64(const void *data, size_t len);
uint64_t hash64_seed(const void *data, size_t len, uint64_t seed);

/* Hashing in pieces; the result equals hash64 over all of them. hash_stream_new returns NULL without memory. */
struct hash_stream;
struct hash_stream *hash_stream_new(void);
void hash_stream_add(struct hash_stream *s, const void *data, size_t len);
uint64_t hash_stream_value(const struct hash_stream *s);
void hash_stream_free(struct hash_stream *s);

#endif
