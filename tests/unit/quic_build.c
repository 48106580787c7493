#include "tests/unit/quic_build.h"
#include "common/base/bytes.h"

#include <openssl/evp.h>
#include <string.h>

#define ID_LEN 8u

struct writer {
    uint8_t *p;
};

static void put(struct writer *w, uint64_t value, unsigned bytes)
{
    while (bytes--)
        *w->p++ = (uint8_t)(value >> 8 * bytes);
}

static void put_bytes(struct writer *w, const void *data, size_t len)
{
    memcpy(w->p, data, len);
    w->p += len;
}

size_t quic_build_crypto(uint8_t *at, size_t len, uint32_t offset, const void *data, size_t data_len)
{
    struct writer w = {at + len};
    put(&w, 6, 1);
    put(&w, 0x80000000u | offset, 4);
    put(&w, 0x4000u | data_len, 2);
    put_bytes(&w, data, data_len);
    return (size_t)(w.p - at);
}

/* Seals the frames in place and puts the tag behind them. */
static bool seal(const struct quic_keys *k, uint64_t number, const uint8_t *header, size_t header_len, uint8_t *frames,
                 size_t len)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t nonce[QUIC_IV];
    int n;
    memcpy(nonce, k->iv, sizeof nonce);
    for (unsigned i = 0; i < 8; i++)
        nonce[QUIC_IV - 1 - i] ^= (uint8_t)(number >> 8 * i);
    bool good = c && EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, k->key, nonce) == 1 &&
                EVP_EncryptUpdate(c, NULL, &n, header, (int)header_len) == 1 &&
                EVP_EncryptUpdate(c, frames, &n, frames, (int)len) == 1 &&
                EVP_EncryptFinal_ex(c, frames + len, &n) == 1 &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, QUIC_TAG, frames + len) == 1;
    EVP_CIPHER_CTX_free(c);
    return good;
}

bool quic_build(struct quic *q, struct quic_build *b, const struct quic_packet *p, const void *frames, size_t len)
{
    const struct quic_version *v = quic_version_of(p->version);
    const char *keys_of = p->keys_of ? p->keys_of : p->id, *token = p->token ? p->token : "";
    unsigned number_len = p->number_len ? p->number_len : 4;
    size_t padded = len > p->padded ? len : p->padded;
    struct writer w = {b->at + b->len};
    struct quic_keys k;
    uint8_t mask[5], *start = w.p;
    if (!v || padded + 100 + strlen(token) > sizeof b->at - b->len ||
        !quic_derive(q, v, (const uint8_t *)keys_of, ID_LEN, &k))
        return false;
    put(&w, 0xc0u | (unsigned)v->initial << 4 | (number_len - 1), 1);
    put(&w, p->version, 4);
    put(&w, ID_LEN, 1);
    put_bytes(&w, p->id, ID_LEN);
    put(&w, 0, 1);
    put(&w, strlen(token), 1);
    put_bytes(&w, token, strlen(token));
    size_t length = number_len + padded + QUIC_TAG;
    put(&w, length < 0x4000 ? 0x4000u | length : 0x80000000u | length, length < 0x4000 ? 2 : 4);
    uint8_t *number = w.p;
    put(&w, p->number, number_len);
    uint8_t *body = w.p;
    memset(body, 0, padded);
    memcpy(body, frames, len);
    if (!seal(&k, p->number, start, (size_t)(body - start), body, padded) || !quic_mask(q, &k, number + 4, mask))
        return false;
    start[0] ^= mask[0] & 0x0f;
    for (unsigned i = 0; i < number_len; i++)
        number[i] ^= mask[1 + i];
    b->len += (size_t)(body - start) + padded + QUIC_TAG;
    return true;
}
