#include "collector/store/rebuild.h"

#include "collector/store/rebuild_impl.h"
#include "common/base/fault.h"
#include "common/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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
        r = rebuild_write_heads(b, e);
    if (!r)
        r = rebuild_fill_holes(b, e);
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
    int r = rebuild_expect(b, e);
    if (!r && b->db)
        r = rebuild_take_old_heads(b, e);
    if (!r)
        r = rebuild_list_packs(b, fd, e);
    if (!r)
        r = rebuild_take_packs(b, fd, e);
    close(fd);
    rebuild_unite(b);
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
