/*
 * The capturer's side of the spool. Each step is one rename, so that a process that dies anywhere leaves a state with
 * one meaning:
 *
 *   <epoch>.new                          not a stream: if nobody makes it (spool_births), removed by the shipper
 *   n.open                               a cut chunk n: recovered
 *   n.pcapng.zst, no n.head              the same: seal died between its two renames
 *   n.head                               item n is sealed; its body, if the head names one, was synced before
 */
#include "agent/ship/spool.h"

#include "agent/ship/spool_dir.h"
#include "common/base/fault.h"
#include "common/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct spool_stream {
    uint8_t epoch[EPOCH_SIZE];
    int dirfd;
    int lock_fd;
    bool adopted;
    struct counter_page *page;
};

struct counter_page *spool_stream_counters(struct spool_stream *t)
{
    return t->page;
}

static struct spool_stream *stream_alloc(const uint8_t epoch[EPOCH_SIZE], bool adopted)
{
    struct spool_stream *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    memcpy(t->epoch, epoch, EPOCH_SIZE);
    t->adopted = adopted;
    t->dirfd = -1;
    t->lock_fd = -1;
    return t;
}

void spool_stream_close(struct spool_stream *t)
{
    if (!t)
        return;
    counter_page_unmap(t->page);
    if (t->lock_fd >= 0)
        close(t->lock_fd);
    if (t->dirfd >= 0)
        close(t->dirfd);
    free(t);
}

/* ------------------------------------------------------------ a new stream */
static int make_folder(struct spool_stream *t, int spool, const char *name, struct error *e)
{
    int sys = FAULT("spool.mkdir");
    if (sys || mkdirat(spool, name, SPOOL_DIR_MODE) != 0)
        return error_sys(e, sys ? sys : errno, "cannot make the folder of a new stream in the spool");
    t->dirfd = openat(spool, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return t->dirfd >= 0 ? 0 : error_sys(e, errno, "cannot open the folder of a new stream in the spool");
}

static void fill_page(struct counter_page *p, const struct spool_stream_start *start)
{
    p->pid = (uint32_t)getpid();
    snprintf(p->agent, sizeof(p->agent), "%s", start->agent);
    snprintf(p->capture, sizeof(p->capture), "%s", start->capture);
    p->start_wall_ns = start->wall_ns;
    atomic_store_explicit(&p->evict, start->evict, memory_order_relaxed);
}

static int fill_folder(struct spool_stream *t, const struct spool_stream_start *start, struct error *e)
{
    t->lock_fd = fs_lock(t->dirfd, SPOOL_WRITER_LOCK, e);
    if (t->lock_fd < 0)
        return t->lock_fd;
    int r = counter_page_map(t->dirfd, t->epoch, true, &t->page, e);
    if (r)
        return r;
    fill_page(t->page, start);
    r = counter_page_sync(t->page, e);
    return r ? r : fs_sync_dir(t->dirfd, "spool.new.sync-dir", e);
}

static int check_new(int spool, const char *name, struct error *e)
{
    struct stat st;
    if (fstatat(spool, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return error_set(e, ERROR_EXISTS, "the spool has a stream %s already", name);
    return 0;
}

static int make_stream(struct spool_stream *t, int spool, const struct spool_stream_start *start, struct error *e)
{
    char name[SPOOL_STREAM_SIZE];
    char making[SPOOL_STREAM_SIZE + 4];
    spool_stream_name(t->epoch, name);
    snprintf(making, sizeof(making), "%s.new", name);
    int r = check_new(spool, name, e);
    if (!r)
        r = make_folder(t, spool, making, e);
    if (!r)
        r = fill_folder(t, start, e);
    if (!r)
        r = fs_rename(spool, making, name, "spool.new.rename", e);
    if (!r)
        return fs_sync_dir(spool, "spool.new.sync-parent", e);
    int ignored = t->dirfd >= 0 ? fs_remove_tree(spool, making, NULL) : 0;
    (void)ignored; /* the shipper removes it later */
    return r;
}

int spool_stream_new(struct spool *s, const uint8_t epoch[EPOCH_SIZE], const struct spool_stream_start *start,
                     struct spool_stream **out, struct error *e)
{
    struct spool_stream *t = stream_alloc(epoch, false);
    if (!t)
        return error_set(e, ERROR_MEMORY, "no memory for a stream");
    int births = spool_births(spool_fd(s), BIRTHS_MAKE, e);
    int r = births < 0 ? births : make_stream(t, spool_fd(s), start, e);
    if (births >= 0)
        close(births);
    if (r) {
        spool_stream_close(t);
        return r;
    }
    *out = t;
    return 0;
}

/* ------------------------------------------------------------ an old stream, for recovery */
static int take_lock(struct spool_stream *t, struct error *e)
{
    t->lock_fd = fs_lock(t->dirfd, SPOOL_WRITER_LOCK, e);
    return t->lock_fd < 0 ? t->lock_fd : 0;
}

static int tidy_name(void *context, int dirfd, const char *name, struct error *e)
{
    const struct spool_dir *d = context;
    char other[SPOOL_NAME_SIZE];
    uint64_t seq = 0;
    enum spool_file kind = spool_file_parse(name, &seq);
    bool sealed = seq < d->next_seq;
    if (kind == SPOOL_FILE_TMP || (kind == SPOOL_FILE_OPEN && sealed))
        return fs_unlink(dirfd, name, "spool.unlink", e);
    if (kind == SPOOL_FILE_BODY && !sealed)
        return fs_rename(dirfd, name, spool_file_name(SPOOL_FILE_OPEN, seq, other), "spool.rename-back", e);
    return 0;
}

static int tidy(struct spool_stream *t, struct error *e)
{
    struct spool_dir d;
    int r = spool_dir_read(t->dirfd, &d, e);
    if (r)
        return r;
    return spool_dir_each(t->dirfd, tidy_name, &d, e);
}

int spool_stream_adopt(struct spool *s, const uint8_t epoch[EPOCH_SIZE], struct spool_stream **out, struct error *e)
{
    struct spool_stream *t = stream_alloc(epoch, true);
    if (!t)
        return error_set(e, ERROR_MEMORY, "no memory for a stream");
    t->dirfd = spool_dir_open(spool_fd(s), epoch, e);
    int r = t->dirfd < 0 ? t->dirfd : take_lock(t, e);
    if (!r)
        r = counter_page_map(t->dirfd, epoch, true, &t->page, e);
    if (!r)
        r = tidy(t, e);
    if (r) {
        spool_stream_close(t);
        return r;
    }
    *out = t;
    return 0;
}

static void names_of_newest(const struct spool_stream *t, char agent[HEAD_NAME_MAX + 1],
                            char capture[HEAD_NAME_MAX + 1])
{
    char name[SPOOL_NAME_SIZE];
    char *data = NULL;
    size_t len = 0;
    struct spool_dir d;
    struct chunk_head h;
    if (spool_dir_read(t->dirfd, &d, NULL) != 0 || !d.any ||
        fs_read_file(t->dirfd, spool_file_name(SPOOL_FILE_HEAD, d.newest_seq, name), HEAD_BYTES_MAX, &data, &len, NULL))
        return;
    if (head_decode(data, len, &h, NULL) == 0) {
        snprintf(agent, HEAD_NAME_MAX + 1, "%s", h.agent);
        snprintf(capture, HEAD_NAME_MAX + 1, "%s", h.capture);
        head_free(&h);
    }
    free(data);
}

void spool_stream_names(struct spool_stream *t, char agent[HEAD_NAME_MAX + 1], char capture[HEAD_NAME_MAX + 1])
{
    counter_page_name(t->page->agent, agent);
    counter_page_name(t->page->capture, capture);
    if (!agent[0])
        names_of_newest(t, agent, capture);
}

/* ------------------------------------------------------------ items */
int spool_stream_open_body(struct spool_stream *t, uint64_t seq, struct error *e)
{
    char name[SPOOL_NAME_SIZE];
    int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | (t->adopted ? 0 : O_CREAT | O_TRUNC);
    int sys = FAULT("spool.open");
    spool_file_name(SPOOL_FILE_OPEN, seq, name);
    int fd = sys ? -1 : openat(t->dirfd, name, flags, SPOOL_FILE_MODE);
    return fd >= 0 ? fd : error_sys(e, sys ? sys : errno, "cannot open %s in the spool", name);
}

static int seal_body(struct spool_stream *t, uint64_t seq, int body_fd, struct error *e)
{
    char from[SPOOL_NAME_SIZE];
    char to[SPOOL_NAME_SIZE];
    int r = fs_sync(body_fd, "spool.sync", e);
    if (r)
        return r;
    return fs_rename(t->dirfd, spool_file_name(SPOOL_FILE_OPEN, seq, from), spool_file_name(SPOOL_FILE_BODY, seq, to),
                     "spool.rename", e);
}

/* So that a seal that found no room can be tried again. */
static int unseal_body(struct spool_stream *t, uint64_t seq, int r, struct error *e)
{
    char from[SPOOL_NAME_SIZE];
    char to[SPOOL_NAME_SIZE];
    struct error other = ERROR_INIT;
    if (r != ERROR_FULL)
        return r;
    int back = fs_rename(t->dirfd, spool_file_name(SPOOL_FILE_BODY, seq, from),
                         spool_file_name(SPOOL_FILE_OPEN, seq, to), "spool.rename-back", &other);
    return back ? error_set(e, back, "%s", other.text) : r;
}

int spool_stream_seal(struct spool_stream *t, uint64_t seq, const void *head, size_t head_length, bool with_body,
                      int body_fd, struct error *e)
{
    char name[SPOOL_NAME_SIZE];
    int r = with_body ? seal_body(t, seq, body_fd, e) : 0;
    if (r)
        return r;
    r = fs_replace(t->dirfd, spool_file_name(SPOOL_FILE_HEAD, seq, name), head, head_length, SPOOL_FILE_MODE,
                   "spool.head", e);
    if (r)
        return with_body ? unseal_body(t, seq, r, e) : r;
    atomic_fetch_add_explicit(&t->page->sealed_items, 1, memory_order_relaxed);
    return 0;
}

int spool_stream_discard(struct spool_stream *t, uint64_t seq, struct error *e)
{
    char name[SPOOL_NAME_SIZE];
    return fs_unlink(t->dirfd, spool_file_name(SPOOL_FILE_OPEN, seq, name), "spool.unlink", e);
}

int spool_stream_position(struct spool_stream *t, uint64_t *seq, bool *open_body, bool *ended, struct error *e)
{
    char name[SPOOL_NAME_SIZE];
    struct spool_dir d;
    struct stat st;
    int r = spool_dir_read(t->dirfd, &d, e);
    if (r)
        return r;
    *seq = d.next_seq;
    *ended = d.ended;
    *open_body = fstatat(t->dirfd, spool_file_name(SPOOL_FILE_OPEN, *seq, name), &st, AT_SYMLINK_NOFOLLOW) == 0;
    return 0;
}
