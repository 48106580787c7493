/*
 * What time does to orders: those whose end has come are over, those that ended long ago are forgotten, what has changed is kept. And what
 * stands always: the baseline.
 */
#include "collector/server/orders_impl.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include <string.h>
#include <sys/random.h>

#define GRACE_NS (10 * NS_PER_S) /* behind its end agents may still tell of an order what it came to */

static bool anybody_runs(const struct order *o, uint64_t now_ns)
{
    for (uint32_t i = 0; i < o->agent_count; i++)
        if (order_agent_is_here(&o->agents[i], now_ns) && order_agent_runs(&o->agents[i]))
            return true;
    return false;
}

static void end_what_is_over(struct orders *o, uint64_t now_ns)
{
    for (size_t i = 0; i < o->count; i++) {
        struct order *order = o->items[i];
        uint64_t end_ns = order_end_ns(order);
        if (order->stage == ORDER_STANDS && end_ns && now_ns >= end_ns &&
            (!anybody_runs(order, now_ns) || now_ns - end_ns > GRACE_NS)) {
            order_end(order, end_ns, CAPTURE_TIME_IS_OVER);
            order_give_place(order);
            log_info("capture %s is over: its time is over", order->request->name);
        }
    }
}

static struct order *longest_ended(const struct orders *o, size_t *ended)
{
    struct order *oldest = NULL;
    *ended = 0;
    for (size_t i = 0; i < o->count; i++)
        if (o->items[i]->stage == ORDER_OVER) {
            ++*ended;
            if (!oldest || o->items[i]->ended_ns < oldest->ended_ns)
                oldest = o->items[i];
        }
    return oldest;
}

static void forget_old(struct orders *o)
{
    struct error e = ERROR_INIT;
    size_t ended;
    for (struct order *old; (old = longest_ended(o, &ended)) && ended > ORDERS_ENDED_MAX;) {
        if (orders_keep_not(o, old->request->id, NULL, NULL, &e)) {
            log_error("%s", e.text);
            return;
        }
        order_forget(old);
    }
}

static void keep_changed(struct orders *o)
{
    struct error e = ERROR_INIT;
    for (size_t i = 0; i < o->count; i++) {
        struct order *order = o->items[i];
        bool due = order->changed && order->stage != ORDER_ASKED && !order->keeping && !order->leaving;
        if (due && order_keep(order, NULL, NULL, &e)) {
            log_error("%s", e.text);
            return;
        }
    }
}

void orders_tick(uv_timer_t *timer)
{
    struct orders *o = timer->data;
    end_what_is_over(o, clock_wall_ns());
    forget_old(o);
    keep_changed(o);
}

/* ------------------------------------------------------------------ the baseline */

static int make_baseline(struct orders *o, struct error *e)
{
    char name[] = ORDERS_BASELINE, who[] = "the configuration", filter[] = "";
    struct capture_request r = {
        .name = name, .filter = filter, .who = who, .keep = KEEP_FLOWS, .companions = 1, .issued_ns = clock_wall_ns()};
    struct order *order;
    if (getrandom(r.id, sizeof r.id, 0) != sizeof r.id || getrandom(r.nonce, sizeof r.nonce, 0) != sizeof r.nonce)
        return error_set(e, ERROR_SYSTEM, "the system gives no random numbers");
    int code = order_new(o, &r, &order, e);
    if (code)
        return code;
    order->created_ns = r.issued_ns;
    order->changed = true; /* kept by the next tick, and told then */
    order_set_stage(order, ORDER_KEEPING);
    code = order_add_meant(order, e);
    if (code)
        order_forget(order);
    else
        log_info("capture %s: flows of all agents, for ever, as the configuration says", name);
    return code;
}

int orders_baseline(struct orders *o, bool wanted, struct error *e)
{
    for (size_t i = o->count; i-- > 0;) {
        struct order *order = o->items[i];
        if (strcmp(order->request->name, ORDERS_BASELINE) != 0)
            continue;
        if (order->stage == ORDER_STANDS && wanted)
            return 0;
        if (order->stage == ORDER_STANDS)
            order_end(order, clock_wall_ns(), "the configuration does not want it any more");
        else if (wanted) { /* makes room for a new one of the name */
            int r = orders_keep_not(o, order->request->id, NULL, NULL, e);
            if (r)
                return r;
            order_forget(order);
        }
    }
    return wanted ? make_baseline(o, e) : 0;
}
