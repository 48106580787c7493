/*
 * Rows -> block: stages the rows, writes column after column, and puts header and directory in front. The bytes are
 * described in block.h.
 */
#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/block_format.h"
#include "common/rows/column_write.h"
#include <stdlib.h>
#include <string.h>

struct block_writer {
    struct column_writer *column_writer;
    struct stage stage;

    /* The block that is being written */
    uint16_t columns;
    uint64_t raw_bytes; /* of all columns */
    struct buffer directory;
    struct buffer data;
    struct buffer cells; /* of column after column */
};

struct block_writer *block_writer_new(void)
{
    struct block_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->column_writer = column_writer_new();
    if (w->column_writer)
        return w;
    free(w);
    return NULL;
}

void block_writer_free(struct block_writer *w)
{
    if (!w)
        return;
    column_writer_free(w->column_writer);
    stage_free(&w->stage);
    buffer_free(&w->directory);
    buffer_free(&w->data);
    buffer_free(&w->cells);
    free(w);
}

static void add_entry(struct block_writer *w, const struct block_entry *entry)
{
    struct buffer *d = &w->directory;
    buffer_le16(d, entry->id);
    buffer_u8(d, entry->codec);
    buffer_u8(d, entry->flags);
    buffer_le32(d, entry->stored_length);
    buffer_le32(d, entry->raw_length);
    buffer_le64(d, entry->hash);
    w->raw_bytes += entry->raw_length;
    w->columns++;
}

static int write_columns(struct block_writer *w, struct error *e)
{
    int r = 0;
    for (unsigned i = 0; i < w->stage.table->count && r == 0; i++) {
        struct block_entry entry;
        if (w->stage.count[i] == 0)
            continue;
        r = column_write(w->column_writer, &w->stage, i, &entry, &w->data, &w->cells, e);
        if (r == 0)
            add_entry(w, &entry);
    }
    if (r == 0 && w->cells.failed)
        r = error_set(e, ERROR_MEMORY, "no memory to write %zu rows", w->stage.n);
    return r;
}

/* After the columns that have some. */
static int write_cells(struct block_writer *w, struct error *e)
{
    struct block_entry entry;
    size_t n = w->stage.n;
    if (w->cells.len == 0)
        return 0;
    int r = column_write_cells(w->column_writer, w->cells.data, n, w->cells.len / n, &entry, &w->data, e);
    if (r == 0)
        add_entry(w, &entry);
    return r;
}

static int write_block(const struct block_writer *w, struct buffer *out, struct error *e)
{
    size_t start = out->len;
    size_t head = BLOCK_HEADER_SIZE + w->directory.len;
    size_t len = head + BLOCK_HASH_SIZE + w->data.len;
    if (len > BLOCK_BYTES_MAX || w->raw_bytes > BLOCK_BYTES_MAX)
        return error_set(e, ERROR_LIMIT, "a block of %zu rows has %zu bytes, expanded %llu; allowed are %u", w->stage.n,
                         len, (unsigned long long)w->raw_bytes, BLOCK_BYTES_MAX);
    if (w->directory.failed || w->data.failed || !buffer_reserve(out, len))
        return error_set(e, ERROR_MEMORY, "no memory, or no room, for a block of %zu bytes", len);
    buffer_append(out, BLOCK_MAGIC, 4);
    buffer_u8(out, BLOCK_VERSION);
    buffer_u8(out, (uint8_t)w->stage.table->id);
    buffer_le16(out, w->columns);
    buffer_le32(out, (uint32_t)w->stage.n);
    buffer_append(out, w->directory.data, w->directory.len);
    buffer_le64(out, hash64(out->data + start, head));
    buffer_append(out, w->data.data, w->data.len);
    return 0;
}

static int fill_stage(struct block_writer *w, const struct table *t, block_fill_fn *fill, void *context, size_t n,
                      struct error *e)
{
    int r = stage_begin(&w->stage, t, n, e);
    for (size_t i = 0; i < n && r == 0; i += STAGE_TILE) {
        size_t rows = stage_next(&w->stage);
        fill(context, i, rows, &w->stage);
    }
    return r;
}

int block_writer_encode(struct block_writer *w, const struct table *t, block_fill_fn *fill, void *context, size_t n,
                        struct buffer *out, struct error *e)
{
    if (n > BLOCK_ROWS_MAX)
        return error_set(e, ERROR_LIMIT, "a block of %zu rows, allowed are %u", n, BLOCK_ROWS_MAX);
    w->columns = 0;
    w->raw_bytes = 0;
    column_writer_begin(w->column_writer);
    buffer_clear(&w->directory);
    buffer_clear(&w->data);
    buffer_clear(&w->cells);
    int r = fill_stage(w, t, fill, context, n, e);
    if (r == 0)
        r = write_columns(w, e);
    if (r == 0)
        r = write_cells(w, e);
    return r ? r : write_block(w, out, e);
}

struct given {
    const uint8_t *rows;
    size_t row_size;
};

static void fill_given(void *context, size_t from, size_t n, struct stage *tile)
{
    const struct given *g = context;
    (void)n;
    stage_put_rows(tile, 0, COLUMNS_MAX, g->rows + from * g->row_size);
}

int block_encode(const struct table *t, const void *rows, size_t n, struct buffer *out, struct error *e)
{
    struct given given = {.rows = rows, .row_size = t->row_size};
    struct block_writer *w = block_writer_new();
    int r = w ? block_writer_encode(w, t, fill_given, &given, n, out, e)
              : error_set(e, ERROR_MEMORY, "no memory to write a block of rows");
    block_writer_free(w);
    return r;
}
