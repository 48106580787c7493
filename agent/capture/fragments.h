/*
 * fragments: which flow the first fragment of an IP packet belonged to, so that the later ones, which have no ports,
 * can be counted there. A fixed table; old entries make room for new ones. Pure.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_FRAGMENTS_H
#define FLEETDUMP_AGENT_CAPTURE_FRAGMENTS_H

#include "common/packet/packet.h"

#define FRAGMENTS_SLOTS      4096u
#define FRAGMENTS_TIMEOUT_NS (UINT64_C(30) * 1000000000) /* as Linux' ipfrag_time */

struct fragments;
struct fragments *fragments_new(uint64_t seed); /* NULL without memory */
void fragments_free(struct fragments *f);

/* Notes the flow (a number of the caller's) of a first fragment. */
void fragments_first(struct fragments *f, const struct packet *p, uint32_t interface, uint64_t time_ns, uint64_t flow);

/* The flow of a later fragment; false if its first one was not seen, or too long ago. */
bool fragments_later(const struct fragments *f, const struct packet *p, uint32_t interface, uint64_t time_ns,
                     uint64_t *flow);

#endif
