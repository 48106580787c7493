/* What the readers of single protocols share. Private to said. */
#ifndef FLEETDUMP_COLLECTOR_LADDER_SAID_INSIDE_H
#define FLEETDUMP_COLLECTOR_LADDER_SAID_INSIDE_H

#include "collector/ladder/said.h"
#include "common/app/names.h"
#include "common/app/tls.h"
#include "common/base/bytes.h"

/* Adds text of ours. */
void words_add(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds text of the packet's, made printable. */
void words_quote(struct words *w, const void *data, size_t len);
/* Ends one saying, so that the next is separated from it. */
void words_next(struct words *w, enum said_protocol protocol);

/* http: a message's first line, if data begins with one; false if it does not. */
bool said_http(const uint8_t *data, size_t len, struct words *w);

/* dns: a message without the length that TCP puts before it. */
void said_dns(const uint8_t *data, size_t len, struct words *w);

/* icmp: ICMP and ICMPv6, ARP. */
void said_icmp(const struct packet *p, struct words *w);
void said_arp(const struct packet *p, struct words *w);

/* tls: one direction of a connection. */
struct said_tls {
    bool encrypted; /* handshake messages but hellos cannot be read any more */
    uint32_t left;  /* of a handshake message that goes on in the next record */
};
/* Whether there is something to read in a record of this type. */
bool said_tls_readable(uint8_t type);
/* Reads a record, as much of it as there is. */
void said_tls(struct said_tls *t, const uint8_t *record, size_t len, struct words *w);

#endif
