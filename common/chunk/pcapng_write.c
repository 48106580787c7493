/*
 * Writing pcapng. A block is: type u32 | total length u32 | content padded to 4 | options | total length u32; an option
 * is: code u16 | length u16 | value padded to 4. All little-endian.
 *
 * A packet's comment is the last option, in front of opt_endofopt: so a zero byte always follows its text (padding, or
 * the end's code) and pcapng_next can point at it in place.
 */
#include "common/chunk/pcapng.h"
#include "common/chunk/pcapng_format.h"

#include <stdio.h>
#include <string.h>

static size_t padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}

static uint8_t *put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    return put16(put16(p, v & 0xffff), v >> 16);
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    return put32(put32(p, (uint32_t)v), (uint32_t)(v >> 32));
}

/* Bytes, then zeros up to a multiple of 4. */
static uint8_t *put_padded(uint8_t *p, const void *data, size_t len)
{
    if (len)
        memcpy(p, data, len);
    for (size_t i = len; i < padded(len); i++)
        p[i] = 0; /* no call for what is often nothing */
    return p + padded(len);
}

static size_t block_begin(struct buffer *out, uint32_t type)
{
    size_t start = out->len;
    buffer_le32(out, type);
    buffer_le32(out, 0);
    return start;
}

static void block_end(struct buffer *out, size_t start)
{
    size_t total = out->len - start + 4;
    if (out->failed || total > PCAPNG_BLOCK_MAX) {
        out->failed = true;
        return;
    }
    buffer_le32(out, (uint32_t)total);
    if (!out->failed)
        put32(out->data + start + 4, (uint32_t)total);
}

static void option(struct buffer *out, uint16_t code, const void *data, size_t len)
{
    if (len > UINT16_MAX) {
        out->failed = true;
        return;
    }
    uint8_t *p = buffer_grow(out, 4 + padded(len));
    if (!p)
        return;
    p = put16(p, code);
    p = put16(p, (uint32_t)len);
    put_padded(p, data, len);
}

static void option_text(struct buffer *out, uint16_t code, const char *text)
{
    if (text && *text)
        option(out, code, text, strlen(text));
}

static void option_u64(struct buffer *out, uint16_t code, uint64_t value)
{
    uint8_t v[8];
    put64(v, value);
    option(out, code, v, sizeof(v));
}

/* Times of options stand as two halves, the high one first. */
static void option_time(struct buffer *out, uint16_t code, uint64_t time_ns)
{
    uint8_t v[8];
    put32(put32(v, (uint32_t)(time_ns >> 32)), (uint32_t)time_ns);
    if (time_ns)
        option(out, code, v, sizeof(v));
}

static void options_end(struct buffer *out)
{
    buffer_le32(out, OPTION_END);
}

void pcapng_write_section(struct buffer *out, const char *hardware, const char *os, const char *application,
                          const char *comment)
{
    size_t start = block_begin(out, PCAPNG_SHB);
    buffer_le32(out, BYTE_ORDER_MAGIC);
    buffer_le16(out, 1);
    buffer_le16(out, 0);
    buffer_le64(out, UINT64_MAX); /* length of the section: not known */
    option_text(out, OPTION_COMMENT, comment);
    option_text(out, SHB_HARDWARE, hardware);
    option_text(out, SHB_OS, os);
    option_text(out, SHB_APPLICATION, application);
    options_end(out);
    block_end(out, start);
}

static void option_filter(struct buffer *out, const char *filter)
{
    if (!filter || !*filter)
        return;
    size_t len = strlen(filter);
    if (len >= UINT16_MAX) {
        out->failed = true;
        return;
    }
    uint8_t *p = buffer_grow(out, 4 + padded(len + 1));
    if (!p)
        return;
    p = put16(p, IDB_FILTER);
    p = put16(p, (uint32_t)len + 1);
    memset(p + len, 0, padded(len + 1) - len);
    *p = 0; /* kind of filter: text in libpcap's language */
    memcpy(p + 1, filter, len);
}

void pcapng_write_interface(struct buffer *out, const struct pcapng_interface *i)
{
    static const uint8_t nanoseconds = 9;
    size_t start = block_begin(out, PCAPNG_IDB);
    buffer_le16(out, i->link_type);
    buffer_le16(out, 0);
    buffer_le32(out, i->snaplen);
    option_text(out, IDB_NAME, i->name);
    option_text(out, IDB_DESCRIPTION, i->description);
    if (i->mac)
        option(out, IDB_MAC, i->mac, 6);
    if (i->speed_bps)
        option_u64(out, IDB_SPEED, i->speed_bps);
    option(out, IDB_TSRESOL, &nanoseconds, 1);
    option_filter(out, i->filter);
    option_text(out, IDB_OS, i->os);
    options_end(out);
    block_end(out, start);
}

/* Bytes of the options of a packet, or 0 if it has none. */
static size_t packet_options_length(const struct pcapng_packet *p, size_t comment_len)
{
    size_t len = 0;
    len += p->flags ? 4 + 4 : 0;
    len += p->dropcount ? 4 + 8 : 0;
    len += p->packet_id ? 4 + 8 : 0;
    len += p->comment ? 4 + padded(comment_len) : 0;
    return len ? len + 4 : 0;
}

static uint8_t *put_option_head(uint8_t *at, uint16_t code, size_t len)
{
    return put16(put16(at, code), (uint32_t)len);
}

static uint8_t *put_packet_options(uint8_t *at, const struct pcapng_packet *p, size_t comment_len)
{
    if (p->flags)
        at = put32(put_option_head(at, EPB_FLAGS, 4), p->flags);
    if (p->dropcount)
        at = put64(put_option_head(at, EPB_DROPCOUNT, 8), p->dropcount);
    if (p->packet_id)
        at = put64(put_option_head(at, EPB_PACKET_ID, 8), p->packet_id);
    if (p->comment)
        at = put_padded(put_option_head(at, OPTION_COMMENT, comment_len), p->comment, comment_len);
    return put32(at, OPTION_END);
}

/* The busy one: its length is known before, so that it grows the buffer once. */
void pcapng_write_packet(struct buffer *out, const struct pcapng_packet *p)
{
    size_t comment_len = p->comment ? strlen(p->comment) : 0;
    size_t options = packet_options_length(p, comment_len);
    size_t total = 28 + padded(p->captured) + options + 4;
    if (comment_len > UINT16_MAX || total > PCAPNG_BLOCK_MAX) {
        out->failed = true;
        return;
    }
    uint8_t *at = buffer_grow(out, total);
    if (!at)
        return;
    at = put32(put32(at, PCAPNG_EPB), (uint32_t)total);
    at = put32(at, p->interface);
    at = put32(put32(at, (uint32_t)(p->time_ns >> 32)), (uint32_t)p->time_ns);
    at = put32(put32(at, p->captured), p->wire);
    at = put_padded(at, p->data, p->captured);
    if (options)
        at = put_packet_options(at, p, comment_len);
    put32(at, (uint32_t)total);
}

/* What has no option of its own: "received_bytes=1234 policy=2", zeros left out. */
static void option_counters_comment(struct buffer *out, const struct counters *c)
{
    char text[COUNTER_COUNT * 40];
    size_t len = 0;
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        if (!counter_table[i].isb_option && c->value[i] && c->value[i] != COUNTER_HIDDEN)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s=%llu", len ? " " : "", counter_table[i].name,
                                    (unsigned long long)c->value[i]);
    }
    if (len)
        option(out, OPTION_COMMENT, text, len);
}

void pcapng_write_statistics(struct buffer *out, uint32_t interface, uint64_t now_ns, uint64_t start_ns,
                             uint64_t end_ns, const struct counters *c, const char *comment)
{
    size_t start = block_begin(out, PCAPNG_ISB);
    buffer_le32(out, interface);
    buffer_le32(out, (uint32_t)(now_ns >> 32));
    buffer_le32(out, (uint32_t)now_ns);
    option_text(out, OPTION_COMMENT, comment);
    option_counters_comment(out, c);
    option_time(out, ISB_START, start_ns);
    option_time(out, ISB_END, end_ns);
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        if (counter_table[i].isb_option && c->value[i] != COUNTER_HIDDEN)
            option_u64(out, (uint16_t)counter_table[i].isb_option, c->value[i]);
    }
    options_end(out);
    block_end(out, start);
}

void pcapng_write_journal(struct buffer *out, const char *entry, size_t len)
{
    size_t start = block_begin(out, PCAPNG_JOURNAL);
    uint8_t *p = len <= PCAPNG_BLOCK_MAX ? buffer_grow(out, padded(len)) : NULL;
    if (p)
        put_padded(p, entry, len);
    else
        out->failed = out->failed || len > 0;
    block_end(out, start);
}
