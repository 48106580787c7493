/* The sandbox by itself: each test in a child, since locks are for ever. System tests try it in the real processes (tests/system/sandbox.py). */
#include "tests/unit/support.h"

#include "common/base/sandbox_impl.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `body` in a child; returns its waitpid status. */
static int in_child(int (*body)(const char *folder), const char *folder)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(body(folder));
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void enter(enum sandbox_kind kind, const struct sandbox_needs *needs)
{
    struct error e = ERROR_INIT;
    if (sandbox_enter(kind, needs, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        _exit(99);
    }
}

static const struct sandbox_needs nothing;

static void *thread(void *context)
{
    return context;
}

static int starts_threads(const char *folder)
{
    pthread_t t;
    (void)folder;
    enter(SANDBOX_COLLECTOR, &nothing);
    return pthread_create(&t, NULL, thread, NULL) != 0 || pthread_join(t, NULL) != 0;
}

static void a_kind_with_threads_starts_them(void **state)
{
    (void)state;
    assert_int_equal(in_child(starts_threads, ""), 0);
}

static int tries_a_forbidden_call(const char *folder)
{
    (void)folder;
    enter(SANDBOX_RECOVERY, &nothing);
    (void)syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
    return 0;
}

static void what_is_not_in_the_list_kills(void **state)
{
    char text[SANDBOX_ENDING_MAX];
    (void)state;
    int status = in_child(tries_a_forbidden_call, "");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    assert_string_equal(sandbox_ending(status, text), "was killed by SIGSYS: it tried a forbidden system call");
}

static int opens(const char *folder, const char *name, int flags)
{
    char path[4200];
    snprintf(path, sizeof path, "%.4095s/%.64s", folder, name);
    return open(path, flags | O_CLOEXEC, 0600);
}

static int touches_files(const char *folder)
{
    char inside[4096];
    snprintf(inside, sizeof inside, "%s/inside", folder);
    const struct sandbox_place places[] = {
        {SANDBOX_CHANGE, inside}, {SANDBOX_LIST, folder}, {SANDBOX_LOOK, "/no/such/place"}};
    struct sandbox_needs needs = {.places = places, .place_count = 3};
    enter(SANDBOX_RECOVERY, &needs);
    int changed = opens(inside, "new", O_WRONLY | O_CREAT), moved = opens(inside, "folder", O_RDONLY | O_DIRECTORY);
    if (changed < 0 || moved < 0)
        return 1;
    if (renameat(open(inside, O_RDONLY | O_DIRECTORY), "new", moved, "new") != 0) /* between folders */
        return 2;
    if (open(folder, O_RDONLY | O_DIRECTORY) < 0)
        return 3;
    return opens(folder, "outside", O_RDONLY) >= 0 || opens(folder, "outside", O_WRONLY | O_CREAT) >= 0 ? 4 : 0;
}

static void files_are_changed_where_it_is_allowed(void **state)
{
    char folder[] = "/tmp/fleetdump-sandbox.XXXXXX", command[128], path[128];
    (void)state;
    if (sandbox_landlock() < 2)
        skip();
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "mkdir -p %s/inside/folder && touch %s/outside", folder, folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): words of our own */
    assert_int_equal(in_child(touches_files, folder), 0);
    snprintf(path, sizeof path, "%s/inside/folder/new", folder);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
}

static int fds[2], other[2];

static int talks_to_one(const char *folder)
{
    (void)folder;
    struct sandbox_needs needs = {.talk_fd = fds[0]};
    enter(SANDBOX_CAPTURER, &needs);
    if (send(fds[0], "x", 1, 0) != 1)
        return 1;
    (void)send(other[0], "x", 1, 0);
    return 0;
}

static int writes_to_sealed(const char *folder)
{
    (void)folder;
    int high = fcntl(fds[0], F_DUPFD, 200);
    struct sandbox_needs needs = {.talk_fd = fds[0], .sealed_from = 200};
    enter(SANDBOX_CAPTURER, &needs);
    if (write(fds[0], "x", 1) != 1)
        return 1;
    return (int)syscall(SYS_write, (1ull << 32) + (unsigned)high, "x", 1); /* the kernel looks at the lower half only */
}

static void a_capturer_sends_to_the_monitor_alone(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, other), 0);
    int status = in_child(talks_to_one, "");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    status = in_child(writes_to_sealed, "");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    for (size_t i = 0; i < 2; i++) {
        close(fds[i]);
        close(other[i]);
    }
}

static int enters_twice(const char *folder)
{
    (void)folder;
    enter(SANDBOX_MONITOR, &nothing);
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        enter(SANDBOX_SHIPPER, &nothing);
        _exit(open("/etc/shadow", O_RDONLY) >= 0);
    }
    return waitpid(pid, &status, 0) != pid || status != 0;
}

static void a_child_is_confined_further(void **state)
{
    (void)state;
    if (sandbox_landlock() < 2)
        skip();
    assert_int_equal(in_child(enters_twice, ""), 0);
}

static void endings_are_told_apart(void **state)
{
    char text[SANDBOX_ENDING_MAX];
    (void)state;
    assert_string_equal(sandbox_ending(SIGKILL, text), "was ended by signal 9 (Killed)");
    assert_string_equal(sandbox_ending(3 << 8, text), "ended with status 3");
    for (int kind = 0; kind < SANDBOX_KINDS; kind++)
        assert_non_null(sandbox_profiles[kind].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_with_threads_starts_them),
        cmocka_unit_test(what_is_not_in_the_list_kills),
        cmocka_unit_test(files_are_changed_where_it_is_allowed),
        cmocka_unit_test(a_capturer_sends_to_the_monitor_alone),
        cmocka_unit_test(a_child_is_confined_further),
        cmocka_unit_test(endings_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
