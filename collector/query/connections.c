#include "collector/query/connections.h"
#include "collector/query/covered.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ addresses of agents */

/* Sorted by address: which agent had it, and when. */
struct owner {
    uint8_t family, addr[16];
    uint64_t from_ns, to_ns;
    struct text agent; /* interned in the flow set: equal agents, equal pointers */
};

struct owners {
    struct flow_set *texts;
    struct owner *items;
    size_t count;
    bool failed;
};

static int add_owner(void *context, const struct store_agent_info *a)
{
    struct owners *o = context;
    if (a->address_count == 0)
        return 0;
    struct owner *grown = realloc(o->items, (o->count + a->address_count) * sizeof *grown);
    if (!grown) {
        o->failed = true;
        return ERROR_MEMORY;
    }
    o->items = grown;
    struct text agent = flow_set_text(o->texts, a->name, strlen(a->name));
    for (uint32_t i = 0; i < a->address_count; i++) {
        const struct filter_address *from = &a->addresses[i];
        struct owner *to = &grown[o->count++];
        *to = (struct owner){.family = from->family, .from_ns = from->from_ns, .to_ns = from->to_ns, .agent = agent};
        memcpy(to->addr, from->addr, sizeof to->addr);
    }
    return 0;
}

int owners_new(struct plan *p, struct owners **out, struct error *e)
{
    struct owners *o = *out = calloc(1, sizeof *o);
    if (!o)
        return error_set(e, ERROR_MEMORY, "no memory for a query");
    o->texts = p->flows;
    return store_each_agent(p->reader, add_owner, o, e);
}

void owners_free(struct owners *o)
{
    if (o)
        free(o->items);
    free(o);
}

static bool owns(const struct owners *o, const struct flow_row *row, unsigned end, uint64_t first_ns, uint64_t last_ns)
{
    for (size_t i = 0; i < o->count; i++) {
        const struct owner *w = &o->items[i];
        if (w->agent.data == row->agent.data && w->family == row->key.family &&
            memcmp(w->addr, row->key.addr[end], sizeof w->addr) == 0 && first_ns <= w->to_ns && last_ns >= w->from_ns)
            return true;
    }
    return false;
}

uint8_t owners_rank(const struct owners *o, const struct flow_row *row, uint64_t first_ns, uint64_t last_ns)
{
    if (!column_has(&row->has, FLOW_ORIGINATOR))
        return 2;
    if (owns(o, row, !row->originator, first_ns, last_ns))
        return 0;
    return owns(o, row, row->originator, first_ns, last_ns) ? 1 : 2;
}

/* ------------------------------------------------------------------ one vantage for each connection */

struct candidate {
    struct flow_set_entry *flow;
    uint64_t hash; /* of what all vantages of a connection see alike */
    uint32_t vantage;
    uint8_t rank;
    bool kept; /* its packets */
    bool any;  /* seen by all interfaces of the agent at once */
};

uint64_t connections_hash(const struct flow_key *key)
{
    struct flow_key plain = *key;
    plain.interface = 0;
    plain.vlan[0] = plain.vlan[1] = VLAN_NONE;
    plain.tunnel = 0;
    plain.tunnel_id = 0;
    plain.reserved[0] = plain.reserved[1] = 0;
    return hash64_table(&plain, sizeof plain);
}

static bool is_connection(const struct flow_row *row)
{
    return (row->key.family == FAMILY_IP4 || row->key.family == FAMILY_IP6) && row->key.proto != 0;
}

static unsigned directions(const struct flow_row *row)
{
    return (row->packets[0] ? 1u : 0u) | (row->packets[1] ? 2u : 0u);
}

static int by_connection(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->flow->sum.first_ns != y->flow->sum.first_ns)
        return x->flow->sum.first_ns < y->flow->sum.first_ns ? -1 : 1;
    return x->vantage < y->vantage ? -1 : x->vantage > y->vantage;
}

static bool better(const struct candidate *a, const struct candidate *b)
{
    bool both_a = directions(&a->flow->sum) == 3, both_b = directions(&b->flow->sum) == 3;
    if (a->kept != b->kept)
        return a->kept;
    if (both_a != both_b)
        return both_a;
    if (a->rank != b->rank)
        return a->rank < b->rank;
    if (a->any != b->any)
        return b->any;
    return a->flow->sum.first_ns < b->flow->sum.first_ns;
}

/* Whether the best one stands for it: of one whose packets were never kept all the time, or they are missing. */
static bool stands_for(const struct plan *p, const struct candidate *best, const struct candidate *c)
{
    const struct flow_row *row = &c->flow->sum, *by = &best->flow->sum;
    return c->vantage != best->vantage && (directions(row) & ~directions(by)) == 0 &&
           (c->kept || covered_in_time(p, row, by, CONNECTION_SLACK_NS));
}

/* Candidates c[0..n) overlap in time. Marks those that the best one stands for; 1 if there were several vantages. */
static int choose(const struct plan *p, struct candidate *c, size_t n)
{
    struct candidate *best = &c[0];
    bool several = false;
    for (size_t i = 1; i < n; i++) {
        several = several || c[i].vantage != c[0].vantage;
        if (better(&c[i], best))
            best = &c[i];
    }
    for (size_t i = 0; several && i < n; i++)
        c[i].flow->other_vantage = stands_for(p, best, &c[i]);
    return several;
}

static int64_t choose_all(const struct plan *p, struct candidate *c, size_t count)
{
    int64_t several = 0;
    qsort(c, count, sizeof *c, by_connection);
    for (size_t i = 0, n; i < count; i += n) {
        uint64_t until = c[i].flow->sum.last_ns;
        for (n = 1;
             i + n < count && c[i + n].hash == c[i].hash && c[i + n].flow->sum.first_ns <= until + CONNECTION_SLACK_NS;
             n++)
            until = c[i + n].flow->sum.last_ns > until ? c[i + n].flow->sum.last_ns : until;
        several += choose(p, &c[i], n);
    }
    return several;
}

int64_t connections_choose_vantage(struct plan *p, struct error *e)
{
    struct owners *owners = NULL;
    struct candidate *c = calloc(p->selected + 1, sizeof *c);
    size_t count = 0;
    int64_t r = c ? 0 : error_set(e, ERROR_MEMORY, "no memory for %llu flows", (unsigned long long)p->selected);
    if (r == 0)
        r = owners_new(p, &owners, e);
    for (size_t i = 0; r == 0 && i < flow_set_count(p->flows); i++) {
        struct flow_set_entry *f = flow_set_at(p->flows, i);
        if (!f->selected || !is_connection(&f->sum))
            continue;
        const struct place *place = &p->places.place[f->sum.key.interface];
        c[count++] = (struct candidate){f,
                                        connections_hash(&f->sum.key),
                                        place->vantage,
                                        owners_rank(owners, &f->sum, f->sum.first_ns, f->sum.last_ns),
                                        place->keeps_packets,
                                        vantage_is_any(&p->places.vantage[place->vantage])};
    }
    if (r == 0)
        r = choose_all(p, c, count);
    owners_free(owners);
    free(c);
    return r;
}

/* ------------------------------------------------------------------ the flow of a packet */

#define FRAGMENTS 4096u /* first fragments remembered */

struct fragment {
    uint8_t addr[2][16];
    uint32_t id, place;
    uint8_t family, proto;
    struct flow_set_entry *flow;
};

struct connection_index {
    struct flow_set_entry **slots; /* by hash of key; several flows of one key stand one after the other */
    size_t slot_count;
    struct fragment fragments[FRAGMENTS];
};

static size_t start_slot(const struct connection_index *x, const struct flow_key *key)
{
    return hash64_table(key, sizeof *key) & (x->slot_count - 1);
}

int connection_index_new(struct plan *p, struct connection_index **out, struct error *e)
{
    struct connection_index *x = calloc(1, sizeof *x);
    size_t slots = 64;
    while (slots < p->selected * 2)
        slots *= 2;
    if (x)
        x->slots = calloc(slots, sizeof(struct flow_set_entry *));
    if (!x || !x->slots) {
        free(x);
        return error_set(e, ERROR_MEMORY, "no memory for an index of %zu flows", slots);
    }
    x->slot_count = slots;
    for (size_t i = 0; i < flow_set_count(p->flows); i++) {
        struct flow_set_entry *f = flow_set_at(p->flows, i);
        if (!f->selected)
            continue;
        size_t at = start_slot(x, &f->sum.key);
        while (x->slots[at])
            at = (at + 1) & (slots - 1);
        x->slots[at] = f;
    }
    *out = x;
    return 0;
}

void connection_index_free(struct connection_index *x)
{
    if (x)
        free(x->slots);
    free(x);
}

static struct flow_set_entry *find_key(struct connection_index *x, const struct flow_key *key, uint64_t time_ns)
{
    for (size_t at = start_slot(x, key); x->slots[at]; at = (at + 1) & (x->slot_count - 1)) {
        struct flow_row *sum = &x->slots[at]->sum;
        if (memcmp(&sum->key, key, sizeof *key) == 0 && sum->first_ns <= time_ns && time_ns <= sum->last_ns)
            return x->slots[at];
    }
    return NULL;
}

static struct fragment *fragment_of(struct connection_index *x, const struct packet *p, uint32_t place,
                                    struct fragment *wanted)
{
    *wanted = (struct fragment){.id = p->fragment_id, .place = place, .family = p->net.family, .proto = p->net.proto};
    memcpy(wanted->addr, p->net.addr, sizeof wanted->addr);
    /* Always alike, as which one takes another's place can be seen in the answer. */
    return &x->fragments[hash64(wanted, offsetof(struct fragment, flow)) % FRAGMENTS];
}

struct flow_set_entry *connection_index_find(struct connection_index *x, const struct packet *packet, uint32_t place,
                                             uint64_t time_ns)
{
    struct flow_key key;
    struct fragment wanted;
    (void)packet_key(packet, place, &key);
    struct flow_set_entry *flow = NULL;
    if (packet->net.fragment == FRAGMENT_NONE)
        return find_key(x, &key, time_ns);
    struct fragment *known = fragment_of(x, packet, place, &wanted);
    if (packet->net.fragment == FRAGMENT_FIRST) {
        flow = find_key(x, &key, time_ns);
        *known = wanted;
        known->flow = flow;
        return flow;
    }
    if (memcmp(known, &wanted, offsetof(struct fragment, flow)) == 0 && known->flow)
        return known->flow;
    return find_key(x, &key, time_ns);
}
