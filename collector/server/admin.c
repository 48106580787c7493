#include "collector/server/admin.h"

#include "collector/server/enroll.h"
#include "collector/server/rights.h"
#include "collector/server/trail.h"
#include "common/base/utf8.h"
#include <stdlib.h>
#include <string.h>

/* Every kind of request, once. */
static const struct kind {
    const char *name;
    void (*run)(struct admin_call *c);
} kinds[] = {
    [ADMIN_ENROLL] = {"enroll", enroll_admin_enroll},
    [ADMIN_APPROVE] = {"approve", enroll_admin_approve},
    [ADMIN_REVOKE] = {"revoke", enroll_admin_revoke},
    [ADMIN_CREDENTIALS] = {"list credentials", enroll_admin_list},
    [ADMIN_USER_ADD] = {"add user", rights_user_add},
    [ADMIN_USER_LIST] = {"list users", rights_user_list},
    [ADMIN_USER_REMOVE] = {"remove user", rights_user_remove},
    [ADMIN_AUDIT] = {"read audit", trail_read},
};
#define KIND_COUNT (int)(sizeof kinds / sizeof kinds[0])

const char *admin_kind_name(int kind)
{
    return kind > 0 && kind < KIND_COUNT ? kinds[kind].name : NULL;
}

/* ------------------------------------------------------------------ a call's end */

/* Requests hold nothing secret: tokens and certificates are answers. */
static void note(const struct admin_call *c, int code, const char *text)
{
    char *wants = json_dumps(c->wants, JSON_COMPACT);
    struct buffer what = {0};
    buffer_printf(&what, "%s %s", admin_kind_name(c->kind), wants ? wants : "");
    buffer_u8(&what, 0);
    if (!what.failed)
        trail_note(c->server, c->session, "admin", (const char *)what.data, code, text, NULL);
    buffer_free(&what);
    free(wants);
}

static void end(struct admin_call *c, int code, const char *text, const char *manifest)
{
    struct session *s = c->session;
    struct message m = {
        .type = MESSAGE_DONE,
        .done = {.code = code, .text = (char *)(uintptr_t)text, .manifest = (char *)(uintptr_t)manifest}};
    s->commanding = false;
    note(c, code, text);
    if (s->stream)
        session_send(s, &m);
    json_decref(c->wants);
    free(c);
    session_unref(s);
}

void admin_fail(struct admin_call *c, const struct error *e)
{
    end(c, e->code ? e->code : ERROR_INVALID, e->text, NULL);
}

void admin_answer(struct admin_call *c, json_t *answer)
{
    struct error e = ERROR_INIT;
    char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    json_decref(answer);
    if (!text) {
        (void)error_set(&e, ERROR_MEMORY, "no memory for the answer");
        admin_fail(c, &e);
    } else if (strlen(text) > NET_FRAME_MAX / 2) {
        (void)error_set(&e, ERROR_LIMIT, "the answer has %zu bytes, where at most %u are sent: ask for less of it",
                        strlen(text), NET_FRAME_MAX / 2);
        admin_fail(c, &e);
    } else {
        end(c, 0, NULL, text);
    }
    free(text);
}

/* ------------------------------------------------------------------ work on other threads */

static int store_work(void *context, struct store *s, struct error *e)
{
    struct admin_call *c = context;
    return c->work(c, s, e);
}

static void store_done(void *context, int result, const struct error *e)
{
    struct admin_call *c = context;
    c->then(c, result, e);
}

void admin_store(struct admin_call *c, int (*work)(struct admin_call *c, struct store *s, struct error *e),
                 void (*then)(struct admin_call *c, int result, const struct error *e))
{
    struct error e = ERROR_INIT;
    c->work = work;
    c->then = then;
    int r = ingest_call(c->server->ingest, store_work, store_done, c, &e);
    if (r)
        then(c, r, &e);
}

static void thread_work(uv_work_t *w)
{
    struct admin_call *c = w->data;
    c->error = (struct error)ERROR_INIT;
    c->result = c->work(c, c->server->store, &c->error);
}

static void thread_done(uv_work_t *w, int status)
{
    struct admin_call *c = w->data;
    if (status)
        c->result = error_set(&c->error, ERROR_CANCELLED, "the collector is stopping");
    const struct error e = c->error;
    c->then(c, c->result, &e);
}

void admin_work(struct admin_call *c, int (*work)(struct admin_call *c, struct store *s, struct error *e),
                void (*then)(struct admin_call *c, int result, const struct error *e))
{
    c->work = work;
    c->then = then;
    c->thread.data = c;
    int sys = uv_queue_work(c->server->loop, &c->thread, thread_work, thread_done);
    if (sys)
        thread_done(&c->thread, sys);
}

/* ------------------------------------------------------------------ what is wanted */

int admin_text(const struct admin_call *c, const char *name, size_t most, const char **out, struct error *e)
{
    const json_t *j = json_object_get(c->wants, name);
    *out = json_string_value(j);
    if (!j)
        return 0;
    if (!*out)
        return error_set(e, ERROR_USAGE, "%s: %s is to be a text", admin_kind_name(c->kind), name);
    if (strlen(*out) != json_string_length(j) || strlen(*out) > most || !utf8_is_clean(*out, strlen(*out), false))
        return error_set(e, ERROR_USAGE, "%s: %s is to have at most %zu bytes and no control characters",
                         admin_kind_name(c->kind), name, most);
    return 0;
}

int admin_need_text(const struct admin_call *c, const char *name, size_t most, const char **out, struct error *e)
{
    int r = admin_text(c, name, most, out, e);
    if (r == 0 && (!*out || !**out))
        r = error_set(e, ERROR_USAGE, "%s: %s is missing", admin_kind_name(c->kind), name);
    return r;
}

int admin_number(const struct admin_call *c, const char *name, uint64_t *out, struct error *e)
{
    const json_t *j = json_object_get(c->wants, name);
    *out = 0;
    if (!j)
        return 0;
    if (!json_is_integer(j) || json_integer_value(j) < 0)
        return error_set(e, ERROR_USAGE, "%s: %s is to be a whole number", admin_kind_name(c->kind), name);
    *out = (uint64_t)json_integer_value(j);
    return 0;
}

/* ------------------------------------------------------------------ a call's begin */

static json_t *parse(const struct message_admin *m, struct error *e)
{
    json_error_t why;
    json_t *wants = m->json && m->json[0] ? json_loads(m->json, JSON_REJECT_DUPLICATES, &why) : json_object();
    if (!json_is_object(wants)) {
        json_decref(wants);
        wants = NULL;
        (void)error_set(e, ERROR_INVALID, "what is wanted is no JSON object");
    }
    return wants;
}

static struct admin_call *call_new(struct session *s, const struct message_admin *m, struct error *e)
{
    if (!admin_kind_name(m->kind) || !kinds[m->kind].run) {
        (void)error_set(e, ERROR_UNSUPPORTED,
                        "this collector does not know how to %s: is it older than the command line?",
                        admin_kind_name(m->kind) ? admin_kind_name(m->kind) : "do that");
        return NULL;
    }
    json_t *wants = parse(m, e);
    struct admin_call *c = wants ? calloc(1, sizeof *c) : NULL;
    if (wants && !c)
        (void)error_set(e, ERROR_MEMORY, "no memory for a request");
    if (c)
        *c = (struct admin_call){.server = s->server, .session = s, .kind = m->kind, .wants = wants, .from = s->peer};
    else
        json_decref(wants);
    return c;
}

void admin_message(struct session *s, const struct message_admin *m)
{
    struct error e = ERROR_INIT;
    struct admin_call *c = call_new(s, m, &e);
    if (c) {
        s->refs++;
        s->commanding = true;
        kinds[m->kind].run(c);
        return;
    }
    const char *name = admin_kind_name(m->kind);
    trail_note(s->server, s, "admin", name ? name : "?", e.code, e.text, NULL);
    struct message done = {.type = MESSAGE_DONE, .done = {.code = e.code, .text = e.text}};
    session_send(s, &done);
}
