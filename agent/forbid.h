/*
 * forbid: networks and ports that this host's policy lets nobody capture, and whether a packet touches them: on any
 * layer that the decoder sees (the tunnel's own packet, the packet inside, what an ICMP error quotes, whatever VLAN
 * tags stand before).
 *
 * It fails closed: a packet whose addresses (or ports, if some are forbidden) cannot be read is left out as well:
 *   IP that is cut or broken; a tunnel within a tunnel, or one whose inside is not readable (GRE, IP in IP, VXLAN,
 *   GENEVE), or which is never looked into (those of tunnel_protos and tunnel_ports in forbid.c: GTP, L2TP, Teredo,
 *   ...; at these ports alone);
 *   ICMP errors and redirects whose quoted packet is not readable;
 *   link types, ethertypes and kinds of 802.2 that may carry IP which is not looked at;
 *   extension headers that were not read to their end; later fragments of UDP and of such headers (they may be a
 *   tunnel's); all later fragments, and cut TCP, UDP, SCTP, where ports are forbidden.
 * What is encrypted (ESP, WireGuard, TLS) is judged by the addresses outside. Pure.
 */
#ifndef FLEETDUMP_AGENT_FORBID_H
#define FLEETDUMP_AGENT_FORBID_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/packet/packet.h"

#define FORBID_MAX 256u /* of each kind */

struct forbid_net {
    uint64_t addr[2], mask[2]; /* 16 bytes each, as in struct packet_net: IPv4 in the first 4 */
    uint8_t family;            /* FAMILY_IP4, FAMILY_IP6 */
    uint8_t bits;
    uint8_t reserved[6];
};

struct forbid_ports {
    uint16_t first, last;
};

/* Zeroed: nothing is forbidden. Compared as bytes. */
struct forbid {
    struct forbid_net nets[FORBID_MAX];
    struct forbid_ports ports[FORBID_MAX];
    uint32_t net_count, port_count;
};

/* "10.1.0.0/16", "2001:db8::/32", one address; "22", "5000-5999". ERROR_USAGE says what is wrong, ERROR_LIMIT. */
MUST_CHECK int forbid_add_net(struct forbid *f, const char *text, struct error *e);
MUST_CHECK int forbid_add_ports(struct forbid *f, const char *text, struct error *e);

static inline bool forbid_any(const struct forbid *f)
{
    return f->net_count || f->port_count;
}

/* Whether the packet is to be left out. */
bool forbid_packet(const struct forbid *f, const struct packet *p);

/* What is forbidden in words of pcap-filter(7): "net 10.1.0.0/16 or port 22". Nothing if nothing is. */
void forbid_filter(const struct forbid *f, struct buffer *out);

#endif
