/*
 * Blocks: the bytes are those that block.h and codec.h describe: the blocks made by hand here are spelled from there, with numbers, not with
 * the names of the code.
 */
#include "common/base/hash.h"
#include "common/rows/block_format.h"
#include "tests/unit/block_craft.h"
#include "tests/unit/random_rows.h"

#include <zstd.h>

/* The format does not change unnoticed: this is a block of version 3. */
static void test_the_bytes_of_a_block(void **state)
{
    (void)state;
    struct flow_row rows[3];
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < 3; i++) {
        column_set_uint(table_column(&table_flow, FLOW_PORT_1), &rows[i], 80);
        column_set_uint(table_column(&table_flow, FLOW_PROTO), &rows[i], i == 1 ? 17 : 6);
    }
    column_set_uint(table_column(&table_flow, FLOW_SYN_0), &rows[2], 300);
    struct craft c = {.columns = 0};
    craft_add(&c, 4, 1, 0, BYTES(80), 1);                /* constant 80 */
    craft_add(&c, 11, 2, 0, BYTES(6, 0, 4, 0xb0, 0), 5); /* frame 6 | groups | width 4 | 0, 11, 0 */
    craft_add(&c, 28, 1, 1, BYTES(0x04, 0xac, 0x02), 3); /* row 2 only | constant 300 */
    struct buffer expected = craft_finish(&c, BLOCK_VERSION, 1, 3);
    struct buffer out = block_encoded(&table_flow, rows, 3);
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.data, expected.data, out.len);
    buffer_free(&out);
    buffer_free(&expected);
}

/* Reads the column of a block made by hand into n rows; the block stays open in *b, whose bytes are in *data. */
static struct flow_row *crafted_rows(struct buffer *data, struct block **b, unsigned id, size_t n)
{
    struct flow_row *rows = calloc(n, sizeof(*rows));
    struct error e = ERROR_INIT;
    assert_non_null(rows);
    *b = block_opened(&table_flow, data->data, data->len);
    if (block_read_column(*b, id, rows, &e) < 0)
        fail_msg("%s", e.text);
    return rows;
}

static void assert_numbers(struct buffer data, unsigned id, const uint64_t *expected, size_t n)
{
    struct block *b;
    struct flow_row *rows = crafted_rows(&data, &b, id, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t v = 0;
        assert_true(column_uint(table_column(&table_flow, id), &rows[i], &v));
        assert_int_equal(v, expected[i]);
    }
    free(rows);
    block_close(b);
    buffer_free(&data);
}

#define NUMBERS(...) (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8

static void test_forms_of_numbers(void **state)
{
    (void)state;
    /* constant */
    assert_numbers(craft_one_column(FLOW_BYTES_0, 1, 0, BYTES(0x80, 0x01), 2), FLOW_BYTES_0, NUMBERS(128, 128));
    /* frame, groups, 3 bits: 5, 6, 7 from base 100 */
    assert_numbers(craft_one_column(FLOW_BYTES_0, 2, 0, BYTES(100, 0, 3, 0xf5, 0x01), 3), FLOW_BYTES_0,
                   NUMBERS(105, 106, 107));
    /* frame, two planes: 0x0102, 0x0304 */
    assert_numbers(craft_one_column(FLOW_BYTES_0, 2, 0, BYTES(0, 2, 0x02, 0x04, 0x01, 0x03), 2), FLOW_BYTES_0,
                   NUMBERS(0x0102, 0x0304));
    /* delta, before 10, step -3 (zigzag 5), one plane: 0, 1, 5 */
    assert_numbers(craft_one_column(FLOW_FIRST, 3, 0, BYTES(10, 5, 1, 0, 1, 5), 3), FLOW_FIRST, NUMBERS(7, 5, 7));
    /* dictionary {6, 17, 255} as a delta; indexes 2, 0, 1 as 2 bits */
    assert_numbers(craft_one_column(FLOW_PROTO, 4, 0, BYTES(3, 3, 0, 0, 1, 6, 11, 238, 2, 0, 0, 2, 0x12), 3),
                   FLOW_PROTO, NUMBERS(255, 6, 17));
    /* width 64 */
    assert_numbers(craft_one_column(FLOW_ID, 2, 0, BYTES(0, 0, 64, 1, 2, 3, 4, 5, 6, 7, 8), 1), FLOW_ID,
                   NUMBERS(0x0807060504030201));
}

static void test_numbers_in_two_parts(void **state)
{
    (void)state;
    /* factor 1000, quotients 2, 1 as a plane from 0, remainders 0 and 7 */
    assert_numbers(craft_one_column(FLOW_BYTES_0, 7, 0, BYTES(0xe8, 0x07, 2, 0, 1, 2, 1, 2, 0, 1, 0, 7), 2),
                   FLOW_BYTES_0, NUMBERS(2000, 1007));
    /* the product is taken modulo 2^64: (2^63) * 2 + 1 */
    assert_numbers(craft_one_column(FLOW_BYTES_0, 7, 0,
                                    BYTES(2, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1, 1), 1),
                   FLOW_BYTES_0, NUMBERS(1));
}

/* Names that look random, of numbers in order: 5, 6, 7 from 100 on. */
static void test_mixed_numbers(void **state)
{
    (void)state;
    assert_numbers(craft_one_column(FLOW_ID, 2, 16, BYTES(100, 0, 3, 0xf5, 0x01), 3), FLOW_ID,
                   NUMBERS(hash64_mix(105), hash64_mix(106), hash64_mix(107)));
    assert_int_equal(hash64_mix(1), UINT64_C(0x5692161d100b05e5)); /* splitmix64's */
}

static void test_numbers_relative_to_another_column(void **state)
{
    (void)state;
    const unsigned other = FLOW_BYTES_1;
    /* bytes.1 is 10, 20, 30; bytes.0 is above it by 0, 1, 2; and below it by 5 each */
    assert_numbers(craft_relative(other, 2, 4, BYTES(other, 0, 1, 0, 1, 2), 0, BYTES(0, 1, 10, 20, 30)), FLOW_BYTES_0,
                   NUMBERS(10, 21, 32));
    assert_numbers(craft_relative(other, 1, 8, BYTES(other, 5), 0, BYTES(0, 1, 10, 20, 30)), FLOW_BYTES_0,
                   NUMBERS(5, 15, 25));
    /* the row in the middle has no bytes.1: then it is craft_relative to 0 */
    assert_numbers(craft_relative(other, 1, 4, BYTES(other, 5), 1, BYTES(0x05, 0, 1, 10, 30)), FLOW_BYTES_0,
                   NUMBERS(15, 5, 35));
    /* below what is less: modulo 2^64 */
    assert_numbers(craft_relative(other, 1, 8, BYTES(other, 15), 0, BYTES(0, 1, 10, 20, 30)), FLOW_BYTES_0,
                   NUMBERS((uint64_t)-5, 5, 15));
}

/* The same rows have bytes.0 as bytes.1: the first and the last. */
static void test_rows_like_those_of_another_column(void **state)
{
    (void)state;
    struct buffer data =
        craft_relative(FLOW_BYTES_1, 2, 32, BYTES(FLOW_BYTES_1, 0, 1, 7, 9), 1, BYTES(0x05, 0, 1, 10, 30));
    struct block *b = block_opened(&table_flow, data.data, data.len);
    uint64_t numbers[3];
    uint8_t present;
    assert_int_equal(block_read_numbers(b, FLOW_BYTES_0, numbers, &present, NULL), 0);
    assert_int_equal(present, 5);
    assert_int_equal(numbers[0], 7);
    assert_int_equal(numbers[2], 9);
    block_close(b);
    /* damage there is noticed here */
    data.data[data.len - 5] ^= 4;
    b = block_opened(&table_flow, data.data, data.len);
    assert_int_equal(block_read_numbers(b, FLOW_BYTES_0, numbers, &present, NULL), ERROR_CORRUPT);
    block_close(b);
    buffer_free(&data);
}

static void test_wrong_relations(void **state)
{
    (void)state;
    const unsigned other = FLOW_BYTES_1;
    REFUSED(0, "", craft_relative(other, 1, 4, BYTES(other, 5), 0, BYTES(0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "other column's id", craft_relative(other, 1, 4, BYTES(0x80), 0, BYTES(0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "does not serve",
            craft_relative(other, 1, 4, BYTES(24, 5), 0, BYTES(0, 1, 10, 20, 30))); /* not there */
    REFUSED(ERROR_INVALID, "does not serve",
            craft_relative(other, 1, 4, BYTES(15, 5), 0, BYTES(0, 1, 10, 20, 30))); /* none */
    REFUSED(ERROR_INVALID, "does not serve",
            craft_relative(other, 1, 4, BYTES(0x97, 0x80, 0x80, 0x80, 0x80, 0x01, 5), 0, BYTES(0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "does not serve",
            craft_relative(other, 1, 4, BYTES(22, 5), 0, BYTES(0, 1, 10, 20, 30))); /* itself */
    REFUSED(ERROR_INVALID, "does not serve",
            craft_relative(other, 1, 4, BYTES(other, 5), 4, BYTES(22, 0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "does not serve",
            craft_relative(FLOW_HISTORY, 1, 4, BYTES(FLOW_HISTORY, 5), 0, BYTES(0, 1, 10, 20, 30))); /* no numbers */
    REFUSED(ERROR_INVALID, "cannot", craft_relative(other, 1, 4, BYTES(other, 5), 1, BYTES(0x0f, 0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "sequence", craft_relative(other, 1, 4, BYTES(other, 5), 0, BYTES(0, 1, 10, 20)));
    REFUSED(ERROR_INVALID, "behind", craft_relative(other, 1, 4, BYTES(other, 5, 5), 0, BYTES(0, 1, 10, 20, 30)));
    /* a port of 65536 */
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_PORT_0, 1, 4, BYTES(FLOW_PORT_1, 1), 2);
    craft_add(&c, FLOW_PORT_1, 1, 0, BYTES(0xff, 0xff, 0x03), 3);
    REFUSED(ERROR_INVALID, "does not fit", craft_finish(&c, BLOCK_VERSION, 1, 3));
    /* the other one is damaged */
    struct buffer b = craft_relative(other, 1, 4, BYTES(other, 5), 0, BYTES(0, 1, 10, 20, 30));
    b.data[b.len - 1] ^= 1;
    struct block *block = block_opened(&table_flow, b.data, b.len);
    uint64_t numbers[3];
    assert_int_equal(block_read_numbers(block, FLOW_BYTES_0, numbers, NULL, NULL), ERROR_CORRUPT);
    block_close(block);
    buffer_free(&b);
}

/* What a column is declared to be craft_relative to is a column of numbers that is not craft_relative itself. */
static void test_declared_relations(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++)
        for (const struct column *c = block_tables[k]->columns; c < block_tables[k]->columns + block_tables[k]->count;
             c++) {
            unsigned id = c->above ? c->above : c->below;
            const struct column *other = table_column(block_tables[k], id);
            assert_true(!c->above || !c->below);
            if (!id)
                continue;
            assert_true(c->type == COLUMN_UINT && other && other->type == COLUMN_UINT);
            assert_true(!other->above && !other->below);
        }
    for (size_t k = 0; k < 2; k++)
        for (const struct column *c = block_tables[k]->columns; c < block_tables[k]->columns + block_tables[k]->count;
             c++) {
            const struct column *other = table_column(block_tables[k], c->order);
            if (c->order)
                assert_true(c->type == COLUMN_UINT && !c->above && !c->below && other && other->type == COLUMN_UINT &&
                            !other->order);
        }
}

/* What is nearly known from another column costs next to nothing, and so do names of numbers in order. */
static void test_what_is_known_is_small(void **state)
{
    (void)state;
    size_t n = 20000;
    struct random_pool *p = random_pool_new(29);
    struct flow_row *rows = calloc(n, sizeof(*rows));
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++) {
        column_set_uint(table_column(&table_flow, FLOW_FIRST), &rows[i], random_next(p) >> 4);
        column_set_uint(table_column(&table_flow, FLOW_START), &rows[i], rows[i].first_ns);
        column_set_uint(table_column(&table_flow, FLOW_LAST), &rows[i], rows[i].first_ns + i % 5 * 1000);
        column_set_uint(table_column(&table_flow, FLOW_ID), &rows[i], hash64_mix(UINT64_C(1) << 60 | i));
    }
    struct buffer out = block_encoded(&table_flow, rows, n);
    assert_in_range(out.len, 20000 * 7, 20000 * 8 + 1500);
    block_assert_round_trip(&table_flow, (const uint8_t *)rows, n);
    buffer_free(&out);
    free(rows);
    free(p);
}

static void test_addresses(void **state)
{
    (void)state;
    struct block *b;
    /* plain, 4 planes: 10.0.0.1, 10.0.1.2 */
    struct buffer data = craft_one_column(FLOW_ADDR_0, 5, 0, BYTES(4, 10, 10, 0, 0, 0, 1, 1, 2), 2);
    struct flow_row *rows = crafted_rows(&data, &b, FLOW_ADDR_0, 2);
    assert_memory_equal(rows[0].key.addr[0], "\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_memory_equal(rows[1].key.addr[0], "\x0a\0\1\2\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    free(rows);
    block_close(b);
    buffer_free(&data);
    /* the same as a dictionary: the first; then uses as 2 bits each: the first again (1), the next (0), the second again (2) */
    data = craft_one_column(FLOW_ADDR_1, 4, 0, BYTES(2, 4, 10, 10, 0, 0, 0, 1, 1, 2, 2, 0, 0, 2, 0x21), 4);
    rows = crafted_rows(&data, &b, FLOW_ADDR_1, 4);
    assert_int_equal(rows[0].key.addr[1][3], 1);
    assert_int_equal(rows[1].key.addr[1][3], 1);
    assert_int_equal(rows[2].key.addr[1][3], 2);
    assert_int_equal(rows[3].key.addr[1][3], 2);
    free(rows);
    block_close(b);
    buffer_free(&data);
}

static void test_texts(void **state)
{
    (void)state;
    struct block *b;
    /* plain: lengths 3, 0, 1 as one plane, then the bytes; row 1 of 4 has none */
    struct buffer data = craft_one_column(FLOW_HISTORY, 5, 1, BYTES(0x0d, 2, 0, 1, 3, 0, 1, 'S', 'h', 'A', 'D'), 4);
    struct flow_row *rows = crafted_rows(&data, &b, FLOW_HISTORY, 4);
    assert_int_equal(rows[0].history.len, 3);
    assert_memory_equal(rows[0].history.data, "ShA", 3);
    assert_false(column_has(&rows[1].has, FLOW_HISTORY));
    assert_true(column_has(&rows[2].has, FLOW_HISTORY));
    assert_int_equal(rows[2].history.len, 0);
    assert_memory_equal(rows[3].history.data, "D", 1);
    free(rows);
    block_close(b);
    buffer_free(&data);
    /* dictionary of one, all the same */
    data = craft_one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 2, 'S', 'r', 1, 1), 100);
    rows = crafted_rows(&data, &b, FLOW_HISTORY, 100);
    assert_memory_equal(rows[99].history.data, "Sr", 2);
    free(rows);
    block_close(b);
    buffer_free(&data);
    /* dictionary of one, of one row: no uses */
    data = craft_one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 2, 'S', 'r'), 1);
    rows = crafted_rows(&data, &b, FLOW_HISTORY, 1);
    assert_memory_equal(rows[0].history.data, "Sr", 2);
    free(rows);
    block_close(b);
    buffer_free(&data);
}

static void test_lists(void **state)
{
    (void)state;
    struct block *b;
    /* counts 2, 0, 3; first items 7, 9 (constant 7 would be one); gaps 1, 0, 5 */
    struct buffer data =
        craft_one_column(FLOW_FRAMES, 6, 0, BYTES(2, 0, 1, 2, 0, 3, 2, 7, 1, 0, 2, 2, 0, 1, 1, 0, 5), 3);
    struct flow_row *rows = crafted_rows(&data, &b, FLOW_FRAMES, 3);
    assert_int_equal(rows[0].frames.count, 2);
    assert_int_equal(rows[0].frames.items[0], 7);
    assert_int_equal(rows[0].frames.items[1], 8);
    assert_int_equal(rows[1].frames.count, 0);
    assert_true(column_has(&rows[1].has, FLOW_FRAMES)); /* empty is not missing */
    assert_int_equal(rows[2].frames.count, 3);
    assert_int_equal(rows[2].frames.items[0], 9);
    assert_int_equal(rows[2].frames.items[1], 9);
    assert_int_equal(rows[2].frames.items[2], 14);
    free(rows);
    block_close(b);
    buffer_free(&data);
    /* all empty: neither first items nor gaps */
    data = craft_one_column(FLOW_FRAMES, 6, 0, BYTES(1, 0), 5);
    rows = crafted_rows(&data, &b, FLOW_FRAMES, 5);
    assert_int_equal(rows[4].frames.count, 0);
    free(rows);
    block_close(b);
    buffer_free(&data);
}

static void test_a_compressed_column(void **state)
{
    (void)state;
    uint8_t raw[2 + 1000] = {50, 1};
    uint8_t stored[2000];
    for (size_t i = 0; i < 1000; i++)
        raw[2 + i] = (uint8_t)(i % 10);
    size_t len = ZSTD_compress(stored, sizeof(stored), raw, sizeof(raw), 1);
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_PROTO, 2, 2, stored, len, sizeof(raw));
    struct buffer data = craft_finish(&c, BLOCK_VERSION, 1, 1000);
    struct block *b;
    struct flow_row *rows = crafted_rows(&data, &b, FLOW_PROTO, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(rows[i].key.proto, 50 + i % 10);
    free(rows);
    block_close(b);
    buffer_free(&data);
}

/* The writer uses zstd where it pays: what repeats is small. */
static void test_repetition_is_small(void **state)
{
    (void)state;
    size_t n = 20000;
    struct flow_row *rows = calloc(n, sizeof(*rows));
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++) {
        column_set_uint(table_column(&table_flow, FLOW_BYTES_0), &rows[i], i % 100 * 1000003);
        column_set_uint(table_column(&table_flow, FLOW_START), &rows[i], UINT64_C(1700000000000000000) + i * 1000);
    }
    struct buffer out = block_encoded(&table_flow, rows, n);
    assert_in_range(out.len, 60, 1500);
    block_assert_round_trip(&table_flow, (const uint8_t *)rows, n);
    buffer_free(&out);
    free(rows);
}

/* A newer writer's columns are skipped, whatever their codec and flags; damage in them is no concern of ours. */
static void test_unknown_columns_are_skipped(void **state)
{
    (void)state;
    struct craft c = {.columns = 0};
    craft_add(&c, 4, 1, 0, BYTES(80), 1);
    craft_add(&c, 15, 77, 0xf0, BYTES(1, 2, 3), 9999);
    craft_add(&c, 28, 1, 0, BYTES(1), 1);
    craft_add(&c, 60000, 2, 0, BYTES(9, 9), 2);
    struct buffer data = craft_finish(&c, BLOCK_VERSION, 1, 2);
    struct block *b = block_opened(&table_flow, data.data, data.len);
    struct flow_row *rows;
    void *all;
    struct error e = ERROR_INIT;
    if (block_read(b, &all, &e) < 0)
        fail_msg("%s", e.text);
    rows = all;
    assert_true(block_has_column(b, 15));
    assert_int_equal(rows[1].key.port[1], 80);
    assert_int_equal(rows[1].syn[0], 1);
    struct column_set expected = {.word = {0}};
    column_add(&expected, 4);
    column_add(&expected, 28);
    assert_memory_equal(&rows[0].has, &expected, sizeof(expected));
    assert_int_equal(block_read_column(b, 15, rows, &e), ERROR_NOT_FOUND);
    free(all);
    block_close(b);
    buffer_free(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_of_a_block),
        cmocka_unit_test(test_forms_of_numbers),
        cmocka_unit_test(test_numbers_in_two_parts),
        cmocka_unit_test(test_mixed_numbers),
        cmocka_unit_test(test_numbers_relative_to_another_column),
        cmocka_unit_test(test_rows_like_those_of_another_column),
        cmocka_unit_test(test_wrong_relations),
        cmocka_unit_test(test_declared_relations),
        cmocka_unit_test(test_what_is_known_is_small),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_a_compressed_column),
        cmocka_unit_test(test_repetition_is_small),
        cmocka_unit_test(test_unknown_columns_are_skipped),
    };
    return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
