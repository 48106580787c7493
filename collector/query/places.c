#include "collector/query/places.h"
#include "common/packet/packet.h"
#include <stdlib.h>
#include <string.h>

static bool same(const struct vantage *v, const char *agent, const struct head_interface *i)
{
    return v->link_type == i->link_type && strcmp(v->agent, agent) == 0 && strcmp(v->interface, i->name) == 0;
}

bool vantage_is_any(const struct vantage *v)
{
    return strcmp(v->interface, "any") == 0;
}

static void vantage_clear(struct vantage *v)
{
    free(v->agent);
    free(v->interface);
    free(v->description);
    free(v->filter);
    free(v->capture);
}

static int vantage_new(struct places *p, const struct chunk_head *h, const struct head_interface *i, struct error *e)
{
    struct vantage *grown = realloc(p->vantage, (p->vantage_count + 1) * sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for %u interfaces", p->vantage_count + 1);
    p->vantage = grown;
    struct vantage *v = &grown[p->vantage_count];
    *v = (struct vantage){
        .agent = strdup(h->agent),
        .interface = strdup(i->name),
        .description = strdup(i->description ? i->description : ""),
        .filter = strdup(h->filter ? h->filter : ""),
        .capture = strdup(h->capture ? h->capture : ""),
        .link_type = i->link_type,
        .snaplen_min = UINT32_MAX,
        .has_mac = i->has_mac,
        .speed_bps = i->speed_bps,
        .first_ns = UINT64_MAX,
    };
    memcpy(v->mac, i->mac, sizeof v->mac);
    if (!v->agent || !v->interface || !v->description || !v->filter || !v->capture) {
        vantage_clear(v);
        return error_set(e, ERROR_MEMORY, "no memory for %u interfaces", p->vantage_count + 1);
    }
    p->vantage_count++;
    return 0;
}

int64_t places_of(struct places *p, const struct chunk_head *h, uint32_t i, struct error *e)
{
    const struct head_interface *interface = &h->interfaces[i];
    uint32_t v = 0;
    while (v < p->vantage_count && !same(&p->vantage[v], h->agent, interface))
        v++;
    /* Newest first: chunks of a stream come one after the other. */
    for (uint32_t n = p->place_count; v < p->vantage_count && n-- > 0;)
        if (p->place[n].vantage == v && memcmp(p->place[n].epoch, h->epoch, EPOCH_SIZE) == 0)
            return n;
    if (p->place_count >= PLACES_MAX)
        return error_set(e, ERROR_LIMIT,
                         "more than %u interfaces of streams in the question: narrow it by time or agent", PLACES_MAX);
    int r = v == p->vantage_count ? vantage_new(p, h, interface, e) : 0;
    if (r)
        return r;
    struct place *grown = realloc(p->place, (p->place_count + 1) * sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for %u interfaces", p->place_count + 1);
    p->place = grown;
    grown[p->place_count] = (struct place){.vantage = v};
    memcpy(grown[p->place_count].epoch, h->epoch, EPOCH_SIZE);
    struct vantage *at = &p->vantage[v];
    uint32_t snaplen = interface->snaplen ? interface->snaplen : PACKET_SNAPLEN_MAX;
    at->snaplen = snaplen > at->snaplen ? snaplen : at->snaplen;
    at->snaplen_min = snaplen < at->snaplen_min ? snaplen : at->snaplen_min;
    at->streams++;
    return p->place_count++;
}

void places_free(struct places *p)
{
    for (uint32_t i = 0; i < p->vantage_count; i++)
        vantage_clear(&p->vantage[i]);
    free(p->vantage);
    free(p->place);
    *p = (struct places){0};
}
