#include "common/base/log.h"

#include "tests/unit/support.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What `say` writes to stderr; JOURNAL_STREAM names that stderr if `journal`. */
static const char *captured(void (*say)(void), enum log_level most, int journal)
{
    static char text[8192];
    char stream[64];
    FILE *f = tmpfile();
    assert_non_null(f);
    struct stat st;
    assert_int_equal(fstat(fileno(f), &st), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino + !journal);
    setenv("JOURNAL_STREAM", stream, 1);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(f), STDERR_FILENO);
    log_setup("tester", most);
    say();
    dup2(saved, STDERR_FILENO);
    close(saved);
    unsetenv("JOURNAL_STREAM");
    rewind(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    return text;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fail_msg("'%s' does not match '%s'", text, pattern);
    regfree(&re);
}

static void say_all(void)
{
    log_error("e %d", 1);
    log_warn("w");
    log_info("i");
    log_debug("d");
}

static void say_forged(void)
{
    log_warn("peer says '%s'", "x\n2026-01-01T00:00:00.000Z error\x1b[2J");
}

static void say_long(void)
{
    char text[6000];
    memset(text, 'y', sizeof(text));
    text[sizeof(text) - 1] = 0;
    log_info("%s", text);
}

static void say_errno(void)
{
    errno = EBADF;
    log_info("x");
    assert_int_equal(errno, EBADF);
}

#define TIME "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z "

static void a_line_has_time_level_program_and_text(void **state)
{
    (void)state;
    assert_matches(captured(say_all, LOG_LEVEL_ERROR, 0), TIME "error tester: e 1\n$");
}

static void lines_above_the_level_are_dropped(void **state)
{
    (void)state;
    const char *text = captured(say_all, LOG_LEVEL_WARN, 0);
    assert_non_null(strstr(text, "warn  tester: w\n"));
    assert_null(strstr(text, "info"));
    text = captured(say_all, LOG_LEVEL_DEBUG, 0);
    assert_non_null(strstr(text, "info  tester: i\n"));
    assert_non_null(strstr(text, "debug tester: d\n"));
}

static void for_the_journal_lines_have_a_priority(void **state)
{
    (void)state;
    assert_string_equal(captured(say_all, LOG_LEVEL_DEBUG, 1),
                        "<3>tester: e 1\n<4>tester: w\n<6>tester: i\n<7>tester: d\n");
}

static void a_peers_text_forges_no_line(void **state)
{
    (void)state;
    assert_matches(captured(say_forged, LOG_LEVEL_INFO, 0),
                   TIME "warn  tester: peer says 'x[?]2026-[^\n]*[?][[]2J'\n$");
}

static void long_lines_are_cut_and_ended(void **state)
{
    (void)state;
    const char *text = captured(say_long, LOG_LEVEL_INFO, 0);
    assert_in_range(strlen(text), 1000, 1600);
    assert_string_equal(text + strlen(text) - 3, "yy\n");
}

static void errno_survives(void **state)
{
    (void)state;
    assert_matches(captured(say_errno, LOG_LEVEL_INFO, 0), "tester: x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_program_and_text), cmocka_unit_test(lines_above_the_level_are_dropped),
        cmocka_unit_test(for_the_journal_lines_have_a_priority),  cmocka_unit_test(a_peers_text_forges_no_line),
        cmocka_unit_test(long_lines_are_cut_and_ended),           cmocka_unit_test(errno_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
