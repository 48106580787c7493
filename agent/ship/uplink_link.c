#include "agent/ship/uplink_impl.h"

#include "agent/ship/refusal.h"
#include "agent/ship/spool_dir.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEADY_PAUSES                                                                                                  \
    10u /* a connection that stood that many least pauses was a good one: the next pause is short again */

static void on_retry(uv_timer_t *timer)
{
    link_dial(timer->data);
}

/* Between half and all of it, so that a fleet does not come back in step. */
static uint64_t jitter(struct uplink *u, uint64_t ms)
{
    u->random ^= u->random << 13;
    u->random ^= u->random >> 7;
    u->random ^= u->random << 17;
    return ms / 2 + u->random % (ms / 2 + 1);
}

static void pause_link(struct link *l)
{
    const struct uplink_config *c = &l->u->config;
    bool steady = l->up_ns && clock_mono_ns() - l->up_ns > STEADY_PAUSES * c->retry_least_ms * NS_PER_MS;
    if (steady && !l->refused)
        l->pause_ms = c->retry_least_ms;
    if (l->refused)
        l->pause_ms = c->retry_most_ms;
    l->state = LINK_PAUSED;
    l->refused = false;
    l->up_ns = 0;
    uv_timer_start(&l->timer, on_retry, jitter(l->u, l->pause_ms), 0);
    l->pause_ms = 2 * l->pause_ms < c->retry_most_ms ? 2 * l->pause_ms : c->retry_most_ms;
}

static void tell(struct link *l, const char *text)
{
    enum log_level level = strcmp(text, l->told) == 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN;
    log_write(level, "uplink: %s connection: %s; capturing goes on, and it is tried again", l->name, text);
    snprintf(l->told, sizeof(l->told), "%s", text);
}

/* ------------------------------------------------------------ greeting */
static void on_late(uv_timer_t *timer)
{
    struct link *l = timer->data;
    tell(l, "the collector does not answer a greeting");
    stream_abort(l->stream);
}

static void on_open(void *context, struct stream *s)
{
    struct link *l = context;
    const struct uplink_config *c = &l->u->config;
    struct message m = {.type = MESSAGE_HELLO};
    struct message_hello *h = &m.hello;
    struct error e = ERROR_INIT;
    *h = (struct message_hello){
        .protocol = NET_PROTOCOL, .role = l->role, .features = FEATURE_CUTOFF, .label_count = c->label_count};
    h->software = (char *)(uintptr_t)c->software;
    h->agent = (char *)(uintptr_t)c->agent;
    h->labels = (char **)(uintptr_t)c->labels;
    memcpy(h->install, spool_install(l->u->spool), sizeof(h->install));
    h->addresses = host_addresses(&h->address_count);
    h->wall_ns = clock_wall_ns();
    h->mono_ns = clock_mono_ns();
    l->state = LINK_GREETING;
    uv_timer_start(&l->timer, on_late, c->greeting_ms, 0);
    if (stream_send(s, &m, &e) != 0) {
        tell(l, e.text);
        stream_abort(s);
    }
    free(h->addresses);
}

/* A collector of another protocol would have refused us; one that does not is none that we know. */
static void refuse_version(struct link *l, const struct message_welcome *w)
{
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof(text),
             "the collector (%.100s) speaks version %u of the protocol, and this agent (%.100s) version %u: update the "
             "%s, so that both are of one release",
             w->software, w->protocol, l->u->config.software, NET_PROTOCOL,
             w->protocol > NET_PROTOCOL ? "agent" : "collector");
    refusal_note(spool_fd(l->u->spool), l->name, ERROR_VERSION, text);
    l->refused = true;
    link_broken(l, text);
}

static void welcomed(struct link *l, const struct message_welcome *w)
{
    if (w->protocol != NET_PROTOCOL) {
        refuse_version(l, w);
        return;
    }
    uv_timer_stop(&l->timer);
    l->state = LINK_UP;
    l->up_ns = clock_mono_ns();
    l->told[0] = 0;
    refusal_forget(spool_fd(l->u->spool), l->name);
    log_info("uplink: %s connection to %s is up (%s)", l->name, stream_peer(l->stream), w->software);
    l->on_up(l->u);
}

static void refused(struct link *l, const struct message_refuse *r)
{
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof(text), "refused by the collector: %.600s", r->text);
    tell(l, text);
    refusal_note(spool_fd(l->u->spool), l->name, r->code, text);
    l->refused = true;
    stream_close(l->stream);
}

void link_broken(struct link *l, const char *what)
{
    tell(l, what);
    stream_close(l->stream);
}

static bool is_of_stream(const struct message_refuse *r)
{
    static const uint8_t none[EPOCH_SIZE];
    return memcmp(r->epoch, none, EPOCH_SIZE) != 0;
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct link *l = context;
    (void)s;
    if (m->type == MESSAGE_REFUSE && !is_of_stream(&m->refuse))
        refused(l, &m->refuse);
    else if (l->state == LINK_UP)
        l->on_message(l->u, m);
    else if (m->type == MESSAGE_WELCOME)
        welcomed(l, &m->welcome);
    else
        link_broken(l, "the other side did not answer as a collector does");
}

static void on_drain(void *context, struct stream *s)
{
    struct link *l = context;
    (void)s;
    if (l->state == LINK_UP && l->on_drain)
        l->on_drain(l->u);
}

static void on_close(void *context, struct stream *s, const struct error *why)
{
    struct link *l = context;
    bool was_up = l->state == LINK_UP;
    (void)s;
    l->stream = NULL;
    uv_timer_stop(&l->timer);
    if (was_up)
        l->on_down(l->u);
    if (!was_up && !l->u->stopping && l->u->config.monitor_fd >= 0 && sandbox_outdated()) {
        log_warn("uplink: what the resolver reads was replaced since this process was confined: it is started again");
        _exit(EXIT_FAILED); /* the spool bears it, and the monitor starts another one */
    }
    if (!l->u->stopping) {
        if (why->code)
            tell(l, why->text);
        else if (was_up && !l->refused)
            tell(l, "closed by the collector");
        if (why->code && why->code != ERROR_UNREACHABLE && !was_up) /* by TLS, or by us; it is there */
            refusal_note(spool_fd(l->u->spool), l->name, why->code, why->text);
        pause_link(l);
    }
    uplink_closed(l->u);
}

bool link_send(struct link *l, const struct message *m)
{
    struct error e = ERROR_INIT;
    if (stream_send(l->stream, m, &e) == 0)
        return true;
    if (e.code != ERROR_UNREACHABLE) { /* of that on_close tells */
        tell(l, e.text);
        stream_abort(l->stream);
    }
    return false;
}

void link_dial(struct link *l)
{
    static const struct stream_events events = {on_open, on_message, on_drain, on_close};
    const struct uplink_config *c = &l->u->config;
    struct error e = ERROR_INIT;
    l->state = LINK_DIALLING;
    if (c->tls && tls_reload(c->tls, &e)) /* it may have been renewed; else what was read before is good */
        log_debug("uplink: %s", e.text);
    if (stream_connect(l->u->loop, c->tls, c->collector, c->greeting_ms, &events, l, &l->stream, &e) == 0) {
        l->u->open++;
    } else {
        tell(l, e.text);
        pause_link(l);
    }
}

void link_init(struct link *l, struct uplink *u, uint8_t role, const char *name)
{
    *l = (struct link){.u = u, .role = role, .name = name, .pause_ms = u->config.retry_least_ms};
    uv_timer_init(u->loop, &l->timer);
    l->timer.data = l;
    u->open++;
}

static void on_timer_closed(uv_handle_t *handle)
{
    uplink_closed(((struct link *)handle->data)->u);
}

void link_stop(struct link *l)
{
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
    if (l->stream)
        stream_close(l->stream);
}
