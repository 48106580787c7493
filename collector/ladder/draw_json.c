/*
 * For programs: an object with the connection, its vantages, and the packets in order. Each packet's object is made and
 * written by itself, so that memory does not grow with them.
 */
#include "collector/ladder/draw_lines.h"
#include "collector/ladder/ladder_story.h"
#include "common/base/units.h"
#include <jansson.h>

struct json {
    const struct ladder *l;
    const struct draw_options *o;
    struct buffer *out;
    bool failed; /* for want of memory */
};

static int write_piece(const char *text, size_t len, void *context)
{
    buffer_append(context, text, len);
    return 0;
}

/* Takes the value over. */
static void put(struct json *j, json_t *value)
{
    if (!value || json_dump_callback(value, write_piece, j->out, JSON_COMPACT | JSON_ENCODE_ANY))
        j->failed = true;
    json_decref(value);
}

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static void set_number(json_t *object, const char *key, int64_t value)
{
    set(object, key, json_integer(value));
}

/* The same as JSON wants it: bytes that are no UTF-8 are left to jansson's judgement. */
static json_t *text(const char *t)
{
    json_t *value = json_string(t);
    return value ? value : json_string("?");
}

static void set_time(json_t *object, const char *key, uint64_t ns)
{
    char buf[40];
    set(object, key, json_string(units_rfc3339(ns, buf, sizeof buf)));
}

/* ------------------------------------------------------------------ the connection */

static json_t *end_json(const struct ladder_end *end)
{
    char addr[46];
    json_t *o = json_object();
    set(o, "addr", json_string(packet_addr_text(end->family, end->addr, addr, sizeof addr)));
    if (end->has_port)
        set_number(o, "port", end->port);
    return o;
}

static json_t *story_json(const struct ladder *l)
{
    const struct ladder_story *s = &l->story;
    json_t *o = json_object();
    if (s->open) {
        set(o, "open", json_string(ladder_mark_name(s->open)));
        set(o, "opened", json_boolean(s->opened));
    }
    if (s->opened)
        set_number(o, "open_ns", s->open_ns);
    if (s->close) {
        set(o, "close", json_string(ladder_mark_name(s->close)));
        set(o, "closed", json_boolean(s->closed));
        set(o, "closer", json_string(ladder_side_name(s->closer)));
    }
    if (s->closed)
        set_number(o, "close_ns", s->close_ns);
    return o;
}

static void put_connection(struct json *j)
{
    const struct ladder *l = j->l;
    char proto[32];
    struct flow_key key = {.family = l->end[0].family, .proto = l->proto, .ethertype = l->ethertype};
    json_t *o = json_object();
    if (j->o->id)
        set(o, "id", json_string(j->o->id));
    set(o, "proto", json_string(packet_proto_name(&key, proto, sizeof proto)));
    if (said_protocol_name(l->protocol))
        set(o, "application", json_string(said_protocol_name(l->protocol)));
    set(o, "client", end_json(&l->end[LADDER_CLIENT]));
    set(o, "server", end_json(&l->end[LADDER_SERVER]));
    set_number(o, "packets", l->row_count);
    if (l->row_count) {
        set_time(o, "first", l->rows[0].time_ns);
        set_number(o, "duration_ns", (int64_t)(l->rows[l->row_count - 1].time_ns - l->rows[0].time_ns));
    }
    if (l->proto == PROTO_TCP)
        set(o, "tcp", story_json(l));
    put(j, o);
}

static void put_vantages(struct json *j)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < j->l->vantages; i++) {
        const struct ladder_vantage *v = &j->l->vantage[i];
        json_t *o = json_object();
        set(o, "vantage", text(v->name));
        set_number(o, "packets", v->sights);
        if (v->sights) {
            set_time(o, "first", v->first_ns);
            set_time(o, "last", v->last_ns);
        }
        set(o, "reference", json_boolean(i == j->l->reference));
        if (v->estimated) {
            set_number(o, "clock_ahead_ns", v->ahead_ns);
            set_number(o, "away_ns", v->away_ns);
        }
        (void)json_array_append_new(list, o);
    }
    put(j, list);
}

/* ------------------------------------------------------------------ packets */

static json_t *step_json(const struct ladder_step *s)
{
    json_t *o = json_object();
    set(o, "kind", json_string(ladder_mark_name(s->mark)));
    set_number(o, "step", s->at);
    set_number(o, "of", s->of);
    return o;
}

static json_t *findings_json(uint16_t findings)
{
    json_t *list = json_array();
    for (const struct tcp_finding_name *n = tcp_finding_names; n->name; n++)
        if (findings & n->finding)
            (void)json_array_append_new(list, json_string(n->name));
    return list;
}

static json_t *flags_json(uint16_t flags)
{
    static const char *const names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"};
    json_t *list = json_array();
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (flags & 1u << i)
            (void)json_array_append_new(list, json_string(names[i]));
    return list;
}

static void set_tcp(json_t *o, const struct ladder_sight *s)
{
    const struct tcp_reading *r = &s->reading;
    set(o, "flags", flags_json(s->segment.flags));
    set_number(o, "seq", r->seq);
    if (s->segment.flags & TCP_ACK)
        set_number(o, "ack", r->ack);
    if (s->segment.whole)
        set_number(o, "next", r->next);
    set_number(o, "window", r->window);
    if (r->duplicate) {
        set_number(o, "duplicate_ack", r->duplicate);
        set_number(o, "duplicate_ack_of", r->duplicate_of);
    }
}

static void set_segment_fields(json_t *o, const struct ladder_sight *s)
{
    const struct tcp_segment *g = &s->segment;
    set_number(o, "raw_seq", g->seq);
    set_number(o, "raw_ack", g->ack);
    set_number(o, "raw_window", g->window);
    if (g->mss)
        set_number(o, "mss", g->mss);
    if (g->scale >= 0)
        set_number(o, "window_scale", g->scale);
    if (g->has_stamp) {
        set_number(o, "timestamp", g->stamp);
        set_number(o, "timestamp_echo", g->echo);
    }
    if (g->sacks) {
        set_number(o, "sack_left", s->reading.ack + (g->sack_left - g->ack));
        set_number(o, "sack_right", s->reading.ack + (g->sack_right - g->ack));
    }
}

static void set_reading_fields(json_t *o, const struct tcp_reading *r)
{
    if (r->in_flight) {
        set_number(o, "in_flight", r->in_flight);
        set_number(o, "pushed", r->pushed);
    }
    if (r->acks) {
        set_number(o, "acks", r->acks);
        set_number(o, "acks_after_ns", r->acks_after_ns);
    }
    if (r->rto_of) {
        set_number(o, "rto_of", r->rto_of);
        set_number(o, "rto_ns", r->rto_ns);
    }
}

static json_t *sight_json(const struct json *j, const struct ladder_sight *s)
{
    json_t *o = json_object();
    set(o, "vantage", text(j->l->vantage[s->vantage].name));
    set_number(o, "number", s->number);
    set_time(o, "time", s->time_ns);
    if (s->has_tcp)
        set(o, "findings", findings_json(s->reading.findings));
    if (!j->o->full)
        return o;
    set_number(o, "ip_id", s->id);
    set_number(o, "hop_limit", s->hop_limit);
    set_number(o, "wire", s->wire);
    set_number(o, "captured", s->captured);
    set_number(o, "length", s->length);
    if (s->has_tcp) {
        set_segment_fields(o, s);
        set_reading_fields(o, &s->reading);
    }
    return o;
}

static json_t *sights_json(const struct json *j, const struct ladder_row *row)
{
    json_t *list = json_array();
    for (uint32_t v = 0; v < j->l->vantages; v++)
        for (uint32_t i = row->sight[v]; i != LADDER_NONE; i = j->l->sights[i].more)
            (void)json_array_append_new(list, sight_json(j, &j->l->sights[i]));
    return list;
}

static void set_missing(json_t *o, const struct json *j, const struct ladder_row *row)
{
    json_t *list = json_array();
    for (uint32_t v = 0; v < j->l->vantages; v++)
        if (ladder_missed(j->l, row, v))
            (void)json_array_append_new(list, text(j->l->vantage[v].name));
    if (json_array_size(list))
        set(o, "not_seen_at", json_incref(list));
    json_decref(list);
}

static void set_said(json_t *o, const struct json *j, const struct ladder_row *row)
{
    for (uint32_t v = 0; v < j->l->vantages; v++)
        for (uint32_t i = row->sight[v]; i != LADDER_NONE; i = j->l->sights[i].more)
            if (j->l->sights[i].said) {
                set(o, "application", json_string(said_protocol_name(j->l->sights[i].protocol)));
                set(o, "said", text(j->l->sights[i].said));
                return;
            }
}

static json_t *row_json(const struct json *j, uint32_t index)
{
    const struct ladder_row *row = &j->l->rows[index];
    const struct ladder_sight *s = ladder_main(j->l, row);
    json_t *o = json_object();
    int64_t between;
    set_number(o, "packet", index + 1);
    set_time(o, "time", s->time_ns);
    if (index)
        set_number(o, "delta_ns", (int64_t)(row->time_ns - row[-1].time_ns));
    set(o, "from", json_string(ladder_side_name(s->from)));
    set_number(o, "length", s->length);
    if (s->has_tcp)
        set_tcp(o, s);
    set(o, "findings", findings_json(ladder_findings(j->l, row, s->vantage)));
    if (row->open.mark)
        set(o, "open", step_json(&row->open));
    if (row->close.mark)
        set(o, "close", step_json(&row->close));
    set_said(o, j, row);
    if (s->fragment)
        set(o, "fragment", json_true());
    if (ladder_between(j->l, row, &between))
        set_number(o, "between_ns", between);
    set_missing(o, j, row);
    set(o, "seen", sights_json(j, row));
    return o;
}

int draw_json(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e)
{
    struct json j = {.l = l, .o = o, .out = out};
    uint32_t count = o->limit && o->limit < l->row_count ? (uint32_t)o->limit : l->row_count;
    buffer_printf(out, "{\"connection\": ");
    put_connection(&j);
    buffer_printf(out, ",\n\"vantages\": ");
    put_vantages(&j);
    buffer_printf(out, ",\n\"packets\": [");
    for (uint32_t i = 0; i < count && !j.failed && !out->failed; i++) {
        buffer_printf(out, i ? ",\n" : "\n");
        put(&j, row_json(&j, i));
    }
    buffer_printf(out, "\n]}\n");
    if (j.failed)
        return error_set(e, ERROR_MEMORY, "no memory for JSON");
    return out->failed ? error_set(e, ERROR_LIMIT, "the drawing gets too large; use --limit") : 0;
}
