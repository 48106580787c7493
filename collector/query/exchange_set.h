/*
 * exchange_set: the exchanges of an answer, each with its flow.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_EXCHANGE_SET_H
#define FLEETDUMP_COLLECTOR_QUERY_EXCHANGE_SET_H

#include "collector/query/plan.h"

/* A line of an answer: an exchange, or a group of them. */
struct exchange_line {
    struct exchange_row row;     /* texts belong to the flow_set */
    struct flow_set_entry *flow; /* of a group: its first one's */
};

struct exchange_set {
    struct exchange_line *lines; /* owned */
    size_t count, cap;
};
void exchange_set_free(struct exchange_set *s);

/* Appends a copy; texts are copied to the flow_set. ERROR_LIMIT says what to do about too many. */
MUST_CHECK int exchange_set_add(struct exchange_set *s, struct flow_set *texts, const struct exchange_row *row,
                                struct flow_set_entry *flow, struct error *e);

/* What is newer of the exchange of a line, in its place. Texts that are the same take no more memory. */
MUST_CHECK int exchange_set_replace(struct exchange_set *s, struct flow_set *texts, uint32_t line,
                                    const struct exchange_row *row, struct error *e);

/* Leaves one of those that several captures on one interface saw, or `any` and an interface of the same agent (as
 * covered.h has it for flows): the one that was seen whole, then of a capture that keeps packets. */
MUST_CHECK int exchange_set_leave_one(struct exchange_set *s, const struct plan *p, struct error *e);

/* Of an exchange that several vantages saw, with clocks that CONNECTION_SLACK_NS allows, leaves the line of one, as a
 * pull does with connections: the server's agent's, else the client's, else the earliest; but before all one whose
 * capture missed nothing of it. Those of one connection that ask the same are told apart by their number in it, else by
 * their order. *shared: how many there are of such. With `all` every line is left, and *shared is how many lines are of
 * such. */
MUST_CHECK int exchange_set_join(struct exchange_set *s, struct plan *p, bool all, uint64_t *shared, struct error *e);

/* Of what was asked, in whatever connection. */
uint64_t exchange_asked_hash(const struct exchange_row *x, uint64_t seed);

/* Groups by the question's --by fields: sums, and of waits the mean, the longest and the 95th percentile. */
MUST_CHECK int exchange_groups(const struct exchange_set *all, const struct message_query *q, struct exchange_set *out,
                               struct error *e);

#endif
