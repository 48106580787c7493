/*
 * Threads: ingest_* and collect_done run on the loop's thread, run() and what it calls on the ingest thread; they share the two queues under `mutex`.
 */
#include "collector/server/ingest.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_NS    NS_PER_S /* when the store has no room */
#define MAINTAIN_NS (2 * NS_PER_S)

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
    size_t waiting_bytes;
    bool stopping;
    bool full; /* the store has no room: said once */
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
    free(job);
}

static void queue_add(struct queue *q, struct ingest_job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
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
    queue_add(&i->finished, job);
    uv_mutex_unlock(&i->mutex);
    uv_async_send(&i->wake_loop);
}

static void cursors(struct ingest *i, struct ingest_job *job)
{
    struct error e = ERROR_INIT;
    int r = store_stream_state(i->store, job->epoch, &job->head_next, &job->body_next, &e);
    if (r && job->result == 0) {
        job->result = r;
        job->error = e;
    }
}

static void see_agent(struct ingest *i, struct ingest_job *job)
{
    struct store_agent a = {
        .name = job->name,
        .software = job->software,
        .labels = job->labels,
        .addresses = job->addresses,
        .address_count = job->address_count,
        .seen_ns = job->arrived_ns,
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

/* Fills a part; false if its head is bad, then the job's result says so. */
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

/* Waits a while, or until the server stops; true if it stops. */
static bool wait_a_while(struct ingest *i)
{
    uv_mutex_lock(&i->mutex);
    uint64_t until = clock_mono_ns() + RETRY_NS;
    while (!i->stopping && clock_mono_ns() < until)
        uv_cond_timedwait(&i->wake_thread, &i->mutex, until - clock_mono_ns() + 1);
    bool stopping = i->stopping;
    uv_mutex_unlock(&i->mutex);
    return stopping;
}

/* Commits the group, again and again while the disk is full: what waits is not lost, and the agents' spools take what comes. */
static int commit(struct ingest *i, struct store_part *parts, size_t count, struct error *e)
{
    for (;;) {
        int r = store_commit(i->store, parts, count, e);
        if (r != ERROR_FULL && r != ERROR_SYSTEM) {
            if (i->full)
                log_info("the store takes chunks again");
            i->full = false;
            return r;
        }
        if (!i->full)
            log_error("%s; agents keep their chunks, tried again every second", e->text);
        i->full = true;
        struct error why = ERROR_INIT;
        if (store_maintain(i->store, clock_wall_ns(), &why))
            log_debug("%s", why.text);
        if (wait_a_while(i))
            return error_prefix(e, "not stored before the end");
    }
}

/* Parts jobs[0..n): verified, committed as one group, finished. */
static void do_parts(struct ingest *i, struct ingest_job **jobs, size_t n)
{
    static struct store_part parts[INGEST_GROUP_MOST]; /* this thread's alone */
    struct ingest_job *of[INGEST_GROUP_MOST];
    size_t count = 0;
    struct error e = ERROR_INIT;
    for (size_t k = 0; k < n; k++)
        if (take_part(jobs[k], &parts[count]))
            of[count++] = jobs[k];
    int r = count ? commit(i, parts, count, &e) : 0;
    for (size_t k = 0; k < count; k++) {
        of[k]->result = r ? r : parts[k].result;
        of[k]->error = r ? e : parts[k].error;
        if (of[k]->kind == INGEST_HEAD)
            head_free(&of[k]->decoded);
    }
    for (size_t k = 0; k < n; k++) {
        cursors(i, jobs[k]);
        finish(i, jobs[k]);
    }
}

static void do_other(struct ingest *i, struct ingest_job *job)
{
    if (job->kind == INGEST_STATE)
        cursors(i, job);
    else
        see_agent(i, job);
    finish(i, job);
}

static void do_jobs(struct ingest *i, struct ingest_job *all)
{
    struct ingest_job *group[INGEST_GROUP_MOST];
    size_t n = 0;
    while (all) {
        struct ingest_job *job = all;
        bool part = is_part(job);
        all = all->next;
        if (part)
            group[n++] = job;
        if (n > 0 && (n == INGEST_GROUP_MOST || !all || !part)) {
            do_parts(i, group, n); /* the group's jobs are the loop's again, which frees them */
            n = 0;
        }
        if (!part)
            do_other(i, job);
    }
}

static void maintain(struct ingest *i)
{
    struct error e = ERROR_INIT;
    if (store_maintain(i->store, clock_wall_ns(), &e))
        log_warn("maintenance of the store: %s", e.text);
}

static void run(void *context)
{
    struct ingest *i = context;
    uint64_t maintained = clock_mono_ns();
    maintain(i);
    uv_mutex_lock(&i->mutex);
    while (!i->stopping) {
        if (!i->todo.first)
            uv_cond_timedwait(&i->wake_thread, &i->mutex, MAINTAIN_NS);
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
    queue_add(&i->todo, job);
    uv_cond_signal(&i->wake_thread);
    uv_mutex_unlock(&i->mutex);
}

size_t ingest_waiting(struct ingest *i)
{
    uv_mutex_lock(&i->mutex);
    size_t bytes = i->waiting_bytes;
    uv_mutex_unlock(&i->mutex);
    return bytes;
}

void ingest_stop(struct ingest *i)
{
    uv_mutex_lock(&i->mutex);
    i->stopping = true;
    uv_cond_signal(&i->wake_thread);
    uv_mutex_unlock(&i->mutex);
    uv_thread_join(&i->thread);
    for (struct ingest_job *job = queue_take_all(&i->todo), *next; job; job = next) {
        next = job->next;
        job->result = error_set(&job->error, ERROR_CANCELLED, "the collector stops");
        queue_add(&i->finished, job);
    }
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
