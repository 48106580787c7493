/*
 * A client's connection: each request is judged (rights.h) and noted (trail.h). Questions are answered by a thread of
 * their own (client_query.c), or at once where the loop itself knows (orders). On the loop's thread.
 */
#include "collector/server/admin.h"
#include "collector/server/client_session_impl.h"
#include "collector/server/orders.h"
#include "collector/server/trail.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ what is noted, and said at the end */

/* Whether a question only asks again for what was noted: a list that somebody watches; one that goes on, and there was
 * nothing new. */
static bool repeats(struct session *s, const struct message_query *q, const struct buffer *what,
                    const struct query_outcome *o)
{
    bool goes_on = q->kind == QUERY_PULL && q->after && q->after[0] && strcmp(q->after, "0") != 0;
    bool is_list =
        q->kind != QUERY_FLOWS && q->kind != QUERY_EXCHANGES && q->kind != QUERY_PULL && q->kind != QUERY_EXPORT;
    uint64_t hash = hash64_table(what->data, what->len), before = s->asked;
    s->asked = is_list && !o->code ? hash : 0;
    return (goes_on && (!o->code || o->code == ERROR_INCOMPLETE) && o->packets == 0) ||
           (is_list && !o->code && before == hash);
}

static void put_bound(struct buffer *out, const char *name, const char *value)
{
    buffer_printf(out, "%s%s %s", out->len ? ", " : "", name, value);
}

static void bounds_text(const struct query_bounds *b, struct buffer *out)
{
    char text[64];
    if (b->labels)
        put_bound(out, "labels", b->labels);
    if (b->filter)
        put_bound(out, "filter", b->filter);
    if (b->snaplen) {
        snprintf(text, sizeof text, "%u", b->snaplen);
        put_bound(out, "snaplen", text);
    }
    if (b->since_ns)
        put_bound(out, "since", units_rfc3339(b->since_ns, text, sizeof text));
    buffer_u8(out, 0);
}

void client_note_query(struct session *s, const struct message_query *q, const struct query_bounds *b,
                       const struct query_outcome *o)
{
    struct buffer what = {0}, narrowed = {0};
    struct trail_result result = {.rows = o->rows, .packets = o->packets, .bytes = o->bytes};
    trail_query_text(q, &what);
    bounds_text(b, &narrowed);
    if (!what.failed && !narrowed.failed && !repeats(s, q, &what, o)) {
        result.narrowed = narrowed.len > 1 ? (const char *)narrowed.data : NULL;
        trail_note(s->server, s, "query", (const char *)what.data, o->code, o->code ? o->text : NULL, &result);
    }
    buffer_free(&what);
    buffer_free(&narrowed);
}

void client_done(struct session *s, const struct error *e, char *manifest)
{
    struct message m = {.type = MESSAGE_DONE,
                        .done = {.code = e->code, .text = (char *)(uintptr_t)e->text, .manifest = manifest}};
    session_send(s, &m);
}

/* ------------------------------------------------------------------ what the loop knows */

static void send_text(struct session *s, const char *text)
{
    size_t len = strlen(text);
    for (size_t at = 0, n; at < len && s->stream; at += n) {
        n = len - at < NET_PIECE_MAX ? len - at : NET_PIECE_MAX;
        struct message m = {
            .type = MESSAGE_RESULT,
            .result = {.data = (const uint8_t *)text + at, .length = (uint32_t)n, .end_of_block = at + n == len}};
        session_send(s, &m);
    }
}

static bool sees(void *context, const struct fleet_agent *a)
{
    return rights_sees(context, a);
}

static bool sees_whole(void *context, const struct capture_request *r)
{
    return rights_sees_whole(context, r);
}

static void on_orders(struct session *s, const struct message_query *q, const struct rights_grant *grant)
{
    struct error e = ERROR_INIT;
    char *text = NULL;
    const struct orders_sight sight = {sees, sees_whole, s, grant->bounds.filter || grant->bounds.since_ns};
    if (orders_json(s->server->orders, q->capture ? q->capture : "", grant->any_bounds ? &sight : NULL, &text, &e) == 0)
        send_text(s, text);
    struct query_outcome outcome = {.code = e.code, .bytes = text ? strlen(text) : 0};
    snprintf(outcome.text, sizeof outcome.text, "%s", e.text);
    client_note_query(s, q, &grant->bounds, &outcome);
    char *manifest = query_bounds_manifest(&grant->bounds);
    client_done(s, &e, manifest);
    free(manifest);
    free(text);
}

static void note_refused(struct session *s, const struct message *m, const struct error *e)
{
    struct buffer what = {0};
    const struct rights_rule *rule = rights_rule_of(m);
    const char *which = m->type == MESSAGE_ADMIN                                 ? m->admin.json
                        : m->type == MESSAGE_COMMAND && m->command.request_count ? m->command.request->name
                                                                                 : m->command.which;
    if (m->type == MESSAGE_QUERY)
        trail_query_text(&m->query, &what);
    else {
        buffer_printf(&what, "%s '%.2000s'", rule ? rule->name : "?", which ? which : "");
        buffer_u8(&what, 0);
    }
    if (!what.failed)
        trail_note(s->server, s, "refused", (const char *)what.data, e->code, e->text, NULL);
    buffer_free(&what);
}

/* What was signed cannot be changed: there the name must be right. */
static int check_signed_name(const struct capture_request *r, const char *name, struct error *e)
{
    if (!r->signature_length || (r->who && strcmp(r->who, name) == 0))
        return 0;
    return error_set(e, ERROR_REFUSED,
                     "the order that was signed says that it is by '%.200s', and the certificate is that of %s",
                     r->who ? r->who : "", name);
}

/* Who orders or stops a capture is who the certificate says, if there is one. */
static void on_command(struct session *s, const struct message_command *m)
{
    const struct identity *who = session_identity(s);
    struct message_command c = *m;
    struct capture_request r;
    struct error e = ERROR_INIT;
    if (who->kind == IDENTITY_USER) {
        c.who = (char *)(uintptr_t)who->name;
        if (c.request_count && check_signed_name(c.request, who->name, &e)) {
            log_warn("%s at %s: refused: %s", who->name, s->peer, e.text);
            note_refused(s, &(struct message){.type = MESSAGE_COMMAND, .command = *m}, &e);
            client_done(s, &e, NULL);
            return;
        }
    }
    if (who->kind == IDENTITY_USER && c.request_count) {
        r = *c.request;
        r.who = c.who;
        c.request = &r;
    }
    orders_command(s->server->orders, s, &c);
}

static void refuse_request(struct session *s, const struct message *m, const struct error *e)
{
    log_warn("%s at %s: refused: %s", session_identity(s)->name, s->peer, e->text);
    note_refused(s, m, e);
    client_done(s, e, NULL);
}

static void dispatch(struct session *s, const struct message *m, struct rights_grant *grant)
{
    struct error e = ERROR_INIT;
    if (m->type == MESSAGE_COMMAND)
        on_command(s, &m->command);
    else if (m->type == MESSAGE_ADMIN)
        admin_message(s, &m->admin);
    else if (m->query.kind == QUERY_ORDERS)
        on_orders(s, &m->query, grant);
    else if (session_check_questions(s, &e))
        refuse_request(s, m, &e);
    else
        client_query(s, &m->query, grant);
}

void client_session_message(struct session *s, const struct message *m)
{
    struct error e = ERROR_INIT;
    struct rights_grant grant;
    if (m->type != MESSAGE_QUERY && m->type != MESSAGE_COMMAND && m->type != MESSAGE_ADMIN) {
        session_refuse(s, ERROR_INVALID, "a client sends questions, commands and administrators' requests only");
    } else if (s->query || s->commanding) {
        session_refuse(s, ERROR_BUSY, "one question at a time on a connection");
    } else if (rights_judge(s, m, &grant, &e)) {
        refuse_request(s, m, &e);
    } else {
        dispatch(s, m, &grant);
        rights_grant_free(&grant);
    }
}

void client_session_drain(struct session *s)
{
    if (s->query)
        client_query_pump(s->query);
}

void client_session_close(struct session *s)
{
    if (s->query)
        client_query_cancel(s->query);
}

void client_session_lowered(struct server *server, const char *name, bool bounds)
{
    for (struct session *s = server->sessions, *next; s; s = next) {
        next = s->next;
        if (s->query && session_is_of(s, IDENTITY_USER, name))
            client_query_judge_again(s, bounds);
    }
}
