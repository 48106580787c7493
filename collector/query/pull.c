/*
 * Pull: rows -> frames -> packets -> exact filter -> merge by time -> one pcapng section with one interface a vantage.
 */
#include "collector/query/answers.h"
#include "collector/query/connections.h"
#include "collector/query/covered.h"
#include "collector/query/merge.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_PIECE NET_PIECE_MAX

/* A chunk whose frames are wanted. */
struct pull_chunk {
    uint8_t epoch[EPOCH_SIZE];
    uint64_t seq;
    struct store_body *body; /* open while `left` > 0 */
    struct body_source source;
    uint32_t left; /* frames still to come */
    size_t agent;  /* in the manifest */
    bool failed;
};

struct pull {
    struct plan *plan;
    struct pull_chunk *chunks;
    size_t chunk_count, chunk_cap;
    struct merge_frame *frames;
    size_t frame_count, frame_cap;
    uint8_t *wanted; /* frames of the chunk at hand */
    struct connection_index *index;
    bool need_flow;    /* whole connections, or words judged packet by packet that a packet alone does not tell */
    bool whole;        /* all packets of a selected flow */
    bool every;        /* all packets there are */
    bool dropped_some; /* other vantages */
    int64_t several;   /* connections that more than one vantage saw */
    struct frame_codec *codec;
    uint32_t *interface_of; /* vantage -> interface number in the file, or UINT32_MAX */
    uint32_t interfaces;
    struct buffer out;
    uint64_t packets, duplicates;
    uint32_t snaplen; /* of the file */
};

/* ------------------------------------------------------------------ second pass: which frames */

static int want_row(void *context, const struct store_chunk *c, const struct flow_row *row, struct error *e)
{
    struct pull *u = context;
    const struct flow_set_entry *f = flow_set_find(u->plan->flows, row->flow_id);
    (void)e;
    if (!f || !f->selected || f->other_vantage)
        return 0;
    for (uint32_t i = 0; i < row->frames.count; i++)
        if (row->frames.items[i] < c->head.frame_count)
            u->wanted[row->frames.items[i]] = 1;
    if (row->frames.count == 0 && row->packets[0] + row->packets[1] > 0)
        u->wanted[c->head.frame_count] = 1; /* packets that no frame holds: flows only */
    return 0;
}

static int add_frame(struct pull *u, const struct store_chunk *c, uint32_t number, uint32_t place, struct error *e)
{
    if (u->frame_count == u->frame_cap) {
        size_t cap = u->frame_cap ? u->frame_cap * 2 : 256;
        struct merge_frame *grown = realloc(u->frames, cap * sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "no memory for %zu frames", cap);
        u->frames = grown;
        u->frame_cap = cap;
    }
    uint32_t vantage = u->plan->places.place[place].vantage;
    u->frames[u->frame_count++] = (struct merge_frame){
        .info = c->head.frames[number],
        .chunk = (uint32_t)u->chunk_count,
        .number = number,
        .place = place,
        .vantage = vantage,
        .rank = vantage,
    };
    return 0;
}

static int add_frames(struct pull *u, struct store_chunk *c, uint32_t *count, struct error *e)
{
    const struct message_query *q = u->plan->q;
    *count = 0;
    for (uint32_t i = 0; i < c->head.frame_count; i++) {
        const struct head_frame *f = &c->head.frames[i];
        if (!u->wanted[i] || f->last_ns < q->since_ns || f->first_ns > q->until_ns ||
            f->interface >= c->head.interface_count)
            continue;
        int64_t place = places_of(&u->plan->places, &c->head, f->interface, e);
        if (place < 0)
            return (int)place;
        if (q->link_type != UINT32_MAX && c->head.interfaces[f->interface].link_type != q->link_type)
            continue;
        int r = add_frame(u, c, i, (uint32_t)place, e);
        if (r)
            return r;
        ++*count;
    }
    return 0;
}

static int add_chunk(struct pull *u, struct store_chunk *c, struct manifest_agent *a, struct error *e)
{
    if (u->chunk_count == u->chunk_cap) {
        size_t cap = u->chunk_cap ? u->chunk_cap * 2 : 64;
        struct pull_chunk *grown = realloc(u->chunks, cap * sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "no memory for %zu chunks", cap);
        u->chunks = grown;
        u->chunk_cap = cap;
    }
    uint32_t left;
    int r = add_frames(u, c, &left, e);
    if (r || left == 0)
        return r;
    struct pull_chunk *chunk = &u->chunks[u->chunk_count++];
    *chunk = (struct pull_chunk){.seq = c->head.seq, .left = left, .agent = (size_t)(a - u->plan->manifest.agents)};
    memcpy(chunk->epoch, c->head.epoch, EPOCH_SIZE);
    return 0;
}

/* The packets of this chunk are not here: how many were wanted, at the most. */
static void note_missing(struct pull *u, const struct store_chunk *c, struct manifest_agent *a)
{
    bool any = u->wanted[c->head.frame_count] != 0;
    for (uint32_t i = 0; i < c->head.frame_count; i++)
        if (u->wanted[i]) {
            a->missing_packets += c->head.frames[i].packets;
            any = true;
        }
    if (any && (unsigned)c->body_state <= BODY_EXPIRED)
        a->missing_bodies[c->body_state]++;
}

static int pick_chunk(void *context, struct store_chunk *c, bool excluded, struct error *e)
{
    struct pull *u = context;
    int r = plan_cancelled(u->plan, e);
    if (r || excluded || c->head.kind != HEAD_CHUNK || (u->plan->after && !after_wanted(u->plan->after, c)))
        return r;
    struct manifest_agent *a = manifest_agent(&u->plan->manifest, c->head.agent);
    if (!a)
        return error_set(e, ERROR_MEMORY, "no memory for the answer's account");
    u->wanted = calloc(c->head.frame_count + 1u, 1);
    if (!u->wanted)
        return error_set(e, ERROR_MEMORY, "no memory for %u frames", c->head.frame_count);
    static const uint8_t columns[] = {FLOW_ID, FLOW_PACKETS_0, FLOW_PACKETS_1, FLOW_FRAMES, 0};
    struct error why = ERROR_INIT;
    if (plan_rows(u->plan, c, columns, want_row, u, &why) == 0) { /* damage is in the manifest since the first pass */
        if (c->body_state == BODY_STORED)
            r = add_chunk(u, c, a, e);
        else
            note_missing(u, c, a);
    }
    free(u->wanted);
    u->wanted = NULL;
    return r;
}

/* ------------------------------------------------------------------ the file's head */

static int one_link_type(struct pull *u, struct error *e)
{
    uint64_t packets[65536 / 64] = {0};
    char list[400] = "", name[64];
    unsigned kinds = 0;
    for (size_t i = 0; i < u->frame_count; i++) {
        uint16_t type = u->plan->places.vantage[u->frames[i].vantage].link_type;
        if (packets[type / 64] >> (type % 64) & 1)
            continue;
        packets[type / 64] |= UINT64_C(1) << (type % 64);
        size_t used = strlen(list);
        if (used < sizeof list - 80)
            snprintf(list + used, sizeof list - used, "%s%s (%u)", kinds ? ", " : "",
                     packet_link_name(type, name, sizeof name), type);
        kinds++;
    }
    if (kinds <= 1)
        return 0;
    return error_set(e, ERROR_USAGE,
                     "the packets are of %u link types, which one file cannot hold for all readers: %s; ask for one at "
                     "a time with --link-type NUMBER, "
                     "or take other interfaces",
                     kinds, list);
}

static void section_comment(struct pull *u, struct buffer *out)
{
    const struct message_query *q = u->plan->q;
    buffer_printf(out, "fleetdump pull '%s'", q->filter ? q->filter : "");
    if (q->capture && q->capture[0])
        buffer_printf(out, " --capture %s", q->capture);
    buffer_printf(out, "\n");
    if (u->plan->bounds->filter)
        buffer_printf(out, "whoever asked may see only what matches '%s'\n", u->plan->bounds->filter);
    if (u->plan->bounds->snaplen)
        buffer_printf(out, "whoever asked may see %u bytes of each packet\n", u->plan->bounds->snaplen);
    if (manifest_complete(&u->plan->manifest))
        buffer_printf(out, "nothing inside the question is known to be missing\n");
    else {
        buffer_printf(out, "missing:\n");
        manifest_say(&u->plan->manifest, out);
    }
    buffer_u8(out, 0);
}

static void write_interface(struct pull *u, uint32_t v)
{
    const struct vantage *at = &u->plan->places.vantage[v];
    uint32_t snaplen = 0; /* one for the whole file: the greatest */
    for (uint32_t i = 0; i < u->plan->places.vantage_count; i++)
        snaplen = u->plan->places.vantage[i].snaplen > snaplen ? u->plan->places.vantage[i].snaplen : snaplen;
    char name[2 * HEAD_NAME_MAX + 2];
    snprintf(name, sizeof name, "%s/%s", at->agent, at->interface);
    struct pcapng_interface i = {
        .name = name,
        .description = at->agent,
        .filter = plan_shown_filter(u->plan, at->capture, at->filter),
        .link_type = at->link_type,
        .snaplen = snaplen < u->snaplen ? snaplen : u->snaplen,
        .mac = at->has_mac ? at->mac : NULL,
        .speed_bps = at->speed_bps,
    };
    pcapng_write_interface(&u->out, &i);
    u->interface_of[v] = u->interfaces++;
}

/* libpcap refuses a file without interfaces. */
static void write_no_interface(struct pull *u)
{
    uint32_t asked = u->plan->q->link_type;
    const struct pcapng_interface i = {
        .name = "none", .link_type = asked <= UINT16_MAX ? (uint16_t)asked : 1, .snaplen = PACKET_SNAPLEN_MAX};
    pcapng_write_interface(&u->out, &i);
}

static int write_head(struct pull *u, struct error *e)
{
    struct buffer comment = {.limit = 60000};
    section_comment(u, &comment);
    pcapng_write_section(&u->out, NULL, "Linux", "fleetdump " FLEETDUMP_VERSION,
                         comment.failed ? NULL : (const char *)comment.data);
    buffer_free(&comment);
    u->interface_of = calloc(u->plan->places.vantage_count + 1u, sizeof *u->interface_of);
    if (!u->interface_of)
        return error_set(e, ERROR_MEMORY, "no memory for %u interfaces", u->plan->places.vantage_count);
    for (uint32_t v = 0; v < u->plan->places.vantage_count; v++)
        u->interface_of[v] = UINT32_MAX;
    for (size_t i = 0; i < u->frame_count; i++)
        if (u->interface_of[u->frames[i].vantage] == UINT32_MAX)
            write_interface(u, u->frames[i].vantage);
    if (u->interfaces == 0)
        write_no_interface(u);
    return 0;
}

/* ------------------------------------------------------------------ the merge's side */

static struct manifest_agent *agent_of(struct pull *u, const struct merge_frame *f)
{
    return &u->plan->manifest.agents[u->chunks[f->chunk].agent];
}

static int load(void *context, const struct merge_frame *f, struct buffer *raw, struct error *e)
{
    struct pull *u = context;
    struct pull_chunk *c = &u->chunks[f->chunk];
    struct error why = ERROR_INIT;
    int r = plan_cancelled(u->plan, e);
    if (r)
        return r;
    if (!c->body && !c->failed)
        r = store_body_open(u->plan->reader, c->epoch, c->seq, &c->body, &c->source, &why);
    if (r == 0 && !c->failed)
        r = body_read_frame(&c->source, u->codec, &f->info, raw, &why);
    if (r || c->failed) {
        agent_of(u, f)->missing_packets += f->info.packets;
        if (!c->failed && r == ERROR_NOT_FOUND)
            agent_of(u, f)->missing_bodies[BODY_EXPIRED]++;
        else if (!c->failed)
            manifest_damaged(agent_of(u, f), &why);
        c->failed = c->failed || !c->body;
        r = r ? r : ERROR_NOT_FOUND;
        if (e)
            *e = why;
    }
    if (--c->left == 0 && c->body) {
        store_body_close(c->body);
        c->body = NULL;
    }
    return r;
}

static int want(void *context, const struct merge_frame *f, const struct pcapng_packet *p, bool *wanted,
                struct error *e)
{
    struct pull *u = context;
    struct plan *plan = u->plan;
    *wanted = p->time_ns >= plan->q->since_ns && p->time_ns <= plan->q->until_ns;
    if (!*wanted || u->every)
        return 0;
    struct packet packet;
    const struct flow_row *row;
    struct flow_set_entry *flow = NULL;
    packet_decode(plan->places.vantage[f->vantage].link_type, p->data, p->captured, p->wire, &packet);
    if (u->need_flow || u->dropped_some) {
        flow = connection_index_find(u->index, &packet, f->place, p->time_ns);
        *wanted = flow ? !flow->other_vantage : !u->need_flow;
    }
    row = flow ? &flow->sum : NULL;
    int r = *wanted && plan->forced ? filter_packet(plan->forced, &packet, row, wanted, e) : 0;
    if (r || !*wanted || u->whole)
        return r;
    /* what is cut off cannot be asked for, either */
    if (p->captured > u->snaplen)
        packet_decode(plan->places.vantage[f->vantage].link_type, p->data, u->snaplen, p->wire, &packet);
    return filter_packet(plan->asked, &packet, row, wanted, e);
}

static int emit(void *context, const struct merge_frame *f, const struct pcapng_packet *p, struct error *e)
{
    struct pull *u = context;
    struct pcapng_packet copy = *p;
    copy.interface = u->interface_of[f->vantage];
    if (copy.captured > u->snaplen) {
        copy.captured = u->snaplen;
        u->plan->packets_cut++;
    }
    pcapng_write_packet(&u->out, &copy);
    struct manifest_agent *a = agent_of(u, f);
    a->packets++;
    a->bytes += p->wire;
    u->packets++;
    struct vantage *v = &u->plan->places.vantage[f->vantage];
    v->first_ns = p->time_ns < v->first_ns ? p->time_ns : v->first_ns;
    v->last_ns = p->time_ns > v->last_ns ? p->time_ns : v->last_ns;
    if (u->out.len < OUT_PIECE)
        return u->out.failed ? error_set(e, ERROR_MEMORY, "no memory for the file") : 0;
    int r = plan_write(u->plan, u->out.data, u->out.len, false, e);
    buffer_clear(&u->out);
    return r;
}

/* A stream that keeps headers alone, or little behind them, has those; none has more than the shortest snaplen. */
static uint32_t common_bytes(void *context, const struct merge_frame *f, const struct pcapng_packet *p)
{
    struct pull *u = context;
    const struct vantage *v = &u->plan->places.vantage[f->vantage];
    struct packet packet;
    if (v->streams <= 1)
        return 0;
    uint32_t captured = p->captured < v->snaplen_min ? p->captured : v->snaplen_min;
    packet_decode(v->link_type, p->data, captured, p->wire, &packet);
    uint32_t headers = packet_headers(&packet);
    return headers < captured ? headers : captured;
}

/* ------------------------------------------------------------------ the answer */

static int write_tail(struct pull *u, struct error *e)
{
    for (uint32_t v = 0; v < u->plan->places.vantage_count; v++) {
        struct vantage *at = &u->plan->places.vantage[v];
        if (plan_hides_numbers(u->plan))
            manifest_hide_counters(&at->counters);
        if (u->interface_of[v] != UINT32_MAX)
            pcapng_write_statistics(&u->out, u->interface_of[v], at->first_ns <= at->last_ns ? at->last_ns : 0,
                                    at->first_ns <= at->last_ns ? at->first_ns : 0, at->last_ns, &at->counters, NULL);
    }
    if (u->out.failed)
        return error_set(e, ERROR_MEMORY, "no memory for the file's end");
    return plan_write(u->plan, u->out.data, u->out.len, true, e);
}

/* What is of another link type than the one asked for cannot be taken, and stands for nothing else. */
static void leave_other_links(struct plan *p)
{
    for (size_t i = 0; p->q->link_type != UINT32_MAX && i < flow_set_count(p->flows); i++) {
        struct flow_set_entry *f = flow_set_at(p->flows, i);
        const struct place *place = &p->places.place[f->sum.key.interface];
        if (!f->selected || p->places.vantage[place->vantage].link_type == p->q->link_type)
            continue;
        f->selected = false;
        p->selected--;
    }
}

static int prepare(struct pull *u, struct error *e)
{
    struct plan *p = u->plan;
    bool connection_words = filter_has_connection_words(p->asked, NULL);
    u->whole = connection_words && !p->q->packets_only;
    u->need_flow = connection_words || filter_has_places(p->asked) ||
                   (p->forced && (filter_has_connection_words(p->forced, NULL) || filter_has_places(p->forced)));
    u->snaplen = p->bounds->snaplen ? p->bounds->snaplen : UINT32_MAX;
    p->manifest.counts_packets = true;
    u->codec = frame_codec_new();
    if (!u->codec)
        return error_set(e, ERROR_MEMORY, "no memory for a query");
    int r = answer_refuse_exchange_words(
        p,
        "find them by `fleetdump http`, `dns` or `tls`, and pull their connections by `id` or `from`, `to` and `port`",
        e);
    if (r == 0)
        r = plan_sum(p, e);
    if (r == 0) {
        leave_other_links(p);
        r = covered_unselect(p, true, e);
    }
    if (r == 0 && p->q->vantage == VANTAGE_AUTO) {
        u->several = connections_choose_vantage(p, e);
        r = u->several < 0 ? (int)u->several : 0;
        u->dropped_some = u->several > 0;
    }
    u->every = filter_is_empty(p->filter) && !u->dropped_some;
    if (r == 0)
        r = connection_index_new(p, &u->index, e);
    if (r == 0)
        r = store_scan_chunks(p->reader, &p->scan, pick_chunk, u, e);
    return r ? r : one_link_type(u, e);
}

static void pull_free(struct pull *u)
{
    for (size_t i = 0; i < u->chunk_count; i++)
        store_body_close(u->chunks[i].body);
    free(u->chunks);
    free(u->frames);
    free(u->wanted);
    free(u->interface_of);
    connection_index_free(u->index);
    frame_codec_free(u->codec);
    buffer_free(&u->out);
}

int answer_pull(struct plan *p, struct error *e)
{
    struct pull u = {.plan = p};
    const struct merge_ops ops = {
        .load = load, .want = want, .emit = emit, .common_bytes = common_bytes, .context = &u};
    int r = prepare(&u, e);
    if (r == 0)
        r = write_head(&u, e);
    if (r == 0)
        r = merge_run(u.frames, u.frame_count, QUERY_FRAMES_OPEN_MAX, &ops, &u.duplicates, e);
    if (r == 0)
        r = write_tail(&u, e);
    p->packets = u.packets;
    p->duplicates = u.duplicates;
    p->several_vantages = (uint64_t)(u.several > 0 ? u.several : 0);
    pull_free(&u);
    return r;
}
