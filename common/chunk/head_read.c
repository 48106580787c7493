#include "common/base/bytes.h"
#include "common/base/hash.h"
#include "common/chunk/head_format.h"
#include "common/rows/block.h"

#include <stdlib.h>
#include <string.h>

static char *take_text(struct chunk_head *h, struct bytes *b)
{
    uint64_t len = bytes_varint(b);
    const uint8_t *text = bytes_take(b, len);
    if (!text || memchr(text, 0, len)) {
        b->bad = true;
        return NULL;
    }
    return head_text(h, text, len);
}

static void take_counters(struct bytes *b, struct counters *c)
{
    uint64_t count = bytes_varint(b);
    uint64_t least = 0;
    for (uint64_t i = 0; i < count && !b->bad; i++) {
        uint64_t id = bytes_varint(b);
        uint64_t value = bytes_varint(b);
        b->bad = b->bad || id < least || id == UINT64_MAX;
        least = id + 1;
        if (!b->bad && id < COUNTER_COUNT)
            c->value[id] = value;
    }
}

static uint32_t take_u32(struct bytes *b)
{
    uint64_t v = bytes_varint(b);
    b->bad = b->bad || v > UINT32_MAX;
    return (uint32_t)v;
}

static int take_identity(struct chunk_head *h, struct bytes *b, struct error *e)
{
    h->kind = bytes_u8(b);
    h->seal = bytes_u8(b);
    h->gap = bytes_u8(b);
    h->body = bytes_u8(b);
    const uint8_t *epoch = bytes_take(b, EPOCH_SIZE);
    if (epoch)
        memcpy(h->epoch, epoch, EPOCH_SIZE);
    h->seq = bytes_le64(b);
    h->last_seq = bytes_le64(b);
    return b->bad ? 0 : head_check_identity(h, e);
}

static int take_names(struct chunk_head *h, struct bytes *b, struct error *e)
{
    h->agent = take_text(h, b);
    h->capture = take_text(h, b);
    h->software = take_text(h, b);
    h->filter = take_text(h, b);
    h->snaplen = bytes_le32(b);
    if (b->bad)
        return 0;
    if (!h->agent || !h->capture || !h->software || !h->filter)
        return error_set(e, ERROR_MEMORY, "no memory for names");
    return head_check_names(h, e);
}

static int take_clocks(struct chunk_head *h, struct bytes *b, struct error *e)
{
    (void)e;
    h->open_wall_ns = bytes_le64(b);
    h->open_mono_ns = bytes_le64(b);
    h->seal_wall_ns = bytes_le64(b);
    h->seal_mono_ns = bytes_le64(b);
    h->first_ns = bytes_le64(b);
    h->last_ns = bytes_le64(b);
    return 0;
}

static int take_interface(struct chunk_head *h, struct bytes *b, struct head_interface *i, struct error *e)
{
    i->name = take_text(h, b);
    i->description = take_text(h, b);
    i->link_type = bytes_le16(b);
    i->snaplen = bytes_le32(b);
    uint8_t flags = bytes_u8(b);
    i->has_mac = flags & HEAD_INTERFACE_HAS_MAC;
    b->bad = b->bad || (flags & ~HEAD_INTERFACE_HAS_MAC) != 0;
    const uint8_t *mac = i->has_mac ? bytes_take(b, sizeof(i->mac)) : NULL;
    if (mac)
        memcpy(i->mac, mac, sizeof(i->mac));
    i->speed_bps = bytes_varint(b);
    take_counters(b, &i->counters);
    return b->bad || (i->name && i->description) ? 0 : error_set(e, ERROR_MEMORY, "no memory for names");
}

static int take_interfaces(struct chunk_head *h, struct bytes *b, struct error *e)
{
    uint64_t count = bytes_varint(b);
    if (count > HEAD_INTERFACES_MAX)
        return error_set(e, ERROR_LIMIT, "%llu interfaces, at most %u are allowed", (unsigned long long)count,
                         HEAD_INTERFACES_MAX);
    h->interfaces = head_alloc(h, count * sizeof(h->interfaces[0]));
    if (!h->interfaces)
        return error_set(e, ERROR_MEMORY, "no memory for %llu interfaces", (unsigned long long)count);
    h->interface_count = (uint32_t)count;
    int r = 0;
    for (uint32_t i = 0; i < h->interface_count && !b->bad && !r; i++)
        r = take_interface(h, b, &h->interfaces[i], e);
    return r || b->bad ? r : head_check_interfaces(h, e);
}

static int take_totals(struct chunk_head *h, struct bytes *b, struct error *e)
{
    (void)e;
    take_counters(b, &h->totals);
    return 0;
}

#define FRAME_BYTES_LEAST 7u /* seven varints */

static int take_body(struct chunk_head *h, struct bytes *b, struct error *e)
{
    h->body_length = bytes_le64(b);
    h->body_raw_length = bytes_le64(b);
    h->body_hash = bytes_le64(b);
    uint64_t count = bytes_varint(b);
    if (count > HEAD_FRAMES_MAX)
        return error_set(e, ERROR_LIMIT, "%llu frames, at most %u are allowed", (unsigned long long)count,
                         HEAD_FRAMES_MAX);
    b->bad = b->bad || count > bytes_left(b) / FRAME_BYTES_LEAST;
    if (b->bad)
        return 0;
    h->frames = head_alloc(h, count * sizeof(h->frames[0]));
    if (!h->frames)
        return error_set(e, ERROR_MEMORY, "no memory for %llu frames", (unsigned long long)count);
    h->frame_count = (uint32_t)count;
    uint64_t end = 0, first_ns = 0;
    for (uint32_t i = 0; i < h->frame_count && !b->bad; i++) {
        struct head_frame *f = &h->frames[i];
        f->interface = take_u32(b);
        f->length = take_u32(b);
        f->raw_length = take_u32(b);
        f->packets = take_u32(b);
        f->offset = end + unzigzag(bytes_varint(b));
        f->first_ns = first_ns + unzigzag(bytes_varint(b));
        f->last_ns = f->first_ns + unzigzag(bytes_varint(b));
        end = f->offset + f->length;
        first_ns = f->first_ns;
    }
    return 0;
}

/* Header and directory of a block of rows, whose columns are read by whoever wants them. */
static int check_block(const struct table *t, const uint8_t *data, size_t len, uint32_t *rows, struct error *e)
{
    struct block *block = NULL;
    int r = block_open(t, data, len, &block, e);
    *rows = r ? 0 : block_rows(block);
    block_close(block);
    return r;
}

static int take_flows(struct chunk_head *h, struct bytes *b, struct error *e)
{
    uint32_t rows = 0;
    h->flow_rows = bytes_le32(b);
    h->flows_length = bytes_left(b);
    h->flows = bytes_take(b, h->flows_length);
    if (b->bad)
        return 0;
    int r = head_check_rows(h, e);
    if (!r)
        r = check_block(&table_flow, h->flows, h->flows_length, &rows, e);
    if (!r && rows != h->flow_rows)
        return error_set(e, ERROR_INVALID, "its block has %u rows, it says %u", rows, h->flow_rows);
    return r;
}

static int take_exchanges(struct chunk_head *h, struct bytes *b, struct error *e)
{
    uint32_t rows = 0;
    h->exchanges_length = bytes_left(b);
    h->exchanges = bytes_take(b, h->exchanges_length);
    return b->bad ? 0 : check_block(&table_exchange, h->exchanges, h->exchanges_length, &rows, e);
}

static const struct section {
    const char *name;
    int (*take)(struct chunk_head *h, struct bytes *b, struct error *e);
} sections[HEAD_TAG_COUNT] = {
    [HEAD_TAG_IDENTITY] = {"identity", take_identity}, [HEAD_TAG_NAMES] = {"names", take_names},
    [HEAD_TAG_CLOCKS] = {"clocks", take_clocks},       [HEAD_TAG_INTERFACES] = {"interfaces", take_interfaces},
    [HEAD_TAG_TOTALS] = {"totals", take_totals},       [HEAD_TAG_BODY] = {"body", take_body},
    [HEAD_TAG_FLOWS] = {"flows", take_flows},          [HEAD_TAG_EXCHANGES] = {"exchanges", take_exchanges},
};

/* Content of one section; the error names it and the byte. */
static int take_content(struct chunk_head *h, unsigned tag, struct bytes content, size_t at, struct error *e)
{
    int r = sections[tag].take(h, &content, e);
    if (r) {
        error_prefix(e, "head, section %s at byte %zu", sections[tag].name, at);
        return r;
    }
    if (content.bad)
        return error_set(e, ERROR_INVALID, "head, section %s: its content breaks off or is malformed at byte %zu",
                         sections[tag].name, at + bytes_at(&content));
    if (bytes_left(&content))
        return error_set(e, ERROR_INVALID, "head, section %s: %zu bytes too many at byte %zu", sections[tag].name,
                         bytes_left(&content), at + bytes_at(&content));
    return 0;
}

static int take_sections(struct chunk_head *h, struct bytes *b, uint32_t *seen, struct error *e)
{
    int r = 0;
    while (bytes_left(b) && !r) {
        size_t at = bytes_at(b);
        unsigned tag = bytes_u8(b);
        struct bytes content = bytes_sub(b, bytes_le32(b));
        if (b->bad)
            return error_set(e, ERROR_INVALID, "head: the section at byte %zu goes past the end", at);
        if (tag >= HEAD_TAG_COUNT || !sections[tag].take)
            continue;
        if (*seen >> tag & 1)
            return error_set(e, ERROR_INVALID, "head: section %s stands again at byte %zu", sections[tag].name, at);
        *seen |= UINT32_C(1) << tag;
        r = take_content(h, tag, content, at + 5, e);
    }
    return r;
}

/* What only the whole can tell: required sections, and frames, whose interfaces may stand later. */
static int check_whole(const struct chunk_head *h, uint32_t seen, struct error *e)
{
    uint32_t required = 1u << HEAD_TAG_IDENTITY | 1u << HEAD_TAG_NAMES | 1u << HEAD_TAG_CLOCKS | 1u << HEAD_TAG_TOTALS;
    if (h->kind == HEAD_CHUNK)
        required |= 1u << HEAD_TAG_INTERFACES;
    if (h->body != BODY_NEVER)
        required |= 1u << HEAD_TAG_BODY;
    for (unsigned tag = 0; tag < HEAD_TAG_COUNT; tag++) {
        if (required >> tag & ~(seen >> tag) & 1)
            return error_set(e, ERROR_INVALID, "head: section %s is missing", sections[tag].name);
    }
    if (h->body == BODY_NEVER && seen >> HEAD_TAG_BODY & 1)
        return error_set(e, ERROR_INVALID, "head: section body describes a body that was never kept");
    int r = head_check_body(h, e);
    if (r)
        error_prefix(e, "head, section body");
    return r;
}

static int check_frame_of_bytes(const void *data, size_t len, struct error *e)
{
    struct bytes b = bytes_of(data, len);
    if (len > HEAD_BYTES_MAX)
        return error_set(e, ERROR_LIMIT, "head: %zu bytes, at most %u are allowed", len, HEAD_BYTES_MAX);
    if (len < HEAD_PREFIX + HEAD_SUFFIX)
        return error_set(e, ERROR_TRUNCATED, "head: %zu bytes are too few", len);
    if (bytes_le32(&b) != HEAD_MAGIC)
        return error_set(e, ERROR_INVALID, "head: no head begins at byte 0 (no magic number)");
    unsigned version = bytes_le16(&b), zero = bytes_le16(&b);
    if (version != HEAD_VERSION || zero != 0)
        return error_set(e, ERROR_VERSION, "head: version %u.%u at byte 4 is not known, only %u.0 is", version, zero,
                         HEAD_VERSION);
    uint32_t length = bytes_le32(&b);
    if (length != len)
        return error_set(e, length > len ? ERROR_TRUNCATED : ERROR_INVALID,
                         "head: byte 8 says %u bytes, but there are %zu", length, len);
    b = bytes_of((const uint8_t *)data + len - HEAD_SUFFIX, HEAD_SUFFIX);
    if (bytes_le64(&b) != hash64(data, len - HEAD_SUFFIX))
        return error_set(e, ERROR_CORRUPT, "head: the hash at byte %zu does not match what stands before it",
                         len - HEAD_SUFFIX);
    return 0;
}

int head_decode(const void *data, size_t len, struct chunk_head *h, struct error *e)
{
    memset(h, 0, sizeof(*h));
    int r = check_frame_of_bytes(data, len, e);
    if (r)
        return r;
    struct bytes b = bytes_of(data, len - HEAD_SUFFIX);
    bytes_skip(&b, HEAD_PREFIX);
    uint32_t seen = 0;
    r = take_sections(h, &b, &seen, e);
    r = r ? r : check_whole(h, seen, e);
    if (r)
        head_free(h);
    return r;
}
