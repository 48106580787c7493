#include "agent/ship/spool.h"

#include "agent/ship/spool_dir.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE_MAX    (UINT64_C(64) << 20)
#define INSTALL_SIZE   16
#define LOOK_LEAST_NS  (100 * NS_PER_MS)
#define LOOK_COST_PART 20 /* looking takes at most this part of the time */

struct spool {
    int fd;
    struct spool_limits limits;
    uint8_t install[INSTALL_SIZE];
    bool patient;
    /* The last look at the files, and what was granted since */
    uint64_t used_bytes;
    uint64_t granted_bytes;
    uint64_t look_again_ns; /* monotonic */
};

int spool_fd(const struct spool *s)
{
    return s->fd;
}

const struct spool_limits *spool_limits(const struct spool *s)
{
    return &s->limits;
}

const uint8_t *spool_install(const struct spool *s)
{
    return s->install;
}

/* ------------------------------------------------------------ the installation's id */
/* By name of a stream's epoch: both are 16 bytes in 32 hex digits. */
static int read_install(struct spool *s, struct error *e)
{
    char *text = NULL;
    size_t len = 0;
    int r = fs_read_file(s->fd, "install", 256, &text, &len, e);
    if (r)
        return r;
    text[strcspn(text, "\n")] = 0;
    bool good = spool_stream_parse(text, s->install);
    free(text);
    return good ? 0 : error_set(e, ERROR_INVALID, "the file 'install' in the spool is not 32 hex digits");
}

/* Capturers and the shipper may start at the same moment: the first link wins, the others read it. */
static int make_install(struct spool *s, struct error *e)
{
    char tmp[64];
    char text[SPOOL_STREAM_SIZE + 1];
    uint8_t id[INSTALL_SIZE];
    if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
        return error_sys(e, errno, "cannot draw random numbers");
    spool_stream_name(id, text);
    strcat(text, "\n");
    snprintf(tmp, sizeof(tmp), "install.%ld", (long)getpid());
    int r = fs_replace(s->fd, tmp, text, strlen(text), SPOOL_FILE_MODE, "spool.install", e);
    int sys = r ? 0 : FAULT("spool.install.link");
    if (!r && !sys && linkat(s->fd, tmp, s->fd, "install", 0) != 0 && errno != EEXIST)
        sys = errno;
    if (sys)
        r = error_sys(e, sys, "cannot make the file 'install' in the spool");
    unlinkat(s->fd, tmp, 0);
    return r ? r : fs_sync_dir(s->fd, "spool.install.sync-dir", e);
}

static int find_install(struct spool *s, struct error *e)
{
    struct error why = ERROR_INIT;
    int r = read_install(s, &why);
    if (r == ERROR_INVALID || r == ERROR_LIMIT) {
        log_warn("spool: %s: this installation gets a new id", why.text);
        r = fs_unlink(s->fd, "install", "spool.install.unlink", e);
        if (r)
            return r;
    } else if (r == 0) {
        return 0;
    } else if (r != ERROR_NOT_FOUND) {
        return error_set(e, r, "%s", why.text);
    }
    r = make_install(s, e);
    return r ? r : read_install(s, e);
}

/* ------------------------------------------------------------ open, close */
static int open_folder(const char *path, struct error *e)
{
    int fd = fs_open_dir(path, SPOOL_DIR_MODE, e);
    int sys = fd < 0 && e ? e->sys : 0;
    if (fd >= 0 && faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        sys = errno;
        close(fd);
        fd = error_sys(e, sys, "cannot use the spool folder %s", path);
    }
    if (sys == EACCES || sys == EPERM || sys == EROFS)
        return error_set(e, ERROR_REFUSED,
                         "cannot use the spool folder %s (%s): user %ld must have the right to read and write there",
                         path, strerror(sys), (long)geteuid());
    return fd;
}

int spool_open(const char *path, const struct spool_limits *limits, struct spool **out, struct error *e)
{
    struct error local = ERROR_INIT;
    e = e ? e : &local;
    struct spool *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set(e, ERROR_MEMORY, "no memory for the spool");
    s->limits = *limits;
    s->fd = open_folder(path, e);
    int r = s->fd < 0 ? s->fd : find_install(s, e);
    if (r) {
        spool_close(s);
        return r;
    }
    *out = s;
    return 0;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

bool spool_shipped(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool held = fd >= 0 && fs_lock_held(fd, SPOOL_SHIPPER_LOCK);
    if (fd >= 0)
        close(fd);
    return held;
}

/* ------------------------------------------------------------ room */
static int add_stream_bytes(void *context, int dirfd, const char *name, struct error *e)
{
    (void)e;
    uint64_t *sum = context;
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
        *sum += spool_file_cost((uint64_t)st.st_size);
    return 0;
}

/* Streams, those being made or removed, and what is set aside as damaged: all folders. */
static int add_folder_bytes(void *context, int dirfd, const char *name, struct error *e)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return 0;
    int r = spool_dir_each(fd, add_stream_bytes, context, e);
    close(fd);
    return r;
}

uint64_t spool_used(struct spool *s)
{
    uint64_t now = clock_mono_ns();
    if (now < s->look_again_ns)
        return s->used_bytes + s->granted_bytes;
    uint64_t sum = 0;
    if (spool_dir_each(s->fd, add_folder_bytes, &sum, NULL) == 0) {
        s->used_bytes = sum;
        s->granted_bytes = 0;
    }
    uint64_t after = clock_mono_ns();
    uint64_t pause = (after - now) * LOOK_COST_PART;
    s->look_again_ns = after + (pause > LOOK_LEAST_NS ? pause : LOOK_LEAST_NS);
    return s->used_bytes + s->granted_bytes;
}

uint64_t spool_look_wait_ns(const struct spool *s)
{
    uint64_t now = clock_mono_ns();
    return s->look_again_ns > now ? s->look_again_ns - now : 0;
}

void spool_gained(struct spool *s, uint64_t bytes)
{
    s->used_bytes -= bytes < s->used_bytes ? bytes : s->used_bytes;
}

uint64_t spool_reserve(const struct spool *s)
{
    uint64_t part = s->limits.quota_bytes / 8;
    return part < RESERVE_MAX ? part : RESERVE_MAX;
}

void spool_set_patient(struct spool *s)
{
    s->patient = true;
}

static int no_quota(const struct spool *s, uint64_t used, struct error *e)
{
    char a[40], b[40];
    return error_set(e, ERROR_FULL,
                     "the spool holds %s of its quota of %s: the collector takes less than is captured, or is away; "
                     "raise the quota or capture less",
                     units_format(UNIT_BYTES, used, a, sizeof(a)),
                     units_format(UNIT_BYTES, s->limits.quota_bytes, b, sizeof(b)));
}

static int no_disk(const struct spool *s, uint64_t free_bytes, struct error *e)
{
    char a[40], b[40];
    return error_set(e, ERROR_FULL,
                     "the spool's file system has %s free, and the floor is %s: free some space or lower the floor",
                     units_format(UNIT_BYTES, free_bytes, a, sizeof(a)),
                     units_format(UNIT_BYTES, s->limits.floor_bytes, b, sizeof(b)));
}

int spool_room(struct spool *s, uint64_t need, int *gap, struct error *e)
{
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;
    uint64_t used = spool_used(s);
    uint64_t left_free = s->patient ? 2 * spool_reserve(s) : 0;
    uint64_t quota = s->limits.quota_bytes - left_free;
    uint64_t floor = s->limits.floor_bytes ? s->limits.floor_bytes + left_free : 0;
    if (gap)
        *gap = GAP_QUOTA;
    if (used > quota || need > quota - used)
        return no_quota(s, used, e);
    int r = fs_free_bytes(s->fd, &free_bytes, &total_bytes, e);
    if (r)
        return r;
    if (gap)
        *gap = GAP_DISK;
    if (FAULT("spool.floor") || free_bytes < floor || need > free_bytes - floor)
        return no_disk(s, free_bytes, e);
    s->granted_bytes += need;
    return 0;
}
