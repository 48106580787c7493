#include "common/net/ca_files.h"

#include "common/base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who owns the folder must be able to get there. */
static int make_parents(const char *path, struct error *e)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path || access(path, F_OK) == 0)
        return 0;
    char *parent = strndup(path, (size_t)(slash - path));
    int fd = parent ? fs_open_dir(parent, 0755, e) : error_set(e, ERROR_MEMORY, "no memory for a name");
    free(parent);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

int ca_make_folder(const char *path, uid_t uid, gid_t gid, struct error *e)
{
    int r = make_parents(path, e);
    int fd = r ? r : fs_open_dir(path, 0700, e);
    if (fd < 0)
        return fd;
    if (fchown(fd, uid, gid) != 0 || fchmod(fd, 0700) != 0)
        r = error_sys(e, errno, "the folder %s cannot be made its owner's alone", path);
    close(fd);
    return r;
}

/* Where root writes into another's folder, that one may put anything there at any time: what is written to and given away
 * is the file that was made here, whatever its name means by then. */
static int write_new(int dirfd, const char *new, const struct buffer *pem, struct error *e)
{
    struct stat st;
    (void)unlinkat(dirfd, new, 0);
    int fd = openat(dirfd, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(e, errno, "cannot make %.200s", new);
    int r = 0;
    if (fchmod(fd, 0600) != 0 || fstat(dirfd, &st) != 0 || (geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) != 0))
        r = error_sys(e, errno, "%.200s cannot be given to the owner of its folder", new);
    if (r == 0)
        r = fs_write(fd, pem->data, pem->len, "ca.save.write", e);
    if (r == 0)
        r = fs_sync(fd, "ca.save.sync", e);
    close(fd);
    return r;
}

static int replace(int dirfd, const char *path, const char *name, const struct buffer *pem, struct error *e)
{
    char new[256];
    if (snprintf(new, sizeof new, "%s.new", name) >= (int)sizeof new)
        return error_set(e, ERROR_LIMIT, "%.200s: the name is too long", path);
    int r = write_new(dirfd, new, pem, e);
    if (r == 0)
        r = fs_rename(dirfd, new, name, "ca.save.rename", e);
    if (r) {
        (void)unlinkat(dirfd, new, 0);
        return error_prefix(e, "%.200s", path);
    }
    return fs_sync_dir(dirfd, "ca.save.sync-dir", e);
}

int ca_save(const char *path, const struct buffer *pem, struct error *e)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder)
        return error_set(e, ERROR_MEMORY, "no memory for a name");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? error_sys(e, errno, "cannot open the folder %s", folder)
                   : replace(fd, path, slash ? slash + 1 : path, pem, e);
    if (fd >= 0)
        close(fd);
    free(folder);
    return r;
}

static int save_in(const char *folder, const char *name, const struct buffer *pem, struct error *e)
{
    char *path;
    if (!pem)
        return 0;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return error_set(e, ERROR_MEMORY, "no memory for a name");
    int r = ca_save(path, pem, e);
    free(path);
    return r;
}

int ca_save_all(const char *folder, const struct ca_files *files, struct error *e)
{
    int r = save_in(folder, CA_KEY_NAME, files->key, e);
    if (r == 0)
        r = save_in(folder, CA_ROOT_NAME, files->ca, e);
    return r ? r : save_in(folder, CA_CERT_NAME, files->certificate, e);
}

int ca_load(const char *folder, const char *name, struct buffer *pem, struct error *e)
{
    char *path, *data = NULL;
    size_t length = 0;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return error_set(e, ERROR_MEMORY, "no memory for a name");
    int r = fs_read_file(AT_FDCWD, path, CA_PEM_MAX, &data, &length, e);
    if (r == 0)
        buffer_append(pem, data, length);
    if (r == 0 && pem->failed)
        r = error_set(e, ERROR_MEMORY, "no memory to read %s", path);
    if (data)
        explicit_bzero(data, length);
    free(data);
    free(path);
    return r;
}

void ca_wipe(struct buffer *pem)
{
    if (pem->data)
        explicit_bzero(pem->data, pem->cap);
    buffer_free(pem);
}
