/*
 * order_live: a capture as it goes on, on stderr: on a terminal a line for each agent, drawn again in place; else a
 * line whenever an agent's phase changes. Nothing with --quiet.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_ORDER_LIVE_H
#define FLEETDUMP_COLLECTOR_CLI_ORDER_LIVE_H

#include "collector/cli/order.h"

struct order_live;

MUST_CHECK int order_live_new(const struct cli *cli, struct order_live **out, struct error *e);
void order_live_free(struct order_live *l); /* what was drawn last stays; NULL is fine */

/* Draws an order, or says what has changed. */
void order_live_show(struct order_live *l, const json_t *order);

/* A line below the table, until it is taken away (NULL). */
void order_live_below(struct order_live *l, const char *text);

/* A note that stays, above the table. */
void order_live_note(struct order_live *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
