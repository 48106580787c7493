/* flow_store: see the header. Buckets are lists with a number as head; a flow in none has bucket FLOW_BUCKETS. */
#include "agent/capture/flow_store.h"
#include <string.h>
#include <sys/mman.h>

#define ENTRIES_AT_START 4096u
#define PAGE             ((size_t)4096)

/* The table of entries is at most half full, and at least a quarter once it has grown. */
_Static_assert(sizeof(struct flow) + sizeof(struct flow_tcp) + 4 * sizeof(struct flow_entry) <= FLOW_TABLE_FLOW_BYTES,
               "a flow takes more than the budget of captures has for it");

/* ---------------------------------------------------------------- the region */

/* The largest table: at most half full with all flows alive. */
static size_t entries_most(uint32_t alive)
{
    size_t n = ENTRIES_AT_START;
    while (n / 2 < alive)
        n *= 2;
    return n;
}

/* A part of the region begins where a page does; returns where the next one does. */
static size_t part(size_t at, size_t items, size_t size)
{
    return (at + items * size + PAGE - 1) / PAGE * PAGE;
}

int flow_store_init(struct flow_store *s, uint32_t alive, uint32_t ended, struct error *e)
{
    *s = (struct flow_store){.mask = ENTRIES_AT_START - 1, .room = alive + ended + 1, .used = 1};
    size_t tcp_at = part(0, s->room, sizeof(struct flow));
    size_t entries_at = part(tcp_at, s->room, sizeof(struct flow_tcp));
    size_t bytes = part(entries_at, 2 * entries_most(alive), sizeof(struct flow_entry));
    void *region = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED)
        return error_set(e, ERROR_MEMORY, "no memory for a table of %u flows (%zu MiB): lower max_flows", alive,
                         bytes >> 20);
    s->region = region;
    s->region_bytes = bytes;
    s->flows = region;
    s->tcp = (void *)((uint8_t *)region + tcp_at);
    s->entries = (void *)((uint8_t *)region + entries_at);
    return 0;
}

void flow_store_free(struct flow_store *s)
{
    if (s->region)
        (void)munmap(s->region, s->region_bytes);
}

/* ---------------------------------------------------------------- found by key */

uint32_t flow_store_find(const struct flow_store *s, const struct flow_key *key, uint32_t hash)
{
    for (uint32_t i = hash & s->mask; s->entries[i].flow; i = (i + 1) & s->mask) {
        const struct flow_entry *entry = &s->entries[i];
        if (entry->hash == hash && flow_key_same(&flow_at(s, entry->flow)->key, key))
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

/* The next larger table is behind this one, and was not used before. */
static void entries_grow(struct flow_store *s)
{
    uint32_t old_mask = s->mask;
    struct flow_entry *old = s->entries;
    s->entries += (size_t)old_mask + 1;
    s->mask = old_mask * 2 + 1;
    for (uint32_t i = 0; i <= old_mask; i++)
        if (old[i].flow)
            entry_insert(s, old[i].hash, old[i].flow);
    (void)madvise(old, ((size_t)old_mask + 1) * sizeof *old, MADV_DONTNEED);
}

static void tcp_begin(struct flow_store *s, uint32_t index)
{
    struct flow_tcp *t = flow_tcp_at(s, index);
    t->state = (struct tcp_state){0};
    tcp_measures_begin(&t->measures);
}

static uint32_t take_unused(struct flow_store *s)
{
    uint32_t index = s->unused;
    if (index)
        s->unused = flow_at(s, index)->next;
    else if (s->used < s->room)
        index = s->used++;
    return index;
}

/* The letters of a history count only as far as it says how many there are. */
static void flow_begin(struct flow *f, const struct flow_key *key, uint32_t hash)
{
    const size_t letters = offsetof(struct flow, history.letters), behind = letters + sizeof f->history.letters;
    memset(f, 0, letters);
    memset((uint8_t *)f + behind, 0, sizeof *f - behind);
    f->key = *key;
    f->hash = hash;
    f->life = FLOW_ALIVE;
    f->bucket = FLOW_BUCKETS;
}

/* The next new flow's memory, which nothing has touched for long. */
static void fetch_unused(const struct flow_store *s)
{
    uint32_t index = s->unused ? s->unused : s->used;
    if (index < s->room)
        flow_prefetch(flow_at(s, index));
}

uint32_t flow_store_add(struct flow_store *s, const struct flow_key *key, uint32_t hash)
{
    uint32_t index = take_unused(s);
    if (!index)
        return 0;
    if (s->alive > s->mask / 2)
        entries_grow(s);
    if (flow_is_tcp(key))
        tcp_begin(s, index);
    flow_begin(flow_at(s, index), key, hash);
    fetch_unused(s);
    entry_insert(s, hash, index);
    s->alive++;
    return index;
}

/* ---------------------------------------------------------------- buckets, queue */

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
    f->bucket = (uint16_t)(second % FLOW_BUCKETS);
    f->next = s->buckets[f->bucket];
    if (f->next)
        flow_at(s, f->next)->previous = index;
    s->buckets[f->bucket] = index;
}

void flow_store_keep(struct flow_store *s, uint32_t index)
{
    struct flow *f = flow_at(s, index);
    if (!f->spare)
        return;
    flow_at(s, f->spare_previous)->spare_next = f->spare_next;
    flow_at(s, f->spare_next)->spare_previous = f->spare_previous;
    f->spare = false;
}

void flow_store_spare(struct flow_store *s, uint32_t index)
{
    struct flow *f = flow_at(s, index), *head = flow_at(s, 0);
    flow_store_keep(s, index);
    f->spare_next = 0;
    f->spare_previous = head->spare_previous;
    flow_at(s, head->spare_previous)->spare_next = index;
    head->spare_previous = index;
    f->spare_ns = f->last_ns;
    f->spare = true;
}

/* ---------------------------------------------------------------- the end */

void flow_store_end(struct flow_store *s, uint32_t index)
{
    struct flow *f = flow_at(s, index);
    unschedule(s, f);
    flow_store_keep(s, index);
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
