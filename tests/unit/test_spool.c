/*
 * The spool, from the capturer's side: the life of a stream, its counters, room, and what is in the folder that does not belong there.
 */
#include "common/base/log.h"
#include "tests/unit/spool_support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------ tests */
static void a_new_stream_is_whole(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = spool_in(folder);
    struct spool_stream *t = NULL, *other = NULL;
    struct error e = ERROR_INIT;
    assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &t, &e), 0);
    assert_true(spool_has(folder, "writer.lock"));
    assert_true(spool_has(folder, "counters"));
    assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &other, &e), ERROR_EXISTS);
    assert_int_equal(spool_stream_adopt(s, spool_epoch, &other, &e), ERROR_BUSY);
    struct counter_page *p = spool_stream_counters(t);
    assert_int_equal(p->magic, COUNTER_PAGE_MAGIC);
    assert_int_equal(p->pid, getpid());
    assert_memory_equal(p->epoch, spool_epoch, EPOCH_SIZE);
    assert_string_equal(p->agent, "a1");
    assert_string_equal(p->capture, "c1");
    assert_int_equal(p->start_wall_ns, 7);
    assert_int_equal(p->evict, EVICT_OLDEST);
    struct spool_stream_info i = spool_only_stream(s);
    assert_true(i.writer_alive);
    assert_false(i.ended);
    assert_int_equal(i.next_seq, 0);
    spool_stream_close(t);
    assert_false(spool_only_stream(s).writer_alive);
    spool_close(s);
    support_folder_remove(folder);
}

static void a_stream_goes_on_where_it_stopped(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = spool_in(folder);
    struct spool_stream *t = NULL;
    struct error e = ERROR_INIT;
    uint64_t seq;
    bool open_body, ended;
    assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &t, &e), 0);
    for (uint64_t i = 0; i < 20; i++) {
        int fd = i % 3 ? stream_begin_body(t, i, &e) : -1;
        assert_int_equal(stream_seal(t, HEAD_CHUNK, i, fd, &e), 0);
        if (fd >= 0)
            close(fd);
        assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, &e), 0);
        assert_int_equal(seq, i + 1);
        assert_false(open_body || ended);
    }
    assert_int_equal(atomic_load(&spool_stream_counters(t)->sealed_items), 20);
    close(stream_begin_body(t, 20, &e));
    assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, &e), 0);
    assert_true(open_body);
    spool_stream_close(t);

    assert_int_equal(spool_stream_adopt(s, spool_epoch, &t, &e), 0);
    assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, &e), 0);
    assert_int_equal(seq, 20);
    assert_true(open_body);
    int fd = spool_stream_open_body(t, 20, &e); /* as it was */
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, sizeof(BODY));
    assert_int_equal(stream_seal(t, HEAD_CHUNK, 20, fd, &e), 0);
    close(fd);
    assert_int_equal(spool_stream_open_body(t, 21, &e), ERROR_NOT_FOUND);
    assert_int_equal(stream_seal(t, HEAD_END, 21, -1, &e), 0);
    spool_stream_close(t);
    struct spool_stream_info i = spool_only_stream(s);
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
    struct spool *s = spool_in(folder);
    struct spool_stream *t = NULL;
    struct buffer head = {0};
    uint64_t seq;
    bool open_body, ended;
    char name[] = "name";
    struct chunk_head h = {.kind = HEAD_GAP, .gap = GAP_DISK, .seq = 0, .last_seq = 6, .agent = name, .capture = name};
    memcpy(h.epoch, spool_epoch, EPOCH_SIZE);
    assert_int_equal(head_encode(&h, &head, NULL), 0);
    assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &t, NULL), 0);
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
    struct spool *s = spool_in(folder);
    struct spool_stream *t = NULL;
    struct error e = ERROR_INIT;
    uint64_t seq;
    bool open_body, ended;
    assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &t, &e), 0);
    assert_int_equal(stream_seal(t, HEAD_CHUNK, 0, -1, &e), 0);
    spool_stream_close(t);
    support_write(folder, EPOCH_NAME "/0000000000000001.pcapng.zst", BODY, sizeof(BODY));
    support_write(folder, EPOCH_NAME "/0000000000000000.open", BODY, sizeof(BODY));
    support_write(folder, EPOCH_NAME "/0000000000000001.head.tmp", "x", 1);
    assert_int_equal(spool_stream_adopt(s, spool_epoch, &t, &e), 0);
    assert_int_equal(spool_stream_position(t, &seq, &open_body, &ended, &e), 0);
    assert_int_equal(seq, 1);
    assert_true(open_body);
    assert_false(spool_has(folder, "0000000000000001.pcapng.zst"));
    assert_false(spool_has(folder, "0000000000000001.head.tmp"));
    assert_false(spool_has(folder, "0000000000000000.open"));
    spool_stream_close(t);
    spool_close(s);
    support_folder_remove(folder);
}

/* ------------------------------------------------------------ counters */
static void counters_outlive_a_kill(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct spool *s = spool_in(folder);
    struct spool_stream *t = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        if (spool_stream_new(s, spool_epoch, &stream_beginning, &t, NULL) == 0) {
            struct counter_page *p = spool_stream_counters(t);
            counter_page_add(p, COUNTER_KEPT, 41);
            counter_page_add(p, COUNTER_KEPT, 1);
        }
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(spool_stream_adopt(s, spool_epoch, &t, NULL), 0);
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
        struct spool *s = spool_in(folder);
        struct spool_stream *t = NULL;
        assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &t, NULL), 0);
        spool_stream_close(t);
        if (contents[i])
            support_write(folder, EPOCH_NAME "/counters", contents[i], strlen(contents[i]));
        else
            assert_int_equal(unlink(support_path(folder, EPOCH_NAME "/counters")), 0);
        assert_int_equal(spool_only_stream(s).next_seq, 0);
        assert_int_equal(spool_stream_adopt(s, spool_epoch, &t, NULL), 0);
        assert_int_equal(spool_stream_counters(t)->magic, COUNTER_PAGE_MAGIC);
        assert_memory_equal(spool_stream_counters(t)->epoch, spool_epoch, EPOCH_SIZE);
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
    struct spool *s = spool_in(folder);
    struct spool_stream *t = NULL;
    struct counter_page copy;
    static const uint8_t other[EPOCH_SIZE] = {1};
    assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &t, NULL), 0);
    counter_page_add(spool_stream_counters(t), COUNTER_KEPT, 42);
    int dirfd = open(support_path(folder, EPOCH_NAME), O_RDONLY | O_DIRECTORY);
    assert_int_equal(counter_page_copy(dirfd, spool_epoch, &copy, NULL), 0);
    assert_int_equal(counter_page_total(&copy, COUNTER_KEPT), 42);
    assert_int_equal(counter_page_copy(dirfd, other, &copy, NULL), ERROR_INVALID);
    assert_int_equal(truncate(support_path(folder, EPOCH_NAME "/counters"), 100), 0);
    assert_int_equal(counter_page_copy(dirfd, spool_epoch, &copy, NULL), ERROR_INVALID);
    assert_int_equal(unlink(support_path(folder, EPOCH_NAME "/counters")), 0);
    assert_int_equal(counter_page_copy(dirfd, spool_epoch, &copy, NULL), ERROR_NOT_FOUND);
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
    assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &t, &e), 0);
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
    struct spool *s = spool_in(folder);
    uint8_t id[16];
    memcpy(id, spool_install(s), 16);
    spool_close(s);
    s = spool_in(folder);
    assert_memory_equal(spool_install(s), id, 16);
    spool_close(s);
    support_write(folder, "install", "what?\n", 6);
    s = spool_in(folder);
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
    struct spool *s = spool_in(folder);
    struct spool_stream *t = NULL;
    struct outbox *o = NULL;
    for (unsigned i = 0; i < 32; i++) { /* wherever a listing has them */
        char name[40];
        snprintf(name, sizeof(name), "%02x000000000000000000000000000000", 8 * i);
        support_write(folder, name, "x", 1);
    }
    assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &t, NULL), 0);
    assert_true(spool_only_stream(s).writer_alive);
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
    struct spool *s = spool_in(folder);
    struct spool_stream *t = NULL;
    struct outbox *o = NULL;
    struct rlimit before, none;
    struct buffer head = {0};
    struct error e = ERROR_INIT;
    assert_int_equal(spool_stream_new(s, spool_epoch, &stream_beginning, &t, NULL), 0);
    int body = stream_begin_body(t, 0, &e);
    assert_int_equal(stream_seal(t, HEAD_CHUNK, 0, body, &e), 0);
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
    assert_true(spool_has(folder, "0000000000000000.pcapng.zst"));
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
    struct spool *s = spool_in(folder);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_stream_is_whole),
        cmocka_unit_test(a_stream_goes_on_where_it_stopped),
        cmocka_unit_test(a_gap_counts_as_what_it_stands_for),
        cmocka_unit_test(a_body_without_a_head_is_a_cut_chunk),
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
