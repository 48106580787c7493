#include "common/base/audit_impl.h"

#include "common/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRETCH (256u << 10) /* read at once; many lines */
_Static_assert(STRETCH > AUDIT_LINE_MAX, "a line may be longer than what is read at once");

/* ------------------------------------------------------------------ one file */

static int broken(const struct audit_walk *w, const char *name, uint64_t number, const char *what, struct error *e)
{
    return error_set(e, ERROR_CORRUPT, "%s, line %" PRIu64 " (after number %" PRIu64 "): %s", name, number, w->head.seq,
                     what);
}

static const char *must_fit(const struct audit_walk *w)
{
    for (size_t i = 0; i < 2; i++)
        if (w->must[i] && w->must[i]->seq == w->head.seq &&
            memcmp(w->must[i]->hash, w->head.hash, sizeof w->head.hash) != 0)
            return "it is not the line that stood here once: the lines up to it were written anew";
    return NULL;
}

/* Whether the first line is the next one of what came before; then that vouches for it. */
static bool goes_on(struct audit_walk *w, const char *line, size_t len)
{
    uint64_t seq;
    bool next = w->before && w->before->seq && audit_line_seq(line, len, &seq) && seq == w->before->seq + 1;
    if (next)
        w->head = *w->before;
    return next;
}

/* No text can hold these bytes: quotes in it are escaped. The line ends with a 0. */
static uint64_t lost_lines(const char *line)
{
    static const char event[] = ",\"event\":\"lost\"", number[] = ",\"lines\":";
    const char *at = strstr(line, event) ? strstr(line, number) : NULL;
    return at ? strtoull(at + sizeof number - 1, NULL, 10) : 0;
}

static int walk_line(struct audit_walk *w, char *line, size_t len, const char *name, uint64_t number, struct error *e)
{
    bool vouched = w->any || goes_on(w, line, len);
    const char *problem = audit_line_check(&w->head, !vouched, line, len);
    if (!problem && !vouched && w->head.seq == 1) { /* the very first is vouched for by zeros */
        w->head = (struct audit_head){0};
        problem = audit_line_check(&w->head, false, line, len);
    }
    if (!problem)
        problem = must_fit(w);
    if (problem)
        return broken(w, name, number, problem, e);
    audit_line_time(line, len, w->last_time);
    if (!w->any) {
        w->first_seq = w->head.seq;
        memcpy(w->first_time, w->last_time, sizeof w->first_time);
    }
    w->any = true;
    w->lines++;
    line[len] = 0;
    w->lost += lost_lines(line);
    const struct audit_line l = {.seq = w->head.seq, .text = line, .length = len};
    return w->each ? w->each(w->context, &l, e) : 0;
}

/* Walks the whole lines of a stretch of the file. */
static int walk_text(struct audit_walk *w, char *text, size_t len, const char *name, struct error *e)
{
    size_t at = 0;
    int r = 0;
    for (char *end; r == 0 && at < len && (end = memchr(text + at, '\n', len - at)); at = (size_t)(end - text) + 1) {
        r = walk_line(w, text + at, (size_t)(end - text) - at, name, w->good_lines + 1, e);
        w->good_lines += r == 0;
    }
    w->good_bytes += at;
    return r;
}

static int walk_stretches(struct audit_walk *w, int fd, uint64_t size, char *text, const char *name, struct error *e)
{
    int r = 0;
    for (uint64_t before = UINT64_MAX; r == 0 && w->good_bytes != before && w->good_bytes < size;) {
        uint64_t left = size - w->good_bytes;
        size_t len = left < STRETCH ? (size_t)left : STRETCH;
        before = w->good_bytes;
        r = fs_pread(fd, text, len, before, e);
        if (r == 0)
            r = walk_text(w, text, len, name, e);
        if (r == 0 && w->good_bytes == before && len == STRETCH)
            r = broken(w, name, w->good_lines + 1, "it is no line of an audit", e);
    }
    w->cut_bytes = size - w->good_bytes;
    return r;
}

int audit_walk_file(struct audit_walk *w, int fd, const char *name, struct error *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_sys(e, errno, "%s: cannot be read", name);
    char *text = malloc(STRETCH);
    w->good_bytes = w->good_lines = 0;
    int r = text ? walk_stretches(w, fd, (uint64_t)st.st_size, text, name, e)
                 : error_set(e, ERROR_MEMORY, "no memory to read the audit");
    free(text);
    return r;
}

int audit_walk_end(const struct audit_walk *w, struct error *e)
{
    for (size_t i = 0; i < 2; i++)
        if (w->must[i] && w->must[i]->seq > w->head.seq)
            return error_set(e, ERROR_CORRUPT,
                             "the audit ends with number %" PRIu64 ", and there were lines up to %" PRIu64
                             " once: its end was cut off",
                             w->head.seq, w->must[i]->seq);
    const struct audit_head *known = w->must[1];
    if (known && w->any && known->seq < w->first_seq)
        return error_set(e, ERROR_NOT_FOUND,
                         "number %" PRIu64 " is not among the lines that are here: they begin with number %" PRIu64,
                         known->seq, w->first_seq);
    return 0;
}

/* ------------------------------------------------------------------ all of them */

static int walk_full(struct audit_walk *w, int fd, const char *name, struct error *e)
{
    uint64_t before = w->head.seq;
    int r = audit_walk_file(w, fd, name, e);
    if (r == 0 && w->cut_bytes)
        r = broken(w, name, w->good_lines + 1, "the file ends amid a line", e);
    return r || w->head.seq != before ? r : broken(w, name, 0, "there is no line in it", e);
}

static int walk_listed(struct audit_walk *w, int dirfd, uint64_t number, struct error *e)
{
    char name[AUDIT_NAME_MAX];
    audit_file_name(number, name);
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? error_sys(e, errno, "%s: cannot be read", name) : walk_full(w, fd, name, e);
    if (fd >= 0)
        close(fd);
    return r;
}

/* The file that is written to may become a full one, and another take its place, at any time. A full one has the number of its first line: so
 * as long as there is one that goes on here, it comes first; if there was none after the other was opened, that one goes on. */
static int walk_newest(struct audit_walk *w, int dirfd, struct error *e)
{
    int r = 0;
    bool more = true;
    while (r == 0 && more) {
        char name[AUDIT_NAME_MAX];
        int fd = openat(dirfd, AUDIT_CURRENT, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        audit_file_name(w->head.seq + 1, name);
        int full = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        more = full >= 0;
        if (more)
            r = walk_full(w, full, name, e);
        else if (fd >= 0)
            r = audit_walk_file(w, fd, AUDIT_CURRENT, e);
        if (full >= 0)
            close(full);
        if (fd >= 0)
            close(fd);
    }
    return r;
}

static int walk_all(struct audit_walk *w, int dirfd, struct error *e)
{
    uint64_t *files = NULL;
    size_t count = 0;
    int r = audit_files(dirfd, &files, &count, e);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = walk_listed(w, dirfd, files[i], e);
    free(files);
    return r ? r : walk_newest(w, dirfd, e);
}

static void say(const struct audit_walk *w, struct audit_report *report)
{
    report->lines = w->lines;
    report->lost = w->lost;
    report->first_seq = w->first_seq;
    report->last = w->head;
    memcpy(report->first_time, w->first_time, sizeof report->first_time);
    memcpy(report->last_time, w->last_time, sizeof report->last_time);
    report->cut_bytes = w->cut_bytes;
    report->cut_line = w->cut_bytes ? w->good_lines + 1 : 0;
}

static int verify_folder(int dirfd, const char *folder, struct audit_walk *w, struct audit_report *report,
                         struct error *e)
{
    bool there = false, written = fs_lock_held(dirfd, AUDIT_LOCK);
    int r = audit_head_read(dirfd, &report->noted, &there, e);
    w->must[0] = &report->noted;
    if (r == 0)
        r = walk_all(w, dirfd, e);
    if (r == 0 && !there && !w->any && faccessat(dirfd, AUDIT_CURRENT, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        r = error_set(e, ERROR_NOT_FOUND, "there is no audit in %s: a folder with %s is meant", folder, AUDIT_CURRENT);
    if (r == 0 && !there)
        r = error_set(e, ERROR_CORRUPT, "%s/%s is gone: nothing says up to where there were lines", folder,
                      AUDIT_HEAD_FILE);
    if (r == 0)
        r = audit_walk_end(w, e);
    say(w, report);
    report->written = written;
    return r;
}

static int verify_file(int fd, const char *path, struct audit_walk *w, struct audit_report *report, struct error *e)
{
    int r = audit_walk_file(w, fd, path, e);
    if (r == 0 && !w->any)
        r = error_set(e, ERROR_NOT_FOUND, "%s: there is no line in it", path);
    if (r == 0)
        r = audit_walk_end(w, e);
    say(w, report);
    return r;
}

int audit_verify(const char *folder, const struct audit_head *known, audit_line_fn *each, void *context,
                 struct audit_report *report, struct error *e)
{
    struct audit_walk w = {.each = each, .context = context, .must = {NULL, known}};
    *report = (struct audit_report){0};
    int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return error_sys(e, errno, "the audit in %s cannot be read", folder);
    int r = verify_folder(dirfd, folder, &w, report, e);
    close(dirfd);
    return r;
}

int audit_verify_path(const char *path, const struct audit_head *before, const struct audit_head *known,
                      audit_line_fn *each, void *context, struct audit_report *report, struct error *e)
{
    struct audit_walk w = {.each = each, .context = context, .before = before, .must = {NULL, known}};
    struct stat st;
    *report = (struct audit_report){0};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int r = error_sys(e, errno, "%s cannot be read", path);
        if (fd >= 0)
            close(fd);
        return r;
    }
    report->folder = S_ISDIR(st.st_mode);
    int r = S_ISDIR(st.st_mode)   ? verify_folder(fd, path, &w, report, e)
            : S_ISREG(st.st_mode) ? verify_file(fd, path, &w, report, e)
                                  : error_set(e, ERROR_USAGE, "%s is neither a file nor a folder", path);
    close(fd);
    return r == ERROR_CORRUPT && S_ISDIR(st.st_mode) ? error_prefix(e, "%s", path) : r;
}
