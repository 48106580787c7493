#include "collector/query/group.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

#define SEPARATOR 0x1f /* a byte that no field's text holds */

struct group_map {
    const struct group_by *by;
    char **keys; /* owned */
    size_t count, cap;
    uint32_t *slots; /* a power of two of them; index + 1; 0: empty */
    size_t slot_count;
    struct buffer key; /* of the row that is looked at */
};

int group_by_of(const struct message_query *q, struct group_by *by, struct error *e)
{
    if (q->by_count > GROUP_BY_MAX)
        return error_set(e, ERROR_LIMIT, "--by takes at most %u fields", GROUP_BY_MAX);
    by->count = q->by_count;
    for (uint32_t i = 0; i < q->by_count; i++) {
        by->fields[i] = field_named(q->by[i], strlen(q->by[i]));
        if (!by->fields[i])
            return error_set(e, ERROR_USAGE,
                             "cannot group by '%.60s': no such field (fleetdump flows --columns lists them)", q->by[i]);
        if (field_is_of_groups(by->fields[i]))
            return error_set(e, ERROR_USAGE, "cannot group by '%.60s': groups have it, single lines do not", q->by[i]);
    }
    return 0;
}

struct group_map *group_map_new(const struct group_by *by)
{
    struct group_map *m = calloc(1, sizeof *m);
    if (m)
        m->by = by;
    return m;
}

void group_map_free(struct group_map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++)
        free(m->keys[i]);
    free(m->keys);
    free(m->slots);
    buffer_free(&m->key);
    free(m);
}

/* A text without 0 bytes inside, or NULL without memory. */
static const char *key_of(struct group_map *m, const struct flow_row *row)
{
    char text[FIELD_TEXT_MAX];
    buffer_clear(&m->key);
    for (uint32_t i = 0; i < m->by->count; i++) {
        buffer_append(&m->key, text, field_text(m->by->fields[i], row, true, text, sizeof text));
        buffer_u8(&m->key, SEPARATOR);
    }
    buffer_u8(&m->key, 0);
    return m->key.failed ? NULL : (const char *)m->key.data;
}

/* Where the key is, or where it would be. */
static uint32_t *slot_of(const struct group_map *m, const char *key)
{
    size_t at = hash64_table(key, strlen(key)) & (m->slot_count - 1);
    while (m->slots[at] && strcmp(m->keys[m->slots[at] - 1], key) != 0)
        at = (at + 1) & (m->slot_count - 1);
    return &m->slots[at];
}

static bool grow(struct group_map *m)
{
    size_t cap = m->cap ? m->cap * 2 : 256;
    char **keys = realloc(m->keys, cap * sizeof *keys);
    if (keys)
        m->keys = keys;
    uint32_t *slots = calloc(cap * 4, sizeof *slots);
    if (!keys || !slots) {
        free(slots);
        return false;
    }
    free(m->slots);
    m->slots = slots;
    m->slot_count = cap * 4;
    m->cap = cap;
    for (size_t i = 0; i < m->count; i++)
        *slot_of(m, m->keys[i]) = (uint32_t)i + 1;
    return true;
}

int64_t group_map_of(struct group_map *m, const struct flow_row *row, struct error *e)
{
    const char *key = m->count < m->cap || grow(m) ? key_of(m, row) : NULL;
    uint32_t *slot = key ? slot_of(m, key) : NULL;
    if (slot && *slot)
        return *slot - 1;
    if (!slot || !(m->keys[m->count] = strdup(key)))
        return error_set(e, ERROR_MEMORY, "no memory for more than %zu groups", m->count);
    *slot = (uint32_t)++m->count;
    return *slot - 1;
}
