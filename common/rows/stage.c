#include "common/rows/stage.h"

#include <stdlib.h>
#include <string.h>

#define TILE    STAGE_TILE
#define NOWHERE 0xffu

/* A set of the tile's rows of which each gets a value. */
struct puts {
    uint64_t rows;
    size_t n; /* if these are all: how many, else 0 */
    const void *const *records;
    size_t offset;
    uint64_t first, rest;
    uint64_t rest_mask; /* what counts of the rest */
};

/* Copies values; returns whether one of them is not `first`. */
#define COPY_ONE(from_type, to_type)                                                                                   \
    to_type v = *(const from_type *)(const void *)((const uint8_t *)p->records[r] + p->offset);                        \
    ((to_type *)(void *)to)[r] = v;                                                                                    \
    differ |= (to_type)(v ^ (to_type)p->first)
#define COPY(from_type, to_type)                                                                                       \
    do {                                                                                                               \
        to_type differ = 0;                                                                                            \
        for (size_t r = 0; r < p->n; r++) {                                                                            \
            COPY_ONE(from_type, to_type);                                                                              \
        }                                                                                                              \
        for (uint64_t left = p->n ? 0 : p->rows; left; left &= left - 1) {                                             \
            size_t r = (size_t)__builtin_ctzll(left);                                                                  \
            COPY_ONE(from_type, to_type);                                                                              \
        }                                                                                                              \
        return differ != 0;                                                                                            \
    } while (0)

struct pair { /* struct text, struct list, addresses */
    uint64_t word[2];
};
_Static_assert(sizeof(struct pair) == sizeof(struct text) && sizeof(struct pair) == sizeof(struct list),
               "copied alike");

static struct pair pair_at(const struct puts *p, size_t r)
{
    struct pair v;
    memcpy(&v, (const uint8_t *)p->records[r] + p->offset, sizeof v);
    return v;
}

static bool copy_pairs(const struct puts *p, uint8_t *to)
{
    uint64_t differ = 0;
    for (uint64_t left = p->rows; left; left &= left - 1) {
        size_t r = (size_t)__builtin_ctzll(left);
        struct pair v = pair_at(p, r);
        memcpy(to + r * sizeof v, &v, sizeof v);
        differ |= (v.word[0] ^ p->first) | ((v.word[1] ^ p->rest) & p->rest_mask);
    }
    return differ != 0;
}

static bool copy_values(const struct puts *p, unsigned from_size, unsigned to_size, uint8_t *to)
{
    switch (to_size) {
    case 1:
        COPY(uint8_t, uint8_t);
    case 2:
        COPY(uint16_t, uint16_t);
    case 4:
        COPY(uint32_t, uint32_t);
    case 8:
        if (from_size == sizeof(uint32_t))
            COPY(uint32_t, uint64_t);
        COPY(uint64_t, uint64_t);
    default:
        return copy_pairs(p, to);
    }
}

static uint64_t first_number(const struct puts *p, unsigned size)
{
    uint64_t v = 0; /* little-endian, as all that we run on */
    memcpy(&v, (const uint8_t *)p->records[__builtin_ctzll(p->rows)] + p->offset, size < sizeof v ? size : sizeof v);
    return v;
}

/* Rows of the tile that was begun last. */
static size_t tile_rows(const struct stage *s)
{
    size_t left = s->n - (s->tiles - 1) * TILE;
    return left < TILE ? left : TILE;
}

static uint64_t all_rows(size_t n)
{
    return n == TILE ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

/* How many these are; n: all of the tile, if not 0. */
static size_t count_rows(uint64_t rows, size_t n)
{
    return n ? n : (size_t)__builtin_popcountll(rows);
}

static void put(struct stage *s, unsigned i, uint64_t rows, const void *const *records, size_t offset, unsigned size)
{
    if (!rows)
        return;
    const struct column *c = &s->table->columns[i];
    size_t tile = s->tiles - 1;
    size_t n = tile_rows(s);
    struct puts p = {.rows = rows, .n = rows == all_rows(n) ? n : 0, .records = records, .offset = offset};
    if (!s->count[i])
        s->first[i] = first_number(&p, size);
    if (!s->count[i] && c->type != COLUMN_UINT)
        s->rest[i] = pair_at(&p, (size_t)__builtin_ctzll(rows)).word[1];
    p.first = s->first[i];
    p.rest = s->rest[i];
    p.rest_mask =
        c->type == COLUMN_ADDRESS ? UINT64_MAX : UINT32_MAX; /* struct text, struct list: then comes padding */
    s->presence[i * s->words + tile] |= rows;
    s->count[i] += count_rows(rows, p.n);
    s->varies[i] |= copy_values(&p, size, c->size, s->values + s->at[i] + tile * TILE * c->size);
}

void stage_put(struct stage *s, unsigned id, uint64_t rows, const void *const *records, size_t offset, unsigned size)
{
    if (s->place[id] != NOWHERE)
        put(s, s->place[id], rows, records, offset, size);
}

/* Writes a number of `size` bytes for each row of the set. */
#define FILL(type)                                                                                                     \
    do {                                                                                                               \
        for (size_t r = 0; r < n; r++)                                                                                 \
            ((type *)(void *)to)[r] = (type)v;                                                                         \
        for (uint64_t left = n ? 0 : rows; left; left &= left - 1)                                                     \
            ((type *)(void *)to)[__builtin_ctzll(left)] = (type)v;                                                     \
    } while (0)

static void fill_values(uint8_t *to, unsigned size, uint64_t rows, size_t n, uint64_t v)
{
    switch (size) {
    case 1:
        FILL(uint8_t);
        break;
    case 2:
        FILL(uint16_t);
        break;
    case 4:
        FILL(uint32_t);
        break;
    default:
        FILL(uint64_t);
        break;
    }
}

void stage_put_same(struct stage *s, unsigned id, uint64_t rows, const void *value, unsigned size)
{
    unsigned i = s->place[id];
    if (i == NOWHERE || !rows)
        return;
    const struct column *c = &s->table->columns[i];
    size_t tile = s->tiles - 1;
    size_t n = tile_rows(s);
    uint64_t v = 0;
    memcpy(&v, value, size);
    if (!s->count[i])
        s->first[i] = v;
    s->varies[i] |= v != s->first[i];
    s->presence[i * s->words + tile] |= rows;
    n = rows == all_rows(n) ? n : 0;
    s->count[i] += count_rows(rows, n);
    fill_values(s->values + s->at[i] + tile * TILE * c->size, c->size, rows, n, v);
}

/* records[r] is the r-th of these structs. */
static void records_of(const void *structs, size_t stride, size_t n, const void *records[TILE])
{
    for (size_t r = 0; r < n; r++)
        records[r] = (const uint8_t *)structs + r * stride;
}

void stage_put_values(struct stage *s, unsigned id, uint64_t rows, const void *values)
{
    const void *records[TILE];
    if (s->place[id] == NOWHERE)
        return;
    unsigned size = s->table->columns[s->place[id]].size;
    records_of(values, size, tile_rows(s), records);
    put(s, s->place[id], rows, records, 0, size);
}

static uint64_t rows_with(const struct column_set *const *sets, size_t n, unsigned id)
{
    uint64_t bits = 0;
    for (size_t r = 0; r < n; r++)
        bits |= (sets[r]->word[id / 64] >> id % 64 & 1) << r;
    return bits;
}

void stage_put_rows(struct stage *s, unsigned first, unsigned last, const void *row_structs)
{
    const void *records[TILE];
    const struct column_set *sets[TILE];
    struct column_set any = {.word = {0}};
    struct column_set all = {.word = {UINT64_MAX, UINT64_MAX}};
    size_t n = tile_rows(s);
    records_of(row_structs, s->table->row_size, n, records);
    for (size_t r = 0; r < n; r++) {
        sets[r] = records[r];
        for (size_t k = 0; k < COLUMNS_MAX / 64; k++) {
            any.word[k] |= sets[r]->word[k];
            all.word[k] &= sets[r]->word[k];
        }
    }
    for (unsigned i = 0; i < s->table->count; i++) {
        const struct column *c = &s->table->columns[i];
        if (c->id < first || c->id > last || !column_has(&any, c->id))
            continue;
        put(s, i, column_has(&all, c->id) ? all_rows(n) : rows_with(sets, n, c->id), records, c->offset, c->size);
    }
}

/* Memory of at least that size, whose content is not kept; true if there is. */
static bool make_room(void *memory, size_t *room, size_t need)
{
    void **p = memory;
    if (*p && *room >= need)
        return true;
    free(*p);
    *p = malloc(need);
    *room = *p ? need : 0;
    return *p != NULL;
}

int stage_begin(struct stage *s, const struct table *t, size_t n, struct error *e)
{
    size_t size = 0;
    s->table = t;
    s->n = n;
    s->words = (n + TILE - 1) / TILE;
    s->tiles = 0;
    memset(s->place, NOWHERE, sizeof s->place);
    memset(s->count, 0, sizeof s->count);
    memset(s->varies, 0, sizeof s->varies);
    for (unsigned i = 0; i < t->count; i++) {
        s->place[t->columns[i].id] = (uint8_t)i;
        s->at[i] = size;
        size += (n * t->columns[i].size + 15) & ~(size_t)15;
    }
    size_t bitmaps = s->words * t->count * sizeof(*s->presence);
    if (!make_room(&s->values, &s->values_room, size + 1) ||
        !make_room(&s->presence, &s->presence_room, bitmaps + sizeof(*s->presence)))
        return error_set(e, ERROR_MEMORY, "no memory to write %zu rows", n);
    memset(s->presence, 0, bitmaps);
    return 0;
}

size_t stage_next(struct stage *s)
{
    s->tiles++;
    return tile_rows(s);
}

void stage_free(struct stage *s)
{
    free(s->values);
    free(s->presence);
    *s = (struct stage){.table = NULL};
}

/* Runs `body` for each row that has the i-th column; r is the row. */
#define EACH(s, i, body)                                                                                               \
    if ((s)->count[i] == (s)->n) {                                                                                     \
        for (size_t r = 0; r < (s)->n; r++) {                                                                          \
            body                                                                                                       \
        }                                                                                                              \
    } else {                                                                                                           \
        for (size_t word = 0; word < (s)->words; word++)                                                               \
            for (uint64_t bits = (s)->presence[(i) * (s)->words + word]; bits; bits &= bits - 1) {                     \
                size_t r = word * TILE + (size_t)__builtin_ctzll(bits);                                                \
                body                                                                                                   \
            }                                                                                                          \
    }

void stage_rows(const struct stage *s, void *rows)
{
    memset(rows, 0, s->n * s->table->row_size);
    for (unsigned i = 0; i < s->table->count; i++) {
        const struct column *c = &s->table->columns[i];
        const uint8_t *values = s->values + s->at[i];
        EACH(s, i, {
            uint8_t *row = (uint8_t *)rows + r * s->table->row_size;
            memcpy(row + c->offset, values + r * c->size, c->size);
            column_add((struct column_set *)(void *)row, c->id);
        })
    }
}

void stage_numbers(const struct stage *s, unsigned i, uint64_t *out)
{
    const void *values = s->values + s->at[i];
    switch (s->table->columns[i].size) {
    case 1:
        EACH(s, i, *out++ = ((const uint8_t *)values)[r];)
        break;
    case 2:
        EACH(s, i, *out++ = ((const uint16_t *)values)[r];)
        break;
    case 4:
        EACH(s, i, *out++ = ((const uint32_t *)values)[r];)
        break;
    default:
        EACH(s, i, *out++ = ((const uint64_t *)values)[r];)
        break;
    }
}

/* The number of a row that has the column. */
static uint64_t number_at(const struct stage *s, unsigned i, size_t r)
{
    const void *values = s->values + s->at[i];
    switch (s->table->columns[i].size) {
    case 1:
        return ((const uint8_t *)values)[r];
    case 2:
        return ((const uint16_t *)values)[r];
    case 4:
        return ((const uint32_t *)values)[r];
    default:
        return ((const uint64_t *)values)[r];
    }
}

void stage_others(const struct stage *s, unsigned i, unsigned j, uint64_t *out)
{
    if (s->count[i] == s->n && s->count[j] == s->n) {
        stage_numbers(s, j, out);
        return;
    }
    const uint64_t *others = s->presence + j * s->words;
    EACH(s, i, *out++ = others[r / TILE] >> r % TILE & 1 ? number_at(s, j, r) : 0;)
}

void stage_texts(const struct stage *s, unsigned i, struct text *out)
{
    const uint8_t *values = s->values + s->at[i];
    uint32_t size = s->table->columns[i].size;
    if (s->table->columns[i].type == COLUMN_TEXT) {
        EACH(s, i, *out++ = ((const struct text *)(const void *)values)[r];)
    } else {
        EACH(s, i, *out++ = ((struct text){.data = (const char *)values + r * size, .len = size});)
    }
}

struct text stage_same_text(const struct stage *s, unsigned i, uint8_t address[16])
{
    struct text t = {.data = (const char *)address, .len = sizeof(struct pair)};
    struct pair first = {{s->first[i], s->rest[i]}};
    if (s->table->columns[i].type == COLUMN_TEXT)
        memcpy(&t, &first, sizeof t);
    else
        memcpy(address, &first, sizeof first);
    return t;
}

void stage_lists(const struct stage *s, unsigned i, struct list *out)
{
    const struct list *values = (const struct list *)(const void *)(s->values + s->at[i]);
    EACH(s, i, *out++ = values[r];)
}

void stage_cells(const struct stage *s, unsigned i, const uint64_t *numbers, uint8_t *out)
{
    bool all = s->count[i] == s->n;
    if (!all || !numbers)
        memset(out, all, s->n);
    if (numbers) {
        EACH(s, i, out[r] = (uint8_t)(*numbers++ + 1);)
    } else if (!all) {
        EACH(s, i, out[r] = 1;)
    }
}

unsigned stage_alike(const struct stage *s, unsigned i)
{
    const uint64_t *bits = s->presence + i * s->words;
    for (unsigned j = 0; j < i; j++)
        if (s->count[j] == s->count[i] && memcmp(s->presence + j * s->words, bits, s->words * sizeof(*bits)) == 0)
            return j;
    return i;
}

void stage_presence(const struct stage *s, unsigned i, uint8_t *out)
{
    for (size_t k = 0; k < (s->n + 7) / 8; k++)
        out[k] = (uint8_t)(s->presence[i * s->words + k / 8] >> k % 8 * 8);
}
