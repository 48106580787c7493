/*
 * An agent's data connection: pieces become parts, parts become jobs of the ingest thread, their results become acks.
 */
#include "collector/server/session.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct session_stream *stream_of(struct session *s, const uint8_t epoch[EPOCH_SIZE])
{
    for (uint32_t i = 0; i < s->stream_count; i++)
        if (memcmp(s->streams[i].epoch, epoch, EPOCH_SIZE) == 0)
            return &s->streams[i];
    return NULL;
}

static struct ingest_job *new_job(struct session *s, enum ingest_kind kind, const uint8_t epoch[EPOCH_SIZE],
                                  uint64_t seq)
{
    struct ingest_job *job = ingest_job_new(kind, s);
    if (!job) {
        session_give_up(s, "no memory for a job");
        return NULL;
    }
    memcpy(job->epoch, epoch, EPOCH_SIZE);
    job->seq = seq;
    job->name = strdup(s->agent);
    if (!job->name) {
        ingest_job_free(job);
        session_give_up(s, "no memory for a job");
        return NULL;
    }
    return job;
}

/* Whether it says nothing of what came, and may be well in a moment. */
static bool may_pass(int code)
{
    static const int codes[] = {ERROR_SYSTEM, ERROR_MEMORY, ERROR_BUSY, ERROR_FULL, ERROR_CANCELLED};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (code == codes[i])
            return true;
    return false;
}

static void drop_part(struct session *s)
{
    ingest_job_free(s->coming);
    s->coming = NULL;
}

/* The stream stays on the agent; the connection and its other streams go on, unless what failed is ours. */
static void refuse_stream(struct session *s, struct session_stream *t, uint64_t seq, uint8_t part,
                          const struct error *why)
{
    struct message m = {.type = MESSAGE_REFUSE,
                        .refuse = {.code = why->code, .text = (char *)(uintptr_t)why->text, .seq = seq, .part = part}};
    if (may_pass(why->code)) {
        session_give_up(s, why->text);
        return;
    }
    memcpy(m.refuse.epoch, t->epoch, EPOCH_SIZE);
    log_error("agent %s: item %llu (%s) refused: %s", s->agent, (unsigned long long)seq,
              part == PART_BODY ? "body" : "head", why->text);
    if (s->coming && memcmp(s->coming->epoch, t->epoch, EPOCH_SIZE) == 0)
        drop_part(s);
    t->refused = true;
    session_send(s, &m);
}

/* ------------------------------------------------------------------ pieces */

static int begin_part(struct session *s, const struct message_piece *p, struct error *e)
{
    uint64_t most = p->part == PART_HEAD ? HEAD_BYTES_MAX : BODY_BYTES_MAX;
    if (p->offset != 0)
        return error_set(e, ERROR_INVALID, "item %llu begins at byte %llu", (unsigned long long)p->seq,
                         (unsigned long long)p->offset);
    if (p->total == 0 || p->total > most)
        return error_set(e, ERROR_LIMIT, "item %llu is of %llu bytes, allowed are %llu", (unsigned long long)p->seq,
                         (unsigned long long)p->total, (unsigned long long)most);
    s->coming = new_job(s, p->part == PART_HEAD ? INGEST_HEAD : INGEST_BODY, p->epoch, p->seq);
    if (!s->coming)
        return error_set(e, ERROR_MEMORY, "the collector has no memory left");
    s->coming_total = p->total;
    s->received = 0;
    if (p->part == PART_BODY && (s->coming->body_fd = memfd_create("body", MFD_CLOEXEC)) < 0)
        return error_set(e, ERROR_MEMORY, "the collector has no memory left for a body");
    return 0;
}

/* All pieces of a part come before those of another. */
static bool fits(const struct session *s, const struct message_piece *p)
{
    const struct ingest_job *job = s->coming;
    return memcmp(job->epoch, p->epoch, EPOCH_SIZE) == 0 && job->seq == p->seq &&
           (job->kind == INGEST_HEAD) == (p->part == PART_HEAD) && p->offset == s->received &&
           p->total == s->coming_total && p->length <= s->coming_total - s->received;
}

static int add_piece(struct session *s, const struct message_piece *p, struct error *e)
{
    struct ingest_job *job = s->coming;
    if (!fits(s, p))
        return error_set(e, ERROR_INVALID, "the pieces of item %llu do not fit together", (unsigned long long)p->seq);
    if (job->kind == INGEST_HEAD)
        buffer_append(&job->head, p->data, p->length);
    else if (write(job->body_fd, p->data, p->length) != (ssize_t)p->length)
        return error_set(e, ERROR_MEMORY, "the collector has no memory left for a body");
    if (job->head.failed)
        return error_set(e, ERROR_MEMORY, "the collector has no memory left for a head");
    s->received += p->length;
    return 0;
}

static void on_piece(struct session *s, const struct message_piece *p)
{
    struct error e = ERROR_INIT;
    struct session_stream *t = stream_of(s, p->epoch);
    if (!t) {
        session_refuse(s, ERROR_INVALID, "a piece came of a stream that was not named before");
        return;
    }
    if (t->refused)
        return;
    int r = s->coming ? 0 : begin_part(s, p, &e);
    if (r == 0)
        r = add_piece(s, p, &e);
    if (r) {
        drop_part(s);
        refuse_stream(s, t, p->seq, p->part, &e);
        return;
    }
    if (s->received == s->coming_total) {
        struct ingest_job *job = s->coming;
        s->coming = NULL;
        job->body_length = job->kind == INGEST_BODY ? s->coming_total : 0;
        session_submit(s, job);
    }
}

/* ------------------------------------------------------------------ the other messages */

/* A place for one more; NULL if there is none. */
static struct session_stream *new_stream(struct session *s)
{
    if (s->stream_count < NET_STREAMS_MAX) {
        struct session_stream *grown = realloc(s->streams, (s->stream_count + 1) * sizeof *grown);
        if (grown)
            s->streams = grown;
        return grown ? &grown[s->stream_count++] : NULL;
    }
    for (uint32_t i = 0; i < s->stream_count; i++)
        if (s->streams[i].over)
            return &s->streams[i];
    return NULL;
}

static void on_stream(struct session *s, const struct message_stream *m)
{
    struct session_stream *t = stream_of(s, m->epoch);
    if (!t) {
        t = new_stream(s);
        if (!t) {
            session_refuse(s, ERROR_LIMIT, "too many streams on one connection");
            return;
        }
        *t = (struct session_stream){0};
        memcpy(t->epoch, m->epoch, EPOCH_SIZE);
    }
    t->refused = false; /* it is tried again */
    struct ingest_job *job = new_job(s, INGEST_STATE, m->epoch, 0);
    if (job)
        session_submit(s, job);
}

static void on_fate(struct session *s, const struct message_body_fate *m)
{
    if (!stream_of(s, m->epoch)) {
        session_refuse(s, ERROR_INVALID, "the fate came of a body whose stream was not named before");
        return;
    }
    struct ingest_job *job = new_job(s, INGEST_FATE, m->epoch, m->seq);
    if (!job)
        return;
    job->fate = m->state;
    job->gap = m->gap;
    session_submit(s, job);
}

void agent_session_message(struct session *s, const struct message *m)
{
    if (s->role == ROLE_AGENT_DATA && m->type == MESSAGE_STREAM)
        on_stream(s, &m->stream);
    else if (s->role == ROLE_AGENT_DATA && m->type == MESSAGE_PIECE)
        on_piece(s, &m->piece);
    else if (s->role == ROLE_AGENT_DATA && m->type == MESSAGE_BODY_FATE)
        on_fate(s, &m->body_fate);
    else
        session_refuse(s, ERROR_INVALID, "a message came that an agent does not send on this connection");
}

/* ------------------------------------------------------------------ results */

static void send_state(struct session *s, const struct ingest_job *job)
{
    struct message m = {.type = MESSAGE_STREAM_STATE,
                        .stream_state = {.head_next = job->head_next, .body_next = job->body_next}};
    memcpy(m.stream_state.epoch, job->epoch, EPOCH_SIZE);
    session_send(s, &m);
}

static void send_ack(struct session *s, const struct ingest_job *job)
{
    struct message m = {.type = MESSAGE_ACK, .ack = {.head_next = job->head_next, .body_next = job->body_next}};
    memcpy(m.ack.epoch, job->epoch, EPOCH_SIZE);
    if (FAULT("server.ack"))
        stream_abort(s->stream);
    else
        session_send(s, &m);
}

void agent_session_job_done(struct session *s, struct ingest_job *job)
{
    struct session_stream *t = stream_of(s, job->epoch);
    if (s->given_up || job->result == ERROR_CANCELLED)
        return;
    if (job->result && t && !t->refused)
        refuse_stream(s, t, job->seq, job->kind == INGEST_BODY || job->kind == INGEST_FATE ? PART_BODY : PART_HEAD,
                      &job->error);
    if (job->result)
        return;
    if (job->kind == INGEST_STATE)
        send_state(s, job);
    else
        send_ack(s, job);
    if (t && job->over)
        t->over = true;
}

void agent_session_close(struct session *s)
{
    drop_part(s);
}
