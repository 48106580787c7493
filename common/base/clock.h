/*
 * clock: the two clocks, in nanoseconds. Only processes' outer layers read them; pure modules take times as arguments.
 */
#ifndef FLEETDUMP_BASE_CLOCK_H
#define FLEETDUMP_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_wall_ns(void); /* CLOCK_REALTIME, since 1970 */
uint64_t clock_mono_ns(void); /* CLOCK_MONOTONIC */

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)

#endif
