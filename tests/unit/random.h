/*
 * random: numbers that come again with the same seed, and the small pools of addresses and ports from which packets and filters are made, so that
 * they meet.
 */
#ifndef FLEETDUMP_TESTS_RANDOM_H
#define FLEETDUMP_TESTS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};
uint64_t random_next(struct random *r);
unsigned random_below(struct random *r, unsigned n); /* 0 <= x < n */
bool random_chance(struct random *r, unsigned percent);

#define COUNT(a)   ((unsigned)(sizeof(a) / sizeof *(a)))
#define PICK(r, a) ((a)[random_below(r, COUNT(a))])

enum { RANDOM_IP4S = 9, RANDOM_IP6S = 6, RANDOM_PORTS = 6 };
extern const char *const random_ip4[RANDOM_IP4S];
extern const char *const random_ip6[RANDOM_IP6S];
extern const uint16_t random_ports[RANDOM_PORTS];

#endif
