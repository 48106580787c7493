/*
 * covered: connections that several captures on one interface saw, like a standing capture of flows and one of packets.
 * Each counts once: as that capture has it that has all that the others have. An agent's `any` sees what its interfaces
 * see: a connection that one of these has as a whole counts there.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_COVERED_H
#define FLEETDUMP_COLLECTOR_QUERY_COVERED_H

#include "collector/query/plan.h"

/* Captures on one interface stamp a packet alike; where chunks were cut and a question's time begins and ends
 * differs. */
#define COVERED_SLACK_NS UINT64_C(1000000000)

/* Unselects each flow of which another capture on the same interface (of `any`: on an interface of the same agent) has
 * as many packets of the same time. With `packets` only flows whose capture keeps no packets are unselected, and only
 * for the sake of one that does; without, one of several is left. */
MUST_CHECK int covered_unselect(struct plan *p, bool packets, struct error *e);

/* Whether anything may have been seen by several captures: most questions are about places where one ran. */
bool covered_may(const struct plan *p);

/* Whether `by` has all the time of the flow that the question asks for. */
bool covered_in_time(const struct plan *p, const struct flow_row *flow, const struct flow_row *by, uint64_t slack_ns);

#endif
