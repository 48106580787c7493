/*
 * TLS between two streams: who is accepted, who is not and what each side is told about it; what stands in a certificate.
 */
#include "tests/unit/support.h"
#include "tests/unit/tls_support.h"

#include "common/net/ca_pem.h"
#include "common/net/identity_x509.h"
#include "common/net/stream_impl.h"
#include "common/net/tls_impl.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_NS       (UINT64_C(86400) * NS_PER_S)
#define PATIENCE_MS  60000
#define ENDS         8
#define MOST_STREAMS 3

struct end {
    struct stream *stream;
    unsigned opens, messages, closes;
    enum message_type last_type;
    struct identity peer; /* when it was open, or the first message came */
    struct error why;
};

struct world {
    uv_loop_t loop;
    uv_timer_t patience;
    struct listener *listener;
    char address[32];
    struct end client, server[ENDS];
    unsigned accepted;
    bool ran_out;
};

/* What all tests use. */
static struct {
    struct test_ca ca, other;
    struct tls *agent, *collector, *user;
} all;

static void say_hello(struct stream *s)
{
    struct message m = {.type = MESSAGE_HELLO, .hello = {.role = ROLE_CLIENT, .protocol = NET_PROTOCOL}};
    assert_int_equal(stream_send(s, &m, NULL), 0);
}

static void on_open(void *context, struct stream *s)
{
    struct end *end = context;
    end->opens++;
    end->peer = *stream_identity(s);
    say_hello(s);
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

#define RUN_UNTIL(w, condition)                                                                                        \
    do {                                                                                                               \
        while (!(condition) && !(w)->ran_out)                                                                          \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                           \
        assert_false((w)->ran_out);                                                                                    \
    } while (0)

static void begin(struct world *w, struct tls *theirs)
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

static void end(struct world *w)
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

static void dial(struct world *w, struct tls *ours)
{
    struct error e = ERROR_INIT;
    w->client = (struct end){0};
    if (stream_connect(&w->loop, ours, w->address, 5000, &events, &w->client, &w->client.stream, &e) != 0)
        fail_msg("%s", e.text);
}

static void has_text(const struct error *e, int code, const char *text)
{
    if (e->code != code || !strstr(e->text, text))
        fail_msg("%s (%d, expected %d and '%s')", e->text, e->code, code, text);
}

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

/* ------------------------------------------------------------ who is who */
static void both_know_each_other(void **state)
{
    struct world w;
    (void)state;
    begin(&w, all.collector);
    dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    assert_int_equal(w.client.peer.kind, IDENTITY_COLLECTOR);
    assert_string_equal(w.client.peer.name, "hub");
    const struct identity *agent = &w.server[0].peer, *own = tls_identity(all.agent);
    assert_int_equal(agent->kind, IDENTITY_AGENT);
    assert_string_equal(agent->name, "web-1");
    assert_string_equal(agent->serial, own->serial);
    assert_memory_equal(agent->key_sha256, own->key_sha256, sizeof own->key_sha256);
    assert_true(agent->not_before_ns < clock_wall_ns() && agent->not_after_ns > clock_wall_ns());
    assert_string_equal(SSL_get_version(w.client.stream->link->ssl), "TLSv1.3");
    stream_close(w.client.stream);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    assert_int_equal(w.client.why.code, 0);
    assert_int_equal(w.server[0].why.code, 0);
    end(&w);
}

static void fingerprint(const struct test_ca *ca, uint8_t sha256[32])
{
    assert_int_equal(ca_fingerprint(ca_text_of(&ca->certificate), sha256, NULL), 0);
}

static void who_joins_is_nobody_yet(void **state)
{
    struct world w;
    struct tls *joining;
    uint8_t sha256[32];
    (void)state;
    fingerprint(&all.ca, sha256);
    assert_int_equal(tls_for_joining(sha256, &joining, NULL), 0);
    assert_int_equal(tls_identity(joining)->kind, IDENTITY_NONE);
    begin(&w, all.collector);
    dial(&w, joining);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    assert_int_equal(w.client.peer.kind, IDENTITY_COLLECTOR);
    assert_int_equal(w.server[0].peer.kind, IDENTITY_NONE);
    assert_string_equal(w.server[0].peer.name, "");
    end(&w);
    tls_unref(joining);
}

static void meet(struct tls *theirs, struct tls *ours)
{
    struct world w;
    begin(&w, theirs);
    dial(&w, ours);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    assert_int_equal(w.client.peer.kind, IDENTITY_COLLECTOR);
    end(&w);
}

/* The authority was renewed: those who know the old certificate, the new one, or the fingerprint of either, and those whose own certificate was signed
 * before or after, find each other. */
static void before_and_after_a_renewal_of_the_authority(void **state)
{
    struct test_ca after = {.now_ns = all.ca.now_ns}, both = after;
    struct tls *collectors[2], *agents[4], *joining;
    uint8_t sha256[32];
    (void)state;
    buffer_append(&after.key, all.ca.key.data, all.ca.key.len);
    assert_int_equal(ca_renew_root(all.ca.ca, all.ca.now_ns, 9 * 365 * DAY_NS, &after.certificate, NULL), 0);
    assert_int_equal(ca_open(ca_text_of(&after.certificate), ca_text_of(&after.key), &after.ca, NULL), 0);
    buffer_append(&both.certificate, after.certificate.data, after.certificate.len);
    buffer_append(&both.certificate, all.ca.certificate.data, all.ca.certificate.len);
    collectors[0] = test_tls(&all.ca, &both, IDENTITY_COLLECTOR, "hub");
    collectors[1] = test_tls(&after, &both, IDENTITY_COLLECTOR, "hub");
    agents[0] = test_tls(&all.ca, &all.ca, IDENTITY_AGENT, "web-1");
    agents[1] = test_tls(&after, &all.ca, IDENTITY_AGENT, "web-1");
    agents[2] = test_tls(&all.ca, &after, IDENTITY_AGENT, "web-1");
    agents[3] = test_tls(&after, &after, IDENTITY_AGENT, "web-1");
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < 4; k++)
            meet(collectors[i], agents[k]);
        for (size_t k = 0; k < 2; k++) {
            fingerprint(k ? &after : &all.ca, sha256);
            assert_int_equal(tls_for_joining(sha256, &joining, NULL), 0);
            meet(collectors[i], joining);
            tls_unref(joining);
        }
        tls_unref(collectors[i]);
    }
    for (size_t k = 0; k < 4; k++)
        tls_unref(agents[k]);
    test_ca_free(&after);
    buffer_free(&both.certificate);
}

static void who_joins_finds_another_collector(void **state)
{
    struct world w;
    struct tls *joining;
    uint8_t sha256[32];
    (void)state;
    fingerprint(&all.other, sha256);
    assert_int_equal(tls_for_joining(sha256, &joining, NULL), 0);
    begin(&w, all.collector);
    dial(&w, joining);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    has_text(&w.client.why, ERROR_REFUSED, "its authority is another one");
    assert_int_equal(w.client.opens, 0); /* so nothing was said */
    assert_int_equal(w.server[0].messages, 0);
    end(&w);
    tls_unref(joining);
}

/* ------------------------------------------------------------ who is refused */

/* A certificate whose life is about `from`, in days from now, and lasts as many. */
static struct tls *tls_of(const struct test_ca *ca, const struct test_ca *trusted, int kind, int64_t from,
                          uint64_t days)
{
    struct buffer certificate = {0}, key = {0};
    char *folder = support_folder();
    struct tls *t = NULL;
    struct error e = ERROR_INIT;
    uint64_t from_ns = (uint64_t)((int64_t)ca->now_ns + from * (int64_t)DAY_NS);
    test_certificate(ca, (uint8_t)kind, "web-1", from_ns, days * DAY_NS, &certificate, &key);
    test_tls_write(folder, trusted, &certificate, &key);
    if (tls_load_folder(folder, IDENTITY_NONE, &t, &e) != 0)
        fail_msg("%s", e.text);
    support_folder_remove(folder);
    buffer_free(&certificate);
    buffer_free(&key);
    return t;
}

enum side { CLIENT_SEES, SERVER_SEES };

/* Who sees it says the text, the other one is told `told`. */
static void refused(struct tls *ours, struct tls *theirs, enum side side, const char *text, const char *told)
{
    struct world w;
    begin(&w, theirs);
    dial(&w, ours);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    assert_int_equal(w.server[0].messages, 0);
    assert_int_equal(w.server[0].peer.kind, IDENTITY_NONE);
    has_text(side == CLIENT_SEES ? &w.client.why : &w.server[0].why, ERROR_REFUSED, text);
    assert_non_null(strstr(w.server[0].why.text, "127.0.0.1:"));
    if (told)
        has_text(side == CLIENT_SEES ? &w.server[0].why : &w.client.why, ERROR_REFUSED, told);
    end(&w);
}

static void each_refusal_has_its_reason(void **state)
{
    (void)state;
    const struct {
        const struct test_ca *ca, *trusted;
        int kind;
        int64_t from;
        uint64_t days;
        enum side side;
        const char *text, *told;
    } cases[] = {
        {&all.other, &all.ca, IDENTITY_AGENT, 0, 30, SERVER_SEES,
         "which says agent web-1, is not of the authority that is trusted here", "it trusts another authority"},
        {&all.ca, &all.other, IDENTITY_AGENT, 0, 30, CLIENT_SEES, "which says collector hub, is not of the authority",
         "it trusts another authority"},
        {&all.ca, &all.ca, IDENTITY_AGENT, -60, 30, SERVER_SEES, "was good until", "its time is over"},
        {&all.ca, &all.ca, IDENTITY_AGENT, 60, 30, SERVER_SEES, "is good only from", "the clock here says"},
        {&all.ca, &all.ca, IDENTITY_COLLECTOR, 0, 30, SERVER_SEES, "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls *ours = tls_of(cases[i].ca, cases[i].trusted, cases[i].kind, cases[i].from, cases[i].days);
        refused(ours, all.collector, cases[i].side, cases[i].text, cases[i].told);
        tls_unref(ours);
    }
    struct tls *old = tls_of(&all.ca, &all.ca, IDENTITY_COLLECTOR, -60, 30);
    refused(all.agent, old, CLIENT_SEES, "was good until", "its time is over");
    tls_unref(old);
    refused(all.agent, all.user, CLIENT_SEES, "", NULL); /* a user's certificate is no collector's */
}

static void clocks_are_named(void **state)
{
    struct world w;
    (void)state;
    struct tls *ours = tls_of(&all.ca, &all.ca, IDENTITY_AGENT, -60, 30);
    begin(&w, all.collector);
    dial(&w, ours);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    has_text(&w.server[0].why, ERROR_REFUSED, "and the clock here says 20");
    has_text(&w.client.why, ERROR_REFUSED, "(agent web-1, good from 20");
    end(&w);
    tls_unref(ours);
}

/* ------------------------------------------------------------ those who do not speak TLS */
static void plain_text_is_told_so_in_its_own_words(void **state)
{
    struct world w;
    (void)state;
    begin(&w, all.collector);
    dial(&w, NULL);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    assert_int_equal(w.client.last_type, MESSAGE_REFUSE);
    has_text(&w.server[0].why, ERROR_INVALID, "does not speak TLS: say insecure_plaintext");
    assert_int_equal(w.server[0].messages, 0);
    end(&w);
}

static void tls_at_a_plain_collector(void **state)
{
    struct world w;
    (void)state;
    begin(&w, NULL);
    dial(&w, all.agent);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    has_text(&w.server[0].why, ERROR_INVALID, "it speaks TLS, and insecure_plaintext is said here");
    assert_non_null(strstr(w.client.why.text, "before TLS was agreed on"));
    assert_int_equal(w.client.opens, 0);
    end(&w);
}

static void who_never_finishes_the_handshake_is_left(void **state)
{
    struct world w;
    (void)state;
    begin(&w, all.collector);
    listener_set_greeting(w.listener, 50);
    int fd = raw_connect(&w);
    assert_int_equal(send(fd, "\x16\x03\x01\x02\x00\x01\x00", 7, MSG_NOSIGNAL), 7);
    RUN_UNTIL(&w, w.server[0].closes);
    has_text(&w.server[0].why, ERROR_UNREACHABLE, "did not agree on TLS in time");
    close(fd);
    end(&w);
}

static void garbage_inside_tls_records(void **state)
{
    struct world w;
    uint8_t bytes[2000];
    (void)state;
    begin(&w, all.collector);
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
    end(&w);
}

/* ------------------------------------------------------------ the end */
static void an_end_that_was_not_announced(void **state)
{
    struct world w;
    uv_os_fd_t fd;
    (void)state;
    begin(&w, all.collector);
    dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    assert_int_equal(uv_fileno((uv_handle_t *)w.client.stream->tcp, &fd), 0);
    shutdown(fd, SHUT_WR);
    RUN_UNTIL(&w, w.server[0].closes);
    has_text(&w.server[0].why, ERROR_TRUNCATED, "was cut off");
    end(&w);
}

/* Also when all comes at once, and the reader pauses in the midst. */
static void an_end_behind_a_pause(void **state)
{
    struct world w;
    (void)state;
    begin(&w, all.collector);
    dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    stream_pause(w.server[0].stream);
    say_hello(w.client.stream);
    say_hello(w.client.stream);
    stream_close(w.client.stream);
    stream_resume(w.server[0].stream);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    assert_int_equal(w.server[0].messages, 3);
    assert_int_equal(w.server[0].why.code, 0);
    end(&w);
}

static void bytes_that_were_changed_on_the_way(void **state)
{
    struct world w;
    uv_os_fd_t fd;
    (void)state;
    begin(&w, all.collector);
    dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    assert_int_equal(uv_fileno((uv_handle_t *)w.client.stream->tcp, &fd), 0);
    assert_int_equal(send(fd, "\x17\x03\x03\x00\x20 0123456789abcdef0123456789abcde", 37, MSG_NOSIGNAL), 37);
    RUN_UNTIL(&w, w.server[0].closes);
    has_text(&w.server[0].why, ERROR_INVALID, "does not speak TLS as it should");
    assert_int_equal(w.server[0].messages, 1);
    end(&w);
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
    begin(&w, all.collector);
    dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    for (unsigned i = 0; i < 20000; i++) {
        ask_for_new_keys(w.client.stream);
        if (i % 1000 == 0)
            RUN_UNTIL(&w, w.client.stream->queued == 0 && w.server[0].stream->queued == 0);
    }
    say_hello(w.client.stream);
    RUN_UNTIL(&w, w.server[0].messages == 2);
    end(&w);
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
    begin(&w, all.collector);
    dial(&w, all.agent);
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
    has_text(&w.server[0].why, ERROR_LIMIT, "wants ever new keys");
    assert_in_range(most, 1, 1u << 20);
    end(&w);
}

/* ------------------------------------------------------------ room */
static void the_silent_make_room(void **state)
{
    struct world w;
    int fds[MOST_STREAMS];
    (void)state;
    begin(&w, all.collector);
    for (int i = 0; i < MOST_STREAMS; i++)
        fds[i] = raw_connect(&w);
    uv_sleep(1100);
    uv_update_time(&w.loop);
    dial(&w, all.agent);
    RUN_UNTIL(&w, w.server[MOST_STREAMS].messages == 1);
    has_text(&w.server[0].why, ERROR_BUSY, "its place was needed");
    assert_int_equal(w.server[1].closes, 0);
    for (int i = 0; i < MOST_STREAMS; i++)
        close(fds[i]);
    end(&w);
}

/* ------------------------------------------------------------ files */
static void files_that_are_wrong(void **state)
{
    struct buffer certificate = {0}, key = {0}, second = {0}, second_key = {0};
    char *folder = support_folder(), long_text[TLS_FILE_MAX + 1];
    struct tls *t = NULL;
    struct error e = ERROR_INIT;
    (void)state;
    test_certificate(&all.ca, IDENTITY_AGENT, "web-1", all.ca.now_ns, DAY_NS, &certificate, &key);
    test_certificate(&all.ca, IDENTITY_AGENT, "web-2", all.ca.now_ns, DAY_NS, &second, &second_key);
    assert_int_equal(tls_load_folder(folder, IDENTITY_AGENT, &t, &e), ERROR_NOT_FOUND);
    assert_non_null(strstr(e.text, "cert.pem"));
    test_tls_write(folder, &all.ca, &certificate, &key);
    assert_int_equal(tls_load_folder(folder, IDENTITY_COLLECTOR, &t, &e), ERROR_INVALID);
    has_text(&e, ERROR_INVALID, "certificate of agent web-1, where one of kind collector is needed");

    assert_int_equal(chmod(support_path(folder, TLS_KEY_NAME), 0640), 0);
    assert_int_equal(tls_load_folder(folder, IDENTITY_AGENT, &t, &e), ERROR_REFUSED);
    has_text(&e, ERROR_REFUSED, "chmod 600");
    test_tls_write(folder, &all.ca, &certificate, &second_key);
    assert_int_equal(tls_load_folder(folder, IDENTITY_AGENT, &t, &e), ERROR_CONFLICT);
    has_text(&e, ERROR_CONFLICT, "is not the key of");

    memset(long_text, 'x', sizeof long_text);
    static const char *const names[] = {TLS_CA_NAME, TLS_CERT_NAME, TLS_KEY_NAME};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (size_t size = 0; size <= sizeof long_text; size += sizeof long_text / 2) {
            test_tls_write(folder, &all.ca, &certificate, &key);
            support_write(folder, names[i], long_text, size);
            assert_int_equal(tls_load_folder(folder, IDENTITY_AGENT, &t, &e), ERROR_INVALID);
            has_text(&e, ERROR_INVALID, names[i]);
        }
    }
    for (size_t i = 0; i < 2; i++) { /* a second certificate, cut off */
        struct buffer cut = {0};
        test_tls_write(folder, &all.ca, &certificate, &key);
        const struct buffer *first = i ? &certificate : &all.ca.certificate;
        buffer_append(&cut, first->data, first->len);
        buffer_append(&cut, second.data, second.len / 2);
        support_write(folder, names[i], cut.data, cut.len);
        assert_int_equal(tls_load_folder(folder, IDENTITY_AGENT, &t, &e), ERROR_INVALID);
        has_text(&e, ERROR_INVALID, "behind the first");
        buffer_free(&cut);
    }
    assert_null(t);
    support_folder_remove(folder);
    buffer_free(&certificate);
    buffer_free(&key);
    buffer_free(&second);
    buffer_free(&second_key);
}

static void renewed_files_are_used_from_then_on(void **state)
{
    struct buffer certificate = {0}, key = {0}, second = {0}, second_key = {0};
    char *folder = support_folder(), serial[IDENTITY_SERIAL_MAX + 1];
    struct tls *t = NULL;
    struct world w;
    (void)state;
    test_certificate(&all.ca, IDENTITY_AGENT, "web-1", all.ca.now_ns, DAY_NS, &certificate, &key);
    test_certificate(&all.ca, IDENTITY_AGENT, "web-1", all.ca.now_ns, DAY_NS, &second, &second_key);
    test_tls_write(folder, &all.ca, &certificate, &key);
    assert_int_equal(tls_load_folder(folder, IDENTITY_AGENT, &t, NULL), 0);
    strcpy(serial, tls_identity(t)->serial);
    begin(&w, all.collector);
    dial(&w, t);
    RUN_UNTIL(&w, w.server[0].messages == 1);

    support_write(folder, TLS_CERT_NAME, second.data, second.len); /* half of a renewal */
    assert_int_equal(tls_reload(t, NULL), ERROR_CONFLICT);
    assert_string_equal(tls_identity(t)->serial, serial);
    test_tls_write(folder, &all.ca, &second, &second_key);
    assert_int_equal(tls_reload(t, NULL), 0);
    assert_string_not_equal(tls_identity(t)->serial, serial);

    say_hello(w.client.stream); /* the old connection goes on */
    RUN_UNTIL(&w, w.server[0].messages == 2);
    struct stream *old = w.client.stream;
    dial(&w, t);
    RUN_UNTIL(&w, w.server[1].messages == 1);
    assert_string_equal(w.server[0].peer.serial, serial);
    assert_string_equal(w.server[1].peer.serial, tls_identity(t)->serial);
    w.client.closes = 0;
    stream_abort(old);
    RUN_UNTIL(&w, w.client.closes == 1);
    w.client.stream = NULL;
    stream_abort(w.server[1].stream);
    RUN_UNTIL(&w, w.client.closes == 2);
    end(&w);
    tls_unref(t);
    support_folder_remove(folder);
    buffer_free(&certificate);
    buffer_free(&key);
    buffer_free(&second);
    buffer_free(&second_key);
}

/* ------------------------------------------------------------ identities */
struct entry {
    int nid, type;
    const char *text;
    int length;
};

static X509 *certificate_of(const struct entry *subject, size_t subjects, const struct entry *uris, size_t count)
{
    X509 *x = X509_new();
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    assert_true(x && key && names);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 0xabc), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    for (size_t i = 0; i < subjects; i++)
        assert_int_equal(X509_NAME_add_entry_by_NID(X509_get_subject_name(x), subject[i].nid, subject[i].type,
                                                    (const unsigned char *)subject[i].text, subject[i].length, -1, 0),
                         1);
    for (size_t i = 0; i < count; i++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        ASN1_STRING_set(text, uris[i].text, uris[i].length);
        GENERAL_NAME_set0_value(name, uris[i].nid, text);
        sk_GENERAL_NAME_push(names, name);
    }
    if (count)
        assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_true(X509_sign(x, key, NULL) > 0);
    EVP_PKEY_free(key);
    return x;
}

static int identity_of(X509 *x, struct identity *id, struct error *e)
{
    unsigned char *der = NULL;
    int length = i2d_X509(x, &der);
    assert_true(length > 0);
    int r = identity_from_der(der, (size_t)length, id, e);
    if (r == 0) {
        struct identity none;
        assert_int_equal(identity_from_der(der, (size_t)length - 1, &none, NULL), ERROR_INVALID);
        assert_int_equal(none.kind, IDENTITY_NONE);
    } else {
        static const struct identity zero;
        assert_memory_equal(id, &zero, sizeof zero);
    }
    OPENSSL_free(der);
    X509_free(x);
    return r;
}

#define URI(text)                                                                                                      \
    {                                                                                                                  \
        GEN_URI, 0, text, (int)sizeof(text) - 1                                                                        \
    }
#define DNS(text)                                                                                                      \
    {                                                                                                                  \
        GEN_DNS, 0, text, (int)sizeof(text) - 1                                                                        \
    }
#define UNIT(text)                                                                                                     \
    {                                                                                                                  \
        NID_organizationalUnitName, MBSTRING_ASC, text, (int)sizeof(text) - 1                                          \
    }
#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        NID_commonName, V_ASN1_UTF8STRING, text, (int)sizeof(text) - 1                                                 \
    }

static void names_in_uris(void **state)
{
    static const struct {
        struct entry uri[3];
        size_t count;
        uint8_t kind; /* NONE: refused */
        const char *name;
    } cases[] = {
        {{URI("fleetdump://agent/web-1")}, 1, IDENTITY_AGENT, "web-1"},
        {{URI("fleetdump://user/alice@example.org")}, 1, IDENTITY_USER, "alice@example.org"},
        {{URI("fleetdump://collector/hub")}, 1, IDENTITY_COLLECTOR, "hub"},
        {{DNS("fleetdump://user/eve"), URI("spiffe://x/y"), URI("fleetdump://agent/a")}, 3, IDENTITY_AGENT, "a"},
        {{URI("fleetdump://agent/a"), URI("fleetdump://agent/b")}, 2, IDENTITY_NONE, "more than one"},
        {{URI("fleetdump://agent/a"), URI("fleetdump://agent/a")}, 2, IDENTITY_NONE, "more than one"},
        {{URI("fleetdump://agent/a"), URI("FleetDump://user/b")}, 2, IDENTITY_NONE, "more than one"},
        {{URI("FLEETDUMP://agent/a")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump://agent/")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump://admin/a")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump:agent/a")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump://agent/web-1\0.evil.example")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/web-1\0")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/\0web-1")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent\0/web-1")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump://agent/web\n1")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/web\x1b[31m")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/../hub")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/web%2d1")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/web*")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/@all")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/b\xc3\xbcro")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/ web-1")}, 1, IDENTITY_NONE, "is none"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct entry subject[] = {UNIT("fleetdump-agent"), NAME("from-subject")}; /* never asked then */
        struct identity id;
        struct error e = ERROR_INIT;
        int r = identity_of(certificate_of(subject, 2, cases[i].uri, cases[i].count), &id, &e);
        if (cases[i].kind == IDENTITY_NONE) {
            has_text(&e, ERROR_INVALID, cases[i].name);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(id.kind, cases[i].kind);
        assert_string_equal(id.name, cases[i].name);
        assert_string_equal(id.serial, "abc");
    }
}

static void names_have_a_length(void **state)
{
    char uri[sizeof "fleetdump://agent/" + HEAD_NAME_MAX + 1];
    (void)state;
    for (int more = 0; more < 2; more++) {
        int length = snprintf(uri, sizeof uri, "fleetdump://agent/%0*d", (int)HEAD_NAME_MAX + more, 7);
        const struct entry name = {GEN_URI, 0, uri, length};
        struct identity id;
        assert_int_equal(identity_of(certificate_of(NULL, 0, &name, 1), &id, NULL), more ? ERROR_INVALID : 0);
    }
}

static void names_in_subjects(void **state)
{
    static const struct {
        struct entry subject[4];
        size_t count;
        uint8_t kind;
        const char *name;
    } cases[] = {
        {{UNIT("fleetdump-agent"), NAME("web-1")}, 2, IDENTITY_AGENT, "web-1"},
        {{NAME("alice"), UNIT("Sales"), UNIT("fleetdump-user")}, 3, IDENTITY_USER, "alice"},
        {{UNIT("fleetdump-collector"), NAME("hub")}, 2, IDENTITY_COLLECTOR, "hub"},
        {{UNIT("fleetdump-agent")}, 1, IDENTITY_NONE, "does not say who"},
        {{NAME("web-1")}, 1, IDENTITY_NONE, "does not say who"},
        {{UNIT("Sales"), NAME("web-1")}, 2, IDENTITY_NONE, "does not say who"},
        {{UNIT("fleetdump-root"), NAME("web-1")}, 2, IDENTITY_NONE, "does not say who"},
        {{UNIT("fleetdump-agent"), UNIT("fleetdump-user"), NAME("a")}, 3, IDENTITY_NONE, "more than one"},
        {{UNIT("fleetdump-agent"), NAME("a"), NAME("b")}, 3, IDENTITY_NONE, "more than one"},
        {{UNIT("fleetdump-agent"), NAME("web-1\0evil")}, 2, IDENTITY_NONE, "is none"},
        {{UNIT("fleetdump-agent\0"), NAME("web-1")}, 2, IDENTITY_NONE, "does not say who"},
        {{UNIT("fleetdump-agent"), NAME("web 1")}, 2, IDENTITY_NONE, "is none"},
        {{UNIT("fleetdump-agent"), NAME("b\xc3\xbcro")}, 2, IDENTITY_NONE, "is none"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct identity id;
        struct error e = ERROR_INIT;
        int r = identity_of(certificate_of(cases[i].subject, cases[i].count, NULL, 0), &id, &e);
        if (cases[i].kind == IDENTITY_NONE) {
            has_text(&e, ERROR_INVALID, cases[i].name);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(id.kind, cases[i].kind);
        assert_string_equal(id.name, cases[i].name);
    }
}

static void serial_numbers(void **state)
{
    static const struct entry name = URI("fleetdump://agent/a");
    static const struct {
        const char *number, *text; /* NULL: refused */
    } cases[] = {{"1", "1"},
                 {"0", "0"},
                 {"7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "7fffffffffffffffffffffffffffffffffffffff"},
                 {"00F0", "f0"},
                 {"-5", NULL},
                 {"1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        X509 *x = certificate_of(NULL, 0, &name, 1);
        BIGNUM *number = NULL;
        struct identity id;
        assert_true(BN_hex2bn(&number, cases[i].number) > 0);
        assert_non_null(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)));
        BN_free(number);
        assert_int_equal(identity_of(x, &id, NULL), cases[i].text ? 0 : ERROR_INVALID);
        if (cases[i].text)
            assert_string_equal(id.serial, cases[i].text);
    }
}

/* ------------------------------------------------------------ */
static int make_all(void **state)
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

static int drop_all(void **state)
{
    (void)state;
    tls_unref(all.agent);
    tls_unref(all.user);
    tls_unref(all.collector);
    test_ca_free(&all.ca);
    test_ca_free(&all.other);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_know_each_other),
        cmocka_unit_test(who_joins_is_nobody_yet),
        cmocka_unit_test(before_and_after_a_renewal_of_the_authority),
        cmocka_unit_test(who_joins_finds_another_collector),
        cmocka_unit_test(each_refusal_has_its_reason),
        cmocka_unit_test(clocks_are_named),
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
        cmocka_unit_test(files_that_are_wrong),
        cmocka_unit_test(renewed_files_are_used_from_then_on),
        cmocka_unit_test(names_in_uris),
        cmocka_unit_test(names_have_a_length),
        cmocka_unit_test(names_in_subjects),
        cmocka_unit_test(serial_numbers),
    };
    return cmocka_run_group_tests(tests, make_all, drop_all);
}
