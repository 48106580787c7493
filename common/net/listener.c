#include "common/net/stream_impl.h"

#include "common/base/log.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG      128
#define REFUSING_MAX 16u   /* streams over the limit that are being told so; further ones are just closed */
#define PATIENCE_MS  1000u /* once there is no room, who said nothing for that long has to go */

struct listener {
    uv_tcp_t tcp;
    uv_loop_t *loop;
    listener_accept_fn *on_accept;
    void *context;
    struct tls *tls; /* referred to; NULL: plain TCP */
    unsigned most;
    uint64_t greeting_ms;
    unsigned streams;                    /* accepted and not freed; each needs this struct */
    struct stream *silent, **silent_end; /* those from which no message came yet, in order of their coming */
    bool closed;
};

static const struct stream_events no_events;

static void free_if_done(struct listener *l)
{
    if (!l->closed || l->streams)
        return;
    tls_unref(l->tls);
    free(l);
}

void listener_greeted(struct stream *s)
{
    if (!s->silent_link)
        return;
    *s->silent_link = s->silent_next;
    if (s->silent_next)
        s->silent_next->silent_link = s->silent_link;
    else
        s->listener->silent_end = s->silent_link;
    s->silent_link = NULL;
}

static void add_silent(struct listener *l, struct stream *s)
{
    s->since_ms = uv_now(l->loop);
    s->silent_link = l->silent_end;
    *l->silent_end = s;
    l->silent_end = &s->silent_next;
}

/* Whoever opens connections and says nothing must not keep the others out. */
static bool make_room(struct listener *l)
{
    struct stream *oldest = l->silent;
    if (!oldest || uv_now(l->loop) - oldest->since_ms < PATIENCE_MS)
        return false;
    stream_fail(oldest, ERROR_BUSY, "the peer %s did not say who it is, and its place was needed", oldest->peer);
    return true;
}

void listener_forget(struct stream *s)
{
    struct listener *l = s->listener;
    listener_greeted(s);
    l->streams--;
    free_if_done(l);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    l->closed = true;
    free_if_done(l);
}

void listener_close(struct listener *l)
{
    if (l && !uv_is_closing((uv_handle_t *)&l->tcp))
        uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
}

static void ignore_message(void *context, struct stream *s, const struct message *m)
{
    (void)context;
    (void)s;
    (void)m;
}

static const struct stream_events refused_events = {.on_message = ignore_message};

static void refuse_busy(struct listener *l, struct stream *s)
{
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof(text), "%u connections are open, which is the most that are allowed: try again later",
             l->most);
    struct message m = {.type = MESSAGE_REFUSE, .refuse = {.code = ERROR_BUSY, .text = text}};
    s->events = &refused_events;
    if (l->streams > l->most + REFUSING_MAX || stream_send(s, &m, NULL) != 0)
        stream_abort(s);
    else
        stream_close(s);
}

static void offer(struct listener *l, struct stream *s)
{
    const struct stream_events *events = &no_events;
    void *context = NULL;
    if (!l->on_accept(l->context, s, &events, &context)) {
        stream_abort(s);
        return;
    }
    s->events = events;
    s->context = context;
    add_silent(l, s);
    stream_time_limit(s, l->greeting_ms);
    stream_resume(s);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *l = server->data;
    struct stream *s = status ? NULL : stream_alloc(l->loop, l->tls, &no_events, NULL);
    if (!s) {
        log_warn("net: cannot accept a connection: %s", uv_strerror(status ? status : UV_ENOMEM));
        return;
    }
    s->listener = l;
    l->streams++;
    if (uv_accept(server, (uv_stream_t *)s->tcp) != 0) {
        stream_abort(s);
        return;
    }
    bool busy = l->streams > l->most && !make_room(l);
    s->paused = true; /* nothing is read before its owner is known */
    stream_begin(s);
    if (busy)
        refuse_busy(l, s);
    else
        offer(l, s);
}

static int resolve(uv_loop_t *loop, const char *address, struct sockaddr_storage *out, struct error *e)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char host[256];
    uint16_t port;
    char service[8];
    uv_getaddrinfo_t request;
    int r = net_split(address, host, &port, e);
    if (r)
        return r;
    snprintf(service, sizeof(service), "%u", port);
    int status = uv_getaddrinfo(loop, &request, NULL, host, service, &hints);
    if (status)
        return error_set(e, ERROR_USAGE, "cannot listen on %s: %s", address, uv_strerror(status));
    memcpy(out, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return 0;
}

int listener_new(uv_loop_t *loop, struct tls *tls, const char *address, unsigned most, listener_accept_fn *on_accept,
                 void *context, struct listener **out, struct error *e)
{
    struct sockaddr_storage where = {0};
    int r = resolve(loop, address, &where, e);
    struct listener *l = r ? NULL : calloc(1, sizeof(*l));
    if (!l)
        return r ? r : error_set(e, ERROR_MEMORY, "no memory to listen on %s", address);
    *l = (struct listener){.loop = loop, .tls = tls_ref(tls), .on_accept = on_accept, .context = context, .most = most};
    l->greeting_ms = LISTENER_GREETING_MS;
    l->silent_end = &l->silent;
    uv_tcp_init(loop, &l->tcp);
    l->tcp.data = l;
    int status = uv_tcp_bind(&l->tcp, (struct sockaddr *)&where, 0);
    if (!status)
        status = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
    if (status) {
        listener_close(l);
        return error_set(e, ERROR_SYSTEM, "cannot listen on %s: %s; is another program there already?", address,
                         uv_strerror(status));
    }
    *out = l;
    return 0;
}

void listener_set_greeting(struct listener *l, uint64_t ms)
{
    l->greeting_ms = ms;
}

int listener_port(const struct listener *l)
{
    struct sockaddr_storage where;
    int len = sizeof(where);
    if (uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&where, &len) != 0)
        return 0;
    return ntohs(where.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)&where)->sin6_port
                                             : ((const struct sockaddr_in *)(const void *)&where)->sin_port);
}
