/*
 * Verifying a body: one pass from its first byte to its last. The seek table at the end is read first, since it alone
 * tells where section and statistics end; each of its entries is then compared with what is there.
 */
#include "common/base/hash.h"
#include "common/chunk/body_format.h"

#include <stdlib.h>
#include <string.h>

struct verifier {
    const struct body_source *source;
    const struct chunk_head *head;
    struct frame_codec *codec;
    struct hash_stream *hash;
    struct buffer stored, raw, table;

    uint64_t at; /* of the part that comes next */
    uint64_t raw_length;
    uint32_t part; /* its number, the lead being 0 */
    uint32_t part_count;
    struct bytes entries;    /* of the seek table, for the parts to come */
    struct seek_entry entry; /* of the current part */

    const struct head_frame **order; /* frames as they stand in the file */
};

static uint32_t statistics_frames(const struct chunk_head *h)
{
    return h->interface_count ? 1 : 0;
}

/* Reads the seek table and checks all but its entries. */
static int open_table(struct verifier *v, struct error *e)
{
    v->part_count = 2 + v->head->frame_count + statistics_frames(v->head);
    size_t length = body_seek_table_length(v->part_count);
    if (v->source->length < length)
        return error_set(e, ERROR_TRUNCATED, "body: %llu bytes are too few for a seek table of %u entries",
                         (unsigned long long)v->source->length, v->part_count);
    uint64_t start = v->source->length - length;
    int r = body_read_part(v->source, start, length, &v->table, e);
    if (r)
        return r;
    struct bytes b = bytes_of(v->table.data, length);
    uint32_t magic = bytes_le32(&b), size = bytes_le32(&b);
    v->entries = bytes_sub(&b, (size_t)v->part_count * SEEK_ENTRY_BYTES);
    uint32_t count = bytes_le32(&b);
    uint8_t descriptor = bytes_u8(&b);
    if (magic != SEEK_MAGIC || size != length - ZSTD_SKIPPABLE_HEADER || count != v->part_count ||
        descriptor != SEEK_HAS_CHECKSUM || bytes_le32(&b) != SEEK_END_MAGIC)
        return error_set(e, ERROR_CORRUPT, "body: no seek table of %u entries at byte %llu", v->part_count,
                         (unsigned long long)start);
    return 0;
}

static int entry_wrong(const struct verifier *v, const char *what, struct error *e)
{
    uint64_t at = v->source->length - body_seek_table_length(v->part_count) + ZSTD_SKIPPABLE_HEADER +
                  (uint64_t)v->part * SEEK_ENTRY_BYTES;
    return error_set(e, ERROR_CORRUPT,
                     "body: entry %u of the seek table, at byte %llu, gives another %s than the part at byte %llu has",
                     v->part, (unsigned long long)at, what, (unsigned long long)v->at);
}

/* Takes the seek entry of the next part and reads the part, if it is as long as is known (0: not known). */
static int begin_part(struct verifier *v, size_t length, struct error *e)
{
    v->entry.length = bytes_le32(&v->entries);
    v->entry.raw_length = bytes_le32(&v->entries);
    v->entry.checksum = bytes_le32(&v->entries);
    uint64_t end = v->source->length - v->table.len;
    if ((length && v->entry.length != length) || v->entry.length < 4 || v->entry.length > end - v->at ||
        v->entry.length > FRAME_LENGTH_MAX)
        return entry_wrong(v, "length", e);
    return body_read_part(v->source, v->at, v->entry.length, &v->stored, e);
}

/* Compares the rest of the entry, and goes on to the next part. */
static int end_part(struct verifier *v, size_t raw_length, uint32_t checksum, struct error *e)
{
    if (v->entry.raw_length != raw_length)
        return entry_wrong(v, "expanded length", e);
    if (v->entry.checksum != checksum)
        return entry_wrong(v, "checksum", e);
    hash_stream_add(v->hash, v->stored.data, v->stored.len);
    v->at += v->stored.len;
    v->raw_length += raw_length;
    v->part++;
    return 0;
}

static int differs(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") != 0;
}

static int verify_lead(struct verifier *v, struct error *e)
{
    const struct chunk_head *h = v->head;
    struct chunk_head lead = {0};
    size_t length = 0;
    int r = body_lead_read(v->source, &lead, &length, e);
    if (!r && (memcmp(lead.epoch, h->epoch, EPOCH_SIZE) != 0 || lead.seq != h->seq ||
               lead.open_wall_ns != h->open_wall_ns || lead.open_mono_ns != h->open_mono_ns ||
               differs(lead.agent, h->agent) || differs(lead.capture, h->capture) || differs(lead.filter, h->filter)))
        r = error_set(e, ERROR_CONFLICT, "body: its leading frame (byte 0) names another chunk than its head");
    head_free(&lead);
    r = r ? r : begin_part(v, length, e);
    return r ? r : end_part(v, 0, SEEK_EMPTY_CHECKSUM, e);
}

static bool same_interface(const struct head_interface *a, const struct head_interface *b)
{
    return !differs(a->name, b->name) && !differs(a->description, b->description) && a->link_type == b->link_type &&
           a->snaplen == b->snaplen && !a->has_mac == !b->has_mac &&
           (!a->has_mac || memcmp(a->mac, b->mac, sizeof(a->mac)) == 0) && a->speed_bps == b->speed_bps;
}

/* An agent's name as description says the same as none (see body_section_write). */
static bool same_interface_of(const struct chunk_head *h, struct head_interface a, const struct head_interface *b)
{
    if (a.description && h->agent && strcmp(a.description, h->agent) == 0)
        a.description = NULL;
    return same_interface(&a, b);
}

static int compare_interfaces(const struct chunk_head *h, const struct chunk_head *section, struct error *e)
{
    if (section->interface_count != h->interface_count)
        return error_set(e, ERROR_CONFLICT, "it describes %u interfaces, the head %u", section->interface_count,
                         h->interface_count);
    for (uint32_t i = 0; i < h->interface_count; i++) {
        if (!same_interface_of(h, h->interfaces[i], &section->interfaces[i]))
            return error_set(e, ERROR_CONFLICT, "its interface %u is not that of the head", i);
    }
    return 0;
}

/* Reads and expands a part that the head does not describe. */
static int begin_own_part(struct verifier *v, struct error *e)
{
    int r = begin_part(v, 0, e);
    return r ? r : frame_expand(v->codec, v->stored.data, v->stored.len, v->entry.raw_length, &v->raw, e);
}

static int verify_section(struct verifier *v, struct error *e)
{
    struct chunk_head section = {.agent = v->head->agent ? v->head->agent : (char[]){""}};
    int r = begin_own_part(v, e);
    r = r ? r : body_section_read(v->raw.data, v->raw.len, &section, e);
    r = r ? r : compare_interfaces(v->head, &section, e);
    head_free(&section);
    if (r) {
        error_prefix(e, "body, section frame at byte %llu", (unsigned long long)v->at);
        return r;
    }
    return end_part(v, v->raw.len, body_frame_checksum(v->stored.data, v->stored.len), e);
}

static int verify_packets(struct verifier *v, const struct head_frame *f, struct error *e)
{
    unsigned long long number = (unsigned long long)(f - v->head->frames);
    if (f->offset != v->at)
        return error_set(e, ERROR_INVALID, "body: the head puts frame %llu at byte %llu, but byte %llu comes next",
                         number, (unsigned long long)f->offset, (unsigned long long)v->at);
    int r = begin_part(v, f->length, e);
    if (r)
        return r;
    r = body_frame_check(v->codec, f, &v->stored, &v->raw, e);
    if (r) {
        error_prefix(e, "body, frame %llu at byte %llu", number, (unsigned long long)v->at);
        return r;
    }
    return end_part(v, v->raw.len, body_frame_checksum(v->stored.data, v->stored.len), e);
}

static int verify_statistics(struct verifier *v, struct error *e)
{
    struct head_frame f;
    uint32_t statistics = 0;
    if (!statistics_frames(v->head))
        return 0;
    int r = begin_own_part(v, e);
    r = r ? r : body_frame_describe(v->raw.data, v->raw.len, &f, &statistics, e);
    if (!r && statistics != v->head->interface_count)
        r = error_set(e, ERROR_INVALID, "it holds statistics of %u interfaces, the head has %u", statistics,
                      v->head->interface_count);
    if (r) {
        error_prefix(e, "body, statistics frame at byte %llu", (unsigned long long)v->at);
        return r;
    }
    return end_part(v, v->raw.len, body_frame_checksum(v->stored.data, v->stored.len), e);
}

static int verify_end(struct verifier *v, struct error *e)
{
    if (v->at != v->source->length - v->table.len)
        return error_set(e, ERROR_INVALID, "body: %llu bytes that belong to nothing at byte %llu",
                         (unsigned long long)(v->source->length - v->table.len - v->at), (unsigned long long)v->at);
    if (v->raw_length != v->head->body_raw_length)
        return error_set(e, ERROR_INVALID, "body: it expands to %llu bytes, its head says %llu",
                         (unsigned long long)v->raw_length, (unsigned long long)v->head->body_raw_length);
    hash_stream_add(v->hash, v->table.data, v->table.len);
    if (hash_stream_value(v->hash) != v->head->body_hash)
        return error_set(e, ERROR_CORRUPT, "body: the hash over bytes 0 to %llu is not that of its head",
                         (unsigned long long)v->source->length);
    return 0;
}

static int verify_parts(struct verifier *v, struct error *e)
{
    int r = open_table(v, e);
    r = r ? r : verify_lead(v, e);
    r = r ? r : verify_section(v, e);
    for (uint32_t i = 0; i < v->head->frame_count && !r; i++)
        r = verify_packets(v, v->order[i], e);
    r = r ? r : verify_statistics(v, e);
    return r ? r : verify_end(v, e);
}

static int by_offset(const void *a, const void *b)
{
    const struct head_frame *x = *(const struct head_frame *const *)a, *y = *(const struct head_frame *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static const struct head_frame **frames_in_order(const struct chunk_head *h)
{
    const struct head_frame **order = calloc((size_t)h->frame_count + 1, sizeof(const struct head_frame *));
    if (!order)
        return NULL;
    for (uint32_t i = 0; i < h->frame_count; i++)
        order[i] = &h->frames[i];
    qsort(order, h->frame_count, sizeof(const struct head_frame *), by_offset);
    return order;
}

int body_verify(const struct body_source *s, const struct chunk_head *h, struct error *e)
{
    if (s->length != h->body_length)
        return error_set(e, s->length < h->body_length ? ERROR_TRUNCATED : ERROR_INVALID,
                         "body: %llu bytes long, its head says %llu", (unsigned long long)s->length,
                         (unsigned long long)h->body_length);
    struct verifier v = {
        .source = s, .head = h, .codec = frame_codec_new(), .hash = hash_stream_new(), .order = frames_in_order(h)};
    int r =
        v.codec && v.hash && v.order ? verify_parts(&v, e) : error_set(e, ERROR_MEMORY, "no memory to verify a body");
    free(v.order);
    hash_stream_free(v.hash);
    frame_codec_free(v.codec);
    buffer_free(&v.stored);
    buffer_free(&v.raw);
    buffer_free(&v.table);
    return r;
}
