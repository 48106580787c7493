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

/* Leaves one of those that several captures on one interface saw, or `any` and an interface of the same agent (as
 * covered.h has it for flows): the one that was seen whole, then of a capture that keeps packets. */
MUST_CHECK int exchange_set_leave_one(struct exchange_set *s, const struct plan *p, struct error *e);

/* How many are of exchanges that several agents saw: each of these has a line of its own from every agent. */
MUST_CHECK int exchange_set_count_shared(const struct exchange_set *s, const struct plan *p, uint64_t *shared,
                                         struct error *e);

/* Groups by the question's --by fields: sums, and of waits the mean, the longest and the 95th percentile. */
MUST_CHECK int exchange_groups(const struct exchange_set *all, const struct message_query *q, struct exchange_set *out,
                               struct error *e);

#endif
