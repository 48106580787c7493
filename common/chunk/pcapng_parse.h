/* Blocks to items: what the stream reader and pcapng_next share. Values are as they stand in the block: interface
 * numbers count from their section's first, times are in the interface's units. */
#ifndef FLEETDUMP_CHUNK_PCAPNG_PARSE_H
#define FLEETDUMP_CHUNK_PCAPNG_PARSE_H

#include "common/chunk/pcapng.h"

#define BLOCK_BYTES_LEAST 12u /* type and twice the length */

struct pcapng_block {
    uint32_t type;
    bool big; /* big-endian */
    uint64_t offset;
    struct bytes content; /* without type and lengths */
};

/* Not terminated; NULL if absent. */
struct pcapng_text {
    const uint8_t *text;
    size_t len;
};

/* What an interface block says about times. */
struct pcapng_clock {
    uint8_t resolution; /* if_tsresol: 10^-n, with bit 7 set 2^-n */
    int64_t offset_s;   /* if_tsoffset */
};
#define PCAPNG_RESOLUTION_DEFAULT 6u

struct pcapng_interface_texts {
    struct pcapng_text name, description, filter, os;
};

static inline uint16_t pcapng_get16(struct bytes *b, bool big)
{
    return big ? bytes_be16(b) : bytes_le16(b);
}

static inline uint32_t pcapng_get32(struct bytes *b, bool big)
{
    return big ? bytes_be32(b) : bytes_le32(b);
}

/* Nanoseconds since 1970; what is before is 0, what does not fit is UINT64_MAX, and *limited says that it is so. */
uint64_t pcapng_time_ns(const struct pcapng_clock *clock, uint64_t ticks, bool *limited);

/* ERROR_INVALID about the block, whose content is wrong at its cursor; returns the code. */
int pcapng_block_invalid(const struct pcapng_block *k, const char *what, struct error *e);

/* EPB, PB, SPB (interface 0, time 0): fills item->packet but for its comment. */
MUST_CHECK int pcapng_parse_packet(struct pcapng_block *k, struct pcapng_item *item, struct pcapng_text *comment,
                                   struct error *e);
/* IDB: fills item->interface_info but for its texts. */
MUST_CHECK int pcapng_parse_interface(struct pcapng_block *k, struct pcapng_item *item,
                                      struct pcapng_interface_texts *texts, struct pcapng_clock *clock,
                                      struct error *e);
/* ISB */
MUST_CHECK int pcapng_parse_statistics(struct pcapng_block *k, struct pcapng_item *item, struct error *e);

#endif
