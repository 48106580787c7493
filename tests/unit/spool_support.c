#include "tests/unit/spool_support.h"

#include "common/base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct spool_stream_start stream_beginning = {
    .agent = "a1", .capture = "c1", .wall_ns = 7, .evict = EVICT_OLDEST};

const uint8_t spool_epoch[EPOCH_SIZE] = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

struct spool *spool_in(const char *path)
{
    const struct spool_limits limits = ROOMY;
    struct spool *s = NULL;
    struct error e = ERROR_INIT;
    if (spool_open(path, &limits, &s, &e) != 0)
        fail_msg("%s", e.text);
    return s;
}

static int encode_head(int kind, uint64_t seq, bool with_body, struct buffer *out, struct error *e)
{
    char name[] = "name";
    struct chunk_head h = {.kind = (uint8_t)kind, .seq = seq, .last_seq = seq, .agent = name, .capture = name};
    memcpy(h.epoch, spool_epoch, EPOCH_SIZE);
    h.seal = kind == HEAD_CHUNK ? SEAL_BYTES : 0;
    h.gap = kind == HEAD_GAP ? GAP_CRASH : 0;
    h.body = with_body ? BODY_ON_AGENT : BODY_NEVER;
    h.body_length = with_body ? sizeof(BODY) : 0;
    buffer_clear(out);
    return head_encode(&h, out, e);
}

int stream_seal(struct spool_stream *t, int kind, uint64_t seq, int body_fd, struct error *e)
{
    struct buffer head = {0};
    int r = encode_head(kind, seq, body_fd >= 0, &head, e);
    if (!r)
        r = spool_stream_seal(t, seq, head.data, head.len, body_fd >= 0, body_fd, e);
    buffer_free(&head);
    return r;
}

int stream_begin_body(struct spool_stream *t, uint64_t seq, struct error *e)
{
    int fd = spool_stream_open_body(t, seq, e);
    int r = fd < 0 ? fd : fs_write(fd, BODY, sizeof(BODY), "scenario.write", e);
    if (r && fd >= 0)
        close(fd);
    return r ? r : fd;
}

bool spool_has(const char *spool, const char *name)
{
    struct stat st;
    char path[800];
    snprintf(path, sizeof(path), "%s/" EPOCH_NAME "/%s", spool, name);
    return lstat(path, &st) == 0;
}

struct spool_stream_info spool_only_stream(struct spool *s)
{
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    assert_int_equal(spool_list(s, &list, &count, NULL), 0);
    assert_int_equal(count, 1);
    struct spool_stream_info info = list[0];
    free(list);
    assert_memory_equal(info.epoch, spool_epoch, EPOCH_SIZE);
    return info;
}
