/* Blocks without memory: whichever allocation fails, the answer is ERROR_MEMORY, and nothing leaks (which the sanitizer
 * sees). */
#include "common/rows/stage.h"
#include "tests/unit/random_rows.h"

#define ROWS 300u

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

static void fill(void *context, size_t from, size_t n, struct stage *tile)
{
    (void)n;
    stage_put_rows(tile, 0, COLUMNS_MAX, (const uint8_t *)context + from * table_flow.row_size);
}

static int encode(struct block_writer *w, uint8_t *rows, struct buffer *out, struct error *e)
{
    return block_writer_encode(w, &table_flow, fill, rows, ROWS, out, e);
}

static void test_writing(void **state)
{
    (void)state;
    struct random_pool *p = random_pool_new(31);
    uint8_t *rows = some_rows(p, ROWS);
    struct buffer good = {.len = 0};
    assert_int_equal(block_encode(&table_flow, rows, ROWS, &good, NULL), 0);
    long n = 1, failed = 0;
    for (bool all_there = false; !all_there; n++) {
        struct buffer out = {.len = 0};
        struct error e = ERROR_INIT;
        struct block_writer *w = block_writer_new();
        left = n;
        int r = encode(w, rows, &out, &e);
        all_there = left > 0;
        left = -1;
        if (r != 0) { /* else it could do without */
            failed++;
            assert_int_equal(r, ERROR_MEMORY);
            assert_true(e.text[0] != 0);
            assert_int_equal(out.len, 0);
        }
        buffer_clear(&out);
        assert_int_equal(encode(w, rows, &out, &e), 0); /* the next one by the same writer */
        assert_int_equal(out.len, good.len);
        assert_memory_equal(out.data, good.data, good.len);
        buffer_free(&out);
        block_writer_free(w);
    }
    assert_in_range(failed, 15, 10000); /* in many places */
    buffer_free(&good);
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
    uint8_t *rows = some_rows(p, ROWS);
    struct buffer out = {.len = 0};
    assert_int_equal(block_encode(&table_flow, rows, ROWS, &out, NULL), 0);
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
