/*
 * filter_random: random filters.
 */
#ifndef FLEETDUMP_TESTS_FILTER_RANDOM_H
#define FLEETDUMP_TESTS_FILTER_RANDOM_H

#include "tests/unit/random.h"

/* One filter in three spellings: ours, and libpcap's for packets that the originator sent and for those that it
 * received (from X is src X or dst X). */
#define RANDOM_TEXT_MAX 7000
struct random_filter {
    char text[3][RANDOM_TEXT_MAX];
};
enum { RANDOM_OURS, RANDOM_FROM_ORIGINATOR, RANDOM_TO_ORIGINATOR };

/* `all`: also words that libpcap does not know, or means otherwise; then only `ours` is meant to be read. */
void random_filter(struct random *r, bool all, struct random_filter *f);

#endif
