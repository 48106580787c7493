/* Tokens, certificates and revocations outlive the collector and a damaged catalog; a token is used once. */
#include "tests/unit/store_place.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY (24 * HOUR)

static struct store_token token(uint8_t hash, const char *name, uint64_t created_ns)
{
    struct store_token t = {.kind = 1, .created_ns = created_ns, .expires_ns = created_ns + HOUR};
    memset(t.hash, hash, sizeof t.hash);
    snprintf(t.name, sizeof t.name, "%s", name);
    snprintf(t.labels, sizeof t.labels, "role=web,dc=fra");
    snprintf(t.created_by, sizeof t.created_by, "ann");
    return t;
}

static struct store_credential credential(const char *serial, const char *name, uint64_t made_ns)
{
    struct store_credential c = {
        .kind = 1, .made_ns = made_ns, .not_before_ns = made_ns, .not_after_ns = made_ns + DAY};
    memset(c.key_sha256, 7, sizeof c.key_sha256);
    snprintf(c.serial, sizeof c.serial, "%s", serial);
    snprintf(c.name, sizeof c.name, "%s", name);
    snprintf(c.labels, sizeof c.labels, "role=web");
    snprintf(c.how, sizeof c.how, "token");
    snprintf(c.peer, sizeof c.peer, "10.0.0.1:4000");
    return c;
}

static int note_token(void *context, const struct store_token *t)
{
    buffer_printf(context, "%02x %s%s; ", t->hash[31], t->name, t->used_ns ? " used" : "");
    return 0;
}

static int note_credential(void *context, const struct store_credential *c)
{
    buffer_printf(context, "%s %s %s %s %s; ", c->serial, c->name, c->labels, c->how, c->peer);
    return 0;
}

static int note_revocation(void *context, const struct store_revocation *v)
{
    buffer_printf(context, "%u %s '%s' %llu %s; ", v->kind, v->name, v->serial, (unsigned long long)v->revoked_ns,
                  v->revoked_by);
    return 0;
}

enum { TOKENS, CREDENTIALS, REVOCATIONS };

static void assert_list(struct place *p, int which, const char *expected)
{
    struct store_reader *r = NULL;
    struct buffer text = {0};
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    int code = which == TOKENS        ? store_each_token(r, note_token, &text, &p->e)
               : which == CREDENTIALS ? store_each_credential(r, note_credential, &text, &p->e)
                                      : store_each_revocation(r, note_revocation, &text, &p->e);
    assert_int_equal(code, 0);
    buffer_u8(&text, 0);
    assert_string_equal((char *)text.data, expected);
    buffer_free(&text);
    store_reader_close(r);
}

static void a_token_is_used_once(void **state)
{
    struct place *p = *state;
    struct store_token t = token(1, "web-1", T0), found;
    struct store_credential c = credential("aa", "web-1", T0 + SECOND);
    assert_int_equal(store_token_put(p->s, &t, &p->e), 0);
    place_reopen(p, NULL);
    assert_int_equal(store_token_find(p->s, t.hash, &found, &p->e), 0);
    assert_memory_equal(&t, &found, sizeof t);
    assert_int_equal(store_credential_put(p->s, &c, t.hash, &p->e), 0);
    struct store_credential second = credential("bb", "web-1", T0 + 2 * SECOND);
    assert_int_equal(store_credential_put(p->s, &second, t.hash, &p->e), ERROR_CONFLICT);
    place_reopen(p, NULL);
    assert_list(p, TOKENS, "01 web-1 used; ");
    assert_list(p, CREDENTIALS, "aa web-1 role=web token 10.0.0.1:4000; ");
    struct store_credential back;
    assert_int_equal(store_credential_find(p->s, "aa", &back, &p->e), 0);
    assert_memory_equal(&c, &back, sizeof c);
    assert_int_equal(store_credential_find(p->s, "bb", &back, &p->e), ERROR_NOT_FOUND);
    memset(t.hash, 9, sizeof t.hash);
    assert_int_equal(store_token_find(p->s, t.hash, &found, &p->e), ERROR_NOT_FOUND);
    assert_int_equal(store_credential_put(p->s, &second, t.hash, &p->e), ERROR_NOT_FOUND);
}

static void what_is_long_over_is_forgotten(void **state)
{
    struct place *p = *state;
    struct store_token old = token(1, "web-1", T0), new = token(2, "web-2", T0 + 40 * DAY);
    struct store_credential first = credential("aa", "web-1", T0), other = credential("bb", "web-2", T0);
    struct store_credential last = credential("cc", "web-1", T0 + 40 * DAY);
    assert_int_equal(store_token_put(p->s, &old, &p->e), 0);
    assert_int_equal(store_token_put(p->s, &new, &p->e), 0);
    assert_list(p, TOKENS, "02 web-2; ");
    assert_int_equal(store_credential_put(p->s, &first, NULL, &p->e), 0);
    assert_int_equal(store_credential_put(p->s, &other, NULL, &p->e), 0);
    assert_int_equal(store_credential_put(p->s, &last, NULL, &p->e), 0);
    assert_list(p, CREDENTIALS, "cc web-1 role=web token 10.0.0.1:4000; bb web-2 role=web token 10.0.0.1:4000; ");
}

static void revoke_it(struct place *p, const char *name, const char *serial, uint64_t at_ns)
{
    const struct store_revocation v = {
        .kind = 1, .name = name, .serial = serial, .revoked_ns = at_ns, .revoked_by = "ann"};
    assert_int_equal(store_revoke(p->s, &v, &p->e), 0);
}

static void revocations_stay_and_take_tokens_along(void **state)
{
    struct place *p = *state;
    struct store_token one = token(1, "web-1", T0), two = token(2, "web-2", T0 + 1);
    assert_int_equal(store_token_put(p->s, &one, &p->e), 0);
    assert_int_equal(store_token_put(p->s, &two, &p->e), 0);
    revoke_it(p, "web-1", "", 5);
    revoke_it(p, "", "ab12", 6);
    revoke_it(p, "web-1", "", 7);
    place_reopen(p, NULL);
    assert_list(p, REVOCATIONS, "1 web-1 '' 5 ann; 1  'ab12' 6 ann; 1 web-1 '' 7 ann; ");
    assert_list(p, TOKENS, "02 web-2; ");
}

static void a_token_is_put_beside_a_collector(void **state)
{
    struct place *p = *state;
    struct store_token t = token(3, "root", T0), found;
    assert_int_equal(store_token_put_beside(p->path, &t, &p->e), 0);
    assert_int_equal(store_token_find(p->s, t.hash, &found, &p->e), 0);
    assert_string_equal(found.name, "root");
    assert_true(store_token_put_beside("/nonexistent", &t, &p->e) < 0);
}

static void note_finding(void *context, const char *text)
{
    buffer_printf(context, "%s\n", text);
}

static void reindex_keeps_what_was_revoked_or_says_that_it_is_lost(void **state)
{
    struct place *p = *state;
    struct buffer said = {0};
    struct store_report report;
    struct store_credential c = credential("aa", "web-1", T0);
    assert_int_equal(store_credential_put(p->s, &c, NULL, &p->e), 0);
    revoke_it(p, "web-1", "", 5);
    store_close(p->s);
    for (int round = 0; round < 2; round++) {
        int fd = open(support_path(p->path, "catalog.db"), O_WRONLY | O_CLOEXEC);
        if (round == 1)
            assert_int_equal(pwrite(fd, "no database     ", 16, 0), 16);
        close(fd);
        buffer_clear(&said);
        assert_int_equal(store_reindex(p->path, note_finding, &said, &report, &p->e), 0);
        buffer_u8(&said, 0);
        p->s = open_store(p->path, NULL);
        assert_list(p, REVOCATIONS, round ? "" : "1 web-1 '' 5 ann; ");
        assert_list(p, CREDENTIALS, round ? "" : "aa web-1 role=web token 10.0.0.1:4000; ");
        assert_int_equal(round, strstr((char *)said.data, "revocations are lost") != NULL);
        if (round == 0)
            store_close(p->s);
    }
    buffer_free(&said);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_used_once),
        TEST(what_is_long_over_is_forgotten),
        TEST(revocations_stay_and_take_tokens_along),
        TEST(a_token_is_put_beside_a_collector),
        TEST(reindex_keeps_what_was_revoked_or_says_that_it_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
