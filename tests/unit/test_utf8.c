/*
 * Texts from outside: what is clean, and what becomes of the rest.
 */
#include "tests/unit/support.h"

#include "common/base/utf8.h"

#include <string.h>

static const struct {
    const char *text;
    const char *clean; /* the same if NULL */
} texts[] = {
    {"eth0", NULL},
    {"", NULL},
    {"\\Device\\NPF_{13F2239A}", NULL},
    {"Schnittstelle \xc3\xbc \xe2\x82\xac \xf0\x9f\x90\xa2", NULL},
    {"silly!\r\nethernet", "silly!??ethernet"},
    {"\x1b[31m\x7f", "?[31m?"},
    {"\xc2\x85", "??"},   /* C1 */
    {"a\xe2\x82", "a??"}, /* cut */
    {"\xe2\x82"
     "a",
     "??a"},
    {"\xc0\xaf\xed\xa0\x80", "?????"}, /* overlong, surrogate */
    {"\xf4\x90\x80\x80\xff", "?????"}, /* past U+10FFFF */
};

static void what_is_no_clean_text_becomes_question_marks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char copy[64];
        size_t len = strlen(texts[i].text);
        memcpy(copy, texts[i].text, len + 1);
        assert_int_equal(utf8_is_clean(copy, len, false), !texts[i].clean);
        utf8_clean(copy, len);
        assert_string_equal(copy, texts[i].clean ? texts[i].clean : texts[i].text);
        assert_true(utf8_is_clean(copy, len, false));
    }
}

static void ends_of_lines_are_clean_where_lines_are(void **state)
{
    (void)state;
    assert_true(utf8_is_clean("a\tb\r\nc", 6, true));
    assert_false(utf8_is_clean("a\tb\r\nc", 6, false));
    assert_false(utf8_is_clean("a\x01", 2, true));
}

static void printable_characters_have_their_length(void **state)
{
    (void)state;
    assert_int_equal(utf8_printable("a", 1), 1);
    assert_int_equal(utf8_printable("\xc3\xbc", 2), 2);
    assert_int_equal(utf8_printable("\xf0\x9f\x90\xa2", 4), 4);
    assert_int_equal(utf8_printable("\xf0\x9f\x90\xa2", 3), 0);
    assert_int_equal(utf8_printable("\n", 1), 0);
    assert_int_equal(utf8_printable("a", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_clean_text_becomes_question_marks),
        cmocka_unit_test(ends_of_lines_are_clean_where_lines_are),
        cmocka_unit_test(printable_characters_have_their_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
