/*
 * Opening and closing. A start repeats or undoes what a crash interrupted:
 *   catalog.db.new*          a catalog that was never finished: removed
 *   partition MAKING         a folder that may be half made: to the trash
 *   partition DROPPING       its move to the trash is repeated
 *   bodies expired           packs that are still there are removed
 *   partition not settled    its WAL is applied and synced, its packs are cut (partition_mend)
 *   trash/                   emptied
 */
#include "collector/store/store_impl.h"

#include "common/base/fs.h"
#include "common/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CATALOG_NEW CATALOG_NAME ".new"
#define FOLDER_MODE 0750

char *store_path(const struct store *s, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", s->path, name) < 0 ? NULL : path;
}

static int open_folder(const struct store *s, const char *name, struct error *e)
{
    char *path = store_path(s, name);
    int fd = path ? fs_open_dir(path, FOLDER_MODE, e) : error_set(e, ERROR_MEMORY, "no memory for a name");
    free(path);
    return fd;
}

/* What a store may find in a folder that it makes its own. */
static bool is_own(const char *name)
{
    static const char *const names[] = {".", "..", "lost+found", "lock", "trash", "tls"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Nothing is written where something else than a store is. */
static int check_folder(const char *path, bool make, struct error *e)
{
    DIR *dir = opendir(path);
    if (!dir)
        return make && errno == ENOENT ? 0 : error_sys(e, errno, "cannot open the store %s", path);
    bool store = false, strange = false;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, "partitions") == 0 || strncmp(entry->d_name, CATALOG_NAME, strlen(CATALOG_NAME)) == 0)
            store = true;
        else if (!is_own(entry->d_name))
            strange = true;
    closedir(dir);
    if (store || (make && !strange))
        return 0;
    return make ? error_set(e, ERROR_INVALID, "%s holds other things and no store: give the store a folder of its own",
                            path)
                : error_set(e, ERROR_NOT_FOUND, "%s holds no store: neither catalog.db nor partitions/ is there", path);
}

int store_enter(struct store *s, const char *path, bool make, struct error *e)
{
    s->dirfd = s->partitions_fd = s->trash_fd = s->lock_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    int r = check_folder(path, make, e);
    if (r)
        return r;
    r = s->dirfd = fs_open_dir(path, FOLDER_MODE, e);
    if (r < 0)
        return r;
    s->path = realpath(path, NULL);
    if (!s->path)
        return error_sys(e, errno, "cannot resolve %s", path);
    if ((r = s->lock_fd = fs_lock(s->dirfd, "lock", e)) < 0 ||
        (r = s->partitions_fd = open_folder(s, "partitions", e)) < 0 ||
        (r = s->trash_fd = open_folder(s, "trash", e)) < 0)
        return r;
    return 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void store_leave(struct store *s)
{
    stream_forget_all(s);
    for (size_t i = 0; i < s->partition_count; i++)
        partition_unref(s->partitions[i]);
    free(s->partitions);
    db_close(s->catalog);
    close_fd(s->trash_fd);
    close_fd(s->partitions_fd);
    close_fd(s->lock_fd);
    close_fd(s->dirfd);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
}

/* ------------------------------------------------------------------ the list of partitions */

static bool is_before(const struct partition *a, const struct partition *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->id < b->id;
}

int store_add_partition(struct store *s, struct partition *p, struct error *e)
{
    pthread_mutex_lock(&s->lock);
    if (s->partition_count == s->partition_size) {
        size_t size = s->partition_size ? 2 * s->partition_size : 64;
        struct partition **more = realloc(s->partitions, size * sizeof(*more));
        if (!more) {
            pthread_mutex_unlock(&s->lock);
            return error_set(e, ERROR_MEMORY, "no memory for %zu partitions", size);
        }
        s->partitions = more;
        s->partition_size = size;
    }
    size_t at = s->partition_count++;
    for (; at > 0 && is_before(p, s->partitions[at - 1]); at--)
        s->partitions[at] = s->partitions[at - 1];
    s->partitions[at] = p;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

void store_remove_partition(struct store *s, struct partition *p)
{
    pthread_mutex_lock(&s->lock);
    size_t at = 0;
    while (at < s->partition_count && s->partitions[at] != p)
        at++;
    if (at < s->partition_count) {
        s->partition_count--;
        memmove(&s->partitions[at], &s->partitions[at + 1], (s->partition_count - at) * sizeof(struct partition *));
    }
    pthread_mutex_unlock(&s->lock);
    partition_unref(p);
}

int store_hold_partitions(struct store *s, struct partition_view **out, size_t *count, struct error *e)
{
    pthread_mutex_lock(&s->lock);
    struct partition_view *views = malloc((s->partition_count + 1) * sizeof(*views));
    for (size_t i = 0; views && i < s->partition_count; i++) {
        struct partition *p = s->partitions[i];
        views[i] = (struct partition_view){p, p->state, p->settled, p->bodies_expired, p->sums};
        partition_ref(p);
    }
    *count = views ? s->partition_count : 0;
    pthread_mutex_unlock(&s->lock);
    *out = views;
    return views ? 0 : error_set(e, ERROR_MEMORY, "no memory for partitions");
}

void store_release_partitions(struct partition_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++)
        partition_unref(views[i].p);
    free(views);
}

/* ------------------------------------------------------------------ the catalog */

static int remove_unfinished(const struct store *s, struct error *e)
{
    static const char *const names[] = {CATALOG_NEW, CATALOG_NEW "-wal", CATALOG_NEW "-shm", CATALOG_NEW "-journal"};
    int r = 0;
    for (size_t i = 0; !r && i < sizeof(names) / sizeof(*names); i++)
        r = fs_unlink(s->dirfd, names[i], NULL, e);
    return r;
}

int store_make_catalog(struct store *s, struct error *e)
{
    struct db *db = NULL;
    char *path = store_path(s, CATALOG_NEW);
    int r = path ? remove_unfinished(s, e) : error_set(e, ERROR_MEMORY, "no memory for a name");
    if (!r)
        r = db_open(path, DB_MAKE, &catalog_kind, &db, e);
    db_close(db);
    free(path);
    if (!r)
        r = fs_rename(s->dirfd, CATALOG_NEW, CATALOG_NAME, "catalog.rename", e);
    return r ? r : fs_sync_dir(s->dirfd, "catalog.sync-dir", e);
}

static bool is_empty(int dirfd)
{
    DIR *dir = fs_list(dirfd);
    int found = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        found += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return found == 0;
}

static int open_catalog(struct store *s, struct error *e)
{
    int r = 0;
    if (faccessat(s->dirfd, CATALOG_NAME, F_OK, 0) != 0) {
        if (!is_empty(s->partitions_fd))
            return error_set(e, ERROR_CORRUPT,
                             "%s has partitions, but its catalog.db is missing: reindex makes a new one", s->path);
        r = store_make_catalog(s, e);
    }
    if (!r)
        r = catalog_open(s, DB_WRITE, &s->catalog, e);
    if (!r) /* what the last process left in the WAL may be in the page cache alone */
        r = db_checkpoint(s->catalog, e);
    if (!r)
        r = catalog_get_meta(s->catalog, "expired_chunks", &s->expired_chunks, e);
    if (!r)
        r = catalog_get_meta(s->catalog, "expired_bytes", &s->expired_bytes, e);
    if (!r)
        r = catalog_get_meta(s->catalog, "lost_cursors", &s->lost_cursors, e);
    return r;
}

/* ------------------------------------------------------------------ start */

/* Either is listed: what is on its way out is taken out by finish_drops. */
static int load_partition(void *context, struct partition *p, struct error *e)
{
    int r = store_add_partition(context, p, e);
    if (r)
        partition_unref(p);
    return r;
}

static int finish_drops(struct store *s, struct error *e)
{
    int r = 0;
    for (size_t i = s->partition_count; !r && i-- > 0;) {
        struct partition *p = s->partitions[i];
        if (p->state == PARTITION_OPEN || p->state == PARTITION_CLOSED)
            continue;
        r = store_trash(s, p, e);
        store_remove_partition(s, p);
    }
    return r;
}

/* What a damaged partition costs is not known before a reindex: to go on without it could store again what was acknowledged. */
static int mend_partitions(struct store *s, struct error *e)
{
    for (size_t i = 0; i < s->partition_count; i++) {
        struct partition *p = s->partitions[i];
        int r = p->bodies_expired ? store_remove_packs(p, e) : 0;
        if (!r && !p->settled)
            r = partition_mend(p, e);
        if (r == ERROR_CORRUPT || r == ERROR_NOT_FOUND)
            error_prefix(e, "the partition %s cannot be used (reindex makes it anew from its packs)", p->name);
        if (r)
            return r;
        if (p->state == PARTITION_OPEN && !p->postings_on_disk)
            s->open = p;
        if (p != s->open)
            partition_rest(p);
    }
    return 0;
}

int store_open(const struct store_config *config, struct store **out, struct error *e)
{
    struct error why = ERROR_INIT;
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set(e, ERROR_MEMORY, "no memory for a store");
    s->config = *config;
    if (!s->config.partition_ns)
        s->config.partition_ns = UINT64_C(3600) * 1000000000;
    int r = store_enter(s, config->path, true, &why);
    s->config.path = s->path;
    if (!r)
        r = open_catalog(s, &why);
    if (!r)
        r = catalog_each_partition(s->catalog, s, load_partition, s, &why);
    if (!r)
        r = finish_drops(s, &why);
    if (!r)
        r = store_empty_trash(s, &why);
    if (!r)
        r = mend_partitions(s, &why);
    if (r) {
        if (e)
            *e = why;
        store_close(s);
        return r;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_leave(s);
    free(s);
}
