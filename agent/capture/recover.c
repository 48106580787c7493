/*
 * recover: the steps, each of which can be done again.
 *
 *   1. Scan the cut body and make rows of it. Nothing changes.
 *   2. Put the page's totals right: kept is what was sealed and what was found, the rest is lost. Computed from what does not change here.
 *   3. Cut the body behind its last whole frame and make it whole.
 *   4. Seal the chunk. The page says before what is sealed from then on (counter_page.h).
 *   5. Seal the END item with the page's totals.
 */
#include "agent/capture/recover.h"
#include "agent/capture/flow_table.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/chunk/body.h"
#include "common/rows/block.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOFTWARE "fleetdump " FLEETDUMP_VERSION
#define NAMELESS "recovered" /* the capture of a stream of which nothing is left that names it */

struct recovery {
    struct flow_timeouts timeouts;
    uint8_t http_blank;
    struct spool_stream *stream;
    struct counter_page *page;
    char agent[HEAD_NAME_MAX + 1], capture[HEAD_NAME_MAX + 1];
    uint64_t seq;
    int fd; /* of the cut body, or -1 */
    struct body_file file;
    struct body_source source;
    uint64_t end;           /* behind the last whole frame */
    struct chunk_head head; /* what the body says of itself; freed by head_free */
    struct counters *found; /* per interface: what is in the body */
    struct counters sealed; /* in earlier items */
    struct buffer rows, exchanges;
    struct body_writer *writer;
};

/* ---------------------------------------------------------------- 1: the body */

static void count_packet(struct counters *c, const struct packet *p)
{
    c->value[COUNTER_KEPT]++;
    c->value[COUNTER_KEPT_BYTES] += p->wire;
    c->value[COUNTER_STORED]++;
    c->value[COUNTER_STORED_BYTES] += p->captured;
    c->value[COUNTER_RECEIVED]++;
    c->value[COUNTER_RECEIVED_BYTES] += p->wire;
    if (p->end != PACKET_OK)
        c->value[p->end == PACKET_TRUNCATED ? COUNTER_TRUNCATED : COUNTER_INVALID]++;
}

static void take_packet(struct recovery *r, struct flow_table *flows, const struct pcapng_packet *k, uint32_t frame)
{
    struct packet p;
    packet_decode(r->head.interfaces[k->interface].link_type, k->data, k->captured, k->wire, &p);
    count_packet(&r->found[k->interface], &p);
    (void)flow_table_advance(flows, k->time_ns);
    flow_table_packet(flows, &p, k->interface, k->time_ns, frame);
}

static int take_frame(struct recovery *r, struct frame_codec *codec, struct buffer *raw, struct flow_table *flows,
                      uint32_t frame, struct error *e)
{
    int code = body_read_frame(&r->source, codec, &r->head.frames[frame], raw, e);
    if (code)
        return code;
    struct bytes b = bytes_of(raw->data, raw->len);
    struct pcapng_item item;
    while ((code = pcapng_next(&b, &item, e)) > 0)
        if (item.kind == PCAPNG_ITEM_PACKET && item.packet.interface < r->head.interface_count)
            take_packet(r, flows, &item.packet, frame);
    return code;
}

/* A chunk has no more rows than it may, so its packets make no more flows than that. */
static int take_rows(struct recovery *r, struct flow_table *flows, struct error *e)
{
    struct flow_row *rows;
    size_t count;
    (void)flow_table_end(flows, FLOW_END_FORCED);
    int code = flow_table_rows(flows, &rows, &count, e);
    if (!code && count)
        code = block_encode(&table_flow, rows, count, &r->rows, e);
    r->head.flow_rows = (uint32_t)count;
    const struct exchange_row *exchanges;
    flow_table_exchanges(flows, &exchanges, &count);
    if (!code && count)
        code = block_encode(&table_exchange, exchanges, count, &r->exchanges, e);
    return code;
}

static int read_packets(struct recovery *r, struct error *e)
{
    struct flow_table_options o = {.max_flows = FLOW_TABLE_ROWS_MAX,
                                   .timeouts = r->timeouts,
                                   .app_payload = FLOW_TABLE_APP_ALL,
                                   .http_blank = r->http_blank,
                                   .one_chunk = true};
    memcpy(o.epoch, r->head.epoch, EPOCH_SIZE);
    o.part = r->seq + 1;
    struct flow_table *flows = NULL;
    struct buffer raw = {.limit = FRAME_RAW_MAX};
    struct frame_codec *codec = frame_codec_new();
    r->found = calloc(r->head.interface_count ? r->head.interface_count : 1, sizeof *r->found);
    int code =
        codec && r->found ? flow_table_new(&o, &flows, e) : error_set(e, ERROR_MEMORY, "no memory to recover a stream");
    for (uint32_t i = 0; !code && i < r->head.frame_count; i++)
        code = take_frame(r, codec, &raw, flows, i, e);
    if (!code)
        code = take_rows(r, flows, e);
    flow_table_free(flows);
    frame_codec_free(codec);
    buffer_free(&raw);
    return code;
}

/* It will not be any better the next time. A body so short that it does not even say whose it is holds no packets. */
static bool is_hopeless(const struct error *e)
{
    static const int codes[] = {ERROR_TRUNCATED, ERROR_INVALID, ERROR_CORRUPT, ERROR_VERSION, ERROR_LIMIT};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (e->code == codes[i])
            return true;
    return e->code == ERROR_SYSTEM && e->sys == EIO;
}

static int drop_body(struct recovery *r, struct error *e)
{
    close(r->fd);
    r->fd = -1;
    head_free(&r->head);
    r->head = (struct chunk_head){0};
    buffer_clear(&r->rows);
    buffer_clear(&r->exchanges);
    return spool_stream_discard(r->stream, r->seq, e);
}

static int scan_body(struct recovery *r, struct error *e)
{
    struct stat st;
    struct error reason = ERROR_INIT;
    if (fstat(r->fd, &st) != 0)
        return error_sys(e, errno, "cannot read a cut body");
    r->file = (struct body_file){.fd = r->fd};
    r->source = body_source_file(&r->file, (uint64_t)st.st_size);
    int sys = FAULT("recover.scan");
    int code = sys ? error_sys(e, sys, "cannot read a cut body") : body_scan(&r->source, &r->head, &r->end, &reason, e);
    return code || r->head.frame_count == 0 ? code : read_packets(r, e);
}

static int read_body(struct recovery *r, bool give_up, struct error *e)
{
    struct error why = ERROR_INIT;
    r->fd = spool_stream_open_body(r->stream, r->seq, e);
    if (r->fd < 0)
        return r->fd;
    int code = give_up ? 0 : scan_body(r, &why);
    if (give_up || is_hopeless(&why) || (!code && r->head.frame_count == 0))
        return drop_body(r, e);
    if (code && e)
        *e = why;
    return code;
}

/* ---------------------------------------------------------------- 2: counters */

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* What earlier items hold: the page may have died between a seal and the note of it. */
static void read_sealed(struct recovery *r)
{
    bool noted_only_before = r->seq > 0 && load(&r->page->sealing_next) == r->seq;
    for (int i = 0; i < COUNTER_COUNT; i++)
        r->sealed.value[i] = load(noted_only_before ? &r->page->sealing[i] : &r->page->sealed[i]);
}

static void set_total(struct recovery *r, enum counter which, uint64_t since_sealed)
{
    atomic_store_explicit(&r->page->total[which], r->sealed.value[which] + since_sealed, memory_order_relaxed);
}

/* Every packet received since the last seal was filtered, dropped, is in the body, or is lost. */
static void correct_totals(struct recovery *r, const struct counters *found)
{
    static const enum counter elsewhere[] = {COUNTER_FILTERED, COUNTER_KERNEL_DROPS, COUNTER_AGENT_DROPS,
                                             COUNTER_POLICY,   COUNTER_OWN,          COUNTER_FORBIDDEN};
    static const enum counter of_body[] = {COUNTER_KEPT,         COUNTER_KEPT_BYTES, COUNTER_STORED,
                                           COUNTER_STORED_BYTES, COUNTER_TRUNCATED,  COUNTER_INVALID};
    for (int i = 0; i < COUNTER_COUNT; i++) { /* a page may be older than the items, after a power cut */
        bool received = i == COUNTER_RECEIVED || i == COUNTER_RECEIVED_BYTES;
        uint64_t least = received ? found->value[i] : 0;
        if (load(&r->page->total[i]) < r->sealed.value[i] + least)
            set_total(r, (enum counter)i, least);
    }
    uint64_t rest = load(&r->page->total[COUNTER_RECEIVED]) - r->sealed.value[COUNTER_RECEIVED];
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        rest = less(rest, load(&r->page->total[elsewhere[i]]) - r->sealed.value[elsewhere[i]]);
    for (size_t i = 0; i < sizeof of_body / sizeof *of_body; i++)
        set_total(r, of_body[i], found->value[of_body[i]]);
    set_total(r, COUNTER_CRASH_LOST, less(rest, found->value[COUNTER_KEPT]));
}

static void add_found(const struct recovery *r, struct counters *sum)
{
    *sum = (struct counters){0};
    for (uint32_t i = 0; r->found && i < r->head.interface_count; i++)
        counters_add(sum, &r->found[i]);
}

static void fill_totals(struct recovery *r, struct counters *totals, bool whole_stream)
{
    for (int i = 0; i < COUNTER_COUNT; i++)
        totals->value[i] = load(&r->page->total[i]) - (whole_stream ? 0 : r->sealed.value[i]);
}

/* ---------------------------------------------------------------- 3, 4: the chunk */

static int complete_body(struct recovery *r, struct error *e)
{
    struct buffer out = {0};
    int code = body_writer_resume(&r->source, &r->head, r->end, &r->writer, e);
    if (code)
        return code;
    code = body_writer_finish(r->writer, r->found, clock_wall_ns(), &r->head, &out, e);
    int sys = code ? 0 : FAULT("recover.cut");
    if (!code && (sys || ftruncate(r->fd, (off_t)r->end) != 0))
        code = error_sys(e, sys ? sys : errno, "cannot cut a body behind its last whole frame");
    if (!code)
        code = fs_pwrite(r->fd, out.data, out.len, r->end, "recover.write", e);
    buffer_free(&out);
    return code;
}

static void name_head(struct recovery *r, struct chunk_head *h)
{
    memcpy(h->epoch, r->page->epoch, EPOCH_SIZE);
    h->seq = h->last_seq = r->seq;
    if (!h->agent)
        h->agent = r->agent;
    if (!h->capture)
        h->capture = r->capture;
    h->software = (char *)SOFTWARE;
    h->seal_wall_ns = clock_wall_ns();
    h->seal_mono_ns = clock_mono_ns();
}

static int seal(struct recovery *r, struct chunk_head *h, bool with_body, struct error *e)
{
    struct buffer encoded = {.limit = HEAD_BYTES_MAX};
    int code = head_encode(h, &encoded, e);
    if (!code) {
        for (int i = 0; i < COUNTER_COUNT; i++)
            atomic_store_explicit(&r->page->sealing[i], load(&r->page->total[i]), memory_order_relaxed);
        atomic_store_explicit(&r->page->sealing_next, r->seq + 1, memory_order_release);
        code = spool_stream_seal(r->stream, r->seq, encoded.data, encoded.len, with_body, r->fd, e);
    }
    buffer_free(&encoded);
    if (code)
        return code;
    for (int i = 0; i < COUNTER_COUNT; i++)
        atomic_store_explicit(&r->page->sealed[i], load(&r->page->total[i]), memory_order_relaxed);
    r->seq++;
    return 0;
}

static int seal_chunk(struct recovery *r, struct error *e)
{
    bool with_body = r->fd >= 0;
    struct chunk_head h = r->head; /* memory stays that of r->head */
    h.kind = HEAD_CHUNK;
    h.seal = SEAL_RECOVERED;
    if (!with_body) {
        h.body = BODY_NEVER;
        h.first_ns = UINT64_MAX;
        h.last_ns = 0;
        h.open_wall_ns = r->page->start_wall_ns;
    }
    h.flows = r->rows.data;
    h.flows_length = r->rows.len;
    h.exchanges = r->exchanges.data;
    h.exchanges_length = r->exchanges.len;
    for (uint32_t i = 0; i < h.interface_count; i++) {
        h.interfaces[i].counters = r->found[i];
        h.snaplen = h.interfaces[i].snaplen > h.snaplen ? h.interfaces[i].snaplen : h.snaplen;
    }
    fill_totals(r, &h.totals, false);
    name_head(r, &h);
    return seal(r, &h, with_body, e);
}

static bool anything_counted(struct recovery *r)
{
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (load(&r->page->total[i]) != r->sealed.value[i])
            return true;
    return false;
}

/* ---------------------------------------------------------------- 5: the end */

static int seal_end(struct recovery *r, struct error *e)
{
    struct chunk_head h = {.kind = HEAD_END, .first_ns = UINT64_MAX, .open_wall_ns = r->page->start_wall_ns};
    uint64_t alive_ns = load(&r->page->alive_wall_ns);
    name_head(r, &h);
    if (alive_ns >= h.open_wall_ns && alive_ns < h.seal_wall_ns)
        h.seal_wall_ns = alive_ns; /* nobody captured from then on */
    fill_totals(r, &h.totals, true);
    return seal(r, &h, false, e);
}

static int run(struct recovery *r, bool open_body, bool without_body, struct recovered *out, struct error *e)
{
    struct counters found;
    int code = open_body ? read_body(r, without_body, e) : 0;
    if (code)
        return code;
    read_sealed(r);
    add_found(r, &found);
    correct_totals(r, &found);
    out->packets = found.value[COUNTER_KEPT];
    out->lost = load(&r->page->total[COUNTER_CRASH_LOST]) - r->sealed.value[COUNTER_CRASH_LOST];
    if (r->fd >= 0)
        code = complete_body(r, e);
    if (!code && (r->fd >= 0 || anything_counted(r)))
        code = seal_chunk(r, e);
    return code ? code : seal_end(r, e);
}

static void find_names(struct recovery *r, const char *agent)
{
    spool_stream_names(r->stream, r->agent, r->capture);
    if (!r->agent[0])
        snprintf(r->agent, sizeof r->agent, "%s", agent);
    if (!r->capture[0])
        snprintf(r->capture, sizeof r->capture, "%s", NAMELESS);
}

int recover_stream(struct spool *spool, const uint8_t epoch[EPOCH_SIZE], const struct recover_options *o,
                   struct recovered *out, struct error *e)
{
    *out = (struct recovered){0};
    struct recovery r = {.timeouts = o->timeouts,
                         .http_blank = o->http_blank,
                         .fd = -1,
                         .rows = {.limit = HEAD_BYTES_MAX},
                         .exchanges = {.limit = HEAD_BYTES_MAX}};
    int code = spool_stream_adopt(spool, epoch, &r.stream, e);
    if (code)
        return code;
    bool open_body = false, ended = false;
    r.page = spool_stream_counters(r.stream);
    find_names(&r, o->agent);
    code = spool_stream_position(r.stream, &r.seq, &open_body, &ended, e);
    if (!code && !ended)
        code = run(&r, open_body, o->without_body, out, e);
    if (r.fd >= 0)
        close(r.fd);
    body_writer_free(r.writer);
    head_free(&r.head);
    free(r.found);
    buffer_free(&r.rows);
    buffer_free(&r.exchanges);
    spool_stream_close(r.stream);
    return code;
}
