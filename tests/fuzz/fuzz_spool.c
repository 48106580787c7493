/*
 * What a crash, a bad disk or a taken-over capturer leaves in a stream's folder, for the recovery and for the shipper's looks: a counter page, a cut
 * body, a head. Whatever it is, the stream ends (also when recovered twice) or is left with an error.
 *
 * Input: a byte of flags, the lengths of page and head (u16 each), page, head, and the open body as the rest. Flags: 1 the page is of this
 * stream, 2 there is a head, 4 its hash and length are right, 8 without body.
 */
#include "agent/capture/recover.h"
#include "agent/ship/spool_dir.h"
#include "common/base/fs.h"
#include "common/base/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PAGE_OURS = 1, HEAD_THERE = 2, HEAD_SEALED = 4, WITHOUT_BODY = 8, PREFIX = 5 };

static const uint8_t epoch[EPOCH_SIZE] = {1, 2, 3};

static void put(int dirfd, const char *name, const void *data, size_t len)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct error e;
    if (fd < 0 || fs_write(fd, data, len, NULL, &e))
        abort();
    close(fd);
}

static void put_page(int dirfd, const uint8_t *data, size_t len, bool ours)
{
    static struct counter_page page;
    memset(&page, 0, sizeof page);
    memcpy(&page, data, len < sizeof page ? len : sizeof page);
    if (!ours) {
        put(dirfd, "counters", data, len);
        return;
    }
    page.magic = COUNTER_PAGE_MAGIC;
    page.version = COUNTER_PAGE_VERSION;
    memcpy(page.epoch, epoch, EPOCH_SIZE);
    put(dirfd, "counters", &page, sizeof page);
}

static void put_head(int dirfd, const uint8_t *data, size_t len, bool sealed)
{
    char name[SPOOL_NAME_SIZE];
    uint8_t *copy = malloc(len + 1);
    if (!copy)
        abort();
    memcpy(copy, data, len);
    if (sealed && len >= 20) {
        for (unsigned i = 0; i < 4; i++)
            copy[8 + i] = (uint8_t)(len >> 8 * i);
        uint64_t hash = hash64(copy, len - 8);
        for (unsigned i = 0; i < 8; i++)
            copy[len - 8 + i] = (uint8_t)(hash >> 8 * i);
    }
    put(dirfd, spool_file_name(SPOOL_FILE_HEAD, 0, name), copy, len);
    free(copy);
}

static void recover(struct spool *s, bool without_body)
{
    struct recover_options o = {.agent = "web-1", .without_body = without_body};
    struct recovered r;
    struct error e = ERROR_INIT;
    struct spool_stream_info *all = NULL;
    size_t count = 0;
    bool ended = recover_stream(s, epoch, &o, &r, &e) == 0;
    if (ended && recover_stream(s, epoch, &o, &r, &e) != 0)
        abort();
    if (spool_list(s, &all, &count, &e) == 0 && ended && (count != 1 || !all[0].ended))
        abort();
    free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char path[] = "/dev/shm/fleetdump-fuzz.XXXXXX", name[SPOOL_NAME_SIZE], folder[SPOOL_STREAM_SIZE];
    struct spool_limits limits = {.quota_bytes = UINT64_MAX};
    struct spool *s;
    struct error e = ERROR_INIT;
    if (len < PREFIX)
        return 0;
    uint8_t flags = data[0];
    size_t page = (size_t)(data[1] | data[2] << 8), head = (size_t)(data[3] | data[4] << 8), left = len - PREFIX;
    page = page < left ? page : left;
    head = head < left - page ? head : left - page;
    if (!mkdtemp(path) || spool_open(path, &limits, &s, &e) ||
        mkdirat(spool_fd(s), spool_stream_name(epoch, folder), 0700))
        abort();
    int dirfd = openat(spool_fd(s), folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_page(dirfd, data + PREFIX, page, flags & PAGE_OURS);
    if (flags & HEAD_THERE)
        put_head(dirfd, data + PREFIX + page, head, flags & HEAD_SEALED);
    put(dirfd, spool_file_name(SPOOL_FILE_OPEN, (flags & HEAD_THERE) != 0, name), data + PREFIX + page + head,
        left - page - head);
    close(dirfd);
    recover(s, flags & WITHOUT_BODY);
    spool_close(s);
    if (fs_remove_tree(AT_FDCWD, path, &e))
        abort();
    return 0;
}
