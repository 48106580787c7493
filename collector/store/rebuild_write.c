/*
 * The heads that were found go into the new database; what should be between them and is not becomes gaps.
 */
#include "collector/store/rebuild_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int insert(struct rebuild *b, const struct chunk_head *h, const void *data, size_t len, const struct found *f,
                  struct error *e)
{
    struct portion *portion = NULL;
    struct head_row row;
    int r = partition_portion_for(b->new, h, f->install, &portion, e);
    if (r)
        return r;
    head_row_of(h, data, len, f->arrived_ns, &row);
    head_row_widen(&row, portion->first_ns, portion->last_ns);
    row.stream = portion->id;
    r = partition_insert_head(b->new, &row, data, e);
    if (r)
        return r;
    uint64_t head_next = portion->head_next;
    portion_add_head(portion, h, len, f->arrived_ns);
    portion->head_next = head_next > portion->head_next ? head_next : portion->head_next;
    portion->first_seq = h->seq < portion->first_seq ? h->seq : portion->first_seq;
    portion->restored = true;
    if (h->kind == HEAD_CHUNK && (h->seal == SEAL_END || h->seal == SEAL_RECOVERED))
        portion->ended = true; /* behind it comes the END alone, which has no body and so stood in flows.db alone */
    if (row.body != BODY_ON_AGENT)
        return 0;
    enum body_state state = f->pack && f->body_whole ? BODY_STORED : f->body;
    unsigned gap = f->gap;
    if (state == BODY_STORED && !(f->pack && f->body_whole)) {
        state = BODY_EXPIRED;
        gap = b->old->bodies_expired ? GAP_EXPIRED : GAP_DAMAGED;
        b->lost += !b->old->bodies_expired;
    }
    if (state == BODY_STORED) {
        portion->bodies++;
        portion->body_bytes += row.body_length;
    } else if (state != BODY_ON_AGENT) {
        portion->gap_packets += row.totals.value[COUNTER_STORED];
    }
    return partition_update_head(b->new, row.id, state, gap, state == BODY_STORED ? f->pack : 0, f->record.offset, e);
}

static int write_old(struct rebuild *b, const struct found *f, struct error *e)
{
    struct chunk_head h;
    struct sql q = sql_start_own(b->db, PARTITION_HEAD_DATA);
    sql_u64(&q, f->old_head);
    int r = sql_step(&q, e);
    size_t len = 0;
    const void *data = r > 0 ? sql_get_blob(&q, 0, &len) : NULL;
    r = data ? head_decode(data, len, &h, e)
             : error_set(e, ERROR_CORRUPT, "%s changed while it was read", db_path(b->db));
    if (!r) {
        r = insert(b, &h, data, len, f, e);
        head_free(&h);
    }
    sql_end(&q);
    return r;
}

static int write_packed(struct rebuild *b, const struct found *f, struct error *e)
{
    char name[PACK_NAME_MAX], path[4096];
    struct chunk_head h;
    uint8_t *data = NULL;
    snprintf(path, sizeof(path), "%s/%s", b->old->path, pack_name(f->pack, name));
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(e, errno, "cannot open %s", path);
    int r = pack_read_head(fd, &f->record, &data, e);
    close(fd);
    if (!r)
        r = head_decode(data, f->record.head_length, &h, e);
    if (!r) {
        r = insert(b, &h, data, f->record.head_length, f, e);
        head_free(&h);
    }
    free(data);
    b->restored += r == 0;
    return r;
}

/* Items that were acknowledged and are nowhere: a gap stands for them, so that the stream's numbers go on. */
static int write_gap(struct rebuild *b, const struct portion *p, uint64_t seq, uint64_t last_seq, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    struct buffer bytes = {0};
    struct chunk_head h = {
        .kind = HEAD_GAP,
        .gap = GAP_DAMAGED,
        .seq = seq,
        .last_seq = last_seq,
        .agent = (char *)(uintptr_t)p->agent,
        .capture = (char *)(uintptr_t)p->capture,
        .software = (char *)(uintptr_t)p->software,
        .filter = (char *)(uintptr_t)p->filter,
        .snaplen = p->snaplen,
        .open_wall_ns = p->first_arrived_ns,
        .seal_wall_ns = p->last_arrived_ns,
        .first_ns = p->first_ns <= p->last_ns ? p->first_ns : UINT64_MAX,
        .last_ns = p->first_ns <= p->last_ns ? p->last_ns : 0,
    };
    struct found f = {.arrived_ns = p->last_arrived_ns};
    memcpy(h.epoch, p->epoch, EPOCH_SIZE);
    memcpy(f.install, p->install, sizeof(f.install));
    int r = head_encode(&h, &bytes, e);
    if (!r)
        r = insert(b, &h, bytes.data, bytes.len, &f, e);
    buffer_free(&bytes);
    check_say(b->c,
              "%s: items %llu to %llu of stream %s (agent %s, capture %s) cannot be restored: their heads were in "
              "flows.db alone",
              b->old->path, (unsigned long long)seq, (unsigned long long)last_seq, record_epoch_text(p->epoch, epoch),
              p->agent, p->capture);
    return r;
}

/* What is missing of a stream: before, between and behind the items that were found (found[at..end), by seq). */
static int write_gaps(struct rebuild *b, const struct portion *p, const struct found *items, size_t count,
                      struct error *e)
{
    uint64_t next = p->first_seq;
    int r = 0;
    for (size_t i = 0; !r && i < count; i++) {
        if (items[i].seq > next)
            r = write_gap(b, p, next, items[i].seq - 1, e);
        next = items[i].last_seq + 1 > next ? items[i].last_seq + 1 : next;
    }
    if (!r && next < p->head_next)
        r = write_gap(b, p, next, p->head_next - 1, e);
    struct portion *portion = NULL;
    if (!r && p->ended)
        r = partition_portion(b->new, p->epoch, &portion, e);
    if (portion && p->head_next == portion->head_next) {
        portion->ended = true;
        portion->changed = true;
    }
    return r;
}

/* A stream that nothing is expected of still must have no holes between what was found. */
static int expect_found(struct rebuild *b, const struct found *items, size_t count, struct error *e)
{
    struct portion *known = NULL;
    int r = partition_portion(b->new, items[0].epoch, &known, e);
    if (r || !known)
        return r;
    struct portion p = *known;
    p.first_seq = items[0].seq;
    p.head_next = items[count - 1].last_seq + 1;
    p.ended = known->ended;
    return write_gaps(b, &p, items, count, e);
}

int rebuild_fill_holes(struct rebuild *b, struct error *e)
{
    int r = 0;
    if (b->found_count)
        qsort(b->found, b->found_count, sizeof(*b->found), rebuild_compare_items);
    for (size_t i = 0, n; !r && i < b->found_count; i += n) {
        for (n = 1; i + n < b->found_count && memcmp(b->found[i].epoch, b->found[i + n].epoch, EPOCH_SIZE) == 0; n++)
            ;
        const struct portion *p = rebuild_expected_of(b, b->found[i].epoch);
        r = p ? write_gaps(b, p, &b->found[i], n, e) : expect_found(b, &b->found[i], n, e);
    }
    for (size_t i = 0; !r && i < b->expected_count; i++) {
        struct portion *portion = NULL;
        r = partition_portion(b->new, b->expected[i].portion.epoch, &portion, e);
        if (!r && !portion)
            r = write_gaps(b, &b->expected[i].portion, NULL, 0, e);
    }
    return r;
}

int rebuild_write_heads(struct rebuild *b, struct error *e)
{
    int r = 0;
    if (b->found_count)
        qsort(b->found, b->found_count, sizeof(*b->found), rebuild_compare_order);
    for (size_t i = 0; !r && i < b->found_count; i++)
        r = b->found[i].old_head ? write_old(b, &b->found[i], e) : write_packed(b, &b->found[i], e);
    return r;
}
