#include "agent/ship/outbox.h"

#include "agent/ship/spool_dir.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------ items of a stream */
uint64_t outbox_next_seq(const struct outbox_stream *t)
{
    return t->count ? t->items[t->count - 1].last_seq + 1 : 0;
}

struct outbox_item *outbox_item_from(struct outbox_stream *t, uint64_t seq)
{
    size_t low = 0;
    size_t high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->items[middle].last_seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return t->items + low;
}

struct outbox_item *outbox_item(struct outbox_stream *t, uint64_t seq)
{
    struct outbox_item *item = outbox_item_from(t, seq);
    return item < t->items + t->count && item->seq == seq ? item : NULL;
}

/* An empty array is there from the start: places in it are compared. */
static bool make_room(struct outbox_stream *t)
{
    size_t room = t->room ? 2 * t->room : 16;
    struct outbox_item *items = reallocarray(t->items, room, sizeof(*items));
    if (!items)
        return false;
    t->items = items;
    t->room = room;
    return true;
}

static struct outbox_item *insert_item(struct outbox_stream *t, uint64_t seq)
{
    size_t at = (size_t)(outbox_item_from(t, seq) - t->items);
    if (t->count == t->room && !make_room(t))
        return NULL;
    memmove(t->items + at + 1, t->items + at, (t->count - at) * sizeof(*t->items));
    t->count++;
    t->items[at] = (struct outbox_item){.seq = seq, .last_seq = seq};
    return &t->items[at];
}

static void land_head(struct outbox *o, struct outbox_item *item)
{
    o->flying -= item->flying_head;
    item->flying_head = 0;
}

static void land_body(struct outbox *o, struct outbox_item *item)
{
    o->flying -= item->flying_body;
    item->flying_body = 0;
}

static void drop_items(struct outbox *o, struct outbox_stream *t, size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++) {
        land_head(o, &t->items[i]);
        land_body(o, &t->items[i]);
    }
    memmove(t->items + at, t->items + at + count, (t->count - at - count) * sizeof(*t->items));
    t->count -= count;
}

static bool stat_file(const struct outbox_stream *t, enum spool_file kind, uint64_t seq, struct stat *st)
{
    char name[SPOOL_NAME_SIZE];
    return fstatat(t->dirfd, spool_file_name(kind, seq, name), st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode);
}

/* Whether a stream ends is told by its newest item alone, which is small then. */
static void find_end(struct outbox_stream *t)
{
    t->ended = false;
    if (t->count == 0)
        return;
    struct outbox_item *newest = &t->items[t->count - 1];
    int kind = newest->kind ? newest->kind : spool_head_kind(t->dirfd, newest->seq, &newest->last_seq);
    t->ended = kind == HEAD_END;
}

int outbox_look(struct outbox *o, struct outbox_stream *t, uint64_t seq, struct error *e)
{
    struct stat st;
    struct outbox_item *item = outbox_item(t, seq);
    if (!stat_file(t, SPOOL_FILE_HEAD, seq, &st)) {
        if (item)
            drop_items(o, t, (size_t)(item - t->items), 1);
        return 0;
    }
    item = item ? item : insert_item(t, seq);
    if (!item)
        return error_set(e, ERROR_MEMORY, "no memory for the items of stream %s", t->name);
    if (!item->sealed_ns)
        item->sealed_ns = (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
    item->head_cost = spool_file_cost((uint64_t)st.st_size);
    item->has_body = stat_file(t, SPOOL_FILE_BODY, seq, &st);
    item->body_cost = item->has_body ? spool_file_cost((uint64_t)st.st_size) : 0;
    item->evicted = stat_file(t, SPOOL_FILE_EVICTED, seq, &st);
    if (item->evicted && st.st_size > OUTBOX_WHY_MAX) /* a death came between its new name and its emptying */
        outbox_empty_evicted(t, seq, GAP_QUOTA);
    return 0;
}

struct scan {
    struct outbox *o;
    struct outbox_stream *t;
};

static int scan_head(void *context, int dirfd, const char *name, struct error *e)
{
    (void)dirfd;
    const struct scan *s = context;
    uint64_t seq;
    return spool_file_parse(name, &seq) == SPOOL_FILE_HEAD ? outbox_look(s->o, s->t, seq, e) : 0;
}

/* A body of an item that is not there, though later ones are: nobody can say what it holds. */
static int scan_orphan(void *context, int dirfd, const char *name, struct error *e)
{
    (void)dirfd;
    (void)e;
    const struct scan *s = context;
    uint64_t seq;
    enum spool_file kind = spool_file_parse(name, &seq);
    bool below = s->t->count && seq < s->t->items[s->t->count - 1].seq;
    if ((kind == SPOOL_FILE_BODY || kind == SPOOL_FILE_EVICTED) && below && !outbox_item(s->t, seq))
        outbox_set_aside(s->o, s->t, name, false);
    return 0;
}

int outbox_rescan(struct outbox *o, struct outbox_stream *t, struct error *e)
{
    struct scan s = {.o = o, .t = t};
    for (size_t i = t->count; i-- > 0;) { /* what is there no more; most are */
        struct stat st;
        if (!stat_file(t, SPOOL_FILE_HEAD, t->items[i].seq, &st))
            drop_items(o, t, i, 1);
    }
    int r = spool_dir_each(t->dirfd, scan_head, &s, e);
    if (!r)
        r = spool_dir_each(t->dirfd, scan_orphan, &s, e);
    find_end(t);
    return r;
}

void outbox_note(struct outbox *o, struct outbox_stream *t, const char *name)
{
    uint64_t seq;
    struct error e = ERROR_INIT;
    if (spool_file_parse(name, &seq) != SPOOL_FILE_HEAD)
        return;
    if (outbox_look(o, t, seq, &e) != 0)
        log_warn("spool: %s", e.text);
    find_end(t);
}

/* ------------------------------------------------------------ streams */
static void free_stream(struct outbox *o, struct outbox_stream *t)
{
    drop_items(o, t, 0, t->count);
    counter_page_unmap((struct counter_page *)(uintptr_t)t->page);
    if (t->dirfd >= 0)
        close(t->dirfd);
    free(t->items);
    free(t);
}

static void drop_stream(struct outbox *o, struct outbox_stream *t)
{
    size_t at = 0;
    while (o->streams[at] != t)
        at++;
    memmove(o->streams + at, o->streams + at + 1, (o->count - at - 1) * sizeof(*o->streams));
    o->count--;
    if (o->on_drop)
        o->on_drop(o->context, t);
    free_stream(o, t);
}

struct outbox_stream *outbox_find(struct outbox *o, const uint8_t epoch[EPOCH_SIZE])
{
    for (size_t i = 0; i < o->count; i++)
        if (memcmp(o->streams[i]->epoch, epoch, EPOCH_SIZE) == 0)
            return o->streams[i];
    return NULL;
}

/* The names of agent and capture: from the counter page, or for want of one from any head that can be read. */
static void find_names(struct outbox_stream *t)
{
    if (t->page) {
        counter_page_name(t->page->agent, t->agent);
        counter_page_name(t->page->capture, t->capture);
    }
    for (size_t i = 0; i < t->count && !t->agent[0]; i++) {
        struct buffer head = {.limit = HEAD_BYTES_MAX};
        struct chunk_head h;
        if (outbox_decode(t, &t->items[i], &head, &h, NULL) == 0) {
            snprintf(t->agent, sizeof(t->agent), "%s", h.agent);
            snprintf(t->capture, sizeof(t->capture), "%s", h.capture);
            head_free(&h);
        }
        buffer_free(&head);
    }
}

static struct outbox_stream *new_stream(struct outbox *o, const uint8_t epoch[EPOCH_SIZE])
{
    if (o->count == o->room) {
        size_t room = o->room ? 2 * o->room : 8;
        struct outbox_stream **streams = reallocarray(o->streams, room, sizeof(struct outbox_stream *));
        if (!streams)
            return NULL;
        o->streams = streams;
        o->room = room;
    }
    struct outbox_stream *t = calloc(1, sizeof(*t));
    if (!t || !make_room(t)) {
        free(t);
        return NULL;
    }
    memcpy(t->epoch, epoch, EPOCH_SIZE);
    spool_stream_name(epoch, t->name);
    t->dirfd = -1;
    return t;
}

/* A page that is damaged is done without. */
static int map_page(struct outbox_stream *t, struct error *e)
{
    struct counter_page *page = NULL;
    struct error why = ERROR_INIT;
    int r = counter_page_map(t->dirfd, t->epoch, false, &page, &why);
    t->page = page;
    if (r == ERROR_INVALID || r == ERROR_NOT_FOUND)
        log_warn("spool: stream %s: %s", t->name, why.text);
    else if (r && e)
        *e = why;
    return r == ERROR_INVALID || r == ERROR_NOT_FOUND ? 0 : r;
}

static int add_stream(struct outbox *o, const uint8_t epoch[EPOCH_SIZE], struct error *e)
{
    struct outbox_stream *t = new_stream(o, epoch);
    if (!t)
        return error_set(e, ERROR_MEMORY, "no memory for a stream");
    t->dirfd = spool_dir_open(spool_fd(o->spool), epoch, e);
    int r = t->dirfd < 0 ? t->dirfd : map_page(t, e);
    if (!r)
        r = outbox_rescan(o, t, e);
    if (r) {
        free_stream(o, t);
        return r == ERROR_NOT_FOUND ? 0 : r;
    }
    find_names(t);
    t->seen = true;
    o->streams[o->count++] = t;
    return 0;
}

/* ------------------------------------------------------------ the spool's folder */
static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name);
    size_t n = strlen(suffix);
    return len == SPOOL_STREAM_SIZE - 1 + n && strcmp(name + len - n, suffix) == 0;
}

/* What a capturer left that died while it made its stream; one that lives is not touched. */
static int remove_unborn(int spool, const char *name, struct error *e)
{
    int births = spool_births(spool, BIRTHS_SWEEP, e);
    if (births < 0)
        return births == ERROR_BUSY ? 0 : births;
    int r = fs_remove_tree(spool, name, e);
    close(births);
    return r;
}

static int scan_folder(struct outbox *o, int spool, const char *name, struct error *e)
{
    uint8_t epoch[EPOCH_SIZE];
    if (has_suffix(name, ".done"))
        return fs_remove_tree(spool, name, e);
    if (has_suffix(name, ".new"))
        return remove_unborn(spool, name, e);
    if (!spool_stream_parse(name, epoch))
        return 0;
    struct outbox_stream *t = outbox_find(o, epoch);
    if (!t && o->count >= o->most) {
        o->passed_over++;
        return 0;
    }
    if (!t)
        return add_stream(o, epoch, e);
    t->seen = true;
    t->stuck = (struct error)ERROR_INIT;
    return outbox_rescan(o, t, e);
}

/* A folder that cannot be read costs itself, not those behind it. */
static int scan_name(void *context, int spool, const char *name, struct error *e)
{
    struct error why = ERROR_INIT;
    int r = scan_folder(context, spool, name, &why);
    if (r == ERROR_MEMORY)
        return error_set(e, r, "%s", why.text);
    if (r)
        log_warn("spool: %s: %s", name, why.text);
    return 0;
}

int outbox_scan(struct outbox *o, struct error *e)
{
    size_t passed_over = o->passed_over;
    o->passed_over = 0;
    for (size_t i = 0; i < o->count; i++)
        o->streams[i]->seen = false;
    int r = spool_dir_each(spool_fd(o->spool), scan_name, o, e);
    for (size_t i = o->count; !r && i-- > 0;)
        if (!o->streams[i]->seen) {
            log_warn("spool: stream %s was removed by somebody else", o->streams[i]->name);
            drop_stream(o, o->streams[i]);
        }
    if (o->passed_over && !passed_over)
        log_warn("spool: it holds %zu streams, which are shipped %zu at a time", o->count + o->passed_over, o->most);
    return r;
}

static size_t most_streams(void)
{
    uint64_t files = fs_files_max() / 2;
    return files < OUTBOX_STREAMS_MAX ? (size_t)files : OUTBOX_STREAMS_MAX;
}

int outbox_open(struct spool *s, struct outbox **out, struct error *e)
{
    struct outbox *o = calloc(1, sizeof(*o));
    if (!o)
        return error_set(e, ERROR_MEMORY, "no memory for the shipper");
    o->spool = s;
    o->most = most_streams();
    o->lock_fd = fs_lock(spool_fd(s), SPOOL_SHIPPER_LOCK, e);
    int r = o->lock_fd < 0 ? error_prefix(e, "another shipper has this spool") : outbox_scan(o, e);
    if (r) {
        outbox_close(o);
        return r;
    }
    *out = o;
    return 0;
}

void outbox_close(struct outbox *o)
{
    if (!o)
        return;
    while (o->count)
        drop_stream(o, o->streams[o->count - 1]);
    if (o->lock_fd >= 0)
        close(o->lock_fd);
    free(o->streams);
    free(o);
}

/* ------------------------------------------------------------ what the collector has */
void outbox_disconnected(struct outbox *o)
{
    for (size_t i = 0; i < o->count; i++) {
        struct outbox_stream *t = o->streams[i];
        t->known = false;
        t->announced = false;
        t->refusal.code = 0;
        for (size_t j = 0; j < t->count; j++) {
            land_head(o, &t->items[j]);
            land_body(o, &t->items[j]);
        }
    }
}

/* The body goes first: a head without its body can be told from one that never had one, a body without a head cannot be told from a cut chunk. */
static int remove_item(struct outbox_stream *t, const struct outbox_item *item, struct error *e)
{
    static const enum spool_file kinds[] = {SPOOL_FILE_BODY, SPOOL_FILE_EVICTED, SPOOL_FILE_HEAD};
    char name[SPOOL_NAME_SIZE];
    int r = 0;
    for (size_t i = 0; i < 3 && !r; i++)
        r = fs_unlink(t->dirfd, spool_file_name(kinds[i], item->seq, name), "spool.unlink", e);
    return r;
}

/* Where the stream goes on its head says alone. */
static int forget_newest_body(struct outbox *o, struct outbox_stream *t, struct error *e)
{
    char name[SPOOL_NAME_SIZE];
    struct outbox_item *newest = t->count ? &t->items[t->count - 1] : NULL;
    if (!newest || !newest->has_body || newest->last_seq >= t->body_next)
        return 0;
    int r = fs_unlink(t->dirfd, spool_file_name(SPOOL_FILE_BODY, newest->seq, name), "spool.unlink", e);
    if (r)
        return r;
    spool_gained(o->spool, newest->body_cost);
    newest->has_body = false;
    newest->body_cost = 0;
    return 0;
}

/* Removals are not synced: what a power cut brings back is found acked, and removed again. */
static int forget(struct outbox *o, struct outbox_stream *t, struct error *e)
{
    size_t n = 0;
    int r = 0;
    while (n + 1 < t->count && t->items[n].last_seq < t->body_next) {
        r = remove_item(t, &t->items[n], e);
        if (r)
            break;
        spool_gained(o->spool, t->items[n].head_cost + t->items[n].body_cost);
        n++;
    }
    drop_items(o, t, 0, n);
    return r ? r : forget_newest_body(o, t, e);
}

static void land_acked(struct outbox *o, struct outbox_stream *t)
{
    for (size_t i = 0; i < t->count && t->items[i].last_seq < t->head_next; i++) {
        land_head(o, &t->items[i]);
        if (t->items[i].last_seq < t->body_next)
            land_body(o, &t->items[i]);
    }
}

static int check_cursors(const struct outbox_stream *t, uint64_t head_next, uint64_t body_next, bool first,
                         struct error *e)
{
    uint64_t most = t->head_sent;
    if (first)
        most = outbox_next_seq(t);
    if (head_next > most || body_next > head_next)
        return error_set(e, ERROR_CONFLICT,
                         "stream %s: the collector says it has all up to %llu (bodies %llu), and there is nothing "
                         "behind %llu: was the spool "
                         "replaced by an older one?",
                         t->name, (unsigned long long)head_next, (unsigned long long)body_next,
                         (unsigned long long)most);
    return 0;
}

int outbox_acked(struct outbox *o, struct outbox_stream **stream, uint64_t head_next, uint64_t body_next, bool first,
                 struct error *e)
{
    struct outbox_stream *t = *stream;
    int r = check_cursors(t, head_next, body_next, first, e);
    if (r)
        return r;
    if (first) {
        t->known = true;
        t->head_met = head_next;
        t->head_sent = head_next;
        t->body_sent = body_next;
    }
    t->head_next = head_next;
    t->body_next = body_next;
    if (t->body_sent < body_next)
        t->body_sent = body_next; /* it knows that items without a body have none */
    land_acked(o, t);
    int sys = FAULT("uplink.ack");
    r = sys ? error_sys(e, sys, "cannot take an ack") : forget(o, t, e);
    if (!r && outbox_finish(o, t))
        *stream = NULL;
    sys = FAULT("uplink.ack.done");
    return r || !sys ? r : error_sys(e, sys, "cannot take an ack");
}

bool outbox_finish(struct outbox *o, struct outbox_stream *t)
{
    char done[SPOOL_STREAM_SIZE + 5];
    struct error e = ERROR_INIT;
    if (!t->ended || t->body_next < outbox_next_seq(t) || spool_writer_lives(t->dirfd))
        return false;
    snprintf(done, sizeof(done), "%s.done", t->name);
    int r = fs_rename(spool_fd(o->spool), t->name, done, "spool.done", &e);
    if (r) {
        if (!t->stuck.code)
            log_warn("spool: stream %s is over: %s", t->name, e.text);
        t->stuck = e;
        return false;
    }
    /* It has no name any more: whatever fails from here on, it is over, and the next scan removes what is left */
    r = fs_sync_dir(spool_fd(o->spool), "spool.done.sync-dir", &e);
    if (r)
        log_warn("spool: stream %s is over: %s", t->name, e.text);
    if (fs_remove_tree(spool_fd(o->spool), done, &e) != 0)
        log_warn("spool: stream %s is over: %s", t->name, e.text);
    drop_stream(o, t);
    return true;
}
