/*
 * merge: packets of frames in order of time, duplicates of several streams once.
 */
#include "collector/query/merge.h"
#include "common/base/hash.h"
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS_MAX 4096u

/* A made-up packet: its time, where it was seen, and a number that is its content. */
struct made {
    uint64_t time_ns;
    uint32_t place, content; /* content: UINT32_MAX of a copy that does not reach that far */
    uint32_t captured;
};

/* Frames in memory, and what came out. */
struct world {
    struct buffer raw[64];
    struct merge_frame frames[64];
    size_t frame_count;
    uint32_t common;  /* bytes that all streams of vantage 0 have */
    uint32_t headers; /* different headers that packets have */
    uint32_t missing; /* frame that cannot be loaded, or UINT32_MAX */
    int missing_code;
    uint32_t unwanted; /* content that is not wanted, or UINT32_MAX */
    struct made out[PACKETS_MAX];
    size_t out_count;
    unsigned open_most;
};

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void add_packet(struct world *w, size_t frame, uint64_t time_ns, uint32_t content, uint32_t captured)
{
    struct merge_frame *f = &w->frames[frame];
    uint8_t data[16] = {0};
    uint16_t header = (uint16_t)(content % w->headers);
    memcpy(data, &header, sizeof header); /* what a cut copy has at the least */
    memcpy(data + 8, &content, sizeof content);
    struct pcapng_packet p = {.time_ns = time_ns, .captured = captured, .wire = 100, .data = data};
    pcapng_write_packet(&w->raw[frame], &p);
    if (f->info.packets++ == 0 || time_ns < f->info.first_ns)
        f->info.first_ns = time_ns;
    if (time_ns > f->info.last_ns)
        f->info.last_ns = time_ns;
}

static size_t add_frame(struct world *w, uint32_t place, uint32_t vantage)
{
    size_t i = w->frame_count++;
    w->frames[i] = (struct merge_frame){
        .chunk = (uint32_t)i, .number = (uint32_t)i, .place = place, .vantage = vantage, .rank = vantage};
    return i;
}

static int load(void *context, const struct merge_frame *f, struct buffer *raw, struct error *e)
{
    struct world *w = context;
    if (f->number == w->missing)
        return error_set(e, w->missing_code, "frame %u is not there", f->number);
    buffer_append(raw, w->raw[f->number].data, w->raw[f->number].len);
    return 0;
}

static uint32_t content_of(const struct pcapng_packet *p)
{
    uint32_t content = UINT32_MAX;
    if (p->captured >= 12)
        memcpy(&content, p->data + 8, sizeof content);
    return content;
}

static int want(void *context, const struct merge_frame *f, const struct pcapng_packet *p, bool *wanted,
                struct error *e)
{
    struct world *w = context;
    uint32_t content;
    (void)f;
    (void)e;
    content = content_of(p);
    *wanted = content != w->unwanted || content == UINT32_MAX;
    return 0;
}

static int emit(void *context, const struct merge_frame *f, const struct pcapng_packet *p, struct error *e)
{
    struct world *w = context;
    struct made *m = &w->out[w->out_count++];
    (void)e;
    assert_true(w->out_count <= PACKETS_MAX);
    *m = (struct made){.time_ns = p->time_ns, .place = f->place, .content = content_of(p), .captured = p->captured};
    return 0;
}

static uint32_t common_bytes(void *context, const struct merge_frame *f, const struct pcapng_packet *p)
{
    struct world *w = context;
    (void)p;
    return f->vantage == 0 ? w->common : 0;
}

static int run(struct world *w, size_t most_open, uint64_t *duplicates)
{
    struct merge_frame frames[64];
    const struct merge_ops ops = {.load = load, .want = want, .emit = emit, .common_bytes = common_bytes, .context = w};
    memcpy(frames, w->frames, sizeof frames);
    w->out_count = 0;
    return merge_run(frames, w->frame_count, most_open, &ops, duplicates, NULL);
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->missing = w->unwanted = w->headers = UINT32_MAX;
    return w;
}

static void world_free(struct world *w)
{
    for (size_t i = 0; i < w->frame_count; i++)
        buffer_free(&w->raw[i]);
    free(w);
}

/* ------------------------------------------------------------------ tests */

static void packets_of_any_frames_come_out_in_order_and_all(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world *w = world_new();
        uint64_t random = seed, duplicates, sum = 0, out_sum = 0;
        uint32_t content = 0;
        size_t frames = 1 + next_random(&random) % 20;
        for (size_t i = 0; i < frames; i++) {
            size_t f = add_frame(w, next_random(&random) % 4, next_random(&random) % 4);
            uint64_t start = next_random(&random) % 1000;
            for (unsigned n = 1 + next_random(&random) % 50; n > 0; n--) {
                add_packet(w, f, start + next_random(&random) % 300, ++content, 16);
                sum += content;
            }
        }
        assert_int_equal(run(w, 64, &duplicates), 0);
        assert_int_equal(w->out_count, content);
        for (size_t i = 0; i < w->out_count; i++) {
            assert_true(i == 0 || w->out[i - 1].time_ns <= w->out[i].time_ns);
            out_sum += w->out[i].content;
        }
        assert_int_equal(out_sum, sum);
        assert_int_equal(duplicates, 0);
        world_free(w);
    }
}

static void packets_of_equal_time_keep_the_order_of_rank_and_file(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    size_t second = add_frame(w, 1, 2), first = add_frame(w, 0, 1);
    for (uint32_t i = 0; i < 5; i++) {
        add_packet(w, second, 7, 100 + i, 16);
        add_packet(w, first, 7, i, 16);
    }
    assert_int_equal(run(w, 64, &duplicates), 0);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(w->out[i].content, i);
        assert_int_equal(w->out[5 + i].content, 100 + i);
    }
    world_free(w);
}

static void a_packet_that_two_streams_saw_comes_once(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    size_t a = add_frame(w, 0, 0), b = add_frame(w, 1, 0);
    w->common = 8;
    for (uint32_t i = 0; i < 10; i++) {
        add_packet(w, a, 10 + i, i, 16);
        if (i % 2 == 0)
            add_packet(w, b, 10 + i, i, 14); /* another snaplen: only the first 8 bytes count */
    }
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 10);
    assert_int_equal(duplicates, 5);
    w->common = 0; /* one stream alone: never duplicates */
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 15);
    world_free(w);
}

/* Listeners may stamp for themselves: the same packets, some hundred ns apart, in the same order; one of the streams lost some. */
static void stamps_that_differ_a_little_are_of_one_packet(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates, random = 3;
    size_t a = add_frame(w, 0, 0), b = add_frame(w, 1, 0);
    w->common = 16;
    for (uint32_t i = 0; i < 400; i++) {
        uint64_t ns = (uint64_t)i * 10000;
        add_packet(w, a, ns + next_random(&random) % 2000, i / 4, 16); /* each content passes four times */
        if (i % 5)
            add_packet(w, b, ns + next_random(&random) % 2000, i / 4, 16);
    }
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 400);
    assert_int_equal(duplicates, 320);
    world_free(w);
    w = world_new();
    a = add_frame(w, 0, 0);
    b = add_frame(w, 1, 0);
    w->common = 16;
    add_packet(w, a, 0, 1, 16);
    add_packet(w, b, MERGE_SAME_NS + 1, 1, 16); /* too far apart: another one */
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 2);
    world_free(w);
}

static void a_packet_that_passed_twice_comes_twice(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    size_t a = add_frame(w, 0, 0), b = add_frame(w, 1, 0);
    w->common = 16;
    add_packet(w, a, 10, 1, 16);
    add_packet(w, a, 10, 1, 16);
    add_packet(w, b, 10, 1, 16);
    add_packet(w, b, 10, 2, 16);
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 3); /* content 1 twice, as stream a saw it; content 2 once */
    assert_int_equal(duplicates, 1);
    world_free(w);
}

/* One stream keeps headers alone, which many packets share. */
static void the_longest_copy_of_each_packet_comes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world *w = world_new();
        uint64_t duplicates, random = seed;
        w->common = 8;
        w->headers = 3;
        size_t places[] = {add_frame(w, 0, 0), add_frame(w, 1, 0), add_frame(w, 2, 0)};
        uint32_t captured[] = {8, 16, 10};
        for (uint32_t i = 0; i < 300; i++)
            for (uint32_t k = 0; k < 3; k++)
                add_packet(w, places[k], (uint64_t)i * 20000 + next_random(&random) % 9000, i, captured[k]);
        assert_int_equal(run(w, 64, &duplicates), 0);
        assert_int_equal(w->out_count, 300);
        assert_int_equal(duplicates, 600);
        for (uint32_t i = 0; i < 300; i++) {
            assert_int_equal(w->out[i].content, i);
            assert_int_equal(w->out[i].captured, 16);
            assert_true(i == 0 || w->out[i - 1].time_ns <= w->out[i].time_ns);
        }
        world_free(w);
    }
}

/* The stream of headers saw all, the other one not: what differs in payload alone is never taken for one packet. */
static void packets_with_the_same_headers_are_counted(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    size_t headers = add_frame(w, 0, 0), whole = add_frame(w, 1, 0);
    bool came[100] = {false};
    unsigned cut = 0;
    w->common = 8;
    w->headers = 1;
    for (uint32_t i = 0; i < 100; i++) {
        add_packet(w, headers, i * 5, i, 8);
        if (i % 4)
            add_packet(w, whole, i * 5 + 1, i, 16);
    }
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 100);
    assert_int_equal(duplicates, 75);
    for (size_t i = 0; i < w->out_count; i++)
        if (w->out[i].content == UINT32_MAX)
            cut++;
        else
            came[w->out[i].content] = true;
    assert_int_equal(cut, 25);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(came[i], i % 4 != 0);
    world_free(w);
}

static void two_whole_copies_that_differ_are_two_packets(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    size_t a = add_frame(w, 0, 0), b = add_frame(w, 1, 0), c = add_frame(w, 2, 0);
    w->common = 8;
    w->headers = 1;
    add_packet(w, a, 10, 1, 16);
    add_packet(w, b, 10, 2, 16);
    add_packet(w, c, 10, 2, 8);
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 2);
    assert_int_equal(duplicates, 1);
    world_free(w);
}

static void many_packets_of_one_moment_all_come(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    size_t a = add_frame(w, 0, 0);
    w->common = 8;
    for (uint32_t i = 0; i < PACKETS_MAX; i++)
        add_packet(w, a, 7, i, 16);
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, PACKETS_MAX);
    for (uint32_t i = 0; i < PACKETS_MAX; i++)
        assert_int_equal(w->out[i].content, i);
    world_free(w);
}

static void a_frame_that_is_gone_costs_only_itself(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    for (uint32_t i = 0; i < 3; i++)
        add_packet(w, add_frame(w, i, i), i, i, 16);
    w->missing = 1;
    w->missing_code = ERROR_NOT_FOUND;
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 2);
    w->missing_code = ERROR_CORRUPT;
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 2);
    w->missing_code = ERROR_CANCELLED;
    assert_int_equal(run(w, 64, &duplicates), ERROR_CANCELLED);
    world_free(w);
}

static void unwanted_packets_do_not_come(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    size_t a = add_frame(w, 0, 0);
    for (uint32_t i = 0; i < 4; i++)
        add_packet(w, a, i, i, 16);
    w->unwanted = 2;
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 3);
    world_free(w);
}

static void frames_are_opened_only_when_their_time_comes(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    for (uint32_t i = 0; i < 60; i++) { /* each overlaps the next one only */
        size_t f = add_frame(w, 0, 0);
        add_packet(w, f, i * 10, i * 2, 16);
        add_packet(w, f, i * 10 + 11, i * 2 + 1, 16);
    }
    assert_int_equal(run(w, 3, &duplicates), 0);
    assert_int_equal(w->out_count, 120);
    assert_int_equal(run(w, 1, &duplicates), ERROR_LIMIT);
    world_free(w);
}

static void a_frame_that_holds_more_than_it_says_is_left_out(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint64_t duplicates;
    size_t a = add_frame(w, 0, 0);
    add_packet(w, a, 1, 1, 16);
    add_packet(w, a, 2, 2, 16);
    w->frames[a].info.packets = 1;
    assert_int_equal(run(w, 64, &duplicates), 0);
    assert_int_equal(w->out_count, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_any_frames_come_out_in_order_and_all),
        cmocka_unit_test(packets_of_equal_time_keep_the_order_of_rank_and_file),
        cmocka_unit_test(a_packet_that_two_streams_saw_comes_once),
        cmocka_unit_test(stamps_that_differ_a_little_are_of_one_packet),
        cmocka_unit_test(a_packet_that_passed_twice_comes_twice),
        cmocka_unit_test(the_longest_copy_of_each_packet_comes),
        cmocka_unit_test(packets_with_the_same_headers_are_counted),
        cmocka_unit_test(two_whole_copies_that_differ_are_two_packets),
        cmocka_unit_test(many_packets_of_one_moment_all_come),
        cmocka_unit_test(a_frame_that_is_gone_costs_only_itself),
        cmocka_unit_test(unwanted_packets_do_not_come),
        cmocka_unit_test(frames_are_opened_only_when_their_time_comes),
        cmocka_unit_test(a_frame_that_holds_more_than_it_says_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
