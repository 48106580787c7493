/*
 * places: where the packets of an answer were captured. A place is one interface of one stream; a vantage is an agent's
 * interface, which several streams (captures, restarts) may share, and which is one interface of the exported file.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_PLACES_H
#define FLEETDUMP_COLLECTOR_QUERY_PLACES_H

#include "common/chunk/head.h"

struct vantage {
    char *agent, *interface, *description, *filter, *capture;
    uint16_t link_type;
    uint32_t snaplen;     /* greatest of its streams */
    uint32_t snaplen_min; /* least: what two streams have of a packet alike */
    uint8_t mac[6];
    uint8_t has_mac;
    uint64_t speed_bps;
    uint32_t streams;           /* how many streams captured here */
    struct counters counters;   /* over the chunks inside the question */
    uint64_t first_ns, last_ns; /* of their packets; first > last if none */
};

/* Whether it sees what the agent's other interfaces see: Linux's `any`. */
bool vantage_is_any(const struct vantage *v);

struct place {
    uint8_t epoch[EPOCH_SIZE];
    uint32_t vantage;
    bool keeps_packets; /* its capture is not one of flows only */
};

struct places {
    struct place *place;
    uint32_t place_count;
    struct vantage *vantage;
    uint32_t vantage_count;
};

#define PLACES_MAX 65536u

/* The place of interface i of this chunk, made if new; negative: ERROR_MEMORY, ERROR_LIMIT. */
MUST_CHECK int64_t places_of(struct places *p, const struct chunk_head *h, uint32_t i, struct error *e);
void places_free(struct places *p);

#endif
