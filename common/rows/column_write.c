#include "common/rows/column_write.h"

#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/cells.h"
#include "common/rows/column_plan.h"

#include <stdlib.h>
#include <string.h>

#define ZSTD_LEVEL    1
#define SQUEEZE_LEAST 64u   /* bytes below which zstd cannot gain enough to matter */
#define PLANES_WIDTH  6u    /* numbers of fewer bits are hardly ever smaller as planes */
#define TRIAL_NUMBERS 4096u /* that are compressed to choose between groups and planes */
#define BUFFERS       12u   /* of a writer */

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

/* --- Writing the values ------------------------------------------------------------------------------------------ */

/* The k-th half of an address; little-endian. */
static uint64_t address_half(const struct text *address, unsigned k)
{
    uint64_t v;
    memcpy(&v, address->data + k * sizeof v, sizeof v);
    return v;
}

static void write_addresses(const struct text *texts, size_t n, struct buffer *out)
{
    unsigned width = column_address_width(texts, n);
    buffer_u8(out, (uint8_t)width);
    uint8_t *p = buffer_grow(out, width * n);
    for (size_t from = 0; p && from < n; from += CODEC_GROUP) {
        size_t count = n - from < CODEC_GROUP ? n - from : CODEC_GROUP;
        for (unsigned k = 0; k < width; k += 8) {
            uint64_t half[CODEC_GROUP];
            for (size_t i = 0; i < count; i++)
                half[i] = address_half(&texts[from + i], k / 8);
            sequence_planes(half, count, width - k < 8 ? width - k : 8, p + k * n + from, n);
        }
    }
}

static void write_texts(struct column_writer *w, const struct text *texts, size_t n, bool planes)
{
    uint64_t *lengths = column_room_for_numbers(&w->lengths, n);
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
    uint64_t *numbers = column_room_for_numbers(&w->lengths, w->n);
    for (size_t i = 0; numbers && i < w->n; i++) {
        items += numbers[i] = w->lists[i].count;
        firsts += w->lists[i].count != 0;
    }
    sequence_append(numbers, numbers ? w->n : 0, planes, &w->raw);
    uint64_t *gaps = column_room_for_numbers(&w->gaps, items - firsts + 1);
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
    uint8_t *p = column_room(&w->squeezed, most);
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

void column_writer_begin(struct column_writer *w)
{
    struct buffer *all[BUFFERS];
    all_buffers(w, all);
    for (size_t i = 0; i < BUFFERS; i++)
        buffer_clear(all[i]);
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
        stage_cells(s, i, w->entries == 1 ? NULL : (const uint64_t *)(const void *)w->indexes.data, p);
}

int column_write(struct column_writer *w, const struct stage *s, unsigned i, struct block_entry *entry,
                 struct buffer *out, struct buffer *cells, struct error *e)
{
    int r = column_plan(w, s, i, e);
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
    uint8_t *p = column_room(&w->raw, rows * columns);
    if (p)
        cells_turn(cells, columns, rows, 0, rows, p);
    buffer_clear(&w->squeezed);
    if (p && w->raw.len >= SQUEEZE_LEAST)
        squeeze(w, w->raw.len / 16 * 15);
    *entry = (struct block_entry){.id = BLOCK_CELLS, .codec = FORM_CELLS};
    return store(w, "cells", entry, out, e);
}
