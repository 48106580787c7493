/*
 * Block -> rows. Nothing that stands in a block is trusted: header and directory are checked when it is opened, a
 * column's bytes when it is first read, every value before it reaches a row. The bytes are described in block.h and
 * codec.h.
 */
#include "common/base/bytes.h"
#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/block_format.h"
#include "common/rows/codec.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* A column of an opened block. */
struct stored {
    struct block_entry entry;
    const uint8_t *data;     /* in the caller's memory */
    bool verified;           /* the hash matched */
    uint8_t *expanded;       /* owned; rows' texts may point into it */
    uint32_t *items;         /* owned; rows' lists point into it */
    const uint8_t *presence; /* once loaded; NULL: all rows have it */
    size_t count;            /* once loaded: rows that have it */
};

struct scratch {
    uint64_t *numbers; /* values, indexes, first items */
    uint64_t *more;    /* entries of a dictionary, lengths, counts */
    struct text *texts;
    uint8_t (*addresses)[ADDRESS_SIZE];
};

struct block {
    const struct table *table;
    uint32_t rows;
    uint16_t columns;
    struct stored *stored;  /* ascending ids */
    struct scratch scratch; /* for `rows` values each; made at the first read */
    ZSTD_DCtx *zstd;
};

/* --- Opening
 * ---------------------------------------------------------------------------------------------------------- */

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

/* What is wrong with an entry of the directory, or NULL. Columns of a newer writer are held to nothing but the lengths.
 */
static const char *entry_fault(const struct block *b, const struct block_entry *entry, int previous_id)
{
    if (entry->id <= previous_id)
        return "column ids do not ascend";
    if (b->rows == 0)
        return "columns without rows";
    const struct column *c = table_column(b->table, entry->id);
    if (!c)
        return NULL;
    if (entry->raw_length > raw_length_max(c, b->rows))
        return "a column of more bytes than its rows can need";
    if (entry->flags & ~BLOCK_FLAGS_KNOWN)
        return "unknown flags of a column";
    if (!(entry->flags & BLOCK_ZSTD) && entry->raw_length != entry->stored_length)
        return "two lengths for a column that is not compressed";
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
    return 0;
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
    }
    free(b->stored);
    free(b->scratch.numbers);
    free(b->scratch.more);
    free(b->scratch.texts);
    free(b->scratch.addresses);
    ZSTD_freeDCtx(b->zstd);
    free(b);
}

uint32_t block_rows(const struct block *b)
{
    return b->rows;
}

static struct stored *find_stored(const struct block *b, unsigned id)
{
    for (unsigned i = 0; i < b->columns; i++)
        if (b->stored[i].entry.id == id)
            return &b->stored[i];
    return NULL;
}

bool block_has_column(const struct block *b, unsigned id)
{
    return find_stored(b, id) != NULL;
}

/* --- A column's bytes
 * --------------------------------------------------------------------------------------------------- */

/* The one fault of a column that is not its own. */
static const char no_memory[] = "no memory for its values";

static int bad_column(struct error *e, const struct block *b, const struct column *c, const char *what)
{
    if (what == no_memory)
        return error_set(e, ERROR_MEMORY, "block of %s rows, column %s: %s", b->table->name, c->name, what);
    return error_set(e, ERROR_INVALID, "block of %s rows, column %s: %s", b->table->name, c->name, what);
}

/* Exactly one zstd frame of exactly the raw length. Memory is bounded by that length, whatever the frame's window says.
 */
static int expand(struct block *b, struct stored *s, const struct column *c, struct error *e)
{
    size_t raw = s->entry.raw_length;
    size_t stored = s->entry.stored_length;
    if (raw == 0 || ZSTD_getFrameContentSize(s->data, stored) != raw ||
        ZSTD_findFrameCompressedSize(s->data, stored) != stored)
        return bad_column(e, b, c, "not one zstd frame of the length that the directory says");
    if (!b->zstd)
        b->zstd = ZSTD_createDCtx();
    uint8_t *p = malloc(raw);
    if (!p || !b->zstd) {
        free(p);
        return error_set(e, ERROR_MEMORY, "no memory for %zu bytes of the column %s", raw, c->name);
    }
    if (ZSTD_decompressDCtx(b->zstd, p, raw, s->data, stored) != raw) {
        free(p);
        return bad_column(e, b, c, "does not decompress");
    }
    s->expanded = p;
    return 0;
}

/* Takes the presence bitmap off the front. */
static int read_presence(const struct block *b, struct stored *s, const struct column *c, struct bytes *in,
                         struct error *e)
{
    s->count = b->rows;
    if (!(s->entry.flags & BLOCK_PRESENCE))
        return 0;
    size_t size = (b->rows + 7u) / 8;
    const uint8_t *bits = bytes_take(in, size);
    if (!bits)
        return bad_column(e, b, c, "ends within its presence bitmap");
    if (b->rows % 8 && bits[size - 1] >> b->rows % 8)
        return bad_column(e, b, c, "presence bits of rows that do not exist");
    s->count = 0;
    for (size_t i = 0; i < size; i++)
        s->count += (size_t)__builtin_popcount(bits[i]);
    s->presence = bits;
    return s->count ? 0 : bad_column(e, b, c, "stored, but no row has it");
}

/* Verifies and expands a column's bytes, once; `in` is then at its values. */
static int load(struct block *b, struct stored *s, const struct column *c, struct bytes *in, struct error *e)
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
    return read_presence(b, s, c, in, e);
}

/* --- Values
 * ------------------------------------------------------------------------------------------------------------- */

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

static bool all_up_to(const uint64_t *v, size_t n, uint64_t most)
{
    uint64_t greatest = 0;
    for (size_t i = 0; i < n; i++)
        greatest = v[i] > greatest ? v[i] : greatest;
    return greatest <= most;
}

/* How many entries a dictionary has: at least one, at most one a value. 0: invalid. */
static size_t take_entry_count(struct bytes *in, const struct stored *s)
{
    uint64_t n = bytes_varint(in);
    return !in->bad && n <= s->count ? (size_t)n : 0;
}

static bool take_indexes(struct bytes *in, const struct stored *s, size_t entries, uint64_t *indexes)
{
    return sequence_take(in, s->count, indexes) && all_up_to(indexes, s->count, entries - 1);
}

/* The numbers of the rows that have the column, to `out`. NULL, or what is wrong. */
static const char *read_numbers(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                uint64_t *out)
{
    if (s->entry.codec != FORM_DICTIONARY) {
        if (!sequence_read(s->entry.codec, in, s->count, out))
            return "not a sequence of numbers";
        return all_up_to(out, s->count, column_most(c)) ? NULL : "a value that does not fit the column";
    }
    uint64_t *entries = b->scratch.more;
    size_t n = take_entry_count(in, s);
    if (n == 0 || !sequence_take(in, n, entries))
        return "not a dictionary of numbers";
    for (size_t i = 1; i < n; i++)
        if (entries[i] <= entries[i - 1])
            return "a dictionary that does not ascend";
    if (entries[n - 1] > column_most(c))
        return "a value that does not fit the column";
    if (!take_indexes(in, s, n, out))
        return "an index outside of the dictionary";
    for (size_t i = 0; i < s->count; i++)
        out[i] = entries[out[i]];
    return NULL;
}

/* n addresses into scratch. */
static bool take_addresses(struct block *b, struct bytes *in, size_t n)
{
    unsigned width = bytes_u8(in);
    if (width == 0 || width > ADDRESS_SIZE)
        return false;
    const uint8_t *p = bytes_take(in, width * n);
    if (!p)
        return false;
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < ADDRESS_SIZE; k++)
            b->scratch.addresses[i][k] = k < width ? p[k * n + i] : 0;
    return true;
}

/* n texts into scratch; they point into the column's bytes. */
static bool take_texts(struct block *b, struct bytes *in, size_t n)
{
    uint64_t *lengths = b->scratch.more;
    if (!sequence_take(in, n, lengths) || !all_up_to(lengths, n, COLUMN_TEXT_MAX))
        return false;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = bytes_take(in, (size_t)lengths[i]);
        b->scratch.texts[i] = (struct text){.data = (const char *)p, .len = (uint32_t)lengths[i]};
    }
    return !in->bad;
}

/* Addresses or texts into scratch, plain or as a dictionary: then *indexes says which for each row that has the column.
 */
static const char *read_entries(struct block *b, const struct stored *s, const struct column *c, struct bytes *in,
                                const uint64_t **indexes)
{
    bool dictionary = s->entry.codec == FORM_DICTIONARY;
    size_t n = dictionary ? take_entry_count(in, s) : s->count;
    *indexes = dictionary ? b->scratch.numbers : NULL;
    if (!dictionary && s->entry.codec != FORM_PLAIN)
        return "a codec that is not for its type";
    if (n == 0)
        return "not a dictionary";
    if (!(c->type == COLUMN_ADDRESS ? take_addresses(b, in, n) : take_texts(b, in, n)))
        return c->type == COLUMN_ADDRESS ? "not addresses" : "not texts";
    if (dictionary && !take_indexes(in, s, n, b->scratch.numbers))
        return "an index outside of the dictionary";
    return NULL;
}

/* Counts into scratch.more, first items into scratch.numbers. */
static const char *read_list_shape(struct block *b, const struct stored *s, struct bytes *in, size_t *items,
                                   size_t *lists)
{
    uint64_t *counts = b->scratch.more;
    *items = 0;
    *lists = 0;
    if (s->entry.codec != FORM_LISTS || !sequence_take(in, s->count, counts) ||
        !all_up_to(counts, s->count, COLUMN_LIST_MAX))
        return "not lists";
    for (size_t i = 0; i < s->count; i++) {
        *items += (size_t)counts[i];
        *lists += counts[i] != 0;
    }
    if (*items > BLOCK_ITEMS_MAX)
        return "lists of too many items";
    return sequence_take(in, *lists, b->scratch.numbers) ? NULL : "not first items of lists";
}

/* Puts first items and gaps together; false if an item is too great. */
static bool fill_lists(const struct block *b, const struct stored *s, const uint64_t *gaps)
{
    const uint64_t *first = b->scratch.numbers;
    uint32_t *item = s->items;
    for (size_t i = 0; i < s->count; i++) {
        uint64_t left = b->scratch.more[i];
        if (left == 0)
            continue;
        uint64_t v = *first++;
        for (;; v += *gaps++) {
            if (v > UINT32_MAX)
                return false;
            *item++ = (uint32_t)v;
            if (--left == 0)
                break;
            if (*gaps > UINT32_MAX)
                return false;
        }
    }
    return true;
}

/* All items into s->items, the counts into scratch.more. Not to be freed on errors: the block does. */
static const char *read_lists(struct block *b, struct stored *s, struct bytes *in)
{
    size_t items;
    size_t lists;
    const char *fault = read_list_shape(b, s, in, &items, &lists);
    if (fault)
        return fault;
    uint64_t *gaps = malloc((items - lists + 1) * sizeof(*gaps));
    if (!s->items)
        s->items = malloc((items + 1) * sizeof(*s->items));
    if (!gaps || !s->items)
        fault = no_memory;
    else if (!sequence_take(in, items - lists, gaps))
        fault = "not gaps of lists";
    else if (!fill_lists(b, s, gaps))
        fault = "a list's item of more than 32 bits";
    free(gaps);
    return fault;
}

/* --- Into rows
 * ---------------------------------------------------------------------------------------------------------- */

/* Where the values go. */
struct target {
    uint8_t *rows;
    size_t stride;
    size_t n;
    const struct column *column;
    const uint8_t *presence;
};

static void clear_column(const struct target *t)
{
    for (size_t i = 0; i < t->n; i++)
        column_remove((struct column_set *)(void *)(t->rows + i * t->stride), t->column->id);
}

/* Runs `store` for each row that has the column: i is the row, k counts them. */
#define SCATTER(type, value)                                                                                           \
    for (size_t i = 0, k = 0; i < t->n; i++) {                                                                         \
        uint8_t *row = t->rows + i * t->stride;                                                                        \
        if (t->presence && !(t->presence[i / 8] >> i % 8 & 1)) {                                                       \
            column_remove((struct column_set *)(void *)row, id);                                                       \
            continue;                                                                                                  \
        }                                                                                                              \
        *(type *)(void *)(row + offset) = (value);                                                                     \
        column_add((struct column_set *)(void *)row, id);                                                              \
        k++;                                                                                                           \
    }

static void scatter_numbers(const struct target *t, const uint64_t *v)
{
    unsigned id = t->column->id;
    size_t offset = t->column->offset;
    switch (t->column->size) {
    case 1:
        SCATTER(uint8_t, (uint8_t)v[k])
        break;
    case 2:
        SCATTER(uint16_t, (uint16_t)v[k])
        break;
    case 4:
        SCATTER(uint32_t, (uint32_t)v[k])
        break;
    default:
        SCATTER(uint64_t, v[k])
        break;
    }
}

struct address {
    uint8_t bytes[ADDRESS_SIZE];
};

static void scatter_entries(const struct target *t, const struct scratch *s, const uint64_t *indexes)
{
    unsigned id = t->column->id;
    size_t offset = t->column->offset;
    const struct address *addresses = (const struct address *)(const void *)s->addresses;
    if (t->column->type == COLUMN_TEXT)
        SCATTER(struct text, s->texts[indexes ? indexes[k] : k])
    else
        SCATTER(struct address, addresses[indexes ? indexes[k] : k])
}

static void scatter_lists(const struct target *t, const struct stored *s, const uint64_t *counts)
{
    unsigned id = t->column->id;
    size_t offset = t->column->offset;
    const uint32_t *item = s->items;
    SCATTER(struct list, ((struct list){.items = (item += counts[k]) - counts[k], .count = (uint32_t)counts[k]}))
}

static const char *read_values(struct block *b, struct stored *s, struct bytes *in, const struct target *t)
{
    const char *fault;
    const uint64_t *indexes = NULL;
    if (t->column->type == COLUMN_UINT)
        fault = read_numbers(b, s, t->column, in, b->scratch.numbers);
    else if (t->column->type == COLUMN_LIST)
        fault = read_lists(b, s, in);
    else
        fault = read_entries(b, s, t->column, in, &indexes);
    if (!fault && bytes_left(in))
        fault = "bytes behind its last value";
    if (fault)
        return fault;
    if (t->column->type == COLUMN_UINT)
        scatter_numbers(t, b->scratch.numbers);
    else if (t->column->type == COLUMN_LIST)
        scatter_lists(t, s, b->scratch.more);
    else
        scatter_entries(t, &b->scratch, indexes);
    return NULL;
}

static int find_column(const struct block *b, unsigned id, const struct column **c, struct error *e)
{
    *c = table_column(b->table, id);
    return *c ? 0 : error_set(e, ERROR_NOT_FOUND, "the table %s has no column %u", b->table->name, id);
}

/* Finds and loads a column that the block has; *s is NULL if it has not. */
static int load_column(struct block *b, const struct column *c, struct stored **s, struct bytes *in, struct error *e)
{
    *s = find_stored(b, c->id);
    if (!*s)
        return 0;
    if (!make_scratch(b))
        return error_set(e, ERROR_MEMORY, "no memory to read %u rows", b->rows);
    return load(b, *s, c, in, e);
}

int block_read_column(struct block *b, unsigned id, void *rows, struct error *e)
{
    const struct column *c;
    struct stored *s = NULL;
    struct bytes in;
    int r = find_column(b, id, &c, e);
    if (r == 0)
        r = load_column(b, c, &s, &in, e);
    if (r < 0)
        return r;
    struct target t = {.rows = rows, .stride = b->table->row_size, .n = b->rows, .column = c};
    if (!s) {
        clear_column(&t);
        return 0;
    }
    t.presence = s->presence;
    const char *fault = read_values(b, s, &in, &t);
    return fault ? bad_column(e, b, c, fault) : 0;
}

/* Moves the values of the rows that have the column to the places of their rows, from the last. */
static void spread(const struct stored *s, size_t rows, uint64_t *numbers)
{
    size_t k = s->count;
    for (size_t i = rows; i-- > 0;)
        numbers[i] = s->presence[i / 8] >> i % 8 & 1 ? numbers[--k] : 0;
}

int block_read_numbers(struct block *b, unsigned id, uint64_t *numbers, uint8_t *present, struct error *e)
{
    const struct column *c;
    struct stored *s = NULL;
    struct bytes in;
    int r = find_column(b, id, &c, e);
    if (r == 0 && c->type != COLUMN_UINT)
        r = error_set(e, ERROR_USAGE, "column %s is no column of numbers", c->name);
    if (r == 0)
        r = load_column(b, c, &s, &in, e);
    if (r < 0)
        return r;
    if (!s)
        memset(numbers, 0, b->rows * sizeof(*numbers));
    const char *fault = s ? read_numbers(b, s, c, &in, numbers) : NULL;
    if (!fault && s && bytes_left(&in))
        fault = "bytes behind its last value";
    if (fault)
        return bad_column(e, b, c, fault);
    if (s && s->presence)
        spread(s, b->rows, numbers);
    for (size_t i = 0; present && i < (b->rows + 7u) / 8; i++)
        present[i] = s && s->presence ? s->presence[i] : s ? 0xff : 0;
    if (present && s && !s->presence && b->rows % 8)
        present[b->rows / 8] = (uint8_t)(0xff >> (8 - b->rows % 8));
    return 0;
}

int block_read(struct block *b, void **rows, struct error *e)
{
    *rows = NULL;
    if (b->rows == 0)
        return 0;
    void *all = calloc(b->rows, b->table->row_size);
    int r = all ? 0 : error_set(e, ERROR_MEMORY, "no memory for %u rows", b->rows);
    for (unsigned i = 0; i < b->table->count && r == 0; i++)
        if (block_has_column(b, b->table->columns[i].id))
            r = block_read_column(b, b->table->columns[i].id, all, e);
    if (r < 0)
        free(all);
    else
        *rows = all;
    return r;
}
