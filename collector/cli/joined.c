#include "collector/cli/joined.h"
#include "collector/cli/blocks.h"
#include "collector/cli/recent.h"
#include "common/packet/packet.h"
#include <stdlib.h>
#include <string.h>

#define OUT_PIECE (256u << 10)

/* An interface of the file that is written. */
struct joined_interface {
    char *name, *description, *filter; /* owned */
    uint16_t link_type;
    bool written;
    uint32_t number; /* if written */
};

struct joined {
    joined_write_fn *write;
    void *context;
    struct blocks *blocks;
    struct recent *recent;
    struct joined_interface *interfaces;
    uint32_t count, written;
    uint32_t *map; /* interfaces of the file that is read -> ours */
    uint32_t map_count;
    uint16_t link_type; /* of what is written */
    const char *first;  /* the interface that it is of; NULL: none is written yet */
    struct buffer out;
    uint64_t packets, bytes;
};

static int flush(struct joined *j, struct error *e)
{
    int r = 0;
    if (j->out.failed)
        r = error_set(e, ERROR_MEMORY, "no memory for packets");
    else if (j->out.len)
        r = j->write(j->context, j->out.data, j->out.len, e);
    buffer_clear(&j->out);
    return r;
}

/* ------------------------------------------------------------------ interfaces */

static char *copy(const char *text)
{
    return strdup(text ? text : "");
}

static int add_interface(struct joined *j, const struct pcapng_interface *i, struct error *e)
{
    struct joined_interface *grown = realloc(j->interfaces, (j->count + 1u) * sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for interfaces");
    j->interfaces = grown;
    struct joined_interface *added = &grown[j->count++];
    *added = (struct joined_interface){.name = copy(i->name),
                                       .description = copy(i->description),
                                       .filter = copy(i->filter),
                                       .link_type = i->link_type};
    return added->name && added->description && added->filter ? 0
                                                              : error_set(e, ERROR_MEMORY, "no memory for interfaces");
}

static uint32_t find_interface(const struct joined *j, const struct pcapng_interface *i)
{
    const char *name = i->name ? i->name : "";
    uint32_t n = 0;
    while (n < j->count && (j->interfaces[n].link_type != i->link_type || strcmp(j->interfaces[n].name, name) != 0))
        n++;
    return n;
}

static int map_interface(struct joined *j, const struct pcapng_interface *i, struct error *e)
{
    uint32_t number = find_interface(j, i);
    int r = number == j->count ? add_interface(j, i, e) : 0;
    uint32_t *grown = r ? NULL : realloc(j->map, (j->map_count + 1u) * sizeof *grown);
    if (r)
        return r;
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for interfaces");
    j->map = grown;
    j->map[j->map_count++] = number;
    return 0;
}

/* The first packet of an interface: its description goes in front. tcpdump wants one snaplen for all. */
static int write_interface(struct joined *j, struct joined_interface *i, struct error *e)
{
    char ours[64], theirs[64];
    if (j->first && i->link_type != j->link_type)
        return error_set(
            e, ERROR_USAGE,
            "packets of %s are of another link type (%s, %u) than those of %s before (%s, %u), and one stream "
            "cannot hold both for all readers: ask for one of them with --link-type NUMBER",
            i->name, packet_link_name(i->link_type, theirs, sizeof theirs), i->link_type, j->first,
            packet_link_name(j->link_type, ours, sizeof ours), j->link_type);
    const struct pcapng_interface info = {.name = i->name,
                                          .description = i->description,
                                          .filter = i->filter,
                                          .link_type = i->link_type,
                                          .snaplen = PACKET_SNAPLEN_MAX};
    pcapng_write_interface(&j->out, &info);
    j->link_type = i->link_type;
    i->written = true;
    i->number = j->written++;
    return 0;
}

/* ------------------------------------------------------------------ packets */

static int take_packet(struct joined *j, const struct pcapng_packet *p, struct error *e)
{
    if (p->interface >= j->map_count)
        return error_set(e, ERROR_INVALID, "the packets are damaged: one of interface %u of %u", p->interface,
                         j->map_count);
    struct pcapng_packet copy_of = *p;
    struct joined_interface *i = &j->interfaces[j->map[p->interface]];
    copy_of.interface = j->map[p->interface];
    if (!recent_is_new(j->recent, &copy_of))
        return 0;
    int r = i->written ? 0 : write_interface(j, i, e);
    if (r)
        return r;
    if (!j->first)
        j->first = i->name;
    copy_of.interface = i->number;
    pcapng_write_packet(&j->out, &copy_of);
    j->packets++;
    j->bytes += p->wire;
    return j->out.len >= OUT_PIECE ? flush(j, e) : 0;
}

static int take_item(void *context, const struct pcapng_item *item, struct error *e)
{
    struct joined *j = context;
    if (item->kind == PCAPNG_ITEM_INTERFACE)
        return map_interface(j, &item->interface_info, e);
    if (item->kind == PCAPNG_ITEM_JOURNAL)
        pcapng_write_journal(&j->out, (const char *)item->body, item->body_length);
    return item->kind == PCAPNG_ITEM_PACKET ? take_packet(j, &item->packet, e) : 0;
}

/* ------------------------------------------------------------------ the whole */

int joined_new(const char *comment, joined_write_fn *write, void *context, struct joined **out, struct error *e)
{
    struct joined *j = calloc(1, sizeof *j);
    if (!j)
        return error_set(e, ERROR_MEMORY, "no memory for packets");
    j->write = write;
    j->context = context;
    j->recent = recent_new();
    int r = j->recent ? blocks_new(take_item, j, &j->blocks, e) : error_set(e, ERROR_MEMORY, "no memory for packets");
    pcapng_write_section(&j->out, NULL, "Linux", "fleetdump " FLEETDUMP_VERSION, comment);
    if (r == 0)
        r = flush(j, e);
    if (r) {
        joined_free(j);
        return r;
    }
    *out = j;
    return 0;
}

void joined_free(struct joined *j)
{
    if (!j)
        return;
    for (uint32_t i = 0; i < j->count; i++) {
        free(j->interfaces[i].name);
        free(j->interfaces[i].description);
        free(j->interfaces[i].filter);
    }
    free(j->interfaces);
    free(j->map);
    blocks_free(j->blocks);
    recent_free(j->recent);
    buffer_free(&j->out);
    free(j);
}

int joined_feed(struct joined *j, const void *data, size_t len, struct error *e)
{
    return blocks_feed(j->blocks, data, len, e);
}

int joined_next(struct joined *j, struct error *e)
{
    int r = flush(j, e);
    if (r == 0)
        r = blocks_restart(j->blocks, e);
    j->map_count = 0;
    recent_next_answer(j->recent);
    return r;
}

uint64_t joined_packets(const struct joined *j)
{
    return j->packets;
}

uint64_t joined_bytes(const struct joined *j)
{
    return j->bytes;
}
