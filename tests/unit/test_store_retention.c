/*
 * What the store drops when it is too old or too much, and that those who ask for it are told.
 */
#include "tests/unit/store_place.h"

static int note_dropped(void *context, const struct store_dropped_info *d, struct error *e)
{
    (void)e;
    buffer_printf(context, "%s/%s %lld-%lld; ", d->agent, d->capture, (long long)(d->first_ns - T0) / (long long)SECOND,
                  (long long)(d->last_ns - T0) / (long long)SECOND);
    return 0;
}

/* What the store says to have dropped, in seconds after T0. */
static void assert_dropped(struct place *p, const struct store_scan *scan, const char *expected)
{
    const struct store_scan all = {.until_ns = UINT64_MAX};
    struct store_reader *r = NULL;
    struct buffer text = {0};
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_each_dropped(r, scan ? scan : &all, note_dropped, &text, &p->e), 0);
    buffer_u8(&text, 0);
    assert_string_equal((char *)text.data, expected);
    buffer_free(&text);
    store_reader_close(r);
}

static size_t count_stored(struct place *p, const char *capture)
{
    scan_all(p->s, &(struct store_scan){.until_ns = UINT64_MAX, .capture = capture}, &p->seen);
    return p->seen.count;
}

/* One stream over three hours, another in the first of them. */
static void fill_three_hours(struct place *p)
{
    commit_chunk(p->s, &(struct wish){.stream = 2, .capture = "short"}, T0);
    for (uint64_t seq = 0; seq < 3; seq++)
        commit_chunk(p->s, &(struct wish){.stream = 1, .seq = seq, .capture = "long"}, T0 + seq * HOUR);
}

static void what_is_too_old_is_dropped_and_remembered(void **state)
{
    struct place *p = *state;
    place_reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_age_ns = 3 * HOUR});
    fill_three_hours(p);
    assert_int_equal(store_maintain(p->s, T0 + 3 * HOUR - MINUTE, &p->e), 0);
    assert_int_equal(count_stored(p, NULL), 4);
    assert_dropped(p, NULL, "");
    assert_int_equal(store_maintain(p->s, T0 + 3 * HOUR + MINUTE, &p->e), 0);
    assert_int_equal(count_stored(p, "long"), 2);
    assert_int_equal(count_stored(p, "short"), 0);
    assert_dropped(p, NULL, "agent-1/long 0-1; agent-2/short 0-1; ");
    place_reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_age_ns = 3 * HOUR});
    place_assert_cursors(p, 2, 1, 1);
    assert_int_equal(store_maintain(p->s, T0 + 4 * HOUR + MINUTE, &p->e), 0);
    assert_dropped(p, NULL, "agent-1/long 0-2; agent-2/short 0-1; ");
}

static void what_was_dropped_is_told_to_those_who_ask_for_it(void **state)
{
    struct place *p = *state;
    place_reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_age_ns = HOUR});
    fill_three_hours(p);
    assert_int_equal(store_maintain(p->s, T0 + HOUR + MINUTE, &p->e), 0);
    const char *agents[] = {"agent-2"};
    assert_dropped(p, &(struct store_scan){.until_ns = UINT64_MAX, .agents = agents, .agent_count = 1},
                   "agent-2/short 0-1; ");
    assert_dropped(p, &(struct store_scan){.until_ns = UINT64_MAX, .capture = "lo*"}, "agent-1/long 0-1; ");
    assert_dropped(p, &(struct store_scan){.until_ns = UINT64_MAX, .capture = "x"}, "");
    assert_dropped(p, &(struct store_scan){.since_ns = T0 + SECOND + 1, .until_ns = UINT64_MAX}, "");
    assert_dropped(p, &(struct store_scan){.until_ns = T0 - 1}, "");
}

static void the_oldest_hours_go_when_it_is_too_much(void **state)
{
    struct place *p = *state;
    place_reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_bytes = 1});
    fill_three_hours(p);
    assert_int_equal(store_maintain(p->s, T0 + 2 * HOUR + MINUTE, &p->e), 0);
    assert_int_equal(count_stored(p, NULL), 0); /* each hour alone is too much */
    assert_dropped(p, NULL, "agent-1/long 0-3; agent-2/short 0-1; ");
    place_assert_cursors(p, 1, 3, 3);
}

static void packets_go_before_their_rows(void **state)
{
    struct place *p = *state;
    place_reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_body_bytes = 12000});
    fill_three_hours(p);
    assert_int_equal(store_maintain(p->s, T0 + 5 * HOUR, &p->e), 0);
    assert_int_equal(count_stored(p, NULL), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(p->seen.items[i].body_state, p->seen.items[i].seq == 0 ? BODY_EXPIRED : BODY_STORED);
    assert_dropped(p, NULL, ""); /* rows are there and say what is gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_too_old_is_dropped_and_remembered, place_make, place_remove),
        cmocka_unit_test_setup_teardown(what_was_dropped_is_told_to_those_who_ask_for_it, place_make, place_remove),
        cmocka_unit_test_setup_teardown(the_oldest_hours_go_when_it_is_too_much, place_make, place_remove),
        cmocka_unit_test_setup_teardown(packets_go_before_their_rows, place_make, place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
