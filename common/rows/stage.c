#include "common/rows/stage.h"

#include <stdlib.h>
#include <string.h>

#define TILE STAGE_TILE

/* Copies n values of a column; returns whether one of them is not `first`. */
#define COPY(type)                                                                                                     \
    do {                                                                                                               \
        type differ = 0;                                                                                               \
        for (size_t r = 0; r < n; r++) {                                                                               \
            type v = *(const type *)(const void *)(from + r * stride);                                                 \
            ((type *)(void *)to)[r] = v;                                                                               \
            differ |= (type)(v ^ (type)first);                                                                         \
        }                                                                                                              \
        return differ != 0;                                                                                            \
    } while (0)

struct pair { /* struct text, struct list, addresses */
    uint64_t word[2];
};
_Static_assert(sizeof(struct pair) == sizeof(struct text) && sizeof(struct pair) == sizeof(struct list),
               "copied alike");

static bool copy_strided(const uint8_t *from, size_t stride, size_t n, unsigned size, uint64_t first, uint8_t *to)
{
    switch (size) {
    case 1:
        COPY(uint8_t);
    case 2:
        COPY(uint16_t);
    case 4:
        COPY(uint32_t);
    case 8:
        COPY(uint64_t);
    default:
        for (size_t r = 0; r < n; r++)
            memcpy(to + r * sizeof(struct pair), from + r * stride, sizeof(struct pair));
        return true;
    }
}

static uint64_t first_number(const uint8_t *from, unsigned size)
{
    uint64_t v = 0;
    if (size <= sizeof v)
        memcpy(&v, from, size); /* little-endian, as all that we run on */
    return v;
}

static const struct column_set *row_set(const uint8_t *rows, size_t stride, size_t r)
{
    return (const struct column_set *)(const void *)(rows + r * stride);
}

static uint64_t tile_presence(const uint8_t *rows, size_t stride, size_t n, unsigned id)
{
    uint64_t bits = 0;
    for (size_t r = 0; r < n; r++)
        bits |= (row_set(rows, stride, r)->word[id / 64] >> id % 64 & 1) << r;
    return bits;
}

static void fill_tile(struct stage *s, size_t tile, const uint8_t *rows, size_t n)
{
    size_t stride = s->table->row_size;
    struct column_set any = {.word = {0}};
    struct column_set all = *row_set(rows, stride, 0);
    for (size_t r = 0; r < n; r++)
        for (size_t k = 0; k < COLUMNS_MAX / 64; k++) {
            any.word[k] |= row_set(rows, stride, r)->word[k];
            all.word[k] &= row_set(rows, stride, r)->word[k];
        }
    for (unsigned i = 0; i < s->table->count; i++) {
        const struct column *c = &s->table->columns[i];
        uint64_t bits = 0;
        if (column_has(&all, c->id))
            bits = n == TILE ? UINT64_MAX : (UINT64_C(1) << n) - 1;
        else if (column_has(&any, c->id))
            bits = tile_presence(rows, stride, n, c->id);
        s->presence[i * s->words + tile] = bits;
        if (!bits)
            continue;
        if (!s->count[i])
            s->first[i] = first_number(rows + c->offset, c->size);
        s->count[i] += (size_t)__builtin_popcountll(bits);
        uint8_t *to = s->values + s->at[i] + tile * TILE * c->size;
        s->varies[i] = copy_strided(rows + c->offset, stride, n, c->size, s->first[i], to) || s->varies[i];
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
    s->filled = 0;
    memset(s->count, 0, sizeof s->count);
    memset(s->varies, 0, sizeof s->varies);
    for (unsigned i = 0; i < t->count; i++) {
        s->at[i] = size;
        size += (n * t->columns[i].size + 15) & ~(size_t)15;
    }
    if (!make_room(&s->values, &s->values_room, size + 1) ||
        !make_room(&s->presence, &s->presence_room, (s->words * t->count + 1) * sizeof(*s->presence)))
        return error_set(e, ERROR_MEMORY, "no memory to write %zu rows", n);
    return 0;
}

void stage_add(struct stage *s, const void *rows)
{
    size_t left = s->n - s->filled * TILE;
    fill_tile(s, s->filled++, rows, left < TILE ? left : TILE);
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

void stage_lists(const struct stage *s, unsigned i, struct list *out)
{
    const struct list *values = (const struct list *)(const void *)(s->values + s->at[i]);
    EACH(s, i, *out++ = values[r];)
}

void stage_presence(const struct stage *s, unsigned i, uint8_t *out)
{
    for (size_t k = 0; k < (s->n + 7) / 8; k++)
        out[k] = (uint8_t)(s->presence[i * s->words + k / 8] >> k % 8 * 8);
}
