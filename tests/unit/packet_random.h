/*
 * packet_random: random packets, with all that may stand around addresses and ports: tags, tunnels, fragments, extension headers.
 */
#ifndef FLEETDUMP_TESTS_PACKET_RANDOM_H
#define FLEETDUMP_TESTS_PACKET_RANDOM_H

#include "tests/unit/random.h"

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

#endif
