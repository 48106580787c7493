#include "collector/cli/output_file.h"
#include "common/base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

int output_file_open(const char *path, struct output_file *f, struct error *e)
{
    *f = (struct output_file){.fd = -1};
    if (strcmp(path, "-") == 0) {
        f->fd = STDOUT_FILENO;
        if (isatty(f->fd))
            return error_set(
                e, ERROR_USAGE,
                "packets are not for a terminal: use -w FILE, a pipe (-w - | wireshark -k -i -), or `fleetdump print`");
        return 0;
    }
    if (is_special(path)) { /* /dev/null, a named pipe: written as it is */
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
        return f->fd < 0 ? error_sys(e, errno, "cannot write %s", path) : 0;
    }
    if (asprintf(&f->temporary, "%s.XXXXXX", path) < 0 || !(f->path = strdup(path)))
        return error_set(e, ERROR_MEMORY, "no memory for a file name");
    f->fd = mkostemp(f->temporary, O_CLOEXEC);
    if (f->fd < 0) {
        int code = error_sys(e, errno, "cannot make a file beside %s", path);
        free(f->temporary);
        f->temporary = NULL;
        return code;
    }
    mode_t mask = umask(0);
    (void)umask(mask);
    (void)fchmod(f->fd, 0666 & ~mask);
    return 0;
}

int output_file_write(struct output_file *f, const void *data, size_t len, struct error *e)
{
    int r = fs_write(f->fd, data, len, "cli.write", e);
    if (r && e && e->sys == EPIPE)
        return error_set(e, ERROR_CANCELLED, "%s", "");
    return r ? error_prefix(e, "%s", f->path ? f->path : "standard output") : 0;
}

int output_file_keep(struct output_file *f, struct error *e)
{
    if (!f->temporary)
        return 0;
    if (close(f->fd) != 0)
        return error_sys(e, errno, "cannot finish %s", f->path);
    f->fd = -1;
    if (rename(f->temporary, f->path) != 0)
        return error_sys(e, errno, "cannot give %s its name", f->path);
    free(f->temporary);
    f->temporary = NULL;
    return 0;
}

void output_file_close(struct output_file *f)
{
    if (f->fd >= 0 && f->fd != STDOUT_FILENO)
        close(f->fd);
    if (f->temporary)
        unlink(f->temporary);
    free(f->temporary);
    free(f->path);
    *f = (struct output_file){.fd = -1};
}
