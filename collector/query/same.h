/*
 * same: packets that several streams of a vantage saw: each is given once, as the copy with the most bytes has it.
 *
 * Packets come in order of time, and are given in that order. Each is held for MERGE_SAME_NS, in which a longer copy
 * may come; then nobody can have seen it any more. Copies are alike in vantage, length on the wire, and the bytes that
 * both have; of several that are alike (a place sees a packet once: what it sees twice did pass twice) the one of the
 * same time is taken, else the oldest. A packet has the time of its first copy.
 *
 * Memory: the packets of MERGE_SAME_NS, at most SAME_BYTES_MAX; past it the oldest are given early, and copies of them
 * come twice.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_SAME_H
#define FLEETDUMP_COLLECTOR_QUERY_SAME_H

#include "collector/query/merge.h"

#define SAME_BYTES_MAX (64u << 20)

struct same;

/* Gives through ops->emit. NULL without memory. */
struct same *same_new(const struct merge_ops *ops);
void same_free(struct same *s); /* NULL is fine; what is held is not given */

/* Takes the next packet. */
MUST_CHECK int same_take(struct same *s, const struct merge_frame *f, const struct pcapng_packet *p, struct error *e);
/* Gives all that is held. */
MUST_CHECK int same_end(struct same *s, struct error *e);

uint64_t same_duplicates(const struct same *s);

#endif
