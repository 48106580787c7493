/*
 * What filters mean, word by word: of packets, and of the whole connections that have them.
 */
#include "common/packet/community_id.h"
#include "common/rows/field.h"
#include "tests/unit/filter_check.h"
#include "tests/unit/filter_sample.h"

#include <stdio.h>
#include <string.h>

/* --- Helpers --- */
static const char *matches(const char *text, const struct filter_names *names)
{
    static char letters[SAMPLES + 1];
    size_t n = 0;
    struct filter *f = filter_of_text(text, names);
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
static void the_whole_expression_per_class_of_packets(void **state)
{
    (void)state;
    struct flow_row both = row_two_way(), one = sample('a')->row;
    row_check("src 10.0.0.5 and dst port 80", &both, TRUTH_YES, TRUTH_YES);
    row_check("src 10.0.0.1 and dst port 80", &both, TRUTH_NO, TRUTH_NO);
    row_check("src 10.0.0.5 and src port 80", &both, TRUTH_NO, TRUTH_NO);
    row_check("not src 10.0.0.5", &both, TRUTH_YES, TRUTH_YES); /* the answer's packets */
    row_check("not src 10.0.0.5", &one, TRUTH_NO, TRUTH_MAYBE); /* another row may have some */
    row_check("not host 10.0.0.5", &both, TRUTH_NO, TRUTH_NO);
    row_check("src port 80 and not from port 80", &both, TRUTH_YES, TRUTH_MAYBE);

    struct flow_row fragments = sample('i')->row; /* first fragments and later ones */
    row_check("not port 53", &fragments, TRUTH_NO, TRUTH_MAYBE);
    for (unsigned d = 0; d < 2; d++) {
        fragments.later_fragments[d] = fragments.packets[d] ? 3 : 0;
        fragments.packets[d] *= 4;
    }
    row_check("port 53", &fragments, TRUTH_YES, TRUTH_YES);
    row_check("not port 53", &fragments, TRUTH_YES, TRUTH_YES);
    row_check("udp and not port 53", &fragments, TRUTH_YES, TRUTH_YES);
    row_check("tcp and not port 53", &fragments, TRUTH_NO, TRUTH_NO);
    row_check("from 10.0.0.5 and to port 53", &fragments, TRUTH_YES, TRUTH_MAYBE);
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
static void names_stand_for_addresses_at_their_time(void **state)
{
    (void)state;
    assert_string_equal(matches("host web", &web_names), "dflnr");
    assert_string_equal(matches("host @web", &web_names), "abcdefghijklmnoqr");
    assert_string_equal(matches("@web", &web_names), "abcdefghijklmnoqr");
    assert_string_equal(matches("ip host web", &web_names), "ln");
    assert_string_equal(matches("ip6 src web", &web_names), "dfr");
    assert_string_equal(matches("host \\tcp", &web_names), "dfr");
    assert_string_equal(matches("host none", &web_names), "");
    assert_string_equal(matches("host 'my host'", &web_names), "abceghijkmoq");
    assert_string_equal(matches("host later", &web_names), "");
    assert_string_equal(matches("from @web and not web", &web_names), "aceghijkmoq");
    assert_string_equal(matches("to web or later", &web_names), "");

    struct filter *f = filter_of_text("host later", &web_names);
    struct flow_row row = sample('a')->row;
    assert_int_equal(filter_row_part(f, &row), TRUTH_MAYBE); /* the flow may go on */
    row.last_ns = 2001;
    assert_int_equal(filter_row_sum(f, &row), TRUTH_YES);
    bool match;
    assert_int_equal(filter_packet(f, &sample('a')->packet, NULL, &match, NULL), 0);
    assert_true(match); /* no flow, no time */
    filter_free(f);
}

static void each_distinct_name(void **state)
{
    (void)state;
    char all[100] = "";
    struct error e = ERROR_INIT;
    assert_int_equal(filter_each_name("host a or b and (from @a or to a) and not src 'c d' and port 80 and agent x",
                                      name_collect, all, &e),
                     0);
    assert_string_equal(all, "a;b;@a;c d;");
    all[0] = 0;
    assert_int_equal(filter_each_name("host a or prt 80", name_collect, all, &e), ERROR_USAGE);
    assert_string_equal(e.text, "'prt' was read as a name; did you mean 'port'?\nhost a or prt 80\n          ^");
    assert_string_equal(all, "");
}

/* --- Tables --- */
static void a_packet_without_its_flow(void **state)
{
    (void)state;
    static const char *const texts[] = {"from 10.0.0.5", "id 7f3a", "bytes > 0", "agent *", "state S0"};
    bool match;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct filter *f = filter_of_text(texts[i], NULL);
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
    struct filter *f = filter_of_text("host 10.0.0.1 and ether host 2:0:0:0:0:1", NULL);
    assert_int_equal(filter_packet(f, &p, NULL, &match, &e), ERROR_UNSUPPORTED);
    assert_false(match);
    assert_non_null(strstr(e.text, "link type 101: libpcap on 'ether host 2:0:0:0:0:1': "));
    filter_free(f);
    f = filter_of_text("host 10.0.0.3 and ether host 2:0:0:0:0:1", NULL); /* not asked */
    assert_int_equal(filter_packet(f, &p, NULL, &match, &e), 0);
    assert_false(match);
    filter_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(ports),
        cmocka_unit_test(protocols),
        cmocka_unit_test(precedence),
        cmocka_unit_test(packet_words),
        cmocka_unit_test(connection_words),
        cmocka_unit_test(the_whole_expression_per_class_of_packets),
        cmocka_unit_test(community_ids),
        cmocka_unit_test(names_stand_for_addresses_at_their_time),
        cmocka_unit_test(each_distinct_name),
        cmocka_unit_test(a_packet_without_its_flow),
        cmocka_unit_test(link_types_that_a_word_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
