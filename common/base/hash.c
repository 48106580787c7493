#include "common/base/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

uint64_t hash64(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

uint64_t hash64_seed(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
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

bool hash_sha256(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t out[HASH_SHA256_SIZE])
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(c, a, a_len) == 1 &&
                EVP_DigestUpdate(c, b, b_len) == 1 && EVP_DigestFinal_ex(c, out, NULL) == 1;
    EVP_MD_CTX_free(c);
    return good;
}
