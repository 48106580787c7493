#include "common/rows/column_write.h"

#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/cells.h"
#include "common/rows/codec.h"
#include "common/rows/distinct.h"
#include "common/rows/order.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define ZSTD_LEVEL       1
#define SQUEEZE_LEAST    64u   /* bytes below which zstd cannot gain enough to matter */
#define DICTIONARY_WIDTH 3u    /* numbers of fewer bits need no dictionary */
#define PLANES_WIDTH     6u    /* numbers of fewer bits are hardly ever smaller as planes */
#define TRIAL_NUMBERS    4096u /* that are compressed to choose between groups and planes */
#define SAMPLES          4u    /* stretches of numbers from which it is judged what to store of them, ... */
#define SAMPLE_NUMBERS   128u  /* ... each so long */
#define SPLIT_FACTOR     1000u /* times in ns are often whole microseconds */
#define CELLS_REPEAT     4u    /* times that a value must be there, on average, to be worth a cell in each row */

struct column_writer {
    ZSTD_CCtx *zstd;
    struct distinct_numbers distinct;

    /* The column that is being written */
    const struct column *column;
    size_t n;           /* rows that have it */
    uint64_t *numbers;  /* COLUMN_UINT: what is stored of them */
    uint64_t *rest;     /* FORM_SPLIT: their remainders */
    unsigned presence;  /* BLOCK_PRESENCE, BLOCK_LIKE or 0 */
    unsigned like;      /* id of the column that the same rows have */
    unsigned flags;     /* of BLOCK_NUMBERS and BLOCK_ORDERED */
    unsigned other;     /* id of the column that it is relative to or ordered by */
    struct text *texts; /* COLUMN_TEXT and COLUMN_ADDRESS */
    struct list *lists; /* COLUMN_LIST */
    enum form form;
    struct sequence main; /* the numbers, or the indexes of a dictionary; n is 0 without them */
    size_t entries;       /* of the dictionary, or of the cells */

    /* Memory */
    struct buffer values;       /* numbers, texts or lists */
    struct buffer indexes;      /* uint64_t per value */
    struct buffer entry_values; /* struct text per value */
    struct buffer lengths;      /* uint64_t: lengths, counts, first items */
    struct buffer gaps;         /* uint64_t; or remainders */
    struct buffer differences;  /* uint64_t */
    struct buffer quotients;    /* uint64_t */
    struct buffer ordered;      /* uint64_t: the numbers, as those of another column go */
    struct buffer items;        /* struct order_item, two per value */
    struct buffer hashes;
    struct buffer raw; /* the column before zstd */
    struct buffer squeezed;
};

#define BUFFERS 12u

static void all_buffers(struct column_writer *w, struct buffer *all[BUFFERS])
{
    struct buffer *buffers[BUFFERS] = {&w->values,      &w->indexes,   &w->entry_values, &w->lengths,
                                       &w->gaps,        &w->hashes,    &w->raw,          &w->squeezed,
                                       &w->differences, &w->quotients, &w->ordered,      &w->items};
    for (size_t i = 0; i < BUFFERS; i++)
        all[i] = buffers[i];
}

struct column_writer *column_writer_new(void)
{
    struct column_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->zstd = ZSTD_createCCtx();
    if (w->zstd && !ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)))
        return w;
    column_writer_free(w);
    return NULL;
}

void column_writer_free(struct column_writer *w)
{
    struct buffer *all[BUFFERS];
    if (!w)
        return;
    all_buffers(w, all);
    for (size_t i = 0; i < BUFFERS; i++)
        buffer_free(all[i]);
    ZSTD_freeCCtx(w->zstd);
    free(w);
}

static void *room(struct buffer *b, size_t bytes)
{
    buffer_clear(b);
    return buffer_grow(b, bytes);
}

static uint64_t *room_for_numbers(struct buffer *b, size_t n)
{
    return room(b, n * sizeof(uint64_t));
}

/* --- What a reader would refuse is not written ------------------------------------------------------------------- */

static int check_numbers(const struct column *c, const uint64_t *numbers, size_t n, struct error *e)
{
    for (size_t i = 0; c->most && i < n; i++)
        if (numbers[i] > c->most)
            return error_set(e, ERROR_INVALID, "column %s: the value %llu, allowed are up to %llu", c->name,
                             (unsigned long long)numbers[i], (unsigned long long)c->most);
    return 0;
}

static int check_texts(const struct column_writer *w, struct error *e)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->texts[i].len > COLUMN_TEXT_MAX)
            return error_set(e, ERROR_LIMIT, "column %s: a text of %u bytes, allowed are %u", w->column->name,
                             w->texts[i].len, COLUMN_TEXT_MAX);
    return 0;
}

static int check_lists(const struct column_writer *w, struct error *e)
{
    const char *name = w->column->name;
    size_t items = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct list *l = &w->lists[i];
        items += l->count;
        if (l->count > COLUMN_LIST_MAX || items > BLOCK_ITEMS_MAX)
            return error_set(e, ERROR_LIMIT, "column %s: a list of %u items, %zu in all; allowed are %u and %u", name,
                             l->count, items, COLUMN_LIST_MAX, BLOCK_ITEMS_MAX);
        for (uint32_t k = 1; k < l->count; k++)
            if (l->items[k] < l->items[k - 1])
                return error_set(e, ERROR_INVALID, "column %s: a list that does not ascend", name);
    }
    return 0;
}

/* --- Choosing the form ------------------------------------------------------------------------------------------- */

/* Where the k-th sample of n numbers begins; *len is its length. */
static size_t sample(size_t n, unsigned k, size_t *len)
{
    *len = n / SAMPLES < SAMPLE_NUMBERS ? n / SAMPLES + 1 : SAMPLE_NUMBERS;
    size_t from = n / SAMPLES * k;
    *len = n - from < *len ? n - from : *len;
    return from;
}

static unsigned step_width(uint64_t from, uint64_t to)
{
    return codec_width(to > from ? to - from : from - to) + 1;
}

/* Bits that samples of the numbers take, of each from the least one or from the one before. */
static uint64_t sample_bits(const uint64_t *v, size_t n)
{
    uint64_t bits = 0;
    for (unsigned k = 0; k < SAMPLES; k++) {
        size_t len;
        const uint64_t *at = v + sample(n, k, &len);
        uint64_t least = UINT64_MAX;
        for (size_t i = 0; i < len; i++)
            least = at[i] < least ? at[i] : least;
        for (size_t i = 0; i < len; i++) {
            unsigned width = codec_width(at[i] - least);
            unsigned step = i ? step_width(at[i - 1], at[i]) : 64;
            bits += width < step ? width : step;
        }
    }
    return bits;
}

/* Takes the differences to the other column instead of the numbers, if they are smaller. */
static void plan_relative(struct column_writer *w, const struct stage *s, unsigned i)
{
    unsigned other = w->column->above ? w->column->above : w->column->below;
    unsigned j = other ? s->place[other] : 0;
    if (!other || !s->count[j])
        return;
    uint64_t *differences = room_for_numbers(&w->differences, w->n);
    if (!differences)
        return;
    stage_others(s, i, j, differences);
    for (size_t k = 0; k < w->n; k++)
        differences[k] = w->column->above ? w->numbers[k] - differences[k] : differences[k] - w->numbers[k];
    if (sample_bits(differences, w->n) >= sample_bits(w->numbers, w->n))
        return;
    w->numbers = differences;
    w->other = other;
    w->flags = w->column->above ? BLOCK_ABOVE : BLOCK_BELOW;
}

/* Takes the numbers in the order of those of another column, if they are smaller so. */
static void plan_order(struct column_writer *w, const struct stage *s, unsigned i)
{
    unsigned other = w->column->order;
    unsigned j = other ? s->place[other] : 0;
    if (!other || !s->count[j])
        return;
    uint64_t *others = room_for_numbers(&w->differences, w->n);
    uint64_t *ordered = room_for_numbers(&w->ordered, w->n);
    struct order_item *items = room(&w->items, 2 * w->n * sizeof(*items));
    if (!others || !ordered || !items)
        return;
    stage_others(s, i, j, others);
    for (size_t k = 0; k < w->n; k++)
        items[k] = (struct order_item){others[k], (uint32_t)k};
    items = order_sort(items, w->n);
    for (size_t k = 0; k < w->n; k++)
        ordered[k] = w->numbers[items[k].place];
    if (sample_bits(ordered, w->n) >= sample_bits(w->numbers, w->n))
        return;
    w->numbers = ordered;
    w->other = other;
    w->flags |= BLOCK_ORDERED;
}

/* Whether most times are whole microseconds, by samples. */
static bool are_coarse(const struct column_writer *w)
{
    size_t large = 0;
    size_t whole = 0;
    if (w->column->unit != UNIT_NS && w->column->unit != UNIT_TIME_NS)
        return false;
    for (unsigned k = 0; k < SAMPLES; k++) {
        size_t len;
        const uint64_t *at = w->numbers + sample(w->n, k, &len);
        for (size_t i = 0; i < len; i++) {
            large += at[i] >= SPLIT_FACTOR;
            whole += at[i] >= SPLIT_FACTOR && at[i] % SPLIT_FACTOR == 0;
        }
    }
    return whole > large / 4 * 3;
}

/* In two parts. Returns the bytes that they take when packed in groups. */
static size_t plan_split(struct column_writer *w, bool delta)
{
    uint64_t *quotients = room_for_numbers(&w->quotients, w->n);
    uint64_t *rest = room_for_numbers(&w->gaps, w->n);
    if (!quotients || !rest)
        return SIZE_MAX;
    for (size_t k = 0; k < w->n; k++) {
        quotients[k] = w->numbers[k] / SPLIT_FACTOR;
        rest[k] = w->numbers[k] % SPLIT_FACTOR;
    }
    w->rest = rest;
    w->main = sequence_plan(quotients, w->n, delta);
    w->form = FORM_SPLIT;
    return w->main.group_bytes + sequence_plan(rest, w->n, false).group_bytes;
}

/* Values that repeat stand in cells, if they are few enough. */
static bool fit_cells(const struct column_writer *w, size_t entries)
{
    return entries <= BLOCK_CELLS_MAX && entries * CELLS_REPEAT <= w->n;
}

static void plan_cells(struct column_writer *w, size_t entries)
{
    w->form = FORM_CELLS;
    w->entries = entries;
    w->main.n = 0;
    w->presence = 0; /* the cells tell */
}

/* As a dictionary, if that takes less than `most` bytes. */
static void plan_dictionary(struct column_writer *w, size_t most)
{
    struct sequence s = sequence_plan((const uint64_t *)(const void *)w->indexes.data, w->n, false);
    size_t entries = sequence_plan(w->distinct.values, w->distinct.count, true).group_bytes;
    if (s.group_bytes + entries + 16 >= most)
        return;
    w->main = s;
    w->form = FORM_DICTIONARY;
    w->entries = w->distinct.count;
}

/* Each number's index, and the distinct ones; false if they are too many. */
static bool find_distinct(struct column_writer *w)
{
    uint64_t *indexes = room_for_numbers(&w->indexes, w->n);
    return indexes && distinct_numbers(&w->distinct, w->numbers, w->n, w->column->codec != CODEC_DICTIONARY, indexes);
}

/* The same number in all rows that have it, which nothing else tells. */
static void plan_one(struct column_writer *w, uint64_t number)
{
    uint64_t *indexes = room_for_numbers(&w->indexes, w->n);
    if (!indexes)
        return;
    memset(indexes, 0, w->n * sizeof(*indexes));
    w->distinct.values[0] = number;
    plan_cells(w, 1);
}

static void plan_numbers(struct column_writer *w, const struct stage *s, unsigned i)
{
    enum column_codec hint = w->column->codec;
    if (hint == CODEC_MIXED) {
        w->flags = BLOCK_MIXED;
        for (size_t k = 0; k < w->n; k++)
            w->numbers[k] = hash64_unmix(w->numbers[k]);
    }
    plan_relative(w, s, i);
    plan_order(w, s, i);
    bool ascending = hint == CODEC_MIXED || hint == CODEC_DELTA;
    bool delta = ascending && !(w->flags & BLOCK_RELATIVE);
    bool repeats = !delta && hint != CODEC_PLAIN && find_distinct(w);
    size_t bytes;
    if (repeats && w->distinct.count > 1 && fit_cells(w, w->distinct.count)) {
        plan_cells(w, w->distinct.count);
        return;
    }
    if (are_coarse(w)) {
        bytes = plan_split(w, delta);
    } else {
        w->main = sequence_plan(w->numbers, w->n, delta);
        w->form = w->main.form;
        bytes = w->main.group_bytes;
    }
    if (repeats && w->main.form != FORM_CONSTANT && w->main.width >= DICTIONARY_WIDTH && !ascending)
        plan_dictionary(w, bytes);
}

/* Bytes of addresses but the zeroes at the end of all. */
static unsigned address_width(const struct text *texts, size_t n)
{
    uint8_t any[ADDRESS_SIZE] = {0};
    unsigned width = ADDRESS_SIZE;
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < ADDRESS_SIZE; k++)
            any[k] |= (uint8_t)texts[i].data[k];
    while (width > 1 && !any[width - 1])
        width--;
    return width;
}

static size_t entry_bytes(const struct column *c, const struct text *texts, size_t n)
{
    size_t sum = 0;
    if (c->type == COLUMN_ADDRESS)
        return n * address_width(texts, n);
    for (size_t i = 0; i < n; i++)
        sum += texts[i].len + 1u;
    return sum;
}

static void uses_to_indexes(uint64_t *uses, size_t n)
{
    uint64_t known = 0;
    for (size_t i = 0; i < n; i++)
        uses[i] = uses[i] ? uses[i] - 1 : known++;
}

static void plan_texts(struct column_writer *w)
{
    uint64_t *uses = room_for_numbers(&w->indexes, w->n);
    struct text *entries = room(&w->entry_values, w->n * sizeof(*entries));
    bool sample =
        w->column->type == COLUMN_ADDRESS; /* of each a few bytes are stored: to repeat now and then is not enough */
    size_t n = uses && entries ? distinct_texts(w->texts, w->n, sample, entries, uses, &w->hashes) : 0;
    w->form = FORM_PLAIN;
    if (n == 0)
        return;
    if (fit_cells(w, n)) {
        uses_to_indexes(uses, w->n);
        plan_cells(w, n);
        return;
    }
    struct sequence s = w->n > 1 ? sequence_plan(uses + 1, w->n - 1, false) : (struct sequence){.n = 0};
    if (n > 1 && s.group_bytes + entry_bytes(w->column, entries, n) >= entry_bytes(w->column, w->texts, w->n))
        return;
    w->main = s;
    w->form = FORM_DICTIONARY;
    w->entries = n;
}

/* Which rows have it: all, those of another column, or a bitmap. */
static void plan_presence(struct column_writer *w, const struct stage *s, unsigned i)
{
    w->presence = 0;
    if (w->n == s->n)
        return;
    unsigned j = stage_alike(s, i);
    w->presence = j < i ? BLOCK_LIKE : BLOCK_PRESENCE;
    w->like = s->table->columns[j].id;
}

/* Gathers the values, checks them and chooses the form. */
static int plan(struct column_writer *w, const struct stage *s, unsigned i, struct error *e)
{
    w->column = &s->table->columns[i];
    w->n = s->count[i];
    w->main.n = 0;
    w->flags = 0;
    w->rest = NULL;
    plan_presence(w, s, i);
    bool numbers = w->column->type == COLUMN_UINT;
    if (numbers && !s->varies[i]) {
        w->main = (struct sequence){.n = w->n, .form = FORM_CONSTANT, .base = s->first[i]};
        w->form = FORM_CONSTANT;
        if (w->presence == BLOCK_PRESENCE && fit_cells(w, 1))
            plan_one(w, s->first[i]);
        return check_numbers(w->column, &s->first[i], 1, e);
    }
    void *values = room(&w->values, w->n * (numbers ? sizeof(*w->numbers) : sizeof(*w->texts)));
    if (!values)
        return error_set(e, ERROR_MEMORY, "no memory to write the column %s", w->column->name);
    int r;
    if (numbers) {
        stage_numbers(s, i, w->numbers = values);
        r = check_numbers(w->column, w->numbers, w->n, e);
        plan_numbers(w, s, i);
    } else if (w->column->type == COLUMN_LIST) {
        stage_lists(s, i, w->lists = values);
        r = check_lists(w, e);
        w->form = FORM_LISTS;
    } else {
        stage_texts(s, i, w->texts = values);
        r = check_texts(w, e);
        plan_texts(w);
    }
    return r;
}

/* --- Writing the values ------------------------------------------------------------------------------------------ */

static void write_addresses(const struct text *texts, size_t n, struct buffer *out)
{
    unsigned width = address_width(texts, n);
    buffer_u8(out, (uint8_t)width);
    uint8_t *p = buffer_grow(out, width * n);
    for (size_t from = 0; p && from < n; from += CODEC_GROUP)
        for (unsigned k = 0; k < width; k++)
            for (size_t i = from; i < n && i < from + CODEC_GROUP; i++)
                p[k * n + i] = (uint8_t)texts[i].data[k];
}

static void write_texts(struct column_writer *w, const struct text *texts, size_t n, bool planes)
{
    uint64_t *lengths = room_for_numbers(&w->lengths, n);
    for (size_t i = 0; lengths && i < n; i++)
        lengths[i] = texts[i].len;
    sequence_append(lengths, lengths ? n : 0, planes, &w->raw);
    for (size_t i = 0; i < n; i++)
        buffer_append(&w->raw, texts[i].data, texts[i].len);
}

static void write_entries(struct column_writer *w, const struct text *texts, size_t n, bool planes)
{
    if (w->column->type == COLUMN_ADDRESS)
        write_addresses(texts, n, &w->raw);
    else
        write_texts(w, texts, n, planes);
}

/* With its form in front. */
static void write_main(struct column_writer *w, bool planes)
{
    if (w->main.n == 0)
        return;
    buffer_u8(&w->raw, (uint8_t)w->main.form);
    sequence_write(&w->main, planes, &w->raw);
}

static void write_dictionary(struct column_writer *w, bool planes)
{
    buffer_varint(&w->raw, w->entries);
    if (w->column->type == COLUMN_UINT)
        sequence_append(w->distinct.values, w->entries, planes, &w->raw);
    else
        write_entries(w, (const struct text *)(const void *)w->entry_values.data, w->entries, planes);
    write_main(w, planes);
}

static void write_split(struct column_writer *w, bool planes)
{
    buffer_varint(&w->raw, SPLIT_FACTOR);
    write_main(w, planes);
    sequence_append(w->rest, w->n, planes, &w->raw);
}

static void write_lists(struct column_writer *w, bool planes)
{
    size_t items = 0;
    size_t firsts = 0;
    uint64_t *numbers = room_for_numbers(&w->lengths, w->n);
    for (size_t i = 0; numbers && i < w->n; i++) {
        items += numbers[i] = w->lists[i].count;
        firsts += w->lists[i].count != 0;
    }
    sequence_append(numbers, numbers ? w->n : 0, planes, &w->raw);
    uint64_t *gaps = room_for_numbers(&w->gaps, items - firsts + 1);
    if (!numbers || !gaps)
        return;
    uint64_t *first = numbers;
    uint64_t *gap = gaps;
    for (size_t i = 0; i < w->n; i++) {
        const struct list *l = &w->lists[i];
        if (l->count)
            *first++ = l->items[0];
        for (uint32_t k = 1; k < l->count; k++)
            *gap++ = l->items[k] - l->items[k - 1];
    }
    sequence_append(numbers, firsts, planes, &w->raw);
    sequence_append(gaps, items - firsts, planes, &w->raw);
}

static void write_presence(struct column_writer *w, const struct stage *s, unsigned i)
{
    if (w->presence == BLOCK_LIKE)
        buffer_varint(&w->raw, w->like);
    uint8_t *bits = w->presence == BLOCK_PRESENCE ? buffer_grow(&w->raw, (s->n + 7) / 8) : NULL;
    if (bits)
        stage_presence(s, i, bits);
}

/* The whole column before zstd, in w->raw. */
static void write_raw(struct column_writer *w, const struct stage *s, unsigned i, bool planes)
{
    buffer_clear(&w->raw);
    write_presence(w, s, i);
    if (w->flags & BLOCK_OTHER)
        buffer_varint(&w->raw, w->other);
    if (w->form == FORM_DICTIONARY || w->form == FORM_CELLS)
        write_dictionary(w, planes);
    else if (w->form == FORM_SPLIT)
        write_split(w, planes);
    else if (w->form == FORM_LISTS)
        write_lists(w, planes);
    else if (w->form == FORM_PLAIN)
        write_entries(w, w->texts, w->n, planes);
    else
        sequence_write(&w->main, planes, &w->raw);
}

/* --- Squeezing --------------------------------------------------------------------------------------------------- */

/* Compresses w->raw to at most `most` bytes; false if it does not get that small. */
static bool squeeze(struct column_writer *w, size_t most)
{
    uint8_t *p = room(&w->squeezed, most);
    size_t len = p ? ZSTD_compress2(w->zstd, p, most, w->raw.data, w->raw.len) : 0;
    w->squeezed.len = ZSTD_isError(len) ? 0 : len;
    return w->squeezed.len != 0;
}

/* Least size of a part of the main sequence, from its middle. */
static size_t trial(struct column_writer *w, bool planes)
{
    struct sequence part = w->main;
    if (part.n > TRIAL_NUMBERS) {
        part.values += (w->main.n - TRIAL_NUMBERS) / 2;
        part.n = TRIAL_NUMBERS;
        part.base = part.form == FORM_DELTA && part.values > w->main.values ? part.values[-1] : part.base;
    }
    buffer_clear(&w->raw);
    sequence_write(&part, planes, &w->raw);
    return squeeze(w, w->raw.len) ? w->squeezed.len : w->raw.len;
}

/* Writes the column to w->raw, and to w->squeezed if it is to be compressed: if that saves a sixteenth. */
static void write_smallest(struct column_writer *w, const struct stage *s, unsigned i)
{
    bool incompressible = w->column->codec == CODEC_PLAIN;
    bool wide = w->main.n && w->main.form != FORM_CONSTANT && w->main.width >= PLANES_WIDTH;
    if (wide && !incompressible && trial(w, true) < trial(w, false)) {
        write_raw(w, s, i, true);
        size_t in_groups = w->raw.len - w->n * ((w->main.width + 7) / 8) + w->main.group_bytes;
        if (squeeze(w, in_groups / 16 * 15))
            return;
    }
    write_raw(w, s, i, false);
    buffer_clear(&w->squeezed);
    if (!incompressible && w->raw.len >= SQUEEZE_LEAST)
        squeeze(w, w->raw.len / 16 * 15);
}

static bool any_failed(struct column_writer *w)
{
    struct buffer *all[BUFFERS];
    bool failed = false;
    all_buffers(w, all);
    for (size_t i = 0; i < BUFFERS; i++)
        failed |= all[i]->failed;
    return failed;
}

/* What is in w->squeezed, or else in w->raw. */
static int store(struct column_writer *w, const char *name, struct block_entry *entry, struct buffer *out,
                 struct error *e)
{
    if (any_failed(w))
        return error_set(e, ERROR_MEMORY, "no memory to write the column %s", name);
    if (w->raw.len > BLOCK_BYTES_MAX)
        return error_set(e, ERROR_LIMIT, "the column %s has %zu bytes, allowed are %u", name, w->raw.len,
                         BLOCK_BYTES_MAX);
    const struct buffer *stored = w->squeezed.len ? &w->squeezed : &w->raw;
    entry->flags |= w->squeezed.len ? BLOCK_ZSTD : 0;
    entry->stored_length = (uint32_t)stored->len;
    entry->raw_length = (uint32_t)w->raw.len;
    entry->hash = hash64(stored->data, stored->len);
    buffer_append(out, stored->data, stored->len);
    return 0;
}

static void append_cells(struct column_writer *w, const struct stage *s, unsigned i, struct buffer *cells)
{
    uint8_t *p = buffer_grow(cells, s->n);
    if (p)
        stage_cells(s, i, (const uint64_t *)(const void *)w->indexes.data, p);
}

int column_write(struct column_writer *w, const struct stage *s, unsigned i, struct block_entry *entry,
                 struct buffer *out, struct buffer *cells, struct error *e)
{
    int r = plan(w, s, i, e);
    if (r == 0 && any_failed(w)) /* then there is no form to write in */
        r = error_set(e, ERROR_MEMORY, "no memory to write the column %s", w->column->name);
    if (r < 0)
        return r;
    write_smallest(w, s, i);
    if (w->form == FORM_CELLS)
        append_cells(w, s, i, cells);
    *entry = (struct block_entry){
        .id = w->column->id, .codec = (uint8_t)w->form, .flags = (uint8_t)(w->flags | w->presence)};
    return store(w, w->column->name, entry, out, e);
}

int column_write_cells(struct column_writer *w, const uint8_t *cells, size_t rows, size_t columns,
                       struct block_entry *entry, struct buffer *out, struct error *e)
{
    uint8_t *p = room(&w->raw, rows * columns);
    if (p)
        cells_turn(cells, columns, rows, p);
    buffer_clear(&w->squeezed);
    if (p && w->raw.len >= SQUEEZE_LEAST)
        squeeze(w, w->raw.len / 16 * 15);
    *entry = (struct block_entry){.id = BLOCK_CELLS, .codec = FORM_CELLS};
    return store(w, "cells", entry, out, e);
}
