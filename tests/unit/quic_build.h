/*
 * quic_build: Initial packets of QUIC made by hand and sealed, as a client sends them.
 */
#ifndef FLEETDUMP_TESTS_QUIC_BUILD_H
#define FLEETDUMP_TESTS_QUIC_BUILD_H

#include "common/app/quic_crypto.h"

struct quic_build {
    uint8_t at[65536];
    size_t len;
};

struct quic_packet {
    uint32_t version;
    const char *id;      /* of the destination; 8 bytes */
    const char *keys_of; /* id that the keys are made of; NULL: id */
    uint64_t number;
    unsigned number_len; /* 1 to 4 bytes; 0: 4 */
    const char *token;   /* NULL: none */
    size_t padded;       /* frames are filled up with padding to so many bytes */
};

/* Puts a packet with these frames behind what is there. False if it does not fit, or the version is unknown. */
bool quic_build(struct quic *q, struct quic_build *b, const struct quic_packet *p, const void *frames, size_t len);

/* Adds a CRYPTO frame to frames at `at`, of which there are `len`; returns how many there are then. */
size_t quic_build_crypto(uint8_t *at, size_t len, uint32_t offset, const void *data, size_t data_len);

#endif
