/*
 * refusal: why the collector did not let this agent in, or sent it away, when it was last asked: the shipper leaves it
 * in the spool, doctor reads it.
 *
 *   SPOOL/refused-control, SPOOL/refused-data   "1 <when, ns> <code> <text>\n" of that connection (uplink.h); gone once
 *                                               it was let in
 *
 *   SPOOL/clock                                 "1 <when, ns> <this clock minus the collector's, ns>\n": how far they
 *                                               were apart then
 *
 * All are advice for people: what cannot be written is left out. The file is the shipper's, who talks to the network,
 * and its text may be what a collector said: reading it follows no links, waits for nothing, takes at most
 * REFUSAL_BYTES and makes its text printable.
 */
#ifndef FLEETDUMP_AGENT_SHIP_REFUSAL_H
#define FLEETDUMP_AGENT_SHIP_REFUSAL_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stdint.h>

#define REFUSAL_BYTES 1024u

struct refusal {
    uint64_t when_ns; /* this host's wall clock */
    int code;         /* enum error_code */
    char text[ERROR_TEXT_MAX];
};

/* Connections that have a file; the last is NULL. */
extern const char *const refusal_links[];

/* `spool_fd`: the folder. */
void refusal_note(int spool_fd, const char *link, int code, const char *text);
void refusal_forget(int spool_fd, const char *link);

/* False if there is none, or a file that is none of ours. */
bool refusal_read(int spool_fd, const char *link, struct refusal *out);

/* Likewise of clocks. */
void clock_note(int spool_fd, int64_t offset_ns);
bool clock_noted(int spool_fd, int64_t *offset_ns);

#endif
