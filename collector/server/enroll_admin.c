/*
 * What administrators say about who may connect.
 */
#include "collector/server/enroll_impl.h"

#include "common/base/log.h"
#include "common/base/units.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *who_asks(const struct admin_call *c)
{
    const struct identity *who = session_identity(c->session);
    return who->kind ? who->name : "";
}

/* ------------------------------------------------------------------ ENROLL */

struct giving {
    struct store_token row;
    char text[TOKEN_TEXT_MAX];
};

static int give_work(struct admin_call *c, struct store *s, struct error *e)
{
    const struct giving *g = c->context;
    return store_token_put(s, &g->row, e);
}

static void given(struct admin_call *c, int result, const struct error *e)
{
    struct giving *g = c->context;
    struct token t;
    char until[40];
    if (result == 0 && token_parse(g->text, &t, NULL) == 0)
        admin_answer(c, json_pack("{s:s, s:s, s:s, s:s}", "token", g->text, "name", t.name, "collector", t.collector,
                                  "expires", units_rfc3339(g->row.expires_ns, until, sizeof until)));
    else
        admin_fail(c, e);
    explicit_bzero(g->text, sizeof g->text);
    free(g);
}

static int make_token(struct admin_call *c, struct giving *g, struct error *e)
{
    struct enroll_wish w = {.kind = IDENTITY_AGENT, .by = who_asks(c)};
    char labels[STORE_LABELS_MAX + 1];
    int r = admin_need_text(c, "name", HEAD_NAME_MAX, &w.name, e);
    if (r == 0)
        r = admin_text(c, "collector", TOKEN_ADDRESS_MAX, &w.collector, e);
    if (r == 0)
        r = admin_number(c, "ttl_ns", &w.ttl_ns, e);
    if (r == 0)
        r = enroll_wanted_labels(c, labels, e);
    if (r == 0)
        r = enroll_new_token(c->server->enroll, &w, &g->row, g->text, e);
    if (r == 0)
        memcpy(g->row.labels, labels, sizeof labels);
    return r;
}

void enroll_admin_enroll(struct admin_call *c)
{
    struct error e = ERROR_INIT;
    struct giving *g = calloc(1, sizeof *g);
    int r = g ? make_token(c, g, &e) : error_set(&e, ERROR_MEMORY, "no memory for a token");
    if (r) {
        free(g);
        admin_fail(c, &e);
        return;
    }
    c->context = g;
    admin_store(c, give_work, given);
}

/* ------------------------------------------------------------------ APPROVE */

static bool key_begins(const struct enroll_pending *p, const char *key)
{
    char text[CA_HASH_TEXT];
    return !key || strncmp(ca_format_hash(p->key_sha256, text), key, strlen(key)) == 0;
}

static struct enroll_pending *find_pending(const struct admin_call *c, const char *name, const char *key,
                                           struct error *e)
{
    struct enroll_pending *found = NULL;
    for (struct enroll_pending *p = c->server->enroll->pending; p; p = p->next) {
        if (p->approved || strcmp(p->name, name) != 0 || !key_begins(p, key))
            continue;
        if (found) {
            (void)error_set(
                e, ERROR_CONFLICT,
                "more than one host asks to be %s: say which by its key (`fleetdump admin list --pending`, then "
                "`fleetdump admin approve %s --key FINGERPRINT`)",
                name, name);
            return NULL;
        }
        found = p;
    }
    if (!found)
        (void)error_set(e, ERROR_NOT_FOUND,
                        "nobody of that name%s waits to be approved (`fleetdump admin list --pending` lists them)",
                        key ? " and key" : "");
    return found;
}

void enroll_admin_approve(struct admin_call *c)
{
    struct error e = ERROR_INIT;
    const char *name = NULL, *key = NULL;
    char labels[STORE_LABELS_MAX + 1], text[CA_HASH_TEXT];
    int r = enroll_can_sign(c->server->enroll, &e);
    if (r == 0)
        r = admin_need_text(c, "name", HEAD_NAME_MAX, &name, &e);
    if (r == 0)
        r = admin_text(c, "key", CA_HASH_TEXT - 1, &key, &e);
    if (r == 0)
        r = enroll_wanted_labels(c, labels, &e);
    struct enroll_pending *p = r ? NULL : find_pending(c, name, key, &e);
    if (!p) {
        admin_fail(c, &e);
        return;
    }
    p->approved = true;
    memcpy(p->labels, labels, sizeof labels);
    log_info("%s at %s was approved by %s", p->name, p->peer, who_asks(c));
    admin_answer(c, json_pack("{s:s, s:s}", "name", p->name, "key", ca_format_hash(p->key_sha256, text)));
}

/* ------------------------------------------------------------------ REVOKE */

struct revoking {
    struct store_revocation v;
    struct enroll_key key; /* by serial number */
    struct identity by_whom;
    uint64_t since_ns; /* a name's: it had been revoked then; 0: it had not */
    bool force;
    char name[HEAD_NAME_MAX + 1], serial[STORE_SERIAL_MAX + 2], by[HEAD_NAME_MAX + 1];
};

/* A certificate may begin later than now: one that was made after another revocation of this second, or by a clock that was
 * ahead. It is meant as well. */
static void include(struct revoking *r, uint64_t begins_ns)
{
    if (begins_ns > r->v.revoked_ns)
        r->v.revoked_ns = begins_ns;
}

/* When the name's newest certificate was revoked with it; 0: it was not, or was not made here. */
static uint64_t revoked_since(struct enroll *en, const struct revoking *r, uint64_t begins_ns)
{
    struct store_credential newest = {.kind = r->v.kind, .not_before_ns = begins_ns};
    uint64_t since_ns = 0;
    snprintf(newest.name, sizeof newest.name, "%s", r->name);
    if (begins_ns)
        (void)enroll_state(en, &newest, 0, &since_ns);
    return since_ns;
}

/* Of one that had been revoked the tokens go, but the day stays. */
static int revoke_name(struct revoking *r, struct enroll *en, struct store *s, struct error *e)
{
    uint64_t made_ns, begins_ns = 0;
    int code = r->force ? 0 : enroll_check_known(s, r->v.kind, r->name, e);
    if (code == 0)
        code = store_credential_newest(s, r->v.kind, r->name, &made_ns, &begins_ns, e);
    if (code)
        return code;
    r->since_ns = revoked_since(en, r, begins_ns);
    if (r->since_ns)
        return store_token_void(s, r->v.kind, r->name, e);
    include(r, begins_ns);
    return store_revoke(s, &r->v, e);
}

/* Whoever does it by mistake has no way back but local root's. */
static int refuse_himself(struct error *e)
{
    return error_set(e, ERROR_REFUSED, "nobody revokes himself: another administrator can");
}

static bool is_own_key(const struct revoking *r)
{
    return enroll_key_is(&r->key, r->by_whom.kind, r->by_whom.name, r->by_whom.key_sha256);
}

static struct store_revocation of_serial(const struct revoking *r, size_t i)
{
    struct store_revocation v = r->v;
    v.serial = r->key.serials[i];
    return v;
}

/* A certificate and its renewals: each is as good as the other. */
static int revoke_key(struct revoking *r, struct store *s, struct error *e)
{
    int code = enroll_key_find(&r->key, s, r->serial, e);
    if (code == 0 && is_own_key(r))
        code = refuse_himself(e);
    for (size_t i = 0; code == 0 && i < r->key.count; i++) {
        const struct store_revocation v = of_serial(r, i);
        code = store_revoke(s, &v, e);
    }
    return code;
}

static int revoke_work(struct admin_call *c, struct store *s, struct error *e)
{
    struct revoking *r = c->context;
    return r->serial[0] ? revoke_key(r, s, e) : revoke_name(r, c->server->enroll, s, e);
}

static void revoking_free(struct revoking *r)
{
    if (r)
        enroll_key_free(&r->key);
    free(r);
}

/* Who was approved and did not come for the certificate yet is not any more; the store does so with tokens. */
static void void_approvals(struct enroll *en, const struct store_revocation *v)
{
    for (struct enroll_pending *p = en->pending, *next; p; p = next) {
        next = p->next;
        if (p->approved && v->kind == IDENTITY_AGENT && !v->serial[0] && strcmp(p->name, v->name) == 0)
            enroll_forget_pending(en, p);
    }
}

static unsigned close_revoked(struct server *server)
{
    unsigned closed = 0;
    struct error e = ERROR_INIT;
    for (struct session *s = server->sessions, *next; s; s = next) {
        next = s->next;
        if (!s->stream || enroll_judge(server->enroll, session_identity(s), &e) == 0)
            continue;
        closed++;
        session_shut_out(s, e.text);
    }
    return closed;
}

/* A connection may have begun with one that the catalog has forgotten since: its renewals kept it open. */
static int add_forgotten(struct enroll *en, const struct revoking *r, struct error *e)
{
    int code = 0;
    for (const struct session *s = en->server->sessions; s && code == 0; s = s->next) {
        const struct identity *who = session_identity(s);
        struct store_revocation v = r->v;
        v.serial = who->serial;
        if (enroll_key_is(&r->key, who->kind, who->name, who->key_sha256) && enroll_judge(en, who, NULL) == 0)
            code = enroll_add_revoked(en, &v, e);
    }
    return code;
}

static int add_revoked(struct enroll *en, const struct revoking *r, struct error *e)
{
    int code = 0;
    if (r->since_ns)
        return 0;
    if (!r->serial[0])
        return enroll_add_revoked(en, &r->v, e);
    for (size_t i = 0; code == 0 && i < r->key.count; i++) {
        const struct store_revocation v = of_serial(r, i);
        code = enroll_add_revoked(en, &v, e);
    }
    return code ? code : add_forgotten(en, r, e);
}

static void revoked(struct admin_call *c, int result, const struct error *e)
{
    struct revoking *r = c->context;
    struct error why = ERROR_INIT;
    char since[40];
    int added = result ? result : add_revoked(c->server->enroll, r, &why);
    if (added) {
        admin_fail(c, result ? e : &why);
        revoking_free(r);
        return;
    }
    void_approvals(c->server->enroll, &r->v);
    const char *what = r->serial[0] ? r->serial : r->name;
    log_info("%s %s by %s", what, r->since_ns ? "was revoked once more" : "was revoked", r->by);
    admin_answer(c, json_pack("{s:s, s:i, s:s?}", "revoked", what, "sessions", (int)close_revoked(c->server), "since",
                              r->since_ns ? units_rfc3339(r->since_ns, since, sizeof since) : NULL));
    revoking_free(r);
}

/* Also as other programs write it ("0A:1B"): here it is known without zeros in front, in lower case. */
static int read_serial(struct revoking *r, const char *serial, struct error *e)
{
    size_t length = 0;
    for (const char *p = serial; *p && length <= STORE_SERIAL_MAX; p++)
        if (*p != ':' && (*p != '0' || length))
            r->serial[length++] = (char)tolower((unsigned char)*p);
    if (length > 0 && length <= STORE_SERIAL_MAX && strspn(r->serial, "0123456789abcdef") == length)
        return 0;
    return error_set(e, ERROR_USAGE, "serial '%.60s': up to %u hex digits, as `fleetdump admin list` shows them",
                     serial, STORE_SERIAL_MAX);
}

static int read_name(const struct admin_call *c, struct revoking *r, struct error *e)
{
    const char *name = NULL, *kind = NULL;
    int code = admin_need_text(c, "name", HEAD_NAME_MAX, &name, e);
    if (code == 0)
        code = admin_need_text(c, "kind", 16, &kind, e);
    if (code)
        return code;
    r->v.kind = strcmp(kind, "agent") == 0 ? IDENTITY_AGENT : strcmp(kind, "user") == 0 ? IDENTITY_USER : IDENTITY_NONE;
    if (r->v.kind == IDENTITY_NONE)
        return error_set(e, ERROR_USAGE, "kind is to be agent or user");
    snprintf(r->name, sizeof r->name, "%s", name);
    r->force = json_is_true(json_object_get(c->wants, "force"));
    return identity_check_name(name, e);
}

static int check_other(const struct admin_call *c, const struct revoking *r, struct error *e)
{
    const struct identity *who = session_identity(c->session);
    if (who->kind != IDENTITY_USER || !(r->serial[0] ? strcmp(r->serial, who->serial) == 0
                                                     : r->v.kind == IDENTITY_USER && strcmp(r->name, who->name) == 0))
        return 0;
    return refuse_himself(e);
}

void enroll_admin_revoke(struct admin_call *c)
{
    struct error e = ERROR_INIT;
    const char *serial = NULL;
    struct revoking *r = calloc(1, sizeof *r);
    int code = r ? admin_text(c, "serial", 64, &serial, &e) : error_set(&e, ERROR_MEMORY, "no memory to revoke");
    if (code == 0)
        code = serial ? read_serial(r, serial, &e) : read_name(c, r, &e);
    if (code == 0)
        code = check_other(c, r, &e);
    if (code) {
        revoking_free(r);
        admin_fail(c, &e);
        return;
    }
    r->by_whom = *session_identity(c->session);
    snprintf(r->by, sizeof r->by, "%s", who_asks(c));
    r->v.name = r->name;
    r->v.serial = r->serial;
    r->v.revoked_by = r->by;
    r->v.revoked_ns = clock_wall_ns();
    c->context = r;
    admin_store(c, revoke_work, revoked);
}

/* ------------------------------------------------------------------ CREDENTIALS */

#define LIST_KEY_SIZE (HEAD_NAME_MAX + 12) /* of a kind and a name */

struct listed {
    struct enroll *enroll;
    char after[LIST_KEY_SIZE]; /* "1web-1": kind and name; "": from the first */
    char next[LIST_KEY_SIZE];
    size_t names;
    json_t *credentials, *tokens, *pending;
    struct store_credential last; /* the newest of its name so far */
    bool has_last;
    uint64_t now_ns;
};

static void key_of(const struct store_credential *c, char key[LIST_KEY_SIZE])
{
    snprintf(key, LIST_KEY_SIZE, "%u%s", c->kind, c->name);
}

static void put_last(struct listed *l)
{
    const struct store_credential *c = &l->last;
    char key[CA_HASH_TEXT], made[40], until[40];
    uint64_t revoked_ns;
    if (!l->has_last)
        return;
    l->has_last = false;
    l->names++;
    key_of(c, l->next);
    json_array_append_new(l->credentials, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kind",
                                                    identity_kind_name(c->kind), "name", c->name, "state",
                                                    enroll_state(l->enroll, c, l->now_ns, &revoked_ns), "until",
                                                    units_rfc3339(c->not_after_ns, until, sizeof until), "made",
                                                    units_rfc3339(c->made_ns, made, sizeof made), "how", c->how, "from",
                                                    c->peer, "labels", c->labels, "serial", c->serial, "key",
                                                    ca_format_hash(c->key_sha256, key)));
}

static int list_credential(void *context, const struct store_credential *c)
{
    struct listed *l = context;
    char key[LIST_KEY_SIZE], last[LIST_KEY_SIZE];
    key_of(c, key);
    key_of(&l->last, last);
    if (l->after[0] && strcmp(key, l->after) <= 0)
        return 0;
    if (l->has_last && strcmp(key, last) != 0)
        put_last(l);
    if (l->names == ENROLL_LIST_MAX)
        return 1;
    l->last = *c;
    l->has_last = true;
    return 0;
}

static int list_token(void *context, const struct store_token *t)
{
    struct listed *l = context;
    char created[40], until[40];
    if (t->used_ns || json_array_size(l->tokens) >= ENROLL_LIST_MAX)
        return 0;
    json_array_append_new(l->tokens,
                          json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kind", identity_kind_name(t->kind), "name",
                                    t->name, "state", l->now_ns > t->expires_ns ? "expired" : "unused", "until",
                                    units_rfc3339(t->expires_ns, until, sizeof until), "created",
                                    units_rfc3339(t->created_ns, created, sizeof created), "created_by", t->created_by,
                                    "labels", t->labels));
    return 0;
}

static int list_work(struct admin_call *c, struct store *s, struct error *e)
{
    struct listed *l = c->context;
    struct store_reader *reader = NULL;
    int r = store_reader_open(s, &reader, e);
    if (r == 0)
        r = store_each_credential(reader, list_credential, l, e);
    bool more = r > 0;
    if (r == 0)
        put_last(l);
    if (r >= 0 && !l->after[0])
        r = store_each_token(reader, list_token, l, e);
    if (!more)
        l->next[0] = 0;
    store_reader_close(reader);
    return r < 0 ? r : 0;
}

static void list_done(struct admin_call *c, int result, const struct error *e)
{
    struct listed *l = c->context;
    if (result == 0) {
        json_t *answer =
            json_pack("{s:O, s:O, s:O}", "credentials", l->credentials, "tokens", l->tokens, "pending", l->pending);
        if (l->next[0])
            json_object_set_new(answer, "next", json_string(l->next));
        admin_answer(c, answer);
    } else {
        admin_fail(c, e);
    }
    json_decref(l->credentials);
    json_decref(l->tokens);
    json_decref(l->pending);
    free(l);
}

void enroll_admin_list(struct admin_call *c)
{
    struct error e = ERROR_INIT;
    const char *after = NULL;
    int r = admin_text(c, "after", LIST_KEY_SIZE - 1, &after, &e);
    struct listed *l = r ? NULL : calloc(1, sizeof *l);
    if (!l) {
        if (r == 0)
            (void)error_set(&e, ERROR_MEMORY, "no memory for a list");
        admin_fail(c, &e);
        return;
    }
    l->enroll = c->server->enroll;
    l->now_ns = clock_wall_ns();
    l->credentials = json_array();
    l->tokens = json_array();
    l->pending = enroll_pending_json(l->enroll);
    snprintf(l->after, sizeof l->after, "%s", after ? after : "");
    c->context = l;
    if (json_is_true(json_object_get(c->wants, "pending")))
        list_done(c, 0, &e);
    else
        admin_work(c, list_work, list_done);
}
