#include "tests/unit/server_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 60000
#define TEXTS       8

static char *text(const char *fixed)
{
    return (char *)(uintptr_t)fixed;
}

/* ------------------------------------------------------------------ what peers get */

static void take_orders(struct peer *p, const struct message_orders *m)
{
    p->orders_came++;
    p->order_count = m->order_count;
    for (uint32_t i = 0; i < m->order_count && i < ORDERS_SEEN; i++) {
        memcpy(p->ids[i], m->orders[i].request->id, 16);
        snprintf(p->names[i], sizeof p->names[i], "%s", m->orders[i].request->name);
        p->left_ns[i] = m->orders[i].left_ns;
        p->end_ns[i] = m->orders[i].end_ns;
        p->keep[i] = m->orders[i].request->keep;
    }
}

static void answer_check(struct peer *p, const struct message_check *m)
{
    char *interfaces[] = {text("eth0"), text("eth1")};
    struct message answer = {.type = MESSAGE_CHECKED,
                             .checked = {.token = m->token,
                                         .code = p->no,
                                         .text = text(p->no ? "no such interface" : ""),
                                         .interfaces = interfaces,
                                         .interface_count = p->no ? 0 : 2,
                                         .packets_per_s = 1000,
                                         .bytes_per_s = 500000,
                                         .free_bytes = 1u << 30}};
    p->checks++;
    p->token = m->token;
    if (!p->silent)
        peer_send(p, &answer);
}

static void answer_flush(struct peer *p, const struct message_flush *m)
{
    struct message answer = {.type = MESSAGE_FLUSHED, .flushed = {.token = m->token}};
    p->flushes++;
    p->token = m->token;
    snprintf(p->flush_capture, sizeof p->flush_capture, "%s", m->capture ? m->capture : "");
    if (!p->holds)
        peer_send(p, &answer);
}

static void take_done(struct peer *p, const struct message_done *m)
{
    p->dones++;
    p->code = m->code;
    snprintf(p->text, sizeof p->text, "%s", m->text ? m->text : "");
    free(p->manifest);
    p->manifest = m->manifest ? strdup(m->manifest) : NULL;
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct peer *p = context;
    (void)s;
    if (m->type == MESSAGE_WELCOME)
        p->welcomes++;
    else if (m->type == MESSAGE_ORDERS)
        take_orders(p, &m->orders);
    else if (m->type == MESSAGE_CHECK)
        answer_check(p, &m->check);
    else if (m->type == MESSAGE_FLUSH)
        answer_flush(p, &m->flush);
    else if (m->type == MESSAGE_DONE)
        take_done(p, &m->done);
    else if (m->type == MESSAGE_ENROLLED)
        take_done(p, &(struct message_done){.code = m->enrolled.code, .text = m->enrolled.text});
    else if (m->type == MESSAGE_RESULT)
        buffer_append(&p->result, m->result.data, m->result.length);
    else if (m->type == MESSAGE_CLOCK) {
        p->clocks++;
        p->clock = m->clock;
    } else if (m->type == MESSAGE_REFUSE)
        snprintf(p->text, sizeof p->text, "%s", m->refuse.text);
}

/* ------------------------------------------------------------------ connecting */

static void send_hello(struct peer *p, const char *labels)
{
    char copy[256], *rest = copy, *list[16];
    struct message m = {.type = MESSAGE_HELLO, .hello = {.protocol = NET_PROTOCOL, .role = p->role, .labels = list}};
    snprintf(copy, sizeof copy, "%s", labels);
    for (char *one; (one = strsep(&rest, ","));)
        if (*one)
            list[m.hello.label_count++] = one;
    m.hello.agent = p->role == ROLE_CLIENT ? NULL : p->name;
    memset(m.hello.install, (int)strlen(p->name) + 1, sizeof m.hello.install);
    peer_send(p, &m);
}

static void on_open(void *context, struct stream *s)
{
    struct peer *p = context;
    (void)s;
    p->welcomes = 0;
}

static void on_close(void *context, struct stream *s, const struct error *why)
{
    struct peer *p = context;
    (void)s;
    (void)why;
    p->closes++;
    p->stream = NULL;
}

static struct peer *dial(struct world *w, const char *name, uint8_t role, const char *labels)
{
    static const struct stream_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    struct error e = ERROR_INIT;
    assert_true(w->peer_count < PEERS_MOST);
    struct peer *p = &w->peers[w->peer_count++];
    *p = (struct peer){.world = w, .role = role};
    snprintf(p->name, sizeof p->name, "%s", name);
    if (stream_connect(&w->loop, NULL, w->address, 5000, &events, p, &p->stream, &e))
        fail_msg("%s", e.text);
    p->welcomes = UINT32_MAX;
    UNTIL(w, p->welcomes == 0);
    send_hello(p, labels);
    UNTIL(w, p->welcomes || p->closes);
    return p;
}

struct peer *peer_connect(struct world *w, const char *agent, const char *labels)
{
    struct peer *p = dial(w, agent, ROLE_AGENT_CONTROL, labels);
    UNTIL(w, p->orders_came || p->closes);
    return p;
}

struct peer *peer_data(struct world *w, const char *agent)
{
    return dial(w, agent, ROLE_AGENT_DATA, "");
}

struct peer *peer_client(struct world *w)
{
    return dial(w, "client", ROLE_CLIENT, "");
}

void peer_leave(struct peer *p)
{
    struct fleet_agent *a = p->role == ROLE_AGENT_CONTROL ? fleet_find(p->world->server.fleet, p->name) : NULL;
    if (p->stream)
        stream_close(p->stream);
    UNTIL(p->world, p->closes && (!a || !a->control));
}

void peer_send(struct peer *p, const struct message *m)
{
    struct error e = ERROR_INIT;
    if (stream_send(p->stream, m, &e))
        fail_msg("%s", e.text);
}

/* ------------------------------------------------------------------ agents */

int peer_order(const struct peer *p, const char *capture)
{
    for (uint32_t i = 0; i < p->order_count; i++)
        if (strcmp(p->names[i], capture) == 0)
            return (int)i;
    return -1;
}

void peer_tell(struct peer *p, const uint8_t id[16], uint8_t phase, const char *said, uint64_t packets)
{
    char *interfaces[] = {text("eth0")};
    struct message m = {.type = MESSAGE_CAPTURE_STATE,
                        .capture_state = {.phase = phase,
                                          .text = text(said),
                                          .interfaces = interfaces,
                                          .interface_count = phase == PHASE_RUNNING,
                                          .left_ns = UINT64_MAX,
                                          .packets = packets,
                                          .bytes = 100 * packets}};
    memcpy(m.capture_state.id, id, 16);
    peer_send(p, &m);
}

void peer_heard(struct peer *p)
{
    unsigned before = p->clocks;
    peer_send(p, &(struct message){.type = MESSAGE_CLOCK});
    UNTIL(p->world, p->clocks > before);
}

/* ------------------------------------------------------------------ clients */

struct capture_request request_of(const char *name, const char *on)
{
    static char *globs[TEXTS];
    static uint32_t number;
    uint64_t now = clock_wall_ns();
    globs[++number % TEXTS] = text(on);
    struct capture_request r = {.name = text(name),
                                .filter = text("tcp port 80"),
                                .on = &globs[number % TEXTS],
                                .on_count = on != NULL,
                                .end_ns = now + 60 * NS_PER_S,
                                .issued_ns = now,
                                .who = text("me@here")};
    memcpy(r.id, &number, sizeof number);
    r.id[15] = 1;
    return r;
}

int peer_command(struct peer *client, const struct message_command *m)
{
    struct message message = {.type = MESSAGE_COMMAND, .command = *m};
    unsigned before = client->dones;
    peer_send(client, &message);
    UNTIL(client->world, client->dones > before);
    return client->code;
}

int peer_start(struct peer *client, struct capture_request *r, bool partial)
{
    return peer_command(
        client, &(struct message_command){.kind = COMMAND_START, .request = r, .request_count = 1, .partial = partial});
}

int peer_name(struct peer *client, enum command_kind kind, const char *which)
{
    return peer_command(
        client, &(struct message_command){.kind = (uint8_t)kind, .which = text(which), .who = text("you@there")});
}

int peer_admin(struct peer *client, enum admin_kind kind, const char *json)
{
    struct message m = {.type = MESSAGE_ADMIN, .admin = {.kind = (uint8_t)kind, .json = text(json)}};
    unsigned before = client->dones;
    peer_send(client, &m);
    UNTIL(client->world, client->dones > before || !client->stream);
    return client->code;
}

int peer_ask(struct peer *client, const struct message_query *q)
{
    struct message message = {.type = MESSAGE_QUERY, .query = *q};
    unsigned before = client->dones;
    buffer_clear(&client->result);
    peer_send(client, &message);
    UNTIL(client->world, client->dones > before);
    return client->code;
}

static json_t *parse(const char *json, size_t len)
{
    json_error_t e;
    json_t *j = json_loadb(json, len, JSON_REJECT_DUPLICATES, &e);
    if (!j)
        fail_msg("not JSON: %s: %.*s", e.text, (int)len, json);
    return j;
}

json_t *peer_orders(struct peer *client, const char *which)
{
    if (peer_ask(client, &(struct message_query){.kind = QUERY_ORDERS, .capture = text(which)}))
        fail_msg("%s", client->text);
    return parse((const char *)client->result.data, client->result.len);
}

json_t *peer_manifest(const struct peer *client)
{
    assert_non_null(client->manifest);
    return parse(client->manifest, strlen(client->manifest));
}

const char *json_text(const json_t *j, const char *key)
{
    const char *value = json_string_value(json_object_get(j, key));
    return value ? value : "";
}

json_t *json_agent(const json_t *order, const char *agent)
{
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(order, "agents"), i, a)
    {
        if (strcmp(json_text(a, "agent"), agent) == 0)
            return a;
    }
    return NULL;
}

/* ------------------------------------------------------------------ the world */

static void on_patience(uv_timer_t *timer)
{
    struct world *w = timer->data;
    w->ran_out = true;
}

void world_wait_begins(struct world *w)
{
    w->ran_out = false;
    uv_timer_start(&w->patience, on_patience, PATIENCE_MS, 0);
}

void world_pass_ms(struct world *w, uint64_t ms)
{
    w->ran_out = false;
    uv_timer_start(&w->patience, on_patience, ms, 0);
    while (!w->ran_out)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void check(int code, const struct error *e)
{
    if (code)
        fail_msg("%s", e->text);
}

void world_start(struct world *w)
{
    struct server *s = &w->server;
    struct error e = ERROR_INIT;
    *s = (struct server){.config = &w->config, .loop = &w->loop};
    check(uv_loop_init(&w->loop), &e);
    uv_timer_init(&w->loop, &w->patience);
    w->patience.data = w;
    check(store_open(&w->config.store, &s->store, &e), &e);
    check(ingest_start(s->loop, s->store, session_job_done, &s->ingest, &e), &e);
    check(server_begin(s, &e), &e);
    check(listener_new(s->loop, NULL, "127.0.0.1:0", 100, session_accept, s, &s->listener, &e), &e);
    snprintf(w->address, sizeof w->address, "127.0.0.1:%d", listener_port(s->listener));
}

void world_stop(struct world *w)
{
    struct server *s = &w->server;
    for (unsigned i = 0; i < w->peer_count; i++) {
        struct peer *p = &w->peers[i];
        if (p->stream)
            stream_abort(p->stream);
    }
    uv_close((uv_handle_t *)&w->patience, NULL);
    server_stop(s);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    server_end(s);
    ingest_free(s->ingest);
    store_close(s->store);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    for (unsigned i = 0; i < w->peer_count; i++) {
        free(w->peers[i].manifest);
        buffer_free(&w->peers[i].result);
    }
    w->peer_count = 0;
}

int world_set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->path = support_folder();
    w->config = (struct server_config){.name = "here",
                                       .max_sessions = 100,
                                       .max_queries = 8,
                                       .query_deadline_ns = 60 * NS_PER_S,
                                       .store = {.path = w->path}};
    world_start(w);
    *state = w;
    return 0;
}

int world_tear_down(void **state)
{
    struct world *w = *state;
    world_stop(w);
    support_folder_remove(w->path);
    free(w);
    return 0;
}
