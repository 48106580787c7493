#include "common/base/hash.h"

#include "tests/unit/support.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void seed_of_a_child(uint64_t *seed)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        *seed = hash_seed();
        _exit(write(pipes[1], seed, sizeof *seed) != sizeof *seed);
    }
    assert_int_equal(read(pipes[0], seed, sizeof *seed), sizeof *seed);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(pipes[0]);
    close(pipes[1]);
}

static void *seed_of_a_thread(void *seed)
{
    *(uint64_t *)seed = hash_seed();
    return NULL;
}

/* The first children draw their own, as nobody did before them. */
static void tables_have_one_seed_in_a_process(void **state)
{
    (void)state;
    uint64_t own, children[3], threads[4];
    pthread_t running[4];
    seed_of_a_child(&children[0]);
    seed_of_a_child(&children[1]);
    assert_true(children[0] != children[1]);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&running[i], NULL, seed_of_a_thread, &threads[i]), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_join(running[i], NULL), 0);
    own = hash_seed();
    for (unsigned i = 0; i < 4; i++)
        assert_true(threads[i] == own);
    assert_true(own != children[0] && own != children[1]);
    seed_of_a_child(&children[2]);
    assert_true(children[2] == own);
}

static void tables_use_the_seed(void **state)
{
    (void)state;
    assert_true(hash64_table("abc", 3) == hash64_seed("abc", 3, hash_seed()));
    assert_true(hash64_table("abc", 3) != hash64("abc", 3));
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

static void mixed_numbers_come_back(void **state)
{
    (void)state;
    uint64_t v = 1;
    for (int i = 0; i < 100000; i++, v = v * UINT64_C(6364136223846793005) + 1442695040888963407) {
        assert_int_equal(hash64_unmix(hash64_mix(v >> i % 64)), v >> i % 64);
        assert_int_equal(hash64_mix(hash64_unmix(v)), v);
    }
    assert_int_equal(hash64_mix(UINT64_C(0x9e3779b97f4a7c15)),
                     UINT64_C(0xe220a8397b1dcdaf)); /* splitmix64 from seed 0 */
}

static void sha256_is_over_both_pieces(void **state)
{
    (void)state;
    static const uint8_t
        abc
            [] =
                {
                    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                    0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                    0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad}; /* FIPS 180-4's own example */
    uint8_t out[HASH_SHA256_SIZE];
    assert_true(hash_sha256("a", 1, "bc", 2, out));
    assert_memory_equal(out, abc, sizeof abc);
    struct hash_sha *many = hash_sha_new();
    assert_non_null(many);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(hash_sha(many, "", 0, "other", 5, out));
        assert_true(hash_sha(many, "ab", 2, "c", 1, out));
        assert_memory_equal(out, abc, sizeof abc);
    }
    hash_sha_free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_xxh3),
        cmocka_unit_test(a_seed_changes_the_value),
        cmocka_unit_test(tables_have_one_seed_in_a_process),
        cmocka_unit_test(tables_use_the_seed),
        cmocka_unit_test(pieces_hash_as_the_whole),
        cmocka_unit_test(mixed_numbers_come_back),
        cmocka_unit_test(sha256_is_over_both_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
