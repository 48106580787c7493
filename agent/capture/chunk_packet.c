/* chunk_packet: which packets are kept, how much of them, and the frames that they go into. */
#include "agent/capture/chunk_builder_impl.h"
#include "common/base/clock.h"
#include "common/chunk/frame.h"
#include <string.h>

/* What a packet block has besides the packet: header, options, padding. */
#define PACKET_BLOCK_MORE 128u

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
    unsigned pressure = compressor_pressure(b->compressor);
    if (pressure)
        chunk_count(b, n, COUNTER_FRAMES_FASTER, 1);
    chunk_publish(b);
    return compressor_frame(b->compressor, n->frame_number, &n->frame, pressure, raw, e);
}

int chunk_close_frames(struct chunk_builder *b, struct error *e)
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
    return b->open_bytes > CHUNK_OPEN_FRAMES_MAX ? chunk_close_frames(b, e) : 0;
}

/* ---------------------------------------------------------------- which */

static bool is_own_end(const struct chunk_builder_options *o, const struct packet_net *net, unsigned end)
{
    return net->port[end] == o->own_port && memcmp(net->addr[end], o->own_address, sizeof o->own_address) == 0;
}

static bool is_own(const struct chunk_builder_options *o, const struct packet *p)
{
    const struct packet_net *net = &p->net;
    return net->family == o->own_family && net->proto == PROTO_TCP && net->has_ports &&
           (is_own_end(o, net, 0) || is_own_end(o, net, 1));
}

/* A bucket that fills with the packets' time, and may hold what a burst has: at least one packet, however low the rate. */
static bool within_rate(struct chunk_builder *b, uint32_t wire, uint64_t time_ns)
{
    uint64_t rate = b->options.rate, most = rate > PACKET_SNAPLEN_MAX ? rate : PACKET_SNAPLEN_MAX;
    uint64_t passed = time_ns > b->rate_ns ? time_ns - b->rate_ns : 0;
    if (passed >= CHUNK_RATE_BURST_NS)
        b->allowed = most;
    else
        b->allowed += (uint64_t)((unsigned __int128)passed * rate / NS_PER_S);
    if (b->allowed > most)
        b->allowed = most;
    if (time_ns > b->rate_ns)
        b->rate_ns = time_ns;
    if (b->allowed < wire)
        return false;
    b->allowed -= wire;
    return true;
}

static bool limit_reached(const struct chunk_builder *b)
{
    const struct chunk_builder_options *o = &b->options;
    const uint64_t *c = b->stats.counters.value;
    return (o->most_packets && c[COUNTER_KEPT] >= o->most_packets) ||
           (o->most_bytes && c[COUNTER_KEPT_BYTES] >= o->most_bytes);
}

/* ---------------------------------------------------------------- how much */

static void cut(struct pcapng_packet *k, uint32_t most)
{
    if (k->captured > most)
        k->captured = most;
}

static void cut_payload(struct pcapng_packet *k, uint32_t headers, uint32_t payload)
{
    cut(k, payload < PACKET_SNAPLEN_MAX ? headers + payload : PACKET_SNAPLEN_MAX);
}

/* What is left of the flow's share in this direction. */
static void cut_off(struct chunk_builder *b, struct interface *n, const struct packet *p, struct pcapng_packet *k)
{
    uint64_t sent = flow_table_sent(b->flows, p, k->interface, k->time_ns);
    uint32_t before = k->captured;
    cut_payload(k, packet_headers(p), sent < b->options.cutoff ? b->options.cutoff - (uint32_t)sent : 0);
    if (b->options.keep_packets)
        chunk_count(b, n, COUNTER_CUTOFF_BYTES, before - k->captured);
}

/* ---------------------------------------------------------------- packets */

static void count_kept(struct chunk_builder *b, struct interface *n, const struct packet *p,
                       const struct pcapng_packet *k)
{
    chunk_count(b, n, COUNTER_KEPT, 1);
    chunk_count(b, n, COUNTER_KEPT_BYTES, p->wire);
    if (b->options.keep_packets) {
        chunk_count(b, n, COUNTER_STORED, 1);
        chunk_count(b, n, COUNTER_STORED_BYTES, k->captured);
    }
    if (p->end != PACKET_OK)
        chunk_count(b, n, p->end == PACKET_TRUNCATED ? COUNTER_TRUNCATED : COUNTER_INVALID, 1);
}

static void count_up_to(struct chunk_builder *b, struct interface *n, enum counter which, uint64_t sum)
{
    uint64_t counted = b->stats.counters.value[which];
    if (sum > counted)
        chunk_count(b, n, which, sum - counted);
}

/* The packet's flow may have found its place only by the end of another one, and no memory for what was said. */
void chunk_count_evicted(struct chunk_builder *b, struct interface *n)
{
    count_up_to(b, n, COUNTER_FLOWS_EVICTED, flow_table_resources(b->flows));
    count_up_to(b, n, COUNTER_APPS_UNREAD, flow_table_unheard(b->flows));
}

void chunk_count_untold(struct chunk_builder *b, struct interface *n)
{
    count_up_to(b, n, COUNTER_EXCHANGES_UNTOLD, flow_table_stats(b->flows).untold);
}

static int keep(struct chunk_builder *b, struct look *l, struct error *e)
{
    struct interface *n = l->interface;
    const struct packet *p = &l->packet;
    struct pcapng_packet *k = &l->kept;
    b->has_packet = true;
    chunk_begin(b, k->time_ns);
    int code = b->draft ? 0 : chunk_open(b, e);
    if (code)
        return code;
    if (b->options.headers_only)
        cut(k, packet_headers(p));
    else if (b->options.payload)
        cut_payload(k, packet_headers(p), b->options.payload);
    if (b->options.cutoff)
        cut_off(b, n, p, k);
    count_kept(b, n, p, k);
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
    flow_table_count(b->flows, p, &l->name, k->time_ns, frame);
    chunk_count_evicted(b, n);
    return limit_reached(b);
}

static int judge(struct chunk_builder *b, struct look *l, struct error *e)
{
    const struct packet *p = &l->packet;
    const struct pcapng_packet *k = &l->kept;
    enum counter why = COUNTER_KEPT;
    if (b->options.forbid && forbid_packet(b->options.forbid, p))
        why = COUNTER_FORBIDDEN;
    else if (b->options.own_family && is_own(&b->options, p))
        why = COUNTER_OWN;
    else if (l->companion && !flow_table_knows(b->flows, p, k->interface, k->time_ns))
        why = COUNTER_FILTERED;
    else if (b->options.rate && !within_rate(b, k->wire, k->time_ns))
        why = COUNTER_POLICY;
    if (why == COUNTER_KEPT)
        return keep(b, l, e);
    chunk_count(b, l->interface, why, 1);
    return 0;
}

static int take(struct chunk_builder *b, struct look *l, struct error *e)
{
    if (limit_reached(b))
        return 1;
    int code = l->match ? chunk_make_ready(b, l->kept.time_ns, e) : 0;
    if (code)
        return code;
    chunk_count(b, l->interface, COUNTER_RECEIVED, 1);
    chunk_count(b, l->interface, COUNTER_RECEIVED_BYTES, l->kept.wire);
    if (l->match)
        return judge(b, l, e);
    chunk_count(b, l->interface, COUNTER_FILTERED, 1);
    return 0;
}

static int look_at(struct chunk_builder *b, const struct chunk_packet *given, struct look *l, struct error *e)
{
    const struct pcapng_packet *p = &given->packet;
    struct pcapng_packet *k = &l->kept;
    if (p->interface >= b->interface_count)
        return error_set(e, ERROR_INVALID, "there is no interface %u", p->interface);
    *k = *p;
    if (k->wire < k->captured)
        k->wire = k->captured;
    l->interface = &b->interfaces[p->interface];
    l->companion = given->companion;
    l->match = !l->interface->filter || capture_filter_match(l->interface->filter, p->data, p->captured, k->wire);
    cut(k, b->options.snaplen);
    if (l->match) {
        packet_decode(l->interface->head.link_type, k->data, k->captured, k->wire, &l->packet);
        flow_table_name(b->flows, &l->packet, p->interface, &l->name);
    }
    return 0;
}

static int take_together(struct chunk_builder *b, const struct chunk_packet *p, size_t n, struct error *e)
{
    struct look *looks = b->looks;
    int code = 0;
    for (size_t i = 0; i < n && !code; i++)
        code = look_at(b, &p[i], &looks[i], e);
    for (size_t i = 0; i < n && !code; i++)
        if (looks[i].match)
            flow_table_fetch(b->flows, &looks[i].name);
    for (size_t i = 0; i < n && !code; i++)
        code = take(b, &looks[i], e);
    chunk_publish(b);
    return code;
}

int chunk_builder_packets(struct chunk_builder *b, const struct chunk_packet *p, size_t n, struct error *e)
{
    int code = 0;
    for (size_t at = 0, some; at < n && !code; at += some) {
        some = n - at < CHUNK_PACKETS ? n - at : CHUNK_PACKETS;
        code = take_together(b, p + at, some, e);
    }
    return code;
}
