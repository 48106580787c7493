/*
 * Captures as they were ordered. What they mean is the server's; here they are kept.
 */
#include "collector/store/reader.h"

#include <string.h>

int store_order_put(struct store *s, const struct store_order *o, struct error *e)
{
    int r = db_begin(s->catalog, e);
    if (r)
        return r;
    struct sql q = sql_start(s->catalog, CATALOG_ORDER_PUT);
    sql_blob(&q, o->id, sizeof(o->id));
    sql_blob(&q, o->request, o->request_length);
    sql_u64(&q, o->created_ns);
    sql_u64(&q, o->ended_ns);
    sql_text(&q, o->why);
    sql_text(&q, o->agents);
    r = sql_run(&q, e);
    if (!r)
        r = db_commit(s->catalog, e);
    if (r)
        db_rollback(s->catalog);
    return r;
}

int store_order_remove(struct store *s, const uint8_t id[16], struct error *e)
{
    int r = db_begin(s->catalog, e);
    if (r)
        return r;
    struct sql q = sql_start(s->catalog, CATALOG_ORDER_REMOVE);
    sql_blob(&q, id, 16);
    r = sql_run(&q, e);
    if (!r)
        r = db_commit(s->catalog, e);
    if (r)
        db_rollback(s->catalog);
    return r;
}

int store_each_order(struct store_reader *r, int (*each)(void *context, const struct store_order *o), void *context,
                     struct error *e)
{
    struct sql q = sql_start_own(r->catalog, CATALOG_ORDER_LIST);
    int result;
    while ((result = sql_step(&q, e)) > 0) {
        struct store_order o = {.created_ns = sql_get_u64(&q, 2), .ended_ns = sql_get_u64(&q, 3)};
        sql_get_bytes(&q, 0, o.id, sizeof(o.id));
        o.request = sql_get_blob(&q, 1, &o.request_length);
        o.why = sql_get_text(&q, 4);
        o.agents = sql_get_text(&q, 5);
        result = each(context, &o);
        if (result)
            break;
    }
    sql_end(&q);
    return result;
}

/* ------------------------------------------------------------------ whose names are taken */

static int is_of(void *capture, const struct partition_view *view, const struct portion *p, struct error *e)
{
    (void)view;
    (void)e;
    return strcmp(capture, p->capture) == 0;
}

int store_has_capture(struct store_reader *r, const char *capture, bool *has, struct error *e)
{
    int result = reader_each_portion(r, is_of, (void *)(uintptr_t)capture, e);
    *has = result > 0;
    return result < 0 ? result : 0;
}
