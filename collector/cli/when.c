#include "collector/cli/when.h"
#include "common/base/clock.h"
#include <stdio.h>
#include <time.h>

static struct tm local(uint64_t time_ns)
{
    time_t s = (time_t)(time_ns / NS_PER_S);
    struct tm tm;
    localtime_r(&s, &tm);
    return tm;
}

char *when_format(uint64_t time_ns, enum when form, char *buf, size_t len)
{
    struct tm tm = local(time_ns), now = local(clock_wall_ns());
    size_t n;
    if (form == WHEN_CLOCK)
        n = strftime(buf, len, "%H:%M:%S", &tm);
    else if (tm.tm_year == now.tm_year)
        n = strftime(buf, len, "%m-%d %H:%M:%S", &tm);
    else
        n = strftime(buf, len, "%Y-%m-%d %H:%M:%S", &tm);
    if (form != WHEN_DATE)
        snprintf(buf + n, len - n, ".%03u", (unsigned)(time_ns % NS_PER_S / NS_PER_MS));
    return buf;
}

char *when_zone(char *buf, size_t len)
{
    struct tm now = local(clock_wall_ns());
    if (strftime(buf, len, "%Z", &now) == 0)
        snprintf(buf, len, "local");
    return buf;
}
