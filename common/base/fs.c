#include "common/base/fs.h"

#include "common/base/buffer.h"
#include "common/base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PATH_TEXT_MAX 512
#define POINT_MAX     64
#define READ_PIECE    ((size_t)65536)

#define HOLDER_TRIES    100
#define HOLDER_PAUSE_US 1000

/* What a message calls the file: its path if /proc tells, else what it is to us. Returns buf. */
static const char *path_of(int fd, char buf[PATH_TEXT_MAX])
{
    char link[40];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, buf, PATH_TEXT_MAX - 1);
    if (n > 0)
        buf[n] = 0;
    else
        snprintf(buf, PATH_TEXT_MAX, "file descriptor %d", fd);
    return buf;
}

static const char *path_at(int dirfd, const char *name, char buf[PATH_TEXT_MAX])
{
    char dir[PATH_TEXT_MAX];
    if (dirfd == AT_FDCWD || name[0] == '/')
        snprintf(buf, PATH_TEXT_MAX, "%s", name);
    else
        snprintf(buf, PATH_TEXT_MAX, "%.*s/%s", PATH_TEXT_MAX / 2, path_of(dirfd, dir), name);
    return buf;
}

static int fail_fd(struct error *e, int sys, const char *what, int fd)
{
    char path[PATH_TEXT_MAX];
    return error_sys(e, sys, "cannot %s %s", what, path_of(fd, path));
}

static int fail_at(struct error *e, int sys, const char *what, int dirfd, const char *name)
{
    char path[PATH_TEXT_MAX];
    return error_sys(e, sys, "cannot %s %s", what, path_at(dirfd, name, path));
}

/* Passes the fault point point.suffix; 0 or an errno. */
static int pass_suffix(const char *point, const char *suffix)
{
    if (!point)
        return 0;
    char name[POINT_MAX];
    snprintf(name, sizeof(name), "%s.%s", point, suffix);
    return FAULT(name);
}

static int pass_done(const char *point)
{
    return pass_suffix(point, "done");
}

/* pwrite at *offset, or write where offset is NULL. */
static int write_all(int fd, const uint8_t *data, size_t len, const uint64_t *offset, const char *point)
{
    int sys = FAULT(point);
    for (size_t at = 0; !sys && at < len;) {
        ssize_t n = offset ? pwrite(fd, data + at, len - at, (off_t)(*offset + at)) : write(fd, data + at, len - at);
        if (n > 0)
            at += (size_t)n;
        else if (n == 0)
            sys = EIO; /* never for files that we write, but it must not be a loop without end */
        else if (errno != EINTR)
            sys = errno;
    }
    return sys ? sys : pass_done(point);
}

int fs_write(int fd, const void *data, size_t len, const char *point, struct error *e)
{
    int sys = write_all(fd, data, len, NULL, point);
    return sys ? fail_fd(e, sys, "write", fd) : 0;
}

/* Offsets come from files: off_t is signed. */
static int check_offset(int fd, uint64_t offset, size_t len, struct error *e)
{
    char path[PATH_TEXT_MAX];
    if (offset <= INT64_MAX && len <= INT64_MAX - offset)
        return 0;
    return error_set(e, ERROR_INVALID, "%s: no file has an offset of %llu bytes", path_of(fd, path),
                     (unsigned long long)offset);
}

int fs_pwrite(int fd, const void *data, size_t len, uint64_t offset, const char *point, struct error *e)
{
    int r = check_offset(fd, offset, len, e);
    if (r)
        return r;
    int sys = write_all(fd, data, len, &offset, point);
    return sys ? fail_fd(e, sys, "write", fd) : 0;
}

/* Skips pieces that are written, and the beginning of the one that is in part. */
static void skip_pieces(struct iovec **pieces, size_t *count, size_t n)
{
    while (*count && n >= (*pieces)->iov_len) {
        n -= (*pieces)->iov_len;
        ++*pieces;
        --*count;
    }
    if (*count) {
        (*pieces)->iov_base = (uint8_t *)(*pieces)->iov_base + n;
        (*pieces)->iov_len -= n;
    }
}

int fs_pwrite_pieces(int fd, struct iovec *pieces, size_t count, uint64_t offset, const char *point, struct error *e)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].iov_len;
    int r = check_offset(fd, offset, len, e);
    if (r)
        return r;
    int sys = FAULT(point);
    skip_pieces(&pieces, &count, 0);
    while (!sys && count) {
        ssize_t n = pwritev(fd, pieces, (int)count, (off_t)offset);
        if (n > 0) {
            offset += (uint64_t)n;
            skip_pieces(&pieces, &count, (size_t)n);
        } else if (n == 0) {
            sys = EIO;
        } else if (errno != EINTR) {
            sys = errno;
        }
    }
    if (!sys)
        sys = pass_done(point);
    return sys ? fail_fd(e, sys, "write", fd) : 0;
}

int fs_pread(int fd, void *data, size_t len, uint64_t offset, struct error *e)
{
    int r = check_offset(fd, offset, len, e);
    if (r)
        return r;
    for (size_t at = 0; at < len;) {
        ssize_t n = pread(fd, (uint8_t *)data + at, len - at, (off_t)(offset + at));
        if (n > 0) {
            at += (size_t)n;
        } else if (n == 0) {
            char path[PATH_TEXT_MAX];
            return error_set(e, ERROR_TRUNCATED, "%s ends at byte %llu, where %zu more bytes were expected",
                             path_of(fd, path), (unsigned long long)(offset + at), len - at);
        } else if (errno != EINTR) {
            return fail_fd(e, errno, "read", fd);
        }
    }
    return 0;
}

int fs_sync(int fd, const char *point, struct error *e)
{
    int sys = FAULT(point);
    if (!sys && fdatasync(fd) != 0)
        sys = errno;
    if (!sys)
        sys = pass_done(point);
    return sys ? fail_fd(e, sys, "sync", fd) : 0;
}

int fs_sync_dir(int dirfd, const char *point, struct error *e)
{
    int sys = FAULT(point);
    if (!sys && fsync(dirfd) != 0)
        sys = errno;
    if (!sys)
        sys = pass_done(point);
    return sys ? fail_fd(e, sys, "sync the folder", dirfd) : 0;
}

int fs_rename(int dirfd, const char *from, const char *to, const char *point, struct error *e)
{
    char path[PATH_TEXT_MAX];
    int sys = FAULT(point);
    if (!sys && renameat(dirfd, from, dirfd, to) != 0)
        sys = errno;
    if (!sys)
        sys = pass_done(point);
    return sys ? error_sys(e, sys, "cannot rename %s to %s", path_at(dirfd, from, path), to) : 0;
}

int fs_unlink(int dirfd, const char *name, const char *point, struct error *e)
{
    int sys = FAULT(point);
    if (!sys && unlinkat(dirfd, name, 0) != 0 && errno != ENOENT)
        sys = errno;
    if (!sys)
        sys = pass_done(point);
    return sys ? fail_at(e, sys, "remove", dirfd, name) : 0;
}

static int write_tmp(int dirfd, const char *tmp, const void *data, size_t len, mode_t mode, const char *point,
                     struct error *e)
{
    char name[POINT_MAX];
    int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return fail_at(e, errno, "make", dirfd, tmp);
    int r = 0;
    if (fchmod(fd, mode) != 0) /* the umask, or what an earlier try left, must not decide who reads it */
        r = fail_at(e, errno, "set the mode of", dirfd, tmp);
    snprintf(name, sizeof(name), "%s.write", point ? point : "");
    if (!r)
        r = fs_write(fd, data, len, point ? name : NULL, e);
    snprintf(name, sizeof(name), "%s.sync", point ? point : "");
    if (!r)
        r = fs_sync(fd, point ? name : NULL, e);
    close(fd);
    return r;
}

/* Syncs the directory that holds dirfd/name, where name may have folders of its own. */
static int sync_parent(int dirfd, const char *name, const char *point, struct error *e)
{
    char parent[PATH_MAX] = ".";
    const char *slash = strrchr(name, '/');
    if (slash)
        snprintf(parent, sizeof(parent), "%.*s", slash == name ? 1 : (int)(slash - name), name);
    int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_at(e, errno, "open", dirfd, parent);
    int r = fs_sync_dir(fd, point, e);
    close(fd);
    return r;
}

int fs_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode, const char *point,
               struct error *e)
{
    char tmp[PATH_MAX];
    char step[POINT_MAX];
    if ((size_t)snprintf(tmp, sizeof(tmp), "%s.tmp", name) >= sizeof(tmp))
        return fail_at(e, ENAMETOOLONG, "make", dirfd, name);
    int r = write_tmp(dirfd, tmp, data, len, mode, point, e);
    snprintf(step, sizeof(step), "%s.rename", point ? point : "");
    if (!r)
        r = fs_rename(dirfd, tmp, name, point ? step : NULL, e);
    if (r) {
        unlinkat(dirfd, tmp, 0);
        return r;
    }
    snprintf(step, sizeof(step), "%s.sync-dir", point ? point : "");
    return sync_parent(dirfd, name, point ? step : NULL, e);
}

/* Steps from the folder `at` into `name`, which is made if it is missing. Returns an fd good for *at calls. */
static int enter_dir(int at, const char *name, mode_t mode, struct error *e)
{
    int fd = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno != ENOENT)
        return fail_at(e, errno, "open the folder", at, name);
    int sys = FAULT("fs.mkdir");
    if (sys || (mkdirat(at, name, mode) != 0 && errno != EEXIST))
        return fail_at(e, sys ? sys : errno, "make the folder", at, name);
    int r = sync_parent(at, name, "fs.sync-dir", e);
    if (r)
        return r;
    fd = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_at(e, errno, "open the folder", at, name);
    return fd;
}

int fs_open_dir(const char *path, mode_t mode, struct error *e)
{
    char copy[PATH_MAX];
    if (!*path)
        return error_set(e, ERROR_USAGE, "the name of a folder is empty");
    if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
        return fail_at(e, ENAMETOOLONG, "open the folder", AT_FDCWD, path);
    int at = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return fail_at(e, errno, "open the folder", AT_FDCWD, *path == '/' ? "/" : ".");
    char *rest = copy;
    for (char *name; (name = strsep(&rest, "/"));) {
        if (!*name)
            continue;
        int next = enter_dir(at, name, mode, e);
        close(at);
        if (next < 0)
            return next;
        at = next;
    }
    /* The way was walked by O_PATH, so that folders above that only root may list are no obstacle. */
    int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd >= 0 ? fd : fail_at(e, errno, "open the folder", AT_FDCWD, path);
    close(at);
    return r;
}

DIR *fs_list(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int sys = errno;
        close(fd);
        errno = sys;
    }
    return dir;
}

/* Appends what the file holds, up to the buffer's limit, past which it is `failed`. Returns 0 or an errno. */
static int read_rest(int fd, struct buffer *b)
{
    for (;;) {
        size_t room = b->limit - b->len < READ_PIECE ? b->limit - b->len : READ_PIECE;
        void *p = room ? buffer_reserve(b, room) : NULL;
        if (!p)
            return room ? ENOMEM : 0;
        ssize_t n = read(fd, p, room);
        if (n == 0)
            return 0;
        if (n > 0)
            b->len += (size_t)n;
        else if (errno != EINTR)
            return errno;
    }
}

int fs_read_file(int dirfd, const char *name, size_t limit, char **data, size_t *len, struct error *e)
{
    char path[PATH_TEXT_MAX];
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_at(e, errno, "open", dirfd, name);
    if (limit > BUFFER_LIMIT_DEFAULT)
        limit = BUFFER_LIMIT_DEFAULT;
    struct buffer b = {.limit = limit + 1}; /* one more tells a file of `limit` bytes from a longer one */
    int sys = read_rest(fd, &b);
    close(fd);
    int r = 0;
    if (sys)
        r = fail_at(e, sys, "read", dirfd, name);
    else if (b.len > limit)
        r = error_set(e, ERROR_LIMIT, "%s is larger than %zu bytes, which is the most that is read",
                      path_at(dirfd, name, path), limit);
    b.limit++;
    if (!r && (buffer_u8(&b, 0), b.failed))
        r = fail_at(e, ENOMEM, "read", dirfd, name);
    if (r) {
        buffer_free(&b);
        return r;
    }
    *data = (char *)b.data;
    *len = b.len - 1;
    return 0;
}

/* The pid in a lock file that somebody else holds; he writes it just after taking the lock. 0 if it does not come. */
static long read_holder(int fd)
{
    long pid = 0;
    for (int i = 0; pid <= 0 && i < HOLDER_TRIES; i++) {
        char text[24] = "";
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
        pid = n > 0 ? strtol(text, NULL, 10) : 0;
        if (pid <= 0)
            usleep(HOLDER_PAUSE_US);
    }
    return pid;
}

static int fail_busy(struct error *e, int fd, int dirfd, const char *name)
{
    char path[PATH_TEXT_MAX];
    char who[40] = "another process";
    long pid = read_holder(fd);
    if (pid > 0)
        snprintf(who, sizeof(who), "process %ld", pid);
    return error_set(e, ERROR_BUSY, "%s is locked by %s: stop that first, or use another folder",
                     path_at(dirfd, name, path), who);
}

/* Locks belong to the open file, not to the process: whoever asks for one need not take it. 0 or an errno. */
static int ask_lock(int fd, int command, struct flock *l)
{
    *l = (struct flock){.l_type = command == F_OFD_GETLK ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, command, l) == 0 ? 0 : errno;
}

int fs_lock(int dirfd, const char *name, struct error *e)
{
    struct flock l;
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail_at(e, errno, "open", dirfd, name);
    int sys = ask_lock(fd, F_OFD_SETLK, &l);
    int r = 0;
    if (sys == EAGAIN || sys == EACCES)
        r = fail_busy(e, fd, dirfd, name);
    else if (sys)
        r = fail_at(e, sys, "lock", dirfd, name);
    else if (ftruncate(fd, 0) != 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
        r = fail_at(e, errno, "write", dirfd, name);
    if (r) {
        close(fd);
        return r;
    }
    return fd;
}

bool fs_lock_held(int dirfd, const char *name)
{
    struct flock l;
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = ask_lock(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
    close(fd);
    return held;
}

int fs_free_bytes(int fd, uint64_t *free_bytes, uint64_t *total_bytes, struct error *e)
{
    struct statvfs st;
    if (fstatvfs(fd, &st) != 0)
        return fail_fd(e, errno, "ask for the free space of", fd);
    *free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    *total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}

void fs_allow_many_files(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l); /* with fewer it goes, too */
    }
}

uint64_t fs_files_max(void)
{
    struct rlimit l;
    return getrlimit(RLIMIT_NOFILE, &l) == 0 ? (uint64_t)l.rlim_cur : 0;
}

static int remove_at(int dirfd, const char *name, unsigned depth, struct error *e);

static int remove_entries(int fd, unsigned depth, struct error *e)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int r = fail_fd(e, errno, "list", fd);
        close(fd);
        return r;
    }
    int r = 0;
    for (struct dirent *entry; !r && (errno = 0, entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = remove_at(fd, entry->d_name, depth + 1, e);
    if (!r && errno)
        r = fail_fd(e, errno, "list", fd);
    closedir(dir);
    return r;
}

static int remove_at(int dirfd, const char *name, unsigned depth, struct error *e)
{
    char path[PATH_TEXT_MAX];
    int sys = FAULT("fs.remove");
    if (!sys && (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT))
        return 0;
    if (sys || (errno != EISDIR && errno != EPERM))
        return fail_at(e, sys ? sys : errno, "remove", dirfd, name);
    if (depth >= FS_DEPTH_MAX)
        return error_set(e, ERROR_LIMIT, "%s: folders are more than %d deep: not ours to remove",
                         path_at(dirfd, name, path), FS_DEPTH_MAX);
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_at(e, errno, "remove", dirfd, name);
    int r = remove_entries(fd, depth, e);
    if (!r && unlinkat(dirfd, name, AT_REMOVEDIR) != 0)
        r = fail_at(e, errno, "remove the folder", dirfd, name);
    return r;
}

int fs_remove_tree(int dirfd, const char *name, struct error *e)
{
    return remove_at(dirfd, name, 0, e);
}
