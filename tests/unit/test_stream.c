/*
 * Streams: messages go both ways, and each end, however it comes about, is told once and with a reason; on plain TCP, and
 * likewise over TLS.
 */
#include "tests/unit/stream_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ both ways */
static void messages_go_both_ways(void **state)
{
    struct world *w = *state;
    w->server[0].answer = true;
    world_dial(w);
    RUN_UNTIL(w, w->client.messages == 1);
    assert_int_equal(w->client.opens, 1);
    assert_int_equal(w->server[0].opens, 0);
    assert_int_equal(w->server[0].last_type, MESSAGE_HELLO);
    assert_int_equal(w->client.last_type, MESSAGE_RESULT);
    assert_string_equal(stream_peer(w->client.stream), w->address);
    RUN_UNTIL(w, w->client.drains == 1 && w->server[0].drains == 1);
    stream_close(w->client.stream);
    world_both_closed(w);
    assert_int_equal(w->client.why.code, 0);
    assert_int_equal(w->server[0].why.code, 0);
}

static void all_is_sent_before_a_close(void **state)
{
    struct world *w = *state;
    w->server[0].results_at_message = 100; /* more than any socket buffer */
    w->server[0].close_at_message = true;
    world_dial(w);
    world_both_closed(w);
    assert_int_equal(w->client.bytes, 10 + (uint64_t)100 * NET_PIECE_MAX);
    assert_int_equal(w->client.why.code, 0);
    assert_int_equal(w->server[0].why.code, 0);
}

static void a_pause_holds_messages_back(void **state)
{
    struct world *w = *state;
    w->client.pause_at_message = true;
    w->server[0].results_at_message = 50;
    world_dial(w);
    for (unsigned i = 1; i <= 51; i++) {
        RUN_UNTIL(w, w->client.messages == i);
        world_settle(w);
        assert_int_equal(w->client.messages, i);
        stream_resume(w->client.stream);
        assert_int_equal(w->client.messages, i); /* never from inside the call */
    }
    assert_int_equal(w->client.bytes, 10 + (uint64_t)50 * NET_PIECE_MAX);
}

/* A reader that reads nothing makes the sender's queue grow, which shows, and ends at the limit. */
static void a_queue_has_a_limit(void **state)
{
    struct world *w = *state;
    struct message m = {.type = MESSAGE_RESULT, .result = {.data = end_block, .length = NET_PIECE_MAX}};
    struct error e = ERROR_INIT;
    size_t most = 0;
    w->server[0].pause_at_message = true;
    world_dial(w);
    RUN_UNTIL(w, w->server[0].messages == 1);
    for (int i = 0; i < 400 && stream_send(w->client.stream, &m, &e) == 0; i++)
        most = stream_queued(w->client.stream);
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_in_range(most, STREAM_QUEUE_HIGH, STREAM_QUEUE_MAX);
    assert_int_equal(w->client.closes, 0);
    RUN_UNTIL(w, w->client.closes);
    assert_int_equal(w->client.why.code, ERROR_LIMIT);
    assert_int_equal(w->client.drains, 1); /* of the hello; none for what was dropped */
}

static void bulk_goes_on_at_drain(void **state)
{
    struct world *w = *state;
    w->server[0].pause_at_message = true;
    world_dial(w);
    RUN_UNTIL(w, w->server[0].messages == 1 && w->client.drains == 1);
    for (unsigned i = 0; i < 64; i++)
        end_send_result(w->client.stream, NET_PIECE_MAX);
    assert_true(stream_queued(w->client.stream) >= STREAM_QUEUE_HIGH);
    world_settle(w);
    assert_int_equal(w->client.drains, 1);
    w->server[0].pause_at_message = false;
    stream_resume(w->server[0].stream);
    RUN_UNTIL(w, w->client.drains == 2);
    RUN_UNTIL(w, w->server[0].bytes == (uint64_t)64 * NET_PIECE_MAX);
}

/* ------------------------------------------------------------ the end, in every state */
static void closed_while_connecting(void **state)
{
    struct world *w = *state;
    for (int abort = 0; abort < 2; abort++) {
        w->client = (struct end){0};
        world_dial(w);
        if (abort)
            stream_abort(w->client.stream);
        else
            stream_close(w->client.stream);
        assert_int_equal(w->client.closes, 0);
        RUN_UNTIL(w, w->client.closes);
        world_settle(w);
        assert_int_equal(w->client.closes, 1);
        assert_int_equal(w->client.opens, 0);
        assert_int_equal(w->client.why.code, 0);
    }
}

static void closed_while_resolving(void **state)
{
    struct world *w = *state;
    struct error e = ERROR_INIT;
    assert_int_equal(
        stream_connect(&w->loop, w->ours, "localhost:1", 5000, &end_events, &w->client, &w->client.stream, &e), 0);
    stream_close(w->client.stream);
    RUN_UNTIL(w, w->client.closes);
    world_settle(w);
    assert_int_equal(w->client.closes, 1);
    assert_int_equal(w->client.opens, 0);
}

static void closed_when_open(void **state)
{
    struct world *w = *state;
    w->client.close_at_open = true;
    world_dial(w);
    world_both_closed(w);
    assert_int_equal(w->client.opens, 1);
    assert_int_equal(w->client.why.code, 0);
    assert_int_equal(w->server[0].messages, 0);
}

static void aborted_when_open(void **state)
{
    struct world *w = *state;
    w->client.abort_at_open = true;
    world_dial(w);
    world_both_closed(w);
    assert_int_equal(w->client.why.code, 0);
}

static void aborted_inside_a_message(void **state)
{
    struct world *w = *state;
    w->server[0].abort_at_message = true;
    w->server[0].results_at_message = 30;
    world_dial(w);
    world_both_closed(w);
    assert_int_equal(w->server[0].messages, 1);
    assert_int_equal(w->server[0].drains, 0);
}

static void closed_twice_is_closed_once(void **state)
{
    struct world *w = *state;
    world_dial(w);
    RUN_UNTIL(w, w->server[0].messages == 1);
    struct stream *s = w->client.stream;
    stream_close(s);
    stream_close(s);
    stream_abort(s);
    stream_abort(s);
    stream_close(s);
    struct message m = {.type = MESSAGE_STATUS};
    assert_int_equal(stream_send(s, &m, NULL), ERROR_UNREACHABLE);
    world_both_closed(w);
}

static void closed_while_paused(void **state)
{
    struct world *w = *state;
    w->server[0].pause_at_message = true;
    world_dial(w);
    RUN_UNTIL(w, w->server[0].messages == 1);
    end_send_result(w->client.stream, NET_PIECE_MAX);
    world_settle(w);
    stream_close(w->server[0].stream);
    world_both_closed(w);
    assert_int_equal(w->server[0].messages, 1);
    assert_int_equal(w->client.why.code, 0);
}

/* The other side takes nothing: the wait has an end, and the loss is told. */
static void a_close_does_not_wait_for_ever(void **state)
{
    struct world *w = *state;
    w->server[0].pause_at_message = true;
    world_dial(w);
    RUN_UNTIL(w, w->server[0].messages == 1);
    for (unsigned i = 0; i < 64; i++)
        end_send_result(w->client.stream, NET_PIECE_MAX);
    uint64_t start = uv_now(&w->loop);
    stream_close(w->client.stream);
    RUN_UNTIL(w, w->client.closes);
    assert_in_range(uv_now(&w->loop) - start, 1900, 5000);
    assert_int_equal(w->client.why.code, ERROR_UNREACHABLE);
    assert_non_null(strstr(w->client.why.text, "had not taken"));
}

/* ------------------------------------------------------------ who cannot be reached */
static void nobody_listens(void **state)
{
    struct world *w = *state;
    struct error e = ERROR_INIT;
    char address[32];
    struct listener *gone;
    assert_int_equal(listener_new(&w->loop, w->theirs, "127.0.0.1:0", 1, world_on_accept, w, &gone, &e), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", listener_port(gone));
    listener_close(gone);
    world_settle(w);
    assert_int_equal(stream_connect(&w->loop, w->ours, address, 5000, &end_events, &w->client, &w->client.stream, &e),
                     0);
    RUN_UNTIL(w, w->client.closes);
    assert_int_equal(w->client.opens, 0);
    assert_int_equal(w->client.why.code, ERROR_UNREACHABLE);
    assert_non_null(strstr(w->client.why.text, address));
    assert_non_null(strstr(w->client.why.text, "refused"));
}

static void a_name_is_resolved_and_all_its_addresses_tried(void **state)
{
    struct world *w = *state;
    char address[32];
    snprintf(address, sizeof(address), "localhost:%d", listener_port(w->listener));
    struct error e = ERROR_INIT;
    assert_int_equal(stream_connect(&w->loop, w->ours, address, 5000, &end_events, &w->client, &w->client.stream, &e),
                     0);
    RUN_UNTIL(w, w->server[0].messages == 1);
    assert_int_equal(w->client.opens, 1);
}

static void a_name_that_does_not_exist(void **state)
{
    struct world *w = *state;
    struct error e = ERROR_INIT;
    assert_int_equal(stream_connect(&w->loop, w->ours, "no-such-host.invalid:1", 10000, &end_events, &w->client,
                                    &w->client.stream, &e),
                     0);
    RUN_UNTIL(w, w->client.closes);
    assert_int_equal(w->client.why.code, ERROR_UNREACHABLE);
    assert_non_null(strstr(w->client.why.text, "no-such-host.invalid:1"));
}

/* ------------------------------------------------------------ addresses */
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

#define OVER_TLS(name)                                                                                                 \
    {                                                                                                                  \
#name " over TLS", name, world_set_up_tls, world_tear_down, NULL                                               \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_go_both_ways),
        TEST(all_is_sent_before_a_close),
        TEST(a_pause_holds_messages_back),
        TEST(a_queue_has_a_limit),
        TEST(bulk_goes_on_at_drain),
        TEST(closed_while_connecting),
        TEST(closed_while_resolving),
        TEST(closed_when_open),
        TEST(aborted_when_open),
        TEST(aborted_inside_a_message),
        TEST(closed_twice_is_closed_once),
        TEST(closed_while_paused),
        TEST(a_close_does_not_wait_for_ever),
        TEST(nobody_listens),
        TEST(a_name_is_resolved_and_all_its_addresses_tried),
        TEST(a_name_that_does_not_exist),
        OVER_TLS(messages_go_both_ways),
        OVER_TLS(all_is_sent_before_a_close),
        OVER_TLS(a_pause_holds_messages_back),
        OVER_TLS(a_queue_has_a_limit),
        OVER_TLS(bulk_goes_on_at_drain),
        OVER_TLS(closed_while_connecting),
        OVER_TLS(closed_while_resolving),
        OVER_TLS(closed_when_open),
        OVER_TLS(aborted_when_open),
        OVER_TLS(aborted_inside_a_message),
        OVER_TLS(closed_twice_is_closed_once),
        OVER_TLS(closed_while_paused),
        OVER_TLS(a_close_does_not_wait_for_ever),
        OVER_TLS(nobody_listens),
        OVER_TLS(a_name_is_resolved_and_all_its_addresses_tried),
    };
    return cmocka_run_group_tests(tests, certificates_make, certificates_drop);
}
