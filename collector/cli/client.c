#include "collector/cli/client.h"
#include "collector/cli/home.h"
#include "collector/cli/interrupt.h"
#include "common/base/clock.h"
#include "common/net/renew.h"
#include "common/net/stream.h"
#include "common/net/tls.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_FIRST_MS 1000u
#define PROGRESS_EVERY_MS 250u

/* A command is done whether or not somebody waits for its answer: the first signal only means that it should go on
 * quickly. */
#define INTERRUPTS_QUERY   1u
#define INTERRUPTS_COMMAND 2u

/* What is asked now. */
struct asking {
    client_take_fn *take;
    void *context;
    struct client_answer *answer;
    const char *label;
    uint64_t started_ns;
    bool shown; /* a progress line stands on the terminal */
    unsigned interrupts, most_interrupts;
};

struct client {
    const struct cli *cli;
    struct tls *tls;       /* NULL: plain TCP */
    struct stream *stream; /* NULL: gone */
    uv_loop_t loop;
    uv_timer_t progress, patience;
    uv_poll_t interrupt;
    int64_t clock_offset_ns;
    bool renewing; /* our certificate: that is waited for */
    bool waiting;  /* for the welcome, or the end of an answer */
    struct asking asking;
    struct error *e;
    int result;
};

/* The wait is over; the first reason counts. */
static void end(struct client *c, int result)
{
    if (!c->waiting)
        return;
    c->waiting = false;
    c->result = result;
    uv_timer_stop(&c->progress);
    uv_timer_stop(&c->patience);
    if (result && c->stream)
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

static int on_welcome(struct client *c, const struct message_welcome *w)
{
    if (w->protocol != NET_PROTOCOL)
        return error_set(
            c->e, ERROR_VERSION,
            "the collector at %s (%.100s) speaks version %u of the protocol, and this fleetdump (" FLEETDUMP_VERSION
            ") version %u: update the %s, so that both are of one release",
            c->cli->collector, w->software ? w->software : "", w->protocol, NET_PROTOCOL,
            w->protocol > NET_PROTOCOL ? "command line" : "collector");
    c->clock_offset_ns = w->wall_ns ? (int64_t)(w->wall_ns - clock_wall_ns()) : 0;
    end(c, 0);
    return 0;
}

static int on_result(struct client *c, const struct message_result *r)
{
    c->asking.answer->bytes += r->length;
    return c->asking.take(c->asking.context, r, c->e);
}

static bool bound;

bool client_is_bound(void)
{
    return bound;
}

/* What whoever asks is bound to, in words; once, however often it is answered. */
static void say_bounds(const struct cli *cli, const json_t *bounds)
{
    static char said[ERROR_TEXT_MAX];
    struct buffer text = {.limit = ERROR_TEXT_MAX - 1};
    const char *labels = json_string_value(json_object_get(bounds, "labels"));
    const char *filter = json_string_value(json_object_get(bounds, "filter"));
    const char *since = json_string_value(json_object_get(bounds, "since"));
    long long snaplen = json_integer_value(json_object_get(bounds, "snaplen"));
    long long left_out = json_integer_value(json_object_get(bounds, "flows_left_out"));
    if (labels)
        buffer_printf(&text, "; agents with %s", labels);
    if (filter)
        buffer_printf(&text, "; what matches '%s'", filter);
    if (snaplen)
        buffer_printf(&text, "; %lld bytes of each packet", snaplen);
    if (since)
        buffer_printf(&text, "; nothing before %.19sZ", since);
    if (left_out)
        buffer_printf(&text, ". %lld connection%s left out, of which only a part may be seen", left_out,
                      left_out == 1 ? " is" : "s are");
    left_out = json_integer_value(json_object_get(bounds, "exchanges_left_out"));
    if (left_out)
        buffer_printf(&text, ". %lld exchange%s left out, of whose connection only a part may be seen", left_out,
                      left_out == 1 ? " is" : "s are");
    buffer_u8(&text, 0);
    bound |= text.len > 1;
    if (!text.failed && text.len > 2 && strcmp(said, (const char *)text.data) != 0) {
        snprintf(said, sizeof said, "%s", (const char *)text.data);
        note(cli, "you may see only: %s", said + 2);
    }
    buffer_free(&text);
}

static int on_done(struct client *c, const struct message_done *d)
{
    struct client_answer *answer = c->asking.answer;
    answer->code = d->code;
    snprintf(answer->text, sizeof answer->text, "%s", d->text ? d->text : "");
    json_decref(answer->manifest);
    answer->manifest = d->manifest ? json_loads(d->manifest, 0, NULL) : NULL;
    say_bounds(c->cli, json_object_get(answer->manifest, "bounds"));
    end(c, 0);
    return 0;
}

/* A renewal that fails is tried again by the next command; the certificate is good yet. */
static int on_enrolled(struct client *c, const struct message_enrolled *m)
{
    char folder[HOME_PATH_MAX];
    struct error why = ERROR_INIT;
    int r = home_path("", folder, &why);
    if (r == 0)
        r = renew_take(folder, tls_identity(c->tls), m, &why);
    if (r)
        note(c->cli, "your certificate is not renewed: %s", why.text);
    c->renewing = false;
    end(c, 0);
    return 0;
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct client *c = context;
    int r;
    if (!c->waiting) { /* nobody asked */
        stream_abort(s);
        return;
    }
    if (m->type == MESSAGE_WELCOME && !c->asking.answer)
        r = on_welcome(c, &m->welcome);
    else if (m->type == MESSAGE_RESULT && c->asking.take)
        r = on_result(c, &m->result);
    else if (m->type == MESSAGE_DONE && c->asking.answer)
        r = on_done(c, &m->done);
    else if (m->type == MESSAGE_ENROLLED && c->renewing)
        r = on_enrolled(c, &m->enrolled);
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
    if (!c->waiting)
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
    uint64_t passed_ns = (clock_mono_ns() - c->asking.started_ns) / NS_PER_S * NS_PER_S;
    fprintf(stderr, "\r%s: %s after %s \033[K", c->asking.label,
            units_format(UNIT_BYTES, c->asking.answer->bytes, bytes, sizeof bytes),
            units_format(UNIT_NS, passed_ns, seconds, sizeof seconds));
    c->asking.shown = true;
}

static void on_interrupt(uv_poll_t *poll, int status, int events)
{
    struct client *c = poll->data;
    (void)status;
    (void)events;
    if (interrupt_count() - c->asking.interrupts >= c->asking.most_interrupts)
        end(c, error_set(c->e, ERROR_CANCELLED, "%s", ""));
}

/* ------------------------------------------------------------------ the connection */

/* Runs the loop until the wait is over. */
static int wait_until_end(struct client *c)
{
    while (c->waiting)
        uv_run(&c->loop, UV_RUN_ONCE);
    c->e = NULL;
    return c->result;
}

static void start_loop(struct client *c)
{
    uv_timer_init(&c->loop, &c->progress);
    uv_timer_init(&c->loop, &c->patience);
    c->progress.data = c->patience.data = c->interrupt.data = c;
    if (interrupt_fd() < 0 || uv_poll_init(&c->loop, &c->interrupt, interrupt_fd()))
        c->interrupt.data = NULL;
    else
        uv_poll_start(&c->interrupt, UV_READABLE, on_interrupt);
}

/* This user's certificate, or the word that there is none. */
static int load_tls(struct client *c, struct error *e)
{
    char folder[HOME_PATH_MAX];
    if (c->cli->insecure_plaintext)
        return 0;
    int r = home_path("", folder, e);
    if (r == 0)
        r = tls_load_folder(folder, IDENTITY_USER, &c->tls, e);
    if (r == ERROR_NOT_FOUND)
        return error_set(
            e, r,
            "there is no certificate of yours in %s: `fleetdump login TOKEN` gets one (the token comes from "
            "`fleetdump-collector init` or an administrator); where nothing is secret say "
            "insecure_plaintext = yes in %s/client.conf, and on the collector",
            folder, folder);
    return r;
}

/* If it is time. */
static int renew(struct client *c, struct error *e)
{
    char folder[HOME_PATH_MAX];
    struct error why = ERROR_INIT;
    struct message m;
    if (!c->tls || !renew_is_due(tls_identity(c->tls), clock_wall_ns()))
        return 0;
    int r = home_path("", folder, &why);
    if (r == 0)
        r = renew_request(folder, tls_identity(c->tls), &m, &why);
    if (r) {
        note(c->cli, "your certificate is not renewed: %s", why.text);
        return 0;
    }
    c->e = e;
    c->renewing = c->waiting = true;
    r = stream_send(c->stream, &m, e);
    renew_request_free(&m);
    if (r)
        end(c, r);
    else
        uv_timer_start(&c->patience, on_patience, CLIENT_WELCOME_MS, 0);
    return wait_until_end(c);
}

int client_open(const struct cli *cli, struct client **out, struct error *e)
{
    static const struct stream_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    struct client *c = calloc(1, sizeof *c);
    if (!c || uv_loop_init(&c->loop)) {
        free(c);
        return error_set(e, ERROR_MEMORY, "no memory for a connection");
    }
    c->cli = cli;
    c->e = e;
    c->waiting = true;
    c->asking = (struct asking){.interrupts = interrupt_count(), .most_interrupts = INTERRUPTS_QUERY};
    start_loop(c);
    int r = load_tls(c, e);
    if (r == 0)
        r = stream_connect(&c->loop, c->tls, cli->collector, CLIENT_CONNECT_MS, &events, c, &c->stream, e);
    if (r)
        end(c, r);
    r = wait_until_end(c);
    if (r == 0)
        r = renew(c, e);
    if (r) {
        client_close(c);
        return r;
    }
    *out = c;
    return 0;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    if (c->stream)
        stream_abort(c->stream);
    uv_close((uv_handle_t *)&c->progress, NULL);
    uv_close((uv_handle_t *)&c->patience, NULL);
    if (c->interrupt.data)
        uv_close((uv_handle_t *)&c->interrupt, NULL);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    uv_loop_close(&c->loop);
    tls_unref(c->tls);
    free(c);
}

int64_t client_clock_offset_ns(const struct client *c)
{
    return c->clock_offset_ns;
}

/* ------------------------------------------------------------------ questions and commands */

static int ask(struct client *c, const struct message *m, const struct asking *asking, struct error *e)
{
    *asking->answer = (struct client_answer){0};
    if (!c->stream)
        return error_set(e, ERROR_UNREACHABLE, "the collector at %s closed the connection", c->cli->collector);
    c->asking = *asking;
    c->asking.started_ns = clock_mono_ns();
    c->asking.interrupts = interrupt_count();
    c->e = e;
    c->waiting = true;
    if (c->asking.label && !c->cli->quiet && isatty(STDERR_FILENO))
        uv_timer_start(&c->progress, on_progress, PROGRESS_FIRST_MS, PROGRESS_EVERY_MS);
    uv_update_time(&c->loop);
    int r = stream_send(c->stream, m, e);
    if (r)
        end(c, r);
    r = wait_until_end(c);
    if (c->asking.shown)
        fprintf(stderr, "\r\033[K");
    return r;
}

int client_query(struct client *c, const struct message_query *q, const char *label, client_take_fn *take,
                 void *context, struct client_answer *answer, struct error *e)
{
    const struct asking asking = {
        .take = take, .context = context, .answer = answer, .label = label, .most_interrupts = INTERRUPTS_QUERY};
    return ask(c, &(struct message){.type = MESSAGE_QUERY, .query = *q}, &asking, e);
}

int client_command(struct client *c, const struct message_command *m, struct client_answer *answer, struct error *e)
{
    const struct asking asking = {.answer = answer, .most_interrupts = INTERRUPTS_COMMAND};
    return ask(c, &(struct message){.type = MESSAGE_COMMAND, .command = *m}, &asking, e);
}

int client_ask(const struct cli *cli, const struct message_query *q, const char *label, client_take_fn *take,
               void *context, struct client_answer *answer, struct error *e)
{
    struct client *c = NULL;
    *answer = (struct client_answer){0};
    int r = client_open(cli, &c, e);
    if (r == 0)
        r = client_query(c, q, label, take, context, answer, e);
    client_close(c);
    return r;
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

int client_fetch(struct client *c, const struct message_query *q, json_t **document, struct error *e)
{
    struct client_answer answer;
    struct buffer text = {.limit = CLIENT_DOCUMENT_MAX};
    int r = client_query(c, q, NULL, keep, &text, &answer, e);
    if (r == 0)
        r = client_conclude(c->cli, &answer, "the list is", e);
    client_answer_free(&answer);
    *document = r == 0 ? json_loadb((const char *)text.data, text.len, 0, NULL) : NULL;
    buffer_free(&text);
    if (r == 0 && !*document)
        r = error_set(e, ERROR_INVALID, "the answer of the collector at %s cannot be read", c->cli->collector);
    return r;
}

int client_document(const struct cli *cli, const struct message_query *q, json_t **document, struct error *e)
{
    struct client *c = NULL;
    *document = NULL;
    int r = client_open(cli, &c, e);
    if (r == 0)
        r = client_fetch(c, q, document, e);
    client_close(c);
    return r;
}

/* ------------------------------------------------------------------ administrators' requests */

static int ask_admin(struct client *c, enum admin_kind kind, char *json, struct client_answer *answer, struct error *e)
{
    const struct asking asking = {.answer = answer, .most_interrupts = INTERRUPTS_COMMAND};
    return ask(c, &(struct message){.type = MESSAGE_ADMIN, .admin = {.kind = (uint8_t)kind, .json = json}}, &asking, e);
}

int client_admin(const struct cli *cli, enum admin_kind kind, json_t *wants, json_t **answer, struct error *e)
{
    struct client *c = NULL;
    struct client_answer a = {0};
    char *json = wants ? json_dumps(wants, JSON_COMPACT) : strdup("");
    json_decref(wants);
    int r = json ? client_open(cli, &c, e) : error_set(e, ERROR_MEMORY, "no memory for a request");
    if (r == 0)
        r = ask_admin(c, kind, json, &a, e);
    if (r == 0)
        r = client_conclude(cli, &a, "the answer is", e);
    *answer = r == 0 ? json_incref(a.manifest) : NULL;
    if (r == 0 && !*answer)
        r = error_set(e, ERROR_INVALID, "the answer of the collector at %s cannot be read", cli->collector);
    client_answer_free(&a);
    client_close(c);
    free(json);
    return r;
}
