#include "common/chunk/pcapng_parse.h"
#include "common/chunk/pcapng_format.h"

static uint64_t get64(struct bytes *b, bool big)
{
    uint64_t first = pcapng_get32(b, big);
    uint64_t second = pcapng_get32(b, big);
    return big ? first << 32 | second : second << 32 | first;
}

/* Times stand as two halves, the high one first, in both byte orders. */
static uint64_t get_time(struct bytes *b, bool big)
{
    uint64_t high = pcapng_get32(b, big);
    return high << 32 | pcapng_get32(b, big);
}

static const char *block_name(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } names[] = {
        {PCAPNG_SHB, "section header"},       {PCAPNG_IDB, "interface description"}, {PCAPNG_PB, "obsolete packet"},
        {PCAPNG_SPB, "simple packet"},        {PCAPNG_NRB, "name resolution"},       {PCAPNG_EPB, "enhanced packet"},
        {PCAPNG_ISB, "interface statistics"}, {PCAPNG_JOURNAL, "journal"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].type == type)
            return names[i].name;
    }
    return "unknown";
}

int pcapng_block_invalid(const struct pcapng_block *k, const char *what, struct error *e)
{
    unsigned long long at = k->offset + 8 + bytes_at(&k->content);
    return error_set(e, ERROR_INVALID, "pcapng: %s at byte %llu, in the block that begins at byte %llu (%s)", what, at,
                     (unsigned long long)k->offset, block_name(k->type));
}

struct option {
    uint16_t code;
    uint16_t length;
    struct bytes value;
};

/* 1 and the next option, 0 at the end of options, or a negative code. The list may end without opt_endofopt. */
static int next_option(struct pcapng_block *k, struct option *o, struct error *e)
{
    struct bytes *b = &k->content;
    if (bytes_left(b) == 0)
        return 0;
    if (bytes_left(b) < 4)
        return pcapng_block_invalid(k, "no room for an option", e);
    o->code = pcapng_get16(b, k->big);
    o->length = pcapng_get16(b, k->big);
    if (o->code == OPTION_END)
        return 0;
    if (o->length > bytes_left(b))
        return pcapng_block_invalid(k, "an option goes past the end of its block", e);
    o->value = bytes_sub(b, o->length);
    size_t padding = -(size_t)o->length & 3;
    bytes_skip(b, padding < bytes_left(b) ? padding : bytes_left(b));
    return 1;
}

static struct pcapng_text option_text(const struct option *o)
{
    return (struct pcapng_text){.text = o->value.p, .len = o->length};
}

/* Numbers whose length is wrong are left out, as Wireshark does: the packet is as good without. */
static uint64_t option_number(const struct option *o, bool big, unsigned length, uint64_t otherwise)
{
    struct bytes value = o->value;
    if (o->length != length)
        return otherwise;
    return length == 8 ? get64(&value, big) : pcapng_get32(&value, big);
}

static int packet_options(struct pcapng_block *k, struct pcapng_packet *p, struct pcapng_text *comment, struct error *e)
{
    struct option o;
    int r;
    bool enhanced = k->type == PCAPNG_EPB;
    while ((r = next_option(k, &o, e)) > 0) {
        if (o.code == OPTION_COMMENT && !comment->text)
            *comment = option_text(&o);
        else if (o.code == EPB_FLAGS)
            p->flags = (uint32_t)option_number(&o, k->big, 4, p->flags);
        else if (enhanced && o.code == EPB_DROPCOUNT)
            p->dropcount = option_number(&o, k->big, 8, p->dropcount);
        else if (enhanced && o.code == EPB_PACKET_ID)
            p->packet_id = option_number(&o, k->big, 8, p->packet_id);
    }
    return r;
}

/* The length is in the block, the data go to its end with padding: the reader cuts to the snaplen of the interface. */
static int parse_simple(struct pcapng_block *k, struct pcapng_item *item, struct error *e)
{
    struct pcapng_packet *p = &item->packet;
    p->wire = pcapng_get32(&k->content, k->big);
    if (k->content.bad)
        return pcapng_block_invalid(k, "the block is too short", e);
    size_t left = bytes_left(&k->content);
    p->captured = p->wire < left ? p->wire : (uint32_t)left;
    p->data = bytes_take(&k->content, p->captured);
    return 0;
}

int pcapng_parse_packet(struct pcapng_block *k, struct pcapng_item *item, struct pcapng_text *comment, struct error *e)
{
    struct bytes *b = &k->content;
    struct pcapng_packet *p = &item->packet;
    item->kind = PCAPNG_ITEM_PACKET;
    if (k->type == PCAPNG_SPB)
        return parse_simple(k, item, e);
    if (k->type == PCAPNG_EPB) {
        p->interface = pcapng_get32(b, k->big);
    } else {
        p->interface = pcapng_get16(b, k->big);
        uint16_t drops = pcapng_get16(b, k->big);
        p->dropcount = drops == UINT16_MAX ? 0 : drops; /* all ones: not known */
    }
    p->time_ns = get_time(b, k->big);
    item->has_time = true;
    p->captured = pcapng_get32(b, k->big);
    p->wire = pcapng_get32(b, k->big);
    if (b->bad)
        return pcapng_block_invalid(k, "the block is too short", e);
    p->data = bytes_take(b, p->captured);
    if (!p->data)
        return pcapng_block_invalid(k, "the captured length goes past the end of the block", e);
    size_t padding = -(size_t)p->captured & 3;
    bytes_skip(b, padding < bytes_left(b) ? padding : bytes_left(b));
    return bytes_left(b) ? packet_options(k, p, comment, e) : 0;
}

static void interface_option(const struct option *o, bool big, struct pcapng_interface *i,
                             struct pcapng_interface_texts *texts, struct pcapng_clock *clock)
{
    struct bytes value = o->value;
    switch (o->code) {
    case IDB_NAME:
        texts->name = option_text(o);
        break;
    case IDB_DESCRIPTION:
        texts->description = option_text(o);
        break;
    case IDB_MAC:
        i->mac = o->length == 6 ? o->value.p : i->mac;
        break;
    case IDB_SPEED:
        i->speed_bps = option_number(o, big, 8, i->speed_bps);
        break;
    case IDB_TSRESOL:
        clock->resolution = o->length == 1 ? bytes_u8(&value) : clock->resolution;
        break;
    case IDB_TSOFFSET:
        clock->offset_s = (int64_t)option_number(o, big, 8, (uint64_t)clock->offset_s);
        break;
    case IDB_FILTER:
        if (bytes_u8(&value) == 0 && !value.bad) /* text in libpcap's language */
            texts->filter = (struct pcapng_text){.text = value.p, .len = bytes_left(&value)};
        break;
    case IDB_OS:
        texts->os = option_text(o);
        break;
    default:
        break;
    }
}

int pcapng_parse_interface(struct pcapng_block *k, struct pcapng_item *item, struct pcapng_interface_texts *texts,
                           struct pcapng_clock *clock, struct error *e)
{
    struct pcapng_interface *i = &item->interface_info;
    item->kind = PCAPNG_ITEM_INTERFACE;
    *i = (struct pcapng_interface){0};
    i->link_type = pcapng_get16(&k->content, k->big);
    bytes_skip(&k->content, 2);
    i->snaplen = pcapng_get32(&k->content, k->big);
    if (k->content.bad)
        return pcapng_block_invalid(k, "the block is too short", e);
    struct option o;
    int r;
    while ((r = next_option(k, &o, e)) > 0)
        interface_option(&o, k->big, i, texts, clock);
    return r;
}

int pcapng_parse_statistics(struct pcapng_block *k, struct pcapng_item *item, struct error *e)
{
    item->kind = PCAPNG_ITEM_STATISTICS;
    item->statistics_received = item->statistics_dropped = item->statistics_os_dropped = UINT64_MAX;
    item->interface = pcapng_get32(&k->content, k->big);
    (void)get_time(&k->content, k->big);
    if (k->content.bad)
        return pcapng_block_invalid(k, "the block is too short", e);
    struct option o;
    int r;
    while ((r = next_option(k, &o, e)) > 0) {
        if (o.code == ISB_RECEIVED)
            item->statistics_received = option_number(&o, k->big, 8, UINT64_MAX);
        else if (o.code == ISB_DROPPED)
            item->statistics_dropped = option_number(&o, k->big, 8, UINT64_MAX);
        else if (o.code == ISB_OS_DROPPED)
            item->statistics_os_dropped = option_number(&o, k->big, 8, UINT64_MAX);
    }
    return r;
}

/* --- Times --- */

static uint64_t power_of_10(unsigned n)
{
    uint64_t p = 1;
    while (n--)
        p *= 10;
    return p;
}

/* 10^19 is the greatest power of ten in 64 bits. */
static unsigned __int128 ticks_to_ns(uint8_t resolution, uint64_t ticks)
{
    unsigned n = resolution & 0x7f;
    if (resolution & 0x80)
        return (unsigned __int128)ticks * 1000000000u >> n;
    if (n <= 9)
        return (unsigned __int128)ticks * power_of_10(9 - n);
    return n - 9 > 19 ? 0 : ticks / power_of_10(n - 9);
}

uint64_t pcapng_time_ns(const struct pcapng_clock *clock, uint64_t ticks, bool *limited)
{
    __int128 ns = (__int128)ticks_to_ns(clock->resolution, ticks) + (__int128)clock->offset_s * 1000000000;
    *limited = ns < 0 || ns > UINT64_MAX;
    if (*limited)
        return ns < 0 ? 0 : UINT64_MAX;
    return (uint64_t)ns;
}

/* --- Our own writing, in memory --- */

static int next_block(struct bytes *b, struct pcapng_block *k, struct error *e)
{
    unsigned long long at = bytes_at(b);
    size_t left = bytes_left(b);
    k->offset = at;
    k->type = bytes_le32(b);
    uint32_t total = bytes_le32(b);
    if (left < BLOCK_BYTES_LEAST || total < BLOCK_BYTES_LEAST || total % 4 || total > left)
        return error_set(e, ERROR_INVALID, "pcapng: no whole block at byte %llu of %llu", at, at + left);
    k->content = bytes_sub(b, total - BLOCK_BYTES_LEAST);
    if (bytes_le32(b) != total)
        return error_set(e, ERROR_INVALID,
                         "pcapng: the length at the end of the block at byte %llu is not that at its beginning", at);
    return 0;
}

/* The text is used in place if a zero byte follows it, as our writer sees to (the block's last length follows in any
 * case). */
static const char *comment_in_place(const struct pcapng_text *comment)
{
    return comment->text && comment->text[comment->len] == 0 ? (const char *)comment->text : NULL;
}

int pcapng_next(struct bytes *b, struct pcapng_item *item, struct error *e)
{
    struct pcapng_block k = {.big = false};
    if (bytes_left(b) == 0 && !b->bad)
        return 0;
    int r = next_block(b, &k, e);
    if (r)
        return r;
    *item = (struct pcapng_item){.kind = PCAPNG_ITEM_OTHER, .block_type = k.type, .offset = k.offset};
    struct pcapng_text comment = {NULL, 0};
    switch (k.type) {
    case PCAPNG_EPB:
        r = pcapng_parse_packet(&k, item, &comment, e);
        item->packet.comment = comment_in_place(&comment);
        return r ? r : 1;
    case PCAPNG_ISB:
        r = pcapng_parse_statistics(&k, item, e);
        return r ? r : 1;
    case PCAPNG_JOURNAL:
        item->kind = PCAPNG_ITEM_JOURNAL;
        break;
    default:
        break;
    }
    item->body = k.content.p;
    item->body_length = (uint32_t)bytes_left(&k.content);
    return 1;
}
