/* What the shipper leaves of a refusal for doctor, who believes nothing of it. */
#include "tests/unit/support.h"

#include "agent/ship/refusal.h"
#include "common/base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char *folder;
    int fd;
};

static int set_up(void **state)
{
    static struct place t;
    t.folder = support_folder();
    t.fd = open(t.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &t;
    return t.fd < 0;
}

static int tear_down(void **state)
{
    struct place *t = *state;
    close(t->fd);
    support_folder_remove(t->folder);
    return 0;
}

static void it_is_known_until_the_agent_is_let_in(void **state)
{
    struct place *t = *state;
    struct refusal r;
    uint64_t before_ns = clock_wall_ns();
    assert_false(refusal_read(t->fd, "control", &r));
    refusal_forget(t->fd, "control"); /* nothing is there */
    refusal_note(t->fd, "control", ERROR_VERSION, "another version");
    refusal_note(t->fd, "control", ERROR_REFUSED, "refused by the collector: it was revoked");
    assert_true(refusal_read(t->fd, "control", &r));
    assert_int_equal(r.code, ERROR_REFUSED);
    assert_string_equal(r.text, "refused by the collector: it was revoked");
    assert_true(r.when_ns >= before_ns && r.when_ns <= clock_wall_ns());
    assert_false(refusal_read(t->fd, "data", &r));
    refusal_forget(t->fd, "control");
    assert_false(refusal_read(t->fd, "control", &r));
}

static void clocks_are_noted(void **state)
{
    struct place *t = *state;
    int64_t offset_ns = 7;
    assert_false(clock_noted(t->fd, &offset_ns));
    clock_note(t->fd, 12);
    clock_note(t->fd, INT64_MIN);
    assert_true(clock_noted(t->fd, &offset_ns));
    assert_true(offset_ns == INT64_MIN);
    support_write(t->folder, "clock", "1 2\n", 4);
    assert_false(clock_noted(t->fd, &offset_ns));
    support_write(t->folder, "clock", "2 2 2\n", 6);
    assert_false(clock_noted(t->fd, &offset_ns));
}

static void the_longest_text_is_cut_and_every_text_is_printable(void **state)
{
    struct place *t = *state;
    struct refusal r;
    char text[2 * ERROR_TEXT_MAX];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    refusal_note(t->fd, "data", ERROR_REFUSED, text);
    assert_true(refusal_read(t->fd, "data", &r));
    assert_int_equal(strlen(r.text), ERROR_TEXT_MAX - 1);
    refusal_note(t->fd, "data", ERROR_REFUSED, "clear\033[2J\nnext \xff line\177");
    assert_true(refusal_read(t->fd, "data", &r));
    assert_string_equal(r.text, "clear?[2J?next ? line?");
}

static void what_is_no_such_file_is_none(void **state)
{
    struct place *t = *state;
    struct refusal r;
    char big[2 * REFUSAL_BYTES];
    static const char *const wrong[] = {
        "", "\n", "1", "x y z\n", "1 5\n", "1 5 -13\n", "1 5 -13 \n", "2 5 -13 text\n", "1 5 -13 cut"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        support_write(t->folder, "refused-control", wrong[i], strlen(wrong[i]));
        assert_false(refusal_read(t->fd, "control", &r));
    }
    support_write(t->folder, "refused-control", "1 5 -13 text\n", 13);
    assert_true(refusal_read(t->fd, "control", &r));
    snprintf(big, sizeof big, "1 5 -13 %0*d\n", (int)REFUSAL_BYTES, 0);
    support_write(t->folder, "refused-control", big, strlen(big));
    assert_false(refusal_read(t->fd, "control", &r));
    assert_int_equal(renameat(t->fd, "refused-control", t->fd, "elsewhere"), 0);
    support_write(t->folder, "elsewhere", "1 5 -13 text\n", 13);
    assert_int_equal(symlinkat("elsewhere", t->fd, "refused-control"), 0);
    assert_false(refusal_read(t->fd, "control", &r));
    assert_int_equal(unlinkat(t->fd, "refused-control", 0), 0);
    assert_int_equal(mkfifoat(t->fd, "refused-control", 0600), 0); /* nobody writes to it: nobody waits for it */
    assert_false(refusal_read(t->fd, "control", &r));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_is_known_until_the_agent_is_let_in),
        TEST(clocks_are_noted),
        TEST(the_longest_text_is_cut_and_every_text_is_printable),
        TEST(what_is_no_such_file_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
