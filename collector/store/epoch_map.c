#include "collector/store/epoch_map.h"

#include "common/base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SIZE_FIRST 64

/* The slot of the epoch, or the free one where it belongs. The map is never full. */
static struct epoch_slot *slot_of(const struct epoch_map *m, const uint8_t epoch[EPOCH_SIZE])
{
    size_t mask = m->size - 1;
    size_t i = (size_t)hash64_seed(epoch, EPOCH_SIZE, m->seed) & mask;
    while (m->slots[i].value && memcmp(m->slots[i].epoch, epoch, EPOCH_SIZE) != 0)
        i = (i + 1) & mask;
    return &m->slots[i];
}

void *epoch_map_find(const struct epoch_map *m, const uint8_t epoch[EPOCH_SIZE])
{
    return m->count ? slot_of(m, epoch)->value : NULL;
}

static int grow(struct epoch_map *m, struct error *e)
{
    struct epoch_map bigger = {.size = m->size ? 2 * m->size : SIZE_FIRST, .count = m->count, .seed = m->seed};
    if (!m->size && getrandom(&bigger.seed, sizeof(bigger.seed), 0) != (ssize_t)sizeof(bigger.seed))
        bigger.seed = (uint64_t)(uintptr_t)m;
    bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
    if (!bigger.slots)
        return error_set(e, ERROR_MEMORY, "no memory for %zu streams", bigger.size);
    for (size_t i = 0; i < m->size; i++)
        if (m->slots[i].value)
            *slot_of(&bigger, m->slots[i].epoch) = m->slots[i];
    free(m->slots);
    *m = bigger;
    return 0;
}

int epoch_map_add(struct epoch_map *m, const uint8_t epoch[EPOCH_SIZE], void *value, struct error *e)
{
    int r = m->count + m->count / 2 >= m->size ? grow(m, e) : 0;
    if (r)
        return r;
    struct epoch_slot *slot = slot_of(m, epoch);
    memcpy(slot->epoch, epoch, EPOCH_SIZE);
    slot->value = value;
    m->count++;
    return 0;
}

void *epoch_map_next(const struct epoch_map *m, size_t *at)
{
    while (*at < m->size) {
        void *value = m->slots[(*at)++].value;
        if (value)
            return value;
    }
    return NULL;
}

void epoch_map_clear(struct epoch_map *m, void (*release)(void *value))
{
    size_t at = 0;
    for (void *value; (value = epoch_map_next(m, &at));)
        release(value);
    free(m->slots);
    *m = (struct epoch_map){0};
}
