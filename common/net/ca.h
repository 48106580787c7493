/*
 * ca: keys, requests and certificates, and the authority that signs them (X.509 v3, RFC 5280; requests PKCS #10, RFC
 * 2986). Everything is PEM text in memory; files are ca_files.h. What we make is Ed25519 (RFC 8410); what is read may
 * be RSA or EC as well.
 *
 * Who somebody is stands in the certificate as URI of its subject's alternative names (common/net/identity.h). The name
 * in a request is only a wish: ca_sign writes what the caller says.
 *
 * A certificate begins a little before it is made (CA_BACKDATE_NS, or a tenth of its life if that is less), for clocks
 * that are behind. It is to be renewed when two thirds of its life are over.
 *
 * Any thread; nothing is shared but a struct ca, which ca_sign only reads.
 */
#ifndef FLEETDUMP_NET_CA_H
#define FLEETDUMP_NET_CA_H

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/net/identity.h"

#define CA_PEM_MAX     (32u << 10) /* of one certificate, request or key that is read */
#define CA_BACKDATE_NS (UINT64_C(600) * NS_PER_S)
#define CA_HASH_TEXT   65u /* of a fingerprint: 64 hex digits and the end */

#define CA_ROOT_LIFE_NS (UINT64_C(10) * 365 * 86400 * NS_PER_S)

/* Some text that is PEM; need not end in a 0 byte. */
struct ca_text {
    const char *data;
    size_t length;
};
/* The text of a buffer, and of a string. */
struct ca_text ca_text_of(const struct buffer *b);
struct ca_text ca_text_string(const char *text);

/* A new Ed25519 key, PKCS #8, not encrypted: appended. */
MUST_CHECK int ca_new_key(struct buffer *key_pem, struct error *e);

/* A certificate with which this key is an authority: signed by itself, good from now on for life_ns. `name` is for
 * people. */
MUST_CHECK int ca_new_root(struct ca_text key_pem, const char *name, uint64_t now_ns, uint64_t life_ns,
                           struct buffer *certificate_pem, struct error *e);

/* A request to sign this key for that identity. */
MUST_CHECK int ca_new_request(struct ca_text key_pem, uint8_t kind, const char *name, struct buffer *request_pem,
                              struct error *e);

/* A request that came from anybody. ERROR_INVALID: no request, or not signed by its own key; ERROR_UNSUPPORTED: a key
 * of a kind or size that is not taken (Ed25519, EC P-256, P-384, RSA of 2048 to 8192 bits are). */
struct ca_request {
    uint8_t kind;                 /* that it asks for; IDENTITY_NONE: it does not say */
    char name[HEAD_NAME_MAX + 1]; /* likewise, "" */
    uint8_t key_sha256[32];
};
MUST_CHECK int ca_read_request(struct ca_text request_pem, struct ca_request *out, struct error *e);

/* An authority: its certificate and key. ERROR_CONFLICT if they do not belong together. */
struct ca;
MUST_CHECK int ca_open(struct ca_text certificate_pem, struct ca_text key_pem, struct ca **out, struct error *e);
void ca_close(struct ca *ca); /* NULL is fine */

/* An authority renews itself: the same key and name, from now on for life_ns. What it signed before is good under the
 * new certificate, and what it signs from now on for those who know the old one alone, until that ends.
 * ERROR_UNSUPPORTED: another one has signed it. */
MUST_CHECK int ca_renew_root(const struct ca *ca, uint64_t now_ns, uint64_t life_ns, struct buffer *certificate_pem,
                             struct error *e);

/* When the first certificate of the text begins and ends, whoever's it is. */
struct ca_dates {
    uint64_t from_ns, to_ns;
};
MUST_CHECK int ca_read_dates(struct ca_text certificate_pem, struct ca_dates *out, struct error *e);

/* Appends those certificates of a text that have not ended at now_ns. */
MUST_CHECK int ca_append_current(struct ca_text certificates_pem, uint64_t now_ns, struct buffer *out, struct error *e);

/* ERROR_CONFLICT unless each certificate of `now` was signed by a key of one in `known`: those that are trusted here,
 * renewed. */
MUST_CHECK int ca_check_renewed(struct ca_text now, struct ca_text known, struct error *e);

/* ERROR_CONFLICT unless one certificate of the text has this fingerprint, and the first one has its key: it is that
 * authority, renewed or not. */
MUST_CHECK int ca_check_known(struct ca_text certificates_pem, const uint8_t sha256[32], struct error *e);

/* Signs the request's key (the request is checked as by ca_read_request) for that identity, from now on for life_ns,
 * but not longer than the authority itself. earliest_ns: it does not begin before (0: no matter). *out says what was
 * made. */
struct ca_grant {
    uint8_t kind;
    const char *name;
    uint64_t now_ns, life_ns, earliest_ns;
};
MUST_CHECK int ca_sign(const struct ca *ca, struct ca_text request_pem, const struct ca_grant *grant,
                       struct buffer *certificate_pem, struct identity *out, struct error *e);

/* Who the (first) certificate of the text is of. */
MUST_CHECK int ca_read_certificate(struct ca_text certificate_pem, struct identity *out, struct error *e);

/* ERROR_CONFLICT if the certificate is not that of the key. */
MUST_CHECK int ca_check_pair(struct ca_text certificate_pem, struct ca_text key_pem, struct error *e);

/* ERROR_CONFLICT if the certificate was not signed by the other one's key. */
MUST_CHECK int ca_check_signed(struct ca_text certificate_pem, struct ca_text ca_pem, struct error *e);

/* SHA-256 of the certificate (DER), by which people and tokens know an authority; as 64 hex digits and back (also with
 * colons, capitals, and "SHA256:" in front). */
MUST_CHECK int ca_fingerprint(struct ca_text certificate_pem, uint8_t sha256[32], struct error *e);
char *ca_format_hash(const uint8_t sha256[32], char text[CA_HASH_TEXT]);
MUST_CHECK int ca_parse_hash(const char *text, uint8_t sha256[32], struct error *e);

/* When a certificate is to be renewed. */
uint64_t ca_renewal_ns(const struct identity *of);
uint64_t ca_renewal_between_ns(const struct ca_dates *life);

#endif
