#include "common/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1536

static const struct {
    const char *name;
    int priority; /* the kernel's */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARN] = {"warn ", 4},
    [LOG_LEVEL_INFO] = {"info ", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

/* Written by log_setup before threads start. */
static const char *program_name = "fleetdump";
static enum log_level most_level = LOG_LEVEL_INFO;
static bool to_journal;

/* JOURNAL_STREAM is inherited: it means us only if stderr still is the socket that it names. */
static bool stderr_is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long dev = 0, ino = 0;
    struct stat st;
    if (!text || sscanf(text, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st) != 0)
        return false;
    return st.st_dev == dev && st.st_ino == ino;
}

void log_setup(const char *program, enum log_level most)
{
    program_name = program;
    most_level = most;
    to_journal = stderr_is_journal();
}

static int write_prefix(char *line, size_t size, enum log_level level)
{
    if (to_journal)
        return snprintf(line, size, "<%d>%s: ", levels[level].priority, program_name);
    struct timeval now;
    struct tm tm;
    gettimeofday(&now, NULL);
    gmtime_r(&now.tv_sec, &tm);
    char time[32];
    strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm);
    return snprintf(line, size, "%s.%03dZ %s %s: ", time, (int)(now.tv_usec / 1000), levels[level].name, program_name);
}

/* One event, one line: a peer's text must not forge another. */
static void make_printable(char *text, const char *end)
{
    for (; text < end; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (level > most_level)
        return;
    int saved = errno;
    char line[LINE_MAX_BYTES];
    int start = write_prefix(line, sizeof(line), level);
    va_list args;
    va_start(args, fmt);
    vsnprintf(line + start, sizeof(line) - (size_t)start, fmt, args);
    va_end(args);
    size_t len = strnlen(line, sizeof(line) - 1);
    make_printable(line, line + len);
    line[len++] = '\n';
    /* One write for a line, so that threads and processes do not mix theirs; nobody is left to tell if it fails. */
    if (write(STDERR_FILENO, line, len) < 0)
        errno = 0;
    errno = saved;
}
