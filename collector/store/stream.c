#include "collector/store/stream.h"

#include "collector/store/store_impl.h"

#include <stdlib.h>
#include <string.h>

static void stream_free(void *stream)
{
    struct stream *t = stream;
    if (!t)
        return;
    free(t->agent);
    free(t->capture);
    free(t->waiting);
    free(t);
}

void stream_forget_all(struct store *s)
{
    epoch_map_clear(&s->streams, stream_free);
}

void stream_forget_most(struct store *s)
{
    if (s->streams.count >= STREAMS_KNOWN_MAX)
        stream_forget_all(s);
}

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for a stream");
}

int stream_name(struct stream *t, const char *agent, const char *capture, struct error *e)
{
    if (t->agent)
        return 0;
    char *a = strdup(agent);
    char *c = strdup(capture);
    if (!a || !c) {
        free(a);
        free(c);
        return no_memory(e);
    }
    t->agent = a;
    t->capture = c;
    return 0;
}

int stream_wait(struct stream *t, const struct stream_waiting *w, struct error *e)
{
    if (t->waiting_end == t->waiting_size && t->waiting_at > t->waiting_size / 2) {
        t->waiting_end -= t->waiting_at;
        memmove(t->waiting, t->waiting + t->waiting_at, t->waiting_end * sizeof(*w));
        t->waiting_at = 0;
    }
    if (t->waiting_end == t->waiting_size) {
        size_t size = t->waiting_size ? 2 * t->waiting_size : 16;
        struct stream_waiting *more = realloc(t->waiting, size * sizeof(*more));
        if (!more)
            return no_memory(e);
        t->waiting = more;
        t->waiting_size = size;
    }
    t->waiting[t->waiting_end++] = *w;
    return 0;
}

const struct stream_waiting *stream_front(const struct stream *t)
{
    return t->waiting_at < t->waiting_end ? &t->waiting[t->waiting_at] : NULL;
}

void stream_pop(struct stream *t)
{
    t->waiting_at++;
}

uint64_t stream_body_next(const struct stream *t)
{
    const struct stream_waiting *w = stream_front(t);
    return w ? w->seq : t->head_next;
}

/* ------------------------------------------------------------------ reading from disk */

struct cursor {
    const char *agent, *capture;
    uint64_t head_next, first_ns, last_ns;
    bool ended, restored;
};

/* One place that knows of the stream: the furthest cursor counts, with what it says of the end. */
static int merge(struct stream *t, const struct cursor *c, struct error *e)
{
    int r = stream_name(t, c->agent, c->capture, e);
    if (r)
        return r;
    if (c->head_next > t->head_next) {
        t->head_next = c->head_next;
        t->ended = c->ended;
        t->restored = c->restored;
    }
    if (c->first_ns < t->first_ns)
        t->first_ns = c->first_ns;
    if (c->last_ns > t->last_ns)
        t->last_ns = c->last_ns;
    return 0;
}

static int merge_portion(struct stream *t, const struct portion *p, struct error *e)
{
    const struct cursor c = {p->agent, p->capture, p->head_next, p->first_ns, p->last_ns, p->ended, p->restored};
    return merge(t, &c, e);
}

static int read_dropped(struct store *s, struct stream *t, struct error *e)
{
    struct sql q = sql_start(s->catalog, CATALOG_STREAM_FIND);
    sql_blob(&q, t->epoch, EPOCH_SIZE);
    int r = sql_step(&q, e);
    if (r > 0) {
        const struct cursor c = {.agent = sql_get_text(&q, 0),
                                 .capture = sql_get_text(&q, 1),
                                 .head_next = sql_get_u64(&q, 2),
                                 .ended = sql_get_u64(&q, 3) != 0,
                                 .restored = sql_get_u64(&q, 4) != 0,
                                 .first_ns = sql_get_u64(&q, 5),
                                 .last_ns = sql_get_u64(&q, 6)};
        r = merge(t, &c, e);
    }
    sql_end(&q);
    return r;
}

static bool is_listed(const uint64_t *ids, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Cursors from closed partitions; their ids into *ids (room for all of the store's partitions). */
static int read_closed(struct store *s, struct stream *t, uint64_t *ids, size_t *count, struct error *e)
{
    struct sql q = sql_start(s->catalog, CATALOG_PORTION_FIND);
    sql_blob(&q, t->epoch, EPOCH_SIZE);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        struct portion portion;
        portion_read(&q, &portion);
        if (*count < s->partition_count)
            ids[(*count)++] = portion.id;
        r = merge_portion(t, &portion, e);
        if (r)
            break;
    }
    sql_end(&q);
    return r;
}

static int read_waiting(struct stream *t, struct partition *p, uint64_t stream, struct error *e)
{
    struct sql q = sql_start(p->db, PARTITION_HEAD_WAITING);
    sql_u64(&q, stream);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        const struct stream_waiting w = {.seq = sql_get_u64(&q, 0), .partition = p};
        r = stream_wait(t, &w, e);
        if (r)
            break;
    }
    sql_end(&q);
    return r;
}

/* Cursors and chunks waited for, from a partition that still changes. */
static int read_unsettled(struct stream *t, struct partition *p, struct error *e)
{
    struct portion *portion = NULL;
    int r = partition_writable(p, e);
    if (!r)
        r = partition_portion(p, t->epoch, &portion, e);
    if (r || !portion)
        return r;
    r = merge_portion(t, portion, e);
    return r ? r : read_waiting(t, p, portion->id, e);
}

static int read_stream(struct store *s, struct stream *t, struct error *e)
{
    uint64_t *ids = calloc(s->partition_count + 1, sizeof(*ids));
    size_t count = 0;
    int r = ids ? read_dropped(s, t, e) : no_memory(e);
    if (!r)
        r = read_closed(s, t, ids, &count, e);
    for (size_t i = 0; !r && i < s->partition_count; i++) {
        struct partition *p = s->partitions[i];
        if (!p->settled && (p->state == PARTITION_OPEN || is_listed(ids, count, p->id)))
            r = read_unsettled(t, p, e);
    }
    free(ids);
    if (!t->agent)
        t->restored = s->lost_cursors != 0;
    return r;
}

int stream_get(struct store *s, const uint8_t epoch[EPOCH_SIZE], struct stream **out, struct error *e)
{
    *out = epoch_map_find(&s->streams, epoch);
    if (*out)
        return 0;
    struct stream *t = calloc(1, sizeof(*t));
    if (!t)
        return no_memory(e);
    memcpy(t->epoch, epoch, EPOCH_SIZE);
    t->first_ns = INT64_MAX;
    int r = read_stream(s, t, e);
    if (!r)
        r = epoch_map_add(&s->streams, epoch, t, e);
    if (r)
        stream_free(t);
    else
        *out = t;
    return r;
}

/* ------------------------------------------------------------------ items */

int stream_find_in(struct db *db, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct head_row *row, struct error *e)
{
    struct sql q = sql_start(db, PARTITION_STREAM_FIND);
    sql_blob(&q, epoch, EPOCH_SIZE);
    int r = sql_step(&q, e);
    uint64_t stream = r > 0 ? sql_get_u64(&q, 0) : 0;
    sql_end(&q);
    if (r <= 0)
        return r;
    q = sql_start(db, PARTITION_HEAD_FIND);
    sql_u64(&q, stream);
    sql_u64(&q, seq);
    r = sql_step(&q, e);
    if (r > 0) {
        head_row_read(&q, row);
        r = row->last_seq >= seq;
    }
    sql_end(&q);
    return r;
}

static int find_in_settled(struct partition *p, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct head_row *row,
                           struct error *e)
{
    struct db *db = NULL;
    char *path = partition_database(p);
    int r = path ? db_open(path, DB_READ, &partition_kind, &db, e) : no_memory(e);
    if (!r)
        r = stream_find_in(db, epoch, seq, row, e);
    db_close(db);
    free(path);
    return r;
}

static int find_in_any(struct store *s, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct partition_view *views,
                       size_t count, struct head_row *row, struct error *e)
{
    size_t *may = calloc(count + 1, sizeof(*may));
    size_t found = 0;
    int r = may ? catalog_holders(s->catalog, epoch, seq, views, count, may, &found, e) : no_memory(e);
    for (size_t i = 0; r == 0 && i < found; i++) {
        struct partition *p = views[may[i]].p;
        if (views[may[i]].settled) {
            r = find_in_settled(p, epoch, seq, row, e);
        } else {
            r = partition_writable(p, e);
            r = r ? r : stream_find_in(p->db, epoch, seq, row, e);
        }
    }
    free(may);
    return r;
}

int stream_find_item(struct store *s, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct head_row *row,
                     struct error *e)
{
    struct partition_view *views = NULL;
    size_t count = 0;
    int r = store_hold_partitions(s, &views, &count, e);
    if (!r)
        r = find_in_any(s, epoch, seq, views, count, row, e);
    store_release_partitions(views, count);
    return r;
}
