#include "common/net/ca_pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct ca_text ca_text_of(const struct buffer *b)
{
    return (struct ca_text){.data = (const char *)b->data, .length = b->len};
}

struct ca_text ca_text_string(const char *text)
{
    return (struct ca_text){.data = text, .length = text ? strlen(text) : 0};
}

int ca_fail(struct error *e, int code, const char *fmt, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return error_set(e, code, "%s%s%s", text, why ? ": " : "", why ? why : "");
}

/* ------------------------------------------------------------------ reading */

/* Nobody is asked for a pass phrase: an encrypted key is none that a daemon can use. */
static int no_phrase(char *buf, int size, int writing, void *context)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static BIO *open_text(struct ca_text pem, const char *what, struct error *e)
{
    if (pem.length == 0 || pem.length > CA_PEM_MAX) {
        (void)error_set(e, ERROR_LIMIT, "%s of %zu bytes: it has 1 to %u", what, pem.length, CA_PEM_MAX);
        return NULL;
    }
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
    if (!bio)
        (void)error_set(e, ERROR_MEMORY, "no memory to read %s", what);
    return bio;
}

X509 *ca_load_certificate(struct ca_text pem, struct error *e)
{
    BIO *bio = open_text(pem, "a certificate", e);
    if (!bio)
        return NULL;
    X509 *certificate = PEM_read_bio_X509(bio, NULL, no_phrase, NULL);
    if (!certificate)
        (void)ca_fail(e, ERROR_INVALID, "this is no certificate in PEM form");
    BIO_free(bio);
    return certificate;
}

EVP_PKEY *ca_load_key(struct ca_text pem, struct error *e)
{
    BIO *bio = open_text(pem, "a key", e);
    if (!bio)
        return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL);
    if (!key)
        (void)ca_fail(e, ERROR_INVALID, "this is no private key in PEM form without a pass phrase");
    BIO_free(bio);
    return key;
}

X509_REQ *ca_load_request(struct ca_text pem, struct error *e)
{
    BIO *bio = open_text(pem, "a request for a certificate", e);
    if (!bio)
        return NULL;
    X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, no_phrase, NULL);
    if (!request)
        (void)ca_fail(e, ERROR_INVALID, "this is no request for a certificate in PEM form");
    BIO_free(bio);
    return request;
}

/* ------------------------------------------------------------------ writing */

int ca_put(struct buffer *out, int (*put)(BIO *bio, void *object), void *object, struct error *e)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped: it may be a key */
    int r = bio && put(bio, object) == 1 ? 0 : ca_fail(e, ERROR_MEMORY, "cannot be written as PEM");
    if (r == 0) {
        long length = BIO_get_mem_data(bio, &text);
        buffer_append(out, text, length > 0 ? (size_t)length : 0);
        if (out->failed)
            r = error_set(e, ERROR_MEMORY, "no memory for PEM");
    }
    BIO_free(bio);
    return r;
}

const EVP_MD *ca_digest(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448") ? NULL : EVP_sha256();
}

int ca_hash_key(EVP_PKEY *key, uint8_t sha256[32], struct error *e)
{
    unsigned char *der = NULL;
    int length = i2d_PUBKEY(key, &der);
    int r = length > 0 && EVP_Digest(der, (size_t)length, sha256, NULL, EVP_sha256(), NULL) == 1
                ? 0
                : ca_fail(e, ERROR_MEMORY, "a key cannot be hashed");
    OPENSSL_free(der);
    return r;
}

/* ------------------------------------------------------------------ names */

static const char *const prefixes[] = {
    [IDENTITY_AGENT] = "fleetdump://agent/",
    [IDENTITY_USER] = "fleetdump://user/",
    [IDENTITY_COLLECTOR] = "fleetdump://collector/",
};

GENERAL_NAMES *ca_names_of(uint8_t kind, const char *name)
{
    char uri[64 + HEAD_NAME_MAX];
    int length = snprintf(uri, sizeof uri, "%s%s", prefixes[kind], name);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *one = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    if (!names || !one || !text || !ASN1_STRING_set(text, uri, length) || !sk_GENERAL_NAME_push(names, one)) {
        ASN1_IA5STRING_free(text);
        GENERAL_NAME_free(one);
        GENERAL_NAMES_free(names);
        return NULL;
    }
    GENERAL_NAME_set0_value(one, GEN_URI, text);
    return names;
}
