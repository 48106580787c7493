/*
 * tcp_state: connections made by hand, with what Zeek's documentation calls their state and history.
 *
 * A segment is written as "> S 0" or "< SA 0 1 +10 w0": who sends (> the originator), flags (S A F R P, or - for none), the sequence number relative
 * to the sender's start, the acknowledged one relative to the other's, +bytes of data, w0 for a zero window.
 */
#include "agent/capture/tcp_state.h"
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORIGINATOR 1u /* endpoint */

static const uint32_t starts[2] = {0xfffffff0u, 7000}; /* one wraps soon */

struct run {
    struct tcp_state state;
    struct tcp_history history;
};

static uint8_t flags_of(const char *text)
{
    uint8_t flags = 0;
    for (; *text; text++)
        flags |= (uint8_t)(*text == 'S'   ? TCP_SYN
                           : *text == 'A' ? TCP_ACK
                           : *text == 'F' ? TCP_FIN
                           : *text == 'R' ? TCP_RST
                           : *text == 'P' ? TCP_PSH
                                          : 0);
    return flags;
}

static struct tcp_segment segment_of(const char *text, unsigned *sender)
{
    struct tcp_segment g = {.window = 1000};
    char flags[8], more[3][16] = {"", "", ""}, who;
    int seq = 0;
    int n = sscanf(text, " %c %7s %d %15s %15s %15s", &who, flags, &seq, more[0], more[1], more[2]);
    assert_true(n >= 3);
    *sender = who == '>' ? ORIGINATOR : !ORIGINATOR;
    g.flags = flags_of(flags);
    g.seq = starts[*sender] + (uint32_t)seq;
    for (int i = 0; i < 3; i++) {
        if (more[i][0] == '+')
            g.length = (uint32_t)atoi(more[i] + 1);
        else if (more[i][0] == 'w')
            g.window = (uint16_t)atoi(more[i] + 1);
        else if (more[i][0])
            g.ack = starts[!*sender] + (uint32_t)atoi(more[i]);
    }
    return g;
}

static void play(struct run *r, const char *script)
{
    char text[1024], *save = NULL;
    snprintf(text, sizeof text, "%s", script);
    for (char *line = strtok_r(text, ";", &save); line; line = strtok_r(NULL, ";", &save)) {
        unsigned sender;
        struct tcp_segment g = segment_of(line, &sender);
        tcp_state_segment(&r->state, &r->history, ORIGINATOR, sender, &g);
    }
}

#define OPEN "> S 0; < SA 0 1; > A 1 1;"

static const struct {
    const char *script, *state, *history;
} connections[] = {
    {"> S 0", "S0", "S"},
    {"> S 0; > S 0; > S 0", "S0", "S"},
    {OPEN, "S1", "ShA"},
    {OPEN "> PA 1 1 +10; < A 1 11; < PA 1 11 +20; > A 11 21", "S1", "ShADad"},
    {OPEN "> PA 1 1 +10; < A 1 11; > FA 11 1; < FA 1 12; > A 12 2", "SF", "ShADaFf"},
    {OPEN "> FA 1 1", "S2", "ShAF"},
    {OPEN "< FA 1 1", "S3", "ShAf"},
    {OPEN "> R 1", "RSTO", "ShAR"},
    {OPEN "< R 1", "RSTR", "ShAr"},
    {"> S 0; < RA 0 1", "REJ", "Sr"},
    {"> S 0; > R 1", "RSTOS0", "SR"},
    {"> S 0; > F 1", "SH", "SF"},
    {"< SA 0 1; < R 1", "RSTRH", "hr"},
    {"< SA 0 1; < FA 1 1", "SHR", "hf"},
    {"< SA 0 1", "OTH", "h"},
    {"> PA 1 1 +5; < PA 1 6 +5", "OTH", "Dd"},
    /* only the SYN was missed: established by the ACK */
    {"< SA 0 1; > A 1 1; > PA 1 1 +5", "S1", "hAD"},
    /* SYN and SYN-ACK were seen the wrong way round */
    {"< SA 0 1; > S 0; > A 1 1", "S1", "hSA"},
    /* FIN, RST, FIN is a normal end */
    {OPEN "< FA 1 1; < R 2; > FA 1 2", "SF", "ShAfrF"},
    /* RST after both FINs changes nothing */
    {OPEN "> FA 1 1; < FA 1 2; > R 2", "SF", "ShAFfR"},
    /* a SYN with another number is a letter again, the same one is not */
    {OPEN "> FA 1 1; > S 50", "S2", "ShAFS"},
    {OPEN "> FA 1 1; > FA 1 1; > FA 9 1", "S2", "ShAFF"},
    /* retransmissions: the 1st and the 10th */
    {OPEN "> PA 1 1 +5; > PA 1 1 +5", "S1", "ShADT"},
    {OPEN "> PA 1 1 +5; > PA 1 1 +5; > PA 1 1 +5; > PA 1 1 +5; > PA 1 1 +5; > PA 1 1 +5; > PA 1 1 +5; > PA 1 1 +5; > "
          "PA 1 1 +5;"
          "> PA 1 1 +5; > PA 1 1 +5",
     "S1", "ShADTT"},
    /* zero windows count unless nothing more is to come anyway */
    {OPEN "< A 1 1 w0; < A 1 1 w0", "S1", "ShAaw"},
    {OPEN "> FA 1 1; < A 1 2 w0", "S2", "ShAFa"},
    {OPEN "< R 1 w0", "RSTR", "ShAr"},
    /* acknowledged, never seen: one gap; then what follows is no gap */
    {OPEN "< A 1 101; > PA 101 1 +10; < A 1 111", "S1", "ShAaGD"},
    /* two holes are two gaps, but the letter comes at the 1st and the 10th */
    {OPEN "> PA 11 1 +10; > PA 31 1 +10; < A 1 41", "S1", "ShADaG"},
    /* data out of order that fill the hole in time: no gap */
    {OPEN "> PA 11 1 +10; > PA 1 1 +10; < A 1 21", "S1", "ShADTa"},
    /* the FIN's place in the sequence is no gap */
    {OPEN "> FA 1 1; < A 1 2", "S2", "ShAFa"},
    /* odd flags */
    {"> SF 0", "SH", "Q"},
    {"> SR 0", "OTH", "Q"},
    {OPEN "> FR 1", "RSTO", "ShAI"},
    {OPEN "> - 1", "S1", "ShA"},
};

static void test_connections(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof connections / sizeof *connections; i++) {
        struct run r = {0};
        char history[FLOW_HISTORY_MAX + 1];
        play(&r, connections[i].script);
        snprintf(history, sizeof history, "%.*s", r.history.length, r.history.letters);
        const char *name = flow_state_name(tcp_state_name(&r.state, ORIGINATOR, &r.history));
        if (strcmp(name, connections[i].state) != 0 || strcmp(history, connections[i].history) != 0)
            bad += (unsigned)printf("%s: is %s %s, not %s %s\n", connections[i].script, name, history,
                                    connections[i].state, connections[i].history);
    }
    assert_int_equal(bad, 0);
}

/* Data that were acknowledged and never seen, by whom they were sent. */
static void test_gap_bytes(void **state)
{
    (void)state;
    struct run r = {0};
    play(&r, OPEN "> PA 1 1 +10; < A 1 11; < PA 1 11 +5");
    assert_int_equal(r.state.end[ORIGINATOR].gap_bytes + r.state.end[!ORIGINATOR].gap_bytes, 0);
    play(&r, "> PA 31 1 +10; < A 6 61"); /* 11 to 30 and 41 to 60 are missing */
    assert_int_equal(r.state.end[ORIGINATOR].gap_bytes, 40);
    assert_int_equal(r.state.end[!ORIGINATOR].gap_bytes, 0);
}

static void test_originator_is_upper_case(void **state)
{
    (void)state;
    struct tcp_state s = {0};
    struct tcp_history h = {0};
    unsigned sender;
    struct tcp_segment g = segment_of("> S 0", &sender);
    tcp_state_segment(&s, &h, !ORIGINATOR, sender, &g);
    assert_memory_equal(h.letters, "s", 1);
}

static void test_history_is_bounded(void **state)
{
    (void)state;
    struct run r = {0};
    for (uint32_t i = 0; i < 2 * FLOW_HISTORY_MAX; i++) {
        struct tcp_segment g = {.seq = i, .flags = TCP_RST, .window = 1};
        tcp_state_segment(&r.state, &r.history, ORIGINATOR, ORIGINATOR, &g);
    }
    assert_int_equal(r.history.length, FLOW_HISTORY_MAX);
}

static bool is_new(const char *script, const char *next)
{
    struct run r = {0};
    play(&r, script);
    unsigned sender;
    struct tcp_segment g = segment_of(next, &sender);
    return tcp_state_is_new(&r.state, ORIGINATOR, sender, &g);
}

static void test_new_connection(void **state)
{
    (void)state;
    assert_false(is_new("", "> S 0"));
    assert_false(is_new("> S 0", "> S 0"));
    assert_true(is_new("> S 0", "> S 99"));
    assert_false(is_new(OPEN, "< SA 0 1"));
    assert_false(is_new(OPEN, "> PA 1 1 +5"));
    assert_true(is_new(OPEN "> FA 1 1; < FA 1 2", "> S 5000"));
    assert_false(is_new("> S 0; < RA 0 1", "> S 0")); /* refused, and tried again as it was */
    assert_true(is_new("> S 0; < RA 0 1", "> S 77"));
    assert_true(is_new("< SA 0 1", "< SA 500 1")); /* half a connection, then another half */
    assert_false(is_new("< SA 0 1", "> S 0"));     /* the SYN that was answered, seen late */
}

static void test_closed(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        bool closed, established;
    } cases[] = {
        {"> S 0", false, false},        {OPEN, false, true},
        {OPEN "> FA 1 1", false, true}, {OPEN "> FA 1 1; < FA 1 2", true, true},
        {OPEN "> R 1", true, true},     {"> S 0; < RA 0 1", true, true},
        {"> FA 1 1", true, true}, /* nobody answers: over */
        {"> PA 1 1 +4", false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r = {0};
        play(&r, cases[i].script);
        if (tcp_state_is_closed(&r.state) != cases[i].closed ||
            tcp_state_is_established(&r.state) != cases[i].established)
            fail_msg("%s", cases[i].script);
    }
}

/* Whatever comes: no crash, and a state with a name. */
static void test_random_segments(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (int run = 0; run < 3000; run++) {
        struct run r = {0};
        for (int i = 0; i < 40; i++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            struct tcp_segment g = {.seq = starts[0] + (uint32_t)(seed >> 40) % 64,
                                    .ack = starts[0] + (uint32_t)(seed >> 48) % 64,
                                    .length = (uint32_t)(seed >> 20) % 40,
                                    .window = (uint16_t)(seed >> 30) % 3,
                                    .flags = (uint8_t)(seed >> 8)};
            (void)tcp_state_is_new(&r.state, ORIGINATOR, seed & 1, &g);
            tcp_state_segment(&r.state, &r.history, ORIGINATOR, seed & 1, &g);
            assert_non_null(flow_state_name(tcp_state_name(&r.state, ORIGINATOR, &r.history)));
            for (unsigned end = 0; end < 2; end++)
                assert_true(r.state.end[end].ranges <= TCP_RANGES_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_gap_bytes),
        cmocka_unit_test(test_originator_is_upper_case),
        cmocka_unit_test(test_history_is_bounded),
        cmocka_unit_test(test_new_connection),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_random_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
