/*
 * compressor: everything above the line "the thread" runs in the giver's thread, the rest in the compressor's own. They
 * share the queue, the pool of buffers and the error, under one mutex; and two numbers, which are atomic.
 */
#include "agent/capture/compressor.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/chunk/body.h"
#include "common/chunk/frame.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum job_kind { JOB_OPEN, JOB_FRAME, JOB_SEAL };

struct job {
    enum job_kind kind;
    struct draft *draft;
    struct buffer *raw;
    struct head_frame frame;
    uint32_t number;
};

#define JOBS (COMPRESSOR_QUEUE + 8u)

struct compressor {
    struct sink *sink;
    int level;
    pthread_t thread;
    bool running;

    pthread_mutex_t mutex;
    pthread_cond_t given; /* a job was put, or it is over */
    pthread_cond_t done;  /* a job was taken or finished, a buffer came back */
    struct job jobs[JOBS];
    uint32_t first, count;
    bool busy; /* a job is being done */
    bool over;
    struct buffer *pool[JOBS];
    uint32_t pooled;
    uint32_t lent; /* buffers that somebody has */
    struct error error;

    _Atomic uint64_t body_bytes, all_bytes;

    /* The thread's own */
    struct draft *open; /* the item that is being made */
    struct body_writer *writer;
    struct frame_codec *codec;
    struct buffer compressed, out, head;
    int body_fd;
    uint64_t offset;
};

struct draft *draft_new(uint32_t interfaces)
{
    struct draft *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    size_t n = interfaces ? interfaces : 1;
    d->head.interfaces = calloc(n, sizeof *d->head.interfaces);
    d->head.interface_count = interfaces;
    d->cumulative = calloc(n, sizeof *d->cumulative);
    d->rows.limit = HEAD_BYTES_MAX;
    if (!d->head.interfaces || !d->cumulative) {
        draft_free(d);
        return NULL;
    }
    return d;
}

void draft_free(struct draft *d)
{
    if (!d)
        return;
    free(d->head.interfaces);
    free(d->cumulative);
    buffer_free(&d->rows);
    free(d);
}

static void buffer_drop(struct buffer *b)
{
    buffer_free(b);
    free(b);
}

struct buffer *compressor_buffer(struct compressor *c, uint32_t open)
{
    struct buffer *b = NULL;
    pthread_mutex_lock(&c->mutex);
    while (c->lent >= COMPRESSOR_QUEUE + open && !c->pooled)
        pthread_cond_wait(&c->done, &c->mutex);
    if (c->pooled)
        b = c->pool[--c->pooled];
    c->lent++;
    pthread_mutex_unlock(&c->mutex);
    if (!b)
        b = calloc(1, sizeof *b);
    if (b)
        b->limit = FRAME_RAW_MAX;
    return b;
}

/* The mutex is held. */
static void buffer_return(struct compressor *c, struct buffer *b)
{
    c->lent--;
    buffer_clear(b);
    if (c->pooled < JOBS)
        c->pool[c->pooled++] = b;
    else
        buffer_drop(b);
    pthread_cond_signal(&c->done);
}

/* Puts a job; after an error it is dropped with what it owns. */
static int put(struct compressor *c, const struct job *job, struct error *e)
{
    pthread_mutex_lock(&c->mutex);
    while (c->count == JOBS && !c->error.code)
        pthread_cond_wait(&c->done, &c->mutex);
    int code = c->error.code;
    if (code) {
        if (e)
            *e = c->error;
        if (job->raw)
            buffer_return(c, job->raw);
    } else {
        c->jobs[(c->first + c->count++) % JOBS] = *job;
        pthread_cond_signal(&c->given);
    }
    pthread_mutex_unlock(&c->mutex);
    if (code && job->kind == JOB_SEAL)
        draft_free(job->draft);
    return code;
}

int compressor_open(struct compressor *c, struct draft *d, struct error *e)
{
    atomic_store_explicit(&c->body_bytes, 0, memory_order_relaxed);
    return put(c, &(struct job){.kind = JOB_OPEN, .draft = d}, e);
}

int compressor_frame(struct compressor *c, uint32_t number, const struct head_frame *f, struct buffer *raw,
                     struct error *e)
{
    return put(c, &(struct job){.kind = JOB_FRAME, .number = number, .frame = *f, .raw = raw}, e);
}

int compressor_seal(struct compressor *c, struct draft *d, struct error *e)
{
    return put(c, &(struct job){.kind = JOB_SEAL, .draft = d}, e);
}

int compressor_wait(struct compressor *c, struct error *e)
{
    pthread_mutex_lock(&c->mutex);
    while ((c->count || c->busy) && !c->error.code)
        pthread_cond_wait(&c->done, &c->mutex);
    int code = c->error.code;
    if (code && e)
        *e = c->error;
    pthread_mutex_unlock(&c->mutex);
    return code;
}

uint64_t compressor_body_bytes(struct compressor *c)
{
    return atomic_load_explicit(&c->body_bytes, memory_order_relaxed);
}

uint64_t compressor_all_bytes(struct compressor *c)
{
    return atomic_load_explicit(&c->all_bytes, memory_order_relaxed);
}

/* ---------------------------------------------------------------- the thread */

/* Appends c->out to the body. A full disk is waited for, if the sink waits. */
static int write_out(struct compressor *c, struct error *e)
{
    struct error why = ERROR_INIT;
    int code = c->sink->room(c->sink, c->out.len, e);
    if (code)
        return code;
    while ((code = fs_pwrite(c->body_fd, c->out.data, c->out.len, c->offset, "capture.write", &why))) {
        code = code == ERROR_FULL ? c->sink->full(c->sink, &why, e) : error_set(e, code, "%s", why.text);
        if (code)
            return code;
    }
    c->offset += c->out.len;
    atomic_store_explicit(&c->body_bytes, c->offset, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->all_bytes, c->out.len, memory_order_relaxed);
    buffer_clear(&c->out);
    return 0;
}

static int do_open(struct compressor *c, struct draft *d, struct error *e)
{
    c->open = d;
    if (!d->with_body)
        return 0;
    int code = c->sink->room(c->sink, FRAME_RAW_TARGET, e);
    if (code)
        return code;
    c->offset = 0;
    c->body_fd = c->sink->open_body(c->sink, d->head.seq, e);
    if (c->body_fd < 0)
        return c->body_fd;
    code = body_writer_new(&d->head, &c->out, &c->writer, e);
    return code ? code : write_out(c, e);
}

static int do_frame(struct compressor *c, struct job *job, struct error *e)
{
    buffer_clear(&c->compressed);
    int code = frame_compress(c->codec, c->level, job->raw->data, job->raw->len, &c->compressed, e);
    if (!code)
        code =
            body_writer_frame(c->writer, job->number, &job->frame, c->compressed.data, c->compressed.len, &c->out, e);
    return code ? code : write_out(c, e);
}

/* The page says what the sealed items hold, also if the process dies in between: the values that hold after this seal are
 * there before it, with its number. */
static void page_sealing(const struct draft *d, struct counter_page *page)
{
    if (!page)
        return;
    for (int i = 0; i < COUNTER_COUNT; i++)
        atomic_store_explicit(&page->sealing[i], d->stream.value[i], memory_order_relaxed);
    atomic_store_explicit(&page->sealing_next, d->head.last_seq + 1, memory_order_release);
}

static void page_sealed(const struct draft *d, struct counter_page *page)
{
    if (!page)
        return;
    for (int i = 0; i < COUNTER_COUNT; i++)
        atomic_store_explicit(&page->sealed[i], d->stream.value[i], memory_order_relaxed);
}

static int finish_body(struct compressor *c, struct draft *d, struct error *e)
{
    int code = body_writer_finish(c->writer, d->cumulative, clock_wall_ns(), &d->head, &c->out, e);
    return code ? code : write_out(c, e);
}

static void close_item(struct compressor *c)
{
    body_writer_free(c->writer);
    c->writer = NULL;
    if (c->body_fd >= 0)
        close(c->body_fd);
    c->body_fd = -1;
    buffer_clear(&c->out);
    c->open = NULL;
}

static int seal_head(struct compressor *c, const struct draft *d, struct error *e)
{
    struct error why = ERROR_INIT;
    int code = c->sink->room(c->sink, c->head.len, e);
    if (code)
        return code;
    page_sealing(d, c->sink->page);
    while ((code = c->sink->seal(c->sink, d->head.seq, c->head.data, c->head.len, d->with_body, c->body_fd, &why))) {
        code = code == ERROR_FULL ? c->sink->full(c->sink, &why, e) : error_set(e, code, "%s", why.text);
        if (code)
            return code;
    }
    page_sealed(d, c->sink->page);
    return 0;
}

static int do_seal(struct compressor *c, struct draft *d, struct error *e)
{
    int code = d->with_body ? finish_body(c, d, e) : 0;
    d->head.flows = d->rows.data;
    d->head.flows_length = d->rows.len;
    buffer_clear(&c->head);
    if (!code)
        code = head_encode(&d->head, &c->head, e);
    if (!code)
        code = seal_head(c, d, e);
    atomic_fetch_add_explicit(&c->all_bytes, c->head.len, memory_order_relaxed);
    close_item(c);
    draft_free(d);
    return code;
}

static int do_job(struct compressor *c, struct job *job, struct error *e)
{
    switch (job->kind) {
    case JOB_OPEN:
        return do_open(c, job->draft, e);
    case JOB_FRAME:
        return do_frame(c, job, e);
    case JOB_SEAL:
        return do_seal(c, job->draft, e);
    }
    return 0;
}

/* After an error jobs are only given back. */
static void drop_job(struct job *job)
{
    if (job->kind == JOB_SEAL)
        draft_free(job->draft);
}

static void *run(void *context)
{
    struct compressor *c = context;
    pthread_mutex_lock(&c->mutex);
    for (;;) {
        while (!c->count && !c->over)
            pthread_cond_wait(&c->given, &c->mutex);
        if (!c->count)
            break;
        struct job job = c->jobs[c->first];
        c->first = (c->first + 1) % JOBS;
        c->count--;
        c->busy = true;
        bool failed = c->error.code != 0;
        pthread_cond_signal(&c->done);
        pthread_mutex_unlock(&c->mutex);

        struct error e = ERROR_INIT;
        int code = 0;
        if (failed)
            drop_job(&job);
        else
            code = do_job(c, &job, &e);

        pthread_mutex_lock(&c->mutex);
        c->busy = false;
        if (code && !c->error.code)
            c->error = e;
        if (job.raw)
            buffer_return(c, job.raw);
        pthread_cond_signal(&c->done);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

/* ---------------------------------------------------------------- beginning and end */

int compressor_new(struct sink *sink, int level, struct compressor **out, struct error *e)
{
    *out = NULL;
    struct compressor *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(e, ERROR_MEMORY, "no memory to compress in");
    c->sink = sink;
    c->level = level;
    c->body_fd = -1;
    c->head.limit = HEAD_BYTES_MAX;
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->given, NULL);
    pthread_cond_init(&c->done, NULL);
    c->codec = frame_codec_new();
    int sys = c->codec ? pthread_create(&c->thread, NULL, run, c) : 0;
    c->running = c->codec && !sys;
    if (!c->running) {
        int code =
            sys ? error_sys(e, sys, "cannot start a thread") : error_set(e, ERROR_MEMORY, "no memory to compress in");
        compressor_free(c);
        return code;
    }
    *out = c;
    return 0;
}

void compressor_free(struct compressor *c)
{
    if (!c)
        return;
    if (c->running) {
        pthread_mutex_lock(&c->mutex);
        c->over = true;
        pthread_cond_signal(&c->given);
        pthread_mutex_unlock(&c->mutex);
        pthread_join(c->thread, NULL);
    }
    close_item(c);
    while (c->pooled)
        buffer_drop(c->pool[--c->pooled]);
    frame_codec_free(c->codec);
    buffer_free(&c->compressed);
    buffer_free(&c->out);
    buffer_free(&c->head);
    pthread_cond_destroy(&c->done);
    pthread_cond_destroy(&c->given);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
