#include "agent/ship/counter_page.h"

#include "common/base/fault.h"
#include "common/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "counters"

static bool is_page_of(const struct counter_page *p, const uint8_t epoch[EPOCH_SIZE])
{
    return p->magic == COUNTER_PAGE_MAGIC && p->version == COUNTER_PAGE_VERSION &&
           memcmp(p->epoch, epoch, EPOCH_SIZE) == 0;
}

static int open_file(int dirfd, bool writable, struct error *e)
{
    int flags = (writable ? O_RDWR | O_CREAT : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = openat(dirfd, FILE_NAME, flags, 0660);
    if (fd < 0)
        return error_sys(e, errno, "cannot open a stream's file of counters");
    return fd;
}

/* A mapped page without a block behind it would end the process when the disk is full. */
static int allocate(int fd, struct error *e)
{
    int sys = FAULT("spool.counters");
    if (!sys)
        sys = posix_fallocate(fd, 0, sizeof(struct counter_page));
    return sys ? error_sys(e, sys, "cannot make a stream's file of counters") : 0;
}

static int check_size(int fd, struct error *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_sys(e, errno, "cannot read a stream's file of counters");
    if ((uint64_t)st.st_size < sizeof(struct counter_page))
        return error_set(e, ERROR_INVALID, "a stream's file of counters is too short");
    return 0;
}

int counter_page_map(int dirfd, const uint8_t epoch[EPOCH_SIZE], bool writable, struct counter_page **out,
                     struct error *e)
{
    int fd = open_file(dirfd, writable, e);
    if (fd < 0)
        return fd;
    int r = writable ? allocate(fd, e) : check_size(fd, e);
    if (r) {
        close(fd);
        return r;
    }
    int rights = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    struct counter_page *p = mmap(NULL, sizeof(*p), rights, MAP_SHARED, fd, 0);
    int sys = errno;
    close(fd);
    if (p == MAP_FAILED)
        return error_sys(e, sys, "cannot map a stream's file of counters");
    if (!is_page_of(p, epoch)) {
        if (!writable) {
            counter_page_unmap(p);
            return error_set(e, ERROR_INVALID, "a stream's file of counters is damaged");
        }
        memset(p, 0, sizeof(*p));
        p->magic = COUNTER_PAGE_MAGIC;
        p->version = COUNTER_PAGE_VERSION;
        memcpy(p->epoch, epoch, EPOCH_SIZE);
    }
    *out = p;
    return 0;
}

int counter_page_copy(int dirfd, const uint8_t epoch[EPOCH_SIZE], struct counter_page *copy, struct error *e)
{
    int fd = open_file(dirfd, false, e);
    if (fd < 0)
        return fd;
    int r = fs_pread(fd, copy, sizeof(*copy), 0, e);
    close(fd);
    if (!r && !is_page_of(copy, epoch))
        r = error_set(e, ERROR_INVALID, "a stream's file of counters is damaged");
    return r == ERROR_TRUNCATED ? ERROR_INVALID : r;
}

int counter_page_sync(struct counter_page *p, struct error *e)
{
    int sys = FAULT("spool.counters.sync");
    if (!sys && msync(p, sizeof(*p), MS_SYNC) != 0)
        sys = errno;
    if (!sys)
        sys = FAULT("spool.counters.sync.done");
    return sys ? error_sys(e, sys, "cannot sync a stream's file of counters") : 0;
}

void counter_page_unmap(struct counter_page *p)
{
    if (p)
        munmap(p, sizeof(*p));
}

void counter_page_name(const char field[HEAD_NAME_MAX + 1], char name[HEAD_NAME_MAX + 1])
{
    memcpy(name, field, HEAD_NAME_MAX);
    name[HEAD_NAME_MAX] = 0;
}
