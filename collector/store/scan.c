/*
 * A scan: partitions by time, then streams by agent and capture, then heads by time and postings; what is left is read and decoded.
 */
#include "collector/store/reader.h"

#include "common/base/bytes.h"
#include "common/base/glob.h"
#include "common/base/log.h"

#include <stdlib.h>
#include <string.h>

struct scan_stream {
    struct portion portion; /* with its own texts */
    bool selected;
};

/* One partition being scanned. */
struct scan {
    struct store_reader *reader;
    const struct store_scan *wanted;
    const struct partition_view *view;
    struct reader_slot *slot;
    struct scan_stream *streams; /* by number from 1; portion.id 0 where there is none */
    size_t stream_count, stream_size;
    uint64_t last_head; /* greatest number of the snapshot */
    struct head_set *set;
    store_chunk_fn *each;
    void *context;
};

/* ------------------------------------------------------------------ streams */

bool reader_wants(const struct store_scan *w, const char *agent, const char *capture)
{
    if (w->capture && w->capture[0] && !glob_match(w->capture, capture, strlen(capture)))
        return false;
    if (w->filter && !filter_may_match_at(w->filter, agent, capture))
        return false;
    for (size_t i = 0; i < w->agent_count; i++)
        if (glob_match(w->agents[i], agent, strlen(agent)))
            return true;
    return w->agent_count == 0;
}

static int add_stream(struct scan *c, const struct sql *q, struct error *e)
{
    struct portion portion;
    portion_read(q, &portion);
    if (portion.id >= c->stream_size) {
        size_t size = c->stream_size ? 2 * c->stream_size : 64;
        while (size <= portion.id && size < UINT32_MAX)
            size *= 2;
        struct scan_stream *more = portion.id < size ? realloc(c->streams, size * sizeof(*more)) : NULL;
        if (!more)
            return error_set(e, ERROR_MEMORY, "no memory for %llu streams", (unsigned long long)portion.id);
        memset(more + c->stream_size, 0, (size - c->stream_size) * sizeof(*more));
        c->streams = more;
        c->stream_size = size;
    }
    int r = portion_keep(&portion, e);
    if (!r)
        c->streams[portion.id] = (struct scan_stream){portion, reader_wants(c->wanted, portion.agent, portion.capture)};
    return r;
}

static int read_streams(struct scan *c, struct error *e)
{
    struct sql q = sql_start_own(c->slot->db, PARTITION_STREAM_LIST);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        r = add_stream(c, &q, e);
        if (r)
            break;
    }
    sql_end(&q);
    return r;
}

static const struct scan_stream *stream_of(const struct scan *c, uint64_t id)
{
    return id < c->stream_size && c->streams[id].portion.id ? &c->streams[id] : NULL;
}

/* ------------------------------------------------------------------ postings */

static int disk_range(void *context, const struct postings_key *first, const struct postings_key *last,
                      postings_each_fn *each, void *each_context, struct error *e)
{
    struct scan *c = context;
    struct sql q = sql_start_own(c->slot->db, PARTITION_POSTING_RANGE);
    sql_blob(&q, first->bytes, first->len);
    sql_blob(&q, last->bytes, last->len);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        struct postings_key key = {0};
        size_t len = 0;
        const void *bytes = sql_get_blob(&q, 0, &len);
        key.len = (uint8_t)(len < POSTINGS_KEY_MAX ? len : POSTINGS_KEY_MAX);
        memcpy(key.bytes, bytes, key.len);
        const void *list = sql_get_blob(&q, 1, &len);
        r = each(each_context, &key, list, len, e);
        if (r)
            break;
    }
    sql_end(&q);
    return r;
}

static int memory_range(void *context, const struct postings_key *first, const struct postings_key *last,
                        postings_each_fn *each, void *each_context, struct error *e)
{
    struct scan *c = context;
    return postings_range(c->view->p->postings, first, last, false, each, each_context, e);
}

static void streams_of_agent(void *context, const char *glob, void (*each)(void *each_context, uint32_t stream),
                             void *each_context)
{
    const struct scan *c = context;
    for (size_t i = 0; i < c->stream_size; i++) {
        const struct portion *p = &c->streams[i].portion;
        if (p->id && glob_match(glob, p->agent, strlen(p->agent)))
            each(each_context, (uint32_t)p->id);
    }
}

/* Whether the snapshot has a whole table of postings. */
static int has_marker(struct scan *c, bool *found, struct error *e)
{
    struct postings_key key = postings_key_of(POSTINGS_MARKER, NULL, 0);
    struct sql q = sql_start_own(c->slot->db, PARTITION_POSTING_RANGE);
    sql_blob(&q, key.bytes, key.len);
    sql_blob(&q, key.bytes, key.len);
    int r = sql_step(&q, e);
    *found = false;
    if (r > 0) {
        size_t len = 0;
        const void *list = sql_get_blob(&q, 1, &len);
        struct bytes b = bytes_of(list, len);
        *found = bytes_varint(&b) >= c->last_head && !b.bad;
    }
    sql_end(&q);
    return r < 0 ? r : 0;
}

static int read_last_head(struct scan *c, struct error *e)
{
    struct sql q = sql_start_own(c->slot->db, PARTITION_HEAD_MAX);
    int r = sql_step(&q, e);
    c->last_head = r > 0 ? sql_get_u64(&q, 0) : 0;
    sql_end(&q);
    return r < 0 ? r : 0;
}

/* The postings in memory are shared by all readers and the writer. Between the snapshot and here the partition may have been closed: then nothing is pruned. */
static int select_in_memory(struct scan *c, struct error *e)
{
    struct partition *p = c->view->p;
    const struct postings_source source = {memory_range, c, streams_of_agent};
    int r = 0;
    pthread_mutex_lock(&p->postings_lock);
    if (!p->postings_on_disk) {
        r = partition_index(p, c->slot->db, e);
        if (!r)
            c->set = postings_select(c->wanted->filter, (uint32_t)c->last_head, &source);
    }
    pthread_mutex_unlock(&p->postings_lock);
    return r;
}

static int select_heads(struct scan *c, struct error *e)
{
    const struct postings_source source = {disk_range, c, streams_of_agent};
    bool on_disk = false;
    int r = read_last_head(c, e);
    if (r || !c->wanted->filter)
        return r;
    r = has_marker(c, &on_disk, e);
    if (r)
        return r;
    if (!on_disk)
        return select_in_memory(c, e);
    c->set = postings_select(c->wanted->filter, (uint32_t)c->last_head, &source);
    return 0;
}

/* ------------------------------------------------------------------ heads */

/* What is known of an item without its encoded head: no rows, frames, interfaces. */
static void describe(const struct head_row *row, const struct portion *p, struct chunk_head *h)
{
    *h = (struct chunk_head){
        .kind = row->kind,
        .seal = row->seal,
        .gap = row->kind == HEAD_GAP ? row->gap : 0,
        .body = row->kind == HEAD_CHUNK && row->body != BODY_NEVER ? BODY_ON_AGENT : BODY_NEVER,
        .seq = row->seq,
        .last_seq = row->last_seq,
        .agent = (char *)(uintptr_t)p->agent,
        .capture = (char *)(uintptr_t)p->capture,
        .software = (char *)(uintptr_t)p->software,
        .filter = (char *)(uintptr_t)p->filter,
        .snaplen = p->snaplen,
        .open_wall_ns = row->open_ns,
        .seal_wall_ns = row->seal_ns,
        .first_ns = row->first_ns,
        .last_ns = row->last_ns,
        .body_length = row->body_length,
        .body_hash = row->body_hash,
        .flow_rows = (uint32_t)row->rows,
        .totals = row->totals,
    };
    memcpy(h->epoch, p->epoch, EPOCH_SIZE);
}

static uint64_t chunk_id(const struct partition *p, uint64_t head)
{
    return p->id << 32 | head;
}

static struct store_chunk chunk_of(const struct partition *p, const struct head_row *row, bool bodies_expired)
{
    struct store_chunk c = {
        .id = chunk_id(p, row->id),
        .body_state = row->body,
        .gap = row->kind == HEAD_CHUNK ? row->gap : 0,
        .arrived_ns = row->arrived_ns,
    };
    if (c.body_state == BODY_STORED && bodies_expired) {
        c.body_state = BODY_EXPIRED;
        c.gap = GAP_EXPIRED;
    }
    return c;
}

/* The stored head, whole: 0, or ERROR_CORRUPT that says what is wrong. The bytes live as long as q is not stepped. */
static int read_head(struct sql *q, const struct head_row *row, struct chunk_head *h, struct error *e)
{
    sql_u64(q, row->id);
    int r = sql_step(q, e);
    if (r < 0)
        return r;
    size_t len = 0;
    const void *data = r > 0 ? sql_get_blob(q, 0, &len) : NULL;
    if (!data || len != row->length)
        return error_set(e, ERROR_CORRUPT, "%s: the head %llu is missing or cut", db_path(q->db),
                         (unsigned long long)row->id);
    r = head_decode(data, len, h, e);
    if (r == ERROR_MEMORY)
        return r;
    if (!r && h->seq == row->seq && h->kind == row->kind)
        return 0;
    if (!r)
        head_free(h);
    return error_set(e, ERROR_CORRUPT, "%s: the head %llu is damaged", db_path(q->db), (unsigned long long)row->id);
}

/* A damaged chunk costs itself: it is given as a gap with what the database says of it. */
static int give_damaged(struct scan *c, const struct head_row *row, const struct portion *p, const struct error *why,
                        struct error *e)
{
    struct store_chunk chunk = chunk_of(c->view->p, row, c->view->bodies_expired);
    log_error("store: %s", why->text);
    describe(row, p, &chunk.head);
    if (row->kind == HEAD_CHUNK) {
        chunk.head.kind = HEAD_GAP;
        chunk.head.gap = GAP_DAMAGED;
    }
    return c->each(c->context, &chunk, false, e);
}

static int give(struct scan *c, const struct head_row *row, const struct portion *p, struct sql *data, struct error *e)
{
    struct error why = ERROR_INIT;
    struct store_chunk chunk = chunk_of(c->view->p, row, c->view->bodies_expired);
    if (!head_set_has(c->set, row->id)) {
        describe(row, p, &chunk.head);
        return c->each(c->context, &chunk, true, e);
    }
    int r = read_head(data, row, &chunk.head, &why);
    if (r == 0) {
        r = c->each(c->context, &chunk, false, e);
        head_free(&chunk.head);
    } else if (r == ERROR_CORRUPT) {
        r = give_damaged(c, row, p, &why, e);
    } else if (e) {
        *e = why;
    }
    sql_again(data);
    return r;
}

/* The spans in the table reach back to the requests of exchanges. */
static bool in_time(const struct store_scan *w, const struct head_row *row)
{
    bool has_packets = row->first_ns <= row->last_ns;
    return w->exchanges || !has_packets || (row->last_ns >= w->since_ns && row->first_ns <= w->until_ns);
}

static int each_head(struct scan *c, struct error *e)
{
    uint64_t first = chunk_id(c->view->p, 0);
    struct sql heads = sql_start_own(c->slot->db, PARTITION_HEAD_LIST);
    struct sql data = sql_start_own(c->slot->db, PARTITION_HEAD_DATA);
    sql_u64(&heads, c->wanted->from > first ? c->wanted->from - first : 0);
    sql_u64(&heads, c->wanted->since_ns);
    sql_u64(&heads, c->wanted->until_ns);
    int r;
    while ((r = sql_step(&heads, e)) > 0) {
        struct head_row row;
        head_row_read(&heads, &row);
        const struct scan_stream *stream = stream_of(c, row.stream);
        r = stream && stream->selected && in_time(c->wanted, &row) ? give(c, &row, &stream->portion, &data, e) : 0;
        if (r)
            break;
    }
    sql_end(&data);
    sql_end(&heads);
    return r;
}

/* ------------------------------------------------------------------ partitions */

static int scan_open_partition(struct scan *c, struct error *e)
{
    int r = read_streams(c, e);
    if (!r)
        r = select_heads(c, e);
    if (!r)
        r = each_head(c, e);
    if (!r && c->wanted->end && *c->wanted->end <= chunk_id(c->view->p, c->last_head))
        *c->wanted->end = chunk_id(c->view->p, c->last_head) + 1;
    head_set_free(c->set);
    for (size_t i = 0; i < c->stream_size; i++)
        free(c->streams[i].portion.memory);
    free(c->streams);
    return r;
}

/* Of a partition that cannot be read: each stream's part of it is a gap. */
static int give_lost(void *context, const struct partition_view *view, const struct portion *p, struct error *e)
{
    struct scan *c = context;
    const struct head_row row = {
        .kind = HEAD_GAP,
        .gap = GAP_DAMAGED,
        .seq = p->first_seq,
        .last_seq = p->head_next - 1,
        .first_ns = p->first_ns,
        .last_ns = p->last_ns,
        .open_ns = p->first_arrived_ns,
        .seal_ns = p->last_arrived_ns,
        .rows = p->rows,
        .arrived_ns = p->first_arrived_ns,
        .totals = p->totals,
    };
    if (c->wanted->from > chunk_id(view->p, 0) || !reader_wants(c->wanted, p->agent, p->capture) ||
        p->last_ns < c->wanted->since_ns || p->first_ns > c->wanted->until_ns)
        return 0;
    struct store_chunk chunk = chunk_of(view->p, &row, view->bodies_expired);
    describe(&row, p, &chunk.head);
    return c->each(c->context, &chunk, false, e);
}

static int scan_partition(struct store_reader *r, const struct store_scan *wanted, const struct partition_view *view,
                          store_chunk_fn *each, void *context, struct error *e)
{
    struct error why = ERROR_INIT;
    struct scan c = {.reader = r, .wanted = wanted, .view = view, .each = each, .context = context};
    int result = reader_acquire(r, view->p, true, &c.slot, &why);
    if (result == ERROR_NOT_FOUND)
        return 0; /* dropped before we came */
    if (result == ERROR_CORRUPT && view->state == PARTITION_CLOSED) {
        log_error("store: %s", why.text);
        struct partition_view from_catalog = *view;
        from_catalog.settled = true;
        return reader_each_portion_of(r, &from_catalog, give_lost, &c, e);
    }
    if (result) {
        if (e)
            *e = why;
        return result;
    }
    result = scan_open_partition(&c, e);
    reader_release(c.slot, true);
    return result;
}

static bool may_hold(const struct partition_view *v, const struct store_scan *wanted)
{
    if (chunk_id(v->p, UINT32_MAX) < wanted->from)
        return false;
    if (v->state == PARTITION_OPEN) /* heads may have come since its sums were copied */
        return true;
    return v->sums.heads && v->sums.until_ns >= wanted->since_ns && v->sums.since_ns <= wanted->until_ns;
}

int store_scan_chunks(struct store_reader *r, const struct store_scan *scan, store_chunk_fn *each, void *context,
                      struct error *e)
{
    struct partition_view *views = NULL;
    size_t count = 0;
    int result = store_hold_partitions(r->s, &views, &count, e);
    for (size_t i = 0; !result && i < count; i++)
        if (may_hold(&views[i], scan))
            result = scan_partition(r, scan, &views[i], each, context, e);
    store_release_partitions(views, count);
    return result;
}

/* ------------------------------------------------------------------ one chunk */

/* What store_chunk_get gives: the chunk first, so that it can be freed by it. */
struct kept_chunk {
    struct store_chunk chunk;
    void *data;
};

static int keep_chunk(struct reader_slot *slot, const struct head_row *row, struct kept_chunk *kept, struct error *e)
{
    struct sql q = sql_start_own(slot->db, PARTITION_HEAD_DATA);
    sql_u64(&q, row->id);
    int r = sql_step(&q, e);
    size_t len = 0;
    const void *data = r > 0 ? sql_get_blob(&q, 0, &len) : NULL;
    if (r >= 0 && (!data || len != row->length))
        r = error_set(e, ERROR_CORRUPT, "%s: the head %llu is missing or cut", db_path(slot->db),
                      (unsigned long long)row->id);
    if (r > 0 && !(kept->data = malloc(len + 1)))
        r = error_set(e, ERROR_MEMORY, "no memory for a head");
    if (r > 0) {
        memcpy(kept->data, data, len);
        r = head_decode(kept->data, len, &kept->chunk.head, e);
    }
    sql_end(&q);
    return r;
}

static bool bodies_expired(struct store *s, struct partition *p)
{
    pthread_mutex_lock(&s->lock);
    bool expired = p->bodies_expired;
    pthread_mutex_unlock(&s->lock);
    return expired;
}

int store_chunk_get(struct store_reader *r, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct store_chunk **out,
                    struct error *e)
{
    struct reader_slot *slot = NULL;
    struct head_row row;
    int result = reader_find(r, epoch, seq, &slot, &row, e);
    if (result)
        return result;
    struct kept_chunk *kept = calloc(1, sizeof(*kept));
    if (kept) {
        kept->chunk = chunk_of(slot->p, &row, bodies_expired(r->s, slot->p));
        result = keep_chunk(slot, &row, kept, e);
    } else {
        result = error_set(e, ERROR_MEMORY, "no memory for a chunk");
    }
    reader_release(slot, false);
    if (result) {
        if (kept)
            free(kept->data);
        free(kept);
        return result;
    }
    *out = &kept->chunk;
    return 0;
}

void store_chunk_free(struct store_chunk *c)
{
    struct kept_chunk *kept = (struct kept_chunk *)c;
    if (!kept)
        return;
    head_free(&kept->chunk.head);
    free(kept->data);
    free(kept);
}
