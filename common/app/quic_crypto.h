/* Keys and ciphers of Initials (RFC 9001, 5; RFC 9369, 3.3). Private to quic. */
#ifndef FLEETDUMP_APP_QUIC_CRYPTO_H
#define FLEETDUMP_APP_QUIC_CRYPTO_H

#include "common/app/quic.h"

#define QUIC_SALT   20u
#define QUIC_SECRET 32u
#define QUIC_SAMPLE 16u

struct quic_version {
    uint32_t first, last; /* versions that it stands for */
    uint8_t initial;      /* type of Initials in the first byte */
    uint8_t retry;        /* and of Retrys */
    const char *label;    /* before " key" */
    uint8_t salt[QUIC_SALT];
};

/* NULL if nobody knows how it is read. */
const struct quic_version *quic_version_of(uint32_t version);

/* A client's keys; false if libcrypto fails. */
bool quic_derive(struct quic *q, const struct quic_version *v, const uint8_t *id, size_t id_len, struct quic_keys *out);

/* The 5 bytes that the first byte and packet number are masked with. */
bool quic_mask(struct quic *q, const struct quic_keys *k, const uint8_t sample[QUIC_SAMPLE], uint8_t mask[5]);

/* Decrypts `sealed` (with its tag behind it) to memory of q's, or NULL if it is not authentic. At most QUIC_PACKET_MAX
 * bytes. */
const uint8_t *quic_open(struct quic *q, const struct quic_keys *k, uint64_t number, const uint8_t *header,
                         size_t header_len, const uint8_t *sealed, size_t sealed_len);

/* Memory of q's for a header without its mask. */
uint8_t *quic_header_room(struct quic *q);

#endif
