/*
 * Who asks for a certificate: a token buys one once; guesses are few; approvals; labels are those that were given.
 */
#include "collector/server/enroll.h"
#include "collector/server/enroll_impl.h"
#include "collector/server/given_labels.h"
#include "collector/server/trail.h"
#include "common/net/ca.h"
#include "common/packet/packet.h"
#include "tests/unit/enroll_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_token_buys_one_certificate(void **state)
{
    struct world *w = *state;
    struct token t = authority_give(w, IDENTITY_AGENT, "web-1", 0);
    char *request = joiner_new_request(IDENTITY_USER, "root"); /* what it wishes does not matter */
    assert_string_equal(t.collector, "10.1.2.3:4741");
    struct joiner j = joiner_ask(w, t.secret, request);
    assert_int_equal(j.code, 0);
    assert_int_equal(j.got.kind, IDENTITY_AGENT);
    assert_string_equal(j.got.name, "web-1");
    assert_string_equal(j.labels, "role=web dc=fra ");
    j = joiner_ask(w, t.secret, request);
    assert_int_equal(j.code, ERROR_CONFLICT);
    assert_non_null(strstr(j.text, "used already"));
    free(request);
}

static void tokens_are_refused_with_a_reason(void **state)
{
    struct world *w = *state;
    char *request = joiner_new_request(IDENTITY_AGENT, "web-1");
    static const uint8_t nobodys[16];
    struct token late = authority_give(w, IDENTITY_AGENT, "web-1", 1),
                 good = authority_give(w, IDENTITY_AGENT, "web-1", 0);
    struct joiner j = joiner_ask(w, late.secret, request);
    assert_int_equal(j.code, ERROR_REFUSED);
    assert_non_null(strstr(j.text, "time is over"));
    j = joiner_ask(w, nobodys, request);
    assert_int_equal(j.code, ERROR_NOT_FOUND);
    j = joiner_ask(w, good.secret, "nonsense");
    assert_int_equal(j.code, ERROR_INVALID);
    j = joiner_ask(w, good.secret, request); /* which did not use it up */
    assert_int_equal(j.code, 0);
    j = joiner_ask(w, NULL, request);
    assert_int_equal(j.code, ERROR_REFUSED);
    assert_non_null(strstr(j.text, "with a token only"));
    free(request);
}

static void guesses_are_few(void **state)
{
    struct world *w = *state;
    char *request = joiner_new_request(IDENTITY_AGENT, "web-1");
    struct token good = authority_give(w, IDENTITY_AGENT, "web-1", 0);
    uint8_t secret[16] = {0};
    for (unsigned i = 0; i < GUESSES_MOST; i++) {
        secret[0] = (uint8_t)i;
        assert_int_equal(joiner_ask(w, secret, request).code, ERROR_NOT_FOUND);
    }
    struct joiner j = joiner_ask(w, good.secret, request);
    assert_int_equal(j.code, ERROR_REFUSED);
    assert_non_null(strstr(j.text, "wait a minute"));
    memset(&w->server.enroll->guesses, 0, sizeof w->server.enroll->guesses); /* it is over */
    assert_int_equal(joiner_ask(w, good.secret, request).code, 0);
    free(request);
}

static size_t lines_of(struct peer *admin, const char *wants)
{
    assert_int_equal(peer_admin(admin, ADMIN_AUDIT, wants), 0);
    json_t *audit = peer_manifest(admin);
    size_t count = json_array_size(json_object_get(audit, "lines"));
    json_decref(audit);
    return count;
}

static int wait_for_it(void *owner, struct store *s, struct error *e)
{
    (void)s;
    (void)e;
    uv_sem_wait(owner);
    return 0;
}

static void nothing_more(void *owner, int result, const struct error *e)
{
    (void)owner;
    (void)result;
    (void)e;
}

static void leave_at_once(void *context, struct stream *s)
{
    joiner_on_open(context, s);
    stream_close(s);
}

/* Who does not wait for the answer, since it says nothing new, has been wrong all the same. */
static void who_goes_away_has_guessed_too(void **state)
{
    static const struct stream_events events = {.on_open = leave_at_once, .on_close = joiner_on_close};
    static const uint8_t nobodys[16];
    struct world *w = *state;
    uv_sem_t answered;
    char *request = joiner_new_request(IDENTITY_AGENT, "web-1");
    struct joiner j = {.w = w, .ask = {.secret = nobodys, .secret_length = 16, .request = request}};
    assert_int_equal(uv_sem_init(&answered, 0), 0);
    assert_int_equal(ingest_call(w->server.ingest, wait_for_it, nothing_more, &answered, NULL), 0);
    assert_int_equal(stream_connect(&w->loop, NULL, w->address, 5000, &events, &j, &j.stream, NULL), 0);
    UNTIL(w, j.closed && w->server.sessions && !w->server.sessions->stream);
    uv_sem_post(&answered);
    UNTIL(w, !w->server.sessions);
    assert_int_equal(w->server.enroll->guesses.of[0].wrong, 1);
    struct peer *admin = peer_client(w);
    assert_int_equal(lines_of(admin, "{\"event\": \"enroll\"}"), 1);
    uv_sem_destroy(&answered);
    free(request);
}

/* A revoked certificate as well as none; they take no place from others, and hide nothing that was granted. */
static void who_is_not_let_in_has_few_lines_of_the_audit(void **state)
{
    struct world *w = *state;
    struct peer *admin = peer_client(w);
    struct session outside = {.server = &w->server, .peer = TEXT("10.0.0.9:1"), .role = ROLE_CLIENT}, inside = outside;
    inside.welcomed = true;
    pretended = (struct identity){.kind = IDENTITY_USER, .name = "eve", .serial = "ab"};
    for (unsigned i = 0; i < 3 * TRAIL_STRANGERS; i++)
        trail_note(&w->server, &outside, "refused", "connection", ERROR_REFUSED, "revoked", NULL);
    trail_note(&w->server, &inside, "refused", "pull", ERROR_REFUSED, "no", NULL);
    trail_note(&w->server, &outside, "enroll", "a certificate for agent web-1", 0, NULL, NULL);
    pretended = (struct identity){.kind = IDENTITY_NONE};
    assert_in_range(lines_of(admin, "{\"event\": \"refused\"}"), TRAIL_STRANGERS + 1, 2 * TRAIL_STRANGERS + 1);
    assert_int_equal(lines_of(admin, "{\"event\": \"enroll\"}"), 1);
}

static void what_does_not_begin_is_noted_too(void **state)
{
    struct world *w = *state;
    struct peer *admin = peer_client(w);
    const struct message_query status = {.kind = QUERY_STATUS, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    w->config.max_queries = 0;
    assert_int_equal(peer_ask(admin, &status), ERROR_BUSY);
    assert_int_equal(peer_admin(admin, ADMIN_REVOKE, "nonsense"), ERROR_INVALID);
    assert_int_equal(lines_of(admin, "{\"event\": \"query\"}"), 1);
    assert_int_equal(lines_of(admin, "{\"event\": \"admin\"}"), 2); /* and the question before this one */
}

static void guesses_are_counted_by_address(void **state)
{
    static struct guesses g;
    struct net_address a = {.family = FAMILY_IP4, .addr = {10, 0, 0, 1}}, b = {.family = FAMILY_IP6, .addr = {0x20, 1}};
    (void)state;
    memset(&g, 0, sizeof g);
    for (unsigned i = 0; i < GUESSES_MOST; i++) {
        assert_true(guesses_may(&g, &b, NS_PER_S));
        b.addr[15]++; /* another host of the same net */
        guesses_wrong(&g, &b, NS_PER_S);
    }
    assert_false(guesses_may(&g, &b, 60 * NS_PER_S));
    assert_false(guesses_same(&a, &b));
    struct net_address c = {.family = FAMILY_IP6, .addr = {0x20, 1}}, d = {.family = FAMILY_IP4, .addr = {10, 0, 0, 2}};
    assert_true(guesses_same(&b, &c));
    assert_false(guesses_same(&a, &d));
    assert_true(guesses_may(&g, &a, 60 * NS_PER_S));
    assert_true(guesses_may(&g, &b, 62 * NS_PER_S));
    for (unsigned i = 0; i < 2 * GUESSES_ADDRESSES; i++) { /* many: the least recent are forgotten */
        memcpy(a.addr, &i, sizeof i);
        guesses_wrong(&g, &a, 2 * NS_PER_S + i);
    }
    assert_true(guesses_may(&g, &b, 2 * NS_PER_S));
}

static void approval(void **state)
{
    struct world *w = *state;
    char *request = joiner_new_request(IDENTITY_AGENT, "web-7"), *user = joiner_new_request(IDENTITY_USER, "eve");
    w->config.enroll.approve = true;
    assert_int_equal(joiner_ask(w, NULL, user).code, ERROR_REFUSED);
    struct joiner j = joiner_ask(w, NULL, request);
    assert_int_equal(j.code, ERROR_BUSY);
    assert_true(j.again_ms > 0);
    assert_int_equal(w->server.enroll->pending_count, 1);
    assert_int_equal(joiner_ask(w, NULL, request).code, ERROR_BUSY);
    assert_int_equal(w->server.enroll->pending_count, 1);
    w->server.enroll->pending->approved = true;
    strcpy(w->server.enroll->pending->labels, "dc=ams");
    j = joiner_ask(w, NULL, request);
    assert_int_equal(j.code, 0);
    assert_string_equal(j.got.name, "web-7");
    assert_string_equal(j.labels, "dc=ams ");
    assert_int_equal(joiner_ask(w, NULL, request).code, ERROR_BUSY); /* an approval is good for once */
    free(request);
    free(user);
}

static void few_wait_from_one_address(void **state)
{
    struct world *w = *state;
    w->config.enroll.approve = true;
    for (unsigned i = 0; i <= ENROLL_PENDING_EACH; i++) {
        char *request = joiner_new_request(IDENTITY_AGENT, "web-1");
        assert_int_equal(joiner_ask(w, NULL, request).code, i < ENROLL_PENDING_EACH ? ERROR_BUSY : ERROR_LIMIT);
        free(request);
    }
}

static void without_a_key_nothing_is_signed(void **state)
{
    struct world *w = *state;
    struct error e = ERROR_INIT;
    char text[TOKEN_TEXT_MAX];
    struct store_token row;
    world_stop(w);
    assert_int_equal(remove(w->config.enroll.ca_key), 0);
    world_start(w);
    const struct enroll_wish wish = {.kind = IDENTITY_AGENT, .name = "web-1"};
    assert_int_equal(enroll_new_token(w->server.enroll, &wish, &row, text, &e), ERROR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "whose key is not here"));
    char *request = joiner_new_request(IDENTITY_AGENT, "web-1");
    static const uint8_t secret[16];
    assert_int_equal(joiner_ask(w, secret, request).code, ERROR_UNSUPPORTED);
    free(request);
}

static void labels_are_checked(void **state)
{
    struct world *w = *state;
    static const char *const bad[] = {"", "role", "=web", "a=b,c=d", "a=b c", "a=\"b\"", "a=\n"};
    char out[STORE_LABELS_MAX + 1], text[TOKEN_TEXT_MAX];
    struct store_token row;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(enroll_join_labels(&bad[i], 1, out, NULL), ERROR_USAGE);
    const struct enroll_wish odd = {.kind = IDENTITY_AGENT, .name = "a b"};
    const struct enroll_wish longest = {.kind = IDENTITY_AGENT, .name = "a", .ttl_ns = ENROLL_TTL_MOST_NS + 1};
    assert_int_equal(enroll_new_token(w->server.enroll, &odd, &row, text, NULL), ERROR_USAGE);
    assert_int_equal(enroll_new_token(w->server.enroll, &longest, &row, text, NULL), ERROR_USAGE);
}

/* What a host says of itself, with the certificate that came of a token with role=web,dc=fra; the labels that count. */
static void check_labels(struct store *s, const char *serial, const char *says, const char *count, const char *problem)
{
    char *labels = strdup(says), *status = strdup("{\"problem\": null, \"x\": 1}");
    assert_int_equal(given_labels_apply(s, serial, &labels, &status, NULL), 0);
    assert_string_equal(labels, count);
    assert_true(problem ? strstr(status, problem) != NULL : strcmp(status, "{\"problem\": null, \"x\": 1}") == 0);
    free(labels);
    free(status);
}

static void labels_are_those_that_were_given(void **state)
{
    struct world *w = *state;
    struct token t = authority_give(w, IDENTITY_AGENT, "web-1", 0);
    char *request = joiner_new_request(IDENTITY_AGENT, "web-1");
    struct joiner j = joiner_ask(w, t.secret, request);
    struct store *s = w->server.store;
    assert_int_equal(j.code, 0);
    check_labels(s, j.got.serial, "role=db,dc=fra", "role=web,dc=fra",
                 "label role=db in its agent.conf does not count");
    check_labels(s, j.got.serial, "dc=fra,role=web,role=web2", "role=web,dc=fra", "label role=web2 in");
    check_labels(s, j.got.serial, "dc=fra,role=web", "role=web,dc=fra", NULL);
    check_labels(s, j.got.serial, "", "role=web,dc=fra", NULL);
    check_labels(s, "", "role=db", "role=db", NULL);     /* no certificate */
    check_labels(s, "abcd", "role=db", "role=db", NULL); /* made elsewhere */
    free(request);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, authority_set_up, authority_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_token_buys_one_certificate),
        TEST(tokens_are_refused_with_a_reason),
        TEST(guesses_are_few),
        TEST(who_goes_away_has_guessed_too),
        TEST(who_is_not_let_in_has_few_lines_of_the_audit),
        TEST(what_does_not_begin_is_noted_too),
        cmocka_unit_test(guesses_are_counted_by_address),
        TEST(approval),
        TEST(few_wait_from_one_address),
        TEST(without_a_key_nothing_is_signed),
        TEST(labels_are_checked),
        TEST(labels_are_those_that_were_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
