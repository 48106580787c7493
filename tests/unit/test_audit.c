/*
 * An audit tells whatever was done to it: changed bytes, lines taken out, put in or moved, ends cut off; and it goes on after a crash at any point.
 *
 * This program is its own child: "test_audit child FOLDER SAID" appends lines, syncs now and then, and notes in the file SAID what is durable.
 */
#include "common/base/audit.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define T0         UINT64_C(1700000000000000000)
#define SMALL      1000u /* bytes of a file: some five lines */
#define CHILD_MOST 30u

struct place {
    char *path;
    struct error e;
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    p->path = support_folder();
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    support_folder_remove(p->path);
    free(p);
    return 0;
}

static const char *folder(const struct place *p)
{
    return support_path(p->path, "audit");
}

static struct audit *reopen(struct place *p, uint64_t file_bytes)
{
    struct audit *a = NULL;
    if (audit_open(folder(p), file_bytes, &a, &p->e))
        fail_msg("%s", p->e.text);
    return a;
}

static int append(struct audit *a, uint64_t number, struct error *e)
{
    struct buffer fields = {.limit = AUDIT_FIELDS_MAX};
    audit_put_text(&fields, "who", "ann", 100);
    audit_put_number(&fields, "number", number);
    int r = audit_append(a, T0 + number, &fields, e);
    buffer_free(&fields);
    return r;
}

/* A chain of so many lines, closed. */
static void make(struct place *p, uint64_t lines, uint64_t file_bytes)
{
    struct audit *a = reopen(p, file_bytes);
    for (uint64_t i = 1; i <= lines; i++)
        assert_int_equal(append(a, i, &p->e), 0);
    audit_close(a);
}

static int verify(struct place *p, struct audit_report *report)
{
    p->e = (struct error)ERROR_INIT;
    return audit_verify(folder(p), NULL, NULL, NULL, report, &p->e);
}

static void assert_good(struct place *p, uint64_t lines)
{
    struct audit_report report;
    if (verify(p, &report))
        fail_msg("%s", p->e.text);
    assert_int_equal(report.last.seq, lines);
}

static void assert_broken(struct place *p, const char *what)
{
    struct audit_report report;
    assert_int_equal(verify(p, &report), ERROR_CORRUPT);
    if (!strstr(p->e.text, what))
        fail_msg("'%s' does not say '%s'", p->e.text, what);
}

static void need_faults(void)
{
#ifndef FLEETDUMP_FAULTS
    skip(); /* there are no fault points in this build */
#endif
}

/* ------------------------------------------------------------------ files, as somebody may change them */

static char *load(const struct place *p, const char *name, size_t *len)
{
    char path[400];
    static char bytes[1 << 20];
    snprintf(path, sizeof path, "%s/%s", folder(p), name);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, bytes, sizeof bytes - 1);
    close(fd);
    assert_true(n >= 0);
    bytes[n] = 0;
    *len = (size_t)n;
    return bytes;
}

static void save(const struct place *p, const char *name, const void *bytes, size_t len)
{
    char path[400];
    snprintf(path, sizeof path, "audit/%s", name);
    support_write(p->path, path, bytes, len);
}

static void lose(const struct place *p, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder(p), name);
    assert_int_equal(unlink(path), 0);
}

static void full_name(uint64_t seq, char name[64])
{
    snprintf(name, 64, "audit.%020llu.jsonl", (unsigned long long)seq);
}

/* ------------------------------------------------------------------ what is written */

static int note_line(void *context, const struct audit_line *line, struct error *e)
{
    (void)e;
    buffer_append(context, line->text, line->length);
    buffer_u8(context, '\n');
    return 0;
}

static void a_line_is_one_json_object_with_number_time_and_hash(void **state)
{
    struct place *p = *state;
    struct audit *a = reopen(p, 0);
    struct buffer fields = {.limit = AUDIT_FIELDS_MAX}, text = {0};
    audit_put_text(&fields, "who", "ann \"a\\b\" \n\t\x01\xff ä", 100);
    audit_put_text(&fields, "what", "0123456789ä", 11);
    audit_put_text(&fields, "none", NULL, 10);
    audit_put_number(&fields, "rows", UINT64_MAX);
    assert_int_equal(audit_append(a, T0 + 5, &fields, &p->e), 0);
    audit_close(a);
    struct audit_report report;
    assert_int_equal(audit_verify(folder(p), NULL, note_line, &text, &report, &p->e), 0);
    buffer_u8(&text, 0);
    static const char expected[] = "{\"seq\":1,\"time\":\"2023-11-14T22:13:20.000000005Z\",\"who\":\"ann "
                                   "\\\"a\\\\b\\\" \\n\\t?? ä\",\"what\":\"0123456789...\",\"none\":\"\","
                                   "\"rows\":18446744073709551615,\"hash\":\"";
    assert_memory_equal(text.data, expected, sizeof expected - 1);
    assert_int_equal(report.first_seq, 1);
    buffer_free(&fields);
    buffer_free(&text);
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    struct place *p = *state;
    struct audit *a = reopen(p, 0);
    struct buffer fields = {0};
    char long_text[AUDIT_FIELDS_MAX + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    audit_put_text(&fields, "w", long_text, sizeof long_text);
    assert_int_equal(audit_append(a, T0, &fields, &p->e), ERROR_LIMIT);
    buffer_clear(&fields);
    audit_put_text(&fields, "w", long_text, AUDIT_FIELDS_MAX - 10);
    assert_int_equal(audit_append(a, T0, &fields, &p->e), 0);
    audit_close(a);
    assert_good(p, 1);
    buffer_free(&fields);
}

static void it_goes_on_where_it_was(void **state)
{
    struct place *p = *state;
    for (int i = 0; i < 5; i++)
        make(p, 3, SMALL);
    assert_good(p, 15);
    struct audit *a = reopen(p, SMALL);
    struct audit_head head = audit_head(a), again;
    char text[AUDIT_HEAD_TEXT_MAX];
    audit_close(a);
    assert_int_equal(head.seq, 15);
    assert_int_equal(audit_head_parse(audit_head_text(&head, text), &again, &p->e), 0);
    assert_memory_equal(&head, &again, sizeof head);
    text[4] = 'x';
    assert_int_equal(audit_head_parse(text, &again, &p->e), ERROR_USAGE);
    assert_int_equal(audit_head_parse("17", &again, &p->e), ERROR_USAGE);
    struct stat st;
    assert_int_equal(stat(folder(p), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void two_writers_are_refused(void **state)
{
    struct place *p = *state;
    struct audit *a = reopen(p, 0), *b = NULL;
    assert_int_equal(audit_open(folder(p), 0, &b, &p->e), ERROR_BUSY);
    audit_close(a);
    audit_close(reopen(p, 0));
}

/* ------------------------------------------------------------------ what is noticed */

static void every_flipped_bit_is_noticed(void **state)
{
    struct place *p = *state;
    make(p, 4, 0);
    size_t len;
    char *bytes = load(p, "audit.jsonl", &len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)(bytes[i] ^ (1 << (i % 8)));
        save(p, "audit.jsonl", bytes, len);
        assert_broken(p, "");
        bytes[i] = (char)(bytes[i] ^ (1 << (i % 8)));
    }
    save(p, "audit.jsonl", bytes, len);
    assert_good(p, 4);
    char *third = strstr(bytes, "\"number\":3");
    third[9] = '9';
    save(p, "audit.jsonl", bytes, len);
    assert_broken(p, "audit.jsonl, line 3 (after number 2): its hash does not fit");
    struct audit *a = NULL;
    assert_int_equal(audit_open(folder(p), 0, &a, &p->e), ERROR_CORRUPT);
    assert_non_null(strstr(p->e.text, "audit verify"));
}

static void every_cut_is_noticed(void **state)
{
    struct place *p = *state;
    struct audit *a = NULL;
    make(p, 4, 0);
    size_t len;
    char *bytes = load(p, "audit.jsonl", &len);
    for (size_t i = 0; i < len; i++) {
        save(p, "audit.jsonl", bytes, i);
        assert_broken(p, "its end was cut off");
        assert_int_equal(audit_open(folder(p), 0, &a, &p->e), ERROR_CORRUPT);
    }
    lose(p, "audit.jsonl");
    assert_broken(p, "there were lines up to 4 once");
    assert_int_equal(audit_open(folder(p), 0, &a, &p->e), ERROR_CORRUPT);
    save(p, "audit.jsonl", bytes, len);
    lose(p, "audit.head");
    assert_broken(p, "audit.head is gone");
    assert_int_equal(audit_open(folder(p), 0, &a, &p->e), ERROR_CORRUPT);
}

static void lines_taken_out_put_in_and_moved_are_noticed(void **state)
{
    struct place *p = *state;
    make(p, 4, 0);
    size_t len, at[5] = {0};
    char bytes[4096], other[4096];
    memcpy(bytes, load(p, "audit.jsonl", &len), 4096);
    for (size_t i = 1; i < 5; i++)
        at[i] = (size_t)(strchr(bytes + at[i - 1], '\n') - bytes) + 1;
    memcpy(other, bytes, at[1]);
    memcpy(other + at[1], bytes + at[2], len - at[2]);
    save(p, "audit.jsonl", other, len - (at[2] - at[1]));
    assert_broken(p, "line 2 (after number 1): it does not have the next number");
    memcpy(other, bytes + at[1], len - at[1]);
    save(p, "audit.jsonl", other, len - at[1]);
    assert_int_equal(audit_verify(folder(p), NULL, NULL, NULL, &(struct audit_report){0}, &p->e), 0); /* moved away */
    memcpy(other, bytes, at[2]);
    memcpy(other + at[2], bytes + at[1], len - at[1]);
    save(p, "audit.jsonl", other, len + at[2] - at[1]);
    assert_broken(p, "line 3 (after number 2)");
    save(p, "audit.jsonl", "hello\n", 6);
    assert_broken(p, "it is no line of an audit");
}

/* Somebody who can write both files: a chain of his own, of the same length. */
static void a_chain_written_anew_does_not_have_the_head_that_was_kept_elsewhere(void **state)
{
    struct place *p = *state;
    make(p, 4, 0);
    struct audit *a = reopen(p, 0);
    struct audit_head kept = audit_head(a);
    audit_close(a);
    struct audit_report report;
    assert_int_equal(audit_verify(folder(p), &kept, NULL, NULL, &report, &p->e), 0);
    lose(p, "audit.jsonl");
    lose(p, "audit.head");
    a = reopen(p, 0);
    for (uint64_t i = 11; i < 17; i++)
        assert_int_equal(append(a, i, &p->e), 0);
    audit_close(a);
    assert_good(p, 6);
    assert_int_equal(audit_verify(folder(p), &kept, NULL, NULL, &report, &p->e), ERROR_CORRUPT);
    assert_non_null(strstr(p->e.text, "written anew"));
}

static void full_files_are_part_of_the_chain(void **state)
{
    struct place *p = *state;
    char name[64], second[64];
    struct audit_report report;
    make(p, 40, SMALL);
    assert_good(p, 40);
    full_name(1, name);
    size_t len;
    char *bytes = load(p, name, &len);
    uint64_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    full_name(lines + 1, second);
    bytes[len / 2] ^= 1;
    save(p, name, bytes, len);
    assert_broken(p, name);
    bytes[len / 2] ^= 1;
    save(p, name, bytes, len - 1);
    assert_broken(p, "the file ends amid a line");
    lose(p, name); /* the oldest may be elsewhere */
    assert_int_equal(verify(p, &report), 0);
    assert_int_equal(report.first_seq, lines + 1);
    bytes = load(p, second, &len);
    lose(p, second);
    save(p, name, bytes, len);
    assert_int_equal(verify(p, &report), 0); /* its name does not matter, its place does */
    lose(p, name);
    full_name(lines * 3 + 1, name);
    lose(p, name);
    assert_broken(p, "it does not have the next number");
    make(p, 3, SMALL); /* what is old does not keep it from going on */
}

/* ------------------------------------------------------------------ one file by itself */

static int verify_path(struct place *p, const char *path, const struct audit_head *before,
                       const struct audit_head *known, struct audit_report *report)
{
    p->e = (struct error)ERROR_INIT;
    return audit_verify_path(path, before, known, NULL, NULL, report, &p->e);
}

static void a_file_by_itself_is_vouched_for_by_what_comes_before_it(void **state)
{
    struct place *p = *state;
    char name[64], old[400], folder_path[400];
    struct audit_report first, report;
    make(p, 20, SMALL);
    full_name(1, name);
    snprintf(folder_path, sizeof folder_path, "%s", folder(p));
    snprintf(old, sizeof old, "%s/old", p->path);
    char from[500];
    snprintf(from, sizeof from, "%s/%s", folder_path, name);
    assert_int_equal(rename(from, old), 0);
    assert_int_equal(verify_path(p, old, NULL, NULL, &first), 0);
    assert_int_equal(first.first_seq, 1);
    assert_int_equal(first.lines, first.last.seq);
    assert_string_equal(first.first_time, "2023-11-14T22:13:20.000000001Z");
    assert_false(first.folder);
    assert_int_equal(verify_path(p, folder_path, &first.last, NULL, &report), 0);
    assert_true(report.folder && !report.written);
    assert_int_equal(report.noted.seq, 20);
    assert_string_equal(report.last_time, "2023-11-14T22:13:20.000000020Z");
    first.last.hash[0] ^= 1; /* another file before it */
    assert_int_equal(verify_path(p, folder_path, &first.last, NULL, &report), ERROR_CORRUPT);
    assert_non_null(strstr(p->e.text, folder_path));
    assert_non_null(strstr(p->e.text, "line 1"));
    first.last.seq = 3; /* not what comes before it */
    assert_int_equal(verify_path(p, folder_path, &first.last, NULL, &report), 0);
    assert_int_equal(verify_path(p, folder_path, NULL, &first.last, &report), ERROR_NOT_FOUND);
    assert_non_null(strstr(p->e.text, "number 3 is not among the lines"));
    assert_int_equal(verify_path(p, p->path, NULL, NULL, &report), ERROR_NOT_FOUND);
    assert_int_equal(verify_path(p, support_path(p->path, "none"), NULL, NULL, &report), ERROR_NOT_FOUND);
}

/* What was written out may be longer than a file of the audit ever is. */
static void a_file_is_as_long_as_it_likes(void **state)
{
    struct place *p = *state;
    struct audit *a = reopen(p, AUDIT_FILE_MOST / 2);
    char text[7001], path[400];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 100; i++) {
        struct buffer fields = {.limit = AUDIT_FIELDS_MAX};
        audit_put_text(&fields, "what", text, sizeof text);
        assert_int_equal(audit_append(a, T0, &fields, &p->e), 0);
        buffer_free(&fields);
    }
    audit_close(a);
    struct audit_report report;
    snprintf(path, sizeof path, "%s/audit.jsonl", folder(p));
    assert_int_equal(verify_path(p, path, NULL, NULL, &report), 0);
    assert_int_equal(report.lines, 100);
    size_t len;
    char *bytes = load(p, "audit.jsonl", &len);
    bytes[len - 4000] = '\n';
    save(p, "audit.jsonl", bytes, len);
    assert_int_equal(verify_path(p, path, NULL, NULL, &report), ERROR_CORRUPT);
    assert_non_null(strstr(p->e.text, "line 100 (after number 99): it is no line"));
    memset(bytes, 'x', len);
    save(p, "audit.jsonl", bytes, len);
    assert_int_equal(verify_path(p, path, NULL, NULL, &report), ERROR_CORRUPT);
}

/* ------------------------------------------------------------------ crashes */

/* What is logged while it is opened. */
static void reopen_logged(struct place *p, char *said, size_t size)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    int saved = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(fileno(f), STDERR_FILENO);
    struct audit *a = reopen(p, 0);
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
    make(p, 2, 0);
    size_t len;
    char *bytes = load(p, "audit.jsonl", &len);
    strcpy(bytes + len, "{\"seq\":3,\"ti");
    save(p, "audit.jsonl", bytes, len + 12);
    assert_int_equal(verify(p, &report), 0);
    assert_int_equal(report.cut_bytes, 12);
    assert_int_equal(report.cut_line, 3);
    reopen_logged(p, said, sizeof said);
    assert_non_null(strstr(said, "audit.jsonl, line 3: half a line of 12 bytes was cut off"));
    assert_non_null(strstr(said, "after number 2"));
    make(p, 1, 0);
    assert_good(p, 4);
    bytes = load(p, "audit.jsonl", &len);
    assert_non_null(strstr(bytes, "\"audit\":\"cut\",\"bytes\":12"));
}

static int child(const char *path, const char *said)
{
    struct error e = ERROR_INIT;
    struct audit *a = NULL;
    int out = open(said, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int r = audit_open(path, SMALL, &a, &e) ? 2 : 0;
    for (uint64_t i = 1; r == 0 && i <= CHILD_MOST; i++) {
        if (append(a, i, &e) || (i % 3 == 0 && audit_sync(a, &e)))
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
    assert_good(p, CHILD_MOST);
    size_t listed_length;
    char *listed = load(p, "../list", &listed_length);
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
                if (verify(p, &report))
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
    assert_good(p, 4);
    assert_int_equal(run_child(p, "audit.sync:EIO:2", NULL), 3);
    assert_int_equal(run_child(p, "", NULL), 0);
}

/* ------------------------------------------------------------------ reading what is being written */

static int ascending(void *context, const struct audit_line *line, struct error *e)
{
    uint64_t *last = context;
    (void)e;
    assert_int_equal(line->seq, *last + 1);
    *last = line->seq;
    return 0;
}

static void it_is_read_while_it_is_written(void **state)
{
    struct place *p = *state;
    struct audit_report report;
    make(p, 1, SMALL);
    pid_t pid = fork();
    if (pid == 0) {
        struct audit *a = NULL;
        struct error e;
        if (audit_open(folder(p), SMALL, &a, &e))
            _exit(1);
        for (uint64_t i = 0; i < 300; i++)
            if (append(a, i, &e) || (i % 20 == 0 && audit_sync(a, &e)))
                _exit(1);
        audit_close(a);
        _exit(0);
    }
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        uint64_t last = 0;
        if (audit_verify(folder(p), NULL, ascending, &last, &report, &p->e))
            fail_msg("%s", p->e.text);
    }
    assert_int_equal(status, 0);
    assert_good(p, 301);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "child") == 0)
        return child(argv[2], argv[3]);
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_one_json_object_with_number_time_and_hash),
        TEST(a_line_that_is_too_long_is_refused),
        TEST(it_goes_on_where_it_was),
        TEST(two_writers_are_refused),
        TEST(every_flipped_bit_is_noticed),
        TEST(every_cut_is_noticed),
        TEST(lines_taken_out_put_in_and_moved_are_noticed),
        TEST(a_chain_written_anew_does_not_have_the_head_that_was_kept_elsewhere),
        TEST(full_files_are_part_of_the_chain),
        TEST(a_file_by_itself_is_vouched_for_by_what_comes_before_it),
        TEST(a_file_is_as_long_as_it_likes),
        TEST(half_a_line_is_cut_off_and_said),
        TEST(a_crash_at_any_point_loses_nothing_that_was_durable),
        TEST(a_full_disk_costs_the_line_and_not_the_chain),
        TEST(it_is_read_while_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
