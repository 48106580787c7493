/*
 * filter_check: a filter's text, and what it must say of the sample packets and of rows.
 */
#ifndef FLEETDUMP_TESTS_FILTER_CHECK_H
#define FLEETDUMP_TESTS_FILTER_CHECK_H

#include "common/filter/filter.h"
#include "tests/unit/support.h"

extern const struct filter_names web_names;

/* Compiles it, or fails. */
struct filter *filter_of_text(const char *text, const struct filter_names *names);
/* A two-way flow: a and b. */
struct flow_row row_two_way(void);
/* What the filter says of the row as a flow's sum, and as a part of it. */
void row_check(const char *text, const struct flow_row *row, enum truth sum, enum truth part);
/* For filter_each_name: context is a text of 100 bytes to which the name is added. */
void name_collect(void *context, const char *name);

#endif
