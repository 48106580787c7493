#include "collector/server/server.h"
#include "collector/server/confine.h"
#include "collector/server/enroll.h"
#include "collector/server/fresh.h"
#include "collector/server/orders.h"
#include "collector/server/rights.h"
#include "collector/server/session.h"
#include "collector/server/trail.h"
#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/base/ready.h"
#include "common/net/reach.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define STOP_MS 3000u /* sessions get that long to end by themselves */

struct running {
    struct server server;
    uv_signal_t term, interrupt, hangup;
    uv_timer_t patience;
};

static void close_sessions(struct server *s, bool at_once)
{
    for (struct session *x = s->sessions; x; x = x->next)
        if (x->stream && at_once)
            stream_abort(x->stream);
        else if (x->stream)
            stream_close(x->stream);
}

void server_stop(struct server *s)
{
    s->stopping = true;
    if (s->listener)
        listener_close(s->listener);
    if (s->orders)
        orders_stop(s->orders);
    enroll_stop(s->enroll);
    trail_stop(s->trail);
    close_sessions(s, false);
    ingest_stop(s->ingest);
}

static void out_of_patience(uv_timer_t *t)
{
    struct running *r = t->data;
    close_sessions(&r->server, true);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct running *r = signal->data;
    if (r->server.stopping)
        return;
    log_info("%s: stopping", number == SIGTERM ? "SIGTERM" : "SIGINT");
    server_stop(&r->server);
    uv_close((uv_handle_t *)&r->term, NULL);
    uv_close((uv_handle_t *)&r->interrupt, NULL);
    uv_close((uv_handle_t *)&r->hangup, NULL);
    uv_timer_start(&r->patience, out_of_patience, STOP_MS, 0);
    uv_unref((uv_handle_t *)&r->patience);
}

int server_begin(struct server *s, struct error *e)
{
    int r = trail_open(s, &s->trail, e);
    if (r == 0)
        r = fleet_open(s->store, &s->fleet, e);
    if (r == 0)
        r = rights_open(s, &s->rights, e);
    if (r == 0)
        r = enroll_open(s, &s->enroll, e);
    if (r == 0 && !(s->fresh = fresh_new(s)))
        r = error_set(e, ERROR_MEMORY, "no memory to ask agents for what they have");
    if (r == 0)
        r = orders_open(s, &s->orders, e);
    return r ? r : orders_baseline(s->orders, s->config->baseline, e);
}

void server_end(struct server *s)
{
    orders_close(s->orders);
    fresh_free(s->fresh);
    enroll_close(s->enroll);
    trail_close(s->trail);
    rights_close(s->rights);
    fleet_close(s->fleet);
}

/* Encrypted, or said to be not. */
static int load_tls(const struct server_config *c, struct tls **out, struct error *e)
{
    *out = NULL;
    if (c->insecure_plaintext) {
        log_warn("insecure_plaintext: connections are NOT encrypted; everybody on the way reads what is captured, and "
                 "whoever connects is believed to be who he says, and is an administrator");
        return 0;
    }
    int r = tls_load(&c->tls, IDENTITY_COLLECTOR, out, e);
    if (r == ERROR_NOT_FOUND)
        return error_set(e, r,
                         "there is no %s: this collector has no certificate. `fleetdump-collector init` makes one; an "
                         "organisation's own goes by tls_ca, tls_cert and tls_key; where nothing is secret say "
                         "insecure_plaintext = yes, there and on all agents",
                         c->tls.cert);
    return r;
}

static void on_reload(uv_signal_t *signal, int number)
{
    struct running *r = signal->data;
    struct error e = ERROR_INIT;
    (void)number;
    if (r->server.tls && tls_reload(r->server.tls, &e))
        log_error("SIGHUP: %s; what was read before goes on being used", e.text);
    else if (r->server.tls)
        log_info("SIGHUP: certificates read again, for connections that are made from now on; %u were ended",
                 session_judge_all(&r->server));
}

static int write_port(const struct server_config *c, int port, struct error *e)
{
    char text[16];
    if (!c->port_file)
        return 0;
    int n = snprintf(text, sizeof text, "%d\n", port);
    return fs_replace(AT_FDCWD, c->port_file, text, (size_t)n, 0644, "server.port-file", e);
}

static void watch_signals(struct running *r)
{
    uv_signal_init(r->server.loop, &r->term);
    uv_signal_init(r->server.loop, &r->interrupt);
    uv_signal_init(r->server.loop, &r->hangup);
    uv_timer_init(r->server.loop, &r->patience);
    r->term.data = r->interrupt.data = r->hangup.data = r->patience.data = r;
    uv_signal_start(&r->term, on_signal, SIGTERM);
    uv_signal_start(&r->interrupt, on_signal, SIGINT);
    uv_signal_start(&r->hangup, on_reload, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
}

static int listen_on(struct server *s, struct error *e)
{
    int code =
        listener_new(s->loop, s->tls, s->config->listen, s->config->max_sessions, session_accept, s, &s->listener, e);
    if (code == 0 && (code = write_port(s->config, listener_port(s->listener), e)) != 0)
        listener_close(s->listener);
    return code;
}

/* With the port that it is, also where any free one was asked for. */
static void say_listening(const struct server *s)
{
    char host[256] = "";
    uint16_t port;
    if (net_split(s->config->listen, host, &port, NULL))
        return;
    bool v6 = strchr(host, ':');
    log_info("collector %s listens on %s%s%s:%d, data in %s", s->config->name, v6 ? "[" : "", host, v6 ? "]" : "",
             listener_port(s->listener), s->config->store.path);
}

/* In this order: nothing can be opened any more once the locks are closed, and threads that were there before have none. Who connects meanwhile
 * waits for the loop. */
static int begin(struct server *s, struct error *e)
{
    int code = listen_on(s, e);
    if (code)
        return code;
    if (net_reach(s->config->enroll.address, s->config->listen, (uint16_t)listener_port(s->listener), s->reach,
                  sizeof s->reach, NULL))
        s->reach[0] = 0;
    ready_say();
    code = confine_server(s->config->store.path, s->tls ? &s->config->tls : NULL, e);
    if (code == 0)
        code = ingest_start(s->loop, s->store, session_job_done, &s->ingest, e);
    if (code)
        listener_close(s->listener);
    return code;
}

static int serve(struct running *r, struct error *e)
{
    struct server *s = &r->server;
    int code = begin(s, e);
    if (code) {
        uv_run(s->loop, UV_RUN_DEFAULT);
        return code;
    }
    code = server_begin(s, e);
    if (code == 0) {
        watch_signals(r);
        say_listening(s);
    } else
        server_stop(s);
    uv_run(s->loop, UV_RUN_DEFAULT);
    if (code == 0) {
        uv_close((uv_handle_t *)&r->patience, NULL);
        uv_run(s->loop, UV_RUN_DEFAULT);
    }
    server_end(s);
    ingest_free(s->ingest);
    return code;
}

int server_run(const struct server_config *config, struct error *e)
{
    struct running r = {.server = {.config = config}};
    uv_loop_t loop;
    int code = load_tls(config, &r.server.tls, e);
    if (code == 0 && (code = store_open(&config->store, &r.server.store, e)))
        tls_unref(r.server.tls);
    if (code)
        return code;
    fs_allow_many_files(); /* each connection, and each body under way, is one */
    uv_loop_init(&loop);
    r.server.loop = &loop;
    code = serve(&r, e);
    uv_loop_close(&loop);
    store_close(r.server.store);
    tls_unref(r.server.tls);
    return code;
}
