/*
 * Giving things up for want of room: bodies first, since rows answer most questions and are small; then whole items, of which a GAP remains that says how much they held.
 *
 * A body becomes <seq>.evicted by a rename, which needs no room, and is emptied then. An item becomes a GAP by a new head in place of the old one.
 */
#include "agent/ship/outbox.h"

#include "agent/ship/spool_dir.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct need {
    uint64_t used, quota; /* bytes of the spool, and how many it may have */
    uint64_t free, floor;
};

static bool measure(const struct outbox *o, struct need *n)
{
    const struct spool_limits *l = spool_limits(o->spool);
    uint64_t total;
    uint64_t reserve = spool_reserve(o->spool);
    n->used = spool_used(o->spool);
    n->quota = l->quota_bytes - reserve;
    n->floor = l->floor_bytes ? l->floor_bytes + reserve : 0;
    return fs_free_bytes(spool_fd(o->spool), &n->free, &total, NULL) == 0;
}

/* 0, or why there is no room. */
static int shortage(const struct need *n)
{
    return n->used > n->quota ? GAP_QUOTA : n->free < n->floor ? GAP_DISK : 0;
}

static void gained(struct outbox *o, struct need *n, uint64_t before, uint64_t after)
{
    uint64_t bytes = before > after ? before - after : 0;
    spool_gained(o->spool, bytes);
    n->used -= bytes < n->used ? bytes : n->used;
    n->free += bytes;
}

static bool may_evict(const struct outbox_stream *t)
{
    return !t->page || atomic_load_explicit(&t->page->evict, memory_order_relaxed) == EVICT_OLDEST;
}

/* Of what was sent the collector may have it already; of what is being sent the file is open. */
static bool body_candidate(const struct outbox_stream *t, const struct outbox_item *item)
{
    bool sending = t->known && item->seq == t->body_sent && item->seq < t->head_sent;
    return item->has_body && !item->flying_body && !sending;
}

/* A GAP instead of it must gain something, and the collector must not have it. */
static bool item_candidate(const struct outbox_stream *t, const struct outbox_item *item)
{
    bool sent = item->seq < t->head_next || (t->known && item->seq <= t->head_sent);
    bool small = item->head_cost <= spool_file_cost(1);
    return (item->kind == 0 || item->kind == HEAD_CHUNK) && !item->has_body && !sent && !small;
}

static struct outbox_item *find_oldest(struct outbox *o, struct outbox_stream **stream,
                                       bool (*candidate)(const struct outbox_stream *, const struct outbox_item *))
{
    struct outbox_item *oldest = NULL;
    for (size_t i = 0; i < o->count; i++) {
        struct outbox_stream *t = o->streams[i];
        size_t j = 0;
        while (j < t->count && !candidate(t, &t->items[j]))
            j++;
        if (j == t->count || !may_evict(t) || (oldest && oldest->sealed_ns <= t->items[j].sealed_ns))
            continue;
        oldest = &t->items[j];
        *stream = t;
    }
    return oldest;
}

/* If a disk without any room refuses even those bytes, "quota" is assumed. */
void outbox_empty_evicted(const struct outbox_stream *t, uint64_t seq, int gap)
{
    struct error e = ERROR_INIT;
    char text[32];
    char name[SPOOL_NAME_SIZE];
    spool_file_name(SPOOL_FILE_EVICTED, seq, name);
    int fd = openat(t->dirfd, name, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    int n = snprintf(text, sizeof(text), "%s\n", head_gap_name(gap));
    if (fd < 0 || fs_write(fd, text, (size_t)n, "spool.evict.write", &e) != 0)
        log_debug("spool: stream %s: cannot note why %s: %s", t->name, name, fd < 0 ? strerror(errno) : e.text);
    if (fd >= 0)
        close(fd);
}

static int evict_body(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, int gap, struct need *n,
                      struct error *e)
{
    char from[SPOOL_NAME_SIZE];
    char to[SPOOL_NAME_SIZE];
    int r = fs_rename(t->dirfd, spool_file_name(SPOOL_FILE_BODY, item->seq, from),
                      spool_file_name(SPOOL_FILE_EVICTED, item->seq, to), "spool.evict", e);
    if (r)
        return r;
    outbox_empty_evicted(t, item->seq, gap);
    gained(o, n, item->body_cost, spool_file_cost(1));
    item->has_body = false;
    item->body_cost = 0;
    item->evicted = true;
    o->evicted_bodies++;
    return 0;
}

static int replace_by_gap(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, int gap,
                          const struct chunk_head *h, struct need *n, struct error *e)
{
    char name[SPOOL_NAME_SIZE];
    uint64_t before = item->head_cost;
    int r = outbox_write_gap(o, t, item->seq, item->seq, gap, h, e);
    if (!r)
        r = fs_unlink(t->dirfd, spool_file_name(SPOOL_FILE_EVICTED, item->seq, name), "spool.unlink", e);
    if (r)
        return r;
    item->evicted = false;
    o->evicted_items++;
    gained(o, n, before, item->head_cost);
    return 0;
}

static int evict_item(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, int gap, struct need *n,
                      struct error *e)
{
    struct buffer head = {.limit = HEAD_BYTES_MAX};
    struct chunk_head h;
    struct error why = ERROR_INIT;
    int r = outbox_decode(t, item, &head, &h, &why);
    if (!r) {
        if (h.kind == HEAD_CHUNK) /* else it is no candidate any more */
            r = replace_by_gap(o, t, item, gap, &h, n, e);
        head_free(&h);
    } else { /* if it is damaged: found now and not when it would have been sent */
        r = outbox_read_head(o, t, item, &head, e);
    }
    buffer_free(&head);
    return r;
}

static int evict_one(struct outbox *o, int gap, struct need *n, struct error *e)
{
    struct outbox_stream *t = NULL;
    struct outbox_item *item = find_oldest(o, &t, body_candidate);
    if (item)
        return evict_body(o, t, item, gap, n, e);
    item = find_oldest(o, &t, item_candidate);
    if (item)
        return evict_item(o, t, item, gap, n, e);
    return spool_room(o->spool, 0, NULL, e) ? e->code : ERROR_NOT_FOUND; /* within limits, only the reserve is short */
}

static void set_full(struct outbox *o, const struct error *e)
{
    if (e->code && !o->full.code)
        log_error("spool: no room, and nothing that may be given up: %s", e->text);
    else if (!e->code && o->full.code)
        log_info("spool: there is room again");
    o->full = *e;
}

void outbox_make_room(struct outbox *o)
{
    struct error e = ERROR_INIT;
    struct need n;
    uint64_t bodies = o->evicted_bodies;
    uint64_t items = o->evicted_items;
    int gap = 0;
    int last = 0;
    int r = 0;
    if (!measure(o, &n))
        return;
    while (!r && (gap = shortage(&n)) != 0) {
        r = evict_one(o, gap, &n, &e);
        last = gap;
    }
    if (o->evicted_bodies != bodies || o->evicted_items != items)
        log_warn("spool: gave up the packets of %llu chunks and the rows of %llu for want of room (%s)",
                 (unsigned long long)(o->evicted_bodies - bodies), (unsigned long long)(o->evicted_items - items),
                 head_gap_name(last));
    if (r == ERROR_NOT_FOUND)
        e = (struct error)ERROR_INIT;
    set_full(o, &e);
}
