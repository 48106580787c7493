/*
 * What is asked of the store: scans, by time, agent, capture and postings; lists of captures, streams and agents.
 */
#include "tests/unit/store_place.h"

#include <string.h>

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
    place_reopen(p, NULL);
    assert_postings(p); /* in memory again */
    assert_int_equal(store_maintain(p->s, arrived + 2 * HOUR, &p->e), 0);
    assert_postings(p); /* on disk */
    place_reopen(p, NULL);
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
    place_reopen(p, NULL);
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
    place_reopen(p, NULL);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scans_are_pruned_by_time_agent_and_capture, place_make, place_remove),
        cmocka_unit_test_setup_teardown(losses_are_given_where_their_stream_is, place_make, place_remove),
        cmocka_unit_test_setup_teardown(postings_exclude_what_cannot_match, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_scan_ends_when_it_is_told, place_make, place_remove),
        cmocka_unit_test_setup_teardown(captures_and_streams_are_listed_over_hours, place_make, place_remove),
        cmocka_unit_test_setup_teardown(the_whole_is_counted, place_make, place_remove),
        cmocka_unit_test_setup_teardown(addresses_have_times, place_make, place_remove),
        cmocka_unit_test_setup_teardown(two_hosts_of_one_name_are_told_apart, place_make, place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
