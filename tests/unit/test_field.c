/* Fields: what people see of a flow. */
#include "common/rows/field.h"
#include "tests/unit/support.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct field *named(const char *name)
{
    const struct field *f = field_named(name, strlen(name));
    if (!f)
        fail_msg("no field %s", name);
    return f;
}

static void set(struct flow_row *row, unsigned id, uint64_t value)
{
    column_set_uint(table_column(&table_flow, id), row, value);
}

static void set_address(struct flow_row *row, unsigned end, const char *text)
{
    bool six = strchr(text, ':') != NULL;
    memset(row->key.addr[end], 0, 16);
    assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, text, row->key.addr[end]), 1);
    column_add(&row->has, FLOW_ADDR_0 + end);
    set(row, FLOW_FAMILY, six ? FAMILY_IP6 : FAMILY_IP4);
    set(row, FLOW_ETHERTYPE, six ? ETHERTYPE_IP6 : ETHERTYPE_IP4);
}

/* 10.0.0.5:80 <- 10.0.0.9:40000, whose client is endpoint 1. */
static struct flow_row http_flow(void)
{
    struct flow_row row = {.flow_id = 0};
    set_address(&row, 0, "10.0.0.5");
    set_address(&row, 1, "10.0.0.9");
    set(&row, FLOW_PORT_0, 80);
    set(&row, FLOW_PORT_1, 40000);
    set(&row, FLOW_HAS_PORTS, 1);
    set(&row, FLOW_PROTO, PROTO_TCP);
    set(&row, FLOW_VLAN_0, VLAN_NONE);
    set(&row, FLOW_VLAN_1, VLAN_NONE);
    set(&row, FLOW_TUNNEL, TUNNEL_NONE);
    set(&row, FLOW_TUNNEL_ID, 0);
    set(&row, FLOW_ORIGINATOR, 1);
    set(&row, FLOW_ID, 0x7f3a);
    set(&row, FLOW_PACKETS_0, 5);
    set(&row, FLOW_PACKETS_1, 7);
    set(&row, FLOW_BYTES_0, 1536);
    set(&row, FLOW_BYTES_1, 2000000);
    return row;
}

static void assert_text(const struct flow_row *row, const char *name, bool exact, const char *expected)
{
    char buf[FIELD_TEXT_MAX];
    memset(buf, 'x', sizeof(buf));
    size_t n = field_text(named(name), row, exact, buf, sizeof(buf));
    assert_string_equal(buf, expected);
    assert_int_equal(n, strlen(expected));
}

static void assert_number(const struct flow_row *row, const char *name, uint64_t expected)
{
    uint64_t v = 0;
    if (!field_number(named(name), row, &v))
        fail_msg("%s is missing", name);
    assert_int_equal(v, expected);
}

static void assert_missing(const struct flow_row *row, const char *name)
{
    uint64_t v;
    assert_false(field_number(named(name), row, &v));
    assert_text(row, name, false, "");
    assert_text(row, name, true, "");
}

/* --- The table --------------------------------------------------------------------------------------------------- */

static void test_names_are_found_and_differ(void **state)
{
    (void)state;
    size_t count;
    const struct field *table = field_table(&count);
    assert_in_range(count, 50, 200);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(field_named(table[i].name, strlen(table[i].name)), &table[i]);
        assert_null(strchr(table[i].name, '.'));
        assert_true(table[i].title && table[i].title[0] && table[i].help && table[i].help[0]);
    }
    assert_ptr_equal(table, field_table(&count));
    assert_null(field_named("byte", 4));
    assert_null(field_named("bytesx", 6));
    assert_ptr_equal(field_named("bytesx", 5), named("bytes"));
    assert_null(field_named("", 0));
}

static void test_the_names_that_are_promised(void **state)
{
    (void)state;
    static const char *const promised[] = {
        "id",
        "time",
        "first",
        "last",
        "orig_addr",
        "orig_port",
        "resp_addr",
        "resp_port",
        "proto",
        "icmp_type",
        "icmp_code",
        "vlan",
        "inner_vlan",
        "tunnel",
        "tunnel_id",
        "ethertype",
        "family",
        "duration",
        "state",
        "history",
        "end_reason",
        "originator_by",
        "community_id",
        "agent",
        "interface",
        "capture",
        "packets",
        "orig_packets",
        "resp_packets",
        "bytes",
        "orig_bytes",
        "resp_bytes",
        "payload",
        "orig_payload",
        "resp_payload",
        "syn",
        "orig_syn",
        "resp_rst",
        "tcp_flags",
        "later_fragments",
        "prior_packets",
        "prior_bytes",
        "loss",
        "icmp_errors",
        "icmp_error_type",
        "icmp_error_code",
        "flows",
    };
    for (size_t i = 0; i < sizeof(promised) / sizeof(*promised); i++)
        named(promised[i]);
    static const char *const inside[] = {"has_ports", "originator", "frames", "addr", "port", "interface_index"};
    for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++)
        assert_null(field_named(inside[i], strlen(inside[i])));
}

/* Every column is seen by people, as itself or in a derived field, or is one of the few that mean nothing to them. */
static void test_no_column_is_forgotten(void **state)
{
    (void)state;
    size_t count;
    const struct field *table = field_table(&count);
    for (unsigned i = 0; i < table_flow.count; i++) {
        unsigned id = table_flow.columns[i].id;
        bool seen = id == FLOW_FRAMES || id == FLOW_INTERFACE;
        for (size_t k = 0; k < count; k++)
            seen |= column_has(&table[k].needs, id);
        if (!seen)
            fail_msg("column %s is in no field", table_flow.columns[i].name);
    }
}

static void test_measures_and_properties(void **state)
{
    (void)state;
    static const char *const measures[] = {"bytes", "orig_packets", "duration", "state",     "history",
                                           "last",  "flows",        "loss",     "tcp_flags", "end_reason"};
    static const char *const properties[] = {"time", "orig_addr", "resp_port",    "proto",
                                             "id",   "agent",     "community_id", "vlan"};
    for (size_t i = 0; i < sizeof(measures) / sizeof(*measures); i++)
        assert_true(named(measures[i])->is_measure);
    for (size_t i = 0; i < sizeof(properties) / sizeof(*properties); i++)
        assert_false(named(properties[i])->is_measure);
    assert_true(named("bytes")->right);
    assert_false(named("time")->right);
    assert_int_equal(named("bytes")->unit, UNIT_BYTES);
    assert_int_equal(named("duration")->unit, UNIT_NS);
    assert_int_equal(named("time")->unit, UNIT_TIME_NS);
    assert_int_equal(named("state")->kind, FIELD_TEXT);
    assert_int_equal(named("packets")->kind, FIELD_NUMBER);
}

/* What a field's value is made from is enough to have it: with the other columns cleared it stays the same. */
static void test_needs_are_enough(void **state)
{
    (void)state;
    struct flow_row all = http_flow();
    for (unsigned i = 0; i < table_flow.count; i++)
        column_add(&all.has, table_flow.columns[i].id);
    all.key.vlan[0] = 7;
    all.key.tunnel = TUNNEL_GRE;
    all.state = FLOW_STATE_SF;
    all.last_ns = 5;
    all.replies = 1;
    all.rtt_count[0] = all.rtt_count[1] = 1;
    for (unsigned i = 0; i < table_flow.count; i++)
        if (table_flow.columns[i].type == COLUMN_TEXT)
            *(struct text *)(void *)((char *)&all + table_flow.columns[i].offset) =
                (struct text){.data = "abc", .len = 3};
    size_t count;
    const struct field *table = field_table(&count);
    for (size_t i = 0; i < count; i++) {
        char before[FIELD_TEXT_MAX];
        struct flow_row row = all;
        if (!field_is_of_flows(&table[i]))
            continue;
        size_t n = field_text(&table[i], &all, true, before, sizeof(before));
        row.has = table[i].needs;
        assert_text(&row, table[i].name, true, before);
        assert_true(n > 0 || strncmp(table[i].name, "icmp_", 5) == 0 || strcmp(table[i].name, "inner_vlan") == 0 ||
                    strstr(table[i].name, "tcp_flags"));
        memset(&row.has, 0, sizeof(row.has));
        assert_missing(&row, table[i].name);
    }
}

/* Of a name that both have it is the exchange's value, also that it has none. */
static void test_a_row_about_an_exchange(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    struct exchange_row x = {.status = 404, .method = {"G\033T", 3}, .dns_rcode = 3, .time_ns = 1};
    set(&row, FLOW_STATUS, 500);
    set(&row, FLOW_START, 7);
    assert_number(&row, "status", 500);
    assert_missing(&row, "method");
    row.exchange = &x;
    assert_missing(&row, "status");
    assert_missing(&row, "time");
    column_add(&x.has, EXCHANGE_STATUS);
    column_add(&x.has, EXCHANGE_METHOD);
    column_add(&x.has, EXCHANGE_DNS_RCODE);
    column_add(&x.has, EXCHANGE_TIME);
    assert_number(&row, "status", 404);
    assert_number(&row, "time", 1);
    assert_text(&row, "method", true, "G\\x1bT");
    assert_text(&row, "dns_rcode", true, "NXDOMAIN");
    assert_number(&row, "rcode", 3);
    assert_text(&row, "client", true, "10.0.0.9:40000");
    assert_number(&row, "packets", 12);

    struct flow_row other = row;
    struct exchange_row y = x;
    other.exchange = &y;
    y.status = 405;
    y.method = (struct text){"GET", 3};
    assert_true(field_compare(named("status"), &row, &other) < 0);
    assert_true(field_compare(named("method"), &row, &other) < 0);
    column_remove(&y.has, EXCHANGE_STATUS);
    assert_true(field_compare(named("status"), &row, &other) > 0);
    assert_ptr_equal(named("http-host"), named("http_host"));
    assert_ptr_equal(named("name"), named("dns_name"));
    assert_true(field_is_of_flows(named("status")) && !field_is_of_flows(named("method")));
    assert_true(field_is_of_exchanges(named("client")) && !field_is_of_exchanges(named("bytes")));
}

/* --- Values ------------------------------------------------------------------------------------------------------ */

static void test_both_ends(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    assert_text(&row, "orig_addr", true, "10.0.0.9");
    assert_text(&row, "resp_addr", true, "10.0.0.5");
    assert_number(&row, "orig_port", 40000);
    assert_number(&row, "resp_port", 80);
    assert_number(&row, "packets", 12);
    assert_number(&row, "orig_packets", 7);
    assert_number(&row, "resp_packets", 5);
    set(&row, FLOW_ORIGINATOR, 0);
    assert_text(&row, "orig_addr", true, "10.0.0.5");
    assert_number(&row, "orig_bytes", 1536);
    column_remove(&row.has, FLOW_ORIGINATOR); /* then endpoint 0, whatever stands there */
    row.originator = 1;
    assert_text(&row, "orig_addr", true, "10.0.0.5");
    assert_number(&row, "resp_port", 40000);
}

static void test_texts_of_both_ends(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    row.software[0] = (struct text){.data = "nginx", .len = 5};
    row.software[1] = (struct text){.data = "curl", .len = 4};
    column_add(&row.has, FLOW_SOFTWARE_0);
    assert_text(&row, "resp_software", true, "nginx");
    assert_missing(&row, "orig_software");
    column_add(&row.has, FLOW_SOFTWARE_1);
    assert_text(&row, "orig_software", true, "curl");
    assert_null(field_named("software", strlen("software")));
}

static void test_one_known_end(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    column_remove(&row.has, FLOW_PACKETS_1);
    assert_number(&row, "packets", 5);
    assert_missing(&row, "orig_packets");
    assert_number(&row, "resp_packets", 5);
    column_remove(&row.has, FLOW_PACKETS_0);
    assert_missing(&row, "packets");
    set(&row, FLOW_BYTES_0, UINT64_MAX);
    assert_number(&row, "bytes", UINT64_MAX); /* no sum beyond */
}

static void test_for_people_and_for_machines(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    assert_text(&row, "bytes", true, "2001536");
    assert_text(&row, "bytes", false, "1.9M");
    assert_text(&row, "packets", false, "12");
    assert_text(&row, "resp_port", false, "80");
    assert_text(&row, "id", true, "0000000000007f3a");
    set(&row, FLOW_START, UINT64_C(1795316400123456789));
    set(&row, FLOW_LAST, UINT64_C(1795316400336456789));
    assert_text(&row, "time", true, "2026-11-22T03:00:00.123456789Z");
    assert_text(&row, "duration", true, "213000000");
    assert_text(&row, "duration", false, "213ms");
    char buf[FIELD_TEXT_MAX];
    setenv("TZ", "UTC0", 1);
    tzset();
    assert_true(field_text(named("time"), &row, false, buf, sizeof(buf)) > 0);
    assert_non_null(strstr(buf, "03:00:00.123"));
    set(&row, FLOW_LAST, 5); /* before the start: a clock was set back */
    assert_number(&row, "duration", 0);
}

static void test_enumerations_by_name(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    assert_missing(&row, "state");
    set(&row, FLOW_STATE, FLOW_STATE_UNKNOWN);
    assert_missing(&row, "state");
    set(&row, FLOW_STATE, FLOW_STATE_RSTO);
    assert_text(&row, "state", false, "RSTO");
    assert_text(&row, "state", true, "RSTO");
    assert_number(&row, "state", FLOW_STATE_RSTO);
    set(&row, FLOW_STATE, 77); /* of a newer writer */
    assert_text(&row, "state", true, "77");
    set(&row, FLOW_END_REASON, FLOW_END_IDLE);
    assert_text(&row, "end_reason", true, "idle-timeout");
    set(&row, FLOW_ORIGINATOR_BY, ORIGINATOR_SYN);
    assert_text(&row, "originator_by", true, "syn");
    assert_text(&row, "family", true, "ip4");
    assert_text(&row, "ethertype", true, "0x0800");
}

static void test_proto_and_community_id(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    assert_text(&row, "proto", true, "tcp");
    assert_number(&row, "proto", 6);
    /* of the specification's baseline: 128.232.110.120:34855 > 66.35.250.204:80 */
    set_address(&row, 0, "66.35.250.204");
    set_address(&row, 1, "128.232.110.120");
    set(&row, FLOW_PORT_1, 34855);
    assert_text(&row, "community_id", true, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    column_remove(&row.has, FLOW_PORT_1);
    assert_missing(&row, "community_id");
    struct flow_row arp = {.flow_id = 0};
    set(&arp, FLOW_PROTO, 0);
    set(&arp, FLOW_FAMILY, FAMILY_LINK);
    set(&arp, FLOW_ETHERTYPE, 0x88cc);
    assert_text(&arp, "proto", true, "lldp");
    uint64_t v;
    assert_false(field_number(named("proto"), &arp, &v));
}

static void test_link_addresses_and_ip6(void **state)
{
    (void)state;
    struct flow_row row = {.flow_id = 0};
    memcpy(row.key.addr[0], "\x02\x00\x5e\x10\x00\x01", 6);
    column_add(&row.has, FLOW_ADDR_0);
    assert_missing(&row, "orig_addr"); /* of what family? */
    set(&row, FLOW_FAMILY, FAMILY_LINK);
    assert_text(&row, "orig_addr", true, "02:00:5e:10:00:01");
    set(&row, FLOW_FAMILY, FAMILY_NONE);
    assert_missing(&row, "orig_addr");
    set_address(&row, 0, "2001:db8::5");
    assert_text(&row, "orig_addr", true, "2001:db8::5");
    assert_missing(&row, "resp_addr");
}

static void test_icmp_has_no_ports(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    set(&row, FLOW_PROTO, PROTO_ICMP);
    set(&row, FLOW_HAS_PORTS, 0);
    set(&row, FLOW_PORT_0, 0); /* endpoint 1 asked: 8, endpoint 0 replies: 0 */
    set(&row, FLOW_PORT_1, 8);
    assert_missing(&row, "orig_port");
    assert_missing(&row, "resp_port");
    assert_number(&row, "icmp_type", 8);
    assert_missing(&row, "icmp_code");
    set(&row, FLOW_PORT_0, 3); /* one way: type and code */
    set(&row, FLOW_PORT_1, 4);
    assert_number(&row, "icmp_type", 3);
    assert_number(&row, "icmp_code", 4);
    set(&row, FLOW_PORT_0, 0);
    set(&row, FLOW_PORT_1, 0); /* its header was not read */
    assert_missing(&row, "icmp_type");
    struct flow_row tcp = http_flow();
    assert_missing(&tcp, "icmp_type");
}

static void test_tags_and_tunnels(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    assert_missing(&row, "vlan");
    assert_missing(&row, "tunnel");
    assert_missing(&row, "tunnel_id");
    set(&row, FLOW_VLAN_0, 100);
    set(&row, FLOW_VLAN_1, 0);
    set(&row, FLOW_TUNNEL, TUNNEL_VXLAN);
    set(&row, FLOW_TUNNEL_ID, 5000);
    assert_number(&row, "vlan", 100);
    assert_number(&row, "inner_vlan", 0);
    assert_text(&row, "tunnel", true, packet_tunnel_name(TUNNEL_VXLAN));
    assert_number(&row, "tunnel_id", 5000);
}

static void test_tcp_flags_as_letters(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    assert_missing(&row, "tcp_flags");
    set(&row, FLOW_TCP_FLAGS_0, TCP_SYN | TCP_ACK);
    assert_text(&row, "resp_tcp_flags", true, "AS");
    assert_missing(&row, "orig_tcp_flags");
    set(&row, FLOW_TCP_FLAGS_1, 0xff);
    assert_text(&row, "orig_tcp_flags", true, "CEUAPRSF");
    assert_text(&row, "tcp_flags", true, "CEUAPRSF");
    assert_number(&row, "tcp_flags", 0xff);
    assert_number(&row, "resp_tcp_flags", TCP_SYN | TCP_ACK);
}

/* What came from outside cannot steer the terminal. */
static void test_text_is_made_harmless(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        size_t len;
        const char *expected;
    } texts[] = {
        {"plain", 5, "plain"},
        {"a\x1b[31m\n", 7, "a\\x1b[31m\\x0a"},
        {"z\xc3\xbcrich", 7, "z\xc3\xbcrich"}, /* UTF-8 stays */
        {"\xe2\x82\xac\xf0\x9f\x90\x98", 7, "\xe2\x82\xac\xf0\x9f\x90\x98"},
        {"\xc3", 1, "\\xc3"}, /* cut */
        {"\xc3(", 2, "\\xc3("},
        {"\xc0\xaf", 2, "\\xc0\\xaf"}, /* overlong */
        {"\xe0\x80\xaf", 3, "\\xe0\\x80\\xaf"},
        {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},          /* surrogate */
        {"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\xf8\x88", 2, "\\xf8\\x88"},
        {"\xc2\x9b", 2, "\\xc2\\x9b"}, /* CSI in one character */
        {"\x7f", 1, "\\x7f"},
        {"a\0b", 3, "a\\x00b"},
    };
    struct flow_row row = {.flow_id = 0};
    column_add(&row.has, FLOW_AGENT);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        row.agent = (struct text){.data = texts[i].raw, .len = (uint32_t)texts[i].len};
        assert_text(&row, "agent", true, texts[i].expected);
    }
    row.agent = (struct text){.data = NULL, .len = 0};
    assert_text(&row, "agent", true, "");
}

static void test_small_buffers(void **state)
{
    (void)state;
    struct flow_row row = http_flow();
    row.agent = (struct text){.data = "ab\x01zz", .len = 5};
    column_add(&row.has, FLOW_AGENT);
    char buf[8] = "1234567";
    assert_int_equal(field_text(named("agent"), &row, true, buf, 5), 2); /* the escape does not fit, nor half of it */
    assert_string_equal(buf, "ab");
    assert_int_equal(field_text(named("bytes"), &row, true, buf, 4), 3);
    assert_string_equal(buf, "200");
    assert_int_equal(field_text(named("id"), &row, true, buf, 1), 0);
    assert_string_equal(buf, "");
    assert_int_equal(field_text(named("id"), &row, true, buf, 0), 0);
    char huge[COLUMN_TEXT_MAX];
    char all[FIELD_TEXT_MAX];
    memset(huge, 'h', sizeof(huge));
    row.agent = (struct text){.data = huge, .len = sizeof(huge)};
    assert_int_equal(field_text(named("agent"), &row, true, all, sizeof(all)), COLUMN_TEXT_MAX);
}

/* --- Order ------------------------------------------------------------------------------------------------------- */

static void assert_less(const char *name, const struct flow_row *a, const struct flow_row *b)
{
    const struct field *f = named(name);
    assert_true(field_compare(f, a, b) < 0);
    assert_true(field_compare(f, b, a) > 0);
    assert_int_equal(field_compare(f, a, a), 0);
    assert_int_equal(field_compare(f, b, b), 0);
}

static void test_order(void **state)
{
    (void)state;
    struct flow_row a = http_flow();
    struct flow_row b = http_flow();
    struct flow_row none = {.flow_id = 9};
    set(&b, FLOW_PACKETS_0, 1000);
    assert_less("packets", &a, &b);
    set_address(&a, 1, "10.0.0.9");
    set_address(&b, 1, "10.0.0.10"); /* by value, not by text */
    assert_less("orig_addr", &a, &b);
    set_address(&b, 0, "::1");
    set_address(&b, 1, "::2");
    assert_less("orig_addr", &a, &b);
    a.history = (struct text){.data = "Sh", .len = 2};
    b.history = (struct text){.data = "ShA", .len = 3};
    column_add(&a.has, FLOW_HISTORY);
    column_add(&b.has, FLOW_HISTORY);
    assert_less("history", &a, &b);
    set(&a, FLOW_STATE, FLOW_STATE_S0);
    set(&b, FLOW_STATE, FLOW_STATE_REJ); /* by number, though its name is less */
    assert_less("state", &a, &b);
    set(&b, FLOW_PROTO, PROTO_UDP);
    assert_less("proto", &a, &b);
    set(&b, FLOW_ID, UINT64_MAX);
    assert_less("id", &a, &b);
    size_t count;
    const struct field *table = field_table(&count);
    for (size_t i = 0; i < count; i++) {
        char text[FIELD_TEXT_MAX];
        assert_int_equal(field_compare(&table[i], &none, &none), 0);
        if (field_text(&table[i], &a, true, text, sizeof(text)))
            assert_less(table[i].name, &none, &a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_found_and_differ),
        cmocka_unit_test(test_the_names_that_are_promised),
        cmocka_unit_test(test_no_column_is_forgotten),
        cmocka_unit_test(test_measures_and_properties),
        cmocka_unit_test(test_needs_are_enough),
        cmocka_unit_test(test_both_ends),
        cmocka_unit_test(test_texts_of_both_ends),
        cmocka_unit_test(test_one_known_end),
        cmocka_unit_test(test_for_people_and_for_machines),
        cmocka_unit_test(test_enumerations_by_name),
        cmocka_unit_test(test_proto_and_community_id),
        cmocka_unit_test(test_link_addresses_and_ip6),
        cmocka_unit_test(test_icmp_has_no_ports),
        cmocka_unit_test(test_tags_and_tunnels),
        cmocka_unit_test(test_tcp_flags_as_letters),
        cmocka_unit_test(test_text_is_made_harmless),
        cmocka_unit_test(test_small_buffers),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_a_row_about_an_exchange),
    };
    return cmocka_run_group_tests_name("field", tests, NULL, NULL);
}
