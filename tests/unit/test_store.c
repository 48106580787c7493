/* What goes into the store comes out once, in order, or is refused by name. */
#include "collector/store/pack.h"
#include "tests/unit/store_support.h"

#include "common/base/fs.h"
#include "common/base/log.h"

#include <fcntl.h>
#include <glob.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char *path;
    struct store *s;
    struct error e;
    struct seen seen;
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    p->path = support_folder();
    p->s = open_store(p->path, NULL);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    store_close(p->s);
    support_folder_remove(p->path);
    free(p);
    return 0;
}

static void reopen(struct place *p, const struct store_config *config)
{
    store_close(p->s);
    p->s = open_store(p->path, config);
}

static void assert_cursors(struct place *p, uint8_t stream, uint64_t head_next, uint64_t body_next)
{
    uint8_t epoch[EPOCH_SIZE];
    uint64_t head = 99, body = 99;
    epoch_of(stream, epoch);
    assert_int_equal(store_stream_state(p->s, epoch, NULL, &head, &body, &p->e), 0);
    assert_int_equal(head, head_next);
    assert_int_equal(body, body_next);
}

/* ------------------------------------------------------------------ storing */

static void a_chunk_comes_back_as_it_came(void **state)
{
    struct place *p = *state;
    const struct wish w = {.stream = 1, .rows = 20};
    assert_cursors(p, 1, 0, 0);
    commit_chunk(p->s, &w, T0);
    assert_cursors(p, 1, 1, 1);
    for (int i = 0; i < 2; i++) {
        scan_all(p->s, NULL, &p->seen);
        assert_int_equal(p->seen.count, 1);
        assert_int_equal(p->seen.items[0].body_state, BODY_STORED);
        assert_int_equal(p->seen.items[0].rows, 20);
        assert_true(body_is_whole(p->s, &w));
        reopen(p, NULL);
    }
    assert_cursors(p, 1, 1, 1);
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
    assert_cursors(p, 1, 2, 2);
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
    assert_cursors(p, 1, 4, 0);
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 2}, T0, &why), ERROR_INVALID);
    assert_non_null(strstr(why.text, "that of item 0 is next"));
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 0}, T0, &why), 0);
    assert_cursors(p, 1, 4, 2); /* item 1 has none */
    reopen(p, NULL);
    assert_cursors(p, 1, 4, 2);
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 2}, T0, &why), 0);
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .seq = 3}, T0, &why), 0);
    assert_cursors(p, 1, 4, 4);
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
    assert_cursors(p, 1, 0, 0);
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
            reopen(p, NULL);
    }
    scan_all(p->s, NULL, &p->seen);
    assert_int_equal(p->seen.count, 1);
    assert_cursors(p, 1, 1, 1);
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
    assert_cursors(p, 1, 1, 1);
}

static void a_body_that_is_not_the_heads_is_refused(void **state)
{
    struct place *p = *state;
    const struct wish w = {.stream = 1};
    struct error why;
    assert_int_equal(commit_head(p->s, &w, T0, NULL), 0);
    assert_int_equal(commit_body(p->s, &(struct wish){.stream = 1, .variant = 1}, T0, &why), ERROR_CORRUPT);
    assert_non_null(strstr(why.text, "the body's hash is"));
    assert_cursors(p, 1, 1, 0);
    assert_int_equal(commit_body(p->s, &w, T0, &why), 0);
    assert_true(body_is_whole(p->s, &w));
    reopen(p, NULL);
    assert_true(body_is_whole(p->s, &w));
}

static void a_short_body_is_refused(void **state)
{
    struct place *p = *state;
    const struct wish w = {.stream = 1};
    struct made m;
    assert_int_equal(commit_head(p->s, &w, T0, NULL), 0);
    make_chunk(&w, &m);
    struct store_part part = body_part(p->s, &m, T0);
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
    assert_cursors(p, 1, 6, 6);
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
    assert_cursors(p, 1, 1, 1);
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
        parts[2 * i + 1] = body_part(p->s, &m[i], T0 + i * 4 * MINUTE);
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
        assert_cursors(p, stream, 8, 8);
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
    reopen(p, &(struct store_config){.floor_bytes = UINT64_C(1) << 60});
    assert_int_equal(store_commit(p->s, &part, 1, &p->e), ERROR_FULL);
    assert_int_equal(part.result, ERROR_FULL);
    assert_non_null(strstr(p->e.text, p->path));
    reopen(p, NULL);
    assert_int_equal(store_commit(p->s, &part, 1, &p->e), 0);
    assert_int_equal(part.result, 0);
    made_free(&m);
}

/* ------------------------------------------------------------------ scans */

static void scans_are_pruned_by_time_agent_and_capture(void **state)
{
    struct place *p = *state;
    const char *const agents[] = {"agent-2", "agent-1*"};
    for (uint64_t seq = 0; seq < 10; seq++)
        for (uint8_t stream = 1; stream <= 3; stream++)
            commit_chunk(p->s,
                         &(struct wish){.stream = stream,
                                        .seq = seq,
                                        .first_ns = T0 + seq * MINUTE,
                                        .no_body = true,
                                        .capture = stream == 2 ? "web" : "all"},
                         T0 + seq * 20 * MINUTE);
    struct store_scan scan = {.since_ns = T0 + 2 * MINUTE, .until_ns = T0 + 4 * MINUTE};
    scan_all(p->s, &scan, &p->seen);
    assert_int_equal(p->seen.count, 9);
    scan.agents = agents;
    scan.agent_count = 2;
    scan_all(p->s, &scan, &p->seen);
    assert_int_equal(p->seen.count, 6);
    scan.capture = "w*";
    scan_all(p->s, &scan, &p->seen);
    assert_int_equal(p->seen.count, 3);
    scan.since_ns = T0 - HOUR;
    scan.until_ns = T0 - 1;
    scan_all(p->s, &scan, &p->seen);
    assert_int_equal(p->seen.count, 0);
    scan.since_ns = scan.until_ns = T0 + SECOND; /* inclusive */
    scan.capture = "";
    scan_all(p->s, &scan, &p->seen);
    assert_int_equal(p->seen.count, 2);
}

static void losses_are_given_where_their_stream_is(void **state)
{
    struct place *p = *state;
    const uint64_t old = T0 - 400 * 24 * HOUR; /* packets of a file, read today */
    commit_chunk(p->s, &(struct wish){.stream = 1, .first_ns = old}, T0);
    commit_chunk(p->s, &(struct wish){.stream = 1, .seq = 1, .kind = HEAD_GAP, .last_seq = 2}, T0);
    scan_all(p->s, &(struct store_scan){.since_ns = old, .until_ns = old + MINUTE}, &p->seen);
    assert_int_equal(p->seen.count, 2);
    assert_int_equal(p->seen.items[1].kind, HEAD_GAP);
}

static struct filter *compile(const char *text)
{
    struct filter *f = NULL;
    struct error e = ERROR_INIT;
    if (filter_compile(text, NULL, &f, &e))
        fail_msg("%s", e.text);
    return f;
}

static size_t count_included(const struct seen *seen)
{
    size_t count = 0;
    for (size_t i = 0; i < seen->count; i++)
        count += !seen->items[i].excluded;
    return count;
}

static void assert_included_of(struct place *p, const char *filter, size_t seen, size_t expected)
{
    struct filter *f = compile(filter);
    struct store_scan scan = {.until_ns = UINT64_MAX, .filter = f};
    scan_all(p->s, &scan, &p->seen);
    assert_int_equal(p->seen.count, seen);
    if (count_included(&p->seen) != expected)
        fail_msg("%s: %zu of %zu chunks, expected %zu", filter, count_included(&p->seen), p->seen.count, expected);
    filter_free(f);
}

static void assert_included(struct place *p, const char *filter, size_t expected)
{
    assert_included_of(p, filter, 20, expected); /* what is excluded is counted too */
}

static void assert_postings(struct place *p)
{
    assert_included(p, "", 20);
    assert_included(p, "host 10.1.3.0", 1 + 1); /* the gap has no rows: it stays */
    assert_included(p, "net 10.2.0.0/16", 9 + 1);
    assert_included(p, "host 10.1.3.0 or host 10.2.3.1", 2 + 1);
    assert_included(p, "host 10.1.3.0 and host 10.2.3.1", 1);
    assert_included(p, "host 192.0.2.1", 20);
    assert_included(p, "host 192.0.2.7", 1);
    assert_included(p, "port 1002", 20);
    assert_included(p, "portrange 1000-1001", 20);
    assert_included(p, "port 22", 1);
    assert_included(p, "not port 22", 20);
    assert_included_of(p, "agent agent-2", 10, 10); /* but not what others captured */
    assert_included_of(p, "agent agent-1 and host 10.1.3.0", 10, 1);
    assert_included_of(p, "not agent agent-1 or capture none", 10, 10);
    assert_included(p, "bytes > 0", 20);
}

static void postings_exclude_what_cannot_match(void **state)
{
    struct place *p = *state;
    const uint64_t arrived = T0 + 5 * MINUTE;
    for (uint64_t seq = 0; seq < 10; seq++)
        for (uint8_t stream = 1; stream <= 2; stream++) {
            struct wish w = {.stream = stream, .seq = seq, .no_body = true};
            if (stream == 2 && seq == 9) {
                w.kind = HEAD_GAP;
                w.last_seq = 9;
            }
            commit_chunk(p->s, &w, arrived);
        }
    assert_postings(p); /* in memory */
    assert_int_equal(store_maintain(p->s, arrived, &p->e), 0);
    assert_postings(p); /* in memory, made by the writer */
    reopen(p, NULL);
    assert_postings(p); /* in memory again */
    assert_int_equal(store_maintain(p->s, arrived + 2 * HOUR, &p->e), 0);
    assert_postings(p); /* on disk */
    reopen(p, NULL);
    assert_postings(p);
    store_close(p->s);
    assert_int_equal(check_findings(p->path, true), 0);
    p->s = open_store(p->path, NULL);
}

static int stop_at_two(void *context, struct store_chunk *c, bool excluded, struct error *e)
{
    (void)c;
    (void)excluded;
    return ++*(int *)context == 2 ? error_set(e, ERROR_CANCELLED, "enough") : 0;
}

static void a_scan_ends_when_it_is_told(void **state)
{
    struct place *p = *state;
    struct store_reader *r = NULL;
    int count = 0;
    for (uint64_t seq = 0; seq < 5; seq++)
        commit_chunk(p->s, &(struct wish){.stream = 1, .seq = seq}, T0);
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_scan_chunks(r, &(struct store_scan){.until_ns = UINT64_MAX}, stop_at_two, &count, &p->e),
                     ERROR_CANCELLED);
    assert_int_equal(count, 2);
    store_reader_close(r);
}

/* ------------------------------------------------------------------ lists */

static int note_capture(void *context, const struct store_capture_info *c)
{
    struct buffer *out = context;
    buffer_printf(out, "%s: %s, %llu streams (%llu open), %llu chunks, %llu rows, %llu packets, %llu missing; ",
                  c->name, c->agents, (unsigned long long)c->streams, (unsigned long long)c->open_streams,
                  (unsigned long long)c->chunks, (unsigned long long)c->rows, (unsigned long long)c->packets,
                  (unsigned long long)c->gap_packets);
    return 0;
}

static int note_stream(void *context, const struct store_stream_info *s)
{
    buffer_printf(context, "%s/%s %llu/%llu%s; ", s->agent, s->capture, (unsigned long long)s->head_next,
                  (unsigned long long)s->body_next, s->ended ? " ended" : "");
    return 0;
}

static void list(struct place *p, struct buffer *out)
{
    struct store_reader *r = NULL;
    buffer_clear(out);
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_each_capture(r, NULL, note_capture, out, &p->e), 0);
    assert_int_equal(store_each_stream(r, &(struct store_scan){.capture = "b"}, note_stream, out, &p->e), 0);
    buffer_u8(out, 0);
    store_reader_close(r);
}

static void captures_and_streams_are_listed_over_hours(void **state)
{
    static const char expected[] = "a: agent-1,agent-2, 2 streams (2 open), 4 chunks, 12 rows, 40 packets, 0 missing; "
                                   "b: agent-3, 1 streams (0 open), 1 chunks, 3 rows, 10 packets, 7 missing; "
                                   "agent-3/b 5/0 ended; ";
    struct place *p = *state;
    struct buffer text = {0};
    for (uint8_t stream = 1; stream <= 2; stream++)
        for (uint64_t seq = 0; seq < 2; seq++)
            commit_chunk(p->s, &(struct wish){.stream = stream, .seq = seq, .capture = "a"}, T0 + seq * HOUR);
    assert_int_equal(commit_head(p->s, &(struct wish){.stream = 3, .capture = "b"}, T0 + HOUR, NULL), 0);
    commit_chunk(p->s, &(struct wish){.stream = 3, .seq = 1, .kind = HEAD_GAP, .last_seq = 3, .capture = "b"},
                 T0 + HOUR);
    commit_chunk(p->s, &(struct wish){.stream = 3, .seq = 4, .kind = HEAD_END, .capture = "b"}, T0 + 2 * HOUR);
    list(p, &text);
    assert_string_equal((char *)text.data, expected);
    assert_int_equal(store_maintain(p->s, T0 + 5 * HOUR, &p->e), 0);
    list(p, &text);
    assert_string_equal((char *)text.data, expected);
    reopen(p, NULL);
    list(p, &text);
    assert_string_equal((char *)text.data, expected);
    buffer_free(&text);
}

static void the_whole_is_counted(void **state)
{
    struct place *p = *state;
    struct store_reader *r = NULL;
    struct store_stats s;
    commit_chunk(p->s, &(struct wish){.stream = 1, .first_ns = T0 - HOUR}, T0);
    commit_chunk(p->s, &(struct wish){.stream = 1, .seq = 1, .first_ns = T0}, T0 + HOUR);
    assert_int_equal(store_maintain(p->s, T0 + HOUR + HOUR / 2, &p->e), 0);
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_stats(r, &s, &p->e), 0);
    assert_int_equal(s.partitions, 2);
    assert_int_equal(s.open_partitions, 1);
    assert_int_equal(s.chunks, 2);
    assert_int_equal(s.rows, 6);
    assert_int_equal(s.packets, 20);
    assert_int_equal(s.body_bytes, 10000);
    assert_int_equal(s.oldest_ns, T0 - HOUR);
    assert_int_equal(s.newest_ns, T0 + SECOND);
    assert_true(s.database_bytes > 10000);
    store_reader_close(r);
}

/* ------------------------------------------------------------------ retention */

static int note_dropped(void *context, const struct store_dropped_info *d, struct error *e)
{
    (void)e;
    buffer_printf(context, "%s/%s %lld-%lld; ", d->agent, d->capture, (long long)(d->first_ns - T0) / (long long)SECOND,
                  (long long)(d->last_ns - T0) / (long long)SECOND);
    return 0;
}

/* What the store says to have dropped, in seconds after T0. */
static void assert_dropped(struct place *p, const struct store_scan *scan, const char *expected)
{
    const struct store_scan all = {.until_ns = UINT64_MAX};
    struct store_reader *r = NULL;
    struct buffer text = {0};
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_each_dropped(r, scan ? scan : &all, note_dropped, &text, &p->e), 0);
    buffer_u8(&text, 0);
    assert_string_equal((char *)text.data, expected);
    buffer_free(&text);
    store_reader_close(r);
}

static size_t count_stored(struct place *p, const char *capture)
{
    scan_all(p->s, &(struct store_scan){.until_ns = UINT64_MAX, .capture = capture}, &p->seen);
    return p->seen.count;
}

/* One stream over three hours, another in the first of them. */
static void fill_three_hours(struct place *p)
{
    commit_chunk(p->s, &(struct wish){.stream = 2, .capture = "short"}, T0);
    for (uint64_t seq = 0; seq < 3; seq++)
        commit_chunk(p->s, &(struct wish){.stream = 1, .seq = seq, .capture = "long"}, T0 + seq * HOUR);
}

static void what_is_too_old_is_dropped_and_remembered(void **state)
{
    struct place *p = *state;
    reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_age_ns = 3 * HOUR});
    fill_three_hours(p);
    assert_int_equal(store_maintain(p->s, T0 + 3 * HOUR - MINUTE, &p->e), 0);
    assert_int_equal(count_stored(p, NULL), 4);
    assert_dropped(p, NULL, "");
    assert_int_equal(store_maintain(p->s, T0 + 3 * HOUR + MINUTE, &p->e), 0);
    assert_int_equal(count_stored(p, "long"), 2);
    assert_int_equal(count_stored(p, "short"), 0);
    assert_dropped(p, NULL, "agent-1/long 0-1; agent-2/short 0-1; ");
    reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_age_ns = 3 * HOUR});
    assert_cursors(p, 2, 1, 1);
    assert_int_equal(store_maintain(p->s, T0 + 4 * HOUR + MINUTE, &p->e), 0);
    assert_dropped(p, NULL, "agent-1/long 0-2; agent-2/short 0-1; ");
}

static void what_was_dropped_is_told_to_those_who_ask_for_it(void **state)
{
    struct place *p = *state;
    reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_age_ns = HOUR});
    fill_three_hours(p);
    assert_int_equal(store_maintain(p->s, T0 + HOUR + MINUTE, &p->e), 0);
    const char *agents[] = {"agent-2"};
    assert_dropped(p, &(struct store_scan){.until_ns = UINT64_MAX, .agents = agents, .agent_count = 1},
                   "agent-2/short 0-1; ");
    assert_dropped(p, &(struct store_scan){.until_ns = UINT64_MAX, .capture = "lo*"}, "agent-1/long 0-1; ");
    assert_dropped(p, &(struct store_scan){.until_ns = UINT64_MAX, .capture = "x"}, "");
    assert_dropped(p, &(struct store_scan){.since_ns = T0 + SECOND + 1, .until_ns = UINT64_MAX}, "");
    assert_dropped(p, &(struct store_scan){.until_ns = T0 - 1}, "");
}

static void the_oldest_hours_go_when_it_is_too_much(void **state)
{
    struct place *p = *state;
    reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_bytes = 1});
    fill_three_hours(p);
    assert_int_equal(store_maintain(p->s, T0 + 2 * HOUR + MINUTE, &p->e), 0);
    assert_int_equal(count_stored(p, NULL), 0); /* each hour alone is too much */
    assert_dropped(p, NULL, "agent-1/long 0-3; agent-2/short 0-1; ");
    assert_cursors(p, 1, 3, 3);
}

static void packets_go_before_their_rows(void **state)
{
    struct place *p = *state;
    reopen(p, &(struct store_config){.path = p->path, .partition_ns = HOUR, .retain_body_bytes = 12000});
    fill_three_hours(p);
    assert_int_equal(store_maintain(p->s, T0 + 5 * HOUR, &p->e), 0);
    assert_int_equal(count_stored(p, NULL), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(p->seen.items[i].body_state, p->seen.items[i].seq == 0 ? BODY_EXPIRED : BODY_STORED);
    assert_dropped(p, NULL, ""); /* rows are there and say what is gone */
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

/* ------------------------------------------------------------------ agents */

static void see_agent(struct place *p, uint8_t install, uint64_t seen_ns, const char *addresses, int expected)
{
    struct filter_address list[8] = {0};
    struct store_agent a = {.name = "web-1",
                            .software = "v1",
                            .labels = "role=web",
                            .install = {install},
                            .addresses = list,
                            .seen_ns = seen_ns,
                            .peer = "192.0.2.9",
                            .status_json = NULL};
    for (; addresses[a.address_count]; a.address_count++) {
        list[a.address_count].family = FAMILY_IP4;
        list[a.address_count].addr[0] = (uint8_t)addresses[a.address_count];
    }
    assert_int_equal(store_agent_seen(p->s, &a, &p->e), expected);
}

static int note_agent(void *context, const struct store_agent_info *a)
{
    struct buffer *out = context;
    buffer_printf(out, "%s (%s) %llu chunks:", a->name, a->labels, (unsigned long long)a->chunks);
    for (uint32_t i = 0; i < a->address_count; i++)
        buffer_printf(out, " %c %llu-%llu", a->addresses[i].addr[0], (unsigned long long)a->addresses[i].from_ns,
                      a->addresses[i].to_ns == UINT64_MAX ? 0 : (unsigned long long)a->addresses[i].to_ns);
    buffer_printf(out, "; ");
    return 0;
}

static void addresses_have_times(void **state)
{
    struct place *p = *state;
    struct store_reader *r = NULL;
    struct buffer text = {0};
    see_agent(p, 1, 100, "ab", 0);
    see_agent(p, 1, 200, "bc", 0);
    see_agent(p, 1, 300, "ac", 0);
    commit_chunk(p->s, &(struct wish){.stream = 1}, T0); /* of an agent that never said hello */
    commit_chunk(p->s, &(struct wish){.stream = 2, .agent = "web-1"}, T0);
    reopen(p, NULL);
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_each_agent(r, note_agent, &text, &p->e), 0);
    buffer_u8(&text, 0);
    assert_string_equal((char *)text.data,
                        "agent-1 () 1 chunks:; web-1 (role=web) 1 chunks: a 200-0 c 100-0 a 0-200 b 0-300; ");
    buffer_free(&text);
    store_reader_close(r);
}

static void two_hosts_of_one_name_are_told_apart(void **state)
{
    struct place *p = *state;
    see_agent(p, 1, T0, "a", 0);
    see_agent(p, 2, T0 + MINUTE, "a", ERROR_CONFLICT);
    assert_non_null(strstr(p->e.text, "web-1"));
    see_agent(p, 1, T0 + 2 * MINUTE, "a", 0);
    see_agent(p, 2, T0 + 10 * MINUTE, "a", 0); /* a host that was installed anew */
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
    reopen(p, NULL);
    assert_cursors(p, 1, 10000, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_chunk_comes_back_as_it_came, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_damaged_head_costs_its_packets_only, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_chunk_can_be_got_by_its_id, make_place, remove_place),
        cmocka_unit_test_setup_teardown(bodies_wait_for_their_turn, make_place, remove_place),
        cmocka_unit_test_setup_teardown(an_item_out_of_order_is_refused, make_place, remove_place),
        cmocka_unit_test_setup_teardown(the_same_again_is_acknowledged_again, make_place, remove_place),
        cmocka_unit_test_setup_teardown(the_same_id_with_other_content_is_a_conflict, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_body_that_is_not_the_heads_is_refused, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_short_body_is_refused, make_place, remove_place),
        cmocka_unit_test_setup_teardown(gaps_and_ends_are_items, make_place, remove_place),
        cmocka_unit_test_setup_teardown(an_evicted_body_is_known_to_be_evicted, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_group_holds_parts_of_many_streams_and_hours, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_refused_part_does_not_hold_up_the_others, make_place, remove_place),
        cmocka_unit_test_setup_teardown(below_the_floor_nothing_is_taken, make_place, remove_place),
        cmocka_unit_test_setup_teardown(scans_are_pruned_by_time_agent_and_capture, make_place, remove_place),
        cmocka_unit_test_setup_teardown(losses_are_given_where_their_stream_is, make_place, remove_place),
        cmocka_unit_test_setup_teardown(postings_exclude_what_cannot_match, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_scan_ends_when_it_is_told, make_place, remove_place),
        cmocka_unit_test_setup_teardown(captures_and_streams_are_listed_over_hours, make_place, remove_place),
        cmocka_unit_test_setup_teardown(the_whole_is_counted, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_is_too_old_is_dropped_and_remembered, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_was_dropped_is_told_to_those_who_ask_for_it, make_place, remove_place),
        cmocka_unit_test_setup_teardown(the_oldest_hours_go_when_it_is_too_much, make_place, remove_place),
        cmocka_unit_test_setup_teardown(packets_go_before_their_rows, make_place, remove_place),
        cmocka_unit_test_setup_teardown(check_says_what_a_flipped_bit_costs, make_place, remove_place),
        cmocka_unit_test_setup_teardown(addresses_have_times, make_place, remove_place),
        cmocka_unit_test_setup_teardown(two_hosts_of_one_name_are_told_apart, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_store_is_one_collectors, make_place, remove_place),
        cmocka_unit_test_setup_teardown(ten_thousand_chunks_are_there_again, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
