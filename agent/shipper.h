/*
 * shipper: the process that ships the spool. There is one per spool, whoever started it.
 */
#ifndef FLEETDUMP_AGENT_SHIPPER_H
#define FLEETDUMP_AGENT_SHIPPER_H

#include "agent/config.h"
#include <stdbool.h>
#include <sys/types.h>

struct shipper {
    const char *spool; /* path */
    pid_t pid;         /* of a process of ours; 0 if somebody else ships, or nobody */
};

/* Sees whether a shipper runs on the spool, and starts one in a process of its own if not (and `start`). It ends with us. Call it
 * before threads are started. */
MUST_CHECK int shipper_start(struct shipper *s, const struct agent_config *c, bool start, struct error *e);

/* Whether anybody ships. */
bool shipper_runs(struct shipper *s);

/* Ends the process that shipper_start started, if it did. */
void shipper_stop(struct shipper *s);

#endif
