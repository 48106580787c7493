#include "tests/unit/filter_check.h"

#include "tests/unit/filter_sample.h"

#include <stdio.h>
#include <string.h>

/* --- Helpers --- */
struct filter *filter_of_text(const char *text, const struct filter_names *names)
{
    struct filter *f;
    struct error e = ERROR_INIT;
    if (filter_compile(text, names, &f, &e) != 0)
        fail_msg("%s", e.text);
    return f;
}

/* --- Connections --- */
struct flow_row row_two_way(void)
{
    struct flow_row row = sample('a')->row, answer = sample('b')->row;
    for (unsigned d = 0; d < 2; d++) {
        row.packets[d] += answer.packets[d];
        row.bytes[d] += answer.bytes[d];
    }
    return row;
}

void row_check(const char *text, const struct flow_row *row, enum truth sum, enum truth part)
{
    struct filter *f = filter_of_text(text, NULL);
    enum truth is_sum = filter_row_sum(f, row), is_part = filter_row_part(f, row);
    if (is_sum != sum || is_part != part)
        fail_msg("'%s': sum %d instead of %d, part %d instead of %d", text, is_sum, sum, is_part, part);
    filter_free(f);
}

/* --- Names --- */
static const struct filter_address web_addresses[] = {
    {FAMILY_IP6, {0xfe, 0x80, [15] = 1}, 0, UINT64_MAX},
    {FAMILY_IP4, {10, 0, 0, 6}, 0, UINT64_MAX},
    {FAMILY_IP4, {10, 0, 0, 5}, 1500, 1600},
    {FAMILY_IP4, {10, 0, 0, 1}, 2001, UINT64_MAX}, /* after the samples' time, which is 1000 to 2000 */
    {FAMILY_IP4, {10, 0, 0, 1}, 0, 999},           /* before it */
};

static const struct filter_name name_items[] = {
    {"web", web_addresses, 2}, {"@web", web_addresses, 3}, {"later", web_addresses + 3, 2},
    {"tcp", web_addresses, 1}, {"none", NULL, 0},          {"my host", web_addresses + 2, 1},
};

const struct filter_names web_names = {name_items, sizeof name_items / sizeof *name_items};

void name_collect(void *context, const char *name)
{
    char *all = context;
    snprintf(all + strlen(all), 100 - strlen(all), "%s;", name);
}
