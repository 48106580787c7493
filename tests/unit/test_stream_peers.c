/*
 * Streams whose other end breaks the rules, and listeners that have too many: named, told so, and closed.
 */
#include "common/packet/packet.h"
#include "tests/unit/stream_world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ------------------------------------------------------------ the world */
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

/* ------------------------------------------------------------ who cannot be reached */
static void errors_of_form_come_back(void **state)
{
    struct world *w = *state;
    const char *bad[] = {"", ":1", "a:b", "a:99999", "[::1", "[::1]x", "[]:1", "a:", "a:-1", "a: 1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct stream *s = NULL;
        struct error e = ERROR_INIT;
        assert_int_equal(stream_connect(&w->loop, w->ours, bad[i], 100, &end_events, &w->client, &s, &e), ERROR_USAGE);
        assert_null(s);
    }
    struct listener *l = NULL;
    struct error e = ERROR_INIT;
    assert_int_equal(listener_new(&w->loop, w->theirs, w->address, 1, world_on_accept, w, &l, &e), ERROR_SYSTEM);
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
    world_dial(w);
    RUN_UNTIL(w, w->accepted == 3 && w->server[2].messages == 1);
    uv_sleep(1010);
    world_settle(w);
    assert_int_equal(w->server[2].closes, 0); /* who has greeted may be silent */
    stream_close(w->client.stream);
    world_both_closed(w);
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
        world_settle(w);
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
    world_settle(w);
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
    world_settle(w);
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
            stream_connect(&w->loop, w->ours, w->address, 5000, &end_events, &others[i], &others[i].stream, NULL), 0);
    RUN_UNTIL(w, w->accepted == MOST_STREAMS);
    world_dial(w);
    RUN_UNTIL(w, w->client.closes);
    assert_int_equal(w->client.last_type, MESSAGE_REFUSE);
    assert_int_equal(w->client.messages, 1);
    assert_int_equal(w->client.why.code, 0);
    assert_int_equal(w->accepted, MOST_STREAMS);

    stream_close(others[0].stream); /* there is room again */
    RUN_UNTIL(w, w->server[0].closes + w->server[1].closes + w->server[2].closes == 1);
    w->client = (struct end){0};
    world_dial(w);
    RUN_UNTIL(w, w->server[MOST_STREAMS].messages == 1);
    for (int i = 1; i < MOST_STREAMS; i++)
        stream_abort(others[i].stream);
    RUN_UNTIL(w, others[1].closes && others[2].closes);
}

static void the_owner_may_refuse(void **state)
{
    struct world *w = *state;
    w->refuse = true;
    world_dial(w);
    RUN_UNTIL(w, w->client.closes);
    assert_int_equal(w->server[0].closes, 0);
    w->server[0].stream = NULL;
}

static void streams_outlive_their_listener(void **state)
{
    struct world *w = *state;
    struct listener *l;
    assert_int_equal(listener_new(&w->loop, w->theirs, "[::1]:0", 5, world_on_accept, w, &l, NULL), 0);
    char address[32];
    snprintf(address, sizeof(address), "[::1]:%d", listener_port(l));
    assert_int_equal(stream_connect(&w->loop, w->ours, address, 5000, &end_events, &w->client, &w->client.stream, NULL),
                     0);
    RUN_UNTIL(w, w->server[0].messages == 1);
    listener_close(l);
    world_settle(w);
    assert_string_equal(stream_peer(w->client.stream), address);
    end_send_result(w->server[0].stream, 5);
    RUN_UNTIL(w, w->client.messages == 1);
    stream_close(w->server[0].stream);
    world_both_closed(w);
}

/* A listener on all addresses has IPv4 peers on a socket of IPv6; what counts by address must tell them apart. */
static void who_comes_by_ipv4_has_an_ipv4_address(void **state)
{
    struct world *w = *state;
    struct listener *l;
    struct net_address from;
    uint16_t port = 0;
    char address[32], name[32];
    assert_int_equal(listener_new(&w->loop, w->theirs, "[::]:0", 5, world_on_accept, w, &l, NULL), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", listener_port(l));
    assert_int_equal(stream_connect(&w->loop, w->ours, address, 5000, &end_events, &w->client, &w->client.stream, NULL),
                     0);
    RUN_UNTIL(w, w->server[0].messages == 1);
    listener_close(l);
    assert_true(stream_peer_address(w->server[0].stream, &from, &port));
    assert_int_equal(from.family, FAMILY_IP4);
    assert_memory_equal(from.addr, "\x7f\0\0\1", 4);
    snprintf(name, sizeof(name), "127.0.0.1:%u", port);
    assert_string_equal(stream_peer(w->server[0].stream), name);
    stream_close(w->server[0].stream);
    world_both_closed(w);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

#define OVER_TLS(name)                                                                                                 \
    {                                                                                                                  \
#name " over TLS", name, world_set_up_tls, world_tear_down, NULL                                               \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        OVER_TLS(a_reset_is_told),
        OVER_TLS(too_many_are_told_so),
        OVER_TLS(the_owner_may_refuse),
        OVER_TLS(streams_outlive_their_listener),
        cmocka_unit_test(addresses_are_split),
    };
    return cmocka_run_group_tests(tests, certificates_make, certificates_drop);
}
