#include "collector/query/flow_set.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK_ENTRIES 1024u /* entries stand still: pointers to them stay valid while the set grows */

struct interned {
    struct interned *next;
    uint64_t hash;
    uint32_t len;
    char data[];
};

/* Has the id, so that a search touches no other entry than the one it is after. */
struct slot {
    uint64_t flow_id;
    uint32_t entry; /* index + 1; 0: empty */
};

struct flow_set {
    struct flow_set_entry **chunks;
    size_t count, most;
    struct slot *slots; /* a power of two of them */
    size_t slot_count;
    struct interned **texts;
    size_t text_slots, text_count;
};

struct flow_set *flow_set_new(size_t most)
{
    struct flow_set *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->most = most;
    s->slot_count = 1024;
    s->text_slots = 1024;
    s->chunks = calloc(most / CHUNK_ENTRIES + 1, sizeof *s->chunks);
    s->slots = calloc(s->slot_count, sizeof *s->slots);
    s->texts = calloc(s->text_slots, sizeof *s->texts);
    if (s->chunks && s->slots && s->texts)
        return s;
    flow_set_free(s);
    return NULL;
}

void flow_set_free(struct flow_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; s->chunks && i * CHUNK_ENTRIES < s->count; i++)
        free(s->chunks[i]);
    for (size_t i = 0; s->texts && i < s->text_slots; i++)
        while (s->texts[i]) {
            struct interned *next = s->texts[i]->next;
            free(s->texts[i]);
            s->texts[i] = next;
        }
    free(s->chunks);
    free(s->slots);
    free(s->texts);
    free(s);
}

size_t flow_set_count(const struct flow_set *s)
{
    return s->count;
}

struct flow_set_entry *flow_set_at(struct flow_set *s, size_t i)
{
    return &s->chunks[i / CHUNK_ENTRIES][i % CHUNK_ENTRIES];
}

/* Flow ids are hashes already, but not if an agent says otherwise. */
static struct slot *slot_of(const struct flow_set *s, uint64_t flow_id)
{
    size_t i = (size_t)hash64_table(&flow_id, sizeof flow_id) & (s->slot_count - 1);
    while (s->slots[i].entry && s->slots[i].flow_id != flow_id)
        i = (i + 1) & (s->slot_count - 1);
    return &s->slots[i];
}

struct flow_set_entry *flow_set_find(struct flow_set *s, uint64_t flow_id)
{
    uint32_t entry = slot_of(s, flow_id)->entry;
    return entry ? flow_set_at(s, entry - 1) : NULL;
}

static bool grow_slots(struct flow_set *s)
{
    struct slot *old = s->slots, *slots = calloc(s->slot_count * 2, sizeof *slots);
    if (!slots)
        return false;
    size_t old_count = s->slot_count;
    s->slots = slots;
    s->slot_count *= 2;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].entry)
            *slot_of(s, old[i].flow_id) = old[i];
    free(old);
    return true;
}

static void grow_texts(struct flow_set *s)
{
    size_t slots = s->text_slots * 4;
    struct interned **texts = calloc(slots, sizeof *texts);
    if (!texts)
        return; /* longer chains, nothing worse */
    for (size_t i = 0; i < s->text_slots; i++)
        for (struct interned *t = s->texts[i], *next; t; t = next) {
            next = t->next;
            t->next = texts[t->hash & (slots - 1)];
            texts[t->hash & (slots - 1)] = t;
        }
    free(s->texts);
    s->texts = texts;
    s->text_slots = slots;
}

struct text flow_set_text(struct flow_set *s, const char *data, size_t len)
{
    uint64_t hash = hash64_table(data, len);
    struct interned **at = &s->texts[hash & (s->text_slots - 1)];
    for (struct interned *t = *at; t; t = t->next)
        if (t->hash == hash && t->len == len && (len == 0 || memcmp(t->data, data, len) == 0))
            return (struct text){t->data, t->len};
    struct interned *t = malloc(sizeof *t + len);
    if (!t)
        return (struct text){NULL, 0};
    *t = (struct interned){.next = *at, .hash = hash, .len = (uint32_t)len};
    if (len)
        memcpy(t->data, data, len);
    *at = t;
    if (++s->text_count > s->text_slots * 2)
        grow_texts(s);
    return (struct text){t->data, t->len};
}

/* Makes the set the owner of all that the sum took over from `row`. */
static void own(struct flow_set *s, struct flow_row *sum, const struct flow_row *row)
{
    for (unsigned i = 0; i < table_flow.count; i++) {
        const struct column *c = &table_flow.columns[i];
        if (c->type == COLUMN_LIST) {
            memset((char *)sum + c->offset, 0, c->size);
            column_remove(&sum->has, c->id);
        }
        if (c->type != COLUMN_TEXT || !column_has(&row->has, c->id) || !column_has(&sum->has, c->id))
            continue;
        struct text *t = (struct text *)(void *)((char *)sum + c->offset);
        *t = flow_set_text(s, t->data, t->len);
        if (!t->data)
            column_remove(&sum->has, c->id);
    }
}

static int insert(struct flow_set *s, const struct flow_row *row, struct error *e)
{
    if (s->count >= s->most)
        return error_set(
            e, ERROR_LIMIT,
            "more than %zu flows in the question: narrow it by time (--since, --until), agent (--on), capture "
            "(--capture) or filter",
            s->most);
    if (s->count % CHUNK_ENTRIES == 0) {
        s->chunks[s->count / CHUNK_ENTRIES] = calloc(CHUNK_ENTRIES, sizeof **s->chunks);
        if (!s->chunks[s->count / CHUNK_ENTRIES])
            return error_set(e, ERROR_MEMORY, "no memory for more than %zu flows", s->count);
    }
    struct flow_set_entry *f = flow_set_at(s, s->count);
    f->sum = *row;
    own(s, &f->sum, row);
    s->count++;
    *slot_of(s, row->flow_id) = (struct slot){row->flow_id, (uint32_t)s->count};
    if (s->count * 2 > s->slot_count && !grow_slots(s))
        return error_set(e, ERROR_MEMORY, "no memory for more than %zu flows", s->count);
    return 0;
}

int flow_set_add(struct flow_set *s, const struct flow_row *row, struct error *e)
{
    struct flow_set_entry *f = flow_set_find(s, row->flow_id);
    if (!f)
        return insert(s, row, e);
    table_merge(&table_flow, &f->sum, row);
    own(s, &f->sum, row);
    return 0;
}
