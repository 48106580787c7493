#include "common/base/units.h"

#include "common/base/clock.h"
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MINUTE (60 * NS_PER_S)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static void numbers_are_read_with_their_units(void **state)
{
    (void)state;
    static const struct {
        enum unit unit;
        const char *text;
        uint64_t value;
    } cases[] = {
        {UNIT_NONE, "0", 0},
        {UNIT_NONE, "18446744073709551615", UINT64_MAX},
        {UNIT_COUNT, "1500", 1500},
        {UNIT_COUNT, "1.5M", 1500000},
        {UNIT_COUNT, "64k", 64000},
        {UNIT_COUNT, "64K", 64000},
        {UNIT_COUNT, "64KiB", 65536},
        {UNIT_COUNT, "2T", 2000000000000},
        {UNIT_BYTES, "64k", 65536},
        {UNIT_BYTES, "1.5M", 1572864},
        {UNIT_BYTES, "2GiB", UINT64_C(2) << 30},
        {UNIT_BYTES, "1B", 1},
        {UNIT_BYTES, "0.001k", 1},
        {UNIT_NS, "0", 0},
        {UNIT_NS, "200ms", 200 * NS_PER_MS},
        {UNIT_NS, "1.5s", 1500 * NS_PER_MS},
        {UNIT_NS, "0.1us", 100},
        {UNIT_NS, "7ns", 7},
        {UNIT_NS, "7\u00b5s", 7000},
        {UNIT_NS, "15m", 15 * MINUTE},
        {UNIT_NS, "2h", 2 * HOUR},
        {UNIT_NS, "7d", 7 * DAY},
        {UNIT_NS, "1w", 7 * DAY},
        {UNIT_NS, "1h30m", 90 * MINUTE},
        {UNIT_NS, "0.333333333333333333333s", 333333333}, /* finer than can be counted */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 1;
        struct error e = ERROR_INIT;
        if (units_parse(cases[i].unit, cases[i].text, &value, &e) != 0 || value != cases[i].value)
            fail_msg("%s: %llu %s", cases[i].text, (unsigned long long)value, e.text);
    }
}

static void what_is_no_number_is_refused_with_advice(void **state)
{
    (void)state;
    static const struct {
        enum unit unit;
        const char *text;
        const char *advice;
    } cases[] = {
        {UNIT_NONE, "", "whole number"},
        {UNIT_NONE, "-1", "whole number"},
        {UNIT_NONE, "1k", "whole number"},
        {UNIT_NONE, "18446744073709551616", "whole number"},
        {UNIT_COUNT, "1.5", "1.5M"},
        {UNIT_COUNT, "1.", "1.5M"},
        {UNIT_COUNT, ".5M", "1.5M"},
        {UNIT_COUNT, "1 M", "1.5M"},
        {UNIT_COUNT, "1M2k", "1.5M"},
        {UNIT_BYTES, "99999999999T", "64k"},
        {UNIT_BYTES, "1kk", "64k"},
        {UNIT_BYTES, "+1", "64k"},
        {UNIT_NS, "15", "unit"},
        {UNIT_NS, "15M", "unit"}, /* a month? */
        {UNIT_NS, "1h30", "unit"},
        {UNIT_NS, "300000d", "unit"},
        {UNIT_NS, "200000d200000d", "unit"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 77;
        struct error e = ERROR_INIT;
        if (units_parse(cases[i].unit, cases[i].text, &value, &e) != ERROR_USAGE)
            fail_msg("'%s' was taken as %llu", cases[i].text, (unsigned long long)value);
        assert_int_equal(value, 77);
        assert_non_null(strstr(e.text, cases[i].advice));
    }
}

static void values_are_written_as_people_read_them(void **state)
{
    (void)state;
    static const struct {
        enum unit unit;
        uint64_t value;
        const char *text;
    } cases[] = {
        {UNIT_NONE, UINT64_MAX, "18446744073709551615"},
        {UNIT_COUNT, 0, "0"},
        {UNIT_COUNT, 999, "999"},
        {UNIT_COUNT, 1500, "1.5k"},
        {UNIT_COUNT, 1500000, "1.5M"},
        {UNIT_COUNT, 213400, "213k"},
        {UNIT_COUNT, 999499, "999k"},
        {UNIT_COUNT, 999500, "1.0M"},
        {UNIT_COUNT, 99950, "100k"},
        {UNIT_COUNT, UINT64_MAX, "18446744T"},
        {UNIT_BYTES, 1023, "1023"},
        {UNIT_BYTES, 65536, "64.0K"},
        {UNIT_BYTES, (1 << 20) - 1, "1.0M"},
        {UNIT_BYTES, 1000 << 10, "1000K"},
        {UNIT_BYTES, UINT64_MAX, "16777216T"},
        {UNIT_NS, 0, "0ns"},
        {UNIT_NS, 213, "213ns"},
        {UNIT_NS, 213 * NS_PER_MS, "213ms"},
        {UNIT_NS, 12345 * NS_PER_US, "12.3ms"},
        {UNIT_NS, 1500 * NS_PER_MS, "1.5s"},
        {UNIT_NS, 999600 * NS_PER_US, "1.0s"},
        {UNIT_NS, 59400 * NS_PER_MS, "59.4s"},
        {UNIT_NS, 59600 * NS_PER_MS, "1m00s"},
        {UNIT_NS, 125 * NS_PER_S, "2m05s"},
        {UNIT_NS, 2 * HOUR + 5 * MINUTE + 29 * NS_PER_S, "2h05m"},
        {UNIT_NS, 3 * DAY + 4 * HOUR, "3d04h"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char buf[40];
        assert_string_equal(units_format(cases[i].unit, cases[i].value, buf, sizeof(buf)), cases[i].text);
    }
}

/* What is shown can be typed in again, and means the same to the three digits that it shows. */
static void written_values_are_read_back(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252;
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t value = x >> (x % 61), back;
        for (enum unit unit = UNIT_NONE; unit <= UNIT_NS; unit++) {
            char buf[40];
            if (units_parse(unit, units_format(unit, value, buf, sizeof(buf)), &back, NULL) != 0 &&
                value < UINT64_MAX / 2)
                fail_msg("%s is not read", buf);
            uint64_t off = back > value ? back - value : value - back;
            if (value < UINT64_MAX / 2 && off > value / 15)
                fail_msg("%llu became %s and %llu", (unsigned long long)value, buf, (unsigned long long)back);
        }
    }
}

/* 2026-11-22T03:00:00Z, in Berlin 04:00 of a Sunday. */
#define NOW (UINT64_C(1795316400) * NS_PER_S)

static int in_berlin(void **state)
{
    (void)state;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    return 0;
}

static void times_are_read_in_the_local_zone(void **state)
{
    (void)state;
    const uint64_t midnight = NOW - 4 * HOUR;
    const struct {
        const char *text;
        uint64_t ns;
    } cases[] = {
        {"now", NOW},
        {"15m", NOW - 15 * MINUTE},
        {"1h30m", NOW - 90 * MINUTE},
        {"0", NOW},
        {"@1700000000", UINT64_C(1700000000) * NS_PER_S},
        {"@1700000000.5", UINT64_C(1700000000500) * NS_PER_MS},
        {"@1.000000001", NS_PER_S + 1},
        {"2026-11-22T03:00:00Z", NOW},
        {"2026-11-22T03:00:00.123456789Z", NOW + 123456789},
        {"2026-11-22T05:30:00+02:30", NOW},
        {"2026-11-21T22:00:00-0500", NOW},
        {"2026-11-22 03:00 UTC", NOW},
        {"2026-11-22 04:00", NOW},
        {"2026-11-22 04:00:01", NOW + NS_PER_S},
        {"2026-11-22", midnight},
        {"03:00", NOW - HOUR},
        {"03:00 Z", NOW},
        {"today", midnight},
        {"today 05:00", NOW + HOUR},
        {"yesterday", midnight - DAY},
        {"yesterday 22:00", midnight - 2 * HOUR},
        {"2026-07-01 02:00", UINT64_C(1782864000) * NS_PER_S}, /* summer: 00:00 UTC */
        {"2024-02-29", UINT64_C(1709161200) * NS_PER_S},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ns = 0;
        struct error e = ERROR_INIT;
        if (units_parse_time(cases[i].text, NOW, &ns, &e) != 0 || ns != cases[i].ns)
            fail_msg("%s: %llu, %s", cases[i].text, (unsigned long long)ns, e.text);
    }
}

static void yesterday_is_a_day_of_the_calendar(void **state)
{
    (void)state;
    /* the clocks went back at 03:00 on 2026-10-25: that day had 25 hours */
    uint64_t noon, yesterday, expected;
    assert_int_equal(units_parse_time("2026-10-26 00:30", NOW, &noon, NULL), 0);
    assert_int_equal(units_parse_time("yesterday", noon, &yesterday, NULL), 0);
    assert_int_equal(units_parse_time("2026-10-25T00:00:00+02:00", NOW, &expected, NULL), 0);
    assert_int_equal(yesterday, expected);
    assert_int_equal(units_parse_time("2026-03-01 12:00", NOW, &noon, NULL), 0);
    assert_int_equal(units_parse_time("yesterday 01:00", noon, &yesterday, NULL), 0);
    assert_int_equal(units_parse_time("2026-02-28 01:00", NOW, &expected, NULL), 0);
    assert_int_equal(yesterday, expected);
}

/* Where the clocks go forward at midnight, that day begins at 01:00 and still is a day. */
static void a_day_without_midnight_is_found(void **state)
{
    uint64_t now, yesterday, expected;
    setenv("TZ", "BRT3BRST,M11.1.0/0,M2.3.0/0", 1);
    tzset();
    assert_int_equal(units_parse_time("2018-11-05 09:00", NOW, &now, NULL), 0);
    assert_int_equal(units_parse_time("2018-11-04T05:00:00-02:00", NOW, &expected, NULL), 0);
    assert_int_equal(units_parse_time("yesterday 05:00", now, &yesterday, NULL), 0);
    assert_int_equal(yesterday, expected);
    in_berlin(state);
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "15",
        "tomorrow",
        "2026-13-01",
        "2026-02-30",
        "2026-02-29",
        "24:00",
        "12:60",
        "12",
        "12:00:60",
        "yesterdayx",
        "yesterday 25:00",
        "@",
        "@x",
        "@1.x",
        "@99999999999",
        "2026-11-22T03:00:00X",
        "2026-11-22T",
        "nowadays",
        "2026-11-22 ",
        "2026-03-29 02:30",
        "2026-11-22 03:00 CET",
        "1969-12-31T23:00Z",
        "60000d",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ns = 0;
        struct error e = ERROR_INIT;
        if (units_parse_time(cases[i], NOW, &ns, &e) != ERROR_USAGE)
            fail_msg("'%s' was taken as %llu", cases[i], (unsigned long long)ns);
        assert_true(strlen(e.text) > 0);
    }
}

static void times_are_written_with_their_zone_and_read_back(void **state)
{
    (void)state;
    char buf[40];
    uint64_t back;
    assert_string_equal(units_format(UNIT_TIME_NS, NOW + 123456789, buf, sizeof(buf)),
                        "2026-11-22 04:00:00.123 +01:00");
    assert_int_equal(units_parse_time(buf, 0, &back, NULL), 0);
    assert_int_equal(back, NOW + 123 * NS_PER_MS);
    assert_string_equal(units_rfc3339(NOW + 123456789, buf, sizeof(buf)), "2026-11-22T03:00:00.123456789Z");
    assert_int_equal(units_parse(UNIT_TIME_NS, buf, &back, NULL), 0);
    assert_int_equal(back, NOW + 123456789);
    assert_string_equal(units_rfc3339(UINT64_MAX, buf, sizeof(buf)), "2554-07-21T23:34:33.709551615Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_with_their_units),
        cmocka_unit_test(what_is_no_number_is_refused_with_advice),
        cmocka_unit_test(values_are_written_as_people_read_them),
        cmocka_unit_test(written_values_are_read_back),
        cmocka_unit_test(times_are_read_in_the_local_zone),
        cmocka_unit_test(yesterday_is_a_day_of_the_calendar),
        cmocka_unit_test(a_day_without_midnight_is_found),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(times_are_written_with_their_zone_and_read_back),
    };
    return cmocka_run_group_tests(tests, in_berlin, NULL);
}
