#include "common/base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN ((size_t)64)

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){.limit = b->limit};
}

void buffer_clear(struct buffer *b)
{
    b->len = 0;
    b->failed = false;
}

void *buffer_reserve(struct buffer *b, size_t n)
{
    size_t limit = b->limit ? b->limit : BUFFER_LIMIT_DEFAULT;
    if (b->failed || b->len > limit || n > limit - b->len) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->len + n;
    if (need <= b->cap && b->data)
        return b->data + b->len;
    size_t cap = b->cap > CAP_MIN ? b->cap : CAP_MIN;
    while (cap < need)
        cap = cap > limit / 2 ? limit : cap * 2;
    uint8_t *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return NULL;
    }
    b->data = data;
    b->cap = cap;
    return data + b->len;
}

void *buffer_grow(struct buffer *b, size_t n)
{
    void *p = buffer_reserve(b, n);
    if (p)
        b->len += n;
    return p;
}

void buffer_append(struct buffer *b, const void *data, size_t n)
{
    void *p = buffer_grow(b, n);
    if (p && n)
        memcpy(p, data, n);
}

void buffer_zero(struct buffer *b, size_t n)
{
    void *p = buffer_grow(b, n);
    if (p)
        memset(p, 0, n);
}

/* The lowest n bytes of v, least first. */
static void append_le(struct buffer *b, uint64_t v, size_t n)
{
    uint8_t *p = buffer_grow(b, n);
    for (size_t i = 0; p && i < n; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

void buffer_u8(struct buffer *b, uint8_t v)
{
    append_le(b, v, 1);
}

void buffer_le16(struct buffer *b, uint16_t v)
{
    append_le(b, v, 2);
}

void buffer_le32(struct buffer *b, uint32_t v)
{
    append_le(b, v, 4);
}

void buffer_le64(struct buffer *b, uint64_t v)
{
    append_le(b, v, 8);
}

void buffer_varint(struct buffer *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (v > 0x7f) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    buffer_append(b, bytes, n);
}

void buffer_printf(struct buffer *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    /* vsnprintf terminates: the 0 byte needs room, but does not count */
    char *p = n < 0 ? NULL : buffer_reserve(b, (size_t)n + 1);
    if (p) {
        vsnprintf(p, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    } else {
        b->failed = true;
    }
    va_end(again);
}
