#include "collector/cli/recent.h"
#include "common/base/hash.h"
#include <stdlib.h>

#define SLOTS (2 * RECENT_PACKETS) /* never more than half full */

struct seen {
    uint64_t hash; /* 0: free */
    uint32_t answer;
    uint16_t before, now; /* how many were alike in one earlier answer at the most, and in this one */
};

/* Two tables: when the newer one is full, the older one is forgotten and takes its place. */
struct recent {
    struct seen *newer, *older; /* made when needed */
    size_t count;               /* in the newer one */
    uint32_t answer;
};

struct recent *recent_new(void)
{
    return calloc(1, sizeof(struct recent));
}

void recent_free(struct recent *r)
{
    if (!r)
        return;
    free(r->newer);
    free(r->older);
    free(r);
}

void recent_next_answer(struct recent *r)
{
    r->answer++;
}

static uint64_t hash_of(const struct pcapng_packet *p)
{
    const struct {
        uint64_t time_ns;
        uint32_t interface, wire;
    } who = {p->time_ns, p->interface, p->wire};
    uint64_t seed = hash64_table(&who, sizeof who);
    uint64_t hash = hash64_seed(p->data, p->captured < RECENT_BYTES ? p->captured : RECENT_BYTES, seed);
    return hash ? hash : 1;
}

/* Where it is, or the free slot where it would be. */
static struct seen *slot_of(struct seen *table, uint64_t hash)
{
    size_t i = (size_t)hash % SLOTS;
    while (table[i].hash && table[i].hash != hash)
        i = (i + 1) % SLOTS;
    return &table[i];
}

static bool make_room(struct recent *r)
{
    if (r->count == RECENT_PACKETS) {
        free(r->older);
        r->older = r->newer;
        r->newer = NULL;
        r->count = 0;
    }
    if (!r->newer)
        r->newer = calloc(SLOTS, sizeof *r->newer);
    return r->newer != NULL;
}

/* The entry in the newer table, taken over from the older one if it is there. */
static struct seen *entry_of(struct recent *r, uint64_t hash)
{
    struct seen *s = slot_of(r->newer, hash);
    const struct seen *old = s->hash || !r->older ? NULL : slot_of(r->older, hash);
    if (s->hash)
        return s;
    *s = old && old->hash ? *old : (struct seen){.hash = hash, .answer = r->answer};
    r->count++;
    return s;
}

bool recent_is_new(struct recent *r, const struct pcapng_packet *p)
{
    if (!make_room(r))
        return true;
    struct seen *s = entry_of(r, hash_of(p));
    if (s->answer != r->answer) {
        s->before = s->now > s->before ? s->now : s->before;
        s->now = 0;
        s->answer = r->answer;
    }
    if (s->now < UINT16_MAX)
        s->now++;
    return s->now > s->before;
}
