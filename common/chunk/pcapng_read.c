/*
 * Reading pcapng from a stream. Bytes are pulled into a window that grows to hold one whole block; a block is checked
 * as a whole (length, trailer) before anything in it is used.
 */
#include "common/chunk/pcapng_format.h"
#include "common/chunk/pcapng_parse.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES (256u << 10)

struct interface {
    struct pcapng_clock clock;
    uint32_t snaplen;
};

struct pcapng_reader {
    pcapng_read_fn *read;
    void *context;

    uint8_t *window;
    size_t room;
    size_t begin, end; /* of what is read and not yet consumed */
    uint64_t offset;   /* of window[begin] in the stream */
    bool ended;

    struct interface *interfaces; /* of all sections */
    uint32_t interface_count;
    uint32_t interface_room;
    uint32_t section_first; /* first interface of this section */
    bool in_section;
    bool big;

    struct buffer text; /* terminated copies for the current item */
    struct error error; /* once set, all that comes */
};

int pcapng_reader_new(pcapng_read_fn *read, void *context, struct pcapng_reader **out, struct error *e)
{
    struct pcapng_reader *r = calloc(1, sizeof(*r));
    uint8_t *window = malloc(WINDOW_BYTES);
    if (!r || !window) {
        free(r);
        free(window);
        return error_set(e, ERROR_MEMORY, "no memory to read pcapng");
    }
    *r = (struct pcapng_reader){.read = read, .context = context, .window = window, .room = WINDOW_BYTES};
    *out = r;
    return 0;
}

void pcapng_reader_free(struct pcapng_reader *r)
{
    if (!r)
        return;
    free(r->window);
    free(r->interfaces);
    buffer_free(&r->text);
    free(r);
}

uint64_t pcapng_reader_offset(const struct pcapng_reader *r)
{
    return r->offset;
}

/* Place for n contiguous bytes from begin on. */
static int make_room(struct pcapng_reader *r, size_t n, struct error *e)
{
    if (r->begin + n <= r->room)
        return 0;
    memmove(r->window, r->window + r->begin, r->end - r->begin);
    r->end -= r->begin;
    r->begin = 0;
    if (n <= r->room)
        return 0;
    uint8_t *window = realloc(r->window, n);
    if (!window)
        return error_set(e, ERROR_MEMORY, "no memory for a pcapng block of %zu bytes", n);
    r->window = window;
    r->room = n;
    return 0;
}

/* Reads on until n bytes are in the window, or the stream ends. */
static int pull(struct pcapng_reader *r, size_t n, struct error *e)
{
    if (r->end - r->begin >= n)
        return 0;
    int failed = make_room(r, n, e);
    while (!failed && !r->ended && r->end - r->begin < n) {
        long got = r->read(r->context, r->window + r->end, r->room - r->end, e);
        if (got < 0)
            failed = (int)got;
        else if (got == 0)
            r->ended = true;
        else
            r->end += (size_t)got;
    }
    return failed;
}

static size_t available(const struct pcapng_reader *r)
{
    return r->end - r->begin;
}

static int truncated(const struct pcapng_reader *r, unsigned long long wanted, struct error *e)
{
    return error_set(e, ERROR_TRUNCATED,
                     "pcapng: the file ends at byte %llu, inside the block that begins at byte %llu (%llu bytes)",
                     (unsigned long long)(r->offset + available(r)), (unsigned long long)r->offset, wanted);
}

/* The byte order that a section header states. */
static int section_order(struct pcapng_reader *r, struct error *e)
{
    int failed = pull(r, 12, e);
    if (failed)
        return failed;
    if (available(r) < 12)
        return truncated(r, 12, e);
    struct bytes b = bytes_of(r->window + r->begin + 8, 4);
    uint32_t magic = bytes_le32(&b);
    if (magic != BYTE_ORDER_MAGIC && magic != __builtin_bswap32(BYTE_ORDER_MAGIC))
        return error_set(e, ERROR_INVALID,
                         "pcapng: no byte-order magic at byte %llu, in the section header that begins at byte %llu",
                         (unsigned long long)r->offset + 8, (unsigned long long)r->offset);
    r->big = magic != BYTE_ORDER_MAGIC;
    r->in_section = true;
    return 0;
}

/* Type and total length of the next block; type is that of this machine's reading of a section header in either order.
 */
static int block_header(struct pcapng_reader *r, uint32_t *type, uint32_t *total, struct error *e)
{
    struct bytes b = bytes_of(r->window + r->begin, 8);
    *type = pcapng_get32(&b, r->big);
    int failed = 0;
    if (*type == PCAPNG_SHB) /* reads the same in both orders */
        failed = section_order(r, e);
    else if (!r->in_section)
        failed = error_set(e, ERROR_INVALID, "pcapng: no section header at byte 0: this is no pcapng file");
    if (failed)
        return failed;
    b = bytes_of(r->window + r->begin + 4, 4);
    *total = pcapng_get32(&b, r->big);
    if (*total < BLOCK_BYTES_LEAST || *total % 4)
        return error_set(e, ERROR_INVALID, "pcapng: block length %u at byte %llu is impossible", *total,
                         (unsigned long long)r->offset + 4);
    if (*total > PCAPNG_BLOCK_MAX)
        return error_set(e, ERROR_LIMIT, "pcapng: block length %u at byte %llu is more than %u", *total,
                         (unsigned long long)r->offset + 4, PCAPNG_BLOCK_MAX);
    return 0;
}

/* The next whole block: 1, 0 at the end of the stream, or a negative code. It stays in the window until the next call.
 */
static int next_block(struct pcapng_reader *r, struct pcapng_block *k, struct error *e)
{
    int failed = pull(r, 8, e);
    if (failed)
        return failed;
    if (available(r) == 0 && r->in_section)
        return 0;
    if (available(r) < 8)
        return truncated(r, 8, e);
    uint32_t total = 0;
    failed = block_header(r, &k->type, &total, e);
    failed = failed ? failed : pull(r, total, e);
    if (failed)
        return failed;
    if (available(r) < total)
        return truncated(r, total, e);
    const uint8_t *block = r->window + r->begin;
    struct bytes trailer = bytes_of(block + total - 4, 4);
    uint32_t again = pcapng_get32(&trailer, r->big);
    if (again != total)
        return error_set(e, ERROR_INVALID,
                         "pcapng: length %u at byte %llu ends a block that began with length %u at byte %llu", again,
                         (unsigned long long)r->offset + total - 4, total, (unsigned long long)r->offset + 4);
    k->big = r->big;
    k->offset = r->offset;
    k->content = bytes_of(block + 8, total - BLOCK_BYTES_LEAST);
    r->begin += total;
    r->offset += total;
    return 1;
}

/* A terminated copy, or NULL for what is absent. The buffer has room: see item_texts_begin. */
static const char *copy_text(struct pcapng_reader *r, struct pcapng_text t)
{
    if (!t.text)
        return NULL;
    const char *copy = buffer_reserve(&r->text, t.len + 1);
    buffer_append(&r->text, t.text, t.len);
    buffer_u8(&r->text, 0);
    return copy;
}

/* All texts of a block fit into its length (each had an option's head), so that copies do not move. */
static int item_texts_begin(struct pcapng_reader *r, const struct pcapng_block *k, struct error *e)
{
    buffer_clear(&r->text);
    if (!buffer_reserve(&r->text, (size_t)(k->content.end - k->content.start) + 1))
        return error_set(e, ERROR_MEMORY, "no memory to read pcapng");
    return 0;
}

static int section_item(struct pcapng_reader *r, struct pcapng_block *k, struct pcapng_item *item, struct error *e)
{
    bytes_skip(&k->content, 4);
    uint16_t major = pcapng_get16(&k->content, k->big);
    uint16_t minor = pcapng_get16(&k->content, k->big);
    if (k->content.bad || bytes_left(&k->content) < 8)
        return pcapng_block_invalid(k, "the block is too short", e);
    if (major != 1 || (minor != 0 && minor != 2)) /* 1.2 was written by mistake, and is the same */
        return error_set(e, ERROR_VERSION, "pcapng: version %u.%u at byte %llu is not known", major, minor,
                         (unsigned long long)k->offset + 12);
    item->kind = PCAPNG_ITEM_SECTION;
    r->section_first = r->interface_count;
    return 0;
}

static int add_interface(struct pcapng_reader *r, const struct pcapng_clock *clock, uint32_t snaplen, struct error *e)
{
    if (r->interface_count >= PCAPNG_INTERFACES_MAX)
        return error_set(e, ERROR_LIMIT, "pcapng: more than %u interfaces", PCAPNG_INTERFACES_MAX);
    if (r->interface_count == r->interface_room) {
        uint32_t room = r->interface_room ? 2 * r->interface_room : 16;
        struct interface *p = reallocarray(r->interfaces, room, sizeof(*p));
        if (!p)
            return error_set(e, ERROR_MEMORY, "no memory for %u interfaces", room);
        r->interfaces = p;
        r->interface_room = room;
    }
    r->interfaces[r->interface_count++] = (struct interface){.clock = *clock, .snaplen = snaplen};
    return 0;
}

static int interface_item(struct pcapng_reader *r, struct pcapng_block *k, struct pcapng_item *item, struct error *e)
{
    struct pcapng_interface_texts texts = {0};
    struct pcapng_clock clock = {.resolution = PCAPNG_RESOLUTION_DEFAULT};
    struct pcapng_interface *i = &item->interface_info;
    int failed = item_texts_begin(r, k, e);
    failed = failed ? failed : pcapng_parse_interface(k, item, &texts, &clock, e);
    if (failed)
        return failed;
    i->name = copy_text(r, texts.name);
    i->description = copy_text(r, texts.description);
    i->filter = copy_text(r, texts.filter);
    i->os = copy_text(r, texts.os);
    item->interface = r->interface_count;
    return add_interface(r, &clock, i->snaplen, e);
}

/* Numbers count over the whole file from here on. */
static int map_interface(const struct pcapng_reader *r, const struct pcapng_block *k, uint32_t *number, struct error *e)
{
    if (*number < r->interface_count - r->section_first) {
        *number += r->section_first;
        return 0;
    }
    return error_set(e, ERROR_INVALID,
                     "pcapng: interface %u, which no block describes, in the block that begins at byte %llu", *number,
                     (unsigned long long)k->offset);
}

static int packet_item(struct pcapng_reader *r, struct pcapng_block *k, struct pcapng_item *item, struct error *e)
{
    struct pcapng_text comment = {NULL, 0};
    struct pcapng_packet *p = &item->packet;
    int failed = pcapng_parse_packet(k, item, &comment, e);
    failed = failed ? failed : map_interface(r, k, &p->interface, e);
    if (failed)
        return failed;
    const struct interface *i = &r->interfaces[p->interface];
    if (item->has_time)
        p->time_ns = pcapng_time_ns(&i->clock, p->time_ns, &item->time_limited);
    else if (i->snaplen && p->captured > i->snaplen)
        p->captured = i->snaplen;
    if (!comment.text)
        return 0;
    failed = item_texts_begin(r, k, e);
    if (!failed)
        p->comment = copy_text(r, comment);
    return failed;
}

static int other_item(struct pcapng_block *k, struct pcapng_item *item)
{
    item->kind = k->type == PCAPNG_JOURNAL ? PCAPNG_ITEM_JOURNAL : PCAPNG_ITEM_OTHER;
    item->body = k->content.p;
    item->body_length = (uint32_t)bytes_left(&k->content);
    return 0;
}

static int block_item(struct pcapng_reader *r, struct pcapng_block *k, struct pcapng_item *item, struct error *e)
{
    int failed;
    switch (k->type) {
    case PCAPNG_SHB:
        return section_item(r, k, item, e);
    case PCAPNG_IDB:
        return interface_item(r, k, item, e);
    case PCAPNG_EPB:
    case PCAPNG_PB:
    case PCAPNG_SPB:
        return packet_item(r, k, item, e);
    case PCAPNG_ISB:
        failed = pcapng_parse_statistics(k, item, e);
        return failed ? failed : map_interface(r, k, &item->interface, e);
    default:
        return other_item(k, item);
    }
}

static bool is_packet(uint32_t type)
{
    return type == PCAPNG_EPB || type == PCAPNG_PB || type == PCAPNG_SPB;
}

bool pcapng_reader_packet_follows(const struct pcapng_reader *r)
{
    if (r->error.code || available(r) < 8)
        return false;
    struct bytes b = bytes_of(r->window + r->begin, 8);
    uint32_t type = pcapng_get32(&b, r->big), total = pcapng_get32(&b, r->big);
    return is_packet(type) && total <= available(r);
}

int pcapng_reader_next(struct pcapng_reader *r, struct pcapng_item *item, struct error *e)
{
    struct pcapng_block k = {0};
    if (r->error.code) {
        if (e)
            *e = r->error;
        return r->error.code;
    }
    *item = (struct pcapng_item){.kind = PCAPNG_ITEM_END, .offset = r->offset};
    int n = next_block(r, &k, &r->error);
    if (n > 0) {
        item->block_type = k.type;
        n = block_item(r, &k, item, &r->error);
    }
    if (n < 0) {
        r->error.code = n; /* the caller's read function may have filled nothing */
        if (e)
            *e = r->error;
    }
    return n;
}
