#include "common/base/audit_impl.h"

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct audit {
    char *folder;
    int dirfd, lock_fd, fd;
    uint64_t file_bytes;
    uint64_t size;      /* of the file */
    uint64_t first_seq; /* of its first line */
    struct audit_head head;
    bool dirty, failed;
    struct buffer line;
};

struct audit_head audit_head(const struct audit *a)
{
    return a->head;
}

/* ------------------------------------------------------------------ writing */

static int fails(struct audit *a, int code)
{
    a->failed = a->failed || code;
    return code;
}

static int has_failed(const struct audit *a, struct error *e)
{
    return error_set(e, ERROR_SYSTEM, "the audit in %s could not be written before: it is to be opened anew",
                     a->folder);
}

static int make_file(struct audit *a, struct error *e)
{
    int sys = FAULT("audit.new");
    a->fd =
        sys ? -1 : openat(a->dirfd, AUDIT_CURRENT, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (a->fd < 0)
        return error_sys(e, sys ? sys : errno, "cannot make %s/%s", a->folder, AUDIT_CURRENT);
    a->size = 0;
    a->first_seq = a->head.seq + 1;
    return fs_sync_dir(a->dirfd, "audit.dir", e);
}

/* The file is full: it gets the name of its first line. */
static int rotate(struct audit *a, struct error *e)
{
    char name[AUDIT_NAME_MAX];
    audit_file_name(a->first_seq, name);
    int r = audit_sync(a, e);
    if (r == 0)
        r = fs_rename(a->dirfd, AUDIT_CURRENT, name, "audit.rotate", e);
    if (r)
        return r;
    close(a->fd);
    a->fd = -1;
    return make_file(a, e);
}

/* What came of a write that failed is taken back. */
static void undo(struct audit *a)
{
    int sys = FAULT("audit.undo");
    if (!sys && ftruncate(a->fd, (off_t)a->size) != 0)
        sys = errno;
    if (sys)
        fails(a, ERROR_SYSTEM);
}

static int append(struct audit *a, uint64_t wall_ns, const struct buffer *fields, struct error *e)
{
    struct audit_head next = a->head;
    buffer_clear(&a->line);
    int r = audit_line_make(&next, wall_ns, fields, &a->line, e);
    if (r)
        return r;
    r = fs_write(a->fd, a->line.data, a->line.len, "audit.write", e);
    if (r) {
        undo(a);
        return error_prefix(e, "the audit in %s", a->folder);
    }
    a->size += a->line.len;
    a->head = next;
    a->dirty = true;
    return 0;
}

int audit_append(struct audit *a, uint64_t wall_ns, const struct buffer *fields, struct error *e)
{
    if (!a->failed && a->size >= a->file_bytes)
        (void)fails(a, rotate(a, e));
    return a->failed ? has_failed(a, e) : append(a, wall_ns, fields, e);
}

int audit_sync(struct audit *a, struct error *e)
{
    if (a->failed)
        return has_failed(a, e);
    if (!a->dirty)
        return 0;
    int r = fs_sync(a->fd, "audit.sync", e);
    if (r == 0)
        r = audit_head_write(a->dirfd, &a->head, e);
    a->dirty = r != 0;
    return fails(a, r);
}

/* ------------------------------------------------------------------ opening */

/* The chain up to the file that is written to, from the last full file on. */
static int walk_last(struct audit *a, struct audit_walk *w, struct error *e)
{
    uint64_t *files = NULL;
    size_t count = 0;
    char name[AUDIT_NAME_MAX];
    int r = audit_files(a->dirfd, &files, &count, e);
    if (r == 0 && count) {
        audit_file_name(files[count - 1], name);
        int fd = openat(a->dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? error_sys(e, errno, "%s: cannot be read", name) : audit_walk_file(w, fd, name, e);
        if (r == 0 && w->cut_bytes)
            r = error_set(e, ERROR_CORRUPT, "%s: ends amid a line", name);
        if (fd >= 0)
            close(fd);
    }
    free(files);
    return r;
}

static int cut(struct audit *a, const struct audit_walk *w, struct error *e)
{
    uint64_t to = w->good_bytes, bytes = w->cut_bytes;
    struct buffer fields = {.limit = AUDIT_FIELDS_MAX};
    int sys = FAULT("audit.cut");
    if (!sys && ftruncate(a->fd, (off_t)to) != 0)
        sys = errno;
    if (sys)
        return error_sys(e, sys, "cannot cut half a line off %s/%s", a->folder, AUDIT_CURRENT);
    log_warn("%s/%s, line %" PRIu64 ": half a line of %" PRIu64
             " bytes was cut off, as a crash amid a write leaves it: what it "
             "said is lost, and the audit goes on after number %" PRIu64,
             a->folder, AUDIT_CURRENT, w->good_lines + 1, bytes, w->head.seq);
    audit_put_text(&fields, "event", "cut", 10);
    audit_put_text(&fields, "audit", "cut", 10);
    audit_put_number(&fields, "bytes", bytes);
    int r = append(a, clock_wall_ns(), &fields, e);
    buffer_free(&fields);
    return r;
}

/* Goes on with the file that is there: all of it is read, and fits. */
static int go_on(struct audit *a, struct audit_walk *w, struct error *e)
{
    a->fd = openat(a->dirfd, AUDIT_CURRENT, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    if (a->fd < 0 && errno != ENOENT)
        return error_sys(e, errno, "cannot open %s/%s", a->folder, AUDIT_CURRENT);
    uint64_t before = w->head.seq;
    w->good_bytes = w->good_lines = w->cut_bytes = 0;
    int r = a->fd < 0 ? 0 : audit_walk_file(w, a->fd, AUDIT_CURRENT, e);
    if (r == 0)
        r = audit_walk_end(w, e);
    if (r)
        return r;
    a->head = w->head;
    if (a->fd < 0)
        return make_file(a, e);
    a->size = w->good_bytes;
    a->first_seq = before ? before + 1 : w->any ? w->first_seq : 1;
    a->dirty = true; /* the head may be behind */
    return w->cut_bytes ? cut(a, w, e) : 0;
}

/* A folder without lines gets a head that says so; one with lines must have one. */
static int take_head(struct audit *a, const struct audit_walk *w, struct audit_head *noted, struct error *e)
{
    bool there;
    struct stat st;
    int r = audit_head_read(a->dirfd, noted, &there, e);
    if (r || there)
        return r;
    if (w->any || (fstatat(a->dirfd, AUDIT_CURRENT, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0))
        return error_set(e, ERROR_CORRUPT, "%s is gone, and there are lines", AUDIT_HEAD_FILE);
    return audit_head_write(a->dirfd, noted, e);
}

static int enter(struct audit *a, struct error *e)
{
    struct audit_head noted = {0};
    struct audit_walk w = {.must = {NULL, NULL}};
    int r = walk_last(a, &w, e);
    if (r == 0)
        r = take_head(a, &w, &noted, e);
    if (r == 0) {
        /* it may be the last line of the full file; what lies before that is audit_verify's */
        bool passed = w.any && noted.seq <= w.head.seq;
        bool fits = !passed || noted.seq < w.head.seq || memcmp(noted.hash, w.head.hash, sizeof noted.hash) == 0;
        w.must[0] = passed ? NULL : &noted;
        r = fits ? go_on(a, &w, e) : error_set(e, ERROR_CORRUPT, "its last line is not the one that was written");
    }
    if (r == ERROR_CORRUPT)
        return error_prefix(e,
                            "the audit in %s does not fit: look at it (audit verify), and move the folder away for "
                            "a new one to begin",
                            a->folder);
    return r ? r : audit_sync(a, e);
}

static void audit_free(struct audit *a)
{
    if (a->fd >= 0)
        close(a->fd);
    if (a->lock_fd >= 0)
        close(a->lock_fd);
    if (a->dirfd >= 0)
        close(a->dirfd);
    buffer_free(&a->line);
    free(a->folder);
    free(a);
}

int audit_open(const char *folder, uint64_t file_bytes, struct audit **out, struct error *e)
{
    struct audit *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(e, ERROR_MEMORY, "no memory for the audit");
    *a = (struct audit){.dirfd = -1, .lock_fd = -1, .fd = -1, .line = {.limit = AUDIT_LINE_MAX}};
    a->file_bytes = file_bytes == 0                    ? AUDIT_FILE_BYTES
                    : file_bytes > AUDIT_FILE_MOST / 2 ? AUDIT_FILE_MOST / 2
                                                       : file_bytes;
    a->folder = strdup(folder);
    int r = a->folder ? 0 : error_set(e, ERROR_MEMORY, "no memory for the audit");
    if (r == 0 && (r = a->dirfd = fs_open_dir(folder, 0700, e)) >= 0)
        r = a->lock_fd = fs_lock(a->dirfd, AUDIT_LOCK, e);
    if (r >= 0)
        r = enter(a, e);
    if (r) {
        audit_free(a);
        return r;
    }
    *out = a;
    return 0;
}

void audit_close(struct audit *a)
{
    struct error e = ERROR_INIT;
    if (!a)
        return;
    if (!a->failed && audit_sync(a, &e))
        log_error("the audit in %s: %s", a->folder, e.text);
    audit_free(a);
}
