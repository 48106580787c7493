#include "common/base/hash.h"

#include "tests/unit/support.h"

/* Files hold these values: they must be XXH3's for ever, as xxhsum -H3 prints them. */
static void values_are_xxh3(void **state)
{
    (void)state;
    assert_int_equal(hash64("", 0), 0x2d06800538d394c2);
    assert_int_equal(hash64("a", 1), 0xe6c632b61e964e1f);
    assert_int_equal(hash64("abc", 3), 0x78af5f94892f3950);
}

static void a_seed_changes_the_value(void **state)
{
    (void)state;
    assert_int_equal(hash64_seed("abc", 3, 0), hash64("abc", 3));
    assert_int_not_equal(hash64_seed("abc", 3, 1), hash64("abc", 3));
}

static void pieces_hash_as_the_whole(void **state)
{
    (void)state;
    uint8_t data[5000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t piece = 1; piece < 2000; piece = piece * 3 + 1) {
        struct hash_stream *s = hash_stream_new();
        assert_non_null(s);
        for (size_t at = 0; at < sizeof(data); at += piece) {
            size_t n = sizeof(data) - at < piece ? sizeof(data) - at : piece;
            hash_stream_add(s, data + at, n);
            assert_int_equal(hash_stream_value(s), hash64(data, at + n));
        }
        hash_stream_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_xxh3),
        cmocka_unit_test(a_seed_changes_the_value),
        cmocka_unit_test(pieces_hash_as_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
