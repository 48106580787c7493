/* flow_store: see the header. Buckets are lists with a number as head; a flow in none has bucket FLOW_BUCKETS. */
#include "agent/capture/flow_store.h"
#include <stdlib.h>
#include <string.h>

#define ENTRIES_AT_START 4096u

/* The table is at most half full, and at least a quarter once it has grown. */
_Static_assert(sizeof(struct flow) + sizeof(struct flow_tcp) + 4 * sizeof(struct flow_entry) <= FLOW_TABLE_FLOW_BYTES,
               "a flow takes more than the budget of captures has for it");

int flow_store_init(struct flow_store *s, struct error *e)
{
    *s = (struct flow_store){.mask = ENTRIES_AT_START - 1};
    s->entries = calloc(ENTRIES_AT_START, sizeof *s->entries);
    return s->entries ? 0 : error_set(e, ERROR_MEMORY, "no memory for the flow table");
}

void flow_store_free(struct flow_store *s)
{
    for (uint32_t i = 0; i < s->slab_count; i++) {
        free(s->slabs[i]);
        free(s->tcp_slabs[i]);
    }
    free(s->slabs);
    free(s->tcp_slabs);
    free(s->entries);
}

uint32_t flow_store_find(const struct flow_store *s, const struct flow_key *key, uint32_t hash)
{
    for (uint32_t i = hash & s->mask; s->entries[i].flow; i = (i + 1) & s->mask) {
        const struct flow_entry *entry = &s->entries[i];
        if (entry->hash == hash && memcmp(&flow_at(s, entry->flow)->key, key, sizeof *key) == 0)
            return entry->flow;
    }
    return 0;
}

static void entry_insert(struct flow_store *s, uint32_t hash, uint32_t index)
{
    uint32_t i = hash & s->mask;
    while (s->entries[i].flow)
        i = (i + 1) & s->mask;
    s->entries[i] = (struct flow_entry){hash, index};
}

/* Takes the entry out and closes the hole, so that no search stops there too early. */
static void entry_remove(struct flow_store *s, uint32_t hash, uint32_t index)
{
    uint32_t hole = hash & s->mask;
    while (s->entries[hole].flow != index)
        hole = (hole + 1) & s->mask;
    for (uint32_t i = (hole + 1) & s->mask; s->entries[i].flow; i = (i + 1) & s->mask) {
        uint32_t home = s->entries[i].hash & s->mask;
        if (((i - home) & s->mask) >= ((i - hole) & s->mask)) {
            s->entries[hole] = s->entries[i];
            hole = i;
        }
    }
    s->entries[hole].flow = 0;
}

static bool entries_grow(struct flow_store *s)
{
    uint32_t old_mask = s->mask;
    struct flow_entry *old = s->entries, *grown = calloc(((size_t)old_mask + 1) * 2, sizeof *grown);
    if (!grown)
        return false;
    s->entries = grown;
    s->mask = old_mask * 2 + 1;
    for (uint32_t i = 0; i <= old_mask; i++)
        if (old[i].flow)
            entry_insert(s, old[i].hash, old[i].flow);
    free(old);
    return true;
}

static bool slabs_grow(struct flow_store *s)
{
    uint32_t room = s->slab_room ? s->slab_room * 2 : 16;
    struct flow **grown = realloc(s->slabs, room * sizeof(struct flow *));
    if (!grown)
        return false;
    s->slabs = grown;
    struct flow_tcp **tcp_grown = realloc(s->tcp_slabs, room * sizeof(struct flow_tcp *));
    if (!tcp_grown)
        return false;
    s->tcp_slabs = tcp_grown;
    s->slab_room = room;
    return true;
}

static bool slab_add(struct flow_store *s)
{
    if (s->slab_count == s->slab_room && !slabs_grow(s))
        return false;
    struct flow *slab = calloc(FLOW_SLAB_SIZE, sizeof *slab);
    if (!slab)
        return false;
    uint32_t base = s->slab_count * FLOW_SLAB_SIZE;
    s->tcp_slabs[s->slab_count] = NULL;
    s->slabs[s->slab_count++] = slab;
    for (uint32_t i = FLOW_SLAB_SIZE; i-- > 0;) {
        if (base + i == 0)
            break;
        slab[i].next = s->unused;
        s->unused = base + i;
    }
    return true;
}

static bool tcp_begin(struct flow_store *s, uint32_t index)
{
    struct flow_tcp **slab = &s->tcp_slabs[index / FLOW_SLAB_SIZE];
    if (!*slab)
        *slab = calloc(FLOW_SLAB_SIZE, sizeof **slab);
    if (!*slab)
        return false;
    struct flow_tcp *t = flow_tcp_at(s, index);
    t->state = (struct tcp_state){0};
    tcp_measures_begin(&t->measures);
    return true;
}

uint32_t flow_store_add(struct flow_store *s, const struct flow_key *key, uint32_t hash)
{
    if (s->alive >= s->mask / 2 && !entries_grow(s))
        return 0;
    if (!s->unused && !slab_add(s))
        return 0;
    uint32_t index = s->unused;
    if (flow_is_tcp(key) && !tcp_begin(s, index))
        return 0;
    struct flow *f = flow_at(s, index);
    s->unused = f->next;
    *f = (struct flow){.key = *key, .hash = hash, .life = FLOW_ALIVE, .bucket = FLOW_BUCKETS};
    entry_insert(s, hash, index);
    s->alive++;
    return index;
}

static void unschedule(struct flow_store *s, struct flow *f)
{
    if (f->bucket == FLOW_BUCKETS)
        return;
    if (f->previous)
        flow_at(s, f->previous)->next = f->next;
    else
        s->buckets[f->bucket] = f->next;
    if (f->next)
        flow_at(s, f->next)->previous = f->previous;
    f->next = f->previous = 0;
    f->bucket = FLOW_BUCKETS;
}

void flow_store_schedule(struct flow_store *s, uint32_t index, uint64_t second)
{
    struct flow *f = flow_at(s, index);
    unschedule(s, f);
    f->bucket = (uint32_t)(second % FLOW_BUCKETS);
    f->next = s->buckets[f->bucket];
    if (f->next)
        flow_at(s, f->next)->previous = index;
    s->buckets[f->bucket] = index;
}

void flow_store_end(struct flow_store *s, uint32_t index)
{
    struct flow *f = flow_at(s, index);
    unschedule(s, f);
    entry_remove(s, f->hash, index);
    f->life = FLOW_ENDED;
    s->alive--;
}

void flow_store_reuse(struct flow_store *s, uint32_t index)
{
    struct flow *f = flow_at(s, index);
    f->life = FLOW_UNUSED;
    f->next = s->unused;
    s->unused = index;
}
