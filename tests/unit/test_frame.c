#include "common/chunk/frame.h"

#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

static struct frame_codec *codec;

static int setup(void **state)
{
    (void)state;
    codec = frame_codec_new();
    return codec ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    frame_codec_free(codec);
    return 0;
}

/* A fixed sequence (splitmix64), so that failures repeat. */
static uint64_t random_next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint8_t *random_bytes(size_t len)
{
    uint64_t seed = len;
    uint8_t *data = malloc(len + 1);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)random_next(&seed);
    return data;
}

static uint8_t *text_bytes(size_t len)
{
    static const char line[] = "GET /index.html HTTP/1.1\r\nHost: www.example.org\r\n";
    uint8_t *data = malloc(len + 1);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i % 997 == 0 ? i / 997 : (size_t)line[i % (sizeof(line) - 1)]);
    return data;
}

static void compress(int level, const uint8_t *data, size_t len, struct buffer *out)
{
    struct error e;
    assert_int_equal(frame_compress(codec, level, data, len, out, &e), 0);
}

static void check_round_trip(int level, const uint8_t *data, size_t len)
{
    struct error e;
    struct buffer stored = {0}, raw = {0};
    compress(level, data, len, &stored);
    assert_in_range(stored.len, 1, FRAME_LENGTH_MAX);
    size_t length = 0, raw_length = 1;
    assert_int_equal(frame_find(stored.data, stored.len, &length, &raw_length, &e), 0);
    assert_int_equal(length, stored.len);
    assert_int_equal(raw_length, len);
    assert_int_equal(frame_expand(codec, stored.data, stored.len, len, &raw, &e), 0);
    assert_int_equal(raw.len, len);
    assert_memory_equal(raw.data, data, len);
    buffer_free(&stored);
    buffer_free(&raw);
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0, 1, 3, 255, 256, 257, 4096, 65791, 65792, FRAME_RAW_TARGET, FRAME_RAW_TARGET + 1, FRAME_RAW_MAX};
    static const int levels[] = {-100, -5, -1, 1, 3, 6};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        uint8_t *noise = random_bytes(sizes[s]), *text = text_bytes(sizes[s]);
        for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++) {
            check_round_trip(levels[l], noise, sizes[s]);
            check_round_trip(levels[l], text, sizes[s]);
        }
        free(noise);
        free(text);
    }
}

static void noise_grows_by_a_few_bytes_and_text_shrinks(void **state)
{
    (void)state;
    struct buffer out = {0};
    uint8_t *noise = random_bytes(FRAME_RAW_TARGET), *text = text_bytes(FRAME_RAW_TARGET);
    compress(1, noise, FRAME_RAW_TARGET, &out);
    assert_in_range(out.len, FRAME_RAW_TARGET, FRAME_RAW_TARGET + 32);
    buffer_clear(&out);
    compress(1, text, FRAME_RAW_TARGET, &out);
    assert_in_range(out.len, 1, FRAME_RAW_TARGET / 20);
    buffer_free(&out);
    free(noise);
    free(text);
}

/* Noise that repeats must still be found to repeat: the same packet a hundred times. */
static void repeated_noise_shrinks(void **state)
{
    (void)state;
    struct buffer out = {0};
    uint8_t *packet = random_bytes(1300), *all = malloc(1300 * 100);
    assert_non_null(all);
    for (size_t i = 0; i < 100; i++)
        memcpy(all + i * 1300, packet, 1300);
    compress(1, all, 1300 * 100, &out);
    assert_in_range(out.len, 1, 1300 * 10);
    buffer_free(&out);
    free(packet);
    free(all);
}

static void a_frame_is_appended(void **state)
{
    (void)state;
    struct error e;
    struct buffer out = {0}, raw = {0};
    buffer_append(&out, "before", 6);
    compress(1, (const uint8_t *)"hello", 5, &out);
    assert_memory_equal(out.data, "before", 6);
    assert_int_equal(frame_expand(codec, out.data + 6, out.len - 6, 5, &raw, &e), 0);
    assert_memory_equal(raw.data, "hello", 5);
    buffer_free(&out);
    buffer_free(&raw);
}

static void larger_than_the_limit_is_refused(void **state)
{
    (void)state;
    struct error e;
    struct buffer out = {0};
    uint8_t *text = text_bytes(FRAME_RAW_MAX + 1);
    assert_int_equal(frame_compress(codec, 1, text, FRAME_RAW_MAX + 1, &out, &e), ERROR_LIMIT);
    assert_int_equal(frame_expand(codec, "", 0, FRAME_RAW_MAX + 1, &out, &e), ERROR_LIMIT);
    buffer_free(&out);
    free(text);
}

static void expect_refused(const void *data, size_t len, size_t raw_len)
{
    struct error e = ERROR_INIT;
    struct buffer raw = {0};
    assert_true(frame_expand(codec, data, len, raw_len, &raw, &e) < 0);
    assert_true(e.code < 0 && e.text[0]);
    buffer_free(&raw);
}

static void only_exactly_one_frame_of_the_length_said_is_taken(void **state)
{
    (void)state;
    struct buffer two = {0};
    compress(1, (const uint8_t *)"hello", 5, &two);
    size_t one = two.len;
    compress(1, (const uint8_t *)"world", 5, &two);
    expect_refused(two.data, two.len, 10);
    expect_refused(two.data, two.len, 5);
    expect_refused(two.data, one, 4);
    expect_refused(two.data, one, 6);
    for (size_t len = 0; len < one; len++)
        expect_refused(two.data, len, 5);
    buffer_free(&two);
}

static void frames_of_other_kinds_are_refused(void **state)
{
    (void)state;
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 4, 4, 4, 4};
    static const uint8_t no_checksum[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 1, 9, 0, 0, 'x'};
    static const uint8_t no_size[] = {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00, 1, 0, 0, 0x99, 0xe9, 0xd8, 0x51};
    expect_refused(skippable, sizeof(skippable), 0);
    expect_refused(no_checksum, sizeof(no_checksum), 1);
    expect_refused(no_size, sizeof(no_size), 0);
    expect_refused("garbage, and more of it", 23, 23);
}

/* RFC 8878 leaves bits unused (of the descriptor, of compression modes): what is not noticed has no effect. */
static void a_flipped_bit_is_found_or_has_no_effect(void **state)
{
    (void)state;
    struct error e;
    struct buffer stored = {0}, raw = {0};
    uint8_t *text = text_bytes(600);
    compress(3, text, 600, &stored);
    unsigned unnoticed = 0;
    for (size_t bit = 0; bit < stored.len * 8; bit++) {
        stored.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (frame_expand(codec, stored.data, stored.len, 600, &raw, &e) == 0) {
            unnoticed++;
            assert_memory_equal(raw.data, text, 600);
        }
        stored.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_in_range(unnoticed, 0, 4);
    buffer_free(&stored);
    buffer_free(&raw);
    free(text);
}

static void an_unfinished_frame_asks_for_more(void **state)
{
    (void)state;
    struct error e;
    struct buffer stored = {0};
    uint8_t *noise = random_bytes(3000);
    compress(1, noise, 3000, &stored);
    size_t length, raw_length;
    for (size_t len = 0; len < stored.len; len++)
        assert_int_equal(frame_find(stored.data, len, &length, &raw_length, &e), ERROR_TRUNCATED);
    assert_int_equal(frame_find("not zstd at all, but long enough", 32, &length, &raw_length, &e), ERROR_INVALID);
    buffer_free(&stored);
    free(noise);
}

static void what_is_stored_as_it_is_is_a_frame_like_others(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 255, 256, 65535, 65536, FRAME_STORED_MAX - 1, FRAME_STORED_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct error e = ERROR_INIT;
        struct buffer all = {0}, raw = {0};
        struct frame_stored stored;
        uint8_t *noise = random_bytes(sizes[i]);
        size_t length = 0, raw_length = 0;
        frame_store(noise, sizes[i], &stored);
        buffer_append(&all, stored.before, sizeof(stored.before));
        buffer_append(&all, noise, sizes[i]);
        buffer_append(&all, stored.behind, sizeof(stored.behind));
        assert_int_equal(frame_find(all.data, all.len, &length, &raw_length, &e), 0);
        assert_int_equal(length, all.len);
        assert_int_equal(raw_length, sizes[i]);
        assert_int_equal(frame_expand(codec, all.data, all.len, sizes[i], &raw, &e), 0);
        assert_memory_equal(raw.data, noise, sizes[i]);
        all.data[all.len - 1] ^= 1;
        assert_int_equal(frame_expand(codec, all.data, all.len, sizes[i], &raw, &e), ERROR_CORRUPT);
        buffer_free(&all);
        buffer_free(&raw);
        free(noise);
    }
}

static void noise_is_worth_less_than_text(void **state)
{
    (void)state;
    uint8_t *noise = random_bytes(FRAME_RAW_TARGET), *text = text_bytes(FRAME_RAW_TARGET);
    assert_int_equal(frame_level(3, noise, FRAME_RAW_TARGET), FRAME_LEVEL_NOISE);
    assert_int_equal(frame_level(-30, noise, FRAME_RAW_TARGET), -30);
    assert_int_equal(frame_level(3, text, FRAME_RAW_TARGET), 3);
    assert_int_equal(frame_level(3, noise, 1000), 3); /* too few to tell */
    for (size_t i = 0; i < FRAME_RAW_TARGET; i++)
        noise[i] &= i % 4 ? 0xff : 0x0f; /* some of it is */
    assert_int_equal(frame_level(3, noise, FRAME_RAW_TARGET), FRAME_LEVEL_FAST);
    free(noise);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(noise_grows_by_a_few_bytes_and_text_shrinks),
        cmocka_unit_test(repeated_noise_shrinks),
        cmocka_unit_test(what_is_stored_as_it_is_is_a_frame_like_others),
        cmocka_unit_test(noise_is_worth_less_than_text),
        cmocka_unit_test(a_frame_is_appended),
        cmocka_unit_test(larger_than_the_limit_is_refused),
        cmocka_unit_test(only_exactly_one_frame_of_the_length_said_is_taken),
        cmocka_unit_test(frames_of_other_kinds_are_refused),
        cmocka_unit_test(a_flipped_bit_is_found_or_has_no_effect),
        cmocka_unit_test(an_unfinished_frame_asks_for_more),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
