/*
 * shipper: the process that ships the spool: a child of ours that ends with us.
 */
#ifndef FLEETDUMP_AGENT_SHIPPER_H
#define FLEETDUMP_AGENT_SHIPPER_H

#include "agent/config.h"
#include "common/chunk/head.h"
#include <stdbool.h>
#include <sys/types.h>

struct shipper {
    const struct agent_config *config;
    pid_t pid; /* of our own; 0 if there is none */
    int fd;    /* of our own: requests come and reports go there (order.h); else -1 */
};

/* If `start` is set, starts a process that ships this spool as long as nobody else does: it takes over when another
 * shipper ends. Call it before threads are started. */
MUST_CHECK int shipper_start(struct shipper *s, const struct agent_config *c, bool start, struct error *e);

/* Starts ours. `captures`: a monitor is behind `fd`, and it ends with EXIT_FAILED if somebody else ships; else it waits
 * until nobody does, and what the collector orders is refused. */
MUST_CHECK int shipper_spawn(struct shipper *s, const struct agent_config *c, bool captures, struct error *e);

/* Ours has ended, and was waited for. */
void shipper_forget(struct shipper *s);

/* Whether anybody ships, or ours waits for its turn. Takes note if ours has ended. */
bool shipper_runs(struct shipper *s);

/* To ours, if there is one; it is not waited for. */
void shipper_signal(const struct shipper *s, int signo);

/* Ends ours, if there is one, and waits for it; within some seconds, or it is killed. */
void shipper_stop(struct shipper *s);

#endif
