/*
 * A block from a stranger. The hashes are put right first, or nothing behind them would ever be reached. What reads
 * well must be written and read again as the same.
 */
#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/block_format.h"
#include "common/rows/flow_row.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 4096u /* keeps one run short */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void put_le64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static size_t le32(const uint8_t *p)
{
    return p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static void put_hashes_right(uint8_t *data, size_t len)
{
    if (len < BLOCK_HEADER_SIZE)
        return;
    size_t columns = data[6] | (size_t)data[7] << 8;
    size_t head = BLOCK_HEADER_SIZE + columns * BLOCK_ENTRY_SIZE;
    if (len < head + BLOCK_HASH_SIZE)
        return;
    size_t at = head + BLOCK_HASH_SIZE;
    for (size_t i = 0; i < columns; i++) {
        uint8_t *entry = data + BLOCK_HEADER_SIZE + i * BLOCK_ENTRY_SIZE;
        size_t stored = le32(entry + 4);
        if (stored > len - at)
            break;
        put_le64(entry + 12, hash64(data + at, stored));
        at += stored;
    }
    put_le64(data + head, hash64(data, head));
}

static void *read_rows(const struct table *t, const void *data, size_t len, struct block **b)
{
    void *rows = NULL;
    if (block_open(t, data, len, b, NULL) < 0)
        return NULL;
    if (block_rows(*b) > ROWS_MAX || block_read(*b, &rows, NULL) < 0)
        return NULL;
    return rows;
}

/* Written, read and written again: the same bytes. */
static void check_again(const struct table *t, const void *rows, size_t n)
{
    struct buffer once = {.len = 0};
    struct buffer twice = {.len = 0};
    struct block *b = NULL;
    if (block_encode(t, rows, n, &once, NULL) < 0)
        abort();
    void *back = read_rows(t, once.data, once.len, &b);
    if (!back || block_encode(t, back, n, &twice, NULL) < 0)
        abort();
    if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
        abort();
    free(back);
    block_close(b);
    buffer_free(&once);
    buffer_free(&twice);
}

static void check_numbers(const struct table *t, struct block *b, const uint8_t *rows)
{
    static uint64_t numbers[ROWS_MAX];
    static uint8_t present[ROWS_MAX / 8];
    for (const struct column *c = t->columns; c < t->columns + t->count; c++) {
        if (c->type != COLUMN_UINT)
            continue;
        if (block_read_numbers(b, c->id, numbers, present, NULL) < 0)
            abort();
        for (size_t i = 0; i < block_rows(b); i++) {
            uint64_t v = 0;
            bool has = column_uint(c, rows + i * t->row_size, &v);
            if (has != (present[i / 8] >> i % 8 & 1) || v != numbers[i])
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    struct block *b = NULL;
    if (!copy)
        return 0;
    memcpy(copy, data, len);
    put_hashes_right(copy, len);
    const struct table *t = len > 5 && copy[5] == table_exchange.id ? &table_exchange : &table_flow;
    void *rows = read_rows(t, copy, len, &b);
    if (rows) {
        check_again(t, rows, block_rows(b));
        check_numbers(t, b, rows);
    }
    free(rows);
    block_close(b);
    free(copy);
    return 0;
}
