/* privileges: libcap-ng for capabilities, the C library for users. */
#include "agent/privileges.h"

#include "agent/process.h"
#include "common/base/fs.h"
#include "common/base/log.h"
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPOOL_MODE 02770

int privileges_check_capture(struct error *e)
{
    capng_get_caps_process();
    if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_RAW))
        return 0;
    return error_set(e, ERROR_REFUSED,
                     "fleetdump-agent lacks the capability CAP_NET_RAW, which capturing needs: run it as root, or with "
                     "'AmbientCapabilities=CAP_NET_RAW' in its systemd unit");
}

/* A name or a number; false if there is no such user. */
static bool find_user(const char *user, uid_t *uid, gid_t *gid)
{
    char *end;
    unsigned long number = strtoul(user, &end, 10);
    if (user[0] && !*end && number < (unsigned long)UINT32_MAX) {
        *uid = (uid_t)number;
        *gid = (gid_t)number;
        return true;
    }
    const struct passwd *p = user[0] ? getpwnam(user) : NULL;
    if (!p)
        return false;
    *uid = p->pw_uid;
    *gid = p->pw_gid;
    return true;
}

/* Root may, and a monitor of its own user that has just these capabilities. */
static bool may_change_user(void)
{
    if (geteuid() == 0)
        return true;
    capng_get_caps_process();
    return capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID);
}

static int change_user(const char *user, const char *group_of, struct error *e)
{
    uid_t uid, group_uid;
    gid_t gid, own_gid;
    if (!may_change_user() || !find_user(user, &uid, &own_gid) || !find_user(group_of, &group_uid, &gid))
        return 0;
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return error_sys(e, errno, "cannot become user %s", user);
    return 0;
}

int privileges_drop(const char *user, const char *group_of, struct error *e)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_sys(e, errno, "cannot give up the right to new privileges");
    capng_clear(CAPNG_SELECT_ALL);
    (void)capng_apply(CAPNG_SELECT_BOUNDS); /* wants CAP_SETPCAP: without it there is nothing to fear from the set */
    int code = change_user(user, group_of, e);
    if (code)
        return code;
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        return error_set(e, ERROR_SYSTEM, "cannot give up capabilities");
    process_end_with_parent();
    return 0;
}

#define CAPABILITIES_MAX 9u

static const struct {
    size_t count;
    unsigned list[CAPABILITIES_MAX];
} kept[] = {
    [PRIVILEGES_MONITOR] = {9,
                            {CAP_NET_RAW, CAP_NET_ADMIN, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_KILL, CAP_CHOWN,
                             CAP_FOWNER, CAP_DAC_OVERRIDE}},
    [PRIVILEGES_CHECK] = {1, {CAP_NET_RAW}},
};

int privileges_keep(enum privileges_kind kind, struct error *e)
{
    bool has[CAPABILITIES_MAX];
    capng_get_caps_process();
    for (size_t i = 0; i < kept[kind].count; i++)
        has[i] = capng_have_capability(CAPNG_EFFECTIVE, kept[kind].list[i]);
    capng_clear(CAPNG_SELECT_ALL);
    for (size_t i = 0; i < kept[kind].count; i++)
        if (has[i])
            (void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, kept[kind].list[i]);
    (void)capng_apply(CAPNG_SELECT_BOUNDS); /* wants CAP_SETPCAP, as below */
    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        return error_set(e, ERROR_SYSTEM, "cannot give up capabilities");
    return 0;
}

/* As another effective user. The kernel takes who changes users for one to keep others out of: /proc/self becomes root's, no core is written. That
 * ends with it. */
static int signal_as(uid_t user, pid_t child, int signo)
{
    uid_t own = geteuid();
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    if (seteuid(user) != 0)
        return errno;
    int code = kill(child, signo) == 0 ? 0 : errno;
    if (seteuid(own) != 0) { /* its real user, so it may */
        log_error("cannot become user %u again: %s", (unsigned)own, strerror(errno));
        _exit(EXIT_FAILED);
    }
    if (dumpable == 1)
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return code;
}

void privileges_signal(pid_t child, const char *user, int signo)
{
    uid_t uid;
    gid_t gid;
    int code = kill(child, signo) == 0 ? 0 : errno;
    if (code == EPERM && find_user(user, &uid, &gid)) /* it was of our user until it became another, which it stays */
        code = signal_as(uid, child, signo);
    if (code && code != ESRCH)
        log_error("process %d of user %s cannot be sent %s: %s", (int)child, user, strsignal(signo), strerror(code));
}

static void warn_unless_user(const char *key, const char *user)
{
    uid_t uid;
    gid_t gid;
    if (user[0] && !find_user(user, &uid, &gid))
        log_warn("%s = %s: there is no such user; that process stays root, without any capability (adduser --system "
                 "--group --no-create-home %s)",
                 key, user, user);
}

/* Files that are ship_user's, or that the group may change, are good enough: under systemd the monitor has no right to give things away. */
static int give_file(int fd, const char *name, uid_t uid, gid_t gid)
{
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_uid == uid ||
        (st.st_gid == gid && (st.st_mode & 060) == 060))
        return 0;
    return fchownat(fd, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

static bool belongs(int fd, uid_t uid, gid_t gid)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_uid == uid && st.st_gid == gid && (st.st_mode & 07777) == SPOOL_MODE;
}

/* What is in the folder already was made by earlier versions, or by --read before the daemon ever ran. */
static int give_to_group(const char *spool, uid_t uid, gid_t gid, struct error *e)
{
    int fd = fs_open_dir(spool, SPOOL_MODE & 0777, e);
    if (fd < 0)
        return fd;
    int code = 0;
    if (!belongs(fd, uid, gid) && (fchown(fd, uid, gid) != 0 || fchmod(fd, SPOOL_MODE) != 0))
        code = error_sys(e, errno, "%s: cannot be given to the group of ship_user", spool);
    static const char *const names[] = {"install", "shipper.lock"};
    for (size_t i = 0; !code && i < sizeof names / sizeof *names; i++)
        if (give_file(fd, names[i], uid, gid) != 0 && errno != ENOENT)
            code = error_sys(e, errno, "%s/%s: cannot be given to ship_user", spool, names[i]);
    close(fd);
    return code;
}

int privileges_prepare(const struct agent_config *c, struct error *e)
{
    uid_t uid;
    gid_t gid;
    if (!may_change_user())
        return 0;
    warn_unless_user("ship_user", c->ship_user);
    warn_unless_user("capture_user", c->capture_user);
    return find_user(c->ship_user, &uid, &gid) ? give_to_group(c->spool, uid, gid, e) : 0;
}
