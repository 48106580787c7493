/*
 * The shipper dies at every fault point that it passes: nothing is lost and nothing comes twice.
 */
#include "common/base/fs.h"
#include "common/base/log.h"
#include "tests/unit/uplink_support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHIP "--ship"

/* Makes room first, if there is too little, then ships all. */
static int ship_process(const char *folder, const char *address, uint64_t quota)
{
    struct uplink_config c = {.spool_path = folder, .limits = {.quota_bytes = quota}, .collector = address};
    struct error e = ERROR_INIT;
    struct spool *s = NULL;
    struct outbox *o = NULL;
    c.agent = "agent-1";
    c.software = "fleetdump test";
    c.retry_least_ms = 5;
    c.retry_most_ms = 20;
    c.until_empty = true;
    log_setup("ship", getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    int r = spool_open(folder, &c.limits, &s, &e);
    if (!r)
        r = outbox_open(s, &o, &e);
    if (!r)
        outbox_make_room(o);
    outbox_close(o);
    spool_close(s);
    if (!r)
        r = uplink_run(&c, &e);
    if (r)
        fprintf(stderr, "ship: %s\n", e.text);
    return r ? 1 : 0;
}

/* What there is to be shipped, and how it must have arrived. */
struct story {
    uint64_t quota;
    void (*make)(struct world *w, uint8_t number);
    void (*check)(struct world *w, uint8_t number);
};

/* Runs a shipper to its end and returns its wait status. */
static int ship_once(struct world *w, const struct story *story, const char *variable, const char *value)
{
    int status = 0;
    char quota[24];
    snprintf(quota, sizeof(quota), "%llu", (unsigned long long)story->quota);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv(variable, value, 1);
        execl("/proc/self/exe", "test_uplink_death", SHIP, w->folder, w->collector.address, quota, (char *)NULL);
        _exit(127);
    }
    pid_t done = 0;
    RUN_UNTIL(w, (done = waitpid(pid, &status, WNOHANG)) != 0);
    assert_int_equal(done, pid);
    return status;
}

static void new_collector(struct world *w)
{
    RUN_UNTIL(w, !w->collector.data && !w->collector.control);
    fake_free(&w->collector);
    w->collector.status = NULL;
    w->collector.count = 0;
    memset(w->collector.streams, 0, sizeof(w->collector.streams));
}

#define POINTS_MAX 64u

/* The points that shipping the story passes. */
static unsigned points_of(struct world *w, const struct story *story, char seen[POINTS_MAX][64])
{
    char *text = NULL;
    size_t len = 0;
    char list[64];
    unsigned count = 0;
    snprintf(list, sizeof(list), "%s.list", w->folder);
    story->make(w, 200);
    assert_int_equal(ship_once(w, story, "FLEETDUMP_FAULT_LIST", list), 0);
    story->check(w, 200);
    assert_int_equal(fs_read_file(AT_FDCWD, list, 1 << 20, &text, &len, NULL), 0);
    assert_int_equal(unlink(list), 0);
    char *rest = text;
    for (char *name; (name = strsep(&rest, "\n"));) {
        bool known = !*name;
        for (unsigned i = 0; i < count; i++)
            known = known || strcmp(seen[i], name) == 0;
        if (!known && count < POINTS_MAX)
            snprintf(seen[count++], sizeof(seen[0]), "%s", name);
    }
    free(text);
    return count;
}

/* Killed at each point, then run again: all has arrived as it must. */
static void die_everywhere(struct world *w, const struct story *story)
{
    char seen[POINTS_MAX][64];
    unsigned count = points_of(w, story, seen);
    assert_in_range(count, 10, POINTS_MAX - 1);
    for (unsigned i = 0; i < count; i++) {
        char rule[100];
        uint8_t number = (uint8_t)(1 + i);
        new_collector(w);
        story->make(w, number);
        snprintf(rule, sizeof(rule), "%.63s:kill:%u", seen[i], 1 + i % 2);
        int status = ship_once(w, story, "FLEETDUMP_FAULT", rule);
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        assert_true(killed || i % 2); /* some are passed only once */
        RUN_UNTIL(w, !w->collector.data && !w->collector.control);
        assert_int_equal(ship_once(w, story, "FLEETDUMP_NONE", ""), 0);
        assert_int_equal(left_streams(w), 0);
        if (!arrived_stream(w, number))
            fail_msg("%s: nothing came", rule);
        story->check(w, number);
        uv_timer_start(&w->patience, world_on_patience, PATIENCE_MS, 0);
    }
}

static void make_sound(struct world *w, uint8_t number)
{
    made_whole_stream(w, number, 4, 300000);
}

static void check_sound(struct world *w, uint8_t number)
{
    arrived_whole(w, number, 4);
}

static void a_death_anywhere_loses_and_doubles_nothing(void **state)
{
    const struct story story = {1u << 30, make_sound, check_sound};
#ifndef FLEETDUMP_FAULTS
    skip();
#endif
    die_everywhere(*state, &story);
}

#define WORN       12u
#define WORN_QUOTA 245760 /* all bodies go, and some rows */
#define BESIDE     50     /* the number of the stream that is made beside */

/* One stream with more than there is room for, and one damaged in three ways. */
static void make_worn(struct world *w, uint8_t number)
{
    assert_int_equal(fs_remove_tree(AT_FDCWD, support_path(w->folder, "damaged"), NULL), 0);
    struct spool_stream *t = made_stream(w, number, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < WORN; seq++)
        made_chunk(t, number, seq, 30000, 8000);
    made_end(t, number, WORN);
    spool_stream_close(t);
    number = (uint8_t)(number + BESIDE);
    t = made_stream(w, number, EVICT_NEVER);
    for (uint64_t seq = 0; seq < 4; seq++)
        made_chunk(t, number, seq, 10000, 0);
    made_end(t, number, 4);
    spool_stream_close(t);
    left_damage(w, number, 0, ".head");
    assert_int_equal(truncate(left_path(w, number, 1, ".pcapng.zst"), 10), 0);
    assert_int_equal(unlink(left_path(w, number, 2, ".head")), 0);
}

/* Each item is there, or a gap; each that promised packets has them, or it was said why not. */
static void check_covered(struct world *w, uint8_t number, uint64_t count, unsigned least_gaps, unsigned most_gaps,
                          unsigned bodies)
{
    const struct fake_stream *t = arrived_stream(w, number);
    unsigned gaps = 0, stored = 0;
    assert_non_null(t);
    assert_int_equal(t->head_next, count + 1);
    assert_int_equal(t->body_next, count + 1);
    assert_true(t->ended);
    for (uint64_t seq = 0; seq < count; seq = t->items[seq].last_seq + 1) {
        const struct fake_item *i = &t->items[seq];
        assert_true(i->have);
        assert_true(i->kind == HEAD_GAP || i->body_stored || i->fate_gap);
        gaps += i->kind == HEAD_GAP;
        stored += i->body_stored;
    }
    assert_in_range(gaps, least_gaps, most_gaps);
    assert_int_equal(stored, bodies);
}

static void check_worn(struct world *w, uint8_t number)
{
    check_covered(w, number, WORN, 2, 8, 0); /* what a death left takes room, too */
    check_covered(w, (uint8_t)(number + BESIDE), 4, 2, 2, 1);
}

static void a_death_amid_damage_and_want_of_room_needs_no_hand(void **state)
{
    const struct story story = {WORN_QUOTA, make_worn, check_worn};
#ifndef FLEETDUMP_FAULTS
    skip();
#endif
    die_everywhere(*state, &story);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], SHIP) == 0)
        return ship_process(argv[2], argv[3], strtoull(argv[4], NULL, 10));
    signal(SIGPIPE, SIG_IGN); /* the collector here writes to shippers that die */
    cmocka_set_test_filter(argc == 2 ? argv[1] : NULL);
    const struct CMUnitTest tests[] = {
        TEST(a_death_anywhere_loses_and_doubles_nothing),
        TEST(a_death_amid_damage_and_want_of_room_needs_no_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
