#include "common/base/fault.h"

#include "common/base/clock.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef FLEETDUMP_FAULTS

/* The environment is read once in a process: each story is told by a child. It passes the point "a.write" until `count`
 * and exits with the sum of what came back; 100 + signal if it was killed. */
static int story(const char *fault, const char *list, int count)
{
    pid_t pid = fork();
    if (pid == 0) {
        int sum = 0;
        setenv("FLEETDUMP_FAULT", fault, 1);
        if (list)
            setenv("FLEETDUMP_FAULT_LIST", list, 1);
        if (!freopen("/dev/null", "w", stderr))
            _exit(99);
        for (int i = 0; i < count; i++)
            sum += FAULT("a.write");
        _exit(sum);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void without_a_rule_nothing_happens(void **state)
{
    (void)state;
    assert_int_equal(story("", NULL, 3), 0);
    assert_int_equal(story("b.write:EIO", NULL, 3), 0);
    assert_int_equal(story("a.writ:EIO,a.write.done:EIO", NULL, 3), 0);
}

static void an_errno_comes_at_every_passing_or_at_one(void **state)
{
    (void)state;
    assert_int_equal(story("a.write:ENOSPC", NULL, 3), 3 * ENOSPC);
    assert_int_equal(story("a.write:ENOSPC:2", NULL, 3), ENOSPC);
    assert_int_equal(story("a.write:ENOSPC:4", NULL, 3), 0);
    assert_int_equal(story("a.write:EIO:1,b.x:kill,a.write:ENOSPC:3", NULL, 3), EIO + ENOSPC);
}

static void kill_is_sudden(void **state)
{
    (void)state;
    assert_int_equal(story("a.write:kill:3", NULL, 2), 0);
    assert_int_equal(story("a.write:kill:3", NULL, 3), 100 + SIGKILL);
    assert_int_equal(story("a.write:kill", NULL, 1), 100 + SIGKILL);
}

static void a_delay_is_waited_for(void **state)
{
    (void)state;
    uint64_t start = clock_mono_ns();
    assert_int_equal(story("a.write:delay=60:1", NULL, 5), 0);
    uint64_t took = clock_mono_ns() - start;
    assert_true(took >= 60 * NS_PER_MS);
}

static void a_misspelt_fault_ends_the_program(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "a.write",        "a.write:",         "a.write:EWHAT",   "a.write:kill:x",
        "a.write:delay=", "a.write:delay=-1", "a.write:kill:1x",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(story(wrong[i], NULL, 1), EXIT_FAILURE);
}

static void the_points_passed_can_be_listed(void **state)
{
    (void)state;
    char *folder = support_folder();
    const char *list = support_path(folder, "list");
    assert_int_equal(story("", list, 2), 0);
    assert_int_equal(story("a.write:kill", list, 2), 100 + SIGKILL); /* the last line is the point that killed */
    char text[64] = "";
    FILE *f = fopen(list, "r");
    assert_non_null(f);
    assert_int_equal(fread(text, 1, sizeof(text) - 1, f), 24);
    fclose(f);
    assert_string_equal(text, "a.write\na.write\na.write\n");
    support_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_rule_nothing_happens),
        cmocka_unit_test(an_errno_comes_at_every_passing_or_at_one),
        cmocka_unit_test(kill_is_sudden),
        cmocka_unit_test(a_delay_is_waited_for),
        cmocka_unit_test(a_misspelt_fault_ends_the_program),
        cmocka_unit_test(the_points_passed_can_be_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void in_a_release_a_point_is_nothing(void **state)
{
    (void)state;
    setenv("FLEETDUMP_FAULT", "a.write:kill", 1);
    assert_int_equal(FAULT("a.write"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_a_release_a_point_is_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
