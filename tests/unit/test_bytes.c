#include "common/base/bytes.h"

#include "tests/unit/support.h"

static const uint8_t DATA[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                               0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f};

static void numbers_are_read_in_both_orders(void **state)
{
    (void)state;
    struct bytes b = bytes_of(DATA, sizeof(DATA));
    assert_int_equal(bytes_u8(&b), 0x01);
    assert_int_equal(bytes_be16(&b), 0x0203);
    assert_int_equal(bytes_le16(&b), 0x0504);
    assert_int_equal(bytes_be32(&b), 0x06070809);
    assert_int_equal(bytes_le32(&b), 0x0d0c0b0a);
    assert_int_equal(bytes_at(&b), 13);
    assert_int_equal(bytes_left(&b), 2);
    b = bytes_of(DATA, sizeof(DATA));
    assert_int_equal(bytes_le64(&b), 0x0807060504030201);
    assert_false(b.bad);
}

static void the_first_read_past_the_end_is_remembered(void **state)
{
    (void)state;
    struct bytes b = bytes_of(DATA, 3);
    assert_int_equal(bytes_be32(&b), 0);
    assert_true(b.bad);
    assert_int_equal(bytes_at(&b), 0);   /* where it failed */
    assert_int_equal(bytes_u8(&b), 0);   /* although a byte is there */
    assert_int_equal(bytes_left(&b), 0); /* so that loops over what is left end */
}

static void exactly_the_end_is_not_past_it(void **state)
{
    (void)state;
    struct bytes b = bytes_of(DATA, 4);
    assert_int_equal(bytes_be32(&b), 0x01020304);
    assert_ptr_equal(bytes_take(&b, 0), DATA + 4);
    assert_false(b.bad);
    assert_null(bytes_take(&b, 1));
    assert_true(b.bad);
}

static void bytes_are_copied_all_or_none(void **state)
{
    (void)state;
    struct bytes b = bytes_of(DATA, 5);
    uint8_t copy[3] = {9, 9, 9};
    bytes_copy(&b, copy, sizeof(copy));
    assert_memory_equal(copy, DATA, 3);
    assert_false(b.bad);
    bytes_copy(&b, copy, sizeof(copy));
    assert_memory_equal(copy, "\0\0\0", 3);
    assert_true(b.bad);
}

static void a_length_near_the_top_does_not_wrap(void **state)
{
    (void)state;
    struct bytes b = bytes_of(DATA, sizeof(DATA));
    bytes_skip(&b, 5);
    assert_null(bytes_take(&b, SIZE_MAX - 2));
    assert_true(b.bad);
}

static void a_sub_cursor_ends_where_it_was_told(void **state)
{
    (void)state;
    struct bytes b = bytes_of(DATA, sizeof(DATA));
    struct bytes sub = bytes_sub(&b, 2);
    assert_int_equal(bytes_be16(&sub), 0x0102);
    bytes_u8(&sub);
    assert_true(sub.bad);
    assert_false(b.bad);
    assert_int_equal(bytes_u8(&b), 0x03);
    sub = bytes_sub(&b, 100);
    assert_true(sub.bad);
    assert_true(b.bad);
}

static void nothing_is_an_empty_cursor(void **state)
{
    (void)state;
    struct bytes b = bytes_of(NULL, 0);
    assert_int_equal(bytes_left(&b), 0);
    assert_int_equal(bytes_u8(&b), 0);
    assert_true(b.bad);
}

static uint64_t varint(const char *data, size_t len, bool *bad)
{
    struct bytes b = bytes_of(data, len);
    uint64_t v = bytes_varint(&b);
    *bad = b.bad;
    return v;
}

static void varints_have_one_meaning_or_none(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t len;
        uint64_t value;
        bool bad;
    } cases[] = {
        {"\x00", 1, 0, false},
        {"\x7f", 1, 127, false},
        {"\x80\x01", 2, 128, false},
        {"\xe5\x8e\x26", 3, 624485, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, UINT64_MAX, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, 0, true},     /* 65 bits */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, 0, true}, /* too long */
        {"\x80", 1, 0, true},
        {"", 0, 0, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool bad;
        assert_int_equal(varint(cases[i].data, cases[i].len, &bad), cases[i].value);
        assert_int_equal(bad, cases[i].bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_in_both_orders),
        cmocka_unit_test(the_first_read_past_the_end_is_remembered),
        cmocka_unit_test(exactly_the_end_is_not_past_it),
        cmocka_unit_test(bytes_are_copied_all_or_none),
        cmocka_unit_test(a_length_near_the_top_does_not_wrap),
        cmocka_unit_test(a_sub_cursor_ends_where_it_was_told),
        cmocka_unit_test(nothing_is_an_empty_cursor),
        cmocka_unit_test(varints_have_one_meaning_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
