#include "agent/ship/spool.h"

#include "agent/ship/spool_dir.h"
#include "common/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    struct spool_stream_info info;
    uint64_t start_ns; /* wall clock */
};

struct stream_list {
    struct entry *entries;
    size_t count;
    size_t room;
};

static int add_entry(struct stream_list *l, const struct entry *entry, struct error *e)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 16;
        struct entry *entries = reallocarray(l->entries, room, sizeof(*entries));
        if (!entries)
            return error_set(e, ERROR_MEMORY, "no memory for the list of streams");
        l->entries = entries;
        l->room = room;
    }
    l->entries[l->count++] = *entry;
    return 0;
}

/* When the stream began: its counter page says so, and for want of one the folder. */
static uint64_t start_of(int dirfd, const uint8_t epoch[EPOCH_SIZE])
{
    struct counter_page page;
    struct stat st;
    if (counter_page_copy(dirfd, epoch, &page, NULL) == 0 && page.start_wall_ns)
        return page.start_wall_ns;
    if (fstat(dirfd, &st) != 0)
        return 0;
    return (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
}

static int read_stream(int dirfd, struct entry *entry, struct error *e)
{
    struct spool_dir d;
    int r = spool_dir_read(dirfd, &d, e);
    if (r)
        return r;
    struct spool_stream_info *i = &entry->info;
    i->writer_alive = spool_writer_lives(dirfd);
    i->ended = d.ended;
    i->first_seq = d.first_seq;
    i->next_seq = d.next_seq;
    i->bytes = d.bytes;
    entry->start_ns = start_of(dirfd, i->epoch);
    return 0;
}

/* A folder that cannot be read is left out: it costs itself alone. */
static int list_name(void *context, int spool, const char *name, struct error *e)
{
    struct stream_list *l = context;
    uint8_t epoch[EPOCH_SIZE];
    if (!spool_stream_parse(name, epoch))
        return 0;
    struct entry entry = {0};
    struct error why = ERROR_INIT;
    memcpy(entry.info.epoch, epoch, EPOCH_SIZE);
    int dirfd = spool_dir_open(spool, epoch, &why);
    int r = dirfd < 0 ? dirfd : read_stream(dirfd, &entry, &why);
    if (dirfd >= 0)
        close(dirfd);
    if (!r)
        return add_entry(l, &entry, e);
    if (r != ERROR_NOT_FOUND) /* else it is over since the folder was read */
        log_warn("spool: %s: %s", name, why.text);
    return 0;
}

static int by_start(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    return memcmp(x->info.epoch, y->info.epoch, EPOCH_SIZE);
}

int spool_list(struct spool *s, struct spool_stream_info **out, size_t *count, struct error *e)
{
    struct stream_list l = {0};
    int r = spool_dir_each(spool_fd(s), list_name, &l, e);
    struct spool_stream_info *infos = r ? NULL : calloc(l.count + 1, sizeof(*infos));
    if (!r && !infos)
        r = error_set(e, ERROR_MEMORY, "no memory for the list of streams");
    if (!r) {
        if (l.count)
            qsort(l.entries, l.count, sizeof(*l.entries), by_start);
        for (size_t i = 0; i < l.count; i++)
            infos[i] = l.entries[i].info;
        *out = infos;
        *count = l.count;
    }
    free(l.entries);
    return r;
}
