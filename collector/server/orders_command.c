/*
 * Commands come, and are answered. What is done for them: orders_start.c, orders_stop.c.
 *
 * Who asked may be gone before it is over: that changes nothing. What is still under way on another thread keeps the command's memory (uses).
 */
#include "collector/server/orders_impl.h"

#include "collector/server/trail.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANIFEST_MAX (NET_FRAME_MAX - 4096u)

static const char *const kind_names[] = {
    [COMMAND_CHECK] = "check", [COMMAND_START] = "start", [COMMAND_STOP] = "stop", [COMMAND_REMOVE] = "remove"};

static bool has_request(const struct command *c)
{
    return c->m->kind == COMMAND_CHECK || c->m->kind == COMMAND_START;
}

/* ------------------------------------------------------------------ the end */

static void note_outcome(const struct command *c, const struct buffer *request, int code, const char *text)
{
    struct buffer what = {0};
    buffer_printf(&what, "%s '%s'%.*s", kind_names[c->m->kind], has_request(c) ? c->name : c->m->which ?: "",
                  (int)request->len, request->len ? (const char *)request->data : "");
    buffer_u8(&what, 0);
    if (!what.failed)
        trail_note(c->orders->server, c->client, "command", (const char *)what.data, code, text, NULL);
    buffer_free(&what);
}

/* One line for each command: who asked for what, from where, and what came of it. */
static void log_outcome(const struct command *c, int code, const char *text)
{
    const struct capture_request *r = has_request(c) ? c->m->request : NULL;
    const char *who = r ? r->who : c->m->who;
    char *selector = r ? request_selector(r) : NULL;
    struct buffer what = {.limit = 4096};
    if (r)
        buffer_printf(&what, " (%02x%02x%02x%02x, %.500s, filter '%.500s')", r->id[0], r->id[1], r->id[2], r->id[3],
                      selector ? selector : "?", r->filter ? r->filter : "");
    log_info("command: %s '%s'%.*s by %s from %s: %s%s%s", kind_names[c->m->kind], r ? c->name : c->m->which ?: "",
             (int)what.len, what.len ? (const char *)what.data : "", who && who[0] ? who : "somebody", c->client->peer,
             code ? error_name(code) : c->extent, text[0] ? ": " : "", text);
    note_outcome(c, &what, code, code || text[0] ? text : c->extent);
    buffer_free(&what);
    free(selector);
}

/* An answer that does not fit into a frame leaves out the agents. */
static char *manifest_text(json_t *manifest)
{
    char *text = manifest ? json_dumps(manifest, JSON_COMPACT) : NULL;
    if (text && strlen(text) > MANIFEST_MAX) {
        free(text);
        if (json_is_object(manifest))
            json_object_del(manifest, "agents");
        text = json_is_object(manifest) ? json_dumps(manifest, JSON_COMPACT) : NULL;
    }
    json_decref(manifest);
    return text;
}

static void on_timer_closed(uv_handle_t *handle)
{
    command_unuse(handle->data);
}

void command_unuse(struct command *c)
{
    if (--c->uses > 0)
        return;
    message_free(&c->held);
    free(c);
}

void command_done(struct command *c, int code, const char *text, json_t *manifest)
{
    char *json = manifest_text(manifest);
    struct message m = {.type = MESSAGE_DONE,
                        .done = {.code = code, .text = (char *)(uintptr_t)text, .manifest = json}};
    log_outcome(c, code, text);
    if (c->client->stream)
        session_send(c->client, &m);
    free(json);
    c->answered = true;
    c->client->commanding = false;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    if (c->order)
        order_forget(c->order);
    c->order = NULL;
    json_decref(c->changed);
    c->changed = NULL;
    session_unref(c->client);
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

/* ------------------------------------------------------------------ coming */

static struct command *command_new(struct orders *o, struct session *client, const struct message_command *m,
                                   struct error *e)
{
    const struct message from = {.type = MESSAGE_COMMAND, .command = *m};
    struct command *c = calloc(1, sizeof *c);
    int r = c ? message_copy(&from, &c->held, e) : error_set(e, ERROR_MEMORY, "no memory for a command");
    if (r) {
        free(c);
        return NULL;
    }
    c->orders = o;
    c->m = &c->held.command;
    c->client = client;
    c->next = o->commands;
    c->link = &o->commands;
    if (c->next)
        c->next->link = &c->next;
    o->commands = c;
    c->uses = 1;
    uv_timer_init(o->server->loop, &c->timer);
    c->timer.data = c;
    client->refs++;
    client->commanding = true;
    return c;
}

void orders_command(struct orders *o, struct session *client, const struct message_command *m)
{
    struct error e = ERROR_INIT;
    struct command *c = o->stopping ? NULL : command_new(o, client, m, &e);
    if (!c) {
        struct message done = {.type = MESSAGE_DONE,
                               .done = {.code = e.code ? e.code : ERROR_CANCELLED, .text = e.text}};
        session_send(client, &done);
    } else if (m->kind == COMMAND_STOP)
        command_stop(c);
    else if (m->kind == COMMAND_REMOVE)
        command_remove(c);
    else
        command_start(c);
}
