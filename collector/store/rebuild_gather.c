/*
 * What there is of a partition: heads in the old database as far as it can be read, heads in packs, and one of each.
 */
#include "collector/store/rebuild_impl.h"
#include "common/base/fs.h"
#include "common/base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SKIP_HEADS 16u /* over a part of the old database that cannot be read */
#define SKIPS_MAX  65536u

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

int rebuild_expect(struct rebuild *b, struct error *e)
{
    struct sql q = sql_start_own(b->s->catalog, CATALOG_PORTION_LIST);
    sql_u64(&q, b->old->id);
    int r = read_expected(b, &q, e);
    if (r || !b->db)
        return r;
    q = sql_start_own(b->db, PARTITION_STREAM_LIST);
    return read_expected(b, &q, e);
}

const struct portion *rebuild_expected_of(const struct rebuild *b, const uint8_t epoch[EPOCH_SIZE])
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
        const struct portion *p = rebuild_expected_of(b, h.epoch);
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

int rebuild_take_old_heads(struct rebuild *b, struct error *e)
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

int rebuild_take_packs(struct rebuild *b, int dirfd, struct error *e)
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

int rebuild_list_packs(struct rebuild *b, int folder, struct error *e)
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

int rebuild_compare_items(const void *a, const void *b)
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

int rebuild_compare_order(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->order_ns != y->order_ns)
        return x->order_ns < y->order_ns ? -1 : 1;
    return rebuild_compare_items(a, b);
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

void rebuild_unite(struct rebuild *b)
{
    size_t kept = 0;
    if (!b->found_count)
        return;
    qsort(b->found, b->found_count, sizeof(*b->found), rebuild_compare_items);
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
