/*
 * client_session_impl: what the parts of a client's connection share.
 *
 *   client_session.c    requests: judged, noted, answered
 *   client_query.c      a question that has a thread
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_CLIENT_SESSION_IMPL_H
#define FLEETDUMP_COLLECTOR_SERVER_CLIENT_SESSION_IMPL_H

#include "collector/query/query.h"
#include "collector/server/rights.h"
#include "collector/server/session.h"

/* In the audit: the question, what it was narrowed to, and what came of it; not what only repeats. */
void client_note_query(struct session *s, const struct message_query *q, const struct query_bounds *b,
                       const struct query_outcome *o);

/* The end of an answer; `manifest` may be NULL. */
void client_done(struct session *s, const struct error *e, char *manifest);

/* Begins to answer, or says why not; the grant may be taken. It is s->query until it has ended. */
void client_query(struct session *s, const struct message_query *q, struct rights_grant *grant);

/* Sends what there is, as long as the client takes it. */
void client_query_pump(struct query_task *t);

void client_query_cancel(struct query_task *t);

/* s->query is cut short if its asker may not ask it any more, or if his bounds are others. */
void client_query_judge_again(struct session *s, bool bounds);

#endif
