/*
 * A connection that is open: frames in, frames out, and its end. Runs on the loop's thread.
 *
 * Reading: bytes are appended to `in`; each whole frame is decoded, given to on_message and dropped. The first frame
 * may have NET_HELLO_MAX bytes, later ones NET_FRAME_MAX: so a stranger costs no memory. What breaks a rule ends the
 * stream with a sentence that names the peer. Writing: a message is encoded into memory of its own, which libuv holds
 * until it is written. The end: stream_close sends what is queued, then our end of stream, and waits for the other
 * side's; only then is the socket closed, since a socket closed with unread bytes in it would make the kernel send a
 * reset, which may overtake what we sent last.
 */
#include "common/net/stream_impl.h"
#include "common/net/tls_impl.h"

#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/packet/packet.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE       ((size_t)64 << 10)
#define IN_MAX          (NET_HEADER_SIZE + (size_t)NET_FRAME_MAX + 2 * READ_SIZE) /* TLS may have held back some */
#define SPARE_LEAST     READ_SIZE
#define SPARE_MOST      ((size_t)2 * NET_FRAME_MAX)
#define SPARE_MS        1000 /* then it is given back */
#define DRAIN_MS        2000
#define KEEPALIVE_S     20
#define KEEPALIVE_TRIES 3
#define USER_TIMEOUT_MS 30000
#define TLS_HINT        " (it speaks TLS, and insecure_plaintext is said here)"
#define SECURING_HINT   " (before TLS was agreed on: does the other side speak it, or does it say insecure_plaintext?)"

struct outgoing {
    uv_write_t request;
    struct stream *stream;
    struct buffer data;
};

/* ------------------------------------------------------------ memory */
static void free_spares(struct stream *s)
{
    while (s->spares)
        buffer_free(&s->spare[--s->spares]);
    free(s->spare);
    s->spare = NULL;
}

void stream_take_spare(struct stream *s, struct buffer *b)
{
    size_t limit = b->limit;
    if (!s->spares)
        return;
    *b = s->spare[--s->spares];
    b->limit = limit;
    buffer_clear(b);
}

void stream_give_spare(struct stream *s, struct buffer *b)
{
    size_t limit = b->limit;
    bool keep = s->state == STREAM_OPEN && s->greeted && s->spares < STREAM_SPARES && b->cap > SPARE_LEAST &&
                b->cap <= SPARE_MOST;
    if (keep && !s->spare)
        s->spare = calloc(STREAM_SPARES, sizeof(*s->spare));
    if (!keep || !s->spare) {
        buffer_free(b);
        return;
    }
    s->spare[s->spares++] = *b;
    *b = (struct buffer){.limit = limit};
    if (!uv_is_active((uv_handle_t *)&s->timer))
        stream_time_limit(s, SPARE_MS);
}

/* ------------------------------------------------------------ the end */
static void handle_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    if (--s->handles)
        return;
    stream_dial_forget(s);
    if (s->events->on_close)
        s->events->on_close(s->context, s, &s->why);
    if (s->listener)
        listener_forget(s);
    stream_tls_free(s);
    free_spares(s);
    buffer_free(&s->in);
    free(s->tcp);
    free(s);
}

void stream_abort(struct stream *s)
{
    if (s->state == STREAM_CLOSED)
        return;
    s->state = STREAM_CLOSED;
    listener_greeted(s);
    if (s->link)
        stream_tls_end(s);
    uv_close((uv_handle_t *)s->tcp, handle_closed);
    uv_close((uv_handle_t *)&s->timer, handle_closed);
    uv_close((uv_handle_t *)&s->later, handle_closed);
}

void stream_fail(struct stream *s, int code, const char *fmt, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    if (s->state == STREAM_CLOSED)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (!s->why.code)
        error_set(&s->why, code, "%s", text);
    stream_abort(s);
}

static void fail_broken(struct stream *s, int status)
{
    stream_fail(s, ERROR_UNREACHABLE, "the connection with %s broke: %s%s", s->peer, uv_strerror(status),
                s->state == STREAM_SECURING ? SECURING_HINT : "");
}

static bool is_up(const struct stream *s)
{
    return s->state == STREAM_SECURING || s->state == STREAM_OPEN;
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct stream *s = request->data;
    if (s->state != STREAM_DRAINING)
        return;
    s->shut = true;
    if (status)
        fail_broken(s, status);
    else if (s->ended)
        stream_abort(s);
}

static void on_timer(uv_timer_t *timer)
{
    struct stream *s = timer->data;
    if (s->state == STREAM_DIALLING)
        stream_dial_timeout(s);
    else if (s->state == STREAM_SECURING)
        stream_fail(s, ERROR_UNREACHABLE, "the peer %s did not agree on TLS in time%s", s->peer,
                    s->listener ? "" : SECURING_HINT);
    else if (s->state == STREAM_OPEN && s->greeted)
        free_spares(s);
    else if (s->state == STREAM_OPEN)
        stream_fail(s, ERROR_UNREACHABLE, "the peer %s did not say who it is", s->peer);
    else if (s->queued)
        stream_fail(s, ERROR_UNREACHABLE, "closed the connection with %s, which had not taken the last %zu bytes",
                    s->peer, s->queued);
    else
        stream_abort(s);
}

/* ------------------------------------------------------------ reading */
static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf);

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    static _Thread_local char sealed[READ_SIZE]; /* decrypted before the next read, of whichever stream */
    struct stream *s = handle->data;
    if (s->link) {
        *buf = uv_buf_init(sealed, sizeof(sealed));
        return;
    }
    if (s->state != STREAM_OPEN)
        buffer_clear(&s->in); /* to be dropped */
    void *p = buffer_reserve(&s->in, READ_SIZE);
    *buf = uv_buf_init(p, p ? READ_SIZE : 0);
}

static void start_reading(struct stream *s)
{
    int status = uv_read_start((uv_stream_t *)s->tcp, give_room, on_read);
    if (status && status != UV_EALREADY)
        fail_broken(s, status);
}

/* The peer may be of a later release. */
static void skip(struct stream *s, int type)
{
    if (!s->skips)
        log_info("the peer %s sends messages of type %d, which this release (" FLEETDUMP_VERSION
                 ") does not know: they are skipped",
                 s->peer, type);
    s->skips = true;
}

/* It is told why, too, and can read our version at least. */
static void refuse_version(struct stream *s, int version, const struct error *why)
{
    char text[200];
    struct message m = {.type = MESSAGE_REFUSE, .refuse = {.code = ERROR_VERSION, .text = text}};
    snprintf(text, sizeof(text),
             "this is fleetdump " FLEETDUMP_VERSION ", which speaks version %u of the protocol, and not %d",
             NET_PROTOCOL, version);
    error_set(&s->why, ERROR_VERSION, "the peer %s: %s", s->peer, why->text);
    if (stream_send(s, &m, NULL) == 0)
        stream_close(s);
    else
        stream_abort(s);
}

/* The next whole frame, decoded and given away. False if there is none, or the stream is not to go on. */
static bool next_frame(struct stream *s)
{
    struct message m;
    struct error why = ERROR_INIT;
    size_t left = s->in.len - s->in_at;
    int type;
    size_t length;
    if (s->state != STREAM_OPEN || s->paused || left < NET_HEADER_SIZE)
        return false;
    const uint8_t *p = s->in.data + s->in_at;
    int r = message_header(p, s->greeted ? NET_FRAME_MAX : NET_HELLO_MAX, &type, &length, &why);
    if (!r && left - NET_HEADER_SIZE < length)
        return false;
    if (!r && s->greeted && !message_type_is_known(type)) {
        skip(s, type);
        s->in_at += NET_HEADER_SIZE + length;
        return true;
    }
    if (!r)
        r = message_decode(type, p + NET_HEADER_SIZE, length, &m, &why);
    if (r == ERROR_VERSION) {
        refuse_version(s, p[2], &why);
        return false;
    }
    if (r) {
        stream_fail(s, r, "the peer %s: %s%s", s->peer, why.text, !s->link && tls_is_record(p[0]) ? TLS_HINT : "");
        return false;
    }
    if (!s->greeted) {
        uv_timer_stop(&s->timer);
        listener_greeted(s);
    }
    s->greeted = true;
    s->in_at += NET_HEADER_SIZE + length;
    s->events->on_message(s->context, s, &m);
    message_free(&m);
    return true;
}

/* Keeps what is left of `in` at its beginning. */
static void compact(struct stream *s)
{
    size_t left = s->in.len - s->in_at;
    if (s->in_at && left)
        memmove(s->in.data, s->in.data + s->in_at, left);
    s->in_at = 0;
    buffer_clear(&s->in);
    s->in.len = left;
    if (left == 0 && !s->busy) /* most connections are idle most of the time */
        buffer_free(&s->in);
}

void stream_read_frames(struct stream *s)
{
    while (next_frame(s))
        ;
    compact(s);
    if (s->link && s->link->ended && s->state == STREAM_OPEN && !s->paused)
        stream_ended(s);
}

void stream_ended(struct stream *s)
{
    s->ended = true;
    if (s->state == STREAM_DRAINING && !s->shut)
        uv_read_stop((uv_stream_t *)s->tcp); /* it may still take what is queued */
    else if (s->state == STREAM_OPEN && s->in.len > 0)
        stream_fail(s, ERROR_TRUNCATED, "the connection with %s ended in the middle of a message", s->peer);
    else if (s->state == STREAM_OPEN && s->link && !s->link->ended)
        stream_fail(s, ERROR_TRUNCATED, "the connection with %s was cut off: its end was not announced", s->peer);
    else if (s->state == STREAM_SECURING && (s->link->begun || !s->listener))
        stream_fail(s, ERROR_TRUNCATED, "%s closed the connection%s", s->peer, SECURING_HINT);
    else
        stream_abort(s);
}

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = tcp->data;
    int sys = n > 0 ? FAULT("net.receive") : 0;
    s->busy = n == (ssize_t)READ_SIZE; /* more is there */
    if (s->state == STREAM_CLOSED || n == 0)
        return;
    if (sys)
        n = uv_translate_sys_error(sys);
    if (n == UV_EOF) {
        stream_ended(s);
    } else if (n == UV_ENOBUFS) {
        stream_fail(s, ERROR_MEMORY, "no memory to read from %s", s->peer);
    } else if (n < 0) {
        fail_broken(s, (int)n);
    } else if (s->link) {
        stream_tls_received(s, buf->base, (size_t)n);
    } else if (s->state == STREAM_OPEN) {
        s->in.len += (size_t)n;
        stream_read_frames(s);
    }
}

void stream_pause(struct stream *s)
{
    if (s->paused || s->state == STREAM_CLOSED)
        return;
    s->paused = true;
    if (s->state == STREAM_OPEN)
        uv_read_stop((uv_stream_t *)s->tcp);
}

static void on_later(uv_idle_t *later)
{
    struct stream *s = later->data;
    uv_idle_stop(later);
    if (s->state == STREAM_OPEN && !s->paused)
        stream_read_frames(s);
    if (!s->paused && is_up(s))
        start_reading(s);
}

void stream_resume(struct stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    if (is_up(s))
        uv_idle_start(&s->later, on_later);
}

/* ------------------------------------------------------------ writing */
static void on_written(uv_write_t *request, int status)
{
    struct outgoing *o = request->data;
    struct stream *s = o->stream;
    s->queued -= o->data.len;
    if (s->queued == 0)
        s->answers = 0;
    stream_give_spare(s, &o->data);
    free(o);
    if (s->state == STREAM_CLOSED)
        return;
    int sys = status ? 0 : FAULT("net.send.done");
    if (sys)
        status = uv_translate_sys_error(sys);
    if (status) {
        fail_broken(s, status);
    } else if (s->state == STREAM_DRAINING) {
        stream_time_limit(s, DRAIN_MS);
    } else if (s->queued == 0 && s->drains && s->state == STREAM_OPEN) {
        s->drains = false;
        if (s->events->on_drain)
            s->events->on_drain(s->context, s);
    }
}

static int write_out(struct stream *s, struct outgoing *o)
{
    int sys = FAULT("net.send");
    if (sys)
        return uv_translate_sys_error(sys);
    uv_buf_t buf = uv_buf_init((char *)o->data.data, (unsigned)o->data.len);
    return uv_write(&o->request, (uv_stream_t *)s->tcp, &buf, 1, on_written);
}

int stream_write(struct stream *s, struct buffer *data)
{
    struct outgoing *o = calloc(1, sizeof(*o));
    int status = UV_ENOMEM;
    if (s->queued + data->len > STREAM_QUEUE_MAX) {
        stream_fail(s, ERROR_LIMIT, "%s takes nothing any more, and %zu bytes wait for it", s->peer, s->queued);
        free(o);
        return s->why.code;
    }
    if (o) {
        *o = (struct outgoing){.stream = s, .data = *data};
        o->request.data = o;
        status = write_out(s, o);
    }
    if (status) {
        free(o);
        fail_broken(s, status);
        return s->why.code;
    }
    s->queued += data->len;
    *data = (struct buffer){.limit = data->limit};
    return 0;
}

int stream_send(struct stream *s, const struct message *m, struct error *e)
{
    struct buffer data = {0};
    if (s->state != STREAM_OPEN && !(s->state == STREAM_SECURING && s->listener))
        return error_set(e, ERROR_UNREACHABLE, "the connection with %s is not open", s->peer);
    stream_take_spare(s, &data);
    int r = message_encode(m, &data, e);
    if (r == 0) {
        s->drains = true;
        if (s->tls)
            r = stream_tls_send(s, &data, e);
        else if (stream_write(s, &data) != 0)
            r = error_set(e, s->why.code, "%s", s->why.text);
    }
    stream_give_spare(s, &data);
    return r;
}

size_t stream_queued(const struct stream *s)
{
    return s->queued + s->early.len;
}

/* ------------------------------------------------------------ the end that we want */
static void begin_draining(struct stream *s)
{
    s->state = STREAM_DRAINING;
    uv_idle_stop(&s->later);
    stream_time_limit(s, DRAIN_MS);
    start_reading(s);
}

void stream_drain(struct stream *s)
{
    begin_draining(s);
    s->shutdown.data = s;
    int status = s->state == STREAM_CLOSED ? 0 : uv_shutdown(&s->shutdown, (uv_stream_t *)s->tcp, on_shutdown);
    if (status)
        fail_broken(s, status);
}

void stream_close(struct stream *s)
{
    if (s->state == STREAM_DIALLING || (s->state == STREAM_SECURING && s->early.len == 0)) {
        stream_abort(s);
    } else if (s->state == STREAM_SECURING) {
        begin_draining(s);
    } else if (s->state == STREAM_OPEN) {
        if (s->link)
            stream_tls_end(s);
        if (s->state == STREAM_OPEN)
            stream_drain(s);
    }
}

const char *stream_peer(const struct stream *s)
{
    return s->peer;
}

const struct identity *stream_identity(const struct stream *s)
{
    return &s->identity;
}

int stream_judge_again(const struct stream *s, struct error *e)
{
    if (s->link && !s->secured)
        return error_set(e, ERROR_BUSY, "what certificates are judged by changed during its handshake");
    return s->link && s->identity.kind != IDENTITY_NONE ? tls_judge_again(s->link, e) : 0;
}

const struct identity *stream_late(const struct stream *s)
{
    return &s->late;
}

bool stream_peer_address(const struct stream *s, struct net_address *address, uint16_t *port)
{
    struct sockaddr_storage name;
    const struct sockaddr_in *v4 = (const void *)&name;
    const struct sockaddr_in6 *v6 = (const void *)&name;
    *address = (struct net_address){0};
    if (s->state == STREAM_CLOSED || !net_peer(s->tcp, &name))
        return false;
    if (name.ss_family == AF_INET) {
        address->family = FAMILY_IP4;
        memcpy(address->addr, &v4->sin_addr, 4);
        *port = ntohs(v4->sin_port);
    } else if (name.ss_family == AF_INET6) {
        address->family = FAMILY_IP6;
        memcpy(address->addr, &v6->sin6_addr, 16);
        *port = ntohs(v6->sin6_port);
    }
    return address->family != 0;
}

/* ------------------------------------------------------------ the beginning */
static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

int stream_new_tcp(struct stream *s)
{
    uv_tcp_t *tcp = malloc(sizeof(*tcp));
    if (!tcp)
        return UV_ENOMEM;
    uv_tcp_init(s->loop, tcp);
    tcp->data = s;
    if (s->tcp)
        uv_close((uv_handle_t *)s->tcp, free_handle);
    s->tcp = tcp;
    return 0;
}

struct stream *stream_alloc(uv_loop_t *loop, struct tls *tls, const struct stream_events *events, void *context)
{
    struct stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->loop = loop;
    s->tls = tls_ref(tls);
    s->events = events;
    s->context = context;
    s->in.limit = IN_MAX;
    if (stream_new_tcp(s) != 0) {
        free(s);
        return NULL;
    }
    uv_timer_init(loop, &s->timer);
    uv_idle_init(loop, &s->later);
    s->timer.data = s;
    s->later.data = s;
    s->handles = 3;
    return s;
}

/* A peer that vanished without a word is noticed in half a minute, whether we send or wait. */
static void set_options(struct stream *s)
{
    static const struct {
        int name, value;
    } options[] = {
        {TCP_KEEPINTVL, KEEPALIVE_S / 2},
        {TCP_KEEPCNT, KEEPALIVE_TRIES},
        {TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
    };
    uv_os_fd_t fd;
    uv_tcp_nodelay(s->tcp, 1);
    uv_tcp_keepalive(s->tcp, 1, KEEPALIVE_S);
    if (uv_fileno((uv_handle_t *)s->tcp, &fd) != 0)
        return;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)!setsockopt(fd, IPPROTO_TCP, options[i].name, &options[i].value, sizeof(options[i].value));
}

void stream_time_limit(struct stream *s, uint64_t timeout_ms)
{
    uv_timer_start(&s->timer, on_timer, timeout_ms, 0);
}

void stream_begin(struct stream *s)
{
    struct sockaddr_storage peer;
    if (net_peer(s->tcp, &peer))
        net_format((struct sockaddr *)&peer, s->peer);
    set_options(s);
    if (s->tls) {
        stream_tls_begin(s);
    } else {
        s->state = STREAM_OPEN;
        uv_timer_stop(&s->timer);
    }
    if (!s->paused && is_up(s))
        start_reading(s);
}
