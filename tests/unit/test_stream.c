/*
 * Streams: messages go both ways, and each end, however it comes about, is told once and with a reason; on plain TCP, and
 * likewise over TLS.
 */
#include "tests/unit/support.h"
#include "tests/unit/tls_support.h"

#include "common/net/stream.h"
#include "common/packet/packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_STREAMS 3
#define PATIENCE_MS  60000

/* One end of a connection and what it was told. */
struct end {
    struct stream *stream;
    unsigned opens, messages, drains, closes;
    uint64_t bytes; /* of results */
    enum message_type last_type;
    struct error why;
    bool close_at_open, abort_at_open, pause_at_message, close_at_message, abort_at_message, answer;
    unsigned results_at_message; /* how many results to send for a query */
};

struct world {
    uv_loop_t loop;
    struct tls *ours, *theirs; /* of the client, of the listener; NULL: plain TCP */
    uv_timer_t patience;
    struct listener *listener;
    char address[32];
    struct end client, server[MOST_STREAMS + 4];
    unsigned accepted;
    bool refuse;
    bool ran_out;
};

static const uint8_t block[NET_PIECE_MAX] = {1, 2, 3};

static void send_hello(struct stream *s)
{
    struct message m = {.type = MESSAGE_HELLO, .hello = {.role = ROLE_CLIENT, .protocol = NET_PROTOCOL}};
    assert_int_equal(stream_send(s, &m, NULL), 0);
}

static void send_result(struct stream *s, uint32_t length)
{
    struct message m = {.type = MESSAGE_RESULT, .result = {.data = block, .length = length}};
    assert_int_equal(stream_send(s, &m, NULL), 0);
}

static void on_open(void *context, struct stream *s)
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

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct end *end = context;
    end->messages++;
    end->last_type = m->type;
    assert_int_equal(end->closes, 0);
    if (m->type == MESSAGE_RESULT)
        end->bytes += m->result.length;
    if (end->answer || end->results_at_message)
        send_result(s, 10); /* the first frame is a small one */
    for (unsigned i = 0; i < end->results_at_message; i++)
        send_result(s, NET_PIECE_MAX);
    if (end->pause_at_message)
        stream_pause(s);
    if (end->close_at_message)
        stream_close(s);
    if (end->abort_at_message)
        stream_abort(s);
}

static void on_drain(void *context, struct stream *s)
{
    struct end *end = context;
    end->drains++;
    assert_int_equal(end->closes, 0);
    assert_int_equal(stream_queued(s), 0);
}

static void on_close(void *context, struct stream *s, const struct error *why)
{
    struct end *end = context;
    (void)s;
    end->closes++;
    end->why = *why;
    end->stream = NULL;
}

static const struct stream_events events = {on_open, on_message, on_drain, on_close};

static bool on_accept(void *context, struct stream *s, const struct stream_events **e, void **stream_context)
{
    struct world *w = context;
    struct end *end = &w->server[w->accepted++];
    end->stream = s;
    *e = &events;
    *stream_context = end;
    return !w->refuse;
}

/* ------------------------------------------------------------ the world */
static void on_patience(uv_timer_t *timer)
{
    struct world *w = timer->data;
    w->ran_out = true;
}

static struct tls *agent_tls, *collector_tls;

static int make_certificates(void **state)
{
    struct test_ca ca;
    (void)state;
    test_ca_make(&ca, "test");
    agent_tls = test_tls(&ca, &ca, IDENTITY_AGENT, "web-1");
    collector_tls = test_tls(&ca, &ca, IDENTITY_COLLECTOR, "hub");
    test_ca_free(&ca);
    return 0;
}

static int drop_certificates(void **state)
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
    assert_int_equal(listener_new(&w->loop, w->theirs, "127.0.0.1:0", MOST_STREAMS, on_accept, w, &w->listener, &e), 0);
    snprintf(w->address, sizeof(w->address), "127.0.0.1:%d", listener_port(w->listener));
    *state = w;
    return 0;
}

static int set_up(void **state)
{
    return begin_world(state, NULL, NULL);
}

static int set_up_tls(void **state)
{
    return begin_world(state, agent_tls, collector_tls);
}

static int tear_down(void **state)
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

/* Runs until the condition holds. */
#define RUN_UNTIL(w, condition)                                                                                        \
    do {                                                                                                               \
        while (!(condition) && !(w)->ran_out)                                                                          \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                           \
        assert_false((w)->ran_out);                                                                                    \
    } while (0)

/* As long as something happens, and a little more: so that a callback too many would come. */
static void settle(struct world *w)
{
    for (int i = 0; i < 20; i++) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static void dial(struct world *w)
{
    struct error e = ERROR_INIT;
    if (stream_connect(&w->loop, w->ours, w->address, 5000, &events, &w->client, &w->client.stream, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(w->client.opens + w->client.closes, 0);
}

static void both_closed(struct world *w)
{
    struct end *c = &w->client, *s = &w->server[0];
    RUN_UNTIL(w, c->closes && s->closes);
    settle(w);
    assert_int_equal(c->closes, 1);
    assert_int_equal(s->closes, 1);
}

/* A peer that speaks something else. */
static int raw_connect(struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)listener_port(w->listener))};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof(where)), 0);
    RUN_UNTIL(w, w->accepted == 1);
    return fd;
}

static void raw_send(int fd, const void *data, size_t len)
{
    assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

/* ------------------------------------------------------------ both ways */
static void messages_go_both_ways(void **state)
{
    struct world *w = *state;
    w->server[0].answer = true;
    dial(w);
    RUN_UNTIL(w, w->client.messages == 1);
    assert_int_equal(w->client.opens, 1);
    assert_int_equal(w->server[0].opens, 0);
    assert_int_equal(w->server[0].last_type, MESSAGE_HELLO);
    assert_int_equal(w->client.last_type, MESSAGE_RESULT);
    assert_string_equal(stream_peer(w->client.stream), w->address);
    RUN_UNTIL(w, w->client.drains == 1 && w->server[0].drains == 1);
    stream_close(w->client.stream);
    both_closed(w);
    assert_int_equal(w->client.why.code, 0);
    assert_int_equal(w->server[0].why.code, 0);
}

static void all_is_sent_before_a_close(void **state)
{
    struct world *w = *state;
    w->server[0].results_at_message = 100; /* more than any socket buffer */
    w->server[0].close_at_message = true;
    dial(w);
    both_closed(w);
    assert_int_equal(w->client.bytes, 10 + (uint64_t)100 * NET_PIECE_MAX);
    assert_int_equal(w->client.why.code, 0);
    assert_int_equal(w->server[0].why.code, 0);
}

static void a_pause_holds_messages_back(void **state)
{
    struct world *w = *state;
    w->client.pause_at_message = true;
    w->server[0].results_at_message = 50;
    dial(w);
    for (unsigned i = 1; i <= 51; i++) {
        RUN_UNTIL(w, w->client.messages == i);
        settle(w);
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
    struct message m = {.type = MESSAGE_RESULT, .result = {.data = block, .length = NET_PIECE_MAX}};
    struct error e = ERROR_INIT;
    size_t most = 0;
    w->server[0].pause_at_message = true;
    dial(w);
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
    dial(w);
    RUN_UNTIL(w, w->server[0].messages == 1 && w->client.drains == 1);
    for (unsigned i = 0; i < 64; i++)
        send_result(w->client.stream, NET_PIECE_MAX);
    assert_true(stream_queued(w->client.stream) >= STREAM_QUEUE_HIGH);
    settle(w);
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
        dial(w);
        if (abort)
            stream_abort(w->client.stream);
        else
            stream_close(w->client.stream);
        assert_int_equal(w->client.closes, 0);
        RUN_UNTIL(w, w->client.closes);
        settle(w);
        assert_int_equal(w->client.closes, 1);
        assert_int_equal(w->client.opens, 0);
        assert_int_equal(w->client.why.code, 0);
    }
}

static void closed_while_resolving(void **state)
{
    struct world *w = *state;
    struct error e = ERROR_INIT;
    assert_int_equal(stream_connect(&w->loop, w->ours, "localhost:1", 5000, &events, &w->client, &w->client.stream, &e),
                     0);
    stream_close(w->client.stream);
    RUN_UNTIL(w, w->client.closes);
    settle(w);
    assert_int_equal(w->client.closes, 1);
    assert_int_equal(w->client.opens, 0);
}

static void closed_when_open(void **state)
{
    struct world *w = *state;
    w->client.close_at_open = true;
    dial(w);
    both_closed(w);
    assert_int_equal(w->client.opens, 1);
    assert_int_equal(w->client.why.code, 0);
    assert_int_equal(w->server[0].messages, 0);
}

static void aborted_when_open(void **state)
{
    struct world *w = *state;
    w->client.abort_at_open = true;
    dial(w);
    both_closed(w);
    assert_int_equal(w->client.why.code, 0);
}

static void aborted_inside_a_message(void **state)
{
    struct world *w = *state;
    w->server[0].abort_at_message = true;
    w->server[0].results_at_message = 30;
    dial(w);
    both_closed(w);
    assert_int_equal(w->server[0].messages, 1);
    assert_int_equal(w->server[0].drains, 0);
}

static void closed_twice_is_closed_once(void **state)
{
    struct world *w = *state;
    dial(w);
    RUN_UNTIL(w, w->server[0].messages == 1);
    struct stream *s = w->client.stream;
    stream_close(s);
    stream_close(s);
    stream_abort(s);
    stream_abort(s);
    stream_close(s);
    struct message m = {.type = MESSAGE_STATUS};
    assert_int_equal(stream_send(s, &m, NULL), ERROR_UNREACHABLE);
    both_closed(w);
}

static void closed_while_paused(void **state)
{
    struct world *w = *state;
    w->server[0].pause_at_message = true;
    dial(w);
    RUN_UNTIL(w, w->server[0].messages == 1);
    send_result(w->client.stream, NET_PIECE_MAX);
    settle(w);
    stream_close(w->server[0].stream);
    both_closed(w);
    assert_int_equal(w->server[0].messages, 1);
    assert_int_equal(w->client.why.code, 0);
}

/* The other side takes nothing: the wait has an end, and the loss is told. */
static void a_close_does_not_wait_for_ever(void **state)
{
    struct world *w = *state;
    w->server[0].pause_at_message = true;
    dial(w);
    RUN_UNTIL(w, w->server[0].messages == 1);
    for (unsigned i = 0; i < 64; i++)
        send_result(w->client.stream, NET_PIECE_MAX);
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
    assert_int_equal(listener_new(&w->loop, w->theirs, "127.0.0.1:0", 1, on_accept, w, &gone, &e), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", listener_port(gone));
    listener_close(gone);
    settle(w);
    assert_int_equal(stream_connect(&w->loop, w->ours, address, 5000, &events, &w->client, &w->client.stream, &e), 0);
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
    assert_int_equal(stream_connect(&w->loop, w->ours, address, 5000, &events, &w->client, &w->client.stream, &e), 0);
    RUN_UNTIL(w, w->server[0].messages == 1);
    assert_int_equal(w->client.opens, 1);
}

static void a_name_that_does_not_exist(void **state)
{
    struct world *w = *state;
    struct error e = ERROR_INIT;
    assert_int_equal(
        stream_connect(&w->loop, w->ours, "no-such-host.invalid:1", 10000, &events, &w->client, &w->client.stream, &e),
        0);
    RUN_UNTIL(w, w->client.closes);
    assert_int_equal(w->client.why.code, ERROR_UNREACHABLE);
    assert_non_null(strstr(w->client.why.text, "no-such-host.invalid:1"));
}

static void errors_of_form_come_back(void **state)
{
    struct world *w = *state;
    const char *bad[] = {"", ":1", "a:b", "a:99999", "[::1", "[::1]x", "[]:1", "a:", "a:-1", "a: 1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct stream *s = NULL;
        struct error e = ERROR_INIT;
        assert_int_equal(stream_connect(&w->loop, w->ours, bad[i], 100, &events, &w->client, &s, &e), ERROR_USAGE);
        assert_null(s);
    }
    struct listener *l = NULL;
    struct error e = ERROR_INIT;
    assert_int_equal(listener_new(&w->loop, w->theirs, w->address, 1, on_accept, w, &l, &e), ERROR_SYSTEM);
    assert_non_null(strstr(e.text, w->address));
}

/* ------------------------------------------------------------ peers that break the rules */
static void garbage_is_named_and_closed(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(w);
    raw_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
    RUN_UNTIL(w, w->server[0].closes);
    assert_int_equal(w->server[0].why.code, ERROR_INVALID);
    assert_non_null(strstr(w->server[0].why.text, "127.0.0.1:"));
    assert_non_null(strstr(w->server[0].why.text, "not a fleetdump peer"));
    assert_int_equal(w->server[0].messages, 0);
    close(fd);
}

static void another_version_is_named(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(w);
    raw_send(fd, "FD\x07\x01\0\0\0\0", 8);
    shutdown(fd, SHUT_WR);
    RUN_UNTIL(w, w->server[0].closes);
    assert_int_equal(w->server[0].why.code, ERROR_VERSION);
    assert_non_null(strstr(w->server[0].why.text, "version 7"));
    assert_non_null(strstr(w->server[0].why.text, "version 1"));
    assert_non_null(strstr(w->server[0].why.text, FLEETDUMP_VERSION));
    uint8_t answer[400];
    ssize_t n = read(fd, answer, sizeof(answer)); /* it was sent before the close */
    assert_true(n > (ssize_t)NET_HEADER_SIZE);
    struct message m;
    assert_int_equal(message_decode(answer[3], answer + NET_HEADER_SIZE, (size_t)n - NET_HEADER_SIZE, &m, NULL), 0);
    assert_int_equal(m.type, MESSAGE_REFUSE);
    assert_int_equal(m.refuse.code, ERROR_VERSION);
    assert_non_null(strstr(m.refuse.text, "version 1 of the protocol, and not 7"));
    message_free(&m);
    close(fd);
}

/* A later release may send them; but nothing begins with one. */
static void unknown_messages_are_skipped(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(w), other = raw_connect(w);
    struct message hello = {.type = MESSAGE_HELLO, .hello = {.protocol = NET_PROTOCOL, .role = ROLE_CLIENT}};
    struct buffer text = {0};
    assert_int_equal(message_encode(&hello, &text, NULL), 0);
    size_t one = text.len;
    buffer_append(&text, "FD\x01\xf0\x03\0\0\0abcFD\x01\x00\0\0\0\0", 19);
    assert_int_equal(message_encode(&hello, &text, NULL), 0);
    raw_send(fd, text.data, text.len);
    RUN_UNTIL(w, w->server[0].messages + w->server[1].messages == 2);
    raw_send(other, text.data + one, 11);
    RUN_UNTIL(w, w->server[0].closes + w->server[1].closes);
    unsigned begun = w->server[0].messages ? 0 : 1;
    assert_int_equal(w->server[begun].closes, 0);
    assert_int_equal(w->server[!begun].why.code, ERROR_INVALID);
    buffer_free(&text);
    close(fd);
    close(other);
}

static void a_stranger_may_not_send_much(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(w);
    raw_send(fd, "FD\x01\x01\x01\x00\x01\x00", 8); /* 65537 bytes to come */
    RUN_UNTIL(w, w->server[0].closes);
    assert_int_equal(w->server[0].why.code, ERROR_LIMIT);
    close(fd);
}

static void who_says_nothing_is_left(void **state)
{
    struct world *w = *state;
    listener_set_greeting(w->listener, 50);
    int silent = raw_connect(w);
    int half = raw_connect(w);
    raw_send(half, "FD\x01\x01\x05\0\0\0ab", 10);
    RUN_UNTIL(w, w->accepted == 2 && w->server[0].closes == 1 && w->server[1].closes == 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(w->server[i].why.code, ERROR_UNREACHABLE);
        assert_non_null(strstr(w->server[i].why.text, "did not say who it is"));
    }
    listener_set_greeting(w->listener, 1000); /* on a machine with much to do it has this, too */
    dial(w);
    RUN_UNTIL(w, w->accepted == 3 && w->server[2].messages == 1);
    uv_sleep(1010);
    settle(w);
    assert_int_equal(w->server[2].closes, 0); /* who has greeted may be silent */
    stream_close(w->client.stream);
    both_closed(w);
    close(silent);
    close(half);
}

static void a_frame_may_come_in_single_bytes(void **state)
{
    struct world *w = *state;
    struct buffer out = {0};
    struct message m = {.type = MESSAGE_HELLO, .hello = {.role = ROLE_CLIENT}};
    assert_int_equal(message_encode(&m, &out, NULL), 0);
    int fd = raw_connect(w);
    for (size_t i = 0; i < out.len; i++) {
        assert_int_equal(w->server[0].messages, 0);
        raw_send(fd, out.data + i, 1);
        settle(w);
    }
    RUN_UNTIL(w, w->server[0].messages == 1);
    close(fd);
    RUN_UNTIL(w, w->server[0].closes);
    assert_int_equal(w->server[0].why.code, 0);
    buffer_free(&out);
}

static void an_end_inside_a_frame_is_no_clean_end(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(w);
    raw_send(fd, "FD\x01\x01\x05\0\0\0ab", 10);
    settle(w);
    close(fd);
    RUN_UNTIL(w, w->server[0].closes);
    assert_int_equal(w->server[0].why.code, ERROR_TRUNCATED);
}

static void a_reset_is_told(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(w);
    struct linger hard = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    settle(w);
    close(fd);
    RUN_UNTIL(w, w->server[0].closes);
    assert_int_equal(w->server[0].why.code, ERROR_UNREACHABLE);
    assert_non_null(strstr(w->server[0].why.text, "reset"));
}

/* ------------------------------------------------------------ listeners */
static void too_many_are_told_so(void **state)
{
    struct world *w = *state;
    struct end others[MOST_STREAMS] = {0};
    for (int i = 0; i < MOST_STREAMS; i++)
        assert_int_equal(
            stream_connect(&w->loop, w->ours, w->address, 5000, &events, &others[i], &others[i].stream, NULL), 0);
    RUN_UNTIL(w, w->accepted == MOST_STREAMS);
    dial(w);
    RUN_UNTIL(w, w->client.closes);
    assert_int_equal(w->client.last_type, MESSAGE_REFUSE);
    assert_int_equal(w->client.messages, 1);
    assert_int_equal(w->client.why.code, 0);
    assert_int_equal(w->accepted, MOST_STREAMS);

    stream_close(others[0].stream); /* there is room again */
    RUN_UNTIL(w, w->server[0].closes + w->server[1].closes + w->server[2].closes == 1);
    w->client = (struct end){0};
    dial(w);
    RUN_UNTIL(w, w->server[MOST_STREAMS].messages == 1);
    for (int i = 1; i < MOST_STREAMS; i++)
        stream_abort(others[i].stream);
    RUN_UNTIL(w, others[1].closes && others[2].closes);
}

static void the_owner_may_refuse(void **state)
{
    struct world *w = *state;
    w->refuse = true;
    dial(w);
    RUN_UNTIL(w, w->client.closes);
    assert_int_equal(w->server[0].closes, 0);
    w->server[0].stream = NULL;
}

static void streams_outlive_their_listener(void **state)
{
    struct world *w = *state;
    struct listener *l;
    assert_int_equal(listener_new(&w->loop, w->theirs, "[::1]:0", 5, on_accept, w, &l, NULL), 0);
    char address[32];
    snprintf(address, sizeof(address), "[::1]:%d", listener_port(l));
    assert_int_equal(stream_connect(&w->loop, w->ours, address, 5000, &events, &w->client, &w->client.stream, NULL), 0);
    RUN_UNTIL(w, w->server[0].messages == 1);
    listener_close(l);
    settle(w);
    assert_string_equal(stream_peer(w->client.stream), address);
    send_result(w->server[0].stream, 5);
    RUN_UNTIL(w, w->client.messages == 1);
    stream_close(w->server[0].stream);
    both_closed(w);
}

/* A listener on all addresses has IPv4 peers on a socket of IPv6; what counts by address must tell them apart. */
static void who_comes_by_ipv4_has_an_ipv4_address(void **state)
{
    struct world *w = *state;
    struct listener *l;
    struct net_address from;
    uint16_t port = 0;
    char address[32], name[32];
    assert_int_equal(listener_new(&w->loop, w->theirs, "[::]:0", 5, on_accept, w, &l, NULL), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", listener_port(l));
    assert_int_equal(stream_connect(&w->loop, w->ours, address, 5000, &events, &w->client, &w->client.stream, NULL), 0);
    RUN_UNTIL(w, w->server[0].messages == 1);
    listener_close(l);
    assert_true(stream_peer_address(w->server[0].stream, &from, &port));
    assert_int_equal(from.family, FAMILY_IP4);
    assert_memory_equal(from.addr, "\x7f\0\0\1", 4);
    snprintf(name, sizeof(name), "127.0.0.1:%u", port);
    assert_string_equal(stream_peer(w->server[0].stream), name);
    stream_close(w->server[0].stream);
    both_closed(w);
}

/* ------------------------------------------------------------ addresses */
static void addresses_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
        {"10.0.0.1:80", "10.0.0.1", 80},    {"10.0.0.1", "10.0.0.1", NET_PORT_DEFAULT}, {"[::1]:80", "::1", 80},
        {"[::1]", "::1", NET_PORT_DEFAULT}, {"fe80::1", "fe80::1", NET_PORT_DEFAULT},   {"a.b:0", "a.b", 0},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char host[256];
        uint16_t port;
        assert_int_equal(net_split(good[i].text, host, &port, NULL), 0);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define OVER_TLS(name)                                                                                                 \
    {                                                                                                                  \
#name " over TLS", name, set_up_tls, tear_down, NULL                                                           \
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
        TEST(errors_of_form_come_back),
        TEST(garbage_is_named_and_closed),
        TEST(another_version_is_named),
        TEST(unknown_messages_are_skipped),
        TEST(a_stranger_may_not_send_much),
        TEST(who_says_nothing_is_left),
        TEST(a_frame_may_come_in_single_bytes),
        TEST(an_end_inside_a_frame_is_no_clean_end),
        TEST(a_reset_is_told),
        TEST(too_many_are_told_so),
        TEST(the_owner_may_refuse),
        TEST(streams_outlive_their_listener),
        TEST(who_comes_by_ipv4_has_an_ipv4_address),
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
        OVER_TLS(a_reset_is_told),
        OVER_TLS(too_many_are_told_so),
        OVER_TLS(the_owner_may_refuse),
        OVER_TLS(streams_outlive_their_listener),
        cmocka_unit_test(addresses_are_split),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
