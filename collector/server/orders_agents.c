#include "collector/server/orders_impl.h"

#include "common/base/clock.h"
#include "common/base/units.h"
#include "common/net/selector.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOPPING_NS (30 * NS_PER_S) /* who has not told of the end by then is not waited for */

const char *order_beyond(const struct order *o, const struct fleet_agent *a)
{
    if (o->request->cutoff && a->control && !(a->control->features & FEATURE_CUTOFF))
        return "its release does not know --cutoff: upgrade it, or leave that out";
    return NULL;
}

bool order_means(const struct order *o, const struct fleet_agent *a)
{
    return selector_means(o->request, a->name, (const char *const *)a->label, a->label_count);
}

/* ------------------------------------------------------------------ the list */

/* The first that does not come before it. */
static uint32_t place_of(const struct order *o, const char *name)
{
    uint32_t low = 0, high = o->agent_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(o->agents[middle].is->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct order_agent *order_agent(const struct order *o, const char *name)
{
    uint32_t at = place_of(o, name);
    return at < o->agent_count && strcmp(o->agents[at].is->name, name) == 0 ? &o->agents[at] : NULL;
}

static int make_room(struct order *o, struct error *e)
{
    if (o->agent_count < o->agent_size)
        return 0;
    uint32_t size = o->agent_size ? 2 * o->agent_size : 8;
    struct order_agent *more = realloc(o->agents, size * sizeof *more);
    if (!more)
        return error_set(e, ERROR_MEMORY, "no memory for %u agents of a capture", size);
    o->agents = more;
    o->agent_size = size;
    return 0;
}

int order_add_agent(struct order *o, struct fleet_agent *a, struct order_agent **out, struct error *e)
{
    uint32_t at = place_of(o, a->name);
    if (at == o->agent_count || o->agents[at].is != a) {
        int r = make_room(o, e);
        if (r)
            return r;
        memmove(&o->agents[at + 1], &o->agents[at], (o->agent_count - at) * sizeof *o->agents);
        o->agents[at] = (struct order_agent){.is = a};
        o->agents[at].state = (struct message){.type = MESSAGE_CAPTURE_STATE,
                                               .capture_state = {.phase = PHASE_PENDING, .left_ns = UINT64_MAX}};
        memcpy(o->agents[at].state.capture_state.id, o->request->id, 16);
        o->agent_count++;
        o->changed = true;
        a->orders += o->stage == ORDER_KEEPING || o->stage == ORDER_STANDS;
    }
    *out = &o->agents[at];
    return 0;
}

void order_drop_agent(struct order *o, struct order_agent *a)
{
    size_t at = (size_t)(a - o->agents);
    if (!a->left_out)
        a->is->orders -= o->stage == ORDER_KEEPING || o->stage == ORDER_STANDS;
    message_free(&a->state);
    memmove(a, a + 1, (o->agent_count - at - 1) * sizeof *a);
    o->agent_count--;
    o->changed = true;
}

int order_add_meant(struct order *o, struct error *e)
{
    const struct fleet *f = o->orders->server->fleet;
    struct order_agent *a;
    int r = 0;
    for (size_t i = 0; r == 0 && i < fleet_count(f); i++)
        if (order_means(o, fleet_at(f, i)) && !fleet_at(f, i)->revoked_ns)
            r = order_add_agent(o, fleet_at(f, i), &a, e);
    return r;
}

void order_free_agents(struct order *o)
{
    for (uint32_t i = 0; i < o->agent_count; i++)
        message_free(&o->agents[i].state);
    free(o->agents);
}

/* ------------------------------------------------------------------ states */

int order_take_state(struct order_agent *a, const struct message_capture_state *m, struct error *e)
{
    const struct message from = {.type = MESSAGE_CAPTURE_STATE, .capture_state = *m};
    struct message copy;
    int r = message_copy(&from, &copy, e);
    if (r)
        return r;
    message_free(&a->state);
    a->state = copy;
    return 0;
}

void order_say(struct order_agent *a, uint8_t phase, const char *text)
{
    struct message_capture_state s = a->state.capture_state;
    s.phase = phase;
    s.text = (char *)(uintptr_t)text;
    if (order_take_state(a, &s, NULL))
        a->state.capture_state.phase = phase;
}

static bool said_that_it_runs(const struct order_agent *a)
{
    uint8_t phase = a->state.capture_state.phase;
    return phase == PHASE_RUNNING || phase == PHASE_WAITING || phase == PHASE_FAILED;
}

bool order_agent_runs(const struct order_agent *a)
{
    return said_that_it_runs(a) && !a->is->revoked_ns;
}

uint64_t order_agent_stopped_ns(const struct order_agent *a)
{
    if (said_that_it_runs(a))
        return a->is->revoked_ns;
    return a->state.capture_state.phase == PHASE_STOPPED ? a->since_ns : 0;
}

/* Its phase is what revoking it made of it. */
static bool ended_revoked(const struct order_agent *a)
{
    return a->is->revoked_ns && (said_that_it_runs(a) || a->state.capture_state.phase == PHASE_PENDING);
}

uint8_t order_phase(const struct order *o, const struct order_agent *a, uint64_t now_ns)
{
    uint8_t phase = a->state.capture_state.phase;
    if (ended_revoked(a))
        return phase == PHASE_PENDING ? PHASE_MISSED : PHASE_STOPPED;
    return phase == PHASE_PENDING && order_time_is_over(o, now_ns) ? PHASE_MISSED : phase;
}

bool order_agent_is_here(const struct order_agent *a, uint64_t now_ns)
{
    return a->is->control && !fleet_is_silent(a->is, now_ns);
}

/* Of an agent that is not here: since when. */
static const char *away_text(const struct order_agent *a, char *buf, size_t len)
{
    char when[64];
    if (a->is->seen_ns)
        snprintf(buf, len, "%s since %s%s", a->is->control ? "does not answer" : "is not connected",
                 units_format_time(a->is->seen_ns, when, sizeof when),
                 order_agent_runs(a) ? "; when it was, it ran" : "");
    else
        snprintf(buf, len, "was never connected");
    return buf;
}

static const char *revoked_text(const struct order_agent *a, char *buf, size_t len)
{
    char when[64];
    snprintf(buf, len, CAPTURE_REVOKED " %s%s", units_format_time(a->is->revoked_ns, when, sizeof when),
             said_that_it_runs(a) ? "; what its host still captures by itself is not taken" : "");
    return buf;
}

const char *order_agent_text(const struct order *o, const struct order_agent *a, uint64_t now_ns, char *buf, size_t len)
{
    if (ended_revoked(a))
        return revoked_text(a, buf, len);
    const char *text = a->state.capture_state.text ? a->state.capture_state.text : "";
    uint8_t phase = order_phase(o, a, now_ns);
    size_t told = strlen(CAPTURE_TOLD_TO_STOP);
    if (phase == PHASE_STOPPED && o->why && strncmp(text, CAPTURE_TOLD_TO_STOP, told) == 0) {
        snprintf(buf, len, "%s%s", o->why, text + told); /* what its host made of it follows */
        return buf;
    }
    if (phase == PHASE_MISSED && !text[0])
        return order_agent_is_here(a, now_ns) ? "it did not begin before the end"
               : a->is->control               ? "it did not answer before the end"
                                              : "was not connected before the end";
    if (phase == PHASE_PENDING && a->is->control && a->answer == ANSWER_AWAITED)
        return "did not answer in time whether it can";
    bool finished = phase == PHASE_STOPPED || phase == PHASE_REFUSED || phase == PHASE_MISSED;
    return order_agent_is_here(a, now_ns) || finished ? text : away_text(a, buf, len);
}

const char *order_why(const struct order *o)
{
    const char *why = o->why ? o->why : "";
    if (o->why && strcmp(o->why, CAPTURE_TIME_IS_OVER) != 0)
        return why;
    for (uint32_t i = 0; i < o->agent_count; i++) {
        const struct message_capture_state *s = &o->agents[i].state.capture_state;
        if (s->phase == PHASE_STOPPED && s->text &&
            strncmp(s->text, CAPTURE_HOST_ENDED, strlen(CAPTURE_HOST_ENDED)) == 0)
            why = why == o->why || !*why ? s->text : why;
        else if (s->phase != PHASE_REFUSED)
            return o->why ? o->why : ""; /* elsewhere it ran on */
    }
    return why;
}

/* ------------------------------------------------------------------ an order's state */

struct tally {
    uint32_t runs, pending, refused, away_runs;
};

static struct tally count(const struct order *o, uint64_t now_ns)
{
    struct tally t = {0};
    for (uint32_t i = 0; i < o->agent_count; i++) {
        const struct order_agent *a = &o->agents[i];
        if (order_agent_runs(a) && order_agent_is_here(a, now_ns))
            t.runs++;
        else if (order_agent_runs(a))
            t.away_runs++;
        t.pending += order_phase(o, a, now_ns) == PHASE_PENDING;
        t.refused += a->state.capture_state.phase == PHASE_REFUSED;
    }
    return t;
}

static bool is_waited_for(const struct order *o, uint64_t now_ns)
{
    uint64_t end_ns = o->stage == ORDER_OVER ? o->ended_ns : order_end_ns(o);
    return now_ns < end_ns + STOPPING_NS;
}

const char *order_state(const struct order *o, uint64_t now_ns)
{
    struct tally t = count(o, now_ns);
    if (o->stage == ORDER_ASKED || o->stage == ORDER_KEEPING)
        return "checked";
    if (order_time_is_over(o, now_ns))
        return t.runs && is_waited_for(o, now_ns) ? "stopping" : "over";
    if (t.runs || t.away_runs)
        return "running";
    if (t.pending || o->agent_count == 0)
        return "pending";
    return t.refused == o->agent_count ? "refused" : "over";
}

bool order_is_over(const struct order *o, uint64_t now_ns)
{
    const char *state = order_state(o, now_ns);
    return strcmp(state, "over") == 0 || strcmp(state, "refused") == 0;
}
