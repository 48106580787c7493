#include "tests/unit/sink_memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_body(struct sink *s, uint64_t seq, struct error *e)
{
    (void)s;
    int fd = memfd_create("body", MFD_CLOEXEC);
    return fd >= 0 ? fd : error_set(e, ERROR_MEMORY, "no memory for body %" PRIu64, seq);
}

static int keep_item(struct sink *s, uint64_t seq, const void *head, size_t len, bool with_body, int fd,
                     struct error *e)
{
    struct sink_memory *m = (struct sink_memory *)s;
    (void)e;
    if (seq != m->count || m->count == m->most)
        abort();
    struct sink_memory_item *i = &m->items[m->count++];
    buffer_append(&i->head, head, len);
    i->body = with_body && m->bodies ? dup(fd) : -1;
    if (with_body && m->bodies && i->body < 0)
        abort();
    return 0;
}

static int there_is_room(struct sink *s, uint64_t need, struct error *e)
{
    (void)s;
    (void)need;
    (void)e;
    return 0;
}

void sink_memory_init(struct sink_memory *m, uint32_t most, bool bodies)
{
    *m = (struct sink_memory){.sink = {.open_body = open_body, .seal = keep_item, .room = there_is_room},
                              .items = calloc(most, sizeof *m->items),
                              .most = most,
                              .bodies = bodies};
    if (!m->items)
        abort();
}

void sink_memory_free(struct sink_memory *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        buffer_free(&m->items[i].head);
        if (m->items[i].body >= 0)
            close(m->items[i].body);
    }
    free(m->items);
}
