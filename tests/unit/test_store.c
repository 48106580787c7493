/*
 * What goes into the store comes out once, in order, or is refused by name.
 */
#include "collector/store/pack.h"
#include "common/base/log.h"
#include "tests/unit/store_place.h"

#include <fcntl.h>
#include <glob.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------ storing */
static void a_chunk_comes_back_as_it_came(void **state)
{
    struct place *p = *state;
    const struct wish w = {.stream = 1, .rows = 20};
    place_assert_cursors(p, 1, 0, 0);
    commit_chunk(p->s, &w, T0);
    place_assert_cursors(p, 1, 1, 1);
    for (int i = 0; i < 2; i++) {
        scan_all(p->s, NULL, &p->seen);
        assert_int_equal(p->seen.count, 1);
        assert_int_equal(p->seen.items[0].body_state, BODY_STORED);
        assert_int_equal(p->seen.items[0].rows, 20);
        assert_true(body_is_whole(p->s, &w));
        place_reopen(p, NULL);
    }
    place_assert_cursors(p, 1, 1, 1);
}

static void run_sql(const struct place *p, const char *file, const char *sql)
{
    glob_t found;
    sqlite3 *db = NULL;
    assert_int_equal(glob(support_path(p->path, file), 0, NULL, &found), 0);
    assert_int_equal(sqlite3_open(found.gl_pathv[0], &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    globfree(&found);
}

/* The packets of a head that was damaged meanwhile are lost, and counted; what comes behind them is not. */
static void a_damaged_head_costs_its_packets_only(void **state)
{
    struct place *p = *state;
    const struct wish w[] = {{.stream = 1}, {.stream = 1, .seq = 1}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(commit_head(p->s, &w[i], T0, &p->e), 0);
    store_close(p->s);
    run_sql(p, "partitions/*/flows.db", "UPDATE head_data SET data = zeroblob(length(data)) WHERE head = 1");
    p->s = open_store(p->path, NULL);
    log_setup("test_store", LOG_LEVEL_ERROR);
    for (int i = 0; i < 2; i++)
        assert_int_equal(commit_body(p->s, &w[i], T0, &p->e), 0);
    place_assert_cursors(p, 1, 2, 2);
    assert_true(body_is_whole(p->s, &w[1]));
}

static void a_chunk_can_be_got_by_its_id(void **state)
{
    struct place *p = *state;
    const struct wish w = {.stream = 1, .rows = 5};
    struct store_reader *r = NULL;
    struct store_chunk *c = NULL;
    uint8_t epoch[EPOCH_SIZE];
    epoch_of(1, epoch);
    commit_chunk(p->s, &w, T0 + 3);
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_chunk_get(r, epoch, 0, &c, &p->e), 0);
    assert_int_equal(c->head.flow_rows, 5);
    assert_non_null(c->head.flows);
    assert_string_equal(c->head.agent, "agent-1");
    assert_int_equal(c->arrived_ns, T0 + 3);
    store_chunk_free(c);
    assert_int_equal(store_chunk_get(r, epoch, 1, &c, &p->e), ERROR_NOT_FOUND);
    store_reader_close(r);
}

static void bodies_wait_for_their_turn(void **state)
{
    struct place *p = *state;
    struct error why;
    for (uint64_t seq = 0; seq < 4; seq++)
        assert_int_equal(commit_head(p->s, &(struct wish){.stream = 1, .seq = seq, .no_body = seq == 1}, T0, &why), 0);
    place_assert_cursors(p, 1, 4, 0);
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 2}, T0, &why), ERROR_INVALID);
    assert_non_null(strstr(why.text, "that of item 0 is next"));
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 0}, T0, &why), 0);
    place_assert_cursors(p, 1, 4, 2); /* item 1 has none */
    place_reopen(p, NULL);
    place_assert_cursors(p, 1, 4, 2);
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 2}, T0, &why), 0);
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 3}, T0, &why), 0);
    place_assert_cursors(p, 1, 4, 4);
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 4}, T0, &why), ERROR_INVALID);
    assert_non_null(strstr(why.text, "before its head"));
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 1}, T0, &why), ERROR_INVALID);
    assert_non_null(strstr(why.text, "without a body"));
}

static void an_item_out_of_order_is_refused(void **state)
{
    struct place *p = *state;
    struct error why;
    assert_int_equal(commit_head(p->s, &(struct wish){.stream = 1, .seq = 1}, T0, &why), ERROR_INVALID);
    assert_non_null(strstr(why.text, "item 0 is next"));
    place_assert_cursors(p, 1, 0, 0);
    scan_all(p->s, NULL, &p->seen);
    assert_int_equal(p->seen.count, 0);
}

static void the_same_again_is_acknowledged_again(void **state)
{
    struct place *p = *state;
    const struct wish w = {.stream = 1};
    for (int i = 0; i < 3; i++) {
        commit_chunk(p->s, &w, T0 + (uint64_t)i * HOUR);
        if (i == 1)
            place_reopen(p, NULL);
    }
    scan_all(p->s, NULL, &p->seen);
    assert_int_equal(p->seen.count, 1);
    place_assert_cursors(p, 1, 1, 1);
}

static void the_same_id_with_other_content_is_a_conflict(void **state)
{
    struct place *p = *state;
    struct error why;
    commit_chunk(p->s, &(struct wish){.stream = 1}, T0);
    assert_int_equal(commit_head(p->s, &(struct wish){.stream = 1, .variant = 1}, T0, &why), ERROR_CONFLICT);
    assert_non_null(strstr(why.text, "01010101010101010101010101010101"));
    assert_non_null(strstr(why.text, "item 0: stored is a chunk of"));
    assert_true(body_is_whole(p->s, &(struct wish){.stream = 1}));
    assert_int_equal(commit_head(p->s, &(struct wish){.stream = 1, .seq = 1, .agent = "other"}, T0, &why),
                     ERROR_CONFLICT);
    assert_non_null(strstr(why.text, "belongs to agent agent-1"));
    place_assert_cursors(p, 1, 1, 1);
}

static void a_body_that_is_not_the_heads_is_refused(void **state)
{
    struct place *p = *state;
    const struct wish w = {.stream = 1};
    struct error why;
    assert_int_equal(commit_head(p->s, &w, T0, NULL), 0);
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .variant = 1}, T0, &why), ERROR_CORRUPT);
    assert_non_null(strstr(why.text, "the body's hash is"));
    place_assert_cursors(p, 1, 1, 0);
    assert_int_equal(commit_body(p->s, &w, T0, &why), 0);
    assert_true(body_is_whole(p->s, &w));
    place_reopen(p, NULL);
    assert_true(body_is_whole(p->s, &w));
}

static void a_short_body_is_refused(void **state)
{
    struct place *p = *state;
    const struct wish w = {.stream = 1};
    struct made m;
    assert_int_equal(commit_head(p->s, &w, T0, NULL), 0);
    make_chunk(&w, &m);
    struct store_part part = body_part(&m, T0);
    assert_int_equal(ftruncate(part.body_fd, 100), 0);
    assert_int_equal(store_commit(p->s, &part, 1, &p->e), 0);
    assert_int_equal(part.result, ERROR_CORRUPT);
    part_done(&part);
    made_free(&m);
}

static void gaps_and_ends_are_items(void **state)
{
    struct place *p = *state;
    struct error why;
    commit_chunk(p->s, &(struct wish){.stream = 1}, T0);
    assert_int_equal(
        commit_head(p->s, &(struct wish){.stream = 1, .seq = 1, .kind = HEAD_GAP, .last_seq = 5}, T0, &why), 0);
    place_assert_cursors(p, 1, 6, 6);
    assert_int_equal(commit_head(p->s, &(struct wish){.stream = 1, .seq = 3}, T0, &why), ERROR_CONFLICT);
    assert_non_null(strstr(why.text, "stored is a gap"));
    assert_int_equal(commit_head(p->s, &(struct wish){.stream = 1, .seq = 6, .kind = HEAD_END}, T0, &why), 0);
    assert_int_equal(commit_head(p->s, &(struct wish){.stream = 1, .seq = 7}, T0, &why), ERROR_INVALID);
    assert_non_null(strstr(why.text, "ended with item 6"));
    scan_all(p->s, NULL, &p->seen);
    assert_int_equal(p->seen.count, 3);
    assert_int_equal(seen_find(&p->seen, 1, 4)->kind, HEAD_GAP);
    assert_int_equal(seen_find(&p->seen, 1, 6)->kind, HEAD_END);
}

static void an_evicted_body_is_known_to_be_evicted(void **state)
{
    struct place *p = *state;
    struct made m;
    const struct wish w = {.stream = 1};
    assert_int_equal(commit_head(p->s, &w, T0, NULL), 0);
    make_chunk(&w, &m);
    struct store_part part = head_part(&m, T0);
    part.head = NULL;
    part.head_bytes = NULL;
    part.head_length = 0;
    part.fate = BODY_EVICTED;
    part.gap = GAP_QUOTA;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_commit(p->s, &part, 1, &p->e), 0);
        assert_int_equal(part.result, 0);
    }
    made_free(&m);
    place_assert_cursors(p, 1, 1, 1);
    scan_all(p->s, NULL, &p->seen);
    assert_int_equal(p->seen.items[0].body_state, BODY_EVICTED);
    assert_int_equal(p->seen.items[0].gap, GAP_QUOTA);
    assert_false(body_is_whole(p->s, &w));
}

/* ------------------------------------------------------------------ groups */
static void a_group_holds_parts_of_many_streams_and_hours(void **state)
{
    struct place *p = *state;
    struct made m[32];
    struct store_part parts[64];
    for (uint8_t i = 0; i < 32; i++) {
        make_chunk(&(struct wish){.stream = i % 4, .seq = i / 4}, &m[i]);
        parts[2 * i] = head_part(&m[i], T0 + i * 4 * MINUTE);
        parts[2 * i + 1] = body_part(&m[i], T0 + i * 4 * MINUTE);
    }
    assert_int_equal(store_commit(p->s, parts, 64, &p->e), 0);
    for (size_t i = 0; i < 64; i++) {
        if (parts[i].result)
            fail_msg("%zu: %s", i, parts[i].error.text);
        part_done(&parts[i]);
    }
    scan_all(p->s, NULL, &p->seen);
    assert_int_equal(p->seen.count, 32);
    for (uint8_t i = 0; i < 32; i++) {
        assert_non_null(seen_find(&p->seen, i % 4, i / 4));
        assert_true(body_is_whole(p->s, &(struct wish){.stream = i % 4, .seq = i / 4}));
        made_free(&m[i]);
    }
    store_close(p->s);
    assert_int_equal(check_findings(p->path, true), 0);
    p->s = open_store(p->path, NULL);
    for (uint8_t stream = 0; stream < 4; stream++)
        place_assert_cursors(p, stream, 8, 8);
}

static void a_refused_part_does_not_hold_up_the_others(void **state)
{
    struct place *p = *state;
    struct made m[3];
    struct store_part parts[3];
    make_chunk(&(struct wish){.stream = 1}, &m[0]);
    make_chunk(&(struct wish){.stream = 2, .seq = 5}, &m[1]);
    make_chunk(&(struct wish){.stream = 3}, &m[2]);
    for (int i = 0; i < 3; i++)
        parts[i] = head_part(&m[i], T0);
    assert_int_equal(store_commit(p->s, parts, 3, &p->e), 0);
    assert_int_equal(parts[0].result, 0);
    assert_int_equal(parts[1].result, ERROR_INVALID);
    assert_int_equal(parts[2].result, 0);
    for (int i = 0; i < 3; i++)
        made_free(&m[i]);
    scan_all(p->s, NULL, &p->seen);
    assert_int_equal(p->seen.count, 2);
}

static void below_the_floor_nothing_is_taken(void **state)
{
    struct place *p = *state;
    struct made m;
    make_chunk(&(struct wish){.stream = 1}, &m);
    struct store_part part = head_part(&m, T0);
    place_reopen(p, &(struct store_config){.floor_bytes = UINT64_C(1) << 60});
    assert_int_equal(store_commit(p->s, &part, 1, &p->e), ERROR_FULL);
    assert_int_equal(part.result, ERROR_FULL);
    assert_non_null(strstr(p->e.text, p->path));
    place_reopen(p, NULL);
    assert_int_equal(store_commit(p->s, &part, 1, &p->e), 0);
    assert_int_equal(part.result, 0);
    made_free(&m);
}

/* ------------------------------------------------------------------ check */
static void note_finding(void *context, const char *text)
{
    buffer_printf(context, "%s\n", text);
}

/* Another bit in the only pack; what check says of that. */
static void flip_and_check(struct place *p, off_t at, struct buffer *said)
{
    struct store_report report;
    glob_t found;
    uint8_t byte;
    buffer_clear(said);
    assert_int_equal(glob(support_path(p->path, "partitions/*/*.pack"), 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    int fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(store_check(p->path, note_finding, said, &report, &p->e), 0);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(report.damaged, 1);
    close(fd);
    globfree(&found);
    buffer_u8(said, 0);
}

static void check_says_what_a_flipped_bit_costs(void **state)
{
    struct place *p = *state;
    struct buffer said = {0};
    struct made m;
    const struct wish w = {.stream = 1};
    make_chunk(&w, &m);
    commit_chunk(p->s, &w, T0);
    store_close(p->s);
    const off_t head = PACK_HEADER_SIZE + PACK_RECORD_SIZE, body = head + (off_t)m.head.len;
    made_free(&m);
    flip_and_check(p, head + 10, &said);
    assert_non_null(strstr((char *)said.data, ".0 are good, but reindex could not restore them"));
    flip_and_check(p, body + 10, &said);
    assert_non_null(strstr((char *)said.data, ".0 are lost, its rows are not"));
    assert_int_equal(check_findings(p->path, true), 0);
    buffer_free(&said);
    p->s = open_store(p->path, NULL);
}

/* ------------------------------------------------------------------ opening */
static void a_store_is_one_collectors(void **state)
{
    struct place *p = *state;
    struct store *second = NULL;
    assert_int_equal(store_open(&(struct store_config){.path = p->path}, &second, &p->e), ERROR_BUSY);
    assert_non_null(strstr(p->e.text, "locked by process"));
}

static void ten_thousand_chunks_are_there_again(void **state)
{
    struct place *p = *state;
    for (uint64_t seq = 0; seq < 10000; seq += 500) {
        struct made m[500];
        struct store_part parts[500];
        for (size_t i = 0; i < 500; i++) {
            make_chunk(&(struct wish){.stream = 1, .seq = seq + i, .no_body = true, .rows = 1}, &m[i]);
            parts[i] = head_part(&m[i], T0 + seq * SECOND);
        }
        assert_int_equal(store_commit(p->s, parts, 500, &p->e), 0);
        for (size_t i = 0; i < 500; i++)
            made_free(&m[i]);
    }
    place_reopen(p, NULL);
    place_assert_cursors(p, 1, 10000, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_chunk_comes_back_as_it_came, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_damaged_head_costs_its_packets_only, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_chunk_can_be_got_by_its_id, place_make, place_remove),
        cmocka_unit_test_setup_teardown(bodies_wait_for_their_turn, place_make, place_remove),
        cmocka_unit_test_setup_teardown(an_item_out_of_order_is_refused, place_make, place_remove),
        cmocka_unit_test_setup_teardown(the_same_again_is_acknowledged_again, place_make, place_remove),
        cmocka_unit_test_setup_teardown(the_same_id_with_other_content_is_a_conflict, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_body_that_is_not_the_heads_is_refused, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_short_body_is_refused, place_make, place_remove),
        cmocka_unit_test_setup_teardown(gaps_and_ends_are_items, place_make, place_remove),
        cmocka_unit_test_setup_teardown(an_evicted_body_is_known_to_be_evicted, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_group_holds_parts_of_many_streams_and_hours, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_refused_part_does_not_hold_up_the_others, place_make, place_remove),
        cmocka_unit_test_setup_teardown(below_the_floor_nothing_is_taken, place_make, place_remove),
        cmocka_unit_test_setup_teardown(check_says_what_a_flipped_bit_costs, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_store_is_one_collectors, place_make, place_remove),
        cmocka_unit_test_setup_teardown(ten_thousand_chunks_are_there_again, place_make, place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
