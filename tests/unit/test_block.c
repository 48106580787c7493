/*
 * Blocks: what is written comes back; what a reader would refuse is not written.
 */
#include "tests/unit/block_craft.h"
#include "tests/unit/random_rows.h"

/* --- What is written comes back ---------------------------------------------------------------------------------- */
static void test_random_rows_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000, 3001};
    struct random_pool *p = random_pool_new(1);
    for (unsigned round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
            for (size_t k = 0; k < 2; k++) {
                uint8_t *rows = random_rows(p, block_tables[k], sizes[i]);
                block_assert_round_trip(block_tables[k], rows, sizes[i]);
                free(rows);
            }
    free(p);
}

static void test_a_large_block(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(2);
    uint8_t *rows = random_rows(p, &table_flow, 70000);
    block_assert_round_trip(&table_flow, rows, 70000);
    free(rows);
    free(p);
}

static void test_every_width(void **state)
{
    (void)state;
    static struct flow_row rows[300];
    static uint64_t numbers[300];
    struct random_pool *p = random_pool_new(5);
    for (unsigned width = 0; width <= 64; width++)
        for (unsigned base = 0; base < 2; base++) {
            uint64_t most = width ? UINT64_MAX >> (64 - width) : 0;
            for (size_t i = 0; i < 300; i++) {
                rows[i].bytes[0] = (random_next(p) & most) + (base && width < 63 ? 1000000007 : 0);
                rows[i].start_ns = i * 1000 + (random_next(p) & most); /* by delta */
                column_add(&rows[i].has, FLOW_BYTES_0);
                column_add(&rows[i].has, FLOW_START);
            }
            block_assert_round_trip(&table_flow, (const uint8_t *)rows, 300);
            struct buffer out = block_encoded(&table_flow, rows, 300);
            struct block *b = block_opened(&table_flow, out.data, out.len);
            assert_int_equal(block_read_numbers(b, FLOW_BYTES_0, numbers, NULL, NULL), 0);
            for (size_t i = 0; i < 300; i++)
                assert_int_equal(numbers[i], rows[i].bytes[0]);
            block_close(b);
            buffer_free(&out);
        }
    free(p);
}

static void test_extreme_numbers(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, UINT64_MAX, 1, UINT64_MAX / 2, UINT64_MAX / 2 + 1, 0, UINT64_MAX};
    struct flow_row rows[7];
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < 7; i++) {
        rows[i].bytes[0] = values[i];
        rows[i].first_ns = values[6 - i];
        column_add(&rows[i].has, FLOW_BYTES_0);
        column_add(&rows[i].has, FLOW_FIRST);
    }
    block_assert_round_trip(&table_flow, (const uint8_t *)rows, 7);
}

/* Each column read alone, in any order, says what the whole says; and touches nothing else. */
static void test_a_column_alone(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(7);
    for (unsigned round = 0; round < 30; round++) {
        size_t n = 1 + random_below(p, 500);
        uint8_t *rows = random_rows(p, &table_flow, n);
        struct buffer out = block_encoded(&table_flow, rows, n);
        for (unsigned k = table_flow.count; k-- > 0;) {
            const struct column *c = &table_flow.columns[k];
            struct block *b = block_opened(&table_flow, out.data, out.len);
            uint8_t *back = malloc(n * table_flow.row_size);
            assert_non_null(back);
            memset(back, 0xa5, n * sizeof(struct flow_row));
            struct error e = ERROR_INIT;
            if (block_read_column(b, c->id, back, &e) < 0)
                fail_msg("%s", e.text);
            for (size_t i = 0; i < n; i++) {
                uint8_t *row = back + i * sizeof(struct flow_row);
                assert_true(same_value(c, rows + i * sizeof(struct flow_row), row));
                memset(row + c->offset, 0xa5, c->size);
                (column_has((void *)row, c->id) ? column_add : column_remove)((void *)row, c->id);
                struct column_set set;
                memset(&set, 0xa5, sizeof(set));
                (column_has((void *)row, c->id) ? column_add : column_remove)(&set, c->id);
                assert_memory_equal(row, &set, sizeof(set));
                for (size_t at = sizeof(set); at < sizeof(struct flow_row); at++)
                    if (row[at] != 0xa5)
                        fail_msg("column %s wrote at %zu", c->name, at);
            }
            free(back);
            block_close(b);
        }
        free(rows);
        buffer_free(&out);
    }
    free(p);
}

static void test_numbers_as_arrays(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(9);
    for (unsigned round = 0; round < 60; round++) {
        size_t n = 1 + random_below(p, 700);
        uint8_t *rows = random_rows(p, &table_flow, n);
        struct buffer out = block_encoded(&table_flow, rows, n);
        struct block *b = block_opened(&table_flow, out.data, out.len);
        uint64_t numbers[700];
        uint8_t present[88];
        for (unsigned k = 0; k < table_flow.count; k++) {
            const struct column *c = &table_flow.columns[k];
            if (c->type != COLUMN_UINT) {
                assert_int_equal(block_read_numbers(b, c->id, numbers, present, NULL), ERROR_USAGE);
                continue;
            }
            memset(present, 0xff, sizeof(present));
            assert_int_equal(block_read_numbers(b, c->id, numbers, present, NULL), 0);
            for (size_t i = 0; i < n; i++) {
                uint64_t v = 0;
                bool has = column_uint(c, rows + i * sizeof(struct flow_row), &v);
                assert_int_equal(present[i / 8] >> i % 8 & 1, has);
                assert_int_equal(numbers[i], v);
            }
            assert_true(n % 8 == 0 || present[n / 8] >> n % 8 == 0);
        }
        assert_int_equal(block_read_numbers(b, 15, numbers, NULL, NULL), ERROR_NOT_FOUND);
        block_close(b);
        buffer_free(&out);
        free(rows);
    }
    free(p);
}

/* A column that the block lacks is cleared, and one that only other columns' readers used stays as it is. */
static void test_absent_columns(void **state)
{
    (void)state;
    struct flow_row row = {.flow_id = 1};
    column_add(&row.has, FLOW_ID);
    struct buffer out = block_encoded(&table_flow, &row, 1);
    struct block *b = block_opened(&table_flow, out.data, out.len);
    assert_true(block_has_column(b, FLOW_ID));
    assert_false(block_has_column(b, FLOW_STATE));
    column_add(&row.has, FLOW_STATE);
    column_add(&row.has, FLOW_LAST);
    assert_int_equal(block_read_column(b, FLOW_STATE, &row, NULL), 0);
    assert_false(column_has(&row.has, FLOW_STATE));
    assert_true(column_has(&row.has, FLOW_LAST));
    assert_int_equal(block_read_column(b, 15, &row, NULL), ERROR_NOT_FOUND);
    block_close(b);
    buffer_free(&out);
}

/* What rows point to stays where it is until the block is closed, whatever is read later. */
static void test_texts_and_lists_stay(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(11);
    uint8_t *rows = random_rows(p, &table_flow, 2000);
    struct buffer out = block_encoded(&table_flow, rows, 2000);
    struct block *b = block_opened(&table_flow, out.data, out.len);
    void *first;
    void *second;
    assert_int_equal(block_read(b, &first, NULL), 0);
    assert_int_equal(block_read(b, &second, NULL), 0);
    assert_same_rows(&table_flow, first, rows, 2000);
    assert_same_rows(&table_flow, second, rows, 2000);
    free(first);
    free(second);
    block_close(b);
    buffer_free(&out);
    free(rows);
    free(p);
}

static void test_blocks_follow_each_other_in_a_buffer(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(13);
    uint8_t *rows = random_rows(p, &table_flow, 50);
    struct buffer out = {.len = 0};
    buffer_append(&out, "before", 6);
    assert_int_equal(block_encode(&table_flow, rows, 50, &out, NULL), 0);
    assert_memory_equal(out.data, "before", 6);
    struct error e = ERROR_INIT;
    assert_int_equal(block_read_all(&table_flow, out.data + 6, out.len - 6, &e), 0);
    buffer_free(&out);
    free(rows);
    free(p);
}

/* --- What is not written ----------------------------------------------------------------------------------------- */
static void assert_not_written(const struct flow_row *rows, size_t n, int code, const char *what)
{
    struct buffer out = {.len = 0};
    struct error e = ERROR_INIT;
    assert_int_equal(block_encode(&table_flow, rows, n, &out, &e), code);
    if (!strstr(e.text, what))
        fail_msg("'%s' does not say '%s'", e.text, what);
    assert_int_equal(out.len, 0);
    buffer_free(&out);
}

static void test_what_a_reader_would_refuse_is_not_written(void **state)
{
    (void)state;
    static char long_text[COLUMN_TEXT_MAX + 1];
    static uint32_t long_list[COLUMN_LIST_MAX + 1];
    static const uint32_t descending[] = {2, 1};
    struct flow_row row = {.history = {.data = long_text, .len = sizeof(long_text)}};
    column_add(&row.has, FLOW_HISTORY);
    assert_not_written(&row, 1, ERROR_LIMIT, "history");
    row = (struct flow_row){.frames = {.items = long_list, .count = COLUMN_LIST_MAX + 1}};
    column_add(&row.has, FLOW_FRAMES);
    assert_not_written(&row, 1, ERROR_LIMIT, "frames");
    row.frames = (struct list){.items = descending, .count = 2};
    assert_not_written(&row, 1, ERROR_INVALID, "ascend");
    row = (struct flow_row){.originator = 2};
    column_add(&row.has, FLOW_ORIGINATOR);
    assert_not_written(&row, 1, ERROR_INVALID, "originator");
    assert_not_written(&row, BLOCK_ROWS_MAX + 1, ERROR_LIMIT, "262145");
}

static void test_lists_of_too_many_items_in_all(void **state)
{
    (void)state;
    static uint32_t items[COLUMN_LIST_MAX];
    struct flow_row *rows = calloc(257, sizeof(*rows));
    assert_non_null(rows);
    for (size_t i = 0; i < 257; i++) {
        rows[i].frames = (struct list){.items = items, .count = COLUMN_LIST_MAX};
        column_add(&rows[i].has, FLOW_FRAMES);
    }
    assert_not_written(rows, 257, ERROR_LIMIT, "in all");
    block_assert_round_trip(&table_flow, (const uint8_t *)rows, 3);
    free(rows);
}

static void test_a_full_buffer(void **state)
{
    (void)state;
    struct flow_row row = {.flow_id = 7};
    struct buffer out = {.limit = 20};
    struct error e = ERROR_INIT;
    column_add(&row.has, FLOW_ID);
    assert_int_equal(block_encode(&table_flow, &row, 1, &out, &e), ERROR_MEMORY);
    assert_int_equal(out.len, 0);
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_rows_come_back),
        cmocka_unit_test(test_a_large_block),
        cmocka_unit_test(test_every_width),
        cmocka_unit_test(test_extreme_numbers),
        cmocka_unit_test(test_a_column_alone),
        cmocka_unit_test(test_numbers_as_arrays),
        cmocka_unit_test(test_absent_columns),
        cmocka_unit_test(test_texts_and_lists_stay),
        cmocka_unit_test(test_blocks_follow_each_other_in_a_buffer),
        cmocka_unit_test(test_what_a_reader_would_refuse_is_not_written),
        cmocka_unit_test(test_lists_of_too_many_items_in_all),
        cmocka_unit_test(test_a_full_buffer),
    };
    return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
