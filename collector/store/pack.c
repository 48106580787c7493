#include "collector/store/pack.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC         "FDPACK1"
#define RECORD_MAGIC  "FDRC"
#define VERSION       1u
#define CLASS_SIZE    16u
#define PIECE         ((size_t)1 << 20)
#define NUMBER_DIGITS 6

_Static_assert(sizeof(PACK_CLASS) <= CLASS_SIZE, "a class fits");

char *pack_name(uint64_t number, char *buf)
{
    snprintf(buf, PACK_NAME_MAX, "%s.%0*llu.pack", PACK_CLASS, NUMBER_DIGITS, (unsigned long long)number);
    return buf;
}

uint64_t pack_number(const char *name)
{
    char again[PACK_NAME_MAX];
    size_t prefix = strlen(PACK_CLASS) + 1;
    if (strncmp(name, PACK_CLASS ".", prefix) != 0)
        return 0;
    uint64_t number = strtoull(name + prefix, NULL, 10);
    return number && strcmp(pack_name(number, again), name) == 0 ? number : 0;
}

uint64_t pack_record_size(const struct pack_record *r)
{
    return PACK_RECORD_SIZE + (uint64_t)r->head_length + r->body_length;
}

/* ------------------------------------------------------------------ writing */

static struct pack *pack_new(int fd, uint64_t number, uint64_t end, struct error *e)
{
    struct pack *p = malloc(sizeof(*p));
    if (p)
        *p = (struct pack){.fd = fd, .number = number, .end = end, .committed = end};
    else
        error_set(e, ERROR_MEMORY, "no memory for a pack");
    return p;
}

static int write_header(int dirfd, int fd, uint64_t partition, uint64_t number, uint64_t now_ns, struct error *e)
{
    struct buffer b = {0};
    buffer_append(&b, MAGIC, 8);
    buffer_le32(&b, VERSION);
    buffer_le32(&b, 0);
    buffer_le64(&b, partition);
    buffer_le32(&b, (uint32_t)number);
    buffer_le32(&b, 0);
    buffer_append(&b, PACK_CLASS, sizeof(PACK_CLASS));
    buffer_zero(&b, CLASS_SIZE - sizeof(PACK_CLASS));
    buffer_le64(&b, now_ns);
    buffer_le64(&b, hash64(b.data, b.len));
    int r = b.failed ? error_set(e, ERROR_MEMORY, "no memory for a pack") : 0;
    if (!r)
        r = fs_pwrite(fd, b.data, b.len, 0, "pack.make", e);
    buffer_free(&b);
    if (!r)
        r = fs_sync(fd, "pack.make.sync", e);
    return r ? r : fs_sync_dir(dirfd, "pack.make.sync-dir", e);
}

int pack_make(int dirfd, uint64_t partition, uint64_t number, uint64_t now_ns, struct pack **out, struct error *e)
{
    char name[PACK_NAME_MAX];
    int fd = openat(dirfd, pack_name(number, name), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return error_sys(e, errno, "cannot make the pack %s", name);
    int r = write_header(dirfd, fd, partition, number, now_ns, e);
    struct pack *p = r ? NULL : pack_new(fd, number, PACK_HEADER_SIZE, e);
    if (!p) {
        unlinkat(dirfd, name, 0);
        close(fd);
        return r ? r : ERROR_MEMORY;
    }
    *out = p;
    return 0;
}

void pack_close(struct pack *p)
{
    if (p)
        close(p->fd);
    free(p);
}

static void encode_record(struct buffer *b, const struct pack_record *r)
{
    buffer_append(b, RECORD_MAGIC, 4);
    buffer_u8(b, VERSION);
    buffer_zero(b, 3);
    buffer_le32(b, r->head_length);
    buffer_le32(b, 0);
    buffer_append(b, r->epoch, EPOCH_SIZE);
    buffer_le64(b, r->seq);
    buffer_le64(b, r->arrived_ns);
    buffer_le64(b, r->body_length);
    buffer_le64(b, r->head_hash);
    buffer_le64(b, r->body_hash);
    buffer_append(b, r->install, sizeof(r->install));
    if (!b->failed)
        buffer_le64(b, hash64(b->data, b->len));
}

/* Copies the body behind `to`, hashing; ERROR_CORRUPT if it is not what was promised. */
static int copy_body(int from, int to, uint64_t offset, const struct pack_record *r, struct hash_stream *hash,
                     uint8_t *piece, struct error *e)
{
    for (uint64_t at = 0; at < r->body_length;) {
        size_t len = r->body_length - at < PIECE ? (size_t)(r->body_length - at) : PIECE;
        int result = fs_pread(from, piece, len, at, e);
        if (!result)
            result = fs_pwrite(to, piece, len, offset + at, "pack.write", e);
        if (result)
            return result;
        hash_stream_add(hash, piece, len);
        at += len;
    }
    if (hash_stream_value(hash) != r->body_hash)
        return error_set(e, ERROR_CORRUPT, "the body's hash is %016llx, its head says %016llx",
                         (unsigned long long)hash_stream_value(hash), (unsigned long long)r->body_hash);
    return 0;
}

static int check_length(const struct pack_record *r, int body_fd, struct error *e)
{
    struct stat st;
    if (fstat(body_fd, &st) != 0)
        return error_sys(e, errno, "cannot read the body");
    if ((uint64_t)st.st_size < r->body_length)
        return error_set(e, ERROR_CORRUPT, "the body has %lld bytes, its head says %llu", (long long)st.st_size,
                         (unsigned long long)r->body_length);
    return 0;
}

static int write_record(struct pack *p, const struct pack_record *record, const void *head, int body_fd,
                        struct error *e)
{
    struct buffer b = {0};
    struct hash_stream *hash = hash_stream_new();
    uint8_t *piece = malloc(PIECE);
    encode_record(&b, record);
    buffer_append(&b, head, record->head_length);
    int r = b.failed || !hash || !piece ? error_set(e, ERROR_MEMORY, "no memory to store a body") : 0;
    if (!r)
        r = fs_pwrite(p->fd, b.data, b.len, record->offset, "pack.write", e);
    if (!r)
        r = copy_body(body_fd, p->fd, pack_body_offset(record), record, hash, piece, e);
    free(piece);
    hash_stream_free(hash);
    buffer_free(&b);
    return r;
}

int pack_append(struct pack *p, struct pack_record *record, const void *head, int body_fd, struct error *e)
{
    record->offset = p->end;
    int r = check_length(record, body_fd, e);
    if (!r)
        r = write_record(p, record, head, body_fd, e);
    if (!r)
        p->end += pack_record_size(record);
    return r;
}

int pack_cut_back(struct pack *p, struct error *e)
{
    int sys = FAULT("pack.cut-back");
    if (sys || ftruncate(p->fd, (off_t)p->committed) != 0)
        return error_sys(e, sys ? sys : errno, "cannot cut a pack at its committed end");
    p->end = p->committed;
    return 0;
}

int pack_sync(struct pack *p, struct error *e)
{
    return fs_sync(p->fd, "pack.sync", e);
}

/* ------------------------------------------------------------------ reading */

int pack_check_header(int fd, struct error *e)
{
    uint8_t header[PACK_HEADER_SIZE];
    int r = fs_pread(fd, header, sizeof(header), 0, e);
    if (r)
        return r;
    struct bytes tail = bytes_of(header + sizeof(header) - 8, 8);
    struct bytes version = bytes_of(header + 8, 4);
    if (memcmp(header, MAGIC, 8) != 0)
        return error_set(e, ERROR_CORRUPT, "it does not begin as a pack");
    if (bytes_le64(&tail) != hash64(header, sizeof(header) - 8))
        return error_set(e, ERROR_CORRUPT, "its header's hash does not match");
    if (bytes_le32(&version) != VERSION)
        return error_set(e, ERROR_VERSION, "it was written by a newer program");
    return 0;
}

/* Whether these bytes are a record's header. */
static bool decode_record(const uint8_t *data, struct pack_record *r)
{
    struct bytes b = bytes_of(data, PACK_RECORD_SIZE);
    struct bytes tail = bytes_of(data + PACK_RECORD_SIZE - 8, 8);
    if (memcmp(data, RECORD_MAGIC, 4) != 0 || data[4] != VERSION ||
        bytes_le64(&tail) != hash64(data, PACK_RECORD_SIZE - 8))
        return false;
    bytes_skip(&b, 8);
    r->head_length = bytes_le32(&b);
    bytes_skip(&b, 4);
    bytes_copy(&b, r->epoch, EPOCH_SIZE);
    r->seq = bytes_le64(&b);
    r->arrived_ns = bytes_le64(&b);
    r->body_length = bytes_le64(&b);
    r->head_hash = bytes_le64(&b);
    r->body_hash = bytes_le64(&b);
    bytes_copy(&b, r->install, sizeof(r->install));
    return true;
}

/* Whether head and body lie before `end`, so that lengths can be used without further thought. */
static bool fits(const struct pack_record *r, uint64_t end)
{
    return r->offset <= end && end - r->offset >= PACK_RECORD_SIZE && r->head_length <= HEAD_BYTES_MAX &&
           r->body_length <= end && pack_record_size(r) <= end - r->offset;
}

int pack_read_record(int fd, uint64_t offset, uint64_t end, struct pack_record *record, struct error *e)
{
    uint8_t header[PACK_RECORD_SIZE];
    int r = fs_pread(fd, header, sizeof(header), offset, e);
    if (r)
        return r;
    *record = (struct pack_record){.offset = offset};
    if (!decode_record(header, record))
        return error_set(e, ERROR_CORRUPT, "the record's header at byte %llu is damaged", (unsigned long long)offset);
    if (!fits(record, end))
        return error_set(e, ERROR_TRUNCATED, "the record at byte %llu has %llu bytes, but the pack ends at %llu",
                         (unsigned long long)offset, (unsigned long long)pack_record_size(record),
                         (unsigned long long)end);
    return 0;
}

int pack_read_head(int fd, const struct pack_record *record, uint8_t **head, struct error *e)
{
    uint8_t *data = malloc(record->head_length + 1u);
    if (!data)
        return error_set(e, ERROR_MEMORY, "no memory for a head");
    int r = fs_pread(fd, data, record->head_length, pack_head_offset(record), e);
    if (!r && hash64(data, record->head_length) != record->head_hash)
        r = error_set(e, ERROR_CORRUPT, "the head at byte %llu is damaged",
                      (unsigned long long)pack_head_offset(record));
    if (r)
        free(data);
    else
        *head = data;
    return r;
}

int pack_check_body(int fd, const struct pack_record *record, struct error *e)
{
    struct hash_stream *hash = hash_stream_new();
    uint8_t *piece = malloc(PIECE);
    int r = hash && piece ? 0 : error_set(e, ERROR_MEMORY, "no memory to check a body");
    for (uint64_t at = 0; !r && at < record->body_length;) {
        size_t len = record->body_length - at < PIECE ? (size_t)(record->body_length - at) : PIECE;
        r = fs_pread(fd, piece, len, pack_body_offset(record) + at, e);
        if (!r)
            hash_stream_add(hash, piece, len);
        at += len;
    }
    if (!r && hash_stream_value(hash) != record->body_hash)
        r = error_set(e, ERROR_CORRUPT, "the body at byte %llu is damaged",
                      (unsigned long long)pack_body_offset(record));
    free(piece);
    hash_stream_free(hash);
    return r;
}

/* The first record header that is wholly in data, as an offset in it, or -1. */
static ssize_t search(const uint8_t *data, size_t len, uint64_t base, uint64_t end, struct pack_record *record)
{
    const uint8_t *p = data;
    while (len - (size_t)(p - data) >= PACK_RECORD_SIZE && (p = memmem(p, len - (size_t)(p - data), RECORD_MAGIC, 4)) &&
           len - (size_t)(p - data) >= PACK_RECORD_SIZE) {
        *record = (struct pack_record){.offset = base + (size_t)(p - data)};
        if (decode_record(p, record) && fits(record, end))
            return p - data;
        p++;
    }
    return -1;
}

int pack_find_record(int fd, uint64_t offset, uint64_t end, struct pack_record *record, struct error *e)
{
    uint8_t *data = malloc(PIECE);
    if (!data)
        return error_set(e, ERROR_MEMORY, "no memory to read a pack");
    int r = 0;
    while (r == 0 && offset < end && end - offset >= PACK_RECORD_SIZE) {
        size_t len = end - offset < PIECE ? (size_t)(end - offset) : PIECE;
        r = fs_pread(fd, data, len, offset, e);
        if (r == 0 && search(data, len, offset, end, record) >= 0)
            r = 1;
        offset += len - (PACK_RECORD_SIZE - 1); /* a header may lie across the border */
    }
    free(data);
    return r;
}
