#include "collector/init_owner.h"

#include "common/base/fs.h"
#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

int owner_find(const char *folder, struct owner *out, struct error *e)
{
    struct stat st;
    *out = (struct owner){.uid = geteuid(), .gid = getegid()};
    bool there = stat(folder, &st) == 0;
    if (!there && errno != ENOENT)
        return error_sys(e, errno, "cannot look at %s", folder);
    if (geteuid() != 0)
        return 0;
    if (there && st.st_uid != 0)
        *out = (struct owner){.other = true, .uid = st.st_uid, .gid = st.st_gid};
    return 0;
}

int owner_make_folder(const char *folder, const struct owner *o, struct error *e)
{
    int fd = fs_open_dir(folder, 0700, e), r = 0;
    if (fd < 0)
        return fd;
    if (o->other && fchown(fd, o->uid, o->gid) != 0)
        r = error_sys(e, errno, "%s cannot be given to its user", folder);
    close(fd);
    return r;
}

int owner_become(const struct owner *o, struct error *e)
{
    if (!o->other)
        return 0;
    if (setgroups(1, &o->gid) == 0 && setegid(o->gid) == 0 && seteuid(o->uid) == 0)
        return 0;
    return error_sys(e, errno, "cannot become user %u", o->uid);
}

void owner_return(const struct owner *o)
{
    if (o->other && (seteuid(0) != 0 || setegid(0) != 0))
        _exit(EXIT_FAILED);
}
