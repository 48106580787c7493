#include "collector/server/orders_impl.h"

#include "common/base/log.h"
#include <stdlib.h>
#include <string.h>

/* A job under way, as its owner. */
struct keeping {
    struct orders *orders;
    uint8_t id[16];
    order_kept_fn *done;
    void *context;
};

/* ------------------------------------------------------------------ jobs */

static int new_job(struct orders *o, enum ingest_kind kind, const uint8_t id[16], order_kept_fn *done, void *context,
                   struct ingest_job **out, struct error *e)
{
    struct keeping *k = malloc(sizeof *k);
    *out = k ? ingest_job_new(kind, k) : NULL;
    if (!*out) {
        free(k);
        return error_set(e, ERROR_MEMORY, "no memory to keep a capture");
    }
    *k = (struct keeping){.orders = o, .done = done, .context = context};
    memcpy(k->id, id, sizeof k->id);
    memcpy((*out)->order.id, id, sizeof k->id);
    return 0;
}

static void drop_job(struct ingest_job *job)
{
    free(job->owner);
    ingest_job_free(job);
}

/* The payload of a CHECK. */
static int encode(const struct order *o, struct buffer *out, struct error *e)
{
    struct buffer frame = {.limit = ORDERS_BYTES_MAX + NET_HEADER_SIZE};
    int r = message_encode(&o->held, &frame, e);
    if (r == 0)
        buffer_append(out, frame.data + NET_HEADER_SIZE, frame.len - NET_HEADER_SIZE);
    buffer_free(&frame);
    return r ? r : out->failed ? error_set(e, ERROR_MEMORY, "no memory to keep a capture") : 0;
}

static int fill_job(const struct order *o, struct ingest_job *job, struct error *e)
{
    job->order.created_ns = o->created_ns;
    job->order.ended_ns = o->ended_ns;
    job->order.why = strdup(o->why ? o->why : "");
    job->order.agents = order_agents_kept(o);
    if (!job->order.why || !job->order.agents)
        return error_set(e, ERROR_MEMORY, "no memory to keep a capture");
    return encode(o, &job->head, e);
}

int order_keep(struct order *o, order_kept_fn *done, void *context, struct error *e)
{
    struct ingest_job *job;
    int r = new_job(o->orders, INGEST_ORDER, o->request->id, done, context, &job, e);
    if (r)
        return r;
    r = fill_job(o, job, e);
    if (r) {
        drop_job(job);
        return r;
    }
    o->changed = o->touched = false;
    o->keeping++;
    ingest_submit(o->orders->server->ingest, job);
    return 0;
}

int orders_keep_not(struct orders *o, const uint8_t id[16], order_kept_fn *done, void *context, struct error *e)
{
    struct ingest_job *job;
    int r = new_job(o, INGEST_ORDER_REMOVE, id, done, context, &job, e);
    if (r == 0)
        ingest_submit(o->server->ingest, job);
    return r;
}

/* ------------------------------------------------------------------ what came of them */

static void tell(struct orders *o, const struct ingest_job *job)
{
    if (job->result && !o->cannot_keep && job->result != ERROR_CANCELLED)
        log_error("captures cannot be kept: %s; tried again every second", job->error.text);
    else if (!job->result && o->cannot_keep)
        log_info("captures are kept again");
    o->cannot_keep = job->result != 0;
}

/* It was put, and nobody is there that it could be of: it was given up meanwhile. */
static void put_in_vain(struct orders *o, const struct keeping *k)
{
    struct error e = ERROR_INIT;
    if (!o->stopping && orders_keep_not(o, k->id, NULL, NULL, &e))
        log_error("%s", e.text);
}

static void was_put(struct orders *o, const struct keeping *k, int result)
{
    struct order *order = orders_find(o, k->id);
    if (order) {
        order->keeping--;
        order->changed = order->changed || result;
    }
    if (k->done)
        return;
    if (!order && result == 0)
        put_in_vain(o, k);
    else if (order && result == 0 && order->stage == ORDER_KEEPING) /* the baseline */
        order_stand(order);
}

void orders_job_done(struct ingest_job *job)
{
    struct keeping *k = job->owner;
    if (!k->done)
        tell(k->orders, job);
    if (job->kind == INGEST_ORDER)
        was_put(k->orders, k, job->result);
    if (k->done)
        k->done(k->context, job->result, &job->error);
    drop_job(job);
}

/* ------------------------------------------------------------------ start and end */

struct loading {
    struct orders *orders;
    struct error *e;
};

static int take(struct orders *o, const struct store_order *from, struct error *e)
{
    struct message m;
    struct order *order;
    int r = message_decode(MESSAGE_CHECK, from->request, from->request_length, &m, e);
    if (r)
        return r;
    r = order_new(o, m.check.request, &order, e);
    message_free(&m);
    if (r)
        return r;
    order->created_ns = from->created_ns;
    order->ended_ns = from->ended_ns;
    order->why = from->why[0] ? strdup(from->why) : NULL;
    order_agents_read(order, from->agents);
    order_set_stage(order, from->ended_ns ? ORDER_OVER : ORDER_STANDS);
    order->changed = false;
    return 0;
}

/* One that cannot be read costs itself. */
static int load(void *context, const struct store_order *from)
{
    struct loading *l = context;
    struct error why = ERROR_INIT;
    int r = take(l->orders, from, &why);
    if (r == ERROR_MEMORY)
        return error_set(l->e, r, "%s", why.text);
    if (r)
        log_error("a capture that was ordered cannot be read from the catalog, agents end it: %s", why.text);
    return 0;
}

int orders_load(struct orders *o, struct error *e)
{
    struct loading l = {o, e};
    struct store_reader *reader = NULL;
    int r = store_reader_open(o->server->store, &reader, e);
    if (r == 0)
        r = store_each_order(reader, load, &l, e);
    store_reader_close(reader);
    return r;
}

static int put(struct orders *o, const struct order *order, struct error *e)
{
    struct ingest_job job = {.kind = INGEST_ORDER, .body_fd = -1};
    int r = fill_job(order, &job, e);
    struct store_order s = {.request = job.head.data,
                            .request_length = job.head.len,
                            .created_ns = order->created_ns,
                            .ended_ns = order->ended_ns,
                            .why = job.order.why,
                            .agents = job.order.agents};
    memcpy(s.id, order->request->id, sizeof s.id);
    if (r == 0)
        r = store_order_put(o->server->store, &s, e);
    buffer_free(&job.head);
    free(job.order.why);
    free(job.order.agents);
    return r;
}

void orders_keep_at_end(struct orders *o)
{
    struct error e = ERROR_INIT;
    for (size_t i = 0; i < o->count; i++) {
        const struct order *order = o->items[i];
        bool due = (order->changed || order->touched) && order->stage != ORDER_ASKED;
        if (due && put(o, order, &e))
            log_error("capture %s: its last state is not kept: %s", order->request->name, e.text);
    }
}
