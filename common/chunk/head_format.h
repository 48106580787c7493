/* What the writer and the reader of heads share; the format is described on top of head.c. */
#ifndef FLEETDUMP_CHUNK_HEAD_FORMAT_H
#define FLEETDUMP_CHUNK_HEAD_FORMAT_H

#include "common/chunk/head.h"

#define HEAD_MAGIC   0x44484446u /* "FDHD" */
#define HEAD_VERSION 1u
#define HEAD_PREFIX  12u /* magic, version, zero, length */
#define HEAD_SUFFIX  8u  /* hash64 */

/* Stored: never renumber. */
enum head_tag {
    HEAD_TAG_IDENTITY = 1,
    HEAD_TAG_NAMES = 2,
    HEAD_TAG_CLOCKS = 3,
    HEAD_TAG_INTERFACES = 4,
    HEAD_TAG_TOTALS = 5,
    HEAD_TAG_BODY = 6,
    HEAD_TAG_FLOWS = 7,
    HEAD_TAG_EXCHANGES = 8,
    HEAD_TAG_COUNT
};

#define HEAD_INTERFACE_HAS_MAC 1u

/* The rules that both keep; errors do not say where. */
int head_check_identity(const struct chunk_head *h, struct error *e);
int head_check_names(const struct chunk_head *h, struct error *e);
int head_check_interfaces(const struct chunk_head *h, struct error *e);
int head_check_body(const struct chunk_head *h, struct error *e);
int head_check_rows(const struct chunk_head *h, struct error *e);

/* Memory that head_free(h) frees; NULL without memory. head_text copies len bytes and terminates them. */
void *head_alloc(struct chunk_head *h, size_t len);
char *head_text(struct chunk_head *h, const void *text, size_t len);

/* Signed numbers as unsigned ones, small in both directions: 0, -1, 1, -2, ... */
static inline uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (0 - (difference >> 63));
}

static inline uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ (0 - (v & 1));
}

#endif
