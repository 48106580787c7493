/*
 * filter_random: random packets and random filters, from small pools of addresses and ports so that they meet.
 */
#ifndef FLEETDUMP_TESTS_FILTER_RANDOM_H
#define FLEETDUMP_TESTS_FILTER_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};
uint64_t random_next(struct random *r);
unsigned random_below(struct random *r, unsigned n); /* 0 <= x < n */
bool random_chance(struct random *r, unsigned percent);

#define RANDOM_PACKET_MAX 512
struct random_packet {
    int link_type;
    uint32_t captured, wire;
    uint8_t data[RANDOM_PACKET_MAX];
};

/* `plain`: of those that libpcap sees as we do more often, and no cut or broken ones. */
void random_packet(struct random *r, bool plain, struct random_packet *p);
extern const int random_link_types[];
extern const unsigned random_link_type_count;

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
