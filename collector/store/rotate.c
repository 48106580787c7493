/*
 * From one partition to the next: making, closing, settling. All of it on the writer's thread.
 */
#include "collector/store/store_impl.h"

#include "common/base/log.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ making */

/* Whether the open partition takes what arrived then: also what is a little older than it, for parts are committed later than they arrive; but a clock
 * that was set back by more than an hour begins anew. */
static bool takes(const struct store *s, const struct partition *p, uint64_t arrived_ns)
{
    return arrived_ns < p->end_ns && arrived_ns + s->config.partition_ns >= p->begin_ns;
}

int store_partition_for(struct store *s, uint64_t arrived_ns, struct partition **out, struct error *e)
{
    struct partition *p = s->open;
    if (p && takes(s, p, arrived_ns)) {
        *out = p;
        return 0;
    }
    uint64_t length = s->config.partition_ns;
    uint64_t begin_ns = arrived_ns / length * length;
    int r = catalog_new_partition(s->catalog, s, begin_ns, begin_ns + length, 0, &p, e);
    if (r)
        return r;
    r = partition_make(s, p, e);
    if (!r)
        r = catalog_set_state(s->catalog, p, PARTITION_OPEN, e);
    p->state = PARTITION_OPEN;
    if (!r)
        r = store_add_partition(s, p, e);
    if (r) { /* what was begun is cleared away now, or by the next start */
        partition_rest(p);
        if (store_trash(s, p, NULL))
            log_warn("store: %s stays until the next start", p->path);
        partition_unref(p);
        return r;
    }
    s->open = p;
    *out = p;
    return 0;
}

/* ------------------------------------------------------------------ closing */

static int put_posting(void *context, const struct postings_key *key, const void *list, size_t len, struct error *e)
{
    struct sql q = sql_start(context, PARTITION_POSTING_PUT);
    sql_blob(&q, key->bytes, key->len);
    sql_blob(&q, list, len);
    return sql_run(&q, e);
}

/* The marker says that the table is complete: it commits with it. */
static int put_marker(struct partition *p, struct error *e)
{
    struct buffer list = {0};
    struct postings_key key = postings_key_of(POSTINGS_MARKER, NULL, 0);
    buffer_varint(&list, postings_last(p->postings));
    int r = list.failed ? error_set(e, ERROR_MEMORY, "no memory for postings")
                        : put_posting(p->db, &key, list.data, list.len, e);
    buffer_free(&list);
    return r;
}

static int write_postings(struct partition *p, struct error *e)
{
    static const struct postings_key first = {.len = 1, .bytes = {POSTINGS_ADDRESS}};
    static const struct postings_key last = {.len = 1, .bytes = {UINT8_MAX}};
    int r = db_begin(p->db, e);
    if (r)
        return r;
    struct sql q = sql_start(p->db, PARTITION_POSTING_CLEAR);
    r = sql_run(&q, e);
    if (!r)
        r = put_marker(p, e);
    if (!r)
        r = postings_range(p->postings, &first, &last, true, put_posting, p->db, e);
    if (!r)
        r = db_commit(p->db, e);
    if (r) {
        db_rollback(p->db);
        p->must_mend = true;
    }
    return r;
}

static int postings_to_disk(struct partition *p, struct error *e)
{
    pthread_mutex_lock(&p->postings_lock);
    int r = partition_index(p, p->db, e);
    if (!r)
        r = write_postings(p, e);
    if (!r) {
        postings_free(p->postings);
        p->postings = NULL;
        p->postings_on_disk = true;
    }
    pthread_mutex_unlock(&p->postings_lock);
    return r;
}

/* Writes to the catalog what the partition holds and how it stands now. */
static int record(struct store *s, struct partition *p, bool settled, struct partition_sums *sums, struct error *e)
{
    int r = db_begin(s->catalog, e);
    if (r)
        return r;
    r = catalog_copy_portions(s->catalog, p, p->db, e);
    if (!r)
        r = catalog_update(s->catalog, p, PARTITION_CLOSED, settled, p->bodies_expired, sums, e);
    if (!r)
        r = db_commit(s->catalog, e);
    if (r)
        db_rollback(s->catalog);
    return r;
}

static void publish(struct store *s, struct partition *p, bool settled, const struct partition_sums *sums)
{
    pthread_mutex_lock(&s->lock);
    p->state = PARTITION_CLOSED;
    p->settled = settled;
    p->sums = *sums;
    pthread_mutex_unlock(&s->lock);
}

int store_close_partition(struct store *s, struct partition *p, struct error *e)
{
    if (s->open == p)
        s->open = NULL; /* from the first try on: its postings may be complete */
    int r = partition_writable(p, e);
    if (!r)
        r = postings_to_disk(p, e);
    if (r)
        return r;
    struct partition_sums sums = p->sums;
    sums.database_bytes = partition_database_bytes(p);
    r = record(s, p, false, &sums, e);
    if (!r)
        publish(s, p, false, &sums);
    return r;
}

/* ------------------------------------------------------------------ settling */

static int is_waiting(struct partition *p, bool *waiting, struct error *e)
{
    struct sql q = sql_start(p->db, PARTITION_HEAD_ANY_WAITING);
    int r = sql_step(&q, e);
    sql_end(&q);
    *waiting = r > 0;
    return r < 0 ? r : 0;
}

int store_settle_partition(struct store *s, struct partition *p, struct error *e)
{
    bool waiting = true;
    bool used = p->used;
    int r = partition_writable(p, e);
    if (!r)
        r = is_waiting(p, &waiting, e);
    p->used = used; /* looking is no use: the connection may be closed */
    if (r || waiting)
        return r;
    r = partition_trim(p, e);
    if (!r)
        r = db_make_plain(p->db, e);
    if (r)
        return r == ERROR_BUSY ? 0 : r; /* a reader has it open: later */
    struct partition_sums sums = p->sums;
    sums.database_bytes = partition_database_bytes(p);
    r = record(s, p, true, &sums, e);
    if (r)
        return r;
    publish(s, p, true, &sums);
    partition_rest(p);
    return 0;
}
