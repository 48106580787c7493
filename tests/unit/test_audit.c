/*
 * An audit tells whatever was done to it: changed bytes, lines taken out, put in or moved, ends cut off.
 */
#include "tests/unit/audit_support.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void assert_broken(struct place *p, const char *what)
{
    struct audit_report report;
    assert_int_equal(place_verify(p, &report), ERROR_CORRUPT);
    if (!strstr(p->e.text, what))
        fail_msg("'%s' does not say '%s'", p->e.text, what);
}

/* ------------------------------------------------------------------ files, as somebody may change them */
static void lose(const struct place *p, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", place_folder(p), name);
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
    struct audit *a = place_reopen(p, 0);
    struct buffer fields = {.limit = AUDIT_FIELDS_MAX}, text = {0};
    audit_put_text(&fields, "who", "ann \"a\\b\" \n\t\x01\xff ä", 100);
    audit_put_text(&fields, "what", "0123456789ä", 11);
    audit_put_text(&fields, "none", NULL, 10);
    audit_put_number(&fields, "rows", UINT64_MAX);
    assert_int_equal(audit_append(a, T0 + 5, &fields, &p->e), 0);
    audit_close(a);
    struct audit_report report;
    assert_int_equal(audit_verify(place_folder(p), NULL, note_line, &text, &report, &p->e), 0);
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
    struct audit *a = place_reopen(p, 0);
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
    place_assert_good(p, 1);
    buffer_free(&fields);
}

static void it_goes_on_where_it_was(void **state)
{
    struct place *p = *state;
    for (int i = 0; i < 5; i++)
        place_make_chain(p, 3, SMALL);
    place_assert_good(p, 15);
    struct audit *a = place_reopen(p, SMALL);
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
    assert_int_equal(stat(place_folder(p), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void two_writers_are_refused(void **state)
{
    struct place *p = *state;
    struct audit *a = place_reopen(p, 0), *b = NULL;
    assert_int_equal(audit_open(place_folder(p), 0, &b, &p->e), ERROR_BUSY);
    audit_close(a);
    audit_close(place_reopen(p, 0));
}

/* ------------------------------------------------------------------ what is noticed */
static void every_flipped_bit_is_noticed(void **state)
{
    struct place *p = *state;
    place_make_chain(p, 4, 0);
    size_t len;
    char *bytes = place_load(p, "audit.jsonl", &len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)(bytes[i] ^ (1 << (i % 8)));
        place_save(p, "audit.jsonl", bytes, len);
        assert_broken(p, "");
        bytes[i] = (char)(bytes[i] ^ (1 << (i % 8)));
    }
    place_save(p, "audit.jsonl", bytes, len);
    place_assert_good(p, 4);
    char *third = strstr(bytes, "\"number\":3");
    third[9] = '9';
    place_save(p, "audit.jsonl", bytes, len);
    assert_broken(p, "audit.jsonl, line 3 (after number 2): its hash does not fit");
    struct audit *a = NULL;
    assert_int_equal(audit_open(place_folder(p), 0, &a, &p->e), ERROR_CORRUPT);
    assert_non_null(strstr(p->e.text, "audit verify"));
}

static void every_cut_is_noticed(void **state)
{
    struct place *p = *state;
    struct audit *a = NULL;
    place_make_chain(p, 4, 0);
    size_t len;
    char *bytes = place_load(p, "audit.jsonl", &len);
    for (size_t i = 0; i < len; i++) {
        place_save(p, "audit.jsonl", bytes, i);
        assert_broken(p, "its end was cut off");
        assert_int_equal(audit_open(place_folder(p), 0, &a, &p->e), ERROR_CORRUPT);
    }
    lose(p, "audit.jsonl");
    assert_broken(p, "there were lines up to 4 once");
    assert_int_equal(audit_open(place_folder(p), 0, &a, &p->e), ERROR_CORRUPT);
    place_save(p, "audit.jsonl", bytes, len);
    lose(p, "audit.head");
    assert_broken(p, "audit.head is gone");
    assert_int_equal(audit_open(place_folder(p), 0, &a, &p->e), ERROR_CORRUPT);
}

static void lines_taken_out_put_in_and_moved_are_noticed(void **state)
{
    struct place *p = *state;
    place_make_chain(p, 4, 0);
    size_t len, at[5] = {0};
    char bytes[4096], other[4096];
    memcpy(bytes, place_load(p, "audit.jsonl", &len), 4096);
    for (size_t i = 1; i < 5; i++)
        at[i] = (size_t)(strchr(bytes + at[i - 1], '\n') - bytes) + 1;
    memcpy(other, bytes, at[1]);
    memcpy(other + at[1], bytes + at[2], len - at[2]);
    place_save(p, "audit.jsonl", other, len - (at[2] - at[1]));
    assert_broken(p, "line 2 (after number 1): it does not have the next number");
    memcpy(other, bytes + at[1], len - at[1]);
    place_save(p, "audit.jsonl", other, len - at[1]);
    assert_int_equal(audit_verify(place_folder(p), NULL, NULL, NULL, &(struct audit_report){0}, &p->e),
                     0); /* moved away */
    memcpy(other, bytes, at[2]);
    memcpy(other + at[2], bytes + at[1], len - at[1]);
    place_save(p, "audit.jsonl", other, len + at[2] - at[1]);
    assert_broken(p, "line 3 (after number 2)");
    place_save(p, "audit.jsonl", "hello\n", 6);
    assert_broken(p, "it is no line of an audit");
}

/* Somebody who can write both files: a chain of his own, of the same length. */
static void a_chain_written_anew_does_not_have_the_head_that_was_kept_elsewhere(void **state)
{
    struct place *p = *state;
    place_make_chain(p, 4, 0);
    struct audit *a = place_reopen(p, 0);
    struct audit_head kept = audit_head(a);
    audit_close(a);
    struct audit_report report;
    assert_int_equal(audit_verify(place_folder(p), &kept, NULL, NULL, &report, &p->e), 0);
    lose(p, "audit.jsonl");
    lose(p, "audit.head");
    a = place_reopen(p, 0);
    for (uint64_t i = 11; i < 17; i++)
        assert_int_equal(append_line(a, i, &p->e), 0);
    audit_close(a);
    place_assert_good(p, 6);
    assert_int_equal(audit_verify(place_folder(p), &kept, NULL, NULL, &report, &p->e), ERROR_CORRUPT);
    assert_non_null(strstr(p->e.text, "written anew"));
}

static void full_files_are_part_of_the_chain(void **state)
{
    struct place *p = *state;
    char name[64], second[64];
    struct audit_report report;
    place_make_chain(p, 40, SMALL);
    place_assert_good(p, 40);
    full_name(1, name);
    size_t len;
    char *bytes = place_load(p, name, &len);
    uint64_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    full_name(lines + 1, second);
    bytes[len / 2] ^= 1;
    place_save(p, name, bytes, len);
    assert_broken(p, name);
    bytes[len / 2] ^= 1;
    place_save(p, name, bytes, len - 1);
    assert_broken(p, "the file ends amid a line");
    lose(p, name); /* the oldest may be elsewhere */
    assert_int_equal(place_verify(p, &report), 0);
    assert_int_equal(report.first_seq, lines + 1);
    bytes = place_load(p, second, &len);
    lose(p, second);
    place_save(p, name, bytes, len);
    assert_int_equal(place_verify(p, &report), 0); /* its name does not matter, its place does */
    lose(p, name);
    full_name(lines * 3 + 1, name);
    lose(p, name);
    assert_broken(p, "it does not have the next number");
    place_make_chain(p, 3, SMALL); /* what is old does not keep it from going on */
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
    place_make_chain(p, 20, SMALL);
    full_name(1, name);
    snprintf(folder_path, sizeof folder_path, "%s", place_folder(p));
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
    struct audit *a = place_reopen(p, AUDIT_FILE_MOST / 2);
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
    snprintf(path, sizeof path, "%s/audit.jsonl", place_folder(p));
    assert_int_equal(verify_path(p, path, NULL, NULL, &report), 0);
    assert_int_equal(report.lines, 100);
    size_t len;
    char *bytes = place_load(p, "audit.jsonl", &len);
    bytes[len - 4000] = '\n';
    place_save(p, "audit.jsonl", bytes, len);
    assert_int_equal(verify_path(p, path, NULL, NULL, &report), ERROR_CORRUPT);
    assert_non_null(strstr(p->e.text, "line 100 (after number 99): it is no line"));
    memset(bytes, 'x', len);
    place_save(p, "audit.jsonl", bytes, len);
    assert_int_equal(verify_path(p, path, NULL, NULL, &report), ERROR_CORRUPT);
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
    place_make_chain(p, 1, SMALL);
    pid_t pid = fork();
    if (pid == 0) {
        struct audit *a = NULL;
        struct error e;
        if (audit_open(place_folder(p), SMALL, &a, &e))
            _exit(1);
        for (uint64_t i = 0; i < 300; i++)
            if (append_line(a, i, &e) || (i % 20 == 0 && audit_sync(a, &e)))
                _exit(1);
        audit_close(a);
        _exit(0);
    }
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        uint64_t last = 0;
        if (audit_verify(place_folder(p), NULL, ascending, &last, &report, &p->e))
            fail_msg("%s", p->e.text);
    }
    assert_int_equal(status, 0);
    place_assert_good(p, 301);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
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
        TEST(it_is_read_while_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
