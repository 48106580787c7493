/*
 * guesses: how often an address was wrong, so that it may not go on guessing. Fixed memory, no clock: the least recent
 * address gives its place to a new one.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_GUESSES_H
#define FLEETDUMP_COLLECTOR_SERVER_GUESSES_H

#include "common/base/clock.h"
#include "common/net/message.h"
#include <stdbool.h>

#define GUESSES_MOST      10u /* wrong ones of an address (IPv6: of a /64) in */
#define GUESSES_WINDOW_NS (60 * NS_PER_S)
#define GUESSES_ADDRESSES 512u

struct guesses {
    struct guesses_of {
        uint8_t addr[16];
        uint64_t since_ns; /* of the first in the window; 0: free */
        unsigned wrong;
    } of[GUESSES_ADDRESSES];
};

/* Whether two addresses count as one: IPv6 of the same /64 do. */
bool guesses_same(const struct net_address *a, const struct net_address *b);

bool guesses_may(const struct guesses *g, const struct net_address *from, uint64_t now_ns);
void guesses_wrong(struct guesses *g, const struct net_address *from, uint64_t now_ns);

#endif
