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

/* Appends `raw` as exactly one zstd frame with content size and checksum, at frame_level of this level. */
MUST_CHECK int frame_compress(struct frame_codec *c, int level, const void *raw, size_t len, struct buffer *out,
                              struct error *e);

/* The level (zstd's; negative is faster) that `raw` is worth: at most this one, and less the more a sample of it looks
 * like noise, as what is encrypted or compressed already does: down to FRAME_LEVEL_NOISE, where there is next to
 * nothing to gain but by repeats. */
int frame_level(int level, const void *raw, size_t len);
#define FRAME_LEVEL_FAST  (-7)
#define FRAME_LEVEL_NOISE (-20)

/* frame_compress at exactly this level. */
MUST_CHECK int frame_compress_at(struct frame_codec *c, int level, const void *raw, size_t len, struct buffer *out,
                                 struct error *e);

/* What makes a frame of `raw` as it is, which stands between the two: nothing is copied. */
#define FRAME_STORED_MAX (128u << 10) /* of raw bytes: one block of zstd's */
struct frame_stored {
    uint8_t before[12];
    uint8_t behind[4];
};
void frame_store(const void *raw, size_t len, struct frame_stored *out);

/* Expands exactly one frame of `len` bytes to exactly raw_len bytes into out (cleared first). Window and size are
 * capped by FRAME_RAW_MAX. */
MUST_CHECK int frame_expand(struct frame_codec *c, const void *data, size_t len, size_t raw_len, struct buffer *out,
                            struct error *e);

/* The frame at the beginning of `data`, which may go on behind it: its length, and what it says that it expands to.
 * ERROR_TRUNCATED if data end before the frame does, ERROR_INVALID if no frame of ours begins there. The content is not
 * looked at. */
MUST_CHECK int frame_find(const void *data, size_t len, size_t *length, size_t *raw_length, struct error *e);

#endif
