/*
 * uplink_impl: what the files of the uplink share.
 *
 *   uplink.c         start and end, the timers and watches: what makes it look
 *   uplink_link.c    a connection: dial, greet, fail, try again
 *   uplink_data.c    the data connection: what is sent, and what acks do
 *   uplink_status.c  the status
 *   uplink_renew.c   the certificate gets a later end
 */
#ifndef FLEETDUMP_AGENT_SHIP_UPLINK_IMPL_H
#define FLEETDUMP_AGENT_SHIP_UPLINK_IMPL_H

#include "agent/ship/commands.h"
#include "agent/ship/outbox.h"
#include "agent/ship/uplink.h"
#include "common/net/stream.h"

enum link_state { LINK_STOPPED, LINK_PAUSED, LINK_DIALLING, LINK_GREETING, LINK_UP };

struct link {
    struct uplink *u;
    const char *name; /* for the log */
    uint8_t role;     /* enum net_role */
    enum link_state state;
    struct stream *stream;     /* not NULL from DIALLING to its on_close */
    uv_timer_t timer;          /* PAUSED: until the next try; GREETING: how long it may take */
    uint64_t pause_ms;         /* of the next try, without jitter */
    uint64_t up_ns;            /* since when */
    bool refused;              /* the connection, by the other side: try again rarely */
    char told[ERROR_TEXT_MAX]; /* the failure that was logged last: the same one is not again */
    void (*on_up)(struct uplink *u);
    void (*on_message)(struct uplink *u, const struct message *m);
    void (*on_drain)(struct uplink *u); /* may be NULL */
    void (*on_down)(struct uplink *u);
};

#define RELEASE_LEAST_MS 5

/* A head or body that is being sent. */
struct part {
    struct outbox_stream *t; /* NULL: none is */
    uint64_t seq, last_seq;
    uint8_t part; /* enum net_part */
    uint64_t total, offset;
    int fd;             /* of a body */
    struct buffer head; /* of a head */
};

struct uplink {
    uv_loop_t *loop;
    struct uplink_config config; /* defaults filled in */
    struct spool *spool;
    struct outbox *outbox;
    struct link control, data;
    struct commands commands;
    struct part part;
    uv_timer_t soon; /* looks at what is due */
    uv_timer_t look; /* at all folders */
    uv_timer_t room; /* at quota and floor */
    uv_timer_t status;
    uv_fs_event_t watch; /* of the spool's folder */
    bool watching;       /* inotify works */
    bool changed;        /* since the last STATUS */
    uint64_t status_ns;  /* of the last STATUS */
    /* until streams that are over are asked again whether their writers have let go: soon, then less and less often */
    uint64_t release_ms;
    uint64_t renew_after_ns; /* monotonic: the certificate's renewal is not tried before */
    uint64_t random;
    unsigned open; /* handles and streams that are not closed yet */
    bool stopping;
    void (*on_end)(void *context);
    void *end_context;
};

/* uplink.c: one thing that `open` counted is closed. */
void uplink_closed(struct uplink *u);
void uplink_soon(struct uplink *u, uint64_t delay_ms); /* have uplink_pump called */
void uplink_room_soon(struct uplink *u);
/* Has a stream whose writer died recovered, if that was not asked before. */
void uplink_tell_abandoned(struct uplink *u, struct outbox_stream *t);

/* uplink_link.c */
void link_init(struct link *l, struct uplink *u, uint8_t role, const char *name);
void link_dial(struct link *l);
void link_stop(struct link *l);
/* The other side broke a rule: says so, and closes. */
void link_broken(struct link *l, const char *what);
/* Sends on a link that is up; a failure closes it. */
bool link_send(struct link *l, const struct message *m);

/* uplink_data.c */
void data_up(struct uplink *u);
void data_down(struct uplink *u);
void data_message(struct uplink *u, const struct message *m);
/* Sends what is due, as far as window and queue allow. */
void data_pump(struct uplink *u);
void data_drop(void *uplink, struct outbox_stream *t);
/* Streams that were refused long ago are named to the collector again. */
void data_retry_refused(struct uplink *u);
void part_end(struct part *p);

/* uplink_status.c */
void status_send(struct uplink *u);

/* uplink_renew.c: asks for a later end if it is time; and the answer, which came on the control connection. */
void renew_look(struct uplink *u);
void renew_answer(struct uplink *u, const struct message_enrolled *m);

/* host_addresses.c: the addresses of this host's interfaces that are up and no loopback; malloc'ed; NULL if there is
 * none. */
struct net_address *host_addresses(uint32_t *count);

#endif
