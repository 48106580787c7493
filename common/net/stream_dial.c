/*
 * Making a connection: a name is resolved on libuv's pool, then its addresses are tried one after the other, all within
 * one time limit. A resolver that was asked cannot be stopped: so `struct stream_dial` is memory of its own, which the
 * resolver's callback frees if the stream is gone by then.
 */
#include "common/net/stream_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stream_dial {
    struct stream *stream; /* NULL: it is gone */
    uv_getaddrinfo_t resolver;
    bool resolving; /* the resolver will call back */
    uv_connect_t connect;
    struct addrinfo *addresses; /* owned */
    struct addrinfo *next;      /* to be tried */
    int status;                 /* why the last one failed */
    char host[256];
    uint16_t port;
    struct sockaddr_storage numeric; /* of an address that needs no resolver */
    uint64_t timeout_ms;
};

static void dial_free(struct stream_dial *d)
{
    if (d->addresses)
        uv_freeaddrinfo(d->addresses);
    free(d);
}

void stream_dial_forget(struct stream *s)
{
    struct stream_dial *d = s->dial;
    s->dial = NULL;
    if (!d)
        return;
    d->stream = NULL;
    if (!d->resolving)
        dial_free(d);
}

static void fail_dial(struct stream *s, int status)
{
    stream_fail(s, ERROR_UNREACHABLE,
                "cannot connect to %s: %s; check the address, that the collector runs there, and what stands between",
                s->peer, uv_strerror(status));
}

/* Which machine asks is not plain where the message is passed on. */
static void fail_name(struct stream_dial *d, int status)
{
    stream_fail(d->stream, ERROR_UNREACHABLE,
                "cannot connect to %s: this machine does not resolve the name '%.100s' (%s); let it, or give the "
                "collector an address that is known everywhere: `address = ADDRESS:PORT` in its collector.conf, which "
                "new tokens then name",
                d->stream->peer, d->host, uv_strerror(status));
}

void stream_dial_timeout(struct stream *s)
{
    stream_fail(s, ERROR_UNREACHABLE, "cannot connect to %s: %s within %llu ms; check the address and the network",
                s->peer, s->dial->resolving ? "its name was not resolved" : "no answer",
                (unsigned long long)s->dial->timeout_ms);
}

static void try_next(struct stream_dial *d);

static void on_connect(uv_connect_t *request, int status)
{
    struct stream_dial *d = request->data;
    struct stream *s = d->stream;
    if (!s || s->state != STREAM_DIALLING)
        return;
    if (status) {
        d->status = status;
        try_next(d);
        return;
    }
    stream_dial_forget(s);
    stream_begin(s);
    if (s->state == STREAM_OPEN && s->events->on_open)
        s->events->on_open(s->context, s);
}

static int dial(struct stream_dial *d, const struct sockaddr *address)
{
    int status = d->status ? stream_new_tcp(d->stream) : 0; /* a handle that failed cannot be used again */
    d->connect.data = d;
    return status ? status : uv_tcp_connect(&d->connect, d->stream->tcp, address, on_connect);
}

static void try_next(struct stream_dial *d)
{
    while (d->next) {
        const struct addrinfo *a = d->next;
        d->next = a->ai_next;
        int status = dial(d, a->ai_addr);
        if (status == 0)
            return;
        d->status = status;
    }
    fail_dial(d->stream, d->status ? d->status : UV_EADDRNOTAVAIL);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct stream_dial *d = request->data;
    struct stream *s = d->stream;
    d->resolving = false;
    d->addresses = addresses;
    d->next = addresses;
    if (!s)
        dial_free(d);
    else if (s->state != STREAM_DIALLING)
        return; /* forgotten when its handles are closed */
    else if (status)
        fail_name(d, status);
    else
        try_next(d);
}

static void resolve(struct stream_dial *d)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char service[8];
    snprintf(service, sizeof(service), "%u", d->port);
    d->resolver.data = d;
    d->resolving = true;
    int status = uv_getaddrinfo(d->stream->loop, &d->resolver, on_resolved, d->host, service, &hints);
    if (status) {
        d->resolving = false;
        fail_name(d, status);
    }
}

static bool is_numeric(struct stream_dial *d)
{
    return uv_ip4_addr(d->host, d->port, (struct sockaddr_in *)&d->numeric) == 0 ||
           uv_ip6_addr(d->host, d->port, (struct sockaddr_in6 *)&d->numeric) == 0;
}

static void start(struct stream_dial *d)
{
    if (!is_numeric(d)) {
        resolve(d);
        return;
    }
    int status = dial(d, (const struct sockaddr *)&d->numeric);
    if (status)
        fail_dial(d->stream, status);
}

int stream_connect(uv_loop_t *loop, struct tls *tls, const char *address, uint64_t timeout_ms,
                   const struct stream_events *events, void *context, struct stream **out, struct error *e)
{
    struct stream_dial *d = calloc(1, sizeof(*d));
    if (!d)
        return error_set(e, ERROR_MEMORY, "no memory to connect to %s", address);
    int r = net_split(address, d->host, &d->port, e);
    struct stream *s = r ? NULL : stream_alloc(loop, tls, events, context);
    if (!s) {
        free(d);
        return r ? r : error_set(e, ERROR_MEMORY, "no memory to connect to %s", address);
    }
    s->state = STREAM_DIALLING;
    s->dial = d;
    d->stream = s;
    d->timeout_ms = timeout_ms;
    snprintf(s->peer, sizeof(s->peer), strchr(d->host, ':') ? "[%s]:%u" : "%s:%u", d->host, d->port);
    stream_time_limit(s, timeout_ms);
    start(d);
    *out = s;
    return 0;
}
