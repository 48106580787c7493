/*
 * token: what a host or a user joins the fleet with, once: one word that says where the collector is, by which
 * authority's certificate it is known, and a secret that it will accept once.
 *
 * "fd1-" and base64url (RFC 4648, 5; without padding) of:
 *   kind u8 (enum identity_kind: agent or user) | SHA-256 of the authority's certificate (DER), 32 bytes | secret, 16 |
 *   length u8 and the collector's address | length u8 and the name | the first 4 bytes of SHA-256 over all before
 *
 * The last 4 bytes tell a word that was not copied whole from one that is refused. Pure functions.
 */
#ifndef FLEETDUMP_NET_TOKEN_H
#define FLEETDUMP_NET_TOKEN_H

#include "common/base/error.h"
#include "common/net/identity.h"

#define TOKEN_SECRET_SIZE 16u
#define TOKEN_ADDRESS_MAX 255u
#define TOKEN_TEXT_MAX    800u /* with its end */

struct token {
    uint8_t kind; /* IDENTITY_AGENT, IDENTITY_USER */
    uint8_t ca_sha256[32];
    uint8_t secret[TOKEN_SECRET_SIZE];
    char collector[TOKEN_ADDRESS_MAX + 1]; /* as stream_connect takes it */
    char name[HEAD_NAME_MAX + 1];
};

/* Draws the secret. */
MUST_CHECK int token_draw(struct token *t, struct error *e);

/* What the collector keeps of a secret: its SHA-256. */
void token_hash(const uint8_t secret[TOKEN_SECRET_SIZE], uint8_t sha256[32]);

MUST_CHECK int token_format(const struct token *t, char text[TOKEN_TEXT_MAX], struct error *e);

/* From anybody's text; white space around it is fine. ERROR_INVALID says whether it is no token at all or not a whole
 * one, ERROR_VERSION that it is one of another version. */
MUST_CHECK int token_parse(const char *text, struct token *t, struct error *e);

#endif
