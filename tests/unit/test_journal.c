/*
 * The host's own record: what could not be written for a while is counted in it, and what comes later stands behind that.
 */
#include "tests/unit/support.h"

#include "agent/journal.h"
#include "common/base/audit.h"
#include "common/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *folder, spool[256], lines[4096];
static uint64_t passed_ns;

uint64_t __wrap_clock_mono_ns(void);
uint64_t __wrap_clock_mono_ns(void)
{
    return NS_PER_S + passed_ns;
}

static int set_up(void **state)
{
    (void)state;
    folder = support_folder();
    snprintf(spool, sizeof spool, "%s/spool", folder);
    passed_ns = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    support_folder_remove(folder);
    return 0;
}

static int take_line(void *context, const struct audit_line *line, struct error *e)
{
    const char *event = strstr(line->text, "\"event\":\"") + 9, *name = strstr(line->text, "\"capture\":\"");
    const char *lost = strstr(line->text, "\"lines\":");
    (void)context;
    (void)e;
    snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%.*s%s%.*s ", (int)strcspn(event, "\""), event,
             lost || name ? " " : "",
             lost   ? 1
             : name ? 1
                    : 0,
             lost   ? lost + 8
             : name ? name + 11
                    : "");
    return 0;
}

/* "started a started b lost 2 ..." */
static const char *written(void)
{
    char path[300];
    struct audit_report report;
    struct error e = ERROR_INIT;
    lines[0] = 0;
    snprintf(path, sizeof path, "%s" JOURNAL_FOLDER, spool);
    if (audit_verify(path, NULL, take_line, NULL, &report, &e)) {
        fprintf(stderr, "%s\n", e.text);
        _exit(4);
    }
    return lines;
}

static void start(const char *name)
{
    struct order o = {0};
    snprintf(o.name, sizeof o.name, "%s", name);
    assert_true(journal_write("started", &o, ""));
    journal_sync();
}

/* In a process of its own, with that fault. */
static void with_fault(const char *fault, void (*story)(void))
{
#ifdef FLEETDUMP_FAULTS
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("FLEETDUMP_FAULT", fault, 1);
        story();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status)
        fail_msg("%s: status %x", fault, (unsigned)status);
#else
    (void)fault;
    (void)story;
    skip();
#endif
}

static void is(const char *wanted)
{
    if (strcmp(written(), wanted) == 0)
        return;
    fprintf(stderr, "it says '%s', not '%s'\n", lines, wanted);
    _exit(1);
}

/* The first line is appended, and its sync fails: from then on nothing can be written to what is open. */
static void closed_for_a_while(void)
{
    journal_open(spool);
    start("a");
    start("b");
    start("c");
    passed_ns = JOURNAL_AGAIN_NS - 1;
    journal_sync();
    is("started a ");
    if (journal_due() != NS_PER_S + JOURNAL_AGAIN_NS)
        _exit(2);
    passed_ns = JOURNAL_AGAIN_NS;
    journal_sync();
    is("started a lost 2 ");
    if (journal_due() != UINT64_MAX)
        _exit(3);
    start("d");
    journal_close();
    is("started a lost 2 started d ");
}

static void after_a_failed_sync_it_is_opened_anew(void **state)
{
    (void)state;
    with_fault("audit.sync:EIO:1", closed_for_a_while);
}

static void missing_one(void)
{
    journal_open(spool);
    start("a");
    start("b");
    start("c");
    journal_close();
    is("started a lost 1 started c ");
}

/* Which was taken back: the next one may be written at once. */
static void a_line_that_could_not_be_written_is_counted(void **state)
{
    (void)state;
    with_fault("audit.write:ENOSPC:2", missing_one);
}

static void opened_late(void)
{
    journal_open(spool);
    start("a");
    passed_ns = JOURNAL_AGAIN_NS;
    start("b");
    journal_close();
    is("lost 2 ");
}

static void what_cannot_be_opened_is_tried_again(void **state)
{
    (void)state;
    with_fault("audit.new:ENOSPC:1", opened_late);
}

static void what_was_changed_is_left_alone(void **state)
{
    char path[300];
    (void)state;
    journal_open(spool);
    start("a");
    journal_close();
    snprintf(path, sizeof path, "%s" JOURNAL_FOLDER "/audit.jsonl", spool);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, -8, SEEK_END), 0); /* amid the last hash */
    assert_true(fputs("zz", f) >= 0);
    fclose(f);
    journal_open(spool);
    assert_true(journal_problem()[0]);
    assert_true(journal_due() == UINT64_MAX);
    start("b");
    assert_true(journal_due() == UINT64_MAX);
    journal_close();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(after_a_failed_sync_it_is_opened_anew),
        TEST(a_line_that_could_not_be_written_is_counted),
        TEST(what_cannot_be_opened_is_tried_again),
        TEST(what_was_changed_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
