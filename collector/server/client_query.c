/*
 * client_query: a question of a client runs on a thread of its own, which puts its answer into a bounded queue; the loop
 * sends from it as fast as the client reads. Before that, agents are asked for what they have (fresh.h).
 *
 * Threads: run_query, put on the question's thread; all else on the loop's. They share `first`, `queued`, `finished`,
 * `cancel` under `mutex`.
 */
#include "collector/server/client_session_impl.h"
#include "collector/server/fresh.h"
#include "common/base/clock.h"
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
    client_note_query(s, &t->held.query, &t->grant.bounds, &t->outcome);
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

void client_query_pump(struct query_task *t)
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
        client_query_pump(t);
}

/* The end of a question whose thread does not run. */
static void finish_without(struct query_task *t, int code, const char *text)
{
    t->outcome.code = code;
    snprintf(t->outcome.text, sizeof t->outcome.text, "%s", text);
    finish(t);
}

void client_query_cancel(struct query_task *t)
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
    client_query_cancel(t);
    if (has_thread) /* it may be over already */
        client_query_pump(t);
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

void client_query_judge_again(struct session *s, bool bounds)
{
    if (bounds || !may_still(s))
        cut_short(s->query);
}

static void on_deadline(uv_timer_t *timer)
{
    struct query_task *t = timer->data;
    t->late = true;
    client_query_cancel(t);
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

/* One that does not even begin. */
static void fail_query(struct session *s, const struct message_query *q, const struct rights_grant *grant,
                       const struct error *e)
{
    struct query_outcome outcome = {.code = e->code};
    snprintf(outcome.text, sizeof outcome.text, "%s", e->text);
    client_note_query(s, q, &grant->bounds, &outcome);
    client_done(s, e, NULL);
}

void client_query(struct session *s, const struct message_query *q, struct rights_grant *grant)
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
