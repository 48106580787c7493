/*
 * Who asks for a certificate: a token buys one once; guesses are few; what is revoked is refused, and what is made later is
 * not.
 */
#include "collector/server/enroll_impl.h"
#include "collector/server/given_labels.h"
#include "collector/server/rights.h"
#include "collector/server/trail.h"
#include "common/net/reach.h"
#include "common/packet/packet.h"
#include "tests/unit/server_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT(s) ((char *)(uintptr_t)(s))

/* Connections are not encrypted here: the certificate of clients is pretended. */
static struct identity pretended;
static const struct session *pretends; /* whose; NULL: of all */

const struct identity *__wrap_session_identity(const struct session *s);
const struct identity *__wrap_session_identity(const struct session *s)
{
    static const struct identity nobody;
    return s->role == ROLE_CLIENT && (!pretends || pretends == s) ? &pretended : &nobody;
}

static void write_pem(struct world *w, const char *name, const struct buffer *pem)
{
    support_write(w->path, name, pem->data, pem->len);
}

/* A collector with an authority. */
static int set_up(void **state)
{
    pretended = (struct identity){.kind = IDENTITY_NONE};
    pretends = NULL;
    world_set_up(state);
    struct world *w = *state;
    struct buffer key = {0}, root = {0};
    world_stop(w);
    assert_int_equal(ca_new_key(&key, NULL), 0);
    assert_int_equal(ca_new_root(ca_text_of(&key), "test", clock_wall_ns(), CA_ROOT_LIFE_NS, &root, NULL), 0);
    write_pem(w, "ca.pem", &root);
    write_pem(w, "ca.key", &key);
    assert_int_equal(chmod(support_path(w->path, "ca.key"), 0600), 0);
    w->config.enroll = (struct enroll_config){.ca = strdup(support_path(w->path, "ca.pem")),
                                              .ca_key = strdup(support_path(w->path, "ca.key")),
                                              .address = "10.1.2.3",
                                              .life_ns = 3600 * NS_PER_S};
    w->config.insecure_plaintext = false;
    world_start(w);
    assert_int_equal(
        net_reach(w->config.enroll.address, "127.0.0.1:0", 1, w->server.reach, sizeof w->server.reach, NULL), 0);
    buffer_free(&key);
    buffer_free(&root);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    free(TEXT(w->config.enroll.ca));
    free(TEXT(w->config.enroll.ca_key));
    return world_tear_down(state);
}

/* ------------------------------------------------------------------ who joins */

struct joiner {
    struct world *w;
    struct stream *stream;
    struct message_enroll ask;
    bool answered, closed;
    int code;
    char text[ERROR_TEXT_MAX], labels[256];
    uint64_t again_ms;
    struct identity got;
};

static void on_open(void *context, struct stream *s)
{
    struct joiner *j = context;
    assert_int_equal(stream_send(s, &(struct message){.type = MESSAGE_ENROLL, .enroll = j->ask}, NULL), 0);
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct joiner *j = context;
    (void)s;
    assert_int_equal(m->type, MESSAGE_ENROLLED);
    const struct message_enrolled *e = &m->enrolled;
    j->answered = true;
    j->code = e->code;
    j->again_ms = e->again_ms;
    snprintf(j->text, sizeof j->text, "%s", e->text);
    for (uint32_t i = 0; i < e->label_count; i++)
        snprintf(j->labels + strlen(j->labels), sizeof j->labels - strlen(j->labels), "%s ", e->labels[i]);
    if (e->code == 0)
        assert_int_equal(ca_read_certificate(ca_text_string(e->certificate), &j->got, NULL), 0);
}

static void on_close(void *context, struct stream *s, const struct error *why)
{
    (void)s;
    (void)why;
    ((struct joiner *)context)->closed = true;
}

static struct joiner ask(struct world *w, const uint8_t *secret, const char *request)
{
    static const struct stream_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    struct joiner j = {.w = w, .ask = {.secret = secret, .secret_length = secret ? 16 : 0, .request = TEXT(request)}};
    assert_int_equal(stream_connect(&w->loop, NULL, w->address, 5000, &events, &j, &j.stream, NULL), 0);
    UNTIL(w, j.closed);
    assert_true(j.answered);
    return j;
}

static char *new_request(uint8_t kind, const char *name)
{
    struct buffer key = {0}, request = {0};
    assert_int_equal(ca_new_key(&key, NULL), 0);
    assert_int_equal(ca_new_request(ca_text_of(&key), kind, name, &request, NULL), 0);
    buffer_u8(&request, 0);
    buffer_free(&key);
    return (char *)request.data;
}

static struct token give(struct world *w, uint8_t kind, const char *name, uint64_t ttl_ns)
{
    static const char *const labels[] = {"role=web", "dc=fra"};
    struct enroll_wish wish = {.kind = kind, .name = name, .by = "root", .ttl_ns = ttl_ns};
    struct store_token row;
    struct token t;
    char text[TOKEN_TEXT_MAX];
    if (kind == IDENTITY_AGENT) {
        wish.labels = labels;
        wish.label_count = 2;
    }
    assert_int_equal(enroll_new_token(w->server.enroll, &wish, &row, text, NULL), 0);
    if (ttl_ns == 1)
        row.expires_ns = row.created_ns - 1;
    assert_int_equal(store_token_put_beside(w->path, &row, NULL), 0);
    assert_int_equal(token_parse(text, &t, NULL), 0);
    return t;
}

/* ------------------------------------------------------------------ tests */

static void a_token_buys_one_certificate(void **state)
{
    struct world *w = *state;
    struct token t = give(w, IDENTITY_AGENT, "web-1", 0);
    char *request = new_request(IDENTITY_USER, "root"); /* what it wishes does not matter */
    assert_string_equal(t.collector, "10.1.2.3:4741");
    struct joiner j = ask(w, t.secret, request);
    assert_int_equal(j.code, 0);
    assert_int_equal(j.got.kind, IDENTITY_AGENT);
    assert_string_equal(j.got.name, "web-1");
    assert_string_equal(j.labels, "role=web dc=fra ");
    j = ask(w, t.secret, request);
    assert_int_equal(j.code, ERROR_CONFLICT);
    assert_non_null(strstr(j.text, "used already"));
    free(request);
}

static void tokens_are_refused_with_a_reason(void **state)
{
    struct world *w = *state;
    char *request = new_request(IDENTITY_AGENT, "web-1");
    static const uint8_t nobodys[16];
    struct token late = give(w, IDENTITY_AGENT, "web-1", 1), good = give(w, IDENTITY_AGENT, "web-1", 0);
    struct joiner j = ask(w, late.secret, request);
    assert_int_equal(j.code, ERROR_REFUSED);
    assert_non_null(strstr(j.text, "time is over"));
    j = ask(w, nobodys, request);
    assert_int_equal(j.code, ERROR_NOT_FOUND);
    j = ask(w, good.secret, "nonsense");
    assert_int_equal(j.code, ERROR_INVALID);
    j = ask(w, good.secret, request); /* which did not use it up */
    assert_int_equal(j.code, 0);
    j = ask(w, NULL, request);
    assert_int_equal(j.code, ERROR_REFUSED);
    assert_non_null(strstr(j.text, "with a token only"));
    free(request);
}

static void guesses_are_few(void **state)
{
    struct world *w = *state;
    char *request = new_request(IDENTITY_AGENT, "web-1");
    struct token good = give(w, IDENTITY_AGENT, "web-1", 0);
    uint8_t secret[16] = {0};
    for (unsigned i = 0; i < GUESSES_MOST; i++) {
        secret[0] = (uint8_t)i;
        assert_int_equal(ask(w, secret, request).code, ERROR_NOT_FOUND);
    }
    struct joiner j = ask(w, good.secret, request);
    assert_int_equal(j.code, ERROR_REFUSED);
    assert_non_null(strstr(j.text, "wait a minute"));
    memset(&w->server.enroll->guesses, 0, sizeof w->server.enroll->guesses); /* it is over */
    assert_int_equal(ask(w, good.secret, request).code, 0);
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
    on_open(context, s);
    stream_close(s);
}

/* Who does not wait for the answer, since it says nothing new, has been wrong all the same. */
static void who_goes_away_has_guessed_too(void **state)
{
    static const struct stream_events events = {.on_open = leave_at_once, .on_close = on_close};
    static const uint8_t nobodys[16];
    struct world *w = *state;
    uv_sem_t answered;
    char *request = new_request(IDENTITY_AGENT, "web-1");
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
    char *request = new_request(IDENTITY_AGENT, "web-7"), *user = new_request(IDENTITY_USER, "eve");
    w->config.enroll.approve = true;
    assert_int_equal(ask(w, NULL, user).code, ERROR_REFUSED);
    struct joiner j = ask(w, NULL, request);
    assert_int_equal(j.code, ERROR_BUSY);
    assert_true(j.again_ms > 0);
    assert_int_equal(w->server.enroll->pending_count, 1);
    assert_int_equal(ask(w, NULL, request).code, ERROR_BUSY);
    assert_int_equal(w->server.enroll->pending_count, 1);
    w->server.enroll->pending->approved = true;
    strcpy(w->server.enroll->pending->labels, "dc=ams");
    j = ask(w, NULL, request);
    assert_int_equal(j.code, 0);
    assert_string_equal(j.got.name, "web-7");
    assert_string_equal(j.labels, "dc=ams ");
    assert_int_equal(ask(w, NULL, request).code, ERROR_BUSY); /* an approval is good for once */
    free(request);
    free(user);
}

static void few_wait_from_one_address(void **state)
{
    struct world *w = *state;
    w->config.enroll.approve = true;
    for (unsigned i = 0; i <= ENROLL_PENDING_EACH; i++) {
        char *request = new_request(IDENTITY_AGENT, "web-1");
        assert_int_equal(ask(w, NULL, request).code, i < ENROLL_PENDING_EACH ? ERROR_BUSY : ERROR_LIMIT);
        free(request);
    }
}

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
    struct token t = give(w, IDENTITY_AGENT, "web-1", 0);
    char *request = new_request(IDENTITY_AGENT, "web-1");
    struct joiner j = ask(w, t.secret, request);
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
    char *request = new_request(IDENTITY_USER, "ann");
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
    char *request = new_request(IDENTITY_USER, "ann");
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
    char *request = new_request(IDENTITY_USER, "ann");
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
    char *request = new_request(IDENTITY_AGENT, "web-1");
    for (int i = 0; i < 3; i++) {
        struct token t = give(w, IDENTITY_AGENT, "web-1", 0);
        struct joiner j = ask(w, t.secret, request);
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
    struct token t, other = give(w, IDENTITY_AGENT, "ann", 0);
    char *request = new_request(IDENTITY_USER, "ann");
    assert_int_equal(peer_admin(admin, ADMIN_USER_ADD, "{\"name\": \"ann\", \"role\": \"viewer\"}"), 0);
    json_t *added = peer_manifest(admin);
    assert_int_equal(token_parse(json_text(json_object_get(added, "user"), "token"), &t, NULL), 0);
    json_decref(added);
    assert_int_equal(peer_admin(admin, ADMIN_USER_REMOVE, "{\"name\": \"ann\"}"), 0);
    assert_int_equal(ask(w, t.secret, request).code, ERROR_NOT_FOUND);
    assert_int_equal(ask(w, other.secret, request).code, 0); /* a host of that name */
    free(request);
}

static void a_revocation_takes_approvals_along(void **state)
{
    struct world *w = *state;
    struct peer *admin = peer_client(w);
    char *request = new_request(IDENTITY_AGENT, "web-7"), *other = new_request(IDENTITY_AGENT, "web-8");
    w->config.enroll.approve = true;
    assert_int_equal(ask(w, NULL, request).code, ERROR_BUSY);
    assert_int_equal(ask(w, NULL, other).code, ERROR_BUSY);
    assert_int_equal(peer_admin(admin, ADMIN_APPROVE, "{\"name\": \"web-7\"}"), 0);
    assert_int_equal(peer_admin(admin, ADMIN_APPROVE, "{\"name\": \"web-8\"}"), 0);
    revoke_it(admin, "{\"kind\": \"agent\", \"name\": \"web-7\", \"force\": true}");
    assert_int_equal(ask(w, NULL, request).code, ERROR_BUSY); /* anew */
    assert_int_equal(ask(w, NULL, other).code, 0);
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
    char *request = new_request(IDENTITY_AGENT, "web-1");
    static const uint8_t secret[16];
    assert_int_equal(ask(w, secret, request).code, ERROR_UNSUPPORTED);
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
    struct token t = give(w, IDENTITY_AGENT, "web-1", 0);
    char *request = new_request(IDENTITY_AGENT, "web-1");
    struct joiner j = ask(w, t.secret, request);
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
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
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
        TEST(without_a_key_nothing_is_signed),
        TEST(labels_are_checked),
        TEST(labels_are_those_that_were_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
