/* sink: the two kinds. */
#include "agent/capture/sink.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MODE    0640
#define FOLDER_MODE  0750
#define NAME_SIZE    40
#define WAIT_STEP_US 100000
#define STUCK_NS     (3 * NS_PER_S) /* so long nothing moves before one gives up; the next one waits as long again */

/* ---------------------------------------------------------------- a folder */

struct folder {
    struct sink sink;
    char *path;
    int dirfd;
};

static void file_name(char name[NAME_SIZE], uint64_t seq, const char *ending)
{
    snprintf(name, NAME_SIZE, "%016llx.%s", (unsigned long long)seq, ending);
}

static int folder_open_body(struct sink *s, uint64_t seq, struct error *e)
{
    struct folder *f = (struct folder *)s;
    char name[NAME_SIZE];
    file_name(name, seq, "open");
    int fd = openat(f->dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return error_sys(e, errno, "%s/%s", f->path, name);
    return fd;
}

static int folder_seal(struct sink *s, uint64_t seq, const void *head, size_t len, bool with_body, int body_fd,
                       struct error *e)
{
    struct folder *f = (struct folder *)s;
    char from[NAME_SIZE], to[NAME_SIZE], name[NAME_SIZE];
    file_name(from, seq, "open");
    file_name(to, seq, "pcapng.zst");
    file_name(name, seq, "head");
    int code = 0;
    if (with_body) {
        code = fs_sync(body_fd, "out.sync", e);
        if (!code)
            code = fs_rename(f->dirfd, from, to, "out.rename", e);
    }
    if (!code)
        code = fs_replace(f->dirfd, name, head, len, FILE_MODE, "out.head", e);
    return code ? error_prefix(e, "%s", f->path) : 0;
}

static int folder_room(struct sink *s, uint64_t need, struct error *e)
{
    (void)s;
    (void)need;
    (void)e;
    return 0; /* the file system says so itself */
}

static int folder_full(struct sink *s, const struct error *why, struct error *e)
{
    (void)s;
    return error_set(e, why->code, "%s", why->text);
}

static void folder_close(struct sink *s)
{
    struct folder *f = (struct folder *)s;
    if (f->dirfd >= 0)
        close(f->dirfd);
    free(f->path);
    free(f);
}

static int check_empty(const struct folder *f, struct error *e)
{
    DIR *d = fs_list(f->dirfd);
    if (!d)
        return error_sys(e, errno, "%s", f->path);
    int code = 0;
    for (struct dirent *entry; !code && (entry = readdir(d));) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot && (strcmp(dot, ".head") == 0 || strcmp(dot, ".zst") == 0 || strcmp(dot, ".open") == 0))
            code = error_set(e, ERROR_EXISTS, "%s: has chunk files already (%s); give an empty folder", f->path,
                             entry->d_name);
    }
    closedir(d);
    return code;
}

int sink_folder(const char *path, struct sink **out, struct error *e)
{
    *out = NULL;
    struct folder *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(e, ERROR_MEMORY, "no memory for the folder %s", path);
    f->dirfd = -1;
    f->sink = (struct sink){.open_body = folder_open_body,
                            .seal = folder_seal,
                            .room = folder_room,
                            .full = folder_full,
                            .close = folder_close};
    f->path = strdup(path);
    int code = f->path ? 0 : error_set(e, ERROR_MEMORY, "no memory for the folder %s", path);
    if (!code) {
        f->dirfd = fs_open_dir(path, FOLDER_MODE, e);
        code = f->dirfd < 0 ? f->dirfd : check_empty(f, e);
    }
    if (code) {
        folder_close(&f->sink);
        return code;
    }
    *out = &f->sink;
    return 0;
}

/* ---------------------------------------------------------------- the spool */

struct spool_sink {
    struct sink sink;
    struct spool *spool;
    struct spool_stream *stream;
    struct sink_wait wait;
    bool may_wait;
    bool waiting;      /* was said, and not yet that it is over */
    uint64_t stuck_ns; /* since when the spool is stuck; 0: it is not */
};

static int spool_sink_open_body(struct sink *s, uint64_t seq, struct error *e)
{
    return spool_stream_open_body(((struct spool_sink *)s)->stream, seq, e);
}

static int spool_sink_seal(struct sink *s, uint64_t seq, const void *head, size_t len, bool with_body, int body_fd,
                           struct error *e)
{
    return spool_stream_seal(((struct spool_sink *)s)->stream, seq, head, len, with_body, body_fd, e);
}

static int nobody_ships(const struct error *why, struct error *e)
{
    return error_set(e, ERROR_FULL,
                     "%s; and nobody ships what is in it: start fleetdump-agent, or see that it reaches the collector",
                     why->text);
}

/* Of streams that are given up nothing of; others are made room for. */
static bool is_stuck(struct spool_sink *p)
{
    const struct counter_page *page = p->sink.page;
    unsigned ahead = 0;
    uint64_t now = clock_mono_ns();
    if (atomic_load_explicit(&page->evict, memory_order_relaxed) != EVICT_NEVER ||
        !spool_is_stuck(p->spool, page->epoch, &ahead))
        p->stuck_ns = 0;
    else if (!p->stuck_ns)
        p->stuck_ns = now;
    return p->stuck_ns && now - p->stuck_ns > STUCK_NS * (ahead + 1);
}

static int stuck(const struct error *why, struct error *e)
{
    return error_set(
        e, ERROR_FULL,
        "%s. All of it are chunks that several commands are writing at once, so that none can go on: what was "
        "read until here is kept; read fewer files at once, or raise the quota",
        why->text);
}

static int spool_sink_full(struct sink *s, const struct error *why, struct error *e)
{
    struct spool_sink *p = (struct spool_sink *)s;
    if (!p->may_wait)
        return error_set(e, why->code, "%s", why->text);
    if (atomic_load_explicit(p->wait.stop, memory_order_relaxed))
        return error_set(e, ERROR_CANCELLED, "stopped while waiting for room in the spool");
    if (!p->wait.somebody_ships(p->wait.context))
        return nobody_ships(why, e);
    if (is_stuck(p))
        return stuck(why, e);
    if (!p->waiting)
        p->wait.waiting(p->wait.context, why);
    p->waiting = true;
    usleep(WAIT_STEP_US);
    return 0;
}

static int spool_sink_room(struct sink *s, uint64_t need, struct error *e)
{
    struct spool_sink *p = (struct spool_sink *)s;
    struct error why = ERROR_INIT;
    int code;
    while ((code = spool_room(p->spool, need, NULL, &why)) == ERROR_FULL) {
        code = spool_sink_full(s, &why, e);
        if (code)
            return code;
    }
    if (code)
        return error_set(e, code, "%s", why.text);
    if (p->waiting && p->wait.over)
        p->wait.over(p->wait.context);
    p->waiting = false;
    p->stuck_ns = 0;
    return 0;
}

static void spool_sink_close(struct sink *s)
{
    free(s);
}

int sink_spool(struct spool *spool, struct spool_stream *stream, const struct sink_wait *wait, struct sink **out,
               struct error *e)
{
    struct spool_sink *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return error_set(e, ERROR_MEMORY, "no memory for a stream");
    p->sink = (struct sink){.open_body = spool_sink_open_body,
                            .seal = spool_sink_seal,
                            .room = spool_sink_room,
                            .full = spool_sink_full,
                            .close = spool_sink_close,
                            .page = spool_stream_counters(stream)};
    p->spool = spool;
    p->stream = stream;
    p->may_wait = wait != NULL;
    if (wait)
        p->wait = *wait;
    *out = &p->sink;
    return 0;
}
