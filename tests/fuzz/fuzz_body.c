/*
 * Bodies from anybody. No fuzzer guesses checksums, so input is also taken as what stands inside: u16 length of the section's blocks, these blocks,
 * and the blocks of one frame of packets. What a scan finds must be readable frame by frame, and good in a new body.
 */
#include "common/base/hash.h"
#include "tests/unit/body_frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct frame_codec *codec;

static int read_memory(void *context, uint64_t offset, void *buf, size_t len, struct error *e)
{
    const struct buffer *b = context;
    if (offset > b->len || len > b->len - offset)
        return error_set(e, ERROR_TRUNCATED, "past the end");
    memcpy(buf, b->data + offset, len);
    return 0;
}

/* A new body of the frames found: what is taken from damaged files must not be refused later. */
static void rebuild(const struct buffer *from, struct chunk_head *h)
{
    struct body_writer *w = NULL;
    struct buffer out = {0};
    struct error e;
    struct counters *none = calloc((size_t)h->interface_count + 1, sizeof(*none));
    if (!none || body_writer_new(h, &out, &w, &e))
        abort();
    uint32_t count = h->frame_count;
    for (uint32_t i = 0; i < count; i++) {
        struct head_frame f = h->frames[i];
        if (body_frame(w, i, &f, from->data + f.offset, f.length, &out, &e))
            abort();
    }
    struct body_source s = {.read = read_memory, .context = &out};
    if (body_writer_finish(w, none, 0, h, &out, &e))
        abort();
    s.length = out.len;
    if (body_verify(&s, h, &e))
        abort();
    body_writer_free(w);
    buffer_free(&out);
    free(none);
}

static void scan(struct buffer *body)
{
    struct body_source s = {.read = read_memory, .context = body, .length = body->len};
    struct chunk_head h;
    struct error e, reason;
    struct buffer raw = {0};
    uint64_t end = 0;
    if (body_scan(&s, &h, &end, &reason, &e))
        return;
    if (end > body->len)
        abort();
    for (uint32_t i = 0; i < h.frame_count; i++) {
        if (body_read_frame(&s, codec, &h.frames[i], &raw, &e))
            abort();
    }
    h.body_length = body->len;
    if (body_verify(&s, &h, &e) == 0) /* its hash is not known to the scan */
        abort();
    rebuild(body, &h);
    head_free(&h);
    buffer_free(&raw);
}

/* As it is, but for the hash of the leading frame. */
static void scan_as_is(const uint8_t *data, size_t len)
{
    struct buffer body = {0};
    buffer_append(&body, data, len);
    uint64_t size = len > 8 ? data[4] | (uint64_t)data[5] << 8 : 0;
    if (size >= 8 && size + 8 <= len) {
        uint64_t hash = hash64(body.data + 8, size - 8);
        for (unsigned i = 0; i < 8; i++)
            body.data[size + i] = (uint8_t)(hash >> 8 * i);
    }
    scan(&body);
    buffer_free(&body);
}

static void scan_made(const uint8_t *data, size_t len)
{
    struct chunk_head none = {.agent = (char[]){"a"}};
    struct body_writer *w = NULL;
    struct buffer body = {0};
    struct error e;
    struct bytes b = bytes_of(data, len);
    if (body_writer_new(&none, &body, &w, &e))
        return;
    body_writer_free(w);
    body.len = 8 + (size_t)body.data[4]; /* the leading frame alone */
    struct bytes section = bytes_sub(&b, bytes_le16(&b));
    size_t packets = bytes_left(&b);
    if (!section.bad && frame_compress(codec, 1, section.p, bytes_left(&section), &body, &e) == 0 &&
        frame_compress(codec, 1, b.p, packets, &body, &e) == 0)
        scan(&body);
    buffer_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!codec)
        codec = frame_codec_new();
    scan_as_is(data, len);
    scan_made(data, len);
    return 0;
}
