/*
 * The part of units that knows the calendar.
 */
#include "common/base/clock.h"
#include "common/base/units.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_MAX ((time_t)(UINT64_MAX / NS_PER_S) - 1)

#define EXPECTED                                                                                                       \
    "a time, such as 15m (ago), now, 03:00, 'yesterday 22:00', '2026-11-22 03:00', 2026-11-22T03:00:00Z or "           \
    "@1700000000"

/* What is read from a text before it becomes a point in time. */
struct moment {
    struct tm tm;
    uint64_t fraction_ns;
    bool zoned;
    long offset_s; /* east of UTC, if zoned */
};

/* Exactly n digits, at most `most`. Returns what follows or NULL; NULL in gives NULL out, so that calls chain. */
static const char *read_digits(const char *p, int n, int most, int *value)
{
    int v = 0;
    for (int i = 0; p && i < n; i++, p++) {
        if (*p < '0' || *p > '9')
            return NULL;
        v = v * 10 + (*p - '0');
    }
    if (!p || v > most)
        return NULL;
    *value = v;
    return p;
}

static const char *read_char(const char *p, char c)
{
    return p && *p == c ? p + 1 : NULL;
}

static const char *read_fraction(const char *p, uint64_t *ns)
{
    uint64_t digit = NS_PER_S / 10;
    if (*p < '0' || *p > '9')
        return NULL;
    for (*ns = 0; *p >= '0' && *p <= '9'; p++, digit /= 10)
        *ns += digit * (uint64_t)(*p - '0');
    return p;
}

/* HH:MM[:SS[.fraction]] */
static const char *read_clock(const char *p, struct moment *m)
{
    p = read_digits(p, 2, 23, &m->tm.tm_hour);
    p = read_digits(read_char(p, ':'), 2, 59, &m->tm.tm_min);
    if (p && *p == ':')
        p = read_digits(p + 1, 2, 59, &m->tm.tm_sec);
    if (p && *p == '.')
        p = read_fraction(p + 1, &m->fraction_ns);
    return p;
}

/* YYYY-MM-DD */
static const char *read_date(const char *p, struct moment *m)
{
    p = read_digits(p, 4, 2500, &m->tm.tm_year);
    p = read_digits(read_char(p, '-'), 2, 12, &m->tm.tm_mon);
    p = read_digits(read_char(p, '-'), 2, 31, &m->tm.tm_mday);
    m->tm.tm_year -= 1900;
    m->tm.tm_mon -= 1;
    return p;
}

/* Z, UTC, +01:00, +0100 or nothing, after an optional space. */
static const char *read_zone(const char *p, struct moment *m)
{
    p += *p == ' ' && p[1];
    if (!*p)
        return p;
    m->zoned = true;
    if (*p == 'Z' || *p == 'z')
        return p + 1;
    if (strncmp(p, "UTC", 3) == 0)
        return p + 3;
    int hours = 0, minutes = 0;
    bool west = *p == '-';
    if (!west && *p != '+')
        return NULL;
    p = read_digits(p + 1, 2, 15, &hours);
    if (p && *p == ':')
        p++;
    p = read_digits(p, 2, 59, &minutes);
    m->offset_s = (hours * 3600L + minutes * 60L) * (west ? -1 : 1);
    return p;
}

/* The calendar must hold it: no 30th of February, no 02:30 in a night that skips it. */
static bool moment_ns(struct moment *m, uint64_t *time_ns)
{
    struct tm tm = m->tm;
    tm.tm_isdst = -1;
    time_t s = m->zoned ? timegm(&tm) - m->offset_s : mktime(&tm);
    if (tm.tm_mday != m->tm.tm_mday || tm.tm_mon != m->tm.tm_mon || tm.tm_hour != m->tm.tm_hour || s < 0 ||
        s > SECONDS_MAX)
        return false;
    *time_ns = (uint64_t)s * NS_PER_S + m->fraction_ns;
    return true;
}

/* Midnight, `days` before the day that now_ns is in. */
static void set_day(struct moment *m, uint64_t now_ns, int days)
{
    time_t now = (time_t)(now_ns / NS_PER_S);
    struct tm tm;
    localtime_r(&now, &tm);
    tm = (struct tm){
        .tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday - days, .tm_hour = 12, .tm_isdst = -1};
    mktime(&tm); /* noon exists everywhere; this turns the 0th into the last of the month before */
    m->tm = (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
}

/* "yesterday", "today", each with an optional time of day; a time of day alone. */
static bool read_day_words(const char *text, uint64_t now_ns, struct moment *m)
{
    static const struct {
        const char *word;
        int days;
    } words[] = {{"yesterday", 1}, {"today", 0}};
    set_day(m, now_ns, 0);
    const char *p = text;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i].word);
        if (strncmp(text, words[i].word, len) != 0)
            continue;
        set_day(m, now_ns, words[i].days);
        p = text + len;
        if (!*p)
            return true;
        p = read_char(p, ' ');
        break;
    }
    p = p ? read_clock(p, m) : NULL;
    p = p ? read_zone(p, m) : NULL;
    return p && !*p;
}

/* A date, with an optional time of day and zone. */
static bool read_calendar(const char *text, struct moment *m)
{
    const char *p = read_date(text, m);
    if (p && (*p == 'T' || *p == 't' || (*p == ' ' && p[1] >= '0' && p[1] <= '9')))
        p = read_clock(p + 1, m);
    p = p ? read_zone(p, m) : NULL;
    return p && !*p;
}

/* @seconds[.fraction] since 1970 */
static bool read_epoch(const char *text, uint64_t *time_ns)
{
    uint64_t s = 0, ns = 0;
    const char *p = text + 1;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9' && s <= (uint64_t)SECONDS_MAX; p++)
        s = s * 10 + (uint64_t)(*p - '0');
    if (*p == '.')
        p = read_fraction(p + 1, &ns);
    if (!p || *p || s > (uint64_t)SECONDS_MAX)
        return false;
    *time_ns = s * NS_PER_S + ns;
    return true;
}

int units_parse_time(const char *text, uint64_t now_ns, uint64_t *time_ns, struct error *e)
{
    struct moment m = {.zoned = false};
    uint64_t ago;
    bool good = true;
    if (*text == '@') {
        good = read_epoch(text, time_ns);
    } else if (strcmp(text, "now") == 0) {
        *time_ns = now_ns;
    } else if (read_calendar(text, &m) || (m = (struct moment){0}, read_day_words(text, now_ns, &m))) {
        good = moment_ns(&m, time_ns);
        if (!good)
            return error_set(e, ERROR_USAGE, "'%.64s' is on no clock: check the day, or the zone's summer time", text);
    } else {
        good = units_parse(UNIT_NS, text, &ago, NULL) == 0 && ago <= now_ns;
        if (good)
            *time_ns = now_ns - ago;
    }
    return good ? 0 : error_set(e, ERROR_USAGE, "'%.64s' is not %s", text, EXPECTED);
}

char *units_format_time(uint64_t time_ns, char *buf, size_t len)
{
    time_t s = (time_t)(time_ns / NS_PER_S);
    struct tm tm;
    char text[40];
    localtime_r(&s, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    long minutes = labs(tm.tm_gmtoff) / 60;
    snprintf(buf, len, "%s.%03u %c%02ld:%02ld", text, (unsigned)(time_ns % NS_PER_S / NS_PER_MS),
             tm.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60);
    return buf;
}

char *units_rfc3339(uint64_t time_ns, char *buf, size_t len)
{
    time_t s = (time_t)(time_ns / NS_PER_S);
    struct tm tm;
    char text[40];
    gmtime_r(&s, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf, len, "%s.%09uZ", text, (unsigned)(time_ns % NS_PER_S));
    return buf;
}
