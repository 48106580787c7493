#include "collector/cli/labels.h"
#include "common/base/buffer.h"
#include "common/chunk/pcapng.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK_HEADER 8u
#define BLOCK_LEAST  12u

struct labels {
    struct pcapng_reader *reader;
    struct buffer pending; /* bytes that the reader has not taken */
    size_t taken;          /* of pending, by the reader */
    size_t whole;          /* of pending: to the end of the last block that is there as a whole */
    uint64_t whole_offset; /* the same in the file */
    char **names;          /* of interfaces */
    uint32_t name_count;
    uint32_t *queue; /* interfaces of the packets fed and not yet given */
    size_t first, count, room;
    uint64_t packets;
};

/* The reader gets whole blocks only: it never finds the file ended too early. */
static long read_pending(void *context, void *buf, size_t len, struct error *e)
{
    struct labels *l = context;
    (void)e;
    size_t n = l->whole - l->taken < len ? l->whole - l->taken : len;
    if (n)
        memcpy(buf, l->pending.data + l->taken, n);
    l->taken += n;
    return (long)n;
}

int labels_new(struct labels **out, struct error *e)
{
    struct labels *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(e, ERROR_MEMORY, "no memory to read packets");
    int r = pcapng_reader_new(read_pending, l, &l->reader, e);
    if (r) {
        free(l);
        return r;
    }
    *out = l;
    return 0;
}

void labels_free(struct labels *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; i < l->name_count; i++)
        free(l->names[i]);
    free(l->names);
    free(l->queue);
    buffer_free(&l->pending);
    pcapng_reader_free(l->reader);
    free(l);
}

/* ------------------------------------------------------------------ blocks */

/* Moves `whole` on over the blocks that are there. */
static int find_blocks(struct labels *l, struct error *e)
{
    while (l->pending.len - l->whole >= BLOCK_HEADER) {
        const uint8_t *p = l->pending.data + l->whole;
        uint32_t length = (uint32_t)p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24;
        if (length < BLOCK_LEAST || length > PCAPNG_BLOCK_MAX)
            return error_set(e, ERROR_INVALID, "the packets are damaged: a block of %u bytes at byte %llu", length,
                             (unsigned long long)l->whole_offset);
        if (l->pending.len - l->whole < length)
            return 0;
        l->whole += length;
        l->whole_offset += length;
    }
    return 0;
}

static int add_name(struct labels *l, const char *name, struct error *e)
{
    struct error printable = ERROR_INIT;
    char **grown = realloc(l->names, (l->name_count + 1u) * sizeof(char *));
    if (grown)
        l->names = grown;
    (void)error_set(&printable, ERROR_NONE, "%s", name ? name : "?");
    if (!grown || !(grown[l->name_count] = strdup(printable.text)))
        return error_set(e, ERROR_MEMORY, "no memory for interface names");
    l->name_count++;
    return 0;
}

static int add_packet(struct labels *l, uint32_t interface, struct error *e)
{
    if (l->first + l->count == l->room && l->first >= l->room / 2) {
        if (l->count)
            memmove(l->queue, l->queue + l->first, l->count * sizeof *l->queue);
        l->first = 0;
    }
    if (l->first + l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 1024;
        uint32_t *grown = realloc(l->queue, room * sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "no memory for %zu packets", room);
        l->queue = grown;
        l->room = room;
    }
    l->queue[l->first + l->count++] = interface;
    l->packets++;
    return 0;
}

static void forget_taken(struct labels *l)
{
    size_t left = l->pending.len - l->taken;
    if (left)
        memmove(l->pending.data, l->pending.data + l->taken, left);
    l->pending.len = left;
    l->whole -= l->taken;
    l->taken = 0;
}

int labels_feed(struct labels *l, const void *data, size_t len, struct error *e)
{
    buffer_append(&l->pending, data, len);
    int r = l->pending.failed ? error_set(e, ERROR_MEMORY, "no memory to read packets") : find_blocks(l, e);
    while (r == 0 && pcapng_reader_offset(l->reader) < l->whole_offset) {
        struct pcapng_item item;
        r = pcapng_reader_next(l->reader, &item, e);
        if (r == 0 && item.kind == PCAPNG_ITEM_INTERFACE)
            r = add_name(l, item.interface_info.name, e);
        else if (r == 0 && item.kind == PCAPNG_ITEM_PACKET)
            r = add_packet(l, item.packet.interface, e);
    }
    forget_taken(l);
    return r < 0 ? r : 0;
}

/* ------------------------------------------------------------------ labels */

uint64_t labels_packets(const struct labels *l)
{
    return l->packets;
}

const char *labels_next(struct labels *l)
{
    if (l->count == 0)
        return "?";
    uint32_t interface = l->queue[l->first++];
    l->count--;
    return interface < l->name_count ? l->names[interface] : "?";
}
