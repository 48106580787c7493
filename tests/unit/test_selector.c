/* Which agents a capture means: names by any of its globs, labels by all of any of its expressions. */
#include "tests/unit/support.h"

#include "common/net/selector.h"

#include <stdlib.h>
#include <string.h>

static const char *const labels[] = {"role=web", "dc=fra", "empty=", "odd=a=b"};

static bool means(char **on, uint32_t on_count, char **label, uint32_t label_count)
{
    const struct capture_request r = {.on = on, .on_count = on_count, .labels = label, .label_count = label_count};
    return selector_means(&r, "web-1", labels, sizeof labels / sizeof labels[0]);
}

static bool by_name(const char *glob)
{
    char *on[] = {TEXT(glob)};
    return means(on, 1, NULL, 0);
}

static bool by_label(const char *expression)
{
    char *label[] = {TEXT(expression)};
    return means(NULL, 0, label, 1);
}

static void none_means_all(void **state)
{
    (void)state;
    assert_true(means(NULL, 0, NULL, 0));
}

static void names_are_globs(void **state)
{
    (void)state;
    assert_true(by_name("web-1"));
    assert_true(by_name("web-*"));
    assert_true(by_name("*"));
    assert_true(by_name("?eb-1"));
    assert_false(by_name("web"));
    assert_false(by_name("WEB-1"));
    assert_false(by_name(""));
    char *on[] = {TEXT("db-*"), TEXT("web-*")};
    assert_true(means(on, 2, NULL, 0)); /* one is enough */
}

static void a_comma_is_and(void **state)
{
    (void)state;
    assert_true(by_label("role=web"));
    assert_true(by_label("role=web,dc=fra"));
    assert_true(by_label("dc=f*,role=w?b"));
    assert_true(by_label("role=web,dc=fra,empty="));
    assert_false(by_label("role=web,dc=ams"));
    assert_false(by_label("role=db"));
    assert_false(by_label("rol=web"));
    assert_false(by_label("role=we"));
    assert_false(by_label("other=*"));
    assert_true(by_label("odd=a=b"));
    assert_true(by_label("empty=*"));
}

static void repeated_is_or(void **state)
{
    char *either[] = {TEXT("role=db"), TEXT("dc=fra")}, *neither[] = {TEXT("role=db"), TEXT("dc=ams")};
    (void)state;
    assert_true(means(NULL, 0, either, 2));
    assert_false(means(NULL, 0, neither, 2));
}

static void names_and_labels_must_both_fit(void **state)
{
    char *on[] = {TEXT("web-*")}, *other[] = {TEXT("db-*")}, *label[] = {TEXT("role=web")}, *not [] = {TEXT("role=db")};
    (void)state;
    assert_true(means(on, 1, label, 1));
    assert_false(means(on, 1, not, 1));
    assert_false(means(other, 1, label, 1));
}

static void what_is_no_expression_is_said(void **state)
{
    static const char *const bad[] = {"", "role", "=web", "role=web,", "role=web,,dc=fra", ",role=web", "role=web,dc"};
    struct error e;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        e.text[0] = 0;
        assert_int_equal(selector_check_labels(bad[i], &e), ERROR_USAGE);
        assert_non_null(strstr(e.text, "KEY=VALUE"));
    }
    assert_int_equal(selector_check_labels("role=web,dc=fra*", &e), 0);
    assert_int_equal(selector_check_labels("role=", &e), 0);
}

/* Also where nobody checked it before: an agent's hello says what it likes. */
static void what_is_no_expression_fits_nobody(void **state)
{
    static const char *const odd[] = {"role", "", "role="};
    char *expressions[] = {TEXT("role"), TEXT(""), TEXT("role,dc=fra"), TEXT(",")};
    (void)state;
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        const struct capture_request r = {.labels = &expressions[i], .label_count = 1};
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            char *label = strdup(odd[k]); /* with nothing behind it */
            assert_false(selector_means(&r, "web-1", (const char *const *)&label, 1));
            free(label);
        }
    }
}

static void long_ones_fit_nobody(void **state)
{
    char expression[2000] = "role=";
    (void)state;
    memset(expression + 5, '*', sizeof expression - 6);
    expression[sizeof expression - 1] = 0;
    assert_false(by_label(expression));
    assert_int_equal(selector_check_labels(expression, NULL), ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_means_all),
        cmocka_unit_test(names_are_globs),
        cmocka_unit_test(a_comma_is_and),
        cmocka_unit_test(repeated_is_or),
        cmocka_unit_test(names_and_labels_must_both_fit),
        cmocka_unit_test(what_is_no_expression_is_said),
        cmocka_unit_test(what_is_no_expression_fits_nobody),
        cmocka_unit_test(long_ones_fit_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
