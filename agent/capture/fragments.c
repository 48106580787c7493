/* fragments: slots in pairs; the older of a pair is replaced. What makes fragments one packet is compared whole. */
#include "agent/capture/fragments.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

/* RFC 791, 3.2 and RFC 8200, 4.5: source, destination, protocol, identification; here also where it was seen. */
struct fragment_id {
    uint8_t addr[2][16];
    uint32_t id;
    uint32_t interface;
    uint32_t tunnel_id;
    uint16_t vlan[2];
    uint8_t family, proto, tunnel, reserved;
};
_Static_assert(sizeof(struct fragment_id) == 52, "fragment_id has no padding");

struct slot {
    struct fragment_id id;
    bool used;
    uint64_t time_ns;
    uint64_t flow;
};

struct fragments {
    uint64_t seed;
    struct slot slots[FRAGMENTS_SLOTS];
};

struct fragments *fragments_new(uint64_t seed)
{
    struct fragments *f = calloc(1, sizeof *f);
    if (f)
        f->seed = seed;
    return f;
}

void fragments_free(struct fragments *f)
{
    free(f);
}

static void id_of(const struct packet *p, uint32_t interface, struct fragment_id *id)
{
    *id = (struct fragment_id){
        .id = p->fragment_id,
        .interface = interface,
        .tunnel_id = p->tunnel_id,
        .vlan = {p->vlan[0], p->vlan[1]},
        .family = p->net.family,
        .proto = p->net.family == FAMILY_IP4 ? p->net.proto : 0, /* IPv6: the next header may differ */
        .tunnel = (uint8_t)p->tunnel,
    };
    memcpy(id->addr, p->net.addr, sizeof id->addr);
}

/* The first of the two slots for this id. */
static size_t pair_of(const struct fragments *f, const struct fragment_id *id)
{
    return hash64_seed(id, sizeof *id, f->seed) % (FRAGMENTS_SLOTS / 2) * 2;
}

static bool is_slot_of(const struct slot *s, const struct fragment_id *id)
{
    return s->used && memcmp(&s->id, id, sizeof *id) == 0;
}

void fragments_first(struct fragments *f, const struct packet *p, uint32_t interface, uint64_t time_ns, uint64_t flow)
{
    struct fragment_id id;
    id_of(p, interface, &id);
    struct slot *s = &f->slots[pair_of(f, &id)];
    bool second = is_slot_of(&s[1], &id) || (!is_slot_of(&s[0], &id) && (!s[1].used || s[1].time_ns < s[0].time_ns));
    s[second] = (struct slot){.id = id, .used = true, .time_ns = time_ns, .flow = flow};
}

bool fragments_later(const struct fragments *f, const struct packet *p, uint32_t interface, uint64_t time_ns,
                     uint64_t *flow)
{
    struct fragment_id id;
    id_of(p, interface, &id);
    const struct slot *s = &f->slots[pair_of(f, &id)];
    for (int i = 0; i < 2; i++) {
        uint64_t age = time_ns > s[i].time_ns ? time_ns - s[i].time_ns : s[i].time_ns - time_ns;
        if (is_slot_of(&s[i], &id) && age <= FRAGMENTS_TIMEOUT_NS) {
            *flow = s[i].flow;
            return true;
        }
    }
    return false;
}
