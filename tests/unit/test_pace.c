/* A burst, then one in a while. */
#include "tests/unit/support.h"

#include "common/base/pace.h"

static unsigned taken(struct pace *p, uint64_t now, unsigned tries)
{
    unsigned n = 0;
    while (tries--)
        n += pace_take(p, now, 5, 100);
    return n;
}

static void a_burst_and_then_one_in_a_while(void **state)
{
    (void)state;
    struct pace p = {0};
    assert_int_equal(taken(&p, 1000, 20), 5);
    assert_int_equal(taken(&p, 1099, 20), 0);
    assert_int_equal(taken(&p, 1100, 20), 1);
    assert_int_equal(taken(&p, 1350, 20), 2); /* and a half, which is not lost */
    assert_int_equal(taken(&p, 1400, 20), 1);
}

static void rest_brings_no_more_than_a_burst(void **state)
{
    (void)state;
    struct pace p = {0};
    assert_int_equal(taken(&p, 1000, 20), 5);
    assert_int_equal(taken(&p, 1000000, 20), 5);
    unsigned all = 0;
    for (uint64_t now = 2000000; now < 2000000 + 100 * 100; now++)
        all += taken(&p, now, 1);
    assert_in_range(all, 104, 105);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_one_in_a_while),
        cmocka_unit_test(rest_brings_no_more_than_a_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
