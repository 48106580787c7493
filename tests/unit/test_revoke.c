/*
 * What is revoked is refused, with all that renewed it or that it renewed, and what is made later is not; renewals are few.
 */
#include "collector/server/enroll.h"
#include "collector/server/enroll_impl.h"
#include "collector/server/rights.h"
#include "common/net/ca.h"
#include "tests/unit/enroll_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void what_is_revoked_is_refused_and_what_comes_later_is_not(void **state)
{
    struct world *w = *state;
    struct enroll *en = w->server.enroll;
    uint64_t now_ns = clock_wall_ns();
    struct identity who = {.kind = IDENTITY_AGENT, .name = "web-1", .serial = "ab", .not_before_ns = now_ns};
    struct identity other = {.kind = IDENTITY_USER, .name = "web-1", .serial = "cd", .not_before_ns = now_ns};
    assert_int_equal(enroll_judge(en, &who, NULL), 0);
    assert_int_equal(
        enroll_add_revoked(
            en,
            &(struct store_revocation){
                .kind = IDENTITY_AGENT, .name = "web-1", .serial = "", .revoked_ns = now_ns, .revoked_by = "root"},
            NULL),
        0);
    assert_int_equal(enroll_judge(en, &who, NULL), ERROR_REFUSED);
    assert_int_equal(enroll_judge(en, &other, NULL), 0);
    struct token t = authority_give(w, IDENTITY_AGENT, "web-1", 0);
    char *request = joiner_new_request(IDENTITY_AGENT, "web-1");
    struct joiner j = joiner_ask(w, t.secret, request);
    assert_int_equal(j.code, 0);
    assert_int_equal(enroll_judge(en, &j.got, NULL), 0);
    assert_int_equal(
        enroll_add_revoked(en, &(struct store_revocation){.name = "", .serial = "cd", .revoked_by = ""}, NULL), 0);
    assert_int_equal(enroll_judge(en, &other, NULL), ERROR_REFUSED);
    free(request);
}

static int renew(struct peer *p, const char *request)
{
    unsigned before = p->dones;
    peer_send(p, &(struct message){.type = MESSAGE_ENROLL, .enroll = {.request = TEXT(request)}});
    UNTIL(p->world, p->dones > before);
    return p->code;
}

static void renewals_are_few(void **state)
{
    struct world *w = *state;
    struct ca_request wish;
    struct peer *ann = peer_client(w);
    uint64_t made_ns, begins_ns, now_ns = clock_wall_ns();
    char *request = joiner_new_request(IDENTITY_USER, "ann");
    w->config.enroll.life_ns = 30 * UINT64_C(86400) * NS_PER_S;
    assert_int_equal(ca_read_request(ca_text_string(request), &wish, NULL), 0);
    pretended = (struct identity){.kind = IDENTITY_USER,
                                  .name = "ann",
                                  .serial = "ab",
                                  .not_before_ns = now_ns - 7200 * NS_PER_S,
                                  .not_after_ns = now_ns + 3600 * NS_PER_S};
    memcpy(pretended.key_sha256, wish.key_sha256, sizeof wish.key_sha256);
    assert_int_equal(renew(ann, request), 0);
    assert_int_equal(store_credential_newest(w->server.store, IDENTITY_USER, "ann", &made_ns, &begins_ns, NULL), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(renew(ann, request), ERROR_BUSY);
    uint64_t again_ns;
    assert_int_equal(store_credential_newest(w->server.store, IDENTITY_USER, "ann", &again_ns, &begins_ns, NULL), 0);
    assert_int_equal(again_ns, made_ns);
    w->config.enroll.life_ns = NS_PER_S; /* so that the pause is over */
    world_pass_ms(w, 5);
    assert_int_equal(renew(ann, request), 0);
    free(request);
}

static struct session *session_of(struct world *w)
{
    assert_non_null(w->server.sessions);
    return w->server.sessions; /* the newest is first */
}

static void a_session_ends_with_its_certificate(void **state)
{
    struct world *w = *state;
    struct ca_request wish;
    uint64_t now_ns = clock_wall_ns();
    char *request = joiner_new_request(IDENTITY_USER, "ann");
    struct peer *late = peer_client(w);
    struct session *of_late = session_of(w);
    struct peer *ann = peer_client(w);
    struct session *of_ann = session_of(w);
    assert_int_equal(ca_read_request(ca_text_string(request), &wish, NULL), 0);
    pretended = (struct identity){
        .kind = IDENTITY_USER, .name = "ann", .not_before_ns = now_ns - 7200 * NS_PER_S, .not_after_ns = now_ns + 1};
    memcpy(pretended.key_sha256, wish.key_sha256, sizeof wish.key_sha256);
    of_late->good_until_ns = of_ann->good_until_ns = now_ns + 3600 * NS_PER_S;
    w->config.enroll.life_ns = 7200 * NS_PER_S;
    assert_int_equal(renew(ann, request), 0);
    assert_true(of_ann->good_until_ns > now_ns + 3600 * NS_PER_S);
    assert_true(of_late->good_until_ns == of_ann->good_until_ns); /* of one key */
    of_late->good_until_ns = now_ns;
    UNTIL(w, late->closes);
    assert_non_null(strstr(late->text, "was not renewed"));
    assert_int_equal(ann->closes, 0);
    free(request);
}

static void revoke_it(struct peer *admin, const char *json)
{
    if (peer_admin(admin, ADMIN_REVOKE, json))
        fail_msg("%s: %s", json, admin->text);
}

static int newest_serial(void *context, const struct store_credential *c)
{
    memcpy(context, c->serial, sizeof c->serial);
    return 0;
}

/* ann has a connection that began with certificate "ab", which was renewed on it: the serial of that. */
static struct peer *ann_renews(struct world *w, bool old_is_known, char renewal[STORE_SERIAL_MAX + 1])
{
    struct ca_request wish;
    struct store_reader *reader = NULL;
    uint64_t now_ns = clock_wall_ns();
    char *request = joiner_new_request(IDENTITY_USER, "ann");
    struct peer *ann = peer_client(w);
    pretends = session_of(w);
    assert_int_equal(ca_read_request(ca_text_string(request), &wish, NULL), 0);
    struct store_credential old = {
        .serial = "ab", .kind = IDENTITY_USER, .name = "ann", .made_ns = 1, .not_after_ns = now_ns + 3600 * NS_PER_S};
    pretended = (struct identity){.kind = IDENTITY_USER,
                                  .name = "ann",
                                  .serial = "ab",
                                  .not_before_ns = now_ns - 7200 * NS_PER_S,
                                  .not_after_ns = now_ns + 3600 * NS_PER_S};
    memcpy(pretended.key_sha256, wish.key_sha256, sizeof wish.key_sha256);
    memcpy(old.key_sha256, wish.key_sha256, sizeof wish.key_sha256);
    if (old_is_known)
        assert_int_equal(store_credential_put(w->server.store, &old, NULL, NULL), 0);
    assert_int_equal(renew(ann, request), 0);
    assert_int_equal(store_reader_open(w->server.store, &reader, NULL), 0);
    assert_int_equal(store_each_credential(reader, newest_serial, renewal, NULL), 0);
    store_reader_close(reader);
    free(request);
    return ann;
}

static void revoke_serial(struct peer *admin, const char *serial)
{
    char json[100];
    snprintf(json, sizeof json, "{\"serial\": \"%s\"}", serial);
    revoke_it(admin, json);
}

/* Whichever of them is named, and whichever the connection began with. */
static void check_renewed_is_revoked(struct world *w, bool old_is_known, bool by_old)
{
    char renewal[STORE_SERIAL_MAX + 1];
    struct peer *ann = ann_renews(w, old_is_known, renewal), *admin = peer_client(w);
    struct identity other_key = pretended, renewed = pretended;
    other_key.key_sha256[0] ^= 1;
    snprintf(other_key.serial, sizeof other_key.serial, "cd");
    snprintf(renewed.serial, sizeof renewed.serial, "%s", renewal);
    revoke_serial(admin, by_old ? "ab" : renewal);
    UNTIL(w, ann->closes);
    assert_non_null(strstr(ann->text, "was revoked"));
    assert_int_equal(admin->closes, 0);
    assert_int_equal(enroll_judge(w->server.enroll, &pretended, NULL), ERROR_REFUSED);
    assert_int_equal(enroll_judge(w->server.enroll, &renewed, NULL), ERROR_REFUSED);
    assert_int_equal(enroll_judge(w->server.enroll, &other_key, NULL), 0);
}

static void a_renewal_is_revoked_with_what_it_renewed(void **state)
{
    check_renewed_is_revoked(*state, true, true);
}

static void what_was_renewed_is_revoked_with_its_renewal(void **state)
{
    check_renewed_is_revoked(*state, true, false);
}

static void a_connection_that_began_with_one_long_forgotten_ends_too(void **state)
{
    check_renewed_is_revoked(*state, false, false);
}

static void revocations_by_serial_stay_after_a_restart(void **state)
{
    struct world *w = *state;
    char renewal[STORE_SERIAL_MAX + 1];
    (void)ann_renews(w, true, renewal);
    revoke_serial(peer_client(w), renewal);
    pretends = NULL;
    world_stop(w);
    world_start(w);
    assert_int_equal(enroll_judge(w->server.enroll, &pretended, NULL), ERROR_REFUSED);
}

static void nobody_revokes_his_own_renewal(void **state)
{
    struct world *w = *state;
    char renewal[STORE_SERIAL_MAX + 1], json[100];
    struct peer *ann = ann_renews(w, true, renewal);
    assert_int_equal(peer_admin(ann, ADMIN_USER_ADD, "{}"), ERROR_REFUSED); /* no administrator yet */
    rights_user_at_least(w->server.rights, "ann", RIGHTS_ADMIN);
    snprintf(json, sizeof json, "{\"serial\": \"%s\"}", renewal);
    assert_int_equal(peer_admin(ann, ADMIN_REVOKE, json), ERROR_REFUSED);
    assert_non_null(strstr(ann->text, "nobody revokes himself"));
    assert_int_equal(enroll_judge(w->server.enroll, &pretended, NULL), 0);
}

/* What is made after the first begins behind it, so after the second, which comes in the same second. */
static void a_name_may_be_revoked_twice_in_a_second(void **state)
{
    struct world *w = *state;
    struct peer *admin = peer_client(w);
    char *request = joiner_new_request(IDENTITY_AGENT, "web-1");
    for (int i = 0; i < 3; i++) {
        struct token t = authority_give(w, IDENTITY_AGENT, "web-1", 0);
        struct joiner j = joiner_ask(w, t.secret, request);
        assert_int_equal(j.code, 0);
        assert_int_equal(enroll_judge(w->server.enroll, &j.got, NULL), 0);
        revoke_it(admin, "{\"kind\": \"agent\", \"name\": \"web-1\"}");
        assert_int_equal(enroll_judge(w->server.enroll, &j.got, NULL), ERROR_REFUSED);
    }
    free(request);
}

static void who_is_removed_has_no_token_left(void **state)
{
    struct world *w = *state;
    struct peer *admin = peer_client(w);
    struct token t, other = authority_give(w, IDENTITY_AGENT, "ann", 0);
    char *request = joiner_new_request(IDENTITY_USER, "ann");
    assert_int_equal(peer_admin(admin, ADMIN_USER_ADD, "{\"name\": \"ann\", \"role\": \"viewer\"}"), 0);
    json_t *added = peer_manifest(admin);
    assert_int_equal(token_parse(json_text(json_object_get(added, "user"), "token"), &t, NULL), 0);
    json_decref(added);
    assert_int_equal(peer_admin(admin, ADMIN_USER_REMOVE, "{\"name\": \"ann\"}"), 0);
    assert_int_equal(joiner_ask(w, t.secret, request).code, ERROR_NOT_FOUND);
    assert_int_equal(joiner_ask(w, other.secret, request).code, 0); /* a host of that name */
    free(request);
}

static void a_revocation_takes_approvals_along(void **state)
{
    struct world *w = *state;
    struct peer *admin = peer_client(w);
    char *request = joiner_new_request(IDENTITY_AGENT, "web-7"), *other = joiner_new_request(IDENTITY_AGENT, "web-8");
    w->config.enroll.approve = true;
    assert_int_equal(joiner_ask(w, NULL, request).code, ERROR_BUSY);
    assert_int_equal(joiner_ask(w, NULL, other).code, ERROR_BUSY);
    assert_int_equal(peer_admin(admin, ADMIN_APPROVE, "{\"name\": \"web-7\"}"), 0);
    assert_int_equal(peer_admin(admin, ADMIN_APPROVE, "{\"name\": \"web-8\"}"), 0);
    revoke_it(admin, "{\"kind\": \"agent\", \"name\": \"web-7\", \"force\": true}");
    assert_int_equal(joiner_ask(w, NULL, request).code, ERROR_BUSY); /* anew */
    assert_int_equal(joiner_ask(w, NULL, other).code, 0);
    free(request);
    free(other);
}

static void a_serial_number_is_known_however_it_is_written(void **state)
{
    struct world *w = *state;
    struct peer *admin = peer_client(w);
    const struct identity who = {.kind = IDENTITY_AGENT, .name = "web-1", .serial = "a1b2", .not_before_ns = 1};
    assert_int_equal(peer_admin(admin, ADMIN_REVOKE, "{\"serial\": \"00\"}"), ERROR_USAGE);
    assert_int_equal(peer_admin(admin, ADMIN_REVOKE, "{\"serial\": \"xyz\"}"), ERROR_USAGE);
    assert_int_equal(peer_admin(admin, ADMIN_REVOKE, "{\"serial\": \"1234567890123456789012345678901234567890a\"}"),
                     ERROR_USAGE);
    assert_int_equal(enroll_judge(w->server.enroll, &who, NULL), 0);
    revoke_it(admin, "{\"serial\": \"00:A1:B2\"}");
    assert_int_equal(enroll_judge(w->server.enroll, &who, NULL), ERROR_REFUSED);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, authority_set_up, authority_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_revoked_is_refused_and_what_comes_later_is_not),
        TEST(renewals_are_few),
        TEST(a_session_ends_with_its_certificate),
        TEST(a_name_may_be_revoked_twice_in_a_second),
        TEST(a_renewal_is_revoked_with_what_it_renewed),
        TEST(what_was_renewed_is_revoked_with_its_renewal),
        TEST(a_connection_that_began_with_one_long_forgotten_ends_too),
        TEST(revocations_by_serial_stay_after_a_restart),
        TEST(nobody_revokes_his_own_renewal),
        TEST(who_is_removed_has_no_token_left),
        TEST(a_revocation_takes_approvals_along),
        TEST(a_serial_number_is_known_however_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
