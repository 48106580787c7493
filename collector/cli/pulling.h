/*
 * pulling: what pull and print share: the options of a question for packets, and the account of its answer.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_PULLING_H
#define FLEETDUMP_COLLECTOR_CLI_PULLING_H

#include "collector/cli/client.h"
#include "collector/cli/question.h"

struct pulling {
    struct question u;
    bool packets_only, all_vantages;
    uint32_t link_type; /* UINT32_MAX: any one */
};

/* --packets, --vantage, --link-type, with question_argp as a child; input is the struct pulling, whose u.cli must be set and link_type UINT32_MAX. */
extern const struct argp pulling_argp;

MUST_CHECK int pulling_prepare(struct pulling *p, struct error *e);

/* Says on stderr what the answer holds, per agent, and what it lacks. Returns 0, or ERROR_INCOMPLETE, or the answer's error. */
MUST_CHECK int pulling_account(const struct cli *cli, const struct client_answer *answer, struct error *e);

#endif
