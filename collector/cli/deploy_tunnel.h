/*
 * deploy_tunnel: agents whose way to the collector goes through an ssh session of this machine (--via-ssh). Which
 * process and which port of the host stands in the user's folder, in tunnel-NAME.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_DEPLOY_TUNNEL_H
#define FLEETDUMP_COLLECTOR_CLI_DEPLOY_TUNNEL_H

#include "collector/cli/deploy_ssh.h"

struct tunnel {
    pid_t pid;
    uint16_t port; /* on the host's loopback */
};

/* The tunnel that there is, or a new one, on the port that it had if it can be. */
MUST_CHECK int tunnel_keep(const struct ssh *s, const char *name, const char *collector, struct tunnel *t,
                           struct error *e);

/* Ends it; true if there was one. */
bool tunnel_end(const char *name);

#endif
