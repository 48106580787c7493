/*
 * The monitor's table of captures: what becomes of interfaces for which there is no place, of states that the shipper does not take at once, and of
 * capturers that do not do as they are told.
 */
#include "tests/unit/captures_support.h"

#include <string.h>

/* ------------------------------------------------------------ the table */
static void listen_once(struct place *t)
{
    static struct pollfd fds[CAPTURES_POLL_MAX];
    size_t n = captures_poll(t->captures, fds);
    assert_true(poll(fds, n, 10000) > 0);
    captures_ready(t->captures, fds, n);
}

/* One more interface appears. */
static void appears(struct place *t)
{
    fake_interfaces++;
    captures_interfaces_changed(t->captures);
}

static void each_new_interface_is_captured_or_named(void **state)
{
    struct place *t = *state;
    place_start(t, 0);
    for (uint32_t n = 1; n <= CAPTURES_CAPTURERS; n++) {
        while (t->last.interface_count < n)
            listen_once(t);
        assert_int_equal(t->last.phase, PHASE_RUNNING);
        assert_string_equal(t->last.text, "");
        appears(t);
    }
    assert_int_equal(t->last.phase, PHASE_RUNNING);
    assert_int_equal(t->last.interface_count, CAPTURES_CAPTURERS);
    assert_non_null(strstr(t->last.text, "left out: eth5: 4 processes"));
    fake_interfaces = 1; /* the others are gone */
    captures_interfaces_changed(t->captures);
    captures_tell_all(t->captures);
    assert_string_equal(t->last.text, "");
}

static void interfaces_that_come_later_keep_within_the_memory(void **state)
{
    struct place *t = *state;
    t->config.ring = 24 * MIB;
    place_start(t, 0);
    while (t->last.phase != PHASE_RUNNING)
        listen_once(t);
    appears(t);
    while (t->last.interface_count < 2)
        listen_once(t);
    appears(t); /* the third would be beyond 64 MiB */
    assert_int_equal(t->last.phase, PHASE_RUNNING);
    assert_int_equal(t->last.interface_count, 2);
    assert_non_null(strstr(t->last.text, "left out: eth3: "));
    assert_non_null(strstr(t->last.text, "MiB would be needed"));
}

static void a_state_that_was_not_taken_is_told_again(void **state)
{
    struct place *t = *state;
    t->deaf = true;
    place_start(t, 1);
    assert_true(captures_tick(t->captures) < clock_mono_ns() + NS_PER_S);
    t->deaf = false;
    (void)captures_tick(t->captures);
    assert_int_equal(t->taken, 1);
    assert_int_equal(t->last.phase, PHASE_STOPPED);
    assert_true(captures_tick(t->captures) > clock_mono_ns() + NS_PER_S);
    assert_int_equal(t->taken, 1);
}

static void what_is_forgotten_tells_its_end_first(void **state)
{
    struct place *t = *state;
    struct monitor_request stop = request_of(REQUEST_STOP);
    fake_interfaces = 0;
    place_start(t, 0);
    assert_int_equal(t->last.phase, PHASE_WAITING);
    t->deaf = true;
    captures_request(t->captures, &stop);
    captures_request(t->captures, &stop);
    t->deaf = false;
    (void)captures_tick(t->captures);
    assert_int_equal(t->last.phase, PHASE_STOPPED);
    t->taken = 0;
    captures_tell_all(t->captures);
    assert_int_equal(t->taken, 0); /* it is forgotten */
}

/* ------------------------------------------------------------ the host's policy */
static void whoever_is_told_to_end_has_a_time_for_it(void **state)
{
    struct place *t = *state;
    struct monitor_request stop = request_of(REQUEST_STOP);
    fake_capturer_is_stubborn = true;
    place_start(t, 0);
    place_until_phase(t, PHASE_RUNNING);
    place_write_policy(t, "allow = yes\nunsigned = yes\nforbid_net = 10.0.0.0/8\n");
    uint64_t after_policy = captures_tick(t->captures);
    assert_true(after_policy < clock_mono_ns() + 20 * NS_PER_S);
    captures_request(t->captures, &stop);
    assert_true(captures_tick(t->captures) <= after_policy); /* no longer for that */
    place_allow(t, "");
}

static void who_says_no_more_is_ended(void **state)
{
    struct place *t = *state;
    fake_capturer_is_mute = true;
    place_start(t, 0);
    place_until_phase(t, PHASE_FAILED);
    assert_non_null(strstr(t->last.text, "signal 9"));
}

static void who_floods_does_not_keep_the_monitor_from_its_work(void **state)
{
    struct place *t = *state;
    fake_capturer_floods = true;
    place_start(t, 0);
    place_until_phase(t, PHASE_RUNNING);
    support_write(t->folder, "stop", "", 0);
    captures_policy_changed(t->captures);
    place_until_phase(t, PHASE_STOPPED);
}

static void a_check_has_a_time_to_end(void **state)
{
    struct place *t = *state;
    struct monitor_request check = request_of(REQUEST_CHECK);
    fake_check_hangs = true;
    captures_request(t->captures, &check);
    assert_true(captures_tick(t->captures) < clock_mono_ns() + 40 * NS_PER_S);
}

/* The monitor's clock is not the one that may be set, and it asks no capturer. */
static void nobody_goes_on_behind_the_end(void **state)
{
    struct place *t = *state;
    place_start(t, clock_wall_ns() + NS_PER_S);
    place_until_phase(t, PHASE_STOPPED); /* by these capturers it never would be */
    assert_string_equal(t->last.text, CAPTURE_TIME_IS_OVER);
    captures_free(t->captures);
    assert_int_equal(captures_new(&t->config, place_tell, t, &t->captures, NULL), 0);
    t->last.phase = 0;
    place_until_phase(t, PHASE_STOPPED);
}

static void without_another_interface_it_waits(void **state)
{
    struct place *t = *state;
    fake_interfaces = 2;
    place_allow(t, "interface = eth2\n");
    place_start(t, 0);
    place_until_phase(t, PHASE_RUNNING);
    fake_second_name = "dmz0";
    captures_interfaces_changed(t->captures);
    place_until_phase(t, PHASE_WAITING);
    assert_int_equal(t->last.interface_count, 0);
    assert_non_null(strstr(t->last.text, "eth2 is called dmz0"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_new_interface_is_captured_or_named),
        TEST(interfaces_that_come_later_keep_within_the_memory),
        TEST(a_state_that_was_not_taken_is_told_again),
        TEST(what_is_forgotten_tells_its_end_first),
        TEST(whoever_is_told_to_end_has_a_time_for_it),
        TEST(nobody_goes_on_behind_the_end),
        TEST(who_says_no_more_is_ended),
        TEST(who_floods_does_not_keep_the_monitor_from_its_work),
        TEST(a_check_has_a_time_to_end),
        TEST(without_another_interface_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
