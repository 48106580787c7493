/*
 * follow: packets as they come: the same question for packets again and again, each answered with what came since the
 * last one, made into one pcapng file that goes on.
 *
 * Within an answer packets are in order of time; what an agent sent late stands in a later one. Each packet that the
 * collector gets comes once.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_FOLLOW_H
#define FLEETDUMP_COLLECTOR_CLI_FOLLOW_H

#include "collector/cli/client.h"
#include "collector/cli/joined.h"

#define FOLLOW_EVERY_MS 1000u /* from one question to the next: agents are asked for what they have no more often */

struct follow;

/* Asks `q` (QUERY_PULL, with all vantages; what it points to must live as long) on a connection of its own. The file's
 * header is written at once. */
MUST_CHECK int follow_new(const struct cli *cli, const struct message_query *q, joined_write_fn *write, void *context,
                          struct follow **out, struct error *e);
void follow_free(struct follow *f); /* NULL is fine */

/* Milliseconds until the next question is due. */
unsigned follow_wait_ms(const struct follow *f);

/* Asks, and writes what came. A collector that does not answer is no error but a note, once: it is asked again. Nor is
 * a signal (interrupt.h). Errors are those of `write`, and what the collector says against the question. */
MUST_CHECK int follow_ask(struct follow *f, struct error *e);

uint64_t follow_packets(const struct follow *f); /* written */
uint64_t follow_bytes(const struct follow *f);

/* What was lost of that: ERROR_INCOMPLETE names it agent by agent; 0 if nothing is known to be lost. */
MUST_CHECK int follow_losses(const struct follow *f, struct error *e);

#endif
