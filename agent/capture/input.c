/* input: a window over what an expander delivers; the plain one is read(2). */
#include "agent/capture/input.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define STOP_LOOK_MS 500 /* a signal wakes us earlier, unless it came just before */
#define WINDOW_SIZE  (1u << 20)
#define FILL_SIZE    (128u << 10) /* at a time: what is read is looked at while it is in the cache */
#define RAW_SIZE     (256u << 10)
#define MAGIC_SIZE   6

struct input;

/* One way of expanding: `fill` writes up to len bytes and returns how many, 0 at the end. */
struct expander {
    const char *name;
    uint8_t magic[MAGIC_SIZE];
    uint8_t magic_mask[MAGIC_SIZE]; /* all 0 behind the magic's end */
    int (*start)(struct input *in, struct error *e);
    long (*fill)(struct input *in, uint8_t *out, size_t len, struct error *e);
    const char *advice; /* for those that we do not expand */
};

struct input {
    int fd;
    char *name;
    const struct expander *expander;
    uint64_t file_size;
    uint64_t file_read;

    bool regular;            /* a file, which has all that it will have */
    const atomic_bool *stop; /* or NULL */
    uint8_t *window;         /* WINDOW_SIZE; [start, end) is not taken yet */
    size_t start, end;
    uint64_t offset; /* of `start` in the expanded stream */
    bool at_end;

    uint8_t *raw; /* compressed bytes that wait: [raw_start, raw_end) of RAW_SIZE */
    size_t raw_start, raw_end;
    bool raw_at_end;
    z_stream gzip;
    bool gzip_started;
    bool between; /* no member or frame is open: the end is clean here */
    ZSTD_DCtx *zstd;
};

/* A pipe may be silent for long. */
static int wait_readable(struct input *in, struct error *e)
{
    struct pollfd p = {.fd = in->fd, .events = POLLIN};
    while (in->stop && !in->regular) {
        if (atomic_load_explicit(in->stop, memory_order_relaxed))
            return error_set(e, ERROR_CANCELLED, "%s: stopped", in->name);
        int n = poll(&p, 1, STOP_LOOK_MS);
        if (n > 0 || (n < 0 && errno != EINTR))
            return 0;
    }
    return 0;
}

static long read_file(struct input *in, uint8_t *out, size_t len, struct error *e)
{
    ssize_t n = wait_readable(in, e);
    if (n < 0)
        return n;
    do
        n = read(in->fd, out, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_sys(e, errno, "%s: cannot read at byte %llu", in->name, (unsigned long long)in->file_read);
    in->file_read += (uint64_t)n;
    return n;
}

/* More compressed bytes behind those that wait; 0 at the end of the file. */
static int raw_fill(struct input *in, struct error *e)
{
    if (in->raw_start < in->raw_end || in->raw_at_end)
        return 0;
    long n = read_file(in, in->raw, RAW_SIZE, e);
    if (n < 0)
        return (int)n;
    in->raw_start = 0;
    in->raw_end = (size_t)n;
    in->raw_at_end = n == 0;
    return 0;
}

static uint64_t raw_offset(const struct input *in)
{
    return in->file_read - (in->raw_end - in->raw_start);
}

static int cut_short(struct input *in, struct error *e)
{
    return error_set(e, ERROR_TRUNCATED, "%s: the %s data end too early, at byte %llu of the file", in->name,
                     in->expander->name, (unsigned long long)in->file_read);
}

static int damaged(struct input *in, const char *what, struct error *e)
{
    return error_set(e, ERROR_INVALID, "%s: the %s data are damaged at byte %llu of the file: %s", in->name,
                     in->expander->name, (unsigned long long)raw_offset(in), what);
}

static long plain_fill(struct input *in, uint8_t *out, size_t len, struct error *e)
{
    if (in->raw_start == in->raw_end)
        return read_file(in, out, len, e);
    size_t n = in->raw_end - in->raw_start; /* read when the magic was looked at */
    if (n > len)
        n = len;
    memcpy(out, in->raw + in->raw_start, n);
    in->raw_start += n;
    return (long)n;
}

static int gzip_start(struct input *in, struct error *e)
{
    if (inflateInit2(&in->gzip, 15 + 16) != Z_OK) /* 16: the gzip header, nothing else */
        return error_set(e, ERROR_MEMORY, "%s: no memory to expand it", in->name);
    in->gzip_started = true;
    return 0;
}

static long gzip_fill(struct input *in, uint8_t *out, size_t len, struct error *e)
{
    in->gzip.next_out = out;
    in->gzip.avail_out = (uInt)len;
    while (in->gzip.avail_out == len) {
        int code = raw_fill(in, e);
        if (code)
            return code;
        if (in->raw_start == in->raw_end)
            return in->between ? 0 : cut_short(in, e);
        if (in->between && in->raw[in->raw_start] != 0x1f && in->gzip.total_in > 0)
            return 0; /* padding behind the last member, as gzip ignores it */
        in->between = false;
        in->gzip.next_in = in->raw + in->raw_start;
        in->gzip.avail_in = (uInt)(in->raw_end - in->raw_start);
        code = inflate(&in->gzip, Z_NO_FLUSH);
        in->raw_start = in->raw_end - in->gzip.avail_in;
        if (code == Z_STREAM_END) {
            in->between = true;
            uLong taken = in->gzip.total_in;
            (void)inflateReset(&in->gzip);
            in->gzip.total_in = taken;
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            return damaged(in, in->gzip.msg ? in->gzip.msg : "no gzip data", e);
        }
    }
    return (long)(len - in->gzip.avail_out);
}

static int zstd_start(struct input *in, struct error *e)
{
    in->zstd = ZSTD_createDCtx();
    if (!in->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(in->zstd, ZSTD_d_windowLogMax, INPUT_WINDOW_LOG_MAX)))
        return error_set(e, ERROR_MEMORY, "%s: no memory to expand it", in->name);
    return 0;
}

static long zstd_fill(struct input *in, uint8_t *out, size_t len, struct error *e)
{
    ZSTD_outBuffer to = {out, len, 0};
    bool flushed = false; /* the decoder may hold output that needs no more input */
    while (to.pos == 0) {
        int code = raw_fill(in, e);
        if (code)
            return code;
        if (in->raw_start == in->raw_end && (in->between || flushed))
            return in->between ? 0 : cut_short(in, e);
        flushed = in->raw_start == in->raw_end;
        ZSTD_inBuffer from = {in->raw, in->raw_end, in->raw_start};
        size_t hint = ZSTD_decompressStream(in->zstd, &to, &from);
        in->raw_start = from.pos;
        if (ZSTD_isError(hint))
            return damaged(in, ZSTD_getErrorName(hint), e);
        in->between = hint == 0;
    }
    return (long)to.pos;
}

static const struct expander expanders[] = {
    {"gzip", {0x1f, 0x8b}, {0xff, 0xff}, gzip_start, gzip_fill, NULL},
    {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, {0xff, 0xff, 0xff, 0xff}, zstd_start, zstd_fill, NULL},
    {"zstd", {0x50, 0x2a, 0x4d, 0x18}, {0xf0, 0xff, 0xff, 0xff}, zstd_start, zstd_fill, NULL}, /* skippable first */
    {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, NULL, NULL, "xz -dc"},
    {"bzip2", {'B', 'Z', 'h'}, {0xff, 0xff, 0xff}, NULL, NULL, "bzip2 -dc"},
    {"lz4", {0x04, 0x22, 0x4d, 0x18}, {0xff, 0xff, 0xff, 0xff}, NULL, NULL, "lz4 -dc"},
};
static const struct expander plain = {.name = NULL, .fill = plain_fill};

static bool has_magic(const struct expander *x, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < MAGIC_SIZE && x->magic_mask[i]; i++)
        if (i >= len || (data[i] & x->magic_mask[i]) != x->magic[i])
            return false;
    return true;
}

/* Reads until there is enough to tell by: a pipe may deliver byte by byte. */
static int read_magic(struct input *in, struct error *e)
{
    while (in->raw_end < MAGIC_SIZE) {
        long n = read_file(in, in->raw + in->raw_end, RAW_SIZE - in->raw_end, e);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        in->raw_end += (size_t)n;
    }
    return 0;
}

static int choose_expander(struct input *in, struct error *e)
{
    int code = read_magic(in, e);
    if (code)
        return code;
    in->expander = &plain;
    for (size_t i = 0; i < sizeof expanders / sizeof *expanders; i++)
        if (has_magic(&expanders[i], in->raw, in->raw_end))
            in->expander = &expanders[i];
    if (in->expander->advice)
        return error_set(e, ERROR_UNSUPPORTED,
                         "%s: is compressed by %s, which is not expanded here; do '%s %s | fleetdump-agent --read -'",
                         in->name, in->expander->name, in->expander->advice, in->name);
    in->between = true;
    return in->expander->start ? in->expander->start(in, e) : 0;
}

int input_open_fd(int fd, const char *name, const atomic_bool *stop, struct input **out, struct error *e)
{
    *out = NULL;
    struct input *in = calloc(1, sizeof *in);
    if (!in) {
        close(fd);
        return error_set(e, ERROR_MEMORY, "%s: no memory to read it", name);
    }
    in->fd = fd;
    in->stop = stop;
    in->name = strdup(name);
    in->window = malloc(WINDOW_SIZE);
    in->raw = malloc(RAW_SIZE);
    struct stat st;
    int code = 0;
    if (!in->name || !in->window || !in->raw)
        code = error_set(e, ERROR_MEMORY, "%s: no memory to read it", name);
    else if (fstat(fd, &st) != 0)
        code = error_sys(e, errno, "%s", name);
    else if (S_ISDIR(st.st_mode))
        code = error_set(e, ERROR_USAGE, "%s: is a folder, not a capture file", name);
    if (!code) {
        in->regular = S_ISREG(st.st_mode);
        in->file_size = in->regular ? (uint64_t)st.st_size : 0;
        code = choose_expander(in, e);
    }
    if (code) {
        input_close(in);
        return code;
    }
    *out = in;
    return 0;
}

int input_open(const char *path, const atomic_bool *stop, struct input **out, struct error *e)
{
    *out = NULL;
    if (strcmp(path, "-") == 0) {
        int fd = dup(STDIN_FILENO);
        return fd < 0 ? error_sys(e, errno, "standard input") : input_open_fd(fd, "standard input", stop, out, e);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_sys(e, errno, "%s", path);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return input_open_fd(fd, path, stop, out, e);
}

void input_close(struct input *in)
{
    if (!in)
        return;
    if (in->gzip_started)
        (void)inflateEnd(&in->gzip);
    ZSTD_freeDCtx(in->zstd);
    free(in->raw);
    free(in->window);
    free(in->name);
    close(in->fd);
    free(in);
}

/* Fills the window until it holds n bytes or the stream ends. */
static int window_fill(struct input *in, size_t n, struct error *e)
{
    memmove(in->window, in->window + in->start,
            in->end - in->start); /* less than n: the beginning of what is asked for */
    in->end -= in->start;
    in->start = 0;
    while (in->end - in->start < n && !in->at_end) {
        size_t room = WINDOW_SIZE - in->end;
        long got = in->expander->fill(in, in->window + in->end, room < FILL_SIZE ? room : FILL_SIZE, e);
        if (got < 0)
            return (int)got;
        in->at_end = got == 0;
        in->end += (size_t)got;
    }
    return 0;
}

long input_need(struct input *in, uint32_t n, const uint8_t **data, struct error *e)
{
    if (n > INPUT_NEED_MAX)
        return error_set(e, ERROR_LIMIT, "%s: %u bytes in one piece are too many", in->name, n);
    if (in->end - in->start < n) {
        int code = window_fill(in, n, e);
        if (code)
            return code;
    }
    *data = in->window + in->start;
    size_t have = in->end - in->start;
    return (long)(have < n ? have : n);
}

size_t input_here(const struct input *in, const uint8_t **data)
{
    *data = in->window + in->start;
    return in->end - in->start;
}

void input_take(struct input *in, uint32_t n)
{
    in->start += n;
    in->offset += n;
    if (in->start == in->end)
        in->start = in->end = 0;
}

uint64_t input_offset(const struct input *in)
{
    return in->offset;
}

uint64_t input_progress(const struct input *in, uint64_t *total)
{
    *total = in->file_size;
    return raw_offset(in);
}
