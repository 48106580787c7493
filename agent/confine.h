/*
 * confine: the sandbox of each of the agent's processes (common/base/sandbox.h), with the folders that this
 * configuration names. Called once what needs more is done, and before the first thread.
 */
#ifndef FLEETDUMP_AGENT_CONFINE_H
#define FLEETDUMP_AGENT_CONFINE_H

#include "agent/config.h"
#include "common/base/sandbox.h"
#include "common/chunk/head.h"
#include <sys/types.h>

/* Keeps the capabilities that its children need at their start (privileges.h). */
MUST_CHECK int confine_monitor(const struct agent_config *c, struct error *e);

/* Before the filter is compiled, which wants CAP_NET_RAW; all other capabilities go. */
MUST_CHECK int confine_check(struct error *e);

/* `epoch`: its stream, which is there already; `monitor_fd`: whom it may talk to; `sealed_from`: its packet sockets
 * have that number or a higher one, and none of them is written to. */
MUST_CHECK int confine_capturer(const struct agent_config *c, const uint8_t epoch[EPOCH_SIZE], int monitor_fd,
                                int sealed_from, struct error *e);

/* `kind`: SANDBOX_RECOVERY, SANDBOX_FINDER. */
MUST_CHECK int confine_recovery(const struct agent_config *c, enum sandbox_kind kind, struct error *e);

MUST_CHECK int confine_shipper(const struct agent_config *c, struct error *e);

/* Of --read: the files that it was given, the folder that it writes into if not the spool, and the shipper that it
 * started (0: none). */
MUST_CHECK int confine_read(const struct agent_config *c, char *const *files, size_t count, const char *out,
                            pid_t shipper, struct error *e);

#endif
