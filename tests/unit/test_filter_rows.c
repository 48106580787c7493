/*
 * Filters on rows: facts, texts, fields that are there or not, exchanges; what one row leaves open, and whole flows.
 */
#include "common/rows/field.h"
#include "tests/unit/filter_check.h"
#include "tests/unit/filter_sample.h"

#include <string.h>

/* --- Connections --- */
static void facts(void **state)
{
    (void)state;
    struct flow_row both = row_two_way(), one = sample('a')->row, udp = sample('d')->row;
    row_check("unanswered", &both, TRUTH_NO, TRUTH_MAYBE);
    row_check("unanswered", &one, TRUTH_YES, TRUTH_MAYBE);
    row_check("not unanswered", &one, TRUTH_NO, TRUTH_MAYBE);
    one.originator = 1 - one.originator; /* what the server says alone is no question */
    row_check("unanswered", &one, TRUTH_NO, TRUTH_MAYBE);
    one.originator = 1 - one.originator;
    column_remove(&one.has, FLOW_ORIGINATOR);
    row_check("unanswered or refused", &one, TRUTH_NO, TRUTH_MAYBE);

    row_check("refused", &both, TRUTH_NO, TRUTH_MAYBE);
    both.state = FLOW_STATE_REJ;
    column_add(&both.has, FLOW_STATE);
    row_check("refused", &both, TRUTH_YES, TRUTH_MAYBE);
    column_add(&udp.has, FLOW_ICMP_ERROR_TYPE); /* IPv6: 1, no matter which code */
    column_add(&udp.has, FLOW_ICMP_ERROR_CODE);
    udp.icmp_error_type = 3; /* there: time exceeded */
    row_check("refused", &udp, TRUTH_NO, TRUTH_MAYBE);
    udp.icmp_error_type = 1;
    row_check("refused", &udp, TRUTH_YES, TRUTH_MAYBE);
    udp.packets[1 - udp.originator] = 1; /* it had answered before */
    row_check("refused", &udp, TRUTH_NO, TRUTH_MAYBE);
    struct flow_row ip4 = sample('i')->row;
    column_add(&ip4.has, FLOW_ICMP_ERROR_TYPE);
    column_add(&ip4.has, FLOW_ICMP_ERROR_CODE);
    ip4.icmp_error_type = 3;
    ip4.icmp_error_code = 3;
    row_check("refused", &ip4, TRUTH_YES, TRUTH_MAYBE);
    ip4.icmp_error_code = 4; /* too long is not refused */
    row_check("refused", &ip4, TRUTH_NO, TRUTH_MAYBE);
}

static void texts_and_names_of_numbers(void **state)
{
    (void)state;
    struct flow_row row = row_two_way();
    row.sni = (struct text){"WWW.Example.org", 15};
    row.tls_version = 0x0304;
    column_add(&row.has, FLOW_SNI);
    column_add(&row.has, FLOW_TLS_VERSION);
    row_check("sni www.example.org", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("sni = *.EXAMPLE.org", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("sni *.example", &row, TRUTH_NO, TRUTH_MAYBE);
    row_check("sni != *.example.org", &row, TRUTH_NO, TRUTH_MAYBE);
    row_check("sni != a and port 80", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("alpn != a", &row, TRUTH_NO, TRUTH_MAYBE); /* missing compares false */
    row_check("tls_version = 'tls 1.3'", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("tls_version < 'TLS 1.3'", &row, TRUTH_NO, TRUTH_MAYBE);
    row_check("tls_version 772", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("client 10.0.0.5:*", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("method GET", &row, TRUTH_NO, TRUTH_MAYBE); /* of exchanges */
}

/* Whether there is a value at all. */
static void fields_that_are_there(void **state)
{
    (void)state;
    struct flow_row row = row_two_way();
    struct exchange_row x = {.status = 0};
    row.sni = (struct text){"a", 1};
    row.tls_version = 0;
    column_add(&row.has, FLOW_SNI);
    row_check("sni = *", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("sni *", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("not alpn = *", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("tls_version = *", &row, TRUTH_NO, TRUTH_MAYBE);
    column_add(&row.has, FLOW_TLS_VERSION);
    row_check("tls_version = *", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("handshake = '*' or not (handshake *)", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("not dns_rcode = * and packets = *", &row, TRUTH_YES, TRUTH_MAYBE);
    row.exchange = &x;
    row_check("status = *", &row, TRUTH_NO, TRUTH_MAYBE);
    column_add(&x.has, EXCHANGE_STATUS);
    row_check("status == *", &row, TRUTH_YES, TRUTH_MAYBE);
}

/* Fields that exchanges have are the exchange's, all others the flow's. */
static void a_row_about_an_exchange(void **state)
{
    (void)state;
    struct flow_row row = row_two_way();
    struct exchange_row x = {.status = 404, .method = {"GET", 3}, .outcome = EXCHANGE_UNANSWERED};
    row.status = 500;
    column_add(&row.has, FLOW_STATUS);
    column_add(&x.has, EXCHANGE_METHOD);
    column_add(&x.has, EXCHANGE_OUTCOME);
    row_check("status 500", &row, TRUTH_YES, TRUTH_MAYBE);
    row.exchange = &x;
    row_check("status 500", &row, TRUTH_NO, TRUTH_MAYBE); /* not known of this one */
    column_add(&x.has, EXCHANGE_STATUS);
    row_check("status 404 and method get and port 80 and unanswered", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("outcome unanswered and outcome != cut", &row, TRUTH_YES, TRUTH_MAYBE);
    x.outcome = EXCHANGE_CUT;
    row_check("unanswered", &row, TRUTH_NO, TRUTH_MAYBE);
    row_check("outcome > unanswered", &row, TRUTH_YES, TRUTH_MAYBE);
}

static void parts_leave_open_what_other_rows_know(void **state)
{
    (void)state;
    struct flow_row row = row_two_way();
    row.state = FLOW_STATE_SF;
    column_add(&row.has, FLOW_STATE);
    row.agent = (struct text){"web-12", 6};
    row.capture = (struct text){"monday", 6};
    column_add(&row.has, FLOW_AGENT);
    row_check("bytes > 1M", &row, TRUTH_NO, TRUTH_MAYBE);
    row_check("bytes > 1M and port 81", &row, TRUTH_NO, TRUTH_NO);
    row_check("state SF", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("state S0,sf", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("state S0 or S1", &row, TRUTH_NO, TRUTH_MAYBE);
    row_check("agent web-*", &row, TRUTH_YES, TRUTH_YES);
    row_check("agent 'w?b-1*2'", &row, TRUTH_YES, TRUTH_YES);
    row_check("agent web", &row, TRUTH_NO, TRUTH_NO);
    row_check("agent db or web-12", &row, TRUTH_YES, TRUTH_YES);
    row_check("capture monday", &row, TRUTH_NO, TRUTH_MAYBE); /* not known */
    column_add(&row.has, FLOW_CAPTURE);
    row_check("capture mon*", &row, TRUTH_YES, TRUTH_YES);
    row_check("resp_port = 80", &row, TRUTH_YES, TRUTH_MAYBE);
    row_check("tcp[13] = 2", &row, TRUTH_MAYBE, TRUTH_MAYBE);
    row_check("tcp[13] = 2 and udp", &row, TRUTH_NO, TRUTH_NO);
    row_check("tcp or tcp[13] = 2", &row, TRUTH_YES, TRUTH_YES);
    row_check("tcp[13] = 2 or tcp", &row, TRUTH_MAYBE, TRUTH_MAYBE); /* libpcap may reject the packet for the first */
    column_remove(&row.has, FLOW_ORIGINATOR);
    row_check("from 10.0.0.5", &row, TRUTH_NO, TRUTH_MAYBE);
    row_check("from 10.0.0.7", &row, TRUTH_NO, TRUTH_NO);
    row_check("not from 10.0.0.7", &row, TRUTH_YES, TRUTH_YES);

    struct flow_row empty = row_two_way(); /* a last row without packets */
    memset(empty.packets, 0, sizeof empty.packets);
    row_check("", &empty, TRUTH_YES, TRUTH_MAYBE);
    row_check("src 10.0.0.5", &empty, TRUTH_YES, TRUTH_MAYBE);
    row_check("port 81", &empty, TRUTH_NO, TRUTH_NO);
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
        struct filter *f = filter_of_text(list[i].text, &web_names);
        assert_int_equal(filter_may_match_at(f, "web-1", "monday"), list[i].web_monday);
        assert_int_equal(filter_may_match_at(f, "db-1", "monday"), list[i].db_monday);
        assert_int_equal(filter_may_match_at(f, "web-1", "friday"), list[i].web_friday);
        filter_free(f);
    }
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
            struct filter *one = filter_of_text(joined[a], NULL), *other = filter_of_text(joined[b], NULL),
                          *both = NULL;
            struct error e = ERROR_INIT;
            assert_int_equal(filter_join(filter_of_text(joined[a], NULL), filter_of_text(joined[b], NULL), &both, &e),
                             0);
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
    struct filter *f = filter_of_text("port 80", NULL), *both = NULL;
    struct error e = ERROR_INIT;
    int r = 0;
    for (int i = 0; r == 0 && i < (int)FILTER_NODES_MAX; i++) {
        r = filter_join(f, filter_of_text("tcp", NULL), &both, &e);
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
        struct filter *f = filter_of_text(list[i].text, NULL);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_filters_are_true_where_both_are),
        cmocka_unit_test(joined_filters_have_a_limit_too),
        cmocka_unit_test(a_whole_flow_matches_if_all_of_its_packets_do),
        cmocka_unit_test(parts_leave_open_what_other_rows_know),
        cmocka_unit_test(places_are_judged_alone),
        cmocka_unit_test(facts),
        cmocka_unit_test(texts_and_names_of_numbers),
        cmocka_unit_test(fields_that_are_there),
        cmocka_unit_test(a_row_about_an_exchange),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
