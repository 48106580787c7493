/* Answers that go on where an earlier one ended. A store is played: chunks in order of arrival, bodies that come late. */
#include "collector/query/after.h"
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#define CHUNKS_MAX 4000u

static struct store_chunk chunks[CHUNKS_MAX];
static unsigned answers[CHUNKS_MAX]; /* how often each was in one */
static size_t count;

static void arrive(unsigned stream, uint64_t seq, bool with_body)
{
    struct store_chunk *c = &chunks[count++];
    *c = (struct store_chunk){.id = UINT64_C(7) << 32 | count, .body_state = with_body ? BODY_STORED : BODY_ON_AGENT};
    c->head.kind = HEAD_CHUNK;
    c->head.seq = seq;
    memcpy(c->head.epoch, &stream, sizeof stream);
}

static void body_comes(size_t chunk)
{
    chunks[chunk].body_state = BODY_STORED;
}

/* One question: two scans, more arriving between them. Returns the mark. */
static char *ask(const char *mark, size_t seen_first)
{
    struct after *a = NULL;
    struct store_scan scan = {.until_ns = UINT64_MAX};
    struct buffer out = {0};
    struct error e = ERROR_INIT;
    bool wanted[CHUNKS_MAX] = {false};
    assert_int_equal(after_new(mark, &a, &e), 0);
    after_scan(a, &scan);
    for (size_t i = 0; i < seen_first; i++)
        if (chunks[i].id >= scan.from)
            assert_int_equal(after_wants(a, &chunks[i], &wanted[i], &e), 0);
    if (seen_first && *scan.end <= chunks[seen_first - 1].id)
        *scan.end = chunks[seen_first - 1].id + 1;
    for (size_t i = 0; i < count; i++) {
        bool again = chunks[i].id >= scan.from && after_wanted(a, &chunks[i]);
        assert_int_equal(again, wanted[i]);
        answers[i] += wanted[i];
    }
    after_mark(a, &out);
    buffer_u8(&out, 0);
    assert_false(out.failed);
    assert_true(out.len <= NET_AFTER_MAX);
    after_free(a);
    return (char *)out.data;
}

static void ask_next(char **mark)
{
    char *next = ask(*mark, count);
    free(*mark);
    *mark = next;
}

static int begin(void **state)
{
    (void)state;
    count = 0;
    memset(answers, 0, sizeof answers);
    return 0;
}

static void expect_answers(size_t from, size_t to, unsigned times)
{
    for (size_t i = from; i < to; i++)
        assert_int_equal(answers[i], times);
}

static void what_came_is_answered_once(void **state)
{
    (void)state;
    char *mark = strdup("0");
    arrive(1, 0, true);
    arrive(2, 0, true);
    ask_next(&mark);
    expect_answers(0, 2, 1);
    assert_string_equal(mark, "30064771075"); /* 7 << 32 | 3 */
    ask_next(&mark);
    expect_answers(0, 2, 1);
    arrive(1, 1, true);
    ask_next(&mark);
    ask_next(&mark);
    expect_answers(0, 3, 1);
    free(mark);
}

static void what_arrives_between_the_scans_waits(void **state)
{
    (void)state;
    arrive(1, 0, true);
    arrive(1, 1, true);
    arrive(2, 0, true);
    char *mark = ask("0", 1);
    expect_answers(0, 1, 1);
    expect_answers(1, 3, 0);
    ask_next(&mark);
    expect_answers(0, 3, 1);
    free(mark);
}

static void a_late_body_holds_up_its_stream_alone(void **state)
{
    (void)state;
    char *mark = strdup("0");
    arrive(1, 0, true);
    arrive(1, 1, false);
    arrive(2, 0, true);
    arrive(1, 2, true); /* flows only, say */
    arrive(2, 1, true);
    ask_next(&mark);
    expect_answers(0, 1, 1);
    expect_answers(2, 3, 1);
    expect_answers(4, 5, 1);
    assert_int_equal(answers[1], 0);
    assert_int_equal(answers[3], 0);
    assert_string_equal(mark, "30064771074;02000000000000000000000000000000:2");
    arrive(2, 2, true);
    ask_next(&mark);
    body_comes(1);
    ask_next(&mark);
    ask_next(&mark);
    expect_answers(0, 6, 1);
    assert_string_equal(mark, "30064771079");
    free(mark);
}

static void a_gap_stands_for_several(void **state)
{
    (void)state;
    char *mark = strdup("0");
    arrive(3, 0, false);
    arrive(1, 5, true);
    chunks[1].head.kind = HEAD_GAP;
    chunks[1].head.last_seq = 9;
    ask_next(&mark);
    assert_non_null(strstr(mark, ":10"));
    arrive(1, 10, true);
    ask_next(&mark);
    expect_answers(1, 3, 1);
    free(mark);
}

/* More streams than a mark names: some wait, none is lost. */
static void a_mark_has_room_for_so_many(void **state)
{
    (void)state;
    char *mark = strdup("0");
    arrive(1, 0, false);
    for (unsigned i = 0; i < 2 * AFTER_STREAMS_MAX; i++)
        arrive(2 + i, 0, true);
    ask_next(&mark);
    unsigned now = 0;
    for (size_t i = 0; i < count; i++)
        now += answers[i];
    assert_int_equal(now, AFTER_STREAMS_MAX);
    ask_next(&mark);
    body_comes(0);
    ask_next(&mark);
    ask_next(&mark);
    expect_answers(0, count, 1);
    free(mark);
}

static void any_order_of_arrival_comes_to_the_same(void **state)
{
    (void)state;
    char *mark = strdup("0");
    uint64_t next[20] = {0};
    unsigned random = 1;
    for (unsigned i = 0; i < 3000; i++) {
        random = random * 1103515245u + 12345u;
        unsigned dice = random >> 16;
        if (dice % 4 != 0)
            arrive(1 + dice % 20, next[dice % 20]++, dice % 3 != 0);
        else
            for (size_t c = 0; c < count; c++)
                if (chunks[c].head.epoch[0] == 1 + dice % 20)
                    body_comes(c);
        if (dice % 7 == 0)
            ask_next(&mark);
        for (size_t c = 0; c < count; c++)
            assert_true(answers[c] <= 1);
    }
    for (size_t c = 0; c < count; c++)
        body_comes(c);
    ask_next(&mark);
    expect_answers(0, count, 1);
    free(mark);
}

static void what_is_no_mark_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"x",
                                        "5;",
                                        "5;02",
                                        "5;02000000000000000000000000000000:",
                                        "-1",
                                        "5,",
                                        "5;02000000000000000000000000000000:1;",
                                        "5;0g000000000000000000000000000000:1"};
    struct after *a;
    struct error e = ERROR_INIT;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(after_new(wrong[i], &a, &e), ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_came_is_answered_once, begin),
        cmocka_unit_test_setup(what_arrives_between_the_scans_waits, begin),
        cmocka_unit_test_setup(a_late_body_holds_up_its_stream_alone, begin),
        cmocka_unit_test_setup(a_gap_stands_for_several, begin),
        cmocka_unit_test_setup(a_mark_has_room_for_so_many, begin),
        cmocka_unit_test_setup(any_order_of_arrival_comes_to_the_same, begin),
        cmocka_unit_test(what_is_no_mark_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
