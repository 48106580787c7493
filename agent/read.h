/* read: fleetdump-agent --read. */
#ifndef FLEETDUMP_AGENT_READ_H
#define FLEETDUMP_AGENT_READ_H

#include "agent/config.h"
#include "agent/options.h"

/* Takes in the files, says what came of it on standard error, and waits until it is shipped. Returns the exit
 * status. */
int agent_read(const struct agent_options *o, const struct agent_config *c);

#endif
