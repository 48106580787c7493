/*
 * monitor: the daemon: the one process that keeps its privileges. It keeps the shipper running, runs what was ordered
 * (captures.h), and has streams recovered whose writer died. It parses no packets and speaks to no network; what the
 * shipper asks for it takes as fixed structs only (order.h).
 */
#ifndef FLEETDUMP_AGENT_MONITOR_H
#define FLEETDUMP_AGENT_MONITOR_H

#include "agent/config.h"

/* Runs until SIGTERM or SIGINT. Captures go on with the next one, as their limits allow. Returns the exit status.
 *
 * SIGHUP: reads `path` once more (agent_config_reload), policy and operators, too, and starts the shipper again, which
 * then has read all of its files anew. Captures that the policy lets run as they do are not touched. */
int agent_monitor(const char *path, bool optional, struct agent_config *c);

#endif
