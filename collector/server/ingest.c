/*
 * Threads: ingest_* and collect_done run on the loop's thread, run() and what it calls on the ingest thread; they share the two queues under `mutex`.
 */
#include "collector/server/ingest.h"
#include "collector/server/given_labels.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_FIRST_NS (100 * NS_PER_MS) /* when the store cannot take a group; doubles */
#define RETRY_MOST_NS  NS_PER_S
#define MAINTAIN_NS    (2 * NS_PER_S)

struct queue {
    struct ingest_job *first, **last;
};

struct ingest {
    struct store *store;
    void (*done)(struct ingest_job *job);
    uv_thread_t thread;
    uv_async_t wake_loop;
    uv_mutex_t mutex;
    uv_cond_t wake_thread;
    struct queue todo, finished;
    size_t waiting_bytes, waiting_jobs;
    bool stopping;
    char problem[ERROR_TEXT_MAX]; /* "": parts are stored as they come */

    /* the thread's own */
    struct queue parts; /* taken, in order, and not stored */
    bool failing;       /* the store did not take the first of them: said once */
    bool alone;         /* each is tried by itself */
    uint64_t retry_ns;  /* when failing: the next try */
    uint64_t pause_ns;
};

struct ingest_job *ingest_job_new(enum ingest_kind kind, void *owner)
{
    struct ingest_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->kind = kind;
    job->owner = owner;
    job->body_fd = -1;
    job->head.limit = HEAD_BYTES_MAX;
    return job;
}

void ingest_job_free(struct ingest_job *job)
{
    if (!job)
        return;
    if (job->body_fd >= 0)
        close(job->body_fd);
    buffer_free(&job->head);
    free(job->name);
    free(job->software);
    free(job->labels);
    free(job->peer);
    free(job->status_json);
    free(job->addresses);
    free(job->order.why);
    free(job->order.agents);
    free(job);
}

static void queue_add(struct queue *q, struct ingest_job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
}

static struct ingest_job *queue_take(struct queue *q)
{
    struct ingest_job *job = q->first;
    q->first = job->next;
    if (!q->first)
        q->last = &q->first;
    return job;
}

static struct ingest_job *queue_take_all(struct queue *q)
{
    struct ingest_job *all = q->first;
    q->first = NULL;
    q->last = &q->first;
    return all;
}

static size_t job_bytes(const struct ingest_job *job)
{
    return job->head.len + (job->body_fd >= 0 ? (size_t)job->body_length : 0);
}

/* ------------------------------------------------------------------ the ingest thread */

static void finish(struct ingest *i, struct ingest_job *job)
{
    uv_mutex_lock(&i->mutex);
    i->waiting_bytes -= job_bytes(job);
    i->waiting_jobs--;
    queue_add(&i->finished, job);
    uv_mutex_unlock(&i->mutex);
    uv_async_send(&i->wake_loop);
}

static void cursors(struct ingest *i, struct ingest_job *job)
{
    struct error e = ERROR_INIT;
    int r = store_stream_state(i->store, job->epoch, job->name, &job->head_next, &job->body_next, &e);
    job->over = r == 0 && store_stream_is_over(i->store, job->epoch);
    if (r && job->result == 0) {
        job->result = r;
        job->error = e;
    }
}

static void see_agent(struct ingest *i, struct ingest_job *job)
{
    job->result = given_labels_apply(i->store, job->serial, &job->labels, &job->status_json, &job->error);
    if (job->result)
        return;
    struct store_agent a = {
        .name = job->name,
        .software = job->software,
        .labels = job->labels,
        .addresses = job->addresses,
        .address_count = job->address_count,
        .seen_ns = job->arrived_ns,
        .serial = job->serial,
        .certified_ns = job->certified_ns,
        .peer = job->peer,
        .status_json = job->status_json,
    };
    memcpy(a.install, job->install, sizeof a.install);
    job->result = store_agent_seen(i->store, &a, &job->error);
}

static bool is_part(const struct ingest_job *job)
{
    return job->kind == INGEST_HEAD || job->kind == INGEST_BODY || job->kind == INGEST_FATE;
}

/* Fills a part; false if its head is bad, then the job's result says so. May be done again. */
static bool take_part(struct ingest_job *job, struct store_part *part)
{
    *part = (struct store_part){
        .body_fd = job->body_fd,
        .body_length = job->body_length,
        .seq = job->seq,
        .fate = job->fate,
        .gap = job->gap,
        .arrived_ns = job->arrived_ns,
        .install = job->install,
        .agent = job->name,
    };
    memcpy(part->epoch, job->epoch, EPOCH_SIZE);
    if (job->kind != INGEST_HEAD)
        return true;
    job->result = store_verify_head(job->head.data, job->head.len, &job->decoded, &job->error);
    if (job->result)
        return false;
    part->head_bytes = job->head.data;
    part->head_length = job->head.len;
    part->head = &job->decoded;
    if (memcmp(job->decoded.epoch, job->epoch, EPOCH_SIZE) == 0 && job->decoded.seq == job->seq)
        return true;
    job->result = error_set(&job->error, ERROR_INVALID, "a head came as item %llu of a stream, but names another",
                            (unsigned long long)job->seq);
    head_free(&job->decoded);
    return false;
}

/* ------------------------------------------------------------------ parts */

static void set_problem(struct ingest *i, const char *text)
{
    uv_mutex_lock(&i->mutex);
    snprintf(i->problem, sizeof i->problem, "%s", text);
    uv_mutex_unlock(&i->mutex);
}

static void fails(struct ingest *i, const struct error *e)
{
    if (!i->failing)
        log_error("%s; agents keep their chunks, tried again every second", e->text);
    i->pause_ns = !i->failing ? RETRY_FIRST_NS : 2 * i->pause_ns < RETRY_MOST_NS ? 2 * i->pause_ns : RETRY_MOST_NS;
    i->failing = true;
    set_problem(i, e->text);
    i->retry_ns = clock_mono_ns() + i->pause_ns;
}

static void works(struct ingest *i)
{
    if (i->failing) {
        set_problem(i, "");
        log_info("the store takes chunks again");
    }
    i->failing = false;
}

/* Commits parts as one group. False if they are to be tried again: a full disk fills no others' time, and what fails in company may be one part's
 * fault. */
static bool store_parts(struct ingest *i, struct store_part *parts, size_t count)
{
    struct error e = ERROR_INIT;
    int r = count ? store_commit(i->store, parts, count, &e) : 0;
    if (r == ERROR_FULL || (r == ERROR_SYSTEM && !i->alone)) {
        i->alone = r == ERROR_SYSTEM;
        fails(i, &e);
        return false;
    }
    if (!r && count)
        works(i);
    return true;
}

/* The first jobs that wait, as parts; those whose heads are bad are none, and their results say so. */
static size_t prepare(const struct ingest *i, struct store_part *parts, struct ingest_job **of, size_t *taken)
{
    size_t count = 0, most = i->alone ? 1 : INGEST_GROUP_MOST;
    *taken = 0;
    for (struct ingest_job *job = i->parts.first; job && *taken < most; job = job->next) {
        ++*taken;
        if (take_part(job, &parts[count]))
            of[count++] = job;
    }
    return count;
}

/* Stores the first group of those that wait. False if it is to be tried again. */
static bool do_group(struct ingest *i)
{
    static struct store_part parts[INGEST_GROUP_MOST]; /* this thread's alone */
    struct ingest_job *of[INGEST_GROUP_MOST];
    size_t taken;
    size_t count = prepare(i, parts, of, &taken);
    bool done = store_parts(i, parts, count);
    for (size_t k = 0; k < count; k++) {
        of[k]->result = parts[k].result;
        of[k]->error = parts[k].error;
        if (of[k]->kind == INGEST_HEAD)
            head_free(&of[k]->decoded);
    }
    while (done && taken--) {
        struct ingest_job *job = queue_take(&i->parts);
        cursors(i, job);
        finish(i, job);
    }
    return done;
}

static bool is_pausing(const struct ingest *i)
{
    return i->failing && clock_mono_ns() < i->retry_ns;
}

static void do_parts(struct ingest *i)
{
    while (i->parts.first && !is_pausing(i) && do_group(i))
        ;
    if (!i->parts.first)
        i->alone = false;
}

/* ------------------------------------------------------------------ the thread */

static void keep_order(struct ingest *i, struct ingest_job *job)
{
    struct store_order o = {.request = job->head.data,
                            .request_length = job->head.len,
                            .created_ns = job->order.created_ns,
                            .ended_ns = job->order.ended_ns,
                            .why = job->order.why ? job->order.why : "",
                            .agents = job->order.agents ? job->order.agents : ""};
    memcpy(o.id, job->order.id, sizeof o.id);
    int sys = FAULT("orders.keep");
    job->result =
        sys ? error_sys(&job->error, sys, "the catalog cannot be written") : store_order_put(i->store, &o, &job->error);
}

static void do_other(struct ingest *i, struct ingest_job *job)
{
    if (job->kind == INGEST_STATE)
        cursors(i, job);
    else if (job->kind == INGEST_AGENT)
        see_agent(i, job);
    else if (job->kind == INGEST_ORDER)
        keep_order(i, job);
    else if (job->kind == INGEST_CALL)
        job->result = job->work(job->owner, i->store, &job->error);
    else
        job->result = store_order_remove(i->store, job->order.id, &job->error);
    finish(i, job);
}

static void do_jobs(struct ingest *i, struct ingest_job *all)
{
    while (all) {
        struct ingest_job *job = all;
        all = all->next;
        if (is_part(job)) {
            queue_add(&i->parts, job);
        } else {
            do_parts(i); /* what came before it, if that can be stored */
            do_other(i, job);
        }
    }
    do_parts(i);
}

static void maintain(struct ingest *i)
{
    struct error e = ERROR_INIT;
    if (store_maintain(i->store, clock_wall_ns(), &e))
        log_warn("maintenance of the store: %s", e.text);
}

/* Until there is a job, parts are to be tried again, or maintenance is due. The mutex is held. */
static void wait_for_work(struct ingest *i)
{
    uint64_t now = clock_mono_ns();
    uint64_t wait_ns = MAINTAIN_NS;
    if (i->parts.first)
        wait_ns = i->retry_ns > now ? i->retry_ns - now : 0;
    if (!i->todo.first && !i->stopping && wait_ns)
        uv_cond_timedwait(&i->wake_thread, &i->mutex, wait_ns);
}

static void run(void *context)
{
    struct ingest *i = context;
    uint64_t maintained = clock_mono_ns();
    maintain(i);
    uv_mutex_lock(&i->mutex);
    while (!i->stopping) {
        wait_for_work(i);
        struct ingest_job *all = i->stopping ? NULL : queue_take_all(&i->todo);
        uv_mutex_unlock(&i->mutex);
        do_jobs(i, all);
        if (clock_mono_ns() - maintained >= MAINTAIN_NS) {
            maintain(i);
            maintained = clock_mono_ns();
        }
        uv_mutex_lock(&i->mutex);
    }
    uv_mutex_unlock(&i->mutex);
}

/* ------------------------------------------------------------------ the loop's side */

static void collect_done(uv_async_t *async)
{
    struct ingest *i = async->data;
    uv_mutex_lock(&i->mutex);
    struct ingest_job *all = queue_take_all(&i->finished);
    uv_mutex_unlock(&i->mutex);
    while (all) {
        struct ingest_job *job = all;
        all = all->next;
        i->done(job);
    }
}

int ingest_start(uv_loop_t *loop, struct store *store, void (*done)(struct ingest_job *job), struct ingest **out,
                 struct error *e)
{
    struct ingest *i = calloc(1, sizeof *i);
    if (!i)
        return error_set(e, ERROR_MEMORY, "no memory for the ingest thread");
    i->store = store;
    i->done = done;
    i->todo.last = &i->todo.first;
    i->finished.last = &i->finished.first;
    i->parts.last = &i->parts.first;
    uv_mutex_init(&i->mutex);
    uv_cond_init(&i->wake_thread);
    uv_async_init(loop, &i->wake_loop, collect_done);
    i->wake_loop.data = i;
    int r = uv_thread_create(&i->thread, run, i);
    if (r) {
        uv_close((uv_handle_t *)&i->wake_loop, NULL);
        return error_set(e, ERROR_SYSTEM, "cannot start the ingest thread: %s", uv_strerror(r));
    }
    *out = i;
    return 0;
}

void ingest_submit(struct ingest *i, struct ingest_job *job)
{
    uv_mutex_lock(&i->mutex);
    i->waiting_bytes += job_bytes(job);
    i->waiting_jobs++;
    queue_add(&i->todo, job);
    uv_cond_signal(&i->wake_thread);
    uv_mutex_unlock(&i->mutex);
}

int ingest_call(struct ingest *i, int (*work)(void *owner, struct store *s, struct error *e),
                void (*worked)(void *owner, int result, const struct error *e), void *owner, struct error *e)
{
    uv_mutex_lock(&i->mutex);
    bool stopping = i->stopping;
    uv_mutex_unlock(&i->mutex);
    if (stopping)
        return error_set(e, ERROR_CANCELLED, "the collector stops");
    struct ingest_job *job = ingest_job_new(INGEST_CALL, owner);
    if (!job)
        return error_set(e, ERROR_MEMORY, "no memory for a job of the store's");
    job->work = work;
    job->worked = worked;
    ingest_submit(i, job);
    return 0;
}

/* Whether more than a share (1/`part`) of what may wait does. */
static bool waits_more(struct ingest *i, size_t part)
{
    uv_mutex_lock(&i->mutex);
    bool more = i->waiting_bytes > INGEST_QUEUE_BYTES / part || i->waiting_jobs > INGEST_QUEUE_JOBS / part;
    uv_mutex_unlock(&i->mutex);
    return more;
}

void ingest_problem(struct ingest *i, char text[ERROR_TEXT_MAX])
{
    uv_mutex_lock(&i->mutex);
    memcpy(text, i->problem, sizeof i->problem);
    uv_mutex_unlock(&i->mutex);
}

bool ingest_is_full(struct ingest *i)
{
    return waits_more(i, 1);
}

bool ingest_has_room(struct ingest *i)
{
    return !waits_more(i, 2);
}

static void cancel(struct ingest *i, struct queue *q)
{
    for (struct ingest_job *job = queue_take_all(q), *next; job; job = next) {
        next = job->next;
        job->result = error_set(&job->error, ERROR_CANCELLED, "the collector stops");
        queue_add(&i->finished, job);
    }
}

void ingest_stop(struct ingest *i)
{
    uv_mutex_lock(&i->mutex);
    i->stopping = true;
    uv_cond_signal(&i->wake_thread);
    uv_mutex_unlock(&i->mutex);
    uv_thread_join(&i->thread);
    cancel(i, &i->parts);
    cancel(i, &i->todo);
    collect_done(&i->wake_loop);
    uv_close((uv_handle_t *)&i->wake_loop, NULL);
}

void ingest_free(struct ingest *i)
{
    if (!i)
        return;
    uv_cond_destroy(&i->wake_thread);
    uv_mutex_destroy(&i->mutex);
    free(i);
}
