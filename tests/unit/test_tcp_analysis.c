/*
 * tcp_analysis: each finding by hand, one script a rule, and what is near it but is none. That all of them are
 * Wireshark's is shown by tests/system/show_corpus.py.
 *
 * Segments are written as in tcp_script.h, with "= finding ..." behind them for the findings expected.
 */
#include "collector/ladder/tcp_analysis.h"
#include "common/base/clock.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"
#include "tests/unit/tcp_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define starts tcp_script_starts

struct run {
    struct tcp_analysis *analysis;
    struct tcp_reading last;
    struct tcp_script script;
    bool failed;
};

static void write_findings(uint16_t findings, char *text, size_t len)
{
    text[0] = 0;
    for (const struct tcp_finding_name *n = tcp_finding_names; n->name; n++)
        if (findings & n->finding)
            snprintf(text + strlen(text), len - strlen(text), "%s%s", text[0] ? " " : "", n->name);
}

static void play_line(struct run *r, const char *line)
{
    char text[256], found[256];
    struct tcp_segment s;
    snprintf(text, sizeof text, "%s", line);
    char *expected = strchr(text, '=');
    if (expected)
        *expected = 0;
    unsigned from = tcp_script_segment(&r->script, text, &s);
    assert_int_equal(tcp_analysis_next(r->analysis, from, &s, &r->last, NULL), 0);
    write_findings(r->last.findings, found, sizeof found);
    const char *want = expected ? expected + 1 + strspn(expected + 1, " ") : "";
    if (strcmp(found, want) != 0)
        r->failed = (print_error("\"%s\": found \"%s\"\n", line, found), true);
}

static void play(struct run *r, const char *script)
{
    char text[2048], *save = NULL;
    if (!r->analysis)
        assert_int_equal(tcp_analysis_new(&r->analysis, NULL), 0);
    snprintf(text, sizeof text, "%s", script);
    for (char *line = strtok_r(text, ";", &save); line; line = strtok_r(NULL, ";", &save))
        play_line(r, line);
}

static void end(struct run *r)
{
    assert_false(r->failed);
    tcp_analysis_free(r->analysis);
    *r = (struct run){0};
}

#define OPEN "> S 0 @0; < SA 0 1 @10; > A 1 1 @20;"
#define SENT OPEN "> PA 1 1 +10 @30; < A 1 11 @40;"

static const struct {
    const char *what, *script;
} rules[] = {
    {"a connection without anything", SENT "> FA 11 1; < FA 1 12; > A 12 2"},
    {"a SYN again", "> S 0; > S 0 = retransmission; < SA 0 1; < SA 0 1 = retransmission; > A 1 1"},
    {"ports reused", SENT "> S 5000 = reused_ports; < SA 90 5001; > A 5001 91"},
    {"a SYN+ACK with another number", "> S 0; < SA 0 1; < SA 77 1 = reused_ports lost_segment"},

    {"data again: long after",
     SENT "> PA 1 1 +10 @900 = retransmission spurious_retransmission; < A 1 11 = duplicate_ack"},
    {"data again before it is acked", OPEN "> A 1 1 +10; > A 1 1 +10 @500 = retransmission"},
    {"more data from the same place on", OPEN "> A 1 1 +10; > A 1 1 +30 @500 = retransmission"},
    {"a FIN again", OPEN "> FA 1 1; > FA 1 1 = retransmission"},
    {"an ack is no retransmission", SENT "> A 5 1 @900"},

    {"out of order: within the handshake's time",
     OPEN "> A 1 1 +10 @30; > A 21 1 +10 @31 = lost_segment; > A 11 1 +10 @50 = out_of_order"},
    {"not out of order: later than that",
     OPEN "> A 1 1 +10 @30; > A 21 1 +10 @31 = lost_segment; > A 11 1 +10 @51 = retransmission"},
    {"not out of order: it ends where the latest did",
     OPEN "> A 1 1 +10 @30; > A 21 1 +10 @31 = lost_segment; > A 11 1 +20 @32 = retransmission"},
    {"out of order: 3 ms where no handshake was seen",
     "> A 1 1 +10 @0; > A 21 1 +10 @1 = lost_segment; > A 11 1 +5 @3 = out_of_order; > A 11 1 +5 @4 = retransmission"},

    {"fast: two duplicate acks, less than 20 ms before", OPEN
     "> A 1 1 +10 @30; < A 1 11; > A 21 1 +10 = lost_segment; < A 1 11 = duplicate_ack; < A 1 11 @50 = duplicate_ack;"
     "> A 11 1 +10 @69 = retransmission fast_retransmission"},
    {"not fast: 20 ms before", OPEN
     "> A 1 1 +10 @30; < A 1 11; > A 21 1 +10 = lost_segment; < A 1 11 = duplicate_ack; < A 1 11 @50 = duplicate_ack;"
     "> A 11 1 +10 @70 = retransmission"},
    {"not fast: one duplicate ack",
     OPEN "> A 1 1 +10 @30; < A 1 11; > A 21 1 +10 = lost_segment; < A 1 11 @50 = duplicate_ack;"
          "> A 11 1 +10 @69 = retransmission"},
    {"not fast: another place", OPEN
     "> A 1 1 +10 @30; < A 1 11; > A 21 1 +10 = lost_segment; < A 1 11 = duplicate_ack; < A 1 11 @50 = duplicate_ack;"
     "> A 12 1 +9 @69 = retransmission"},

    {"lost: a gap, said once", OPEN "> A 11 1 +10 = lost_segment; > A 21 1 +10"},
    {"lost: not for RST", OPEN "> R 11 1"},
    {"lost: not if nothing was seen before", "> A 500 1 +10"},
    {"acked but not seen: said once",
     OPEN "< A 1 11 = ack_lost_segment; < A 1 11 = duplicate_ack; > A 11 1 +5 = lost_segment"},
    {"acked but not seen: twice if data came in between",
     OPEN "< A 1 11 = ack_lost_segment; > A 31 1 +10 = lost_segment; < A 1 51 = ack_lost_segment"},
    {"acked but not seen: what was seen behind the gap is not",
     OPEN "> A 11 1 +10 = lost_segment; < A 1 21 = ack_lost_segment; > A 21 1 +10; < A 1 31"},

    {"duplicate acks", SENT "< A 1 11 = duplicate_ack; < A 1 11 = duplicate_ack; < A 1 11 w900 = window_update"},
    {"no duplicate ack: it has data", SENT "< A 1 11 +1"},
    {"a duplicate ack behind data", SENT "< A 1 11 +1; < A 2 11 = duplicate_ack"},
    {"no duplicate ack: FIN", SENT "< FA 1 11"},
    {"window update: not of the ack", OPEN "> A 1 1 +10; < A 1 11 w2000"},

    {"window full", OPEN "> A 1 1 +999; > A 1000 1 +1 = window_full; < A 1 1001"},
    {"window full: not if it is not known whether windows are scaled", "< A 1 1; > A 1 1 +1000"},
    {"window full: the scale counts from the first ack on",
     "> S 0 s2; < SA 0 1 s3 w1000; > A 1 1 +1000 = window_full; < A 1 1001 w1000; > A 1001 1 +7999; > A 9000 1 +1 = "
     "window_full"},
    {"window full: no scale if one end has none", "> S 0; < SA 0 1 s3; > A 1 1; > A 1 1 +1000 = window_full"},

    {"zero window, probes and their answers",
     SENT "< A 1 11 w0 = zero_window; > A 11 1 +1 = zero_window_probe; < A 1 11 w0 = zero_window zero_window_probe_ack;"
          "< A 1 11 w500 = window_update; > A 11 1 +10"},
    {"a probe that is answered by an ack goes on behind itself",
     SENT "< A 1 11 w0 = zero_window; > A 11 1 +1 = zero_window_probe; > A 11 1 +10"},
    {"zero window: not of RST", SENT "< R 1 11 w0"},

    {"keep-alive and its answer",
     SENT "> A 10 1 = keep_alive; < A 1 11 = keep_alive_ack; > A 11 1 +5; < A 1 16; < A 1 16 = duplicate_ack"},
    {"keep-alive with a byte", SENT "> A 10 1 +1 = keep_alive; < A 1 11 = keep_alive_ack"},
    {"no keep-alive: two bytes", SENT "> A 10 1 +2"},
    {"no keep-alive: FIN", OPEN "> A 1 1 +10 @30; > FA 10 1 @500 = retransmission"},
};

static void test_rules(void **state)
{
    struct run r = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        print_message("          %s\n", rules[i].what);
        play(&r, rules[i].script);
        tcp_analysis_free(r.analysis);
        r = (struct run){.failed = r.failed};
    }
    end(&r);
}

/* The other end's window is full or not by the scale that both SYNs agreed on. */
static void test_numbers(void **state)
{
    struct run r = {0};
    (void)state;
    play(&r, "> S 0 s7");
    assert_int_equal(r.last.seq, 0);
    assert_int_equal(r.last.next, 1);
    assert_int_equal(r.last.window, 1000);
    play(&r, "< SA 0 1 s2");
    assert_int_equal(r.last.ack, 1);
    play(&r, "> PA 1 1 +50");
    assert_int_equal(r.last.seq, 1);
    assert_int_equal(r.last.ack, 1);
    assert_int_equal(r.last.next, 51);
    assert_int_equal(r.last.window, 128000);
    assert_true(r.last.scaled);
    play(&r, "< FA 1 51");
    assert_int_equal(r.last.ack, 51);
    assert_int_equal(r.last.next, 2);
    assert_int_equal(r.last.window, 4000);
    end(&r);
}

static void test_numbers_without_syn(void **state)
{
    struct run r = {0};
    (void)state;
    play(&r, "> PA 500 90 +10");
    assert_int_equal(r.last.seq, 1);
    assert_int_equal(r.last.ack, 1);
    assert_int_equal(r.last.next, 11);
    assert_false(r.last.scaled);
    play(&r, "< A 90 510");
    assert_int_equal(r.last.seq, 1);
    assert_int_equal(r.last.ack, 11);
    end(&r);
}

/* A fragment has a place, but no length: nothing follows from it. */
static void test_fragment(void **state)
{
    struct run r = {0};
    struct tcp_segment s = {.number = 9, .seq = starts[0] + 100, .ack = starts[1] + 1, .flags = TCP_ACK, .scale = -1};
    (void)state;
    play(&r, OPEN);
    assert_int_equal(tcp_analysis_next(r.analysis, 0, &s, &r.last, NULL), 0);
    assert_int_equal(r.last.seq, 100);
    assert_int_equal(r.last.ack, 1);
    assert_int_equal(r.last.next, 0);
    assert_int_equal(r.last.findings, 0);
    play(&r, "> A 1 1 +10; < A 1 11");
    end(&r);
}

static void test_duplicates_are_counted(void **state)
{
    struct run r = {0};
    (void)state;
    play(&r, SENT "< A 1 11 = duplicate_ack");
    assert_int_equal(r.last.duplicate, 1);
    assert_int_equal(r.last.duplicate_of, 5);
    play(&r, "< A 1 11 = duplicate_ack");
    assert_int_equal(r.last.duplicate, 2);
    assert_int_equal(r.last.duplicate_of, 5);
    play(&r, "> A 11 1 +10; < A 1 21; < A 1 21 = duplicate_ack");
    assert_int_equal(r.last.duplicate, 1);
    assert_int_equal(r.last.duplicate_of, 9);
    end(&r);
}

/* An ack answers the oldest segment that ends there; none if it ends nowhere. */
static void test_acks(void **state)
{
    struct run r = {0};
    (void)state;
    play(&r, OPEN);
    assert_int_equal(r.last.acks, 2);
    assert_int_equal(r.last.acks_after_ns, 10 * NS_PER_MS);
    assert_int_equal(tcp_analysis_handshake_ns(r.analysis), 20 * NS_PER_MS);
    play(&r, "> A 1 1 +10 @30; > A 11 1 +10 @40; > A 1 1 +20 @90 = retransmission; < A 1 21 @100");
    assert_int_equal(r.last.acks, 5);
    assert_int_equal(r.last.acks_after_ns, 60 * NS_PER_MS);
    play(&r, "> A 21 1 +10; < A 1 26");
    assert_int_equal(r.last.acks, 0);
    end(&r);
}

static void test_in_flight(void **state)
{
    struct run r = {0};
    (void)state;
    play(&r, OPEN "> A 1 1 +10; > PA 11 1 +10");
    assert_int_equal(r.last.in_flight, 20);
    assert_int_equal(r.last.pushed, 20);
    play(&r, "< A 1 11; > FA 21 1 +5");
    assert_int_equal(r.last.in_flight, 15);
    assert_int_equal(r.last.pushed, 5);
    play(&r, "> A 50 1 +5 = lost_segment");
    assert_int_equal(r.last.in_flight, 0);
    end(&r);
}

static void test_rto(void **state)
{
    struct run r = {0};
    (void)state;
    play(&r, OPEN "> A 1 1 +10 @30; > A 11 1 +10 @40; > A 1 1 +10 @330 = retransmission");
    assert_int_equal(r.last.rto_of, 4);
    assert_int_equal(r.last.rto_ns, 300 * NS_PER_MS);
    end(&r);
}

/* An MPTCP option of a new kind since the latest segment: the same ack is told apart by what it says. */
static void test_mptcp(void **state)
{
    struct run r = {0};
    struct tcp_segment s = {.number = 99, .whole = true, .seq = starts[1] + 1, .ack = starts[0] + 11, .scale = -1};
    (void)state;
    s.flags = TCP_ACK;
    s.window = 1000;
    play(&r, SENT);
    s.mptcp = 1u << 2;
    s.time_ns = 1000050 * NS_PER_MS;
    assert_int_equal(tcp_analysis_next(r.analysis, 1, &s, &r.last, NULL), 0);
    assert_int_equal(r.last.findings, TCP_DUPLICATE_ACK);
    assert_int_equal(tcp_analysis_next(r.analysis, 1, &s, &r.last, NULL), 0);
    assert_int_equal(r.last.findings, 0); /* the kind became known with the segment before */
    assert_int_equal(tcp_analysis_next(r.analysis, 1, &s, &r.last, NULL), 0);
    assert_int_equal(r.last.findings, TCP_DUPLICATE_ACK);
    end(&r);
}

/* More segments without ack than are remembered: the rest is counted by its numbers alone. */
static void test_many_without_ack(void **state)
{
    struct run r = {0};
    struct tcp_segment s = {
        .whole = true, .ack = starts[1] + 1, .flags = TCP_ACK, .window = 1000, .length = 1, .scale = -1};
    (void)state;
    play(&r, OPEN);
    for (uint32_t i = 0; i < TCP_UNACKED_MAX + 10; i++) {
        s.number = 4 + i;
        s.seq = starts[0] + 1 + i;
        assert_int_equal(tcp_analysis_next(r.analysis, 0, &s, &r.last, NULL), 0);
        assert_int_equal(r.last.findings & TCP_LOST_SEGMENT, 0);
    }
    assert_int_equal(r.last.in_flight, TCP_UNACKED_MAX);
    end(&r);
}

/* Options as they stand in a header; `hex` is filled up to 40 bytes with zeros, which end the list. */
static struct tcp_segment segment_with(const char *hex)
{
    struct build b = build_new();
    struct packet p;
    struct tcp_segment s;
    uint8_t *at = build_zero(&b, 40);
    for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        *at++ = (uint8_t)byte;
    uint8_t *tcp = build_tcp(&b, 4000, 80, TCP_SYN);
    tcp[12] = 0xf1; /* 60 bytes, AE */
    build_ip4(&b, PROTO_TCP, "10.0.0.1", "10.0.0.2");
    build_ethernet(&b, ETHERTYPE_IP4);
    packet_decode(1, build_data(&b), build_length(&b), build_length(&b), &p);
    assert_true(p.has_tcp);
    tcp_segment_read(&p, 5, 7, &s);
    assert_true(s.whole);
    assert_int_equal(s.length, 0);
    assert_int_equal(s.flags, TCP_SYN | 0x100);
    return s;
}

static void test_options(void **state)
{
    struct tcp_segment s = segment_with("020405b4"
                                        "01"
                                        "030307"
                                        "080a0000000500000006"
                                        "0402");
    (void)state;
    assert_int_equal(s.mss, 1460);
    assert_int_equal(s.scale, 7);
    assert_true(s.has_stamp);
    assert_int_equal(s.stamp, 5);
    assert_int_equal(s.echo, 6);
    assert_int_equal(segment_with("03030f").scale, 14); /* RFC 7323, 2.3 */
    assert_int_equal(segment_with("03020f").scale, -1); /* of another length */
    assert_int_equal(segment_with("00"
                                  "030307")
                         .scale,
                     -1); /* behind the end */
    assert_int_equal(segment_with("0100"
                                  "030307")
                         .scale,
                     -1);
    assert_int_equal(segment_with("fe01"
                                  "030307")
                         .scale,
                     -1); /* an impossible length ends it */
    assert_int_equal(segment_with("feff"
                                  "030307")
                         .scale,
                     -1);
    assert_int_equal(segment_with("fe04ffff"
                                  "030307")
                         .scale,
                     7); /* not known */
    s = segment_with("0522"
                     "0000000a00000014"
                     "0000001e00000028"
                     "0000003200000033"
                     "0000003400000040");
    assert_int_equal(s.sacks, TCP_SACKS_MAX);
    assert_int_equal(s.sack_bytes, 10 + 10 + 1);
    assert_int_equal(s.sack_left, 10);
    assert_int_equal(s.sack_right, 20);
    assert_int_equal(segment_with("1e0c0081"
                                  "0102030405060708")
                         .mptcp,
                     1);
    assert_int_equal(segment_with("1e040081").mptcp, 0); /* without a key */
    assert_int_equal(segment_with("1e082001"
                                  "01020304")
                         .mptcp,
                     1 << 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_without_syn),
        cmocka_unit_test(test_fragment),
        cmocka_unit_test(test_duplicates_are_counted),
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_rto),
        cmocka_unit_test(test_mptcp),
        cmocka_unit_test(test_many_without_ack),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
