#include "collector/query/query.h"
#include "collector/query/answers.h"
#include "common/base/units.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every kind of question, once. */
static const struct kind {
    int (*answer)(struct plan *p, struct error *e);
    bool of_flows; /* has a filter, may be empty or incomplete */
} kinds[] = {
    [QUERY_AGENTS] = {answer_agents, false}, [QUERY_CAPTURES] = {answer_captures, false},
    [QUERY_STATUS] = {answer_status, false}, [QUERY_FLOWS] = {answer_flows, true},
    [QUERY_PULL] = {answer_pull, true},      [QUERY_CHUNKS] = {answer_chunks, false},
    [QUERY_EXPORT] = {answer_export, false}, [QUERY_EXCHANGES] = {answer_exchanges, true},
};

static void say_incomplete(const struct plan *p, struct query_outcome *out)
{
    struct buffer text = {.limit = ERROR_TEXT_MAX * 4};
    manifest_say(&p->manifest, &text);
    while (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    buffer_u8(&text, 0);
    out->code = ERROR_INCOMPLETE;
    snprintf(out->text, sizeof out->text, "%s",
             text.failed ? "parts inside the question are missing: see the manifest" : (const char *)text.data);
    buffer_free(&text);
}

static void put_mark(const struct plan *p, json_t *manifest)
{
    struct buffer mark = {0};
    if (!p->after)
        return;
    after_mark(p->after, &mark);
    json_object_set_new(manifest, "next", json_stringn((const char *)mark.data, mark.len));
    buffer_free(&mark);
}

/* Empty if there are none. */
static json_t *bounds_json(const struct query_bounds *b)
{
    char text[64];
    json_t *o = json_object();
    if (b->labels)
        json_object_set_new(o, "labels", json_string(b->labels));
    if (b->filter)
        json_object_set_new(o, "filter", json_string(b->filter));
    if (b->snaplen)
        json_object_set_new(o, "snaplen", json_integer(b->snaplen));
    if (b->since_ns)
        json_object_set_new(o, "since", json_string(units_rfc3339(b->since_ns, text, sizeof text)));
    return o;
}

char *query_bounds_manifest(const struct query_bounds *b)
{
    json_t *bounds = bounds_json(b), *o = json_object();
    if (json_object_size(bounds))
        json_object_set(o, "bounds", bounds);
    char *text = json_object_size(o) ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    json_decref(bounds);
    return text;
}

/* What the question was bound to, and what that cost. */
static void put_bounds(const struct plan *p, json_t *manifest)
{
    json_t *o = bounds_json(p->bounds);
    if (json_object_size(o)) {
        json_object_set_new(o, "flows_left_out", json_integer((json_int_t)p->flows_left_out));
        json_object_set_new(o, "exchanges_left_out", json_integer((json_int_t)p->exchanges_left_out));
        json_object_set_new(o, "rows_left_out", json_integer((json_int_t)p->rows_left_out));
        json_object_set_new(o, "packets_cut", json_integer((json_int_t)p->packets_cut));
        json_object_set(manifest, "bounds", o);
    }
    json_decref(o);
}

/* The manifest of what is not about flows: bounds alone. */
static char *small_manifest(const struct plan *p)
{
    json_t *o = json_object();
    put_bounds(p, o);
    char *text = json_object_size(o) ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return text;
}

static char *full_manifest(const struct plan *p)
{
    char *text = manifest_json(&p->manifest, p->q->filter, p->q->since_ns, p->q->until_ns);
    json_t *o = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    if (!o)
        return NULL;
    json_object_set_new(o, p->manifest.counts_exchanges ? "selected_exchanges" : "selected_flows",
                        json_integer((json_int_t)p->selected));
    if (p->manifest.counts_exchanges) {
        json_object_set_new(o, "seen_by_several_agents", json_integer((json_int_t)p->shared));
        json_object_set_new(o, "running", json_integer((json_int_t)p->running));
    }
    json_object_set_new(o, "duplicates", json_integer((json_int_t)p->duplicates));
    json_object_set_new(o, "several_vantages", json_integer((json_int_t)p->several_vantages));
    put_mark(p, o);
    put_bounds(p, o);
    text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

static void conclude(struct plan *p, int r, const struct error *e, struct query_outcome *out)
{
    if (r) {
        out->code = r;
        snprintf(out->text, sizeof out->text, "%s", e->text);
        return;
    }
    if (plan_hides_numbers(p))
        manifest_hide_numbers(&p->manifest);
    if (!manifest_complete(&p->manifest))
        say_incomplete(p, out);
    else if (p->selected == 0 && !p->after && (p->bounds->agents || p->bounds->filter || p->bounds->since_ns))
        snprintf(out->text, sizeof out->text, "nothing found among what you may see");
    else if (p->selected == 0 && !p->after)
        explain_empty(&p->explain, p->reader, p->chunks_seen,
                      &(struct explain_what){p->manifest.counts_exchanges, p->q->app, p->exchanges_seen}, out->text);
    out->manifest = full_manifest(p);
}

void query_run(struct store *s, const struct message_query *q, const struct query_bounds *bounds,
               const struct query_live *live, const struct query_sink *sink, const atomic_bool *cancel,
               struct query_outcome *out)
{
    struct plan p;
    struct error e = ERROR_INIT;
    *out = (struct query_outcome){0};
    if (q->kind >= sizeof kinds / sizeof kinds[0] || !kinds[q->kind].answer) {
        out->code = ERROR_UNSUPPORTED;
        snprintf(out->text, sizeof out->text,
                 "this collector does not know questions of kind %u: is it older than the command line?", q->kind);
        return;
    }
    int r = plan_open(&p, s, q, bounds, live, sink, cancel, &e);
    if (r == 0)
        r = kinds[q->kind].answer(&p, &e);
    if (kinds[q->kind].of_flows)
        conclude(&p, r, &e, out);
    else if (r) {
        out->code = r;
        snprintf(out->text, sizeof out->text, "%s", e.text);
    } else
        out->manifest = small_manifest(&p);
    out->rows = p.rows;
    out->packets = p.packets;
    out->bytes = p.bytes;
    plan_close(&p);
}
