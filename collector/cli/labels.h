/*
 * labels: the interface of each packet in a pcapng file that passes by in pieces, in order.
 *
 * The file is the collector's: one section, little-endian. It is not trusted.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_LABELS_H
#define FLEETDUMP_COLLECTOR_CLI_LABELS_H

#include "common/base/error.h"
#include <stddef.h>
#include <stdint.h>

struct labels;

MUST_CHECK int labels_new(struct labels **out, struct error *e);
void labels_free(struct labels *l);

/* Takes the next bytes of the file, cut anywhere. Errors as of pcapng_reader_next. */
MUST_CHECK int labels_feed(struct labels *l, const void *data, size_t len, struct error *e);

/* How many packets stood in what was fed. */
uint64_t labels_packets(const struct labels *l);

/* The name of the interface ("web-1/eth0") of the next packet, printable and owned by l; "?" behind the last one. */
const char *labels_next(struct labels *l);

#endif
