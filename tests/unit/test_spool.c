/*
 * The spool, from the capturer's side: what a capturer that dies anywhere leaves is a stream that can be read, recovered
 * and ended.
 */
#include "tests/unit/support.h"

#include "agent/ship/outbox.h"
#include "agent/ship/spool.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCENARIO "--scenario"
#define BODY     "the packets"
#define ROOMY                                                                                                          \
    {                                                                                                                  \
        .quota_bytes = UINT64_C(1) << 40, .floor_bytes = 0                                                             \
    }
#define POINT_MAX 64

static const struct spool_stream_start beginning = {
    .agent = "a1", .capture = "c1", .wall_ns = 7, .evict = EVICT_OLDEST};
static const uint8_t epoch[EPOCH_SIZE] = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#define EPOCH_NAME "ab0102030405060708090a0b0c0d0e0f"

/* ------------------------------------------------------------ helpers */
static struct spool *open_spool(const char *path)
{
    const struct spool_limits limits = ROOMY;
    struct spool *s = NULL;
    struct error e = ERROR_INIT;
    if (spool_open(path, &limits, &s, &e) != 0)
        fail_msg("%s", e.text);
    return s;
}

static int encode_head(int kind, uint64_t seq, bool with_body, struct buffer *out, struct error *e)
{
    char name[] = "name";
    struct chunk_head h = {.kind = (uint8_t)kind, .seq = seq, .last_seq = seq, .agent = name, .capture = name};
    memcpy(h.epoch, epoch, EPOCH_SIZE);
    h.seal = kind == HEAD_CHUNK ? SEAL_BYTES : 0;
    h.gap = kind == HEAD_GAP ? GAP_CRASH : 0;
    h.body = with_body ? BODY_ON_AGENT : BODY_NEVER;
    h.body_length = with_body ? sizeof(BODY) : 0;
    buffer_clear(out);
    return head_encode(&h, out, e);
}

static int seal(struct spool_stream *t, int kind, uint64_t seq, int body_fd, struct error *e)
{
    struct buffer head = {0};
    int r = encode_head(kind, seq, body_fd >= 0, &head, e);
    if (!r)
        r = spool_stream_seal(t, seq, head.data, head.len, body_fd >= 0, body_fd, e);
    buffer_free(&head);
    return r;
}

static int open_with_content(struct spool_stream *t, uint64_t seq, struct error *e)
{
    int fd = spool_stream_open_body(t, seq, e);
    int r = fd < 0 ? fd : fs_write(fd, BODY, sizeof(BODY), "scenario.write", e);
    if (r && fd >= 0)
        close(fd);
    return r ? r : fd;
}

static bool exists(const char *spool, const char *name)
{
    struct stat st;
    char path[800];
    snprintf(path, sizeof(path), "%s/" EPOCH_NAME "/%s", spool, name);
    return lstat(path, &st) == 0;
}

static struct spool_stream_info only_stream(struct spool *s)
{
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    assert_int_equal(spool_list(s, &list, &count, NULL), 0);
    assert_int_equal(count, 1);
    struct spool_stream_info info = list[0];
    free(list);
    assert_memory_equal(info.epoch, epoch, EPOCH_SIZE);
    return info;
}

/* ------------------------------------------------------------ the life of a stream, in a process of its own
 * item 0 with a body, item 1 without, body 2 given up, item 2 the END. After each step that came back a byte is written to
 * `progress`. */
static int note(int progress, int r)
{
    return r ? r : write(progress, ".", 1) == 1 ? 0 : ERROR_SYSTEM;
}

static int live(struct spool_stream *t, int progress, struct error *e)
{
    int fd = open_with_content(t, 0, e);
    int r = fd < 0 ? fd : note(progress, seal(t, HEAD_CHUNK, 0, fd, e));
    if (fd >= 0)
        close(fd);
    if (!r)
        r = note(progress, seal(t, HEAD_CHUNK, 1, -1, e));
    fd = r ? r : open_with_content(t, 2, e);
    if (fd >= 0)
        close(fd);
    if (!r)
        r = fd < 0 ? fd : spool_stream_discard(t, 2, e);
    return r ? r : note(progress, seal(t, HEAD_END, 2, -1, e));
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
        r = spool_stream_new(s, epoch, &beginning, &t, &e);
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
    if (spool_stream_adopt(s, epoch, &t, &e) != 0)
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
        assert_int_equal(seal(t, HEAD_GAP, seq++, -1, &e), 0);
    }
    if (!ended)
        assert_int_equal(seal(t, HEAD_END, seq, -1, &e), 0);
    spool_stream_close(t);
    return found;
}

static void check_remains(const char *folder, const char *point)
{
    char path[600];
    char progress[600];
    snprintf(path, sizeof(path), "%s/spool", folder);
    snprintf(progress, sizeof(progress), "%s/progress", folder);
    struct spool *s = open_spool(path);
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    assert_int_equal(spool_list(s, &list, &count, NULL), 0);
    free(list);
    uint64_t done = progress_of(progress);
    if (count == 0) {
        assert_int_equal(done, 0); /* died before there was a stream */
    } else {
        struct spool_stream_info before = only_stream(s);
        assert_false(before.writer_alive);
        uint64_t found = recover(s);
        if (found != done && found != done + 1)
            fail_msg("%s: %llu items were sealed, and %llu are there", point, (unsigned long long)done,
                     (unsigned long long)found);
        assert_int_equal(before.next_seq, found);
        check_items(path, found);
        struct spool_stream_info after = only_stream(s);
        assert_true(after.ended);
        assert_true(after.next_seq >= found);
        assert_false(exists(path, "0000000000000002.head.tmp"));
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
        struct spool *s = open_spool(folder);
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
        assert_true(exists(support_path(folder, "spool"), "0000000000000000.open"));
        assert_false(exists(support_path(folder, "spool"), "0000000000000000.pcapng.zst"));
        assert_false(exists(support_path(folder, "spool"), "0000000000000000.head"));
        free(progress);
        support_folder_remove(folder);
    }
}

static void a_new_stream_is_whole(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    struct spool_stream *t = NULL, *other = NULL;
    struct error e = ERROR_INIT;
    assert_int_equal(spool_stream_new(s, epoch, &beginning, &t, &e), 0);
    assert_true(exists(folder, "writer.lock"));
    assert_true(exists(folder, "counters"));
    assert_int_equal(spool_stream_new(s, epoch, &beginning, &other, &e), ERROR_EXISTS);
    assert_int_equal(spool_stream_adopt(s, epoch, &other, &e), ERROR_BUSY);
    struct counter_page *p = spool_stream_counters(t);
    assert_int_equal(p->magic, COUNTER_PAGE_MAGIC);
    assert_int_equal(p->pid, getpid());
    assert_memory_equal(p->epoch, epoch, EPOCH_SIZE);
    assert_string_equal(p->agent, "a1");
    assert_string_equal(p->capture, "c1");
    assert_int_equal(p->start_wall_ns, 7);
    assert_int_equal(p->evict, EVICT_OLDEST);
    struct spool_stream_info i = only_stream(s);
    assert_true(i.writer_alive);
    assert_false(i.ended);
    assert_int_equal(i.next_seq, 0);
    spool_stream_close(t);
    assert_false(only_stream(s).writer_alive);
    spool_close(s);
    support_folder_remove(folder);
}

static void a_stream_goes_on_where_it_stopped(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    struct spool_stream *t = NULL;
    struct error e = ERROR_INIT;
    uint64_t seq;
    bool open_body, ended;
    assert_int_equal(spool_stream_new(s, epoch, &beginning, &t, &e), 0);
    for (uint64_t i = 0; i < 20; i++) {
        int fd = i % 3 ? open_with_content(t, i, &e) : -1;
        assert_int_equal(seal(t, HEAD_CHUNK, i, fd, &e), 0);
        if (fd >= 0)
            close(fd);
        assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, &e), 0);
        assert_int_equal(seq, i + 1);
        assert_false(open_body || ended);
    }
    assert_int_equal(atomic_load(&spool_stream_counters(t)->sealed_items), 20);
    close(open_with_content(t, 20, &e));
    assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, &e), 0);
    assert_true(open_body);
    spool_stream_close(t);

    assert_int_equal(spool_stream_adopt(s, epoch, &t, &e), 0);
    assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, &e), 0);
    assert_int_equal(seq, 20);
    assert_true(open_body);
    int fd = spool_stream_open_body(t, 20, &e); /* as it was */
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, sizeof(BODY));
    assert_int_equal(seal(t, HEAD_CHUNK, 20, fd, &e), 0);
    close(fd);
    assert_int_equal(spool_stream_open_body(t, 21, &e), ERROR_NOT_FOUND);
    assert_int_equal(seal(t, HEAD_END, 21, -1, &e), 0);
    spool_stream_close(t);
    struct spool_stream_info i = only_stream(s);
    assert_true(i.ended);
    assert_int_equal(i.first_seq, 0);
    assert_int_equal(i.next_seq, 22);
    spool_close(s);
    support_folder_remove(folder);
}

/* A GAP may stand for many: the stream goes on behind all of them. */
static void a_gap_counts_as_what_it_stands_for(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    struct spool_stream *t = NULL;
    struct buffer head = {0};
    uint64_t seq;
    bool open_body, ended;
    char name[] = "name";
    struct chunk_head h = {.kind = HEAD_GAP, .gap = GAP_DISK, .seq = 0, .last_seq = 6, .agent = name, .capture = name};
    memcpy(h.epoch, epoch, EPOCH_SIZE);
    assert_int_equal(head_encode(&h, &head, NULL), 0);
    assert_int_equal(spool_stream_new(s, epoch, &beginning, &t, NULL), 0);
    assert_int_equal(spool_stream_seal(t, 0, head.data, head.len, false, -1, NULL), 0);
    assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, NULL), 0);
    assert_int_equal(seq, 7);
    buffer_free(&head);
    spool_stream_close(t);
    spool_close(s);
    support_folder_remove(folder);
}

static void a_body_without_a_head_is_a_cut_chunk(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    struct spool_stream *t = NULL;
    struct error e = ERROR_INIT;
    uint64_t seq;
    bool open_body, ended;
    assert_int_equal(spool_stream_new(s, epoch, &beginning, &t, &e), 0);
    assert_int_equal(seal(t, HEAD_CHUNK, 0, -1, &e), 0);
    spool_stream_close(t);
    support_write(folder, EPOCH_NAME "/0000000000000001.pcapng.zst", BODY, sizeof(BODY));
    support_write(folder, EPOCH_NAME "/0000000000000000.open", BODY, sizeof(BODY));
    support_write(folder, EPOCH_NAME "/0000000000000001.head.tmp", "x", 1);
    assert_int_equal(spool_stream_adopt(s, epoch, &t, &e), 0);
    assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, &e), 0);
    assert_int_equal(seq, 1);
    assert_true(open_body);
    assert_false(exists(folder, "0000000000000001.pcapng.zst"));
    assert_false(exists(folder, "0000000000000001.head.tmp"));
    assert_false(exists(folder, "0000000000000000.open"));
    spool_stream_close(t);
    spool_close(s);
    support_folder_remove(folder);
}

/* ------------------------------------------------------------ counters */
static void counters_outlive_a_kill(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    struct spool_stream *t = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        if (spool_stream_new(s, epoch, &beginning, &t, NULL) == 0) {
            struct counter_page *p = spool_stream_counters(t);
            counter_page_add(p, COUNTER_KEPT, 41);
            counter_page_add(p, COUNTER_KEPT, 1);
        }
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(spool_stream_adopt(s, epoch, &t, NULL), 0);
    struct counter_page *p = spool_stream_counters(t);
    assert_int_equal(counter_page_total(p, COUNTER_KEPT), 42);
    assert_int_equal(p->pid, pid);
    assert_string_equal(p->capture, "c1");
    spool_stream_close(t);
    spool_close(s);
    support_folder_remove(folder);
}

static void a_damaged_page_is_made_anew(void **state)
{
    (void)state;
    static const char *const contents[] = {"", "short", NULL};
    for (size_t i = 0; i < 3; i++) {
        char *folder = support_folder();
        struct spool *s = open_spool(folder);
        struct spool_stream *t = NULL;
        assert_int_equal(spool_stream_new(s, epoch, &beginning, &t, NULL), 0);
        spool_stream_close(t);
        if (contents[i])
            support_write(folder, EPOCH_NAME "/counters", contents[i], strlen(contents[i]));
        else
            assert_int_equal(unlink(support_path(folder, EPOCH_NAME "/counters")), 0);
        assert_int_equal(only_stream(s).next_seq, 0);
        assert_int_equal(spool_stream_adopt(s, epoch, &t, NULL), 0);
        assert_int_equal(spool_stream_counters(t)->magic, COUNTER_PAGE_MAGIC);
        assert_memory_equal(spool_stream_counters(t)->epoch, epoch, EPOCH_SIZE);
        spool_stream_close(t);
        spool_close(s);
        support_folder_remove(folder);
    }
}

/* Whoever may write the file may cut it off, too: who copies it lives on. */
static void a_page_is_copied_or_refused(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    struct spool_stream *t = NULL;
    struct counter_page copy;
    static const uint8_t other[EPOCH_SIZE] = {1};
    assert_int_equal(spool_stream_new(s, epoch, &beginning, &t, NULL), 0);
    counter_page_add(spool_stream_counters(t), COUNTER_KEPT, 42);
    int dirfd = open(support_path(folder, EPOCH_NAME), O_RDONLY | O_DIRECTORY);
    assert_int_equal(counter_page_copy(dirfd, epoch, &copy, NULL), 0);
    assert_int_equal(counter_page_total(&copy, COUNTER_KEPT), 42);
    assert_int_equal(counter_page_copy(dirfd, other, &copy, NULL), ERROR_INVALID);
    assert_int_equal(truncate(support_path(folder, EPOCH_NAME "/counters"), 100), 0);
    assert_int_equal(counter_page_copy(dirfd, epoch, &copy, NULL), ERROR_INVALID);
    assert_int_equal(unlink(support_path(folder, EPOCH_NAME "/counters")), 0);
    assert_int_equal(counter_page_copy(dirfd, epoch, &copy, NULL), ERROR_NOT_FOUND);
    close(dirfd);
    spool_stream_close(t);
    spool_close(s);
    support_folder_remove(folder);
}

static void names_in_a_page_are_terminated(void **state)
{
    (void)state;
    char field[HEAD_NAME_MAX + 1];
    char name[HEAD_NAME_MAX + 1];
    memset(field, 'x', sizeof(field));
    counter_page_name(field, name);
    assert_int_equal(strlen(name), HEAD_NAME_MAX);
}

/* ------------------------------------------------------------ room, installation */
static void room_ends_at_the_quota(void **state)
{
    (void)state;
    char *folder = support_folder();
    const struct spool_limits limits = {.quota_bytes = 1 << 20};
    struct spool *s = NULL;
    struct spool_stream *t = NULL;
    struct error e = ERROR_INIT;
    int gap = 0;
    assert_int_equal(spool_open(folder, &limits, &s, &e), 0);
    int code = 0;
    for (int tries = 0; !code && tries < 100; tries++) { /* until no look comes between the two */
        usleep(tries ? 150000 : 0);
        assert_int_equal(spool_room(s, 1 << 20, &gap, &e), 0);
        code = spool_room(s, 1, &gap, &e); /* what was granted counts at once */
    }
    assert_int_equal(code, ERROR_FULL);
    assert_int_equal(gap, GAP_QUOTA);
    assert_non_null(strstr(e.text, "quota"));
    assert_int_equal(spool_stream_new(s, epoch, &beginning, &t, &e), 0);
    usleep(150000); /* the next look: nothing was written */
    assert_int_equal(spool_room(s, 1 << 19, NULL, &e), 0);
    int fd = spool_stream_open_body(t, 0, &e);
    assert_int_equal(ftruncate(fd, (1 << 20) - 20480), 0);
    close(fd);
    usleep(150000);
    assert_in_range(spool_used(s), (1 << 20) - 20480, 1 << 20);
    assert_int_equal(spool_room(s, 20480, NULL, &e), ERROR_FULL);
    spool_stream_close(t);
    spool_close(s);
    support_folder_remove(folder);
}

static void room_ends_at_the_floor(void **state)
{
    (void)state;
    char *folder = support_folder();
    const struct spool_limits limits = {.quota_bytes = UINT64_MAX, .floor_bytes = UINT64_C(1) << 60};
    struct spool *s = NULL;
    struct error e = ERROR_INIT;
    int gap = 0;
    assert_int_equal(spool_open(folder, &limits, &s, &e), 0);
    assert_int_equal(spool_room(s, 1, &gap, &e), ERROR_FULL);
    assert_int_equal(gap, GAP_DISK);
    assert_non_null(strstr(e.text, "floor"));
    spool_close(s);
    support_folder_remove(folder);
}

static void an_installation_keeps_its_id(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    uint8_t id[16];
    memcpy(id, spool_install(s), 16);
    spool_close(s);
    s = open_spool(folder);
    assert_memory_equal(spool_install(s), id, 16);
    spool_close(s);
    support_write(folder, "install", "what?\n", 6);
    s = open_spool(folder);
    assert_memory_not_equal(spool_install(s), id, 16);
    spool_close(s);
    support_folder_remove(folder);
}

static void a_spool_that_cannot_be_used_is_refused(void **state)
{
    (void)state;
    const struct spool_limits limits = ROOMY;
    struct spool *s = NULL;
    struct error e = ERROR_INIT;
    assert_int_not_equal(spool_open("/proc/nothing/spool", &limits, &s, &e), 0);
    assert_non_null(strstr(e.text, "/proc"));
    assert_int_not_equal(spool_open("/dev/null", &limits, &s, &e), 0);
    assert_null(s);
}

/* A name that cannot be what it says keeps nobody from the others. */
static void what_cannot_be_read_costs_itself(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    struct spool_stream *t = NULL;
    struct outbox *o = NULL;
    for (unsigned i = 0; i < 32; i++) { /* wherever a listing has them */
        char name[40];
        snprintf(name, sizeof(name), "%02x000000000000000000000000000000", 8 * i);
        support_write(folder, name, "x", 1);
    }
    assert_int_equal(spool_stream_new(s, epoch, &beginning, &t, NULL), 0);
    assert_true(only_stream(s).writer_alive);
    log_setup("test_spool", LOG_LEVEL_ERROR);
    assert_int_equal(outbox_open(s, &o, NULL), 0);
    assert_int_equal(o->count, 1);
    outbox_close(o);
    spool_stream_close(t);
    spool_close(s);
    support_folder_remove(folder);
}

/* Without a file to open nothing is damaged: it waits. */
static void what_cannot_be_opened_now_is_not_lost(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    struct spool_stream *t = NULL;
    struct outbox *o = NULL;
    struct rlimit before, none;
    struct buffer head = {0};
    struct error e = ERROR_INIT;
    assert_int_equal(spool_stream_new(s, epoch, &beginning, &t, NULL), 0);
    int body = open_with_content(t, 0, &e);
    assert_int_equal(seal(t, HEAD_CHUNK, 0, body, &e), 0);
    close(body);
    assert_int_equal(outbox_open(s, &o, NULL), 0);
    struct outbox_stream *x = o->streams[0];
    assert_int_equal(outbox_acked(o, &x, 0, 0, true, NULL), 0);
    struct outbox_item *item = outbox_head_due(o, x);
    assert_non_null(item);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int head_read = outbox_read_head(o, x, item, &head, &e);
    item->body_length = sizeof(BODY);
    int body_fd = outbox_open_body(o, x, item, &e);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(head_read, ERROR_SYSTEM);
    assert_int_equal(body_fd, ERROR_SYSTEM);
    assert_int_equal(o->damaged, 0);
    assert_int_equal(outbox_read_head(o, x, item, &head, &e), 0);
    assert_int_equal(item->kind, HEAD_CHUNK);
    assert_true(exists(folder, "0000000000000000.pcapng.zst"));
    buffer_free(&head);
    outbox_close(o);
    spool_stream_close(t);
    spool_close(s);
    support_folder_remove(folder);
}

static void other_names_are_no_streams(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = open_spool(folder);
    static const char *const names[] = {"lost+found", "AB0102030405060708090A0B0C0D0E0F",
                                        "ab0102030405060708090a0b0c0d0e0f.new", "ab0102030405060708090a0b0c0d0e0f.done",
                                        "ab0102030405060708090a0b0c0d0e0"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(mkdir(support_path(folder, names[i]), 0700), 0);
    struct spool_stream_info *list = NULL;
    size_t count = 9;
    assert_int_equal(spool_list(s, &list, &count, NULL), 0);
    assert_int_equal(count, 0);
    free(list);
    spool_close(s);
    support_folder_remove(folder);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], SCENARIO) == 0)
        return scenario(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_stream_is_whole),
        cmocka_unit_test(a_stream_goes_on_where_it_stopped),
        cmocka_unit_test(a_gap_counts_as_what_it_stands_for),
        cmocka_unit_test(a_body_without_a_head_is_a_cut_chunk),
        cmocka_unit_test(a_death_anywhere_leaves_a_stream_that_can_be_ended),
        cmocka_unit_test(an_error_anywhere_comes_back),
        cmocka_unit_test(a_stream_that_is_being_made_is_left_alone),
        cmocka_unit_test(a_seal_without_room_can_be_tried_again),
        cmocka_unit_test(counters_outlive_a_kill),
        cmocka_unit_test(a_damaged_page_is_made_anew),
        cmocka_unit_test(a_page_is_copied_or_refused),
        cmocka_unit_test(names_in_a_page_are_terminated),
        cmocka_unit_test(room_ends_at_the_quota),
        cmocka_unit_test(room_ends_at_the_floor),
        cmocka_unit_test(an_installation_keeps_its_id),
        cmocka_unit_test(a_spool_that_cannot_be_used_is_refused),
        cmocka_unit_test(what_cannot_be_read_costs_itself),
        cmocka_unit_test(what_cannot_be_opened_now_is_not_lost),
        cmocka_unit_test(other_names_are_no_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
