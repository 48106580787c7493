/* A stream whose writer died gets its END, whatever is left of it. */
#include "tests/unit/support.h"

#include "agent/capture/recover.h"
#include "common/base/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EPOCH_NAME "ab0102030405060708090a0b0c0d0e0f"

static const uint8_t epoch[EPOCH_SIZE] = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const struct recover_options options = {.agent = "this-host"};

struct place {
    char *folder;
    struct spool *s;
    struct spool_stream *t;
};

static int make_place(void **state)
{
    const struct spool_limits limits = {.quota_bytes = UINT64_C(1) << 40};
    const struct spool_stream_start begin = {.agent = "web-1", .capture = "monday"};
    struct place *p = calloc(1, sizeof(*p));
    p->folder = support_folder();
    assert_int_equal(spool_open(p->folder, &limits, &p->s, NULL), 0);
    assert_int_equal(spool_stream_new(p->s, epoch, &begin, &p->t, NULL), 0);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    spool_close(p->s);
    support_folder_remove(p->folder);
    free(p);
    return 0;
}

static void seal_chunk(struct place *p, uint64_t seq)
{
    char agent[] = "web-1", capture[] = "monday";
    struct chunk_head h = {.kind = HEAD_CHUNK, .seal = SEAL_TIME, .seq = seq, .last_seq = seq};
    struct buffer out = {0};
    h.agent = agent;
    h.capture = capture;
    memcpy(h.epoch, epoch, EPOCH_SIZE);
    assert_int_equal(head_encode(&h, &out, NULL), 0);
    assert_int_equal(spool_stream_seal(p->t, seq, out.data, out.len, false, -1, NULL), 0);
    buffer_free(&out);
}

/* The capturer is gone; the END is item `seq` afterwards, and has these names and totals. */
static void assert_ended(struct place *p, uint64_t seq, const char *agent, const char *capture, uint64_t lost)
{
    char name[80];
    char *data = NULL;
    size_t len = 0;
    struct chunk_head h;
    struct recovered r;
    struct error e = ERROR_INIT;
    spool_stream_close(p->t);
    if (recover_stream(p->s, epoch, &options, &r, &e) != 0)
        fail_msg("%s", e.text);
    snprintf(name, sizeof(name), EPOCH_NAME "/%016llx.head", (unsigned long long)seq);
    assert_int_equal(fs_read_file(AT_FDCWD, support_path(p->folder, name), 1 << 20, &data, &len, NULL), 0);
    assert_int_equal(head_decode(data, len, &h, NULL), 0);
    assert_int_equal(h.kind, HEAD_END);
    assert_string_equal(h.agent, agent);
    assert_string_equal(h.capture, capture);
    assert_int_equal(h.totals.value[COUNTER_CRASH_LOST], lost);
    head_free(&h);
    free(data);
}

static void a_stream_without_items_has_its_names(void **state)
{
    assert_ended(*state, 0, "web-1", "monday", 0);
}

/* Without them the collector would take the END for another agent's, and refuse it for ever. */
static void names_come_from_the_newest_head_if_the_page_is_damaged(void **state)
{
    struct place *p = *state;
    seal_chunk(p, 0);
    seal_chunk(p, 1);
    support_write(p->folder, EPOCH_NAME "/counters", "rubbish", 7);
    assert_ended(p, 2, "web-1", "monday", 0);
}

static void a_stream_that_nothing_names_is_ours(void **state)
{
    struct place *p = *state;
    support_write(p->folder, EPOCH_NAME "/counters", "rubbish", 7);
    assert_ended(p, 0, "this-host", "recovered", 0);
}

/* What cannot be read is lost, counted, and no reason to stay. */
static void a_body_of_rubbish_is_given_up(void **state)
{
    struct place *p = *state;
    int fd = spool_stream_open_body(p->t, 0, NULL);
    assert_true(fd >= 0);
    assert_int_equal(fs_write(fd, "rubbish", 7, NULL, NULL), 0);
    close(fd);
    counter_page_add(spool_stream_counters(p->t), COUNTER_RECEIVED, 12);
    counter_page_add(spool_stream_counters(p->t), COUNTER_KEPT, 12);
    assert_ended(p, 1, "web-1", "monday", 12);
    assert_int_not_equal(access(support_path(p->folder, EPOCH_NAME "/0000000000000000.open"), F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stream_without_items_has_its_names),
        TEST(names_come_from_the_newest_head_if_the_page_is_damaged),
        TEST(a_stream_that_nothing_names_is_ours),
        TEST(a_body_of_rubbish_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
