/*
 * identity: who the other end of a connection is, by its certificate alone.
 *
 * A certificate names exactly one identity: by a URI in its subject's alternative names (RFC 5280, 4.2.1.6),
 *   fleetdump://agent/NAME, fleetdump://user/NAME or fleetdump://collector/NAME
 * or, if it has no URI of ours (an organisation's own CA may not be able to write these), by its subject: OU is
 * fleetdump-agent, fleetdump-user or fleetdump-collector, and CN the name.
 */
#ifndef FLEETDUMP_NET_IDENTITY_H
#define FLEETDUMP_NET_IDENTITY_H

#include "common/base/error.h"
#include "common/chunk/head.h"

#include <stddef.h>
#include <stdint.h>

#define IDENTITY_SERIAL_MAX 40u /* digits; RFC 5280, 4.1.2.2: at most 20 bytes */

enum identity_kind { IDENTITY_NONE = 0, IDENTITY_AGENT = 1, IDENTITY_USER = 2, IDENTITY_COLLECTOR = 3 };

struct identity {
    uint8_t kind; /* enum identity_kind; NONE: a peer without a certificate, and all else is 0 */
    char name[HEAD_NAME_MAX + 1];
    char serial[IDENTITY_SERIAL_MAX +
                1];         /* of the certificate, in lower case hexadecimal digits without leading zeros */
    uint8_t key_sha256[32]; /* of the SubjectPublicKeyInfo: stays the same when a certificate is renewed */
    uint64_t not_before_ns, not_after_ns; /* wall clock; UINT64_MAX for what lies beyond */
};

/* "agent", "user", "collector"; "nobody" for IDENTITY_NONE. */
const char *identity_kind_name(int kind);

/* Whether a name may stand in a certificate: 1 to HEAD_NAME_MAX printable ASCII characters, no spaces, quotes, slashes,
 * '*', '?', '%' or leading '@'. ERROR_USAGE says what is wrong. */
MUST_CHECK int identity_check_name(const char *name, struct error *e);

#define IDENTITY_DER_MAX (64u << 10) /* bytes of a certificate */

/* The identity in a certificate (DER, at most IDENTITY_DER_MAX bytes). Only read, not verified: that is TLS's.
 * ERROR_INVALID says what is wrong with it; *out is zeroed then. As tests and fuzzing give it: TLS has the certificate
 * parsed already (identity_x509.h). */
MUST_CHECK int identity_from_der(const void *der, size_t length, struct identity *out, struct error *e);

#endif
