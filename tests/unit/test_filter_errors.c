/*
 * What is wrong with a filter, where it stands and how that is said; how large a filter may be.
 */
#include "common/rows/field.h"
#include "tests/unit/filter_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Errors --- */
static void errors_show_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
        int code;
    } list[] = {
        {"prt 80",
         "'prt' is out of place: expected a word such as host, net, port, tcp or from, or an address; did you mean "
         "'port'?\n"
         "prt 80\n"
         "^",
         ERROR_USAGE},
        {"tcp and prot 80 or udp",
         "'prot' is out of place: expected a word such as host, net, port, tcp or from, or an address; did you mean "
         "'port'?\n"
         "tcp and prot 80 or udp\n"
         "        ^",
         ERROR_USAGE},
        {"port 80 or host",
         "the filter ends here: expected an address, a name or @AGENT\n"
         "port 80 or host\n"
         "               ^",
         ERROR_USAGE},
        {"(tcp or udp",
         "this parenthesis is never closed\n"
         "(tcp or udp\n"
         "^",
         ERROR_USAGE},
        {"tcp or udp)",
         "')' is out of place: expected 'and', 'or' or the end\n"
         "tcp or udp)\n"
         "          ^",
         ERROR_USAGE},
        {"tcp 80",
         "'tcp' and a number: write 'tcp port 80'\n"
         "tcp 80\n"
         "    ^",
         ERROR_USAGE},
        {"ip proto tcp",
         "a word that is meant as a name needs a backslash: \\tcp\n"
         "ip proto tcp\n"
         "         ^",
         ERROR_USAGE},
        {"src tcp port 80",
         "the protocol comes first: 'tcp src ...'\n"
         "src tcp port 80\n"
         "    ^",
         ERROR_USAGE},
        {"host 10.0.0.256",
         "'10.0.0.256' is no IPv4 address\n"
         "host 10.0.0.256\n"
         "     ^",
         ERROR_USAGE},
        {"net 10.1.2.3/24",
         "'10.1.2.3' has bits set that its mask does not cover\n"
         "net 10.1.2.3/24\n"
         "    ^",
         ERROR_USAGE},
        {"udp port http",
         "'http' is a port of tcp alone\n"
         "udp port http\n"
         "         ^",
         ERROR_USAGE},
        {"bytes > 1.5",
         "'1.5' is not a size in bytes, such as 1500, 64k, 1.5M or 2GiB\n"
         "bytes > 1.5\n"
         "        ^",
         ERROR_USAGE},
        {"byts>5",
         "no field is called 'byts': did you mean 'bytes'?\n"
         "byts>5\n"
         "^",
         ERROR_USAGE},
        {"host=X",
         "no field is called 'host': did you mean 'http_host'?\n"
         "host=X\n"
         "^",
         ERROR_USAGE},
        {"user_agent curl*",
         "'user_agent' is out of place: expected a word such as host, net, port, tcp or from, or an address; did you "
         "mean 'orig_software'?\n"
         "user_agent curl*\n"
         "^",
         ERROR_USAGE},
        {"tcp and sni",
         "'sni' is compared with a value, which is missing here\n"
         "tcp and sni\n"
         "           ^",
         ERROR_USAGE},
        {"rcode != NXDOMIAN",
         "'NXDOMIAN' is no value of dns_rcode: did you mean 'NXDOMAIN'?\n"
         "rcode != NXDOMIAN\n"
         "         ^",
         ERROR_USAGE},
        {"sni > x",
         "'sni' is text: it is compared by = and !=, with * and ? in the value\n"
         "sni > x\n"
         "^",
         ERROR_USAGE},
        {"status != *",
         "'*' is any value: write 'status = *' for those that have one, 'not status = *' for the others\n"
         "status != *\n"
         "          ^",
         ERROR_USAGE},
        {"sni != *",
         "'*' is any value: write 'sni = *' for those that have one, 'not sni = *' for the others\n"
         "sni != *\n"
         "       ^",
         ERROR_USAGE},
        {"state = SF",
         "'state' is text, not a number: write 'state VALUE' without a sign\n"
         "state = SF\n"
         "^",
         ERROR_USAGE},
        {"tcp[13] & 2",
         "a comparison of packet bytes goes wrong here: expected something like tcp[13] & 2 != 0\n"
         "tcp[13] & 2\n"
         "           ^",
         ERROR_USAGE},
        {"tcp[0:3] = 1",
         "libpcap on 'tcp[0:3] = 1': data size must be 1, 2, or 4\n"
         "tcp[0:3] = 1\n"
         "^",
         ERROR_USAGE},
        {"host web-1 and port 80",
         "no agent and no host is known as 'web-1'\n"
         "host web-1 and port 80\n"
         "     ^",
         ERROR_NOT_FOUND},
        {"agent 'web",
         "the quote that begins here does not end\n"
         "agent 'web\n"
         "      ^",
         ERROR_USAGE},
        {"host 10.0.0.1\tand\n\"\x1b[31m\" \xc3\xa9 port",
         "no agent and no host is known as '?[31m'\n"
         "host 10.0.0.1 and \"?[31m\" ? port\n"
         "                  ^",
         ERROR_NOT_FOUND},
        {"host 10.0.0.1 or host 10.0.0.2 or host 10.0.0.3 or host 10.0.0.4 or hst 10.0.0.5 or host 10.0.0.6 or host "
         "10.0.0.7 or host 10.0.0.8",
         "no agent and no host is known as 'hst'; did you mean 'host'?\n"
         "...ost 10.0.0.2 or host 10.0.0.3 or host 10.0.0.4 or hst 10.0.0.5 or host 10.0.0.6 or host 10.0.0.7 or ...\n"
         "                                                     ^",
         ERROR_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct filter *f;
        struct error e = ERROR_INIT;
        assert_int_equal(filter_compile(list[i].text, NULL, &f, &e), list[i].code);
        assert_null(f);
        assert_int_equal(e.code, list[i].code);
        assert_string_equal(e.text, list[i].error);
        assert_int_equal(filter_compile(list[i].text, NULL, &f, NULL), list[i].code);
    }
}

/* --- Limits --- */
static char *repeated(const char *before, const char *one, size_t count, const char *after)
{
    char *text = malloc(strlen(before) + count * strlen(one) + strlen(after) + 1), *p = text;
    assert_non_null(text);
    p = stpcpy(p, before);
    while (count--)
        p = stpcpy(p, one);
    stpcpy(p, after);
    return text;
}

static int compile_repeated(const char *before, const char *one, size_t count, const char *after, struct error *e)
{
    char *text = repeated(before, one, count, after);
    struct filter *f;
    int code = filter_compile(text, NULL, &f, e);
    filter_free(f);
    free(text);
    return code;
}

static void limits(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    assert_int_equal(compile_repeated("", "(", FILTER_DEPTH_MAX, "tcp", &e),
                     ERROR_USAGE); /* only the ends are missing */
    char *closed = repeated("tcp", ")", FILTER_DEPTH_MAX, "");
    assert_int_equal(compile_repeated("", "(", FILTER_DEPTH_MAX, closed, &e), 0);
    assert_int_equal(compile_repeated("", "(", FILTER_DEPTH_MAX + 1, "tcp", &e), ERROR_LIMIT);
    assert_non_null(strstr(e.text, "nested deeper than 64 levels\n"));
    free(closed);
    assert_int_equal(compile_repeated("", "not ", FILTER_DEPTH_MAX, "tcp", &e), 0);
    assert_int_equal(compile_repeated("", "not ", FILTER_DEPTH_MAX + 1, "tcp", &e), ERROR_LIMIT);
    assert_int_equal(compile_repeated("host ", "not ", FILTER_DEPTH_MAX + 1, "10.0.0.1", &e), ERROR_LIMIT);
    assert_int_equal(compile_repeated("port ", "(", FILTER_DEPTH_MAX + 1, "80", &e), ERROR_LIMIT);
    assert_int_equal(compile_repeated("tcp[", "(", 4000, "1", &e), ERROR_USAGE);

    assert_int_equal(compile_repeated("ip", "||ip", 2000, "", &e), 0);
    assert_int_equal(compile_repeated("", "! ! !(", 21, "tcp", &e), ERROR_LIMIT);
    assert_int_equal(compile_repeated("net 1", "|| 1", 2000, "", &e), 0);
    assert_int_equal(compile_repeated("tcp", " ", FILTER_TEXT_MAX - 3, "", &e), 0);
    assert_int_equal(compile_repeated("tcp", " ", FILTER_TEXT_MAX - 2, "", &e), ERROR_LIMIT);
    assert_string_equal(e.text, "a filter of 8193 bytes: at most 8192 are allowed");
}

static void the_limit_of_nodes_and_names(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    char text[FILTER_TEXT_MAX + 1] = "ip", *p = text + 2;
    while (p < text + FILTER_TEXT_MAX - 8)
        p = stpcpy(p, "||!!!ip"); /* four nodes in seven bytes */
    assert_int_equal(compile_repeated(text, "", 0, "", &e), ERROR_LIMIT);
    assert_non_null(strstr(e.text, "more than 4096 words and values\n"));

    char all[100] = "";
    p = text + snprintf(text, sizeof text, "host n0");
    for (unsigned i = 1; i < FILTER_NAMES_MAX; i++)
        p += sprintf(p, " or n%u", i);
    assert_int_equal(filter_each_name(text, name_collect, all, &e), 0);
    strcpy(p, " or more");
    assert_int_equal(filter_each_name(text, name_collect, all, &e), ERROR_LIMIT);
    assert_non_null(strstr(e.text, "more than 256 names\n"));
}

/* --- Tables --- */
static void words_have_help(void **state)
{
    (void)state;
    size_t fields;
    const struct field *field = field_table(&fields);
    for (const struct filter_word *w = filter_words; w->name; w++) {
        assert_true(*w->help);
        for (const struct filter_word *other = filter_words; other != w; other++)
            assert_string_not_equal(other->name, w->name);
    }
    /* Every numeric field can be compared, also those that share their name with a word */
    for (size_t i = 0; i < fields; i++) {
        const struct column *c = field[i].exchange ? field[i].exchange : field[i].column[0];
        char text[128];
        if (c && c->value_name)
            continue;
        snprintf(text, sizeof text, "%s > %s", field[i].name, field[i].unit == UNIT_TIME_NS ? "@5" : "0");
        struct filter *f;
        assert_int_equal(filter_compile(text, NULL, &f, NULL), field[i].kind == FIELD_NUMBER ? 0 : ERROR_USAGE);
        filter_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_show_the_place),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_limit_of_nodes_and_names),
        cmocka_unit_test(words_have_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
