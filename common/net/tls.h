/*
 * tls: the certificate, key and CA with which connections are made (stream.h) and accepted. TLS 1.3 alone, certificates
 * on both sides; no renegotiation, no early data, no resumption.
 *
 * Who connects demands a certificate of kind collector under its CA; host names in it mean nothing. Who accepts takes a
 * certificate under its CA, or none: such a peer is IDENTITY_NONE and may only ask to join.
 */
#ifndef FLEETDUMP_NET_TLS_H
#define FLEETDUMP_NET_TLS_H

#include "common/net/identity.h"

#include <stdbool.h>

#define TLS_FILE_MAX (64u << 10) /* bytes of each file */
#define TLS_CRL_MAX  (16u << 20) /* of that with revocation lists */

/* In PEM. The key's file must belong to root or to the user of this process, who alone may read it. */
struct tls_files {
    const char *ca;   /* certificates that are trusted, at most 16 */
    const char *cert; /* ours, then those between it and the CA, if any */
    const char *key;  /* without a password */
    /* Revocation lists (RFC 5280) of authorities; NULL: they are not asked for. If there is one, whose authority has
     * none, or one whose time is over, is not let in (of authorities above it: where there is one). crl_may_lack: no
     * such file is as NULL. */
    const char *crl;
    bool crl_may_lack;
};

#define TLS_CA_NAME   "ca.pem"
#define TLS_CERT_NAME "cert.pem"
#define TLS_KEY_NAME  "key.pem"
#define TLS_CRL_NAME  "crl.pem"

struct tls;

/* Loads the files (their names are copied). `kind` is what our own certificate must be, IDENTITY_NONE for any.
 * ERROR_NOT_FOUND if the certificate's file is not there; else ERROR_INVALID or ERROR_REFUSED (modes) say which file is
 * wrong in what. A certificate whose time is over, or has not come, is taken: the peer will say so. */
MUST_CHECK int tls_load(const struct tls_files *files, int kind, struct tls **out, struct error *e);

/* The same with ca.pem, cert.pem and key.pem of a folder, and crl.pem if it is there. */
MUST_CHECK int tls_load_folder(const char *folder, int kind, struct tls **out, struct error *e);

/* For a first contact: no certificate of ours, and of the other end only the SHA-256 of its CA's certificate (DER) is
 * known, which it must send along. */
MUST_CHECK int tls_for_joining(const uint8_t ca_sha256[32], struct tls **out, struct error *e);

/* Reads the files again; connections made from then on use them. After an error all stays as it was. */
MUST_CHECK int tls_reload(struct tls *t, struct error *e);

/* Who we are: kind NONE for joining. Valid until tls_reload or the last tls_unref. */
const struct identity *tls_identity(const struct tls *t);

/* Until when the revocation lists are good, all of them; 0: there are none; UINT64_MAX: they do not say. */
uint64_t tls_crl_until_ns(const struct tls *t);

/* Whether a key's file may be used: it belongs to root or to the user of this process, and nobody else can read it.
 * Else ERROR_REFUSED. */
struct stat;
MUST_CHECK int tls_check_key(const struct stat *st, const char *path, struct error *e);

struct tls *tls_ref(struct tls *t); /* NULL is taken, and given back */
void tls_unref(struct tls *t);      /* NULL is taken */

#endif
