/* Some keys of a configuration are changed, and nothing else. */
#include "tests/unit/support.h"

#include "common/base/config_edit.h"
#include "common/base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void assert_edit(const char *text, const struct config_setting *settings, size_t count, const char *expected)
{
    struct buffer out = {0};
    assert_int_equal(config_edit(text, strlen(text), settings, count, &out, NULL), 0);
    buffer_u8(&out, 0);
    assert_string_equal((char *)out.data, expected);
    buffer_free(&out);
}

static void keys_get_their_lines(void **state)
{
    static const struct config_setting set[] = {
        {"name", "web-1"}, {"collector", "10.0.0.1:4741"}, {"label", "role=web"}, {"label", "dc=fra"}};
    (void)state;
    assert_edit("", set, COUNT(set), "name = web-1\ncollector = 10.0.0.1:4741\nlabel = role=web\nlabel = dc=fra\n");
    assert_edit(
        "# top\n# The name.\n#name = x\n\nspool = /s\nlabel = old=1\n# between\n label=old=2\nname_x = 1\n", set,
        COUNT(set),
        "# top\n# The name.\n#name = x\nname = web-1\n\nspool = /s\nlabel = role=web\nlabel = dc=fra\n# between\n"
        "name_x = 1\ncollector = 10.0.0.1:4741\n");
    assert_edit("name = a\n#name = b\ncollector = c", set, 2, "name = web-1\n#name = b\ncollector = 10.0.0.1:4741\n");
}

static void twice_is_as_once(void **state)
{
    static const struct config_setting set[] = {{"name", "web-1"}, {"label", "a=b"}};
    struct buffer once = {0};
    (void)state;
    assert_int_equal(config_edit("#name = x\n", 10, set, COUNT(set), &once, NULL), 0);
    buffer_u8(&once, 0);
    assert_edit((char *)once.data, set, COUNT(set), (char *)once.data);
    buffer_free(&once);
}

static void without_a_value_a_key_goes(void **state)
{
    static const struct config_setting set[] = {{"name", NULL}};
    (void)state;
    assert_edit("name = a\nspool = b\n", set, 1, "spool = b\n");
}

static void values_are_quoted_where_they_must_be(void **state)
{
    static const struct config_setting set[] = {{"a", ""}, {"b", "x y"}, {"c", "#\"\\"}};
    (void)state;
    assert_edit("", set, COUNT(set), "a = \"\"\nb = \"x y\"\nc = \"#\\\"\\\\\"\n");
}

static void files_keep_their_mode(void **state)
{
    static const struct config_setting set[] = {{"name", "web-1"}};
    char *folder = support_folder(), *text = NULL, *path = strdup(support_path(folder, "x.conf"));
    size_t length;
    struct stat st;
    (void)state;
    assert_int_equal(config_edit_file(path, "# made\n", set, 1, NULL), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(config_edit_file(path, "# not made\n", set, 1, NULL), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(fs_read_file(AT_FDCWD, path, 1000, &text, &length, NULL), 0);
    assert_string_equal(text, "# made\nname = web-1\n");
    free(text);
    free(path);
    support_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_get_their_lines),       cmocka_unit_test(twice_is_as_once),
        cmocka_unit_test(without_a_value_a_key_goes), cmocka_unit_test(values_are_quoted_where_they_must_be),
        cmocka_unit_test(files_keep_their_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
