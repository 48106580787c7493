/*
 * stream: a connection that carries messages, on libuv; over TLS (tls.h), or over plain TCP where that was asked for.
 *
 * One thread, the loop's. Callbacks run on it and never from inside the call that caused them. After stream_close no
 * callback but on_close comes; the stream is freed after on_close returns. Each side may send as much as it likes;
 * stream_queued says what waits, and on_drain comes when that fell to 0: senders of bulk data stop at STREAM_QUEUE_HIGH
 * and go on then. The first message of each side has at most NET_HELLO_MAX bytes (the other side closes otherwise).
 *
 * Over TLS an end that the other side did not announce is ERROR_TRUNCATED: somebody may have cut the connection.
 * Whoever accepts sees a client that it does not trust as a stream that is closed before its first message, with the
 * reason.
 */
#ifndef FLEETDUMP_NET_STREAM_H
#define FLEETDUMP_NET_STREAM_H

#include "common/net/identity.h"
#include "common/net/message.h"
#include <uv.h>

#define STREAM_QUEUE_HIGH (4u << 20)
/* More unsent bytes than this close the stream with ERROR_LIMIT, and so do few of answers to TLS's key updates. */
#define STREAM_QUEUE_MAX (64u << 20)

struct stream;
struct tls;

struct stream_events {
    /* Connected, and the peer is known (outgoing only). */
    void (*on_open)(void *context, struct stream *s);
    /* A message came; it is freed after the call. Reading goes on when it returns, unless stream_pause was called. */
    void (*on_message)(void *context, struct stream *s, const struct message *m);
    void (*on_drain)(void *context, struct stream *s);
    /* Always the last call, exactly once. `why` says what ended it: code 0 for a clean end by either side. */
    void (*on_close)(void *context, struct stream *s, const struct error *why);
};

/* Connects to "address:port", "[v6]:port" or a host name (resolved on libuv's pool). timeout_ms covers resolving and
 * connecting. Errors of form come back here, all others through on_close: they name the address and what to check.
 * `tls` (see tls.h) is referred to until the stream is freed; NULL: plain TCP. */
MUST_CHECK int stream_connect(uv_loop_t *loop, struct tls *tls, const char *address, uint64_t timeout_ms,
                              const struct stream_events *events, void *context, struct stream **out, struct error *e);

/* Queues a message. Errors (encoding) come back; what happens later comes through on_close. */
MUST_CHECK int stream_send(struct stream *s, const struct message *m, struct error *e);
size_t stream_queued(const struct stream *s);
void stream_pause(struct stream *s); /* no more on_message until stream_resume */
void stream_resume(struct stream *s);
void stream_close(struct stream *s);             /* after what is queued was sent, while a message a 2 s gets away */
void stream_abort(struct stream *s);             /* at once */
const char *stream_peer(const struct stream *s); /* "10.0.0.1:4711" */
/* The other end's address and port as numbers (of IPv4 also where an IPv6 socket took it); false if it has none (any
 * more). */
bool stream_peer_address(const struct stream *s, struct net_address *address, uint16_t *port);

/* Who the peer is by its certificate: of kind NONE if it has none, or on plain TCP. Known when on_open is called, and
 * for accepted streams with the first on_message. Valid as long as the stream. */
const struct identity *stream_identity(const struct stream *s);

/* Whether its certificate would be accepted now, by what `tls` has loaded since, but for its dates (ERROR_REFUSED);
 * always if it has none, or the handshake is not done. */
MUST_CHECK int stream_judge_again(const struct stream *s, struct error *e);

/* Of a peer that was refused because its certificate, of our CA, is over or begins later: whose it is. It has not shown
 * that it has the key. Else IDENTITY_NONE. */
const struct identity *stream_late(const struct stream *s);

struct listener;
/* Listens on "address:port" (port 0: any free; listener_port tells). on_accept gets each new stream and returns the
 * context for it and its events through the pointers, or false to refuse it. At most `most` streams at once: further
 * ones get a REFUSE with ERROR_BUSY, unless one is there from which no message came for a second: then that one has to
 * go. `tls` (see tls.h) is referred to as long as the listener lives; NULL: plain TCP. */
typedef bool listener_accept_fn(void *context, struct stream *s, const struct stream_events **events,
                                void **stream_context);
MUST_CHECK int listener_new(uv_loop_t *loop, struct tls *tls, const char *address, unsigned most,
                            listener_accept_fn *on_accept, void *context, struct listener **out, struct error *e);
int listener_port(const struct listener *l);

/* Who connects must send a whole message within that time (LISTENER_GREETING_MS unless said otherwise, as tests do). */
#define LISTENER_GREETING_MS 10000u
void listener_set_greeting(struct listener *l, uint64_t ms);

void listener_close(struct listener *l); /* stops accepting; open streams go on */

/* Splits "address:port" / "[v6]:port" / "address" (then NET_PORT_DEFAULT); host must have 256 bytes. */
MUST_CHECK int net_split(const char *address, char host[256], uint16_t *port, struct error *e);

#endif
