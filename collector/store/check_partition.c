#include "collector/store/check.h"

#include "common/base/fs.h"
#include "common/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX 1200

void check_say(struct checking *c, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    c->report->damaged++;
    if (c->say)
        c->say(c->context, text);
}

/* A pack of the partition, while it is checked. */
struct open_pack {
    uint64_t number;
    int fd; /* -1: it is missing, which was said */
    uint64_t size;
};

/* What the heads of one stream add up to, to be compared with its row. */
struct stream_sum {
    uint8_t epoch[EPOCH_SIZE];
    uint64_t heads, head_next, chunks, rows, head_bytes, bodies;
};

struct partition_check {
    struct checking *c;
    const struct partition *p;
    struct db *db;
    struct open_pack *packs;
    size_t pack_count;
    struct stream_sum *streams; /* by number */
    size_t stream_count;
    struct postings *postings;
    uint64_t heads;
    bool heads_damaged;
};

/* ------------------------------------------------------------------ packs */

static void open_one_pack(struct partition_check *k, uint64_t number, uint64_t end, struct open_pack *pack)
{
    char name[PACK_NAME_MAX], path[4096];
    struct error why = ERROR_INIT;
    struct stat st;
    *pack = (struct open_pack){.number = number, .fd = -1};
    snprintf(path, sizeof(path), "%s/%s", k->p->path, pack_name(number, name));
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        check_say(k->c, "%s: cannot be opened (%s): the packets in it are lost", path, strerrordesc_np(errno));
        if (fd >= 0)
            close(fd);
        return;
    }
    pack->fd = fd;
    pack->size = (uint64_t)st.st_size;
    k->c->report->packs++;
    if (pack->size < end)
        check_say(k->c, "%s: ends at byte %llu of %llu: the packets behind that are lost", path,
                  (unsigned long long)pack->size, (unsigned long long)end);
    if (pack_check_header(fd, &why))
        check_say(k->c, "%s: %s: its chunks are not touched by that", path, why.text);
}

static int open_packs(struct partition_check *k, struct error *e)
{
    struct sql q = sql_start_own(k->db, PARTITION_PACK_LIST);
    int r;
    while ((r = sql_step(&q, e)) > 0 && !k->p->bodies_expired) {
        struct open_pack *more = realloc(k->packs, (k->pack_count + 1) * sizeof(*more));
        if (!more) {
            r = error_set(e, ERROR_MEMORY, "no memory to check packs");
            break;
        }
        k->packs = more;
        open_one_pack(k, sql_get_u64(&q, 0), sql_get_u64(&q, 1), &k->packs[k->pack_count++]);
    }
    sql_end(&q);
    return r < 0 ? r : 0;
}

static const struct open_pack *pack_of(const struct partition_check *k, uint64_t number)
{
    for (size_t i = 0; i < k->pack_count; i++)
        if (k->packs[i].number == number)
            return &k->packs[i];
    return NULL;
}

/* With `whole` its packets are read, and the copy of its head, of which only reindex makes use. */
static int check_record(const struct open_pack *pack, const struct head_row *row, const uint8_t epoch[EPOCH_SIZE],
                        bool whole, bool *packets_are_good, struct error *e)
{
    struct pack_record record;
    uint8_t *head = NULL;
    *packets_are_good = false;
    int r = pack_read_record(pack->fd, row->offset, pack->size, &record, e);
    if (r)
        return r;
    if (record.seq != row->seq || memcmp(record.epoch, epoch, EPOCH_SIZE) != 0 || record.head_hash != row->hash ||
        record.body_length != row->body_length || record.body_hash != row->body_hash)
        return error_set(e, ERROR_CORRUPT, "the record at byte %llu belongs to another chunk",
                         (unsigned long long)row->offset);
    if (!whole)
        return 0;
    r = pack_check_body(pack->fd, &record, e);
    *packets_are_good = r == 0;
    if (r == 0)
        r = pack_read_head(pack->fd, &record, &head, e);
    free(head);
    return r;
}

static void check_body(struct partition_check *k, const struct head_row *row, const struct stream_sum *stream)
{
    char name[PACK_NAME_MAX], epoch[EPOCH_TEXT_SIZE];
    struct error why = ERROR_INIT;
    if (row->body != BODY_STORED || k->p->bodies_expired)
        return;
    k->c->report->bodies++;
    const struct open_pack *pack = pack_of(k, row->pack);
    if (pack && pack->fd < 0) /* said once, of the pack */
        return;
    bool packets_are_good = false;
    int r = pack ? check_record(pack, row, stream->epoch, k->c->bodies, &packets_are_good, &why)
                 : error_set(&why, ERROR_CORRUPT, "it is not known");
    if (r)
        check_say(k->c, "%s/%s: %s: %s of chunk %s.%llu %s", k->p->path, pack_name(row->pack, name), why.text,
                  packets_are_good ? "rows and packets" : "the packets", record_epoch_text(stream->epoch, epoch),
                  (unsigned long long)row->seq,
                  packets_are_good ? "are good, but reindex could not restore them" : "are lost, its rows are not");
}

/* ------------------------------------------------------------------ heads */

static int check_bytes(const struct head_row *row, const void *data, size_t len, const struct stream_sum *stream,
                       struct chunk_head *h, struct error *e)
{
    if (!data || len != row->length || hash64(data, len) != row->hash)
        return error_set(e, ERROR_CORRUPT, "its bytes are missing, cut or changed");
    int r = store_verify_head(data, len, h, e);
    if (r)
        return r;
    if (h->kind == row->kind && h->seq == row->seq && h->last_seq == row->last_seq && h->flow_rows == row->rows &&
        memcmp(h->epoch, stream->epoch, EPOCH_SIZE) == 0 && memcmp(&h->totals, &row->totals, sizeof(h->totals)) == 0)
        return 0;
    head_free(h);
    return error_set(e, ERROR_CORRUPT, "its row in the database says something else");
}

static void add_sum(struct stream_sum *s, const struct head_row *row)
{
    s->heads++;
    s->head_next = row->last_seq + 1 > s->head_next ? row->last_seq + 1 : s->head_next;
    s->chunks += row->kind == HEAD_CHUNK;
    s->rows += row->kind == HEAD_CHUNK ? row->rows : 0;
    s->head_bytes += row->length;
    s->bodies += row->body == BODY_STORED;
}

static int check_head(struct partition_check *k, const struct head_row *row, struct sql *data, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    struct error why = ERROR_INIT;
    struct chunk_head h;
    struct stream_sum *stream = row->stream < k->stream_count ? &k->streams[row->stream] : NULL;
    if (row->id != ++k->heads || !stream) {
        check_say(k->c, "%s: head %llu is out of place: reindex", db_path(k->db), (unsigned long long)row->id);
        k->heads = row->id;
        k->heads_damaged = true;
        return 0;
    }
    add_sum(stream, row);
    k->c->report->chunks += row->kind == HEAD_CHUNK;
    k->c->report->rows += row->rows;
    sql_u64(data, row->id);
    int r = sql_step(data, &why);
    size_t len = 0;
    const void *bytes = r > 0 ? sql_get_blob(data, 0, &len) : NULL;
    if (r >= 0)
        r = check_bytes(row, bytes, len, stream, &h, &why);
    if (r == ERROR_MEMORY)
        return error_set(e, r, "%s", why.text);
    if (r) {
        k->heads_damaged = true;
        check_say(k->c, "%s: chunk %s.%llu: %s: its rows are lost%s", db_path(k->db),
                  record_epoch_text(stream->epoch, epoch), (unsigned long long)row->seq, why.text,
                  row->body == BODY_STORED ? " until a reindex takes them from its pack" : "");
    } else {
        r = postings_add(k->postings, (uint32_t)row->id, (uint32_t)row->stream, &h, e);
        head_free(&h);
        if (r)
            return r;
    }
    check_body(k, row, stream);
    return 0;
}

static int check_heads(struct partition_check *k, struct error *e)
{
    struct sql heads = sql_start_own(k->db, PARTITION_HEAD_LIST);
    struct sql data = sql_start_own(k->db, PARTITION_HEAD_DATA);
    sql_u64(&heads, 0);
    sql_u64(&heads, 0);
    sql_u64(&heads, UINT64_MAX);
    int r;
    while ((r = sql_step(&heads, e)) > 0) {
        struct head_row row;
        head_row_read(&heads, &row);
        r = check_head(k, &row, &data, e);
        sql_again(&data);
        if (r)
            break;
    }
    sql_end(&data);
    sql_end(&heads);
    return r;
}

/* ------------------------------------------------------------------ streams */

static int load_streams(struct partition_check *k, struct error *e)
{
    struct sql q = sql_start_own(k->db, PARTITION_STREAM_LIST);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        struct portion portion;
        portion_read(&q, &portion);
        if (portion.id > UINT32_MAX)
            continue;
        struct stream_sum *more = realloc(k->streams, (portion.id + 1) * sizeof(*more));
        if (!more) {
            r = error_set(e, ERROR_MEMORY, "no memory to check streams");
            break;
        }
        k->streams = more;
        for (; k->stream_count <= portion.id; k->stream_count++)
            k->streams[k->stream_count] = (struct stream_sum){0};
        memcpy(k->streams[portion.id].epoch, portion.epoch, EPOCH_SIZE);
    }
    sql_end(&q);
    return r;
}

/* Items of a stream follow each other without holes, over partitions too. */
static int check_cursor(struct partition_check *k, const struct portion *p, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    if (!k->c->cursors)
        return 0;
    uint64_t *next = epoch_map_find(k->c->cursors, p->epoch);
    if (next && *next != p->first_seq && !p->restored)
        check_say(k->c, "%s: stream %s goes on with item %llu, but %llu is next: the items between are lost",
                  db_path(k->db), record_epoch_text(p->epoch, epoch), (unsigned long long)p->first_seq,
                  (unsigned long long)*next);
    int r = 0;
    if (!next) {
        next = malloc(sizeof(*next));
        r = next ? epoch_map_add(k->c->cursors, p->epoch, next, e)
                 : error_set(e, ERROR_MEMORY, "no memory to check streams");
    }
    if (!r)
        *next = p->head_next;
    return r;
}

static int check_stream(struct partition_check *k, const struct portion *p, struct error *e)
{
    char epoch[EPOCH_TEXT_SIZE];
    const struct stream_sum none = {0};
    const struct stream_sum *s = p->id < k->stream_count ? &k->streams[p->id] : &none;
    if (s->head_next != p->head_next || s->chunks != p->chunks || s->rows != p->rows ||
        s->head_bytes != p->head_bytes || s->bodies != p->bodies)
        check_say(k->c,
                  "%s: stream %s should have %llu chunks with %llu rows up to item %llu, but has %llu with %llu up to "
                  "%llu: reindex",
                  db_path(k->db), record_epoch_text(p->epoch, epoch), (unsigned long long)p->chunks,
                  (unsigned long long)p->rows, (unsigned long long)p->head_next, (unsigned long long)s->chunks,
                  (unsigned long long)s->rows, (unsigned long long)s->head_next);
    return check_cursor(k, p, e);
}

static int check_streams(struct partition_check *k, struct error *e)
{
    struct sql q = sql_start_own(k->db, PARTITION_STREAM_LIST);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        struct portion portion;
        portion_read(&q, &portion);
        r = check_stream(k, &portion, e);
        if (r)
            break;
    }
    sql_end(&q);
    return r;
}

/* ------------------------------------------------------------------ postings */

/* Walks the keys in memory beside those on disk: both in order. */
struct comparison {
    struct sql *disk;
    int more;
    uint64_t wrong;
    struct error *e;
};

static int compare_posting(void *context, const struct postings_key *key, const void *list, size_t len, struct error *e)
{
    struct comparison *m = context;
    size_t disk_len = 0, list_len = 0;
    if (m->more <= 0) {
        m->wrong++;
        return 0;
    }
    const void *disk = sql_get_blob(m->disk, 0, &disk_len);
    bool same = disk_len == key->len && memcmp(disk, key->bytes, disk_len) == 0;
    const void *disk_list = sql_get_blob(m->disk, 1, &list_len);
    if (!same || list_len != len || memcmp(disk_list, list, len) != 0)
        m->wrong++;
    m->more = sql_step(m->disk, e);
    return m->more < 0 ? m->more : 0;
}

static int check_postings(struct partition_check *k, struct error *e)
{
    static const struct postings_key first = {.len = 1, .bytes = {POSTINGS_ADDRESS}};
    static const struct postings_key last = {.len = 1, .bytes = {UINT8_MAX}};
    struct postings_key marker = postings_key_of(POSTINGS_MARKER, NULL, 0);
    struct sql q = sql_start_own(k->db, PARTITION_POSTING_RANGE);
    sql_blob(&q, marker.bytes, marker.len);
    sql_blob(&q, last.bytes, last.len);
    struct comparison m = {.disk = &q, .e = e};
    int r = sql_step(&q, e);
    size_t len = 0;
    const uint8_t *key = r > 0 ? sql_get_blob(&q, 0, &len) : NULL;
    /* Without marker the table is not in use. Postings of damaged heads cannot be made again. */
    if (r > 0 && len == 1 && key[0] == POSTINGS_MARKER && !k->heads_damaged) {
        r = m.more = sql_step(&q, e);
        if (r >= 0)
            r = postings_range(k->postings, &first, &last, true, compare_posting, &m, e);
        if (!r && (m.wrong || m.more > 0))
            check_say(k->c, "%s: the postings are not those of its rows: queries may miss flows until a reindex",
                      db_path(k->db));
    }
    sql_end(&q);
    return r < 0 ? r : 0;
}

/* ------------------------------------------------------------------ the partition */

static void say_integrity(void *context, const char *text)
{
    struct partition_check *k = context;
    check_say(k->c, "%s: %s: reindex", db_path(k->db), text);
}

/* Damage of the database ends the check of its content, not the check. */
static int check_content(struct partition_check *k, struct error *e)
{
    struct error why = ERROR_INIT;
    k->postings = postings_new();
    int r = k->postings ? db_integrity(k->db, say_integrity, k, &why)
                        : error_set(&why, ERROR_MEMORY, "no memory for postings");
    if (!r)
        r = open_packs(k, &why);
    if (!r)
        r = load_streams(k, &why);
    if (!r)
        r = check_heads(k, &why);
    if (!r)
        r = check_streams(k, &why);
    if (!r)
        r = check_postings(k, &why);
    if (r == ERROR_MEMORY)
        return error_set(e, r, "%s", why.text);
    if (r)
        check_say(k->c, "%s: what it holds cannot be read until a reindex", why.text);
    return 0;
}

int check_partition(struct checking *c, const struct partition *p, struct error *e)
{
    struct partition_check k = {.c = c, .p = p};
    struct error why = ERROR_INIT;
    c->report->partitions++;
    char *path = partition_database(p);
    int r = path ? db_open(path, DB_READ, &partition_kind, &k.db, &why)
                 : error_set(&why, ERROR_MEMORY, "no memory for a name");
    free(path);
    if (r == ERROR_MEMORY)
        return error_set(e, r, "%s", why.text);
    if (r) {
        check_say(c, "%s: what it holds cannot be read until a reindex", why.text);
        return 0;
    }
    r = check_content(&k, e);
    for (size_t i = 0; i < k.pack_count; i++)
        if (k.packs[i].fd >= 0)
            close(k.packs[i].fd);
    free(k.packs);
    free(k.streams);
    postings_free(k.postings);
    db_close(k.db);
    return r;
}
