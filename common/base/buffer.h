/*
 * buffer: growing memory to write into, with a limit.
 *
 * Appends that would pass the limit or find no memory make the buffer `failed`; later appends do nothing. So a writer
 * may append a whole structure and ask once, at the end. A zeroed buffer with a limit is valid and empty.
 */
#ifndef FLEETDUMP_BASE_BUFFER_H
#define FLEETDUMP_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data; /* owned; NULL while empty */
    size_t len;
    size_t cap;
    size_t limit; /* greatest len allowed; 0 means BUFFER_LIMIT_DEFAULT */
    bool failed;
};

#define BUFFER_LIMIT_DEFAULT ((size_t)1 << 30)

/* Frees the memory; the buffer is empty and usable again, its limit kept. */
void buffer_free(struct buffer *b);

/* Empties without freeing, and forgets `failed`. */
void buffer_clear(struct buffer *b);

/* Room for n more bytes: a pointer to them (not yet counted in len), or NULL and failed. Valid until the next
 * append. */
void *buffer_reserve(struct buffer *b, size_t n);

/* As buffer_reserve, and counts the n bytes in len. */
void *buffer_grow(struct buffer *b, size_t n);

void buffer_append(struct buffer *b, const void *data, size_t n);
void buffer_zero(struct buffer *b, size_t n);
void buffer_u8(struct buffer *b, uint8_t v);
void buffer_le16(struct buffer *b, uint16_t v);
void buffer_le32(struct buffer *b, uint32_t v);
void buffer_le64(struct buffer *b, uint64_t v);
void buffer_varint(struct buffer *b, uint64_t v); /* LEB128, as bytes_varint reads it */
void buffer_printf(struct buffer *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
