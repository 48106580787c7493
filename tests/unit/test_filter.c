/* What filters mean, word by word; what is wrong with them and how that is said; limits; what indexes are told. */
#include "common/filter/filter.h"
#include "common/packet/community_id.h"
#include "common/rows/field.h"
#include "tests/unit/filter_sample.h"
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Helpers --- */

static struct filter *compile(const char *text, const struct filter_names *names)
{
    struct filter *f;
    struct error e = ERROR_INIT;
    if (filter_compile(text, names, &f, &e) != 0)
        fail_msg("%s", e.text);
    return f;
}

static const char *matches(const char *text, const struct filter_names *names)
{
    static char letters[SAMPLES + 1];
    size_t n = 0;
    struct filter *f = compile(text, names);
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct sample *s = &samples()[i];
        bool match;
        assert_int_equal(filter_packet(f, &s->packet, &s->row, &match, NULL), 0);
        if (match)
            letters[n++] = s->letter;
        /* The flow of this packet alone says the same, and a part of it nothing else */
        enum truth sum = filter_row_sum(f, &s->row), part = filter_row_part(f, &s->row);
        enum truth sure = match ? TRUTH_YES : TRUTH_NO, wrong = match ? TRUTH_NO : TRUTH_YES;
        if ((sum != sure && !filter_has_packet_words(f, NULL)) || sum == wrong || part == wrong)
            fail_msg("'%s' on %c: packet %d, sum %d, part %d", text, s->letter, match, sum, part);
    }
    letters[n] = 0;
    filter_free(f);
    return letters;
}

struct expectation {
    const char *text, *letters;
};

static void check(const struct expectation *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *letters = matches(list[i].text, NULL);
        if (strcmp(letters, list[i].letters) != 0)
            fail_msg("'%s' matches %s instead of %s", list[i].text, letters, list[i].letters);
    }
}

#define CHECK(list) check(list, sizeof(list) / sizeof *(list))
#define ALL         "abcdefghijklmnopqr"

/* --- Words --- */

static void addresses(void **state)
{
    (void)state;
    static const struct expectation list[] = {
        {"host 10.0.0.5", "abceghijkmoq"},
        {"10.0.0.5", "abceghijkmoq"},
        {"src 10.0.0.5", "aceghijkmoq"},
        {"dst host 10.0.0.5", "b"},
        {"src or dst host 10.0.0.5", "abceghijkmoq"},
        {"src and dst host 10.0.0.5", ""},
        {"host 10.0.0.1 and 10.0.0.5", "abeghijkmoq"},
        {"host 10.0.0.6 or 224.0.0.251", "cln"},
        {"host not 10.0.0.5", "dflnpr"},
        {"not host 10.0.0.5 and ip", "ln"},
        {"ip host 10.0.0.5", "abceijkmoq"},
        {"arp host 10.0.0.5", "g"},
        {"rarp src 10.0.0.5", "h"},
        {"arp dst 10.0.0.5", ""},
        {"host fe80::1", "dfr"},
        {"ip6 dst ff02::1", "f"},
        {"host ::ffff:10.0.0.5", ""},
        {"net 10", "abceghijklmnoq"},
        {"net 10.0.0.4/30", "abceghijklmnoq"},
        {"net 10.0.0.4/31 and not arp and not rarp", "abceijkmoq"},
        {"src net 10.0.0.0 mask 255.255.255.252", "b"},
        {"host 10.0", "abceghijklmnoq"},
        {"net 10/8", "abceghijklmnoq"},
        {"10.0.0.4/31", "abceghijkmoq"},
        {"net fe80::/10 or 2001:db8::/32", "dfr"},
        {"dst net 2001:db8::/32", "dr"},
        {"net ::/0", "dfr"},
        {"net 0.0.0.0/0", "abceghijklmnoq"},
        {"ip multicast", "c"},
        {"ip6 multicast", "f"},
    };
    CHECK(list);
}

static void ports(void **state)
{
    (void)state;
    static const struct expectation list[] = {
        {"port 80", "abqr"},
        {"src port 80", "b"},
        {"dst port 80", "aqr"},
        {"port 80 or 443", "abkqr"},
        {"port (80 or 443)", "abkqr"},
        {"not port 80 or 443", "cdefghijklmnop"},
        {"port 80 or (tcp and port 22)", "abmqr"},
        {"src and dst port 5353", "c"},
        {"udp src or dst port 5353", "c"},
        {"port 53", "di"}, /* not in the later fragment, j */
        {"udp and not port 53", "cjln"},
        {"tcp port 53", ""},
        {"udp port 53", "di"},
        {"sctp port 9", "o"},
        {"port 9", "o"},
        {"tcp port 7 or 22", "m"},
        {"portrange 79-81", "abqr"},
        {"portrange 81-79", "abqr"},
        {"dst portrange 20-60", "dim"},
        {"udp portrange 0-65535", "cdiln"},
        {"port 0x50 and port 0116100", "ab"},
        {"port domain", "di"},
        {"port \\domain", "di"},
        {"tcp port http", "abqr"},
        {"port 8", ""}, /* the type of an ICMP message is no port */
    };
    CHECK(list);
}

static void protocols(void **state)
{
    (void)state;
    static const struct expectation list[] = {
        {"", ALL},
        {" \n\t", ALL},
        {"ip", "abceijklmnoq"},
        {"ip6", "dfr"},
        {"arp", "g"},
        {"rarp", "h"},
        {"tcp", "abkmqr"},
        {"udp", "cdijln"},
        {"sctp", "o"},
        {"icmp", "e"},
        {"icmp6", "f"},
        {"ip and tcp", "abkmq"},
        {"igmp or pim or vrrp or esp or igrp or carp", ""},
        {"proto 6", "abkmqr"},
        {"proto \\udp", "cdijln"},
        {"ip proto 6 or 17", "abcijklmnq"},
        {"ip proto (6 or not 17)", "abdefghkmopqr"},
        {"ip6 proto 17", "d"},
        {"ether proto 0x88cc", "p"},
        {"ether proto \\arp or \\rarp", "gh"},
        {"lat or decnet or sca or moprc or mopdl", ""},
        {"vlan", "kl"},
        {"vlan 5", "kl"},
        {"vlan 100", "l"},
        {"vlan (7)", ""},
        {"vxlan", "n"},
        {"vxlan 100 and udp port 7", "n"},
        {"vxlan 101", ""},
        {"geneve", ""},
    };
    CHECK(list);
}

static void precedence(void **state)
{
    (void)state;
    static const struct expectation list[] = {
        {"tcp or udp and ip6", "dr"},    {"tcp or (udp and ip6)", "abdkmqr"},    {"ip6 and tcp or arp", "gr"},
        {"not tcp and ip6", "df"},       {"not (tcp and ip6) and tcp", "abkmq"}, {"! tcp && ! udp", "efghop"},
        {"not not not tcp || tcp", ALL}, {"port 80 or (tcp) or 443", "abkmqr"},  {"((((arp))))", "g"},
    };
    CHECK(list);
}

static void packet_words(void **state)
{
    (void)state;
    static const struct expectation list[] = {
        {"tcp[tcpflags] & tcp-syn != 0", "ab"},
        {"tcp[13] = 0x18", "m"}, /* inside the tunnel */
        {"tcp[13] & tcp-ack != 0", "bkmq"},
        {"(tcp[12] >> 4) > 5", ""},
        {"tcp[2:2] = 443", "k"},
        {"icmp[icmptype] = icmp-echo", "e"},
        {"icmp6[icmp6type] = icmp6-echo", "f"},
        {"ip[8] = 0x40 and udp", "cijln"},
        {"len = 14 + 11 + 8 - 8", "p"},
        {"less 25", "p"},
        {"greater 90", "n"},
        {"ether host 01:80:c2:00:00:0e", "p"},
        {"ether src 02:00:00:00:00:01 and arp", "g"},
        {"broadcast", ""},
        {"multicast", "p"},
        {"ether proto 0x8100", "k"},
        {"mpls", "q"},
        {"mpls 100", "q"},
        {"mpls 101", ""},
        {"outer (host 192.168.0.1)", "mn"},
        {"outer (net 192.168.0.0/16 and udp) and udp", "n"},
        {"outer (proto 47)", "m"},
        {"outer (tcp)", "abkqr"},
        {"outer (port 4789 or 80)", "abnqr"},
        {"not outer (ip) and udp", "d"},
        {"ip6 proto 0", "r"},
        {"ip6 protochain 6", "r"},
        {"byte 0 = 1", "p"},
        /* What is too short for a load is rejected as a whole, as libpcap does */
        {"tcp[300] = 1 or ip", "ceijlno"},
        {"ip or tcp[300] = 1", "abceijklmnoq"},
        {"not tcp[300] = 1 and ip", "ceijlno"},
    };
    CHECK(list);
}

static void connection_words(void **state)
{
    (void)state;
    static const struct expectation list[] = {
        {"from 10.0.0.5", "aceghijkmoq"},
        {"to 10.0.0.5", "b"},
        {"from 10.0.0.5 and to port 80", "aq"},
        {"from host 10.0.0.5 or 10.0.0.6", "aceghijklmnoq"},
        {"from net fe80::/10", "dfr"},
        {"to net 10.0.0.0/30", "aeghijklmnoq"},
        {"from port 40000 or 80", "ab"},
        {"to port (80 or 53)", "adiqr"},
        {"to portrange 50-100", "adiqr"},
        {"to port domain", "di"},
        {"not from 10.0.0.5 and ip", "bln"},
        {"id 7f3a", ALL},
        {"id 7F3A000000000001", ALL},
        {"id 7f3b or 8", ""},
        {"bytes > 90", "n"},
        {"packets = 1", ALL},
        {"orig_packets=0", ""},
        {"vlan = 5", "k"},
        {"inner_vlan = 5", "l"},
        {"vlan != 5", "l"}, /* missing compares false */
        {"duration >= 1us and duration < 1.5us and arp", "g"},
        {"agent web-1", ""},
        {"state S0", ""},
        {"unanswered", ALL},
        {"external", "dr"},
        {"ip and not external", "abceijklmnoq"},
    };
    CHECK(list);
}

/* --- Connections --- */

/* A two-way flow: a and b. */
static struct flow_row two_way(void)
{
    struct flow_row row = sample('a')->row, answer = sample('b')->row;
    for (unsigned d = 0; d < 2; d++) {
        row.packets[d] += answer.packets[d];
        row.bytes[d] += answer.bytes[d];
    }
    return row;
}

static void check_row(const char *text, const struct flow_row *row, enum truth sum, enum truth part)
{
    struct filter *f = compile(text, NULL);
    enum truth is_sum = filter_row_sum(f, row), is_part = filter_row_part(f, row);
    if (is_sum != sum || is_part != part)
        fail_msg("'%s': sum %d instead of %d, part %d instead of %d", text, is_sum, sum, is_part, part);
    filter_free(f);
}

static void the_whole_expression_per_class_of_packets(void **state)
{
    (void)state;
    struct flow_row both = two_way(), one = sample('a')->row;
    check_row("src 10.0.0.5 and dst port 80", &both, TRUTH_YES, TRUTH_YES);
    check_row("src 10.0.0.1 and dst port 80", &both, TRUTH_NO, TRUTH_NO);
    check_row("src 10.0.0.5 and src port 80", &both, TRUTH_NO, TRUTH_NO);
    check_row("not src 10.0.0.5", &both, TRUTH_YES, TRUTH_YES); /* the answer's packets */
    check_row("not src 10.0.0.5", &one, TRUTH_NO, TRUTH_MAYBE); /* another row may have some */
    check_row("not host 10.0.0.5", &both, TRUTH_NO, TRUTH_NO);
    check_row("src port 80 and not from port 80", &both, TRUTH_YES, TRUTH_MAYBE);

    struct flow_row fragments = sample('i')->row; /* first fragments and later ones */
    check_row("not port 53", &fragments, TRUTH_NO, TRUTH_MAYBE);
    for (unsigned d = 0; d < 2; d++) {
        fragments.later_fragments[d] = fragments.packets[d] ? 3 : 0;
        fragments.packets[d] *= 4;
    }
    check_row("port 53", &fragments, TRUTH_YES, TRUTH_YES);
    check_row("not port 53", &fragments, TRUTH_YES, TRUTH_YES);
    check_row("udp and not port 53", &fragments, TRUTH_YES, TRUTH_YES);
    check_row("tcp and not port 53", &fragments, TRUTH_NO, TRUTH_NO);
    check_row("from 10.0.0.5 and to port 53", &fragments, TRUTH_YES, TRUTH_MAYBE);
}

static void facts(void **state)
{
    (void)state;
    struct flow_row both = two_way(), one = sample('a')->row, udp = sample('d')->row;
    check_row("unanswered", &both, TRUTH_NO, TRUTH_MAYBE);
    check_row("unanswered", &one, TRUTH_YES, TRUTH_MAYBE);
    check_row("not unanswered", &one, TRUTH_NO, TRUTH_MAYBE);
    one.originator = 1 - one.originator; /* what the server says alone is no question */
    check_row("unanswered", &one, TRUTH_NO, TRUTH_MAYBE);
    one.originator = 1 - one.originator;
    column_remove(&one.has, FLOW_ORIGINATOR);
    check_row("unanswered or refused", &one, TRUTH_NO, TRUTH_MAYBE);

    check_row("refused", &both, TRUTH_NO, TRUTH_MAYBE);
    both.state = FLOW_STATE_REJ;
    column_add(&both.has, FLOW_STATE);
    check_row("refused", &both, TRUTH_YES, TRUTH_MAYBE);
    column_add(&udp.has, FLOW_ICMP_ERROR_TYPE); /* IPv6: 1, no matter which code */
    column_add(&udp.has, FLOW_ICMP_ERROR_CODE);
    udp.icmp_error_type = 3; /* there: time exceeded */
    check_row("refused", &udp, TRUTH_NO, TRUTH_MAYBE);
    udp.icmp_error_type = 1;
    check_row("refused", &udp, TRUTH_YES, TRUTH_MAYBE);
    udp.packets[1 - udp.originator] = 1; /* it had answered before */
    check_row("refused", &udp, TRUTH_NO, TRUTH_MAYBE);
    struct flow_row ip4 = sample('i')->row;
    column_add(&ip4.has, FLOW_ICMP_ERROR_TYPE);
    column_add(&ip4.has, FLOW_ICMP_ERROR_CODE);
    ip4.icmp_error_type = 3;
    ip4.icmp_error_code = 3;
    check_row("refused", &ip4, TRUTH_YES, TRUTH_MAYBE);
    ip4.icmp_error_code = 4; /* too long is not refused */
    check_row("refused", &ip4, TRUTH_NO, TRUTH_MAYBE);
}

static void texts_and_names_of_numbers(void **state)
{
    (void)state;
    struct flow_row row = two_way();
    row.sni = (struct text){"WWW.Example.org", 15};
    row.tls_version = 0x0304;
    column_add(&row.has, FLOW_SNI);
    column_add(&row.has, FLOW_TLS_VERSION);
    check_row("sni www.example.org", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("sni = *.EXAMPLE.org", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("sni *.example", &row, TRUTH_NO, TRUTH_MAYBE);
    check_row("sni != *.example.org", &row, TRUTH_NO, TRUTH_MAYBE);
    check_row("sni != a and port 80", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("alpn != a", &row, TRUTH_NO, TRUTH_MAYBE); /* missing compares false */
    check_row("tls_version = 'tls 1.3'", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("tls_version < 'TLS 1.3'", &row, TRUTH_NO, TRUTH_MAYBE);
    check_row("tls_version 772", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("client 10.0.0.5:*", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("method GET", &row, TRUTH_NO, TRUTH_MAYBE); /* of exchanges */
}

/* Whether there is a value at all. */
static void fields_that_are_there(void **state)
{
    (void)state;
    struct flow_row row = two_way();
    struct exchange_row x = {.status = 0};
    row.sni = (struct text){"a", 1};
    row.tls_version = 0;
    column_add(&row.has, FLOW_SNI);
    check_row("sni = *", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("sni *", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("not alpn = *", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("tls_version = *", &row, TRUTH_NO, TRUTH_MAYBE);
    column_add(&row.has, FLOW_TLS_VERSION);
    check_row("tls_version = *", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("handshake = '*' or not (handshake *)", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("not dns_rcode = * and packets = *", &row, TRUTH_YES, TRUTH_MAYBE);
    row.exchange = &x;
    check_row("status = *", &row, TRUTH_NO, TRUTH_MAYBE);
    column_add(&x.has, EXCHANGE_STATUS);
    check_row("status == *", &row, TRUTH_YES, TRUTH_MAYBE);
}

/* Fields that exchanges have are the exchange's, all others the flow's. */
static void a_row_about_an_exchange(void **state)
{
    (void)state;
    struct flow_row row = two_way();
    struct exchange_row x = {.status = 404, .method = {"GET", 3}, .outcome = EXCHANGE_UNANSWERED};
    row.status = 500;
    column_add(&row.has, FLOW_STATUS);
    column_add(&x.has, EXCHANGE_METHOD);
    column_add(&x.has, EXCHANGE_OUTCOME);
    check_row("status 500", &row, TRUTH_YES, TRUTH_MAYBE);
    row.exchange = &x;
    check_row("status 500", &row, TRUTH_NO, TRUTH_MAYBE); /* not known of this one */
    column_add(&x.has, EXCHANGE_STATUS);
    check_row("status 404 and method get and port 80 and unanswered", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("outcome unanswered and outcome != cut", &row, TRUTH_YES, TRUTH_MAYBE);
    x.outcome = EXCHANGE_CUT;
    check_row("unanswered", &row, TRUTH_NO, TRUTH_MAYBE);
    check_row("outcome > unanswered", &row, TRUTH_YES, TRUTH_MAYBE);
}

static void parts_leave_open_what_other_rows_know(void **state)
{
    (void)state;
    struct flow_row row = two_way();
    row.state = FLOW_STATE_SF;
    column_add(&row.has, FLOW_STATE);
    row.agent = (struct text){"web-12", 6};
    row.capture = (struct text){"monday", 6};
    column_add(&row.has, FLOW_AGENT);
    check_row("bytes > 1M", &row, TRUTH_NO, TRUTH_MAYBE);
    check_row("bytes > 1M and port 81", &row, TRUTH_NO, TRUTH_NO);
    check_row("state SF", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("state S0,sf", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("state S0 or S1", &row, TRUTH_NO, TRUTH_MAYBE);
    check_row("agent web-*", &row, TRUTH_YES, TRUTH_YES);
    check_row("agent 'w?b-1*2'", &row, TRUTH_YES, TRUTH_YES);
    check_row("agent web", &row, TRUTH_NO, TRUTH_NO);
    check_row("agent db or web-12", &row, TRUTH_YES, TRUTH_YES);
    check_row("capture monday", &row, TRUTH_NO, TRUTH_MAYBE); /* not known */
    column_add(&row.has, FLOW_CAPTURE);
    check_row("capture mon*", &row, TRUTH_YES, TRUTH_YES);
    check_row("resp_port = 80", &row, TRUTH_YES, TRUTH_MAYBE);
    check_row("tcp[13] = 2", &row, TRUTH_MAYBE, TRUTH_MAYBE);
    check_row("tcp[13] = 2 and udp", &row, TRUTH_NO, TRUTH_NO);
    check_row("tcp or tcp[13] = 2", &row, TRUTH_YES, TRUTH_YES);
    check_row("tcp[13] = 2 or tcp", &row, TRUTH_MAYBE, TRUTH_MAYBE); /* libpcap may reject the packet for the first */
    column_remove(&row.has, FLOW_ORIGINATOR);
    check_row("from 10.0.0.5", &row, TRUTH_NO, TRUTH_MAYBE);
    check_row("from 10.0.0.7", &row, TRUTH_NO, TRUTH_NO);
    check_row("not from 10.0.0.7", &row, TRUTH_YES, TRUTH_YES);

    struct flow_row empty = two_way(); /* a last row without packets */
    memset(empty.packets, 0, sizeof empty.packets);
    check_row("", &empty, TRUTH_YES, TRUTH_MAYBE);
    check_row("src 10.0.0.5", &empty, TRUTH_YES, TRUTH_MAYBE);
    check_row("port 81", &empty, TRUTH_NO, TRUTH_NO);
}

static void community_ids(void **state)
{
    (void)state;
    char id[COMMUNITY_ID_SIZE], text[128];
    assert_true(community_id(&sample('a')->row.key, 0, id));
    snprintf(text, sizeof text, "community-id %s", id);
    assert_string_equal(matches(text, NULL), "ab");
    snprintf(text, sizeof text, "community-id '%s' or arp", id);
    assert_string_equal(matches(text, NULL), "abg");
}

/* --- Names --- */

static const struct filter_address web_addresses[] = {
    {FAMILY_IP6, {0xfe, 0x80, [15] = 1}, 0, UINT64_MAX},
    {FAMILY_IP4, {10, 0, 0, 6}, 0, UINT64_MAX},
    {FAMILY_IP4, {10, 0, 0, 5}, 1500, 1600},
    {FAMILY_IP4, {10, 0, 0, 1}, 2001, UINT64_MAX}, /* after the samples' time, which is 1000 to 2000 */
    {FAMILY_IP4, {10, 0, 0, 1}, 0, 999},           /* before it */
};
static const struct filter_name name_items[] = {
    {"web", web_addresses, 2}, {"@web", web_addresses, 3}, {"later", web_addresses + 3, 2},
    {"tcp", web_addresses, 1}, {"none", NULL, 0},          {"my host", web_addresses + 2, 1},
};
static const struct filter_names names = {name_items, sizeof name_items / sizeof *name_items};

static void names_stand_for_addresses_at_their_time(void **state)
{
    (void)state;
    assert_string_equal(matches("host web", &names), "dflnr");
    assert_string_equal(matches("host @web", &names), "abcdefghijklmnoqr");
    assert_string_equal(matches("@web", &names), "abcdefghijklmnoqr");
    assert_string_equal(matches("ip host web", &names), "ln");
    assert_string_equal(matches("ip6 src web", &names), "dfr");
    assert_string_equal(matches("host \\tcp", &names), "dfr");
    assert_string_equal(matches("host none", &names), "");
    assert_string_equal(matches("host 'my host'", &names), "abceghijkmoq");
    assert_string_equal(matches("host later", &names), "");
    assert_string_equal(matches("from @web and not web", &names), "aceghijkmoq");
    assert_string_equal(matches("to web or later", &names), "");

    struct filter *f = compile("host later", &names);
    struct flow_row row = sample('a')->row;
    assert_int_equal(filter_row_part(f, &row), TRUTH_MAYBE); /* the flow may go on */
    row.last_ns = 2001;
    assert_int_equal(filter_row_sum(f, &row), TRUTH_YES);
    bool match;
    assert_int_equal(filter_packet(f, &sample('a')->packet, NULL, &match, NULL), 0);
    assert_true(match); /* no flow, no time */
    filter_free(f);
}

static void collect(void *context, const char *name)
{
    char *all = context;
    snprintf(all + strlen(all), 100 - strlen(all), "%s;", name);
}

static void each_distinct_name(void **state)
{
    (void)state;
    char all[100] = "";
    struct error e = ERROR_INIT;
    assert_int_equal(filter_each_name("host a or b and (from @a or to a) and not src 'c d' and port 80 and agent x",
                                      collect, all, &e),
                     0);
    assert_string_equal(all, "a;b;@a;c d;");
    all[0] = 0;
    assert_int_equal(filter_each_name("host a or prt 80", collect, all, &e), ERROR_USAGE);
    assert_string_equal(e.text, "'prt' was read as a name; did you mean 'port'?\nhost a or prt 80\n          ^");
    assert_string_equal(all, "");
}

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
    assert_int_equal(filter_each_name(text, collect, all, &e), 0);
    strcpy(p, " or more");
    assert_int_equal(filter_each_name(text, collect, all, &e), ERROR_LIMIT);
    assert_non_null(strstr(e.text, "more than 256 names\n"));
}

/* --- What kind of filter it is --- */

static void check_kind(const char *text, bool (*has)(const struct filter *, const char **), const char *expected)
{
    const char *what = NULL;
    struct filter *f = compile(text, &names);
    assert_int_equal(has(f, &what), expected != NULL);
    assert_int_equal(has(f, NULL), expected != NULL);
    if (expected)
        assert_string_equal(what, expected);
    filter_free(f);
}

static void check_empty(const char *text, bool expected)
{
    struct filter *f = compile(text, &names);
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

/* --- Places --- */

static void places_are_judged_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool web_monday, db_monday, web_friday;
    } list[] = {
        {"", true, true, true},
        {"port 80", true, true, true},
        {"agent 'web-*'", true, false, true},
        {"not agent 'web-*'", false, true, false},
        {"agent 'web-*' and capture monday", true, false, false},
        {"agent 'db-*' or capture friday", false, true, true},
        {"agent 'db-*' or port 80", true, true, true},
        {"port 80 and not (agent web-1 or capture friday)", false, true, false},
        {"not (agent web-1 and port 80)", true, true, true},
        {"tcp[13] = 2 and capture 'mon*'", true, true, false},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct filter *f = compile(list[i].text, &names);
        assert_int_equal(filter_may_match_at(f, "web-1", "monday"), list[i].web_monday);
        assert_int_equal(filter_may_match_at(f, "db-1", "monday"), list[i].db_monday);
        assert_int_equal(filter_may_match_at(f, "web-1", "friday"), list[i].web_friday);
        filter_free(f);
    }
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
        struct filter *f = compile(list[i].text, &names);
        char *folded = filter_fold(f, &ops);
        assert_string_equal(folded, list[i].folded);
        free(folded);
        filter_free(f);
    }
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

static void a_packet_without_its_flow(void **state)
{
    (void)state;
    static const char *const texts[] = {"from 10.0.0.5", "id 7f3a", "bytes > 0", "agent *", "state S0"};
    bool match;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct filter *f = compile(texts[i], NULL);
        assert_int_equal(filter_packet(f, &sample('a')->packet, NULL, &match, NULL), 0);
        assert_false(match);
        filter_free(f);
    }
}

static void link_types_that_a_word_does_not_know(void **state)
{
    (void)state;
    static const uint8_t raw[] = "\x45\0\0\x14\0\0\0\0\x40\x06\0\0\x0a\0\0\1\x0a\0\0\2";
    struct packet p;
    struct error e = ERROR_INIT;
    bool match = true;
    packet_decode(101, raw, 20, 20, &p);
    struct filter *f = compile("host 10.0.0.1 and ether host 2:0:0:0:0:1", NULL);
    assert_int_equal(filter_packet(f, &p, NULL, &match, &e), ERROR_UNSUPPORTED);
    assert_false(match);
    assert_non_null(strstr(e.text, "link type 101: libpcap on 'ether host 2:0:0:0:0:1': "));
    filter_free(f);
    f = compile("host 10.0.0.3 and ether host 2:0:0:0:0:1", NULL); /* not asked */
    assert_int_equal(filter_packet(f, &p, NULL, &match, &e), 0);
    assert_false(match);
    filter_free(f);
}

/* --- Two filters, and whole flows --- */

static const char *const joined[] = {"",
                                     "port 80",
                                     "not port 80",
                                     "tcp or udp",
                                     "from 10.0.0.5",
                                     "src host 10.0.0.5",
                                     "tcp[13] & 2 != 0",
                                     "not (ip or ip6)"};
#define JOINED (sizeof joined / sizeof *joined)

/* Whatever stands in the one, it means nothing to the other: true where both are. */
static void joined_filters_are_true_where_both_are(void **state)
{
    (void)state;
    for (size_t a = 0; a < JOINED; a++)
        for (size_t b = 0; b < JOINED; b++) {
            struct filter *one = compile(joined[a], NULL), *other = compile(joined[b], NULL), *both = NULL;
            struct error e = ERROR_INIT;
            assert_int_equal(filter_join(compile(joined[a], NULL), compile(joined[b], NULL), &both, &e), 0);
            for (size_t i = 0; i < SAMPLES; i++) {
                const struct sample *s = &samples()[i];
                bool x, y, z;
                assert_int_equal(filter_packet(one, &s->packet, &s->row, &x, NULL), 0);
                assert_int_equal(filter_packet(other, &s->packet, &s->row, &y, NULL), 0);
                assert_int_equal(filter_packet(both, &s->packet, &s->row, &z, NULL), 0);
                if (z != (x && y))
                    fail_msg("'%s' and '%s' on %c: %d %d %d", joined[a], joined[b], s->letter, x, y, z);
                assert_true(filter_row_part(both, &s->row) != TRUTH_NO || !z);
            }
            assert_int_equal(filter_has_packet_words(both, NULL),
                             filter_has_packet_words(one, NULL) || filter_has_packet_words(other, NULL));
            filter_free(one);
            filter_free(other);
            filter_free(both);
        }
}

static void joined_filters_have_a_limit_too(void **state)
{
    (void)state;
    struct filter *f = compile("port 80", NULL), *both = NULL;
    struct error e = ERROR_INIT;
    int r = 0;
    for (int i = 0; r == 0 && i < (int)FILTER_NODES_MAX; i++) {
        r = filter_join(f, compile("tcp", NULL), &both, &e);
        f = both;
    }
    assert_int_equal(r, ERROR_LIMIT);
}

/* Of a flow with packets of both directions, and later fragments, all must match. */
static void a_whole_flow_matches_if_all_of_its_packets_do(void **state)
{
    (void)state;
    struct flow_row row = sample('a')->row; /* 10.0.0.5 to port 80 */
    static const struct {
        const char *text;
        enum truth one, both, fragments;
    } list[] = {
        {"port 80", TRUTH_YES, TRUTH_YES, TRUTH_NO},
        {"dst port 80", TRUTH_YES, TRUTH_NO, TRUTH_NO},
        {"src port 80", TRUTH_NO, TRUTH_NO, TRUTH_NO},
        {"host 10.0.0.5", TRUTH_YES, TRUTH_YES, TRUTH_YES},
        {"tcp", TRUTH_YES, TRUTH_YES, TRUTH_YES},
        {"not udp", TRUTH_YES, TRUTH_YES, TRUTH_YES},
        {"not src port 80", TRUTH_YES, TRUTH_NO, TRUTH_NO},
        {"not port 80", TRUTH_NO, TRUTH_NO, TRUTH_NO},
        {"tcp[13] & 2 != 0", TRUTH_MAYBE, TRUTH_MAYBE, TRUTH_MAYBE},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct filter *f = compile(list[i].text, NULL);
        struct flow_row both = row, fragments;
        both.packets[0] = both.packets[1] = 5;
        column_add(&both.has, FLOW_PACKETS_0);
        column_add(&both.has, FLOW_PACKETS_1);
        fragments = both;
        fragments.later_fragments[0] = 2;
        column_add(&fragments.has, FLOW_LATER_FRAGMENTS_0);
        if (filter_row_whole(f, &row) != list[i].one || filter_row_whole(f, &both) != list[i].both ||
            filter_row_whole(f, &fragments) != list[i].fragments)
            fail_msg("'%s': %d %d %d", list[i].text, filter_row_whole(f, &row), filter_row_whole(f, &both),
                     filter_row_whole(f, &fragments));
        filter_free(f);
    }
}

static void places_are_told_from_other_words(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has;
    } list[] = {{"agent web-1", true}, {"not (tcp or capture x)", true}, {"host 10.0.0.1 and from 10.0.0.2", false}};
    for (size_t i = 0; i < 3; i++) {
        struct filter *f = compile(list[i].text, NULL);
        assert_int_equal(filter_has_places(f), list[i].has);
        filter_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_filters_are_true_where_both_are),
        cmocka_unit_test(joined_filters_have_a_limit_too),
        cmocka_unit_test(a_whole_flow_matches_if_all_of_its_packets_do),
        cmocka_unit_test(places_are_told_from_other_words),
        cmocka_unit_test(addresses),
        cmocka_unit_test(ports),
        cmocka_unit_test(protocols),
        cmocka_unit_test(precedence),
        cmocka_unit_test(packet_words),
        cmocka_unit_test(connection_words),
        cmocka_unit_test(the_whole_expression_per_class_of_packets),
        cmocka_unit_test(parts_leave_open_what_other_rows_know),
        cmocka_unit_test(community_ids),
        cmocka_unit_test(names_stand_for_addresses_at_their_time),
        cmocka_unit_test(each_distinct_name),
        cmocka_unit_test(errors_show_the_place),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_limit_of_nodes_and_names),
        cmocka_unit_test(the_empty_filter),
        cmocka_unit_test(kinds_of_words),
        cmocka_unit_test(places_are_judged_alone),
        cmocka_unit_test(folding_for_indexes),
        cmocka_unit_test(facts),
        cmocka_unit_test(texts_and_names_of_numbers),
        cmocka_unit_test(fields_that_are_there),
        cmocka_unit_test(a_row_about_an_exchange),
        cmocka_unit_test(words_have_help),
        cmocka_unit_test(a_packet_without_its_flow),
        cmocka_unit_test(link_types_that_a_word_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
