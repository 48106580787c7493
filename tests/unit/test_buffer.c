#include "common/base/buffer.h"

#include "common/base/bytes.h"
#include "tests/unit/support.h"

#include <string.h>

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_u8(&b, 0xfe);
    buffer_le16(&b, 0x0102);
    buffer_le32(&b, 0x03040506);
    buffer_le64(&b, 0x0708090a0b0c0d0e);
    buffer_append(&b, "abc", 3);
    buffer_zero(&b, 2);
    buffer_printf(&b, "%d-%s", 42, "x");
    assert_false(b.failed);
    struct bytes r = bytes_of(b.data, b.len);
    assert_int_equal(bytes_u8(&r), 0xfe);
    assert_int_equal(bytes_le16(&r), 0x0102);
    assert_int_equal(bytes_le32(&r), 0x03040506);
    assert_int_equal(bytes_le64(&r), 0x0708090a0b0c0d0e);
    assert_memory_equal(bytes_take(&r, 9),
                        "abc\0\0"
                        "42-x",
                        9);
    assert_int_equal(bytes_left(&r), 0); /* printf's final 0 byte does not count */
    buffer_free(&b);
}

static void varints_come_back(void **state)
{
    (void)state;
    struct buffer b = {0};
    for (unsigned bit = 0; bit < 64; bit++) {
        buffer_varint(&b, (uint64_t)1 << bit);
        buffer_varint(&b, ((uint64_t)1 << bit) - 1);
    }
    buffer_varint(&b, UINT64_MAX);
    struct bytes r = bytes_of(b.data, b.len);
    for (unsigned bit = 0; bit < 64; bit++) {
        assert_int_equal(bytes_varint(&r), (uint64_t)1 << bit);
        assert_int_equal(bytes_varint(&r), ((uint64_t)1 << bit) - 1);
    }
    assert_int_equal(bytes_varint(&r), UINT64_MAX);
    assert_int_equal(bytes_left(&r), 0);
    assert_false(r.bad);
    buffer_free(&b);
}

static void the_limit_holds_to_the_byte(void **state)
{
    (void)state;
    struct buffer b = {.limit = 10};
    buffer_zero(&b, 10);
    assert_false(b.failed);
    buffer_u8(&b, 1);
    assert_true(b.failed);
    assert_int_equal(b.len, 10);
    buffer_free(&b);
    assert_int_equal(b.limit, 10);
    assert_false(b.failed);
}

static void after_a_failure_nothing_is_added(void **state)
{
    (void)state;
    struct buffer b = {.limit = 4};
    buffer_append(&b, "12345", 5);
    assert_true(b.failed);
    buffer_append(&b, "1", 1); /* would fit */
    assert_int_equal(b.len, 0);
    assert_null(buffer_reserve(&b, 1));
    buffer_clear(&b);
    buffer_append(&b, "1", 1);
    assert_int_equal(b.len, 1);
    assert_false(b.failed);
    buffer_free(&b);
}

static void a_length_near_the_top_does_not_wrap(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_append(&b, "123", 3);
    assert_null(buffer_grow(&b, SIZE_MAX - 1));
    assert_true(b.failed);
    assert_int_equal(b.len, 3);
    buffer_free(&b);
}

static void reserved_room_counts_only_when_grown(void **state)
{
    (void)state;
    struct buffer b = {0};
    char *p = buffer_reserve(&b, 5);
    memcpy(p, "hello", 5);
    assert_int_equal(b.len, 0);
    assert_ptr_equal(buffer_grow(&b, 5), p);
    assert_int_equal(b.len, 5);
    assert_memory_equal(b.data, "hello", 5);
    buffer_free(&b);
}

static void it_grows_far(void **state)
{
    (void)state;
    struct buffer b = {0};
    for (uint32_t i = 0; i < 300000; i++)
        buffer_le32(&b, i);
    struct bytes r = bytes_of(b.data, b.len);
    for (uint32_t i = 0; i < 300000; i++)
        assert_int_equal(bytes_le32(&r), i);
    buffer_free(&b);
}

static void printf_respects_the_limit(void **state)
{
    (void)state;
    struct buffer b = {.limit = 8};
    buffer_printf(&b, "%s", "123456789");
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(varints_come_back),
        cmocka_unit_test(the_limit_holds_to_the_byte),
        cmocka_unit_test(after_a_failure_nothing_is_added),
        cmocka_unit_test(a_length_near_the_top_does_not_wrap),
        cmocka_unit_test(reserved_room_counts_only_when_grown),
        cmocka_unit_test(it_grows_far),
        cmocka_unit_test(printf_respects_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
