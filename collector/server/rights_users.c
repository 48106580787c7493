/*
 * The users: in memory by name, and in the catalog. A change is first durable, then in memory, then answered.
 */
#include "collector/server/enroll.h"
#include "collector/server/rights_impl.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where it is, or belongs. */
static size_t place_of(const struct rights *r, const char *name)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(r->users[mid]->name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct rights_user *rights_user(const struct rights *r, const char *name)
{
    size_t at = place_of(r, name);
    return at < r->count && strcmp(r->users[at]->name, name) == 0 ? r->users[at] : NULL;
}

static int make_room(struct rights *r, struct error *e)
{
    if (r->count >= RIGHTS_USERS_MAX)
        return error_set(e, ERROR_LIMIT, "there are %u users, which is the most", RIGHTS_USERS_MAX);
    struct rights_user **more = realloc(r->users, (r->count + 1) * sizeof(struct rights_user *));
    if (!more)
        return error_set(e, ERROR_MEMORY, "no memory for a user");
    r->users = more;
    return 0;
}

/* Takes u, which replaces the one of its name; there is room. */
static void take_user(struct rights *r, struct rights_user *u)
{
    size_t at = place_of(r, u->name);
    if (at < r->count && strcmp(r->users[at]->name, u->name) == 0) {
        rights_user_free(r->users[at]);
    } else {
        memmove(&r->users[at + 1], &r->users[at], (r->count - at) * sizeof(struct rights_user *));
        r->count++;
    }
    r->users[at] = u;
}

static void drop_user(struct rights *r, const char *name)
{
    size_t at = place_of(r, name);
    if (at >= r->count || strcmp(r->users[at]->name, name) != 0)
        return;
    rights_user_free(r->users[at]);
    r->count--;
    memmove(&r->users[at], &r->users[at + 1], (r->count - at) * sizeof(struct rights_user *));
}

#define LOGIN_TTL_NS (UINT64_C(24) * 3600 * NS_PER_S) /* of the token that a user is given */

struct loading {
    struct rights *rights;
    struct error *e;
};

/* A user that cannot be read has no rights; the others have theirs. */
static int load(void *context, const struct store_user *row)
{
    struct loading *l = context;
    struct error why = ERROR_INIT;
    struct rights_user *u = NULL;
    json_t *bounds = json_loads(row->bounds, 0, NULL);
    int r = json_is_object(bounds)
                ? rights_user_new(row->name, row->role, bounds, row->created_by, row->created_ns, &u, &why)
                : error_set(&why, ERROR_INVALID, "no JSON object");
    json_decref(bounds);
    if (r == ERROR_MEMORY)
        return error_set(l->e, r, "%s", why.text);
    if (r) {
        log_error("user %s cannot be read from the catalog, and has no rights until he is added again: %s", row->name,
                  why.text);
        return 0;
    }
    r = make_room(l->rights, l->e);
    if (r)
        rights_user_free(u);
    else
        take_user(l->rights, u);
    return r;
}

int rights_open(struct server *server, struct rights **out, struct error *e)
{
    struct rights *rights = calloc(1, sizeof *rights);
    struct loading l = {rights, e};
    struct store_reader *reader = NULL;
    int r = rights ? store_reader_open(server->store, &reader, e) : error_set(e, ERROR_MEMORY, "no memory for users");
    if (r == 0)
        r = store_each_user(reader, load, &l, e);
    store_reader_close(reader);
    if (r) {
        rights_close(rights);
        return r;
    }
    rights->server = server;
    *out = rights;
    return 0;
}

void rights_close(struct rights *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        rights_user_free(r->users[i]);
    free(r->users);
    free(r);
}

/* ------------------------------------------------------------------ who logs in as an administrator */

struct raising {
    struct rights *rights;
    struct rights_row row;
    char name[HEAD_NAME_MAX + 1];
    uint64_t created_ns;
};

static int raise_work(void *owner, struct store *s, struct error *e)
{
    const struct raising *w = owner;
    const struct store_user user = {
        .name = w->name, .role = w->row.role, .bounds = w->row.bounds, .created_ns = w->created_ns, .created_by = ""};
    return store_user_put(s, &user, e);
}

static void raised(void *owner, int result, const struct error *e)
{
    struct raising *w = owner;
    if (result)
        log_error("user %s: the role %s is not kept: %s", w->name, w->row.role ? w->row.role : "", e->text);
    else
        log_info("user %s is %s", w->name, w->row.role);
    rights_row_free(&w->row);
    free(w);
}

static int raise_user(struct rights *r, const char *name, enum rights_role role, struct error *e)
{
    static const struct rights_bounds none;
    struct rights_user *u = NULL;
    struct raising *w = calloc(1, sizeof *w);
    json_t *bounds = rights_bounds_json(&none);
    int code = w ? 0 : error_set(e, ERROR_MEMORY, "no memory for a user");
    if (code == 0)
        code = rights_user_new(name, rights_role_name((int)role), bounds, "", clock_wall_ns(), &u, e);
    json_decref(bounds);
    if (code == 0)
        code = rights_row_of(name, role, &none, &w->row, e);
    if (code == 0)
        code = make_room(r, e);
    if (code) {
        rights_user_free(u);
        if (w)
            rights_row_free(&w->row);
        free(w);
        return code;
    }
    snprintf(w->name, sizeof w->name, "%s", name);
    w->rights = r;
    w->created_ns = u->created_ns;
    take_user(r, u);
    struct error why = ERROR_INIT;
    code = ingest_call(r->server->ingest, raise_work, raised, w, &why);
    if (code)
        raised(w, code, &why);
    return 0;
}

void rights_user_at_least(struct rights *r, const char *name, enum rights_role role)
{
    const struct rights_user *u = rights_user(r, name);
    struct error e = ERROR_INIT;
    if ((!u || u->role < role) && raise_user(r, name, role, &e))
        log_error("user %s: %s", name, e.text);
}

/* ------------------------------------------------------------------ administrators' requests */

static bool is_self(const struct admin_call *c, const char *name)
{
    const struct identity *who = session_identity(c->session);
    return who->kind == IDENTITY_USER && strcmp(who->name, name) == 0;
}

/* A user who is put, and the token to log in with. */
struct putting {
    struct rights_user *user;
    struct store_token token;
    char text[TOKEN_TEXT_MAX]; /* "": certificates are not made here, or nobody asked for one */
    bool changed;              /* there was such a user already */
};

static void putting_free(struct putting *p)
{
    explicit_bzero(p->text, sizeof p->text);
    free(p);
}

static int put_work(struct admin_call *c, struct store *s, struct error *e)
{
    const struct putting *p = c->context;
    const struct rights_user *u = p->user;
    struct rights_row row;
    int r = rights_row_of(u->name, u->role, &u->bounds, &row, e);
    const struct store_user user = {.name = u->name,
                                    .role = row.role,
                                    .bounds = row.bounds,
                                    .created_ns = u->created_ns,
                                    .created_by = u->created_by};
    if (r == 0)
        r = store_user_put(s, &user, e);
    rights_row_free(&row);
    if (r == 0 && p->text[0])
        r = store_token_put(s, &p->token, e);
    return r;
}

static bool is_less(uint64_t now, uint64_t before)
{
    return now && (!before || now < before);
}

static bool is_other_text(const char *now, const char *before)
{
    return now && now[0] && strcmp(now, before ? before : "") != 0;
}

static bool are_other_labels(const struct rights_bounds *now, const struct rights_bounds *before)
{
    bool same = now->label_count == before->label_count;
    for (uint32_t i = 0; same && i < now->label_count; i++)
        same = strcmp(now->labels[i], before->labels[i]) == 0;
    return now->label_count && !same;
}

/* Whether something that the old bounds leave may lie outside of the new ones. */
static bool are_closer(const struct rights_bounds *now, const struct rights_bounds *before)
{
    return are_other_labels(now, before) || is_other_text(now->filter, before->filter) ||
           is_less(now->snaplen, before->snaplen) || is_less(now->range_ns, before->range_ns);
}

static void put_done(struct admin_call *c, int result, const struct error *e)
{
    struct rights *rights = c->server->rights;
    struct putting *p = c->context;
    struct rights_user *u = p->user;
    struct error why = ERROR_INIT;
    int r = result ? result : make_room(rights, &why);
    if (r) {
        rights_user_free(u);
        putting_free(p);
        admin_fail(c, result ? e : &why);
        return;
    }
    json_t *shown = rights_user_json(u), *answer = json_pack("{s:o, s:b}", "user", shown, "changed", (int)p->changed);
    if (p->text[0])
        json_object_set_new(shown, "token", json_string(p->text));
    putting_free(p);
    const struct rights_user *before = rights_user(rights, u->name);
    bool closer = before && are_closer(&u->bounds, &before->bounds);
    take_user(rights, u);
    client_session_lowered(c->server, u->name, closer);
    admin_answer(c, answer);
}

/* Where there is no authority, a user comes with a certificate that was made elsewhere. */
static int make_token(struct admin_call *c, struct putting *p, struct error *e)
{
    struct error why = ERROR_INIT;
    const struct identity *who = session_identity(c->session);
    const struct enroll_wish w = {
        .kind = IDENTITY_USER, .name = p->user->name, .by = who->kind ? who->name : "", .ttl_ns = LOGIN_TTL_NS};
    int r = enroll_new_token(c->server->enroll, &w, &p->token, p->text, &why);
    if (r == 0 || r == ERROR_UNSUPPORTED) {
        p->text[r ? 0 : TOKEN_TEXT_MAX - 1] = 0;
        return 0;
    }
    return error_set(e, r, "%s", why.text);
}

static void put_user(struct admin_call *c, struct rights_user *u)
{
    struct error e = ERROR_INIT;
    struct putting *p = calloc(1, sizeof *p);
    int r = p ? 0 : error_set(&e, ERROR_MEMORY, "no memory for a user");
    if (r == 0) {
        p->user = u;
        p->changed = rights_user(c->server->rights, u->name) != NULL;
        if (!p->changed || json_is_true(json_object_get(c->wants, "token")))
            r = make_token(c, p, &e);
    }
    if (r) {
        rights_user_free(u);
        free(p);
        admin_fail(c, &e);
        return;
    }
    c->context = p;
    admin_store(c, put_work, put_done);
}

void rights_user_add(struct admin_call *c)
{
    struct error e = ERROR_INIT;
    const char *name = NULL, *role = NULL;
    struct rights_user *u = NULL;
    const struct identity *who = session_identity(c->session);
    int r = admin_need_text(c, "name", HEAD_NAME_MAX, &name, &e);
    if (r == 0)
        r = admin_need_text(c, "role", 16, &role, &e);
    if (r == 0)
        r = rights_user_new(name, role, c->wants, who->kind ? who->name : "", clock_wall_ns(), &u, &e);
    if (r == 0 && is_self(c, name)) {
        rights_user_free(u);
        r = error_set(&e, ERROR_REFUSED, "nobody changes his own rights: another administrator can");
    }
    if (r) {
        admin_fail(c, &e);
        return;
    }
    put_user(c, u);
}

struct listed {
    struct enroll *enroll;
    uint64_t now_ns;
    json_t *list, *by_name;
};

static void set_state(json_t *user, const char *state, uint64_t revoked_ns)
{
    char text[64];
    json_object_set_new(user, "state", json_string(state));
    json_object_set_new(user, "revoked",
                        revoked_ns ? json_string(units_rfc3339(revoked_ns, text, sizeof text)) : json_null());
}

/* As long as no certificate of his is known. */
static json_t *listed_user(const struct listed *l, const struct rights_user *u)
{
    struct store_credential any = {.kind = IDENTITY_USER, .not_after_ns = UINT64_MAX};
    json_t *user = rights_user_json(u);
    uint64_t revoked_ns;
    snprintf(any.name, sizeof any.name, "%s", u->name);
    const char *state = enroll_state(l->enroll, &any, l->now_ns, &revoked_ns);
    set_state(user, revoked_ns ? state : "none", revoked_ns);
    return user;
}

/* Of a name the newest comes last. */
static int list_certificate(void *context, const struct store_credential *c)
{
    const struct listed *l = context;
    json_t *user = c->kind == IDENTITY_USER ? json_object_get(l->by_name, c->name) : NULL;
    uint64_t revoked_ns;
    const char *state = user ? enroll_state(l->enroll, c, l->now_ns, &revoked_ns) : NULL;
    if (user)
        set_state(user, state, revoked_ns);
    return 0;
}

static int list_work(struct admin_call *c, struct store *s, struct error *e)
{
    struct store_reader *reader = NULL;
    int r = store_reader_open(s, &reader, e);
    if (r == 0)
        r = store_each_credential(reader, list_certificate, c->context, e);
    store_reader_close(reader);
    return r;
}

static void list_done(struct admin_call *c, int result, const struct error *e)
{
    struct listed *l = c->context;
    if (result)
        admin_fail(c, e);
    else
        admin_answer(c, json_incref(l->list));
    json_decref(l->by_name);
    json_decref(l->list);
    free(l);
}

void rights_user_list(struct admin_call *c)
{
    const struct rights *rights = c->server->rights;
    struct error e = ERROR_INIT;
    struct listed *l = calloc(1, sizeof *l);
    if (!l) {
        (void)error_set(&e, ERROR_MEMORY, "no memory for a list");
        admin_fail(c, &e);
        return;
    }
    *l = (struct listed){
        .enroll = c->server->enroll, .now_ns = clock_wall_ns(), .list = json_array(), .by_name = json_object()};
    for (size_t i = 0; i < rights->count; i++) {
        json_t *user = listed_user(l, rights->users[i]);
        json_object_set(l->by_name, rights->users[i]->name, user);
        json_array_append_new(l->list, user);
    }
    c->context = l;
    admin_work(c, list_work, list_done);
}

static int remove_work(struct admin_call *c, struct store *s, struct error *e)
{
    int r = store_token_void(s, IDENTITY_USER, c->context, e);
    return r ? r : store_user_remove(s, c->context, e);
}

/* Whoever is connected as this user is not any more. */
static void disconnect(struct server *server, const char *name)
{
    for (struct session *s = server->sessions, *next; s; s = next) {
        next = s->next;
        const struct identity *who = session_identity(s);
        if (s->stream && who->kind == IDENTITY_USER && strcmp(who->name, name) == 0)
            session_refuse(s, ERROR_REFUSED, "this user was removed");
    }
}

static void remove_done(struct admin_call *c, int result, const struct error *e)
{
    char *name = c->context;
    if (result) {
        admin_fail(c, e);
    } else {
        drop_user(c->server->rights, name);
        disconnect(c->server, name);
        admin_answer(c, json_pack("{s:s}", "removed", name));
    }
    free(name);
}

void rights_user_remove(struct admin_call *c)
{
    struct error e = ERROR_INIT;
    const char *name = NULL;
    int r = admin_need_text(c, "name", HEAD_NAME_MAX, &name, &e);
    if (r == 0 && !rights_user(c->server->rights, name))
        r = error_set(&e, ERROR_NOT_FOUND, "there is no user %s (`fleetdump admin user list` lists them)", name);
    if (r == 0 && is_self(c, name))
        r = error_set(&e, ERROR_REFUSED, "nobody removes himself: another administrator can");
    if (r == 0 && !(c->context = strdup(name)))
        r = error_set(&e, ERROR_MEMORY, "no memory for a name");
    if (r)
        admin_fail(c, &e);
    else
        admin_store(c, remove_work, remove_done);
}
