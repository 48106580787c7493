#include "agent/progress.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STEP_NS   (200 * NS_PER_MS)
#define BAR_WIDTH 30

void progress_start(struct progress *p)
{
    p->start_ns = clock_mono_ns();
    p->next_ns = p->start_ns + NS_PER_S;
    p->terminal = isatty(STDERR_FILENO);
    p->drawn = false;
}

double progress_seconds(const struct progress *p)
{
    return (double)(clock_mono_ns() - p->start_ns) / (double)NS_PER_S;
}

static bool is_due(struct progress *p)
{
    if (!p->terminal)
        return false;
    uint64_t now = clock_mono_ns();
    if (now < p->next_ns)
        return false;
    p->next_ns = now + STEP_NS;
    p->drawn = true;
    return true;
}

static void draw_bar(double part)
{
    char bar[BAR_WIDTH + 1];
    int full = (int)(part * BAR_WIDTH);
    full = full < 0 ? 0 : full > BAR_WIDTH ? BAR_WIDTH : full;
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', (size_t)full);
    if (full > 0 && full < BAR_WIDTH)
        bar[full - 1] = '>';
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "[%s] %3.0f%%", bar, part * 100);
}

void progress_bytes(struct progress *p, const char *what, uint64_t done, uint64_t total)
{
    if (!is_due(p))
        return;
    char size[48], speed[48];
    double seconds = progress_seconds(p), rate = (double)done / seconds;
    units_format(UNIT_BYTES, total ? total : done, size, sizeof size);
    units_format(UNIT_BYTES, (uint64_t)rate, speed, sizeof speed);
    fprintf(stderr, "\r\033[K%s ", what);
    if (total) {
        draw_bar((double)done / (double)total);
        fprintf(stderr, " of %s, %s/s", size, speed);
        if (rate > 0 && total > done)
            fprintf(stderr, ", %.0f s left", (double)(total - done) / rate);
    } else {
        fprintf(stderr, "%s, %s/s", size, speed);
    }
    fflush(stderr);
}

void progress_text(struct progress *p, const char *fmt, ...)
{
    if (!is_due(p))
        return;
    va_list args;
    va_start(args, fmt);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fflush(stderr);
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
