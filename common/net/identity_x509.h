/*
 * identity_x509: the identity in OpenSSL's objects. For common/net alone.
 */
#ifndef FLEETDUMP_NET_IDENTITY_X509_H
#define FLEETDUMP_NET_IDENTITY_X509_H

#include "common/net/identity.h"
#include <openssl/x509v3.h>

/* As identity_from_der. */
MUST_CHECK int identity_from_x509(X509 *certificate, struct identity *out, struct error *e);

/* Who alternative names (NULL: there are none) name: kind and name, or IDENTITY_NONE and "" if none of them is a URI of
 * ours. ERROR_INVALID if more than one is, or the one is wrong. */
MUST_CHECK int identity_from_names(const GENERAL_NAMES *names, uint8_t *kind, char name[HEAD_NAME_MAX + 1],
                                   struct error *e);

/* In ns since 1970: 0 for what lies before or cannot be read, UINT64_MAX for what lies beyond. */
uint64_t identity_time_ns(const ASN1_TIME *when);

/* SHA-256 of the SubjectPublicKeyInfo. */
MUST_CHECK int identity_hash_key(const X509_PUBKEY *key, uint8_t sha256[32], struct error *e);

#endif
