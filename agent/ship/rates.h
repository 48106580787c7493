/*
 * rates: how much passes on this host's interfaces, by the kernel's own counters (/proc/net/dev): what a capture
 * without a filter would see.
 */
#ifndef FLEETDUMP_AGENT_SHIP_RATES_H
#define FLEETDUMP_AGENT_SHIP_RATES_H

#include <stddef.h>
#include <stdint.h>

#define RATES_INTERFACES 256u /* more are not looked at */
#define RATES_NAME_MAX   64u

struct rates {
    struct rates_one {
        char name[RATES_NAME_MAX];
        uint64_t packets, bytes;
        double packets_per_s, bytes_per_s;
    } one[RATES_INTERFACES];
    size_t count;
    uint64_t at_ns;
};

/* Takes a sample at now_ns (monotonic) unless the last one is younger than 100 ms; rates are those since the last
 * one. */
void rates_sample(struct rates *r, uint64_t now_ns);

/* The rate of one interface; 0 if it is not known. */
void rates_of(const struct rates *r, const char *name, uint64_t *packets_per_s, uint64_t *bytes_per_s);

#endif
