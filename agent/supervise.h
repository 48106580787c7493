/*
 * supervise: the daemon: keeps the shipper running and has streams recovered whose writer died. Parses no packets and speaks to
 * nobody.
 */
#ifndef FLEETDUMP_AGENT_SUPERVISE_H
#define FLEETDUMP_AGENT_SUPERVISE_H

#include "agent/config.h"

/* Runs until SIGTERM or SIGINT. Returns the exit status. */
int agent_supervise(const struct agent_config *c);

#endif
