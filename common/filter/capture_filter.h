/*
 * capture_filter: a capture's own filter, which has the kernel's meaning: plain pcap-filter(7), compiled by libpcap
 * for a link type.
 */
#ifndef FLEETDUMP_FILTER_CAPTURE_FILTER_H
#define FLEETDUMP_FILTER_CAPTURE_FILTER_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stdint.h>

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
