/*
 * conversation_wait: who waits for longest is found in few steps, whatever the order in which they come and go.
 */
#include "agent/capture/conversation_impl.h"
#include "tests/unit/support.h"

#include <stdlib.h>

enum { WAITERS = 50000, WAY_MOST = 17 /* their logarithm, and one */ };

struct queue {
    struct conversations all;
    struct conversation flow;
    struct hearing h;
    struct waiter *waiters;
};

static void begin(struct queue *q)
{
    *q = (struct queue){.waiters = calloc(WAITERS, sizeof *q->waiters)};
    assert_non_null(q->waiters);
    q->h = (struct hearing){.all = &q->all, .v = &q->flow};
}

static void expect_short_ways(const struct queue *q)
{
    for (unsigned i = 0; i < WAITERS; i++)
        assert_true(q->waiters[i].way_down <= WAY_MOST);
}

/* Takes all of them out, longest first. */
static void expect_in_order(struct queue *q, unsigned count)
{
    uint64_t last = 0;
    for (; count; count--) {
        struct waiter *w = q->all.waiting;
        assert_non_null(w);
        assert_true(w->since_ns >= last);
        last = w->since_ns;
        conversation_wait_no_more(&q->all, w);
    }
    assert_null(q->all.waiting);
    free(q->waiters);
}

static void test_ways_stay_short(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 3; order++) {
        struct queue q;
        begin(&q);
        srandom(1);
        for (unsigned i = 0; i < WAITERS; i++)
            conversation_wait(&q.h, &q.waiters[i], order == 0 ? i : order == 1 ? WAITERS - i : (unsigned)random());
        expect_short_ways(&q);
        expect_in_order(&q, WAITERS);
    }
}

static void test_any_of_them_goes(void **state)
{
    (void)state;
    struct queue q;
    begin(&q);
    srandom(2);
    for (unsigned i = 0; i < WAITERS; i++)
        conversation_wait(&q.h, &q.waiters[i], i);
    unsigned left = WAITERS;
    for (unsigned i = 0; i < WAITERS; i += 1 + (unsigned)random() % 2, left--) {
        conversation_wait_no_more(&q.all, &q.waiters[i]);
        q.waiters[i].way_down = 0;
    }
    for (unsigned i = 0; i < WAITERS; i++) { /* each one's is one more than that of its right one */
        const struct waiter *w = &q.waiters[i], *right = w->below[1], *longer = w->below[0];
        if (!w->way_down)
            continue;
        assert_int_equal(w->way_down, right ? right->way_down + 1 : 1);
        assert_true((longer ? longer->way_down : 0) >= w->way_down - 1);
    }
    expect_in_order(&q, left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways_stay_short),
        cmocka_unit_test(test_any_of_them_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
