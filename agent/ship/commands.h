/*
 * commands: the control connection's half of captures: what the collector orders becomes requests to the monitor, what
 * the monitor reports becomes messages. Part of the uplink (same loop, same thread).
 *
 *   commands.c         ORDERS  -> start what is new and meant for this agent (selector.h, judged here again), stop
 *                                 what is not in it any more
 *                      CHECK   -> asked of the monitor; its answer gets the rates of the interfaces and the room in
 *                                 the spool
 *                      reports -> CAPTURE_STATE, as they come; all of them again on each connection
 *   commands_flush.c   FLUSH   -> asked of the monitor; FLUSHED once the collector has acknowledged all that the flush
 *                                 sealed, and all that the spool has besides: of captures that have ended, and of
 *                                 capturers that died
 *   commands_clock.c   CLOCK   -> every CLOCK_EVERY_MS; of the last CLOCK_SAMPLES the one with the least round trip
 *                                 tells the offset (RFC 5905, 8 and 10). In the status: "clock":
 *                                 {"offset_ns": agent minus collector, "uncertainty_ns": half the round trip}
 *
 * Without a monitor (fleetdump-agent --read) everything is refused in words.
 */
#ifndef FLEETDUMP_AGENT_SHIP_COMMANDS_H
#define FLEETDUMP_AGENT_SHIP_COMMANDS_H

#include "agent/order.h"
#include "agent/ship/rates.h"
#include <uv.h>

#define CLOCK_EVERY_MS      5000u /* also how the collector knows that this agent does not hang */
#define CLOCK_SAMPLES       8u
#define COMMANDS_ORDERS     (2 * NET_ORDERS_MAX) /* known at once: those that run, those that are over */
#define COMMANDS_FLUSHES    64u
#define COMMANDS_FLUSH_MS   15000u /* a flush that takes longer is answered as failed */
#define COMMANDS_RECOVER_MS 1000u  /* and one that waits only for what a dead capturer left */

struct uplink;

struct clock_sample {
    int64_t offset_ns;
    uint64_t uncertainty_ns;
};

/* What the monitor has told of an order. */
struct known_order {
    bool used;
    uint8_t id[16];
    char name[HEAD_NAME_MAX + 1]; /* "" if only the monitor knows it yet */
    struct monitor_report last;
};

struct flush_stream {
    uint8_t epoch[EPOCH_SIZE];
    uint64_t next_seq;
    bool until_end; /* its writer died: what it left is waited for, until it has been recovered */
};

struct flush {
    bool used;
    uint64_t token;     /* the collector's */
    uint64_t own_token; /* of the requests to the monitor */
    unsigned waiting;   /* for so many of its reports */
    int code;
    const char *problem; /* in words, if there is a code */
    struct flush_stream *streams;
    uint32_t stream_count;
    uint64_t since_ns;
};

struct commands {
    int fd; /* to the monitor, or -1 */
    uv_poll_t poll;
    uv_timer_t clock_timer;
    uv_timer_t flush_timer; /* while somebody waits: looks for what takes too long */
    struct known_order known[COMMANDS_ORDERS];
    struct flush flushes[COMMANDS_FLUSHES];
    uint64_t next_token;
    struct clock_sample samples[CLOCK_SAMPLES];
    unsigned sample_count; /* ever taken */
    int64_t noted_ns;      /* the offset that doctor was told */
    struct rates rates;
};

/* Handles opened count in the uplink's `open`. */
void commands_start(struct uplink *u, int monitor_fd);
void commands_stop(struct uplink *u);

void commands_up(struct uplink *u);                               /* the control connection is up */
void commands_down(struct uplink *u);                             /* it is gone */
bool commands_message(struct uplink *u, const struct message *m); /* false: the message does not belong here */

/* The collector's cursors have moved: flushes may be done. */
void commands_acked(struct uplink *u);

/* The best sample, or false. */
/* Whether the spool has room to begin a capture with; ERROR_FULL says what to do. */
MUST_CHECK int commands_room(struct uplink *u, struct error *e);
bool commands_clock(const struct commands *c, struct clock_sample *best);

/* ---------------------------------------------------------------- between the files of commands */
bool commands_request(struct uplink *u, const struct monitor_request *r);
void commands_flush(struct uplink *u, const struct message_flush *m);
void commands_flushed(struct uplink *u, const struct monitor_report *r);
void commands_flushes_drop(struct commands *c);
void commands_clock_begin(struct uplink *u);
void commands_clock_reply(struct uplink *u, const struct message_clock *m);

#endif
