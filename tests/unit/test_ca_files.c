/*
 * Keys on disk: private, the folder's owner's, and written by root into another's folder without doing there what that one
 * would have root do elsewhere.
 */
#include "common/net/ca_files.h"
#include "tests/unit/support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534
#define SAVES  200

struct folder {
    char *path;
    struct buffer pem;
};

static int set_up(void **state)
{
    static struct folder f;
    f = (struct folder){.path = support_folder()};
    buffer_append(&f.pem, "secret", 6);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *f = *state;
    buffer_free(&f->pem);
    support_folder_remove(f->path);
    return 0;
}

static struct stat stat_of(const struct folder *f, const char *name)
{
    struct stat st;
    assert_int_equal(lstat(support_path(f->path, name), &st), 0);
    return st;
}

static void a_key_is_private_and_nothing_else_stays(void **state)
{
    struct folder *f = *state;
    mode_t mask = umask(0);
    assert_int_equal(ca_save(support_path(f->path, CA_KEY_NAME), &f->pem, NULL), 0);
    assert_int_equal(ca_save(support_path(f->path, CA_KEY_NAME), &f->pem, NULL), 0);
    umask(mask);
    assert_int_equal(stat_of(f, CA_KEY_NAME).st_mode & 07777, 0600);
    assert_int_equal(stat_of(f, CA_KEY_NAME).st_size, 6);
    assert_int_equal(unlink(support_path(f->path, CA_KEY_NAME)), 0);
    assert_int_equal(rmdir(f->path), 0); /* it was alone */
    assert_int_equal(mkdir(f->path, 0700), 0);
}

/* Links that wait under the names of unfinished files. */
static void links_are_not_written_through(void **state)
{
    static const char *const traps[] = {"key.pem.new", "key.pem.tmp", "key.pem.new.tmp", "key.pem"};
    struct folder *f = *state;
    char *other = support_folder();
    support_write(other, "victim", "as it was", 9);
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++)
        assert_int_equal(link(support_path(other, "victim"), support_path(f->path, traps[i])), 0);
    assert_int_equal(ca_save(support_path(f->path, CA_KEY_NAME), &f->pem, NULL), 0);
    struct stat st;
    assert_int_equal(stat(support_path(other, "victim"), &st), 0);
    assert_int_equal(st.st_size, 9);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(stat_of(f, CA_KEY_NAME).st_size, 6);
    support_folder_remove(other);
}

struct thief {
    const struct folder *folder;
    char victim[256], trap[256];
    atomic_bool stop;
};

static void *set_traps(void *context)
{
    struct thief *t = context;
    while (!atomic_load(&t->stop)) {
        (void)!unlink(t->trap);
        (void)!symlink(t->victim, t->trap);
    }
    return NULL;
}

/* Root gives files to the owner of the folder, who puts a link to a file of root's in their place at every moment. */
static void nothing_else_is_given_away(void **state)
{
    struct folder *f = *state;
    if (geteuid() != 0)
        skip();
    static struct thief t;
    char *other = support_folder();
    pthread_t thread;
    support_write(other, "victim", "as it was", 9);
    assert_int_equal(chown(f->path, NOBODY, NOBODY), 0);
    snprintf(t.victim, sizeof t.victim, "%s/victim", other);
    snprintf(t.trap, sizeof t.trap, "%s/key.pem.new", f->path);
    atomic_store(&t.stop, false);
    assert_int_equal(pthread_create(&thread, NULL, set_traps, &t), 0);
    for (unsigned i = 0; i < SAVES; i++)
        (void)!ca_save(support_path(f->path, CA_KEY_NAME), &f->pem, NULL); /* he may hinder it: it is his folder */
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    struct stat st;
    assert_int_equal(stat(t.victim, &st), 0);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(st.st_size, 9);
    (void)!unlink(t.trap);
    assert_int_equal(ca_save(support_path(f->path, CA_KEY_NAME), &f->pem, NULL), 0);
    assert_int_equal(stat_of(f, CA_KEY_NAME).st_uid, NOBODY);
    support_folder_remove(other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_private_and_nothing_else_stays),
        TEST(links_are_not_written_through),
        TEST(nothing_else_is_given_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
