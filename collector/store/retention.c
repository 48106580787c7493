/*
 * What is due now and then: closing, settling, retention. Each step that fails is said and left for the next time; the others go on, so that one damaged
 * partition does not fill the disk.
 *
 * Bodies go before rows, old before young. The open partition is never dropped, but it is closed early when it holds more than a share of a limit, so
 * that limits are kept to about that share.
 */
#include "collector/store/store_impl.h"

#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLOSE_SHARE       16u        /* of a limit: an open partition with more is closed */
#define CLOSE_GRACE_SHARE 64u        /* of its length: so much later than its end it is closed */
#define HEADS_MAX         (1u << 20) /* in a partition */
#define STREAMS_KEPT_MAX  65536u     /* in memory between two maintenances */

/* Remembers the first failure, says each. */
static void note(int r, const struct error *why, const char *what, const struct partition *p, int *first,
                 struct error *e)
{
    if (!r)
        return;
    log_error("store: %s the partition %s: %s", what, p->name, why->text);
    if (!*first) {
        *first = r;
        if (e)
            *e = *why;
    }
}

/* ------------------------------------------------------------------ trash */

int store_empty_trash(struct store *s, struct error *e)
{
    DIR *dir = fs_list(s->trash_fd);
    if (!dir)
        return error_sys(e, errno, "cannot list the trash of %s", s->path);
    int r = 0;
    for (struct dirent *entry; !r && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = fs_remove_tree(s->trash_fd, entry->d_name, e);
    closedir(dir);
    return r;
}

static int move_to_trash(const struct store *s, const struct partition *p, struct error *e)
{
    int sys = FAULT("trash.rename");
    if (!sys && renameat(s->partitions_fd, p->name, s->trash_fd, p->name) != 0 && errno != ENOENT)
        sys = errno;
    if (!sys)
        sys = FAULT("trash.rename.done");
    if (sys)
        return error_sys(e, sys, "cannot move the partition %s to the trash", p->name);
    int r = fs_sync_dir(s->trash_fd, "trash.sync", e);
    return r ? r : fs_sync_dir(s->partitions_fd, "trash.sync-partitions", e);
}

int store_trash(struct store *s, const struct partition *p, struct error *e)
{
    int r = move_to_trash(s, p, e);
    if (!r)
        r = fs_remove_tree(s->trash_fd, p->name, e);
    return r ? r : catalog_remove_partition(s->catalog, p, e);
}

/* ------------------------------------------------------------------ dropping */

static uint64_t body_bytes(const struct partition *p)
{
    return p->bodies_expired ? 0 : p->sums.body_bytes;
}

static int record_drop(struct store *s, const struct partition *p, struct error *e)
{
    int r = db_begin(s->catalog, e);
    if (r)
        return r;
    r = catalog_keep_cursors(s->catalog, p, e);
    if (!r)
        r = catalog_set_state(s->catalog, p, PARTITION_DROPPING, e);
    if (!r)
        r = catalog_add_meta(s->catalog, "expired_chunks", p->sums.chunks, e);
    if (!r)
        r = catalog_add_meta(s->catalog, "expired_bytes", p->sums.head_bytes + body_bytes(p), e);
    if (!r)
        r = db_commit(s->catalog, e);
    if (r)
        db_rollback(s->catalog);
    return r;
}

int store_drop_partition(struct store *s, struct partition *p, struct error *e)
{
    struct error why = ERROR_INIT;
    if (p->state == PARTITION_OPEN && store_close_partition(s, p, &why) != 0)
        log_error("store: the partition %s is dropped although its streams' cursors cannot be read: %s", p->name,
                  why.text);
    int r = record_drop(s, p, e);
    if (r)
        return r;
    pthread_mutex_lock(&s->lock);
    s->expired_chunks += p->sums.chunks;
    s->expired_bytes += p->sums.head_bytes + body_bytes(p);
    p->state = PARTITION_DROPPING;
    pthread_mutex_unlock(&s->lock);
    stream_forget_all(s); /* they may wait for bodies of this partition: that is over */
    partition_ref(p);
    store_remove_partition(s, p);
    partition_rest(p);
    r = store_trash(s, p, e);
    partition_unref(p);
    return r;
}

int store_remove_packs(const struct partition *p, struct error *e)
{
    DIR *dir = opendir(p->path);
    if (!dir)
        return error_sys(e, errno, "cannot list the partition %s", p->path);
    int r = 0;
    for (struct dirent *entry; !r && (entry = readdir(dir));)
        if (pack_number(entry->d_name))
            r = fs_unlink(dirfd(dir), entry->d_name, "pack.remove", e);
    closedir(dir);
    return r;
}

static int record_expiry(struct store *s, const struct partition *p, struct error *e)
{
    int r = db_begin(s->catalog, e);
    if (r)
        return r;
    r = catalog_update(s->catalog, p, p->state, p->settled, true, &p->sums, e);
    if (!r)
        r = catalog_add_meta(s->catalog, "expired_bytes", p->sums.body_bytes, e);
    if (!r)
        r = db_commit(s->catalog, e);
    if (r)
        db_rollback(s->catalog);
    return r;
}

static int expire_bodies(struct store *s, struct partition *p, struct error *e)
{
    int r = record_expiry(s, p, e);
    if (r)
        return r;
    pthread_mutex_lock(&s->lock);
    s->expired_bytes += p->sums.body_bytes;
    p->bodies_expired = true;
    pthread_mutex_unlock(&s->lock);
    pack_close(p->pack);
    p->pack = NULL;
    return store_remove_packs(p, e);
}

/* ------------------------------------------------------------------ what is due */

static bool is_past_share(uint64_t bytes, uint64_t limit)
{
    return limit && bytes > limit / CLOSE_SHARE;
}

static bool is_over(const struct store *s, const struct partition *p, uint64_t now_ns)
{
    if (p != s->open)
        return true;
    if (p->end_ns + s->config.partition_ns / CLOSE_GRACE_SHARE <= now_ns)
        return true;
    return is_past_share(p->disk_bytes, s->config.retain_bytes) ||
           is_past_share(body_bytes(p), s->config.retain_body_bytes) || p->sums.heads > HEADS_MAX ||
           p->posting_keys > POSTINGS_KEYS_MAX / 2;
}

/* Postings grow with what arrives, so that closing has little left to do. */
static int index_open(struct partition *p, struct error *e)
{
    int r = partition_writable(p, e);
    pthread_mutex_lock(&p->postings_lock);
    if (!r)
        r = partition_index(p, p->db, e);
    p->posting_keys = p->postings ? postings_keys(p->postings) : 0;
    pthread_mutex_unlock(&p->postings_lock);
    return r;
}

static void advance(struct store *s, struct partition *p, uint64_t now_ns, int *first, struct error *e)
{
    struct error why = ERROR_INIT;
    if (!p->settled || !p->disk_bytes)
        p->disk_bytes = partition_disk_bytes(p);
    if (p->state == PARTITION_OPEN && p == s->open)
        note(index_open(p, &why), &why, "cannot index", p, first, e);
    if (p->state == PARTITION_OPEN && is_over(s, p, now_ns))
        note(store_close_partition(s, p, &why), &why, "cannot close", p, first, e);
    if (p->state == PARTITION_CLOSED && !p->settled)
        note(store_settle_partition(s, p, &why), &why, "cannot settle", p, first, e);
}

static struct partition *oldest(struct store *s, bool with_bodies)
{
    for (size_t i = 0; i < s->partition_count; i++)
        if (s->partitions[i] != s->open && (!with_bodies || body_bytes(s->partitions[i])))
            return s->partitions[i];
    return NULL;
}

static bool is_too_old(const struct store *s, const struct partition *p, uint64_t now_ns)
{
    uint64_t last_ns = p->sums.heads ? p->sums.last_arrived_ns : p->begin_ns;
    return s->config.retain_age_ns && last_ns < now_ns && now_ns - last_ns > s->config.retain_age_ns;
}

static void drop_old(struct store *s, uint64_t now_ns, int *first, struct error *e)
{
    for (size_t i = 0; i < s->partition_count;) {
        struct error why = ERROR_INIT;
        struct partition *p = s->partitions[i];
        size_t count = s->partition_count;
        if (p != s->open && (!p->sums.heads || is_too_old(s, p, now_ns))) {
            partition_ref(p);
            note(store_drop_partition(s, p, &why), &why, "cannot drop", p, first, e);
            partition_unref(p);
        }
        i += s->partition_count == count;
    }
}

static void expire_large(struct store *s, int *first, struct error *e)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->partition_count; i++)
        bytes += body_bytes(s->partitions[i]);
    while (s->config.retain_body_bytes && bytes > s->config.retain_body_bytes) {
        struct error why = ERROR_INIT;
        struct partition *p = oldest(s, true);
        if (!p)
            return;
        bytes -= body_bytes(p);
        int r = expire_bodies(s, p, &why);
        p->disk_bytes = partition_disk_bytes(p);
        note(r, &why, "cannot remove the packs of", p, first, e);
        if (r)
            return;
    }
}

static void drop_large(struct store *s, int *first, struct error *e)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->partition_count; i++)
        bytes += s->partitions[i]->disk_bytes;
    while (s->config.retain_bytes && bytes > s->config.retain_bytes) {
        struct error why = ERROR_INIT;
        struct partition *p = oldest(s, false);
        if (!p)
            return;
        bytes -= p->disk_bytes;
        partition_ref(p);
        int r = store_drop_partition(s, p, &why);
        note(r, &why, "cannot drop", p, first, e);
        partition_unref(p);
        if (r)
            return;
    }
}

/* Connections that nothing used since the last time are closed. */
static void rest_idle(struct store *s)
{
    for (size_t i = 0; i < s->partition_count; i++) {
        struct partition *p = s->partitions[i];
        if (p != s->open && p->db && !p->used)
            partition_rest(p);
        p->used = false;
    }
    if (s->streams.count > STREAMS_KEPT_MAX)
        stream_forget_all(s);
}

int store_maintain(struct store *s, uint64_t now_ns, struct error *e)
{
    int first = 0;
    for (size_t i = 0; i < s->partition_count; i++)
        advance(s, s->partitions[i], now_ns, &first, e);
    drop_old(s, now_ns, &first, e);
    expire_large(s, &first, e);
    drop_large(s, &first, e);
    rest_idle(s);
    return first;
}
