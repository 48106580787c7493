#include "collector/cli/client.h"
#include "common/base/clock.h"
#include "common/net/stream.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_FIRST_MS 1000u
#define PROGRESS_EVERY_MS 250u

struct client {
    const struct cli *cli;
    const struct message_query *q;
    const char *label;
    client_take_fn *take;
    void *context;
    struct client_answer *answer;
    struct error *e;
    struct stream *stream;
    uv_loop_t loop;
    uv_timer_t progress, patience;
    uint64_t started_ns;
    bool shown; /* a progress line stands on the terminal */
    bool done;  /* DONE came */
    int result;
};

/* The first reason counts. */
static void end(struct client *c, int result)
{
    if (c->result == 0)
        c->result = result;
    uv_timer_stop(&c->progress);
    uv_timer_stop(&c->patience);
    if (c->stream)
        stream_abort(c->stream);
}

/* ------------------------------------------------------------------ messages */

static void on_patience(uv_timer_t *timer)
{
    struct client *c = timer->data;
    end(c, error_set(c->e, ERROR_UNREACHABLE,
                     "%s took the connection but did not answer within %u ms; check that it is a collector's address",
                     c->cli->collector, CLIENT_WELCOME_MS));
}

static void on_open(void *context, struct stream *s)
{
    struct client *c = context;
    struct message hello = {.type = MESSAGE_HELLO,
                            .hello = {.protocol = NET_PROTOCOL,
                                      .role = ROLE_CLIENT,
                                      .software = (char *)(uintptr_t) "fleetdump " FLEETDUMP_VERSION,
                                      .wall_ns = clock_wall_ns(),
                                      .mono_ns = clock_mono_ns()}};
    int r = stream_send(s, &hello, c->e);
    if (r)
        end(c, r);
    else
        uv_timer_start(&c->patience, on_patience, CLIENT_WELCOME_MS, 0);
}

static int on_welcome(struct client *c)
{
    struct message m = {.type = MESSAGE_QUERY, .query = *c->q};
    uv_timer_stop(&c->patience);
    return stream_send(c->stream, &m, c->e);
}

static int on_result(struct client *c, const struct message_result *r)
{
    c->answer->bytes += r->length;
    return c->take(c->context, r, c->e);
}

static int on_done(struct client *c, const struct message_done *d)
{
    c->answer->code = d->code;
    snprintf(c->answer->text, sizeof c->answer->text, "%s", d->text ? d->text : "");
    c->answer->manifest = d->manifest ? json_loads(d->manifest, 0, NULL) : NULL;
    c->done = true;
    end(c, 0);
    return 0;
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct client *c = context;
    (void)s;
    int r;
    if (m->type == MESSAGE_WELCOME)
        r = on_welcome(c);
    else if (m->type == MESSAGE_RESULT)
        r = on_result(c, &m->result);
    else if (m->type == MESSAGE_DONE)
        r = on_done(c, &m->done);
    else if (m->type == MESSAGE_REFUSE)
        r = error_set(c->e, ERROR_REFUSED, "the collector at %s refused: %s", c->cli->collector,
                      m->refuse.text ? m->refuse.text : "it does not say why");
    else
        r = error_set(c->e, ERROR_INVALID, "the collector at %s sent something that is no answer (%s)",
                      c->cli->collector, message_type_name((int)m->type));
    if (r)
        end(c, r);
}

static void on_close(void *context, struct stream *s, const struct error *why)
{
    struct client *c = context;
    (void)s;
    c->stream = NULL;
    if (c->done || c->result)
        return;
    int r = why->code;
    if (r == 0)
        r = error_set(c->e, ERROR_UNREACHABLE, "the collector at %s closed the connection before the answer was whole",
                      c->cli->collector);
    else if (c->e)
        *c->e = *why;
    if (r == ERROR_INVALID || r == ERROR_VERSION || r == ERROR_LIMIT)
        error_prefix(c->e, "%s does not speak as a collector of this version", c->cli->collector);
    end(c, r);
}

/* ------------------------------------------------------------------ the person at the terminal */

static void on_progress(uv_timer_t *timer)
{
    struct client *c = timer->data;
    char bytes[40], seconds[40];
    uint64_t passed_ns = (clock_mono_ns() - c->started_ns) / NS_PER_S * NS_PER_S;
    fprintf(stderr, "\r%s: %s after %s \033[K", c->label,
            units_format(UNIT_BYTES, c->answer->bytes, bytes, sizeof bytes),
            units_format(UNIT_NS, passed_ns, seconds, sizeof seconds));
    c->shown = true;
}

static void start(struct client *c)
{
    static const struct stream_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    uv_timer_init(&c->loop, &c->progress);
    uv_timer_init(&c->loop, &c->patience);
    c->progress.data = c->patience.data = c;
    if (c->label && !c->cli->quiet && isatty(STDERR_FILENO))
        uv_timer_start(&c->progress, on_progress, PROGRESS_FIRST_MS, PROGRESS_EVERY_MS);
    int r = stream_connect(&c->loop, c->cli->collector, CLIENT_CONNECT_MS, &events, c, &c->stream, c->e);
    if (r)
        end(c, r);
}

int client_ask(const struct cli *cli, const struct message_query *q, const char *label, client_take_fn *take,
               void *context, struct client_answer *answer, struct error *e)
{
    struct client c = {.cli = cli,
                       .q = q,
                       .label = label,
                       .take = take,
                       .context = context,
                       .answer = answer,
                       .e = e,
                       .started_ns = clock_mono_ns()};
    *answer = (struct client_answer){0};
    if (uv_loop_init(&c.loop))
        return error_set(e, ERROR_MEMORY, "no memory for a connection");
    start(&c);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&c.progress, NULL);
    uv_close((uv_handle_t *)&c.patience, NULL);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    uv_loop_close(&c.loop);
    if (c.shown)
        fprintf(stderr, "\r\033[K");
    return c.result;
}

/* ------------------------------------------------------------------ answers */

void client_answer_free(struct client_answer *a)
{
    json_decref(a->manifest);
    a->manifest = NULL;
}

int client_conclude(const struct cli *cli, const struct client_answer *a, const char *good, struct error *e)
{
    if (a->code == ERROR_INCOMPLETE)
        return error_set(e, a->code, "%s good, but inside the question is missing:\n%s", good, a->text);
    if (a->code)
        return error_set(e, a->code < 0 ? a->code : ERROR_INVALID, "%s",
                         a->text[0] ? a->text : "the collector failed without saying why");
    if (a->text[0])
        note(cli, "%s", a->text);
    return 0;
}

static int keep(void *context, const struct message_result *r, struct error *e)
{
    struct buffer *out = context;
    buffer_append(out, r->data, r->length);
    return out->failed ? error_set(e, ERROR_LIMIT, "the answer is larger than %u bytes", CLIENT_DOCUMENT_MAX) : 0;
}

int client_document(const struct cli *cli, const struct message_query *q, json_t **document, struct error *e)
{
    struct client_answer answer;
    struct buffer text = {.limit = CLIENT_DOCUMENT_MAX};
    int r = client_ask(cli, q, NULL, keep, &text, &answer, e);
    if (r == 0)
        r = client_conclude(cli, &answer, "the list is", e);
    client_answer_free(&answer);
    *document = r == 0 ? json_loadb((const char *)text.data, text.len, 0, NULL) : NULL;
    buffer_free(&text);
    if (r == 0 && !*document)
        r = error_set(e, ERROR_INVALID, "the answer of the collector at %s cannot be read", cli->collector);
    return r;
}
