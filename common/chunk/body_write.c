#include "common/base/hash.h"
#include "common/chunk/body_format.h"
#include "common/chunk/head_format.h"

#include <stdlib.h>
#include <string.h>

#define SECTION_LEVEL 3

struct body_writer {
    struct frame_codec *codec; /* for the frames that are ours: section and statistics */
    struct hash_stream *hash;  /* of all bytes so far */
    struct buffer raw;
    uint64_t length;
    uint64_t raw_length;
    uint32_t interface_count;

    struct head_frame *frames; /* by number; length 0: not there yet */
    uint32_t frame_count;      /* greatest number + 1 */
    uint32_t frame_room;
    uint32_t frames_present;

    struct seek_entry *entries; /* in file order, the lead first */
    size_t entry_count;
    size_t entry_room;
};

void body_writer_free(struct body_writer *w)
{
    if (!w)
        return;
    frame_codec_free(w->codec);
    hash_stream_free(w->hash);
    buffer_free(&w->raw);
    free(w->frames);
    free(w->entries);
    free(w);
}

/* Doubles an array until it has `need` places; new ones are zero. */
static int make_room(void **array, size_t item, size_t *room, size_t need)
{
    size_t more = *room ? *room : 64;
    while (more < need)
        more *= 2;
    if (more == *room)
        return 0;
    void *p = reallocarray(*array, more, item);
    if (!p)
        return ERROR_MEMORY;
    memset((uint8_t *)p + *room * item, 0, (more - *room) * item);
    *array = p;
    *room = more;
    return 0;
}

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory to write a body");
}

/* Accounts for the next part of the body, in pieces; the last one has the whole checksum of a frame. */
static int part_in_pieces(struct body_writer *w, const struct iovec *pieces, size_t count, size_t raw_length,
                          bool is_frame, struct error *e)
{
    size_t length = 0;
    if (make_room((void **)&w->entries, sizeof(w->entries[0]), &w->entry_room, w->entry_count + 1))
        return no_memory(e);
    for (size_t i = 0; i < count; i++) {
        hash_stream_add(w->hash, pieces[i].iov_base, pieces[i].iov_len);
        length += pieces[i].iov_len;
    }
    const struct iovec *last = &pieces[count - 1];
    w->entries[w->entry_count++] = (struct seek_entry){
        .length = (uint32_t)length,
        .raw_length = (uint32_t)raw_length,
        .checksum = is_frame ? body_frame_checksum(last->iov_base, last->iov_len) : SEEK_EMPTY_CHECKSUM,
    };
    w->length += length;
    w->raw_length += raw_length;
    return 0;
}

/* Accounts for the part of `out` from `start` on: the frame just appended. */
static int part_done(struct body_writer *w, const struct buffer *out, size_t start, size_t raw_length, bool is_frame,
                     struct error *e)
{
    if (out->failed)
        return no_memory(e);
    struct iovec part = {.iov_base = out->data + start, .iov_len = out->len - start};
    return part_in_pieces(w, &part, 1, raw_length, is_frame, e);
}

/* Compresses w->raw into a frame of its own. */
static int own_frame(struct body_writer *w, struct buffer *out, struct error *e)
{
    size_t start = out->len;
    if (w->raw.failed)
        return no_memory(e);
    int r = frame_compress(w->codec, SECTION_LEVEL, w->raw.data, w->raw.len, out, e);
    return r ? r : part_done(w, out, start, w->raw.len, true, e);
}

static int write_beginning(struct body_writer *w, const struct chunk_head *h, struct buffer *out, struct error *e)
{
    int r = head_check_names(h, e);
    r = r ? r : head_check_interfaces(h, e);
    if (r)
        return r;
    size_t start = out->len;
    body_lead_write(h, out);
    r = part_done(w, out, start, 0, false, e);
    if (r)
        return r;
    body_section_write(h, &w->raw);
    return own_frame(w, out, e);
}

int body_writer_new(const struct chunk_head *h, struct buffer *out, struct body_writer **writer, struct error *e)
{
    struct body_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return no_memory(e);
    w->interface_count = h->interface_count;
    w->codec = frame_codec_new();
    w->hash = hash_stream_new();
    int r = w->codec && w->hash ? write_beginning(w, h, out, e) : no_memory(e);
    if (r)
        body_writer_free(w);
    else
        *writer = w;
    return r;
}

/* Accounts for a part of a body that is there already: reads it and appends it nowhere. */
static int part_read(struct body_writer *w, const struct body_source *s, size_t len, bool is_frame, struct buffer *part,
                     struct error *e)
{
    size_t length = 0, raw_length = 0;
    int r = body_read_part(s, w->length, len, part, e);
    if (!r && is_frame)
        r = frame_find(part->data, part->len, &length, &raw_length, e);
    if (!r && is_frame && length != len)
        r = error_set(e, ERROR_INVALID, "a frame of %zu bytes where %zu were found before", length, len);
    return r ? r : part_done(w, part, 0, raw_length, is_frame, e);
}

static int parts_read(struct body_writer *w, const struct body_source *s, const struct chunk_head *h, uint64_t end,
                      struct buffer *part, struct error *e)
{
    struct chunk_head lead = {0};
    size_t lead_length = 0;
    int r = body_lead_read(s, &lead, &lead_length, e);
    head_free(&lead);
    uint64_t section_end = h->frame_count ? h->frames[0].offset : end;
    if (!r)
        r = part_read(w, s, lead_length, false, part, e);
    if (!r && section_end > w->length)
        r = part_read(w, s, (size_t)(section_end - w->length), true, part, e);
    for (uint32_t i = 0; i < h->frame_count && !r; i++)
        r = part_read(w, s, h->frames[i].length, true, part, e);
    if (!r && w->length != end)
        r = error_set(e, ERROR_INVALID, "the frames of a cut body end at byte %llu, not %llu",
                      (unsigned long long)w->length, (unsigned long long)end);
    return r;
}

static int frames_copy(struct body_writer *w, const struct chunk_head *h)
{
    const uint32_t count = h->frame_count;
    if (count) {
        w->frames = calloc(count, sizeof(w->frames[0]));
        if (!w->frames)
            return ERROR_MEMORY;
        memcpy(w->frames, h->frames, count * sizeof(w->frames[0]));
    }
    w->frame_room = w->frame_count = w->frames_present = count;
    return 0;
}

int body_writer_resume(const struct body_source *s, const struct chunk_head *h, uint64_t end,
                       struct body_writer **writer, struct error *e)
{
    struct buffer part = {.limit = FRAME_LENGTH_MAX};
    struct body_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return no_memory(e);
    w->interface_count = h->interface_count;
    w->codec = frame_codec_new();
    w->hash = hash_stream_new();
    int r = w->codec && w->hash && !frames_copy(w, h) ? parts_read(w, s, h, end, &part, e) : no_memory(e);
    buffer_free(&part);
    if (r)
        body_writer_free(w);
    else
        *writer = w;
    return r;
}

static int frame_check_new(const struct body_writer *w, uint32_t number, const struct head_frame *f, size_t len,
                           struct error *e)
{
    if (number >= HEAD_FRAMES_MAX)
        return error_set(e, ERROR_LIMIT, "frame %u: at most %u are allowed in a body", number, HEAD_FRAMES_MAX);
    if (number < w->frame_count && w->frames[number].length)
        return error_set(e, ERROR_EXISTS, "frame %u is written already", number);
    if (f->interface >= w->interface_count)
        return error_set(e, ERROR_INVALID, "frame %u is of interface %u of %u", number, f->interface,
                         w->interface_count);
    if (len < 4 || len > UINT32_MAX || f->raw_length > FRAME_RAW_MAX)
        return error_set(e, ERROR_LIMIT, "frame %u: %zu bytes, %u expanded", number, len, f->raw_length);
    return 0;
}

int body_writer_take(struct body_writer *w, uint32_t number, struct head_frame *f, const struct iovec *pieces,
                     size_t count, struct error *e)
{
    size_t len = 0, room = w->frame_room;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].iov_len;
    int r = frame_check_new(w, number, f, len, e);
    if (r)
        return r;
    if (make_room((void **)&w->frames, sizeof(w->frames[0]), &room, (size_t)number + 1))
        return no_memory(e);
    w->frame_room = (uint32_t)room;
    f->offset = w->length;
    f->length = (uint32_t)len;
    r = part_in_pieces(w, pieces, count, f->raw_length, true, e);
    if (r)
        return r;
    w->frames[number] = *f;
    w->frames_present++;
    if (number >= w->frame_count)
        w->frame_count = number + 1;
    return 0;
}

static int write_statistics(struct body_writer *w, const struct counters *cumulative, uint64_t now_ns,
                            struct buffer *out, struct error *e)
{
    if (!w->interface_count)
        return 0;
    buffer_clear(&w->raw);
    for (uint32_t i = 0; i < w->interface_count; i++)
        pcapng_write_statistics(&w->raw, i, now_ns, 0, 0, &cumulative[i], NULL);
    return own_frame(w, out, e);
}

int body_writer_finish(struct body_writer *w, const struct counters *cumulative, uint64_t now_ns, struct chunk_head *h,
                       struct buffer *out, struct error *e)
{
    if (w->frames_present != w->frame_count)
        return error_set(e, ERROR_INVALID, "a body of %u frames has only %u of them", w->frame_count,
                         w->frames_present);
    int r = write_statistics(w, cumulative, now_ns, out, e);
    if (r)
        return r;
    size_t start = out->len;
    body_seek_table_write(out, w->entries, w->entry_count);
    if (out->failed)
        return no_memory(e);
    hash_stream_add(w->hash, out->data + start, out->len - start);
    h->frames = w->frames;
    h->frame_count = w->frame_count;
    h->body_length = w->length + (out->len - start);
    h->body_raw_length = w->raw_length;
    h->body_hash = hash_stream_value(w->hash);
    h->body = BODY_ON_AGENT;
    return 0;
}
