/*
 * pcapng_build: pcapng blocks made by hand, in either byte order, and a file from memory that is read in pieces.
 */
#ifndef FLEETDUMP_TESTS_PCAPNG_BUILD_H
#define FLEETDUMP_TESTS_PCAPNG_BUILD_H

#include "common/chunk/pcapng.h"
#include "tests/unit/support.h"

struct stream {
    const uint8_t *data;
    size_t len, at, piece;
    int error; /* given once all is read */
};

extern bool build_big_endian;

/* A reader of it. */
struct pcapng_reader *source_reader(struct stream *s);
/* The next item must be of that kind. */
void source_next(struct pcapng_reader *r, struct pcapng_item *item, enum pcapng_item_kind kind);
void build_put16(struct buffer *b, uint16_t v);
void build_put32(struct buffer *b, uint32_t v);
void build_option(struct buffer *b, uint16_t code, const void *value, uint16_t len);
void build_block(struct buffer *b, uint32_t type, const struct buffer *content);
void build_section(struct buffer *b);
/* tsresol < 0: without the option. */
void build_interface(struct buffer *b, uint16_t link_type, uint32_t snaplen, int tsresol, int64_t tsoffset);
/* The content of a packet block, up to its options. */
void build_packet_begin(struct buffer *c, uint32_t number, uint64_t ticks, const char *data, uint32_t wire);
void build_packet(struct buffer *b, uint32_t number, uint64_t ticks, const char *data, uint32_t wire);

#endif
