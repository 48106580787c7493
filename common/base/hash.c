#include "common/base/hash.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

uint64_t hash64(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

uint64_t hash64_seed(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

static uint64_t table_seed;

static void draw_seed(void)
{
    if (getrandom(&table_seed, sizeof table_seed, 0) != (ssize_t)sizeof table_seed)
        table_seed = (uint64_t)(uintptr_t)&table_seed;
}

uint64_t hash_seed(void)
{
    static pthread_once_t drawn = PTHREAD_ONCE_INIT;
    (void)pthread_once(&drawn, draw_seed);
    return table_seed;
}

uint64_t hash64_table(const void *data, size_t len)
{
    return hash64_seed(data, len, hash_seed());
}

uint32_t hash_of_zstd(const void *data, size_t len)
{
    return (uint32_t)XXH64(data, len, 0);
}

/* struct hash_stream is never defined: the pointer is xxHash's own state, which it allocates aligned. */
struct hash_stream *hash_stream_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state)
        XXH3_64bits_reset(state);
    return (struct hash_stream *)state;
}

void hash_stream_add(struct hash_stream *s, const void *data, size_t len)
{
    XXH3_64bits_update((XXH3_state_t *)s, data, len);
}

uint64_t hash_stream_value(const struct hash_stream *s)
{
    return XXH3_64bits_digest((const XXH3_state_t *)s);
}

void hash_stream_free(struct hash_stream *s)
{
    XXH3_freeState((XXH3_state_t *)s);
}

/* ------------------------------------------------------------------ SHA-256 */

struct hash_sha {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};

struct hash_sha *hash_sha_new(void)
{
    struct hash_sha *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    s->context = EVP_MD_CTX_new();
    if (s->sha256 && s->context)
        return s;
    hash_sha_free(s);
    return NULL;
}

void hash_sha_free(struct hash_sha *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->context);
    EVP_MD_free(s->sha256);
    free(s);
}

bool hash_sha(struct hash_sha *s, const void *a, size_t a_len, const void *b, size_t b_len,
              uint8_t out[HASH_SHA256_SIZE])
{
    return EVP_DigestInit_ex2(s->context, s->sha256, NULL) == 1 && EVP_DigestUpdate(s->context, a, a_len) == 1 &&
           EVP_DigestUpdate(s->context, b, b_len) == 1 && EVP_DigestFinal_ex(s->context, out, NULL) == 1;
}

bool hash_sha256(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t out[HASH_SHA256_SIZE])
{
    struct hash_sha *s = hash_sha_new();
    bool good = s && hash_sha(s, a, a_len, b, b_len, out);
    hash_sha_free(s);
    return good;
}
