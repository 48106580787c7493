/*
 * capturer: the process of one capture: opens its interfaces, gives up all privileges, then ring -> chunk_builder ->
 * spool until a limit, a signal or the monitor ends it. One stream.
 *
 * It tells the monitor (fd, SOCK_SEQPACKET, order.h) its state at each change and once a second while packets come, and
 * takes REQUEST_FLUSH from it. A flush seals the open chunk, once all that passed before it is out of the ring; at most
 * one in CAPTURER_FLUSH_NS, shared by all who ask meanwhile. SIGTERM, and the monitor's end of the socket closed, stop
 * it: what is in the ring is taken first.
 *
 * Left out, and counted (COUNTER_FORBIDDEN): packets of networks and ports that the host's policy forbids, which the
 * kernel lets through all the same; and (COUNTER_OWN): packets of connections with the collector's address and port, in
 * both directions, of any host, also inside tunnels. Over the rate: COUNTER_POLICY. A companion is kept only if the
 * connection that it quotes, or whose fragment it is, is in the flow table; it carries the comment CAPTURER_COMPANION.
 */
#ifndef FLEETDUMP_AGENT_CAPTURER_H
#define FLEETDUMP_AGENT_CAPTURER_H

#include "agent/config.h"
#include "agent/forbid.h"
#include "agent/order.h"

#define CAPTURER_FLUSH_NS  (UINT64_C(250) * 1000000)
#define CAPTURER_COMPANION "fleetdump: belongs to a captured connection, does not match the filter itself"

/* Why the process ended: its exit status. */
enum capturer_end {
    CAPTURER_DONE = 0,          /* a limit, or it was told to: the last report says what */
    CAPTURER_FAILED = 1,        /* the last report says why; may be tried again */
    CAPTURER_REFUSED = 2,       /* the order cannot be run: filter, interface, privileges */
    CAPTURER_NO_INTERFACES = 3, /* all of its interfaces are gone */
};

/* Runs in a fresh process, as root or with CAP_NET_RAW; `interfaces` are names that were chosen by the monitor,
 * `forbid` is what this host lets nobody capture (NULL: nothing). Never returns. */
_Noreturn void capturer_run(const struct agent_config *c, const struct order *o, const struct forbid *forbid,
                            const char *const *interfaces, size_t count, int fd);

#endif
