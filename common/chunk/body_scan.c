/*
 * Scanning a body without its head: frame after frame from its beginning, each expanded and walked, until something is
 * not whole.
 */
#include "common/chunk/body_format.h"
#include "common/chunk/head_format.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES (FRAME_RAW_TARGET + (32u << 10)) /* holds most frames whole */

struct scan {
    const struct body_source *source;
    struct chunk_head *head;
    struct frame_codec *codec;
    struct buffer stored, raw;
    uint64_t at;

    struct head_frame *frames;
    uint32_t count, room;
};

/* What is wrong with the body ends the scan and is its reason; what is wrong here (reading, memory) is an error. */
static bool is_reason(int code)
{
    return code == ERROR_TRUNCATED || code == ERROR_INVALID || code == ERROR_CORRUPT || code == ERROR_LIMIT ||
           code == ERROR_VERSION;
}

static int find_in(struct scan *s, size_t most, size_t *length, size_t *raw_length, struct error *e)
{
    uint64_t left = s->source->length - s->at;
    int r = body_read_part(s->source, s->at, left < most ? (size_t)left : most, &s->stored, e);
    return r ? r : frame_find(s->stored.data, s->stored.len, length, raw_length, e);
}

/* Reads and expands the frame at s->at: stored and raw. */
static int next_frame(struct scan *s, struct error *e)
{
    size_t length = 0, raw_length = 0;
    int r = find_in(s, WINDOW_BYTES, &length, &raw_length, e);
    if (r == ERROR_TRUNCATED && s->stored.len == WINDOW_BYTES)
        r = find_in(s, FRAME_LENGTH_MAX, &length, &raw_length, e);
    if (r)
        return r;
    s->stored.len = length;
    return frame_expand(s->codec, s->stored.data, length, raw_length, &s->raw, e);
}

static int add_frame(struct scan *s, struct head_frame *f, struct error *e)
{
    if (f->interface >= s->head->interface_count)
        return error_set(e, ERROR_INVALID, "its packets are of interface %u of %u", f->interface,
                         s->head->interface_count);
    if (s->count == HEAD_FRAMES_MAX)
        return error_set(e, ERROR_LIMIT, "more than %u frames", HEAD_FRAMES_MAX);
    if (s->count == s->room) {
        uint32_t room = s->room ? 2 * s->room : 256;
        struct head_frame *p = reallocarray(s->frames, room, sizeof(*p));
        if (!p)
            return error_set(e, ERROR_MEMORY, "no memory for %u frames", room);
        s->frames = p;
        s->room = room;
    }
    f->offset = s->at;
    f->length = (uint32_t)s->stored.len;
    f->raw_length = (uint32_t)s->raw.len;
    s->frames[s->count++] = *f;
    return 0;
}

/* All frames of packets; *statistics is set if the statistics frame was found behind them. */
static int scan_packets(struct scan *s, uint32_t *statistics, struct error *e)
{
    int r = 0;
    while (!r && s->at < s->source->length) {
        struct head_frame f;
        r = next_frame(s, e);
        r = r ? r : body_frame_describe(s->raw.data, s->raw.len, &f, statistics, e);
        if (r || *statistics)
            break;
        r = add_frame(s, &f, e);
        s->at += r ? 0 : s->stored.len;
    }
    return r;
}

/* Behind the statistics (which a body without interfaces lacks) nothing but the seek table may stand, to the last byte.
 */
static int scan_end(const struct scan *s, uint32_t statistics, struct error *e)
{
    uint8_t table[ZSTD_SKIPPABLE_HEADER];
    uint64_t at = s->at + (statistics ? s->stored.len : 0);
    uint64_t wanted = body_seek_table_length(s->count + (statistics ? 3 : 2));
    if (s->source->length - at < wanted)
        return error_set(e, ERROR_TRUNCATED, "body: cut at byte %llu, inside the seek table",
                         (unsigned long long)s->source->length);
    int r = s->source->read(s->source->context, at, table, sizeof(table), e);
    struct bytes b = bytes_of(table, sizeof(table));
    if (!r && (bytes_le32(&b) != SEEK_MAGIC || s->source->length - at != wanted))
        r = error_set(e, ERROR_INVALID, "body: no seek table to the end of the file at byte %llu",
                      (unsigned long long)at);
    return r;
}

static int scan_section(struct scan *s, struct error *e)
{
    int r = next_frame(s, e);
    r = r ? r : body_section_read(s->raw.data, s->raw.len, s->head, e);
    if (r)
        s->head->interface_count = 0;
    else
        s->at += s->stored.len;
    return r;
}

static int scan_frames(struct scan *s, struct error *e)
{
    uint32_t statistics = 0;
    bool section = s->at < s->source->length;
    int r = section ? scan_section(s, e) : 0;
    if (!r && s->head->interface_count)
        r = scan_packets(s, &statistics, e);
    if (r) {
        error_prefix(e, "body, frame at byte %llu", (unsigned long long)s->at);
        return r;
    }
    if (statistics || (section && !s->head->interface_count))
        return scan_end(s, statistics, e);
    return error_set(e, ERROR_TRUNCATED, "body: it ends at byte %llu, without statistics and seek table",
                     (unsigned long long)s->at);
}

static int fill_head(const struct scan *s, struct error *e)
{
    struct chunk_head *h = s->head;
    h->kind = HEAD_CHUNK;
    h->seal = SEAL_RECOVERED;
    h->body = BODY_ON_AGENT;
    h->first_ns = UINT64_MAX;
    h->software = head_text(h, "", 0);
    h->frames = head_alloc(h, s->count * sizeof(h->frames[0]));
    if (!h->frames || !h->software)
        return error_set(e, ERROR_MEMORY, "no memory for %u frames", s->count);
    h->frame_count = s->count;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct head_frame *f = &s->frames[i];
        h->frames[i] = *f;
        if (f->packets && f->first_ns < h->first_ns)
            h->first_ns = f->first_ns;
        if (f->packets && f->last_ns > h->last_ns)
            h->last_ns = f->last_ns;
    }
    return 0;
}

static int scan_all(struct scan *s, struct error *reason, struct error *e)
{
    size_t lead = 0;
    int r = body_lead_read(s->source, s->head, &lead, e);
    if (r)
        return r;
    s->at = lead;
    struct error why = ERROR_INIT;
    r = scan_frames(s, &why);
    if (r && !is_reason(r)) {
        if (e)
            *e = why;
        return r;
    }
    if (reason)
        *reason = why;
    return fill_head(s, e);
}

int body_scan(const struct body_source *source, struct chunk_head *h, uint64_t *end, struct error *reason,
              struct error *e)
{
    memset(h, 0, sizeof(*h));
    struct scan s = {.source = source, .head = h, .codec = frame_codec_new()};
    int r = s.codec ? scan_all(&s, reason, e) : error_set(e, ERROR_MEMORY, "no memory to scan a body");
    *end = s.at;
    free(s.frames);
    frame_codec_free(s.codec);
    buffer_free(&s.stored);
    buffer_free(&s.raw);
    if (r)
        head_free(h);
    return r;
}
