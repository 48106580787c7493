#include "common/base/error.h"

#include "tests/unit/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void set_returns_the_code_and_keeps_the_sentence(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    assert_int_equal(error_set(&e, ERROR_LIMIT, "%s has %d rows", "x", 7), ERROR_LIMIT);
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_int_equal(e.sys, 0);
    assert_string_equal(e.text, "x has 7 rows");
}

static void without_an_error_only_the_code_comes_back(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, ERROR_BUSY, "never seen"), ERROR_BUSY);
    assert_int_equal(error_sys(NULL, ENOSPC, "never seen"), ERROR_FULL);
    assert_int_equal(error_prefix(NULL, "never seen"), ERROR_INVALID);
}

static void text_from_a_peer_cannot_act_on_a_terminal(void **state)
{
    (void)state;
    struct error e;
    error_set(&e, ERROR_REFUSED, "%s", "a\x1b[2Jb\nc\x7f \xc2\x9b caf\xc3\xa9");
    assert_string_equal(e.text, "a?[2Jb\nc? ?? caf\xc3\xa9");
}

static void errno_decides_the_code(void **state)
{
    (void)state;
    static const struct {
        int sys;
        int code;
    } cases[] = {
        {ENOSPC, ERROR_FULL},      {EDQUOT, ERROR_FULL},   {ENOMEM, ERROR_MEMORY},
        {ENOENT, ERROR_NOT_FOUND}, {EEXIST, ERROR_EXISTS}, {EACCES, ERROR_SYSTEM},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e;
        assert_int_equal(error_sys(&e, cases[i].sys, "cannot open %s", "f"), cases[i].code);
        assert_int_equal(e.sys, cases[i].sys);
    }
    struct error e;
    error_sys(&e, ENOENT, "cannot open %s", "f");
    assert_string_equal(e.text, "cannot open f: No such file or directory");
}

static void a_prefix_goes_in_front_and_keeps_code_and_errno(void **state)
{
    (void)state;
    struct error e;
    error_sys(&e, ENOSPC, "cannot write");
    assert_int_equal(error_prefix(&e, "spool %d", 3), ERROR_FULL);
    assert_string_equal(e.text, "spool 3: cannot write: No space left on device");
    assert_int_equal(e.sys, ENOSPC);
}

static void the_own_text_may_be_quoted(void **state)
{
    (void)state;
    struct error e;
    error_set(&e, ERROR_INVALID, "inner");
    error_set(&e, ERROR_CORRUPT, "outer (%s)", e.text);
    assert_string_equal(e.text, "outer (inner)");
}

static void long_texts_are_cut_and_terminated(void **state)
{
    (void)state;
    char name[2 * ERROR_TEXT_MAX];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = 0;
    struct error e;
    error_set(&e, ERROR_INVALID, "%s", name);
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
    error_sys(&e, ENOENT, "%s", name); /* what went wrong stays readable */
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
    assert_non_null(strstr(e.text, "xx: No such file or directory"));
    error_prefix(&e, "%s", name);
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
}

static void each_code_has_a_name_and_an_exit_status(void **state)
{
    (void)state;
    for (int code = ERROR_UNSUPPORTED; code <= ERROR_NONE; code++) {
        assert_string_not_equal(error_name(code), "unknown");
        for (int other = ERROR_UNSUPPORTED; other < code; other++)
            assert_string_not_equal(error_name(code), error_name(other));
    }
    assert_string_equal(error_name(ERROR_NOT_FOUND), "not-found");
    assert_string_equal(error_name(-1000), "unknown");
    assert_int_equal(error_exit_status(ERROR_NONE), 0);
    assert_int_equal(error_exit_status(ERROR_SYSTEM), 1);
    assert_int_equal(error_exit_status(ERROR_USAGE), 2);
    assert_int_equal(error_exit_status(ERROR_INCOMPLETE), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_the_code_and_keeps_the_sentence),
        cmocka_unit_test(without_an_error_only_the_code_comes_back),
        cmocka_unit_test(text_from_a_peer_cannot_act_on_a_terminal),
        cmocka_unit_test(errno_decides_the_code),
        cmocka_unit_test(a_prefix_goes_in_front_and_keeps_code_and_errno),
        cmocka_unit_test(the_own_text_may_be_quoted),
        cmocka_unit_test(long_texts_are_cut_and_terminated),
        cmocka_unit_test(each_code_has_a_name_and_an_exit_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
