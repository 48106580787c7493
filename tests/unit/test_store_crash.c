/*
 * The store is killed, or its disk fails, at every point that it passes: what was acknowledged is there once, what was not comes again, and nothing needs a hand.
 *
 * This program is its own child: "test_store_crash child PATH ACKS" plays a story (groups of parts over several hours, bodies that come late, expiry, drops), says
 * what is acknowledged in the file ACKS, and starts where the store's cursors say. The parent kills it at the n-th passing of each fault point, then looks.
 */
#include "tests/unit/store_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STREAMS    3u
#define ITEMS      12u /* of each stream; the last is its END */
#define GROUP      4u
#define POINTS_MAX 256u
#define PASSES_MAX 3u /* of each point: the first, one in the middle, the last */
#define TRIES_MAX  400u

static struct wish item_of(uint8_t stream, uint64_t seq)
{
    return (struct wish){
        .stream = (uint8_t)(stream + 1), .seq = seq, .kind = seq == ITEMS - 1 ? HEAD_END : 0, .no_body = seq % 4 == 3};
}

static bool has_body(const struct wish *w)
{
    return !w->no_body && w->kind != HEAD_END;
}

/* ------------------------------------------------------------------ the child */

static uint64_t arrival_of(uint64_t seq)
{
    return T0 + seq * 20 * MINUTE;
}

static struct store_config story_config(const char *path)
{
    return (struct store_config){
        .path = path, .retain_body_bytes = 60000, .retain_age_ns = 3 * HOUR, .partition_ns = HOUR};
}

/* What a session would do: heads from the cursor on, then bodies that lag two items behind. */
static size_t next_parts(struct store *s, uint8_t stream, struct made *m, struct store_part *parts, uint64_t *least)
{
    uint8_t epoch[EPOCH_SIZE];
    uint64_t head = 0, body = 0;
    size_t count = 0;
    epoch_of((uint8_t)(stream + 1), epoch);
    if (store_stream_state(s, epoch, NULL, &head, &body, NULL))
        return 0;
    *least = head < *least ? head : *least;
    if (head < ITEMS) {
        struct wish w = item_of(stream, head);
        make_chunk(&w, &m[count]);
        parts[count] = head_part(&m[count], arrival_of(head));
        count++;
    }
    for (uint64_t seq = body; seq < head && seq < body + 2 && (seq + 2 < head || head == ITEMS); seq++) {
        struct wish w = item_of(stream, seq);
        if (!has_body(&w))
            continue;
        make_chunk(&w, &m[count]);
        parts[count] = body_part(&m[count], arrival_of(head));
        count++;
    }
    return count;
}

static bool is_done(struct store *s)
{
    for (uint8_t stream = 0; stream < STREAMS; stream++) {
        uint8_t epoch[EPOCH_SIZE];
        uint64_t head = 0, body = 0;
        epoch_of((uint8_t)(stream + 1), epoch);
        if (store_stream_state(s, epoch, NULL, &head, &body, NULL) || head < ITEMS || body < ITEMS)
            return false;
    }
    return true;
}

/* Tells the parent how far each stream is acknowledged. */
static void acknowledge(struct store *s, int acks)
{
    for (uint8_t stream = 0; stream < STREAMS; stream++) {
        uint8_t epoch[EPOCH_SIZE];
        uint64_t head = 0, body = 0;
        epoch_of((uint8_t)(stream + 1), epoch);
        if (store_stream_state(s, epoch, NULL, &head, &body, NULL) == 0)
            dprintf(acks, "%u %llu %llu\n", stream, (unsigned long long)head, (unsigned long long)body);
    }
}

static void commit_round(struct store *s)
{
    struct made m[STREAMS * 3];
    struct store_part parts[STREAMS * 3];
    struct error e = ERROR_INIT;
    uint64_t least = ITEMS;
    size_t count = 0;
    for (uint8_t stream = 0; stream < STREAMS; stream++)
        count += next_parts(s, stream, &m[count], &parts[count], &least);
    if (store_commit(s, parts, count, &e) == 0)
        for (size_t i = 0; i < count; i++)
            if (parts[i].result) {
                fprintf(stderr, "refused: %s\n", parts[i].error.text);
                exit(3);
            }
    for (size_t i = 0; i < count; i++) {
        part_done(&parts[i]);
        made_free(&m[i]);
    }
}

/* Plays the story to its end, or until the disk failed too often. Exit status: 0 done, 2 not done, 3 wrong. */
static int play(const char *path, const char *acks_path)
{
    struct store_config config = story_config(path);
    struct store *s = NULL;
    struct error e = ERROR_INIT;
    int acks = open(acks_path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (acks < 0 || store_open(&config, &s, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 2;
    }
    acknowledge(s, acks);
    for (unsigned i = 0; i < 4 * ITEMS && !is_done(s); i++) {
        uint8_t epoch[EPOCH_SIZE];
        uint64_t head = 0, body = 0;
        commit_round(s);
        acknowledge(s, acks);
        epoch_of(1, epoch);
        if (store_stream_state(s, epoch, NULL, &head, &body, NULL) == 0 && store_maintain(s, arrival_of(head), &e))
            fprintf(stderr, "%s\n", e.text);
    }
    bool done = is_done(s);
    store_close(s);
    close(acks);
    return done ? 0 : 2;
}

/* ------------------------------------------------------------------ the parent */

static const char *self;

static int run_child(const char *path, const char *fault, const char *list)
{
    char acks[512];
    snprintf(acks, sizeof(acks), "%s.acks", path);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (!getenv("STORE_CRASH_VERBOSE"))
            dup2(null, 2);
        if (fault)
            setenv("FLEETDUMP_FAULT", fault, 1);
        if (list)
            setenv("FLEETDUMP_FAULT_LIST", list, 1);
        execl(self, self, "child", path, acks, (char *)NULL);
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void read_acks(const char *path, uint64_t head[STREAMS], uint64_t body[STREAMS])
{
    char name[512];
    unsigned stream;
    unsigned long long h, b;
    snprintf(name, sizeof(name), "%s.acks", path);
    memset(head, 0, STREAMS * sizeof(*head));
    memset(body, 0, STREAMS * sizeof(*body));
    FILE *f = fopen(name, "r");
    if (!f)
        return;
    while (fscanf(f, "%u %llu %llu", &stream, &h, &b) == 3)
        if (stream < STREAMS) {
            head[stream] = h;
            body[stream] = b;
        }
    fclose(f);
    unlink(name);
}

/* What the store says now against what was acknowledged. */
static void compare(struct store *s, const char *what, const uint64_t acked_head[STREAMS],
                    const uint64_t acked_body[STREAMS])
{
    struct seen *seen = malloc(sizeof(*seen));
    scan_all(s, NULL, seen);
    uint64_t oldest[STREAMS] = {ITEMS, ITEMS, ITEMS};
    for (size_t i = 0; i < seen->count; i++) {
        assert_int_not_equal(seen->items[i].gap, GAP_DAMAGED);
        if (seen->items[i].seq < oldest[seen->items[i].stream - 1])
            oldest[seen->items[i].stream - 1] = seen->items[i].seq;
    }
    for (uint8_t stream = 0; stream < STREAMS; stream++) {
        uint8_t epoch[EPOCH_SIZE];
        uint64_t head = 0, body = 0;
        epoch_of((uint8_t)(stream + 1), epoch);
        assert_int_equal(store_stream_state(s, epoch, NULL, &head, &body, NULL), 0);
        if (head < acked_head[stream] || body < acked_body[stream])
            fail_msg("%s: stream %u stands at %llu, %llu; acknowledged were %llu, %llu", what, stream,
                     (unsigned long long)head, (unsigned long long)body, (unsigned long long)acked_head[stream],
                     (unsigned long long)acked_body[stream]);
        for (uint64_t seq = oldest[stream]; seq < head; seq++) { /* older ones were dropped, from the oldest on */
            const struct seen_chunk *c = seen_find(seen, (uint8_t)(stream + 1), seq);
            if (!c)
                fail_msg("%s: item %llu of stream %u is gone", what, (unsigned long long)seq, stream);
            struct wish w = item_of(stream, seq);
            if (c->body_state == BODY_STORED && !body_is_whole(s, &w))
                fail_msg("%s: the body of item %llu of stream %u cannot be read", what, (unsigned long long)seq,
                         stream);
            if (has_body(&w) && seq < body && c->body_state != BODY_STORED && c->body_state != BODY_EXPIRED)
                fail_msg("%s: the body of item %llu of stream %u should be there", what, (unsigned long long)seq,
                         stream);
        }
        assert_null(seen_find(seen, (uint8_t)(stream + 1), head));
    }
    free(seen);
}

/* Looks at what a child left, then lets another play the story to its end. */
static void look(const char *path, const char *what)
{
    uint64_t head[STREAMS], body[STREAMS];
    struct store_config config = story_config(path);
    read_acks(path, head, body);
    struct store *s = open_store(path, &config);
    compare(s, what, head, body);
    store_close(s);
    if (check_findings(path, true))
        fail_msg("%s: check finds damage", what);
}

static void finish(const char *path, const char *what)
{
    uint64_t head[STREAMS], body[STREAMS];
    struct store_config config = story_config(path);
    int status = run_child(path, NULL, NULL);
    if (status)
        fail_msg("%s: the story does not end: %d", what, status);
    read_acks(path, head, body);
    struct store *s = open_store(path, &config);
    for (unsigned i = 0; i < STREAMS; i++)
        assert_int_equal(body[i], ITEMS);
    compare(s, what, head, body);
    store_close(s);
    assert_int_equal(check_findings(path, true), 0);
}

struct point {
    char name[64];
    unsigned passes;
};

static size_t read_points(const char *list, struct point points[POINTS_MAX])
{
    char name[64];
    size_t count = 0;
    FILE *f = fopen(list, "r");
    assert_non_null(f);
    while (fscanf(f, "%63s", name) == 1) {
        size_t i = 0;
        while (i < count && strcmp(points[i].name, name) != 0)
            i++;
        assert_true(i < POINTS_MAX);
        if (i == count) {
            points[count] = (struct point){0};
            snprintf(points[count++].name, sizeof(points[0].name), "%s", name);
        }
        points[i].passes++;
    }
    fclose(f);
    return count;
}

static size_t learn_points(struct point points[POINTS_MAX])
{
    char *folder = support_folder();
    const char *list = support_path(folder, "points");
    char path[512];
    snprintf(path, sizeof(path), "%s/store", folder);
    assert_int_equal(run_child(path, NULL, list), 0);
    look(path, "no fault");
    size_t count = read_points(list, points);
    support_folder_remove(folder);
    return count;
}

/* One child with a fault; `ends` is what it should have ended with, or 0 for whatever but a wrong answer. */
static void try_fault(const char *fault, int ends)
{
    char *folder = support_folder();
    char path[512];
    snprintf(path, sizeof(path), "%s/store", folder);
    int status = run_child(path, fault, NULL);
    if (status == 3 || status == 99 || (ends && status != ends))
        fail_msg("%s: the child ended with %d", fault, status);
    look(path, fault);
    finish(path, fault);
    support_folder_remove(folder);
}

static unsigned passing_of(const struct point *p, unsigned n)
{
    return n == 0 ? 1 : n == 1 ? p->passes : 1 + p->passes / 2;
}

static void each_point(const char *action, int ends)
{
    static struct point points[POINTS_MAX];
    size_t count = learn_points(points);
    unsigned tries = 0;
    for (size_t i = 0; i < count; i++)
        for (unsigned n = 0; n < PASSES_MAX && n < points[i].passes; n++) {
            char fault[128];
            snprintf(fault, sizeof(fault), "%s:%s:%u", points[i].name, action, passing_of(&points[i], n));
            try_fault(fault, ends);
            tries++;
        }
    print_message("%zu fault points, %u runs\n", count, tries);
    assert_true(count > 30 && tries < TRIES_MAX);
}

static void killed_at_any_point_it_goes_on(void **state)
{
    (void)state;
    each_point("kill", -SIGKILL);
}

static void a_full_disk_at_any_point_passes(void **state)
{
    (void)state;
    each_point("ENOSPC", 0);
}

static void an_io_error_at_any_point_loses_nothing(void **state)
{
    (void)state;
    each_point("EIO", 0);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "child") == 0)
        return play(argv[2], argv[3]);
    self = argv[0];
    setenv("TMPDIR", "/dev/shm", 0); /* a kill asks nothing of the disk: the page cache stays */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_point_it_goes_on),
        cmocka_unit_test(a_full_disk_at_any_point_passes),
        cmocka_unit_test(an_io_error_at_any_point_loses_nothing),
    };
#ifndef FLEETDUMP_FAULTS
    return 77; /* no fault points in this build */
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
