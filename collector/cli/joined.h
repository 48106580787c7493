/*
 * joined: pcapng files of the collector, one after the other, made into one file that goes on: one section, each
 * interface described once, before its first packet, and no packet twice.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_JOINED_H
#define FLEETDUMP_COLLECTOR_CLI_JOINED_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct joined;
/* Gets the file's bytes; a negative return is given back by the function that caused it. */
typedef int joined_write_fn(void *context, const void *data, size_t len, struct error *e);

/* Writes the section's header at once: readers of a pipe wait for it. The comment says what the file is. */
MUST_CHECK int joined_new(const char *comment, joined_write_fn *write, void *context, struct joined **out,
                          struct error *e);
void joined_free(struct joined *j); /* NULL is fine */

/* Takes the next bytes of a file. ERROR_USAGE if its packets are of another link type than those before, which tcpdump
 * does not read from one file. */
MUST_CHECK int joined_feed(struct joined *j, const void *data, size_t len, struct error *e);

/* A file has ended: writes what is held back, and takes another one from now on. */
MUST_CHECK int joined_next(struct joined *j, struct error *e);

uint64_t joined_packets(const struct joined *j); /* written */
uint64_t joined_bytes(const struct joined *j);   /* theirs, on the wire */

#endif
