/*
 * reindex: the catalog made anew if it is damaged, then every partition that is not whole.
 *
 * What a damaged catalog still gives is copied: agents, their addresses, orders, cursors of streams whose partitions are gone. If not all of that can be read, streams that
 * nobody knows may go on at any item (store.lost_cursors): their agents have deleted what was acknowledged. Orders that are lost end on the agents, too: that is said.
 */
#include "collector/store/rebuild.h"

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR_NS (UINT64_C(3600) * NS_PER_S)

/* ------------------------------------------------------------------ the catalog */

static int load_partition(void *context, struct partition *p, struct error *e)
{
    int r = store_add_partition(context, p, e);
    if (r)
        partition_unref(p);
    return r;
}

static void ignore_text(void *context, const char *text)
{
    (void)text;
    ++*(unsigned *)context;
}

/* Opens the catalog if it is whole. */
static int open_whole(struct store *s, struct error *e)
{
    unsigned findings = 0;
    int r = catalog_open(s, DB_WRITE, &s->catalog, e);
    if (!r)
        r = db_integrity(s->catalog, ignore_text, &findings, e);
    if (!r && findings)
        r = error_set(e, ERROR_CORRUPT, "%s is damaged in %u places", db_path(s->catalog), findings);
    if (!r)
        r = catalog_each_partition(s->catalog, s, load_partition, s, e);
    if (r) {
        db_close(s->catalog);
        s->catalog = NULL;
        while (s->partition_count)
            store_remove_partition(s, s->partitions[0]);
    }
    return r;
}

/* "catalog.db" with its log beside it, under a name that was never used. */
static int move_aside(struct store *s, char *name, size_t size, struct error *e)
{
    static const char *const ends[] = {"-wal", "-shm", ""};
    snprintf(name, size, "%s.damaged-%llu", CATALOG_NAME, (unsigned long long)clock_wall_ns());
    for (size_t i = 0; i < 3; i++) {
        char from[64], to[160];
        snprintf(from, sizeof(from), "%s%s", CATALOG_NAME, ends[i]);
        snprintf(to, sizeof(to), "%s%s", name, ends[i]);
        int sys = FAULT("reindex.aside");
        if (!sys && renameat(s->dirfd, from, s->dirfd, to) != 0 && errno != ENOENT)
            sys = errno;
        if (sys)
            return error_sys(e, sys, "cannot rename %s/%s", s->path, from);
    }
    return fs_sync_dir(s->dirfd, "reindex.aside.sync", e);
}

/* Copies the rows that `from` gives to `to`: columns in order, as they are. Returns how many; *whole tells whether all could be read. */
static uint64_t copy_rows(struct db *old, struct db *new, enum catalog_sql from, enum catalog_sql to, bool *whole)
{
    uint64_t count = 0;
    struct sql q = sql_start_own(old, from);
    int r;
    while ((r = sql_step(&q, NULL)) > 0) {
        struct sql put = sql_start(new, to);
        sql_copy(&put, &q);
        if (sql_run(&put, NULL) == 0)
            count++;
    }
    *whole = *whole && r == 0;
    sql_end(&q);
    return count;
}

static void rescue_orders(struct checking *c, struct store *s, struct db *old, const char *path)
{
    bool whole = true;
    uint64_t orders = copy_rows(old, s->catalog, CATALOG_ORDER_LIST, CATALOG_ORDER_PASTE, &whole);
    if (!whole)
        check_say(c,
                  "%s: damaged: %llu captures that were ordered could be read, others are lost; agents end those when "
                  "they connect: order them "
                  "again",
                  path, (unsigned long long)orders);
}

static void rescue_users(struct checking *c, struct store *s, struct db *old, const char *path)
{
    bool whole = true;
    uint64_t users = copy_rows(old, s->catalog, CATALOG_USER_LIST, CATALOG_USER_PASTE, &whole);
    if (!whole)
        check_say(
            c, "%s: damaged: %llu users could be read, others are lost, and have no rights until they are added again",
            path, (unsigned long long)users);
}

static void rescue_credentials(struct checking *c, struct store *s, struct db *old, const char *path)
{
    bool whole = true;
    uint64_t revocations = copy_rows(old, s->catalog, CATALOG_REVOCATION_LIST, CATALOG_REVOCATION_PUT, &whole);
    if (!whole)
        check_say(c,
                  "%s: damaged: %llu revocations could be read, others are lost: revoke what was revoked again, "
                  "or make a new authority",
                  path, (unsigned long long)revocations);
    whole = true;
    copy_rows(old, s->catalog, CATALOG_TOKEN_LIST, CATALOG_TOKEN_PASTE, &whole);
    uint64_t credentials = copy_rows(old, s->catalog, CATALOG_CREDENTIAL_LIST, CATALOG_CREDENTIAL_PASTE, &whole);
    if (!whole)
        check_say(c,
                  "%s: damaged: %llu certificates could be read, others and tokens are lost; certificates stay good, "
                  "tokens are to be made again",
                  path, (unsigned long long)credentials);
}

static int rescue(struct checking *c, struct store *s, const char *name, struct error *e)
{
    struct error why = ERROR_INIT;
    struct db *old = NULL;
    bool whole = true;
    char *path = store_path(s, name);
    int r = db_begin(s->catalog, e);
    if (path && !r && db_open(path, DB_READ, &catalog_kind, &old, &why) == 0) {
        uint64_t agents = copy_rows(old, s->catalog, CATALOG_AGENT_COPY, CATALOG_AGENT_PASTE, &whole);
        copy_rows(old, s->catalog, CATALOG_ADDRESS_COPY, CATALOG_ADDRESS_PASTE, &whole);
        uint64_t streams = copy_rows(old, s->catalog, CATALOG_STREAM_COPY, CATALOG_STREAM_PUT, &whole);
        if (!whole)
            check_say(c, "%s: damaged: %llu agents and %llu cursors of old streams could be read; the rest is lost",
                      path, (unsigned long long)agents, (unsigned long long)streams);
        rescue_orders(c, s, old, path);
        rescue_users(c, s, old, path);
        rescue_credentials(c, s, old, path);
    } else if (!r) {
        whole = false;
        check_say(c, "%s/%s cannot be read: agents, their addresses and cursors of old streams are lost", s->path,
                  CATALOG_NAME);
        check_say(c,
                  "%s/%s cannot be read: all tokens and revocations are lost: revoke what was revoked again, or make a "
                  "new authority",
                  s->path, CATALOG_NAME);
        check_say(c,
                  "%s/%s cannot be read: all captures that were ordered are lost; agents end them when they connect: "
                  "order them again",
                  s->path, CATALOG_NAME);
        check_say(c, "%s/%s cannot be read: all users are lost, and have no rights until they are added again", s->path,
                  CATALOG_NAME);
    }
    if (!r && !whole)
        r = catalog_add_meta(s->catalog, "lost_cursors", 1, e);
    if (!r)
        r = db_commit(s->catalog, e);
    if (r)
        db_rollback(s->catalog);
    db_close(old);
    free(path);
    return r;
}

static int remake_catalog(struct checking *c, struct store *s, struct error *e)
{
    char name[128] = "";
    int r = move_aside(s, name, sizeof(name), e);
    if (!r)
        r = store_make_catalog(s, e);
    if (!r)
        r = catalog_open(s, DB_WRITE, &s->catalog, e);
    return r ? r : rescue(c, s, name, e);
}

static int open_catalog(struct checking *c, struct store *s, struct error *e)
{
    struct error why = ERROR_INIT;
    int r = open_whole(s, &why);
    if (r == ERROR_CORRUPT || r == ERROR_NOT_FOUND)
        return remake_catalog(c, s, e);
    return r ? error_set(e, r, "%s", why.text) : 0;
}

/* ------------------------------------------------------------------ folders that the catalog does not know */

static bool is_known(const struct store *s, uint64_t id)
{
    for (size_t i = 0; i < s->partition_count; i++)
        if (s->partitions[i]->id == id)
            return true;
    return false;
}

static int adopt(struct store *s, const char *name, struct error *e)
{
    uint64_t id, begin_ns;
    struct partition *p = NULL;
    if (!partition_parse_name(name, &id, &begin_ns) || is_known(s, id))
        return 0;
    int r = partition_new(s, id, id, name, begin_ns, begin_ns + HOUR_NS, &p, e);
    if (r)
        return r;
    p->state = PARTITION_OPEN;
    r = catalog_adopt_partition(s->catalog, p, e);
    if (!r)
        r = store_add_partition(s, p, e);
    if (r)
        partition_unref(p);
    return r;
}

static int adopt_strangers(struct store *s, struct error *e)
{
    DIR *dir = fs_list(s->partitions_fd);
    if (!dir)
        return error_sys(e, errno, "cannot list the partitions of %s", s->path);
    int r = 0;
    for (struct dirent *entry; !r && (entry = readdir(dir));)
        r = adopt(s, entry->d_name, e);
    closedir(dir);
    return r;
}

/* ------------------------------------------------------------------ partitions */

/* A folder that is gone: its streams' cursors are kept. */
static int forget(struct checking *c, struct store *s, const struct partition *p, struct error *e)
{
    check_say(c, "%s is gone, and with it %llu chunks: it is taken out of the catalog", p->path,
              (unsigned long long)p->sums.chunks);
    int r = db_begin(s->catalog, e);
    if (!r)
        r = catalog_keep_cursors(s->catalog, p, e);
    if (!r)
        r = catalog_remove_partition(s->catalog, p, e);
    if (!r)
        r = db_commit(s->catalog, e);
    if (r)
        db_rollback(s->catalog);
    return r;
}

static int is_whole(const struct partition *p, bool *whole, struct error *e)
{
    struct store_report report = {0};
    struct checking quiet = {.report = &report};
    int r = check_partition(&quiet, p, e);
    *whole = report.damaged == 0;
    return r;
}

static int reindex_one(struct checking *c, struct store *s, struct partition *p, struct error *e)
{
    bool whole = false;
    if (access(p->path, F_OK) != 0)
        return forget(c, s, p, e);
    int r = is_whole(p, &whole, e);
    if (r || whole)
        return r;
    return rebuild_partition(c, s, p, e);
}

int store_reindex(const char *path, void (*say)(void *context, const char *text), void *context,
                  struct store_report *report, struct error *e)
{
    struct store s = {0};
    struct checking c = {.say = say, .context = context, .report = report};
    *report = (struct store_report){0};
    int r = store_enter(&s, path, false, e);
    if (!r)
        r = open_catalog(&c, &s, e);
    if (!r)
        r = store_empty_trash(&s, e);
    if (!r)
        r = adopt_strangers(&s, e);
    size_t count = s.partition_count;
    struct partition **list = r ? NULL : malloc((count + 1) * sizeof(struct partition *));
    if (!r && !list)
        r = error_set(e, ERROR_MEMORY, "no memory for partitions");
    if (list && count)
        memcpy(list, s.partitions, count * sizeof(struct partition *));
    for (size_t i = 0; !r && i < count; i++)
        if (list[i]->state == PARTITION_OPEN || list[i]->state == PARTITION_CLOSED)
            r = reindex_one(&c, &s, list[i], e);
    free(list);
    store_leave(&s);
    return r;
}
