#include "common/base/audit_impl.h"

#include "common/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static int walk_line(struct audit_walk *w, char *line, size_t len, const char *name, uint64_t number, struct error *e)
{
    const char *problem = audit_line_check(&w->head, !w->any, line, len);
    if (!problem && !w->any && w->head.seq == 1) { /* the very first is vouched for by zeros */
        w->head = (struct audit_head){0};
        problem = audit_line_check(&w->head, false, line, len);
    }
    if (!problem)
        problem = must_fit(w);
    if (problem)
        return broken(w, name, number, problem, e);
    if (!w->any)
        w->first_seq = w->head.seq;
    w->any = true;
    line[len] = 0;
    const struct audit_line l = {.seq = w->head.seq, .text = line, .length = len};
    return w->each ? w->each(w->context, &l, e) : 0;
}

static int walk_text(struct audit_walk *w, char *text, size_t len, const char *name, struct error *e)
{
    uint64_t number = 0;
    int r = 0;
    w->good_bytes = 0;
    while (r == 0 && w->good_bytes < len) {
        char *line = text + w->good_bytes, *end = memchr(line, '\n', len - (size_t)w->good_bytes);
        if (!end)
            break;
        r = walk_line(w, line, (size_t)(end - line), name, ++number, e);
        if (r == 0)
            w->good_bytes += (uint64_t)(end - line) + 1;
    }
    w->cut_bytes = len - w->good_bytes;
    return r;
}

int audit_walk_file(struct audit_walk *w, int fd, const char *name, struct error *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_sys(e, errno, "%s: cannot be read", name);
    if ((uint64_t)st.st_size > AUDIT_FILE_MOST)
        return error_set(e, ERROR_CORRUPT, "%s: longer than a file of the audit ever is", name);
    size_t len = (size_t)st.st_size;
    char *text = malloc(len + 1);
    int r = text ? fs_pread(fd, text, len, 0, e) : error_set(e, ERROR_MEMORY, "no memory to read the audit");
    if (r == 0)
        r = walk_text(w, text, len, name, e);
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
    return 0;
}

/* ------------------------------------------------------------------ all of them */

static int walk_full(struct audit_walk *w, int fd, const char *name, struct error *e)
{
    uint64_t before = w->head.seq;
    int r = audit_walk_file(w, fd, name, e);
    if (r == 0 && w->cut_bytes)
        r = broken(w, name, 0, "the file ends amid a line", e);
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

int audit_verify(const char *folder, const struct audit_head *known, audit_line_fn *each, void *context,
                 struct audit_report *report, struct error *e)
{
    struct audit_head noted;
    bool there = false;
    struct audit_walk w = {.each = each, .context = context, .must = {&noted, known}};
    *report = (struct audit_report){0};
    int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return error_sys(e, errno, "the audit in %s cannot be read", folder);
    int r = audit_head_read(dirfd, &noted, &there, e);
    if (r == 0)
        r = walk_all(&w, dirfd, e);
    if (r == 0 && !there)
        r = error_set(e, ERROR_CORRUPT, "%s/%s is gone: nothing says up to where there were lines", folder,
                      AUDIT_HEAD_FILE);
    if (r == 0)
        r = audit_walk_end(&w, e);
    close(dirfd);
    *report = (struct audit_report){.first_seq = w.first_seq, .last = w.head, .cut_bytes = w.cut_bytes};
    return r;
}
