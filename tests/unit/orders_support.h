/*
 * orders_support: what a command came to, as the collector and its agents say it.
 */
#ifndef FLEETDUMP_TESTS_ORDERS_SUPPORT_H
#define FLEETDUMP_TESTS_ORDERS_SUPPORT_H

#include "tests/unit/server_support.h"

/* The only order that fits, with its agents; the caller's to decref. */
json_t *orders_one(struct peer *client, const char *which);
void orders_assert_state(struct peer *client, const char *which, const char *state);
/* How the agent does in it; `text` is in what it says. */
void orders_assert_agent(struct peer *client, const char *which, const char *agent, const char *phase,
                         const char *text);
/* How many there are. */
size_t orders_listed(struct peer *client, const char *which);
void orders_assert_starts(struct peer *client, const char *name, const char *on);
void peer_assert_said(const struct peer *client, const char *text);

#endif
