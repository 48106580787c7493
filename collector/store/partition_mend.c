/*
 * A partition is made, or mended after a start: what was never committed is cut off, and what there is is counted.
 */
#include "collector/store/partition_impl.h"
#include "collector/store/store_impl.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ making */

int partition_open_folder(const struct partition *p, struct error *e)
{
    int fd = open(p->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(e, errno, "cannot open the folder %s", p->path);
    return fd;
}

int partition_open_database(struct partition *p, enum db_mode mode, struct error *e)
{
    char *path = partition_database(p);
    if (!path)
        return partition_no_memory(e);
    int r = db_open(path, mode, &partition_kind, &p->db, e);
    free(path);
    return r;
}

int partition_make(const struct store *s, struct partition *p, struct error *e)
{
    int sys = FAULT("partition.mkdir");
    if (sys || mkdirat(s->partitions_fd, p->name, 0750) != 0)
        return error_sys(e, sys ? sys : errno, "cannot make the folder %s", p->path);
    int fd = -1;
    int r = partition_open_database(p, DB_MAKE, e);
    if (!r)
        r = fd = partition_open_folder(p, e);
    if (fd >= 0) {
        r = fs_sync_dir(fd, "partition.sync", e);
        close(fd);
    }
    if (!r)
        r = fs_sync_dir(s->partitions_fd, "partition.sync-parent", e);
    if (r)
        partition_rest(p);
    return r;
}

/* ------------------------------------------------------------------ mending */

struct committed_pack {
    uint64_t number, end;
};

static int list_packs(struct partition *p, struct committed_pack **out, size_t *count, struct error *e)
{
    struct sql q = sql_start(p->db, PARTITION_PACK_LIST);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        struct committed_pack *more = realloc(*out, (*count + 1) * sizeof(**out));
        if (!more) {
            r = partition_no_memory(e);
            break;
        }
        *out = more;
        more[(*count)++] = (struct committed_pack){sql_get_u64(&q, 0), sql_get_u64(&q, 1)};
    }
    sql_end(&q);
    return r;
}

/* A pack that is shorter than its committed end is damage, which check reports: here it must not stop the start. */
static int cut_pack(struct partition *p, int dirfd, const struct committed_pack *pack, struct error *e)
{
    char name[PACK_NAME_MAX];
    struct stat st;
    int fd = openat(dirfd, pack_name(pack->number, name), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_size < pack->end) {
        if (!p->bodies_expired)
            log_error("store: the pack %s/%s is missing or cut: run check", p->path, name);
        if (fd >= 0)
            close(fd);
        return 0;
    }
    int r = 0;
    if ((uint64_t)st.st_size > pack->end) {
        int sys = FAULT("pack.cut");
        if (sys || ftruncate(fd, (off_t)pack->end) != 0)
            r = error_sys(e, sys ? sys : errno, "cannot cut the pack %s/%s at its committed end", p->path, name);
        if (!r)
            r = fs_sync(fd, "pack.cut.sync", e);
    }
    close(fd);
    return r;
}

static bool is_committed(uint64_t number, const struct committed_pack *packs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (packs[i].number == number)
            return true;
    return false;
}

/* Packs that no transaction ever named hold nothing that was acknowledged. */
static int remove_strangers(int dirfd, const struct committed_pack *packs, size_t count, struct error *e)
{
    DIR *dir = fs_list(dirfd);
    if (!dir)
        return error_sys(e, errno, "cannot list a partition");
    int r = 0;
    for (struct dirent *entry; !r && (entry = readdir(dir));) {
        uint64_t number = pack_number(entry->d_name);
        if (number && !is_committed(number, packs, count))
            r = fs_unlink(dirfd, entry->d_name, "pack.remove", e);
    }
    closedir(dir);
    return r;
}

int partition_trim(struct partition *p, struct error *e)
{
    struct committed_pack *packs = NULL;
    size_t count = 0;
    int fd = partition_open_folder(p, e);
    if (fd < 0)
        return fd;
    int r = list_packs(p, &packs, &count, e);
    for (size_t i = 0; !r && i < count; i++) {
        r = cut_pack(p, fd, &packs[i], e);
        if (packs[i].number >= p->next_pack)
            p->next_pack = packs[i].number + 1;
    }
    if (!r)
        r = remove_strangers(fd, packs, count, e);
    free(packs);
    close(fd);
    return r;
}

static void add_portion(struct partition_sums *sums, const struct portion *portion)
{
    sums->chunks += portion->chunks;
    sums->rows += portion->rows;
    sums->packets += portion->packets;
    sums->head_bytes += portion->head_bytes;
    sums->body_bytes += portion->body_bytes;
    sums->bodies += portion->bodies;
}

static int count_sums(struct partition *p, struct partition_sums *sums, struct error *e)
{
    partition_sums_clear(sums);
    struct sql q = sql_start(p->db, PARTITION_STREAM_LIST);
    int r;
    while ((r = sql_step(&q, e)) > 0) {
        struct portion portion;
        portion_read(&q, &portion);
        add_portion(sums, &portion);
    }
    sql_end(&q);
    if (r)
        return r;
    q = sql_start(p->db, PARTITION_HEAD_LAST);
    r = sql_step(&q, e);
    if (r > 0 && !sql_get_null(&q, 0)) {
        sums->heads = sql_get_u64(&q, 0);
        sums->since_ns = sql_get_u64(&q, 1);
        sums->until_ns = sql_get_u64(&q, 2);
        sums->last_arrived_ns = sql_get_u64(&q, 3);
    }
    sql_end(&q);
    return r < 0 ? r : 0;
}

static int find_marker(struct partition *p, struct error *e)
{
    struct postings_key key = postings_key_of(POSTINGS_MARKER, NULL, 0);
    struct sql q = sql_start(p->db, PARTITION_POSTING_RANGE);
    sql_blob(&q, key.bytes, key.len);
    sql_blob(&q, key.bytes, key.len);
    int r = sql_step(&q, e);
    p->postings_on_disk = r > 0;
    sql_end(&q);
    return r < 0 ? r : 0;
}

int partition_mend(struct partition *p, struct error *e)
{
    int r = partition_open_database(p, DB_WRITE, e);
    if (!r) /* what is in the WAL may be in the page cache alone: copied and synced, it can be promised */
        r = db_checkpoint(p->db, e);
    if (!r)
        r = partition_trim(p, e);
    if (!r)
        r = count_sums(p, &p->sums, e);
    if (!r)
        r = find_marker(p, e);
    p->sums.database_bytes = partition_database_bytes(p);
    if (r)
        partition_rest(p);
    return r;
}
