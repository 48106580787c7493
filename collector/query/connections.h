/*
 * connections: which flow a packet belongs to, and which vantage of a connection is taken when several agents or
 * interfaces saw it.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_CONNECTIONS_H
#define FLEETDUMP_COLLECTOR_QUERY_CONNECTIONS_H

#include "collector/query/plan.h"

/* Vantages of one connection are the same connection if their times, stretched by this, overlap (clocks differ). */
#define CONNECTION_SLACK_NS (5 * UINT64_C(1000000000))

/* Of what all vantages of a connection see alike; by hash64_table. */
uint64_t connections_hash(const struct flow_key *key);

/* Whose addresses were whose. */
struct owners;
MUST_CHECK int owners_new(struct plan *p, struct owners **out, struct error *e);
void owners_free(struct owners *o); /* NULL is fine */

/* Whose view a flow that an agent saw between two times is: 0: the server's, 1: the client's, 2: another's, or nobody
 * knows. */
uint8_t owners_rank(const struct owners *o, const struct flow_row *row, uint64_t first_ns, uint64_t last_ns);

/* Marks, of each connection that several vantages saw, all but one as other_vantage: the server's agent is taken, else
 * the client's, else the earliest, and an interface rather than `any`; but before all one whose packets were kept. A
 * flow that saw a direction that the chosen one did not see stays. Returns how many connections were seen more than
 * once, or a negative code. */
MUST_CHECK int64_t connections_choose_vantage(struct plan *p, struct error *e);

/* Finds flows by what a packet shows. */
struct connection_index;

/* Over all flows of the plan that are selected or have another vantage. */
MUST_CHECK int connection_index_new(struct plan *p, struct connection_index **out, struct error *e);
void connection_index_free(struct connection_index *x);

/* The flow of a packet captured at a place, or NULL. Later fragments are found by their first one, if that was asked
 * for before. */
struct flow_set_entry *connection_index_find(struct connection_index *x, const struct packet *packet, uint32_t place,
                                             uint64_t time_ns);

#endif
