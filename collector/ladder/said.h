/*
 * said: what a packet's payload says, in words, to stand beside it: the request or status line of HTTP/1, the question
 * and first answers of DNS, the hellos and alerts of TLS, the type of ICMP and ARP. Pure; nothing in a packet is
 * trusted.
 *
 * TCP is followed in each direction as far as it takes to find where messages of TLS and DNS begin: a message is told
 * beside the packet that brought its last byte, data that comes again is not told twice. Where bytes are missing (not
 * captured, or cut) reading goes on with the next packet that begins with something known. HTTP is told where a packet
 * begins with it. DNS is known by its port (53, 5353, 5355), HTTP and TLS by what they say, on any port.
 */
#ifndef FLEETDUMP_COLLECTOR_LADDER_SAID_H
#define FLEETDUMP_COLLECTOR_LADDER_SAID_H

#include "common/base/error.h"
#include "common/packet/packet.h"

/* Longest text about one packet, its 0 byte included. What is longer ends in "...". */
#define SAID_MAX 512u

enum said_protocol { SAID_NOTHING, SAID_HTTP, SAID_TLS, SAID_DNS, SAID_ICMP, SAID_ARP };
const char *said_protocol_name(enum said_protocol protocol); /* "http", ...; NULL for SAID_NOTHING */

struct words {
    char text[SAID_MAX]; /* printable ASCII; what is none in a packet comes as \xNN */
    size_t len;
    enum said_protocol protocol;
};

struct said;

MUST_CHECK int said_new(struct said **out, struct error *e);
void said_free(struct said *s);

/* What the packet says; empty if nothing that is known. `from` (0 or 1) names its sender. Fails for want of memory
 * alone. */
MUST_CHECK int said_packet(struct said *s, unsigned from, const struct packet *p, struct words *out, struct error *e);

#endif
