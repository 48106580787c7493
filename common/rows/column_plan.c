#include "common/rows/column_plan.h"

#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/order.h"

#define DICTIONARY_WIDTH 3u   /* numbers of fewer bits need no dictionary */
#define SAMPLES          4u   /* stretches of numbers from which it is judged what to store of them, ... */
#define SAMPLE_NUMBERS   128u /* ... each so long */
#define CELLS_REPEAT     4u   /* times that a value must be there, on average, to be worth a cell in each row */

void *column_room(struct buffer *b, size_t bytes)
{
    buffer_clear(b);
    return buffer_grow(b, bytes);
}

uint64_t *column_room_for_numbers(struct buffer *b, size_t n)
{
    return column_room(b, n * sizeof(uint64_t));
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

static int check_texts(const struct column_writer *w, size_t n, struct error *e)
{
    for (size_t i = 0; i < n; i++)
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
    uint64_t *differences = column_room_for_numbers(&w->differences, w->n);
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

static bool ascends(const uint64_t *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (v[i] < v[i - 1])
            return false;
    return true;
}

/* Takes the numbers in the order of those of another column, if they are smaller so. */
static void plan_order(struct column_writer *w, const struct stage *s, unsigned i)
{
    unsigned other = w->column->order;
    unsigned j = other ? s->place[other] : 0;
    if (!other || !s->count[j])
        return;
    uint64_t *others = column_room_for_numbers(&w->differences, w->n);
    uint64_t *ordered = column_room_for_numbers(&w->ordered, w->n);
    if (!others || !ordered)
        return;
    stage_others(s, i, j, others);
    if (ascends(others, w->n)) /* then they stand so */
        return;
    struct order_item *items = column_room(&w->items, 2 * w->n * sizeof(*items));
    if (!items)
        return;
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
    uint64_t *quotients = column_room_for_numbers(&w->quotients, w->n);
    uint64_t *rest = column_room_for_numbers(&w->gaps, w->n);
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
    uint64_t *indexes = column_room_for_numbers(&w->indexes, w->n);
    return indexes && distinct_numbers(&w->distinct, w->numbers, w->n, w->column->codec != CODEC_DICTIONARY, indexes);
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

unsigned column_address_width(const struct text *texts, size_t n)
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
        return n * column_address_width(texts, n);
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
    uint64_t *uses = column_room_for_numbers(&w->indexes, w->n);
    struct text *entries = column_room(&w->entry_values, w->n * sizeof(*entries));
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

/* The same text in all rows that have it. */
static void plan_same_text(struct column_writer *w, const struct stage *s, unsigned i)
{
    struct text *entry = column_room(&w->entry_values, sizeof(*entry));
    if (!entry)
        return;
    *entry = stage_same_text(s, i, w->address);
    w->form = FORM_DICTIONARY;
    w->entries = 1;
    w->main = (struct sequence){.n = w->n - 1, .form = FORM_CONSTANT, .base = 1};
    if (fit_cells(w, 1))
        plan_cells(w, 1);
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

int column_plan(struct column_writer *w, const struct stage *s, unsigned i, struct error *e)
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
        w->distinct.values[0] = s->first[i];
        if (w->presence == BLOCK_PRESENCE && fit_cells(w, 1)) /* nothing else tells which rows have it */
            plan_cells(w, 1);
        return check_numbers(w->column, &s->first[i], 1, e);
    }
    if (w->column->type != COLUMN_LIST && !s->varies[i]) {
        plan_same_text(w, s, i);
        w->texts = (struct text *)(void *)w->entry_values.data;
        return w->texts ? check_texts(w, 1, e) : 0;
    }
    void *values = column_room(&w->values, w->n * (numbers ? sizeof(*w->numbers) : sizeof(*w->texts)));
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
        r = check_texts(w, w->n, e);
        plan_texts(w);
    }
    return r;
}
