/*
 * Packets from a stranger, at two vantages, drawn in every way. A byte that says where and when, two of length, then the
 * packet; again and again.
 */
#include "collector/ladder/draw.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS_MAX 128u
#define DRAWING_MAX ((size_t)1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A copy of exactly this size. */
static void take(struct ladder *l, uint32_t vantage, uint64_t time_ns, const uint8_t *data, uint32_t len)
{
    struct packet p;
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        return;
    memcpy(copy, data, len);
    packet_decode(1, copy, len, len, &p);
    (void)!ladder_take(l, vantage, &p, time_ns, NULL);
    free(copy);
}

static void draw_all(const struct ladder *l, unsigned width)
{
    static int (*const draws[])(const struct ladder *, const struct draw_options *, struct buffer *,
                                struct error *) = {draw_text, draw_svg, draw_html, draw_json};
    for (size_t i = 0; i < sizeof draws / sizeof draws[0]; i++)
        for (unsigned full = 0; full < 2; full++) {
            struct buffer out = {.limit = DRAWING_MAX};
            struct draw_options o = {.full = full, .width = width, .colour = full};
            (void)!draws[i](l, &o, &out, NULL);
            buffer_free(&out);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ladder *l;
    uint32_t vantage[2];
    uint64_t time_ns = UINT64_C(1700000000000000000);
    unsigned width = len ? data[0] : 0;
    if (ladder_new(NULL, &l, NULL))
        return 0;
    if (ladder_add_vantage(l, "a/x", &vantage[0], NULL) || ladder_add_vantage(l, "b/y", &vantage[1], NULL))
        len = 0;
    for (unsigned i = 0; i < PACKETS_MAX && len >= 3; i++) {
        uint8_t how = data[0];
        size_t size = (size_t)data[1] << 8 | data[2];
        data += 3;
        len -= 3;
        size = size < len ? size : len;
        time_ns += (uint64_t)(how >> 1) * 100000;
        take(l, vantage[how & 1], time_ns, data, (uint32_t)size);
        data += size;
        len -= size;
    }
    if (ladder_finish(l, NULL) == 0)
        draw_all(l, width);
    ladder_free(l);
    return 0;
}
