#include "collector/cli/client.h"
#include "common/base/clock.h"
#include "common/net/stream.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DOCUMENT_MAX (256u << 20)

struct client {
    const struct cli *cli;
    const struct message_query *q;
    const char *label;
    int (*take)(void *context, const struct message_result *r, struct error *e);
    void *context;
    struct client_answer *answer;
    struct error *e;
    struct stream *stream;
    uv_loop_t loop;
    uv_signal_t interrupt;
    uv_timer_t progress;
    uint64_t started_ns;
    bool shown; /* a progress line stands on the terminal */
    bool done;  /* DONE came */
    int result;
};

static void end(struct client *c, int result)
{
    if (c->result == 0)
        c->result = result;
    uv_signal_stop(&c->interrupt);
    uv_timer_stop(&c->progress);
    if (c->stream)
        stream_abort(c->stream);
}

/* ------------------------------------------------------------------ messages */

static void on_open(void *context, struct stream *s)
{
    struct client *c = context;
    struct message hello = {.type = MESSAGE_HELLO,
                            .hello = {.protocol = NET_PROTOCOL,
                                      .role = ROLE_CLIENT,
                                      .software = (char *)(uintptr_t) "fleetdump " FLEETDUMP_VERSION,
                                      .wall_ns = clock_wall_ns(),
                                      .mono_ns = clock_mono_ns()}};
    if (stream_send(s, &hello, c->e))
        end(c, c->e->code);
}

static void on_welcome(struct client *c)
{
    struct message m = {.type = MESSAGE_QUERY, .query = *c->q};
    int r = stream_send(c->stream, &m, c->e);
    if (r)
        end(c, r);
}

static void on_done(struct client *c, const struct message_done *d)
{
    c->answer->code = d->code;
    snprintf(c->answer->text, sizeof c->answer->text, "%s", d->text ? d->text : "");
    c->answer->manifest = d->manifest && d->manifest[0] ? strdup(d->manifest) : NULL;
    c->done = true;
    end(c, 0);
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct client *c = context;
    (void)s;
    int r = 0;
    if (c->done || c->result)
        return;
    if (m->type == MESSAGE_WELCOME)
        on_welcome(c);
    else if (m->type == MESSAGE_RESULT) {
        c->answer->bytes += m->result.length;
        r = c->take(c->context, &m->result, c->e);
    } else if (m->type == MESSAGE_DONE)
        on_done(c, &m->done);
    else if (m->type == MESSAGE_REFUSE)
        r = error_set(c->e, ERROR_REFUSED, "the collector at %s refused: %s", c->cli->collector,
                      m->refuse.text ? m->refuse.text : "");
    else
        r = error_set(c->e, ERROR_INVALID, "the collector at %s sent something that is no answer (%s)",
                      c->cli->collector, message_type_name(m->type));
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
    if (why->code) {
        *c->e = *why;
        end(c, why->code);
    } else
        end(c,
            error_set(c->e, ERROR_UNREACHABLE,
                      "the collector at %s closed the connection before the answer was complete", c->cli->collector));
}

/* ------------------------------------------------------------------ the person at the terminal */

static void on_interrupt(uv_signal_t *signal, int number)
{
    struct client *c = signal->data;
    (void)error_set(c->e, ERROR_CANCELLED, "interrupted");
    c->e->sys = number;
    end(c, ERROR_CANCELLED);
}

static void on_progress(uv_timer_t *timer)
{
    struct client *c = timer->data;
    char bytes[32], seconds[32];
    fprintf(stderr, "\r%s: %s after %s \033[K", c->label,
            units_format(UNIT_BYTES, c->answer->bytes, bytes, sizeof bytes),
            units_format(UNIT_NS, (clock_mono_ns() - c->started_ns) / NS_PER_S * NS_PER_S, seconds, sizeof seconds));
    c->shown = true;
}

static void watch(struct client *c)
{
    uv_signal_init(&c->loop, &c->interrupt);
    uv_timer_init(&c->loop, &c->progress);
    c->interrupt.data = c->progress.data = c;
    uv_signal_start(&c->interrupt, on_interrupt, SIGINT);
    if (c->label && !c->cli->quiet && isatty(STDERR_FILENO))
        uv_timer_start(&c->progress, on_progress, 1000, 250);
}

int client_ask(const struct cli *cli, const struct message_query *q, const char *label,
               int (*take)(void *context, const struct message_result *r, struct error *e), void *context,
               struct client_answer *answer, struct error *e)
{
    static const struct stream_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    struct client c = {.cli = cli,
                       .q = q,
                       .label = label,
                       .take = take,
                       .context = context,
                       .answer = answer,
                       .e = e,
                       .started_ns = clock_mono_ns()};
    *answer = (struct client_answer){0};
    uv_loop_init(&c.loop);
    watch(&c);
    int r = stream_connect(&c.loop, cli->collector, CLIENT_CONNECT_MS, &events, &c, &c.stream, e);
    if (r)
        end(&c, r);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&c.interrupt, NULL);
    uv_close((uv_handle_t *)&c.progress, NULL);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    uv_loop_close(&c.loop);
    if (c.shown)
        fprintf(stderr, "\r\033[K");
    return c.result;
}

static int keep(void *context, const struct message_result *r, struct error *e)
{
    struct buffer *out = context;
    buffer_append(out, r->data, r->length);
    return out->failed ? error_set(e, ERROR_LIMIT, "the answer is larger than %u bytes", DOCUMENT_MAX) : 0;
}

int client_fetch(const struct cli *cli, const struct message_query *q, struct buffer *out, struct error *e)
{
    struct client_answer answer;
    out->limit = DOCUMENT_MAX;
    int r = client_ask(cli, q, NULL, keep, out, &answer, e);
    if (r == 0 && answer.code)
        r = error_set(e, answer.code, "%s", answer.text);
    free(answer.manifest);
    buffer_u8(out, 0);
    if (r == 0 && out->failed)
        r = error_set(e, ERROR_MEMORY, "no memory for the answer");
    return r;
}
