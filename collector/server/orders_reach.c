#include "collector/server/orders_impl.h"

#include "common/base/clock.h"
#include "common/base/glob.h"
#include <stdio.h>
#include <string.h>

#define CLOCKS_NS (60 * NS_PER_S) /* packets have the agents' time, captures begin and stop by the collector's */

static bool fits(const struct order *o, const char *glob)
{
    bool listed = o->stage == ORDER_STANDS || o->stage == ORDER_OVER;
    return listed && (!glob || !*glob || glob_match(glob, o->request->name, strlen(o->request->name)));
}

static bool has_stopped(const struct order_agent *a)
{
    return order_agent_stopped_ns(a) != 0;
}

/* Whether it captured or captures, as far as is known. */
static bool may_hold(const struct order_agent *a)
{
    bool pending = a->state.capture_state.phase == PHASE_PENDING;
    return !a->left_out && (order_agent_runs(a) || has_stopped(a) || (pending && a->sent));
}

static bool is_all_here(const struct order_agent *a)
{
    return has_stopped(a) && a->reaches_ns >= order_agent_stopped_ns(a);
}

static bool is_of_time(const struct order *o, const struct order_agent *a, const struct message_query *q)
{
    bool before = has_stopped(a) && order_agent_stopped_ns(a) + CLOCKS_NS < q->since_ns;
    bool behind = q->until_ns < o->created_ns - CLOCKS_NS;
    return !before && !behind;
}

static void each_agent(const struct order *o, const struct message_query *q,
                       void (*each)(void *context, const struct orders_reach *r), void *context)
{
    for (uint32_t i = 0; i < o->agent_count; i++) {
        const struct order_agent *a = &o->agents[i];
        if (!may_hold(a) || is_all_here(a) || !is_of_time(o, a, q) || !fleet_fits(a->is, q->agents, q->agent_count))
            continue;
        each(context, &(struct orders_reach){a->is, o->request->name, a->reaches_ns, has_stopped(a)});
    }
}

void orders_each_reach(struct orders *o, const struct message_query *q,
                       void (*each)(void *context, const struct orders_reach *r), void *context)
{
    for (size_t i = 0; i < o->count; i++)
        if (fits(o->items[i], q->capture))
            each_agent(o->items[i], q, each, context);
}

static bool waits_in_vain(const struct order *o, const char *agent, const char **why)
{
    const struct order_agent *a = o->stage == ORDER_STANDS ? order_agent(o, agent) : NULL;
    if (!a || a->state.capture_state.phase != PHASE_WAITING)
        return false;
    *why = a->state.capture_state.text ? a->state.capture_state.text : "";
    return **why && strcmp(*why, CAPTURE_WAITS_TIME) != 0;
}

char *orders_problem(const struct orders *o, const struct fleet_agent *a)
{
    const char *why;
    char *text = NULL;
    for (size_t i = 0; i < o->count && !text; i++)
        if (waits_in_vain(o->items[i], a->name, &why) &&
            asprintf(&text, "capture %s waits: %s", o->items[i]->request->name, why) < 0)
            return NULL;
    return text;
}

bool orders_know(const struct orders *o, const char *glob)
{
    for (size_t i = 0; i < o->count; i++)
        if (fits(o->items[i], glob))
            return true;
    return false;
}

void orders_reached(struct orders *o, const struct fleet_agent *a, const char *glob, uint64_t until_ns)
{
    for (size_t i = 0; i < o->count; i++) {
        struct order_agent *entry = fits(o->items[i], glob) ? order_agent(o->items[i], a->name) : NULL;
        if (!entry || until_ns <= entry->reaches_ns)
            continue;
        o->items[i]->changed = o->items[i]->changed || has_stopped(entry);
        entry->reaches_ns = until_ns;
    }
}
