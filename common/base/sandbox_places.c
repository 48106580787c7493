/*
 * sandbox_places: Landlock, by its system calls: the C library has none, and the headers of Debian 12 know but its second version. What a kernel
 * does not know is not asked of it.
 */
#include "common/base/sandbox_impl.h"

#include "common/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEAST_VERSION 2u /* before, nothing can be renamed between folders: Linux 5.19 */

/* Of later versions than the header's. */
#define FS_TRUNCATE     (UINT64_C(1) << 14) /* version 3 */
#define FS_IOCTL_DEV    (UINT64_C(1) << 15) /* 5 */
#define RULE_NET_PORT   2                   /* 4 */
#define NET_BIND_TCP    (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT  (UINT64_C(1) << 0) /* 6 */
#define SCOPE_SIGNAL    (UINT64_C(1) << 1)

#define OF_FILES                                                                                                       \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE)
#define LIST LANDLOCK_ACCESS_FS_READ_DIR
#define LOOK (LIST | LANDLOCK_ACCESS_FS_READ_FILE)
#define CHANGE                                                                                                         \
    (LOOK | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |           \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE)

struct ruleset {
    uint64_t fs, net, scoped;
};
struct port_rule {
    uint64_t allowed, port;
};

unsigned sandbox_landlock(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version > 0 ? (unsigned)version : 0;
}

static uint64_t known_fs(unsigned version)
{
    uint64_t known = (LANDLOCK_ACCESS_FS_REFER << 1) - 1; /* all up to version 2 */
    return known | (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL_DEV : 0);
}

static int make_ruleset(const struct sandbox_profile *p, unsigned version, struct error *e)
{
    size_t size = version < 4 ? 8 : version < 6 ? 16 : sizeof(struct ruleset);
    struct ruleset r = {.fs = known_fs(version),
                        .net = p->ports_limited ? NET_BIND_TCP | NET_CONNECT_TCP : 0,
                        .scoped = SCOPE_ABSTRACT | (p->signals_inside ? SCOPE_SIGNAL : 0)};
    long fd = syscall(SYS_landlock_create_ruleset, &r, size, 0);
    return fd >= 0 ? (int)fd : error_sys(e, errno, "%s: no rules for files can be made (Landlock)", p->name);
}

static int add_place(int ruleset, const struct sandbox_place *place, unsigned version, struct error *e)
{
    static const uint64_t rights[] = {[SANDBOX_LIST] = LIST, [SANDBOX_LOOK] = LOOK, [SANDBOX_CHANGE] = CHANGE};
    struct stat st;
    int fd = open(place->path, O_PATH | O_CLOEXEC);
    if (fd < 0) /* nothing there, or nothing for us: it stays forbidden */
        return 0;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights[place->access] & known_fs(version),
                                              .parent_fd = fd};
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= OF_FILES;
    int code = 0;
    if (rule.allowed_access && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0 &&
        errno != EBADFD) /* a pipe: those are always allowed */
        code = error_sys(e, errno, "%s: cannot be allowed (Landlock)", place->path);
    close(fd);
    return code;
}

#if defined(FLEETDUMP_FAULTS) || defined(SANDBOX_BUILD_FOLDER) || SANDBOX_SANITIZED
/* The folder that a file is to be written in. */
static int add_folder_of(int ruleset, const char *path, unsigned version, struct error *e)
{
    char folder[4096];
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (!slash || (size_t)snprintf(folder, sizeof folder, "%.*s/", (int)(slash - path), path) >= sizeof folder)
        return 0;
    struct sandbox_place place = {SANDBOX_CHANGE, folder};
    return add_place(ruleset, &place, version, e);
}
#endif

#if SANDBOX_SANITIZED
/* Where reports go: log_path=...; and the program, without which they have no names that tests/data/tsan.supp could name. */
static int add_reports(int ruleset, unsigned version, struct error *e)
{
    static const char *const variables[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"};
    static const struct sandbox_place proc = {SANDBOX_LOOK, "/proc"}, program = {SANDBOX_LOOK, "/proc/self/exe"};
    int code = add_place(ruleset, &proc, version, e);
    if (!code)
        code = add_place(ruleset, &program, version, e);
    for (size_t i = 0; !code && i < sizeof variables / sizeof *variables; i++) {
        char path[4096];
        const char *options = getenv(variables[i]), *at = options ? strstr(options, "log_path=") : NULL;
        if (at && sscanf(at, "log_path=%4095[^:]", path) == 1)
            code = add_folder_of(ruleset, path, version, e);
    }
    return code;
}
#endif

/* What this build needs for itself. */
static int add_for_build(int ruleset, unsigned version, struct error *e)
{
    int code = 0;
#ifdef FLEETDUMP_FAULTS
    code = add_folder_of(ruleset, getenv("FLEETDUMP_FAULT_LIST"), version, e);
#endif
#if SANDBOX_SANITIZED
    if (!code)
        code = add_reports(ruleset, version, e);
#endif
#ifdef SANDBOX_BUILD_FOLDER
    if (!code)
        code = add_folder_of(ruleset, SANDBOX_BUILD_FOLDER "/", version, e);
#endif
    (void)ruleset;
    (void)version;
    (void)e;
    return code;
}

static int add_all(int ruleset, const struct sandbox_profile *p, const struct sandbox_needs *n, unsigned version,
                   struct error *e)
{
    int code = add_for_build(ruleset, version, e);
    for (const struct sandbox_place *place = p->places; !code && place->path; place++)
        code = add_place(ruleset, place, version, e);
    for (size_t i = 0; !code && i < n->place_count; i++)
        code = add_place(ruleset, &n->places[i], version, e);
    for (size_t i = 0; !code && p->ports_limited && version >= 4 && i < SANDBOX_PORTS_MAX; i++) {
        struct port_rule rule = {NET_CONNECT_TCP, n->ports[i]};
        if (rule.port && syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) != 0)
            code = error_sys(e, errno, "TCP port %u: cannot be allowed (Landlock)", n->ports[i]);
    }
    return code;
}

static void warn_once(unsigned version)
{
    static bool told; /* children inherit it */
    if (told)
        return;
    told = true;
    if (version)
        log_warn("this kernel's Landlock is of version %u, before which files cannot be renamed between folders (Linux "
                 "5.19): "
                 "which files each process may touch is up to users and modes alone",
                 version);
    else
        log_warn(
            "this kernel has no Landlock (Linux 5.13, 'landlock' in its lsm= list): which files each process may touch "
            "is up to users and modes alone");
}

int sandbox_lock_places(const struct sandbox_profile *p, const struct sandbox_needs *n, struct error *e)
{
    unsigned version = sandbox_landlock();
    if (version < LEAST_VERSION) {
        warn_once(version);
        return 0;
    }
    int ruleset = make_ruleset(p, version, e);
    if (ruleset < 0)
        return ruleset;
    int code = add_all(ruleset, p, n, version, e);
    if (!code && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        code = error_sys(e, errno, "%s: its files cannot be restricted (Landlock)", p->name);
    close(ruleset);
    return code;
}
