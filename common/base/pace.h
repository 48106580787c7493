/*
 * pace: how often something may happen: some times at once, then once in a while. Time is the caller's (monotonic, ns).
 */
#ifndef FLEETDUMP_BASE_PACE_H
#define FLEETDUMP_BASE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: nothing has happened yet. */
struct pace {
    uint64_t rested_ns; /* then all of the burst is there again */
};

/* Whether it may happen now: `burst` times at once, and once more for each `each_ns` that has passed. Counts only what
 * may. */
static inline bool pace_take(struct pace *p, uint64_t now_ns, unsigned burst, uint64_t each_ns)
{
    uint64_t from = p->rested_ns > now_ns ? p->rested_ns : now_ns;
    if (from - now_ns > (burst - 1) * each_ns)
        return false;
    p->rested_ns = from + each_ns;
    return true;
}

#endif
