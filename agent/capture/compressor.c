/*
 * compressor: everything above the line "the thread" runs in the giver's thread, the rest in the compressor's own. They
 * share the queue, the pool of buffers and the error, under one mutex; and two numbers, which are atomic.
 */
#include "agent/capture/compressor.h"
#include "agent/capture/frame_effort.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/chunk/body.h"
#include "common/chunk/frame.h"
#include <errno.h>
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
    unsigned pressure; /* frame_effort.h */
};

#define POOL         (COMPRESSOR_QUEUE + 8u) /* buffers kept for later */
#define JOBS         64u                     /* room for so many to begin with */
#define WAITING      (COMPRESSOR_QUEUE + 8u) /* jobs that may wait, where the giver does */
#define PIECES       3u                      /* of a frame that is stored as it is */
#define SLOW_DISK_NS (50 * NS_PER_MS)        /* who writes for longer waits for the disk */

struct compressor {
    struct sink *sink;
    int level;
    bool live;
    bool slow_disk; /* the giver's: frames wait for the disk, which has to write more if they are compressed less */
    pthread_t thread;
    bool running;

    pthread_mutex_t mutex;
    pthread_cond_t given; /* a job was put, or it is over */
    pthread_cond_t done;  /* a job was finished, a buffer came back */
    struct job *jobs;     /* a ring */
    uint32_t room, first, count;
    bool over;
    struct buffer *pool[POOL];
    uint32_t pooled;
    uint32_t lent; /* buffers that somebody has */
    struct error error;

    _Atomic uint64_t body_bytes, all_bytes, sealed;
    _Atomic uint64_t open_seq;   /* whose body_bytes are */
    _Atomic uint32_t unfinished; /* jobs given and not done */
    _Atomic uint64_t disk_ns;    /* since when the thread writes, or waits for room; 0: it does not */

    /* The thread's own */
    struct draft *open; /* the item that is being made */
    struct body_writer *writer;
    struct frame_codec *codec;
    struct frame_history history;
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
    d->rows.limit = d->exchanges.limit = HEAD_BYTES_MAX;
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
    buffer_free(&d->exchanges);
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
    while (!c->live && c->lent >= COMPRESSOR_QUEUE + open && !c->pooled)
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
    if (c->pooled < POOL)
        c->pool[c->pooled++] = b;
    else
        buffer_drop(b);
    pthread_cond_signal(&c->done);
}

/* Makes room for one more job. */
static int jobs_reserve(struct compressor *c, struct error *e)
{
    if (c->count < c->room)
        return 0;
    struct job *grown = calloc(2 * (size_t)c->room, sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for packets that wait to be written");
    for (uint32_t i = 0; i < c->count; i++)
        grown[i] = c->jobs[(c->first + i) % c->room];
    free(c->jobs);
    c->jobs = grown;
    c->room *= 2;
    c->first = 0;
    return 0;
}

/* The mutex is held. */
static int given_up(const struct compressor *c, struct error *e)
{
    if (c->error.code && e)
        *e = c->error;
    return c->error.code;
}

/* Puts a job; after an error it is dropped with what it owns. */
static int put(struct compressor *c, const struct job *job, struct error *e)
{
    pthread_mutex_lock(&c->mutex);
    while (!c->live && c->count >= WAITING && !c->error.code)
        pthread_cond_wait(&c->done, &c->mutex);
    int code = given_up(c, e);
    if (!code)
        code = jobs_reserve(c, e);
    if (code) {
        if (job->raw)
            buffer_return(c, job->raw);
    } else {
        c->jobs[(c->first + c->count++) % c->room] = *job;
        atomic_fetch_add_explicit(&c->unfinished, 1, memory_order_relaxed);
        pthread_cond_signal(&c->given);
    }
    pthread_mutex_unlock(&c->mutex);
    if (code && job->kind == JOB_SEAL)
        draft_free(job->draft);
    return code;
}

int compressor_open(struct compressor *c, struct draft *d, struct error *e)
{
    return put(c, &(struct job){.kind = JOB_OPEN, .draft = d}, e);
}

unsigned compressor_pressure(struct compressor *c)
{
    unsigned pressure = frame_pressure(atomic_load_explicit(&c->unfinished, memory_order_relaxed));
    if (!c->live || !pressure) {
        c->slow_disk = false;
        return 0;
    }
    uint64_t since = atomic_load_explicit(&c->disk_ns, memory_order_relaxed);
    c->slow_disk = c->slow_disk || (since && clock_mono_ns() - since > SLOW_DISK_NS);
    return c->slow_disk ? 0 : pressure;
}

int compressor_frame(struct compressor *c, uint32_t number, const struct head_frame *f, unsigned pressure,
                     struct buffer *raw, struct error *e)
{
    const struct job job = {.kind = JOB_FRAME, .number = number, .frame = *f, .pressure = pressure, .raw = raw};
    return put(c, &job, e);
}

int compressor_seal(struct compressor *c, struct draft *d, struct error *e)
{
    return put(c, &(struct job){.kind = JOB_SEAL, .draft = d}, e);
}

/* Waits until at most `most` jobs are not done, or there was an error, or it is that late; whether it came to that. */
static bool wait_for(struct compressor *c, uint32_t most, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
    while (atomic_load_explicit(&c->unfinished, memory_order_relaxed) > most && !c->error.code)
        if (pthread_cond_timedwait(&c->done, &c->mutex, &until) == ETIMEDOUT)
            return false;
    return true;
}

static uint64_t in_ms(unsigned timeout_ms)
{
    return clock_mono_ns() + timeout_ms * NS_PER_MS;
}

int compressor_wait_for(struct compressor *c, unsigned timeout_ms, struct error *e)
{
    pthread_mutex_lock(&c->mutex);
    bool done = wait_for(c, 0, in_ms(timeout_ms));
    int code = given_up(c, e);
    pthread_mutex_unlock(&c->mutex);
    return code || done ? code : 1;
}

int compressor_wait(struct compressor *c, struct error *e)
{
    int code;
    do
        code = compressor_wait_for(c, 60000, e);
    while (code > 0);
    return code;
}

bool compressor_ready(struct compressor *c)
{
    return atomic_load_explicit(&c->unfinished, memory_order_relaxed) < COMPRESSOR_QUEUE;
}

bool compressor_wait_ready(struct compressor *c, unsigned timeout_ms)
{
    pthread_mutex_lock(&c->mutex);
    bool ready = wait_for(c, COMPRESSOR_QUEUE - 1, in_ms(timeout_ms));
    pthread_mutex_unlock(&c->mutex);
    return ready;
}

uint64_t compressor_sealed(struct compressor *c)
{
    return atomic_load_explicit(&c->sealed, memory_order_acquire);
}

uint64_t compressor_body_bytes(struct compressor *c, uint64_t seq)
{
    bool open = atomic_load_explicit(&c->open_seq, memory_order_acquire) == seq;
    return open ? atomic_load_explicit(&c->body_bytes, memory_order_relaxed) : 0;
}

uint64_t compressor_all_bytes(struct compressor *c)
{
    return atomic_load_explicit(&c->all_bytes, memory_order_relaxed);
}

/* ---------------------------------------------------------------- the thread */

/* sink->room, or what else may wait for the disk, is about to be called; it is over. */
static void disk_begins(struct compressor *c)
{
    if (c->live)
        atomic_store_explicit(&c->disk_ns, clock_mono_ns(), memory_order_relaxed);
}

static void disk_ends(struct compressor *c)
{
    atomic_store_explicit(&c->disk_ns, 0, memory_order_relaxed);
}

/* Writes the pieces behind the body's end. A full disk is waited for, if the sink waits. */
static int write_waiting(struct compressor *c, const struct iovec *pieces, size_t count, struct error *e)
{
    struct error why = ERROR_INIT;
    struct iovec left[PIECES];
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].iov_len;
    int code = c->sink->room(c->sink, len, e);
    if (code)
        return code;
    memcpy(left, pieces, count * sizeof *pieces);
    while ((code = fs_pwrite_pieces(c->body_fd, left, count, c->offset, "capture.write", &why))) {
        code = code == ERROR_FULL ? c->sink->full(c->sink, &why, e) : error_set(e, code, "%s", why.text);
        if (code)
            return code;
        memcpy(left, pieces, count * sizeof *pieces);
    }
    c->offset += len;
    atomic_store_explicit(&c->body_bytes, c->offset, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->all_bytes, len, memory_order_relaxed);
    return 0;
}

static int write_pieces(struct compressor *c, const struct iovec *pieces, size_t count, struct error *e)
{
    disk_begins(c);
    int code = write_waiting(c, pieces, count, e);
    disk_ends(c);
    return code;
}

/* Appends c->out to the body. */
static int write_out(struct compressor *c, struct error *e)
{
    struct iovec all = {.iov_base = c->out.data, .iov_len = c->out.len};
    int code = write_pieces(c, &all, 1, e);
    buffer_clear(&c->out);
    return code;
}

static int write_frame(struct compressor *c, struct job *job, const struct iovec *pieces, size_t count, struct error *e)
{
    int code = body_writer_take(c->writer, job->number, &job->frame, pieces, count, e);
    return code ? code : write_pieces(c, pieces, count, e);
}

static int do_open(struct compressor *c, struct draft *d, struct error *e)
{
    c->open = d;
    atomic_store_explicit(&c->body_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&c->open_seq, d->head.seq, memory_order_release);
    if (!d->with_body)
        return 0;
    disk_begins(c);
    int code = c->sink->room(c->sink, FRAME_RAW_TARGET, e);
    disk_ends(c);
    if (code)
        return code;
    c->offset = 0;
    c->body_fd = c->sink->open_body(c->sink, d->head.seq, e);
    if (c->body_fd < 0)
        return c->body_fd;
    code = body_writer_new(&d->head, &c->out, &c->writer, e);
    return code ? code : write_out(c, e);
}

static int store_frame(struct compressor *c, struct job *job, struct error *e)
{
    struct frame_stored stored;
    frame_store(job->raw->data, job->raw->len, &stored);
    const struct iovec pieces[PIECES] = {{.iov_base = stored.before, .iov_len = sizeof stored.before},
                                         {.iov_base = job->raw->data, .iov_len = job->raw->len},
                                         {.iov_base = stored.behind, .iov_len = sizeof stored.behind}};
    return write_frame(c, job, pieces, PIECES, e);
}

static int do_frame(struct compressor *c, struct job *job, struct error *e)
{
    struct frame_effort effort = frame_effort(c->level, job->pressure, job->raw->data, job->raw->len, &c->history);
    if (effort.store)
        return store_frame(c, job, e);
    buffer_clear(&c->compressed);
    int code = frame_compress_at(c->codec, effort.level, job->raw->data, job->raw->len, &c->compressed, e);
    frame_tried(&c->history, &effort, job->raw->len, c->compressed.len);
    const struct iovec whole = {.iov_base = c->compressed.data, .iov_len = c->compressed.len};
    return code ? code : write_frame(c, job, &whole, 1, e);
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
    atomic_store_explicit(&c->sealed, d->head.last_seq + 1, memory_order_release);
    if (c->sink->sealed)
        c->sink->sealed(c->sink->sealed_context);
    return 0;
}

static int do_seal(struct compressor *c, struct draft *d, struct error *e)
{
    int code = d->with_body ? finish_body(c, d, e) : 0;
    d->head.flows = d->rows.data;
    d->head.flows_length = d->rows.len;
    d->head.exchanges = d->exchanges.data;
    d->head.exchanges_length = d->exchanges.len;
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
        c->first = (c->first + 1) % c->room;
        c->count--;
        bool failed = c->error.code != 0;
        pthread_mutex_unlock(&c->mutex);

        struct error e = ERROR_INIT;
        int code = 0;
        if (failed)
            drop_job(&job);
        else
            code = do_job(c, &job, &e);

        pthread_mutex_lock(&c->mutex);
        atomic_fetch_sub_explicit(&c->unfinished, 1, memory_order_relaxed);
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

static void init_locks(struct compressor *c)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->given, NULL);
    pthread_cond_init(&c->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int compressor_new(struct sink *sink, int level, bool live, struct compressor **out, struct error *e)
{
    *out = NULL;
    struct compressor *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(e, ERROR_MEMORY, "no memory to compress in");
    c->sink = sink;
    c->level = level == 1 ? FRAME_EFFORT_FASTEST : level;
    c->live = live;
    c->body_fd = -1;
    atomic_store_explicit(&c->open_seq, UINT64_MAX, memory_order_relaxed);
    c->head.limit = HEAD_BYTES_MAX;
    init_locks(c);
    c->room = JOBS;
    c->jobs = calloc(JOBS, sizeof *c->jobs);
    c->codec = frame_codec_new();
    int sys = c->codec && c->jobs ? pthread_create(&c->thread, NULL, run, c) : 0;
    c->running = c->codec && c->jobs && !sys;
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
    free(c->jobs);
    buffer_free(&c->compressed);
    buffer_free(&c->out);
    buffer_free(&c->head);
    pthread_cond_destroy(&c->done);
    pthread_cond_destroy(&c->given);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
