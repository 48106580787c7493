#include "tests/unit/tls_world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE_MS 60000

struct members all;

void end_say_hello(struct stream *s)
{
    struct message m = {.type = MESSAGE_HELLO, .hello = {.role = ROLE_CLIENT, .protocol = NET_PROTOCOL}};
    assert_int_equal(stream_send(s, &m, NULL), 0);
}

static void on_open(void *context, struct stream *s)
{
    struct end *end = context;
    end->opens++;
    end->peer = *stream_identity(s);
    end_say_hello(s);
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct end *end = context;
    if (end->messages++ == 0)
        end->peer = *stream_identity(s);
    end->last_type = m->type;
}

static void on_close(void *context, struct stream *s, const struct error *why)
{
    struct end *end = context;
    (void)s;
    end->closes++;
    end->why = *why;
    end->stream = NULL;
}

static const struct stream_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};

static bool on_accept(void *context, struct stream *s, const struct stream_events **e, void **stream_context)
{
    struct world *w = context;
    struct end *end = &w->server[w->accepted++];
    assert_in_range(w->accepted, 1, ENDS);
    assert_int_equal(stream_identity(s)->kind, IDENTITY_NONE);
    end->stream = s;
    *e = &events;
    *stream_context = end;
    return true;
}

static void on_patience(uv_timer_t *timer)
{
    ((struct world *)timer->data)->ran_out = true;
}

void world_begin(struct world *w, struct tls *theirs)
{
    *w = (struct world){.accepted = 0};
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->patience);
    w->patience.data = w;
    uv_timer_start(&w->patience, on_patience, PATIENCE_MS, 0);
    uv_unref((uv_handle_t *)&w->patience);
    assert_int_equal(listener_new(&w->loop, theirs, "127.0.0.1:0", MOST_STREAMS, on_accept, w, &w->listener, NULL), 0);
    snprintf(w->address, sizeof w->address, "127.0.0.1:%d", listener_port(w->listener));
}

void world_end(struct world *w)
{
    listener_close(w->listener);
    uv_close((uv_handle_t *)&w->patience, NULL);
    if (w->client.stream)
        stream_abort(w->client.stream);
    for (size_t i = 0; i < ENDS; i++)
        if (w->server[i].stream)
            stream_abort(w->server[i].stream);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

void world_dial(struct world *w, struct tls *ours)
{
    struct error e = ERROR_INIT;
    w->client = (struct end){0};
    if (stream_connect(&w->loop, ours, w->address, 5000, &events, &w->client, &w->client.stream, &e) != 0)
        fail_msg("%s", e.text);
}

void error_has_text(const struct error *e, int code, const char *text)
{
    if (e->code != code || !strstr(e->text, text))
        fail_msg("%s (%d, expected %d and '%s')", e->text, e->code, code, text);
}

int members_make(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    test_ca_make(&all.ca, "ours");
    test_ca_make(&all.other, "other");
    all.agent = test_tls(&all.ca, &all.ca, IDENTITY_AGENT, "web-1");
    all.user = test_tls(&all.ca, &all.ca, IDENTITY_USER, "alice");
    all.collector = test_tls(&all.ca, &all.ca, IDENTITY_COLLECTOR, "hub");
    return 0;
}

int members_drop(void **state)
{
    (void)state;
    tls_unref(all.agent);
    tls_unref(all.user);
    tls_unref(all.collector);
    test_ca_free(&all.ca);
    test_ca_free(&all.other);
    return 0;
}
