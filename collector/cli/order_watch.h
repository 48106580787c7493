/*
 * order_watch: waits until a capture is over, and meanwhile asks the collector for it again and again, shows how it
 * goes, and does what the person at the terminal wants.
 *
 * Ctrl-C asks whether to stop the capture or to leave it alone (a second one stops it); where nobody can be asked, and
 * with SIGTERM, it is stopped at once. While it stops, a further signal ends the wait.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_ORDER_WATCH_H
#define FLEETDUMP_COLLECTOR_CLI_ORDER_WATCH_H

#include "collector/cli/order.h"

#define WATCH_EVERY_MS 200u
#define WATCH_GRACE_MS 5000u /* for agents to say that they stopped, once the capture has ended */

enum watch_end {
    WATCH_OVER,
    WATCH_DETACHED,  /* it goes on */
    WATCH_IMPATIENT, /* it was told to stop, but not all agents have answered */
};

struct watch {
    const struct cli *cli;
    const char *id;
    /* Called between two questions, with the order's state; a negative return ends the wait with it. NULL: none. */
    int (*step)(void *context, const json_t *order, struct error *e);
    void *context;
    json_t *order; /* out: as it was last; owned by the caller */
};

/* interrupt_watch must have been called; signals since then count. *client may be replaced by another one to the same
 * collector, or NULL, when the connection breaks: the capture goes on, and so does the wait. */
MUST_CHECK int watch_run(struct watch *w, struct client **client, enum watch_end *end, struct error *e);

/* Tells the collector to stop what fits `which`; the answer's own error is returned. */
MUST_CHECK int watch_stop(struct client *client, const char *which, struct client_answer *answer, struct error *e);

#endif
