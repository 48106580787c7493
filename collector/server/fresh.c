#include "collector/server/fresh.h"

#include "collector/server/orders.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* To one agent: on its way (agent->flying, then it has a token), or to be sent when that one is answered (agent->next). */
struct flush {
    uint64_t token, sent_ns;
    char *capture; /* glob; "" if those who wait want different ones */
    struct fresh_wait **waits;
    size_t count, size;
};

struct fresh_wait {
    struct fresh *fresh;
    size_t left; /* agents that have not answered */
    void (*ready)(void *context);
    void *context;
    uv_timer_t timer;
};

struct fresh {
    struct server *server;
    uint64_t next_token;
};

struct fresh *fresh_new(struct server *server)
{
    struct fresh *f = calloc(1, sizeof *f);
    if (f)
        f->server = server;
    return f;
}

static void free_flush(struct flush **flush)
{
    if (*flush) {
        free((*flush)->capture);
        free((*flush)->waits);
        free(*flush);
    }
    *flush = NULL;
}

void fresh_free(struct fresh *f)
{
    for (size_t i = 0; f && f->server->fleet && i < fleet_count(f->server->fleet); i++) {
        free_flush(&fleet_at(f->server->fleet, i)->flying);
        free_flush(&fleet_at(f->server->fleet, i)->next);
    }
    free(f);
}

/* ------------------------------------------------------------------ one who waits */

static void wait_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void forget_wait(struct flush *flush, const struct fresh_wait *w)
{
    for (size_t i = 0; flush && i < flush->count; i++)
        if (flush->waits[i] == w)
            flush->waits[i--] = flush->waits[--flush->count];
}

void fresh_cancel(struct fresh_wait *w)
{
    struct fleet *fleet = w->fresh->server->fleet;
    for (size_t i = 0; w->left && i < fleet_count(fleet); i++) {
        forget_wait(fleet_at(fleet, i)->flying, w);
        forget_wait(fleet_at(fleet, i)->next, w);
    }
    uv_close((uv_handle_t *)&w->timer, wait_closed);
}

static void on_ready(uv_timer_t *timer)
{
    struct fresh_wait *w = timer->data;
    void (*ready)(void *) = w->ready;
    void *context = w->context;
    fresh_cancel(w);
    ready(context);
}

static void one_less(struct fresh_wait *w)
{
    if (--w->left == 0)
        uv_timer_start(&w->timer, on_ready, 0, 0);
}

/* ------------------------------------------------------------------ one agent */

static bool join(struct flush **flush, const char *capture, struct fresh_wait *w)
{
    struct flush *f = *flush ? *flush : calloc(1, sizeof *f);
    if (!f)
        return false;
    *flush = f;
    if (f->count == f->size) {
        size_t size = f->size ? 2 * f->size : 4;
        struct fresh_wait **more = realloc(f->waits, size * sizeof(struct fresh_wait *));
        if (!more)
            return false;
        f->waits = more;
        f->size = size;
    }
    if (!f->capture && !(f->capture = strdup(capture)))
        return false;
    if (strcmp(f->capture, capture) != 0)
        f->capture[0] = 0;
    f->waits[f->count++] = w;
    return true;
}

static void send_next(struct fresh *f, struct fleet_agent *a)
{
    struct flush *flush = a->next;
    if (a->flying || !flush)
        return;
    a->next = NULL;
    if (!flush->count || !a->control) { /* those who waited have gone */
        free_flush(&flush);
        return;
    }
    a->flying = flush;
    flush->token = ++f->next_token;
    flush->sent_ns = clock_wall_ns();
    struct message m = {.type = MESSAGE_FLUSH, .flush = {.token = flush->token, .capture = flush->capture}};
    session_send(a->control, &m);
}

static void set_problem(struct fleet_agent *a, const char *text)
{
    free(a->flush_problem);
    a->flush_problem = text ? strdup(text) : NULL;
}

static void end_flush(struct flush **flush)
{
    for (size_t i = 0; *flush && i < (*flush)->count; i++)
        one_less((*flush)->waits[i]);
    free_flush(flush);
}

void fresh_flushed(struct fresh *f, struct session *agent, const struct message_flushed *m)
{
    struct fleet_agent *a = agent->known;
    if (!a->flying || a->flying->token != m->token)
        return;
    if (m->code)
        log_warn("agent %s could not hand over all that it captured: %s", a->name, m->text ? m->text : "");
    else
        orders_reached(f->server->orders, a, a->flying->capture, a->flying->sent_ns);
    set_problem(a, m->code ? (m->text ? m->text : "it does not say why") : NULL);
    end_flush(&a->flying);
    send_next(f, a);
}

void fresh_agent_down(struct fresh *f, struct session *agent)
{
    (void)f;
    set_problem(agent->known, NULL);
    end_flush(&agent->known->flying);
    end_flush(&agent->known->next);
}

/* ------------------------------------------------------------------ asking */

struct asking {
    struct fresh_wait *wait;
    const struct message_query *q;
    uint64_t need_ns; /* the end of the question */
};

static void ask_one(void *context, const struct orders_reach *r)
{
    struct asking *x = context;
    struct fleet_agent *a = r->agent;
    /* an agent may have several captures */
    bool waits = a->next && a->next->count && a->next->waits[a->next->count - 1] == x->wait;
    bool due = r->stopped || r->reaches_ns < x->need_ns;
    if (a->control && due && !waits && join(&a->next, x->q->capture ? x->q->capture : "", x->wait))
        x->wait->left++;
}

static uint64_t wait_ms(const struct message_query *q)
{
    return q->fresh_ms < FRESH_MOST_MS ? q->fresh_ms : FRESH_MOST_MS;
}

struct fresh_wait *fresh_ask(struct fresh *f, const struct message_query *q, void (*ready)(void *context),
                             void *context)
{
    struct fresh_wait *w = calloc(1, sizeof *w);
    uint64_t now = clock_wall_ns();
    struct asking x = {.wait = w, .q = q, .need_ns = q->until_ns < now ? q->until_ns : now};
    if (!w)
        return NULL;
    *w = (struct fresh_wait){.fresh = f, .ready = ready, .context = context};
    orders_each_reach(f->server->orders, q, ask_one, &x);
    if (w->left == 0) {
        free(w);
        return NULL;
    }
    uv_timer_init(f->server->loop, &w->timer);
    w->timer.data = w;
    uv_timer_start(&w->timer, on_ready, wait_ms(q), 0);
    for (size_t i = 0; i < fleet_count(f->server->fleet); i++)
        send_next(f, fleet_at(f->server->fleet, i));
    return w;
}

/* ------------------------------------------------------------------ what the answer is to know */

static char *why_not(const struct fleet_agent *a, const struct message_query *q)
{
    char when[64], *text = NULL;
    int n;
    if (a->revoked_ns)
        n = asprintf(&text, CAPTURE_REVOKED " %s", units_format_time(a->revoked_ns, when, sizeof when));
    else if (!a->control && a->seen_ns)
        n = asprintf(&text, "is not connected since %s", units_format_time(a->seen_ns, when, sizeof when));
    else if (!a->control)
        n = asprintf(&text, "is not connected");
    else if (a->flush_problem)
        n = asprintf(&text, "could not hand over all that it captured: %.200s", a->flush_problem);
    else if (q->fresh_ms)
        n = asprintf(&text, "did not hand over what it captured within %llu ms", (unsigned long long)wait_ms(q));
    else
        n = asprintf(&text, "was not asked to hand over what it captured last");
    return n < 0 ? NULL : text;
}

struct living {
    struct query_live *live;
    const struct message_query *q;
    size_t size;
    bool failed;
};

static void add_reach(void *context, const struct orders_reach *from)
{
    struct living *x = context;
    struct query_live *live = x->live;
    if (live->reach_count == x->size) {
        size_t size = x->size ? 2 * x->size : 16;
        struct query_reach *more = realloc(live->reaches, size * sizeof *more);
        x->failed = x->failed || !more;
        if (!more)
            return;
        live->reaches = more;
        x->size = size;
    }
    struct query_reach *r = &live->reaches[live->reach_count++];
    *r = (struct query_reach){.agent = strdup(from->agent->name),
                              .capture = strdup(from->capture),
                              .reaches_ns = from->reaches_ns,
                              .stopped = from->stopped,
                              .why = why_not(from->agent, x->q)};
    x->failed = x->failed || !r->agent || !r->capture || !r->why;
}

static bool add_agents(const struct server *server, struct query_live *live)
{
    const struct fleet *fleet = server->fleet;
    live->agents = calloc(fleet_count(fleet) + 1, sizeof *live->agents);
    for (size_t i = 0; live->agents && i < fleet_count(fleet); i++) {
        const struct fleet_agent *a = fleet_at(fleet, i);
        char *problem = fleet_problem(a);
        if (!a->control && !problem)
            continue;
        live->agents[live->agent_count++] =
            (struct query_agent){.name = strdup(a->name),
                                 .connected = a->control != NULL,
                                 .silent = fleet_is_silent(a, live->asked_ns),
                                 .problem = problem,
                                 .waits = a->control ? orders_problem(server->orders, a) : NULL};
        if (!live->agents[live->agent_count - 1].name)
            return false;
    }
    return live->agents != NULL;
}

int fresh_live(struct fresh *f, const struct message_query *q, uint64_t asked_ns, struct query_live *out,
               struct error *e)
{
    struct living x = {.live = out, .q = q};
    *out = (struct query_live){.asked_ns = asked_ns, .ordered = orders_know(f->server->orders, q->capture)};
    if (q->kind == QUERY_FLOWS || q->kind == QUERY_EXCHANGES || q->kind == QUERY_PULL)
        orders_each_reach(f->server->orders, q, add_reach, &x);
    else if (q->kind == QUERY_AGENTS)
        x.failed = !add_agents(f->server, out);
    else if (q->kind == QUERY_STATUS && f->server->ingest)
        ingest_problem(f->server->ingest, out->problem);
    return x.failed ? error_set(e, ERROR_MEMORY, "no memory for a question") : 0;
}

void fresh_live_free(struct query_live *live)
{
    for (size_t i = 0; i < live->agent_count; i++) {
        free(live->agents[i].name);
        free(live->agents[i].problem);
        free(live->agents[i].waits);
    }
    for (size_t i = 0; i < live->reach_count; i++) {
        free(live->reaches[i].agent);
        free(live->reaches[i].capture);
        free(live->reaches[i].why);
    }
    free(live->agents);
    free(live->reaches);
    *live = (struct query_live){0};
}
