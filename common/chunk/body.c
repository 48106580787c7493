/*
 * The bytes of a body.
 *
 *   body       := lead | section frame | packet frame ... | statistics frame | seek table
 *   lead       := skippable zstd frame, magic 0x184D2A50: "FDBODY1\0" | epoch 16 bytes | seq u64 | open_wall_ns u64 |
 * open_mono_ns u64 | agent text | capture text | filter text | hash64 of this content so far. text is a varint length
 * and that many bytes, none of them 0. section    := zstd frame of one section header block and an interface block per
 * interface of the head, in its order: if_name is "agent/name", if_description the interface's, or the agent's name if
 * it has none. The filter stands in each, unless the frame would pass FRAME_RAW_MAX by that. packets    := zstd frame
 * (common/chunk/frame.h) of enhanced packet blocks, all of one interface, and journal blocks statistics := zstd frame
 * of an interface statistics block per interface, in order; left out if there are no interfaces seek table := skippable
 * zstd frame, magic 0x184D2A5E: entries | count u32 | descriptor u8 (0x80: checksums) | 0x8F92EAB1. An entry for each
 * frame before it, the lead included: length u32 | raw length u32 | low 32 bits of the XXH64 of the content u32
 *
 * What makes each part valid:
 *   lead        size at most LEAD_BYTES_MAX, mark and hash match, texts fill it exactly: known as soon as it is whole,
 * so that what a crash has cut still names its chunk frames      each as frame.c says; content of whole blocks; packets
 * of one known interface body        nothing between the parts, packet frames are those of the head (in any order in
 * the file), the seek table says of every frame what is so, length and hash64 are the head's
 */
#include "common/base/hash.h"
#include "common/chunk/body_format.h"
#include "common/chunk/head_format.h"

#include <stdio.h>
#include <string.h>

static void put_text(struct buffer *out, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    buffer_varint(out, len);
    buffer_append(out, text, len);
}

static void put_le32_at(struct buffer *out, size_t at, uint32_t v)
{
    for (unsigned i = 0; i < 4 && !out->failed; i++)
        out->data[at + i] = (uint8_t)(v >> 8 * i);
}

void body_lead_write(const struct chunk_head *h, struct buffer *out)
{
    buffer_le32(out, LEAD_MAGIC);
    buffer_le32(out, 0);
    size_t start = out->len;
    buffer_append(out, LEAD_MARK, LEAD_MARK_BYTES);
    buffer_append(out, h->epoch, EPOCH_SIZE);
    buffer_le64(out, h->seq);
    buffer_le64(out, h->open_wall_ns);
    buffer_le64(out, h->open_mono_ns);
    put_text(out, h->agent);
    put_text(out, h->capture);
    put_text(out, h->filter);
    if (out->failed)
        return;
    buffer_le64(out, hash64(out->data + start, out->len - start));
    put_le32_at(out, start - 4, (uint32_t)(out->len - start));
}

static char *take_text(struct chunk_head *h, struct bytes *b)
{
    uint64_t len = bytes_varint(b);
    const uint8_t *text = bytes_take(b, len);
    b->bad = b->bad || memchr(text, 0, len) != NULL;
    return b->bad ? NULL : head_text(h, text, len);
}

static int lead_parse(struct chunk_head *h, struct bytes b, struct error *e)
{
    const uint8_t *mark = bytes_take(&b, LEAD_MARK_BYTES);
    if (!mark || memcmp(mark, LEAD_MARK, LEAD_MARK_BYTES) != 0)
        return error_set(e, ERROR_VERSION, "body: no mark of a version that is known at byte %u",
                         ZSTD_SKIPPABLE_HEADER);
    if (bytes_left(&b) < 8)
        return error_set(e, ERROR_INVALID, "body: the leading frame is too short");
    struct bytes hashed = bytes_of(b.start, (size_t)(b.end - b.start) - 8);
    struct bytes hash = bytes_of(hashed.end, 8);
    if (bytes_le64(&hash) != hash64(hashed.start, bytes_left(&hashed)))
        return error_set(e, ERROR_CORRUPT,
                         "body: the leading frame (its content begins at byte %u) is damaged: the hash does not match",
                         ZSTD_SKIPPABLE_HEADER);
    b.end -= 8;
    const uint8_t *epoch = bytes_take(&b, EPOCH_SIZE);
    if (epoch)
        memcpy(h->epoch, epoch, EPOCH_SIZE);
    h->seq = h->last_seq = bytes_le64(&b);
    h->open_wall_ns = bytes_le64(&b);
    h->open_mono_ns = bytes_le64(&b);
    h->agent = take_text(h, &b);
    h->capture = take_text(h, &b);
    h->filter = take_text(h, &b);
    if (b.bad || bytes_left(&b))
        return error_set(e, ERROR_INVALID, "body: the leading frame is malformed at byte %zu",
                         ZSTD_SKIPPABLE_HEADER + bytes_at(&b));
    if (!h->agent || !h->capture || !h->filter)
        return error_set(e, ERROR_MEMORY, "no memory for names");
    return head_check_names(h, e);
}

int body_lead_read(const struct body_source *s, struct chunk_head *h, size_t *length, struct error *e)
{
    uint8_t lead[LEAD_BYTES_MAX];
    if (s->length < ZSTD_SKIPPABLE_HEADER)
        return error_set(e, ERROR_TRUNCATED, "body: %llu bytes are too few", (unsigned long long)s->length);
    int r = s->read(s->context, 0, lead, ZSTD_SKIPPABLE_HEADER, e);
    if (r)
        return r;
    struct bytes b = bytes_of(lead, ZSTD_SKIPPABLE_HEADER);
    uint32_t magic = bytes_le32(&b), size = bytes_le32(&b);
    if (magic != LEAD_MAGIC || size > LEAD_BYTES_MAX)
        return error_set(e, ERROR_INVALID, "body: no leading frame at byte 0");
    if (size > s->length - ZSTD_SKIPPABLE_HEADER)
        return error_set(e, ERROR_TRUNCATED, "body: cut at byte %llu, inside the leading frame",
                         (unsigned long long)s->length);
    r = s->read(s->context, ZSTD_SKIPPABLE_HEADER, lead, size, e);
    *length = ZSTD_SKIPPABLE_HEADER + size;
    return r ? r : lead_parse(h, bytes_of(lead, size), e);
}

size_t body_seek_table_length(size_t count)
{
    return ZSTD_SKIPPABLE_HEADER + count * SEEK_ENTRY_BYTES + SEEK_FOOTER_BYTES;
}

void body_seek_table_write(struct buffer *out, const struct seek_entry *entries, size_t count)
{
    buffer_le32(out, SEEK_MAGIC);
    buffer_le32(out, (uint32_t)(body_seek_table_length(count) - ZSTD_SKIPPABLE_HEADER));
    for (size_t i = 0; i < count; i++) {
        buffer_le32(out, entries[i].length);
        buffer_le32(out, entries[i].raw_length);
        buffer_le32(out, entries[i].checksum);
    }
    buffer_le32(out, (uint32_t)count);
    buffer_u8(out, SEEK_HAS_CHECKSUM);
    buffer_le32(out, SEEK_END_MAGIC);
}

uint32_t body_frame_checksum(const void *frame, size_t len)
{
    struct bytes b = bytes_of((const uint8_t *)frame + len - 4, 4);
    return bytes_le32(&b);
}

static void section_write(const struct chunk_head *h, const char *filter, struct buffer *raw)
{
    char comment[HEAD_NAME_MAX + 128], name[2 * HEAD_NAME_MAX + 2], epoch[2 * EPOCH_SIZE + 1];
    for (size_t i = 0; i < EPOCH_SIZE; i++)
        snprintf(epoch + 2 * i, 3, "%02x", h->epoch[i]);
    snprintf(comment, sizeof(comment), "capture %s, stream %s, chunk %llu", h->capture ? h->capture : "", epoch,
             (unsigned long long)h->seq);
    const char *agent = h->agent ? h->agent : "";
    pcapng_write_section(raw, NULL, NULL, h->software, comment);
    for (uint32_t i = 0; i < h->interface_count; i++) {
        const struct head_interface *from = &h->interfaces[i];
        snprintf(name, sizeof(name), "%s/%s", agent, from->name ? from->name : "");
        pcapng_write_interface(raw,
                               &(struct pcapng_interface){
                                   .name = name,
                                   .description = from->description && *from->description ? from->description : agent,
                                   .filter = filter,
                                   .link_type = from->link_type,
                                   .snaplen = from->snaplen,
                                   .mac = from->has_mac ? from->mac : NULL,
                                   .speed_bps = from->speed_bps,
                               });
    }
}

void body_section_write(const struct chunk_head *h, struct buffer *raw)
{
    section_write(h, h->filter, raw);
    if (raw->len <= FRAME_RAW_MAX)
        return;
    buffer_clear(raw);
    section_write(h, NULL, raw);
}
