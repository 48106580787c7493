/* Tokens: what is written comes back; anything else is refused with a reason. */
#include "tests/unit/support.h"

#include "common/net/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct token sample(void)
{
    struct token t = {.kind = IDENTITY_AGENT, .collector = "10.0.0.1:4741", .name = "web-1"};
    memset(t.ca_sha256, 0xa5, sizeof t.ca_sha256);
    assert_int_equal(token_draw(&t, NULL), 0);
    return t;
}

static void comes_back(void **state)
{
    char text[TOKEN_TEXT_MAX], spaced[TOKEN_TEXT_MAX + 4];
    struct token t = sample(), back;
    struct error e = ERROR_INIT;
    (void)state;
    assert_int_equal(token_format(&t, text, &e), 0);
    assert_memory_equal(text, "fd1-", 4);
    assert_int_equal(token_parse(text, &back, &e), 0);
    assert_memory_equal(&t.ca_sha256, &back.ca_sha256, sizeof t.ca_sha256);
    assert_memory_equal(&t.secret, &back.secret, sizeof t.secret);
    assert_string_equal(back.collector, "10.0.0.1:4741");
    assert_string_equal(back.name, "web-1");
    assert_int_equal(back.kind, IDENTITY_AGENT);
    snprintf(spaced, sizeof spaced, " %s\n", text);
    assert_int_equal(token_parse(spaced, &back, &e), 0);
}

static void the_longest_fits(void **state)
{
    char text[TOKEN_TEXT_MAX];
    struct token t = sample(), back;
    (void)state;
    t.kind = IDENTITY_USER;
    memset(t.collector, 'c', TOKEN_ADDRESS_MAX);
    memset(t.name, 'n', HEAD_NAME_MAX);
    assert_int_equal(token_format(&t, text, NULL), 0);
    assert_int_equal(token_parse(text, &back, NULL), 0);
    assert_string_equal(t.name, back.name);
    assert_string_equal(t.collector, back.collector);
}

static void each_change_and_cut_is_noticed(void **state)
{
    char text[TOKEN_TEXT_MAX], changed[TOKEN_TEXT_MAX];
    struct token t = sample(), back;
    struct error e = ERROR_INIT;
    (void)state;
    assert_int_equal(token_format(&t, text, NULL), 0);
    for (size_t i = 0; i < strlen(text); i++) {
        strcpy(changed, text);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_true(token_parse(changed, &back, &e) < 0);
        assert_true(e.text[0]);
        strcpy(changed, text);
        changed[i] = 0;
        assert_true(token_parse(changed, &back, &e) < 0);
        assert_int_equal(back.kind, IDENTITY_NONE);
    }
}

static void says_what_is_wrong(void **state)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {{"", ERROR_INVALID},         {"hello", ERROR_INVALID},   {"fd1-", ERROR_INVALID},
                 {"fd2-AAAA", ERROR_VERSION}, {"fd1-a b", ERROR_INVALID}, {"fd1-\xc3\xa9", ERROR_INVALID}};
    struct token back;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(token_parse(cases[i].text, &back, NULL), cases[i].code);
    char *longest = malloc(100001);
    memset(longest, 'A', 100000);
    longest[100000] = 0;
    memcpy(longest, "fd1-", 4);
    assert_int_equal(token_parse(longest, &back, NULL), ERROR_LIMIT);
    free(longest);
}

static void bad_names_are_not_written(void **state)
{
    char text[TOKEN_TEXT_MAX];
    struct token t = sample();
    (void)state;
    strcpy(t.name, "a/b");
    assert_int_equal(token_format(&t, text, NULL), ERROR_USAGE);
}

static void secrets_are_kept_as_hashes(void **state)
{
    static const uint8_t zeros[TOKEN_SECRET_SIZE];
    static const uint8_t known[4] = {0x37, 0x47, 0x08, 0xff}; /* sha256 of 16 zero bytes */
    uint8_t sha256[32];
    (void)state;
    token_hash(zeros, sha256);
    assert_memory_equal(sha256, known, sizeof known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(the_longest_fits),
        cmocka_unit_test(each_change_and_cut_is_noticed),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(bad_names_are_not_written),
        cmocka_unit_test(secrets_are_kept_as_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
