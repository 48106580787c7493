/*
 * TLS between two streams: who is accepted, who is not, and what each side is told about it.
 */
#include "tests/unit/tls_world.h"

#include <string.h>
#include <sys/stat.h>

#define DAY_NS (UINT64_C(86400) * NS_PER_S)

/* ------------------------------------------------------------ who is who */
static void both_know_each_other(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, all.collector);
    world_dial(&w, all.agent);
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
    world_end(&w);
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
    world_begin(&w, all.collector);
    world_dial(&w, joining);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    assert_int_equal(w.client.peer.kind, IDENTITY_COLLECTOR);
    assert_int_equal(w.server[0].peer.kind, IDENTITY_NONE);
    assert_string_equal(w.server[0].peer.name, "");
    world_end(&w);
    tls_unref(joining);
}

static void meet(struct tls *theirs, struct tls *ours)
{
    struct world w;
    world_begin(&w, theirs);
    world_dial(&w, ours);
    RUN_UNTIL(&w, w.server[0].messages == 1);
    assert_int_equal(w.client.peer.kind, IDENTITY_COLLECTOR);
    world_end(&w);
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
    world_begin(&w, all.collector);
    world_dial(&w, joining);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    error_has_text(&w.client.why, ERROR_REFUSED, "its authority is another one");
    assert_int_equal(w.client.opens, 0); /* so nothing was said */
    assert_int_equal(w.server[0].messages, 0);
    world_end(&w);
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
    world_begin(&w, theirs);
    world_dial(&w, ours);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    assert_int_equal(w.server[0].messages, 0);
    assert_int_equal(w.server[0].peer.kind, IDENTITY_NONE);
    error_has_text(side == CLIENT_SEES ? &w.client.why : &w.server[0].why, ERROR_REFUSED, text);
    assert_non_null(strstr(w.server[0].why.text, "127.0.0.1:"));
    if (told)
        error_has_text(side == CLIENT_SEES ? &w.server[0].why : &w.client.why, ERROR_REFUSED, told);
    world_end(&w);
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
    world_begin(&w, all.collector);
    world_dial(&w, ours);
    RUN_UNTIL(&w, w.client.closes && w.server[0].closes);
    error_has_text(&w.server[0].why, ERROR_REFUSED, "and the clock here says 20");
    error_has_text(&w.client.why, ERROR_REFUSED, "(agent web-1, good from 20");
    world_end(&w);
    tls_unref(ours);
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
    error_has_text(&e, ERROR_INVALID, "certificate of agent web-1, where one of kind collector is needed");

    assert_int_equal(chmod(support_path(folder, TLS_KEY_NAME), 0640), 0);
    assert_int_equal(tls_load_folder(folder, IDENTITY_AGENT, &t, &e), ERROR_REFUSED);
    error_has_text(&e, ERROR_REFUSED, "chmod 600");
    test_tls_write(folder, &all.ca, &certificate, &second_key);
    assert_int_equal(tls_load_folder(folder, IDENTITY_AGENT, &t, &e), ERROR_CONFLICT);
    error_has_text(&e, ERROR_CONFLICT, "is not the key of");

    memset(long_text, 'x', sizeof long_text);
    static const char *const names[] = {TLS_CA_NAME, TLS_CERT_NAME, TLS_KEY_NAME};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (size_t size = 0; size <= sizeof long_text; size += sizeof long_text / 2) {
            test_tls_write(folder, &all.ca, &certificate, &key);
            support_write(folder, names[i], long_text, size);
            assert_int_equal(tls_load_folder(folder, IDENTITY_AGENT, &t, &e), ERROR_INVALID);
            error_has_text(&e, ERROR_INVALID, names[i]);
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
        error_has_text(&e, ERROR_INVALID, "behind the first");
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
    world_begin(&w, all.collector);
    world_dial(&w, t);
    RUN_UNTIL(&w, w.server[0].messages == 1);

    support_write(folder, TLS_CERT_NAME, second.data, second.len); /* half of a renewal */
    assert_int_equal(tls_reload(t, NULL), ERROR_CONFLICT);
    assert_string_equal(tls_identity(t)->serial, serial);
    test_tls_write(folder, &all.ca, &second, &second_key);
    assert_int_equal(tls_reload(t, NULL), 0);
    assert_string_not_equal(tls_identity(t)->serial, serial);

    end_say_hello(w.client.stream); /* the old connection goes on */
    RUN_UNTIL(&w, w.server[0].messages == 2);
    struct stream *old = w.client.stream;
    world_dial(&w, t);
    RUN_UNTIL(&w, w.server[1].messages == 1);
    assert_string_equal(w.server[0].peer.serial, serial);
    assert_string_equal(w.server[1].peer.serial, tls_identity(t)->serial);
    w.client.closes = 0;
    stream_abort(old);
    RUN_UNTIL(&w, w.client.closes == 1);
    w.client.stream = NULL;
    stream_abort(w.server[1].stream);
    RUN_UNTIL(&w, w.client.closes == 2);
    world_end(&w);
    tls_unref(t);
    support_folder_remove(folder);
    buffer_free(&certificate);
    buffer_free(&key);
    buffer_free(&second);
    buffer_free(&second_key);
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
        cmocka_unit_test(files_that_are_wrong),
        cmocka_unit_test(renewed_files_are_used_from_then_on),
    };
    return cmocka_run_group_tests(tests, members_make, members_drop);
}
