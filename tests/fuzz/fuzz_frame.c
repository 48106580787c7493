/*
 * Frames from anybody (the first 3 bytes say how long they are said to be when expanded), and whatever is compressed comes back.
 */
#include "common/base/bytes.h"
#include "common/chunk/frame.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct frame_codec *codec;
    struct buffer raw = {0}, stored = {0};
    struct error e;
    size_t length = 0, raw_length = 0;
    if (!codec)
        codec = frame_codec_new();
    struct bytes b = bytes_of(data, len);
    uint32_t said = bytes_le16(&b);
    said |= (uint32_t)bytes_u8(&b) << 16;
    int found = frame_find(b.p, bytes_left(&b), &length, &raw_length, &e);
    int expanded = frame_expand(codec, b.p, bytes_left(&b), found == 0 ? raw_length : said, &raw, &e);
    if (expanded == 0 && (found != 0 || length != bytes_left(&b) || raw.len != raw_length))
        abort();
    if (frame_compress(codec, (int)(said % 8) - 4, data, len, &stored, &e) ||
        frame_expand(codec, stored.data, stored.len, len, &raw, &e) || raw.len != len ||
        (len && memcmp(raw.data, data, len) != 0))
        abort();
    buffer_free(&raw);
    buffer_free(&stored);
    return 0;
}
