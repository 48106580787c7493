/*
 * A group of parts becomes durable.
 *
 * Each part is judged against its stream's cursors and written into the open transactions of the partitions that it concerns; its body goes to the end
 * of a pack. Then all packs are synced, and only then the transactions commit, older partitions first: a stream's items lie in that order, so a crash
 * between two commits leaves a prefix. Cursors are nothing but what is committed; a group that is sent again finds itself there and is acknowledged.
 *
 * A part that must be refused changes nothing. Any other failure ends the group: transactions are rolled back, what is in memory is forgotten.
 */
#include "collector/store/store_impl.h"

#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/hash.h"
#include "common/base/log.h"

#include <stdlib.h>
#include <string.h>

#define SEQ_MAX (UINT64_C(1) << 62)

struct group {
    struct store *s;
    struct partition **touched;
    size_t count, size;
};

/* Marks the part as refused; the group goes on. */
#define REFUSE(part, code, ...) ((part)->result = error_set(&(part)->error, (code), __VA_ARGS__), 0)

static int touch(struct group *g, struct partition *p, struct error *e)
{
    if (p->in_transaction)
        return 0;
    if (g->count == g->size) {
        size_t size = g->size ? 2 * g->size : 4;
        struct partition **more = realloc(g->touched, size * sizeof(*more));
        if (!more)
            return error_set(e, ERROR_MEMORY, "no memory for %zu partitions", size);
        g->touched = more;
        g->size = size;
    }
    int r = partition_touch(p, e);
    if (!r)
        g->touched[g->count++] = p;
    return r;
}

/* A database that is damaged costs the parts that need it, not the group. Nothing was written when this is asked. */
static int refuse_damage(struct store_part *part, int r, struct error *e)
{
    if (r != ERROR_CORRUPT && r != ERROR_NOT_FOUND && r != ERROR_VERSION)
        return r;
    return REFUSE(part, r, "%s", e ? e->text : "a database is damaged");
}

/* ------------------------------------------------------------------ heads */

static const char *kind_name(unsigned kind)
{
    return kind == HEAD_GAP ? "gap" : kind == HEAD_END ? "end" : "chunk";
}

/* An item that is stored already is acknowledged again, if it is the same. */
static int judge_again(struct group *g, const struct stream *t, struct store_part *part, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    struct head_row row;
    int r = stream_find_item(g->s, part->epoch, part->seq, &row, e);
    if (r < 0)
        return refuse_damage(part, r, e);
    uint64_t hash = hash64(part->head_bytes, part->head_length);
    if (r == 0 || (row.seq == part->seq && row.length == part->head_length && row.hash == hash))
        return 0;
    return REFUSE(part, ERROR_CONFLICT,
                  "stream %s (agent %s, capture %s) item %llu: stored is a %s of %llu bytes with hash %016llx, this is "
                  "a %s of %zu "
                  "bytes with hash %016llx",
                  record_epoch_text(part->epoch, epoch), t->agent, t->capture, (unsigned long long)part->seq,
                  kind_name(row.kind), (unsigned long long)row.length, (unsigned long long)row.hash,
                  kind_name(part->head->kind), part->head_length, (unsigned long long)hash);
}

static bool is_head_sound(const struct store_part *part)
{
    const struct chunk_head *h = part->head;
    return h->seq == part->seq && memcmp(h->epoch, part->epoch, EPOCH_SIZE) == 0 && h->last_seq >= h->seq &&
           h->last_seq < SEQ_MAX && part->head_length <= HEAD_BYTES_MAX;
}

/* Writes an item that is the next of its stream. */
static int store_item(struct group *g, struct stream *t, const struct store_part *part, const struct chunk_head *h,
                      const void *data, size_t len, struct error *e)
{
    struct partition *p = NULL;
    struct portion *portion = NULL;
    struct head_row row;
    int r = store_partition_for(g->s, part->arrived_ns, &p, e);
    if (!r)
        r = touch(g, p, e);
    if (!r)
        r = partition_portion_for(p, h, part->install, &portion, e);
    if (!r)
        r = stream_name(t, portion->agent, portion->capture, e);
    if (r)
        return r;
    head_row_of(h, data, len, part->arrived_ns, &row);
    head_row_widen(&row, t->first_ns, t->last_ns);
    row.stream = portion->id;
    r = partition_insert_head(p, &row, data, e);
    const struct stream_waiting w = {.seq = h->seq, .partition = p};
    if (!r && row.body == BODY_ON_AGENT)
        r = stream_wait(t, &w, e);
    if (r)
        return r;
    portion_add_head(portion, h, len, part->arrived_ns);
    portion->restored = false;
    partition_sums_add(&p->staged, &row);
    t->head_next = h->last_seq + 1;
    t->ended = h->kind == HEAD_END;
    t->restored = false;
    if (h->first_ns <= h->last_ns) {
        t->first_ns = h->first_ns < t->first_ns ? h->first_ns : t->first_ns;
        t->last_ns = h->last_ns > t->last_ns ? h->last_ns : t->last_ns;
    }
    return 0;
}

/* After a reindex, acknowledged items may be lost: that is written down as a gap, and the stream goes on. */
static int store_hole(struct group *g, struct stream *t, const struct store_part *part, struct error *e)
{
    const struct chunk_head *next = part->head;
    struct chunk_head gap = {
        .kind = HEAD_GAP,
        .gap = GAP_DAMAGED,
        .seq = t->head_next,
        .last_seq = part->seq - 1,
        .agent = next->agent,
        .capture = next->capture,
        .software = next->software,
        .filter = next->filter,
        .snaplen = next->snaplen,
        .open_wall_ns = next->open_wall_ns,
        .seal_wall_ns = next->open_wall_ns,
        .first_ns = UINT64_MAX,
    };
    struct buffer bytes = {0};
    memcpy(gap.epoch, part->epoch, EPOCH_SIZE);
    int r = head_encode(&gap, &bytes, e);
    if (!r)
        r = store_item(g, t, part, &gap, bytes.data, bytes.len, e);
    buffer_free(&bytes);
    return r;
}

static int commit_head(struct group *g, struct stream *t, struct store_part *part, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    const struct chunk_head *h = part->head;
    record_epoch_text(part->epoch, epoch);
    if (!is_head_sound(part))
        return REFUSE(part, ERROR_INVALID, "stream %s item %llu: its head names another item or an impossible one",
                      epoch, (unsigned long long)part->seq);
    if (part->seq < t->head_next)
        return judge_again(g, t, part, e);
    if (t->ended && !t->restored) /* else its END may be still to come */
        return REFUSE(part, ERROR_INVALID, "stream %s (agent %s, capture %s) ended with item %llu: %llu cannot follow",
                      epoch, t->agent, t->capture, (unsigned long long)t->head_next - 1, (unsigned long long)part->seq);
    if (t->agent && (strcmp(t->agent, h->agent) != 0 || strcmp(t->capture, h->capture) != 0))
        return REFUSE(part, ERROR_CONFLICT,
                      "stream %s belongs to agent %s, capture %s; item %llu says agent %s, capture %s", epoch, t->agent,
                      t->capture, (unsigned long long)part->seq, h->agent, h->capture);
    if (part->seq > t->head_next && !t->restored)
        return REFUSE(part, ERROR_INVALID, "stream %s: item %llu came, but item %llu is next", epoch,
                      (unsigned long long)part->seq, (unsigned long long)t->head_next);
    int r = part->seq > t->head_next ? store_hole(g, t, part, e) : 0;
    return r ? r : store_item(g, t, part, h, part->head_bytes, part->head_length, e);
}

/* ------------------------------------------------------------------ bodies */

/* A body (or its fate) that is known already; what is stored must be what came. */
static int judge_body_again(struct group *g, struct store_part *part, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    struct head_row row;
    int r = stream_find_item(g->s, part->epoch, part->seq, &row, e);
    if (r < 0)
        return refuse_damage(part, r, e);
    if (r == 0 || part->fate)
        return 0;
    record_epoch_text(part->epoch, epoch);
    if (row.body == BODY_NEVER)
        return REFUSE(part, ERROR_INVALID, "stream %s item %llu is a %s without a body", epoch,
                      (unsigned long long)part->seq, kind_name(row.kind));
    if (row.body == BODY_STORED && row.body_length != part->body_length)
        return REFUSE(part, ERROR_CONFLICT, "stream %s item %llu: stored is a body of %llu bytes, this one has %llu",
                      epoch, (unsigned long long)part->seq, (unsigned long long)row.body_length,
                      (unsigned long long)part->body_length);
    return 0;
}

/* Appends the body to a pack. A body that is not the head's own is refused: nothing of it stays. */
static int append_body(struct partition *p, const struct head_row *row, const void *head, struct store_part *part,
                       struct pack_record *record, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    struct pack *pack = NULL;
    struct error why = ERROR_INIT;
    *record = (struct pack_record){
        .seq = row->seq,
        .arrived_ns = row->arrived_ns,
        .head_length = (uint32_t)row->length,
        .body_length = row->body_length,
        .head_hash = row->hash,
        .body_hash = row->body_hash,
    };
    memcpy(record->epoch, part->epoch, EPOCH_SIZE);
    if (part->install)
        memcpy(record->install, part->install, sizeof(record->install));
    int r = partition_pack(p, pack_record_size(record), part->arrived_ns, &pack, e);
    if (r)
        return r;
    r = pack_append(pack, record, head, part->body_fd, &why);
    if (r == ERROR_CORRUPT)
        return REFUSE(part, ERROR_CORRUPT, "stream %s item %llu: %s", record_epoch_text(part->epoch, epoch),
                      (unsigned long long)part->seq, why.text);
    if (r && e)
        *e = why;
    return r;
}

static int store_fate(struct partition *p, struct portion *portion, const struct head_row *row, unsigned gap,
                      struct error *e)
{
    portion->changed = true;
    portion->gap_packets += row->totals.value[COUNTER_STORED];
    return partition_update_head(p, row->id, BODY_EVICTED, gap, 0, 0, e);
}

/* A body cannot be kept without its head; its stream must go on. */
static int give_up_body(struct partition *p, struct portion *portion, const struct head_row *row,
                        const struct store_part *part, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    log_error("store: stream %s item %llu: its stored head is damaged, and its packets are lost by that: run check",
              record_epoch_text(part->epoch, epoch), (unsigned long long)part->seq);
    return store_fate(p, portion, row, GAP_DAMAGED, e);
}

static int store_body(struct partition *p, struct portion *portion, const struct head_row *row, struct store_part *part,
                      struct error *e)
{
    struct pack_record record;
    struct sql q = sql_start(p->db, PARTITION_HEAD_DATA);
    sql_u64(&q, row->id);
    int r = sql_step(&q, e);
    size_t len = 0;
    const void *head = r > 0 ? sql_get_blob(&q, 0, &len) : NULL;
    bool sound = r > 0 && len == row->length && hash64(head, len) == row->hash;
    if (sound)
        r = append_body(p, row, head, part, &record, e);
    sql_end(&q);
    if (r >= 0 && !sound)
        return give_up_body(p, portion, row, part, e);
    if (r || part->result)
        return r;
    r = partition_update_head(p, row->id, BODY_STORED, 0, p->pack->number, record.offset, e);
    portion->changed = true;
    portion->bodies++;
    portion->body_bytes += row->body_length;
    p->staged.bodies++;
    p->staged.body_bytes += row->body_length;
    return r;
}

/* The body (or fate) of the first chunk that waits for one. */
static int store_awaited(struct group *g, struct stream *t, struct store_part *part, struct error *e)
{
    struct partition *p = stream_front(t)->partition;
    struct portion *portion = NULL;
    struct head_row row = {0};
    struct error why = ERROR_INIT;
    int r = touch(g, p, &why);
    if (!r)
        r = partition_portion(p, part->epoch, &portion, &why);
    if (!r)
        r = stream_find_in(p->db, part->epoch, part->seq, &row, &why);
    if (r == 0 || (r > 0 && !portion))
        r = error_set(&why, ERROR_CORRUPT, "%s: item %llu of a stream is not there any more: run check", p->path,
                      (unsigned long long)part->seq);
    if (r < 0) {
        if (e)
            *e = why;
        return refuse_damage(part, r, &why);
    }
    if (part->fate)
        r = store_fate(p, portion, &row, part->gap, e);
    else if (p->bodies_expired)
        r = partition_update_head(p, row.id, BODY_EXPIRED, GAP_EXPIRED, 0, 0, e);
    else
        r = store_body(p, portion, &row, part, e);
    if (!r && !part->result)
        stream_pop(t);
    return r;
}

static int commit_body(struct group *g, struct stream *t, struct store_part *part, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    const struct stream_waiting *w = stream_front(t);
    record_epoch_text(part->epoch, epoch);
    if (part->seq >= t->head_next)
        return REFUSE(part, ERROR_INVALID, "stream %s: the body of item %llu came before its head (item %llu is next)",
                      epoch, (unsigned long long)part->seq, (unsigned long long)t->head_next);
    if (!w || part->seq < w->seq)
        return judge_body_again(g, part, e);
    if (part->seq > w->seq)
        return REFUSE(part, ERROR_INVALID, "stream %s: the body of item %llu came, but that of item %llu is next",
                      epoch, (unsigned long long)part->seq, (unsigned long long)w->seq);
    if (part->fate && part->fate != BODY_EVICTED)
        return REFUSE(part, ERROR_INVALID, "stream %s item %llu: a body cannot be reported as '%s'", epoch,
                      (unsigned long long)part->seq, body_state_name(part->fate));
    return store_awaited(g, t, part, e);
}

/* ------------------------------------------------------------------ the group */

static bool belongs(const struct stream *t, const char *agent)
{
    return !agent || !t->agent || strcmp(t->agent, agent) == 0;
}

static int refuse_others(const uint8_t epoch[EPOCH_SIZE], const char *owner, const char *agent, struct error *e)
{
    char text[EPOCH_TEXT_SIZE];
    return error_set(
        e, ERROR_REFUSED,
        "stream %s belongs to agent %s, and agent %s sends it: an agent speaks for itself alone. If it has "
        "another name now, its spool still has what it captured under the old one",
        record_epoch_text(epoch, text), owner, agent);
}

static int commit_part(struct group *g, struct store_part *part, struct error *e)
{
    struct stream *t = NULL;
    struct error why = ERROR_INIT;
    part->result = 0;
    part->error.code = 0;
    part->error.text[0] = 0;
    int r = stream_get(g->s, part->epoch, &t, &why);
    if (r) {
        if (e)
            *e = why;
        return refuse_damage(part, r, &why);
    }
    const char *owner = t->agent ? t->agent : part->head ? part->head->agent : NULL;
    if (owner && part->agent && strcmp(owner, part->agent) != 0) {
        part->result = refuse_others(part->epoch, owner, part->agent, &part->error);
        return 0;
    }
    return part->head ? commit_head(g, t, part, e) : commit_body(g, t, part, e);
}

static int check_room(struct store *s, const struct store_part *parts, size_t count, struct error *e)
{
    uint64_t need = 0, free_bytes = 0, total_bytes = 0;
    for (size_t i = 0; i < count; i++)
        need += parts[i].head_length + (parts[i].body_fd >= 0 ? parts[i].body_length : 0);
    int sys = FAULT("store.room");
    if (sys)
        return error_sys(e, sys, "%s", s->path);
    int r = fs_free_bytes(s->dirfd, &free_bytes, &total_bytes, e);
    if (r)
        return r;
    if (free_bytes < s->config.floor_bytes || free_bytes - s->config.floor_bytes < need)
        return error_set(
            e, ERROR_FULL,
            "the disk of %s has %llu bytes free and %llu are kept free: nothing is taken in until there is room",
            s->path, (unsigned long long)free_bytes, (unsigned long long)s->config.floor_bytes);
    return 0;
}

static int compare_rank(const void *a, const void *b)
{
    const struct partition *x = *(struct partition *const *)a, *y = *(struct partition *const *)b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void publish(struct store *s, struct partition *p)
{
    pthread_mutex_lock(&s->lock);
    p->sums = p->staged;
    pthread_mutex_unlock(&s->lock);
}

static int finish(struct group *g, struct error *e)
{
    int r = 0;
    qsort(g->touched, g->count, sizeof(struct partition *), compare_rank);
    for (size_t i = 0; !r && i < g->count; i++)
        r = partition_flush(g->touched[i], e);
    for (size_t i = 0; !r && i < g->count; i++)
        r = partition_sync(g->touched[i], e);
    for (size_t i = 0; !r && i < g->count; i++) {
        r = partition_commit(g->touched[i], e);
        if (!r)
            publish(g->s, g->touched[i]);
    }
    return r;
}

static void give_up(struct group *g, struct store_part *parts, size_t count, int r, const struct error *e)
{
    for (size_t i = 0; i < g->count; i++)
        partition_abandon(g->touched[i]);
    stream_forget_all(g->s);
    for (size_t i = 0; i < count; i++) {
        parts[i].result = r;
        parts[i].error = *e;
    }
}

int store_commit(struct store *s, struct store_part *parts, size_t count, struct error *e)
{
    struct group g = {.s = s};
    struct error why = ERROR_INIT;
    stream_forget_most(s);
    int r = check_room(s, parts, count, &why);
    for (size_t i = 0; !r && i < count; i++)
        r = commit_part(&g, &parts[i], &why);
    if (!r && g.count)
        r = finish(&g, &why);
    if (r) {
        give_up(&g, parts, count, r, &why);
        if (e)
            *e = why;
    }
    free(g.touched);
    return r;
}

int store_stream_state(struct store *s, const uint8_t epoch[EPOCH_SIZE], const char *agent, uint64_t *head_next,
                       uint64_t *body_next, struct error *e)
{
    struct stream *t = NULL;
    stream_forget_most(s);
    int r = stream_get(s, epoch, &t, e);
    if (r)
        return r;
    if (!belongs(t, agent))
        return refuse_others(epoch, t->agent, agent, e);
    *head_next = t->head_next;
    *body_next = stream_body_next(t);
    return 0;
}

bool store_stream_is_over(struct store *s, const uint8_t epoch[EPOCH_SIZE])
{
    const struct stream *t = epoch_map_find(&s->streams, epoch);
    return t && t->ended && !stream_front(t);
}
