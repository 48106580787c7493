#include "collector/cli/labels.h"
#include "collector/cli/blocks.h"
#include <stdlib.h>
#include <string.h>

struct labels {
    struct blocks *blocks;
    char **names; /* of interfaces */
    uint32_t name_count;
    uint32_t *queue; /* interfaces of the packets fed and not yet given */
    size_t first, count, room;
    uint64_t packets;
};

static int add_name(struct labels *l, const char *name, struct error *e)
{
    struct error printable = ERROR_INIT;
    char **grown = realloc(l->names, (l->name_count + 1u) * sizeof(char *));
    if (grown)
        l->names = grown;
    (void)error_set(&printable, ERROR_NONE, "%s", name ? name : "?");
    if (!grown || !(grown[l->name_count] = strdup(printable.text)))
        return error_set(e, ERROR_MEMORY, "no memory for interface names");
    l->name_count++;
    return 0;
}

static int add_packet(struct labels *l, uint32_t interface, struct error *e)
{
    if (l->first + l->count == l->room && l->first >= l->room / 2) {
        if (l->count)
            memmove(l->queue, l->queue + l->first, l->count * sizeof *l->queue);
        l->first = 0;
    }
    if (l->first + l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 1024;
        uint32_t *grown = realloc(l->queue, room * sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "no memory for %zu packets", room);
        l->queue = grown;
        l->room = room;
    }
    l->queue[l->first + l->count++] = interface;
    l->packets++;
    return 0;
}

static int take_item(void *context, const struct pcapng_item *item, struct error *e)
{
    struct labels *l = context;
    if (item->kind == PCAPNG_ITEM_INTERFACE)
        return add_name(l, item->interface_info.name, e);
    return item->kind == PCAPNG_ITEM_PACKET ? add_packet(l, item->packet.interface, e) : 0;
}

int labels_feed(struct labels *l, const void *data, size_t len, struct error *e)
{
    return blocks_feed(l->blocks, data, len, e);
}

int labels_new(struct labels **out, struct error *e)
{
    struct labels *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(e, ERROR_MEMORY, "no memory to read packets");
    int r = blocks_new(take_item, l, &l->blocks, e);
    if (r) {
        free(l);
        return r;
    }
    *out = l;
    return 0;
}

void labels_free(struct labels *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; i < l->name_count; i++)
        free(l->names[i]);
    free(l->names);
    free(l->queue);
    blocks_free(l->blocks);
    free(l);
}

/* ------------------------------------------------------------------ labels */

uint64_t labels_packets(const struct labels *l)
{
    return l->packets;
}

const char *labels_next(struct labels *l)
{
    if (l->count == 0)
        return "?";
    uint32_t interface = l->queue[l->first++];
    l->count--;
    return interface < l->name_count ? l->names[interface] : "?";
}
