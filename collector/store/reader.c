#include "collector/store/reader.h"

#include <stdlib.h>

int store_reader_open(struct store *s, struct store_reader **out, struct error *e)
{
    struct store_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return error_set(e, ERROR_MEMORY, "no memory to read the store");
    r->s = s;
    int result = catalog_open(s, DB_READ, &r->catalog, e);
    if (result) {
        free(r);
        return result;
    }
    *out = r;
    return 0;
}

static void empty(struct reader_slot *slot)
{
    db_close(slot->db);
    partition_unref(slot->p);
    *slot = (struct reader_slot){0};
}

void store_reader_close(struct store_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < READER_SLOTS; i++)
        empty(&r->slots[i]);
    db_close(r->catalog);
    free(r);
}

/* ------------------------------------------------------------------ partitions */

static bool is_dropped(struct store *s, struct partition *p)
{
    pthread_mutex_lock(&s->lock);
    bool dropped = p->state == PARTITION_DROPPING;
    pthread_mutex_unlock(&s->lock);
    return dropped;
}

static int open_slot(struct store_reader *r, struct reader_slot *slot, struct partition *p, struct error *e)
{
    char *path = partition_database(p);
    int result = path ? db_open(path, DB_READ, &partition_kind, &slot->db, e)
                      : error_set(e, ERROR_MEMORY, "no memory for a name");
    free(path);
    if (result && is_dropped(r->s, p))
        return error_set(e, ERROR_NOT_FOUND, "the partition %s was dropped", p->name);
    if (result == ERROR_NOT_FOUND) /* it should be there */
        result = error_set(e, ERROR_CORRUPT, "%s: flows.db is missing: run check", p->path);
    if (result)
        return result;
    slot->p = p;
    partition_ref(p);
    return 0;
}

/* The partition's slot, or the one to use for it: a free one, else the longest unused. */
static struct reader_slot *pick_slot(struct store_reader *r, const struct partition *p)
{
    struct reader_slot *best = NULL;
    for (size_t i = 0; i < READER_SLOTS; i++) {
        struct reader_slot *slot = &r->slots[i];
        if (slot->p == p)
            return slot;
        if (!slot->users && (!best || slot->last_use < best->last_use))
            best = slot;
    }
    return best;
}

int reader_acquire(struct store_reader *r, struct partition *p, bool snapshot, struct reader_slot **out,
                   struct error *e)
{
    struct reader_slot *slot = pick_slot(r, p);
    if (!slot)
        return error_set(e, ERROR_LIMIT, "a query uses more than %u partitions at a time", READER_SLOTS);
    int result = 0;
    if (slot->p != p) {
        empty(slot);
        result = open_slot(r, slot, p, e);
    }
    if (!result && snapshot && slot->snapshots == 0)
        result = db_snapshot(slot->db, e);
    if (result)
        return result;
    slot->users++;
    slot->snapshots += snapshot;
    slot->last_use = ++r->clock;
    *out = slot;
    return 0;
}

void reader_release(struct reader_slot *slot, bool snapshot)
{
    slot->users--;
    if (snapshot && --slot->snapshots == 0)
        db_rollback(slot->db);
}

/* ------------------------------------------------------------------ items */

/* A pull asks for many items of the partitions that it has just scanned. */
static int find_in_slots(struct store_reader *r, const uint8_t epoch[EPOCH_SIZE], uint64_t seq,
                         struct reader_slot **out, struct head_row *row, struct error *e)
{
    for (size_t i = 0; i < READER_SLOTS; i++) {
        struct reader_slot *slot = &r->slots[i];
        int result = slot->p ? stream_find_in(slot->db, epoch, seq, row, e) : 0;
        if (result > 0) {
            slot->users++;
            slot->last_use = ++r->clock;
            *out = slot;
        }
        if (result)
            return result;
    }
    return 0;
}

static int find_in_view(struct store_reader *r, const struct partition_view *view, const uint8_t epoch[EPOCH_SIZE],
                        uint64_t seq, struct reader_slot **out, struct head_row *row, struct error *e)
{
    int result = reader_acquire(r, view->p, false, out, e);
    if (result)
        return result == ERROR_NOT_FOUND ? 0 : result;
    result = stream_find_in((*out)->db, epoch, seq, row, e);
    if (result <= 0)
        reader_release(*out, false);
    return result;
}

static int find_in_store(struct store_reader *r, const uint8_t epoch[EPOCH_SIZE], uint64_t seq,
                         struct reader_slot **out, struct head_row *row, struct error *e)
{
    struct partition_view *views = NULL;
    size_t *may = NULL;
    size_t count = 0, found = 0;
    int result = store_hold_partitions(r->s, &views, &count, e);
    if (!result && !(may = calloc(count + 1, sizeof(*may))))
        result = error_set(e, ERROR_MEMORY, "no memory for partitions");
    if (!result)
        result = catalog_holders(r->catalog, epoch, seq, views, count, may, &found, e);
    for (size_t i = 0; result == 0 && i < found; i++)
        result = find_in_view(r, &views[may[i]], epoch, seq, out, row, e);
    free(may);
    store_release_partitions(views, count);
    return result;
}

int reader_find(struct store_reader *r, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct reader_slot **out,
                struct head_row *row, struct error *e)
{
    char text[EPOCH_TEXT_SIZE];
    int result = find_in_slots(r, epoch, seq, out, row, e);
    if (result == 0)
        result = find_in_store(r, epoch, seq, out, row, e);
    if (result == 0)
        return error_set(e, ERROR_NOT_FOUND, "the chunk %s.%llu is not stored (any more)",
                         record_epoch_text(epoch, text), (unsigned long long)seq);
    return result < 0 ? result : 0;
}

/* ------------------------------------------------------------------ portions */

static int each_row(struct sql *q, const struct partition_view *view, reader_portion_fn *each, void *context,
                    struct error *e)
{
    int result;
    while ((result = sql_step(q, e)) > 0) {
        struct portion portion;
        portion_read(q, &portion);
        result = each(context, view, &portion, e);
        if (result)
            break;
    }
    sql_end(q);
    return result;
}

/* The catalog's copy is exact where the partition changes no more; where its database cannot be read, the copy must do. */
static int each_in_catalog(struct store_reader *r, const struct partition_view *view, reader_portion_fn *each,
                           void *context, struct error *e)
{
    struct sql q = sql_start_own(r->catalog, CATALOG_PORTION_LIST);
    sql_u64(&q, view->p->id);
    return each_row(&q, view, each, context, e);
}

int reader_each_portion_of(struct store_reader *r, const struct partition_view *view, reader_portion_fn *each,
                           void *context, struct error *e)
{
    struct error why = ERROR_INIT;
    struct reader_slot *slot = NULL;
    if (view->settled)
        return each_in_catalog(r, view, each, context, e);
    int result = reader_acquire(r, view->p, false, &slot, &why);
    if (result == ERROR_NOT_FOUND)
        return 0;
    if (result == ERROR_CORRUPT && view->state == PARTITION_CLOSED)
        return each_in_catalog(r, view, each, context, e);
    if (result) {
        if (e)
            *e = why;
        return result;
    }
    struct sql q = sql_start_own(slot->db, PARTITION_STREAM_LIST);
    result = each_row(&q, view, each, context, e);
    reader_release(slot, false);
    return result;
}

int reader_each_portion(struct store_reader *r, reader_portion_fn *each, void *context, struct error *e)
{
    struct partition_view *views = NULL;
    size_t count = 0;
    int result = store_hold_partitions(r->s, &views, &count, e);
    for (size_t i = 0; !result && i < count; i++)
        result = reader_each_portion_of(r, &views[i], each, context, e);
    store_release_partitions(views, count);
    return result;
}
