/*
 * capture_filter: a capture's own filter, which has the kernel's meaning: plain pcap-filter(7), compiled by libpcap
 * for a link type.
 */
#ifndef FLEETDUMP_FILTER_CAPTURE_FILTER_H
#define FLEETDUMP_FILTER_CAPTURE_FILTER_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include <stdbool.h>
#include <stdint.h>

struct filter_names;

/* The names of agents and hosts in text, as people write a capture's filter: as filter_each_name, but what only flows
 * know (from, state, bytes > 1M, ...) is refused. */
MUST_CHECK int capture_filter_each_name(const char *text, void (*each)(void *context, const char *name), void *context,
                                        struct error *e);

/* Appends the text to `out` with addresses in place of names: 'host web-1' becomes 'host (10.0.0.5 or fd00::5)', 'ip
 * host web-1' becomes 'ip host 10.0.0.5'. Errors as of filter_compile; ERROR_NOT_FOUND if none of a name's addresses
 * fits. */
MUST_CHECK int capture_filter_expand(const char *text, const struct filter_names *names, struct buffer *out,
                                     struct error *e);

/* Whether libpcap compiles the text for some link type. ERROR_USAGE with its words. */
MUST_CHECK int capture_filter_compiles(const char *text, struct error *e);

struct capture_filter;

/* Compiles for LINKTYPE_ value and snaplen. Host names are not resolved (an error says so). ERROR_USAGE with
 * libpcap's words. */
MUST_CHECK int capture_filter_new(const char *text, int link_type, uint32_t snaplen, struct capture_filter **out,
                                  struct error *e);
/* Whether the text is a filter that libpcap may be given: not one that would have it look up names. ERROR_USAGE. */
MUST_CHECK int capture_filter_check(const char *text, struct error *e);

void capture_filter_free(struct capture_filter *f);

bool capture_filter_match(const struct capture_filter *f, const uint8_t *data, uint32_t captured, uint32_t wire);

#endif
