/*
 * sign: the operator's key (sign.key), the certificate of it, if there is one (sign.cert), and requests signed with
 * them.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_SIGN_H
#define FLEETDUMP_COLLECTOR_CLI_SIGN_H

#include "common/chunk/head.h"
#include "common/net/signature.h"
#include <stdbool.h>

#define SIGN_KEY_FILE         "sign.key"
#define SIGN_CERTIFICATE_FILE "sign.cert"

/* The key in this file (NULL: the user's own). ERROR_NOT_FOUND; ERROR_REFUSED if others may read it. */
MUST_CHECK int sign_key_load(const char *path, struct signature_key *k, struct error *e);

/* Makes one; the file must not exist. */
MUST_CHECK int sign_key_make(const char *path, struct signature_key *k, struct error *e);

/* What this user is called: by the certificate that `fleetdump login` got, with `certified`; else, and if there is
 * none, by the account's name. True if it is the certificate's. */
bool sign_who(bool certified, char name[HEAD_NAME_MAX + 1]);

/* Signs the request if the user has a key; else it stays unsigned. `signature` is what the request points to then, and
 * `name` (which lives as long) if it had none: what is signed, the collector cannot name.
 * ERROR_LIMIT if it is longer than hosts take signed requests. */
MUST_CHECK int sign_request(enum signature_purpose purpose, char *name, struct capture_request *r,
                            uint8_t signature[REQUEST_SIGNATURE_MAX], struct error *e);

#endif
