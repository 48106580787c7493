/*
 * recent: packets that were seen a short time ago. When two captures run on one interface, each of them brings its copy
 * of a packet, perhaps in different answers.
 *
 * Copies are alike in interface, time (ns), length and first bytes. Of n alike ones in one answer and m in an earlier
 * one, the greater number is how many there were on the wire.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_RECENT_H
#define FLEETDUMP_COLLECTOR_CLI_RECENT_H

#include "common/chunk/pcapng.h"
#include <stdbool.h>

#define RECENT_PACKETS 262144u /* are remembered at least, if there were so many; at most twice as many */
#define RECENT_BYTES   64u     /* of each are compared */

struct recent;

struct recent *recent_new(void); /* NULL without memory */
void recent_free(struct recent *r);

/* Packets that come from now on are of another answer. */
void recent_next_answer(struct recent *r);

/* Whether the packet is new; it is remembered. Without memory all are. */
bool recent_is_new(struct recent *r, const struct pcapng_packet *p);

#endif
