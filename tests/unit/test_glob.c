#include "tests/unit/support.h"

#include "common/base/glob.h"

#include <string.h>

static bool match(const char *pattern, const char *text)
{
    return glob_match(pattern, text, strlen(text));
}

static void without_stars_a_pattern_is_a_name(void **state)
{
    (void)state;
    assert_true(match("web-1", "web-1"));
    assert_false(match("web-1", "web-11"));
    assert_false(match("web-11", "web-1"));
    assert_true(match("", ""));
    assert_false(match("", "x"));
}

static void stars_take_any_bytes_and_question_marks_one(void **state)
{
    (void)state;
    assert_true(match("*", ""));
    assert_true(match("web-*", "web-1"));
    assert_true(match("*-1", "web-1"));
    assert_true(match("*a*b", "xaxbxb"));
    assert_false(match("*a*b", "xaxbx"));
    assert_true(match("w?b*", "web-1"));
    assert_false(match("?", ""));
    assert_true(match("**?", "x"));
}

static void nothing_else_is_special(void **state)
{
    (void)state;
    assert_true(match("[a]", "[a]"));
    assert_false(match("[a]", "a"));
    assert_true(match("\\*", "\\x"));
}

static void a_text_needs_no_terminator(void **state)
{
    (void)state;
    assert_true(glob_match("we?", "web-1", 3));
    assert_true(glob_match("a*", "a\0b", 3));
}

static void hard_patterns_end_soon(void **state)
{
    char text[4096];
    (void)state;
    memset(text, 'a', sizeof(text));
    assert_false(glob_match("*a*a*a*a*a*a*a*a*b", text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_stars_a_pattern_is_a_name),
        cmocka_unit_test(stars_take_any_bytes_and_question_marks_one),
        cmocka_unit_test(nothing_else_is_special),
        cmocka_unit_test(a_text_needs_no_terminator),
        cmocka_unit_test(hard_patterns_end_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
