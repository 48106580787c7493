/*
 * names: names in a filter, resolved once, by the command line: agents first, then DNS; what was taken is said on
 * stderr.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_NAMES_H
#define FLEETDUMP_COLLECTOR_CLI_NAMES_H

#include "collector/cli/cli.h"
#include "common/filter/filter.h"
#include "common/net/message.h"
#include <jansson.h>

/* All names of the filter with their addresses. Asks the collector only if there are names. ERROR_NOT_FOUND names the
 * one that is neither agent nor host. */
MUST_CHECK int names_resolve(const struct cli *cli, const char *filter, struct net_name **out, uint32_t *count,
                             struct error *e);
/* The same for a capture's filter, which gets addresses in place of names (of agents, those that they have now): the
 * text in *out is malloc'ed, plain pcap-filter(7). `agents`: what QUERY_AGENTS gives. */
MUST_CHECK int names_expand(const struct cli *cli, const json_t *agents, const char *filter, char **out,
                            struct error *e);

/* Whether it is a good filter of flows, whatever its names stand for, with words that only connections know. */
bool names_in_connection_filter(const char *filter);

void names_free(struct net_name *names, uint32_t count);

/* The same for filter_compile; addresses are copied, names shared. */
MUST_CHECK int names_for_filter(const struct net_name *names, uint32_t count, struct filter_name **out,
                                struct error *e);
void names_for_filter_free(struct filter_name *names, uint32_t count);

#endif
