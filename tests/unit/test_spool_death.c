/*
 * What a capturer that dies anywhere, or whom any step fails, leaves in the spool is a stream that can be read, recovered and ended.
 */
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "tests/unit/spool_support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCENARIO  "--scenario"
#define POINT_MAX 64

/* ------------------------------------------------------------ the life of a stream, in a process of its own
 * item 0 with a body, item 1 without, body 2 given up, item 2 the END. After each step that came back a byte is written to
 * `progress`. */
static int note(int progress, int r)
{
    return r ? r : write(progress, ".", 1) == 1 ? 0 : ERROR_SYSTEM;
}

static int live(struct spool_stream *t, int progress, struct error *e)
{
    int fd = stream_begin_body(t, 0, e);
    int r = fd < 0 ? fd : note(progress, stream_seal(t, HEAD_CHUNK, 0, fd, e));
    if (fd >= 0)
        close(fd);
    if (!r)
        r = note(progress, stream_seal(t, HEAD_CHUNK, 1, -1, e));
    fd = r ? r : stream_begin_body(t, 2, e);
    if (fd >= 0)
        close(fd);
    if (!r)
        r = fd < 0 ? fd : spool_stream_discard(t, 2, e);
    return r ? r : note(progress, stream_seal(t, HEAD_END, 2, -1, e));
}

static int scenario(const char *path, const char *progress_path)
{
    const struct spool_limits limits = ROOMY;
    struct spool *s = NULL;
    struct spool_stream *t = NULL;
    struct error e = ERROR_INIT;
    int progress = open(progress_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = spool_open(path, &limits, &s, &e);
    if (!r)
        r = spool_stream_new(s, spool_epoch, &stream_beginning, &t, &e);
    if (!r)
        r = live(t, progress, &e);
    spool_stream_close(t);
    spool_close(s);
    close(progress);
    if (r)
        fprintf(stderr, "scenario: %s\n", e.text);
    return r ? 1 : 0;
}

/* Starts the scenario with an environment variable set. */
static pid_t start_scenario(const char *path, const char *progress, const char *variable, const char *value)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        setenv(variable, value, 1);
        dup2(null, 2);
        execl("/proc/self/exe", "test_spool", SCENARIO, path, progress, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Runs it to its end, and returns its wait status. */
static int run_scenario(const char *path, const char *progress, const char *variable, const char *value)
{
    int status = 0;
    pid_t pid = start_scenario(path, progress, variable, value);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static uint64_t progress_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Each item that has a head is whole. */
static void check_items(const char *path, uint64_t count)
{
    for (uint64_t seq = 0; seq < count; seq++) {
        char name[64];
        char *data = NULL;
        size_t len = 0;
        struct chunk_head h;
        snprintf(name, sizeof(name), EPOCH_NAME "/%016llx.head", (unsigned long long)seq);
        struct error e = ERROR_INIT;
        if (fs_read_file(AT_FDCWD, support_path(path, name), 1 << 20, &data, &len, &e) != 0)
            fail_msg("%s", e.text);
        assert_int_equal(head_decode(data, len, &h, NULL), 0);
        assert_int_equal(h.seq, seq);
        head_free(&h);
        free(data);
    }
    if (count > 0) {
        char *data = NULL;
        size_t len = 0;
        const char *body = support_path(path, EPOCH_NAME "/0000000000000000.pcapng.zst");
        assert_int_equal(fs_read_file(AT_FDCWD, body, 1 << 20, &data, &len, NULL), 0);
        assert_int_equal(len, sizeof(BODY));
        free(data);
    }
}

/* What the agent does with a stream whose writer is gone. Returns the items that were there. */
static uint64_t recover(struct spool *s)
{
    struct spool_stream *t = NULL;
    struct error e = ERROR_INIT;
    uint64_t seq = 99;
    bool open_body = false;
    bool ended = false;
    if (spool_stream_adopt(s, spool_epoch, &t, &e) != 0)
        fail_msg("%s", e.text);
    assert_non_null(spool_stream_counters(t));
    assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, &e), 0);
    uint64_t found = seq;
    if (open_body) {
        assert_false(ended);
        int fd = spool_stream_open_body(t, seq, &e);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(spool_stream_discard(t, seq, &e), 0);
        assert_int_equal(stream_seal(t, HEAD_GAP, seq++, -1, &e), 0);
    }
    if (!ended)
        assert_int_equal(stream_seal(t, HEAD_END, seq, -1, &e), 0);
    spool_stream_close(t);
    return found;
}

static void check_remains(const char *folder, const char *point)
{
    char path[600];
    char progress[600];
    snprintf(path, sizeof(path), "%s/spool", folder);
    snprintf(progress, sizeof(progress), "%s/progress", folder);
    struct spool *s = spool_in(path);
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    assert_int_equal(spool_list(s, &list, &count, NULL), 0);
    free(list);
    uint64_t done = progress_of(progress);
    if (count == 0) {
        assert_int_equal(done, 0); /* died before there was a stream */
    } else {
        struct spool_stream_info before = spool_only_stream(s);
        assert_false(before.writer_alive);
        uint64_t found = recover(s);
        if (found != done && found != done + 1)
            fail_msg("%s: %llu items were sealed, and %llu are there", point, (unsigned long long)done,
                     (unsigned long long)found);
        assert_int_equal(before.next_seq, found);
        check_items(path, found);
        struct spool_stream_info after = spool_only_stream(s);
        assert_true(after.ended);
        assert_true(after.next_seq >= found);
        assert_false(spool_has(path, "0000000000000002.head.tmp"));
    }
    spool_close(s);
}

/* The names of the points that a scenario without faults passes, in order, in a malloc'ed text. */
static char *list_points(void)
{
    char *folder = support_folder();
    char *text = NULL;
    size_t len = 0;
    const char *list = support_path(folder, "points");
    int status =
        run_scenario(support_path(folder, "spool"), support_path(folder, "progress"), "FLEETDUMP_FAULT_LIST", list);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(fs_read_file(AT_FDCWD, support_path(folder, "points"), 1 << 20, &text, &len, NULL), 0);
    support_folder_remove(folder);
    return text;
}

static bool faults_are_compiled_in(void)
{
#ifdef FLEETDUMP_FAULTS
    return true;
#else
    return false;
#endif
}

/* How often `name` stands in the list before `at`, plus 1. */
static unsigned passing(char *const *names, size_t at)
{
    unsigned n = 1;
    for (size_t i = 0; i < at; i++)
        n += strcmp(names[i], names[at]) == 0;
    return n;
}

static size_t split(char *text, char **names, size_t most)
{
    size_t count = 0;
    for (char *name; (name = strsep(&text, "\n"));)
        if (*name && count < most)
            names[count++] = name;
    return count;
}

/* ------------------------------------------------------------ tests */
static void a_death_anywhere_leaves_a_stream_that_can_be_ended(void **state)
{
    (void)state;
    char *names[256];
    if (!faults_are_compiled_in())
        skip();
    char *text = list_points();
    size_t count = split(text, names, 256);
    assert_in_range(count, 30, 255);
    for (size_t i = 0; i < count; i++) {
        char rule[POINT_MAX + 20];
        char *folder = support_folder();
        const char *spool = support_path(folder, "spool");
        snprintf(rule, sizeof(rule), "%s:kill:%u", names[i], passing(names, i));
        int status = run_scenario(spool, support_path(folder, "progress"), "FLEETDUMP_FAULT", rule);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_msg("%s: did not die", rule);
        check_remains(folder, rule);
        support_folder_remove(folder);
    }
    free(text);
}

static void an_error_anywhere_comes_back(void **state)
{
    (void)state;
    char *names[256];
    if (!faults_are_compiled_in())
        skip();
    char *text = list_points();
    size_t count = split(text, names, 256);
    for (size_t i = 0; i < count; i++) {
        char rule[POINT_MAX + 20];
        char *folder = support_folder();
        snprintf(rule, sizeof(rule), "%s:EIO:%u", names[i], passing(names, i));
        int status =
            run_scenario(support_path(folder, "spool"), support_path(folder, "progress"), "FLEETDUMP_FAULT", rule);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
            fail_msg("%s: was not told", rule);
        check_remains(folder, rule);
        support_folder_remove(folder);
    }
    free(text);
}

static bool is_there(const char *folder, const char *name)
{
    struct stat st;
    return stat(support_path(folder, name), &st) == 0;
}

/* However old it looks: a stream is being made as long as its capturer lives, and no longer. */
static void a_stream_that_is_being_made_is_left_alone(void **state)
{
    (void)state;
    static const char *const moments[] = {"spool.counters", "spool.new.sync-dir", "spool.new.rename"};
    static const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    if (!faults_are_compiled_in())
        skip();
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        char rule[POINT_MAX + 20];
        char *folder = support_folder();
        struct spool *s = spool_in(folder);
        struct outbox *o = NULL;
        assert_int_equal(outbox_open(s, &o, NULL), 0);
        snprintf(rule, sizeof(rule), "%s:delay=600000", moments[i]);
        pid_t pid = start_scenario(folder, "/dev/null", "FLEETDUMP_FAULT", rule);
        while (!is_there(folder, EPOCH_NAME ".new/counters"))
            usleep(1000);
        assert_int_equal(utimensat(AT_FDCWD, support_path(folder, EPOCH_NAME ".new"), long_ago, 0), 0);
        assert_int_equal(outbox_scan(o, NULL), 0);
        assert_true(is_there(folder, EPOCH_NAME ".new/writer.lock"));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(outbox_scan(o, NULL), 0);
        assert_false(is_there(folder, EPOCH_NAME ".new"));
        outbox_close(o);
        spool_close(s);
        support_folder_remove(folder);
    }
}

static void a_seal_without_room_can_be_tried_again(void **state)
{
    (void)state;
    static const char *const points[] = {"spool.sync", "spool.head.write", "spool.head.sync"};
    if (!faults_are_compiled_in())
        skip();
    for (size_t i = 0; i < 3; i++) {
        char rule[POINT_MAX + 20];
        char *folder = support_folder();
        char *progress = strdup(support_path(folder, "progress"));
        snprintf(rule, sizeof(rule), "%s:ENOSPC:1", points[i]);
        run_scenario(support_path(folder, "spool"), progress, "FLEETDUMP_FAULT", rule);
        assert_int_equal(progress_of(progress), 0);
        assert_true(spool_has(support_path(folder, "spool"), "0000000000000000.open"));
        assert_false(spool_has(support_path(folder, "spool"), "0000000000000000.pcapng.zst"));
        assert_false(spool_has(support_path(folder, "spool"), "0000000000000000.head"));
        free(progress);
        support_folder_remove(folder);
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], SCENARIO) == 0)
        return scenario(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_death_anywhere_leaves_a_stream_that_can_be_ended),
        cmocka_unit_test(an_error_anywhere_comes_back),
        cmocka_unit_test(a_stream_that_is_being_made_is_left_alone),
        cmocka_unit_test(a_seal_without_room_can_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
