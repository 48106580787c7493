/* Blocks without memory: whichever allocation fails, the answer is ERROR_MEMORY, and nothing leaks (which the sanitizer
 * sees). */
#include "tests/unit/random_rows.h"

/* Allocations until the one that fails, which all after it do too; negative: none does. */
static long left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool fails(void)
{
    if (left > 0)
        left--;
    return left == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

/* Rows with all columns, some missing here and there, so that every way to write a column is taken. */
static uint8_t *some_rows(struct random_pool *p, size_t n)
{
    uint8_t *rows = random_rows(p, &table_flow, n);
    for (unsigned k = 0; k < table_flow.count; k++)
        for (size_t i = 0; i < n; i += 3)
            column_add((void *)(rows + i * table_flow.row_size), table_flow.columns[k].id);
    return rows;
}

static void test_writing(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(31);
    uint8_t *rows = some_rows(p, 300);
    int r = ERROR_MEMORY;
    long n = 1;
    for (; r != 0; n++) {
        struct buffer out = {.len = 0};
        struct error e = ERROR_INIT;
        left = n;
        r = block_encode(&table_flow, rows, 300, &out, &e);
        left = -1;
        if (r != 0) {
            assert_int_equal(r, ERROR_MEMORY);
            assert_true(e.text[0] != 0);
            assert_int_equal(out.len, 0);
        }
        buffer_free(&out);
    }
    assert_in_range(n, 15, 10000); /* it did fail in many places */
    free(rows);
    free(p);
}

static int open_and_read(const struct buffer *in, void **rows, struct error *e)
{
    struct block *b;
    *rows = NULL;
    int r = block_open(&table_flow, in->data, in->len, &b, e);
    if (r == 0)
        r = block_read(b, rows, e);
    block_close(b);
    return r;
}

static void test_reading(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(37);
    uint8_t *rows = some_rows(p, 300);
    struct buffer out = {.len = 0};
    assert_int_equal(block_encode(&table_flow, rows, 300, &out, NULL), 0);
    int r = ERROR_MEMORY;
    long n = 1;
    for (; r != 0; n++) {
        struct error e = ERROR_INIT;
        void *back;
        left = n;
        r = open_and_read(&out, &back, &e);
        left = -1;
        if (r != 0) {
            assert_int_equal(r, ERROR_MEMORY);
            assert_true(e.text[0] != 0);
            assert_null(back);
        }
        free(back);
    }
    assert_in_range(n, 8, 10000);
    buffer_free(&out);
    free(rows);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_reading),
    };
    return cmocka_run_group_tests_name("block_memory", tests, NULL, NULL);
}
