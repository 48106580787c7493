/*
 * recovery: ends streams whose writers died, each in a process of its own (agent/capture/recover.h), one after the
 * other. A process that dies of what it reads is followed by one that gives up the stream's last packets: one bad file
 * costs itself. Which streams those are is found by a process of its own, too (the finder): all that reads files of
 * capturers has given up its privileges before.
 */
#ifndef FLEETDUMP_AGENT_RECOVERY_H
#define FLEETDUMP_AGENT_RECOVERY_H

#include "agent/config.h"
#include "common/chunk/head.h"
#include <stdbool.h>
#include <sys/types.h>

/* Recovers all streams in the spool whose writer died, and waits for it. What cannot be recovered is logged and
 * stays. */
MUST_CHECK int recovery_all(const struct agent_config *c, struct error *e);

/* Ends one stream that the caller itself wrote and has closed, in this process: for those that may not fork (--read,
 * confined). */
MUST_CHECK int recovery_own(const struct agent_config *c, const uint8_t epoch[EPOCH_SIZE], struct error *e);

/* Whether the spool can be used at all. */
MUST_CHECK int recovery_check(const struct agent_config *c, struct error *e);

/* The same beside something else: one process at a time that recovers all there is: at once, when woken, once a minute,
 * and again after a growing pause where something could not be ended. For a loop that reaps children. Zeroed but for
 * `config` at the start. */
struct recovery_process {
    const struct agent_config *config;
    pid_t pid;         /* 0: none runs */
    uint64_t next_ns;  /* when to start the next one; 0: at once */
    uint64_t pause_ns; /* behind one that left something */
};

/* There is something to recover. */
void recovery_wake(struct recovery_process *r);

/* Starts the process if it is time. Returns when to be called again at the latest (monotonic; UINT64_MAX: when it was
 * reaped). */
uint64_t recovery_step(struct recovery_process *r);

/* A child has ended: false if it is another's. */
bool recovery_reap(struct recovery_process *r, pid_t pid, int status);

#endif
