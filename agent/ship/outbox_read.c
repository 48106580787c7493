#include "agent/ship/outbox.h"

#include "agent/ship/spool_dir.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/hash.h"
#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERIFY_SIZE   ((size_t)1 << 20)
#define SOFTWARE_NAME "fleetdump " FLEETDUMP_VERSION

/* Whether it tells of the file: else of the moment (no memory, no more files, ...) or of our rights, and the file may be good. */
static bool is_damage(const struct error *e)
{
    static const int codes[] = {ERROR_INVALID, ERROR_TRUNCATED, ERROR_CORRUPT,
                                ERROR_LIMIT,   ERROR_CONFLICT,  ERROR_NOT_FOUND};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (e->code == codes[i])
            return true;
    return e->code == ERROR_SYSTEM && e->sys == EIO;
}

/* ------------------------------------------------------------ files that are set aside */
struct oldest {
    char name[128];
    int64_t mtime;
    unsigned files;
    uint64_t bytes;
};

static int look_for_oldest(void *context, int dirfd, const char *name, struct error *e)
{
    (void)e;
    struct oldest *x = context;
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || strlen(name) >= sizeof(x->name))
        return 0;
    x->files++;
    x->bytes += spool_file_cost((uint64_t)st.st_size);
    if (!x->name[0] || st.st_mtim.tv_sec < x->mtime) {
        snprintf(x->name, sizeof(x->name), "%s", name);
        x->mtime = st.st_mtim.tv_sec;
    }
    return 0;
}

static void bound_damaged(int dirfd)
{
    for (;;) {
        struct oldest x = {0};
        int r = spool_dir_each(dirfd, look_for_oldest, &x, NULL);
        if (r || (x.files <= OUTBOX_DAMAGED_MAX && x.bytes <= OUTBOX_DAMAGED_BYTES))
            return;
        if (fs_unlink(dirfd, x.name, "spool.damaged.unlink", NULL) != 0)
            return;
    }
}

static int open_damaged(int spool)
{
    int sys = FAULT("spool.damaged.mkdir");
    if (sys || (mkdirat(spool, "damaged", SPOOL_DIR_MODE) != 0 && errno != EEXIST))
        log_warn("spool: cannot make the folder for damaged files: %s", strerror(sys ? sys : errno));
    return openat(spool, "damaged", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* 0 or an errno. */
static int move_aside(const struct outbox_stream *t, const char *name, bool keep, int dirfd)
{
    char to[SPOOL_STREAM_SIZE + SPOOL_NAME_SIZE + 1];
    snprintf(to, sizeof(to), "%s-%s", t->name, name);
    int sys = FAULT("spool.damaged.move");
    if (!sys && (keep ? linkat(t->dirfd, name, dirfd, to, 0) : renameat(t->dirfd, name, dirfd, to)) != 0)
        sys = errno;
    return sys == ENOENT || sys == EEXIST ? 0 : sys;
}

/* With `keep` the name stays in the stream's folder, to be replaced. */
void outbox_set_aside(struct outbox *o, struct outbox_stream *t, const char *name, bool keep)
{
    struct error e = ERROR_INIT;
    int dirfd = open_damaged(spool_fd(o->spool));
    int sys = dirfd < 0 ? errno : move_aside(t, name, keep, dirfd);
    if (sys)
        log_warn("spool: cannot set aside %s/%s, which is damaged: %s", t->name, name, strerror(sys));
    if (sys && !keep && fs_unlink(t->dirfd, name, "spool.unlink", &e) != 0)
        log_warn("spool: cannot remove it either: %s", e.text);
    if (dirfd >= 0) {
        bound_damaged(dirfd);
        close(dirfd);
    }
    o->damaged++;
}

/* ------------------------------------------------------------ heads */
static int read_file(const struct outbox_stream *t, const char *name, struct buffer *out, struct error *e)
{
    char *data = NULL;
    size_t len = 0;
    int r = fs_read_file(t->dirfd, name, HEAD_BYTES_MAX, &data, &len, e);
    if (r)
        return r;
    buffer_free(out);
    out->data = (uint8_t *)data;
    out->len = len;
    out->cap = len;
    return 0;
}

static int check_identity(const struct outbox_stream *t, const struct outbox_item *item, const struct chunk_head *h,
                          struct error *e)
{
    if (memcmp(h->epoch, t->epoch, EPOCH_SIZE) != 0 || h->seq != item->seq)
        return error_set(e, ERROR_CONFLICT, "it belongs to another stream or item");
    return 0;
}

int outbox_decode(struct outbox_stream *t, struct outbox_item *item, struct buffer *head, struct chunk_head *h,
                  struct error *e)
{
    char name[SPOOL_NAME_SIZE];
    int r = read_file(t, spool_file_name(SPOOL_FILE_HEAD, item->seq, name), head, e);
    if (!r)
        r = head_decode(head->data, head->len, h, e);
    if (r)
        return r;
    r = check_identity(t, item, h, e);
    if (r) {
        head_free(h);
        return r;
    }
    item->kind = h->kind;
    item->last_seq = h->last_seq;
    item->body = h->body;
    item->body_length = h->body_length;
    item->body_hash = h->body_hash;
    return 0;
}

static void fill_gap(const struct outbox_stream *t, const struct chunk_head *was, struct chunk_head *h)
{
    static char software[] = SOFTWARE_NAME;
    if (was) { /* who, when and how much */
        *h = *was;
        h->filter = NULL;
        h->totals.value[COUNTER_EVICTED] = was->totals.value[COUNTER_KEPT];
    } else {
        *h = (struct chunk_head){.agent = (char *)(uintptr_t)t->agent, .capture = (char *)(uintptr_t)t->capture};
        h->software = software;
        h->first_ns = UINT64_MAX; /* nothing is known */
        h->seal_wall_ns = clock_wall_ns();
        h->seal_mono_ns = clock_mono_ns();
        h->open_wall_ns = h->seal_wall_ns;
        h->open_mono_ns = h->seal_mono_ns;
    }
    memcpy(h->epoch, t->epoch, EPOCH_SIZE);
    h->kind = HEAD_GAP;
    h->seal = 0;
    h->body = BODY_NEVER;
    h->interface_count = 0;
    h->frame_count = 0;
    h->body_length = 0;
    h->body_raw_length = 0;
    h->body_hash = 0;
    h->flows = NULL;
    h->flows_length = 0;
    h->flow_rows = 0;
    h->exchanges = NULL;
    h->exchanges_length = 0;
}

int outbox_write_gap(struct outbox *o, struct outbox_stream *t, uint64_t seq, uint64_t last_seq, int gap,
                     const struct chunk_head *was, struct error *e)
{
    char name[SPOOL_NAME_SIZE];
    struct buffer out = {.limit = HEAD_BYTES_MAX};
    struct chunk_head h;
    fill_gap(t, was, &h);
    h.gap = (uint8_t)gap;
    h.seq = seq;
    h.last_seq = last_seq;
    int r = head_encode(&h, &out, e);
    if (!r)
        r = fs_replace(t->dirfd, spool_file_name(SPOOL_FILE_HEAD, seq, name), out.data, out.len, SPOOL_FILE_MODE,
                       "spool.gap", e);
    buffer_free(&out);
    if (!r)
        r = outbox_look(o, t, seq, e);
    struct outbox_item *item = r ? NULL : outbox_item(t, seq);
    if (item) {
        item->kind = HEAD_GAP;
        item->body = BODY_NEVER;
        item->last_seq = last_seq;
    }
    return r;
}

/* The item is a GAP from now on; both its files are set aside. */
static int damaged_head(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, const char *why,
                        struct error *e)
{
    char head[SPOOL_NAME_SIZE];
    char body[SPOOL_NAME_SIZE];
    uint64_t seq = item->seq;
    log_error("spool: stream %s, item %llu is damaged and lost: %s", t->name, (unsigned long long)seq, why);
    outbox_set_aside(o, t, spool_file_name(SPOOL_FILE_HEAD, seq, head), true);
    int r = outbox_write_gap(o, t, seq, seq, GAP_DAMAGED, NULL, e);
    if (!r && item->has_body)
        outbox_set_aside(o, t, spool_file_name(SPOOL_FILE_BODY, seq, body), false);
    if (!r)
        item->has_body = false;
    return r;
}

int outbox_read_head(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, struct buffer *head,
                     struct error *e)
{
    struct chunk_head h;
    struct error why = ERROR_INIT;
    int r = outbox_decode(t, item, head, &h, &why);
    if (r && is_damage(&why)) {
        r = damaged_head(o, t, item, why.text, e);
        return r ? r : outbox_decode(t, item, head, &h, e) ? ERROR_CORRUPT : (head_free(&h), 0);
    }
    if (r) {
        if (e)
            *e = why;
        return r;
    }
    head_free(&h);
    return 0;
}

/* ------------------------------------------------------------ what is due */
static void stick(struct outbox_stream *t, const struct error *e)
{
    if (!t->stuck.code)
        log_warn("spool: stream %s waits: %s", t->name, e->text);
    t->stuck = *e;
}

static int fill_hole(struct outbox *o, struct outbox_stream *t, uint64_t seq, uint64_t last_seq, struct error *e)
{
    log_error("spool: stream %s: items %llu to %llu are missing", t->name, (unsigned long long)seq,
              (unsigned long long)last_seq);
    return outbox_write_gap(o, t, seq, last_seq, GAP_DAMAGED, NULL, e);
}

/* The first item from head_sent on. A listing of a folder that is being written may lack a name that is older than one it has: what
 * seems to be missing is looked for again, now that a later item is known to be there. */
static struct outbox_item *first_due(struct outbox *o, struct outbox_stream *t, struct error *e)
{
    struct outbox_item *item = outbox_item_from(t, t->head_sent);
    if (item < t->items + t->count && item->seq > t->head_sent && outbox_rescan(o, t, e) == 0)
        item = outbox_item_from(t, t->head_sent);
    return item < t->items + t->count ? item : NULL;
}

struct outbox_item *outbox_head_due(struct outbox *o, struct outbox_stream *t)
{
    struct error e = ERROR_INIT;
    if (!t->known || t->refusal.code || t->stuck.code)
        return NULL;
    struct outbox_item *item = first_due(o, t, &e);
    if (!item && !e.code)
        return NULL;
    if (!e.code && item->seq > t->head_sent && fill_hole(o, t, t->head_sent, item->seq - 1, &e) == 0)
        item = outbox_item(t, t->head_sent);
    else if (!e.code && item->seq < t->head_sent)
        error_set(&e, ERROR_CONFLICT, "items %llu to %llu became one, of which the collector has a part",
                  (unsigned long long)item->seq, (unsigned long long)item->last_seq);
    if (e.code) {
        stick(t, &e);
        return NULL;
    }
    return item;
}

static int evicted_why(const struct outbox_stream *t, uint64_t seq)
{
    char name[SPOOL_NAME_SIZE];
    char *text = NULL;
    size_t len = 0;
    int gap = GAP_QUOTA;
    if (fs_read_file(t->dirfd, spool_file_name(SPOOL_FILE_EVICTED, seq, name), OUTBOX_WHY_MAX, &text, &len, NULL))
        return gap; /* died before it was written */
    text[strcspn(text, "\n")] = 0;
    for (int i = GAP_QUOTA; i <= GAP_EXPIRED; i++)
        if (strcmp(text, head_gap_name(i)) == 0)
            gap = i;
    free(text);
    return gap;
}

/* What is known of an item's body; its head was sent, on this connection or earlier. */
static enum outbox_fate fate_of(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, int *gap)
{
    *gap = GAP_DAMAGED;
    if (!item->kind) {
        struct buffer head = {.limit = HEAD_BYTES_MAX};
        struct chunk_head h;
        struct error e = ERROR_INIT;
        int r = outbox_decode(t, item, &head, &h, &e);
        if (!r)
            head_free(&h);
        buffer_free(&head);
        if (r && !is_damage(&e)) {
            stick(t, &e);
            return FATE_LATER;
        }
        if (r)
            outbox_damaged_body(o, t, item, e.text);
    }
    if (item->evicted) {
        *gap = evicted_why(t, item->seq);
        return FATE_GONE;
    }
    if (item->kind == HEAD_CHUNK && item->body == BODY_ON_AGENT)
        return item->has_body ? FATE_SEND : FATE_GONE;
    /* The collector may have had the item from us before it became a GAP here, and wait for its body */
    bool other = item->kind != HEAD_CHUNK && item->kind != HEAD_END && item->seq < t->head_met;
    return other ? FATE_GONE : FATE_NONE;
}

enum outbox_fate outbox_body_due(struct outbox *o, struct outbox_stream *t, struct outbox_item **item, uint64_t *seq,
                                 int *gap)
{
    if (!t->known || t->refusal.code)
        return FATE_NONE;
    while (t->body_sent < t->head_sent) {
        struct outbox_item *i = outbox_item_from(t, t->body_sent);
        *seq = t->body_sent;
        *item = i;
        *gap = GAP_DAMAGED;
        if (i == t->items + t->count || i->seq > t->body_sent)
            return FATE_GONE; /* its head was sent, and now nothing of it is here */
        enum outbox_fate fate = fate_of(o, t, i, gap);
        if (fate != FATE_NONE)
            return fate;
        t->body_sent = i->last_seq + 1;
    }
    return FATE_NONE;
}

/* ------------------------------------------------------------ bodies */
void outbox_damaged_body(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, const char *why)
{
    char name[SPOOL_NAME_SIZE];
    log_error("spool: stream %s, the packets of item %llu are damaged and lost: %s", t->name,
              (unsigned long long)item->seq, why);
    if (item->has_body)
        outbox_set_aside(o, t, spool_file_name(SPOOL_FILE_BODY, item->seq, name), false);
    item->has_body = false;
    item->body_cost = 0;
}

static int verify(int fd, const struct outbox_item *item, struct error *e)
{
    struct hash_stream *hash = hash_stream_new();
    uint8_t *buf = malloc(VERIFY_SIZE);
    int r = hash && buf ? 0 : error_set(e, ERROR_MEMORY, "no memory to read it");
    for (uint64_t at = 0; !r && at < item->body_length;) {
        uint64_t left = item->body_length - at;
        size_t n = left < VERIFY_SIZE ? (size_t)left : VERIFY_SIZE;
        r = fs_pread(fd, buf, n, at, e);
        if (!r)
            hash_stream_add(hash, buf, n);
        at += n;
    }
    if (!r && hash_stream_value(hash) != item->body_hash)
        r = error_set(e, ERROR_CORRUPT, "its checksum is not the one in its head");
    free(buf);
    hash_stream_free(hash);
    return r;
}

static int open_verified(const struct outbox_stream *t, const struct outbox_item *item, struct error *e)
{
    char name[SPOOL_NAME_SIZE];
    struct stat st;
    int fd = openat(t->dirfd, spool_file_name(SPOOL_FILE_BODY, item->seq, name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(e, errno, "cannot open it");
    int r = 0;
    if (fstat(fd, &st) != 0)
        r = error_sys(e, errno, "cannot read it");
    else if ((uint64_t)st.st_size != item->body_length)
        r = error_set(e, ERROR_CORRUPT, "it has %lld bytes, and its head says %llu", (long long)st.st_size,
                      (unsigned long long)item->body_length);
    if (!r)
        r = verify(fd, item, e);
    if (r)
        close(fd);
    return r ? r : fd;
}

int outbox_open_body(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, struct error *e)
{
    struct error why = ERROR_INIT;
    int fd = open_verified(t, item, &why);
    if (fd >= 0)
        return fd;
    if (is_damage(&why))
        outbox_damaged_body(o, t, item, why.text);
    if (e)
        *e = why;
    return fd;
}
