/*
 * CHECK and START:
 *
 *   the request is checked here -> filter and name on another thread -> CHECK to the agents -> their answers, or the time is over
 *     -> no: DONE
 *     -> START and yes: kept (a job of the ingest thread) -> ORDERS to the agents -> DONE
 *
 * The order is in the table from the start, so that two commands at once cannot take one name, or one agent's last place.
 */
#include "collector/server/orders_impl.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_MS    10000u /* a store that does not take an order for so long will not soon */
#define NAMED_MOST 3u     /* agents in a sentence */

static json_t *as_refused(const struct command *c)
{
    json_t *j = order_json(c->order, clock_wall_ns());
    json_object_set_new(j, "state", json_string("refused"));
    return j;
}

static void refuse(struct command *c, const struct error *why)
{
    command_done(c, why->code, why->text, c->order ? as_refused(c) : NULL);
}

/* ------------------------------------------------------------------ what the agents said */

struct tally {
    uint32_t yes, no, away, silent;
    int code; /* of the first no */
};

static struct tally count(const struct order *o)
{
    struct tally t = {0};
    for (uint32_t i = 0; i < o->agent_count; i++) {
        const struct order_agent *a = &o->agents[i];
        t.yes += a->answer == ANSWER_YES;
        t.silent += a->answer == ANSWER_AWAITED;
        t.away += a->answer == ANSWER_NONE;
        if (a->answer == ANSWER_NO && t.no++ == 0)
            t.code = a->code;
    }
    return t;
}

static const char *reason(const struct order_agent *a)
{
    return a->state.capture_state.text ? a->state.capture_state.text : "";
}

/* "web-2: no such interface; web-7: ...", or the names alone. */
static void put_agents(struct buffer *b, const struct order *o, enum order_answer answer, bool reasons)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->agent_count; i++) {
        const struct order_agent *a = &o->agents[i];
        if (a->answer != answer)
            continue;
        if (n < NAMED_MOST && reasons)
            buffer_printf(b, "%s%.60s: %.150s", n ? "; " : "", a->is->name, reason(a));
        else if (n < NAMED_MOST)
            buffer_printf(b, "%s%.60s", n ? ", " : "", a->is->name);
        n++;
    }
    if (n > NAMED_MOST)
        buffer_printf(b, reasons ? "; ..." : ", ...");
}

/* What there is to say though it went well. */
static void make_note(struct command *c, const struct tally *t)
{
    struct buffer b = {.limit = sizeof c->note - 1};
    if (t->no) {
        buffer_printf(&b, "left out: ");
        put_agents(&b, c->order, ANSWER_NO, true);
    }
    if (t->away) {
        buffer_printf(&b, "%s%u not connected, begin%s when they come: ", b.len ? "; " : "", t->away,
                      t->away == 1 ? "s" : "");
        put_agents(&b, c->order, ANSWER_NONE, false);
    }
    if (t->silent) {
        buffer_printf(&b, "%s%u did not answer in time: ", b.len ? "; " : "", t->silent);
        put_agents(&b, c->order, ANSWER_AWAITED, false);
    }
    snprintf(c->note, sizeof c->note, "%.*s", (int)b.len, b.data ? (const char *)b.data : "");
    buffer_free(&b);
}

static void refused_by(struct command *c, const struct tally *t)
{
    struct error e = ERROR_INIT;
    struct buffer b = {.limit = ERROR_TEXT_MAX - 200};
    put_agents(&b, c->order, ANSWER_NO, true);
    (void)error_set(&e, t->code, "%.*s\n%s%u of %u agents said no%s", (int)b.len, b.data ? (const char *)b.data : "",
                    c->m->kind == COMMAND_START ? "nothing was started: " : "", t->no, c->order->agent_count,
                    !c->m->partial && t->yes ? " (--partial starts on the rest)" : "");
    buffer_free(&b);
    refuse(c, &e);
}

/* A host that hangs is named at once, rather than that all others wait for it. */
static void refused_by_silence(struct command *c, const struct tally *t)
{
    struct error e = ERROR_INIT;
    struct buffer b = {.limit = ERROR_TEXT_MAX - 200};
    put_agents(&b, c->order, ANSWER_AWAITED, false);
    (void)error_set(&e, ERROR_UNREACHABLE, "%s%.*s %s connected, but did not answer in time: does it hang?%s",
                    c->m->kind == COMMAND_START ? "nothing was started: " : "", (int)b.len,
                    b.data ? (const char *)b.data : "", t->silent == 1 ? "is" : "are",
                    t->yes ? " (--partial starts on the rest, --answer-within 10s waits longer)"
                           : " (--answer-within 10s waits longer)");
    buffer_free(&b);
    refuse(c, &e);
}

/* ------------------------------------------------------------------ starting */

static void too_late(struct command *c)
{
    struct error e = ERROR_INIT;
    if (orders_keep_not(c->orders, c->asked.id, NULL, NULL, &e))
        log_error("capture %s was given up, and may be in the catalog: %s", c->name, e.text);
}

static void stand(struct command *c)
{
    struct order *o = c->order;
    c->order = NULL;
    order_set_stage(o, ORDER_STANDS);
    json_t *manifest = order_json(o, clock_wall_ns());
    order_stand(o);
    command_done(c, 0, c->note, manifest);
}

static void on_kept(void *context, int result, const struct error *why)
{
    struct command *c = context;
    if (c->answered && result == 0)
        too_late(c);
    else if (!c->answered && result) {
        c->error = *why;
        error_prefix(&c->error, "nothing was started, since the collector cannot keep the capture");
        refuse(c, &c->error);
    } else if (!c->answered)
        stand(c);
    command_unuse(c);
}

static void on_keeping_too_long(uv_timer_t *timer)
{
    struct error e = ERROR_INIT;
    (void)error_set(&e, ERROR_BUSY,
                    "nothing was started, since the collector's store does not take anything (is its disk full?): its "
                    "log says more");
    refuse(timer->data, &e);
}

static void leave_out(struct order *o)
{
    for (uint32_t i = 0; i < o->agent_count; i++) {
        struct order_agent *a = &o->agents[i];
        a->left_out = a->answer == ANSWER_NO;
        a->since_ns = o->created_ns;
    }
}

static void keep(struct command *c)
{
    struct error e = ERROR_INIT;
    c->order->created_ns = clock_wall_ns(); /* from here on it counts: the agents have been asked */
    leave_out(c->order);
    order_set_stage(c->order, ORDER_KEEPING);
    if (order_keep(c->order, on_kept, c, &e)) {
        refuse(c, &e);
        return;
    }
    c->uses++;
    uv_timer_start(&c->timer, on_keeping_too_long, KEEP_MS, 0);
}

/* ------------------------------------------------------------------ asking the agents */

static void say_no(struct order_agent *a, int code, const char *text)
{
    a->answer = ANSWER_NO;
    a->code = code;
    order_say(a, PHASE_REFUSED, text);
}

static bool cannot(const struct order *o, struct order_agent *a)
{
    const char *beyond = order_beyond(o, a->is);
    if (beyond) {
        say_no(a, ERROR_UNSUPPORTED, beyond);
        return true;
    }
    if (a->is->orders < NET_ORDERS_MAX)
        return false;
    say_no(a, ERROR_LIMIT, "it has 64 captures already, which is the most: stop one");
    return true;
}

static void conclude(struct command *c)
{
    uv_timer_stop(&c->timer);
    for (uint32_t i = 0; i < c->order->agent_count; i++) /* others may have been faster */
        if (c->order->agents[i].answer != ANSWER_NO)
            (void)cannot(c->order, &c->order->agents[i]);
    struct tally t = count(c->order);
    if (t.no && (!c->m->partial || t.yes == 0)) {
        refused_by(c, &t);
        return;
    }
    if (t.silent && (!c->m->partial || t.yes == 0)) {
        refused_by_silence(c, &t);
        return;
    }
    make_note(c, &t);
    snprintf(c->extent, sizeof c->extent, "%s %u of %u agents",
             c->m->kind == COMMAND_START ? "started on" : "possible on", t.yes, c->order->agent_count);
    if (c->m->kind == COMMAND_START)
        keep(c);
    else
        command_done(c, 0, c->note, order_json(c->order, clock_wall_ns()));
}

static void on_wait_over(uv_timer_t *timer)
{
    struct command *c = timer->data;
    c->waiting = 0;
    for (uint32_t i = 0; i < c->order->agent_count; i++)
        if (c->order->agents[i].answer == ANSWER_AWAITED)
            c->order->agents[i].is->asked_ns = clock_wall_ns();
    conclude(c);
}

static void ask_agents(struct command *c)
{
    struct message m = {.type = MESSAGE_CHECK,
                        .check = {.token = c->token, .request = c->order->request, .request_count = 1}};
    uint64_t wait_ms = c->m->wait_ms ? c->m->wait_ms : ORDERS_CHECK_MS;
    for (uint32_t i = 0; i < c->order->agent_count; i++) {
        struct order_agent *a = &c->order->agents[i];
        if (cannot(c->order, a) || !a->is->control)
            continue;
        a->answer = ANSWER_AWAITED;
        c->waiting++;
        session_send(a->is->control, &m);
    }
    if (c->waiting)
        uv_timer_start(&c->timer, on_wait_over, wait_ms < ORDERS_WAIT_MAX_MS ? wait_ms : ORDERS_WAIT_MAX_MS, 0);
    else
        conclude(c);
}

static void take_answer(struct order_agent *a, const struct message_checked *m)
{
    struct message_capture_state s = {.phase = PHASE_PENDING, .left_ns = UINT64_MAX};
    memcpy(s.id, a->state.capture_state.id, sizeof s.id);
    s.text = m->text;
    s.interfaces = m->interfaces;
    s.interface_count = m->interface_count;
    s.packets_per_s = m->packets_per_s;
    s.bytes_per_s = m->bytes_per_s;
    a->free_bytes = m->free_bytes;
    if (order_take_state(a, &s, NULL) == 0 && m->code == 0)
        a->answer = ANSWER_YES;
    else
        say_no(a, m->code ? m->code : ERROR_MEMORY, m->code ? m->text : "the collector has no memory for its answer");
}

static void answer_one(struct command *c, const struct fleet_agent *is, const struct message_checked *m)
{
    struct order_agent *a = order_agent(c->order, is->name);
    if (!a || a->answer != ANSWER_AWAITED)
        return;
    if (m)
        take_answer(a, m);
    else
        a->answer = ANSWER_NONE;
    if (--c->waiting == 0)
        conclude(c);
}

void commands_answer(struct orders *o, struct fleet_agent *a, const struct message_checked *m)
{
    for (struct command *c = o->commands, *next; c; c = next) {
        next = c->next;
        if (c->order && c->waiting && (!m || c->token == m->token))
            answer_one(c, a, m);
    }
}

/* ------------------------------------------------------------------ before the agents are asked */

static void inspect(uv_work_t *work)
{
    struct command *c = work->data;
    c->error.code = request_inspect(&c->asked, c->orders->server->store, &c->error);
}

static void on_inspected(uv_work_t *work, int status)
{
    struct command *c = work->data;
    (void)status;
    if (!c->answered && c->error.code)
        refuse(c, &c->error);
    else if (!c->answered)
        ask_agents(c);
    command_unuse(c);
}

/* The first of those that were revoked that would be meant; NULL: there is none. */
static const struct fleet_agent *revoked_that_is_meant(const struct order *o)
{
    const struct fleet *f = o->orders->server->fleet;
    for (size_t i = 0; i < fleet_count(f); i++)
        if (fleet_at(f, i)->revoked_ns && order_means(o, fleet_at(f, i)))
            return fleet_at(f, i);
    return NULL;
}

static int nobody_is_meant(const struct command *c, struct error *e)
{
    const struct fleet *f = c->orders->server->fleet;
    const struct fleet_agent *revoked = revoked_that_is_meant(c->order);
    if (revoked)
        return error_set(e, ERROR_NOT_FOUND,
                         "no agent is meant but such as were revoked, as %.200s: to let it join anew, `fleetdump admin "
                         "enroll --name %.200s`",
                         revoked->name, revoked->name);
    char *selector = request_selector(c->order->request);
    struct buffer b = {.limit = 300};
    for (size_t i = 0; i < fleet_count(f) && i < 5; i++)
        buffer_printf(&b, "%s%.50s", i ? ", " : "", fleet_at(f, i)->name);
    int r = fleet_count(f) ? error_set(e, ERROR_NOT_FOUND, "no agent is meant by %.300s; known are %.*s%s",
                                       selector ? selector : "that", (int)b.len, (const char *)b.data,
                                       fleet_count(f) > 5 ? ", ..." : "")
                           : error_set(e, ERROR_NOT_FOUND, "no agent has ever connected to this collector");
    buffer_free(&b);
    free(selector);
    return r;
}

static int make_order(struct command *c, struct error *e)
{
    uint64_t now = clock_wall_ns();
    int r = order_new(c->orders, c->m->request, &c->order, e);
    if (r)
        return r;
    c->order->created_ns = now;
    snprintf(c->name, sizeof c->name, "%s", c->order->request->name);
    c->asked = *c->m->request;
    c->asked.name = c->name;
    r = request_check(c->order, now, e);
    if (r == 0)
        r = order_add_meant(c->order, e);
    return r || c->order->agent_count ? r : nobody_is_meant(c, e);
}

void command_start(struct command *c)
{
    struct error e = ERROR_INIT;
    c->token = ++c->orders->next_token;
    if (make_order(c, &e)) {
        refuse(c, &e);
        return;
    }
    c->work.data = c;
    c->uses++;
    uv_queue_work(c->orders->server->loop, &c->work, inspect, on_inspected);
}
