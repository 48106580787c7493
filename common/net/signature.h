/*
 * signature: who ordered a capture. An operator signs the canonical bytes of a capture_request with a key of their own
 * (Ed25519, RFC 8032); hosts know the operators' keys, or that of an organisation that certifies them. Whoever relays
 * the request (the collector, the agent's shipper) can do nothing with it but relay it.
 *
 *   signed      = "fleetdump order 1\n" | bytes        a capture may be started by it
 *               = "fleetdump check 1\n" | bytes        a host may only be asked whether it would start it
 *   bytes       = the protobuf message of the request without its signature, as message_encode_request writes it
 *   signature   = u8 1 | key 32 | signature 64 | certificate or nothing; at most REQUEST_SIGNATURE_MAX bytes
 *   certificate = u64 not_after (ns, little-endian) | u8 length | name | organisation's key 32 | its signature 64
 *                 over "fleetdump operator 1\n" | key | not_after | length | name
 *
 * Nothing may follow. Keys are 32 bytes; as text 44 characters of base64 (RFC 4648). Pure but for signature_key_new.
 */
#ifndef FLEETDUMP_NET_SIGNATURE_H
#define FLEETDUMP_NET_SIGNATURE_H

#include "common/net/message.h"

#define SIGNATURE_KEY_SIZE        32u
#define SIGNATURE_KEY_TEXT        45u /* with the 0 behind it */
#define SIGNATURE_VALUE_SIZE      64u
#define SIGNATURE_NAME_MAX        48u        /* of an operator, of an organisation */
#define SIGNATURE_OPERATORS_MAX   4096u      /* lines in a host's file */
#define SIGNATURE_OPERATORS_BYTES (1u << 20) /* of that file */
#define SIGNATURE_FILE_MAX        1024u      /* of the file of a key or certificate */

enum signature_purpose { SIGNATURE_ORDER = 1, SIGNATURE_CHECK = 2 };

/* A key pair; the secret half is RFC 8032's 32 byte seed. */
struct signature_key {
    uint8_t secret[SIGNATURE_KEY_SIZE];
    uint8_t key[SIGNATURE_KEY_SIZE];
};

/* An organisation's word that a key is the operator's of this name. */
struct signature_certificate {
    uint64_t not_after_ns;
    char name[SIGNATURE_NAME_MAX + 1];
    uint8_t operator_key[SIGNATURE_KEY_SIZE];
    uint8_t organisation[SIGNATURE_KEY_SIZE];
    uint8_t value[SIGNATURE_VALUE_SIZE];
};

/* What a host trusts: lines "operator NAME KEY" and "organisation NAME KEY" of its file; '#' begins a comment. */
struct signature_trusted {
    bool organisation;
    char name[SIGNATURE_NAME_MAX + 1];
    uint8_t key[SIGNATURE_KEY_SIZE];
};
struct signature_operators {
    struct signature_trusted *items;
    size_t count;
};

/* 1 to SIGNATURE_NAME_MAX of letters, digits and "._@+-". */
bool signature_name_is_good(const char *name);

/* ---------------------------------------------------------------- keys and certificates */
MUST_CHECK int signature_key_new(struct signature_key *k, struct error *e);

/* The file of a key: "fleetdump-key 1 SEED\n". Parsing makes the public half. ERROR_INVALID. */
char *signature_key_text(const uint8_t key[SIGNATURE_KEY_SIZE], char buf[SIGNATURE_KEY_TEXT]);
MUST_CHECK int signature_key_from_text(const char *text, uint8_t key[SIGNATURE_KEY_SIZE], struct error *e);
void signature_key_write(const struct signature_key *k, struct buffer *out);
MUST_CHECK int signature_key_read(const char *text, size_t len, struct signature_key *k, struct error *e);

/* The file of a certificate: "fleetdump-certificate 1 NAME NOT_AFTER_NS KEY ORGANISATION SIGNATURE\n". Reading checks
 * its form alone; what it is worth a host says. */
MUST_CHECK int signature_certify(const struct signature_key *organisation,
                                 const uint8_t operator_key[SIGNATURE_KEY_SIZE], const char *name,
                                 uint64_t not_after_ns, struct signature_certificate *c, struct error *e);
void signature_certificate_write(const struct signature_certificate *c, struct buffer *out);
MUST_CHECK int signature_certificate_read(const char *text, size_t len, struct signature_certificate *c,
                                          struct error *e);

/* A host's file of operators. ERROR_INVALID names the line. Freed by signature_operators_free in any case. */
MUST_CHECK int signature_operators_read(const char *name, const char *text, size_t len, struct signature_operators *o,
                                        struct error *e);
void signature_operators_free(struct signature_operators *o);

/* ---------------------------------------------------------------- signing, verifying */
/* `certificate` may be NULL; ERROR_CONFLICT if it is for another key. */
MUST_CHECK int signature_sign(const struct signature_key *k, const struct signature_certificate *certificate,
                              enum signature_purpose purpose, const void *bytes, size_t len,
                              uint8_t signature[REQUEST_SIGNATURE_MAX], uint32_t *length, struct error *e);

/* Whether one whom the host trusts has signed these bytes for one of the purposes (a sum of them): his name (that in
 * the host's file, or that in the certificate) is in `who` then, else "". Certificates are judged at now_ns.
 * ERROR_INVALID: no signature of ours; ERROR_REFUSED: not of these bytes, or with a certificate that is forged or has
 * expired; ERROR_NOT_FOUND: all of it is as it should be, but the key, or the organisation that certifies it, is none
 * that the host knows. */
MUST_CHECK int signature_verify(const struct signature_operators *o, unsigned purposes, const void *bytes, size_t len,
                                const uint8_t *signature, size_t length, uint64_t now_ns,
                                char who[SIGNATURE_NAME_MAX + 1], struct error *e);

#endif
