#include "common/chunk/counter.h"

#include "tests/unit/support.h"

#include <string.h>

static void every_counter_is_described_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *c = &counter_table[i];
        assert_non_null(c->name);
        assert_non_null(c->help);
        assert_true(c->unit == UNIT_COUNT || c->unit == UNIT_BYTES);
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(counter_table[k].name, c->name);
            assert_true(!c->isb_option || counter_table[k].isb_option != c->isb_option);
        }
    }
}

/* Stored in files and read by other tools: these never change. */
static void numbers_and_options_are_fixed(void **state)
{
    (void)state;
    static const struct {
        unsigned counter;
        const char *name;
        int option;
    } fixed[] = {
        {0, "received", 4},
        {2, "kept", 6},
        {4, "stored", 8},
        {7, "kernel_drops", 7},
        {8, "interface_drops", 5},
        {10, "policy", 0},
        {13, "evicted", 0},
        {15, "overflowed", 0},
        {17, "own", 0},
        {18, "forbidden", 0},
        {16, "time_limited", 0},
        {20, "frames_faster", 0},
        {21, "flows_evicted", 0},
        {22, "apps_unread", 0},
        {23, "exchanges_untold", 0},
    };
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        assert_string_equal(counter_table[fixed[i].counter].name, fixed[i].name);
        assert_int_equal(counter_table[fixed[i].counter].isb_option, fixed[i].option);
    }
}

static void what_an_answer_lacks_is_loss_and_what_nobody_wanted_is_not(void **state)
{
    (void)state;
    assert_true(counter_table[COUNTER_KERNEL_DROPS].lost && counter_table[COUNTER_INTERFACE_DROPS].lost);
    assert_true(counter_table[COUNTER_AGENT_DROPS].lost && counter_table[COUNTER_EVICTED].lost);
    assert_true(counter_table[COUNTER_CRASH_LOST].lost && counter_table[COUNTER_POLICY].lost);
    assert_false(counter_table[COUNTER_FILTERED].lost || counter_table[COUNTER_FORBIDDEN].lost);
    assert_false(counter_table[COUNTER_OWN].lost);
    assert_false(counter_table[COUNTER_TIME_LIMITED].lost);
    char text[200];
    assert_string_equal(counter_say_lost(COUNTER_CRASH_LOST, 9, text, sizeof text),
                        "9 packets lost when a capturer died");
    assert_string_equal(counter_say_lost(COUNTER_POLICY, 1, text, sizeof text),
                        "1 packet over the capture's rate, left out");
}

static void sums_stay_at_the_greatest_value(void **state)
{
    (void)state;
    struct counters a = {.value = {[COUNTER_KEPT] = 5, [COUNTER_POLICY] = UINT64_MAX - 1}};
    struct counters b = {.value = {[COUNTER_KEPT] = 7, [COUNTER_POLICY] = 2, [COUNTER_STORED] = 1}};
    counters_add(&a, &b);
    assert_int_equal(a.value[COUNTER_KEPT], 12);
    assert_int_equal(a.value[COUNTER_STORED], 1);
    assert_true(a.value[COUNTER_POLICY] == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_counter_is_described_once),
        cmocka_unit_test(numbers_and_options_are_fixed),
        cmocka_unit_test(what_an_answer_lacks_is_loss_and_what_nobody_wanted_is_not),
        cmocka_unit_test(sums_stay_at_the_greatest_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
