/*
 * client: questions and commands to the collector, one after the other on one connection.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_CLIENT_H
#define FLEETDUMP_COLLECTOR_CLI_CLIENT_H

#include "collector/cli/cli.h"
#include "common/base/buffer.h"
#include "common/net/message.h"
#include <jansson.h>

#define CLIENT_CONNECT_MS   5000u
#define CLIENT_WELCOME_MS   5000u /* after connecting */
#define CLIENT_DOCUMENT_MAX (256u << 20)

struct client_answer {
    int code; /* of the answer: 0, ERROR_INCOMPLETE, or what failed there */
    char text[ERROR_TEXT_MAX];
    json_t *manifest; /* owned; NULL if there is none */
    uint64_t bytes;   /* of results */
};

/* Takes a piece of the answer; a negative return stops the question. */
typedef int client_take_fn(void *context, const struct message_result *r, struct error *e);

struct client;

/* Connects, and waits until the collector welcomes us. ERROR_UNREACHABLE says which address and what to check. */
MUST_CHECK int client_open(const struct cli *cli, struct client **out, struct error *e);
void client_close(struct client *c); /* NULL is fine */

/* The collector's wall clock minus ours, as its welcome told. */
int64_t client_clock_offset_ns(const struct client *c);

/* Whether an answer so far told that this user is bound, so that there may be more than he sees. */
bool client_is_bound(void);

/* Asks, and gives each piece of the answer to `take`. Returns 0 if the answer came to its end (its own code is in
 * *answer, which client_answer_free frees in any case), or why it did not; then the connection is closed, and all that
 * is left is client_close. With interrupt_watch, a signal ends the wait with ERROR_CANCELLED and an empty text. `label`
 * is shown with what came so far on stderr after a second, if that is a terminal (NULL: never). */
MUST_CHECK int client_query(struct client *c, const struct message_query *q, const char *label, client_take_fn *take,
                            void *context, struct client_answer *answer, struct error *e);

/* The same with a command: its answer is an answer's end alone. */
MUST_CHECK int client_command(struct client *c, const struct message_command *m, struct client_answer *answer,
                              struct error *e);

/* An administrator's request; `wants` (an object; NULL: nothing) is taken over. *answer is owned by the caller; what
 * the collector did not do is the error that it says. */
MUST_CHECK int client_admin(const struct cli *cli, enum admin_kind kind, json_t *wants, json_t **answer,
                            struct error *e);

/* For questions whose answer is one JSON document of at most CLIENT_DOCUMENT_MAX bytes; owned by the caller. */
MUST_CHECK int client_fetch(struct client *c, const struct message_query *q, json_t **document, struct error *e);

/* client_query and client_fetch on a connection of their own. */
MUST_CHECK int client_ask(const struct cli *cli, const struct message_query *q, const char *label, client_take_fn *take,
                          void *context, struct client_answer *answer, struct error *e);
MUST_CHECK int client_document(const struct cli *cli, const struct message_query *q, json_t **document,
                               struct error *e);

void client_answer_free(struct client_answer *a);

/* What the answer's code comes to, after a question that was answered: 0 (with a note, if the answer has one to
 * make), ERROR_INCOMPLETE with what is missing, or the collector's error. `good` begins the sentence of an incomplete
 * one: "the file is". */
MUST_CHECK int client_conclude(const struct cli *cli, const struct client_answer *a, const char *good, struct error *e);

#endif
