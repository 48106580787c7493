/*
 * fresh: before a question about the present is answered, the agents that it concerns are asked to hand over what they
 * have (FLUSH), and have so long as the question allows (message_query.fresh_ms, at most FRESH_MOST_MS). Who does not
 * answer in time is told in the answer: "reaches until T".
 *
 * Asked are the connected agents that fit the question's `agents` and have a capture that fits its `capture`, if they
 * may have something of the question's time that has not come: that is so until a FLUSH is answered that was sent
 * behind `until` (or, if `until` is in the future, behind the question), or after the capture had stopped there. On the
 * loop's thread.
 *
 * An agent has one FLUSH at a time to answer. Questions that come meanwhile share the next one, which is sent as soon
 * as that is answered: a FLUSH that was sent before a question came says nothing of what was captured just before it.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_FRESH_H
#define FLEETDUMP_COLLECTOR_SERVER_FRESH_H

#include "collector/query/query.h"
#include "collector/server/session.h"

#define FRESH_MOST_MS 10000u

struct fresh;
struct fresh *fresh_new(struct server *server); /* NULL without memory */
void fresh_free(struct fresh *f);               /* NULL is fine */

/* Calls `ready` (never from inside this call) when all have answered or the time is over. Returns a handle for
 * fresh_cancel, or NULL if there is nobody to wait for: then `ready` is not called. */
struct fresh_wait;
struct fresh_wait *fresh_ask(struct fresh *f, const struct message_query *q, void (*ready)(void *context),
                             void *context);
void fresh_cancel(struct fresh_wait *w);

void fresh_flushed(struct fresh *f, struct session *agent, const struct message_flushed *m);
void fresh_agent_down(struct fresh *f, struct session *agent);

/* What the answer is to know of the agents that the question concerns; asked_ns is when it came. ERROR_MEMORY. */
MUST_CHECK int fresh_live(struct fresh *f, const struct message_query *q, uint64_t asked_ns, struct query_live *out,
                          struct error *e);
void fresh_live_free(struct query_live *live);

#endif
