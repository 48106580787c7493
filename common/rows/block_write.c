/*
 * Rows -> block: stages the rows, writes column after column, and puts header and directory in front. The bytes are
 * described in block.h.
 */
#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/block_format.h"
#include "common/rows/column_write.h"

struct writer {
    const struct stage *stage;
    uint16_t columns;
    uint64_t raw_bytes; /* of all columns */
    struct buffer directory;
    struct buffer data;
};

static void add_entry(struct writer *w, const struct block_entry *entry)
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

static int write_columns(struct writer *w, struct error *e)
{
    struct column_writer *columns = column_writer_new();
    int r = columns ? 0 : error_set(e, ERROR_MEMORY, "no memory to write a block of rows");
    for (unsigned i = 0; i < w->stage->table->count && r == 0; i++) {
        struct block_entry entry;
        if (w->stage->count[i] == 0)
            continue;
        r = column_write(columns, w->stage, i, &entry, &w->data, e);
        if (r == 0)
            add_entry(w, &entry);
    }
    column_writer_free(columns);
    return r;
}

static int write_block(const struct writer *w, struct buffer *out, struct error *e)
{
    size_t start = out->len;
    size_t head = BLOCK_HEADER_SIZE + w->directory.len;
    size_t len = head + BLOCK_HASH_SIZE + w->data.len;
    if (len > BLOCK_BYTES_MAX || w->raw_bytes > BLOCK_BYTES_MAX)
        return error_set(e, ERROR_LIMIT, "a block of %zu rows has %zu bytes, expanded %llu; allowed are %u",
                         w->stage->n, len, (unsigned long long)w->raw_bytes, BLOCK_BYTES_MAX);
    if (w->directory.failed || w->data.failed || !buffer_reserve(out, len))
        return error_set(e, ERROR_MEMORY, "no memory, or no room, for a block of %zu bytes", len);
    buffer_append(out, BLOCK_MAGIC, 4);
    buffer_u8(out, BLOCK_VERSION);
    buffer_u8(out, (uint8_t)w->stage->table->id);
    buffer_le16(out, w->columns);
    buffer_le32(out, (uint32_t)w->stage->n);
    buffer_append(out, w->directory.data, w->directory.len);
    buffer_le64(out, hash64(out->data + start, head));
    buffer_append(out, w->data.data, w->data.len);
    return 0;
}

int block_encode(const struct table *t, const void *rows, size_t n, struct buffer *out, struct error *e)
{
    if (n > BLOCK_ROWS_MAX)
        return error_set(e, ERROR_LIMIT, "a block of %zu rows, allowed are %u", n, BLOCK_ROWS_MAX);
    struct stage stage;
    int r = stage_fill(&stage, t, rows, n, e);
    if (r < 0)
        return r;
    struct writer w = {.stage = &stage, .directory = {.len = 0}, .data = {.len = 0}};
    r = write_columns(&w, e);
    if (r == 0)
        r = write_block(&w, out, e);
    buffer_free(&w.directory);
    buffer_free(&w.data);
    stage_free(&stage);
    return r;
}
