/*
 * Users, their roles and bounds. What they mean is the server's; here they are kept.
 */
#include "collector/store/reader.h"

static int change(struct store *s, struct sql *q, struct error *e)
{
    int r = sql_run(q, e);
    if (!r)
        r = db_commit(s->catalog, e);
    if (r)
        db_rollback(s->catalog);
    return r;
}

int store_user_put(struct store *s, const struct store_user *u, struct error *e)
{
    int r = db_begin(s->catalog, e);
    if (r)
        return r;
    struct sql q = sql_start(s->catalog, CATALOG_USER_PUT);
    sql_text(&q, u->name);
    sql_text(&q, u->role);
    sql_text(&q, u->bounds);
    sql_u64(&q, u->created_ns);
    sql_text(&q, u->created_by);
    return change(s, &q, e);
}

int store_user_remove(struct store *s, const char *name, struct error *e)
{
    int r = db_begin(s->catalog, e);
    if (r)
        return r;
    struct sql q = sql_start(s->catalog, CATALOG_USER_REMOVE);
    sql_text(&q, name);
    return change(s, &q, e);
}

int store_each_user(struct store_reader *r, int (*each)(void *context, const struct store_user *u), void *context,
                    struct error *e)
{
    struct sql q = sql_start_own(r->catalog, CATALOG_USER_LIST);
    int result;
    while ((result = sql_step(&q, e)) > 0) {
        const struct store_user u = {.name = sql_get_text(&q, 0),
                                     .role = sql_get_text(&q, 1),
                                     .bounds = sql_get_text(&q, 2),
                                     .created_ns = sql_get_u64(&q, 3),
                                     .created_by = sql_get_text(&q, 4)};
        result = each(context, &u);
        if (result)
            break;
    }
    sql_end(&q);
    return result;
}
