/* The tables of columns, and how rows of one flow are merged. */
#include "common/rows/order.h"
#include "tests/unit/random_rows.h"

static const struct table *const tables[] = {&table_flow, &table_exchange};

/* --- The tables -------------------------------------------------------------------------------------------------- */

static void test_ids_ascend_and_names_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (unsigned k = 0; k < tables[i]->count; k++) {
            const struct column *c = &tables[i]->columns[k];
            assert_in_range(c->id, k ? tables[i]->columns[k - 1].id + 1u : 0, COLUMNS_MAX - 1);
            assert_ptr_equal(table_column(tables[i], c->id), c);
            assert_ptr_equal(table_column_named(tables[i], c->name), c);
            assert_true(c->help && c->help[0]);
        }
    assert_null(table_column(&table_flow, 0));
    assert_null(table_column(&table_flow, 15));
    assert_null(table_column(&table_flow, 1000));
    assert_null(table_column_named(&table_flow, "packets"));
    assert_string_equal(table_column(&table_flow, FLOW_PACKETS_1)->name, "packets.1");
    assert_string_equal(table_column(&table_exchange, EXCHANGE_PATH)->name, "path");
}

static void test_sizes_fit_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (unsigned k = 0; k < tables[i]->count; k++) {
            const struct column *c = &tables[i]->columns[k];
            bool number = c->size == 1 || c->size == 2 || c->size == 4 || c->size == 8;
            assert_true(c->type == COLUMN_UINT ? number : c->size == 16);
            assert_in_range(c->offset, sizeof(struct column_set), tables[i]->row_size - c->size);
            assert_true(c->type == COLUMN_UINT || c->most == 0);
        }
}

/* Each byte of a row belongs to one column at the most: a copied line would show here. */
static void test_columns_do_not_overlap(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t used[1024] = {0};
        assert_true(tables[i]->row_size <= sizeof(used));
        for (unsigned k = 0; k < tables[i]->count; k++)
            for (unsigned b = 0; b < tables[i]->columns[k].size; b++)
                assert_int_equal(used[tables[i]->columns[k].offset + b]++, 0);
    }
}

/* What is on disk is never renumbered. */
static void test_ids_on_disk(void **state)
{
    (void)state;
    assert_int_equal(table_flow.id, 1);
    assert_int_equal(table_exchange.id, 2);
    static const struct {
        unsigned id;
        const char *name;
        size_t offset;
    } some[] = {
        {1, "addr.0", offsetof(struct flow_row, key.addr[0])}, {4, "port.1", offsetof(struct flow_row, key.port[1])},
        {11, "proto", offsetof(struct flow_row, key.proto)},   {14, "id", offsetof(struct flow_row, flow_id)},
        {16, "time", offsetof(struct flow_row, start_ns)},     {18, "last", offsetof(struct flow_row, last_ns)},
        {23, "bytes.1", offsetof(struct flow_row, bytes[1])},  {38, "state", offsetof(struct flow_row, state)},
        {43, "loss", offsetof(struct flow_row, capture_loss)}, {47, "frames", offsetof(struct flow_row, frames)},
        {120, "agent", offsetof(struct flow_row, agent)},      {123, "flows", offsetof(struct flow_row, flows)},
    };
    for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
        assert_string_equal(table_column(&table_flow, some[i].id)->name, some[i].name);
        assert_int_equal(table_column(&table_flow, some[i].id)->offset, some[i].offset);
    }
}

/* Ascending, equal keys in their order: whatever the keys have in common. */
static void test_sorting_by_numbers(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static struct order_item items[2 * MANY];
    static bool seen[MANY];
    struct random_pool *p = random_pool_new(41);
    for (unsigned round = 0; round < 200; round++) {
        size_t n = random_below(p, round < 100 ? 5 : MANY);
        uint64_t mask = random_next(p) & random_next(p) & random_next(p);
        uint64_t base = random_next(p) & ~mask;
        for (uint32_t i = 0; i < n; i++)
            items[i] = (struct order_item){base | (random_next(p) & mask), i};
        memset(seen, 0, sizeof seen);
        const struct order_item *sorted = order_sort(items, n);
        for (size_t i = 0; i < n; i++) {
            assert_true(i == 0 || sorted[i].key > sorted[i - 1].key ||
                        (sorted[i].key == sorted[i - 1].key && sorted[i].place > sorted[i - 1].place));
            assert_false(seen[sorted[i].place]);
            seen[sorted[i].place] = true;
            assert_int_equal(sorted[i].key & ~mask, base);
        }
    }
    free(p);
}

static void test_column_set(void **state)
{
    (void)state;
    struct column_set s = {.word = {0}};
    for (unsigned id = 0; id < COLUMNS_MAX; id++) {
        assert_false(column_has(&s, id));
        column_add(&s, id);
        assert_true(column_has(&s, id));
    }
    column_remove(&s, 64);
    assert_false(column_has(&s, 64));
    assert_true(column_has(&s, 63) && column_has(&s, 65));
    column_add(&s, COLUMNS_MAX); /* no such column: nothing happens */
    assert_false(column_has(&s, COLUMNS_MAX));
}

static void test_numbers_of_all_sizes(void **state)
{
    (void)state;
    struct flow_row row = {.flow_id = 0};
    uint64_t v = 7;
    const struct column *port = table_column(&table_flow, FLOW_PORT_0);
    assert_false(column_uint(port, &row, &v));
    row.key.port[0] = 443;
    assert_false(column_uint(port, &row, &v)); /* there, but not known */
    column_set_uint(port, &row, 80);
    assert_true(column_uint(port, &row, &v));
    assert_int_equal(v, 80);
    assert_int_equal(row.key.port[0], 80);
    column_set_uint(table_column(&table_flow, FLOW_STATE), &row, FLOW_STATE_REJ);
    assert_int_equal(row.state, FLOW_STATE_REJ);
    column_set_uint(table_column(&table_flow, FLOW_SYN_1), &row, UINT32_MAX);
    assert_int_equal(row.syn[1], UINT32_MAX);
    column_set_uint(table_column(&table_flow, FLOW_ID), &row, UINT64_MAX);
    assert_int_equal(row.flow_id, UINT64_MAX);
    column_add(&row.has, FLOW_HISTORY);
    assert_false(column_uint(table_column(&table_flow, FLOW_HISTORY), &row, &v));
    assert_int_equal(column_most(port), 65535);
    assert_int_equal(column_most(table_column(&table_flow, FLOW_ORIGINATOR)), 1);
    assert_int_equal(column_most(table_column(&table_flow, FLOW_ID)), UINT64_MAX);
}

static void test_names_of_enumerations(void **state)
{
    (void)state;
    uint64_t v = 99;
    assert_null(flow_state_name(FLOW_STATE_UNKNOWN));
    assert_null(flow_state_name(FLOW_STATE_OTH + 1));
    for (uint64_t s = FLOW_STATE_S0; s <= FLOW_STATE_OTH; s++) {
        const char *name = flow_state_name(s);
        assert_true(flow_state_parse(name, strlen(name), &v));
        assert_int_equal(v, s);
    }
    assert_true(flow_state_parse("rstOS0xxx", 6, &v));
    assert_int_equal(v, FLOW_STATE_RSTOS0);
    assert_false(flow_state_parse("RSTOS", 5, &v));
    assert_false(flow_state_parse("S", 1, &v));
    assert_false(flow_state_parse("", 0, &v));
    assert_string_equal(flow_end_name(FLOW_END_DETECTED), "end-of-flow");
    assert_null(flow_end_name(6));
    assert_string_equal(originator_by_name(ORIGINATOR_SYN), "syn");
    assert_null(originator_by_name(6));
    assert_null(flow_state_name(UINT64_MAX));
}

/* --- Merging ----------------------------------------------------------------------------------------------------- */

static struct flow_row row_with(unsigned id, uint64_t value)
{
    struct flow_row row = {.flow_id = 0};
    column_set_uint(table_column(&table_flow, id), &row, value);
    return row;
}

static uint64_t merged(unsigned id, uint64_t a, uint64_t b)
{
    struct flow_row into = row_with(id, a);
    struct flow_row from = row_with(id, b);
    uint64_t v = 0;
    table_merge(&table_flow, &into, &from);
    assert_true(column_uint(table_column(&table_flow, id), &into, &v));
    return v;
}

static void test_each_rule(void **state)
{
    (void)state;
    assert_int_equal(merged(FLOW_PACKETS_0, 3, 4), 7);
    assert_int_equal(merged(FLOW_FIRST, 30, 40), 30);
    assert_int_equal(merged(FLOW_FIRST, 40, 30), 30);
    assert_int_equal(merged(FLOW_LAST, 30, 40), 40);
    assert_int_equal(merged(FLOW_LAST, 40, 30), 40);
    assert_int_equal(merged(FLOW_TCP_FLAGS_1, TCP_SYN, TCP_ACK), TCP_SYN | TCP_ACK);
    assert_int_equal(merged(FLOW_STATE, FLOW_STATE_S1, FLOW_STATE_SF), FLOW_STATE_SF);
    assert_int_equal(merged(FLOW_ORIGINATOR, 0, 1), 1);
    assert_int_equal(merged(FLOW_PORT_0, 80, 80), 80);
    assert_int_equal(merged(FLOW_PRIOR_PACKETS, 10, 25), 10); /* of the first row */
}

static void test_sums_stay_at_their_greatest(void **state)
{
    (void)state;
    assert_int_equal(merged(FLOW_BYTES_0, UINT64_MAX - 1, 5), UINT64_MAX);
    assert_int_equal(merged(FLOW_SYN_0, UINT32_MAX - 1, 5), UINT32_MAX);
    assert_int_equal(merged(FLOW_SYN_0, UINT32_MAX - 1, 1), UINT32_MAX);
}

static void test_missing_stays_missing(void **state)
{
    (void)state;
    struct flow_row into = row_with(FLOW_PACKETS_0, 3);
    struct flow_row from = row_with(FLOW_PACKETS_1, 4);
    table_merge(&table_flow, &into, &from);
    assert_int_equal(into.packets[0], 3);
    assert_int_equal(into.packets[1], 4);
    assert_true(column_has(&into.has, FLOW_PACKETS_0) && column_has(&into.has, FLOW_PACKETS_1));
    assert_false(column_has(&into.has, FLOW_SYN_0));
}

static void test_latest_known_state_and_text(void **state)
{
    (void)state;
    struct flow_row into = row_with(FLOW_STATE, FLOW_STATE_S1);
    struct flow_row from = row_with(FLOW_PACKETS_0, 1);
    into.history = (struct text){.data = "ShA", .len = 3};
    column_add(&into.has, FLOW_HISTORY);
    table_merge(&table_flow, &into, &from); /* says nothing of either */
    assert_int_equal(into.state, FLOW_STATE_S1);
    assert_int_equal(into.history.len, 3);
    from.history = (struct text){.data = "ShADadFf", .len = 8};
    column_add(&from.has, FLOW_HISTORY);
    table_merge(&table_flow, &into, &from);
    assert_ptr_equal(into.history.data, from.history.data); /* shared, not copied */
    assert_int_equal(into.history.len, 8);
}

static void test_what_a_chunk_says_is_dropped(void **state)
{
    (void)state;
    static const uint32_t frames[] = {1, 2};
    struct flow_row into = row_with(FLOW_PACKETS_0, 3);
    struct flow_row from = into;
    into.frames = (struct list){.items = frames, .count = 2};
    column_add(&into.has, FLOW_FRAMES);
    table_merge(&table_flow, &into, &from);
    assert_false(column_has(&into.has, FLOW_FRAMES));
}

/* Merges [from, to) by cutting it at a random place, again and again. */
static void merge_cut(struct random_pool *p, const struct table *t, const uint8_t *rows, size_t from, size_t to,
                      void *out)
{
    uint8_t right[1024];
    assert_true(t->row_size <= sizeof(right));
    if (to - from == 1) {
        memcpy(out, rows + from * t->row_size, t->row_size);
        return;
    }
    size_t cut = from + 1 + random_below(p, to - from - 1);
    merge_cut(p, t, rows, from, cut, out);
    merge_cut(p, t, rows, cut, to, right);
    table_merge(t, out, right);
}

/* The key is the same in all rows of a flow; whether they have it is not. */
static void same_keys(const struct table *t, uint8_t *rows, size_t n)
{
    for (unsigned k = 0; k < t->count; k++)
        for (size_t i = 1; i < n && t->columns[k].merge == MERGE_KEY; i++)
            memcpy(rows + i * t->row_size + t->columns[k].offset, rows + t->columns[k].offset, t->columns[k].size);
}

static void test_any_cut_gives_the_same(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(3);
    for (unsigned round = 0; round < 3000; round++) {
        const struct table *t = tables[round % 2];
        size_t n = 2 + random_below(p, 12);
        uint8_t *rows = random_rows(p, t, n);
        uint8_t *one = malloc(t->row_size);
        uint8_t *cut = malloc(t->row_size);
        assert_true(one && cut);
        same_keys(t, rows, n);
        memcpy(one, rows, t->row_size);
        for (size_t i = 1; i < n; i++)
            table_merge(t, one, rows + i * t->row_size);
        for (unsigned again = 0; again < 4; again++) {
            merge_cut(p, t, rows, 0, n, cut);
            assert_same_rows(t, one, cut, 1);
        }
        free(one);
        free(cut);
        free(rows);
    }
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_ascend_and_names_differ),
        cmocka_unit_test(test_sizes_fit_types),
        cmocka_unit_test(test_columns_do_not_overlap),
        cmocka_unit_test(test_ids_on_disk),
        cmocka_unit_test(test_sorting_by_numbers),
        cmocka_unit_test(test_column_set),
        cmocka_unit_test(test_numbers_of_all_sizes),
        cmocka_unit_test(test_names_of_enumerations),
        cmocka_unit_test(test_each_rule),
        cmocka_unit_test(test_sums_stay_at_their_greatest),
        cmocka_unit_test(test_missing_stays_missing),
        cmocka_unit_test(test_latest_known_state_and_text),
        cmocka_unit_test(test_what_a_chunk_says_is_dropped),
        cmocka_unit_test(test_any_cut_gives_the_same),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
