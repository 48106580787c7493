/*
 * which: which connections a filter means: flows of the collector, put together where several captures and
 * vantages saw the same one.
 *
 * Flows are of one connection if their ends and protocol are equal and their times, stretched by WHICH_SLACK_NS
 * as clocks differ, overlap.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_WHICH_H
#define FLEETDUMP_COLLECTOR_CLI_WHICH_H

#include "collector/cli/client.h"
#include "common/rows/flow_row.h"

#define WHICH_FLOWS_MAX 2000u /* asked for; where there are more, which connection is meant is not clear anyway */
#define WHICH_SLACK_NS  (5 * UINT64_C(1000000000))

struct which_flow {
    struct flow_row row;     /* its texts are agent and interface below, or none */
    char *agent, *interface; /* owned; "" if not known */
    uint32_t connection;     /* its number, from 0 in order of time */
};

struct which {
    struct which_flow *flows;   /* in order of time */
    uint32_t flow_count, count; /* flows, connections */
    bool more;                  /* there are flows that were not asked for */
};

/* Asks for the flows. The answer is for client_conclude; client_answer_free frees it in any case. */
MUST_CHECK int which_ask(struct client *c, const struct message_query *q, struct which *out,
                         struct client_answer *answer, struct error *e);
void which_free(struct which *c);

/* The first flow of a connection. */
const struct which_flow *which_first(const struct which *c, uint32_t connection);

/* Prints them, a line each, in cli->format. */
MUST_CHECK int which_list(const struct cli *cli, const struct which *c, struct error *e);

#endif
