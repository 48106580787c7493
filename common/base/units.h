/*
 * units: numbers as people write and read them. One table of units serves filters, options, configuration and output.
 */
#ifndef FLEETDUMP_BASE_UNITS_H
#define FLEETDUMP_BASE_UNITS_H

#include "common/base/error.h"
#include <stddef.h>
#include <stdint.h>

enum unit { UNIT_NONE, UNIT_COUNT, UNIT_BYTES, UNIT_NS, UNIT_TIME_NS };

/* "1500", "1.5M", "64k", "2GiB" -> count or bytes (k, M, G, T are powers of 1000 for counts and of 1024 for bytes, as
 * in tcpdump -C and ls -h; KiB.. always 1024); "200ms", "1.5s", "15m", "2h", "7d" -> nanoseconds. A bare number is in
 * the base unit (ns for UNIT_NS only if it is 0, else the error asks for a unit). Durations add up: "1h30m".
 * UNIT_TIME_NS reads as units_parse_time with the clock of now. ERROR_USAGE says what was expected. */
MUST_CHECK int units_parse(enum unit unit, const char *text, uint64_t *value, struct error *e);

/* The same value as a person reads it: "1.5M", "64.0K", "213ms", "2h05m", local time with its zone for UNIT_TIME_NS.
 * buf has at least 40 bytes and is returned. */
char *units_format(enum unit unit, uint64_t value, char *buf, size_t len);

/* What a noun gets behind that number: "", or "s". */
static inline const char *units_plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* A point in time, in ns since 1970: "15m" (that long before now_ns), "@1700000000.5", "2026-11-22T03:00:00Z",
 * "2026-11-22 03:00[:00]", "03:00" (today), "yesterday 22:00", "now"; without a zone in the local one. */
MUST_CHECK int units_parse_time(const char *text, uint64_t now_ns, uint64_t *time_ns, struct error *e);

/* "2026-11-22 03:00:00.123 +01:00", local; units_parse_time reads it. Returns buf (at least 36 bytes). */
char *units_format_time(uint64_t time_ns, char *buf, size_t len);

/* RFC 3339 in UTC with nanoseconds, for JSON: "2026-11-22T03:00:00.123456789Z". Returns buf (at least 36 bytes). */
char *units_rfc3339(uint64_t time_ns, char *buf, size_t len);

#endif
