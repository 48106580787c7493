/*
 * client: one question to the collector, and its answer.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_CLIENT_H
#define FLEETDUMP_COLLECTOR_CLI_CLIENT_H

#include "collector/cli/command.h"
#include "common/base/buffer.h"
#include "common/net/message.h"

#define CLIENT_CONNECT_MS 5000u

struct client_answer {
    int code; /* of the answer: 0, ERROR_INCOMPLETE, or what failed there */
    char text[ERROR_TEXT_MAX];
    char *manifest; /* malloc'ed, or NULL */
    uint64_t bytes; /* of results */
};

/* Asks, and gives each piece of the answer to `take` (a negative return stops the question). Returns 0 if an answer came to its end (its own code is in *answer), or why
 * none did: ERROR_UNREACHABLE says which address and what to check; ERROR_CANCELLED with e->sys = SIGINT after Ctrl-C. `label` is shown as progress on stderr after a
 * second, if that is a terminal (NULL: never). */
MUST_CHECK int client_ask(const struct cli *cli, const struct message_query *q, const char *label,
                          int (*take)(void *context, const struct message_result *r, struct error *e), void *context,
                          struct client_answer *answer, struct error *e);

/* For questions whose answer is one document: all of it, terminated by a 0 byte. An answer with a code is an error. */
MUST_CHECK int client_fetch(const struct cli *cli, const struct message_query *q, struct buffer *out, struct error *e);

#endif
