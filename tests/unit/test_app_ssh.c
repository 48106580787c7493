/* ssh: version lines, whole, in pieces, behind other lines, and what is none. */
#include "common/app/ssh.h"
#include "tests/unit/support.h"

#include <string.h>

static enum app_read read_of(const void *data, size_t len, char text[300])
{
    struct app_text t = app_text_in(text, 300);
    return ssh_version(data, len, &t);
}

static void test_lines(void **state)
{
    static const struct {
        const char *data, *text;
    } cases[] = {{"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH-2.0-OpenSSH_9.2p1 Debian-2"},
                 {"SSH-1.99-x\n", "SSH-1.99-x"},
                 {"SSH-\n", "SSH-"},
                 {"hello\r\n\r\nSSH-2.0-y\r\n\1\2\3", "SSH-2.0-y"},
                 {"SSH-2.0-\033[1m\r\n", "SSH-2.0-\\027[1m"}};
    char text[300];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_of(cases[i].data, strlen(cases[i].data), text), APP_READ_WHOLE);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_cut(void **state)
{
    static const char line[] = "x\nSSH-2.0-y\r\n";
    char text[300];
    (void)state;
    for (size_t len = 0; len + 1 < sizeof line - 1; len++) {
        assert_int_equal(read_of(line, len, text), APP_READ_CUT);
        assert_string_equal(text, "");
    }
}

static void test_none(void **state)
{
    char text[300], longest[SSH_LINE_MAX + 1];
    (void)state;
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "SSH-", 4);
    assert_int_equal(read_of(longest, SSH_LINE_MAX - 1, text), APP_READ_CUT);
    assert_int_equal(read_of(longest, SSH_LINE_MAX, text), APP_READ_INVALID);
    longest[SSH_LINE_MAX] = '\n';
    assert_int_equal(read_of(longest, SSH_LINE_MAX + 1, text), APP_READ_INVALID);
    longest[SSH_LINE_MAX - 1] = '\n';
    assert_int_equal(read_of(longest, SSH_LINE_MAX, text), APP_READ_WHOLE);
    assert_int_equal(read_of("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nSSH-2.0-a\n", 25, text), APP_READ_WHOLE);
    assert_int_equal(read_of("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nSSH-2.0-a\n", 26, text), APP_READ_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
