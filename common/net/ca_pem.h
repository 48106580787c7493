/*
 * ca_pem: OpenSSL's objects from and to PEM, and its errors as ours. For common/net alone.
 */
#ifndef FLEETDUMP_NET_CA_PEM_H
#define FLEETDUMP_NET_CA_PEM_H

#include "common/net/ca.h"
#include <openssl/x509v3.h>

struct ca {
    X509 *certificate;
    EVP_PKEY *key;
};

/* Sets e to the text and what OpenSSL says last of it, and empties its list of errors. */
int ca_fail(struct error *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* NULL (and e) if the text is none, or longer than CA_PEM_MAX. The caller's to free. */
X509 *ca_load_certificate(struct ca_text pem, struct error *e);
EVP_PKEY *ca_load_key(struct ca_text pem, struct error *e);
X509_REQ *ca_load_request(struct ca_text pem, struct error *e);

/* Appends what `put` writes into a BIO. */
MUST_CHECK int ca_put(struct buffer *out, int (*put)(BIO *bio, void *object), void *object, struct error *e);

/* The digest that a key of this kind signs with; NULL for those that have their own (Ed25519). */
const EVP_MD *ca_digest(const EVP_PKEY *key);

/* SHA-256 of the SubjectPublicKeyInfo. */
MUST_CHECK int ca_hash_key(EVP_PKEY *key, uint8_t sha256[32], struct error *e);

/* "URI:..." of the identity, among alternative names. */
GENERAL_NAMES *ca_names_of(uint8_t kind, const char *name);

#endif
