/*
 * Blocks that are damaged, cut, or made by somebody who wants no good: noticed, and nothing else happens.
 */
#include "common/rows/block_format.h"
#include "tests/unit/block_craft.h"
#include "tests/unit/random_rows.h"

#include <zstd.h>

static struct buffer small_block(struct random_pool *p)
{
    uint8_t *rows = random_rows(p, &table_flow, 5);
    struct buffer out = block_encoded(&table_flow, rows, 5);
    free(rows);
    return out;
}

static void test_every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(17);
    for (unsigned round = 0; round < 3; round++) {
        struct buffer out = small_block(p);
        for (size_t bit = 0; bit < 8 * out.len; bit++) {
            struct error e = ERROR_INIT;
            out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (block_read_all(&table_flow, out.data, out.len, &e) == 0)
                fail_msg("bit %zu of byte %zu flipped, and nobody noticed", bit % 8, bit / 8);
            assert_true(e.text[0] != 0);
            out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(block_read_all(&table_flow, out.data, out.len, NULL), 0);
        buffer_free(&out);
    }
    free(p);
}

static void test_every_truncation_is_noticed(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(19);
    struct buffer out = small_block(p);
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *copy = malloc(len ? len : 1); /* so that reading further is seen by the sanitizer */
        assert_non_null(copy);
        memcpy(copy, out.data, len);
        assert_int_not_equal(block_read_all(&table_flow, copy, len, NULL), 0);
        free(copy);
    }
    buffer_u8(&out, 0);
    assert_int_equal(block_read_all(&table_flow, out.data, out.len, NULL), ERROR_INVALID);
    buffer_free(&out);
    free(p);
}

/* With right hashes over wrong bytes nothing but the checks of each value is left: they must keep us from harm. */
static void test_damage_under_right_hashes_does_no_harm(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(23);
    size_t refused = 0;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t column[64];
        size_t len = 1 + random_below(p, sizeof(column));
        for (size_t i = 0; i < len; i++)
            column[i] = (uint8_t)(random_next(p) >> random_below(p, 8));
        const struct column *c = &table_flow.columns[random_below(p, table_flow.count)];
        unsigned codec = 1 + (unsigned)random_below(p, 8);
        static const unsigned flags[] = {0, 1, 0, 32, 4, 5, 9, 16, 64, 80};
        struct craft craft = {.columns = 0};
        craft_add(&craft, c->id, codec, flags[random_below(p, 10)], column, len, len);
        if (c->id < FLOW_BYTES_1) /* that others may be craft_relative to */
            craft_add(&craft, FLOW_BYTES_1, 1, 0, BYTES(100), 1);
        uint32_t rows = 1 + (uint32_t)random_below(p, 40);
        if (codec == 8)
            craft_add(&craft, 65535, 8, 0, column, rows, rows);
        struct buffer b = craft_finish(&craft, BLOCK_VERSION, 1, rows);
        refused += block_read_all(&table_flow, b.data, b.len, NULL) != 0;
        buffer_free(&b);
    }
    assert_in_range(refused, 10000, 19999);
    free(p);
}

static struct buffer block_of(unsigned version, unsigned table, uint32_t rows)
{
    struct craft c = {.columns = 0};
    return craft_finish(&c, version, table, rows);
}

static void test_foreign_headers(void **state)
{
    (void)state;
    REFUSED(0, "", block_of(BLOCK_VERSION, 1, 0));
    REFUSED(0, "", block_of(BLOCK_VERSION, 1, 7)); /* rows without any column */
    REFUSED(ERROR_VERSION, "version 1", block_of(1, 1, 0));
    REFUSED(ERROR_INVALID, "another table", block_of(BLOCK_VERSION, 2, 0));
    REFUSED(ERROR_LIMIT, "262145 rows", block_of(BLOCK_VERSION, 1, 262145));
    struct buffer b = block_of(BLOCK_VERSION, 1, 0);
    b.data[0] = 'X';
    craft_assert_refused(&b, ERROR_INVALID, "FDBK");
}

static struct buffer two_columns(unsigned a, unsigned b, uint32_t rows)
{
    struct craft c = {.columns = 0};
    craft_add(&c, a, 1, 0, BYTES(1), 1);
    craft_add(&c, b, 1, 0, BYTES(1), 1);
    return craft_finish(&c, BLOCK_VERSION, 1, rows);
}

static struct buffer raw_length(unsigned flags, size_t raw)
{
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_BYTES_0, 1, flags, BYTES(1), raw);
    return craft_finish(&c, BLOCK_VERSION, 1, 10);
}

static void test_wrong_directories(void **state)
{
    (void)state;
    REFUSED(0, "", two_columns(3, 4, 1));
    REFUSED(ERROR_INVALID, "do not ascend", two_columns(4, 4, 1));
    REFUSED(ERROR_INVALID, "do not ascend", two_columns(4, 3, 1));
    REFUSED(ERROR_INVALID, "without rows", two_columns(3, 4, 0));
    REFUSED(ERROR_INVALID, "unknown flags", raw_length(128, 1));
    REFUSED(ERROR_INVALID, "not go together", raw_length(1 | 32, 1));
    REFUSED(ERROR_INVALID, "not go together", raw_length(4 | 8, 1));
    REFUSED(ERROR_INVALID, "not go together", raw_length(4 | 16, 1));
    REFUSED(ERROR_INVALID, "not go together", raw_length(4 | 64, 1));
    REFUSED(ERROR_INVALID, "not go together", craft_one_column(FLOW_HISTORY, 5, 16, BYTES(1, 0), 1));
    REFUSED(ERROR_INVALID, "not go together", craft_one_column(FLOW_HISTORY, 5, 64, BYTES(4, 1, 0), 1));
    REFUSED(ERROR_INVALID, "two lengths", raw_length(0, 2));
    REFUSED(ERROR_INVALID, "more bytes than", raw_length(2, 1 << 20));
    struct craft c = {.columns = 0};
    craft_add(&c, 1000, 1, 0, BYTES(1), 200u << 20);
    craft_add(&c, 1001, 1, 0, BYTES(1), 200u << 20);
    REFUSED(ERROR_LIMIT, "bytes of columns", craft_finish(&c, BLOCK_VERSION, 1, 1));
}

static void test_wrong_presence(void **state)
{
    (void)state;
    REFUSED(0, "", craft_one_column(FLOW_BYTES_0, 1, 1, BYTES(0xff, 0x03, 5), 10));
    REFUSED(ERROR_INVALID, "do not exist", craft_one_column(FLOW_BYTES_0, 1, 1, BYTES(0xff, 0x07, 5), 10));
    REFUSED(ERROR_INVALID, "no row has it", craft_one_column(FLOW_BYTES_0, 1, 1, BYTES(0, 0, 5), 10));
    REFUSED(ERROR_INVALID, "within its presence", craft_one_column(FLOW_BYTES_0, 1, 1, BYTES(0), 10));
    const unsigned other = FLOW_BYTES_1;
    REFUSED(0, "", craft_relative(other, 1, 32, BYTES(other, 5), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "does not serve", craft_relative(other, 1, 32, BYTES(other, 5), 0, BYTES(0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "does not serve", craft_relative(other, 1, 32, BYTES(24, 5), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "does not serve", craft_relative(other, 1, 32, BYTES(22, 5), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "does not serve", craft_relative(other, 1, 32, BYTES(0x97), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "does not serve", craft_relative(112, 1, 32, BYTES(112, 5), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "do not exist", craft_relative(other, 1, 32, BYTES(other, 5), 1, BYTES(0x0d, 0, 1, 10, 30)));
}

static void test_wrong_numbers(void **state)
{
    (void)state;
    const unsigned id = FLOW_BYTES_0;
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 0, 0, BYTES(1), 1)); /* no such codec */
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 9, 0, BYTES(1), 1));
    REFUSED(ERROR_INVALID, "quotients", craft_one_column(id, 7, 0, BYTES(1, 1, 1, 1, 0), 1)); /* by 1 */
    REFUSED(ERROR_INVALID, "quotients", craft_one_column(id, 7, 0, BYTES(0x80), 1));
    REFUSED(ERROR_INVALID, "quotients", craft_one_column(id, 7, 0, BYTES(9, 1, 1), 1));
    REFUSED(0, "", craft_one_column(id, 7, 0, BYTES(9, 1, 1, 1, 8), 1));
    REFUSED(ERROR_INVALID, "remainder", craft_one_column(id, 7, 0, BYTES(9, 1, 1, 1, 9), 1));
    REFUSED(ERROR_INVALID, "behind", craft_one_column(id, 7, 0, BYTES(9, 1, 1, 1, 8, 0), 1));
    REFUSED(ERROR_INVALID, "does not fit", craft_one_column(FLOW_PROTO, 7, 0, BYTES(2, 1, 0x80, 0x01, 1, 0), 1));
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 5, 0, BYTES(1), 1));    /* plain is for others */
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 1, 0, BYTES(0x80), 1)); /* half a varint */
    REFUSED(ERROR_INVALID, "behind", craft_one_column(id, 1, 0, BYTES(1, 1), 1));
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 2, 0, BYTES(0), 1)); /* no packing */
    REFUSED(ERROR_INVALID, "sequence",
            craft_one_column(id, 2, 0, BYTES(0, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1), 1));          /* 9 planes */
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 2, 0, BYTES(0, 2, 1, 1, 1), 2)); /* a short plane */
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 2, 0, BYTES(0, 0, 57, 0, 0, 0, 0, 0, 0, 0, 0), 1));
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 2, 0, BYTES(0, 0, 63, 0, 0, 0, 0, 0, 0, 0, 0), 1));
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 2, 0, BYTES(0, 0, 65, 0, 0, 0, 0, 0, 0, 0, 0, 0), 1));
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 2, 0, BYTES(0, 0, 8, 1), 2));    /* a short group */
    REFUSED(ERROR_INVALID, "sequence", craft_one_column(id, 2, 0, BYTES(0, 0, 3, 0x08), 1)); /* padding that is set */
    REFUSED(0, "", craft_one_column(id, 2, 0, BYTES(0, 0, 3, 0x07), 1));
    REFUSED(ERROR_INVALID, "behind", craft_one_column(id, 2, 0, BYTES(0, 0, 3, 0x07, 0), 1));
    REFUSED(0, "", craft_one_column(FLOW_PROTO, 1, 0, BYTES(0xff, 0x01), 1));                         /* 255 */
    REFUSED(ERROR_INVALID, "does not fit", craft_one_column(FLOW_PROTO, 1, 0, BYTES(0x80, 0x02), 1)); /* 256 */
    REFUSED(ERROR_INVALID, "does not fit", craft_one_column(FLOW_PROTO, 2, 0, BYTES(0xff, 0x01, 1, 1), 1));
    REFUSED(0, "", craft_one_column(FLOW_ORIGINATOR, 1, 0, BYTES(1), 1));
    REFUSED(ERROR_INVALID, "does not fit", craft_one_column(FLOW_ORIGINATOR, 1, 0, BYTES(2), 1));
}

static void test_wrong_dictionaries(void **state)
{
    (void)state;
    const unsigned id = FLOW_BYTES_0;
    REFUSED(0, "", craft_one_column(id, 4, 0, BYTES(2, 2, 0, 1, 5, 6, 2, 0, 1, 1, 0), 2));
    REFUSED(ERROR_INVALID, "outside", craft_one_column(id, 4, 0, BYTES(2, 2, 0, 1, 5, 6, 2, 0, 1, 2, 0), 2));
    REFUSED(ERROR_INVALID, "not ascend", craft_one_column(id, 4, 0, BYTES(2, 2, 0, 1, 6, 5, 2, 0, 1, 1, 0), 2));
    REFUSED(ERROR_INVALID, "not ascend", craft_one_column(id, 4, 0, BYTES(2, 1, 6, 2, 0, 1, 1, 0), 2));
    REFUSED(ERROR_INVALID, "dictionary", craft_one_column(id, 4, 0, BYTES(0, 2, 0, 1, 1, 0), 2)); /* of none */
    REFUSED(ERROR_INVALID, "dictionary",
            craft_one_column(id, 4, 0, BYTES(3, 2, 0, 1, 4, 5, 6, 1, 0), 2));         /* more than rows */
    REFUSED(ERROR_INVALID, "outside", craft_one_column(id, 4, 0, BYTES(1, 1, 5), 2)); /* no indexes */
    REFUSED(ERROR_INVALID, "fit",
            craft_one_column(FLOW_PROTO, 4, 0, BYTES(2, 2, 0xff, 0x01, 1, 0, 1, 2, 0, 1, 0, 1), 2));
    REFUSED(0, "", craft_one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 1, 'S', 1, 1), 2));
    REFUSED(ERROR_INVALID, "outside",
            craft_one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 1, 'S', 1, 2), 2)); /* not used before */
    REFUSED(ERROR_INVALID, "outside",
            craft_one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 1, 'S', 1, 0), 2)); /* one too many */
    REFUSED(ERROR_INVALID, "outside",
            craft_one_column(FLOW_HISTORY, 4, 0, BYTES(2, 1, 1, 'S', 'T', 1, 1), 2));                /* unused */
    REFUSED(ERROR_INVALID, "outside", craft_one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 1, 'S'), 2)); /* no uses */
    REFUSED(ERROR_INVALID, "dictionary", craft_one_column(FLOW_HISTORY, 4, 0, BYTES(0, 1, 0), 2));
}

static void test_wrong_addresses_texts_and_lists(void **state)
{
    (void)state;
    REFUSED(ERROR_INVALID, "addresses", craft_one_column(FLOW_ADDR_0, 5, 0, BYTES(0), 1));
    REFUSED(
        ERROR_INVALID, "addresses",
        craft_one_column(FLOW_ADDR_0, 5, 0, BYTES(17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17), 1));
    REFUSED(ERROR_INVALID, "addresses", craft_one_column(FLOW_ADDR_0, 5, 0, BYTES(4, 1, 2, 3), 1));
    REFUSED(ERROR_INVALID, "type", craft_one_column(FLOW_ADDR_0, 2, 0, BYTES(4, 1, 2, 3, 4), 1));
    REFUSED(ERROR_INVALID, "texts",
            craft_one_column(FLOW_HISTORY, 5, 0, BYTES(1, 3, 'a', 'b'), 1)); /* longer than there is */
    REFUSED(ERROR_INVALID, "behind", craft_one_column(FLOW_HISTORY, 5, 0, BYTES(1, 1, 'a', 'b'), 1));
    REFUSED(ERROR_INVALID, "texts", craft_one_column(FLOW_HISTORY, 5, 0, BYTES(1, 0x81, 0x08), 1)); /* 1025 bytes */
    REFUSED(ERROR_INVALID, "lists", craft_one_column(FLOW_FRAMES, 5, 0, BYTES(1, 0), 1));
    REFUSED(ERROR_INVALID, "lists",
            craft_one_column(FLOW_FRAMES, 6, 0, BYTES(1, 0x81, 0x80, 0x04, 1, 1, 1, 0), 1)); /* 65537 */
    REFUSED(ERROR_INVALID, "too many",
            craft_one_column(FLOW_FRAMES, 6, 0, BYTES(1, 0x80, 0x80, 0x04, 1, 1, 1, 0), 262144));
    REFUSED(ERROR_INVALID, "first items", craft_one_column(FLOW_FRAMES, 6, 0, BYTES(1, 2), 1));
    REFUSED(ERROR_INVALID, "gaps", craft_one_column(FLOW_FRAMES, 6, 0, BYTES(1, 2, 1, 7), 1));
    REFUSED(0, "", craft_one_column(FLOW_FRAMES, 6, 0, BYTES(1, 2, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 1), 1));
    REFUSED(ERROR_INVALID, "32 bits",
            craft_one_column(FLOW_FRAMES, 6, 0, BYTES(1, 2, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 2), 1));
    REFUSED(ERROR_INVALID, "32 bits",
            craft_one_column(FLOW_FRAMES, 6, 0, BYTES(1, 1, 1, 0x80, 0x80, 0x80, 0x80, 0x10), 1));
    /* a gap that wraps around 2^64 */
    REFUSED(ERROR_INVALID, "32 bits",
            craft_one_column(FLOW_FRAMES, 6, 0,
                             BYTES(1, 2, 1, 9, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), 1));
}

static struct buffer zstd_column(const void *stored, size_t len, size_t raw)
{
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_PROTO, 2, 2, stored, len, raw);
    return craft_finish(&c, BLOCK_VERSION, 1, 100);
}

static void test_wrong_zstd(void **state)
{
    (void)state;
    uint8_t raw[102] = {0, 1};
    uint8_t stored[1000];
    size_t len = ZSTD_compress(stored, sizeof(stored), raw, sizeof(raw), 1);
    REFUSED(0, "", zstd_column(stored, len, sizeof(raw)));
    REFUSED(ERROR_INVALID, "one zstd frame", zstd_column(stored, len, sizeof(raw) + 1));
    REFUSED(ERROR_INVALID, "one zstd frame", zstd_column(stored, len, 0));
    REFUSED(ERROR_INVALID, "one zstd frame", zstd_column(stored, len - 1, sizeof(raw)));
    REFUSED(ERROR_INVALID, "one zstd frame", zstd_column("no zstd at all", 14, sizeof(raw)));
    memcpy(stored + len, stored, len); /* a second frame */
    REFUSED(ERROR_INVALID, "one zstd frame", zstd_column(stored, 2 * len, sizeof(raw)));
    REFUSED(ERROR_INVALID, "one zstd frame", zstd_column("\x50\x2a\x4d\x18\x02\0\0\0xx", 10, 2)); /* skippable */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_every_truncation_is_noticed),
        cmocka_unit_test(test_damage_under_right_hashes_does_no_harm),
        cmocka_unit_test(test_foreign_headers),
        cmocka_unit_test(test_wrong_directories),
        cmocka_unit_test(test_wrong_presence),
        cmocka_unit_test(test_wrong_numbers),
        cmocka_unit_test(test_wrong_dictionaries),
        cmocka_unit_test(test_wrong_addresses_texts_and_lists),
        cmocka_unit_test(test_wrong_zstd),
    };
    return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
