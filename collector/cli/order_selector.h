/*
 * order_selector: which of the agents that the collector knows a request means, said before it is sent.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_ORDER_SELECTOR_H
#define FLEETDUMP_COLLECTOR_CLI_ORDER_SELECTOR_H

#include "collector/cli/client.h"

/* `agents`: what QUERY_AGENTS gives. ERROR_NOT_FOUND if none of them is meant, with the names and labels that are near
 * to what was asked for; also if a name means nobody while others do, which
 * is no more than a note if it is to be started `partial`. */
MUST_CHECK int order_selector_check(const struct cli *cli, const json_t *agents, const struct capture_request *r,
                                    bool partial, struct error *e);

#endif
