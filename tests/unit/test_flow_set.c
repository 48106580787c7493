/*
 * flow_set: sums by flow id that own what they point to.
 */
#include "collector/query/flow_set.h"
#include "tests/unit/support.h"

#include <stdio.h>
#include <string.h>

static struct flow_row row_of(uint64_t id, uint64_t first_ns, uint64_t packets, const char *history)
{
    struct flow_row row = {.flow_id = id, .start_ns = 5, .first_ns = first_ns, .last_ns = first_ns + 1};
    row.packets[0] = packets;
    row.history = (struct text){history, (uint32_t)strlen(history)};
    for (unsigned i = 0; i < table_flow.count; i++)
        if (table_flow.columns[i].id != FLOW_FRAMES && table_flow.columns[i].id < FLOW_AGENT)
            column_add(&row.has, table_flow.columns[i].id);
    return row;
}

static void rows_of_a_flow_add_up(void **state)
{
    (void)state;
    struct flow_set *s = flow_set_new(100);
    assert_non_null(s);
    char history[8] = "S";
    struct flow_row row = row_of(7, 10, 3, history);
    assert_int_equal(flow_set_add(s, &row, NULL), 0);
    memcpy(history, "Sh", 3);
    row = row_of(7, 20, 4, history);
    assert_int_equal(flow_set_add(s, &row, NULL), 0);
    memcpy(history, "xx", 3); /* the set has its own copy */
    assert_int_equal(flow_set_count(s), 1);
    struct flow_set_entry *f = flow_set_find(s, 7);
    assert_non_null(f);
    assert_int_equal(f->sum.packets[0], 7);
    assert_int_equal(f->sum.first_ns, 10);
    assert_int_equal(f->sum.last_ns, 21);
    assert_int_equal(f->sum.history.len, 2);
    assert_memory_equal(f->sum.history.data, "Sh", 2);
    assert_null(flow_set_find(s, 8));
    flow_set_free(s);
}

static void entries_stand_still_while_the_set_grows(void **state)
{
    (void)state;
    struct flow_set *s = flow_set_new(100000);
    assert_non_null(s);
    struct flow_row row = row_of(1, 1, 1, "S");
    assert_int_equal(flow_set_add(s, &row, NULL), 0);
    struct flow_set_entry *first = flow_set_find(s, 1);
    for (uint64_t id = 2; id <= 50000; id++) {
        row = row_of(id * UINT64_C(0x9e3779b97f4a7c15), id, id, "Sh");
        assert_int_equal(flow_set_add(s, &row, NULL), 0);
    }
    assert_ptr_equal(flow_set_find(s, 1), first);
    assert_ptr_equal(flow_set_at(s, 0), first);
    for (uint64_t id = 2; id <= 50000; id++) {
        struct flow_set_entry *f = flow_set_find(s, id * UINT64_C(0x9e3779b97f4a7c15));
        assert_non_null(f);
        assert_int_equal(f->sum.packets[0], id);
    }
    flow_set_free(s);
}

static void a_limit_is_a_clear_error(void **state)
{
    (void)state;
    struct flow_set *s = flow_set_new(2);
    struct error e = ERROR_INIT;
    assert_non_null(s);
    for (uint64_t id = 1; id <= 2; id++) {
        struct flow_row row = row_of(id, 1, 1, "");
        assert_int_equal(flow_set_add(s, &row, &e), 0);
    }
    struct flow_row row = row_of(3, 1, 1, "");
    assert_int_equal(flow_set_add(s, &row, &e), ERROR_LIMIT);
    assert_non_null(strstr(e.text, "--since"));
    row = row_of(2, 1, 1, ""); /* a known flow still adds up */
    assert_int_equal(flow_set_add(s, &row, &e), 0);
    flow_set_free(s);
}

static void equal_texts_are_stored_once(void **state)
{
    (void)state;
    struct flow_set *s = flow_set_new(2);
    assert_non_null(s);
    char a[] = "ShADadFf", b[] = "ShADadFf";
    struct text first = flow_set_text(s, a, 8);
    assert_ptr_equal(flow_set_text(s, b, 8).data, first.data);
    assert_ptr_not_equal(flow_set_text(s, b, 7).data, first.data);
    for (unsigned i = 0; i < 10000; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "t%u", i);
        assert_int_equal(flow_set_text(s, text, (size_t)n).len, n);
    }
    assert_ptr_equal(flow_set_text(s, a, 8).data, first.data);
    flow_set_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_a_flow_add_up),
        cmocka_unit_test(entries_stand_still_while_the_set_grows),
        cmocka_unit_test(a_limit_is_a_clear_error),
        cmocka_unit_test(equal_texts_are_stored_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
