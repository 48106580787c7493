/*
 * fresh: before a question about the present is answered, the agents that it concerns are asked to hand over what they have (FLUSH), and have so
 * long as the question allows (message_query.fresh_ms, at most FRESH_MOST_MS). Who does not answer in time is told in the answer: "reaches until T".
 *
 * Asked are the connected agents that fit the question's `agents` and run a capture that fits its `capture`, if its time reaches until now. On the
 * loop's thread. Questions that wait at the same time share one FLUSH per agent.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_FRESH_H
#define FLEETDUMP_COLLECTOR_SERVER_FRESH_H

#include "collector/server/session.h"

#define FRESH_MOST_MS 10000u

struct fresh;
struct fresh *fresh_new(struct server *server); /* NULL without memory */
void fresh_free(struct fresh *f);

/* Calls `ready` (never from inside this call) when all have answered or the time is over. Returns a handle for fresh_cancel, or NULL if there is
 * nobody to wait for: then `ready` is not called. */
struct fresh_wait;
struct fresh_wait *fresh_ask(struct fresh *f, const struct message_query *q, void (*ready)(void *context),
                             void *context);
void fresh_cancel(struct fresh_wait *w);

void fresh_flushed(struct fresh *f, struct session *agent, const struct message_flushed *m);
void fresh_agent_down(struct fresh *f, struct session *agent);

#endif
