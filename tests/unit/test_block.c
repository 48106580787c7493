/*
 * Blocks: what is written comes back, what is damaged is noticed, and the bytes are those that block.h and codec.h
 * describe: the blocks made by hand here are spelled from there, with numbers, not with the names of the code.
 */
#include "common/base/hash.h"
#include "common/rows/block_format.h"
#include "tests/unit/random_rows.h"

#include <stdio.h>
#include <zstd.h>

static const struct table *const tables[] = {&table_flow, &table_exchange};

/* --- Helpers ----------------------------------------------------------------------------------------------------- */

static struct buffer encoded(const struct table *t, const void *rows, size_t n)
{
    struct buffer out = {.len = 0};
    struct error e = ERROR_INIT;
    if (block_encode(t, rows, n, &out, &e) < 0)
        fail_msg("%s", e.text);
    return out;
}

static struct block *opened(const struct table *t, const void *data, size_t len)
{
    struct block *b = NULL;
    struct error e = ERROR_INIT;
    if (block_open(t, data, len, &b, &e) < 0)
        fail_msg("%s", e.text);
    return b;
}

/* Opens and reads all columns: 0 or the error. */
static int read_all(const struct table *t, const void *data, size_t len, struct error *e)
{
    struct block *b;
    void *rows;
    int r = block_open(t, data, len, &b, e);
    if (r < 0) {
        assert_null(b);
        return r;
    }
    r = block_read(b, &rows, e);
    if (r < 0)
        assert_null(rows);
    free(rows);
    block_close(b);
    return r;
}

/* A block made by hand. */
struct craft {
    struct buffer directory;
    struct buffer data;
    uint16_t columns;
};

static void craft_add(struct craft *c, unsigned id, unsigned codec, unsigned flags, const void *data, size_t len,
                      size_t raw)
{
    buffer_le16(&c->directory, (uint16_t)id);
    buffer_u8(&c->directory, (uint8_t)codec);
    buffer_u8(&c->directory, (uint8_t)flags);
    buffer_le32(&c->directory, (uint32_t)len);
    buffer_le32(&c->directory, (uint32_t)raw);
    buffer_le64(&c->directory, hash64(data, len));
    buffer_append(&c->data, data, len);
    c->columns++;
}

/* Puts the parts together and empties them. */
static struct buffer craft_finish(struct craft *c, unsigned version, unsigned table, uint32_t rows)
{
    struct buffer out = {.len = 0};
    buffer_append(&out, "FDBK", 4);
    buffer_u8(&out, (uint8_t)version);
    buffer_u8(&out, (uint8_t)table);
    buffer_le16(&out, c->columns);
    buffer_le32(&out, rows);
    buffer_append(&out, c->directory.data, c->directory.len);
    buffer_le64(&out, hash64(out.data, out.len));
    buffer_append(&out, c->data.data, c->data.len);
    buffer_free(&c->directory);
    buffer_free(&c->data);
    c->columns = 0;
    return out;
}

/* A block of the table flow with one column of these bytes. */
static struct buffer one_column(unsigned id, unsigned codec, unsigned flags, const void *data, size_t len,
                                uint32_t rows)
{
    struct craft c = {.columns = 0};
    craft_add(&c, id, codec, flags, data, len, len);
    return craft_finish(&c, BLOCK_VERSION, 1, rows);
}
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* Two columns, of which the second says the first's id. */
static struct buffer relative(unsigned other, unsigned codec, unsigned flags, const void *data, size_t len,
                              unsigned other_flags, const void *other_data, size_t other_len)
{
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_BYTES_0, codec, flags, data, len, len);
    craft_add(&c, other, 2, other_flags, other_data, other_len, other_len);
    return craft_finish(&c, BLOCK_VERSION, 1, 3);
}

/* Expects reading all of the block to fail with this code and a text that holds `what`; frees it. */
static void assert_refused(struct buffer *b, int code, const char *what)
{
    struct error e = ERROR_INIT;
    int r = read_all(&table_flow, b->data, b->len, &e);
    if (r != code || !strstr(e.text, what))
        fail_msg("%d (%s) instead of %d (%s)", r, e.text, code, what);
    buffer_free(b);
}
#define REFUSED(code, what, ...)                                                                                       \
    do {                                                                                                               \
        struct buffer refused = __VA_ARGS__;                                                                           \
        assert_refused(&refused, code, what);                                                                          \
    } while (0)

/* --- What is written comes back ---------------------------------------------------------------------------------- */

static void assert_round_trip(const struct table *t, const uint8_t *rows, size_t n)
{
    struct buffer out = encoded(t, rows, n);
    struct block *b = opened(t, out.data, out.len);
    struct error e = ERROR_INIT;
    void *back;
    assert_int_equal(block_rows(b), n);
    if (block_read(b, &back, &e) < 0)
        fail_msg("%s", e.text);
    assert_true(n ? back != NULL : back == NULL);
    assert_same_rows(t, rows, back, n);
    free(back);
    block_close(b);
    buffer_free(&out);
}

static void test_random_rows_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000, 3001};
    struct random_pool *p = random_pool_new(1);
    for (unsigned round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
            for (size_t k = 0; k < 2; k++) {
                uint8_t *rows = random_rows(p, tables[k], sizes[i]);
                assert_round_trip(tables[k], rows, sizes[i]);
                free(rows);
            }
    free(p);
}

static void test_a_large_block(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(2);
    uint8_t *rows = random_rows(p, &table_flow, 70000);
    assert_round_trip(&table_flow, rows, 70000);
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
            assert_round_trip(&table_flow, (const uint8_t *)rows, 300);
            struct buffer out = encoded(&table_flow, rows, 300);
            struct block *b = opened(&table_flow, out.data, out.len);
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
    assert_round_trip(&table_flow, (const uint8_t *)rows, 7);
}

/* Each column read alone, in any order, says what the whole says; and touches nothing else. */
static void test_a_column_alone(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(7);
    for (unsigned round = 0; round < 30; round++) {
        size_t n = 1 + random_below(p, 500);
        uint8_t *rows = random_rows(p, &table_flow, n);
        struct buffer out = encoded(&table_flow, rows, n);
        for (unsigned k = table_flow.count; k-- > 0;) {
            const struct column *c = &table_flow.columns[k];
            struct block *b = opened(&table_flow, out.data, out.len);
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
        struct buffer out = encoded(&table_flow, rows, n);
        struct block *b = opened(&table_flow, out.data, out.len);
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
    struct buffer out = encoded(&table_flow, &row, 1);
    struct block *b = opened(&table_flow, out.data, out.len);
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
    struct buffer out = encoded(&table_flow, rows, 2000);
    struct block *b = opened(&table_flow, out.data, out.len);
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
    assert_int_equal(read_all(&table_flow, out.data + 6, out.len - 6, &e), 0);
    buffer_free(&out);
    free(rows);
    free(p);
}

/* --- The bytes --------------------------------------------------------------------------------------------------- */

/* The format does not change unnoticed: this is a block of version 1. */
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
    struct buffer out = encoded(&table_flow, rows, 3);
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
    *b = opened(&table_flow, data->data, data->len);
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
    assert_numbers(one_column(FLOW_BYTES_0, 1, 0, BYTES(0x80, 0x01), 2), FLOW_BYTES_0, NUMBERS(128, 128));
    /* frame, groups, 3 bits: 5, 6, 7 from base 100 */
    assert_numbers(one_column(FLOW_BYTES_0, 2, 0, BYTES(100, 0, 3, 0xf5, 0x01), 3), FLOW_BYTES_0,
                   NUMBERS(105, 106, 107));
    /* frame, two planes: 0x0102, 0x0304 */
    assert_numbers(one_column(FLOW_BYTES_0, 2, 0, BYTES(0, 2, 0x02, 0x04, 0x01, 0x03), 2), FLOW_BYTES_0,
                   NUMBERS(0x0102, 0x0304));
    /* delta, before 10, step -3 (zigzag 5), one plane: 0, 1, 5 */
    assert_numbers(one_column(FLOW_FIRST, 3, 0, BYTES(10, 5, 1, 0, 1, 5), 3), FLOW_FIRST, NUMBERS(7, 5, 7));
    /* dictionary {6, 17, 255} as a delta; indexes 2, 0, 1 as 2 bits */
    assert_numbers(one_column(FLOW_PROTO, 4, 0, BYTES(3, 3, 0, 0, 1, 6, 11, 238, 2, 0, 0, 2, 0x12), 3), FLOW_PROTO,
                   NUMBERS(255, 6, 17));
    /* width 64 */
    assert_numbers(one_column(FLOW_ID, 2, 0, BYTES(0, 0, 64, 1, 2, 3, 4, 5, 6, 7, 8), 1), FLOW_ID,
                   NUMBERS(0x0807060504030201));
}

static void test_numbers_in_two_parts(void **state)
{
    (void)state;
    /* factor 1000, quotients 2, 1 as a plane from 0, remainders 0 and 7 */
    assert_numbers(one_column(FLOW_BYTES_0, 7, 0, BYTES(0xe8, 0x07, 2, 0, 1, 2, 1, 2, 0, 1, 0, 7), 2), FLOW_BYTES_0,
                   NUMBERS(2000, 1007));
    /* the product is taken modulo 2^64: (2^63) * 2 + 1 */
    assert_numbers(one_column(FLOW_BYTES_0, 7, 0,
                              BYTES(2, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1, 1), 1),
                   FLOW_BYTES_0, NUMBERS(1));
}

/* Names that look random, of numbers in order: 5, 6, 7 from 100 on. */
static void test_mixed_numbers(void **state)
{
    (void)state;
    assert_numbers(one_column(FLOW_ID, 2, 16, BYTES(100, 0, 3, 0xf5, 0x01), 3), FLOW_ID,
                   NUMBERS(hash64_mix(105), hash64_mix(106), hash64_mix(107)));
    assert_int_equal(hash64_mix(1), UINT64_C(0x5692161d100b05e5)); /* splitmix64's */
}

static void test_numbers_relative_to_another_column(void **state)
{
    (void)state;
    const unsigned other = FLOW_BYTES_1;
    /* bytes.1 is 10, 20, 30; bytes.0 is above it by 0, 1, 2; and below it by 5 each */
    assert_numbers(relative(other, 2, 4, BYTES(other, 0, 1, 0, 1, 2), 0, BYTES(0, 1, 10, 20, 30)), FLOW_BYTES_0,
                   NUMBERS(10, 21, 32));
    assert_numbers(relative(other, 1, 8, BYTES(other, 5), 0, BYTES(0, 1, 10, 20, 30)), FLOW_BYTES_0,
                   NUMBERS(5, 15, 25));
    /* the row in the middle has no bytes.1: then it is relative to 0 */
    assert_numbers(relative(other, 1, 4, BYTES(other, 5), 1, BYTES(0x05, 0, 1, 10, 30)), FLOW_BYTES_0,
                   NUMBERS(15, 5, 35));
    /* below what is less: modulo 2^64 */
    assert_numbers(relative(other, 1, 8, BYTES(other, 15), 0, BYTES(0, 1, 10, 20, 30)), FLOW_BYTES_0,
                   NUMBERS((uint64_t)-5, 5, 15));
}

/* The same rows have bytes.0 as bytes.1: the first and the last. */
static void test_rows_like_those_of_another_column(void **state)
{
    (void)state;
    struct buffer data = relative(FLOW_BYTES_1, 2, 32, BYTES(FLOW_BYTES_1, 0, 1, 7, 9), 1, BYTES(0x05, 0, 1, 10, 30));
    struct block *b = opened(&table_flow, data.data, data.len);
    uint64_t numbers[3];
    uint8_t present;
    assert_int_equal(block_read_numbers(b, FLOW_BYTES_0, numbers, &present, NULL), 0);
    assert_int_equal(present, 5);
    assert_int_equal(numbers[0], 7);
    assert_int_equal(numbers[2], 9);
    block_close(b);
    /* damage there is noticed here */
    data.data[data.len - 5] ^= 4;
    b = opened(&table_flow, data.data, data.len);
    assert_int_equal(block_read_numbers(b, FLOW_BYTES_0, numbers, &present, NULL), ERROR_CORRUPT);
    block_close(b);
    buffer_free(&data);
}

static void test_wrong_relations(void **state)
{
    (void)state;
    const unsigned other = FLOW_BYTES_1;
    REFUSED(0, "", relative(other, 1, 4, BYTES(other, 5), 0, BYTES(0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "other column's id", relative(other, 1, 4, BYTES(0x80), 0, BYTES(0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "does not serve",
            relative(other, 1, 4, BYTES(24, 5), 0, BYTES(0, 1, 10, 20, 30))); /* not there */
    REFUSED(ERROR_INVALID, "does not serve",
            relative(other, 1, 4, BYTES(15, 5), 0, BYTES(0, 1, 10, 20, 30))); /* none */
    REFUSED(ERROR_INVALID, "does not serve",
            relative(other, 1, 4, BYTES(0x97, 0x80, 0x80, 0x80, 0x80, 0x01, 5), 0, BYTES(0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "does not serve",
            relative(other, 1, 4, BYTES(22, 5), 0, BYTES(0, 1, 10, 20, 30))); /* itself */
    REFUSED(ERROR_INVALID, "does not serve", relative(other, 1, 4, BYTES(other, 5), 4, BYTES(22, 0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "does not serve",
            relative(FLOW_HISTORY, 1, 4, BYTES(FLOW_HISTORY, 5), 0, BYTES(0, 1, 10, 20, 30))); /* no numbers */
    REFUSED(ERROR_INVALID, "cannot", relative(other, 1, 4, BYTES(other, 5), 1, BYTES(0x0f, 0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "sequence", relative(other, 1, 4, BYTES(other, 5), 0, BYTES(0, 1, 10, 20)));
    REFUSED(ERROR_INVALID, "behind", relative(other, 1, 4, BYTES(other, 5, 5), 0, BYTES(0, 1, 10, 20, 30)));
    /* a port of 65536 */
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_PORT_0, 1, 4, BYTES(FLOW_PORT_1, 1), 2);
    craft_add(&c, FLOW_PORT_1, 1, 0, BYTES(0xff, 0xff, 0x03), 3);
    REFUSED(ERROR_INVALID, "does not fit", craft_finish(&c, BLOCK_VERSION, 1, 3));
    /* the other one is damaged */
    struct buffer b = relative(other, 1, 4, BYTES(other, 5), 0, BYTES(0, 1, 10, 20, 30));
    b.data[b.len - 1] ^= 1;
    struct block *block = opened(&table_flow, b.data, b.len);
    uint64_t numbers[3];
    assert_int_equal(block_read_numbers(block, FLOW_BYTES_0, numbers, NULL, NULL), ERROR_CORRUPT);
    block_close(block);
    buffer_free(&b);
}

/* What a column is declared to be relative to is a column of numbers that is not relative itself. */
static void test_declared_relations(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++)
        for (const struct column *c = tables[k]->columns; c < tables[k]->columns + tables[k]->count; c++) {
            unsigned id = c->above ? c->above : c->below;
            const struct column *other = table_column(tables[k], id);
            assert_true(!c->above || !c->below);
            if (!id)
                continue;
            assert_true(c->type == COLUMN_UINT && other && other->type == COLUMN_UINT);
            assert_true(!other->above && !other->below);
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
    struct buffer out = encoded(&table_flow, rows, n);
    assert_in_range(out.len, 20000 * 7, 20000 * 8 + 1500);
    assert_round_trip(&table_flow, (const uint8_t *)rows, n);
    buffer_free(&out);
    free(rows);
    free(p);
}

static void test_addresses(void **state)
{
    (void)state;
    struct block *b;
    /* plain, 4 planes: 10.0.0.1, 10.0.1.2 */
    struct buffer data = one_column(FLOW_ADDR_0, 5, 0, BYTES(4, 10, 10, 0, 0, 0, 1, 1, 2), 2);
    struct flow_row *rows = crafted_rows(&data, &b, FLOW_ADDR_0, 2);
    assert_memory_equal(rows[0].key.addr[0], "\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_memory_equal(rows[1].key.addr[0], "\x0a\0\1\2\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    free(rows);
    block_close(b);
    buffer_free(&data);
    /* the same as a dictionary: the first; then uses as 2 bits each: the first again (1), the next (0), the second again (2) */
    data = one_column(FLOW_ADDR_1, 4, 0, BYTES(2, 4, 10, 10, 0, 0, 0, 1, 1, 2, 2, 0, 0, 2, 0x21), 4);
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
    struct buffer data = one_column(FLOW_HISTORY, 5, 1, BYTES(0x0d, 2, 0, 1, 3, 0, 1, 'S', 'h', 'A', 'D'), 4);
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
    data = one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 2, 'S', 'r', 1, 1), 100);
    rows = crafted_rows(&data, &b, FLOW_HISTORY, 100);
    assert_memory_equal(rows[99].history.data, "Sr", 2);
    free(rows);
    block_close(b);
    buffer_free(&data);
    /* dictionary of one, of one row: no uses */
    data = one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 2, 'S', 'r'), 1);
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
    struct buffer data = one_column(FLOW_FRAMES, 6, 0, BYTES(2, 0, 1, 2, 0, 3, 2, 7, 1, 0, 2, 2, 0, 1, 1, 0, 5), 3);
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
    data = one_column(FLOW_FRAMES, 6, 0, BYTES(1, 0), 5);
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
    struct buffer out = encoded(&table_flow, rows, n);
    assert_in_range(out.len, 60, 1500);
    assert_round_trip(&table_flow, (const uint8_t *)rows, n);
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
    struct block *b = opened(&table_flow, data.data, data.len);
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

/* --- Damage ------------------------------------------------------------------------------------------------------ */

static struct buffer small_block(struct random_pool *p)
{
    uint8_t *rows = random_rows(p, &table_flow, 5);
    struct buffer out = encoded(&table_flow, rows, 5);
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
            if (read_all(&table_flow, out.data, out.len, &e) == 0)
                fail_msg("bit %zu of byte %zu flipped, and nobody noticed", bit % 8, bit / 8);
            assert_true(e.text[0] != 0);
            out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(read_all(&table_flow, out.data, out.len, NULL), 0);
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
        assert_int_not_equal(read_all(&table_flow, copy, len, NULL), 0);
        free(copy);
    }
    buffer_u8(&out, 0);
    assert_int_equal(read_all(&table_flow, out.data, out.len, NULL), ERROR_INVALID);
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
        unsigned codec = 1 + (unsigned)random_below(p, 7);
        static const unsigned flags[] = {0, 1, 0, 32, 4, 5, 9, 16};
        struct craft craft = {.columns = 0};
        craft_add(&craft, c->id, codec, flags[random_below(p, 8)], column, len, len);
        if (c->id < FLOW_BYTES_1) /* that others may be relative to */
            craft_add(&craft, FLOW_BYTES_1, 1, 0, BYTES(100), 1);
        struct buffer b = craft_finish(&craft, BLOCK_VERSION, 1, 1 + (uint32_t)random_below(p, 40));
        refused += read_all(&table_flow, b.data, b.len, NULL) != 0;
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
    assert_refused(&b, ERROR_INVALID, "FDBK");
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
    REFUSED(ERROR_INVALID, "unknown flags", raw_length(64, 1));
    REFUSED(ERROR_INVALID, "not go together", raw_length(1 | 32, 1));
    REFUSED(ERROR_INVALID, "not go together", raw_length(4 | 8, 1));
    REFUSED(ERROR_INVALID, "not go together", raw_length(4 | 16, 1));
    REFUSED(ERROR_INVALID, "not go together", one_column(FLOW_HISTORY, 5, 16, BYTES(1, 0), 1));
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
    REFUSED(0, "", one_column(FLOW_BYTES_0, 1, 1, BYTES(0xff, 0x03, 5), 10));
    REFUSED(ERROR_INVALID, "do not exist", one_column(FLOW_BYTES_0, 1, 1, BYTES(0xff, 0x07, 5), 10));
    REFUSED(ERROR_INVALID, "no row has it", one_column(FLOW_BYTES_0, 1, 1, BYTES(0, 0, 5), 10));
    REFUSED(ERROR_INVALID, "within its presence", one_column(FLOW_BYTES_0, 1, 1, BYTES(0), 10));
    const unsigned other = FLOW_BYTES_1;
    REFUSED(0, "", relative(other, 1, 32, BYTES(other, 5), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "does not serve", relative(other, 1, 32, BYTES(other, 5), 0, BYTES(0, 1, 10, 20, 30)));
    REFUSED(ERROR_INVALID, "does not serve", relative(other, 1, 32, BYTES(24, 5), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "does not serve", relative(other, 1, 32, BYTES(22, 5), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "does not serve", relative(other, 1, 32, BYTES(0x97), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "does not serve", relative(112, 1, 32, BYTES(112, 5), 1, BYTES(0x05, 0, 1, 10, 30)));
    REFUSED(ERROR_INVALID, "do not exist", relative(other, 1, 32, BYTES(other, 5), 1, BYTES(0x0d, 0, 1, 10, 30)));
}

static void test_wrong_numbers(void **state)
{
    (void)state;
    const unsigned id = FLOW_BYTES_0;
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 0, 0, BYTES(1), 1)); /* no such codec */
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 8, 0, BYTES(1), 1));
    REFUSED(ERROR_INVALID, "quotients", one_column(id, 7, 0, BYTES(1, 1, 1, 1, 0), 1)); /* by 1 */
    REFUSED(ERROR_INVALID, "quotients", one_column(id, 7, 0, BYTES(0x80), 1));
    REFUSED(ERROR_INVALID, "quotients", one_column(id, 7, 0, BYTES(9, 1, 1), 1));
    REFUSED(0, "", one_column(id, 7, 0, BYTES(9, 1, 1, 1, 8), 1));
    REFUSED(ERROR_INVALID, "remainder", one_column(id, 7, 0, BYTES(9, 1, 1, 1, 9), 1));
    REFUSED(ERROR_INVALID, "behind", one_column(id, 7, 0, BYTES(9, 1, 1, 1, 8, 0), 1));
    REFUSED(ERROR_INVALID, "does not fit", one_column(FLOW_PROTO, 7, 0, BYTES(2, 1, 0x80, 0x01, 1, 0), 1));
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 5, 0, BYTES(1), 1));    /* plain is for others */
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 1, 0, BYTES(0x80), 1)); /* half a varint */
    REFUSED(ERROR_INVALID, "behind", one_column(id, 1, 0, BYTES(1, 1), 1));
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 2, 0, BYTES(0), 1)); /* no packing */
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 2, 0, BYTES(0, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1), 1)); /* 9 planes */
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 2, 0, BYTES(0, 2, 1, 1, 1), 2)); /* a short plane */
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 2, 0, BYTES(0, 0, 57, 0, 0, 0, 0, 0, 0, 0, 0), 1));
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 2, 0, BYTES(0, 0, 63, 0, 0, 0, 0, 0, 0, 0, 0), 1));
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 2, 0, BYTES(0, 0, 65, 0, 0, 0, 0, 0, 0, 0, 0, 0), 1));
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 2, 0, BYTES(0, 0, 8, 1), 2));    /* a short group */
    REFUSED(ERROR_INVALID, "sequence", one_column(id, 2, 0, BYTES(0, 0, 3, 0x08), 1)); /* padding that is set */
    REFUSED(0, "", one_column(id, 2, 0, BYTES(0, 0, 3, 0x07), 1));
    REFUSED(ERROR_INVALID, "behind", one_column(id, 2, 0, BYTES(0, 0, 3, 0x07, 0), 1));
    REFUSED(0, "", one_column(FLOW_PROTO, 1, 0, BYTES(0xff, 0x01), 1));                         /* 255 */
    REFUSED(ERROR_INVALID, "does not fit", one_column(FLOW_PROTO, 1, 0, BYTES(0x80, 0x02), 1)); /* 256 */
    REFUSED(ERROR_INVALID, "does not fit", one_column(FLOW_PROTO, 2, 0, BYTES(0xff, 0x01, 1, 1), 1));
    REFUSED(0, "", one_column(FLOW_ORIGINATOR, 1, 0, BYTES(1), 1));
    REFUSED(ERROR_INVALID, "does not fit", one_column(FLOW_ORIGINATOR, 1, 0, BYTES(2), 1));
}

static void test_wrong_dictionaries(void **state)
{
    (void)state;
    const unsigned id = FLOW_BYTES_0;
    REFUSED(0, "", one_column(id, 4, 0, BYTES(2, 2, 0, 1, 5, 6, 2, 0, 1, 1, 0), 2));
    REFUSED(ERROR_INVALID, "outside", one_column(id, 4, 0, BYTES(2, 2, 0, 1, 5, 6, 2, 0, 1, 2, 0), 2));
    REFUSED(ERROR_INVALID, "not ascend", one_column(id, 4, 0, BYTES(2, 2, 0, 1, 6, 5, 2, 0, 1, 1, 0), 2));
    REFUSED(ERROR_INVALID, "not ascend", one_column(id, 4, 0, BYTES(2, 1, 6, 2, 0, 1, 1, 0), 2));
    REFUSED(ERROR_INVALID, "dictionary", one_column(id, 4, 0, BYTES(0, 2, 0, 1, 1, 0), 2)); /* of none */
    REFUSED(ERROR_INVALID, "dictionary",
            one_column(id, 4, 0, BYTES(3, 2, 0, 1, 4, 5, 6, 1, 0), 2));         /* more than rows */
    REFUSED(ERROR_INVALID, "outside", one_column(id, 4, 0, BYTES(1, 1, 5), 2)); /* no indexes */
    REFUSED(ERROR_INVALID, "fit", one_column(FLOW_PROTO, 4, 0, BYTES(2, 2, 0xff, 0x01, 1, 0, 1, 2, 0, 1, 0, 1), 2));
    REFUSED(0, "", one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 1, 'S', 1, 1), 2));
    REFUSED(ERROR_INVALID, "outside",
            one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 1, 'S', 1, 2), 2)); /* not used before */
    REFUSED(ERROR_INVALID, "outside", one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 1, 'S', 1, 0), 2)); /* one too many */
    REFUSED(ERROR_INVALID, "outside", one_column(FLOW_HISTORY, 4, 0, BYTES(2, 1, 1, 'S', 'T', 1, 1), 2)); /* unused */
    REFUSED(ERROR_INVALID, "outside", one_column(FLOW_HISTORY, 4, 0, BYTES(1, 1, 1, 'S'), 2));            /* no uses */
    REFUSED(ERROR_INVALID, "dictionary", one_column(FLOW_HISTORY, 4, 0, BYTES(0, 1, 0), 2));
}

static void test_wrong_addresses_texts_and_lists(void **state)
{
    (void)state;
    REFUSED(ERROR_INVALID, "addresses", one_column(FLOW_ADDR_0, 5, 0, BYTES(0), 1));
    REFUSED(ERROR_INVALID, "addresses",
            one_column(FLOW_ADDR_0, 5, 0, BYTES(17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17), 1));
    REFUSED(ERROR_INVALID, "addresses", one_column(FLOW_ADDR_0, 5, 0, BYTES(4, 1, 2, 3), 1));
    REFUSED(ERROR_INVALID, "type", one_column(FLOW_ADDR_0, 2, 0, BYTES(4, 1, 2, 3, 4), 1));
    REFUSED(ERROR_INVALID, "texts",
            one_column(FLOW_HISTORY, 5, 0, BYTES(1, 3, 'a', 'b'), 1)); /* longer than there is */
    REFUSED(ERROR_INVALID, "behind", one_column(FLOW_HISTORY, 5, 0, BYTES(1, 1, 'a', 'b'), 1));
    REFUSED(ERROR_INVALID, "texts", one_column(FLOW_HISTORY, 5, 0, BYTES(1, 0x81, 0x08), 1)); /* 1025 bytes */
    REFUSED(ERROR_INVALID, "lists", one_column(FLOW_FRAMES, 5, 0, BYTES(1, 0), 1));
    REFUSED(ERROR_INVALID, "lists",
            one_column(FLOW_FRAMES, 6, 0, BYTES(1, 0x81, 0x80, 0x04, 1, 1, 1, 0), 1)); /* 65537 */
    REFUSED(ERROR_INVALID, "too many", one_column(FLOW_FRAMES, 6, 0, BYTES(1, 0x80, 0x80, 0x04, 1, 1, 1, 0), 262144));
    REFUSED(ERROR_INVALID, "first items", one_column(FLOW_FRAMES, 6, 0, BYTES(1, 2), 1));
    REFUSED(ERROR_INVALID, "gaps", one_column(FLOW_FRAMES, 6, 0, BYTES(1, 2, 1, 7), 1));
    REFUSED(0, "", one_column(FLOW_FRAMES, 6, 0, BYTES(1, 2, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 1), 1));
    REFUSED(ERROR_INVALID, "32 bits",
            one_column(FLOW_FRAMES, 6, 0, BYTES(1, 2, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 2), 1));
    REFUSED(ERROR_INVALID, "32 bits", one_column(FLOW_FRAMES, 6, 0, BYTES(1, 1, 1, 0x80, 0x80, 0x80, 0x80, 0x10), 1));
    /* a gap that wraps around 2^64 */
    REFUSED(ERROR_INVALID, "32 bits",
            one_column(FLOW_FRAMES, 6, 0,
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
    assert_round_trip(&table_flow, (const uint8_t *)rows, 3);
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
        cmocka_unit_test(test_what_a_reader_would_refuse_is_not_written),
        cmocka_unit_test(test_lists_of_too_many_items_in_all),
        cmocka_unit_test(test_a_full_buffer),
    };
    return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
