/*
 * fs: files that are there after a crash, or not at all.
 *
 * Paths are given as (directory fd, relative name) so that nothing is resolved twice; AT_FDCWD with a path works too.
 * Names that come from a peer never get here: callers build names from numbers.
 * A failed fsync is never retried (dirty pages are marked clean then): the caller drops the file or ends.
 *
 * `point` is the name of a fault point (fault.h; NULL for none), passed before the operation; point.done is passed
 * after it. fs_replace has four: point.write, point.sync, point.rename and point.sync-dir, each with its .done.
 */
#ifndef FLEETDUMP_BASE_FS_H
#define FLEETDUMP_BASE_FS_H

#include "common/base/error.h"
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Writes all bytes at the fd's position, going on after short writes and EINTR. */
MUST_CHECK int fs_write(int fd, const void *data, size_t len, const char *point, struct error *e);
MUST_CHECK int fs_pwrite(int fd, const void *data, size_t len, uint64_t offset, const char *point, struct error *e);
/* The pieces one behind the other, in one system call if it goes well; `pieces` is changed. */
MUST_CHECK int fs_pwrite_pieces(int fd, struct iovec *pieces, size_t count, uint64_t offset, const char *point,
                                struct error *e);

/* Reads exactly len bytes at the offset; ERROR_TRUNCATED if the file ends before. */
MUST_CHECK int fs_pread(int fd, void *data, size_t len, uint64_t offset, struct error *e);

/* fdatasync; see above for what a failure means. */
MUST_CHECK int fs_sync(int fd, const char *point, struct error *e);

/* fsync of a directory by fd, so that names made or removed in it are durable. */
MUST_CHECK int fs_sync_dir(int dirfd, const char *point, struct error *e);

/* rename within one directory, without syncing it. */
MUST_CHECK int fs_rename(int dirfd, const char *from, const char *to, const char *point, struct error *e);

/* unlink; a file that is not there is no error. */
MUST_CHECK int fs_unlink(int dirfd, const char *name, const char *point, struct error *e);

/* Writes name.tmp, syncs it, renames it to name, syncs the directory: the name holds either the old or the new content.
 */
MUST_CHECK int fs_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode, const char *point,
                          struct error *e);

/* Makes a directory (an existing one is fine) with its parents, opens it, and syncs the parents that it changed.
 * Returns the fd or a negative code. Fault points: fs.mkdir, and fs.sync-dir for the parents. */
MUST_CHECK int fs_open_dir(const char *path, mode_t mode, struct error *e);

/* What is in the directory, from its beginning, whatever was read by that fd; NULL and errno if it cannot be listed.
 * Ends with closedir. */
DIR *fs_list(int dirfd);

/* Reads a whole file of at most `limit` bytes (and never more than 1 GiB) into malloc'ed memory (terminated by a 0 byte
 * that *len does not count).
 */
MUST_CHECK int fs_read_file(int dirfd, const char *name, size_t limit, char **data, size_t *len, struct error *e);

/* Takes an exclusive lock on dirfd/name (made if missing) for as long as the returned fd is open, here or in a child
 * that was forked meanwhile. ERROR_BUSY names the holder's process id, which stands in the file. */
MUST_CHECK int fs_lock(int dirfd, const char *name, struct error *e);

/* Whether somebody holds that lock; a file that is not there is held by nobody. Takes nothing, so nobody is
 * disturbed. */
bool fs_lock_held(int dirfd, const char *name);

/* Bytes that an unprivileged user may still write on the file system of fd, and its size. */
MUST_CHECK int fs_free_bytes(int fd, uint64_t *free_bytes, uint64_t *total_bytes, struct error *e);

/* Lets this process have as many files open as the system allows it. fs_files_max: how many it may have now. */
void fs_allow_many_files(void);
uint64_t fs_files_max(void);

/* Removes everything in the directory and the directory itself (dirfd/name). Follows no links; what is not there is no
 * error. At most FS_DEPTH_MAX folders deep. Fault point: fs.remove, before each file or folder. */
#define FS_DEPTH_MAX 32
MUST_CHECK int fs_remove_tree(int dirfd, const char *name, struct error *e);

#endif
