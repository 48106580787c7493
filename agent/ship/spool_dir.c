#include "agent/ship/spool_dir.h"

#include "common/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEQ_DIGITS 16
#define BLOCK_SIZE 4096u

static const struct {
    enum spool_file kind;
    const char *suffix;
} suffixes[] = {
    {SPOOL_FILE_OPEN, ".open"},
    {SPOOL_FILE_BODY, ".pcapng.zst"},
    {SPOOL_FILE_HEAD, ".head"},
    {SPOOL_FILE_EVICTED, ".evicted"},
};

#define SUFFIX_COUNT (sizeof(suffixes) / sizeof(suffixes[0]))

char *spool_file_name(enum spool_file kind, uint64_t seq, char name[SPOOL_NAME_SIZE])
{
    const char *suffix = "";
    for (size_t i = 0; i < SUFFIX_COUNT; i++)
        if (suffixes[i].kind == kind)
            suffix = suffixes[i].suffix;
    snprintf(name, SPOOL_NAME_SIZE, "%016" PRIx64 "%s", seq, suffix);
    return name;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

enum spool_file spool_file_parse(const char *name, uint64_t *seq)
{
    size_t len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, ".tmp") == 0)
        return SPOOL_FILE_TMP;
    uint64_t value = 0;
    for (int i = 0; i < SEQ_DIGITS; i++) {
        int digit = hex_digit(name[i]);
        if (digit < 0)
            return SPOOL_FILE_OTHER;
        value = value << 4 | (unsigned)digit;
    }
    for (size_t i = 0; i < SUFFIX_COUNT; i++)
        if (strcmp(name + SEQ_DIGITS, suffixes[i].suffix) == 0) {
            *seq = value;
            return suffixes[i].kind;
        }
    return SPOOL_FILE_OTHER;
}

char *spool_stream_name(const uint8_t epoch[EPOCH_SIZE], char name[SPOOL_STREAM_SIZE])
{
    for (size_t i = 0; i < EPOCH_SIZE; i++)
        snprintf(name + 2 * i, SPOOL_STREAM_SIZE - 2 * i, "%02x", epoch[i]);
    return name;
}

bool spool_stream_parse(const char *name, uint8_t epoch[EPOCH_SIZE])
{
    if (strlen(name) != SPOOL_STREAM_SIZE - 1)
        return false;
    for (size_t i = 0; i < EPOCH_SIZE; i++) {
        int high = hex_digit(name[2 * i]);
        int low = hex_digit(name[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        epoch[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

uint64_t spool_file_cost(uint64_t size)
{
    return (size + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
}

int spool_dir_open(int spool, const uint8_t epoch[EPOCH_SIZE], struct error *e)
{
    char name[SPOOL_STREAM_SIZE];
    int fd = openat(spool, spool_stream_name(epoch, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(e, errno, "cannot open the stream %s in the spool", name);
    return fd;
}

bool spool_writer_lives(int dirfd)
{
    return fs_lock_held(dirfd, SPOOL_WRITER_LOCK);
}

int spool_births(int spool, enum spool_births_side side, struct error *e)
{
    int fd = openat(spool, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -1 : flock(fd, side == BIRTHS_SWEEP ? LOCK_EX | LOCK_NB : LOCK_SH);
    while (fd >= 0 && r != 0 && errno == EINTR)
        r = flock(fd, side == BIRTHS_SWEEP ? LOCK_EX | LOCK_NB : LOCK_SH);
    if (r == 0)
        return fd;
    int sys = errno;
    if (fd >= 0)
        close(fd);
    if (sys == EWOULDBLOCK)
        return error_set(e, ERROR_BUSY, "a stream is being made");
    return error_sys(e, sys, "cannot lock the folder of the spool");
}

int spool_dir_each(int dirfd, spool_dir_each_fn *each, void *context, struct error *e)
{
    DIR *dir = fs_list(dirfd);
    if (!dir)
        return error_sys(e, errno, "cannot list a folder of the spool");
    int r = 0;
    for (struct dirent *entry; !r && (errno = 0, entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = each(context, dirfd, entry->d_name, e);
    if (!r && errno)
        r = error_sys(e, errno, "cannot list a folder of the spool");
    closedir(dir);
    return r;
}

int spool_head_kind(int dirfd, uint64_t seq, uint64_t *last_seq)
{
    char name[SPOOL_NAME_SIZE];
    char *data = NULL;
    size_t len = 0;
    struct chunk_head h;
    *last_seq = seq;
    if (fs_read_file(dirfd, spool_file_name(SPOOL_FILE_HEAD, seq, name), SPOOL_SMALL_HEAD_MAX, &data, &len, NULL))
        return 0;
    int kind = 0;
    if (head_decode(data, len, &h, NULL) == 0) {
        kind = h.kind;
        if (h.seq == seq)
            *last_seq = h.last_seq;
        head_free(&h);
    }
    free(data);
    return kind;
}

static int read_name(void *context, int dirfd, const char *name, struct error *e)
{
    (void)e;
    struct spool_dir *d = context;
    struct stat st;
    uint64_t seq = 0;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0; /* the other side took it away */
    d->bytes += spool_file_cost((uint64_t)st.st_size);
    if (spool_file_parse(name, &seq) != SPOOL_FILE_HEAD)
        return 0;
    if (!d->any || seq < d->first_seq)
        d->first_seq = seq;
    if (!d->any || seq > d->newest_seq)
        d->newest_seq = seq;
    d->any = true;
    return 0;
}

int spool_dir_read(int dirfd, struct spool_dir *d, struct error *e)
{
    *d = (struct spool_dir){0};
    int r = spool_dir_each(dirfd, read_name, d, e);
    if (r || !d->any)
        return r;
    uint64_t last_seq;
    d->ended = spool_head_kind(dirfd, d->newest_seq, &last_seq) == HEAD_END;
    d->next_seq = last_seq + 1;
    return 0;
}
