/*
 * uplink: the shipper: takes what the spool holds to the collector. One per spool, in a process of its own.
 *
 * It dials the collector, twice: the control connection carries the STATUS and all that is about captures (commands.h),
 * the data connection the items: first all heads, of all streams in the order in which they were sealed, then the
 * bodies; what comes to be sealed meanwhile goes before the bodies that wait. A part that was begun is finished first.
 * At most `window_bytes` are under way without an ack. What is acked is removed from the spool (outbox.h). A connection
 * that fails is tried again after a pause that doubles, with jitter. A stream that the collector refuses stays in the
 * spool, is skipped until the next connection or for some minutes, is logged, and shows in the status.
 *
 * New items are noticed by inotify; where that does not work, and for all that no event tells, by a look now and then.
 * While nothing happens it sleeps.
 *
 * The status is a JSON object:
 *   {"spool": {"path", "bytes", "quota", "floor", "free", "items", "evicted_bodies", "evicted_items", "damaged",
 *              "full" (text, only then)},
 *    "data": "up" | "down", "flying_bytes", "clock": {"offset_ns", "uncertainty_ns"},
 *    "streams": [{"epoch", "capture", "state": "writing" | "ended" | "abandoned", "items", "bytes", "next_seq",
 *                 "head_next", "body_next", "refused" (text, only then), "stuck" (text, only then), "received", "kept",
 *                 "kernel_drops", ... (counters that are not 0)}, ...]}
 * At most UPLINK_STATUS_STREAMS streams are listed, "streams_total" says how many there are.
 */
#ifndef FLEETDUMP_AGENT_SHIP_UPLINK_H
#define FLEETDUMP_AGENT_SHIP_UPLINK_H

#include "agent/ship/spool.h"
#include "common/net/tls.h"
#include <uv.h>

#define UPLINK_STATUS_STREAMS 500u

struct uplink_config {
    const char *spool_path;
    struct spool_limits limits;
    const char *collector;     /* address, as stream_connect takes it */
    struct tls *tls;           /* NULL: plain TCP; its files are read again before each attempt to connect */
    const char *tls_folder;    /* of its files, in which cert.pem is renewed; NULL: it is not */
    const char *agent;         /* our name */
    const char *const *labels; /* "role=web" */
    uint32_t label_count;
    const char *software; /* "fleetdump 0.1" */

    /* Called once for each stream whose writer died without an END, as soon as it is noticed (also at the start):
     * somebody is to recover it. May be NULL. */
    void (*on_abandoned)(void *context, const uint8_t epoch[EPOCH_SIZE]);
    void *context;

    const char *problem; /* why nothing can be captured here, for the status; NULL, "": it can */
    const char *audit;   /* what is wrong with this host's audit, likewise */
    int monitor_fd;      /* to whom captures are ordered (agent/order.h); 0 or less: nobody */

    bool until_empty; /* end when the spool holds no stream any more */

    /* For tests; 0 is the default */
    uint64_t window_bytes;    /* 32 MiB */
    uint64_t retry_least_ms;  /* 500 */
    uint64_t retry_most_ms;   /* 30000 */
    uint64_t greeting_ms;     /* 10000: to connect, and then to be answered */
    uint64_t look_ms;         /* 30000: between looks that no event asked for */
    uint64_t refused_ms;      /* 600000: after that a refused stream is tried again */
    uint64_t room_ms;         /* 500: between looks at quota and floor while something is written */
    uint64_t status_least_ms; /* 5000: between STATUS messages, if something changed */
    uint64_t status_most_ms;  /* 60000: even if nothing did */
};

struct uplink;

/* Opens the spool and starts on the loop. ERROR_BUSY names the process that ships this spool already. All that `c`
 * points to must outlive it. `on_end` (may be NULL) is called when all is closed: by uplink_stop or until_empty. */
MUST_CHECK int uplink_start(uv_loop_t *loop, const struct uplink_config *c, void (*on_end)(void *context),
                            void *end_context, struct uplink **out, struct error *e);
void uplink_stop(struct uplink *u); /* may be called more than once; u is freed after on_end */

/* The status as it would be sent now: malloc'ed text, NULL without memory. */
char *uplink_status(struct uplink *u);

/* The body of the shipper process: a loop of its own, until SIGTERM or SIGINT, or until_empty. Returns 0 then, or why
 * it could not start. */
MUST_CHECK int uplink_run(const struct uplink_config *c, struct error *e);

#endif
