#include "common/base/fs.h"

#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
    char *path;
    int dir;
};

static int make_place(void **state)
{
    struct place *p = malloc(sizeof(*p));
    p->path = support_folder();
    p->dir = open(p->path, O_RDONLY | O_DIRECTORY);
    *state = p;
    return p->dir < 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    close(p->dir);
    support_folder_remove(p->path);
    free(p);
    return 0;
}

static void assert_content(const struct place *p, const char *name, const char *content)
{
    char *data;
    size_t len;
    struct error e = ERROR_INIT;
    if (fs_read_file(p->dir, name, 1000, &data, &len, &e) != 0)
        fail_msg("%s", e.text);
    assert_string_equal(data, content);
    assert_int_equal(len, strlen(content));
    free(data);
}

static void written_bytes_are_read_back(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    int fd = openat(p->dir, "f", O_RDWR | O_CREAT, 0600);
    assert_int_equal(fs_write(fd, "hello ", 6, "t.write", &e), 0);
    assert_int_equal(fs_write(fd, "world", 5, NULL, &e), 0);
    assert_int_equal(fs_pwrite(fd, "W", 1, 6, "t.write", &e), 0);
    assert_int_equal(fs_sync(fd, "t.sync", &e), 0);
    assert_int_equal(fs_sync_dir(p->dir, "t.sync", &e), 0);
    char text[6] = "";
    assert_int_equal(fs_pread(fd, text, 5, 6, &e), 0);
    assert_string_equal(text, "World");
    close(fd);
    assert_content(p, "f", "hello World");
}

static void pieces_are_written_one_behind_the_other(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    char one[] = "one", two[] = "two", three[] = "three";
    struct iovec pieces[] = {{one, 3}, {two, 0}, {two, 3}, {three, 5}};
    int fd = openat(p->dir, "pieces", O_RDWR | O_CREAT, 0600);
    assert_int_equal(fs_write(fd, "01", 2, NULL, &e), 0);
    assert_int_equal(fs_pwrite_pieces(fd, pieces, 4, 2, "t.write", &e), 0);
    assert_int_equal(fs_pwrite_pieces(fd, pieces, 0, 13, "t.write", &e), 0);
    close(fd);
    assert_content(p, "pieces", "01onetwothree");
    fd = openat(p->dir, "pieces", O_RDONLY);
    struct iovec again[] = {{one, 3}};
    assert_int_equal(fs_pwrite_pieces(fd, again, 1, 0, NULL, &e), ERROR_SYSTEM);
    close(fd);
}

static void a_short_file_is_truncated_not_unreadable(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    support_write(p->path, "f", "abc", 3);
    int fd = openat(p->dir, "f", O_RDONLY);
    char text[8];
    assert_int_equal(fs_pread(fd, text, 4, 1, &e), ERROR_TRUNCATED);
    assert_non_null(strstr(e.text, "/f ends at byte 3, where 2 more bytes"));
    assert_int_equal(fs_pread(fd, text, 1, UINT64_MAX - 1, &e), ERROR_INVALID);
    assert_int_equal(fs_pread(fd, text, 2, INT64_MAX, &e), ERROR_INVALID);
    close(fd);
}

static void errors_name_the_file(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    support_write(p->path, "f", "", 0);
    int fd = openat(p->dir, "f", O_RDONLY);
    assert_int_equal(fs_write(fd, "x", 1, NULL, &e), ERROR_SYSTEM);
    assert_int_equal(e.sys, EBADF);
    assert_non_null(strstr(e.text, support_path(p->path, "f: ")));
    close(fd);
    assert_int_equal(fs_rename(p->dir, "none", "other", NULL, &e), ERROR_NOT_FOUND);
    assert_non_null(strstr(e.text, support_path(p->path, "none to other: ")));
}

static void a_full_disk_is_an_own_code(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    int fd = open("/dev/full", O_WRONLY);
    assert_int_equal(fs_write(fd, "x", 1, NULL, &e), ERROR_FULL);
    assert_int_equal(e.sys, ENOSPC);
    close(fd);
}

static void on_alarm(int sig)
{
    (void)sig;
}

/* A write to a full pipe that a signal interrupts is a short one, or EINTR: the rest must follow. */
static void interrupted_writes_go_on(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *data = calloc(1, SIZE);
        struct itimerval often = {.it_interval.tv_usec = 500, .it_value.tv_usec = 500};
        sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
        setitimer(ITIMER_REAL, &often, NULL);
        close(ends[0]);
        _exit(fs_write(ends[1], data, SIZE, NULL, NULL) != 0);
    }
    close(ends[1]);
    char piece[7000];
    size_t got = 0;
    for (ssize_t n; (n = read(ends[0], piece, sizeof(piece))) > 0; usleep(1000))
        got += (size_t)n;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(got, SIZE);
}

/* The file may grow to 1000 bytes: the first write is short, and only the next one says why. */
static void a_short_write_is_no_success(void **state)
{
    struct place *p = *state;
    pid_t pid = fork();
    if (pid == 0) {
        char data[5000] = "";
        struct error e = ERROR_INIT;
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, 1000});
        signal(SIGXFSZ, SIG_IGN);
        int fd = openat(p->dir, "f", O_WRONLY | O_CREAT, 0600);
        _exit(fs_write(fd, data, sizeof(data), NULL, &e) == ERROR_SYSTEM ? e.sys : 255);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), EFBIG);
}

static void replace_leaves_new_content_and_nothing_else(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    support_write(p->path, "f", "old", 3);
    support_write(p->path, "f.tmp", "left by a crash, and longer", 27);
    assert_int_equal(fs_replace(p->dir, "f", "new", 3, 0640, "t.replace", &e), 0);
    assert_content(p, "f", "new");
    assert_int_equal(faccessat(p->dir, "f.tmp", F_OK, 0), -1);
    struct stat st;
    assert_int_equal(fstatat(p->dir, "f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(fs_replace(AT_FDCWD, support_path(p->path, "f"), "path", 4, 0600, NULL, &e), 0);
    assert_content(p, "f", "path");
    assert_int_equal(fs_replace(p->dir, "none/f", "x", 1, 0600, NULL, &e), ERROR_NOT_FOUND);
}

static void what_is_not_there_can_be_unlinked(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    support_write(p->path, "f", "x", 1);
    assert_int_equal(fs_unlink(p->dir, "f", "t.unlink", &e), 0);
    assert_int_equal(fs_unlink(p->dir, "f", "t.unlink", &e), 0);
    assert_int_equal(fs_unlink(p->dir, "../..", NULL, &e), ERROR_SYSTEM);
}

static void folders_are_made_with_their_parents(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    int fd = fs_open_dir(support_path(p->path, "a//b/c/"), 0700, &e);
    assert_true(fd >= 0);
    support_write(p->path, "a/b/c/f", "x", 1);
    assert_int_equal(faccessat(fd, "f", F_OK, 0), 0);
    assert_int_equal(fs_sync_dir(fd, NULL, &e), 0);
    close(fd);
    fd = fs_open_dir(support_path(p->path, "a/b"), 0700, &e);
    assert_int_equal(faccessat(fd, "c/f", F_OK, 0), 0);
    close(fd);
    assert_int_equal(fs_open_dir(support_path(p->path, "a/b/c/f"), 0700, &e), ERROR_SYSTEM);
    assert_int_equal(e.sys, ENOTDIR);
    assert_non_null(strstr(e.text, "/a/b/c/f: Not a directory"));
    assert_int_equal(fs_open_dir("", 0700, &e), ERROR_USAGE);
    fd = fs_open_dir("/", 0700, &e);
    assert_true(fd >= 0);
    close(fd);
}

static void a_file_is_read_up_to_its_limit(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    char *data;
    size_t len;
    support_write(p->path, "f", "a\0c", 3);
    assert_int_equal(fs_read_file(p->dir, "f", 3, &data, &len, &e), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0c", 4);
    free(data);
    assert_int_equal(fs_read_file(p->dir, "f", 2, &data, &len, &e), ERROR_LIMIT);
    assert_non_null(strstr(e.text, "/f is larger than 2 bytes"));
    assert_int_equal(fs_read_file(p->dir, "none", 2, &data, &len, &e), ERROR_NOT_FOUND);
    assert_int_equal(fs_read_file(p->dir, ".", 2, &data, &len, &e), ERROR_SYSTEM);
    support_write(p->path, "empty", "", 0);
    assert_int_equal(fs_read_file(p->dir, "empty", 0, &data, &len, &e), 0);
    assert_int_equal(len, 0);
    assert_string_equal(data, "");
    free(data);
    assert_int_equal(fs_read_file(p->dir, "f", SIZE_MAX, &data, &len, &e), 0);
    assert_int_equal(len, 3);
    free(data);
    assert_int_equal(fs_read_file(AT_FDCWD, "/proc/self/status", 100000, &data, &len, &e), 0); /* of unknown size */
    assert_non_null(strstr(data, "Name:"));
    free(data);
}

static void a_large_file_comes_whole(void **state)
{
    struct place *p = *state;
    enum { SIZE = 1 << 20 };
    char *written = malloc(SIZE), *data;
    size_t len;
    for (size_t i = 0; i < SIZE; i++)
        written[i] = (char)(i * 31 >> 3);
    support_write(p->path, "f", written, SIZE);
    assert_int_equal(fs_read_file(p->dir, "f", SIZE, &data, &len, NULL), 0);
    assert_int_equal(len, SIZE);
    assert_memory_equal(data, written, SIZE);
    free(data);
    assert_int_equal(fs_read_file(p->dir, "f", SIZE - 1, &data, &len, NULL), ERROR_LIMIT);
    free(written);
}

static void a_lock_names_its_holder(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    int fd = fs_lock(p->dir, "lock", &e);
    assert_true(fd >= 0);
    assert_int_equal(fs_lock(p->dir, "lock", &e), ERROR_BUSY);
    char holder[40];
    snprintf(holder, sizeof(holder), "locked by process %ld:", (long)getpid());
    assert_non_null(strstr(e.text, holder));
    close(fd);
    fd = fs_lock(p->dir, "lock", &e);
    assert_true(fd >= 0);
    close(fd);
}

/* Between taking the lock and writing the pid. */
static void a_holder_without_a_name_is_not_process_0(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = openat(p->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
    assert_int_equal(fs_lock(p->dir, "lock", &e), ERROR_BUSY);
    assert_non_null(strstr(e.text, "locked by another process:"));
    close(fd);
}

static void a_lock_is_held_as_long_as_its_fd_is_open_anywhere(void **state)
{
    struct place *p = *state;
    int gate[2];
    assert_false(fs_lock_held(p->dir, "lock"));
    assert_int_equal(pipe(gate), 0);
    int fd = fs_lock(p->dir, "lock", NULL);
    assert_true(fd >= 0);
    assert_true(fs_lock_held(p->dir, "lock"));
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        close(gate[1]);
        _exit(read(gate[0], &c, 1) != 0);
    }
    close(fd);
    assert_true(fs_lock_held(p->dir, "lock"));
    close(gate[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(fs_lock_held(p->dir, "lock"));
    close(gate[0]);
}

static void *ask_always(void *context)
{
    const struct place *p = context;
    while (!fs_lock_held(p->dir, "stop"))
        (void)fs_lock_held(p->dir, "lock");
    return NULL;
}

static void who_asks_for_a_lock_keeps_nobody_from_it(void **state)
{
    struct place *p = *state;
    pthread_t asking;
    struct error e = ERROR_INIT;
    assert_int_equal(pthread_create(&asking, NULL, ask_always, p), 0);
    for (unsigned i = 0; i < 3000; i++) {
        int fd = fs_lock(p->dir, "lock", &e);
        if (fd < 0)
            fail_msg("%s", e.text);
        close(fd);
    }
    int stop = fs_lock(p->dir, "stop", &e);
    assert_int_equal(pthread_join(asking, NULL), 0);
    close(stop);
}

static void free_space_is_that_of_the_file_system(void **state)
{
    struct place *p = *state;
    uint64_t available, total;
    struct statvfs st;
    assert_int_equal(fs_free_bytes(p->dir, &available, &total, NULL), 0);
    assert_int_equal(fstatvfs(p->dir, &st), 0);
    assert_int_equal(total, (uint64_t)st.f_blocks * st.f_frsize);
    assert_true(available < total); /* a folder at least is on it */
    assert_int_equal(fs_free_bytes(-1, &available, &total, NULL), ERROR_SYSTEM);
}

static void a_tree_goes_and_links_are_not_followed(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    close(fs_open_dir(support_path(p->path, "t/a/b"), 0700, &e));
    close(fs_open_dir(support_path(p->path, "kept"), 0700, &e));
    support_write(p->path, "kept/f", "x", 1);
    support_write(p->path, "t/f", "x", 1);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof(name), "t/a/b/%d", i);
        support_write(p->path, name, "x", 1);
    }
    assert_int_equal(symlinkat("../kept", p->dir, "t/link"), 0);
    assert_int_equal(symlinkat("kept", p->dir, "link"), 0);
    assert_int_equal(fs_remove_tree(p->dir, "t", &e), 0);
    assert_int_equal(faccessat(p->dir, "t", F_OK, 0), -1);
    assert_int_equal(fs_remove_tree(p->dir, "t", &e), 0);
    assert_int_equal(fs_remove_tree(p->dir, "link", &e), 0);
    assert_content(p, "kept/f", "x");
}

static void a_folder_is_listed_from_its_beginning_each_time(void **state)
{
    struct place *p = *state;
    support_write(p->path, "f", "x", 1);
    for (unsigned i = 0; i < 2; i++) {
        unsigned found = 0;
        DIR *dir = fs_list(p->dir);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));)
            found += strcmp(entry->d_name, "f") == 0;
        assert_int_equal(found, 1);
        closedir(dir);
    }
    int file = openat(p->dir, "f", O_RDONLY | O_CLOEXEC);
    assert_null(fs_list(file));
    assert_int_equal(errno, ENOTDIR);
    close(file);
}

static void a_tree_that_is_too_deep_is_left(void **state)
{
    struct place *p = *state;
    struct error e = ERROR_INIT;
    char deep[256] = "d";
    for (int i = 0; i < FS_DEPTH_MAX; i++)
        strcat(deep, "/d");
    close(fs_open_dir(support_path(p->path, deep), 0700, &e));
    assert_int_equal(fs_remove_tree(p->dir, "d", &e), ERROR_LIMIT);
    assert_int_equal(faccessat(p->dir, deep, F_OK, 0), 0);
    assert_int_equal(fs_remove_tree(p->dir, "d/d", &e), 0);
}

#ifdef FLEETDUMP_FAULTS

/* Runs fs_replace of "f" in a child with a fault: its code, or 100 if it was killed. */
static int replace_with(const struct place *p, const char *fault)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct error e = ERROR_INIT;
        setenv("FLEETDUMP_FAULT", fault, 1);
        _exit(-fs_replace(p->dir, "f", "new", 3, 0600, "t", &e));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGKILL ? 100 : -100;
    return -WEXITSTATUS(status);
}

static const struct {
    const char *point;
    const char *content; /* afterwards */
} STEPS[] = {
    {"t.write", "old"},  {"t.write.done", "old"},  {"t.sync", "old"},     {"t.sync.done", "old"},
    {"t.rename", "old"}, {"t.rename.done", "new"}, {"t.sync-dir", "new"}, {"t.sync-dir.done", "new"},
};

static void replace_killed_anywhere_leaves_old_or_new(void **state)
{
    struct place *p = *state;
    for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]); i++) {
        char fault[64];
        snprintf(fault, sizeof(fault), "%s:kill", STEPS[i].point);
        support_write(p->path, "f", "old", 3);
        assert_int_equal(replace_with(p, fault), 100);
        assert_content(p, "f", STEPS[i].content);
        assert_int_equal(replace_with(p, ""), 0); /* what was left is no obstacle */
        assert_content(p, "f", "new");
    }
}

static void replace_failing_anywhere_says_so_and_leaves_no_rest(void **state)
{
    struct place *p = *state;
    for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]); i++) {
        char fault[64];
        snprintf(fault, sizeof(fault), "%s:ENOSPC:1", STEPS[i].point);
        support_write(p->path, "f", "old", 3);
        assert_int_equal(replace_with(p, fault), ERROR_FULL);
        assert_content(p, "f", STEPS[i].content);
        assert_int_equal(faccessat(p->dir, "f.tmp", F_OK, 0), -1);
    }
}

#endif

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef FLEETDUMP_FAULTS /* first: the environment is read when a process passes its first point */
        IN_PLACE(replace_killed_anywhere_leaves_old_or_new),
        IN_PLACE(replace_failing_anywhere_says_so_and_leaves_no_rest),
#endif
        IN_PLACE(written_bytes_are_read_back),
        IN_PLACE(pieces_are_written_one_behind_the_other),
        IN_PLACE(a_short_file_is_truncated_not_unreadable),
        IN_PLACE(errors_name_the_file),
        IN_PLACE(a_full_disk_is_an_own_code),
        IN_PLACE(interrupted_writes_go_on),
        IN_PLACE(a_short_write_is_no_success),
        IN_PLACE(replace_leaves_new_content_and_nothing_else),
        IN_PLACE(what_is_not_there_can_be_unlinked),
        IN_PLACE(folders_are_made_with_their_parents),
        IN_PLACE(a_file_is_read_up_to_its_limit),
        IN_PLACE(a_large_file_comes_whole),
        IN_PLACE(a_lock_names_its_holder),
        IN_PLACE(a_holder_without_a_name_is_not_process_0),
        IN_PLACE(a_lock_is_held_as_long_as_its_fd_is_open_anywhere),
        IN_PLACE(who_asks_for_a_lock_keeps_nobody_from_it),
        IN_PLACE(free_space_is_that_of_the_file_system),
        IN_PLACE(a_tree_goes_and_links_are_not_followed),
        IN_PLACE(a_folder_is_listed_from_its_beginning_each_time),
        IN_PLACE(a_tree_that_is_too_deep_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
