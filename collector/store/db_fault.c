#include "collector/store/db_fault.h"

#ifdef FLEETDUMP_FAULTS

#include "common/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/types.h>
#include <unistd.h>

/* SQLite calls the system through a table (sqlite3_vfs.xSetSystemCall); which of the three kinds of write it uses was decided when it was built. */

static ssize_t result_of(int sys, ssize_t n)
{
    if (!sys)
        return n;
    errno = sys;
    return -1;
}

static ssize_t faulty_write(int fd, const void *data, size_t len)
{
    int sys = FAULT("sqlite.write");
    ssize_t n = sys ? -1 : write(fd, data, len);
    return n < 0 ? result_of(sys, n) : result_of(FAULT("sqlite.write.done"), n);
}

static ssize_t faulty_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    int sys = FAULT("sqlite.write");
    ssize_t n = sys ? -1 : pwrite(fd, data, len, offset);
    return n < 0 ? result_of(sys, n) : result_of(FAULT("sqlite.write.done"), n);
}

static int faulty_cut(int fd, off_t length)
{
    int sys = FAULT("sqlite.cut");
    return (int)result_of(sys, sys ? -1 : ftruncate(fd, length));
}

static int faulty_unlink(const char *path)
{
    int sys = FAULT("sqlite.unlink");
    return (int)result_of(sys, sys ? -1 : unlink(path));
}

static void install(void)
{
    static const struct {
        const char *name;
        sqlite3_syscall_ptr call;
    } calls[] = {
        {"write", (sqlite3_syscall_ptr)(void (*)(void))faulty_write},
        {"pwrite", (sqlite3_syscall_ptr)(void (*)(void))faulty_pwrite},
        {"pwrite64", (sqlite3_syscall_ptr)(void (*)(void))faulty_pwrite},
        {"ftruncate", (sqlite3_syscall_ptr)(void (*)(void))faulty_cut},
        {"unlink", (sqlite3_syscall_ptr)(void (*)(void))faulty_unlink},
    };
    sqlite3_vfs *vfs = sqlite3_initialize() == SQLITE_OK ? sqlite3_vfs_find(NULL) : NULL;
    for (size_t i = 0; vfs && vfs->iVersion >= 3 && i < sizeof(calls) / sizeof(calls[0]); i++)
        (void)vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call);
}

void db_fault_install(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}

#endif
