/*
 * order_end: what is left to do when a capture is over: to wait until the collector has what was captured, and to say
 * what came of it.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_ORDER_END_H
#define FLEETDUMP_COLLECTOR_CLI_ORDER_END_H

#include "collector/cli/order.h"

#define ORDER_SETTLE_MS 10000u

/* Whether all that agents say they captured has arrived (or was given up). */
MUST_CHECK int order_arrived(struct client *c, json_t *order, bool *arrived, struct error *e);

/* Waits for that, at most ORDER_SETTLE_MS or until a signal comes, and not for agents that are away; says that it
 * waits. */
MUST_CHECK int order_settle(const struct cli *cli, struct client *c, json_t *order, bool *arrived, struct error *e);

/* On stderr: how many agents, packets, bytes, drops; and how many packets of fleetdump's own were left out. */
void order_say_totals(const struct cli *cli, const json_t *order);

/* The commands that come next, on stderr. */
void order_say_next(const struct cli *cli, const json_t *order);

/* 0, or ERROR_INCOMPLETE with what is missing, agent by agent. */
MUST_CHECK int order_verdict(const json_t *order, bool arrived, struct error *e);

#endif
