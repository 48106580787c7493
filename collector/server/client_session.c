/*
 * A client's connection: each question runs on a thread of its own, which puts its answer into a bounded queue; the loop sends from it as fast as the client reads.
 * Before that, agents are asked for what they have (fresh.h). What the loop itself knows (orders) is answered at once.
 *
 * Threads: run_query, put on the question's thread; all else on the loop's. They share `pieces`, `finished`, `cancel` under `mutex`.
 */
#include "collector/query/query.h"
#include "collector/server/admin.h"
#include "collector/server/fresh.h"
#include "collector/server/orders.h"
#include "collector/server/rights.h"
#include "collector/server/session.h"
#include "collector/server/trail.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include <stdlib.h>
#include <string.h>

#define QUEUE_BYTES (8u << 20) /* of an answer that wait for the client */

struct piece {
    struct piece *next;
    uint32_t length;
    bool end_of_block;
    uint8_t data[];
};

struct query_task {
    struct session *session;
    struct message_query q; /* a copy: text is owned */
    struct message held;    /* what q's memory belongs to */
    uint64_t asked_ns;
    struct fresh_wait *fresh; /* agents are asked; then no thread runs yet */
    struct rights_grant grant;
    struct query_live live;
    uv_thread_t thread;
    bool threaded;
    uv_async_t wake_loop;
    uv_timer_t deadline;
    unsigned handles; /* open: freed when 0 */
    uv_mutex_t mutex;
    uv_cond_t wake_thread;
    struct piece *first, **last;
    size_t queued;
    atomic_bool cancel;
    bool late;    /* cancelled by the deadline */
    bool lowered; /* cancelled, since he who asked has fewer rights now: nothing more of the answer is sent */
    bool finished;
    struct query_outcome outcome;
};

/* ------------------------------------------------------------------ the question's thread */

static int put(void *context, const void *data, size_t len, bool end_of_block, struct error *e)
{
    struct query_task *t = context;
    struct piece *p = malloc(sizeof *p + len);
    if (!p)
        return error_set(e, ERROR_MEMORY, "no memory for the answer");
    *p = (struct piece){.length = (uint32_t)len, .end_of_block = end_of_block};
    memcpy(p->data, data, len);
    uv_mutex_lock(&t->mutex);
    while (t->queued > QUEUE_BYTES && !atomic_load(&t->cancel))
        uv_cond_wait(&t->wake_thread, &t->mutex);
    bool cancelled = atomic_load(&t->cancel);
    if (!cancelled) {
        *t->last = p;
        t->last = &p->next;
        t->queued += len;
    }
    uv_mutex_unlock(&t->mutex);
    if (cancelled) {
        free(p);
        return error_set(e, ERROR_CANCELLED, "the query was cancelled");
    }
    uv_async_send(&t->wake_loop);
    return 0;
}

static void run_query(void *context)
{
    struct query_task *t = context;
    const struct query_sink sink = {.write = put, .context = t};
    query_run(t->session->server->store, &t->q, &t->grant.bounds, &t->live, &sink, &t->cancel, &t->outcome);
    uv_mutex_lock(&t->mutex);
    t->finished = true;
    uv_mutex_unlock(&t->mutex);
    uv_async_send(&t->wake_loop);
}

/* ------------------------------------------------------------------ the loop's side */

static void task_closed(uv_handle_t *h)
{
    struct query_task *t = h->data;
    if (--t->handles > 0)
        return;
    for (struct piece *p = t->first, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    uv_cond_destroy(&t->wake_thread);
    uv_mutex_destroy(&t->mutex);
    message_free(&t->held);
    rights_grant_free(&t->grant);
    fresh_live_free(&t->live);
    free(t->outcome.manifest);
    struct session *s = t->session;
    free(t);
    session_unref(s);
}

/* The thread's work, if it runs. */
static void cancel_work(struct query_task *t)
{
    uv_mutex_lock(&t->mutex);
    atomic_store(&t->cancel, true);
    uv_cond_signal(&t->wake_thread);
    uv_mutex_unlock(&t->mutex);
}

/* Whether a question only asks again for what was noted: a list that somebody watches; one that goes on, and there was nothing new. */
static bool repeats(struct session *s, const struct message_query *q, const struct buffer *what,
                    const struct query_outcome *o)
{
    bool goes_on = q->kind == QUERY_PULL && q->after && q->after[0] && strcmp(q->after, "0") != 0;
    bool is_list =
        q->kind != QUERY_FLOWS && q->kind != QUERY_EXCHANGES && q->kind != QUERY_PULL && q->kind != QUERY_EXPORT;
    uint64_t hash = hash64(what->data, what->len), before = s->asked;
    s->asked = is_list && !o->code ? hash : 0;
    return (goes_on && (!o->code || o->code == ERROR_INCOMPLETE) && o->packets == 0) ||
           (is_list && !o->code && before == hash);
}

static void put_bound(struct buffer *out, const char *name, const char *value)
{
    buffer_printf(out, "%s%s %s", out->len ? ", " : "", name, value);
}

static void bounds_text(const struct query_bounds *b, struct buffer *out)
{
    char text[64];
    if (b->labels)
        put_bound(out, "labels", b->labels);
    if (b->filter)
        put_bound(out, "filter", b->filter);
    if (b->snaplen) {
        snprintf(text, sizeof text, "%u", b->snaplen);
        put_bound(out, "snaplen", text);
    }
    if (b->since_ns)
        put_bound(out, "since", units_rfc3339(b->since_ns, text, sizeof text));
    buffer_u8(out, 0);
}

static void note_query(struct session *s, const struct message_query *q, const struct query_bounds *b,
                       const struct query_outcome *o)
{
    struct buffer what = {0}, narrowed = {0};
    struct trail_result result = {.rows = o->rows, .packets = o->packets, .bytes = o->bytes};
    trail_query_text(q, &what);
    bounds_text(b, &narrowed);
    if (!what.failed && !narrowed.failed && !repeats(s, q, &what, o)) {
        result.narrowed = narrowed.len > 1 ? (const char *)narrowed.data : NULL;
        trail_note(s->server, s, "query", (const char *)what.data, o->code, o->code ? o->text : NULL, &result);
    }
    buffer_free(&what);
    buffer_free(&narrowed);
}

static void send_done(struct query_task *t)
{
    struct query_outcome *o = &t->outcome;
    if (t->late && o->code == ERROR_CANCELLED)
        snprintf(o->text, sizeof o->text,
                 "the question took longer than allowed: narrow it by time, agent, capture or filter, or give it "
                 "longer (--deadline)");
    struct message m = {.type = MESSAGE_DONE, .done = {.code = o->code, .text = o->text, .manifest = o->manifest}};
    session_send(t->session, &m);
}

static void say_lowered(struct query_outcome *o)
{
    free(o->manifest);
    o->manifest = NULL;
    o->code = ERROR_REFUSED;
    snprintf(
        o->text, sizeof o->text,
        "the rights of who asked were lowered while the question was being answered, and what came is not all of it: "
        "ask again");
}

static void finish(struct query_task *t)
{
    struct session *s = t->session;
    if (t->threaded)
        uv_thread_join(&t->thread);
    if (t->lowered)
        say_lowered(&t->outcome);
    note_query(s, &t->held.query, &t->grant.bounds, &t->outcome);
    if (s->stream)
        send_done(t);
    s->query = NULL;
    s->server->queries--;
    uv_close((uv_handle_t *)&t->wake_loop, task_closed);
    uv_close((uv_handle_t *)&t->deadline, task_closed);
}

static struct piece *take_piece(struct query_task *t, bool *finished)
{
    uv_mutex_lock(&t->mutex);
    struct piece *p = t->first;
    *finished = !p && t->finished;
    if (p) {
        t->first = p->next;
        if (!t->first)
            t->last = &t->first;
        t->queued -= p->length;
        uv_cond_signal(&t->wake_thread);
    }
    uv_mutex_unlock(&t->mutex);
    return p;
}

/* Sends what there is, as long as the client takes it. */
static void pump(struct query_task *t)
{
    bool finished = false;
    while (!t->session->stream || t->lowered || stream_queued(t->session->stream) < STREAM_QUEUE_HIGH) {
        struct piece *p = take_piece(t, &finished);
        if (!p)
            break;
        struct message m = {.type = MESSAGE_RESULT,
                            .result = {.data = p->data, .length = p->length, .end_of_block = p->end_of_block}};
        if (t->session->stream && !t->lowered)
            session_send(t->session, &m);
        free(p);
    }
    if (finished)
        finish(t);
}

static void on_wake(uv_async_t *async)
{
    struct query_task *t = async->data;
    if (t->session->query == t)
        pump(t);
}

/* The end of a question whose thread does not run. */
static void finish_without(struct query_task *t, int code, const char *text)
{
    t->outcome.code = code;
    snprintf(t->outcome.text, sizeof t->outcome.text, "%s", text);
    finish(t);
}

static void cancel(struct query_task *t)
{
    if (!t->fresh) {
        cancel_work(t);
        return;
    }
    fresh_cancel(t->fresh);
    t->fresh = NULL;
    finish_without(t, ERROR_CANCELLED, "the query was cancelled");
}

static void cut_short(struct query_task *t)
{
    bool has_thread = !t->fresh;
    t->lowered = true;
    cancel(t);
    if (has_thread) /* it may be over already */
        pump(t);
}

static bool may_still(const struct session *s)
{
    struct error e = ERROR_INIT;
    struct rights_grant grant;
    int r = rights_judge(s, &s->query->held, &grant, &e);
    if (r == 0)
        rights_grant_free(&grant);
    return r == 0;
}

void client_session_lowered(struct server *server, const char *name, bool bounds)
{
    for (struct session *s = server->sessions, *next; s; s = next) {
        next = s->next;
        if (s->query && session_is_of(s, IDENTITY_USER, name) && (bounds || !may_still(s)))
            cut_short(s->query);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct query_task *t = timer->data;
    t->late = true;
    cancel(t);
}

static void start_thread(struct query_task *t)
{
    struct error e = ERROR_INIT;
    int r = fresh_live(t->session->server->fresh, &t->q, t->asked_ns, &t->live, &e);
    if (r == 0 && (r = uv_thread_create(&t->thread, run_query, t)) != 0)
        (void)error_set(&e, ERROR_SYSTEM, "the collector cannot start a thread: %s", uv_strerror(r));
    t->threaded = r == 0;
    if (r)
        finish_without(t, e.code, e.text);
}

static void on_fresh(void *context)
{
    struct query_task *t = context;
    t->fresh = NULL;
    start_thread(t);
}

static bool wants_fresh(const struct message_query *q)
{
    return q->fresh_ms && (q->kind == QUERY_FLOWS || q->kind == QUERY_EXCHANGES || q->kind == QUERY_PULL);
}

/* The grant is the task's from then on. */
static struct query_task *task_new(struct session *s, const struct message_query *q, struct rights_grant *grant,
                                   struct error *e)
{
    struct query_task *t = calloc(1, sizeof *t);
    struct message m = {.type = MESSAGE_QUERY, .query = *q};
    int r = t ? message_copy(&m, &t->held, e) : error_set(e, ERROR_MEMORY, "no memory for a question");
    if (r) {
        free(t);
        return NULL;
    }
    t->session = s;
    t->asked_ns = clock_wall_ns();
    t->q = t->held.query;
    t->grant = *grant;
    *grant = (struct rights_grant){0};
    if (t->grant.bounds.agents) {
        t->q.agents = t->grant.agents;
        t->q.agent_count = t->grant.agent_count;
    }
    t->last = &t->first;
    uv_mutex_init(&t->mutex);
    uv_cond_init(&t->wake_thread);
    uv_async_init(s->server->loop, &t->wake_loop, on_wake);
    uv_timer_init(s->server->loop, &t->deadline);
    t->wake_loop.data = t->deadline.data = t;
    t->handles = 2;
    return t;
}

/* `manifest` may be NULL. */
static void done_with(struct session *s, const struct error *e, char *manifest)
{
    struct message m = {.type = MESSAGE_DONE,
                        .done = {.code = e->code, .text = (char *)(uintptr_t)e->text, .manifest = manifest}};
    session_send(s, &m);
}

static void done_at_once(struct session *s, const struct error *e)
{
    done_with(s, e, NULL);
}

/* One that does not even begin. */
static void fail_query(struct session *s, const struct message_query *q, const struct rights_grant *grant,
                       const struct error *e)
{
    struct query_outcome outcome = {.code = e->code};
    snprintf(outcome.text, sizeof outcome.text, "%s", e->text);
    note_query(s, q, &grant->bounds, &outcome);
    done_at_once(s, e);
}

static void on_query(struct session *s, const struct message_query *q, struct rights_grant *grant)
{
    struct server *server = s->server;
    struct error e = ERROR_INIT;
    struct query_task *t = NULL;
    if (server->queries >= server->config->max_queries)
        (void)error_set(&e, ERROR_BUSY, "the collector answers %u questions already: try again in a moment",
                        server->queries);
    else
        t = task_new(s, q, grant, &e);
    if (!t) {
        fail_query(s, q, grant, &e);
        return;
    }
    uint64_t most_ms = server->config->query_deadline_ns / NS_PER_MS;
    uv_timer_start(&t->deadline, on_deadline, q->deadline_ms && q->deadline_ms < most_ms ? q->deadline_ms : most_ms, 0);
    s->refs++;
    s->query = t;
    server->queries++;
    if (wants_fresh(q))
        t->fresh = fresh_ask(server->fresh, &t->q, on_fresh, t);
    if (!t->fresh)
        start_thread(t);
}

/* ------------------------------------------------------------------ what the loop knows */

static void send_text(struct session *s, const char *text)
{
    size_t len = strlen(text);
    for (size_t at = 0, n; at < len && s->stream; at += n) {
        n = len - at < NET_PIECE_MAX ? len - at : NET_PIECE_MAX;
        struct message m = {
            .type = MESSAGE_RESULT,
            .result = {.data = (const uint8_t *)text + at, .length = (uint32_t)n, .end_of_block = at + n == len}};
        session_send(s, &m);
    }
}

static bool sees(void *context, const struct fleet_agent *a)
{
    return rights_sees(context, a);
}

static bool sees_whole(void *context, const struct capture_request *r)
{
    return rights_sees_whole(context, r);
}

static void on_orders(struct session *s, const struct message_query *q, const struct rights_grant *grant)
{
    struct error e = ERROR_INIT;
    char *text = NULL;
    const struct orders_sight sight = {sees, sees_whole, s, grant->bounds.filter || grant->bounds.since_ns};
    if (orders_json(s->server->orders, q->capture ? q->capture : "", grant->any_bounds ? &sight : NULL, &text, &e) == 0)
        send_text(s, text);
    struct query_outcome outcome = {.code = e.code, .bytes = text ? strlen(text) : 0};
    snprintf(outcome.text, sizeof outcome.text, "%s", e.text);
    note_query(s, q, &grant->bounds, &outcome);
    char *manifest = query_bounds_manifest(&grant->bounds);
    done_with(s, &e, manifest);
    free(manifest);
    free(text);
}

static void note_refused(struct session *s, const struct message *m, const struct error *e)
{
    struct buffer what = {0};
    const struct rights_rule *rule = rights_rule_of(m);
    const char *which = m->type == MESSAGE_ADMIN                                 ? m->admin.json
                        : m->type == MESSAGE_COMMAND && m->command.request_count ? m->command.request->name
                                                                                 : m->command.which;
    if (m->type == MESSAGE_QUERY)
        trail_query_text(&m->query, &what);
    else {
        buffer_printf(&what, "%s '%.2000s'", rule ? rule->name : "?", which ? which : "");
        buffer_u8(&what, 0);
    }
    if (!what.failed)
        trail_note(s->server, s, "refused", (const char *)what.data, e->code, e->text, NULL);
    buffer_free(&what);
}

/* What was signed cannot be changed: there the name must be right. */
static int check_signed_name(const struct capture_request *r, const char *name, struct error *e)
{
    if (!r->signature_length || (r->who && strcmp(r->who, name) == 0))
        return 0;
    return error_set(e, ERROR_REFUSED,
                     "the order that was signed says that it is by '%.200s', and the certificate is that of %s",
                     r->who ? r->who : "", name);
}

/* Who orders or stops a capture is who the certificate says, if there is one. */
static void on_command(struct session *s, const struct message_command *m)
{
    const struct identity *who = session_identity(s);
    struct message_command c = *m;
    struct capture_request r;
    struct error e = ERROR_INIT;
    if (who->kind == IDENTITY_USER) {
        c.who = (char *)(uintptr_t)who->name;
        if (c.request_count && check_signed_name(c.request, who->name, &e)) {
            log_warn("%s at %s: refused: %s", who->name, s->peer, e.text);
            note_refused(s, &(struct message){.type = MESSAGE_COMMAND, .command = *m}, &e);
            done_at_once(s, &e);
            return;
        }
    }
    if (who->kind == IDENTITY_USER && c.request_count) {
        r = *c.request;
        r.who = c.who;
        c.request = &r;
    }
    orders_command(s->server->orders, s, &c);
}

static void refuse_request(struct session *s, const struct message *m, const struct error *e)
{
    log_warn("%s at %s: refused: %s", session_identity(s)->name, s->peer, e->text);
    note_refused(s, m, e);
    done_at_once(s, e);
}

static void dispatch(struct session *s, const struct message *m, struct rights_grant *grant)
{
    struct error e = ERROR_INIT;
    if (m->type == MESSAGE_COMMAND)
        on_command(s, &m->command);
    else if (m->type == MESSAGE_ADMIN)
        admin_message(s, &m->admin);
    else if (m->query.kind == QUERY_ORDERS)
        on_orders(s, &m->query, grant);
    else if (session_check_questions(s, &e))
        refuse_request(s, m, &e);
    else
        on_query(s, &m->query, grant);
}

void client_session_message(struct session *s, const struct message *m)
{
    struct error e = ERROR_INIT;
    struct rights_grant grant;
    if (m->type != MESSAGE_QUERY && m->type != MESSAGE_COMMAND && m->type != MESSAGE_ADMIN) {
        session_refuse(s, ERROR_INVALID, "a client sends questions, commands and administrators' requests only");
    } else if (s->query || s->commanding) {
        session_refuse(s, ERROR_BUSY, "one question at a time on a connection");
    } else if (rights_judge(s, m, &grant, &e)) {
        refuse_request(s, m, &e);
    } else {
        dispatch(s, m, &grant);
        rights_grant_free(&grant);
    }
}

void client_session_drain(struct session *s)
{
    if (s->query)
        pump(s->query);
}

void client_session_close(struct session *s)
{
    if (s->query)
        cancel(s->query);
}
