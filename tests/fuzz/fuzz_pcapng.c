/*
 * pcapng from anybody, read as a stream (in pieces: the first byte says how long) and in place. What is given must be readable, and what is
 * written from it must be read as the same.
 */
#include "common/chunk/pcapng.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct stream {
    struct bytes b;
    size_t piece;
};

static long read_stream(void *context, void *buf, size_t len, struct error *e)
{
    struct stream *s = context;
    (void)e;
    size_t n = len < s->piece ? len : s->piece;
    n = n < bytes_left(&s->b) ? n : bytes_left(&s->b);
    const uint8_t *from = bytes_take(&s->b, n);
    if (n)
        memcpy(buf, from, n);
    return (long)n;
}

static volatile unsigned sink;

/* Every byte and text of the item is looked at. */
static void touch(const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        sink += p[i];
}

static void touch_text(const char *text)
{
    if (text)
        touch(text, strlen(text));
}

static void touch_interface(const struct pcapng_interface *i)
{
    touch_text(i->name);
    touch_text(i->description);
    touch_text(i->filter);
    touch_text(i->os);
    if (i->mac)
        touch(i->mac, 6);
}

static void touch_item(const struct pcapng_item *item)
{
    switch (item->kind) {
    case PCAPNG_ITEM_INTERFACE:
        touch_interface(&item->interface_info);
        break;
    case PCAPNG_ITEM_PACKET:
        touch(item->packet.data, item->packet.captured);
        touch_text(item->packet.comment);
        break;
    case PCAPNG_ITEM_JOURNAL:
    case PCAPNG_ITEM_OTHER:
        touch(item->body, item->body_length);
        break;
    default:
        break;
    }
}

static void write_and_read_again(const struct pcapng_packet *p)
{
    struct buffer out = {0};
    struct pcapng_item again;
    struct error e;
    pcapng_write_packet(&out, p);
    struct bytes b = bytes_of(out.data, out.len);
    if (!out.failed && (pcapng_next(&b, &again, &e) != 1 || again.packet.captured != p->captured ||
                        again.packet.wire != p->wire || again.packet.time_ns != p->time_ns ||
                        again.packet.flags != p->flags || memcmp(again.packet.data, p->data, p->captured) != 0 ||
                        (p->comment && strcmp(again.packet.comment, p->comment) != 0)))
        abort();
    buffer_free(&out);
}

static void read_in_place(const uint8_t *data, size_t len)
{
    struct bytes b = bytes_of(data, len);
    struct pcapng_item item;
    struct error e;
    while (pcapng_next(&b, &item, &e) > 0)
        touch_item(&item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct stream s = {.b = bytes_of(data + 1, len - 1), .piece = (size_t)data[0] + 1};
    struct pcapng_reader *r = NULL;
    struct pcapng_item item;
    struct error e;
    if (pcapng_reader_new(read_stream, &s, &r, &e))
        return 0;
    while (pcapng_reader_next(r, &item, &e) == 0 && item.kind != PCAPNG_ITEM_END) {
        touch_item(&item);
        if (item.kind == PCAPNG_ITEM_PACKET)
            write_and_read_again(&item.packet);
    }
    pcapng_reader_free(r);
    read_in_place(data + 1, len - 1);
    return 0;
}
