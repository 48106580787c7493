/*
 * Rows -> block. Each column is gathered into one array, written in the one or two ways that are likely to be small,
 * squeezed by zstd where that pays, and the smallest is kept. The bytes are described in block.h and codec.h.
 */
#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/block_format.h"
#include "common/rows/codec.h"
#include "common/rows/distinct.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define ZSTD_LEVEL       1
#define SQUEEZE_LEAST    64u /* bytes below which zstd cannot gain enough to matter */
#define DICTIONARY_WIDTH 3u  /* numbers of fewer bits need no dictionary */

/* What is known of the column that is being written. */
struct values {
    const struct column *column;
    size_t n;           /* rows that have it */
    bool partial;       /* not all rows have it */
    uint64_t *numbers;  /* COLUMN_UINT */
    struct text *texts; /* COLUMN_TEXT, and COLUMN_ADDRESS as texts of 16 bytes */
    struct list *lists; /* COLUMN_LIST */
    enum form form;
    struct sequence main; /* of the numbers, or of the indexes of a dictionary */
    size_t distinct;      /* entries of the dictionary */
};

/* One way to write a column. */
struct candidate {
    struct buffer raw;
    struct buffer squeezed; /* empty if zstd does not pay */
};

struct writer {
    const struct table *table;
    const uint8_t *rows;
    size_t n;
    struct column_set all; /* columns that all rows have */
    struct column_set any;
    ZSTD_CCtx *zstd;
    struct distinct_numbers *distinct;
    struct values v;
    struct buffer presence;
    struct buffer memory;  /* v.numbers, v.texts or v.lists */
    struct buffer indexes; /* uint64_t per value */
    struct buffer entries; /* struct text per value */
    struct buffer numbers; /* uint64_t: lengths, counts, first items */
    struct buffer gaps;    /* uint64_t */
    struct buffer hashes;
    struct candidate candidates[2];
    struct buffer *out; /* where the column is written now */
    uint16_t columns;
    size_t expanded; /* raw bytes of all columns */
    struct buffer directory;
    struct buffer data;
};

/* --- Gathering
 * -------------------------------------------------------------------------------------------------------- */

static const struct column_set *row_set(const struct writer *w, size_t i)
{
    return (const struct column_set *)(const void *)(w->rows + i * w->table->row_size);
}

static void find_columns(struct writer *w)
{
    memset(&w->all, w->n ? 0xff : 0, sizeof(w->all));
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < COLUMNS_MAX / 64; k++) {
            w->all.word[k] &= row_set(w, i)->word[k];
            w->any.word[k] |= row_set(w, i)->word[k];
        }
}

/* Which rows have the column, as bits; returns how many. */
static size_t gather_presence(struct writer *w, unsigned id)
{
    size_t count = 0;
    buffer_clear(&w->presence);
    uint8_t *bits = buffer_grow(&w->presence, (w->n + 7) / 8);
    if (!bits)
        return 0;
    memset(bits, 0, (w->n + 7) / 8);
    for (size_t i = 0; i < w->n; i++) {
        unsigned has = column_has(row_set(w, i), id);
        bits[i / 8] |= (uint8_t)(has << i % 8);
        count += has;
    }
    return count;
}

#define GATHER(from, into)                                                                                             \
    for (size_t i = 0, k = 0; k < n; i++)                                                                              \
        if (!w->v.partial || column_has(row_set(w, i), id))                                                            \
            (into)[k++] = *(const from *)(const void *)(p + i * stride);

static void gather_values(struct writer *w, const struct column *c)
{
    const uint8_t *p = w->rows + c->offset;
    size_t stride = w->table->row_size;
    size_t n = w->v.n;
    unsigned id = c->id;
    if (c->type == COLUMN_TEXT) {
        GATHER(struct text, w->v.texts)
    } else if (c->type == COLUMN_LIST) {
        GATHER(struct list, w->v.lists)
    } else if (c->type == COLUMN_ADDRESS) {
        for (size_t i = 0, k = 0; k < n; i++)
            if (!w->v.partial || column_has(row_set(w, i), id))
                w->v.texts[k++] = (struct text){.data = (const char *)p + i * stride, .len = ADDRESS_SIZE};
    } else if (c->size == 1) {
        GATHER(uint8_t, w->v.numbers)
    } else if (c->size == 2) {
        GATHER(uint16_t, w->v.numbers)
    } else if (c->size == 4) {
        GATHER(uint32_t, w->v.numbers)
    } else {
        GATHER(uint64_t, w->v.numbers)
    }
}

/* Fills w->v with the column's values. */
static int gather(struct writer *w, const struct column *c, struct error *e)
{
    _Static_assert(sizeof(struct text) == sizeof(struct list), "one kind of memory for both");
    bool partial = !column_has(&w->all, c->id);
    size_t n = partial ? gather_presence(w, c->id) : w->n;
    buffer_clear(&w->memory);
    void *memory = buffer_grow(&w->memory, n * (c->type == COLUMN_UINT ? sizeof(uint64_t) : sizeof(struct text)));
    if (!memory || w->presence.failed)
        return error_set(e, ERROR_MEMORY, "no memory to write the column %s", c->name);
    w->v = (struct values){.column = c, .n = n, .partial = partial, .form = FORM_PLAIN};
    w->v.numbers = memory;
    w->v.texts = memory;
    w->v.lists = memory;
    gather_values(w, c);
    return 0;
}

/* --- Checks: what a reader would refuse is not written
 * ------------------------------------------------------------------ */

static int check_list(const struct column *c, const struct list *l, struct error *e)
{
    if (l->count > COLUMN_LIST_MAX)
        return error_set(e, ERROR_LIMIT, "column %s: a list of %u items, allowed are %u", c->name, l->count,
                         COLUMN_LIST_MAX);
    for (uint32_t i = 1; i < l->count; i++)
        if (l->items[i] < l->items[i - 1])
            return error_set(e, ERROR_INVALID, "column %s: a list that does not ascend", c->name);
    return 0;
}

static int check_values(const struct values *v, struct error *e)
{
    const struct column *c = v->column;
    int r = 0;
    for (size_t i = 0; i < v->n && r == 0; i++) {
        if (c->type == COLUMN_UINT && c->most && v->numbers[i] > c->most)
            r = error_set(e, ERROR_INVALID, "column %s: the value %llu, allowed are up to %llu", c->name,
                          (unsigned long long)v->numbers[i], (unsigned long long)c->most);
        else if (c->type == COLUMN_TEXT && v->texts[i].len > COLUMN_TEXT_MAX)
            r = error_set(e, ERROR_LIMIT, "column %s: a text of %u bytes, allowed are %u", c->name, v->texts[i].len,
                          COLUMN_TEXT_MAX);
        else if (c->type == COLUMN_LIST)
            r = check_list(c, &v->lists[i], e);
    }
    return r;
}

/* --- Writing the values
 * ------------------------------------------------------------------------------------------------- */

static uint64_t *room_for_numbers(struct buffer *b, size_t n)
{
    buffer_clear(b);
    return buffer_grow(b, n * sizeof(uint64_t));
}

static void write_addresses(const struct text *texts, size_t n, struct buffer *out)
{
    unsigned width = 1;
    for (size_t i = 0; i < n; i++)
        for (unsigned k = ADDRESS_SIZE; k > width; k--)
            if (texts[i].data[k - 1])
                width = k;
    buffer_u8(out, (uint8_t)width);
    uint8_t *p = buffer_grow(out, width * n);
    for (size_t i = 0; p && i < n; i++)
        for (unsigned k = 0; k < width; k++)
            p[k * n + i] = (uint8_t)texts[i].data[k];
}

static void write_texts(struct writer *w, const struct text *texts, size_t n, bool planes)
{
    uint64_t *lengths = room_for_numbers(&w->numbers, n);
    if (!lengths)
        return;
    for (size_t i = 0; i < n; i++)
        lengths[i] = texts[i].len;
    sequence_append(lengths, n, planes, w->out);
    for (size_t i = 0; i < n; i++)
        buffer_append(w->out, texts[i].data, texts[i].len);
}

static void write_lists(struct writer *w, bool planes)
{
    const struct list *lists = w->v.lists;
    uint64_t *numbers = room_for_numbers(&w->numbers, w->v.n);
    if (!numbers)
        return;
    size_t items = 0;
    for (size_t i = 0; i < w->v.n; i++)
        items += numbers[i] = lists[i].count;
    sequence_append(numbers, w->v.n, planes, w->out);
    uint64_t *gaps = room_for_numbers(&w->gaps, items);
    size_t firsts = 0;
    size_t n = 0;
    for (size_t i = 0; gaps && i < w->v.n; i++) {
        if (lists[i].count)
            numbers[firsts++] = lists[i].items[0];
        for (uint32_t k = 1; k < lists[i].count; k++)
            gaps[n++] = lists[i].items[k] - lists[i].items[k - 1];
    }
    sequence_append(numbers, firsts, planes, w->out);
    sequence_append(gaps, n, planes, w->out);
}

static void write_entries(struct writer *w, const struct text *texts, size_t n, bool planes)
{
    if (w->v.column->type == COLUMN_ADDRESS)
        write_addresses(texts, n, w->out);
    else
        write_texts(w, texts, n, planes);
}

static void write_dictionary(struct writer *w, bool planes)
{
    buffer_varint(w->out, w->v.distinct);
    if (w->v.column->type == COLUMN_UINT)
        sequence_append(w->distinct->values, w->v.distinct, planes, w->out);
    else
        write_entries(w, (const struct text *)(const void *)w->entries.data, w->v.distinct, planes);
    buffer_u8(w->out, (uint8_t)w->v.main.form);
    sequence_write(&w->v.main, planes, w->out);
}

/* The whole column before zstd, in w->raw. */
static void write_raw(struct writer *w, bool planes)
{
    buffer_clear(w->out);
    if (w->v.partial)
        buffer_append(w->out, w->presence.data, w->presence.len);
    if (w->v.form == FORM_DICTIONARY)
        write_dictionary(w, planes);
    else if (w->v.form == FORM_LISTS)
        write_lists(w, planes);
    else if (w->v.form == FORM_PLAIN)
        write_entries(w, w->v.texts, w->v.n, planes);
    else
        sequence_write(&w->v.main, planes, w->out);
}

/* --- Choosing how
 * ------------------------------------------------------------------------------------------------------- */

static void plan_numbers(struct writer *w)
{
    struct values *v = &w->v;
    v->main = sequence_plan(v->numbers, v->n);
    v->form = v->main.form;
    enum column_codec hint = v->column->codec;
    if (v->form == FORM_CONSTANT || v->main.width < DICTIONARY_WIDTH || hint == CODEC_PLAIN || hint == CODEC_DELTA)
        return;
    uint64_t *indexes = room_for_numbers(&w->indexes, v->n);
    if (!indexes || !distinct_numbers(w->distinct, v->numbers, v->n, hint != CODEC_DICTIONARY, indexes))
        return;
    struct sequence s = sequence_plan(indexes, v->n);
    size_t entries = sequence_plan(w->distinct->values, w->distinct->count).group_bytes;
    if (s.group_bytes + entries + 16 >= v->main.group_bytes)
        return;
    v->main = s;
    v->form = FORM_DICTIONARY;
    v->distinct = w->distinct->count;
}

static size_t text_bytes(const struct text *texts, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += texts[i].len + 1u;
    return sum;
}

static int plan_texts(struct writer *w, struct error *e)
{
    struct values *v = &w->v;
    uint64_t *indexes = room_for_numbers(&w->indexes, v->n);
    buffer_clear(&w->entries);
    struct text *entries = buffer_grow(&w->entries, v->n * sizeof(*entries));
    v->distinct = indexes && entries ? distinct_texts(v->texts, v->n, entries, indexes, &w->hashes) : 0;
    if (!v->distinct)
        return error_set(e, ERROR_MEMORY, "no memory for the dictionary of the column %s", v->column->name);
    v->main = sequence_plan(indexes, v->n);
    if (v->main.group_bytes + text_bytes(entries, v->distinct) < text_bytes(v->texts, v->n))
        v->form = FORM_DICTIONARY;
    return 0;
}

static int plan_lists(struct writer *w, struct error *e)
{
    size_t items = 0;
    for (size_t i = 0; i < w->v.n; i++)
        items += w->v.lists[i].count;
    w->v.form = FORM_LISTS;
    if (items > BLOCK_ITEMS_MAX)
        return error_set(e, ERROR_LIMIT, "column %s: lists of %zu items in all, allowed are %u", w->v.column->name,
                         items, BLOCK_ITEMS_MAX);
    return 0;
}

static int plan(struct writer *w, struct error *e)
{
    switch (w->v.column->type) {
    case COLUMN_UINT:
        plan_numbers(w);
        return 0;
    case COLUMN_LIST:
        return plan_lists(w, e);
    default:
        return plan_texts(w, e);
    }
}

static const struct buffer *smaller(const struct candidate *c)
{
    return c->squeezed.len ? &c->squeezed : &c->raw;
}

/* Writes the candidate and compresses it, if the result is then at least a sixteenth less than `than` bytes (0: than
 * itself). */
static void try_candidate(struct writer *w, struct candidate *c, bool planes, size_t than)
{
    w->out = &c->raw;
    write_raw(w, planes);
    buffer_clear(&c->squeezed);
    if (c->raw.len < SQUEEZE_LEAST || w->v.column->codec == CODEC_PLAIN)
        return;
    size_t most = (than ? than : c->raw.len) / 16 * 15;
    uint8_t *p = buffer_reserve(&c->squeezed, most);
    size_t len = p ? ZSTD_compress2(w->zstd, p, most, c->raw.data, c->raw.len) : 0;
    c->squeezed.len = ZSTD_isError(len) ? 0 : len;
}

static int add_column(struct writer *w, const struct candidate *c, struct error *e)
{
    const struct buffer *stored = smaller(c);
    struct buffer *d = &w->directory;
    w->expanded += c->raw.len;
    if (c->raw.failed || w->expanded > BLOCK_BYTES_MAX)
        return error_set(e, ERROR_LIMIT, "column %s: the block would have more than %u bytes, or there is no memory",
                         w->v.column->name, BLOCK_BYTES_MAX);
    buffer_le16(d, w->v.column->id);
    buffer_u8(d, (uint8_t)w->v.form);
    buffer_u8(d, (uint8_t)((w->v.partial ? BLOCK_PRESENCE : 0) | (stored == &c->squeezed ? BLOCK_ZSTD : 0)));
    buffer_le32(d, (uint32_t)stored->len);
    buffer_le32(d, (uint32_t)c->raw.len);
    buffer_le64(d, hash64(stored->data, stored->len));
    buffer_append(&w->data, stored->data, stored->len);
    w->columns++;
    return 0;
}

static int write_column(struct writer *w, const struct column *c, struct error *e)
{
    struct candidate *groups = &w->candidates[0];
    struct candidate *planes = &w->candidates[1];
    int r = gather(w, c, e);
    if (r == 0)
        r = check_values(&w->v, e);
    if (r == 0)
        r = plan(w, e);
    if (r < 0)
        return r;
    try_candidate(w, groups, false, 0);
    if (groups->raw.len < SQUEEZE_LEAST || c->codec == CODEC_PLAIN)
        return add_column(w, groups, e);
    try_candidate(w, planes, true, smaller(groups)->len);
    return add_column(w, planes->squeezed.len ? planes : groups, e);
}

static int write_columns(struct writer *w, struct error *e)
{
    w->zstd = ZSTD_createCCtx();
    w->distinct = malloc(sizeof(*w->distinct));
    if (!w->zstd || !w->distinct || ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)))
        return error_set(e, ERROR_MEMORY, "no memory to write a block of rows");
    find_columns(w);
    int r = 0;
    for (unsigned i = 0; i < w->table->count && r == 0; i++)
        if (column_has(&w->any, w->table->columns[i].id))
            r = write_column(w, &w->table->columns[i], e);
    return r;
}

static int write_block(const struct writer *w, struct buffer *out, struct error *e)
{
    size_t start = out->len;
    buffer_append(out, BLOCK_MAGIC, 4);
    buffer_u8(out, BLOCK_VERSION);
    buffer_u8(out, (uint8_t)w->table->id);
    buffer_le16(out, w->columns);
    buffer_le32(out, (uint32_t)w->n);
    buffer_append(out, w->directory.data, w->directory.len);
    if (!out->failed)
        buffer_le64(out, hash64(out->data + start, out->len - start));
    buffer_append(out, w->data.data, w->data.len);
    if (out->len - start > BLOCK_BYTES_MAX)
        return error_set(e, ERROR_LIMIT, "a block of more than %u bytes", BLOCK_BYTES_MAX);
    if (w->directory.failed || w->data.failed || out->failed)
        return error_set(e, ERROR_MEMORY, "a block of %zu rows: no memory, or no room for %zu bytes", w->n,
                         w->data.len);
    return 0;
}

int block_encode(const struct table *t, const void *rows, size_t n, struct buffer *out, struct error *e)
{
    if (n > BLOCK_ROWS_MAX)
        return error_set(e, ERROR_LIMIT, "a block of %zu rows, allowed are %u", n, BLOCK_ROWS_MAX);
    struct writer w = {.table = t, .rows = rows, .n = n};
    struct buffer *all[] = {&w.presence,
                            &w.memory,
                            &w.indexes,
                            &w.entries,
                            &w.numbers,
                            &w.gaps,
                            &w.hashes,
                            &w.directory,
                            &w.data,
                            &w.candidates[0].raw,
                            &w.candidates[0].squeezed,
                            &w.candidates[1].raw,
                            &w.candidates[1].squeezed};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        all[i]->limit = BLOCK_BYTES_MAX;
    int r = write_columns(&w, e);
    if (r == 0)
        r = write_block(&w, out, e);
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        buffer_free(all[i]);
    free(w.distinct);
    ZSTD_freeCCtx(w.zstd);
    return r;
}
