#include "common/net/arena.h"

#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    size_t size;
    max_align_t data[];
};

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->left || sizeof(struct arena_block) > a->left - size)
        return NULL;
    struct arena_block *b = calloc(1, sizeof(*b) + size);
    if (!b)
        return NULL;
    a->left -= sizeof(*b) + size;
    b->next = a->blocks;
    b->size = size;
    a->blocks = b;
    return b->data;
}

size_t arena_size(const void *p)
{
    const struct arena_block *b = (const void *)((const char *)p - offsetof(struct arena_block, data));
    return b->size;
}

void arena_free(struct arena *a)
{
    struct arena_block *b = a->blocks;
    a->blocks = NULL;
    while (b) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
}
