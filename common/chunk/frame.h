/*
 * frame: one stretch of pcapng blocks, compressed by zstd so that it can be read without the others.
 */
#ifndef FLEETDUMP_CHUNK_FRAME_H
#define FLEETDUMP_CHUNK_FRAME_H

#include "common/base/buffer.h"
#include "common/base/error.h"

#define FRAME_RAW_TARGET (128u << 10) /* a frame is closed before it would pass this, unless one packet alone does */
#define FRAME_RAW_MAX    (1u << 20)   /* readers refuse larger */

#define FRAME_LENGTH_MAX                                                                                               \
    (FRAME_RAW_MAX + (8u << 10)) /* compressed: what zstd may add to data that do not compress is less */

struct frame_codec;                        /* zstd contexts, reused; one per thread */
struct frame_codec *frame_codec_new(void); /* NULL without memory */
void frame_codec_free(struct frame_codec *c);

/* Appends `raw` as exactly one zstd frame with content size and checksum. Data that does not compress is stored (zstd
 * raw blocks), found out cheaply. level as zstd's (negative is faster). */
MUST_CHECK int frame_compress(struct frame_codec *c, int level, const void *raw, size_t len, struct buffer *out,
                              struct error *e);

/* Expands exactly one frame of `len` bytes to exactly raw_len bytes into out (cleared first). Window and size are
 * capped by FRAME_RAW_MAX. */
MUST_CHECK int frame_expand(struct frame_codec *c, const void *data, size_t len, size_t raw_len, struct buffer *out,
                            struct error *e);

/* The frame at the beginning of `data`, which may go on behind it: its length, and what it says that it expands to.
 * ERROR_TRUNCATED if data end before the frame does, ERROR_INVALID if no frame of ours begins there. The content is not
 * looked at. */
MUST_CHECK int frame_find(const void *data, size_t len, size_t *length, size_t *raw_length, struct error *e);

#endif
