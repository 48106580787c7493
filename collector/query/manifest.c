#include "collector/query/manifest.h"
#include "common/base/units.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSES_SAID 3u

struct manifest_agent *manifest_agent(struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->agents[i].name, name) == 0)
            return &m->agents[i];
    struct manifest_agent *grown = realloc(m->agents, (m->count + 1) * sizeof *grown);
    char *copy = strdup(name);
    if (grown)
        m->agents = grown;
    if (!grown || !copy) {
        free(copy);
        return NULL;
    }
    grown[m->count] = (struct manifest_agent){.name = copy};
    return &grown[m->count++];
}

void manifest_free(struct manifest *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->agents[i].name);
    free(m->agents);
    *m = (struct manifest){0};
}

void manifest_chunk(struct manifest_agent *a, const struct store_chunk *c)
{
    if (c->head.kind == HEAD_CHUNK) {
        a->chunks++;
        counters_add(&a->counters, &c->head.totals);
    } else if (c->head.kind == HEAD_GAP) {
        a->gaps += c->head.last_seq - c->head.seq + 1;
        a->gap_packets += c->head.totals.value[COUNTER_KEPT];
        if (c->head.gap <= GAP_EXPIRED)
            a->gap_by[c->head.gap] += c->head.totals.value[COUNTER_KEPT];
    }
}

void manifest_open(struct manifest_agent *a, uint64_t reaches_ns, const char *why)
{
    if (a->open_streams++ == 0 || reaches_ns < a->reaches_ns)
        a->reaches_ns = reaches_ns;
    if (why && !a->why[0])
        snprintf(a->why, sizeof a->why, "%.250s", why);
}

void manifest_dropped(struct manifest_agent *a, const struct store_dropped_info *d)
{
    if (a->dropped++ == 0 || d->first_ns < a->dropped_first_ns)
        a->dropped_first_ns = d->first_ns;
    if (d->last_ns > a->dropped_last_ns)
        a->dropped_last_ns = d->last_ns;
}

void manifest_paused(struct manifest_agent *a, uint64_t from_ns, uint64_t to_ns)
{
    for (size_t i = 0; i < a->pause_count && i < MANIFEST_PAUSES_MAX; i++) {
        struct manifest_pause *p = &a->pauses[i];
        if (from_ns > p->to_ns || to_ns < p->from_ns)
            continue;
        p->from_ns = from_ns < p->from_ns ? from_ns : p->from_ns;
        p->to_ns = to_ns > p->to_ns ? to_ns : p->to_ns;
        return;
    }
    if (a->pause_count < MANIFEST_PAUSES_MAX)
        a->pauses[a->pause_count] = (struct manifest_pause){from_ns, to_ns};
    a->pause_count++;
}

void manifest_damaged(struct manifest_agent *a, const struct error *why)
{
    if (a->damaged++ == 0)
        snprintf(a->problem, sizeof a->problem, "%.250s", why->text);
}

void manifest_hide_counters(struct counters *c)
{
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (!counter_table[i].lost)
            c->value[i] = COUNTER_HIDDEN;
}

void manifest_hide_numbers(struct manifest *m)
{
    for (size_t i = 0; i < m->count; i++) {
        manifest_hide_counters(&m->agents[i].counters);
        m->agents[i].missing_packets = m->agents[i].chunks = 0;
    }
    m->hides_numbers = true;
}

static uint64_t bodies_missing(const struct manifest_agent *a)
{
    uint64_t n = 0;
    for (int s = 0; s <= BODY_EXPIRED; s++)
        n += a->missing_bodies[s];
    return n;
}

static uint64_t losses(const struct manifest_agent *a)
{
    uint64_t n = 0;
    for (int c = 0; c < COUNTER_COUNT; c++)
        if (counter_table[c].lost)
            n += a->counters.value[c];
    return n;
}

static bool agent_complete(const struct manifest *m, const struct manifest_agent *a)
{
    return losses(a) == 0 && a->gaps == 0 && a->damaged == 0 && a->open_streams == 0 && a->dropped == 0 &&
           a->pause_count == 0 && (!m->counts_packets || bodies_missing(a) == 0);
}

bool manifest_complete(const struct manifest *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (!agent_complete(m, &m->agents[i]))
            return false;
    return true;
}

/* ", " between the parts of a sentence that began at `start`. */
static void part(struct buffer *out, size_t start)
{
    if (out->len > start)
        buffer_append(out, ", ", 2);
}

/* Packets of so many chunks are not here. */
static void say_bodies(int state, uint64_t chunks, struct buffer *out)
{
    static const char *const why[] = {
        [BODY_ON_AGENT] = "have not come from the agent yet",
        [BODY_STORED] = "cannot be read",
        [BODY_EVICTED] = "were given up on the agent for want of room",
        [BODY_EXPIRED] = "have expired",
    };
    if (state == BODY_NEVER)
        buffer_printf(out, "packets were not kept: only flows were captured");
    else
        buffer_printf(out, "packets of %llu chunk%s %s", (unsigned long long)chunks, units_plural(chunks), why[state]);
}

static void say_pauses(const struct manifest_agent *a, struct buffer *out)
{
    char from[64], to[64];
    for (size_t i = 0; i < a->pause_count && i < PAUSES_SAID; i++)
        buffer_printf(out, "%s%s to %s", i ? ", " : "not captured ",
                      units_format(UNIT_TIME_NS, a->pauses[i].from_ns, from, sizeof from),
                      units_format(UNIT_TIME_NS, a->pauses[i].to_ns, to, sizeof to));
    if (a->pause_count > PAUSES_SAID)
        buffer_printf(out, " and %llu times more", (unsigned long long)(a->pause_count - PAUSES_SAID));
    buffer_printf(out, " (the agent or its capturer was down)");
}

static void say_agent(const struct manifest *m, const struct manifest_agent *a, struct buffer *out)
{
    char text[200];
    buffer_printf(out, "%s: ", a->name);
    size_t start = out->len;
    for (int c = 0; c < COUNTER_COUNT; c++)
        if (counter_table[c].lost && a->counters.value[c]) {
            part(out, start);
            buffer_printf(out, "%s", counter_say_lost((enum counter)c, a->counters.value[c], text, sizeof text));
        }
    for (int g = GAP_QUOTA; g <= GAP_EXPIRED; g++)
        if (a->gap_by[g]) {
            part(out, start);
            buffer_printf(out, "%llu packet%s given up: %s", (unsigned long long)a->gap_by[g],
                          units_plural(a->gap_by[g]), head_gap_words(g));
        }
    if (a->gaps && a->gap_packets == 0) {
        part(out, start);
        buffer_printf(out, "%llu chunk%s missing without a count", (unsigned long long)a->gaps, units_plural(a->gaps));
    }
    for (int s = 0; m->counts_packets && s <= BODY_EXPIRED; s++)
        if (a->missing_bodies[s]) {
            part(out, start);
            say_bodies(s, a->missing_bodies[s], out);
        }
    if (a->pause_count) {
        part(out, start);
        say_pauses(a, out);
    }
    if (a->damaged) {
        part(out, start);
        buffer_printf(out, "%llu chunk%s damaged (%s)", (unsigned long long)a->damaged, units_plural(a->damaged),
                      a->problem);
    }
    if (a->dropped) {
        char first[64], last[64];
        part(out, start);
        buffer_printf(out, "flows and packets of %s to %s have expired",
                      units_format(UNIT_TIME_NS, a->dropped_first_ns, first, sizeof first),
                      units_format(UNIT_TIME_NS, a->dropped_last_ns, last, sizeof last));
    }
    if (a->open_streams) {
        char when[64];
        part(out, start);
        buffer_printf(out, "%s, ", a->why[0] ? a->why : "still sending");
        if (a->reaches_ns)
            buffer_printf(out, "data reaches until %s", units_format(UNIT_TIME_NS, a->reaches_ns, when, sizeof when));
        else
            buffer_printf(out, "nothing arrived yet");
    }
    buffer_append(out, "\n", 1);
}

void manifest_say(const struct manifest *m, struct buffer *out)
{
    for (size_t i = 0; i < m->count; i++)
        if (!agent_complete(m, &m->agents[i]))
            say_agent(m, &m->agents[i], out);
}

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)(v > INT64_MAX ? INT64_MAX : v));
}

static json_t *time_or_null(uint64_t ns, uint64_t none)
{
    char text[64];
    return ns == none ? json_null() : json_string(units_rfc3339(ns, text, sizeof text));
}

static json_t *pauses_json(const struct manifest_agent *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->pause_count && i < MANIFEST_PAUSES_MAX; i++) {
        json_t *o = json_object();
        json_object_set_new(o, "from", time_or_null(a->pauses[i].from_ns, UINT64_MAX));
        json_object_set_new(o, "to", time_or_null(a->pauses[i].to_ns, UINT64_MAX));
        json_array_append_new(list, o);
    }
    return list;
}

/* A number that is not for the asker is not 0. */
static json_t *unless_hidden(const struct manifest *m, uint64_t v)
{
    return m->hides_numbers ? json_null() : number(v);
}

/* What is in the answer. */
static void put_held(const struct manifest *m, json_t *o, uint64_t flows, uint64_t exchanges, uint64_t packets,
                     uint64_t bytes)
{
    if (m->counts_exchanges) {
        json_object_set_new(o, "exchanges", number(exchanges));
        return;
    }
    if (!m->counts_packets)
        json_object_set_new(o, "flows", number(flows));
    json_object_set_new(o, "packets", number(packets));
    json_object_set_new(o, "bytes", number(bytes));
}

static json_t *agent_json(const struct manifest *m, const struct manifest_agent *a)
{
    json_t *o = json_object(), *counters = json_object(), *gaps = json_object(), *bodies = json_object();
    for (int c = 0; c < COUNTER_COUNT; c++)
        json_object_set_new(counters, counter_table[c].name,
                            counter_table[c].lost ? number(a->counters.value[c])
                                                  : unless_hidden(m, a->counters.value[c]));
    for (int g = GAP_QUOTA; g <= GAP_EXPIRED; g++)
        if (a->gap_by[g])
            json_object_set_new(gaps, head_gap_name(g), number(a->gap_by[g]));
    for (int s = 0; s <= BODY_EXPIRED; s++)
        if (a->missing_bodies[s])
            json_object_set_new(bodies, body_state_name(s), number(a->missing_bodies[s]));
    json_object_set_new(o, "agent", json_string(a->name));
    json_object_set_new(o, "complete", json_boolean(agent_complete(m, a)));
    put_held(m, o, a->flows, a->exchanges, a->packets, a->bytes);
    json_object_set_new(o, "chunks", unless_hidden(m, a->chunks));
    json_object_set_new(o, "counters", counters);
    json_object_set_new(o, "gap_chunks", number(a->gaps));
    json_object_set_new(o, "gap_packets", gaps);
    json_object_set_new(o, "missing_bodies", bodies);
    json_object_set_new(o, "missing_packets", unless_hidden(m, a->missing_packets));
    json_object_set_new(o, "damaged_chunks", number(a->damaged));
    json_object_set_new(o, "not_captured", pauses_json(a));
    json_object_set_new(o, "not_captured_times", number(a->pause_count));
    json_object_set_new(o, "expired_streams", number(a->dropped));
    json_object_set_new(o, "expired_since", a->dropped ? time_or_null(a->dropped_first_ns, UINT64_MAX) : json_null());
    json_object_set_new(o, "expired_until", a->dropped ? time_or_null(a->dropped_last_ns, UINT64_MAX) : json_null());
    json_object_set_new(o, "open_streams", number(a->open_streams));
    json_object_set_new(o, "reaches_until", a->open_streams ? time_or_null(a->reaches_ns, 0) : json_null());
    json_object_set_new(o, "reaches_no_further",
                        a->open_streams ? json_string(a->why[0] ? a->why : "still sending") : json_null());
    return o;
}

char *manifest_json(const struct manifest *m, const char *filter, uint64_t since_ns, uint64_t until_ns)
{
    json_t *o = json_object(), *agents = json_array();
    uint64_t packets = 0, bytes = 0, flows = 0, exchanges = 0;
    for (size_t i = 0; i < m->count; i++) {
        json_array_append_new(agents, agent_json(m, &m->agents[i]));
        packets += m->agents[i].packets;
        bytes += m->agents[i].bytes;
        flows += m->agents[i].flows;
        exchanges += m->agents[i].exchanges;
    }
    json_object_set_new(o, "filter", json_string(filter ? filter : ""));
    json_object_set_new(o, "since", time_or_null(since_ns, 0));
    json_object_set_new(o, "until", time_or_null(until_ns, UINT64_MAX));
    json_object_set_new(o, "complete", json_boolean(manifest_complete(m)));
    put_held(m, o, flows, exchanges, packets, bytes);
    json_object_set_new(o, "agents", agents);
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}
