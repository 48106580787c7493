#include "collector/server/orders_impl.h"

#include "common/base/clock.h"
#include "common/base/glob.h"
#include "common/base/log.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 1000u

char *order_id_text(const struct order *o, char buf[ORDER_ID_TEXT])
{
    for (size_t i = 0; i < 16; i++)
        snprintf(buf + 2 * i, 3, "%02x", o->request->id[i]);
    return buf;
}

/* ------------------------------------------------------------------ the table */

struct order *orders_find(const struct orders *o, const uint8_t id[16])
{
    for (size_t i = 0; i < o->count; i++)
        if (memcmp(o->items[i]->request->id, id, 16) == 0)
            return o->items[i];
    return NULL;
}

struct order *orders_named(const struct orders *o, const char *name, const struct order *but)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->items[i] != but && strcmp(o->items[i]->request->name, name) == 0)
            return o->items[i];
    return NULL;
}

static bool is_listed(const struct order *o)
{
    return o->stage == ORDER_STANDS || o->stage == ORDER_OVER;
}

static bool fits_name(const struct order *o, const char *which)
{
    return !*which || glob_match(which, o->request->name, strlen(o->request->name));
}

static bool fits_id(const struct order *o, const char *which)
{
    char id[ORDER_ID_TEXT];
    return strncasecmp(order_id_text(o, id), which, strlen(which)) == 0;
}

size_t orders_match(const struct orders *o, const char *which, struct order **found)
{
    size_t n = 0;
    for (size_t i = 0; i < o->count; i++)
        if (is_listed(o->items[i]) && fits_name(o->items[i], which))
            found[n++] = o->items[i];
    for (size_t i = 0, names = n; i < o->count && names == 0; i++)
        if (is_listed(o->items[i]) && fits_id(o->items[i], which))
            found[n++] = o->items[i];
    return n;
}

static int make_room(struct orders *o, struct error *e)
{
    if (o->count < o->size)
        return 0;
    size_t size = o->size ? 2 * o->size : 64;
    struct order **more = realloc(o->items, size * sizeof(struct order *));
    if (!more)
        return error_set(e, ERROR_MEMORY, "no memory for %zu captures", size);
    o->items = more;
    o->size = size;
    return 0;
}

static void free_order(struct order *o)
{
    order_free_agents(o);
    message_free(&o->held);
    free(o->why);
    free(o);
}

int order_new(struct orders *o, const struct capture_request *request, struct order **out, struct error *e)
{
    const struct message m = {.type = MESSAGE_CHECK,
                              .check = {.request = (struct capture_request *)(uintptr_t)request, .request_count = 1}};
    int r = make_room(o, e);
    struct order *new = r ? NULL : calloc(1, sizeof *new);
    if (!new)
        return r ? r : error_set(e, ERROR_MEMORY, "no memory for a capture");
    r = message_copy(&m, &new->held, e);
    if (r) {
        free(new);
        return r;
    }
    new->orders = o;
    new->request = new->held.check.request;
    if (!new->request->name || !new->request->name[0]) {
        char id[ORDER_ID_TEXT];
        snprintf(new->own_name, sizeof new->own_name, "%.8s", order_id_text(new, id));
        new->request->name = new->own_name;
    }
    o->items[o->count++] = new;
    *out = new;
    return 0;
}

void order_forget(struct order *o)
{
    struct orders *all = o->orders;
    order_set_stage(o, ORDER_OVER);
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i] == o) {
            all->count--;
            memmove(&all->items[i], &all->items[i + 1], (all->count - i) * sizeof(struct order *));
            break;
        }
    free_order(o);
}

/* ------------------------------------------------------------------ what agents are told */

static bool is_counted(enum order_stage stage)
{
    return stage == ORDER_KEEPING || stage == ORDER_STANDS;
}

void order_set_stage(struct order *o, enum order_stage stage)
{
    bool was = is_counted(o->stage), is = is_counted(stage);
    for (uint32_t i = 0; i < o->agent_count && was != is; i++)
        if (!o->agents[i].left_out)
            o->agents[i].is->orders += is ? 1 : -1u;
    o->stage = stage;
}

uint64_t order_end_ns(const struct order *o)
{
    const struct capture_request *r = o->request;
    uint64_t start = r->start_ns > o->created_ns ? r->start_ns : o->created_ns;
    uint64_t end = r->for_ns > UINT64_MAX - start ? UINT64_MAX : start + r->for_ns;
    return r->for_ns && (!r->end_ns || end < r->end_ns) ? end : r->end_ns;
}

bool order_time_is_over(const struct order *o, uint64_t now_ns)
{
    uint64_t end = order_end_ns(o);
    return o->stage == ORDER_OVER || (end && now_ns >= end);
}

/* The agent's entry, if the order is to be among those that it is told of. */
static struct order_agent *entry_for(const struct order *o, const struct fleet_agent *a, uint64_t now_ns)
{
    struct order_agent *entry = o->stage == ORDER_STANDS ? order_agent(o, a->name) : NULL;
    if (!entry || entry->left_out || !order_means(o, a))
        return NULL;
    return order_time_is_over(o, now_ns) && !order_agent_runs(entry) ? NULL : entry;
}

static struct net_order net_order_of(const struct order *o, uint64_t now_ns)
{
    uint64_t start = o->request->start_ns, end = order_end_ns(o);
    return (struct net_order){.request = o->request,
                              .request_count = 1,
                              .wait_ns = start > now_ns ? start - now_ns : 0,
                              .left_ns = !end           ? UINT64_MAX
                                         : end > now_ns ? end - now_ns
                                                        : 0,
                              .end_ns = end};
}

/* Those beyond NET_ORDERS_MAX wait until others are over. */
static void send_orders(struct orders *o, struct fleet_agent *a)
{
    struct net_order list[NET_ORDERS_MAX];
    struct message m = {.type = MESSAGE_ORDERS, .orders = {.orders = list}};
    uint64_t now = clock_wall_ns();
    for (size_t i = 0; a->control && i < o->count; i++) {
        struct order_agent *entry = entry_for(o->items[i], a, now);
        const char *beyond = entry ? order_beyond(o->items[i], a) : NULL;
        if (beyond)
            order_say(entry, PHASE_REFUSED, beyond);
        else if (entry && m.orders.order_count < NET_ORDERS_MAX) {
            list[m.orders.order_count++] = net_order_of(o->items[i], now);
            o->items[i]->changed = o->items[i]->changed || !entry->sent;
            entry->sent = true;
        } else if (entry && !entry->sent)
            order_say(entry, PHASE_PENDING,
                      "the agent has 64 captures already, which is the most: it begins when one is over");
    }
    if (a->control)
        session_send(a->control, &m);
}

void order_tell(struct order *o)
{
    for (uint32_t i = 0; i < o->agent_count; i++)
        if (o->agents[i].is->control && !o->agents[i].left_out)
            send_orders(o->orders, o->agents[i].is);
}

void order_give_place(struct order *o)
{
    for (uint32_t i = 0; i < o->agent_count; i++)
        if (o->agents[i].is->orders >= NET_ORDERS_MAX)
            send_orders(o->orders, o->agents[i].is);
}

void order_stand(struct order *o)
{
    for (uint32_t i = 0; i < o->agent_count; i++) /* what CHECKED told was of then */
        o->agents[i].state.capture_state.packets_per_s = o->agents[i].state.capture_state.bytes_per_s = 0;
    order_set_stage(o, ORDER_STANDS);
    order_tell(o);
}

void order_end(struct order *o, uint64_t now_ns, const char *why)
{
    order_set_stage(o, ORDER_OVER);
    o->ended_ns = now_ns;
    free(o->why);
    o->why = strdup(why);
    o->changed = true;
}

/* ------------------------------------------------------------------ agents come and tell */

void orders_agent_up(struct orders *o, struct session *agent)
{
    struct fleet_agent *a = agent->known;
    struct error e = ERROR_INIT;
    uint64_t now = clock_wall_ns();
    for (size_t i = 0; i < o->count; i++) {
        struct order *order = o->items[i];
        struct order_agent *entry;
        if (!is_counted(order->stage) || order_time_is_over(order, now) || !order_means(order, a))
            continue;
        if (order_add_agent(order, a, &entry, &e))
            log_error("agent %s: %s", a->name, e.text);
        else if (order_agent_runs(entry))
            order_say(entry, PHASE_PENDING, ""); /* what it said last may be of a run of its that has ended */
    }
    send_orders(o, a);
}

/* What an order that is over came to is not to change. */
static void keep_revoked(struct order *o, struct order_agent *a, uint64_t now_ns)
{
    char text[ERROR_TEXT_MAX];
    uint8_t phase = order_phase(o, a, now_ns);
    uint64_t stopped_ns = order_agent_stopped_ns(a);
    if (phase == a->state.capture_state.phase)
        return;
    order_say(a, phase, order_agent_text(o, a, now_ns, text, sizeof text));
    a->since_ns = stopped_ns ? stopped_ns : a->since_ns;
    o->changed = true;
}

void orders_agent_anew(struct orders *o, struct fleet_agent *a)
{
    uint64_t now = clock_wall_ns();
    for (size_t i = 0; i < o->count; i++) {
        struct order_agent *entry = order_agent(o->items[i], a->name);
        if (entry && order_time_is_over(o->items[i], now))
            keep_revoked(o->items[i], entry, now);
        else if (entry)
            order_drop_agent(o->items[i], entry);
    }
}

void orders_agent_down(struct orders *o, struct session *agent)
{
    commands_answer(o, agent->known, NULL);
}

void orders_checked(struct orders *o, struct session *agent, const struct message_checked *m)
{
    commands_answer(o, agent->known, m);
}

static void tell_phase(const struct order *o, const struct order_agent *a)
{
    const struct message_capture_state *s = &a->state.capture_state;
    bool bad = s->phase == PHASE_REFUSED || s->phase == PHASE_FAILED;
    log_write(bad ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "capture %s: %s: %s%s%s", o->request->name, a->is->name,
              capture_phase_name(s->phase), s->text && s->text[0] ? ": " : "", s->text ? s->text : "");
}

void orders_state(struct orders *o, struct session *agent, const struct message_capture_state *m)
{
    struct error e = ERROR_INIT;
    struct order *order = orders_find(o, m->id);
    struct order_agent *a = order && is_listed(order) ? order_agent(order, agent->known->name) : NULL;
    if (!a) {
        log_debug("agent %s tells of a capture that nobody ordered", agent->known->name);
        return;
    }
    bool news =
        a->state.capture_state.phase != m->phase || strcmp(a->state.capture_state.text ?: "", m->text ?: "") != 0;
    uint8_t before = a->state.capture_state.phase;
    if (order_take_state(a, m, &e)) {
        log_error("agent %s: %s", a->is->name, e.text);
        return;
    }
    a->sent = true;
    a->told_ns = clock_wall_ns();
    order->touched = true;
    order->changed = order->changed || news;
    if (before != m->phase)
        a->since_ns = clock_wall_ns();
    if (news)
        tell_phase(order, a);
}

/* ------------------------------------------------------------------ start and end */

int orders_open(struct server *server, struct orders **out, struct error *e)
{
    struct orders *o = calloc(1, sizeof *o);
    if (!o)
        return error_set(e, ERROR_MEMORY, "no memory for captures");
    o->server = server;
    int r = orders_load(o, e);
    if (r) {
        orders_close(o);
        return r;
    }
    uv_timer_init(server->loop, &o->tick);
    o->tick.data = o;
    uv_timer_start(&o->tick, orders_tick, 0, TICK_MS);
    *out = o;
    return 0;
}

void orders_stop(struct orders *o)
{
    if (o->stopping)
        return;
    o->stopping = true;
    uv_close((uv_handle_t *)&o->tick, NULL);
    for (struct command *c = o->commands, *next; c; c = next) {
        next = c->next;
        if (c->order && c->order->stage == ORDER_ASKED) /* the others wait for jobs, which come back now */
            command_done(c, ERROR_CANCELLED, "the collector stops: ask again when it runs", NULL);
    }
}

void orders_close(struct orders *o)
{
    if (!o)
        return;
    orders_keep_at_end(o);
    for (size_t i = 0; i < o->count; i++)
        free_order(o->items[i]);
    free(o->items);
    free(o);
}
