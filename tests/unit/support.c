#include "tests/unit/support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *support_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path = NULL;
    assert_true(asprintf(&path, "%s/fleetdump-test.XXXXXX", tmp ? tmp : "/tmp") > 0);
    assert_non_null(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void support_folder_remove(char *path)
{
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(path);
}

const char *support_path(const char *path, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *p = paths[next++ % 4];
    assert_in_range(snprintf(p, sizeof(paths[0]), "%s/%s", path, name), 1, sizeof(paths[0]) - 1);
    return p;
}

void support_write(const char *path, const char *name, const void *data, size_t len)
{
    FILE *f = fopen(support_path(path, name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

const char *support_corpus(void)
{
    const char *corpus = getenv("FLEETDUMP_CORPUS");
    if (!corpus)
        skip();
    return corpus;
}
