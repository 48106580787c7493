/*
 * spool_support: a spool in a folder of its own, and streams in it.
 */
#ifndef FLEETDUMP_TESTS_SPOOL_SUPPORT_H
#define FLEETDUMP_TESTS_SPOOL_SUPPORT_H

#include "agent/ship/outbox.h"
#include "agent/ship/spool.h"
#include "tests/unit/support.h"

#define BODY "the packets"

#define ROOMY                                                                                                          \
    {                                                                                                                  \
        .quota_bytes = UINT64_C(1) << 40, .floor_bytes = 0                                                             \
    }

#define EPOCH_NAME "ab0102030405060708090a0b0c0d0e0f"

extern const struct spool_stream_start stream_beginning;
extern const uint8_t spool_epoch[EPOCH_SIZE];

/* Opens it, without bounds. */
struct spool *spool_in(const char *path);
/* An item with a head of that kind. */
int stream_seal(struct spool_stream *t, int kind, uint64_t seq, int body_fd, struct error *e);
/* BODY is in the item's body then. */
int stream_begin_body(struct spool_stream *t, uint64_t seq, struct error *e);
/* Whether there is such a file. */
bool spool_has(const char *spool, const char *name);
/* The one that is in it. */
struct spool_stream_info spool_only_stream(struct spool *s);

#endif
