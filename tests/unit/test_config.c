#include "common/base/config.h"

#include "common/base/clock.h"
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

struct settings {
    char *name;
    char *folder;
    struct config_strings peers;
    struct config_strings groups;
    uint64_t port;
    uint64_t quota_bytes;
    uint64_t timeout_ns;
    bool insecure;
};

#define AT(field) offsetof(struct settings, field)

static const struct config_key KEYS[] = {
    {"name", CONFIG_STRING, UNIT_NONE, AT(name), NULL, 0, 0, "who we are"},
    {"folder", CONFIG_STRING, UNIT_NONE, AT(folder), "/var/lib/x", 0, 0, "where files go"},
    {"peer", CONFIG_STRINGS, UNIT_NONE, AT(peers), NULL, 0, 0, "repeats"},
    {"group", CONFIG_STRINGS, UNIT_NONE, AT(groups), "all", 0, 0, "repeats"},
    {"port", CONFIG_NUMBER, UNIT_NONE, AT(port), "4790", 1, 65535, "TCP port"},
    {"quota", CONFIG_NUMBER, UNIT_BYTES, AT(quota_bytes), NULL, 0, 0, "most bytes"},
    {"timeout", CONFIG_NUMBER, UNIT_NS, AT(timeout_ns), "2s", 0, 0, "how long"},
    {"insecure", CONFIG_BOOL, UNIT_NONE, AT(insecure), NULL, 0, 0, "yes or no"},
    {0},
};

static int parse(const char *text, struct settings *s, struct error *e)
{
    return config_parse(KEYS, "x.conf", text, strlen(text), s, e);
}

static void the_table_fills_the_struct(void **state)
{
    (void)state;
    struct settings s;
    struct error e = ERROR_INIT;
    const char *text = "# a comment\n"
                       "\n"
                       "name = web-1 # another\n"
                       "  folder=/srv/a b#c  \r\n"
                       "peer = a\n"
                       "peer = b\n"
                       "port = 99\n"
                       "quota = 1.5G\n"
                       "timeout = 200ms\n"
                       "insecure = on";
    assert_int_equal(parse(text, &s, &e), 0);
    assert_string_equal(s.name, "web-1");
    assert_string_equal(s.folder, "/srv/a b#c");
    assert_int_equal(s.peers.count, 2);
    assert_string_equal(s.peers.items[0], "a");
    assert_string_equal(s.peers.items[1], "b");
    assert_int_equal(s.groups.count, 1);
    assert_string_equal(s.groups.items[0], "all");
    assert_int_equal(s.port, 99);
    assert_int_equal(s.quota_bytes, (UINT64_C(3) << 30) / 2);
    assert_int_equal(s.timeout_ns, 200 * NS_PER_MS);
    assert_true(s.insecure);
    config_free(KEYS, &s);
    assert_null(s.name);
    assert_int_equal(s.peers.count, 0);
}

static void without_text_the_defaults_stand(void **state)
{
    (void)state;
    struct settings s;
    memset(&s, 0xff, sizeof(s));
    assert_int_equal(config_parse(KEYS, "x.conf", NULL, 0, &s, NULL), 0);
    assert_null(s.name);
    assert_string_equal(s.folder, "/var/lib/x");
    assert_int_equal(s.peers.count, 0);
    assert_int_equal(s.port, 4790);
    assert_int_equal(s.quota_bytes, 0);
    assert_int_equal(s.timeout_ns, 2 * NS_PER_S);
    assert_false(s.insecure);
    config_free(KEYS, &s);
}

static void a_given_list_replaces_its_default(void **state)
{
    (void)state;
    struct settings s;
    assert_int_equal(parse("group = one\n", &s, NULL), 0);
    assert_int_equal(s.groups.count, 1);
    assert_string_equal(s.groups.items[0], "one");
    config_free(KEYS, &s);
}

static void quotes_keep_what_is_special(void **state)
{
    (void)state;
    struct settings s;
    assert_int_equal(parse("name = \" a # \\\"b\\\\ \"  # c\nfolder = \"\"\n", &s, NULL), 0);
    assert_string_equal(s.name, " a # \"b\\ ");
    assert_string_equal(s.folder, "");
    config_free(KEYS, &s);
}

static void errors_name_the_line_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"name = a\nnmae = b\n", "x.conf:2: 'nmae' is no key here; there are: name, folder, peer, "},
        {"name = a\n\nname = b\n", "x.conf:3: name is given twice"},
        {"port = 65536\n", "x.conf:1: port = 65536 is out of range: from 1 to 65535 is allowed"},
        {"port = 0\n", "x.conf:1: port = 0 is out of range"},
        {"port = many\n", "x.conf:1: port: 'many' is not a whole number"},
        {"timeout = 5\n", "x.conf:1: timeout: '5' is not a duration with its unit"},
        {"insecure = maybe\n", "x.conf:1: insecure = maybe: expected yes or no"},
        {"name\n", "x.conf:1: expected 'key = value'"},
        {"name =\n", "x.conf:1: name: a value is missing"},
        {"name = # nothing\n", "x.conf:1: name: a value is missing"},
        {"name = \"a\n", "x.conf:1: name: the closing \" is missing"},
        {"name = \"a\\", "x.conf:1: name: the closing \" is missing"},
        {"name = \"a\" b\n", "x.conf:1: name: something follows"},
        {"= b\n", "x.conf:1: '' is no key here"},
        {"peer = a\npeer = b\nname = n\nfoo = \n", "x.conf:4: 'foo' is no key here"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings s;
        struct error e = ERROR_INIT;
        assert_int_equal(parse(cases[i].text, &s, &e), ERROR_USAGE);
        if (strncmp(e.text, cases[i].says, strlen(cases[i].says)) != 0)
            fail_msg("%s", e.text);
        assert_null(s.name); /* freed, and nothing left to free */
        assert_null(s.peers.items);
    }
}

static void binary_files_and_huge_ones_are_refused(void **state)
{
    (void)state;
    struct settings s;
    struct error e = ERROR_INIT;
    assert_int_equal(config_parse(KEYS, "x.conf", "name = a\0b", 10, &s, &e), ERROR_USAGE);
    assert_non_null(strstr(e.text, "x.conf:1: a 0 byte"));
    char *text = malloc(CONFIG_FILE_MAX + 1);
    memset(text, '\n', CONFIG_FILE_MAX + 1);
    assert_int_equal(config_parse(KEYS, "x.conf", text, CONFIG_FILE_MAX + 1, &s, &e), ERROR_LIMIT);
    assert_int_equal(config_parse(KEYS, "x.conf", text, CONFIG_FILE_MAX, &s, &e), 0);
    config_free(KEYS, &s);
    free(text);
}

static void a_file_is_named_in_its_errors(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct settings s;
    struct error e = ERROR_INIT;
    support_write(folder, "good", "name = n\n", 9);
    support_write(folder, "bad", "port = x\n", 9);
    assert_int_equal(config_load(KEYS, support_path(folder, "good"), &s, &e), 0);
    assert_string_equal(s.name, "n");
    config_free(KEYS, &s);
    assert_int_equal(config_load(KEYS, support_path(folder, "bad"), &s, &e), ERROR_USAGE);
    assert_non_null(strstr(e.text, support_path(folder, "bad:1: port")));
    assert_int_equal(config_load(KEYS, support_path(folder, "none"), &s, &e), ERROR_NOT_FOUND);
    assert_non_null(strstr(e.text, support_path(folder, "none: No such file")));
    assert_null(s.name);
    support_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_fills_the_struct),
        cmocka_unit_test(without_text_the_defaults_stand),
        cmocka_unit_test(a_given_list_replaces_its_default),
        cmocka_unit_test(quotes_keep_what_is_special),
        cmocka_unit_test(errors_name_the_line_and_what_is_allowed),
        cmocka_unit_test(binary_files_and_huge_ones_are_refused),
        cmocka_unit_test(a_file_is_named_in_its_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
