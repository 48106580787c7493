/*
 * Lists of what the collector knows, as JSON documents: an array of objects (agents, captures, chunks) or one object
 * (status).
 */
#include "collector/query/answers.h"
#include "common/base/glob.h"
#include "common/base/units.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)(v > INT64_MAX ? INT64_MAX : v));
}

static json_t *time_of(uint64_t ns)
{
    char text[64];
    return ns == 0 || ns == UINT64_MAX ? json_null() : json_string(units_rfc3339(ns, text, sizeof text));
}

static json_t *string(const char *s)
{
    json_t *j = json_string(s ? s : "");
    return j ? j : json_string("?");
}

static int write_json(struct plan *p, json_t *document, struct error *e)
{
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    if (!text)
        return error_set(e, ERROR_MEMORY, "no memory for the answer");
    int r = plan_write(p, text, strlen(text), true, e);
    free(text);
    return r;
}

/* ------------------------------------------------------------------ agents */

static json_t *addresses_json(const struct store_agent_info *a)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < a->address_count; i++) {
        char text[64];
        json_t *o = json_object();
        json_object_set_new(
            o, "address",
            json_string(packet_addr_text(a->addresses[i].family, a->addresses[i].addr, text, sizeof text)));
        json_object_set_new(o, "from_ns", number(a->addresses[i].from_ns));
        json_object_set_new(o, "to_ns", number(a->addresses[i].to_ns));
        json_array_append_new(list, o);
    }
    return list;
}

struct agents {
    const struct plan *plan;
    json_t *list;
};

static int by_name(const void *name, const void *one)
{
    return strcmp(name, ((const struct query_agent *)one)->name);
}

/* What is known of it now. */
static struct query_agent now_of(const struct query_live *live, const char *name)
{
    const struct query_agent *a =
        live->agent_count ? bsearch(name, live->agents, live->agent_count, sizeof *live->agents, by_name) : NULL;
    return a ? *a : (struct query_agent){0};
}

static bool is_seen(const struct plan *p, const char *agent)
{
    for (size_t i = 0; i < p->scan.agent_count; i++)
        if (glob_match(p->scan.agents[i], agent, strlen(agent)))
            return true;
    return p->scan.agent_count == 0;
}

/* What an agent has captured, as numbers. Takes what it said of itself. */
static void set_volumes(json_t *o, const struct store_agent_info *a, json_t *status)
{
    json_object_set_new(o, "chunks", number(a->chunks));
    json_object_set_new(o, "packets", number(a->packets));
    json_object_set_new(o, "bytes", number(a->bytes));
    json_object_set_new(o, "status", status ? status : json_null());
}

/* Why it is not here, or else what it said itself, or else what is not captured there. */
static json_t *problem_json(const struct query_agent *now, const json_t *status)
{
    const char *said = json_string_value(json_object_get(status, "problem"));
    return now->problem ? string(now->problem) : said ? string(said) : now->waits ? string(now->waits) : json_null();
}

static int add_agent(void *context, const struct store_agent_info *a)
{
    struct agents *x = context;
    if (!is_seen(x->plan, a->name))
        return 0;
    struct query_agent now = now_of(x->plan->live, a->name);
    bool hides = plan_hides_numbers(x->plan), said = !hides && a->status_json && a->status_json[0];
    json_t *status = said ? json_loads(a->status_json, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *o = json_object();
    json_object_set_new(o, "agent", string(a->name));
    json_object_set_new(o, "software", string(a->software));
    json_object_set_new(o, "labels", string(a->labels));
    json_object_set_new(o, "peer", string(a->peer));
    json_object_set_new(o, "first_seen", time_of(a->first_seen_ns));
    json_object_set_new(o, "connected", json_boolean(now.connected));
    json_object_set_new(o, "up", json_string(now.silent ? "silent" : now.connected ? "yes" : "no"));
    json_object_set_new(o, "last_seen", time_of(now.connected ? x->plan->live->asked_ns : a->last_seen_ns));
    json_object_set_new(o, "addresses", addresses_json(a));
    json_object_set_new(o, "problem", problem_json(&now, status));
    if (!hides)
        set_volumes(o, a, status);
    json_array_append_new(x->list, o);
    return 0;
}

int answer_agents(struct plan *p, struct error *e)
{
    struct agents x = {p, json_array()};
    int r = store_each_agent(p->reader, add_agent, &x, e);
    if (r == 0)
        return write_json(p, x.list, e);
    json_decref(x.list);
    return r;
}

/* ------------------------------------------------------------------ captures */

struct captures {
    const struct plan *plan;
    json_t *list;
    json_t *pauses; /* by capture: times in which nobody captured there */
};

/* Packets that passed and are not here. */
static uint64_t lost(const struct store_capture_info *c)
{
    uint64_t n = c->gap_packets;
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (counter_table[i].lost)
            n += c->totals.value[i];
    return n;
}

static void set_totals(json_t *o, const struct store_capture_info *c)
{
    json_object_set_new(o, "chunks", number(c->chunks));
    json_object_set_new(o, "rows", number(c->rows));
    json_object_set_new(o, "packets", number(c->packets));
    json_object_set_new(o, "bytes", number(c->bytes));
    json_object_set_new(o, "stored_bytes", number(c->stored_bytes));
    json_object_set_new(o, "gap_packets", number(c->gap_packets));
    json_object_set_new(o, "lost", number(lost(c)));
    json_t *counters = json_object();
    for (int i = 0; i < COUNTER_COUNT; i++)
        json_object_set_new(counters, counter_table[i].name, number(c->totals.value[i]));
    json_object_set_new(o, "counters", counters);
}

static int add_pause(void *context, const struct store_pause_info *p)
{
    struct captures *x = context;
    json_t *list = json_object_get(x->pauses, p->capture), *o = json_object();
    if (!list) {
        list = json_array();
        json_object_set_new(x->pauses, p->capture, list);
    }
    json_object_set_new(o, "agent", string(p->agent));
    json_object_set_new(o, "from", time_of(p->from_ns));
    json_object_set_new(o, "to", time_of(p->to_ns));
    json_array_append_new(list, o);
    return 0;
}

/* When a capture begins or ends, as far as that may be seen: of packets that a filter leaves, nobody remembers it. */
static json_t *seen_time(const struct plan *p, const struct store_capture_info *c, uint64_t ns)
{
    uint64_t since_ns = p->bounds->since_ns;
    if (c->first_ns > c->last_ns || c->last_ns < since_ns || p->bounds->filter)
        return json_null();
    return time_of(ns < since_ns ? since_ns : ns);
}

static int add_capture(void *context, const struct store_capture_info *c)
{
    struct captures *x = context;
    json_t *pauses = json_object_get(x->pauses, c->name);
    json_t *o = json_object();
    json_object_set_new(o, "capture", string(c->name));
    const char *filter = plan_shown_filter(x->plan, c->name, c->filter);
    json_object_set_new(o, "filter", filter ? string(filter) : json_null());
    json_object_set_new(o, "agents", string(c->agents));
    json_object_set_new(o, "first", seen_time(x->plan, c, c->first_ns));
    json_object_set_new(o, "last", seen_time(x->plan, c, c->last_ns));
    json_object_set_new(o, "arrived", time_of(c->last_arrived_ns));
    json_object_set_new(o, "streams", number(c->streams));
    json_object_set_new(o, "open_streams", number(c->open_streams));
    json_object_set_new(o, "not_captured_times", number(json_array_size(pauses)));
    json_object_set_new(o, "not_captured", pauses ? json_incref(pauses) : json_array());
    if (!plan_hides_numbers(x->plan))
        set_totals(o, c);
    json_array_append_new(x->list, o);
    return 0;
}

int answer_captures(struct plan *p, struct error *e)
{
    struct captures x = {p, json_array(), json_object()};
    int r = store_each_pause(p->reader, &p->scan, add_pause, &x, e);
    if (r == 0)
        r = store_each_capture(p->reader, &p->scan, add_capture, &x, e);
    json_decref(x.pauses);
    if (r == 0)
        return write_json(p, x.list, e);
    json_decref(x.list);
    return r;
}

/* ------------------------------------------------------------------ status */

int answer_status(struct plan *p, struct error *e)
{
    struct store_stats s;
    int r = store_stats(p->reader, &s, e);
    if (r)
        return r;
    json_t *o = json_object();
    json_object_set_new(o, "software", json_string("fleetdump " FLEETDUMP_VERSION));
    json_object_set_new(o, "partitions", number(s.partitions));
    json_object_set_new(o, "open_partitions", number(s.open_partitions));
    json_object_set_new(o, "chunks", number(s.chunks));
    json_object_set_new(o, "rows", number(s.rows));
    json_object_set_new(o, "packets", number(s.packets));
    json_object_set_new(o, "head_bytes", number(s.head_bytes));
    json_object_set_new(o, "body_bytes", number(s.body_bytes));
    json_object_set_new(o, "database_bytes", number(s.database_bytes));
    json_object_set_new(o, "disk_free_bytes", number(s.free_bytes));
    json_object_set_new(o, "disk_total_bytes", number(s.total_bytes));
    json_object_set_new(o, "oldest", time_of(s.oldest_ns));
    json_object_set_new(o, "newest", time_of(s.newest_ns));
    json_object_set_new(o, "expired_chunks", number(s.expired_chunks));
    json_object_set_new(o, "expired_bytes", number(s.expired_bytes));
    json_object_set_new(o, "problem", p->live->problem[0] ? string(p->live->problem) : json_null());
    return write_json(p, o, e);
}

/* ------------------------------------------------------------------ chunks */

static void hex(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int add_chunk(void *context, struct store_chunk *c, bool excluded, struct error *e)
{
    static const char *const kinds[] = {[HEAD_CHUNK] = "chunk", [HEAD_GAP] = "gap", [HEAD_END] = "end"};
    const struct chunk_head *h = &c->head;
    char epoch[2 * EPOCH_SIZE + 1], id[2 * EPOCH_SIZE + 32];
    (void)e;
    if (excluded)
        return 0;
    hex(h->epoch, EPOCH_SIZE, epoch);
    snprintf(id, sizeof id, "%s.%llu", epoch, (unsigned long long)h->seq);
    json_t *o = json_object();
    json_object_set_new(o, "chunk", json_string(id));
    json_object_set_new(o, "agent", string(h->agent));
    json_object_set_new(o, "capture", string(h->capture));
    json_object_set_new(o, "kind", json_string(h->kind <= HEAD_END && kinds[h->kind] ? kinds[h->kind] : "?"));
    json_object_set_new(o, "reason",
                        string(h->kind == HEAD_GAP     ? head_gap_name(h->gap)
                               : h->kind == HEAD_CHUNK ? head_seal_name(h->seal)
                                                       : ""));
    json_object_set_new(o, "first", h->first_ns <= h->last_ns ? time_of(h->first_ns) : json_null());
    json_object_set_new(o, "last", h->first_ns <= h->last_ns ? time_of(h->last_ns) : json_null());
    json_object_set_new(o, "arrived", time_of(c->arrived_ns));
    json_object_set_new(o, "rows", number(h->flow_rows));
    json_object_set_new(o, "frames", number(h->frame_count));
    json_object_set_new(o, "packets", number(h->totals.value[COUNTER_KEPT]));
    json_object_set_new(o, "body", string(body_state_name((int)c->body_state)));
    json_object_set_new(o, "body_bytes", number(h->body_length));
    json_object_set_new(o, "body_raw_bytes", number(h->body_raw_length));
    json_array_append_new(context, o);
    return 0;
}

int answer_chunks(struct plan *p, struct error *e)
{
    json_t *list = json_array();
    int r = store_scan_chunks(p->reader, &p->scan, add_chunk, list, e);
    if (r == 0)
        return write_json(p, list, e);
    json_decref(list);
    return r;
}

/* ------------------------------------------------------------------ export */

/* A chunk of an agent that may not be seen is not there. */
static int may_export(const struct plan *p, struct error *e)
{
    struct store_chunk *c = NULL;
    int r = p->bounds->agents ? store_chunk_get(p->reader, p->q->epoch, p->q->seq, &c, e) : 0;
    if (c && !is_seen(p, c->head.agent))
        r = error_set(e, ERROR_NOT_FOUND, "there is no such chunk among the agents that you are bound to");
    if (c)
        store_chunk_free(c);
    return r;
}

int answer_export(struct plan *p, struct error *e)
{
    struct store_body *body = NULL;
    struct body_source source;
    int r = may_export(p, e);
    if (r == 0)
        r = store_body_open(p->reader, p->q->epoch, p->q->seq, &body, &source, e);
    if (r)
        return r;
    uint8_t *piece = malloc(NET_PIECE_MAX);
    if (!piece)
        r = error_set(e, ERROR_MEMORY, "no memory for the answer");
    for (uint64_t at = 0; r == 0 && at < source.length;) {
        size_t n = source.length - at < NET_PIECE_MAX ? (size_t)(source.length - at) : NET_PIECE_MAX;
        r = source.read(source.context, at, piece, n, e);
        at += n;
        if (r == 0)
            r = plan_cancelled(p, e);
        if (r == 0)
            r = plan_write(p, piece, n, at == source.length, e);
    }
    free(piece);
    store_body_close(body);
    return r;
}
