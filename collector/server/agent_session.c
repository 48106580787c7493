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

static void submit(struct session *s, struct ingest_job *job)
{
    job->arrived_ns = clock_wall_ns();
    memcpy(job->install, s->install, sizeof job->install);
    s->refs++;
    ingest_submit(s->server->ingest, job);
    if (ingest_waiting(s->server->ingest) > INGEST_QUEUE_BYTES && !s->paused && s->stream) {
        s->paused = true;
        stream_pause(s->stream);
    }
}

static struct ingest_job *new_job(struct session *s, enum ingest_kind kind, const uint8_t epoch[EPOCH_SIZE],
                                  uint64_t seq)
{
    struct ingest_job *job = ingest_job_new(kind, s);
    if (!job) {
        session_refuse(s, ERROR_MEMORY, "the collector has no memory left");
        return NULL;
    }
    memcpy(job->epoch, epoch, EPOCH_SIZE);
    job->seq = seq;
    return job;
}

/* The stream stays on the agent; the connection and its other streams go on. */
static void refuse_stream(struct session *s, struct session_stream *t, uint64_t seq, uint8_t part,
                          const struct error *why)
{
    struct message m = {.type = MESSAGE_REFUSE,
                        .refuse = {.code = why->code, .text = (char *)(uintptr_t)why->text, .seq = seq, .part = part}};
    memcpy(m.refuse.epoch, t->epoch, EPOCH_SIZE);
    log_error("agent %s: item %llu (%s) refused: %s", s->agent, (unsigned long long)seq,
              part == PART_BODY ? "body" : "head", why->text);
    ingest_job_free(t->coming);
    t->coming = NULL;
    t->refused = true;
    session_send(s, &m);
}

/* ------------------------------------------------------------------ pieces */

static int begin_part(struct session *s, struct session_stream *t, const struct message_piece *p, struct error *e)
{
    uint64_t most = p->part == PART_HEAD ? HEAD_BYTES_MAX : BODY_BYTES_MAX;
    if (p->offset != 0)
        return error_set(e, ERROR_INVALID, "item %llu begins at byte %llu", (unsigned long long)p->seq,
                         (unsigned long long)p->offset);
    if (p->total == 0 || p->total > most)
        return error_set(e, ERROR_LIMIT, "item %llu is of %llu bytes, allowed are %llu", (unsigned long long)p->seq,
                         (unsigned long long)p->total, (unsigned long long)most);
    t->coming = new_job(s, p->part == PART_HEAD ? INGEST_HEAD : INGEST_BODY, p->epoch, p->seq);
    if (!t->coming)
        return error_set(e, ERROR_MEMORY, "the collector has no memory left");
    t->total = p->total;
    t->received = 0;
    if (p->part == PART_BODY && (t->coming->body_fd = memfd_create("body", MFD_CLOEXEC)) < 0)
        return error_set(e, ERROR_MEMORY, "the collector has no memory left for a body");
    return 0;
}

static int add_piece(struct session_stream *t, const struct message_piece *p, struct error *e)
{
    struct ingest_job *job = t->coming;
    if (job->seq != p->seq || (job->kind == INGEST_HEAD) != (p->part == PART_HEAD) || p->offset != t->received ||
        p->total != t->total || p->length > t->total - t->received)
        return error_set(e, ERROR_INVALID, "the pieces of item %llu do not fit together", (unsigned long long)p->seq);
    if (job->kind == INGEST_HEAD)
        buffer_append(&job->head, p->data, p->length);
    else if (write(job->body_fd, p->data, p->length) != (ssize_t)p->length)
        return error_set(e, ERROR_MEMORY, "the collector has no memory left for a body");
    if (job->head.failed)
        return error_set(e, ERROR_MEMORY, "the collector has no memory left for a head");
    t->received += p->length;
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
    int r = t->coming ? 0 : begin_part(s, t, p, &e);
    if (r == 0)
        r = add_piece(t, p, &e);
    if (r) {
        refuse_stream(s, t, p->seq, p->part, &e);
        return;
    }
    if (t->received == t->total) {
        struct ingest_job *job = t->coming;
        t->coming = NULL;
        job->body_length = job->kind == INGEST_BODY ? t->total : 0;
        submit(s, job);
    }
}

/* ------------------------------------------------------------------ the other messages */

static void on_stream(struct session *s, const struct message_stream *m)
{
    struct session_stream *t = stream_of(s, m->epoch);
    if (!t && s->stream_count >= SESSION_STREAMS_MAX) {
        session_refuse(s, ERROR_LIMIT, "too many streams on one connection");
        return;
    }
    if (!t) {
        struct session_stream *grown = realloc(s->streams, (s->stream_count + 1) * sizeof *grown);
        if (!grown) {
            session_refuse(s, ERROR_MEMORY, "the collector has no memory left");
            return;
        }
        s->streams = grown;
        grown[s->stream_count] = (struct session_stream){0};
        memcpy(grown[s->stream_count++].epoch, m->epoch, EPOCH_SIZE);
    }
    struct ingest_job *job = new_job(s, INGEST_STATE, m->epoch, 0);
    if (job)
        submit(s, job);
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
    submit(s, job);
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
    if (job->result == 0 && job->kind == INGEST_STATE)
        send_state(s, job);
    else if (job->result == 0)
        send_ack(s, job);
    else if (t && !t->refused && job->result != ERROR_CANCELLED)
        refuse_stream(s, t, job->seq, job->kind == INGEST_BODY || job->kind == INGEST_FATE ? PART_BODY : PART_HEAD,
                      &job->error);
}

void agent_session_close(struct session *s)
{
    for (uint32_t i = 0; i < s->stream_count; i++) {
        ingest_job_free(s->streams[i].coming);
        s->streams[i].coming = NULL;
    }
}
