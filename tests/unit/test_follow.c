/* A pull that goes on where an earlier one ended looks at the store twice: what comes between is in the next answer, and in no other. */
#include "tests/unit/store_place.h"

#include "collector/query/query.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct place *place;
static const struct wish *between; /* comes before the second scan of a question; NULL: nothing does */
static unsigned scans;

int __real_store_scan_chunks(struct store_reader *r, const struct store_scan *scan, store_chunk_fn *each, void *context,
                             struct error *e);
int __wrap_store_scan_chunks(struct store_reader *r, const struct store_scan *scan, store_chunk_fn *each, void *context,
                             struct error *e);

int __wrap_store_scan_chunks(struct store_reader *r, const struct store_scan *scan, store_chunk_fn *each, void *context,
                             struct error *e)
{
    if (++scans == 2 && between)
        assert_int_equal(commit_head(place->s, between, T0 + MINUTE, NULL), 0);
    return __real_store_scan_chunks(r, scan, each, context, e);
}

static int forget(void *context, const void *data, size_t len, bool end_of_block, struct error *e)
{
    (void)context;
    (void)data;
    (void)len;
    (void)end_of_block;
    (void)e;
    return 0;
}

/* How many chunks are in the answer; `mark` becomes that for the next one. */
static json_int_t ask(char mark[NET_AFTER_MAX])
{
    static const struct query_live live;
    const struct query_sink sink = {forget, NULL};
    const struct message_query q = {
        .kind = QUERY_PULL, .until_ns = UINT64_MAX, .link_type = UINT32_MAX, .filter = TEXT("port 80"), .after = mark};
    atomic_bool cancel = false;
    struct query_outcome out = {0};
    json_int_t chunks = 0;
    scans = 0;
    query_run(place->s, &q, NULL, &live, &sink, &cancel, &out);
    assert_int_equal(scans, 2);
    json_t *manifest = json_loads(out.manifest, 0, NULL), *agent;
    size_t i;
    assert_non_null(manifest);
    json_array_foreach(json_object_get(manifest, "agents"), i, agent) chunks +=
        json_integer_value(json_object_get(agent, "chunks"));
    snprintf(mark, NET_AFTER_MAX, "%s", json_string_value(json_object_get(manifest, "next")));
    json_decref(manifest);
    free(out.manifest);
    return chunks;
}

static void what_comes_between_two_scans_is_in_the_next_answer(void **state)
{
    const struct wish first = {.stream = 1, .no_body = true}, of_it = {.stream = 1, .seq = 1, .no_body = true},
                      of_another = {.stream = 2, .no_body = true};
    char mark[NET_AFTER_MAX] = "0";
    place = *state;
    assert_int_equal(commit_head(place->s, &first, T0, NULL), 0);
    between = &of_it;
    assert_int_equal(ask(mark), 1);
    between = &of_another;
    assert_int_equal(ask(mark), 1);
    between = NULL;
    assert_int_equal(ask(mark), 1);
    assert_int_equal(ask(mark), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_comes_between_two_scans_is_in_the_next_answer, place_make, place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
