/*
 * Tokens that were given out, certificates that were made, and what was revoked. What they mean is the server's; here they
 * are kept.
 */
#include "collector/store/reader.h"

#include <stdio.h>
#include <stdlib.h>

/* The end of a transaction of which all went well so far, or not. */
static int finish(struct db *db, int r, struct error *e)
{
    if (!r)
        r = db_commit(db, e);
    if (r)
        db_rollback(db);
    return r;
}

static void get_text(const struct sql *q, int column, char *to, size_t size)
{
    snprintf(to, size, "%s", sql_get_text(q, column));
}

/* ------------------------------------------------------------------ tokens */

static void read_token(const struct sql *q, struct store_token *t)
{
    *t = (struct store_token){.kind = (uint8_t)sql_get_u64(q, 1),
                              .created_ns = sql_get_u64(q, 6),
                              .expires_ns = sql_get_u64(q, 7),
                              .used_ns = sql_get_u64(q, 8)};
    sql_get_bytes(q, 0, t->hash, sizeof t->hash);
    get_text(q, 2, t->name, sizeof t->name);
    get_text(q, 3, t->labels, sizeof t->labels);
    get_text(q, 4, t->role, sizeof t->role);
    get_text(q, 5, t->created_by, sizeof t->created_by);
}

static int put_token(struct db *db, const struct store_token *t, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_TOKEN_PUT);
    sql_blob(&q, t->hash, sizeof t->hash);
    sql_u64(&q, t->kind);
    sql_text(&q, t->name);
    sql_text(&q, t->labels);
    sql_text(&q, t->role);
    sql_text(&q, t->created_by);
    sql_u64(&q, t->created_ns);
    sql_u64(&q, t->expires_ns);
    sql_u64(&q, t->used_ns);
    int r = sql_run(&q, e);
    if (r)
        return r;
    q = sql_start(db, CATALOG_TOKEN_FORGET);
    sql_u64(&q, t->created_ns > STORE_TOKEN_KEPT_NS ? t->created_ns - STORE_TOKEN_KEPT_NS : 0);
    return sql_run(&q, e);
}

static int put_token_into(struct db *db, const struct store_token *t, struct error *e)
{
    int r = db_begin(db, e);
    return r ? r : finish(db, put_token(db, t, e), e);
}

int store_token_put(struct store *s, const struct store_token *t, struct error *e)
{
    return put_token_into(s->catalog, t, e);
}

int store_token_put_beside(const char *path, const struct store_token *t, struct error *e)
{
    struct db *db = NULL;
    char *name;
    if (asprintf(&name, "%s/%s", path, CATALOG_NAME) < 0)
        return error_set(e, ERROR_MEMORY, "no memory for a name");
    int r = db_open(name, DB_WRITE, &catalog_kind, &db, e);
    if (r == 0)
        r = put_token_into(db, t, e);
    db_close(db);
    free(name);
    return r;
}

int store_token_find(struct store *s, const uint8_t hash[32], struct store_token *out, struct error *e)
{
    struct sql q = sql_start(s->catalog, CATALOG_TOKEN_FIND);
    sql_blob(&q, hash, 32);
    int r = sql_step(&q, e);
    if (r > 0)
        read_token(&q, out);
    sql_end(&q);
    if (r == 0)
        return error_set(e, ERROR_NOT_FOUND, "no such token");
    return r > 0 ? 0 : r;
}

int store_each_token(struct store_reader *r, int (*each)(void *context, const struct store_token *t), void *context,
                     struct error *e)
{
    struct sql q = sql_start_own(r->catalog, CATALOG_TOKEN_LIST);
    int result;
    while ((result = sql_step(&q, e)) > 0) {
        struct store_token t;
        read_token(&q, &t);
        result = each(context, &t);
        if (result)
            break;
    }
    sql_end(&q);
    return result;
}

/* ------------------------------------------------------------------ certificates */

static void read_credential(const struct sql *q, struct store_credential *c)
{
    *c = (struct store_credential){.kind = (uint8_t)sql_get_u64(q, 1),
                                   .made_ns = sql_get_u64(q, 5),
                                   .not_before_ns = sql_get_u64(q, 6),
                                   .not_after_ns = sql_get_u64(q, 7)};
    get_text(q, 0, c->serial, sizeof c->serial);
    get_text(q, 2, c->name, sizeof c->name);
    get_text(q, 3, c->labels, sizeof c->labels);
    sql_get_bytes(q, 4, c->key_sha256, sizeof c->key_sha256);
    get_text(q, 8, c->how, sizeof c->how);
    get_text(q, 9, c->peer, sizeof c->peer);
}

static int use_token(struct store *s, const uint8_t hash[32], uint64_t now_ns, struct error *e)
{
    struct store_token t;
    int r = store_token_find(s, hash, &t, e);
    if (r)
        return r;
    if (t.used_ns)
        return error_set(e, ERROR_CONFLICT, "the token was used already");
    struct sql q = sql_start(s->catalog, CATALOG_TOKEN_USE);
    sql_u64(&q, now_ns);
    sql_blob(&q, hash, 32);
    return sql_run(&q, e);
}

static int put_credential(struct db *db, const struct store_credential *c, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_CREDENTIAL_PUT);
    sql_text(&q, c->serial);
    sql_u64(&q, c->kind);
    sql_text(&q, c->name);
    sql_text(&q, c->labels);
    sql_blob(&q, c->key_sha256, sizeof c->key_sha256);
    sql_u64(&q, c->made_ns);
    sql_u64(&q, c->not_before_ns);
    sql_u64(&q, c->not_after_ns);
    sql_text(&q, c->how);
    sql_text(&q, c->peer);
    int r = sql_run(&q, e);
    if (r)
        return r;
    q = sql_start(db, CATALOG_CREDENTIAL_FORGET);
    sql_u64(&q, c->kind);
    sql_text(&q, c->name);
    sql_u64(&q, c->made_ns > STORE_TOKEN_KEPT_NS ? c->made_ns - STORE_TOKEN_KEPT_NS : 0);
    return sql_run(&q, e);
}

int store_credential_put(struct store *s, const struct store_credential *c, const uint8_t *token_hash, struct error *e)
{
    int r = db_begin(s->catalog, e);
    if (r)
        return r;
    if (token_hash)
        r = use_token(s, token_hash, c->made_ns, e);
    if (!r)
        r = put_credential(s->catalog, c, e);
    return finish(s->catalog, r, e);
}

int store_credential_find(struct store *s, const char *serial, struct store_credential *out, struct error *e)
{
    struct sql q = sql_start(s->catalog, CATALOG_CREDENTIAL_FIND);
    sql_text(&q, serial);
    int r = sql_step(&q, e);
    if (r > 0)
        read_credential(&q, out);
    sql_end(&q);
    if (r == 0)
        return error_set(e, ERROR_NOT_FOUND, "no certificate %s was made here", serial);
    return r > 0 ? 0 : r;
}

int store_credential_named(struct store *s, uint8_t kind, const char *name, struct store_credential *out,
                           struct error *e)
{
    struct sql q = sql_start(s->catalog, CATALOG_CREDENTIAL_NAMED);
    sql_u64(&q, kind);
    sql_text(&q, name);
    int r = sql_step(&q, e);
    if (r > 0)
        read_credential(&q, out);
    sql_end(&q);
    if (r == 0)
        return error_set(e, ERROR_NOT_FOUND, "no certificate of %s was made here", name);
    return r > 0 ? 0 : r;
}

int store_credential_newest(struct store *s, uint8_t kind, const char *name, uint64_t *made_ns, uint64_t *not_before_ns,
                            struct error *e)
{
    struct sql q = sql_start(s->catalog, CATALOG_CREDENTIAL_NEWEST);
    sql_u64(&q, kind);
    sql_text(&q, name);
    int r = sql_step(&q, e);
    *made_ns = r > 0 ? sql_get_u64(&q, 0) : 0;
    *not_before_ns = r > 0 ? sql_get_u64(&q, 1) : 0;
    sql_end(&q);
    return r < 0 ? r : 0;
}

int store_each_credential(struct store_reader *r, int (*each)(void *context, const struct store_credential *c),
                          void *context, struct error *e)
{
    struct sql q = sql_start_own(r->catalog, CATALOG_CREDENTIAL_LIST);
    int result;
    while ((result = sql_step(&q, e)) > 0) {
        struct store_credential c;
        read_credential(&q, &c);
        result = each(context, &c);
        if (result)
            break;
    }
    sql_end(&q);
    return result;
}

/* ------------------------------------------------------------------ revocations */

/* Who was given a token and did not use it yet must not do so now. */
static int void_tokens(struct db *db, uint8_t kind, const char *name, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_TOKEN_VOID);
    sql_u64(&q, kind);
    sql_text(&q, name);
    return sql_run(&q, e);
}

int store_token_void(struct store *s, uint8_t kind, const char *name, struct error *e)
{
    int r = db_begin(s->catalog, e);
    return r ? r : finish(s->catalog, void_tokens(s->catalog, kind, name, e), e);
}

int store_revoke(struct store *s, const struct store_revocation *v, struct error *e)
{
    int r = db_begin(s->catalog, e);
    if (r)
        return r;
    struct sql q = sql_start(s->catalog, CATALOG_REVOCATION_PUT);
    sql_u64(&q, v->kind);
    sql_text(&q, v->name);
    sql_text(&q, v->serial);
    sql_u64(&q, v->revoked_ns);
    sql_text(&q, v->revoked_by);
    r = sql_run(&q, e);
    if (!r && !v->serial[0])
        r = void_tokens(s->catalog, v->kind, v->name, e);
    return finish(s->catalog, r, e);
}

int store_each_revocation(struct store_reader *r, int (*each)(void *context, const struct store_revocation *v),
                          void *context, struct error *e)
{
    struct sql q = sql_start_own(r->catalog, CATALOG_REVOCATION_LIST);
    int result;
    while ((result = sql_step(&q, e)) > 0) {
        const struct store_revocation v = {.kind = (uint8_t)sql_get_u64(&q, 0),
                                           .name = sql_get_text(&q, 1),
                                           .serial = sql_get_text(&q, 2),
                                           .revoked_ns = sql_get_u64(&q, 3),
                                           .revoked_by = sql_get_text(&q, 4)};
        result = each(context, &v);
        if (result)
            break;
    }
    sql_end(&q);
    return result;
}
