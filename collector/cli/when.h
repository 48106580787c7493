/*
 * when: points in time as tables show them: short, in the zone that the column's title names.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_WHEN_H
#define FLEETDUMP_COLLECTOR_CLI_WHEN_H

#include <stddef.h>
#include <stdint.h>

enum when {
    WHEN_CLOCK, /* "03:00:00.123" */
    WHEN_DATE,  /* "11-22 03:00:00"; "2025-11-22 03:00:00" if that is not this year */
    WHEN_EXACT, /* WHEN_DATE with milliseconds */
};

/* Returns buf, of at least 40 bytes. */
char *when_format(uint64_t time_ns, enum when form, char *buf, size_t len);

/* The local zone's name now: "UTC", "CET", "+08". Returns buf, of at least 16 bytes. */
char *when_zone(char *buf, size_t len);

#endif
