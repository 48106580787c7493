/*
 * hash: xxHash (XXH3) under names of ours, for checksums of files and frames, and for tables: not cryptographic. And
 * SHA-256, which is.
 */
#ifndef FLEETDUMP_BASE_HASH_H
#define FLEETDUMP_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t hash64(const void *data, size_t len);
uint64_t hash64_seed(const void *data, size_t len, uint64_t seed);

/* For tables in memory alone, whose keys come from others: who does not know the seed cannot choose keys that collide.
 * It is random, drawn at the first use and the same from then on, also in what the process forks then. So values differ
 * in each process: never for what is stored, sent or shown, nor where an answer depends on their order. On any thread.
 */
uint64_t hash_seed(void);
uint64_t hash64_table(const void *data, size_t len); /* hash64_seed with it */

/* A number for each number, without order, and back (the finalizer of splitmix64): names that look random, of numbers
 * in order. */
static inline uint64_t hash64_mix(uint64_t v)
{
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

static inline uint64_t hash64_unmix(uint64_t v)
{
    v = (v ^ v >> 31 ^ v >> 62) * UINT64_C(0x319642b2d24d8ec3);
    v = (v ^ v >> 27 ^ v >> 54) * UINT64_C(0x96de1b173f119089);
    return v ^ v >> 30 ^ v >> 60;
}

/* The checksum that a zstd frame ends with: the low half of XXH64. */
uint32_t hash_of_zstd(const void *data, size_t len);

/* Hashing in pieces; the result equals hash64 over all of them. hash_stream_new returns NULL without memory. */
struct hash_stream;
struct hash_stream *hash_stream_new(void);
void hash_stream_add(struct hash_stream *s, const void *data, size_t len);
uint64_t hash_stream_value(const struct hash_stream *s);
void hash_stream_free(struct hash_stream *s);

/* SHA-256 (FIPS 180-4) over both pieces, the second behind the first. False without memory. */
#define HASH_SHA256_SIZE 32u
bool hash_sha256(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t out[HASH_SHA256_SIZE]);

/* The same for many sums: the algorithm is looked up once, by hash_sha_new (NULL without memory), not by each of them.
 * Used by one thread at a time. */
struct hash_sha;
struct hash_sha *hash_sha_new(void);
bool hash_sha(struct hash_sha *s, const void *a, size_t a_len, const void *b, size_t b_len,
              uint8_t out[HASH_SHA256_SIZE]);
void hash_sha_free(struct hash_sha *s);

#endif
