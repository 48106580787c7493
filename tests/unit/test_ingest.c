/*
 * The thread that writes the store: what it cannot store waits or is handed back, and keeps nobody from the rest.
 */
#include "tests/unit/store_support.h"

#include "collector/server/ingest.h"
#include "common/base/log.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 60000
#define JOBS        8

struct world {
    uv_loop_t loop;
    uv_timer_t patience;
    char *folder;
    struct store *store;
    struct ingest *ingest;
    bool ran_out;
};

/* What came of each job, which owns it. */
static struct outcome {
    bool done;
    int result;
    uint64_t head_next;
    bool over;
} came[JOBS];

static void on_done(struct ingest_job *job)
{
    *(struct outcome *)job->owner = (struct outcome){true, job->result, job->head_next, job->over};
    ingest_job_free(job);
}

static void on_patience(uv_timer_t *timer)
{
    ((struct world *)timer->data)->ran_out = true;
}

static void open_world(struct world *w, uint64_t floor_bytes)
{
    const struct store_config config = {.floor_bytes = floor_bytes};
    struct error e = ERROR_INIT;
    *w = (struct world){.folder = support_folder()};
    memset(came, 0, sizeof(came));
    log_setup("test_ingest", LOG_LEVEL_ERROR);
    w->store = open_store(w->folder, &config);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->patience);
    w->patience.data = w;
    uv_timer_start(&w->patience, on_patience, PATIENCE_MS, 0);
    assert_int_equal(ingest_start(&w->loop, w->store, on_done, &w->ingest, &e), 0);
}

static void close_world(struct world *w)
{
    ingest_stop(w->ingest);
    uv_close((uv_handle_t *)&w->patience, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    ingest_free(w->ingest);
    store_close(w->store);
    support_folder_remove(w->folder);
}

#define RUN_UNTIL(w, condition)                                                                                        \
    do {                                                                                                               \
        while (!(condition) && !(w)->ran_out)                                                                          \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                           \
        assert_false((w)->ran_out);                                                                                    \
    } while (0)

/* `number` is where its result is to be found. */
static void submit_wish(struct world *w, unsigned number, const struct wish *wish, uint64_t arrived_ns)
{
    struct made m;
    struct ingest_job *job = ingest_job_new(INGEST_HEAD, &came[number]);
    make_chunk(wish, &m);
    epoch_of(wish->stream, job->epoch);
    job->seq = wish->seq;
    job->arrived_ns = arrived_ns;
    buffer_append(&job->head, m.head.data, m.head.len);
    made_free(&m);
    ingest_submit(w->ingest, job);
}

static void submit_head(struct world *w, unsigned number, uint8_t stream, int kind, uint64_t seq, uint64_t arrived_ns)
{
    const struct wish wish = {.stream = stream, .seq = seq, .kind = (uint8_t)kind, .no_body = true};
    submit_wish(w, number, &wish, arrived_ns);
}

static void submit_state(struct world *w, unsigned number, uint8_t stream)
{
    struct ingest_job *job = ingest_job_new(INGEST_STATE, &came[number]);
    epoch_of(stream, job->epoch);
    ingest_submit(w->ingest, job);
}

static void submit_agent(struct world *w, unsigned number)
{
    struct ingest_job *job = ingest_job_new(INGEST_AGENT, &came[number]);
    job->name = strdup("agent-1");
    job->arrived_ns = T0;
    ingest_submit(w->ingest, job);
}

static void parts_are_stored_in_order_and_the_end_is_told(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 0);
    submit_head(&w, 0, 1, HEAD_CHUNK, 0, T0);
    submit_head(&w, 1, 1, HEAD_END, 1, T0);
    submit_state(&w, 2, 1);
    RUN_UNTIL(&w, came[2].done);
    assert_int_equal(came[0].result, 0);
    assert_int_equal(came[1].result, 0);
    assert_true(came[1].over);
    assert_int_equal(came[2].head_next, 2);
    close_world(&w);
}

/* What waits for room does not keep agents from being greeted; at the end it is handed back. */
static void a_full_disk_keeps_only_parts_waiting(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, UINT64_C(1) << 60);
    submit_head(&w, 0, 1, HEAD_CHUNK, 0, T0);
    submit_agent(&w, 1);
    submit_state(&w, 2, 1);
    RUN_UNTIL(&w, came[1].done && came[2].done);
    assert_int_equal(came[1].result, 0);
    assert_int_equal(came[2].result, 0);
    assert_int_equal(came[2].head_next, 0);
    assert_false(came[0].done);
    close_world(&w);
    assert_true(came[0].done);
    assert_int_equal(came[0].result, ERROR_CANCELLED);
}

/* One place of the disk is bad: whoever needs it is told so, the others' parts are stored. */
static void a_bad_place_costs_only_who_needs_it(void **state)
{
    (void)state;
#ifndef FLEETDUMP_FAULTS
    skip();
#endif
    struct world w;
    open_world(&w, 0);
    submit_head(&w, 0, 1, HEAD_CHUNK, 0, T0);
    RUN_UNTIL(&w, came[0].done);
    assert_int_equal(came[0].result, 0);
    submit_head(&w, 1, 2, HEAD_CHUNK, 0, T0 + 5 * HOUR); /* needs a new folder, which cannot be made */
    submit_head(&w, 2, 1, HEAD_CHUNK, 1, T0);
    submit_head(&w, 3, 3, HEAD_CHUNK, 0, T0);
    RUN_UNTIL(&w, came[1].done && came[2].done && came[3].done);
    assert_int_equal(came[1].result, ERROR_SYSTEM);
    assert_int_equal(came[2].result, 0);
    assert_int_equal(came[3].result, 0);
    submit_head(&w, 4, 2, HEAD_CHUNK, 0, T0 + 5 * HOUR); /* once more, and the disk is well again */
    RUN_UNTIL(&w, came[4].done);
    assert_int_equal(came[4].result, 0);
    close_world(&w);
}

static void submit_body(struct world *w, unsigned number, uint8_t stream)
{
    const struct wish wish = {.stream = stream};
    struct made m;
    struct ingest_job *job = ingest_job_new(INGEST_BODY, &came[number]);
    make_chunk(&wish, &m);
    struct store_part part = body_part(&m, T0);
    epoch_of(stream, job->epoch);
    job->arrived_ns = T0;
    job->body_fd = part.body_fd;
    job->body_length = part.body_length;
    made_free(&m);
    ingest_submit(w->ingest, job);
}

static size_t pack_count(const struct world *w)
{
    glob_t found;
    assert_int_equal(glob(support_path(w->folder, "partitions/*/*.pack"), 0, NULL, &found), 0);
    size_t count = found.gl_pathc;
    globfree(&found);
    return count;
}

/* What a try wrote that found no room is given back, for the next try. */
static void a_full_disk_is_not_filled_by_trying(void **state)
{
    (void)state;
#ifndef FLEETDUMP_FAULTS
    skip();
#endif
    struct world w;
    open_world(&w, 0);
    for (uint8_t n = 0; n < 2; n++) {
        const struct wish wish = {.stream = (uint8_t)(n + 1)};
        submit_wish(&w, n, &wish, T0);
    }
    submit_body(&w, 2, 1);
    RUN_UNTIL(&w, came[2].done);
    submit_body(&w, 3, 2);
    RUN_UNTIL(&w, came[3].done);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(came[i].result, 0);
    assert_int_equal(pack_count(&w), 1);
    for (uint8_t n = 0; n < 2; n++) {
        const struct wish wish = {.stream = (uint8_t)(n + 1)};
        assert_true(body_is_whole(w.store, &wish));
    }
    close_world(&w);
}

static void what_waits_is_bounded(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, UINT64_C(1) << 60);
    assert_true(ingest_has_room(w.ingest));
    for (unsigned i = 0; i <= INGEST_QUEUE_JOBS; i++)
        submit_head(&w, 0, 1, HEAD_CHUNK, 0, T0);
    assert_true(ingest_is_full(w.ingest));
    assert_false(ingest_has_room(w.ingest));
    close_world(&w);
}

int main(void)
{
    /* The third folder of an hour cannot be made: in company, then alone. No room behind the header of the second body. */
    setenv("FLEETDUMP_FAULT", "partition.mkdir:EIO:3,partition.mkdir:EIO:4,pack.write:ENOSPC:4", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_stored_in_order_and_the_end_is_told),
        cmocka_unit_test(a_full_disk_keeps_only_parts_waiting),
        cmocka_unit_test(a_bad_place_costs_only_who_needs_it),
        cmocka_unit_test(a_full_disk_is_not_filled_by_trying),
        cmocka_unit_test(what_waits_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
