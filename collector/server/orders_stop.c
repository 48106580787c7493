/*
 * Stop and remove. A stop works at once, and is kept then: a store that takes nothing must not keep captures running. A removal is kept first.
 */
#include "collector/server/orders_impl.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_MS 10000u

static bool is_baseline(const struct order *o)
{
    return strcmp(o->request->name, ORDERS_BASELINE) == 0;
}

/* ------------------------------------------------------------------ who is named */

static int nothing_found(const struct command *c, struct error *e)
{
    return error_set(e, ERROR_NOT_FOUND, "there is no capture '%s', by name or by the beginning of its id",
                     c->m->which);
}

static int several_ids(const struct command *c, struct order **found, struct error *e)
{
    char a[ORDER_ID_TEXT], b[ORDER_ID_TEXT];
    return error_set(e, ERROR_USAGE, "'%s' is the beginning of several ids (%.12s, %.12s, ...): give more of it",
                     c->m->which, order_id_text(found[0], a), order_id_text(found[1], b));
}

/* Those that the command is about. The configuration's is passed over among others. */
static int find(const struct command *c, struct order ***out, size_t *count, struct error *e)
{
    struct order **found = malloc((c->orders->count + 1) * sizeof(struct order *));
    *out = found;
    if (!found)
        return error_set(e, ERROR_MEMORY, "no memory for a command");
    if (!c->m->which || !c->m->which[0])
        return error_set(e, ERROR_USAGE, "which capture? Its name, the beginning of its id, or '*' for all");
    size_t n = orders_match(c->orders, c->m->which, found);
    bool by_name = c->m->which[strcspn(c->m->which, "*?")] || (n && strcmp(found[0]->request->name, c->m->which) == 0);
    if (n > 1 && !by_name)
        return several_ids(c, found, e);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!is_baseline(found[i]) || found[i]->stage == ORDER_OVER)
            found[kept++] = found[i];
    *count = kept;
    if (n == 1 && kept == 0)
        return error_set(
            e, ERROR_REFUSED,
            "the capture %s is the configuration's: set `baseline = no` in collector.conf and restart the collector",
            found[0]->request->name);
    return n ? 0 : nothing_found(c, e);
}

int orders_each_named(struct orders *o, const char *which, enum command_kind kind,
                      int (*each)(void *context, const struct capture_request *r, struct error *e), void *context,
                      struct error *e)
{
    struct order **found = malloc((o->count + 1) * sizeof(struct order *));
    int r = found ? 0 : error_set(e, ERROR_MEMORY, "no memory for a command");
    size_t n = found && which[0] ? orders_match(o, which, found) : 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        if (!is_baseline(found[i]) && (kind != COMMAND_STOP || found[i]->stage != ORDER_OVER))
            r = each(context, found[i]->request, e);
    free(found);
    return r;
}

/* ------------------------------------------------------------------ jobs */

static void finish(struct command *c)
{
    json_t *changed = c->changed;
    c->changed = NULL;
    snprintf(c->extent, sizeof c->extent, "%zu captures", json_array_size(changed));
    command_done(c, c->error.code, c->error.code ? c->error.text : c->note, changed);
}

static void on_too_long(uv_timer_t *timer)
{
    struct command *c = timer->data;
    (void)error_set(&c->error, ERROR_BUSY,
                    c->m->kind == COMMAND_STOP
                        ? "stopped; but the collector's store does not take that (is its disk full?): after a restart "
                          "of the collector it might go on"
                        : "the collector's store does not take anything (is its disk full?): its log says more");
    finish(c);
}

static void job_done(struct command *c, int result, const struct error *why)
{
    if (!c->answered && result && !c->error.code) {
        c->error = *why;
        if (c->m->kind == COMMAND_STOP)
            error_prefix(&c->error, "stopped, but after a restart of the collector it would go on");
    }
    if (--c->waiting == 0 && !c->answered)
        finish(c);
    command_unuse(c);
}

static void begin_job(struct command *c)
{
    c->uses++;
    c->waiting++;
}

static void wait_for_jobs(struct command *c)
{
    if (c->waiting)
        uv_timer_start(&c->timer, on_too_long, KEEP_MS, 0);
    else
        finish(c);
}

/* ------------------------------------------------------------------ stop */

static void on_stop_kept(void *context, int result, const struct error *why)
{
    job_done(context, result, why);
}

static void stop_one(struct command *c, struct order *o)
{
    char why[HEAD_NAME_MAX + 32];
    struct error e = ERROR_INIT;
    snprintf(why, sizeof why, "stopped by %s", c->m->who && c->m->who[0] ? c->m->who : c->client->peer);
    order_end(o, clock_wall_ns(), why);
    order_tell(o);
    json_array_append_new(c->changed, order_json(o, clock_wall_ns()));
    if (order_keep(o, on_stop_kept, c, &e) == 0)
        begin_job(c);
    else if (!c->error.code)
        c->error = e;
}

void command_stop(struct command *c)
{
    struct order **found = NULL;
    size_t n = 0;
    int r = find(c, &found, &n, &c->error);
    c->changed = json_array();
    for (size_t i = 0; r == 0 && i < n; i++)
        if (found[i]->stage == ORDER_STANDS)
            stop_one(c, found[i]);
    if (r == 0 && json_array_size(c->changed) == 0)
        snprintf(c->note, sizeof c->note,
                 n == 1 ? "the capture %.255s is over already: %.300s" : "no capture is running",
                 n ? found[0]->request->name : "", n && found[0]->why ? found[0]->why : "");
    free(found);
    wait_for_jobs(c);
}

/* ------------------------------------------------------------------ remove */

struct removal {
    struct command *c;
    uint8_t id[16];
};

static void on_removal_kept(void *context, int result, const struct error *why)
{
    struct removal *x = context;
    struct order *o = orders_find(x->c->orders, x->id);
    struct command *c = x->c;
    free(x);
    if (o)
        o->leaving = false;
    if (o && result == 0) {
        if (!c->answered)
            json_array_append_new(c->changed, order_json(o, clock_wall_ns()));
        order_set_stage(o, ORDER_OVER);
        order_tell(o);
        order_forget(o);
    }
    job_done(c, result, why);
}

static void remove_one(struct command *c, struct order *o)
{
    struct removal *x = malloc(sizeof *x);
    if (!x) {
        (void)error_set(&c->error, ERROR_MEMORY, "no memory for a command");
        return;
    }
    x->c = c;
    memcpy(x->id, o->request->id, sizeof x->id);
    if (orders_keep_not(c->orders, x->id, on_removal_kept, x, &c->error)) {
        free(x);
        return;
    }
    o->leaving = true;
    begin_job(c);
}

void command_remove(struct command *c)
{
    struct order **found = NULL;
    size_t n = 0, running = 0;
    uint64_t now = clock_wall_ns();
    int r = find(c, &found, &n, &c->error);
    c->changed = json_array();
    for (size_t i = 0; r == 0 && i < n; i++)
        if (order_is_over(found[i], now))
            remove_one(c, found[i]);
        else
            running++;
    if (r == 0 && running && running == n)
        (void)error_set(&c->error, ERROR_BUSY, "the capture %s is %s: stop it first", found[0]->request->name,
                        order_state(found[0], now));
    else if (running)
        snprintf(c->note, sizeof c->note, "%zu that are not over are still there: stop them first", running);
    free(found);
    wait_for_jobs(c);
}
