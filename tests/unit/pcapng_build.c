#include "tests/unit/pcapng_build.h"

#include <string.h>

/* --- A stream from memory, in pieces of `piece` bytes --- */
static long source_read(void *context, void *buf, size_t len, struct error *e)
{
    struct stream *s = context;
    size_t n = s->len - s->at < len ? s->len - s->at : len;
    n = n < s->piece ? n : s->piece;
    if (n == 0 && s->error)
        return error_set(e, s->error, "the disk is on fire");
    memcpy(buf, s->data + s->at, n);
    s->at += n;
    return (long)n;
}

struct pcapng_reader *source_reader(struct stream *s)
{
    struct pcapng_reader *r = NULL;
    struct error e;
    assert_int_equal(pcapng_reader_new(source_read, s, &r, &e), 0);
    return r;
}

void source_next(struct pcapng_reader *r, struct pcapng_item *item, enum pcapng_item_kind kind)
{
    struct error e = ERROR_INIT;
    if (pcapng_reader_next(r, item, &e))
        fail_msg("%s", e.text);
    assert_int_equal(item->kind, kind);
}

/* --- Blocks made by hand, in either byte order --- */
bool build_big_endian;

void build_put16(struct buffer *b, uint16_t v)
{
    buffer_le16(b, build_big_endian ? __builtin_bswap16(v) : v);
}

void build_put32(struct buffer *b, uint32_t v)
{
    buffer_le32(b, build_big_endian ? __builtin_bswap32(v) : v);
}

static void build_put64(struct buffer *b, uint64_t v)
{
    buffer_le64(b, build_big_endian ? __builtin_bswap64(v) : v);
}

void build_option(struct buffer *b, uint16_t code, const void *value, uint16_t len)
{
    build_put16(b, code);
    build_put16(b, len);
    buffer_append(b, value, len);
    buffer_zero(b, -(size_t)len & 3);
}

static void build_option64(struct buffer *b, uint16_t code, uint64_t value)
{
    build_put16(b, code);
    build_put16(b, 8);
    build_put64(b, value);
}

void build_block(struct buffer *b, uint32_t type, const struct buffer *content)
{
    uint32_t total = (uint32_t)content->len + 12;
    build_put32(b, type);
    build_put32(b, total);
    buffer_append(b, content->data, content->len);
    build_put32(b, total);
}

void build_section(struct buffer *b)
{
    struct buffer c = {0};
    build_put32(&c, 0x1a2b3c4d);
    build_put16(&c, 1);
    build_put16(&c, 0);
    build_put64(&c, UINT64_MAX);
    build_block(b, PCAPNG_SHB, &c);
    buffer_free(&c);
}

void build_interface(struct buffer *b, uint16_t link_type, uint32_t snaplen, int tsresol, int64_t tsoffset)
{
    struct buffer c = {0};
    build_put16(&c, link_type);
    build_put16(&c, 0);
    build_put32(&c, snaplen);
    uint8_t resolution = (uint8_t)tsresol;
    if (tsresol >= 0)
        build_option(&c, 9, &resolution, 1);
    if (tsoffset)
        build_option64(&c, 14, (uint64_t)tsoffset);
    build_block(b, PCAPNG_IDB, &c);
    buffer_free(&c);
}

void build_packet_begin(struct buffer *c, uint32_t number, uint64_t ticks, const char *data, uint32_t wire)
{
    build_put32(c, number);
    build_put32(c, (uint32_t)(ticks >> 32));
    build_put32(c, (uint32_t)ticks);
    build_put32(c, (uint32_t)strlen(data));
    build_put32(c, wire);
    buffer_append(c, data, strlen(data));
    buffer_zero(c, -strlen(data) & 3);
}

void build_packet(struct buffer *b, uint32_t number, uint64_t ticks, const char *data, uint32_t wire)
{
    struct buffer c = {0};
    build_packet_begin(&c, number, ticks, data, wire);
    build_block(b, PCAPNG_EPB, &c);
    buffer_free(&c);
}
