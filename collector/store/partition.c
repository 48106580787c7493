/*
 * The writer's side of a partition. Order of a commit: bodies and their heads are appended to the pack, the pack is synced, and only then does the
 * transaction with their places commit. What can go wrong, and what then holds:
 *   - before the sync: the transaction is rolled back, and the pack's tail, which was never promised, is cut off at once: on a full disk its room is what
 *     the next try needs. After a crash the next start cuts it.
 *   - the sync fails: the kernel may have dropped what it could not write, so the file is never appended to again.
 *   - the commit fails: SQLite may have written frames of it to the WAL, which a restart could take for committed. So the pack's tail stays as it is
 *     (another pack is begun), and the WAL is emptied by a full checkpoint before the next write.
 */
#include "collector/store/partition_impl.h"
#include "collector/store/store_impl.h"
#include "common/base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DATABASE "flows.db"

int partition_no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for a partition");
}

int partition_new(const struct store *s, uint64_t id, uint64_t rank, const char *name, uint64_t begin_ns,
                  uint64_t end_ns, struct partition **out, struct error *e)
{
    struct partition *p = calloc(1, sizeof(*p));
    if (!p)
        return partition_no_memory(e);
    p->id = id;
    p->rank = rank;
    p->begin_ns = begin_ns;
    p->end_ns = end_ns;
    p->state = PARTITION_MAKING;
    p->next_pack = 1;
    snprintf(p->name, sizeof(p->name), "%s", name);
    partition_sums_clear(&p->sums);
    pthread_mutex_init(&p->postings_lock, NULL);
    atomic_init(&p->references, 1);
    if (asprintf(&p->path, "%s/partitions/%s", s->path, p->name) < 0) {
        p->path = NULL;
        partition_unref(p);
        return partition_no_memory(e);
    }
    *out = p;
    return 0;
}

void partition_ref(struct partition *p)
{
    atomic_fetch_add(&p->references, 1);
}

static void release_portion(void *portion)
{
    portion_free(portion);
}

void partition_unref(struct partition *p)
{
    if (!p || atomic_fetch_sub(&p->references, 1) != 1)
        return;
    partition_rest(p);
    postings_free(p->postings);
    pthread_mutex_destroy(&p->postings_lock);
    free(p->path);
    free(p);
}

char *partition_database(const struct partition *p)
{
    char *path;
    return asprintf(&path, "%s/" DATABASE, p->path) < 0 ? NULL : path;
}

void partition_name(uint64_t id, uint64_t begin_ns, char buf[PARTITION_NAME_MAX])
{
    time_t seconds = (time_t)(begin_ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(buf, PARTITION_NAME_MAX, "%Y%m%dT%H", &tm);
    snprintf(buf + len, PARTITION_NAME_MAX - len, "-%06llu", (unsigned long long)id);
}

bool partition_parse_name(const char *name, uint64_t *id, uint64_t *begin_ns)
{
    char again[PARTITION_NAME_MAX];
    struct tm tm = {0};
    const char *dash = strptime(name, "%Y%m%dT%H", &tm);
    if (!dash || *dash != '-')
        return false;
    *id = strtoull(dash + 1, NULL, 10);
    *begin_ns = (uint64_t)timegm(&tm) * NS_PER_S;
    partition_name(*id, *begin_ns, again);
    return *id != 0 && strcmp(again, name) == 0;
}

/* ------------------------------------------------------------------ writing */

int partition_writable(struct partition *p, struct error *e)
{
    int r = p->db ? 0 : partition_open_database(p, DB_WRITE, e);
    if (!r && p->must_mend) {
        r = db_checkpoint(p->db, e);
        p->must_mend = r != 0;
    }
    p->used = true;
    return r;
}

int partition_touch(struct partition *p, struct error *e)
{
    int r = partition_writable(p, e);
    if (r || p->in_transaction)
        return r;
    p->staged = p->sums;
    r = db_begin(p->db, e);
    p->in_transaction = r == 0;
    return r;
}

int partition_portion(struct partition *p, const uint8_t epoch[EPOCH_SIZE], struct portion **out, struct error *e)
{
    *out = epoch_map_find(&p->portions, epoch);
    if (*out)
        return 0;
    struct sql q = sql_start(p->db, PARTITION_STREAM_FIND);
    sql_blob(&q, epoch, EPOCH_SIZE);
    int r = sql_step(&q, e);
    if (r > 0) {
        struct portion *portion = malloc(sizeof(*portion));
        if (portion)
            portion_read(&q, portion);
        r = portion ? portion_keep(portion, e) : partition_no_memory(e);
        if (!r)
            r = epoch_map_add(&p->portions, epoch, portion, e);
        if (r)
            portion_free(portion);
        else
            *out = portion;
    }
    sql_end(&q);
    return r;
}

static int put_portion(struct partition *p, struct portion *portion, struct buffer *scratch, struct error *e)
{
    struct sql q = sql_start(p->db, portion->id ? PARTITION_STREAM_UPDATE : PARTITION_STREAM_PUT);
    portion_bind(&q, portion, scratch);
    if (portion->id)
        sql_u64(&q, portion->id);
    portion->changed = false;
    return sql_run(&q, e);
}

int partition_add_portion(struct partition *p, struct portion *portion, struct error *e)
{
    struct buffer scratch = {0};
    int r = epoch_map_add(&p->portions, portion->epoch, portion, e);
    if (r) {
        portion_free(portion);
        return r;
    }
    r = put_portion(p, portion, &scratch, e);
    buffer_free(&scratch);
    if (!r)
        portion->id = db_last_id(p->db);
    return r;
}

int partition_portion_for(struct partition *p, const struct chunk_head *h, const uint8_t *install, struct portion **out,
                          struct error *e)
{
    int r = partition_portion(p, h->epoch, out, e);
    if (r || *out)
        return r;
    *out = portion_new(h, install);
    return *out ? partition_add_portion(p, *out, e) : error_set(e, ERROR_MEMORY, "no memory for a stream");
}

int partition_insert_head(struct partition *p, struct head_row *row, const void *data, struct error *e)
{
    struct buffer scratch = {0};
    struct sql q = sql_start(p->db, PARTITION_HEAD_PUT);
    head_row_bind(&q, row, &scratch);
    int r = sql_run(&q, e);
    buffer_free(&scratch);
    if (r)
        return r;
    row->id = db_last_id(p->db);
    if (row->id > UINT32_MAX)
        return error_set(e, ERROR_LIMIT, "%s holds too many heads", p->path);
    q = sql_start(p->db, PARTITION_HEAD_DATA_PUT);
    sql_u64(&q, row->id);
    sql_blob(&q, data, row->length);
    return sql_run(&q, e);
}

int partition_update_head(struct partition *p, uint64_t head, enum body_state state, unsigned gap, uint64_t pack,
                          uint64_t offset, struct error *e)
{
    struct sql q = sql_start(p->db, PARTITION_HEAD_BODY);
    sql_u64(&q, state);
    sql_u64(&q, gap);
    if (pack) {
        sql_u64(&q, pack);
        sql_u64(&q, offset);
    } else {
        sql_null(&q);
        sql_null(&q);
    }
    sql_u64(&q, head);
    return sql_run(&q, e);
}

/* Numbers of abandoned packs that no transaction named are taken by files still: the next free one is looked for. */
static int begin_pack(struct partition *p, uint64_t now_ns, struct error *e)
{
    int fd = partition_open_folder(p, e);
    if (fd < 0)
        return fd;
    int r;
    do
        r = pack_make(fd, p->id, p->next_pack++, now_ns, &p->pack, e);
    while (r == ERROR_EXISTS);
    close(fd);
    return r;
}

int partition_pack(struct partition *p, uint64_t size, uint64_t now_ns, struct pack **out, struct error *e)
{
    int r = 0;
    if (p->pack && p->pack->end > PACK_HEADER_SIZE && p->pack->end + size > PACK_BYTES_MAX) {
        if (p->pack->end != p->pack->committed) { /* of this group: it is finished now */
            r = pack_sync(p->pack, e);
            if (!r)
                r = partition_flush(p, e);
        }
        if (r)
            return r;
        pack_close(p->pack);
        p->pack = NULL;
    }
    if (!p->pack)
        r = begin_pack(p, now_ns, e);
    *out = p->pack;
    return r;
}

int partition_flush(struct partition *p, struct error *e)
{
    struct buffer scratch = {0};
    int r = 0;
    size_t at = 0;
    for (struct portion *portion; !r && (portion = epoch_map_next(&p->portions, &at));)
        if (portion->changed)
            r = put_portion(p, portion, &scratch, e);
    buffer_free(&scratch);
    if (r || !p->pack || p->pack->end == p->pack->committed)
        return r;
    struct sql q = sql_start(p->db, PARTITION_PACK_PUT);
    sql_u64(&q, p->pack->number);
    sql_u64(&q, p->pack->end);
    return sql_run(&q, e);
}

int partition_sync(struct partition *p, struct error *e)
{
    p->sealing = true;
    return p->pack && p->pack->end != p->pack->committed ? pack_sync(p->pack, e) : 0;
}

int partition_commit(struct partition *p, struct error *e)
{
    int r = db_commit(p->db, e);
    if (r)
        return r;
    p->in_transaction = false;
    p->sealing = false;
    if (p->pack)
        p->pack->committed = p->pack->end;
    return 0;
}

void partition_abandon(struct partition *p)
{
    if (!p->in_transaction)
        return;
    db_rollback(p->db);
    p->in_transaction = false;
    p->must_mend = true;
    epoch_map_clear(&p->portions, release_portion);
    if (p->sealing || (p->pack && pack_cut_back(p->pack, NULL) != 0)) {
        pack_close(p->pack);
        p->pack = NULL;
    }
    p->sealing = false;
}

void partition_rest(struct partition *p)
{
    epoch_map_clear(&p->portions, release_portion);
    pack_close(p->pack);
    p->pack = NULL;
    db_close(p->db);
    p->db = NULL;
}

uint64_t partition_disk_bytes(const struct partition *p)
{
    uint64_t bytes = 0;
    DIR *dir = opendir(p->path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    }
    if (dir)
        closedir(dir);
    return bytes;
}

uint64_t partition_database_bytes(const struct partition *p)
{
    static const char *const names[] = {DATABASE, DATABASE "-wal"};
    uint64_t bytes = 0;
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", p->path, names[i]);
        if (stat(path, &st) == 0)
            bytes += (uint64_t)st.st_size;
    }
    return bytes;
}

/* ------------------------------------------------------------------ postings in memory */

static int index_head(struct postings *postings, const struct sql *row, struct sql *data, struct error *e)
{
    struct head_row head;
    struct chunk_head h;
    head_row_read(row, &head);
    sql_u64(data, head.id);
    int r = sql_step(data, e);
    if (r < 0)
        return r;
    size_t len = 0;
    const void *bytes = r > 0 ? sql_get_blob(data, 0, &len) : NULL;
    if (bytes && head_decode(bytes, len, &h, NULL) == 0) {
        r = postings_add(postings, (uint32_t)head.id, (uint32_t)head.stream, &h, e);
        head_free(&h);
    } else {
        r = postings_add_unknown(postings, (uint32_t)head.id, (uint32_t)head.stream, e);
    }
    sql_again(data);
    return r;
}

int partition_index(struct partition *p, struct db *db, struct error *e)
{
    if (!p->postings)
        p->postings = postings_new();
    if (!p->postings)
        return error_set(e, ERROR_MEMORY, "no memory for postings");
    struct sql heads = sql_start_own(db, PARTITION_HEAD_LIST);
    struct sql data = sql_start_own(db, PARTITION_HEAD_DATA);
    sql_u64(&heads, (uint64_t)postings_last(p->postings) + 1);
    sql_u64(&heads, 0);
    sql_u64(&heads, UINT64_MAX);
    int r;
    while ((r = sql_step(&heads, e)) > 0) {
        r = index_head(p->postings, &heads, &data, e);
        if (r)
            break;
    }
    sql_end(&data);
    sql_end(&heads);
    return r;
}
