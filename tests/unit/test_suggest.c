/*
 * What people may have meant.
 */
#include "tests/unit/support.h"

#include "common/base/suggest.h"

#include <string.h>

static const char *meant(const char *text)
{
    static const char *const words[] = {"flows", "pull", "print", "status", "captures", "no-header", "to", "from"};
    struct suggest s;
    suggest_begin(&s, text, strlen(text));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        suggest_consider(&s, words[i]);
    return s.word;
}

static void slips(void **state)
{
    (void)state;
    assert_string_equal(meant("flow"), "flows");
    assert_string_equal(meant("flwos"), "flows"); /* swapped: one edit */
    assert_string_equal(meant("FLOWS"), "flows");
    assert_string_equal(meant("stauts"), "status");
    assert_string_equal(meant("capturse"), "captures");
    assert_string_equal(meant("noheader"), "no-header");
    assert_string_equal(meant("pul"), "pull");
}

static void the_nearest(void **state)
{
    (void)state;
    assert_string_equal(meant("prit"), "print");
    assert_string_equal(meant("pulll"), "pull");
    assert_string_equal(meant("form"), "from");
}

static void nothing_near(void **state)
{
    (void)state;
    assert_null(meant("wireshark"));
    assert_null(meant("flo!!!s")); /* three edits */
    assert_null(meant("t"));       /* everything is near to one letter */
    assert_null(meant(""));
    assert_null(meant("xyz"));
}

static void lengths(void **state)
{
    (void)state;
    char text[3 * SUGGEST_LENGTH_MAX];
    char word[3 * SUGGEST_LENGTH_MAX];
    for (size_t len = SUGGEST_LENGTH_MAX - 1; len <= SUGGEST_LENGTH_MAX + 2; len++) {
        struct suggest s;
        memset(text, 'a', len);
        memset(word, 'a', len + 1);
        word[len + 1] = 0;
        suggest_begin(&s, text, len); /* not terminated */
        suggest_consider(&s, word);
        assert_ptr_equal(s.word, len < SUGGEST_LENGTH_MAX ? word : NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips),
        cmocka_unit_test(the_nearest),
        cmocka_unit_test(nothing_near),
        cmocka_unit_test(lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
