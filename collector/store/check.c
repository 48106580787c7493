#include "collector/store/check.h"

#include "common/base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int load_partition(void *context, struct partition *p, struct error *e)
{
    int r = store_add_partition(context, p, e);
    if (r)
        partition_unref(p);
    return r;
}

static bool is_known(const struct store *s, const char *name)
{
    for (size_t i = 0; i < s->partition_count; i++)
        if (strcmp(s->partitions[i]->name, name) == 0)
            return true;
    return false;
}

/* Folders that the catalog does not know: nobody reads them. */
static void check_strangers(struct checking *c, const struct store *s)
{
    DIR *dir = fs_list(s->partitions_fd);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && !is_known(s, entry->d_name))
            check_say(c, "%s/partitions/%s: the catalog does not know it: what it holds is not found until a reindex",
                      s->path, entry->d_name);
    if (dir)
        closedir(dir);
}

static void say_integrity(void *context, const char *text)
{
    check_say(context, "catalog.db: %s: reindex", text);
}

static int check_catalog(struct checking *c, struct store *s, struct error *e)
{
    struct error why = ERROR_INIT;
    int r = catalog_open(s, DB_READ, &s->catalog, &why);
    if (!r)
        r = db_integrity(s->catalog, say_integrity, c, &why);
    if (!r)
        r = catalog_each_partition(s->catalog, s, load_partition, s, &why);
    if (r == ERROR_MEMORY || r == ERROR_VERSION)
        return error_set(e, r, "%s", why.text);
    if (r)
        check_say(c, "%s: agents and partitions are not known until a reindex", why.text);
    return 0;
}

int store_check(const char *path, void (*say)(void *context, const char *text), void *context,
                struct store_report *report, struct error *e)
{
    struct store s = {0};
    struct epoch_map cursors = {0};
    struct checking c = {.say = say, .context = context, .report = report, .bodies = true, .cursors = &cursors};
    *report = (struct store_report){0};
    int r = store_enter(&s, path, false, e);
    if (!r)
        r = check_catalog(&c, &s, e);
    if (!r)
        check_strangers(&c, &s);
    for (size_t i = 0; !r && i < s.partition_count; i++)
        if (s.partitions[i]->state == PARTITION_OPEN || s.partitions[i]->state == PARTITION_CLOSED)
            r = check_partition(&c, s.partitions[i], e);
    epoch_map_clear(&cursors, free);
    store_leave(&s);
    return r;
}
