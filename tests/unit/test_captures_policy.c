/*
 * Captures under the host's policy: what is narrowed, ended, put off and never begun.
 */
#include "tests/unit/captures_support.h"

#include <string.h>
#include <unistd.h>

static void without_a_policy_nothing_runs(void **state)
{
    struct place *t = *state;
    struct monitor_request check = request_of(REQUEST_CHECK);
    assert_int_equal(unlink(t->config.policy), 0);
    place_start(t, 0);
    assert_int_equal(t->last.phase, PHASE_REFUSED);
    assert_non_null(strstr(t->last.text, "so nothing may be captured by order on this host"));
    captures_request(t->captures, &check);
    assert_int_equal(t->last.kind, REPORT_CHECKED);
    assert_int_equal(t->last.code, ERROR_REFUSED);
    place_put_file(t->config.policy, "alow = yes\n");
    captures_request(t->captures, &check);
    assert_int_equal(t->last.code, ERROR_REFUSED);
    assert_non_null(strstr(t->last.text, "'alow' is no key"));
}

static void what_runs_is_narrowed_when_the_policy_is_tightened(void **state)
{
    struct place *t = *state;
    place_start(t, 0);
    place_until_phase(t, PHASE_RUNNING);
    assert_int_equal(t->last.packets_per_s, 0); /* its snaplen: all */
    place_write_policy(t, "allow = yes\nunsigned = yes\nsnaplen = 96\nforbid_net = 10.0.0.0/8\n");
    while (t->last.packets_per_s != 96) {
        t->last.phase = 0;
        place_until_phase(t, PHASE_RUNNING);
    }
    assert_int_equal(t->last.bytes_per_s, 1);
    assert_non_null(strstr(t->last.text, "at most 96 bytes of a packet"));
    assert_non_null(strstr(t->last.text, "without net 10.0.0.0/8"));
    unsigned taken = t->taken;
    captures_policy_changed(t->captures); /* nothing has changed: it goes on */
    assert_int_equal(t->taken, taken);
}

static void what_may_no_longer_run_ends_for_good(void **state)
{
    struct place *t = *state;
    place_start(t, 0);
    place_until_phase(t, PHASE_RUNNING);
    place_write_policy(t, "allow = no\n");
    place_until_phase(t, PHASE_STOPPED);
    assert_non_null(strstr(t->last.text, "does not say 'allow = yes'"));
    place_allow(t, "");
    captures_policy_changed(t->captures);
    (void)captures_tick(t->captures);
    assert_int_equal(t->last.phase, PHASE_STOPPED);
    /* nor behind a restart */
    captures_free(t->captures);
    assert_int_equal(captures_new(&t->config, place_tell, t, &t->captures, NULL), 0);
    t->last.phase = 0;
    place_until_phase(t, PHASE_STOPPED);
}

static void the_kill_file_ends_all_and_lets_nothing_begin(void **state)
{
    struct place *t = *state;
    struct monitor_request other = request_of(REQUEST_START);
    place_start(t, 0);
    place_until_phase(t, PHASE_RUNNING);
    support_write(t->folder, "stop", "", 0);
    captures_policy_changed(t->captures);
    place_until_phase(t, PHASE_STOPPED);
    assert_non_null(strstr(t->last.text, "/stop is there"));
    memset(other.id, 8, sizeof other.id);
    memset(other.order.id, 8, sizeof other.id);
    captures_request(t->captures, &other);
    assert_int_equal(t->last.phase, PHASE_REFUSED);
    assert_int_equal(unlink(support_path(t->folder, "stop")), 0);
    captures_request(t->captures, &other);
    place_until_phase(t, PHASE_RUNNING);
}

static struct monitor_request the_baseline(void)
{
    struct monitor_request r = request_of(REQUEST_START);
    strcpy(r.order.name, "baseline");
    r.order.keep = KEEP_FLOWS;
    return r;
}

static void the_baseline_stands_by(void **state)
{
    struct place *t = *state;
    struct monitor_request r = the_baseline();
    place_put_file(t->config.policy, "allow = yes\n");
    captures_request(t->captures, &r);
    assert_int_equal(t->last.phase, PHASE_WAITING);
    assert_non_null(strstr(t->last.text, "baseline = yes"));
    place_write_policy(t, "allow = yes\nbaseline = yes\n");
    place_until_phase(t, PHASE_RUNNING);
    place_write_policy(t, "allow = yes\n");
    place_until_phase(t, PHASE_WAITING);
    place_write_policy(t, "allow = yes\nbaseline = yes\n"); /* its capturer may not have ended yet */
    place_until_phase(t, PHASE_RUNNING);
}

/* Capturers that hang, or that somebody else rules. */
static void the_kill_file_ends_those_who_do_not_end_by_themselves(void **state)
{
    struct place *t = *state;
    struct monitor_request r = the_baseline(), stop = request_of(REQUEST_STOP);
    fake_capturer_is_stubborn = true;
    captures_request(t->captures, &r);
    place_until_phase(t, PHASE_RUNNING);
    support_write(t->folder, "stop", "", 0);
    captures_policy_changed(t->captures);
    assert_int_equal(t->last.phase, PHASE_WAITING); /* the baseline stands by */
    place_until_gone(t);
    assert_int_equal(unlink(support_path(t->folder, "stop")), 0);
    captures_policy_changed(t->captures);
    place_until_phase(t, PHASE_RUNNING);
    captures_request(t->captures, &stop); /* that one ends already */
    support_write(t->folder, "stop", "", 0);
    captures_policy_changed(t->captures);
    place_until_phase(t, PHASE_STOPPED);
}

static void interfaces_that_are_not_allowed_are_left_alone(void **state)
{
    struct place *t = *state;
    fake_interfaces = 3;
    place_allow(t, "interface = eth2\n");
    place_start(t, 0);
    place_until_phase(t, PHASE_RUNNING);
    assert_int_equal(t->last.interface_count, 1);
    assert_string_equal(t->last.interfaces[0], "eth2");
    place_allow(t, "interface = eth3\n");
    captures_policy_changed(t->captures);
    while (strcmp(t->last.interfaces[0], "eth3") != 0) {
        t->last.phase = 0;
        place_until_phase(t, PHASE_RUNNING);
    }
}

/* The kernel knows them by number: what was opened by one name is still captured by another. */
static void who_gets_a_forbidden_name_is_captured_no_longer(void **state)
{
    struct place *t = *state;
    fake_interfaces = 2;
    place_allow(t, "interface = eth*\n");
    place_start(t, 0);
    while (t->last.phase != PHASE_RUNNING || t->last.interface_count != 2)
        (void)place_step(t);
    fake_second_name = "eth7"; /* which is allowed */
    captures_renamed(t->captures);
    captures_tell_all(t->captures);
    assert_null(strstr(t->last.text, "is called"));
    fake_second_name = "dmz0";
    captures_renamed(t->captures);
    assert_non_null(strstr(t->last.text, "eth7 is called dmz0 now, which this host's policy does not allow"));
    while (t->last.interface_count != 1)
        (void)place_step(t);
    assert_string_equal(t->last.interfaces[0], "eth1");
    assert_non_null(strstr(t->last.text, "eth7 is called dmz0"));
    fake_second_name = "eth2";
    captures_interfaces_changed(t->captures);
    while (t->last.interface_count != 2)
        (void)place_step(t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_a_policy_nothing_runs),
        TEST(what_runs_is_narrowed_when_the_policy_is_tightened),
        TEST(what_may_no_longer_run_ends_for_good),
        TEST(the_kill_file_ends_all_and_lets_nothing_begin),
        TEST(the_baseline_stands_by),
        TEST(the_kill_file_ends_those_who_do_not_end_by_themselves),
        TEST(interfaces_that_are_not_allowed_are_left_alone),
        TEST(who_gets_a_forbidden_name_is_captured_no_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
