#include "common/base/fs.h"
#include "common/chunk/body_format.h"
#include "common/chunk/head_format.h"

#include <string.h>

static int read_file(void *context, uint64_t offset, void *buf, size_t len, struct error *e)
{
    const struct body_file *file = context;
    return fs_pread(file->fd, buf, len, file->base + offset, e);
}

struct body_source body_source_file(struct body_file *file, uint64_t length)
{
    return (struct body_source){.read = read_file, .context = file, .length = length};
}

int body_read_part(const struct body_source *s, uint64_t offset, size_t len, struct buffer *part, struct error *e)
{
    buffer_clear(part);
    if (offset > s->length || len > s->length - offset)
        return error_set(e, ERROR_TRUNCATED, "byte %llu and %zu more are wanted of a body of %llu bytes",
                         (unsigned long long)offset, len, (unsigned long long)s->length);
    void *to = buffer_grow(part, len ? len : 1);
    if (!to)
        return error_set(e, ERROR_MEMORY, "no memory for %zu bytes of a body", len);
    part->len = len;
    return s->read(s->context, offset, to, len, e);
}

/* --- Section --- */

static long read_bytes(void *context, void *buf, size_t len, struct error *e)
{
    struct bytes *b = context;
    (void)e;
    size_t n = len < bytes_left(b) ? len : bytes_left(b);
    const uint8_t *from = bytes_take(b, n);
    if (from)
        memcpy(buf, from, n);
    return (long)n;
}

static const char *without_agent(const char *name, const char *agent)
{
    size_t len = strlen(agent);
    return strncmp(name, agent, len) == 0 && name[len] == '/' ? name + len + 1 : name;
}

static int take_interface(struct chunk_head *h, const struct pcapng_interface *from, struct error *e)
{
    const char *name = from->name ? without_agent(from->name, h->agent) : "";
    const char *description = from->description ? from->description : "";
    if (strcmp(description, h->agent) == 0)
        description = "";
    struct head_interface *i = &h->interfaces[h->interface_count++];
    i->name = head_text(h, name, strlen(name));
    i->description = head_text(h, description, strlen(description));
    i->link_type = from->link_type;
    i->snaplen = from->snaplen;
    i->has_mac = from->mac != NULL;
    if (from->mac)
        memcpy(i->mac, from->mac, sizeof(i->mac));
    i->speed_bps = from->speed_bps;
    return i->name && i->description ? 0 : error_set(e, ERROR_MEMORY, "no memory for names");
}

static int take_section_block(struct chunk_head *h, const struct pcapng_item *item, unsigned number, struct error *e)
{
    if (number == 0 && item->kind == PCAPNG_ITEM_SECTION)
        return 0;
    if (number == 0 || item->kind != PCAPNG_ITEM_INTERFACE)
        return error_set(e, ERROR_INVALID, "block type %u is not expected at byte %llu of the section frame",
                         item->block_type, (unsigned long long)item->offset);
    if (h->interface_count >= HEAD_INTERFACES_MAX)
        return error_set(e, ERROR_LIMIT, "more than %u interfaces", HEAD_INTERFACES_MAX);
    return take_interface(h, &item->interface_info, e);
}

int body_section_read(const void *raw, size_t len, struct chunk_head *h, struct error *e)
{
    struct bytes b = bytes_of(raw, len);
    struct pcapng_reader *reader = NULL;
    struct pcapng_item item;
    h->interface_count = 0;
    h->interfaces = head_alloc(h, HEAD_INTERFACES_MAX * sizeof(h->interfaces[0]));
    if (!h->interfaces)
        return error_set(e, ERROR_MEMORY, "no memory for interfaces");
    int r = pcapng_reader_new(read_bytes, &b, &reader, e);
    for (unsigned number = 0; !r; number++) {
        r = pcapng_reader_next(reader, &item, e);
        if (!r && item.kind == PCAPNG_ITEM_END)
            break;
        r = r ? r : take_section_block(h, &item, number, e);
    }
    pcapng_reader_free(reader);
    return r ? r : head_check_interfaces(h, e);
}

/* --- Frames of packets --- */

static int describe_packet(struct head_frame *f, const struct pcapng_packet *p, struct error *e)
{
    if (f->packets && p->interface != f->interface)
        return error_set(e, ERROR_INVALID, "packet %u of the frame is of interface %u, those before of %u", f->packets,
                         p->interface, f->interface);
    f->interface = p->interface;
    f->packets++;
    if (p->time_ns < f->first_ns)
        f->first_ns = p->time_ns;
    if (p->time_ns > f->last_ns)
        f->last_ns = p->time_ns;
    return 0;
}

int body_frame_describe(const void *raw, size_t len, struct head_frame *f, uint32_t *statistics, struct error *e)
{
    struct bytes b = bytes_of(raw, len);
    struct pcapng_item item;
    uint32_t others = 0;
    f->interface = f->packets = 0;
    f->first_ns = UINT64_MAX;
    f->last_ns = 0;
    *statistics = 0;
    int r;
    while ((r = pcapng_next(&b, &item, e)) > 0) {
        if (item.kind == PCAPNG_ITEM_STATISTICS && item.interface == *statistics)
            (*statistics)++;
        else if (item.kind == PCAPNG_ITEM_PACKET || item.kind == PCAPNG_ITEM_JOURNAL)
            others++;
        else
            return error_set(e, ERROR_INVALID, "block type %u is not expected at byte %llu of the frame's content",
                             item.block_type, (unsigned long long)item.offset);
        r = item.kind == PCAPNG_ITEM_PACKET ? describe_packet(f, &item.packet, e) : 0;
        if (r)
            return r;
    }
    if (!r && *statistics && others)
        return error_set(e, ERROR_INVALID, "statistics and packets stand in one frame");
    return r;
}

int body_frame_check(struct frame_codec *c, const struct head_frame *f, const struct buffer *stored, struct buffer *raw,
                     struct error *e)
{
    struct head_frame is;
    uint32_t statistics = 0;
    int r = frame_expand(c, stored->data, stored->len, f->raw_length, raw, e);
    r = r ? r : body_frame_describe(raw->data, raw->len, &is, &statistics, e);
    if (r)
        return r;
    if (statistics || is.packets != f->packets)
        return error_set(e, ERROR_INVALID, "it holds %u packets where the head says %u", is.packets, f->packets);
    if (f->packets && (is.interface != f->interface || is.first_ns != f->first_ns || is.last_ns != f->last_ns))
        return error_set(e, ERROR_INVALID, "interface or times of its packets are not what the head says");
    return 0;
}

int body_read_frame(const struct body_source *s, struct frame_codec *c, const struct head_frame *f, struct buffer *raw,
                    struct error *e)
{
    struct buffer stored = {.limit = FRAME_LENGTH_MAX};
    int r = body_read_part(s, f->offset, f->length, &stored, e);
    r = r ? r : body_frame_check(c, f, &stored, raw, e);
    if (r)
        error_prefix(e, "body, frame at byte %llu", (unsigned long long)f->offset);
    buffer_free(&stored);
    return r;
}
