/* Distinct values: those that were chosen to share a slot of the table are given up after a bounded number of steps, and
 * their columns are written without a dictionary. */
#include "common/base/hash.h"
#include "common/rows/block_format.h"
#include "common/rows/codec.h"
#include "common/rows/distinct.h"
#include "tests/unit/block_craft.h"
#include "tests/unit/random_rows.h"

enum { ROWS = 20000, REPEATED = 1000, LENGTH = 16 };

/* Steps to find each of k values once that share a slot. */
#define STEPS_OF(k) ((k) * ((k) - (size_t)1) / 2)

/* The k-th text of its kind, of LENGTH bytes: all have the same hash, or each its own. */
static void make_text(size_t k, bool collide, char text[LENGTH])
{
    uint64_t word[2];
    word[1] = hash64_mix(k);
    word[0] = collide ? hash64_unmix(0x1234567812345678) ^ hash64_mix(word[1] + LENGTH) : k;
    memcpy(text, word, sizeof word);
}

/* `distinct` texts, one after the other and again. */
static const struct text *make_texts(size_t distinct, bool collide)
{
    static char bytes[ROWS][LENGTH];
    static struct text texts[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        make_text(i, collide, bytes[i]);
        texts[i] = (struct text){.data = bytes[i % distinct], .len = LENGTH};
    }
    return texts;
}

static struct text entries[ROWS];
static uint64_t uses[ROWS];

static size_t count_texts(const struct text *texts, size_t n)
{
    struct buffer memory = {.len = 0};
    size_t count = distinct_texts(texts, n, false, entries, uses, &memory);
    assert_false(memory.failed);
    buffer_free(&memory);
    return count;
}

static void test_texts_of_one_hash(void **state)
{
    (void)state;
    assert_int_equal(count_texts(make_texts(ROWS, false), ROWS), ROWS);
    assert_int_equal(count_texts(make_texts(ROWS, true), ROWS), 0);
    assert_int_equal(count_texts(make_texts(REPEATED, false), ROWS), REPEATED);
    assert_int_equal(count_texts(make_texts(REPEATED, true), ROWS), 0);
}

/* So few that they do not matter are found as others are. */
static void test_a_few_texts_of_one_hash(void **state)
{
    (void)state;
    enum { FEW = 20 };
    const struct text *texts = make_texts(FEW, true);
    assert_int_equal(count_texts(texts, ROWS), FEW);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(uses[i], i < FEW ? 0 : i % FEW + 1);
    for (size_t i = 0; i < FEW; i++)
        assert_memory_equal(entries[i].data, texts[i].data, LENGTH);
}

/* What it takes to put texts into a larger table counts, too. */
static void test_steps_of_a_table_that_grows(void **state)
{
    (void)state;
    enum { VALUES = 400, FIT = 120, GROW = 140 }; /* the table grows when it has 128 */
    const struct text *texts = make_texts(ROWS, true);
    struct text values[VALUES];
    assert_in_range(STEPS_OF(GROW), 0, DISTINCT_STEPS(VALUES));
    assert_true(STEPS_OF(GROW) + STEPS_OF(128) > DISTINCT_STEPS(VALUES));
    for (size_t i = 0; i < VALUES; i++)
        values[i] = texts[i < FIT ? i : FIT - 1];
    assert_int_equal(count_texts(values, VALUES), FIT);
    for (size_t i = 0; i < VALUES; i++)
        values[i] = texts[i < GROW ? i : GROW - 1];
    assert_int_equal(count_texts(values, VALUES), 0);
}

static struct distinct_numbers numbers;
static uint64_t indexes[ROWS];

/* `distinct` numbers, one after the other and again: of their hash's bits that matter, all are the same, or not. */
static bool find_numbers(size_t distinct, bool collide, bool sample)
{
    static uint64_t values[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        values[i] = (distinct - 1 - i % distinct) << (collide ? 53 : 0);
    bool found = distinct_numbers(&numbers, values, ROWS, sample, indexes);
    assert_in_range(numbers.steps, 0, DISTINCT_STEPS(ROWS) + DISTINCT_NUMBERS_MAX);
    for (size_t i = 0; found && i < ROWS; i++)
        assert_int_equal(numbers.values[indexes[i]], values[i]);
    return found;
}

static void test_numbers_of_one_slot(void **state)
{
    (void)state;
    assert_true(find_numbers(REPEATED, false, false));
    assert_int_equal(numbers.count, REPEATED);
    assert_false(find_numbers(REPEATED, true, false));
    assert_true(find_numbers(300, false, true));
    assert_false(find_numbers(300, true, true)); /* as the sample tells */
    assert_true(find_numbers(20, true, false));
    assert_int_equal(numbers.count, 20);
}

/* Numbers of 32 bits of one slot of the largest table, or that ascend. */
static void make_tunnel_ids(uint64_t ids[REPEATED], bool collide)
{
    size_t count = 0;
    for (uint64_t v = 1; count < REPEATED; v++)
        if (!collide || (v * UINT64_C(0x9e3779b97f4a7c15) >> 40) % (2 * DISTINCT_NUMBERS_MAX) == 7)
            ids[count++] = collide ? v : v << 16;
}

static struct flow_row *make_rows(bool collide)
{
    static uint64_t ids[REPEATED];
    const struct text *texts = make_texts(REPEATED, collide);
    struct flow_row *rows = calloc(ROWS, sizeof(*rows));
    assert_non_null(rows);
    make_tunnel_ids(ids, collide);
    for (size_t i = 0; i < ROWS; i++) {
        memcpy(rows[i].key.addr[0], texts[i].data, LENGTH);
        column_add(&rows[i].has, FLOW_ADDR_0);
        rows[i].sni = texts[i];
        column_add(&rows[i].has, FLOW_SNI);
        column_set_uint(table_column(&table_flow, FLOW_TUNNEL_ID), &rows[i], ids[i * 7 % REPEATED]);
    }
    return rows;
}

/* As it is written in the block's directory. */
static unsigned form_of(const struct buffer *block, unsigned id)
{
    for (const uint8_t *p = block->data + BLOCK_HEADER_SIZE; p < block->data + block->len; p += BLOCK_ENTRY_SIZE)
        if ((p[0] | p[1] << 8) == (int)id)
            return p[2];
    fail_msg("no column %u", id);
    return 0;
}

static void test_columns_of_such_values(void **state)
{
    (void)state;
    static const unsigned columns[] = {FLOW_ADDR_0, FLOW_SNI, FLOW_TUNNEL_ID};
    static const unsigned without_dictionary[] = {FORM_PLAIN, FORM_PLAIN, FORM_FRAME};
    for (int collide = 0; collide < 2; collide++) {
        struct flow_row *rows = make_rows(collide);
        struct buffer block = block_encoded(&table_flow, rows, ROWS);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(form_of(&block, columns[i]), collide ? without_dictionary[i] : FORM_DICTIONARY);
        block_assert_round_trip(&table_flow, (const uint8_t *)rows, ROWS);
        buffer_free(&block);
        free(rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_of_one_hash),           cmocka_unit_test(test_a_few_texts_of_one_hash),
        cmocka_unit_test(test_steps_of_a_table_that_grows), cmocka_unit_test(test_numbers_of_one_slot),
        cmocka_unit_test(test_columns_of_such_values),
    };
    return cmocka_run_group_tests_name("distinct", tests, NULL, NULL);
}
