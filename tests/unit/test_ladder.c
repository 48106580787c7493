/*
 * ladder: how a connection opens and closes, and which sights of several vantages are one packet.
 */
#include "collector/ladder/ladder_story.h"
#include "common/base/clock.h"
#include "tests/unit/ladder_script.h"
#include "tests/unit/support.h"

#include <stdio.h>
#include <string.h>

#define OPEN "> S 0 @0; < SA 0 1 @10; > A 1 1 @20;"
#define DATA "> PA 1 1 +10; < PA 1 11 +20; > A 11 21;"

/* ------------------------------------------------------------------ stories */

static const struct {
    const char *script, *story;
    const char *steps; /* of the rows that have some: "row:text", in order */
} stories[] = {
    {OPEN DATA "> A 11 21", "three-way handshake in 20.0ms, not closed when last seen",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3"},
    {OPEN DATA "> FA 11 21; < A 21 12; < FA 21 12; > A 12 22 @31",
     "three-way handshake in 20.0ms, four-way close by the client after 31.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|6:close 1 of 4: the client ends|7:close 2 of 4|"
     "8:close 3 of 4: the server ends|9:close 4 of 4"},
    {OPEN "< FA 1 1; > FA 1 2; < A 2 2 @40",
     "three-way handshake in 20.0ms, three-way close by the server after 40.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:close 1 of 3: the server ends|4:close 2 of 3: the "
     "client "
     "ends|5:close 3 of 3"},
    {OPEN "> FA 1 1; < A 1 2; < PA 1 2 +50; > A 2 51; < FA 51 2; > A 2 52 @40",
     "three-way handshake in 20.0ms, half-close by the client after 40.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:half-close 1 of 4: the client ends, the server goes "
     "on|"
     "4:half-close 2 of 4|7:half-close 3 of 4: the server ends|8:half-close 4 of 4"},
    {OPEN "> FA 1 1; < PA 1 2 +50; > A 2 51; < A 51 2",
     "three-way handshake in 20.0ms, half-close by the client, not completed",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:half-close 1 of 4: the client ends, the server goes "
     "on|"
     "4:half-close 2 of 4"},
    {OPEN "> FA 1 1; < PA 1 1 +50; < A 51 2; < FA 51 2; > A 2 52 @40", /* what was on its way is no half-close */
     "three-way handshake in 20.0ms, four-way close by the client after 40.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:close 1 of 4: the client ends|5:close 2 of 4|6:close "
     "3 of 4: "
     "the server ends|7:close 4 of 4"},
    {OPEN "> FA 1 1; < FA 1 1; > A 2 2; < A 2 2 @40",
     "three-way handshake in 20.0ms, simultaneous close begun by the client after 40.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:simultaneous close 1 of 4: the client "
     "ends|4:simultaneous "
     "close 2 of 4: the server ends|5:simultaneous close 3 of 4|6:simultaneous close 4 of 4"},
    {OPEN "> FA 1 1; < A 1 2", "three-way handshake in 20.0ms, closed by the client alone when last seen",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:close 1 of 4: the client ends|4:close 2 of 4"},
    {OPEN "> FA 1 1; > FA 1 1; < FA 1 2; > A 2 2 @40", /* the first FIN of each counts */
     "three-way handshake in 20.0ms, three-way close by the client after 40.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:close 1 of 3: the client ends|5:close 2 of 3: the "
     "server ends|"
     "6:close 3 of 3"},

    {"> S 0; > S 0 @1000; < SA 0 1 @1010; > A 1 1 @1020", "three-way handshake in 1.0s, not closed when last seen",
     "0:handshake 1 of 3|2:handshake 2 of 3|3:handshake 3 of 3"},
    {"> S 0; < SA 0 1; > PA 1 1 +5 @20", "three-way handshake in 20.0ms, not closed when last seen",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3"},
    {"> S 0 @0; < S 0 @5; < SA 0 1 @10; > SA 0 1 @20; > A 1 1",
     "simultaneous open in 20.0ms, not closed when last seen",
     "0:simultaneous open 1 of 4|1:simultaneous open 2 of 4|2:simultaneous open 3 of 4|3:simultaneous open 4 of 4"},
    {"> S 0; > S 0", "three-way handshake not completed, not closed when last seen", "0:handshake 1 of 3"},
    {"> S 0; < SA 0 1", "three-way handshake not completed, not closed when last seen",
     "0:handshake 1 of 3|1:handshake 2 of 3"},
    {"< SA 0 1; > A 1 1", "three-way handshake not completed, not closed when last seen",
     "0:handshake 2 of 3|1:handshake 3 of 3"},
    {"> A 5 9; < A 9 5", "began before what was seen, not closed when last seen", ""},

    {"> S 0 @0; < RA 0 1 @3", "three-way handshake not completed, refused by the server after 3.0ms",
     "0:handshake 1 of 3|1:refused by the server"},
    {OPEN DATA "> RA 11 21 @30; < R 21", "three-way handshake in 20.0ms, reset by the client after 30.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|6:reset by the client"},
    {"> S 0 @0; < SA 0 1; > R 1 @30", "three-way handshake not completed, reset by the client after 30.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:reset by the client"},
    {OPEN "> FA 1 1; < R 1 @30", "three-way handshake in 20.0ms, reset by the server after 30.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:close 1 of 4: the client ends|4:reset by the server"},
    {OPEN "> FA 1 1; < FA 1 2; > A 2 2 @40; < R 2", /* all was acked before */
     "three-way handshake in 20.0ms, three-way close by the client after 40.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:close 1 of 3: the client ends|4:close 2 of 3: the "
     "server ends|"
     "5:close 3 of 3"},

    {OPEN "> FA 1 1; < FA 1 2; < R 2 @30; > A 2 2 @40", /* before the last ack */
     "three-way handshake in 20.0ms, reset by the server after 30.0ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:close 1 of 3: the client ends|4:close 2 of 3: the "
     "server ends|"
     "5:reset by the server|6:close 3 of 3"},
    {"< R 5 @0; > S 0 @1", "three-way handshake not completed, reset by the server after 0ns",
     "0:reset by the server|1:handshake 1 of 3"},
    {OPEN "> FA 1 1; < PA 1 1 +50; < A 51 2; < PA 1 2 +50 @900; < FA 51 2; > A 2 52 @910", /* nothing new */
     "three-way handshake in 20.0ms, four-way close by the client after 910ms",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:close 1 of 4: the client ends|5:close 2 of 4|7:close "
     "3 of 4: "
     "the server ends|8:close 4 of 4"},
    {"> S 0 @0; < SA 0 1; > SA 0 1; > A 1 1 @20", "three-way handshake in 20.0ms, not closed when last seen",
     "0:handshake 1 of 3|1:handshake 2 of 3|3:handshake 3 of 3"},

    {OPEN "> R 1; > S 9000 @100; < SA 5000 9001 @110; > A 9001 5001 @120", /* the ports again */
     "three-way handshake in 20.0ms, not closed when last seen",
     "0:handshake 1 of 3|1:handshake 2 of 3|2:handshake 3 of 3|3:reset by the client|4:handshake 1 of 3|5:handshake 2 "
     "of 3|"
     "6:handshake 3 of 3"},
};

static void put_step(uint32_t row, const struct ladder_step *s, uint8_t from, struct buffer *out)
{
    if (s->mark == LADDER_PLAIN)
        return;
    buffer_printf(out, "%s%u:", out->len ? "|" : "", row);
    ladder_step_text(s, from, out);
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++) {
        struct ladder *l = ladder_script(stories[i].script);
        struct buffer story = {0}, steps = {0};
        ladder_story_text(l, &story);
        for (uint32_t k = 0; k < l->row_count; k++) {
            put_step(k, &l->rows[k].open, ladder_main(l, &l->rows[k])->from, &steps);
            put_step(k, &l->rows[k].close, ladder_main(l, &l->rows[k])->from, &steps);
        }
        buffer_u8(&story, 0);
        buffer_u8(&steps, 0);
        assert_string_equal(story.data, stories[i].story);
        assert_string_equal(steps.data, stories[i].steps);
        buffer_free(&story);
        buffer_free(&steps);
        ladder_free(l);
    }
}

static void test_client(void **state)
{
    static const struct {
        const char *script;
        uint16_t client;
    } cases[] = {{"> S 0", 4000},   {"< S 0", 80},          {"< SA 0 1", 4000}, {"> A 1 1", 4000},
                 {"< A 1 1", 4000}, {"> A 1 1; < S 0", 80}, {"> udp +5", 4000}, {"< udp +5", 4000}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ladder *l = ladder_script(cases[i].script);
        assert_int_equal(l->end[LADDER_CLIENT].port, cases[i].client);
        ladder_free(l);
    }
}

/* ------------------------------------------------------------------ vantages */

/* "A1B1 A2 B2B3": which packets of which vantages each row has, in order. */
static const char *rows_of(const struct ladder *l, char *buf, size_t len)
{
    size_t at = 0;
    for (uint32_t i = 0; i < l->row_count; i++) {
        at += (size_t)snprintf(buf + at, len - at, "%s", i ? " " : "");
        for (uint32_t v = 0; v < l->vantages; v++)
            for (uint32_t s = l->rows[i].sight[v]; s != LADDER_NONE; s = l->sights[s].more)
                at += (size_t)snprintf(buf + at, len - at, "%c%u", l->vantage[v].name[5] - 'a' + 'A',
                                       l->sights[s].number);
    }
    return buf;
}

static void assert_rows(const char *script, const char *rows)
{
    char text[512];
    struct ladder *l = ladder_script(script);
    assert_string_equal(rows_of(l, text, sizeof text), rows);
    ladder_free(l);
}

static void test_same_packets(void **state)
{
    (void)state;
    assert_rows("A > S 0 i1; B > S 0 i1; B < SA 0 1 i2; A < SA 0 1 i2; A > A 1 1 i3; B > A 1 1 i3", "A1B1 A2B2 A3B3");
    assert_rows("A > S 0 i1; B > S 0 i9", "A1 B1");             /* another identification */
    assert_rows("A > PA 1 1 +5 i1; B > PA 1 1 +6 i1", "A1 B1"); /* another length */
    assert_rows("A > A 1 1 i1 w5; B > A 1 1 i1 w6", "A1 B1");
    assert_rows("A > udp =one i1; B > udp =one i1; B > udp =two i2; A > udp =two i2; A > udp =six i3; B > udp =se7 i3",
                "A1B1 A2B2 A3 B3");
    assert_rows("A > icmp 8 1 i0; B > icmp 8 1 i0; B < icmp 0 1 i0; A < icmp 0 1 i0; A > icmp 8 2 i0", "A1B1 A2B2 A3");
}

/* Equal ones are told apart by their order, or by time where one vantage has not seen all. */
static void test_equal_packets(void **state)
{
    (void)state;
    assert_rows("A > A 1 1 i0 @0; B > A 1 1 i0 @1; A > A 1 1 i0 @100; B > A 1 1 i0 @101", "A1B1 A2B2");
    assert_rows(
        "A > S 0 i7 @0; B > S 0 i7 @1; A > A 1 1 i0 @10; A > A 1 1 i0 @100; B > A 1 1 i0 @101; A > A 1 1 i0 @200",
        "A1B1 A2 A3B2 A4");
    assert_rows("A > A 1 1 i0 @0; A > A 1 1 i0 @1; B > A 1 1 i0 @100; B > A 1 1 i0 @101", "A1B1 A2B2");
}

/* B's clock is 1000 ms ahead; the way takes 3 ms. */
#define BOTH                                                                                                           \
    "A > S 0 i1 @0; B > S 0 i1 @1003; B < SA 0 1 i2 @1004; A < SA 0 1 i2 @7; A > A 1 1 i3 @8; B > A 1 1 i3 @1011;"

static void test_clocks(void **state)
{
    char text[256];
    int64_t ns;
    struct ladder *l = ladder_script(BOTH "B < PA 1 1 +9 i4 @1020; A > PA 1 1 +9 i5 @21");
    (void)state;
    assert_string_equal(rows_of(l, text, sizeof text), "A1B1 A2B2 A3B3 A4 B4"); /* B4 came to A at 23, had it come */
    assert_int_equal(l->vantages, 2);
    assert_string_equal(l->vantage[0].name, "host-a/eth0");
    assert_int_equal(l->reference, 0);
    assert_true(l->vantage[1].estimated);
    assert_int_equal(l->vantage[1].ahead_ns, 1000 * NS_PER_MS);
    assert_int_equal(l->vantage[1].away_ns, 3 * NS_PER_MS);
    assert_true(ladder_between(l, &l->rows[0], &ns));
    assert_int_equal(ns, 1003 * (int64_t)NS_PER_MS);
    assert_true(ladder_between(l, &l->rows[1], &ns));
    assert_int_equal(ns, -997 * (int64_t)NS_PER_MS);
    assert_false(ladder_between(l, &l->rows[3], &ns));
    ladder_free(l);
}

/* Whatever the order in which they were named: the client's comes first, by times or by hop limits. */
static void test_order_of_vantages(void **state)
{
    struct ladder *l = ladder_script("B > S 0 i1 @3; A > S 0 i1 @0; B < SA 0 1 i2 @4; A < SA 0 1 i2 @7");
    (void)state;
    assert_string_equal(l->vantage[0].name, "host-a/eth0");
    ladder_free(l);
    l = ladder_script("A > S 0 i1 h60 @3; B > S 0 i1 h64 @3; B < SA 0 1 i2 h60 @4; A < SA 0 1 i2 h64 @4");
    assert_string_equal(l->vantage[0].name, "host-b/eth0");
    ladder_free(l);
}

/* Numbers and times are those of the vantage that saw the handshake, else of the one that saw most. */
static void test_reference(void **state)
{
    struct ladder *l =
        ladder_script("A > PA 500 1 +9 i4 @1; A < A 1 509 i5 @2.5; A > PA 509 1 +9 i6 @3; A > PA 518 1 +9 i7 @4;"
                      "B > S 0 i1 @0; B > PA 500 1 +9 i4 @1.5");
    (void)state;
    assert_string_equal(l->vantage[l->reference].name, "host-b/eth0");
    assert_int_equal(ladder_main(l, &l->rows[1])->reading.seq, 500);
    ladder_free(l);
    l = ladder_script("A > PA 500 1 +9 i4 @1; B > PA 500 1 +9 i4 @1.5; B > PA 509 1 +9 i6 @3");
    assert_string_equal(l->vantage[l->reference].name, "host-b/eth0");
    ladder_free(l);
}

/* Missed is what a vantage should have seen: while it was watching. */
static void test_missed(void **state)
{
    struct ladder *l =
        ladder_script("A > S 0 i9 @-5;" BOTH "A > PA 1 1 +9 i4 @20; A > PA 10 1 +9 i5 @21; B > PA 10 1 +9 i5 @1024;"
                      "A > PA 19 1 +9 i6 @30");
    (void)state;
    assert_int_equal(l->row_count, 7);
    assert_false(ladder_missed(l, &l->rows[0], 1)); /* before */
    assert_false(ladder_missed(l, &l->rows[1], 1)); /* seen */
    assert_true(ladder_missed(l, &l->rows[4], 1));
    assert_false(ladder_missed(l, &l->rows[6], 1)); /* after */
    ladder_free(l);
}

/* Each vantage's findings are its own. */
static void test_findings(void **state)
{
    struct ladder *l = ladder_script(BOTH "A > PA 1 1 +9 i4 @20; A > PA 10 1 +9 i5 @21; B > PA 10 1 +9 i5 @1024");
    (void)state;
    assert_int_equal(ladder_findings(l, &l->rows[4], 0), 0);
    assert_int_equal(ladder_findings(l, &l->rows[4], 1), TCP_LOST_SEGMENT);
    ladder_free(l);
    l = ladder_script(
        BOTH "A > PA 1 1 +9 i4 @20; A > A 10 1 +20 i5 @21; B > A 10 1 +10 i5 @1024; B > A 20 1 +10 i6 @1024.1");
    assert_int_equal(ladder_findings(l, &l->rows[4], 1), TCP_LOST_SEGMENT); /* of the first part */
    ladder_free(l);
}

static void test_parts(void **state)
{
    (void)state;
    /* one of 30 bytes at the sender, three at the receiver; the other way round; twice */
    assert_rows(
        BOTH "A > A 1 1 +30 i10 @20; B > A 1 1 +10 i10 @1023; B > A 11 1 +10 i11 @1023.1; B > A 21 1 +10 i12 @1023.2",
        "A1B1 A2B2 A3B3 A4B4B5B6");
    assert_rows(BOTH "B < A 1 1 +20 i10 @1020; A < A 1 1 +5 i10 @23; A < A 6 1 +15 i11 @23.1", "A1B1 A2B2 A3B3 A4A5B4");
    assert_rows(BOTH "A > A 1 1 +20 i10 @20; B > A 1 1 +10 i10 @1023; B > A 11 1 +10 i11 @1023.1;"
                     "A > A 1 1 +20 i20 @5020; B > A 1 1 +10 i20 @6023; B > A 11 1 +10 i21 @6023.1",
                "A1B1 A2B2 A3B3 A4B4B5 A5B6B7");
    /* not the whole of it, or not at the same places, or not in pieces, or long apart */
    assert_rows(BOTH "A > A 1 1 +20 i10 @20; B > A 1 1 +20 i11 @1023", "A1B1 A2B2 A3B3 A4 B4");
    assert_rows(BOTH "A > A 1 1 +20 i10 @20; B > A 1 1 +10 i10 @3023; B > A 11 1 +10 i11 @3023.1",
                "A1B1 A2B2 A3B3 A4 B4 B5");
    assert_rows(BOTH "A > A 1 1 +30 i10 @20; B > A 1 1 +10 i10 @1023; B > A 11 1 +10 i11 @1023.1",
                "A1B1 A2B2 A3B3 A4 B4 B5");
    assert_rows(BOTH
                "A > A 1 1 +20 i10 @20; A > A 21 1 +20 i11 @20.1; B > A 1 1 +15 i10 @1023; B > A 16 1 +25 i11 @1023.1",
                "A1B1 A2B2 A3B3 A4 B4 A5 B5");
}

static void test_limits(void **state)
{
    struct ladder *l;
    struct error e = ERROR_INIT;
    uint32_t index;
    (void)state;
    assert_int_equal(ladder_new(NULL, &l, NULL), 0);
    for (unsigned i = 0; i < LADDER_VANTAGES_MAX; i++)
        assert_int_equal(ladder_add_vantage(l, "a/b", &index, &e), 0);
    assert_int_equal(ladder_add_vantage(l, "a/b", &index, &e), ERROR_LIMIT);
    assert_int_equal(ladder_finish(l, NULL), 0); /* without packets */
    assert_int_equal(l->row_count, 0);
    ladder_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),       cmocka_unit_test(test_client), cmocka_unit_test(test_same_packets),
        cmocka_unit_test(test_equal_packets), cmocka_unit_test(test_clocks), cmocka_unit_test(test_order_of_vantages),
        cmocka_unit_test(test_reference),     cmocka_unit_test(test_missed), cmocka_unit_test(test_findings),
        cmocka_unit_test(test_parts),         cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
