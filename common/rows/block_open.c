/*
 * Opening a block and its columns. Nothing that stands in a block is trusted: header and directory are checked when it
 * is opened, a column's bytes when it is first read. The bytes are described in block.h.
 */
#include "common/base/hash.h"
#include "common/rows/block_inside.h"
#include "common/rows/cells.h"
#include "common/rows/codec.h"

#include <stdlib.h>
#include <string.h>

static int bad_block(struct error *e, const struct table *t, size_t at, const char *what)
{
    return error_set(e, ERROR_INVALID, "block of %s rows, byte %zu: %s", t->name, at, what);
}

static int read_header(const struct table *t, struct bytes *in, struct block *b, struct error *e)
{
    const uint8_t *magic = bytes_take(in, 4);
    if (!magic)
        return error_set(e, ERROR_TRUNCATED, "block of %s rows: ends within its header", t->name);
    if (memcmp(magic, BLOCK_MAGIC, 4) != 0)
        return bad_block(e, t, 0, "this is no block of rows (no " BLOCK_MAGIC ")");
    unsigned version = bytes_u8(in);
    unsigned table = bytes_u8(in);
    b->columns = bytes_le16(in);
    b->rows = bytes_le32(in);
    if (in->bad)
        return error_set(e, ERROR_TRUNCATED, "block of %s rows: ends within its header", t->name);
    if (version != BLOCK_VERSION)
        return error_set(e, ERROR_VERSION, "block of %s rows: version %u, this program reads version %d", t->name,
                         version, BLOCK_VERSION);
    if (table != t->id)
        return error_set(e, ERROR_INVALID, "block of another table: %u, expected %u (%s)", table, t->id, t->name);
    if (b->rows > BLOCK_ROWS_MAX)
        return error_set(e, ERROR_LIMIT, "block of %s rows: %u rows, allowed are %u", t->name, b->rows, BLOCK_ROWS_MAX);
    return 0;
}

/* Header, directory and their hash must be there before anything is believed. */
static int check_hash(const struct block *b, const uint8_t *data, size_t len, struct error *e)
{
    size_t directory_end = BLOCK_HEADER_SIZE + (size_t)b->columns * BLOCK_ENTRY_SIZE;
    if (len < directory_end + BLOCK_HASH_SIZE)
        return error_set(e, ERROR_TRUNCATED, "block of %s rows: %zu bytes, its directory alone needs %zu",
                         b->table->name, len, directory_end + BLOCK_HASH_SIZE);
    struct bytes in = bytes_of(data + directory_end, BLOCK_HASH_SIZE);
    if (bytes_le64(&in) != hash64(data, directory_end))
        return error_set(e, ERROR_CORRUPT, "block of %s rows: the checksum of its directory does not match",
                         b->table->name);
    return 0;
}

static struct block_entry read_entry(struct bytes *in)
{
    struct block_entry entry;
    entry.id = bytes_le16(in);
    entry.codec = bytes_u8(in);
    entry.flags = bytes_u8(in);
    entry.stored_length = bytes_le32(in);
    entry.raw_length = bytes_le32(in);
    entry.hash = bytes_le64(in);
    return entry;
}

/* More than any writer needs for a column of that many rows: a bound on memory before a column is expanded. */
static uint64_t raw_length_max(const struct column *c, uint32_t rows)
{
    static const uint64_t per_row[] = {
        [COLUMN_UINT] = 32,
        [COLUMN_ADDRESS] = 64,
        [COLUMN_TEXT] = COLUMN_TEXT_MAX + 32,
        [COLUMN_LIST] = BLOCK_BYTES_MAX, /* BLOCK_ITEMS_MAX is their limit */
    };
    return 1024 + per_row[c->type] * rows;
}

static const char *flags_fault(const struct column *c, const struct block_entry *entry)
{
    unsigned presence = entry->flags & BLOCK_ROWS;
    unsigned numbers = entry->flags & BLOCK_NUMBERS;
    unsigned other = entry->flags & BLOCK_OTHER;
    if (entry->flags & ~BLOCK_FLAGS_KNOWN)
        return "unknown flags of a column";
    if (numbers & (numbers - 1) || presence & (presence - 1) || other & (other - 1) ||
        ((numbers | other) && c->type != COLUMN_UINT) || (presence && entry->codec == FORM_CELLS))
        return "flags of a column that do not go together";
    return NULL;
}

static const char *lengths_fault(const struct block_entry *entry)
{
    if (!(entry->flags & BLOCK_ZSTD) && entry->raw_length != entry->stored_length)
        return "two lengths for a column that is not compressed";
    return NULL;
}

static const char *entry_fault(const struct block *b, const struct block_entry *entry, int previous_id)
{
    if (entry->id <= previous_id)
        return "column ids do not ascend";
    if (b->rows == 0)
        return "columns without rows";
    if (entry->id == BLOCK_CELLS)
        return entry->flags & ~BLOCK_ZSTD ? "unknown flags of the cells" : lengths_fault(entry);
    const struct column *c = table_column(b->table, entry->id);
    if (!c)
        return NULL;
    if (entry->raw_length > raw_length_max(c, b->rows))
        return "a column of more bytes than its rows can need";
    const char *fault = flags_fault(c, entry);
    return fault ? fault : lengths_fault(entry);
}

/* Gives columns of cells their places, and the cells theirs. */
static const char *place_cells(struct block *b)
{
    for (unsigned i = 0; i < b->columns; i++) {
        struct stored *s = &b->stored[i];
        if (s->entry.id == BLOCK_CELLS)
            b->in_cells = s;
        else if (s->entry.codec == FORM_CELLS)
            s->place = b->cells_columns++;
    }
    if (!b->in_cells != !b->cells_columns)
        return "cells without columns, or columns without cells";
    if (b->cells_columns > COLUMNS_MAX)
        return "cells of more columns than there can be";
    if (b->in_cells && (b->in_cells->entry.codec != FORM_CELLS ||
                        b->in_cells->entry.raw_length != (uint64_t)b->cells_columns * b->rows))
        return "not a cell for each row and column";
    return NULL;
}

static int read_directory(struct block *b, struct bytes *in, struct bytes *data, struct error *e)
{
    uint64_t raw = 0;
    int previous_id = -1;
    for (unsigned i = 0; i < b->columns; i++) {
        size_t at = bytes_at(in);
        struct block_entry entry = read_entry(in);
        const char *fault = entry_fault(b, &entry, previous_id);
        if (fault)
            return bad_block(e, b->table, at, fault);
        previous_id = entry.id;
        raw += entry.raw_length;
        const uint8_t *p = bytes_take(data, entry.stored_length);
        if (!p)
            return error_set(e, ERROR_TRUNCATED, "block of %s rows: ends within the column %u", b->table->name,
                             entry.id);
        b->stored[i] = (struct stored){.entry = entry, .data = p};
    }
    if (raw > BLOCK_BYTES_MAX)
        return error_set(e, ERROR_LIMIT, "block of %s rows: %llu bytes of columns, allowed are %u", b->table->name,
                         (unsigned long long)raw, BLOCK_BYTES_MAX);
    if (bytes_left(data))
        return bad_block(e, b->table, bytes_at(data), "bytes behind the last column");
    const char *fault = place_cells(b);
    return fault ? bad_block(e, b->table, BLOCK_HEADER_SIZE, fault) : 0;
}

static int open_block(const struct table *t, const uint8_t *data, size_t len, struct block *b, struct error *e)
{
    b->table = t;
    if (len > BLOCK_BYTES_MAX)
        return error_set(e, ERROR_LIMIT, "block of %s rows: %zu bytes, allowed are %u", t->name, len, BLOCK_BYTES_MAX);
    struct bytes in = bytes_of(data, len);
    int r = read_header(t, &in, b, e);
    if (r == 0)
        r = check_hash(b, data, len, e);
    if (r < 0)
        return r;
    b->stored = calloc(b->columns ? b->columns : 1u, sizeof(*b->stored));
    if (!b->stored)
        return error_set(e, ERROR_MEMORY, "no memory for a block's directory");
    struct bytes directory = bytes_sub(&in, (size_t)b->columns * BLOCK_ENTRY_SIZE);
    directory.start = data;
    bytes_skip(&in, BLOCK_HASH_SIZE);
    return read_directory(b, &directory, &in, e);
}

int block_open(const struct table *t, const void *data, size_t len, struct block **out, struct error *e)
{
    *out = NULL;
    struct block *b = calloc(1, sizeof(*b));
    if (!b)
        return error_set(e, ERROR_MEMORY, "no memory to open a block");
    int r = open_block(t, data, len, b, e);
    if (r < 0)
        block_close(b);
    else
        *out = b;
    return r;
}

void block_close(struct block *b)
{
    if (!b)
        return;
    for (unsigned i = 0; b->stored && i < b->columns; i++) {
        free(b->stored[i].expanded);
        free(b->stored[i].items);
        free(b->stored[i].bits);
    }
    free(b->stored);
    free(b->cells);
    free(b->scratch.numbers);
    free(b->scratch.more);
    free(b->scratch.texts);
    free(b->scratch.addresses);
    free(b->scratch.others);
    ZSTD_freeDCtx(b->zstd);
    free(b);
}

uint32_t block_rows(const struct block *b)
{
    return b->rows;
}

struct stored *block_find(const struct block *b, unsigned id)
{
    for (unsigned i = 0; i < b->columns; i++)
        if (b->stored[i].entry.id == id)
            return &b->stored[i];
    return NULL;
}

bool block_has_column(const struct block *b, unsigned id)
{
    return block_find(b, id) != NULL;
}

/* --- A column's bytes -------------------------------------------------------------------------------------------- */

int block_bad_column(struct error *e, const struct block *b, const struct column *c, const char *what)
{
    int code = what == column_no_memory ? ERROR_MEMORY : what == column_other_damaged ? ERROR_CORRUPT : ERROR_INVALID;
    return error_set(e, code, "block of %s rows, column %s: %s", b->table->name, c->name, what);
}

/* Exactly one zstd frame of exactly the raw length: that bounds the memory, whatever the frame's window says. */
static int expand(struct block *b, struct stored *s, const struct column *c, struct error *e)
{
    size_t raw = s->entry.raw_length;
    size_t stored = s->entry.stored_length;
    if (raw == 0 || ZSTD_getFrameContentSize(s->data, stored) != raw ||
        ZSTD_findFrameCompressedSize(s->data, stored) != stored)
        return block_bad_column(e, b, c, "not one zstd frame of the length that the directory says");
    if (!b->zstd)
        b->zstd = ZSTD_createDCtx();
    uint8_t *p = malloc(raw);
    if (!p || !b->zstd) {
        free(p);
        return error_set(e, ERROR_MEMORY, "no memory for %zu bytes of the column %s", raw, c->name);
    }
    if (ZSTD_decompressDCtx(b->zstd, p, raw, s->data, stored) != raw) {
        free(p);
        return block_bad_column(e, b, c, "does not decompress");
    }
    s->expanded = p;
    return 0;
}

/* Takes the presence bitmap off the front. */
static int read_bitmap(const struct block *b, struct stored *s, const struct column *c, struct bytes *in,
                       struct error *e)
{
    size_t size = (b->rows + 7u) / 8;
    const uint8_t *bits = bytes_take(in, size);
    if (!bits)
        return block_bad_column(e, b, c, "ends within its presence bitmap");
    if (b->rows % 8 && bits[size - 1] >> b->rows % 8)
        return block_bad_column(e, b, c, "presence bits of rows that do not exist");
    s->count = 0;
    for (size_t i = 0; i < size; i++)
        s->count += (size_t)__builtin_popcount(bits[i]);
    if (!s->count)
        return block_bad_column(e, b, c, "stored, but no row has it");
    s->presence = bits;
    return 0;
}

static bool make_scratch(struct block *b)
{
    struct scratch *s = &b->scratch;
    size_t n = b->rows ? b->rows : 1;
    if (!s->numbers)
        s->numbers = malloc(n * sizeof(*s->numbers));
    if (!s->more)
        s->more = malloc(n * sizeof(*s->more));
    if (!s->texts)
        s->texts = malloc(n * sizeof(*s->texts));
    if (!s->addresses)
        s->addresses = malloc(n * sizeof(*s->addresses));
    return s->numbers && s->more && s->texts && s->addresses;
}

/* The column's bytes, whole. */
static int load_bytes(struct block *b, struct stored *s, const struct column *c, struct bytes *in, struct error *e)
{
    if (!s->verified && hash64(s->data, s->entry.stored_length) != s->entry.hash)
        return error_set(e, ERROR_CORRUPT, "block of %s rows, column %s: its checksum does not match", b->table->name,
                         c->name);
    s->verified = true;
    if (s->entry.flags & BLOCK_ZSTD && !s->expanded) {
        int r = expand(b, s, c, e);
        if (r < 0)
            return r;
    }
    *in = bytes_of(s->expanded ? s->expanded : s->data, s->entry.raw_length);
    return 0;
}

/* All cells, row after row, and room for them column after column. */
static int load_cells(struct block *b, struct error *e)
{
    static const struct column cells = {.name = "cells"};
    struct stored *s = b->in_cells;
    struct bytes in;
    if (b->cells)
        return 0;
    int r = load_bytes(b, s, &cells, &in, e);
    if (r < 0)
        return r;
    b->cells_by_row = bytes_take(&in, s->entry.raw_length);
    b->cells = malloc(s->entry.raw_length);
    return b->cells ? 0 : error_set(e, ERROR_MEMORY, "no memory for %u bytes of cells", s->entry.raw_length);
}

/* The cells of a column, one for each row. */
static const uint8_t *cells_of(struct block *b, size_t column)
{
    size_t group = column / CELLS_TOGETHER;
    size_t first = group * CELLS_TOGETHER;
    size_t last = first + CELLS_TOGETHER < b->cells_columns ? first + CELLS_TOGETHER : b->cells_columns;
    if (group >= 64 || !(b->turned >> group & 1))
        cells_turn(b->cells_by_row, b->rows, b->cells_columns, first, last, b->cells);
    if (group < 64)
        b->turned |= UINT64_C(1) << group;
    return b->cells + column * b->rows;
}

/* The rows that have it are those of which the cell says so. */
static int read_cells(struct block *b, struct stored *s, const struct column *c, struct error *e)
{
    int r = s->cells ? 0 : load_cells(b, e);
    if (r < 0 || s->cells)
        return r;
    const uint8_t *cells = cells_of(b, s->place);
    s->count = b->rows;
    if (memchr(cells, 0, b->rows)) {
        if (!s->bits)
            s->bits = malloc((b->rows + 7u) / 8);
        if (!s->bits)
            return error_set(e, ERROR_MEMORY, "no memory for the column %s", c->name);
        s->count = cells_presence(cells, b->rows, s->bits);
    }
    if (!s->count)
        return block_bad_column(e, b, c, "stored, but no row has it");
    s->presence = s->bits;
    s->cells = cells;
    return 0;
}

/* The same rows have it as another column. */
static int read_like(struct block *b, struct stored *s, const struct column *c, struct bytes *in, struct error *e)
{
    uint64_t id = bytes_varint(in);
    const struct column *other = id < COLUMNS_MAX ? table_column(b->table, (unsigned)id) : NULL;
    struct stored *o = other ? block_find(b, other->id) : NULL;
    bool by_cells = o && o->entry.codec == FORM_CELLS;
    if (in->bad || !o || !(by_cells || o->entry.flags & BLOCK_PRESENCE))
        return block_bad_column(e, b, c, "its rows are said to be those of a column that does not serve for that");
    struct bytes bitmap;
    int r = by_cells ? read_cells(b, o, other, e) : o->presence ? 0 : load_bytes(b, o, other, &bitmap, e);
    if (r == 0 && !by_cells && !o->presence)
        r = read_bitmap(b, o, other, &bitmap, e);
    s->presence = o->presence;
    s->count = o->count;
    return r;
}

int block_load(struct block *b, struct stored *s, const struct column *c, struct bytes *in, struct error *e)
{
    if (!make_scratch(b))
        return error_set(e, ERROR_MEMORY, "no memory to read %u rows", b->rows);
    int r = load_bytes(b, s, c, in, e);
    if (r < 0)
        return r;
    if (s->entry.codec == FORM_CELLS)
        return read_cells(b, s, c, e);
    s->count = b->rows;
    if (s->entry.flags & BLOCK_PRESENCE)
        return read_bitmap(b, s, c, in, e);
    return s->entry.flags & BLOCK_LIKE ? read_like(b, s, c, in, e) : 0;
}
