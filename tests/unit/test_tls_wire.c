/*
 * TLS against who breaks its rules: plain text, garbage, changed bytes, ends that were not announced, new keys without end, silence.
 */
#include "tests/unit/tls_world.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int raw_connect(struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned before = w->accepted;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)listener_port(w->listener))};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
    RUN_UNTIL(w, w->accepted > before);
    return fd;
}

/* ------------------------------------------------------------ those who do not speak TLS */
static void plain_text_is_told_so_in_its_own_words(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, all.collector);
    world_dial(&w, NULL);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    assert_int_equal(w.client.last_type, MESSAGE_REFUSE);
    error_has_text(&w.server[0].why, ERROR_INVALID, "does not speak TLS: say insecure_plaintext");
    assert_int_equal(w.server[0].messages, 0);
    world_end(&w);
}

static void tls_at_a_plain_collector(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, NULL);
    world_dial(&w, all.agent);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    error_has_text(&w.server[0].why, ERROR_INVALID, "it speaks TLS, and insecure_plaintext is said here");
    assert_non_null(strstr(w.client.why.text, "before TLS was agreed on"));
    assert_int_equal(w.client.opens, 0);
    world_end(&w);
}

static void who_never_finishes_the_handshake_is_left(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, all.collector);
    listener_set_greeting(w.listener, 50);
    int fd = raw_connect(&w);
    assert_int_equal(send(fd, "\x16\x03\x01\x02\x00\x01\x00", 7, MSG_NOSIGNAL), 7);
    RUN_UNTIL(&w, w.server[0].closes);
    error_has_text(&w.server[0].why, ERROR_UNREACHABLE, "did not agree on TLS in time");
    close(fd);
    world_end(&w);
}

static void garbage_inside_tls_records(void **state)
{
    struct world w;
    uint8_t bytes[2000];
    (void)state;
    world_begin(&w, all.collector);
    for (unsigned i = 0; i < ENDS - 1; i++) {
        memset(bytes, (int)(i * 37), sizeof bytes);
        memcpy(bytes, i % 2 ? "\x16\x03\x01\x01\x00\x01\x00\x00\xfc" : "\x16\x03\x03\xff\xff\x01\xff\xff\xff", 9);
        int fd = raw_connect(&w);
        assert_int_equal(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
        shutdown(fd, SHUT_WR);
        RUN_UNTIL(&w, w.server[i].closes);
        assert_int_not_equal(w.server[i].why.code, 0);
        close(fd);
    }
    world_end(&w);
}

/* ------------------------------------------------------------ the end */
static void an_end_that_was_not_announced(void **state)
{
    struct world w;
    uv_os_fd_t fd;
    (void)state;
    world_begin(&w, all.collector);
    world_dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    assert_int_equal(uv_fileno((uv_handle_t *)w.client.stream->tcp, &fd), 0);
    shutdown(fd, SHUT_WR);
    RUN_UNTIL(&w, w.server[0].closes);
    error_has_text(&w.server[0].why, ERROR_TRUNCATED, "was cut off");
    world_end(&w);
}

/* Also when all comes at once, and the reader pauses in the midst. */
static void an_end_behind_a_pause(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, all.collector);
    world_dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    stream_pause(w.server[0].stream);
    end_say_hello(w.client.stream);
    end_say_hello(w.client.stream);
    stream_close(w.client.stream);
    stream_resume(w.server[0].stream);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    assert_int_equal(w.server[0].messages, 3);
    assert_int_equal(w.server[0].why.code, 0);
    world_end(&w);
}

static void bytes_that_were_changed_on_the_way(void **state)
{
    struct world w;
    uv_os_fd_t fd;
    (void)state;
    world_begin(&w, all.collector);
    world_dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    assert_int_equal(uv_fileno((uv_handle_t *)w.client.stream->tcp, &fd), 0);
    assert_int_equal(send(fd, "\x17\x03\x03\x00\x20 0123456789abcdef0123456789abcde", 37, MSG_NOSIGNAL), 37);
    RUN_UNTIL(&w, w.server[0].closes);
    error_has_text(&w.server[0].why, ERROR_INVALID, "does not speak TLS as it should");
    assert_int_equal(w.server[0].messages, 1);
    world_end(&w);
}

/* ------------------------------------------------------------ new keys */
static void ask_for_new_keys(struct stream *s)
{
    assert_int_equal(SSL_key_update(s->link->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(s->link->ssl), 1);
    if (stream_write(s, &s->link->out) != 0)
        fail_msg("%s", s->why.text);
}

static void new_keys_are_no_reason_to_part(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, all.collector);
    world_dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    for (unsigned i = 0; i < 20000; i++) {
        ask_for_new_keys(w.client.stream);
        if (i % 1000 == 0)
            RUN_UNTIL(&w, w.client.stream->queued == 0 && w.server[0].stream->queued == 0);
    }
    end_say_hello(w.client.stream);
    RUN_UNTIL(&w, w.server[0].messages == 2);
    world_end(&w);
}

static void make_small(const struct stream *s, int which)
{
    uv_os_fd_t fd;
    int size = 4096;
    assert_int_equal(uv_fileno((uv_handle_t *)s->tcp, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, which, &size, sizeof size), 0);
}

/* Each request costs the other side an answer that it has to keep. */
static void who_wants_ever_new_keys_and_reads_nothing_is_left(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, all.collector);
    world_dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    make_small(w.client.stream, SO_RCVBUF);
    make_small(w.server[0].stream, SO_SNDBUF);
    stream_pause(w.client.stream);
    size_t most = 0;
    for (unsigned asked = 0; !w.server[0].closes && asked < 500000; asked += 100) {
        for (unsigned i = 0; i < 100 && w.client.stream; i++)
            ask_for_new_keys(w.client.stream);
        do
            uv_run(&w.loop, UV_RUN_NOWAIT);
        while (w.client.stream && w.client.stream->queued && !w.server[0].closes && !w.ran_out);
        if (w.server[0].stream && w.server[0].stream->queued > most)
            most = w.server[0].stream->queued;
    }
    assert_int_equal(w.server[0].closes, 1);
    error_has_text(&w.server[0].why, ERROR_LIMIT, "wants ever new keys");
    assert_in_range(most, 1, 1u << 20);
    world_end(&w);
}

/* ------------------------------------------------------------ room */
static void the_silent_make_room(void **state)
{
    struct world w;
    int fds[MOST_STREAMS];
    (void)state;
    world_begin(&w, all.collector);
    for (int i = 0; i < MOST_STREAMS; i++)
        fds[i] = raw_connect(&w);
    uv_sleep(1100);
    uv_update_time(&w.loop);
    world_dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[MOST_STREAMS].messages == 1);
    error_has_text(&w.server[0].why, ERROR_BUSY, "its place was needed");
    assert_int_equal(w.server[1].closes, 0);
    for (int i = 0; i < MOST_STREAMS; i++)
        close(fds[i]);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_told_so_in_its_own_words),
        cmocka_unit_test(tls_at_a_plain_collector),
        cmocka_unit_test(who_never_finishes_the_handshake_is_left),
        cmocka_unit_test(garbage_inside_tls_records),
        cmocka_unit_test(an_end_that_was_not_announced),
        cmocka_unit_test(an_end_behind_a_pause),
        cmocka_unit_test(bytes_that_were_changed_on_the_way),
        cmocka_unit_test(new_keys_are_no_reason_to_part),
        cmocka_unit_test(who_wants_ever_new_keys_and_reads_nothing_is_left),
        cmocka_unit_test(the_silent_make_room),
    };
    return cmocka_run_group_tests(tests, members_make, members_drop);
}
