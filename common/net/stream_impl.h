/*
 * stream_impl: what stream.c shares with those that make streams (stream_dial.c, listener.c). For common/net alone.
 *
 * A stream's life: [stream_dial: resolve, connect] -> OPEN -> DRAINING (stream_close) -> CLOSED -> on_close -> freed.
 * It has three libuv handles from its first moment; on_close is called, once, when the last of their close callbacks
 * has come.
 */
#ifndef FLEETDUMP_NET_STREAM_IMPL_H
#define FLEETDUMP_NET_STREAM_IMPL_H

#include "common/net/stream.h"

enum stream_state { STREAM_DIALLING, STREAM_OPEN, STREAM_DRAINING, STREAM_CLOSED };

#define STREAM_NAME_SIZE 280

struct stream_dial;

struct stream {
    uv_loop_t *loop;
    uv_tcp_t *tcp; /* owned; each try to connect has a new one */
    uv_timer_t
        timer; /* DIALLING: the whole attempt; accepted and OPEN: its first message; DRAINING: the wait for the other side */
    uv_idle_t later;  /* frames that were read before a pause */
    unsigned handles; /* of the three, not closed yet */
    enum stream_state state;
    const struct stream_events *events;
    void *context;
    struct buffer in; /* read and not parsed; from in_at on */
    size_t in_at;
    bool greeted; /* the first frame has come: larger ones may follow */
    bool paused;
    bool ended;    /* DRAINING: the other side's end of stream has come */
    bool shut;     /* DRAINING: ours was sent */
    size_t queued; /* bytes given to libuv and not written */
    uv_shutdown_t shutdown;
    struct error why;
    char peer[STREAM_NAME_SIZE];
    struct stream_dial *dial;  /* owned by stream_dial.c, which outlives the stream if the resolver has it still */
    struct listener *listener; /* of accepted streams */
    struct tls *tls;           /* referred to; NULL: plain TCP */
    struct identity identity;  /* of the peer */
};

/* A stream without a connection, its handles made. NULL without memory. */
struct stream *stream_alloc(uv_loop_t *loop, struct tls *tls, const struct stream_events *events, void *context);

/* Ends the DIALLING or DRAINING that has begun, after that time; an OPEN one if its first message has not come by then. */
void stream_time_limit(struct stream *s, uint64_t timeout_ms);

/* The connection is there: options of the socket, reading. */
void stream_begin(struct stream *s);

/* Ends it at once; the first call's reason counts. */
void stream_fail(struct stream *s, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A new TCP handle in place of a used one; 0 or a status of libuv. */
int stream_new_tcp(struct stream *s);

/* Called when the stream is closed, before it is freed. */
void stream_dial_forget(struct stream *s);
void stream_dial_timeout(struct stream *s);
void listener_forget(struct listener *l);

/* "10.0.0.1:4711", "[::1]:4711"; returns buf. */
const char *net_format(const struct sockaddr *address, char buf[STREAM_NAME_SIZE]);

#endif
