#include "agent/ship/refusal.h"

#include "agent/ship/spool_dir.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION    1
#define NAME_SIZE  32
#define CLOCK_NAME "clock"

const char *const refusal_links[] = {"control", "data", NULL};

static const char *name_of(const char *link, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "refused-%s", link);
    return name;
}

void refusal_note(int spool_fd, const char *link, int code, const char *text)
{
    struct error e = ERROR_INIT;
    char name[NAME_SIZE], line[REFUSAL_BYTES];
    int n = snprintf(line, sizeof(line), "%d %llu %d %.*s\n", VERSION, (unsigned long long)clock_wall_ns(), code,
                     (int)(ERROR_TEXT_MAX - 1), text);
    if (fs_replace(spool_fd, name_of(link, name), line, (size_t)n, SPOOL_FILE_MODE, "spool.refused", &e))
        log_debug("uplink: %s", e.text);
}

void refusal_forget(int spool_fd, const char *link)
{
    struct error e = ERROR_INIT;
    char name[NAME_SIZE];
    if (fs_unlink(spool_fd, name_of(link, name), "spool.let-in", &e))
        log_debug("uplink: %s", e.text);
}

/* At most `size` - 1 bytes of a regular file, and a 0 behind them; false if there are more, or none. */
static bool read_line(int spool_fd, const char *name, char *line, size_t size)
{
    struct stat st;
    int fd = openat(spool_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, line, size) : -1;
    close(fd);
    if (n <= 0 || (size_t)n == size || line[n - 1] != '\n')
        return false;
    line[n - 1] = 0;
    return true;
}

bool refusal_read(int spool_fd, const char *link, struct refusal *out)
{
    char name[NAME_SIZE], line[REFUSAL_BYTES + 1];
    unsigned long long when = 0;
    int version = 0, at = 0;
    *out = (struct refusal){0};
    if (!read_line(spool_fd, name_of(link, name), line, sizeof(line)) ||
        sscanf(line, "%2d %20llu %5d %n", &version, &when, &out->code, &at) != 3 || version != VERSION || !at)
        return false;
    out->when_ns = when;
    snprintf(out->text, sizeof(out->text), "%.*s", (int)sizeof(out->text) - 1, line + at);
    utf8_clean(out->text, strlen(out->text));
    return out->text[0] != 0;
}

void clock_note(int spool_fd, int64_t offset_ns)
{
    struct error e = ERROR_INIT;
    char line[REFUSAL_BYTES];
    int n = snprintf(line, sizeof(line), "%d %llu %lld\n", VERSION, (unsigned long long)clock_wall_ns(),
                     (long long)offset_ns);
    if (fs_replace(spool_fd, CLOCK_NAME, line, (size_t)n, SPOOL_FILE_MODE, "spool.clock", &e))
        log_debug("uplink: %s", e.text);
}

bool clock_noted(int spool_fd, int64_t *offset_ns)
{
    char line[REFUSAL_BYTES + 1];
    unsigned long long when = 0;
    long long offset = 0;
    int version = 0;
    if (!read_line(spool_fd, CLOCK_NAME, line, sizeof(line)) ||
        sscanf(line, "%2d %20llu %20lld", &version, &when, &offset) != 3 || version != VERSION)
        return false;
    *offset_ns = offset;
    return true;
}
