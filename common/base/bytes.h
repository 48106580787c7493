/*
 * bytes: a checked cursor over memory from outside.
 *
 * Every read is checked; the first read past the end makes the cursor `bad`, and from then on every read returns 0 and
 * moves nothing. So a parser may read a whole structure and ask once, before it uses the values. `at` tells where.
 */
#ifndef FLEETDUMP_BASE_BYTES_H
#define FLEETDUMP_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *start; /* for bytes_at */
    const uint8_t *p;
    const uint8_t *end;
    bool bad; /* a read went past the end, or a value was not representable */
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct bytes){.start = p, .p = p, .end = p ? p + len : p, .bad = false};
}

static inline size_t bytes_left(const struct bytes *b)
{
    return b->bad ? 0 : (size_t)(b->end - b->p);
}

/* Offset of the next byte from the start of the cursor's memory. */
static inline size_t bytes_at(const struct bytes *b)
{
    return (size_t)(b->p - b->start);
}

/* The next n bytes, or NULL (and bad). */
static inline const uint8_t *bytes_take(struct bytes *b, size_t n)
{
    if (b->bad || n > (size_t)(b->end - b->p)) {
        b->bad = true;
        return NULL;
    }
    const uint8_t *p = b->p;
    b->p += n;
    return p;
}

/* Copies the next n bytes; zeroes if there are fewer (and bad). */
static inline void bytes_copy(struct bytes *b, void *to, size_t n)
{
    const uint8_t *p = bytes_take(b, n);
    if (p)
        memcpy(to, p, n);
    else
        memset(to, 0, n);
}

static inline void bytes_skip(struct bytes *b, size_t n)
{
    (void)bytes_take(b, n);
}

/* A cursor over the next n bytes, which are consumed here; bad if there are fewer. */
static inline struct bytes bytes_sub(struct bytes *b, size_t n)
{
    const uint8_t *p = bytes_take(b, n);
    struct bytes sub = bytes_of(p, p ? n : 0);
    sub.bad = p == NULL;
    return sub;
}

static inline uint8_t bytes_u8(struct bytes *b)
{
    const uint8_t *p = bytes_take(b, 1);
    return p ? *p : 0;
}

static inline uint16_t bytes_be16(struct bytes *b)
{
    const uint8_t *p = bytes_take(b, 2);
    return p ? (uint16_t)((unsigned)p[0] << 8 | p[1]) : 0;
}

static inline uint32_t bytes_be32(struct bytes *b)
{
    const uint8_t *p = bytes_take(b, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint16_t bytes_le16(struct bytes *b)
{
    const uint8_t *p = bytes_take(b, 2);
    return p ? (uint16_t)((unsigned)p[1] << 8 | p[0]) : 0;
}

static inline uint32_t bytes_le32(struct bytes *b)
{
    const uint8_t *p = bytes_take(b, 4);
    return p ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0] : 0;
}

static inline uint64_t bytes_le64(struct bytes *b)
{
    uint64_t lo = bytes_le32(b);
    return (uint64_t)bytes_le32(b) << 32 | lo;
}

/* LEB128, at most 10 bytes; longer or overflowing encodings make the cursor bad. */
static inline uint64_t bytes_varint(struct bytes *b)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t c = bytes_u8(b);
        if (b->bad || (shift == 63 && c > 1))
            break;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            return v;
    }
    b->bad = true;
    return 0;
}

#endif
