#include "tests/unit/stream_world.h"

#include "tests/unit/tls_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE_MS 60000

const uint8_t end_block[NET_PIECE_MAX] = {1, 2, 3};

static void send_hello(struct stream *s)
{
    struct message m = {.type = MESSAGE_HELLO, .hello = {.role = ROLE_CLIENT, .protocol = NET_PROTOCOL}};
    assert_int_equal(stream_send(s, &m, NULL), 0);
}

void end_send_result(struct stream *s, uint32_t length)
{
    struct message m = {.type = MESSAGE_RESULT, .result = {.data = end_block, .length = length}};
    assert_int_equal(stream_send(s, &m, NULL), 0);
}

static void end_on_open(void *context, struct stream *s)
{
    struct end *end = context;
    end->opens++;
    assert_int_equal(end->closes, 0);
    if (end->abort_at_open)
        stream_abort(s);
    else if (end->close_at_open)
        stream_close(s);
    else
        send_hello(s);
}

static void end_on_message(void *context, struct stream *s, const struct message *m)
{
    struct end *end = context;
    end->messages++;
    end->last_type = m->type;
    assert_int_equal(end->closes, 0);
    if (m->type == MESSAGE_RESULT)
        end->bytes += m->result.length;
    if (end->answer || end->results_at_message)
        end_send_result(s, 10); /* the first frame is a small one */
    for (unsigned i = 0; i < end->results_at_message; i++)
        end_send_result(s, NET_PIECE_MAX);
    if (end->pause_at_message)
        stream_pause(s);
    if (end->close_at_message)
        stream_close(s);
    if (end->abort_at_message)
        stream_abort(s);
}

static void end_on_drain(void *context, struct stream *s)
{
    struct end *end = context;
    end->drains++;
    assert_int_equal(end->closes, 0);
    assert_int_equal(stream_queued(s), 0);
}

static void end_on_close(void *context, struct stream *s, const struct error *why)
{
    struct end *end = context;
    (void)s;
    end->closes++;
    end->why = *why;
    end->stream = NULL;
}

const struct stream_events end_events = {end_on_open, end_on_message, end_on_drain, end_on_close};

bool world_on_accept(void *context, struct stream *s, const struct stream_events **e, void **stream_context)
{
    struct world *w = context;
    struct end *end = &w->server[w->accepted++];
    end->stream = s;
    *e = &end_events;
    *stream_context = end;
    return !w->refuse;
}

static void on_patience(uv_timer_t *timer)
{
    struct world *w = timer->data;
    w->ran_out = true;
}

static struct tls *agent_tls, *collector_tls;

int certificates_make(void **state)
{
    struct test_ca ca;
    (void)state;
    test_ca_make(&ca, "test");
    agent_tls = test_tls(&ca, &ca, IDENTITY_AGENT, "web-1");
    collector_tls = test_tls(&ca, &ca, IDENTITY_COLLECTOR, "hub");
    test_ca_free(&ca);
    return 0;
}

int certificates_drop(void **state)
{
    (void)state;
    tls_unref(agent_tls);
    tls_unref(collector_tls);
    return 0;
}

static int begin_world(void **state, struct tls *ours, struct tls *theirs)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error e = ERROR_INIT;
    assert_non_null(w);
    w->ours = ours;
    w->theirs = theirs;
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->patience);
    w->patience.data = w;
    uv_timer_start(&w->patience, on_patience, PATIENCE_MS, 0);
    uv_unref((uv_handle_t *)&w->patience);
    assert_int_equal(
        listener_new(&w->loop, w->theirs, "127.0.0.1:0", MOST_STREAMS, world_on_accept, w, &w->listener, &e), 0);
    snprintf(w->address, sizeof(w->address), "127.0.0.1:%d", listener_port(w->listener));
    *state = w;
    return 0;
}

int world_set_up(void **state)
{
    return begin_world(state, NULL, NULL);
}

int world_set_up_tls(void **state)
{
    return begin_world(state, agent_tls, collector_tls);
}

int world_tear_down(void **state)
{
    struct world *w = *state;
    listener_close(w->listener);
    uv_close((uv_handle_t *)&w->patience, NULL);
    if (w->client.stream)
        stream_abort(w->client.stream);
    for (size_t i = 0; i < sizeof(w->server) / sizeof(w->server[0]); i++)
        if (w->server[i].stream)
            stream_abort(w->server[i].stream);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0); /* nothing was left open */
    free(w);
    return 0;
}

void world_settle(struct world *w)
{
    for (int i = 0; i < 20; i++) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

void world_dial(struct world *w)
{
    struct error e = ERROR_INIT;
    if (stream_connect(&w->loop, w->ours, w->address, 5000, &end_events, &w->client, &w->client.stream, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(w->client.opens + w->client.closes, 0);
}

void world_both_closed(struct world *w)
{
    struct end *c = &w->client, *s = &w->server[0];
    RUN_UNTIL(w, c->closes && s->closes);
    world_settle(w);
    assert_int_equal(c->closes, 1);
    assert_int_equal(s->closes, 1);
}
