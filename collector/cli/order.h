/*
 * order: a capture as it was ordered, and how its agents do, as the collector tells of it; collector/server/orders.h
 * says what is in the JSON. Nothing of it is trusted: what is missing reads as 0 or "".
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_ORDER_H
#define FLEETDUMP_COLLECTOR_CLI_ORDER_H

#include "collector/cli/client.h"

#define ORDER_ID_DIGITS 32u

uint64_t order_number(const json_t *o, const char *key);
const char *order_text(const json_t *o, const char *key);
bool order_flag(const json_t *o, const char *key);
uint64_t order_drops(const json_t *o); /* of an order or an agent */

/* enum capture_phase of an agent; 0 if it is none. */
int order_phase(const json_t *agent);
/* Whether the agent does no more for the capture. */
bool order_agent_is_final(const json_t *agent);

/* How many of the agents are in this phase. */
size_t order_count(const json_t *order, int phase);

/* Whether it was stopped or its end has come, whatever agents say of it. */
bool order_has_ended(const json_t *order);
/* Whether nothing more is to be expected: each agent is through with it, or it has ended and the agent is away. */
bool order_is_over(const json_t *order);

/* Whether packets for a QUERY_PULL may still come of it: it goes on, keeps packets, and its name and one of its agents
 * fit. */
bool order_feeds(const json_t *order, const struct message_query *q);

/* Texts of an array, joined by ", "; cut to the buffer. Returns buf. */
char *order_words(const json_t *o, const char *key, char *buf, size_t len);

/* 16 bytes as hex digits. Returns out, of ORDER_ID_DIGITS + 1 bytes. */
char *order_id_text(const uint8_t id[16], char *out);

/* The orders whose name fits the glob, or whose id begins with it ("": all): an array, owned by the caller. */
MUST_CHECK int order_fetch(struct client *c, const char *which, json_t **orders, struct error *e);
/* The same for one by its whole id: the order itself. ERROR_NOT_FOUND. */
MUST_CHECK int order_fetch_one(struct client *c, const char *id, json_t **order, struct error *e);

#endif
