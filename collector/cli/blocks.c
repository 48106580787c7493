#include "collector/cli/blocks.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK_HEADER 8u
#define BLOCK_LEAST  12u

struct blocks {
    blocks_each_fn *each;
    void *context;
    struct pcapng_reader *reader;
    struct buffer pending; /* bytes that the reader has not taken */
    size_t taken;          /* of pending, by the reader */
    size_t whole;          /* of pending: to the end of the last block that is there as a whole */
    uint64_t whole_offset; /* the same in the file */
};

/* The reader gets whole blocks only: it never finds the file ended too early. */
static long read_pending(void *context, void *buf, size_t len, struct error *e)
{
    struct blocks *b = context;
    (void)e;
    size_t n = b->whole - b->taken < len ? b->whole - b->taken : len;
    if (n)
        memcpy(buf, b->pending.data + b->taken, n);
    b->taken += n;
    return (long)n;
}

int blocks_new(blocks_each_fn *each, void *context, struct blocks **out, struct error *e)
{
    struct blocks *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(e, ERROR_MEMORY, "no memory to read packets");
    b->each = each;
    b->context = context;
    int r = pcapng_reader_new(read_pending, b, &b->reader, e);
    if (r) {
        free(b);
        return r;
    }
    *out = b;
    return 0;
}

void blocks_free(struct blocks *b)
{
    if (!b)
        return;
    buffer_free(&b->pending);
    pcapng_reader_free(b->reader);
    free(b);
}

/* Moves `whole` on over the blocks that are there. */
static int find_blocks(struct blocks *b, struct error *e)
{
    while (b->pending.len - b->whole >= BLOCK_HEADER) {
        const uint8_t *p = b->pending.data + b->whole;
        uint32_t length = (uint32_t)p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24;
        if (length < BLOCK_LEAST || length > PCAPNG_BLOCK_MAX)
            return error_set(e, ERROR_INVALID, "the packets are damaged: a block of %u bytes at byte %llu", length,
                             (unsigned long long)b->whole_offset);
        if (b->pending.len - b->whole < length)
            return 0;
        b->whole += length;
        b->whole_offset += length;
    }
    return 0;
}

static void forget_taken(struct blocks *b)
{
    size_t left = b->pending.len - b->taken;
    if (left && b->taken)
        memmove(b->pending.data, b->pending.data + b->taken, left);
    b->pending.len = left;
    b->whole -= b->taken;
    b->taken = 0;
}

int blocks_feed(struct blocks *b, const void *data, size_t len, struct error *e)
{
    buffer_append(&b->pending, data, len);
    int r = b->pending.failed ? error_set(e, ERROR_MEMORY, "no memory to read packets") : find_blocks(b, e);
    while (r == 0 && pcapng_reader_offset(b->reader) < b->whole_offset) {
        struct pcapng_item item;
        r = pcapng_reader_next(b->reader, &item, e);
        if (r == 0)
            r = b->each(b->context, &item, e);
    }
    forget_taken(b);
    return r < 0 ? r : 0;
}

int blocks_restart(struct blocks *b, struct error *e)
{
    struct pcapng_reader *reader;
    if (b->pending.len > 0)
        return error_set(e, ERROR_TRUNCATED, "the packets are damaged: they end amid a block");
    int r = pcapng_reader_new(read_pending, b, &reader, e);
    if (r)
        return r;
    pcapng_reader_free(b->reader);
    b->reader = reader;
    b->whole_offset = 0;
    return 0;
}
