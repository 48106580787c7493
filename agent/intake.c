#include "agent/intake.h"
#include "agent/capture/file.h"
#include "common/base/utf8.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKETS_PER_LOOK 1024u

struct known {
    char *own_name; /* before it was made unique */
    char *name;
    char *description;
    struct pcapng_interface info; /* texts: those above; mac: the bytes below, or NULL */
    uint8_t mac[6];
    uint32_t index;            /* in the builder */
    uint32_t file, generation; /* where it was used last */
};

struct intake {
    struct chunk_builder *builder;
    const atomic_bool *stop;
    void (*more)(void *context, uint64_t done, uint64_t total);
    void *context;

    struct known *known;
    uint32_t known_count;
    uint32_t file; /* number of the open one */
    uint32_t *map; /* interface of the file -> of the builder */
    uint32_t map_length;
    uint64_t skipped;
    struct chunk_packet waiting[CHUNK_PACKETS]; /* to be given together */
    size_t waiting_count;
};

int intake_new(struct chunk_builder *b, const atomic_bool *stop,
               void (*more)(void *context, uint64_t done, uint64_t total), void *context, struct intake **out,
               struct error *e)
{
    struct intake *in = calloc(1, sizeof *in);
    *out = in;
    if (!in)
        return error_set(e, ERROR_MEMORY, "no memory to read files");
    in->builder = b;
    in->stop = stop;
    in->more = more;
    in->context = context;
    return 0;
}

static void known_free(struct known *k)
{
    free(k->own_name);
    free(k->name);
    free(k->description);
}

void intake_free(struct intake *in)
{
    if (!in)
        return;
    for (uint32_t i = 0; i < in->known_count; i++)
        known_free(&in->known[i]);
    free(in->known);
    free(in->map);
    free(in);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_mac(const uint8_t *a, const uint8_t *b)
{
    return a && b ? memcmp(a, b, 6) == 0 : a == b;
}

static bool is_same(const struct known *k, const char *name, const struct pcapng_interface *i)
{
    return same_text(k->own_name, name) && same_text(k->description, i->description) &&
           k->info.link_type == i->link_type && k->info.snaplen == i->snaplen && k->info.speed_bps == i->speed_bps &&
           same_mac(k->info.mac, i->mac);
}

/* An interface of another file or section that is the same one. */
static struct known *find_known(struct intake *in, const char *name, const struct source_item *item)
{
    for (uint32_t i = 0; i < in->known_count; i++) {
        struct known *k = &in->known[i];
        bool beside = k->file == in->file && k->generation == item->generation;
        if (!beside && is_same(k, name, &item->info))
            return k;
    }
    return NULL;
}

static bool name_taken(const struct intake *in, const char *name)
{
    for (uint32_t i = 0; i < in->known_count; i++)
        if (strcmp(in->known[i].name, name) == 0)
            return true;
    return false;
}

static char *unique_name(const struct intake *in, const char *name)
{
    char unique[HEAD_NAME_MAX + 1];
    snprintf(unique, sizeof unique, "%s", name);
    for (unsigned n = 2; name_taken(in, unique); n++)
        snprintf(unique, sizeof unique, "%.*s#%u", (int)HEAD_NAME_MAX - 12, name, n);
    return strdup(unique);
}

static int add_known(struct intake *in, const char *name, const struct pcapng_interface *info, struct known **out,
                     struct error *e)
{
    struct known *grown = reallocarray(in->known, in->known_count + 1, sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for an interface");
    in->known = grown;
    for (uint32_t i = 0; i < in->known_count; i++) /* they may have moved */
        if (grown[i].info.mac)
            grown[i].info.mac = grown[i].mac;
    struct known *k = &grown[in->known_count];
    *k = (struct known){.info = *info};
    k->own_name = strdup(name);
    k->name = unique_name(in, name);
    k->description = strdup(info->description ? info->description : "");
    k->info.name = k->name;
    k->info.description = k->description;
    if (info->mac) {
        memcpy(k->mac, info->mac, sizeof k->mac);
        k->info.mac = k->mac;
    }
    int code = k->own_name && k->name && k->description ? chunk_builder_interface(in->builder, &k->info, &k->index, e)
                                                        : error_set(e, ERROR_MEMORY, "no memory for an interface");
    if (code) {
        known_free(k);
        return code;
    }
    in->known_count++;
    *out = k;
    return 0;
}

static int map_interface(struct intake *in, uint32_t from, uint32_t to, struct error *e)
{
    if (from >= in->map_length) {
        uint32_t *grown = reallocarray(in->map, (size_t)from + 1, sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "no memory for an interface");
        for (uint32_t i = in->map_length; i <= from; i++)
            grown[i] = UINT32_MAX; /* the builder refuses it */
        in->map = grown;
        in->map_length = from + 1;
    }
    in->map[from] = to;
    return 0;
}

static void clean_copy(char copy[HEAD_NAME_MAX + 1], const char *text)
{
    snprintf(copy, HEAD_NAME_MAX + 1, "%s", text ? text : "");
    utf8_clean(copy, strlen(copy));
}

static int take_interface(struct intake *in, const char *path, const struct source_item *from, struct error *e)
{
    struct source_item own = *from, *item = &own; /* with texts of our own */
    char name[HEAD_NAME_MAX + 1], description[HEAD_NAME_MAX + 1];
    clean_copy(name, item->info.name);
    clean_copy(description, item->info.description);
    if (!name[0])
        capture_file_name(path, name, sizeof name);
    item->info.description = description;
    struct known *k = find_known(in, name, item);
    int code = k ? 0 : add_known(in, name, &item->info, &k, e);
    if (code)
        return error_prefix(e, "%s: interface %u", path, item->interface);
    k->file = in->file;
    k->generation = item->generation;
    return map_interface(in, item->interface, k->index, e);
}

static uint32_t mapped(const struct intake *in, uint32_t interface)
{
    return interface < in->map_length ? in->map[interface] : UINT32_MAX;
}

static int take_loss(struct intake *in, const struct source_item *item, struct error *e)
{
    uint32_t i = mapped(in, item->interface);
    int code = 0;
    if (item->kernel_drops)
        code = chunk_builder_count(in->builder, i, COUNTER_KERNEL_DROPS, item->kernel_drops, e);
    if (!code && item->interface_drops)
        code = chunk_builder_count(in->builder, i, COUNTER_INTERFACE_DROPS, item->interface_drops, e);
    return code;
}

static int give_waiting(struct intake *in, struct error *e)
{
    size_t n = in->waiting_count;
    in->waiting_count = 0;
    return chunk_builder_packets(in->builder, in->waiting, n, e);
}

static int take_packet(struct intake *in, const struct source_item *item, struct error *e)
{
    struct chunk_packet *p = &in->waiting[in->waiting_count++];
    p->packet = item->packet;
    p->companion = false;
    p->packet.interface = mapped(in, item->interface);
    if (in->waiting_count < CHUNK_PACKETS && item->stays && !item->time_limited)
        return 0;
    int code = give_waiting(in, e);
    if (!code && item->time_limited)
        code = chunk_builder_count(in->builder, p->packet.interface, COUNTER_TIME_LIMITED, 1, e);
    return code;
}

static int take_other(struct intake *in, const char *path, const struct source_item *item, bool *stream_failed,
                      struct error *e)
{
    int code = give_waiting(in, e);
    *stream_failed = code != 0;
    if (code || item->kind == SOURCE_END)
        return code;
    if (item->kind == SOURCE_INTERFACE)
        return take_interface(in, path, item, e);
    code = take_loss(in, item, e);
    *stream_failed = code != 0;
    return code;
}

/* Kept out of main, with all that it calls for each packet: main runs once, so that compilers make what is in it small and not fast. */
static __attribute__((noinline)) int read_source(struct intake *in, const char *path, struct source *s,
                                                 bool *stream_failed, struct error *e)
{
    struct source_item item;
    uint32_t packets = 0;
    for (;;) {
        int code = source_next(s, &item, e);
        if (code) {
            struct error why = ERROR_INIT;
            int given = give_waiting(in, &why);
            *stream_failed = given != 0;
            if (given)
                *e = why;
            return given ? given : code;
        }
        if (item.kind != SOURCE_PACKET) {
            code = take_other(in, path, &item, stream_failed, e);
            if (code || item.kind == SOURCE_END)
                return code;
            continue;
        }
        code = take_packet(in, &item, e);
        if (code) {
            *stream_failed = true;
            return code;
        }
        if (++packets % PACKETS_PER_LOOK == 0) {
            uint64_t total, done = source_progress(s, &total);
            if (in->more)
                in->more(in->context, done, total);
            if (atomic_load_explicit(in->stop, memory_order_relaxed)) {
                code = give_waiting(in, e);
                *stream_failed = code != 0;
                return code;
            }
        }
    }
}

int intake_file(struct intake *in, const char *path, bool *stream_failed, struct error *e)
{
    struct source *s;
    *stream_failed = false;
    in->file++;
    in->map_length = 0;
    int code = capture_file_open(path, in->stop, &s, e);
    if (!code) {
        code = read_source(in, path, s, stream_failed, e);
        in->skipped += capture_file_skipped(s);
        source_close(s);
    }
    return code == ERROR_CANCELLED && !*stream_failed ? 0 : code;
}

uint64_t intake_skipped(const struct intake *in)
{
    return in->skipped;
}
