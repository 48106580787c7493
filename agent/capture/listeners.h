/*
 * listeners: where servers of this host wait for clients. Of a connection that was there before us, this says which end
 * is the server, whatever its port.
 *
 * Read once, when a capture begins, while its process may still ask the kernel: later connections show their SYN. TCP
 * alone: a UDP socket that waits for packets may as well be a client's (ntpd asks from the port at which it answers).
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_LISTENERS_H
#define FLEETDUMP_AGENT_CAPTURE_LISTENERS_H

#include "common/base/error.h"
#include "common/packet/packet.h"

#define LISTENERS_MAX 65536u /* sockets, and addresses; what is more is not known */

struct listener {
    uint8_t family; /* FAMILY_IP4, FAMILY_IP6 */
    uint16_t port;
    uint8_t addr[16]; /* as in struct flow_key; all 0: any address of the host */
    bool only_ip6;    /* any address means those of IPv6 */
};

struct listeners;

/* From the lists of sockets and of the host's addresses (16 bytes each, their families beside them); copied.
 * ERROR_MEMORY. */
MUST_CHECK int listeners_new(const struct listener *sockets, size_t count, const uint8_t (*addresses)[16],
                             const uint8_t *families, size_t address_count, struct listeners **out, struct error *e);
void listeners_free(struct listeners *l); /* NULL is fine */

/* Those of this network namespace, by sock_diag(7). ERROR_SYSTEM, ERROR_MEMORY. */
MUST_CHECK int listeners_read(struct listeners **out, struct error *e);

/* Whether a socket of the host waits there; false for NULL. */
bool listeners_has(const struct listeners *l, uint8_t family, const uint8_t addr[16], uint16_t port);

#endif
