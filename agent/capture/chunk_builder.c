/*
 * chunk_builder: the open chunk, and what closes it. Counting comes before anything that can be on disk, so that what the
 * counter page says is never less than what a crash left there.
 */
#include "agent/capture/chunk_builder_impl.h"
#include "agent/capture/exchange_write.h"
#include "common/base/clock.h"
#include <stdlib.h>
#include <string.h>

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

/* Rows say no more of what was said than packets would. */
static uint32_t app_payload(const struct chunk_builder_options *o)
{
    if (o->no_apps || o->headers_only)
        return 0;
    return o->payload ? o->payload : FLOW_TABLE_APP_ALL;
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
    b->start_wall_ns = clock_wall_ns();
    b->start_mono_ns = clock_mono_ns();
    struct flow_table_options flows = {.max_flows = o->max_flows,
                                       .max_rows = o->max_rows,
                                       .timeouts = o->timeouts,
                                       .listeners = o->listeners,
                                       .app_payload = app_payload(o),
                                       .http_blank = o->http_blank};
    memcpy(flows.epoch, o->epoch, EPOCH_SIZE);
    int code = copy_texts(b, o, e);
    if (!code)
        code = flow_table_new(&flows, &b->flows, e);
    b->rows = block_writer_new();
    if (!code && !b->rows)
        code = error_set(e, ERROR_MEMORY, "no memory for a capture");
    if (!code)
        code = compressor_new(sink, o->level, o->live, &b->compressor, e);
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
    block_writer_free(b->rows);
    free(b->agent);
    free(b->capture);
    free(b->software);
    free(b->filter);
    free(b);
}

/* ---------------------------------------------------------------- counters */

void chunk_count(struct chunk_builder *b, struct interface *n, enum counter which, uint64_t value)
{
    n->head.counters.value[which] += value;
    b->stats.counters.value[which] += value;
    b->has_counts = true;
}

void chunk_publish(struct chunk_builder *b)
{
    for (int i = 0; b->sink->page && i < COUNTER_COUNT; i++) {
        uint64_t now = b->stats.counters.value[i], more = now - b->published.value[i];
        if (more)
            counter_page_add(b->sink->page, (enum counter)i, more);
        b->published.value[i] = now;
    }
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
        chunk_count(b, i, COUNTER_RECEIVED, n);
    chunk_count(b, i, which, n);
    chunk_publish(b);
    if (is_capture_loss(which) && !flow_table_loss(b->flows, interface, n))
        return error_set(e, ERROR_MEMORY, "no memory for %u interfaces", b->interface_count);
    return 0;
}

/* ---------------------------------------------------------------- chunks */

void chunk_begin(struct chunk_builder *b, uint64_t time_ns)
{
    if (!b->begun)
        b->begin_ns = time_ns;
    b->begun = true;
}

int chunk_open(struct chunk_builder *b, struct error *e)
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
    bool is_first = b->options.live && b->seq == b->options.first_seq;
    h->open_wall_ns = is_first ? b->start_wall_ns : clock_wall_ns();
    h->open_mono_ns = is_first ? b->start_mono_ns : clock_mono_ns();
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

static void fill_rows(void *context, size_t from, size_t n, struct stage *tile)
{
    flow_table_fill(context, from, n, tile);
}

static int take_rows(struct chunk_builder *b, struct draft *d, struct error *e)
{
    size_t n = flow_table_row_count(b->flows);
    int code = flow_table_prepare(b->flows, e);
    if (!code && n)
        code = block_writer_encode(b->rows, &table_flow, fill_rows, b->flows, n, &d->rows, e);
    if (code)
        return code;
    d->head.flow_rows = (uint32_t)n;
    const struct exchange_row *exchanges;
    size_t m;
    flow_table_exchanges(b->flows, &exchanges, &m);
    if (m)
        code = exchanges_write(b->rows, exchanges, m, &d->exchanges, e);
    if (code)
        return code;
    b->stats.rows += n;
    flow_table_next(b->flows);
    return 0;
}

static int chunk_seal(struct chunk_builder *b, enum head_seal why, struct error *e)
{
    int code = chunk_close_frames(b, e);
    if (!code)
        code = take_rows(b, b->draft, e);
    if (code)
        return code;
    if (b->interface_count) { /* behind its last packet */
        chunk_count_evicted(b, &b->interfaces[b->interface_count - 1]);
        chunk_count_untold(b, &b->interfaces[b->interface_count - 1]);
    }
    struct draft *d = b->draft;
    d->head.seal = b->options.seal ? b->options.seal : (uint8_t)why;
    d->head.seal_wall_ns = clock_wall_ns();
    d->head.seal_mono_ns = clock_mono_ns();
    take_counters(b, d);
    b->draft = NULL;
    b->seq++;
    b->has_packet = b->begun = false;
    b->stats.chunks++;
    chunk_publish(b);
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
    if (!b->begun)
        return 0;
    uint64_t age = time_ns > b->begin_ns ? time_ns - b->begin_ns : b->begin_ns - time_ns;
    if (age >= b->options.chunk_ns)
        return SEAL_TIME;
    if (b->frames + b->interface_count >= HEAD_FRAMES_MAX ||
        (b->options.keep_packets && compressor_body_bytes(b->compressor, b->seq) >= b->options.chunk_bytes))
        return SEAL_BYTES;
    return 0;
}

int chunk_make_ready(struct chunk_builder *b, uint64_t time_ns, struct error *e)
{
    enum head_seal due = seal_due(b, time_ns);
    int code = due ? chunk_builder_seal(b, due, e) : 0;
    while (!code && !flow_table_advance(b->flows, time_ns))
        code = chunk_builder_seal(b, SEAL_ROWS, e);
    return code;
}

uint64_t chunk_builder_next_seq(const struct chunk_builder *b)
{
    return b->seq;
}

uint64_t chunk_builder_sealed(struct chunk_builder *b)
{
    uint64_t sealed = compressor_sealed(b->compressor);
    return sealed > b->options.first_seq ? sealed : b->options.first_seq;
}

bool chunk_builder_ready(struct chunk_builder *b)
{
    return compressor_ready(b->compressor);
}

bool chunk_builder_wait_ready(struct chunk_builder *b, unsigned timeout_ms)
{
    return compressor_wait_ready(b->compressor, timeout_ms);
}

/* ---------------------------------------------------------------- time */

bool chunk_builder_idle(const struct chunk_builder *b)
{
    return !has_anything(b) && flow_table_stats(b->flows).alive == 0;
}

int chunk_builder_tick(struct chunk_builder *b, uint64_t now_ns, struct error *e)
{
    int code = chunk_make_ready(b, now_ns, e);
    if (!code && has_anything(b))
        chunk_begin(b, now_ns);
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

int chunk_builder_end(struct chunk_builder *b, struct error *e)
{
    int code = 0;
    while (!code && !flow_table_end(b->flows, FLOW_END_FORCED))
        code = chunk_builder_seal(b, SEAL_ROWS, e);
    if (!code)
        code = chunk_builder_seal(b, SEAL_END, e);
    return code ? code : write_end(b, e);
}

int chunk_builder_wait(struct chunk_builder *b, unsigned timeout_ms, struct error *e)
{
    return compressor_wait_for(b->compressor, timeout_ms, e);
}

int chunk_builder_finish(struct chunk_builder *b, struct error *e)
{
    int code = chunk_builder_end(b, e);
    return code ? code : compressor_wait(b->compressor, e);
}

void chunk_builder_stats(const struct chunk_builder *b, struct chunk_builder_stats *s)
{
    *s = b->stats;
    s->flows = flow_table_stats(b->flows).flows;
    s->stored_bytes = compressor_all_bytes(b->compressor);
}
