#include "common/base/units.h"

#include "common/base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

#define FRACTION_DIGITS_MAX 18

/* Largest first: the first that fits is what a number is printed in. Those without `prints` are only read. */
struct scale {
    const char *suffix;
    uint64_t factor;
    bool prints;
};

static const struct scale count_scales[] = {
    {"T", 1000000000000, true}, {"G", 1000000000, true}, {"M", 1000000, true}, {"k", 1000, true},   {"", 1, true},
    {"TiB", TIB, false},        {"GiB", GIB, false},     {"MiB", MIB, false},  {"KiB", KIB, false}, {NULL, 0, false},
};
static const struct scale byte_scales[] = {
    {"T", TIB, true},    {"G", GIB, true},    {"M", MIB, true},    {"K", KIB, true},
    {"", 1, true},       {"TiB", TIB, false}, {"GiB", GIB, false}, {"MiB", MIB, false},
    {"KiB", KIB, false}, {"B", 1, false},     {NULL, 0, false},
};
static const struct scale duration_scales[] = {
    {"d", 86400 * NS_PER_S, true},
    {"h", 3600 * NS_PER_S, true},
    {"m", 60 * NS_PER_S, true},
    {"s", NS_PER_S, true},
    {"ms", NS_PER_MS, true},
    {"us", NS_PER_US, true},
    {"ns", 1, true},
    {"w", 7 * 86400 * NS_PER_S, false},
    {"min", 60 * NS_PER_S, false},
    {"\u00b5s", NS_PER_US, false},
    {NULL, 0, false},
};
static const struct scale plain_scales[] = {
    {"", 1, true},
    {NULL, 0, false},
};

static const struct {
    const struct scale *scales;
    const char *expected;
} kinds[] = {
    [UNIT_NONE] = {plain_scales, "a whole number"},
    [UNIT_COUNT] = {count_scales, "a number, such as 1500, 20k or 1.5M"},
    [UNIT_BYTES] = {byte_scales, "a size in bytes, such as 1500, 64k, 1.5M or 2GiB"},
    [UNIT_NS] = {duration_scales, "a duration with its unit, such as 200ms, 1.5s, 15m, 2h or 7d"},
};

/* "12.5": 12 and 5 tenths. */
struct decimal {
    uint64_t whole;
    uint64_t fraction;
    uint64_t denominator; /* of the fraction: 10, 100, ... */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *read_decimal(const char *p, struct decimal *d)
{
    *d = (struct decimal){.denominator = 1};
    if (!is_digit(*p))
        return NULL;
    for (; is_digit(*p); p++)
        if (__builtin_mul_overflow(d->whole, 10, &d->whole) ||
            __builtin_add_overflow(d->whole, (uint64_t)(*p - '0'), &d->whole))
            return NULL;
    if (*p != '.')
        return p;
    if (!is_digit(*++p))
        return NULL;
    for (int digits = 0; is_digit(*p); p++, digits++) {
        if (digits >= FRACTION_DIGITS_MAX)
            continue; /* finer than anything that is counted here */
        d->fraction = d->fraction * 10 + (uint64_t)(*p - '0');
        d->denominator *= 10;
    }
    return p;
}

static const struct scale *find_scale(enum unit unit, const char *suffix, size_t len)
{
    for (const struct scale *s = kinds[unit].scales; s->suffix; s++)
        if (strlen(s->suffix) == len && (unit == UNIT_NS ? strncmp : strncasecmp)(s->suffix, suffix, len) == 0)
            return s;
    return NULL;
}

/* Adds one number with its suffix to *value; returns what follows, or NULL. */
static const char *read_term(enum unit unit, const char *p, uint64_t *value)
{
    struct decimal d;
    const char *suffix = read_decimal(p, &d);
    if (!suffix)
        return NULL;
    const char *end = suffix;
    while (*end && !is_digit(*end) && *end != '.')
        end++;
    const struct scale *s = find_scale(unit, suffix, (size_t)(end - suffix));
    if (!s && unit == UNIT_NS && end == suffix && d.whole == 0 && d.fraction == 0)
        return end; /* 0 is 0 in every unit */
    if (!s || (s->factor == 1 && d.fraction))
        return NULL;
    unsigned __int128 sum =
        (unsigned __int128)d.whole * s->factor + (unsigned __int128)d.fraction * s->factor / d.denominator + *value;
    if (sum > UINT64_MAX)
        return NULL;
    *value = (uint64_t)sum;
    return end;
}

int units_parse(enum unit unit, const char *text, uint64_t *value, struct error *e)
{
    if (unit == UNIT_TIME_NS)
        return units_parse_time(text, clock_wall_ns(), value, e);
    uint64_t v = 0;
    const char *p = read_term(unit, text, &v);
    while (p && *p && unit == UNIT_NS) /* "1h30m" */
        p = read_term(unit, p, &v);
    if (!p || *p)
        return error_set(e, ERROR_USAGE, "'%.64s' is not %s", text, kinds[unit].expected);
    *value = v;
    return 0;
}

static uint64_t round_div(uint64_t value, uint64_t by)
{
    return value / by + (value % by >= by - by / 2);
}

/* "2h05m": from a minute on, two units say more than a fraction does. */
static char *format_long_duration(const struct scale *s, uint64_t ns, char *buf, size_t len)
{
    const struct scale *small = s + 1;
    uint64_t all = round_div(ns, small->factor);
    uint64_t per = s->factor / small->factor;
    snprintf(buf, len, "%llu%s%02llu%s", (unsigned long long)(all / per), s->suffix, (unsigned long long)(all % per),
             small->suffix);
    return buf;
}

/* One decimal below 100, none above: three digits that mean something. */
static char *format_scaled(const struct scale *s, uint64_t value, char *buf, size_t len)
{
    uint64_t whole = round_div(value, s->factor);
    if (s->factor == 1 || whole >= 100) {
        snprintf(buf, len, "%llu%s", (unsigned long long)whole, s->suffix);
        return buf;
    }
    uint64_t tenths = round_div(value, s->factor / 10);
    if (s->factor % 10) /* powers of 1024 */
        tenths = value / s->factor * 10 + round_div(value % s->factor * 10, s->factor);
    snprintf(buf, len, "%llu.%llu%s", (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10), s->suffix);
    return buf;
}

char *units_format(enum unit unit, uint64_t value, char *buf, size_t len)
{
    if (unit == UNIT_TIME_NS)
        return units_format_time(value, buf, len);
    const struct scale *s = kinds[unit].scales;
    /* What rounds up to the next unit is printed in that: 1.0s, not 1000ms. */
    while (s[1].suffix && s[1].prints && value < s->factor - s[1].factor / 2)
        s++;
    if (unit == UNIT_NS && s->factor > NS_PER_S)
        return format_long_duration(s, value, buf, len);
    return format_scaled(s, value, buf, len);
}
