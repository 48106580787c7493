/*
 * chunk_builder: the open chunk, and what closes it. Counting comes before anything that can be on disk, so that what the
 * counter page says is never less than what a crash left there.
 */
#include "agent/capture/chunk_builder.h"
#include "agent/capture/compressor.h"
#include "common/base/clock.h"
#include "common/chunk/frame.h"
#include "common/filter/capture_filter.h"
#include "common/rows/block.h"
#include <stdlib.h>
#include <string.h>

/* What a packet block has besides the packet: header, options, padding. */
#define PACKET_BLOCK_MORE 128u

struct interface {
    struct head_interface head; /* counters: of the open chunk */
    struct counters cumulative;
    struct capture_filter *filter;
    struct buffer *raw; /* the open frame, or NULL */
    struct head_frame frame;
    uint32_t frame_number;
};

struct chunk_builder {
    struct chunk_builder_options options;
    char *agent, *capture, *software, *filter;
    struct sink *sink;
    struct compressor *compressor;
    struct flow_table *flows;

    struct interface *interfaces;
    uint32_t interface_count;

    struct draft *draft; /* the open chunk, or NULL */
    uint64_t seq;        /* of the open or next item */
    uint32_t frames;     /* numbers given in the open chunk */
    uint32_t open_frames;
    uint64_t open_bytes;
    uint64_t begin_ns; /* time of the chunk's first packet */
    bool has_packet;
    bool has_counts;  /* something was counted since the last chunk */
    uint64_t rate_ns; /* the second that rate_bytes is of */
    uint64_t rate_bytes;

    struct chunk_builder_stats stats;
};

/* ---------------------------------------------------------------- beginning and end */

static int copy_texts(struct chunk_builder *b, const struct chunk_builder_options *o, struct error *e)
{
    b->agent = strdup(o->agent);
    b->capture = strdup(o->capture);
    b->software = strdup(o->software);
    b->filter = strdup(o->filter ? o->filter : "");
    if (!b->agent || !b->capture || !b->software || !b->filter)
        return error_set(e, ERROR_MEMORY, "no memory for a capture");
    return 0;
}

int chunk_builder_new(const struct chunk_builder_options *o, struct sink *sink, struct chunk_builder **out,
                      struct error *e)
{
    *out = NULL;
    struct chunk_builder *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(e, ERROR_MEMORY, "no memory for a capture");
    b->options = *o;
    if (!b->options.snaplen || b->options.snaplen > PACKET_SNAPLEN_MAX)
        b->options.snaplen = PACKET_SNAPLEN_MAX;
    if (!b->options.chunk_bytes)
        b->options.chunk_bytes = CHUNK_BYTES;
    if (!b->options.chunk_ns)
        b->options.chunk_ns = CHUNK_NS;
    b->sink = sink;
    b->seq = o->first_seq;
    struct flow_table_options flows = {.max_flows = o->max_flows, .max_rows = o->max_rows};
    memcpy(flows.epoch, o->epoch, EPOCH_SIZE);
    int code = copy_texts(b, o, e);
    if (!code)
        code = flow_table_new(&flows, &b->flows, e);
    if (!code)
        code = compressor_new(sink, o->level, &b->compressor, e);
    if (code) {
        chunk_builder_free(b);
        return code;
    }
    *out = b;
    return 0;
}

void chunk_builder_free(struct chunk_builder *b)
{
    if (!b)
        return;
    compressor_free(b->compressor); /* first: its jobs use the texts */
    draft_free(b->draft);
    for (uint32_t i = 0; i < b->interface_count; i++) {
        struct interface *n = &b->interfaces[i];
        capture_filter_free(n->filter);
        free(n->head.name);
        free(n->head.description);
        if (n->raw) {
            buffer_free(n->raw);
            free(n->raw);
        }
    }
    free(b->interfaces);
    flow_table_free(b->flows);
    free(b->agent);
    free(b->capture);
    free(b->software);
    free(b->filter);
    free(b);
}

/* ---------------------------------------------------------------- counters */

static void count(struct chunk_builder *b, struct interface *n, enum counter which, uint64_t value)
{
    n->head.counters.value[which] += value;
    b->stats.counters.value[which] += value;
    b->has_counts = true;
    if (b->sink->page)
        counter_page_add(b->sink->page, which, value);
}

/* Packets that did not reach us, but should have: every flow of the interface may lack some. */
static bool is_capture_loss(enum counter which)
{
    return which == COUNTER_KERNEL_DROPS || which == COUNTER_INTERFACE_DROPS || which == COUNTER_AGENT_DROPS;
}

int chunk_builder_count(struct chunk_builder *b, uint32_t interface, enum counter which, uint64_t n, struct error *e)
{
    if (interface >= b->interface_count)
        return error_set(e, ERROR_INVALID, "there is no interface %u", interface);
    struct interface *i = &b->interfaces[interface];
    if (which != COUNTER_INTERFACE_DROPS && which != COUNTER_TIME_LIMITED)
        count(b, i, COUNTER_RECEIVED, n);
    count(b, i, which, n);
    if (is_capture_loss(which) && !flow_table_loss(b->flows, interface, n))
        return error_set(e, ERROR_MEMORY, "no memory for %u interfaces", b->interface_count);
    return 0;
}

/* ---------------------------------------------------------------- frames */

static int frame_close(struct chunk_builder *b, struct interface *n, struct error *e)
{
    struct buffer *raw = n->raw;
    if (!raw)
        return 0;
    n->raw = NULL;
    b->open_frames--;
    b->open_bytes -= raw->len;
    b->stats.raw_bytes += raw->len;
    n->frame.raw_length = (uint32_t)raw->len;
    return compressor_frame(b->compressor, n->frame_number, &n->frame, raw, e);
}

static int frames_close(struct chunk_builder *b, struct error *e)
{
    for (uint32_t i = 0; b->open_frames && i < b->interface_count; i++) {
        int code = frame_close(b, &b->interfaces[i], e);
        if (code)
            return code;
    }
    return 0;
}

static int frame_open(struct chunk_builder *b, struct interface *n, uint32_t interface, struct error *e)
{
    n->raw = compressor_buffer(b->compressor, b->open_frames);
    if (!n->raw)
        return error_set(e, ERROR_MEMORY, "no memory for packets");
    b->open_frames++;
    n->frame_number = b->frames++;
    n->frame = (struct head_frame){.interface = interface, .first_ns = UINT64_MAX};
    return 0;
}

/* The most that the packet's block takes. */
static size_t block_size(const struct pcapng_packet *p)
{
    return (size_t)p->captured + PACKET_BLOCK_MORE + (p->comment ? strlen(p->comment) : 0);
}

/* Puts the packet into the open frame of its interface, or a new one; *number tells which. */
static int frame_add(struct chunk_builder *b, struct interface *n, const struct pcapng_packet *p, uint32_t *number,
                     struct error *e)
{
    int code = 0;
    if (n->raw && n->raw->len + block_size(p) > FRAME_RAW_TARGET)
        code = frame_close(b, n, e);
    if (!code && !n->raw)
        code = frame_open(b, n, p->interface, e);
    if (code)
        return code;
    size_t before = n->raw->len;
    pcapng_write_packet(n->raw, p);
    if (n->raw->failed)
        return error_set(e, ERROR_MEMORY, "no memory for a packet of %u bytes", p->captured);
    b->open_bytes += n->raw->len - before;
    n->frame.packets++;
    if (p->time_ns < n->frame.first_ns)
        n->frame.first_ns = p->time_ns;
    if (p->time_ns > n->frame.last_ns)
        n->frame.last_ns = p->time_ns;
    *number = n->frame_number;
    return b->open_bytes > CHUNK_OPEN_FRAMES_MAX ? frames_close(b, e) : 0;
}

/* ---------------------------------------------------------------- chunks */

static int chunk_open(struct chunk_builder *b, struct error *e)
{
    struct draft *d = draft_new(b->interface_count);
    if (!d)
        return error_set(e, ERROR_MEMORY, "no memory for a chunk");
    struct chunk_head *h = &d->head;
    h->kind = HEAD_CHUNK;
    memcpy(h->epoch, b->options.epoch, EPOCH_SIZE);
    h->seq = h->last_seq = b->seq;
    h->agent = b->agent;
    h->capture = b->capture;
    h->software = b->software;
    h->filter = b->filter;
    h->snaplen = b->options.snaplen;
    h->open_wall_ns = clock_wall_ns();
    h->open_mono_ns = clock_mono_ns();
    h->first_ns = UINT64_MAX;
    for (uint32_t i = 0; i < b->interface_count; i++)
        h->interfaces[i] = b->interfaces[i].head;
    d->with_body = b->options.keep_packets && b->has_packet;
    b->draft = d;
    b->frames = 0;
    if (b->sink->page)
        atomic_store_explicit(&b->sink->page->seq, b->seq, memory_order_relaxed);
    return compressor_open(b->compressor, d, e);
}

/* The chunk's counters become final, and start again. */
static void take_counters(struct chunk_builder *b, struct draft *d)
{
    for (uint32_t i = 0; i < b->interface_count; i++) {
        struct interface *n = &b->interfaces[i];
        d->head.interfaces[i].counters = n->head.counters;
        counters_add(&d->head.totals, &n->head.counters);
        counters_add(&n->cumulative, &n->head.counters);
        d->cumulative[i] = n->cumulative;
        n->head.counters = (struct counters){0};
    }
    d->stream = b->stats.counters;
    b->has_counts = false;
}

static int take_rows(struct chunk_builder *b, struct draft *d, struct error *e)
{
    struct flow_row *rows;
    size_t n;
    int code = flow_table_rows(b->flows, &rows, &n, e);
    if (!code && n)
        code = block_encode(&table_flow, rows, n, &d->rows, e);
    if (code)
        return code;
    d->head.flow_rows = (uint32_t)n;
    b->stats.rows += n;
    flow_table_next(b->flows);
    return 0;
}

static int chunk_seal(struct chunk_builder *b, enum head_seal why, struct error *e)
{
    int code = frames_close(b, e);
    if (!code)
        code = take_rows(b, b->draft, e);
    if (code)
        return code;
    struct draft *d = b->draft;
    d->head.seal = b->options.seal ? b->options.seal : (uint8_t)why;
    d->head.seal_wall_ns = clock_wall_ns();
    d->head.seal_mono_ns = clock_mono_ns();
    take_counters(b, d);
    b->draft = NULL;
    b->seq++;
    b->has_packet = false;
    b->stats.chunks++;
    return compressor_seal(b->compressor, d, e);
}

/* Flows may have ended, or packets been counted that were not kept, since the last chunk. */
static bool has_anything(const struct chunk_builder *b)
{
    return b->draft || b->has_counts || flow_table_has_rows(b->flows);
}

int chunk_builder_seal(struct chunk_builder *b, enum head_seal why, struct error *e)
{
    if (!has_anything(b))
        return 0;
    int code = b->draft ? 0 : chunk_open(b, e);
    return code ? code : chunk_seal(b, why, e);
}

/* Whether the open chunk must be sealed before a packet of this time, though it has room for more rows. */
static enum head_seal seal_due(struct chunk_builder *b, uint64_t time_ns)
{
    if (!b->draft || !b->has_packet)
        return 0;
    uint64_t age = time_ns > b->begin_ns ? time_ns - b->begin_ns : b->begin_ns - time_ns;
    if (age >= b->options.chunk_ns)
        return SEAL_TIME;
    if (b->frames + b->interface_count >= HEAD_FRAMES_MAX ||
        (b->options.keep_packets && compressor_body_bytes(b->compressor) >= b->options.chunk_bytes))
        return SEAL_BYTES;
    return 0;
}

/* Before a packet of this time: seals what is due, and ends the flows that were idle until then, in as many chunks as that
 * takes. */
static int make_ready(struct chunk_builder *b, uint64_t time_ns, struct error *e)
{
    enum head_seal due = seal_due(b, time_ns);
    int code = due ? chunk_builder_seal(b, due, e) : 0;
    while (!code && !flow_table_advance(b->flows, time_ns))
        code = chunk_builder_seal(b, SEAL_ROWS, e);
    return code;
}

/* ---------------------------------------------------------------- interfaces */

static int interface_copy(struct chunk_builder *b, const struct pcapng_interface *info, struct interface *n,
                          struct error *e)
{
    *n = (struct interface){.head = {.link_type = info->link_type, .speed_bps = info->speed_bps}};
    n->head.snaplen = info->snaplen && info->snaplen < b->options.snaplen ? info->snaplen : b->options.snaplen;
    n->head.name = strndup(info->name ? info->name : "", HEAD_NAME_MAX);
    n->head.description = strndup(info->description ? info->description : "", HEAD_NAME_MAX);
    if (info->mac) {
        memcpy(n->head.mac, info->mac, sizeof n->head.mac);
        n->head.has_mac = 1;
    }
    if (!n->head.name || !n->head.description)
        return error_set(e, ERROR_MEMORY, "no memory for an interface");
    if (!b->options.filter_here || !b->filter[0])
        return 0;
    return capture_filter_new(b->filter, info->link_type, PACKET_SNAPLEN_MAX, &n->filter, e);
}

int chunk_builder_interface(struct chunk_builder *b, const struct pcapng_interface *info, uint32_t *index,
                            struct error *e)
{
    if (b->interface_count == HEAD_INTERFACES_MAX)
        return error_set(e, ERROR_LIMIT, "more than %u interfaces in one capture", HEAD_INTERFACES_MAX);
    int code = b->draft ? chunk_seal(b, SEAL_INTERFACES, e) : 0;
    if (code)
        return code;
    struct interface *grown = reallocarray(b->interfaces, b->interface_count + 1, sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for an interface");
    b->interfaces = grown;
    struct interface *n = &grown[b->interface_count];
    code = interface_copy(b, info, n, e);
    if (code) {
        free(n->head.name);
        free(n->head.description);
        return code;
    }
    *index = b->interface_count++;
    return 0;
}

/* ---------------------------------------------------------------- packets */

static void count_kept(struct chunk_builder *b, struct interface *n, const struct packet *p,
                       const struct pcapng_packet *k)
{
    count(b, n, COUNTER_KEPT, 1);
    count(b, n, COUNTER_KEPT_BYTES, p->wire);
    if (b->options.keep_packets) {
        count(b, n, COUNTER_STORED, 1);
        count(b, n, COUNTER_STORED_BYTES, k->captured);
    }
    if (p->end != PACKET_OK)
        count(b, n, p->end == PACKET_TRUNCATED ? COUNTER_TRUNCATED : COUNTER_INVALID, 1);
}

/* The innermost connection is one with the collector: capturing it would make more of it. */
static bool is_own(const struct chunk_builder *b, const struct packet *p)
{
    const struct chunk_builder_options *o = &b->options;
    if (!o->own_family || p->net.proto != PROTO_TCP || p->net.family != o->own_family || !p->net.has_ports)
        return false;
    for (int i = 0; i < 2; i++)
        if (p->net.port[i] == o->own_port && memcmp(p->net.addr[i], o->own_address, sizeof o->own_address) == 0)
            return true;
    return false;
}

static bool is_over_rate(struct chunk_builder *b, const struct pcapng_packet *k)
{
    if (!b->options.rate)
        return false;
    if (k->time_ns - b->rate_ns >= NS_PER_S) {
        b->rate_ns = k->time_ns;
        b->rate_bytes = 0;
    }
    if (b->rate_bytes + k->wire > b->options.rate)
        return true;
    b->rate_bytes += k->wire;
    return false;
}

/* Without its payload; of what is no IP nothing is cut. */
static void cut_payload(const struct packet *p, struct pcapng_packet *k)
{
    uint32_t end = p->payload_offset ? p->payload_offset : 0;
    if (p->net.family != FAMILY_NONE && end && end < k->captured)
        k->captured = end;
}

/* Why a live packet is not kept, as a counter; COUNTER_COUNT if it is. */
static enum counter left_out(struct chunk_builder *b, const struct packet *p, const struct pcapng_packet *k,
                             bool companion)
{
    if (is_own(b, p))
        return COUNTER_OWN;
    if (companion && !flow_table_knows(b->flows, p, k->interface, k->time_ns))
        return COUNTER_FILTERED;
    return is_over_rate(b, k) ? COUNTER_POLICY : COUNTER_COUNT;
}

static int keep(struct chunk_builder *b, struct interface *n, struct pcapng_packet *k, bool companion, struct error *e)
{
    struct packet p;
    packet_decode(n->head.link_type, k->data, k->captured, k->wire, &p);
    enum counter out = left_out(b, &p, k, companion);
    if (out != COUNTER_COUNT) {
        count(b, n, out, 1);
        return 0;
    }
    if (companion)
        k->comment = CHUNK_BUILDER_COMPANION;
    if (b->options.headers_only)
        cut_payload(&p, k);
    if (!b->has_packet) {
        b->has_packet = true;
        b->begin_ns = k->time_ns;
    }
    int code = b->draft ? 0 : chunk_open(b, e);
    if (code)
        return code;
    count_kept(b, n, &p, k);
    uint32_t frame = FLOW_FRAME_NONE;
    if (b->options.keep_packets)
        code = frame_add(b, n, k, &frame, e);
    if (code)
        return code;
    struct chunk_head *h = &b->draft->head;
    if (k->time_ns < h->first_ns)
        h->first_ns = k->time_ns;
    if (k->time_ns > h->last_ns)
        h->last_ns = k->time_ns;
    flow_table_packet(b->flows, &p, k->interface, k->time_ns, frame);
    return 0;
}

static int take(struct chunk_builder *b, const struct pcapng_packet *p, bool companion, struct error *e)
{
    if (p->interface >= b->interface_count)
        return error_set(e, ERROR_INVALID, "there is no interface %u", p->interface);
    struct interface *n = &b->interfaces[p->interface];
    uint32_t wire = p->wire < p->captured ? p->captured : p->wire;
    bool match = !n->filter || capture_filter_match(n->filter, p->data, p->captured, wire);
    int code = match ? make_ready(b, p->time_ns, e) : 0;
    if (code)
        return code;
    count(b, n, COUNTER_RECEIVED, 1);
    count(b, n, COUNTER_RECEIVED_BYTES, wire);
    if (!match) {
        count(b, n, COUNTER_FILTERED, 1);
        return 0;
    }
    struct pcapng_packet k = *p;
    if (k.captured > b->options.snaplen)
        k.captured = b->options.snaplen;
    return keep(b, n, &k, companion, e);
}

int chunk_builder_packet(struct chunk_builder *b, const struct pcapng_packet *p, struct error *e)
{
    return take(b, p, false, e);
}

int chunk_builder_companion(struct chunk_builder *b, const struct pcapng_packet *p, struct error *e)
{
    return take(b, p, true, e);
}

/* ---------------------------------------------------------------- time and flushes */

int chunk_builder_tick(struct chunk_builder *b, uint64_t now_ns, struct error *e)
{
    flow_table_advance(b->flows, now_ns);
    enum head_seal due = seal_due(b, now_ns);
    return due ? chunk_builder_seal(b, due, e) : 0;
}

int chunk_builder_flush(struct chunk_builder *b, uint64_t *next_seq, struct error *e)
{
    int code = chunk_builder_seal(b, SEAL_FLUSH, e);
    *next_seq = b->seq;
    return code ? code : compressor_wait(b->compressor, e);
}

/* ---------------------------------------------------------------- end */

static int write_end(struct chunk_builder *b, struct error *e)
{
    b->has_packet = false;
    int code = chunk_open(b, e);
    if (code)
        return code;
    struct draft *d = b->draft;
    d->head.kind = HEAD_END;
    d->head.seal = 0;
    d->head.totals = b->stats.counters;
    d->stream = b->stats.counters;
    d->head.interface_count = 0;
    d->head.seal_wall_ns = clock_wall_ns();
    d->head.seal_mono_ns = clock_mono_ns();
    b->draft = NULL;
    b->seq++;
    return compressor_seal(b->compressor, d, e);
}

int chunk_builder_finish(struct chunk_builder *b, struct error *e)
{
    int code = 0;
    while (!code && !flow_table_end(b->flows, FLOW_END_FORCED))
        code = chunk_builder_seal(b, SEAL_ROWS, e);
    if (!code)
        code = chunk_builder_seal(b, SEAL_END, e);
    if (!code)
        code = write_end(b, e);
    return code ? code : compressor_wait(b->compressor, e);
}

void chunk_builder_stats(const struct chunk_builder *b, struct chunk_builder_stats *s)
{
    *s = b->stats;
    s->flows = flow_table_stats(b->flows).flows;
    s->stored_bytes = compressor_all_bytes(b->compressor);
}
