#include "common/net/join.h"

#include "common/net/ca_files.h"
#include "common/net/stream.h"
#include "common/net/tls.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One connection. */
struct asking {
    const struct join_wish *wish;
    struct buffer request;
    struct stream *stream;
    uv_loop_t loop;
    uv_timer_t patience;
    struct message answer; /* a copy; type 0: none yet */
    char collector[HEAD_NAME_MAX + 1];
    int result;
    struct error *e;
};

static void end(struct asking *a, int result)
{
    if (a->result == 0)
        a->result = result;
    uv_timer_stop(&a->patience);
    if (a->stream && result)
        stream_abort(a->stream);
    else if (a->stream)
        stream_close(a->stream);
}

static void on_late(uv_timer_t *timer)
{
    struct asking *a = timer->data;
    end(a, error_set(a->e, ERROR_UNREACHABLE, "%s took the connection but did not answer within %u s",
                     a->wish->collector, JOIN_CONNECT_MS / 1000));
}

/* The other end is the right one by now: TLS saw to it. */
static void on_open(void *context, struct stream *s)
{
    struct asking *a = context;
    struct message m = {.type = MESSAGE_ENROLL,
                        .enroll = {.secret = a->wish->secret,
                                   .secret_length = a->wish->secret ? TOKEN_SECRET_SIZE : 0,
                                   .request = (char *)a->request.data}};
    snprintf(a->collector, sizeof a->collector, "%s", stream_identity(s)->name);
    int r = stream_send(s, &m, a->e);
    if (r)
        end(a, r);
    else
        uv_timer_start(&a->patience, on_late, JOIN_CONNECT_MS, 0);
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct asking *a = context;
    (void)s;
    if (m->type == MESSAGE_ENROLLED && a->answer.type == 0)
        end(a, message_copy(m, &a->answer, a->e));
    else if (m->type == MESSAGE_REFUSE)
        end(a, error_set(a->e, ERROR_REFUSED, "the collector at %s refused: %s", a->wish->collector, m->refuse.text));
    else
        end(a, error_set(a->e, ERROR_INVALID, "the collector at %s sent something that is no answer (%s)",
                         a->wish->collector, message_type_name((int)m->type)));
}

static void on_close(void *context, struct stream *s, const struct error *why)
{
    struct asking *a = context;
    (void)s;
    a->stream = NULL;
    uv_timer_stop(&a->patience);
    if (a->result || a->answer.type)
        return;
    a->result = why->code
                    ? error_set(a->e, why->code, "%s", why->text)
                    : error_set(a->e, ERROR_UNREACHABLE, "the collector at %s closed the connection without an answer",
                                a->wish->collector);
}

static int run(struct asking *a, struct tls *tls)
{
    static const struct stream_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    uv_loop_init(&a->loop);
    uv_timer_init(&a->loop, &a->patience);
    a->patience.data = a;
    int r = stream_connect(&a->loop, tls, a->wish->collector, JOIN_CONNECT_MS, &events, a, &a->stream, a->e);
    if (r == 0) {
        uv_unref((uv_handle_t *)&a->patience);
        uv_run(&a->loop, UV_RUN_DEFAULT);
    }
    uv_close((uv_handle_t *)&a->patience, NULL);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    uv_loop_close(&a->loop);
    return r ? r : a->result;
}

/* ------------------------------------------------------------------ what came */

/* Nothing is believed that can be looked at. */
static int check(const struct join_wish *w, const struct join_answer *a, struct error *e)
{
    int r = ca_check_known(ca_text_of(&a->ca), w->ca_sha256, e);
    if (r == 0)
        r = ca_check_pair(ca_text_of(&a->certificate), ca_text_of(w->key), e);
    if (r == 0)
        r = ca_check_signed(ca_text_of(&a->certificate), ca_text_of(&a->ca), e);
    if (r == 0 && (a->made.kind != w->kind || strcmp(a->made.name, w->name) != 0))
        r = error_set(e, ERROR_CONFLICT, "it gave a certificate for %s %s, and %s %s was to be",
                      identity_kind_name(a->made.kind), a->made.name, identity_kind_name(w->kind), w->name);
    if (r)
        (void)error_prefix(e, "the collector at %s", w->collector);
    return r;
}

static int take(struct asking *a, struct join_answer *out, struct error *e)
{
    const struct message_enrolled *m = &a->answer.enrolled;
    buffer_append(&out->certificate, m->certificate, strlen(m->certificate));
    buffer_append(&out->ca, m->ca, strlen(m->ca));
    memcpy(out->collector, a->collector, sizeof out->collector);
    out->labels = calloc(m->label_count + 1u, sizeof *out->labels);
    for (; out->labels && out->label_count < m->label_count; out->label_count++)
        if (!(out->labels[out->label_count] = strdup(m->labels[out->label_count])))
            break;
    if (!out->labels || out->label_count < m->label_count || out->certificate.failed || out->ca.failed)
        return error_set(e, ERROR_MEMORY, "no memory for the collector's answer");
    int r = ca_read_certificate(ca_text_of(&out->certificate), &out->made, e);
    if (r == 0)
        return check(a->wish, out, e);
    (void)error_prefix(e, "the collector at %s", a->wish->collector);
    return r;
}

/* ------------------------------------------------------------------ again and again, if it must be */

static int fingerprint(const struct asking *a, char text[CA_HASH_TEXT], struct error *e)
{
    struct ca_request wish;
    int r = ca_read_request(ca_text_of(&a->request), &wish, e);
    if (r == 0)
        ca_format_hash(wish.key_sha256, text);
    return r;
}

/* 1: ask again. */
static int conclude(struct asking *a, bool *waiting, struct join_answer *out, struct error *e)
{
    const struct message_enrolled *m = &a->answer.enrolled;
    char text[CA_HASH_TEXT];
    if (m->code == 0)
        return take(a, out, e);
    if (m->code != ERROR_BUSY || m->again_ms == 0 || !a->wish->waits)
        return error_set(e, m->code, "the collector at %s gives no certificate: %s", a->wish->collector, m->text);
    int r = *waiting ? 0 : fingerprint(a, text, e);
    if (r == 0 && !*waiting && !a->wish->waits(a->wish->context, text))
        r = error_set(e, ERROR_BUSY, "%s", m->text);
    *waiting = true;
    if (r == 0)
        usleep((useconds_t)(m->again_ms < 60000 ? m->again_ms : 60000) * 1000);
    return r ? r : 1;
}

static int ask(const struct join_wish *w, struct tls *tls, struct join_answer *out, struct error *e)
{
    struct asking a = {.wish = w, .e = e};
    bool waiting = false;
    int r = ca_new_request(ca_text_of(w->key), w->kind, w->name, &a.request, e);
    if (r == 0)
        buffer_u8(&a.request, 0);
    if (r == 0)
        a.request.len--; /* a text */
    for (bool again = r == 0; again;) {
        r = run(&a, tls);
        if (r == 0)
            r = conclude(&a, &waiting, out, e);
        message_free(&a.answer);
        a.answer = (struct message){.type = 0};
        again = r == 1;
    }
    buffer_free(&a.request);
    return r;
}

int join_ask(const struct join_wish *w, struct join_answer *answer, struct error *e)
{
    struct tls *tls = NULL;
    *answer = (struct join_answer){.label_count = 0};
    int r = tls_for_joining(w->ca_sha256, &tls, e);
    if (r == 0)
        r = ask(w, tls, answer, e);
    tls_unref(tls);
    return r;
}

void join_answer_free(struct join_answer *a)
{
    for (uint32_t i = 0; i < a->label_count; i++)
        free(a->labels[i]);
    free(a->labels);
    buffer_free(&a->certificate);
    buffer_free(&a->ca);
}
