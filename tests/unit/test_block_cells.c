/* Blocks: columns that stand in the order of another one's numbers, and columns of few values, which stand in cells. */
#include "common/base/hash.h"
#include "common/rows/block_format.h"
#include "common/rows/cells.h"
#include "common/rows/order.h"
#include "tests/unit/block_craft.h"
#include "tests/unit/random_rows.h"

#include <stdio.h>

/* Reads the column of a block made by hand, which it frees. */
static void assert_numbers(struct buffer data, unsigned id, const uint64_t *expected, size_t n)
{
    struct block *b = block_opened(&table_flow, data.data, data.len);
    uint64_t numbers[8];
    struct error e = ERROR_INIT;
    assert_int_equal(block_rows(b), n);
    if (block_read_numbers(b, id, numbers, NULL, &e) < 0)
        fail_msg("%s", e.text);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(numbers[i], expected[i]);
    block_close(b);
    buffer_free(&data);
}
#define NUMBERS(...) (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8

/* Names 5, 6 and 7, mixed, in the order of times. */
static struct buffer ordered(unsigned flags, const void *data, size_t len, unsigned other_flags, const void *other_data,
                             size_t other_len)
{
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_ID, 2, flags, data, len, len);
    craft_add(&c, FLOW_START, 2, other_flags, other_data, other_len, other_len);
    return craft_finish(&c, BLOCK_VERSION, 1, 3);
}

static void test_numbers_in_the_order_of_another_column(void **state)
{
    (void)state;
    const unsigned other = FLOW_START;
    /* times are 30, 10, 20 */
    assert_numbers(ordered(64, BYTES(other, 0, 1, 5, 6, 7), 0, BYTES(0, 1, 30, 10, 20)), FLOW_ID, NUMBERS(7, 5, 6));
    assert_numbers(ordered(64 | 16, BYTES(other, 0, 1, 5, 6, 7), 0, BYTES(0, 1, 30, 10, 20)), FLOW_ID,
                   NUMBERS(hash64_mix(7), hash64_mix(5), hash64_mix(6)));
    /* equal ones as the rows stand: 20, 10, 20 */
    assert_numbers(ordered(64, BYTES(other, 0, 1, 5, 6, 7), 0, BYTES(0, 1, 20, 10, 20)), FLOW_ID, NUMBERS(6, 5, 7));
    /* the row in the middle has no time: then it is the first */
    assert_numbers(ordered(64, BYTES(other, 0, 1, 5, 6, 7), 1, BYTES(0x05, 0, 1, 30, 20)), FLOW_ID, NUMBERS(7, 5, 6));
    /* that one may be relative to another: it is above 1, 2, 3 by 9, 0 and 0 */
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_ID, 2, 64, BYTES(other, 0, 1, 5, 6, 7), 6);
    craft_add(&c, other, 2, 4, BYTES(FLOW_FIRST, 0, 1, 9, 0, 0), 6);
    craft_add(&c, FLOW_FIRST, 2, 0, BYTES(0, 1, 1, 2, 3), 5);
    assert_numbers(craft_finish(&c, BLOCK_VERSION, 1, 3), FLOW_ID, NUMBERS(7, 5, 6));
}

static void test_wrong_orders(void **state)
{
    (void)state;
    const unsigned other = FLOW_START;
    REFUSED(ERROR_INVALID, "other column's id", ordered(64, BYTES(0x80), 0, BYTES(0, 1, 30, 10, 20)));
    REFUSED(ERROR_INVALID, "does not serve", ordered(64, BYTES(24, 0, 1, 5, 6, 7), 0, BYTES(0, 1, 30, 10, 20)));
    REFUSED(ERROR_INVALID, "does not serve", ordered(64, BYTES(14, 0, 1, 5, 6, 7), 0, BYTES(0, 1, 30, 10, 20)));
    REFUSED(ERROR_INVALID, "does not serve", ordered(64, BYTES(other, 0, 1, 5, 6, 7), 64, BYTES(14, 0, 1, 30, 10, 20)));
    REFUSED(ERROR_INVALID, "does not serve", ordered(0, BYTES(0, 1, 5, 6, 7), 64, BYTES(other, 0, 1, 30, 10, 20)));
    REFUSED(ERROR_INVALID, "cannot", ordered(64, BYTES(other, 0, 1, 5, 6, 7), 1, BYTES(0x0f, 0, 1, 30, 10, 20)));
    REFUSED(ERROR_INVALID, "sequence", ordered(64, BYTES(other, 0, 1, 5, 6, 7), 0, BYTES(0, 1, 30, 10)));
    REFUSED(ERROR_INVALID, "behind", ordered(64, BYTES(other, 0, 1, 5, 6, 7, 8), 0, BYTES(0, 1, 30, 10, 20)));
    /* nothing may be relative to what is ordered */
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_ID, 2, 64, BYTES(other, 0, 1, 5, 6, 7), 6);
    craft_add(&c, other, 1, 0, BYTES(1), 1);
    craft_add(&c, FLOW_FIRST, 1, 4, BYTES(FLOW_ID, 1), 2);
    REFUSED(ERROR_INVALID, "does not serve", craft_finish(&c, BLOCK_VERSION, 1, 3));
    /* one other column alone orders */
    c.columns = 0;
    craft_add(&c, FLOW_ID, 2, 64, BYTES(FLOW_FIRST, 0, 1, 5, 6, 7), 6);
    craft_add(&c, FLOW_FIRST, 2, 0, BYTES(0, 1, 1, 2, 3), 5);
    REFUSED(ERROR_INVALID, "does not serve", craft_finish(&c, BLOCK_VERSION, 1, 3));
    struct buffer b = ordered(64, BYTES(other, 0, 1, 5, 6, 7), 0, BYTES(0, 1, 30, 10, 20));
    b.data[b.len - 1] ^= 1;
    struct block *block = block_opened(&table_flow, b.data, b.len);
    uint64_t numbers[3];
    assert_int_equal(block_read_numbers(block, FLOW_ID, numbers, NULL, NULL), ERROR_CORRUPT);
    block_close(block);
    buffer_free(&b);
}

/* Names in the order of times cost next to nothing, too, however the rows stand. */
static void test_names_in_the_order_of_times_are_small(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    static struct order_item items[2 * MANY];
    struct random_pool *p = random_pool_new(43);
    struct flow_row *rows = calloc(MANY, sizeof(*rows));
    assert_non_null(rows);
    for (uint32_t i = 0; i < MANY; i++) {
        column_set_uint(table_column(&table_flow, FLOW_START), &rows[i], random_next(p) >> 4);
        items[i] = (struct order_item){rows[i].start_ns, i};
    }
    const struct order_item *sorted = order_sort(items, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        column_set_uint(table_column(&table_flow, FLOW_ID), &rows[sorted[i].place], hash64_mix(UINT64_C(1) << 60 | i));
    struct buffer out = block_encoded(&table_flow, rows, MANY);
    assert_in_range(out.len, MANY * 7, MANY * 8 + 1500);
    block_assert_round_trip(&table_flow, (const uint8_t *)rows, MANY);
    buffer_free(&out);
    free(rows);
    free(p);
}

/* A block of two columns of cells and 3 rows: proto of {6, 17}, and history of {"S", "ShA"}. */
static struct buffer two_of_cells(const void *cells, size_t len, unsigned cells_flags, size_t raw)
{
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_PROTO, 8, 0, BYTES(2, 2, 6, 1, 0, 11), 6);
    craft_add(&c, FLOW_HISTORY, 8, 0, BYTES(2, 2, 0, 1, 1, 3, 'S', 'S', 'h', 'A'), 10);
    craft_add(&c, 65535, 8, cells_flags, cells, len, raw);
    return craft_finish(&c, BLOCK_VERSION, 1, 3);
}

static void test_cells(void **state)
{
    (void)state;
    struct buffer data = two_of_cells(BYTES(1, 0, 2, 2, 1, 1), 0, 6);
    struct block *b = block_opened(&table_flow, data.data, data.len);
    void *all;
    struct error e = ERROR_INIT;
    if (block_read(b, &all, &e) < 0)
        fail_msg("%s", e.text);
    const struct flow_row *rows = all;
    assert_int_equal(rows[0].key.proto, 6);
    assert_int_equal(rows[1].key.proto, 17);
    assert_int_equal(rows[2].key.proto, 6);
    assert_false(column_has(&rows[0].has, FLOW_HISTORY));
    assert_int_equal(rows[1].history.len, 3);
    assert_memory_equal(rows[1].history.data, "ShA", 3);
    assert_int_equal(rows[2].history.len, 1);
    free(all);
    block_close(b);
    buffer_free(&data);
}

/* Columns of cells that this reader does not know have their cells, too; others may have the same rows, or be relative. */
static void test_cells_and_others(void **state)
{
    (void)state;
    struct craft c = {.columns = 0};
    craft_add(&c, 15, 8, 0xff, BYTES(1, 2, 3), 9999);
    craft_add(&c, FLOW_BYTES_0, 8, 0, BYTES(2, 2, 10, 1, 0, 5), 6);         /* 15, none, 10 */
    craft_add(&c, FLOW_BYTES_1, 2, 32, BYTES(FLOW_BYTES_0, 0, 1, 7, 9), 5); /* 7, none, 9 */
    craft_add(&c, FLOW_PAYLOAD_0, 8, 8, BYTES(FLOW_BYTES_0, 1, 1, 4), 4);   /* 4 below bytes.0, in all rows */
    craft_add(&c, 65535, 8, 0, BYTES(9, 2, 1, 8, 0, 1, 7, 1, 1), 9);
    struct buffer data = craft_finish(&c, BLOCK_VERSION, 1, 3);
    struct block *b = block_opened(&table_flow, data.data, data.len);
    uint64_t numbers[3];
    uint8_t present;
    assert_int_equal(block_read_numbers(b, FLOW_BYTES_1, numbers, &present, NULL), 0);
    assert_int_equal(present, 5);
    assert_int_equal(numbers[0], 7);
    assert_int_equal(numbers[2], 9);
    assert_int_equal(block_read_numbers(b, FLOW_BYTES_0, numbers, &present, NULL), 0);
    assert_int_equal(present, 5);
    assert_int_equal(numbers[0], 15);
    assert_int_equal(numbers[1], 0);
    assert_int_equal(numbers[2], 10);
    assert_int_equal(block_read_numbers(b, FLOW_PAYLOAD_0, numbers, &present, NULL), 0);
    assert_int_equal(present, 7);
    assert_int_equal(numbers[0], 11);
    assert_int_equal(numbers[1], (uint64_t)-4);
    assert_int_equal(numbers[2], 6);
    block_close(b);
    /* damage in the cells is noticed by each */
    data.data[data.len - 1] ^= 1;
    static const unsigned columns[] = {FLOW_BYTES_0, FLOW_BYTES_1, FLOW_PAYLOAD_0};
    for (size_t i = 0; i < 3; i++) {
        b = block_opened(&table_flow, data.data, data.len);
        assert_int_equal(block_read_numbers(b, columns[i], numbers, &present, NULL), ERROR_CORRUPT);
        block_close(b);
    }
    buffer_free(&data);
}

static void test_wrong_cells(void **state)
{
    (void)state;
    REFUSED(0, "", two_of_cells(BYTES(1, 0, 2, 2, 1, 1), 0, 6));
    REFUSED(ERROR_INVALID, "outside", two_of_cells(BYTES(1, 0, 3, 2, 1, 1), 0, 6));
    REFUSED(ERROR_INVALID, "outside", two_of_cells(BYTES(1, 0, 2, 3, 1, 1), 0, 6));
    REFUSED(ERROR_INVALID, "no row has it", two_of_cells(BYTES(1, 0, 2, 0, 1, 0), 0, 6));
    REFUSED(ERROR_INVALID, "each row and column", two_of_cells(BYTES(1, 0, 2, 2, 1), 0, 5));
    REFUSED(ERROR_INVALID, "each row and column", two_of_cells(BYTES(1, 0, 2, 2, 1, 1, 1), 0, 7));
    REFUSED(ERROR_INVALID, "flags of the cells", two_of_cells(BYTES(1, 0, 2, 2, 1, 1), 1, 6));
    REFUSED(ERROR_INVALID, "two lengths", two_of_cells(BYTES(1, 0, 2, 2, 1, 1), 0, 12));
    REFUSED(ERROR_INVALID, "one zstd frame", two_of_cells(BYTES(1, 0, 2, 2, 1, 1), 2, 6));
    REFUSED(ERROR_INVALID, "cells without columns", craft_one_column(65535, 8, 0, BYTES(1, 1, 1), 3));
    REFUSED(ERROR_INVALID, "columns without cells", craft_one_column(FLOW_PROTO, 8, 0, BYTES(1, 1, 6), 3));
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_PROTO, 8, 0, BYTES(1, 1, 6), 3);
    craft_add(&c, 65535, 1, 0, BYTES(1, 1, 1), 3);
    REFUSED(ERROR_INVALID, "each row and column", craft_finish(&c, BLOCK_VERSION, 1, 3));
    /* they tell themselves which rows have it */
    REFUSED(ERROR_INVALID, "not go together", craft_one_column(FLOW_PROTO, 8, 1, BYTES(7, 1, 1, 6), 3));
    REFUSED(ERROR_INVALID, "not go together", craft_one_column(FLOW_PROTO, 8, 32, BYTES(3, 1, 1, 6), 3));
    /* more values than rows, and none */
    craft_add(&c, FLOW_PROTO, 8, 0, BYTES(2, 2, 6, 1, 0, 11), 6);
    craft_add(&c, 65535, 8, 0, BYTES(1, 0, 0), 3);
    REFUSED(ERROR_INVALID, "not a dictionary", craft_finish(&c, BLOCK_VERSION, 1, 3));
    craft_add(&c, FLOW_HISTORY, 8, 0, BYTES(0), 1);
    craft_add(&c, 65535, 8, 0, BYTES(1, 0, 0), 3);
    REFUSED(ERROR_INVALID, "not a dictionary", craft_finish(&c, BLOCK_VERSION, 1, 3));
    /* lists have none */
    craft_add(&c, FLOW_FRAMES, 8, 0, BYTES(1, 1, 1), 3);
    craft_add(&c, 65535, 8, 0, BYTES(1, 1, 1), 3);
    REFUSED(ERROR_INVALID, "lists", craft_finish(&c, BLOCK_VERSION, 1, 3));
}

/* However many there are: whole words of lines and columns, and what is left of them. */
static void test_cells_are_turned_and_looked_at(void **state)
{
    (void)state;
    enum { MOST = 140 };
    static uint8_t from[MOST * MOST], to[MOST * MOST], bits[MOST / 8 + 1];
    struct random_pool *p = random_pool_new(53);
    for (unsigned round = 0; round < 2000; round++) {
        size_t n = 1 + random_below(p, MOST);
        size_t m = 1 + random_below(p, MOST);
        size_t first = random_below(p, m);
        size_t last = first + 1 + random_below(p, m - first);
        uint64_t rare = 1 + random_below(p, 300);
        for (size_t i = 0; i < n * m; i++)
            from[i] = (uint8_t)(random_below(p, rare) ? 0 : random_next(p));
        memset(to, 0xa5, sizeof to);
        cells_turn(from, n, m, first, last, to);
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < m; k++)
                assert_int_equal(to[k * n + i], k < first || k >= last ? 0xa5 : from[i * m + k]);
        size_t count = 0;
        uint8_t greatest = 0;
        for (size_t i = 0; i < n; i++) {
            count += from[i] != 0;
            greatest = from[i] > greatest ? from[i] : greatest;
        }
        assert_int_equal(cells_greatest(from, n), greatest);
        assert_int_equal(cells_presence(from, n, bits), count);
        for (size_t i = 0; i < (n + 7) / 8 * 8; i++)
            assert_int_equal(bits[i / 8] >> i % 8 & 1, i < n && from[i]);
    }
    free(p);
}

/* What goes together costs little more than one of it. */
static void test_what_goes_together_is_small(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    static const unsigned columns[] = {FLOW_PROTO,  FLOW_SYN_0,     FLOW_FIN_0,   FLOW_TCP_FLAGS_0,
                                       FLOW_STATE,  FLOW_MSS_0,     FLOW_STATUS,  FLOW_TLS_CIPHER,
                                       FLOW_SACK_0, FLOW_RETRANS_0, FLOW_REPLIES, FLOW_WINDOW_SCALE_0};
    struct random_pool *p = random_pool_new(47);
    struct flow_row *rows = calloc(MANY, sizeof(*rows));
    size_t size[2];
    assert_non_null(rows);
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < MANY; i++) {
            uint64_t kind = k ? rows[i].exchanges : random_below(p, 8);
            column_set_uint(table_column(&table_flow, FLOW_EXCHANGES), &rows[i], kind);
            for (size_t c = 0; k && c < sizeof(columns) / sizeof(*columns); c++)
                if (kind != c)
                    column_set_uint(table_column(&table_flow, columns[c]), &rows[i], (kind * (c + 3) + c) % 2);
        }
        struct buffer out = block_encoded(&table_flow, rows, MANY);
        size[k] = out.len;
        block_assert_round_trip(&table_flow, (const uint8_t *)rows, MANY);
        buffer_free(&out);
    }
    assert_in_range(size[0], MANY * 3 / 8, MANY);
    assert_in_range(size[1], size[0], 5 * size[0]); /* apart they take 7 times as much */
    free(rows);
    free(p);
}

/* The same text, or address, in all rows that have it: next to nothing, whichever these are, and however few. */
static void test_what_is_the_same_in_all_rows(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    static const unsigned every[] = {1, 1, 2, 3};
    struct flow_row *rows = calloc(MANY, sizeof(*rows));
    assert_non_null(rows);
    for (size_t round = 0; round < 4; round++)
        for (size_t n = 1; n < MANY; n = n * 3 + 1) {
            for (size_t i = 0; i < n; i++) {
                memset(&rows[i], 0, sizeof(*rows));
                column_set_uint(table_column(&table_flow, FLOW_PROTO), &rows[i], i % 2);
                if (i % every[round] == 0) {
                    rows[i].history = (struct text){.data = "ShADad", .len = 6};
                    memset(rows[i].key.addr[1], 7, 16);
                    column_add(&rows[i].has, FLOW_HISTORY);
                    column_add(&rows[i].has, FLOW_ADDR_1);
                }
            }
            if (round == 1 && n > 1) { /* but for one of them */
                rows[n - 1].history.len = 5;
                rows[n - 1].key.addr[1][15] = 8;
            }
            struct buffer out = block_encoded(&table_flow, rows, n);
            assert_in_range(out.len, 100, 220 + n / 6);
            block_assert_round_trip(&table_flow, (const uint8_t *)rows, n);
            buffer_free(&out);
        }
    free(rows);
}

/* A dictionary of many names, most of which come again. */
static void test_many_names(void **state)
{
    (void)state;
    enum { MANY = 30000, LENGTH = 8 };
    static char names[MANY][LENGTH + 1];
    struct random_pool *p = random_pool_new(59);
    struct flow_row *rows = calloc(MANY, sizeof(*rows));
    assert_non_null(rows);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "%08u", (unsigned)random_below(p, MANY / 3));
        rows[i].history = (struct text){.data = names[i], .len = LENGTH};
        column_add(&rows[i].has, FLOW_HISTORY);
    }
    block_assert_round_trip(&table_flow, (const uint8_t *)rows, MANY);
    free(rows);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_in_the_order_of_another_column),
        cmocka_unit_test(test_wrong_orders),
        cmocka_unit_test(test_names_in_the_order_of_times_are_small),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_cells_and_others),
        cmocka_unit_test(test_wrong_cells),
        cmocka_unit_test(test_cells_are_turned_and_looked_at),
        cmocka_unit_test(test_what_goes_together_is_small),
        cmocka_unit_test(test_what_is_the_same_in_all_rows),
        cmocka_unit_test(test_many_names),
    };
    return cmocka_run_group_tests_name("block_cells", tests, NULL, NULL);
}
