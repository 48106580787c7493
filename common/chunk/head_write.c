#include "common/base/hash.h"
#include "common/chunk/head_format.h"

#include <string.h>

static void put_le32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static void put_text(struct buffer *out, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    buffer_varint(out, len);
    buffer_append(out, text, len);
}

static void put_counters(struct buffer *out, const struct counters *c)
{
    unsigned known = 0;
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        known += c->value[i] != 0;
    buffer_varint(out, known);
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        if (c->value[i]) {
            buffer_varint(out, i);
            buffer_varint(out, c->value[i]);
        }
    }
}

static int put_identity(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    buffer_u8(out, h->kind);
    buffer_u8(out, h->seal);
    buffer_u8(out, h->gap);
    buffer_u8(out, h->body);
    buffer_append(out, h->epoch, EPOCH_SIZE);
    buffer_le64(out, h->seq);
    buffer_le64(out, h->last_seq);
    return head_check_identity(h, e);
}

static int put_names(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    put_text(out, h->agent);
    put_text(out, h->capture);
    put_text(out, h->software);
    put_text(out, h->filter);
    buffer_le32(out, h->snaplen);
    return head_check_names(h, e);
}

static int put_clocks(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    (void)e;
    buffer_le64(out, h->open_wall_ns);
    buffer_le64(out, h->open_mono_ns);
    buffer_le64(out, h->seal_wall_ns);
    buffer_le64(out, h->seal_mono_ns);
    buffer_le64(out, h->first_ns);
    buffer_le64(out, h->last_ns);
    return 0;
}

static void put_interface(struct buffer *out, const struct head_interface *i)
{
    put_text(out, i->name);
    put_text(out, i->description);
    buffer_le16(out, i->link_type);
    buffer_le32(out, i->snaplen);
    buffer_u8(out, i->has_mac ? HEAD_INTERFACE_HAS_MAC : 0);
    if (i->has_mac)
        buffer_append(out, i->mac, sizeof(i->mac));
    buffer_varint(out, i->speed_bps);
    put_counters(out, &i->counters);
}

static int put_interfaces(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    int r = head_check_interfaces(h, e);
    buffer_varint(out, h->interface_count);
    for (uint32_t i = 0; i < h->interface_count && !r; i++)
        put_interface(out, &h->interfaces[i]);
    return r;
}

static int put_totals(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    (void)e;
    put_counters(out, &h->totals);
    return 0;
}

static int put_body(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    int r = head_check_body(h, e);
    buffer_le64(out, h->body_length);
    buffer_le64(out, h->body_raw_length);
    buffer_le64(out, h->body_hash);
    buffer_varint(out, h->frame_count);
    uint64_t end = 0, first_ns = 0;
    for (uint32_t i = 0; i < h->frame_count && !r; i++) {
        const struct head_frame *f = &h->frames[i];
        buffer_varint(out, f->interface);
        buffer_varint(out, f->length);
        buffer_varint(out, f->raw_length);
        buffer_varint(out, f->packets);
        buffer_varint(out, zigzag(f->offset - end));
        buffer_varint(out, zigzag(f->first_ns - first_ns));
        buffer_varint(out, zigzag(f->last_ns - f->first_ns));
        end = f->offset + f->length;
        first_ns = f->first_ns;
    }
    return r;
}

static int put_flows(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    buffer_le32(out, h->flow_rows);
    buffer_append(out, h->flows, h->flows_length);
    return head_check_rows(h, e);
}

static int put_exchanges(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    (void)e;
    buffer_append(out, h->exchanges, h->exchanges_length);
    return 0;
}

static int put_section(const struct chunk_head *h, enum head_tag tag, struct buffer *out,
                       int (*put)(const struct chunk_head *, struct buffer *, struct error *), struct error *e)
{
    buffer_u8(out, (uint8_t)tag);
    buffer_le32(out, 0);
    size_t start = out->len;
    int r = put(h, out, e);
    if (r || out->failed)
        return r;
    if (out->len - start > HEAD_BYTES_MAX)
        return error_set(e, ERROR_LIMIT, "it is longer than %u bytes", HEAD_BYTES_MAX);
    put_le32(out->data + start - 4, (uint32_t)(out->len - start));
    return 0;
}

static int put_sections(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    int r = put_section(h, HEAD_TAG_IDENTITY, out, put_identity, e);
    r = r ? r : put_section(h, HEAD_TAG_NAMES, out, put_names, e);
    r = r ? r : put_section(h, HEAD_TAG_CLOCKS, out, put_clocks, e);
    if (!r && (h->kind == HEAD_CHUNK || h->interface_count))
        r = put_section(h, HEAD_TAG_INTERFACES, out, put_interfaces, e);
    r = r ? r : put_section(h, HEAD_TAG_TOTALS, out, put_totals, e);
    if (!r && h->body != BODY_NEVER)
        r = put_section(h, HEAD_TAG_BODY, out, put_body, e);
    if (!r && h->flows)
        r = put_section(h, HEAD_TAG_FLOWS, out, put_flows, e);
    if (!r && h->exchanges)
        r = put_section(h, HEAD_TAG_EXCHANGES, out, put_exchanges, e);
    return r;
}

int head_encode(const struct chunk_head *h, struct buffer *out, struct error *e)
{
    size_t start = out->len;
    buffer_le32(out, HEAD_MAGIC);
    buffer_le16(out, HEAD_VERSION);
    buffer_le16(out, 0);
    buffer_le32(out, 0);
    int r = put_sections(h, out, e);
    if (r) {
        out->len = start;
        error_prefix(e, "writing the head of chunk %llu", (unsigned long long)h->seq);
        return r;
    }
    size_t length = out->len - start + HEAD_SUFFIX;
    if (length > HEAD_BYTES_MAX) {
        out->len = start;
        return error_set(e, ERROR_LIMIT, "the head of chunk %llu is %zu bytes long, at most %u are allowed",
                         (unsigned long long)h->seq, length, HEAD_BYTES_MAX);
    }
    if (!out->failed) {
        put_le32(out->data + start + 8, (uint32_t)length);
        buffer_le64(out, hash64(out->data + start, out->len - start));
    }
    return out->failed ? error_set(e, ERROR_MEMORY, "no room for the head of chunk %llu", (unsigned long long)h->seq)
                       : 0;
}
