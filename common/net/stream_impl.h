/*
 * stream_impl: what stream.c shares with those that make streams (stream_dial.c, listener.c). For common/net alone.
 *
 * A stream's life: [stream_dial: resolve, connect] -> [stream_tls: SECURING] -> OPEN -> DRAINING (stream_close) ->
 * CLOSED -> on_close -> freed.
 * It has three libuv handles from its first moment; on_close is called, once, when the last of their close callbacks
 * has come.
 */
#ifndef FLEETDUMP_NET_STREAM_IMPL_H
#define FLEETDUMP_NET_STREAM_IMPL_H

#include "common/net/stream.h"
#include "common/net/tls.h"

enum stream_state { STREAM_DIALLING, STREAM_SECURING, STREAM_OPEN, STREAM_DRAINING, STREAM_CLOSED };

#define STREAM_NAME_SIZE 280
#define STREAM_SPARES    20u /* as many as wait in a queue that is full */

struct stream_dial;

struct stream {
    uv_loop_t *loop;
    uv_tcp_t *tcp; /* owned; each try to connect has a new one */
    /* outgoing, until it is OPEN: the whole attempt; accepted: its first message; then: when spare memory goes;
     * DRAINING: the wait for the other side */
    uv_timer_t timer;
    uv_idle_t later;  /* frames that were read before a pause */
    unsigned handles; /* of the three, not closed yet */
    enum stream_state state;
    const struct stream_events *events;
    void *context;
    struct buffer *spare; /* STREAM_SPARES, or NULL: of messages that were sent, for those that follow at once */
    unsigned spares;
    struct buffer in; /* read and not parsed; from in_at on */
    size_t in_at;
    bool greeted; /* the first frame has come: larger ones may follow */
    bool busy;    /* the last read was a full one */
    bool paused;
    bool skips;     /* that it sends messages of unknown types was said */
    bool ended;     /* DRAINING: the other side's end of stream has come */
    bool shut;      /* DRAINING: ours was sent */
    size_t queued;  /* bytes given to libuv and not written */
    size_t answers; /* TLS's own among all that was given since none waited */
    bool drains;    /* a message is among them: on_drain is due */
    uv_shutdown_t shutdown;
    struct error why;
    char peer[STREAM_NAME_SIZE];
    struct stream_dial *dial;  /* owned by stream_dial.c, which outlives the stream if the resolver has it still */
    struct listener *listener; /* of accepted streams */
    struct stream *silent_next, **silent_link; /* in the listener's list of those from which no message came yet */
    uint64_t since_ms;                         /* in that list */
    struct tls *tls;                           /* referred to; NULL: plain TCP */
    struct tls_link *link;                     /* TLS: from its beginning on */
    bool secured;                              /* the handshake is done; never true without TLS */
    struct buffer early;                       /* text to be sent once it is */
    struct identity identity;                  /* of the peer */
    struct identity late;                      /* stream_late */
};

/* A stream without a connection, its handles made. NULL without memory. */
struct stream *stream_alloc(uv_loop_t *loop, struct tls *tls, const struct stream_events *events, void *context);

/* Ends the DIALLING, SECURING or DRAINING that has begun, after that time; an accepted one if its first message has not
 * come by then. */
void stream_time_limit(struct stream *s, uint64_t timeout_ms);

/* The connection is there: options of the socket, reading. */
void stream_begin(struct stream *s);

/* Bytes as they go over the wire: takes over what is in `data`, which is empty then. An error has ended the stream,
 * which says why. */
MUST_CHECK int stream_write(struct stream *s, struct buffer *data);

/* Memory of bulk data is used again: the system takes its time to give pages. Takes some, if there is any, into the
 * empty *b; takes over what is in *b, which is empty then. */
void stream_take_spare(struct stream *s, struct buffer *b);
void stream_give_spare(struct stream *s, struct buffer *b);

/* Gives the whole frames that were read to the owner, as long as it takes them. */
void stream_read_frames(struct stream *s);

/* The other side sends no more. */
void stream_ended(struct stream *s);

/* DRAINING: sends what is queued and our end, and waits for the other side's. */
void stream_drain(struct stream *s);

/* Ends it at once; the first call's reason counts. */
void stream_fail(struct stream *s, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A new TCP handle in place of a used one; 0 or a status of libuv. */
int stream_new_tcp(struct stream *s);

/* stream_tls.c: the connection is there; bytes came; text of ours is to be sent; nothing more will be sent, which is
 * said. */
void stream_tls_begin(struct stream *s);
void stream_tls_received(struct stream *s, const void *data, size_t length);
MUST_CHECK int stream_tls_send(struct stream *s, const struct buffer *text, struct error *e);
void stream_tls_end(struct stream *s);
void stream_tls_free(struct stream *s);

/* Called when the stream is closed, before it is freed. */
void stream_dial_forget(struct stream *s);
void stream_dial_timeout(struct stream *s);
void listener_forget(struct stream *s);

/* An accepted stream's first message has come, or never will. */
void listener_greeted(struct stream *s);

/* The other end of a connection; false if there is none (any more). */
bool net_peer(const uv_tcp_t *tcp, struct sockaddr_storage *out);

/* "10.0.0.1:4711", "[::1]:4711"; returns buf. */
const char *net_format(const struct sockaddr *address, char buf[STREAM_NAME_SIZE]);

#endif
