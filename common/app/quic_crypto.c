#include "common/app/quic_crypto.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct quic {
    EVP_CIPHER *gcm, *ecb;
    EVP_CIPHER_CTX *gcm_context, *ecb_context;
    EVP_MAC *hmac;
    EVP_MAC_CTX *hmac_context;
    uint8_t header[QUIC_PACKET_MAX], plain[QUIC_PACKET_MAX];
};

static const struct quic_version versions[] = {
    {1, 1, 0, 3, "quic", {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                          0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}},
    {0x6b3343cf, 0x6b3343cf, 1, 0, "quicv2", {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                                              0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}},
    {0xff000021, 0xff000022, 0, 3, "quic", {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                            0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}},
    {0xff00001d, 0xff000020, 0, 3, "quic", {0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97,
                                            0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99}},
    {0xff000017, 0xff00001c, 0, 3, "quic", {0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,
                                            0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02}},
};

const struct quic_version *quic_version_of(uint32_t version)
{
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (version >= versions[i].first && version <= versions[i].last)
            return &versions[i];
    return NULL;
}

/* ------------------------------------------------------------------ life */

/* The digest is looked up here; a key alone changes later. */
static bool use_sha256(EVP_MAC_CTX *c)
{
    char digest[] = "SHA256";
    uint8_t key[1] = {0};
    OSSL_PARAM with[] = {{"digest", OSSL_PARAM_UTF8_STRING, digest, sizeof digest - 1, 0}, {NULL, 0, NULL, 0, 0}};
    return EVP_MAC_init(c, key, sizeof key, with) == 1;
}

int quic_new(struct quic **out, struct error *e)
{
    struct quic *q = *out = calloc(1, sizeof *q);
    if (!q)
        return error_set(e, ERROR_MEMORY, "no memory to read QUIC");
    q->gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    q->ecb = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
    q->gcm_context = EVP_CIPHER_CTX_new();
    q->ecb_context = EVP_CIPHER_CTX_new();
    q->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    q->hmac_context = q->hmac ? EVP_MAC_CTX_new(q->hmac) : NULL;
    if (q->gcm && q->ecb && q->gcm_context && q->ecb_context && q->hmac_context && use_sha256(q->hmac_context))
        return 0;
    quic_free(q);
    *out = NULL;
    return error_set(e, ERROR_UNSUPPORTED, "cannot read QUIC: libcrypto gives no AES-128-GCM, or no HMAC with SHA-256");
}

void quic_free(struct quic *q)
{
    if (!q)
        return;
    EVP_MAC_CTX_free(q->hmac_context);
    EVP_CIPHER_CTX_free(q->ecb_context);
    EVP_CIPHER_CTX_free(q->gcm_context);
    EVP_MAC_free(q->hmac);
    EVP_CIPHER_free(q->ecb);
    EVP_CIPHER_free(q->gcm);
    free(q);
}

uint8_t *quic_header_room(struct quic *q)
{
    return q->header;
}

/* ------------------------------------------------------------------ keys */

/* Without a key: that of the last time, again. */
static bool hmac(struct quic *q, const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                 uint8_t out[QUIC_SECRET])
{
    size_t n;
    return EVP_MAC_init(q->hmac_context, key, key_len, NULL) == 1 && EVP_MAC_update(q->hmac_context, data, len) == 1 &&
           EVP_MAC_final(q->hmac_context, out, &n, QUIC_SECRET) == 1;
}

/* HKDF-Expand-Label (RFC 8446, 7.1) without context, of at most one block. No secret: that of the last time. */
static bool expand(struct quic *q, const uint8_t *secret, const char *label, const char *tail, uint8_t *out, size_t len)
{
    static const char prefix[] = "tls13 ";
    uint8_t info[64] = {0, (uint8_t)len}, block[QUIC_SECRET];
    char *text = (char *)info + 3, *end = stpcpy(stpcpy(stpcpy(text, prefix), label), tail);
    size_t n = (size_t)(end - text);
    info[2] = (uint8_t)n;
    end[0] = 0; /* no context */
    end[1] = 1; /* number of the block (RFC 5869) */
    if (!hmac(q, secret, secret ? QUIC_SECRET : 0, info, 5 + n, block))
        return false;
    memcpy(out, block, len);
    return true;
}

bool quic_derive(struct quic *q, const struct quic_version *v, const uint8_t *id, size_t id_len, struct quic_keys *out)
{
    uint8_t initial[QUIC_SECRET], client[QUIC_SECRET];
    return hmac(q, v->salt, sizeof v->salt, id, id_len, initial) &&
           expand(q, initial, "client in", "", client, sizeof client) &&
           expand(q, client, v->label, " key", out->key, sizeof out->key) &&
           expand(q, NULL, v->label, " iv", out->iv, sizeof out->iv) &&
           expand(q, NULL, v->label, " hp", out->header, sizeof out->header);
}

/* ------------------------------------------------------------------ packets */

bool quic_mask(struct quic *q, const struct quic_keys *k, const uint8_t sample[QUIC_SAMPLE], uint8_t mask[5])
{
    uint8_t block[QUIC_SAMPLE * 2];
    int n;
    if (EVP_EncryptInit_ex2(q->ecb_context, q->ecb, k->header, NULL, NULL) != 1 ||
        EVP_EncryptUpdate(q->ecb_context, block, &n, sample, QUIC_SAMPLE) != 1 || n != QUIC_SAMPLE)
        return false;
    memcpy(mask, block, 5);
    return true;
}

const uint8_t *quic_open(struct quic *q, const struct quic_keys *k, uint64_t number, const uint8_t *header,
                         size_t header_len, const uint8_t *sealed, size_t sealed_len)
{
    EVP_CIPHER_CTX *c = q->gcm_context;
    size_t len = sealed_len - QUIC_TAG;
    uint8_t nonce[QUIC_IV], tag[QUIC_TAG];
    int n;
    if (sealed_len < QUIC_TAG || sealed_len > QUIC_PACKET_MAX)
        return NULL;
    memcpy(nonce, k->iv, sizeof nonce);
    for (unsigned i = 0; i < sizeof number; i++)
        nonce[QUIC_IV - 1 - i] ^= (uint8_t)(number >> 8 * i);
    memcpy(tag, sealed + len, sizeof tag);
    bool good = EVP_DecryptInit_ex2(c, q->gcm, k->key, nonce, NULL) == 1 &&
                EVP_DecryptUpdate(c, NULL, &n, header, (int)header_len) == 1 &&
                EVP_DecryptUpdate(c, q->plain, &n, sealed, (int)len) == 1 &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, QUIC_TAG, tag) == 1 &&
                EVP_DecryptFinal_ex(c, q->plain + len, &n) == 1;
    return good ? q->plain : NULL;
}
