#include "collector/query/same.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u

/* A packet that waits for its longest copy. Numbered in order; those of one bucket of hashes are linked. */
struct held {
    uint64_t hash;    /* of the bytes that all copies have */
    uint64_t earlier; /* the bucket's one before; 0: none */
    const struct merge_frame *frame;
    struct pcapng_packet packet; /* time of the first copy */
    uint8_t *memory;             /* of its bytes and comment */
    size_t bytes;                /* of memory */
    uint32_t *places;            /* that saw it; kept for the next one in this slot */
    uint32_t place_count, place_room;
};

struct same {
    const struct merge_ops *ops;
    struct held *held;         /* by number modulo cap */
    uint64_t first, next;      /* numbers; the first is 1 */
    size_t cap;                /* power of two */
    size_t bytes;              /* of all that is held */
    uint64_t buckets[BUCKETS]; /* the newest of each */
    uint64_t duplicates;
};

struct same *same_new(const struct merge_ops *ops)
{
    struct same *s = calloc(1, sizeof *s);
    if (s) {
        s->ops = ops;
        s->first = s->next = 1;
    }
    return s;
}

static struct held *at(const struct same *s, uint64_t number)
{
    return &s->held[number & (s->cap - 1)];
}

void same_free(struct same *s)
{
    if (!s)
        return;
    for (uint64_t i = s->first; i < s->next; i++)
        free(at(s, i)->memory);
    for (size_t i = 0; i < s->cap; i++)
        free(s->held[i].places);
    free(s->held);
    free(s);
}

uint64_t same_duplicates(const struct same *s)
{
    return s->duplicates;
}

/* ------------------------------------------------------------------ what is held */

static int give_first(struct same *s, struct error *e)
{
    struct held *h = at(s, s->first++);
    int r = s->ops->emit(s->ops->context, h->frame, &h->packet, e);
    s->bytes -= h->bytes;
    free(h->memory);
    h->memory = NULL;
    return r;
}

/* Gives what can have no further copy, and what there is no room for. */
static int give_due(struct same *s, uint64_t now_ns, struct error *e)
{
    int r = 0;
    while (r == 0 && s->first < s->next &&
           (now_ns - at(s, s->first)->packet.time_ns > MERGE_SAME_NS || s->bytes > SAME_BYTES_MAX))
        r = give_first(s, e);
    return r;
}

static int make_room(struct same *s, struct error *e)
{
    if (s->next - s->first < s->cap)
        return 0;
    size_t cap = s->cap ? 2 * s->cap : 256;
    struct held *grown = calloc(cap, sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for %zu packets of one moment", cap);
    for (uint64_t i = s->first; i < s->next; i++)
        grown[i & (cap - 1)] = *at(s, i);
    free(s->held);
    s->held = grown;
    s->cap = cap;
    return 0;
}

/* The packet's bytes become h's; its time stays. */
static int copy_packet(struct same *s, struct held *h, const struct merge_frame *f, const struct pcapng_packet *p,
                       struct error *e)
{
    size_t comment = p->comment ? strlen(p->comment) + 1 : 0, bytes = sizeof *h + p->captured + comment;
    uint8_t *memory = malloc(p->captured + comment + 1);
    if (!memory)
        return error_set(e, ERROR_MEMORY, "no memory for a packet of %u bytes", p->captured);
    memcpy(memory, p->data, p->captured);
    s->bytes += bytes - h->bytes;
    free(h->memory);
    h->frame = f;
    h->packet = *p;
    h->packet.data = h->memory = memory;
    h->bytes = bytes;
    if (comment)
        h->packet.comment = memcpy(memory + p->captured, p->comment, comment);
    return 0;
}

static int add_place(struct held *h, uint32_t place, struct error *e)
{
    if (h->place_count == h->place_room) {
        uint32_t room = h->place_room ? 2 * h->place_room : 4, *grown = realloc(h->places, room * sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "no memory for %u copies of a packet", room);
        h->places = grown;
        h->place_room = room;
    }
    h->places[h->place_count++] = place;
    return 0;
}

/* With `common` 0 it has no copies, and waits for its turn alone. */
static int hold(struct same *s, const struct merge_frame *f, const struct pcapng_packet *p, uint32_t common,
                uint64_t hash, struct error *e)
{
    int r = make_room(s, e);
    if (r)
        return r;
    struct held *h = at(s, s->next);
    *h = (struct held){.hash = hash, .places = h->places, .place_room = h->place_room};
    r = copy_packet(s, h, f, p, e);
    if (r == 0 && common) {
        h->earlier = s->buckets[hash % BUCKETS];
        s->buckets[hash % BUCKETS] = s->next;
        r = add_place(h, f->place, e);
    }
    s->next += h->memory != NULL;
    return r;
}

/* ------------------------------------------------------------------ copies */

static bool has_place(const struct held *h, uint32_t place)
{
    for (uint32_t i = 0; i < h->place_count; i++)
        if (h->places[i] == place)
            return true;
    return false;
}

static bool is_copy(const struct held *h, const struct merge_frame *f, const struct pcapng_packet *p)
{
    uint32_t both = h->packet.captured < p->captured ? h->packet.captured : p->captured;
    return h->frame->vantage == f->vantage && h->packet.wire == p->wire && !has_place(h, f->place) &&
           memcmp(h->packet.data, p->data, both) == 0;
}

static struct held *find(struct same *s, const struct merge_frame *f, const struct pcapng_packet *p, uint64_t hash)
{
    struct held *found = NULL;
    for (uint64_t i = s->buckets[hash % BUCKETS]; i >= s->first && i; i = at(s, i)->earlier) {
        struct held *h = at(s, i);
        if (h->hash != hash || !is_copy(h, f, p))
            continue;
        found = h;
        if (h->packet.time_ns == p->time_ns)
            break;
    }
    return found;
}

static int add_copy(struct same *s, struct held *h, const struct merge_frame *f, const struct pcapng_packet *p,
                    struct error *e)
{
    uint64_t time_ns = h->packet.time_ns;
    s->duplicates++;
    int r = add_place(h, f->place, e);
    if (r == 0 && p->captured > h->packet.captured)
        r = copy_packet(s, h, f, p, e);
    h->packet.time_ns = time_ns;
    return r;
}

int same_take(struct same *s, const struct merge_frame *f, const struct pcapng_packet *p, struct error *e)
{
    uint32_t common = s->ops->common_bytes(s->ops->context, f, p);
    int r = give_due(s, p->time_ns, e);
    if (r)
        return r;
    if (common == 0 && s->first == s->next)
        return s->ops->emit(s->ops->context, f, p, e);
    uint64_t hash = hash64_seed(p->data, p->captured < common ? p->captured : common, hash_seed() + p->wire);
    struct held *h = common ? find(s, f, p, hash) : NULL;
    return h ? add_copy(s, h, f, p, e) : hold(s, f, p, common, hash, e);
}

int same_end(struct same *s, struct error *e)
{
    int r = 0;
    while (r == 0 && s->first < s->next)
        r = give_first(s, e);
    return r;
}
