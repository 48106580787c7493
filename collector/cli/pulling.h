/*
 * pulling: what pull and print share: the options of a question for packets, and the account of its answer.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_PULLING_H
#define FLEETDUMP_COLLECTOR_CLI_PULLING_H

#include "collector/cli/client.h"
#include "collector/cli/output_file.h"
#include "collector/cli/question.h"

struct pulling {
    struct question u;
    bool packets_only, all_vantages, vantage_said;
    uint32_t link_type;
};

/* As it begins: any link type. */
#define PULLING_INIT(of)                                                                                               \
    {                                                                                                                  \
        .u = QUESTION_INIT(of), .link_type = UINT32_MAX                                                                \
    }

/* --packets, --vantage, --link-type, and the options of question and cli; input is the struct pulling. */
extern const struct argp pulling_argp;

/* Values of --vantage and --link-type; argp_error for what is none. */
int pulling_vantage(const char *arg, struct argp_state *state);
uint32_t pulling_link_type(const char *arg, struct argp_state *state);

MUST_CHECK int pulling_prepare(struct pulling *p, struct error *e);

/* Asks for packets, writes them to the file, and gives it its name. The answer is for pulling_conclude;
 * client_answer_free frees it in any case. */
MUST_CHECK int pulling_fetch(struct client *c, const struct message_query *q, struct output_file *file,
                             struct client_answer *answer, struct error *e);

/* Notes on what the answer holds, per agent, then what client_conclude gives. */
MUST_CHECK int pulling_conclude(const struct cli *cli, const struct client_answer *answer, const char *good,
                                struct error *e);

#endif
