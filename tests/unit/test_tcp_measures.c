/*
 * tcp_measures: what is counted and timed, by hand; that it is tshark's counts shows tests/system/measures_corpus.py. Segments are written as in
 * tcp_script.h; endpoint 0 (>) is the originator.
 */
#include "agent/capture/tcp_measures.h"
#include "common/base/clock.h"
#include "tests/unit/support.h"
#include "tests/unit/tcp_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)

struct run {
    struct tcp_measures m;
    struct tcp_script script;
};

static void play(struct run *r, const char *script)
{
    char text[2048], *save = NULL;
    if (!r->script.number)
        tcp_measures_begin(&r->m);
    snprintf(text, sizeof text, "%s", script);
    for (char *line = strtok_r(text, ";", &save); line; line = strtok_r(NULL, ";", &save)) {
        struct tcp_segment s;
        unsigned from = tcp_script_segment(&r->script, line, &s);
        tcp_measures_segment(&r->m, 0, from, &s);
    }
}

#define OPEN "> S 0 m1460 s7 k @0; < SA 0 1 m1400 @10; > A 1 1 @25;"

static void test_handshake(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN);
    assert_true(r.m.has_handshake && r.m.has_syn_answer);
    assert_int_equal(r.m.syn_answer_ns, MS(10));
    assert_int_equal(r.m.handshake_ns, MS(25));
    assert_true(r.m.syn[0].seen && r.m.syn[0].sack && r.m.syn[1].seen && !r.m.syn[1].sack);
    assert_int_equal(r.m.syn[0].mss, 1460);
    assert_int_equal(r.m.syn[0].scale, 7);
    assert_int_equal(r.m.syn[1].mss, 1400);
    assert_int_equal(r.m.syn[1].scale, -1);
    assert_int_equal(r.m.syn[0].seq, tcp_script_starts[0]);
}

static void test_handshake_of_the_latest_syn(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, "> S 0 m1460 @0; > S 0 @1000; < SA 0 1 @1010; > A 1 1 @1030; > A 1 1 @5000");
    assert_int_equal(r.m.syn_answer_ns, MS(10));
    assert_int_equal(r.m.handshake_ns, MS(30));
    assert_int_equal(r.m.syn[0].mss, 1460); /* the first one's: rows may have told it already */
    assert_int_equal(r.m.sent[0].retrans, 1);
}

static void test_no_handshake_where_it_was_refused(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, "> S 0; < RA 0 1");
    assert_false(r.m.has_handshake || r.m.has_syn_answer);
}

static void test_nothing_without_a_syn(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, "> PA 1 1 +10; < A 1 11");
    assert_false(r.m.has_handshake || r.m.has_syn_answer || r.m.syn[0].seen || r.m.syn[1].seen);
}

static void test_round_trips(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN "> PA 1 1 +100 @100; > PA 101 1 +50 @110; < A 1 151 @140; < PA 1 151 +20 @150; > A 151 21 @155");
    const struct tcp_sent *a = &r.m.sent[0], *b = &r.m.sent[1];
    assert_int_equal(a->rtt_count, 2); /* the SYN, and the first of two segments at once */
    assert_int_equal(a->rtt_min_ns, MS(10));
    assert_int_equal(a->rtt_max_ns, MS(40));
    assert_int_equal(a->rtt_sum_ns, MS(50));
    assert_int_equal(b->rtt_count, 2); /* SYN+ACK, data */
    assert_int_equal(b->rtt_min_ns, MS(5));
    assert_int_equal(b->rtt_max_ns, MS(15));
}

/* Karn: an ack after a retransmission may be the answer to either. */
static void test_no_round_trip_of_what_came_again(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN);
    uint32_t before = r.m.sent[0].rtt_count;
    play(&r, "> PA 1 1 +100 @100; > PA 1 1 +100 @400; < A 1 101 @420");
    assert_int_equal(r.m.sent[0].rtt_count, before);
    play(&r, "> PA 101 1 +100 @500; < A 1 201 @530"); /* the next one is timed again */
    assert_int_equal(r.m.sent[0].rtt_count, before + 1);
    assert_int_equal(r.m.sent[0].rtt_max_ns, MS(30));
}

static void test_what_came_again(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN "> PA 1 1 +100 @100; > PA 101 1 +100 @101; > PA 1 1 +100 @400; < A 1 201 @410; > PA 101 1 +100 @500");
    const struct tcp_sent *a = &r.m.sent[0];
    assert_int_equal(a->retrans, 2);
    assert_int_equal(a->retrans_bytes, 200);
    assert_int_equal(a->spurious, 1);
    assert_int_equal(a->fast, 0);
    assert_int_equal(a->lost_max, 100);
    assert_int_equal(r.m.sent[1].retrans, 0);
}

static void test_duplicate_acks_and_fast(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN "> PA 1 1 +10 @30; < A 1 11 @40; > PA 11 1 +10 @50; > PA 21 1 +10 @51; < A 1 11 @60; < A 1 11 @61; > "
                  "PA 11 1 +10 @62");
    assert_int_equal(r.m.sent[1].duplicate_acks, 2);
    assert_int_equal(r.m.sent[0].retrans, 1);
    assert_int_equal(r.m.sent[0].fast, 1);
}

static void test_windows(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, "> S 0; < SA 0 1 w50; > A 1 1; > PA 1 1 +50; < A 1 51 w0; > A 50 1; > PA 51 1 +1");
    assert_int_equal(r.m.sent[0].full_windows, 1);
    assert_int_equal(r.m.sent[1].zero_windows, 1);
    assert_int_equal(r.m.sent[0].keep_alives, 1);
}

static void test_largest_acked_and_lost(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN "> PA 1 1 +500 @50; < A 1 501 @60; > A 501 1 +1400 @70; > A 501 1 +1400 @400; > A 501 1 +1400 @900");
    assert_int_equal(r.m.sent[0].acked_max, 500); /* what a path swallows large packets looks like */
    assert_int_equal(r.m.sent[0].lost_max, 1400);
    play(&r, "< A 1 1901 @950");
    assert_int_equal(r.m.sent[0].acked_max, 1400); /* all is acked, so this one is, too */
}

static void test_waits(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN "> PA 1 1 +10 @100; > PA 11 1 +10 @105; < A 1 21 @106; < PA 1 21 +50 @125; < PA 51 21 +50 @126;"
                  "> PA 21 101 +5 @200; < PA 101 26 +7 @207");
    assert_int_equal(r.m.replies, 2);
    assert_int_equal(r.m.wait_sum_ns, MS(27));
    assert_int_equal(r.m.wait_max_ns, MS(20));
}

/* A server that speaks first waits for nobody, and what comes again is no turn. */
static void test_no_waits(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN "< PA 1 1 +20 @100; > PA 1 21 +10 @200; > PA 1 21 +10 @700; < PA 21 11 +9 @710");
    assert_int_equal(r.m.replies, 1);
    assert_int_equal(r.m.wait_sum_ns, MS(510)); /* since it was sent the first time */
}

static void test_next_row(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN "> PA 1 1 +10 @100; > PA 1 1 +10 @400");
    tcp_measures_next(&r.m);
    assert_int_equal(r.m.sent[0].retrans + r.m.sent[0].rtt_count, 0);
    play(&r, "< PA 1 11 +9 @410"); /* what goes on over the border is known */
    assert_int_equal(r.m.replies, 1);
    assert_int_equal(r.m.wait_max_ns, MS(310));
    assert_true(r.m.has_handshake && r.m.syn[0].seen);
}

/* A fragment, or a header that is cut, says nothing of data. */
static void test_not_whole(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN);
    struct tcp_segment s = {
        .time_ns = MS(2000000), .seq = tcp_script_starts[0] + 1, .flags = TCP_ACK | TCP_PSH, .length = 99};
    const struct tcp_sent before = r.m.sent[0];
    tcp_measures_segment(&r.m, 0, 0, &s);
    assert_memory_equal(&before, &r.m.sent[0], sizeof before);
    assert_false(r.m.asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_handshake_of_the_latest_syn),
        cmocka_unit_test(test_no_handshake_where_it_was_refused),
        cmocka_unit_test(test_nothing_without_a_syn),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_no_round_trip_of_what_came_again),
        cmocka_unit_test(test_what_came_again),
        cmocka_unit_test(test_duplicate_acks_and_fast),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_largest_acked_and_lost),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_no_waits),
        cmocka_unit_test(test_next_row),
        cmocka_unit_test(test_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
