/*
 * What is told of a filter without judging anything by it: whether it is empty, which kinds of words it has, what indexes may look for.
 */
#include "common/rows/field.h"
#include "tests/unit/filter_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- What kind of filter it is --- */
static void check_kind(const char *text, bool (*has)(const struct filter *, const char **), const char *expected)
{
    const char *what = NULL;
    struct filter *f = filter_of_text(text, &web_names);
    assert_int_equal(has(f, &what), expected != NULL);
    assert_int_equal(has(f, NULL), expected != NULL);
    if (expected)
        assert_string_equal(what, expected);
    filter_free(f);
}

static void check_empty(const char *text, bool expected)
{
    struct filter *f = filter_of_text(text, &web_names);
    assert_int_equal(filter_is_empty(f), expected);
    filter_free(f);
}

static void the_empty_filter(void **state)
{
    (void)state;
    check_empty("", true);
    check_empty(" \t", true);
    check_empty("ip", false);
    check_empty("(ip)", false);
    check_empty("ip or not ip", false);
    check_empty("not arp", false);
}

static void kinds_of_words(void **state)
{
    (void)state;
    check_kind("host 10.0.0.1 and vlan 5", filter_has_packet_words, NULL);
    check_kind("port 80 and tcp[13] & 2 != 0 and less 100", filter_has_packet_words, "tcp[13] & 2 != 0");
    check_kind("port 80 or less 100", filter_has_packet_words, "less 100");
    check_kind("ether src 2:0:0:0:0:1 or 2:0:0:0:0:2", filter_has_packet_words, "ether src 2:0:0:0:0:1");
    check_kind("port 80 or not (outer (host 10.0.0.1))", filter_has_packet_words, "outer (host 10.0.0.1)");
    check_kind("host 10.0.0.1 and agent web", filter_has_connection_words, NULL);
    check_kind("port 80 and from web or @web", filter_has_connection_words, "from web");
    check_kind("bytes > 1M and id 7f3a", filter_has_connection_words, "bytes > 1M");
    check_kind("from 10.0.0.1 and id 7f3a and vlan = 5", filter_has_measures, NULL);
    check_kind("from 10.0.0.1 and resp_packets=0", filter_has_measures, "resp_packets=0");
    check_kind("arp or state S0", filter_has_measures, "state S0");
    check_kind("external and sni a", filter_has_measures, NULL);
    check_kind("external or refused", filter_has_measures, "refused");
    check_kind("port 80 and external", filter_has_connection_words, NULL);
    check_kind("port 80 and sni = a", filter_has_connection_words, "sni = a");
    check_kind("status 500 and sni a and unanswered", filter_has_exchange_words, NULL);
    check_kind("sni a or path /x*", filter_has_exchange_words, "path /x*");
    check_kind("status 500 and wait > 1s and unanswered and rcode 3", filter_has_flow_measures, NULL);
    check_kind("status 500 and refused", filter_has_flow_measures, "refused");
    check_kind("from 10.0.0.1 and bytes > 1", filter_has_flow_measures, "bytes > 1");
}

/* --- Folding --- */
static void *fold_leaf(void *context, const struct filter_term *t)
{
    (void)context;
    char *s = NULL;
    switch (t->kind) {
    case FILTER_TERM_ANY:
        s = strdup("any");
        break;
    case FILTER_TERM_ADDRESS:
        assert_true(asprintf(&s, "a%u.%u", t->addr[0], t->addr[t->family == FAMILY_IP4 ? 3 : 15]) > 0);
        break;
    case FILTER_TERM_NET:
        assert_true(asprintf(&s, "n%u/%u", t->addr[0], t->prefix) > 0);
        break;
    case FILTER_TERM_PORT:
        assert_true(asprintf(&s, "p%u", t->port) > 0);
        assert_int_equal(t->port, t->last_port);
        break;
    case FILTER_TERM_PORT_RANGE:
        assert_true(asprintf(&s, "p%u-%u", t->port, t->last_port) > 0);
        break;
    case FILTER_TERM_AGENT:
        assert_true(asprintf(&s, "@%s", t->glob) > 0);
        break;
    case FILTER_TERM_FLOW_ID:
        assert_true(asprintf(&s, "i%llx/%u", (unsigned long long)t->flow_id, t->prefix) > 0);
        break;
    }
    return s;
}

static void *fold_two(char *a, char sign, char *b)
{
    char *s;
    assert_true(asprintf(&s, "(%s%c%s)", a, sign, b) > 0);
    free(a);
    free(b);
    return s;
}

static void *fold_both(void *context, void *a, void *b)
{
    (void)context;
    return fold_two(a, '&', b);
}

static void *fold_either(void *context, void *a, void *b)
{
    (void)context;
    return fold_two(a, '|', b);
}

static void folding_for_indexes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *folded;
    } list[] = {
        {"", "any"},
        {"host 10.0.0.1 and port 80 or tcp", "((a10.1&p80)|any)"},
        {"src 10.0.0.1 and not port 80", "(a10.1&any)"},
        {"net 10.0.0.0/8 or net 10 or host 10.0", "((n10/8|n10/8)|n10/16)"},
        {"net 10.0.0.0/32", "a10.0"},
        {"ip6 host fe80::1 or net ::/0", "(a254.1|n0/0)"},
        {"port (80 or 443)", "(p80|p443)"},
        {"portrange 1-9 and portrange 7", "(p1-9&p7)"},
        {"from web and to port 80", "((a10.6|a254.1)&p80)"},
        {"host none", "any"},
        {"agent 'w*' and id 7f3", "(@w*&i7f30000000000000/3)"},
        {"outer (host 10.0.0.1) and tcp[13] = 2 and bytes > 1", "((any&any)&any)"},
        {"host 10.0.0.1 and (host 10.0.0.2 or less 5)", "(a10.1&(a10.2|any))"},
    };
    const struct filter_fold ops = {.leaf = fold_leaf, .both = fold_both, .either = fold_either};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct filter *f = filter_of_text(list[i].text, &web_names);
        char *folded = filter_fold(f, &ops);
        assert_string_equal(folded, list[i].folded);
        free(folded);
        filter_free(f);
    }
}

/* --- Two filters, and whole flows --- */
static void places_are_told_from_other_words(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has;
    } list[] = {{"agent web-1", true}, {"not (tcp or capture x)", true}, {"host 10.0.0.1 and from 10.0.0.2", false}};
    for (size_t i = 0; i < 3; i++) {
        struct filter *f = filter_of_text(list[i].text, NULL);
        assert_int_equal(filter_has_places(f), list[i].has);
        filter_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_told_from_other_words),
        cmocka_unit_test(the_empty_filter),
        cmocka_unit_test(kinds_of_words),
        cmocka_unit_test(folding_for_indexes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
