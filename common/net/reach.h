/*
 * reach: under which address others reach what listens here.
 */
#ifndef FLEETDUMP_NET_REACH_H
#define FLEETDUMP_NET_REACH_H

#include "common/base/error.h"
#include <stddef.h>
#include <stdint.h>

/* "host:port": `said`, if it is not NULL or "" (NET_PORT_DEFAULT if it has no port); else where `listen` listens, with
 * `port` if that says 0; if that is all addresses, the one that this host uses to reach others, else its name.
 * ERROR_LIMIT if it is longer than `size`. */
MUST_CHECK int net_reach(const char *said, const char *listen, uint16_t port, char *out, size_t size, struct error *e);

#endif
