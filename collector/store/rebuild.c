#include "collector/store/rebuild.h"

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SKIP_HEADS 16u /* over a part of the old database that cannot be read */
#define SKIPS_MAX  65536u

/* A head that was found: in the old database, in a pack, or both. */
struct found {
    uint8_t epoch[EPOCH_SIZE];
    uint8_t install[16];
    uint64_t seq, last_seq, arrived_ns;
    uint64_t order_ns; /* arrived_ns, made to rise within a stream */
    uint64_t old_head; /* number in the old database; 0: not there */
    uint8_t body, gap; /* as the old database says; a head of a pack alone: BODY_STORED */
    uint64_t pack;     /* 0: in none */
    struct pack_record record;
    bool body_whole; /* the body in the pack has its hash */
};

/* What should be there of a stream. */
struct expected {
    struct portion portion; /* with its own texts */
};

struct rebuild {
    struct checking *c;
    struct store *s;
    struct partition *old, *new;
    struct db *db; /* the old one, or NULL */
    struct found *found;
    size_t found_count, found_size;
    struct expected *expected;
    size_t expected_count;
    uint64_t *packs;
    size_t pack_count;
    uint64_t restored, lost;
};

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory to make a partition anew");
}

static int add_found(struct rebuild *b, const struct found *f, struct error *e)
{
    if (b->found_count == b->found_size) {
        size_t size = b->found_size ? 2 * b->found_size : 256;
        struct found *more = realloc(b->found, size * sizeof(*more));
        if (!more)
            return no_memory(e);
        b->found = more;
        b->found_size = size;
    }
    b->found[b->found_count++] = *f;
    return 0;
}

/* ------------------------------------------------------------------ the old database */

static int add_expected(struct rebuild *b, const struct portion *p, struct error *e)
{
    for (size_t i = 0; i < b->expected_count; i++) {
        struct portion *known = &b->expected[i].portion;
        if (memcmp(known->epoch, p->epoch, EPOCH_SIZE) != 0)
            continue;
        known->head_next = p->head_next > known->head_next ? p->head_next : known->head_next;
        known->ended = known->ended || p->ended;
        return 0;
    }
    struct expected *more = realloc(b->expected, (b->expected_count + 1) * sizeof(*more));
    if (!more)
        return no_memory(e);
    b->expected = more;
    more[b->expected_count].portion = *p;
    int r = portion_keep(&more[b->expected_count].portion, e);
    b->expected_count += r == 0;
    return r;
}

/* Reads portions by a statement until it ends or cannot go on. */
static int read_expected(struct rebuild *b, struct sql *q, struct error *e)
{
    int r = 0;
    while (!r && sql_step(q, NULL) > 0) {
        struct portion p;
        portion_read(q, &p);
        if (p.first_seq < p.head_next && p.head_next < UINT64_MAX / 4)
            r = add_expected(b, &p, e);
    }
    sql_end(q);
    return r;
}

static int expect(struct rebuild *b, struct error *e)
{
    struct sql q = sql_start_own(b->s->catalog, CATALOG_PORTION_LIST);
    sql_u64(&q, b->old->id);
    int r = read_expected(b, &q, e);
    if (r || !b->db)
        return r;
    q = sql_start_own(b->db, PARTITION_STREAM_LIST);
    return read_expected(b, &q, e);
}

static const struct portion *expected_of(const struct rebuild *b, const uint8_t epoch[EPOCH_SIZE])
{
    for (size_t i = 0; i < b->expected_count; i++)
        if (memcmp(b->expected[i].portion.epoch, epoch, EPOCH_SIZE) == 0)
            return &b->expected[i].portion;
    return NULL;
}

/* A head of the old database, if it is whole. */
static int take_old_head(struct rebuild *b, const struct head_row *row, struct error *e)
{
    struct chunk_head h;
    struct sql q = sql_start_own(b->db, PARTITION_HEAD_DATA);
    sql_u64(&q, row->id);
    size_t len = 0;
    const void *data = sql_step(&q, NULL) > 0 ? sql_get_blob(&q, 0, &len) : NULL;
    int r = 0;
    if (data && len == row->length && hash64(data, len) == row->hash && store_verify_head(data, len, &h, NULL) == 0) {
        struct found f = {.seq = h.seq,
                          .last_seq = h.last_seq,
                          .arrived_ns = row->arrived_ns,
                          .old_head = row->id,
                          .body = row->body,
                          .gap = row->gap};
        memcpy(f.epoch, h.epoch, EPOCH_SIZE);
        const struct portion *p = expected_of(b, h.epoch);
        if (p)
            memcpy(f.install, p->install, sizeof(f.install));
        r = add_found(b, &f, e);
        head_free(&h);
    }
    sql_end(&q);
    return r;
}

/* Reads heads from number `from` on until the end (true) or until the database cannot be read. */
static int take_run(struct rebuild *b, uint64_t from, uint64_t *last, bool *ended, struct error *e)
{
    struct sql q = sql_start_own(b->db, PARTITION_HEAD_LIST);
    sql_u64(&q, from);
    sql_u64(&q, 0);
    sql_u64(&q, UINT64_MAX);
    int step, r = 0;
    while (!r && (step = sql_step(&q, NULL)) > 0) {
        struct head_row row;
        head_row_read(&q, &row);
        *last = row.id;
        r = take_old_head(b, &row, e);
    }
    *ended = !r && step == 0;
    sql_end(&q);
    return r;
}

static int take_old_heads(struct rebuild *b, struct error *e)
{
    bool ended = false;
    uint64_t from = 1, last = 0;
    for (unsigned skips = 0; !ended && skips < SKIPS_MAX; skips++) {
        int r = take_run(b, from, &last, &ended, e);
        if (r)
            return r;
        from = (last >= from ? last + 1 : from) + SKIP_HEADS;
    }
    return 0;
}

/* ------------------------------------------------------------------ packs */

static int take_record(struct rebuild *b, int fd, uint64_t number, const struct pack_record *record, struct error *e)
{
    struct chunk_head h;
    uint8_t *head = NULL;
    int r = pack_read_head(fd, record, &head, NULL);
    if (r == ERROR_MEMORY)
        return no_memory(e);
    if (r || store_verify_head(head, record->head_length, &h, NULL) != 0) {
        free(head);
        return 0;
    }
    struct found f = {.seq = h.seq,
                      .last_seq = h.last_seq,
                      .arrived_ns = record->arrived_ns,
                      .body = BODY_STORED,
                      .pack = number,
                      .record = *record,
                      .body_whole = pack_check_body(fd, record, NULL) == 0};
    memcpy(f.epoch, record->epoch, EPOCH_SIZE);
    memcpy(f.install, record->install, sizeof(f.install));
    bool sound =
        h.seq == record->seq && memcmp(h.epoch, record->epoch, EPOCH_SIZE) == 0 && h.body_length == record->body_length;
    head_free(&h);
    free(head);
    return sound ? add_found(b, &f, e) : 0;
}

/* Walks the records; where one is damaged, the next whole one is looked for. */
static int take_pack(struct rebuild *b, int fd, uint64_t number, struct error *e)
{
    struct stat st;
    struct pack_record record;
    if (fstat(fd, &st) != 0)
        return error_sys(e, errno, "cannot read a pack");
    uint64_t size = (uint64_t)st.st_size;
    for (uint64_t at = PACK_HEADER_SIZE; at < size;) {
        int r = pack_read_record(fd, at, size, &record, NULL);
        if (r)
            r = pack_find_record(fd, at, size, &record, e);
        else
            r = 1;
        if (r <= 0)
            return r;
        r = take_record(b, fd, number, &record, e);
        if (r)
            return r;
        at = record.offset + pack_record_size(&record);
    }
    return 0;
}

static int take_packs(struct rebuild *b, int dirfd, struct error *e)
{
    int r = 0;
    for (size_t i = 0; !r && i < b->pack_count; i++) {
        char name[PACK_NAME_MAX];
        int fd = openat(dirfd, pack_name(b->packs[i], name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return error_sys(e, errno, "cannot open %s/%s", b->old->path, name);
        r = take_pack(b, fd, b->packs[i], e);
        close(fd);
    }
    return r;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int list_packs(struct rebuild *b, int folder, struct error *e)
{
    DIR *dir = fs_list(folder);
    if (!dir)
        return error_sys(e, errno, "cannot list %s", b->old->path);
    int r = 0;
    for (struct dirent *entry; !r && (entry = readdir(dir));) {
        uint64_t number = pack_number(entry->d_name);
        uint64_t *more = number ? realloc(b->packs, (b->pack_count + 1) * sizeof(*more)) : NULL;
        if (more) {
            b->packs = more;
            more[b->pack_count++] = number;
        } else if (number) {
            r = no_memory(e);
        }
    }
    closedir(dir);
    if (b->pack_count)
        qsort(b->packs, b->pack_count, sizeof(*b->packs), compare_numbers);
    return r;
}

/* ------------------------------------------------------------------ one of each, in order */

/* By stream and item; what the database said comes first, then packs as they were written. */
static int compare_items(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    int order = memcmp(x->epoch, y->epoch, EPOCH_SIZE);
    if (order)
        return order;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    if (!x->old_head != !y->old_head)
        return x->old_head ? -1 : 1;
    if (x->pack != y->pack)
        return x->pack < y->pack ? -1 : 1;
    return x->record.offset < y->record.offset ? -1 : x->record.offset > y->record.offset;
}

static int compare_order(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->order_ns != y->order_ns)
        return x->order_ns < y->order_ns ? -1 : 1;
    return compare_items(a, b);
}

static bool is_same_item(const struct found *a, const struct found *b)
{
    return a->seq == b->seq && memcmp(a->epoch, b->epoch, EPOCH_SIZE) == 0;
}

/* The same item again, from a pack: the later record counts, but one whose body is whole. */
static void merge_found(struct found *into, const struct found *from)
{
    if (!from->pack || (into->pack && into->body_whole && !from->body_whole))
        return;
    into->pack = from->pack;
    into->record = from->record;
    into->body_whole = from->body_whole;
}

static void unite(struct rebuild *b)
{
    size_t kept = 0;
    if (!b->found_count)
        return;
    qsort(b->found, b->found_count, sizeof(*b->found), compare_items);
    for (size_t i = 0; i < b->found_count; i++) {
        if (kept && is_same_item(&b->found[kept - 1], &b->found[i])) {
            merge_found(&b->found[kept - 1], &b->found[i]);
            continue;
        }
        b->found[kept] = b->found[i];
        b->found[kept].order_ns = b->found[kept].arrived_ns;
        if (kept && memcmp(b->found[kept].epoch, b->found[kept - 1].epoch, EPOCH_SIZE) == 0 &&
            b->found[kept].order_ns < b->found[kept - 1].order_ns)
            b->found[kept].order_ns = b->found[kept - 1].order_ns;
        kept++;
    }
    b->found_count = kept;
}

/* ------------------------------------------------------------------ writing */

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

static int fill_holes(struct rebuild *b, struct error *e)
{
    int r = 0;
    if (b->found_count)
        qsort(b->found, b->found_count, sizeof(*b->found), compare_items);
    for (size_t i = 0, n; !r && i < b->found_count; i += n) {
        for (n = 1; i + n < b->found_count && memcmp(b->found[i].epoch, b->found[i + n].epoch, EPOCH_SIZE) == 0; n++)
            ;
        const struct portion *p = expected_of(b, b->found[i].epoch);
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

static int write_heads(struct rebuild *b, struct error *e)
{
    int r = 0;
    if (b->found_count)
        qsort(b->found, b->found_count, sizeof(*b->found), compare_order);
    for (size_t i = 0; !r && i < b->found_count; i++)
        r = b->found[i].old_head ? write_old(b, &b->found[i], e) : write_packed(b, &b->found[i], e);
    return r;
}

/* ------------------------------------------------------------------ the new partition */

static int link_pack(struct rebuild *b, uint64_t number, struct error *e)
{
    char name[PACK_NAME_MAX], from[4096], to[4096];
    struct stat st;
    pack_name(number, name);
    snprintf(from, sizeof(from), "%s/%s", b->old->path, name);
    snprintf(to, sizeof(to), "%s/%s", b->new->path, name);
    int sys = FAULT("reindex.link");
    if (sys || link(from, to) != 0 || stat(to, &st) != 0)
        return error_sys(e, sys ? sys : errno, "cannot link %s to %s", from, to);
    struct sql q = sql_start(b->new->db, PARTITION_PACK_PUT);
    sql_u64(&q, number);
    sql_u64(&q, (uint64_t)st.st_size);
    return sql_run(&q, e);
}

static int fill(struct rebuild *b, struct error *e)
{
    int r = partition_touch(b->new, e);
    for (size_t i = 0; !r && i < b->pack_count; i++)
        r = link_pack(b, b->packs[i], e);
    if (!r)
        r = write_heads(b, e);
    if (!r)
        r = fill_holes(b, e);
    if (!r)
        r = partition_flush(b->new, e);
    if (!r)
        r = partition_commit(b->new, e);
    if (r)
        partition_abandon(b->new);
    return r;
}

/* The new one becomes valid and the old one goes, in one step. */
static int replace(struct rebuild *b, struct error *e)
{
    struct db *catalog = b->s->catalog;
    int fd = open(b->new->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd >= 0 ? fs_sync_dir(fd, "reindex.sync", e) : error_sys(e, errno, "cannot open %s", b->new->path);
    if (fd >= 0)
        close(fd);
    if (!r)
        r = db_begin(catalog, e);
    if (!r)
        r = catalog_set_state(catalog, b->new, PARTITION_OPEN, e);
    if (!r)
        r = catalog_set_state(catalog, b->old, PARTITION_DROPPING, e);
    if (!r)
        r = catalog_forget_portions(catalog, b->old, e);
    if (!r)
        r = db_commit(catalog, e);
    if (r)
        db_rollback(catalog);
    return r;
}

static int gather(struct rebuild *b, struct error *e)
{
    int fd = open(b->old->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(e, errno, "cannot open %s", b->old->path);
    int r = expect(b, e);
    if (!r && b->db)
        r = take_old_heads(b, e);
    if (!r)
        r = list_packs(b, fd, e);
    if (!r)
        r = take_packs(b, fd, e);
    close(fd);
    unite(b);
    return r;
}

static void open_old(struct rebuild *b)
{
    char *path = partition_database(b->old);
    if (path && db_open(path, DB_READ, &partition_kind, &b->db, NULL) != 0)
        b->db = NULL;
    free(path);
}

static int make_new(struct rebuild *b, struct error *e)
{
    int r = catalog_new_partition(b->s->catalog, b->s, b->old->begin_ns, b->old->end_ns, b->old->rank, &b->new, e);
    if (!r)
        r = partition_make(b->s, b->new, e);
    if (!r)
        r = fill(b, e);
    if (!r)
        r = replace(b, e);
    return r;
}

static void report(struct rebuild *b)
{
    b->c->report->partitions++;
    b->c->report->packs += b->pack_count;
    b->c->report->chunks += b->found_count;
    if (b->lost)
        check_say(b->c,
                  "%s: the packets of %llu chunks cannot be restored: no pack has them whole; their rows are kept",
                  b->old->path, (unsigned long long)b->lost);
}

static void rebuild_free(struct rebuild *b)
{
    db_close(b->db);
    for (size_t i = 0; i < b->expected_count; i++)
        free(b->expected[i].portion.memory);
    free(b->expected);
    free(b->found);
    free(b->packs);
}

int rebuild_partition(struct checking *c, struct store *s, struct partition *old, struct error *e)
{
    struct rebuild b = {.c = c, .s = s, .old = old};
    open_old(&b);
    int r = gather(&b, e);
    if (!r)
        r = make_new(&b, e);
    if (!r)
        report(&b);
    rebuild_free(&b);
    if (r) {
        partition_unref(b.new);
        return r;
    }
    b.new->state = PARTITION_OPEN;
    r = store_add_partition(s, b.new, e);
    if (r) {
        partition_unref(b.new);
        return r;
    }
    partition_rest(b.new);
    r = partition_mend(b.new, e);
    if (!r)
        r = store_close_partition(s, b.new, e);
    c->report->rows += b.new->sums.rows;
    partition_rest(b.new);
    old->state = PARTITION_DROPPING;
    return r ? r : store_trash(s, old, e);
}
