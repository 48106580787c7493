/*
 * An audit goes on after a crash at any point, a cut line and a full disk.
 * 
 * This program is its own child: "test_audit_crash child FOLDER SAID" appends lines, syncs now and then, and notes in the file SAID what is durable.
 */
#include "tests/unit/audit_support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_MOST 30u

static void need_faults(void)
{
#ifndef FLEETDUMP_FAULTS
    skip(); /* there are no fault points in this build */
#endif
}

/* What is logged while it is opened. */
static void reopen_logged(struct place *p, char *said, size_t size)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    int saved = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(fileno(f), STDERR_FILENO);
    struct audit *a = place_reopen(p, 0);
    dup2(saved, STDERR_FILENO);
    close(saved);
    audit_close(a);
    rewind(f);
    said[fread(said, 1, size - 1, f)] = 0;
    fclose(f);
}

static void half_a_line_is_cut_off_and_said(void **state)
{
    struct place *p = *state;
    struct audit_report report;
    char said[1000];
    reopen_logged(p, said, sizeof said);
    assert_string_equal(said, "");
    place_make_chain(p, 2, 0);
    size_t len;
    char *bytes = place_load(p, "audit.jsonl", &len);
    strcpy(bytes + len, "{\"seq\":3,\"ti");
    place_save(p, "audit.jsonl", bytes, len + 12);
    assert_int_equal(place_verify(p, &report), 0);
    assert_int_equal(report.cut_bytes, 12);
    assert_int_equal(report.cut_line, 3);
    reopen_logged(p, said, sizeof said);
    assert_non_null(strstr(said, "audit.jsonl, line 3: half a line of 12 bytes was cut off"));
    assert_non_null(strstr(said, "after number 2"));
    place_make_chain(p, 1, 0);
    place_assert_good(p, 4);
    bytes = place_load(p, "audit.jsonl", &len);
    assert_non_null(strstr(bytes, "\"audit\":\"cut\",\"bytes\":12"));
}

static int child(const char *path, const char *said)
{
    struct error e = ERROR_INIT;
    struct audit *a = NULL;
    int out = open(said, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int r = audit_open(path, SMALL, &a, &e) ? 2 : 0;
    for (uint64_t i = 1; r == 0 && i <= CHILD_MOST; i++) {
        if (append_line(a, i, &e) || (i % 3 == 0 && audit_sync(a, &e)))
            r = 3;
        else if (i % 3 == 0)
            dprintf(out, "%llu\n", (unsigned long long)audit_head(a).seq);
    }
    audit_close(a);
    close(out);
    return r;
}

/* Runs it; with a rule for faults, and a list of the points that it passes (or NULL). */
static int run_child(const struct place *p, const char *fault, const char *list)
{
    pid_t pid = fork();
    if (pid == 0) {
        char path[400], said[400], listed[400];
        snprintf(path, sizeof path, "%s/audit", p->path);
        snprintf(said, sizeof said, "%s/said", p->path);
        snprintf(listed, sizeof listed, "%s/%s", p->path, list ? list : "");
        setenv("FLEETDUMP_FAULT", fault, 1);
        if (list)
            setenv("FLEETDUMP_FAULT_LIST", listed, 1);
        execl("/proc/self/exe", "test_audit", "child", path, said, NULL);
        _exit(9);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static uint64_t durable(const struct place *p)
{
    unsigned long long last = 0;
    FILE *f = fopen(support_path(p->path, "said"), "r");
    while (f && fscanf(f, "%llu", &last) == 1)
        ;
    if (f)
        fclose(f);
    return last;
}

/* Whatever point it dies or fails at: what it called durable is there, and the next run goes on. */
static void a_crash_at_any_point_loses_nothing_that_was_durable(void **state)
{
    static const char *const points[] = {"audit.new",       "audit.dir",         "audit.write",
                                         "audit.sync",      "audit.rotate",      "audit.head.write",
                                         "audit.head.sync", "audit.head.rename", "audit.head.sync-dir"};
    static const char *const actions[] = {"kill", "EIO"};
    struct place *p = *state;
    need_faults();
    if (run_child(p, "", "list") != 0)
        fail_msg("the child does not even run without faults");
    place_assert_good(p, CHILD_MOST);
    size_t listed_length;
    char *listed = place_load(p, "../list", &listed_length);
    assert_true(listed_length > 0);
    char all[1 << 16];
    assert_true(listed_length < sizeof all);
    memcpy(all, listed, listed_length + 1);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int done = 0; done < 2; done++)
            for (int nth = 1; nth < 5; nth++) {
                char fault[100], point[64];
                struct audit_report report;
                snprintf(point, sizeof point, "%s%s\n", points[i], done ? ".done" : "");
                if (!strstr(all, point))
                    continue;
                snprintf(fault, sizeof fault, "%.*s:%s:%d", (int)strlen(point) - 1, point, actions[nth % 2], nth);
                int ended = run_child(p, fault, NULL);
                assert_true(ended == 0 || ended == -SIGKILL || ended == 2 || ended == 3);
                if (place_verify(p, &report))
                    fail_msg("%s: %s", fault, p->e.text);
                assert_true(report.last.seq >= durable(p));
                if (run_child(p, "", NULL) != 0)
                    fail_msg("%s: it does not go on", fault);
            }
}

static void a_full_disk_costs_the_line_and_not_the_chain(void **state)
{
    struct place *p = *state;
    need_faults();
    assert_int_equal(run_child(p, "audit.write:ENOSPC:5", NULL), 3);
    place_assert_good(p, 4);
    assert_int_equal(run_child(p, "audit.sync:EIO:2", NULL), 3);
    assert_int_equal(run_child(p, "", NULL), 0);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "child") == 0)
        return child(argv[2], argv[3]);
#define TEST(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        TEST(half_a_line_is_cut_off_and_said),
        TEST(a_crash_at_any_point_loses_nothing_that_was_durable),
        TEST(a_full_disk_costs_the_line_and_not_the_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
