#include "collector/store/catalog.h"

#include "collector/store/store_impl.h"

#include <stdlib.h>
#include <string.h>

int catalog_open(const struct store *s, enum db_mode mode, struct db **out, struct error *e)
{
    char *path = store_path(s, CATALOG_NAME);
    if (!path)
        return error_set(e, ERROR_MEMORY, "no memory for a name");
    int r = db_open(path, mode, &catalog_kind, out, e);
    free(path);
    return r;
}

static void read_sums(const struct sql *q, int at, struct partition_sums *sums)
{
    uint64_t *numbers[] = {&sums->chunks,     &sums->rows,     &sums->packets,        &sums->head_bytes,
                           &sums->body_bytes, &sums->bodies,   &sums->database_bytes, &sums->heads,
                           &sums->since_ns,   &sums->until_ns, &sums->last_arrived_ns};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        *numbers[i] = sql_get_u64(q, at++);
}

static void bind_sums(struct sql *q, const struct partition_sums *sums)
{
    const uint64_t numbers[] = {sums->chunks,     sums->rows,     sums->packets,        sums->head_bytes,
                                sums->body_bytes, sums->bodies,   sums->database_bytes, sums->heads,
                                sums->since_ns,   sums->until_ns, sums->last_arrived_ns};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        sql_u64(q, numbers[i]);
}

static int read_partition(const struct sql *q, const struct store *s, struct partition **out, struct error *e)
{
    uint64_t id, begin_ns;
    const char *name = sql_get_text(q, 2);
    if (!partition_parse_name(name, &id, &begin_ns) || id != sql_get_u64(q, 0))
        return error_set(e, ERROR_CORRUPT, "%s: '%.60s' is no name of a partition", db_path(q->db), name);
    int r = partition_new(s, id, sql_get_u64(q, 1), name, sql_get_u64(q, 3), sql_get_u64(q, 4), out, e);
    if (r)
        return r;
    (*out)->state = (enum partition_state)sql_get_u64(q, 5);
    (*out)->settled = sql_get_u64(q, 6) != 0;
    (*out)->bodies_expired = sql_get_u64(q, 7) != 0;
    read_sums(q, 8, &(*out)->sums);
    return 0;
}

int catalog_each_partition(struct db *db, const struct store *s,
                           int (*each)(void *context, struct partition *p, struct error *e), void *context,
                           struct error *e)
{
    struct sql q = sql_start(db, CATALOG_PARTITION_LIST);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        struct partition *p = NULL;
        r = read_partition(&q, s, &p, e);
        if (!r)
            r = each(context, p, e);
        if (r)
            break;
    }
    sql_end(&q);
    return r;
}

/* One past the greatest id ever given: AUTOINCREMENT keeps it where partitions are removed. */
static int next_id(struct db *db, uint64_t *id, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_PARTITION_LAST);
    int r = sql_step(&q, e);
    *id = r > 0 ? sql_get_u64(&q, 0) + 1 : 1;
    sql_end(&q);
    return r < 0 ? r : 0;
}

static int put_partition(struct db *db, const struct partition *p, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_PARTITION_PUT);
    sql_u64(&q, p->id);
    sql_u64(&q, p->rank);
    sql_text(&q, p->name);
    sql_u64(&q, p->begin_ns);
    sql_u64(&q, p->end_ns);
    sql_u64(&q, p->state);
    return sql_run(&q, e);
}

int catalog_new_partition(struct db *db, const struct store *s, uint64_t begin_ns, uint64_t end_ns, uint64_t rank,
                          struct partition **out, struct error *e)
{
    char name[PARTITION_NAME_MAX];
    uint64_t id = 0;
    struct partition *p = NULL;
    int r = db_begin(db, e);
    if (!r)
        r = next_id(db, &id, e);
    if (!r) {
        partition_name(id, begin_ns, name);
        r = partition_new(s, id, rank ? rank : id, name, begin_ns, end_ns, &p, e);
    }
    if (!r)
        r = put_partition(db, p, e);
    if (!r)
        r = db_commit(db, e);
    if (r) {
        db_rollback(db);
        partition_unref(p);
        return r;
    }
    *out = p;
    return 0;
}

int catalog_adopt_partition(struct db *db, const struct partition *p, struct error *e)
{
    return put_partition(db, p, e);
}

int catalog_set_state(struct db *db, const struct partition *p, enum partition_state state, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_PARTITION_STATE);
    sql_u64(&q, state);
    sql_u64(&q, p->id);
    return sql_run(&q, e);
}

int catalog_update(struct db *db, const struct partition *p, enum partition_state state, bool settled,
                   bool bodies_expired, const struct partition_sums *sums, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_PARTITION_UPDATE);
    sql_u64(&q, state);
    sql_u64(&q, settled);
    sql_u64(&q, bodies_expired);
    bind_sums(&q, sums);
    sql_u64(&q, p->id);
    return sql_run(&q, e);
}

int catalog_remove_partition(struct db *db, const struct partition *p, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_PARTITION_REMOVE);
    sql_u64(&q, p->id);
    return sql_run(&q, e);
}

int catalog_add_meta(struct db *db, const char *name, uint64_t more, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_META_ADD);
    sql_text(&q, name);
    sql_u64(&q, more);
    return sql_run(&q, e);
}

int catalog_get_meta(struct db *db, const char *name, uint64_t *value, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_META_GET);
    sql_text(&q, name);
    int r = sql_step(&q, e);
    *value = r > 0 ? sql_get_u64(&q, 0) : 0;
    sql_end(&q);
    return r < 0 ? r : 0;
}

int catalog_copy_portions(struct db *db, const struct partition *p, struct db *flows, struct error *e)
{
    struct buffer scratch = {0};
    struct sql from = sql_start(flows, PARTITION_STREAM_LIST);
    int r;
    while ((r = sql_step(&from, e)) > 0) {
        struct portion portion;
        portion_read(&from, &portion);
        struct sql to = sql_start(db, CATALOG_PORTION_PUT);
        portion_bind(&to, &portion, &scratch);
        sql_u64(&to, p->id);
        r = sql_run(&to, e);
        if (r)
            break;
    }
    sql_end(&from);
    buffer_free(&scratch);
    return r;
}

static int keep_cursor(struct db *db, const struct portion *p, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_STREAM_PUT);
    sql_blob(&q, p->epoch, EPOCH_SIZE);
    sql_text(&q, p->agent);
    sql_text(&q, p->capture);
    sql_u64(&q, p->head_next);
    sql_u64(&q, p->ended);
    sql_u64(&q, p->restored);
    sql_u64(&q, p->first_ns);
    sql_u64(&q, p->last_ns);
    return sql_run(&q, e);
}

int catalog_forget_portions(struct db *db, const struct partition *p, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_PORTION_REMOVE);
    sql_u64(&q, p->id);
    return sql_run(&q, e);
}

int catalog_keep_cursors(struct db *db, const struct partition *p, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_PORTION_LIST);
    sql_u64(&q, p->id);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        struct portion portion;
        portion_read(&q, &portion);
        r = keep_cursor(db, &portion, e);
        if (r)
            break;
    }
    sql_end(&q);
    return r ? r : catalog_forget_portions(db, p, e);
}

static void note_holder(uint64_t id, const struct partition_view *views, size_t count, size_t *may, size_t *found)
{
    for (size_t i = 0; i < count; i++)
        if (views[i].p->id == id && views[i].state != PARTITION_OPEN)
            may[(*found)++] = i;
}

int catalog_holders(struct db *db, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, const struct partition_view *views,
                    size_t count, size_t *may, size_t *found, struct error *e)
{
    *found = 0;
    for (size_t i = 0; i < count; i++)
        if (views[i].state == PARTITION_OPEN)
            may[(*found)++] = i;
    struct sql q = sql_start(db, CATALOG_PORTION_HOLDERS);
    sql_blob(&q, epoch, EPOCH_SIZE);
    sql_u64(&q, seq);
    sql_u64(&q, seq);
    int r;
    while ((r = sql_step(&q, e)) > 0 && *found < count)
        note_holder(sql_get_u64(&q, 0), views, count, may, found);
    sql_end(&q);
    return r < 0 ? r : 0;
}
