/*
 * originator: which end of a flow is the client, judged by its first packet.
 *
 * In this order: who sent a SYN (or is answered by a SYN-ACK, or asks by ICMP); at whose peer's end a socket of this
 * host listens, and at his own none; whose peer's port is a well-known service and his own is not; whose peer's port is
 * the lower one, where that says something: in midstream TCP, else only if the lower is a privileged port (below 1024)
 * and the other is not; who was seen first. Nobody answers from a broadcast or multicast address, so its peer is the
 * originator.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_ORIGINATOR_H
#define FLEETDUMP_AGENT_CAPTURE_ORIGINATOR_H

#include "agent/capture/listeners.h"
#include "common/packet/packet.h"
#include "common/rows/flow_row.h"

/* Returns the originator's endpoint (0 or 1); `sender` is the endpoint that sent p, which has this key. `listeners` may
 * be NULL. */
unsigned originator_choose(const struct listeners *listeners, const struct packet *p, const struct flow_key *key,
                           unsigned sender, enum originator_by *by);

/* Whether servers listen there: the table of well-known ports. */
bool originator_known_port(uint8_t proto, uint16_t port);

#endif
