/*
 * rows_impl: rows.c asks for rows and prints them; rows_columns.c knows which fields they may have, and shows them.
 */
#ifndef FLEETDUMP_CLI_ROWS_IMPL_H
#define FLEETDUMP_CLI_ROWS_IMPL_H

#include "collector/cli/rows.h"

/* For sheets: context is a struct rows, row a struct flow_row or what lies behind it. */
enum sheet_cell rows_cell(void *context, const void *row, size_t column, bool exact, struct buffer *out);
/* Whether groups are made by it. */
bool rows_is_by(const struct rows *r, const char *name);
/* ERROR_MEMORY. */
MUST_CHECK int rows_no_memory(struct error *e);
/* Makes the names in --by those of the fields. */
MUST_CHECK int rows_take_by(struct rows *r, struct error *e);
/* Checks --sort. */
MUST_CHECK int rows_take_sort(struct rows *r, struct error *e);
/* Chooses columns and fields. */
MUST_CHECK int rows_take_columns(struct rows *r, struct error *e);
/* What the field is of these lines: of a name that both have the exchange's. */
const char *rows_help_of(const struct rows_kind *kind, const struct field *f);
/* What --columns prints without a value. */
MUST_CHECK int rows_list_columns(const struct rows_kind *kind, const struct cli *cli, struct error *e);

#endif
