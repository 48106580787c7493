/*
 * filter_sample: packets of all the kinds that filters tell apart, made by hand, each called by a letter.
 */
#ifndef FLEETDUMP_TESTS_FILTER_SAMPLE_H
#define FLEETDUMP_TESTS_FILTER_SAMPLE_H

#include "common/packet/packet.h"
#include "common/rows/flow_row.h"

#define SAMPLE_DATA_MAX 256

struct sample {
    char letter;
    uint8_t data[SAMPLE_DATA_MAX];
    uint32_t len;
    struct packet packet;
    struct flow_row row; /* of the flow that this packet alone makes; its sender is the originator */
};

#define SAMPLES 18
/* Static memory, made at the first call. */
const struct sample *samples(void);
const struct sample *sample(char letter);

/* A row with the key columns and counters known, of a flow with the sample's key. */
struct flow_row sample_row(const struct packet *p);

#endif
