/* A capture's own filter, and who accepts which filters (tests/data/filters.txt). */
#include "common/base/fs.h"
#include "common/filter/capture_filter.h"
#include "common/filter/filter.h"
#include "tests/unit/filter_sample.h"
#include "tests/unit/support.h"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET 1
#define SNAPLEN  262144

static bool takes(const char *text, char letter)
{
    struct capture_filter *f;
    struct error e = ERROR_INIT;
    const struct sample *s = sample(letter);
    if (capture_filter_new(text, ETHERNET, SNAPLEN, &f, &e) != 0)
        fail_msg("%s", e.text);
    bool match = capture_filter_match(f, s->data, s->len, s->len);
    capture_filter_free(f);
    return match;
}

static void it_has_the_kernel_s_meaning(void **state)
{
    (void)state;
    assert_true(takes("", 'a'));
    assert_true(takes("tcp port 80", 'a'));
    assert_false(takes("tcp port 80", 'c'));
    assert_false(takes("tcp port 443", 'k')); /* tagged: not looked through */
    assert_true(takes("vlan 5 and tcp port 443", 'k'));
    assert_true(takes("vlan 100 and vlan 5", 'l'));
    assert_true(takes("mpls 100 and host 10.0.0.5", 'q'));
    assert_true(takes("host 192.168.0.1", 'm'));
    assert_true(takes("udp port 53", 'i'));
    assert_false(takes("udp port 53", 'j'));
    assert_true(takes("ip host (1.1.1.1 and 2.2.2.2 or 1.1.1.1 or 10.0.0.5)",
                      'a')); /* the optimiser of libpcap 1.10 gets it wrong */
}

static void it_judges_by_the_length_on_the_wire(void **state)
{
    (void)state;
    struct capture_filter *f;
    const struct sample *s = sample('a');
    assert_int_equal(capture_filter_new("greater 1000", ETHERNET, SNAPLEN, &f, NULL), 0);
    assert_true(capture_filter_match(f, s->data, s->len, 1500));
    assert_false(capture_filter_match(f, s->data, s->len, s->len));
    capture_filter_free(f);
    assert_int_equal(capture_filter_new("tcp[13] = 2", ETHERNET, SNAPLEN, &f, NULL), 0);
    assert_false(capture_filter_match(f, s->data, 40, s->len));
    assert_false(capture_filter_match(f, s->data, 0, s->len));
    capture_filter_free(f);
}

static void it_knows_the_link_types_of_files(void **state)
{
    (void)state;
    static const int known[] = {0, 1, 9, 101, 104, 105, 108, 113, 127, 228, 229, 276};
    const struct sample *s = sample('a');
    struct capture_filter *f;
    struct error e = ERROR_INIT;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(capture_filter_new("ip or ip6", known[i], SNAPLEN, &f, NULL), 0);
        capture_filter_free(f);
    }
    assert_int_equal(capture_filter_new("tcp dst port 80", 101, SNAPLEN, &f, NULL),
                     0); /* raw IP: 101 in files, not DLT_RAW */
    assert_true(capture_filter_match(f, s->data + 14, s->len - 14, s->len - 14));
    capture_filter_free(f);
    assert_int_equal(capture_filter_new("inbound", 113, SNAPLEN, &f, NULL), 0);
    capture_filter_free(f);
    assert_int_equal(capture_filter_new("ether host 2:0:0:0:0:1", 101, SNAPLEN, &f, &e), ERROR_USAGE);
    assert_null(f);
    assert_non_null(strstr(e.text, "libpcap on 'ether host 2:0:0:0:0:1': "));
    capture_filter_free(NULL);
}

static void names_are_not_resolved(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } list[] = {
        {"host www.example.org and tcp", "a capture's filter takes addresses: names are not looked up\n"
                                         "host www.example.org and tcp\n"
                                         "     ^"},
        {"src 10.0.0.1 or www.example.org", "a capture's filter takes addresses: names are not looked up\n"
                                            "src 10.0.0.1 or www.example.org\n"
                                            "                ^"},
        {"from 10.0.0.1", "'from' is known of flows, but a capture's filter judges each packet\n"
                          "from 10.0.0.1\n"
                          "^"},
        {"tcp and bytes > 1M", "'bytes' is known of flows, but a capture's filter judges each packet\n"
                               "tcp and bytes > 1M\n"
                               "        ^"},
        {"port 80 and 10.0.0.1", "an address where a port is expected: write host before it\n"
                                 "port 80 and 10.0.0.1\n"
                                 "            ^"},
        {"10.0.0.1", "a capture's filter says what an address is: 'host' or 'net' before it\n"
                     "10.0.0.1\n"
                     "^"},
    };
    static const char *const others[] = {
        "net example",  "gateway example", "ether host example", "decnet host example", "host \\tcp", "host 'a'",
        "dst (a or b)", "host @web",       "ip broadcast",       "agent web",           "id 5",       "state S0"};
    struct capture_filter *f;
    struct error e = ERROR_INIT;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        assert_int_equal(capture_filter_new(list[i].text, ETHERNET, SNAPLEN, &f, &e), ERROR_USAGE);
        assert_string_equal(e.text, list[i].error);
        assert_null(f);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(capture_filter_new(others[i], ETHERNET, SNAPLEN, &f, &e), ERROR_USAGE);
}

/* --- Names, resolved before --- */

static const struct filter_address web_addresses[] = {
    {.family = FAMILY_IP4, .addr = {10, 0, 0, 5}, .to_ns = UINT64_MAX},
    {.family = FAMILY_IP6, .addr = {0xfd, [15] = 5}, .to_ns = UINT64_MAX},
    {.family = FAMILY_IP4, .addr = {10, 0, 0, 5}, .from_ns = 7, .to_ns = UINT64_MAX},
};
static const struct filter_address db_addresses[] = {{.family = FAMILY_IP4, .addr = {10, 0, 0, 9}}};
static const struct filter_name known[] = {
    {"web-1", web_addresses, 3}, {"@web-1", web_addresses, 3}, {"db", db_addresses, 1}, {"nobody", NULL, 0}};
static const struct filter_names all_known = {known, 4};

static void addresses_take_the_place_of_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expanded;
    } list[] = {
        {"", ""},
        {"tcp port 80", "tcp port 80"},
        {"host db", "host 10.0.0.9"},
        {"host web-1 and port 80", "host (10.0.0.5 or fd00::5) and port 80"},
        {"port 80 and src host @web-1", "port 80 and src host (10.0.0.5 or fd00::5)"},
        {"ip host web-1", "ip host 10.0.0.5"},
        {"ip6 src web-1", "ip6 src fd00::5"},
        {"arp host web-1 or arp host db", "arp host 10.0.0.5 or arp host 10.0.0.9"},
        {"host web-1 or db", "host (10.0.0.5 or fd00::5) or 10.0.0.9"},
        {"host (db or web-1) and not 'web-1'",
         "host (10.0.0.9 or (10.0.0.5 or fd00::5)) and not (10.0.0.5 or fd00::5)"},
        {"dst not db", "dst not 10.0.0.9"},
        {"not (src or dst db) and less 100", "not (src or dst 10.0.0.9) and less 100"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct buffer out = {0};
        struct error e = ERROR_INIT;
        if (capture_filter_expand(list[i].text, &all_known, &out, &e) != 0)
            fail_msg("%s", e.text);
        buffer_u8(&out, 0);
        assert_string_equal((const char *)out.data, list[i].expanded);
        if (capture_filter_compiles((const char *)out.data, &e) != 0)
            fail_msg("%s", e.text);
        buffer_free(&out);
    }
}

static void names_that_do_not_fit_are_shown(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } list[] = {
        {"tcp and host nobody", "no address of 'nobody' is known\n"
                                "tcp and host nobody\n"
                                "             ^"},
        {"ip6 host db", "no address of 'db' for ip6 is known\n"
                        "ip6 host db\n"
                        "         ^"},
        {"host stranger", "no agent and no host is known as 'stranger'\n"
                          "host stranger\n"
                          "     ^"},
        {"from db", "'from' is known of flows, but a capture's filter judges each packet\n"
                    "from db\n"
                    "^"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct buffer out = {0};
        struct error e = ERROR_INIT;
        assert_true(capture_filter_expand(list[i].text, &all_known, &out, &e) < 0);
        assert_string_equal(e.text, list[i].error);
        buffer_free(&out);
    }
}

static void count_name(void *context, const char *name)
{
    unsigned *count = context;
    assert_true(strcmp(name, "web-1") == 0 || strcmp(name, "@db") == 0);
    ++*count;
}

static void names_are_found(void **state)
{
    (void)state;
    unsigned count = 0;
    struct error e = ERROR_INIT;
    assert_int_equal(capture_filter_each_name("host web-1 or @db or web-1 or 10.0.0.1", count_name, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_int_equal(capture_filter_each_name("host web-1 and state S0", count_name, &count, &e), ERROR_USAGE);
    assert_int_equal(count, 2);
}

static void it_is_checked_for_any_link_type(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    assert_int_equal(capture_filter_compiles("wlan type mgt", &e), 0);
    assert_int_equal(capture_filter_compiles("tcp and inbound", &e), 0);
    assert_int_equal(capture_filter_compiles("tcp[0:3] = 1", &e), ERROR_USAGE);
    assert_int_equal(capture_filter_compiles("host example", &e), ERROR_USAGE);
}

/* --- tests/data/filters.txt --- */

static bool libpcap_accepts(const char *text)
{
    struct bpf_program program;
    pcap_t *dead = pcap_open_dead(DLT_EN10MB, SNAPLEN);
    bool ok = pcap_compile(dead, &program, text, 0, PCAP_NETMASK_UNKNOWN) == 0;
    if (ok)
        pcap_freecode(&program);
    pcap_close(dead);
    return ok;
}

/* Words that change where libpcap reads the words behind them are alone in the list. */
static void check_alike(const char *text, struct filter *f, const struct capture_filter *c)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct sample *s = &samples()[i];
        bool match;
        if (!s->packet.plain)
            continue;
        assert_int_equal(filter_packet(f, &s->packet, &s->row, &match, NULL), 0);
        if (match != capture_filter_match(c, s->data, s->len, s->len))
            fail_msg("'%s' on packet %c: ours %d, libpcap %d", text, s->letter, match, !match);
    }
}

static void check_line(const char *who, const char *text)
{
    struct filter *f;
    struct capture_filter *c;
    struct error e = ERROR_INIT;
    bool both = strcmp(who, "both") == 0, ours = strcmp(who, "ours") == 0;
    bool filter_ok = filter_compile(text, NULL, &f, &e) == 0,
         capture_ok = capture_filter_new(text, ETHERNET, SNAPLEN, &c, NULL) == 0;
    if (filter_ok != (both || ours))
        fail_msg("'%s' is not accepted by '%s': %s", text, who, e.text);
    if (capture_ok != both)
        fail_msg("'%s' as a capture's filter: %d, but the list says '%s'", text, capture_ok, who);
    if (both && !libpcap_accepts(text))
        fail_msg("'%s' is not for libpcap", text);
    if (!filter_ok) {
        char *second = strchr(e.text, '\n'), *third = second ? strchr(second + 1, '\n') : NULL;
        assert_non_null(third);
        assert_string_equal(strrchr(third, '^'), "^");
    }
    if (both)
        check_alike(text, f, c);
    filter_free(f);
    capture_filter_free(c);
}

static void who_accepts_what(void **state)
{
    (void)state;
    char *text, *line;
    size_t len;
    unsigned lines = 0;
    assert_int_equal(fs_read_file(AT_FDCWD, FLEETDUMP_TEST_DATA "/filters.txt", 1 << 20, &text, &len, NULL), 0);
    for (char *rest = text; (line = strsep(&rest, "\n"));) {
        if (!*line || *line == '#')
            continue;
        char *who = strsep(&line, "\t");
        check_line(who, line);
        lines++;
    }
    free(text);
    assert_in_range(lines, 300, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_the_kernel_s_meaning),
        cmocka_unit_test(it_judges_by_the_length_on_the_wire),
        cmocka_unit_test(it_knows_the_link_types_of_files),
        cmocka_unit_test(names_are_not_resolved),
        cmocka_unit_test(addresses_take_the_place_of_names),
        cmocka_unit_test(names_that_do_not_fit_are_shown),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(it_is_checked_for_any_link_type),
        cmocka_unit_test(who_accepts_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
