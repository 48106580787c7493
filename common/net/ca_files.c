#include "common/net/ca_files.h"

#include "common/base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW ".new"

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

/* The file under its new name has the right owner before it gets its own. */
static int replace(int dirfd, const char *path, const char *name, const struct buffer *pem, struct error *e)
{
    char new[256];
    struct stat st;
    if (snprintf(new, sizeof new, "%s" NEW, name) >= (int)sizeof new)
        return error_set(e, ERROR_LIMIT, "%.200s: the name is too long", path);
    int r = fs_replace(dirfd, new, pem->data, pem->len, 0600, "ca.save", e);
    if (r == 0 && (fstat(dirfd, &st) != 0 || (geteuid() == 0 && fchownat(dirfd, new, st.st_uid, st.st_gid, 0) != 0)))
        r = error_sys(e, errno, "%.200s cannot be given to the owner of its folder", path);
    if (r == 0)
        r = fs_rename(dirfd, new, name, "ca.rename", e);
    return r ? r : fs_sync_dir(dirfd, "ca.sync-dir", e);
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
