#include "collector/cli/home.h"

#include "common/base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int home_path(const char *name, char path[HOME_PATH_MAX], struct error *e)
{
    const char *own = getenv("FLEETDUMP_HOME"), *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    const char *slash = name[0] ? "/" : "";
    int n;
    if (own && own[0])
        n = snprintf(path, HOME_PATH_MAX, "%s%s%s", own, slash, name);
    else if (base && base[0])
        n = snprintf(path, HOME_PATH_MAX, "%s/fleetdump%s%s", base, slash, name);
    else if (home && home[0])
        n = snprintf(path, HOME_PATH_MAX, "%s/.config/fleetdump%s%s", home, slash, name);
    else
        return error_set(e, ERROR_NOT_FOUND, "neither FLEETDUMP_HOME nor HOME is set: where are this user's files?");
    if (n < 0 || (size_t)n >= HOME_PATH_MAX)
        return error_set(e, ERROR_LIMIT, "the path of this user's files is too long");
    return 0;
}

int home_make(struct error *e)
{
    char path[HOME_PATH_MAX];
    struct stat s;
    int r = home_path("", path, e);
    int fd = r ? r : fs_open_dir(path, 0700, e);
    if (fd < 0)
        return fd;
    if (fstat(fd, &s) != 0)
        r = error_sys(e, errno, "%s", path);
    else if (s.st_uid != geteuid() || (s.st_mode & (S_IWGRP | S_IWOTH)))
        r = error_set(e, ERROR_REFUSED, "%s is not this user's alone: chown and chmod 0700 it", path);
    close(fd);
    return r;
}

static int check_secret(int fd, const char *path, struct error *e)
{
    struct stat s;
    if (fstat(fd, &s) != 0)
        return error_sys(e, errno, "%s", path);
    if (!S_ISREG(s.st_mode))
        return error_set(e, ERROR_REFUSED, "%s is no regular file", path);
    if (s.st_uid != geteuid())
        return error_set(e, ERROR_REFUSED, "%s belongs to another user: it is not used", path);
    if (s.st_mode & (S_IRWXG | S_IRWXO))
        return error_set(e, ERROR_REFUSED, "%s may be read or written by others: it is not used until chmod 0600 %s",
                         path, path);
    return 0;
}

int home_read(const char *path, bool secret, size_t limit, char **text, size_t *len, struct error *e)
{
    char self[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_sys(e, errno, "%s", path);
    int r = secret ? check_secret(fd, path, e) : 0;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd); /* what was checked is what is read */
    if (!r && (r = fs_read_file(AT_FDCWD, self, limit, text, len, e)))
        (void)error_prefix(e, "%s", path);
    close(fd);
    return r;
}

int home_write_new(const char *path, const void *data, size_t len, struct error *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return error_set(e, ERROR_EXISTS, "%s exists already: it is not replaced", path);
    if (fd < 0)
        return error_sys(e, errno, "%s", path);
    int r = fs_write(fd, data, len, NULL, e);
    if (!r)
        r = fs_sync(fd, NULL, e);
    close(fd);
    if (r && fs_unlink(AT_FDCWD, path, NULL, NULL))
        (void)error_prefix(e, "what was written stays");
    return r ? error_prefix(e, "%s", path) : 0;
}
