/*
 * field: what people see of a flow: the names used in filters (`bytes > 1M`), output columns, --sort, --by and JSON.
 *
 * Made from the column table: a pair of columns X.0, X.1 gives the fields X (both), orig_X and resp_X (by originator);
 * every other column gives one field of its name; some are derived (duration, orig_addr, resp_port, community_id, ...).
 * One table, field_table.
 */
#ifndef FLEETDUMP_ROWS_FIELD_H
#define FLEETDUMP_ROWS_FIELD_H

#include "common/rows/flow_row.h"

enum field_kind { FIELD_NUMBER, FIELD_TEXT };

struct field {
    const char *name;
    enum field_kind kind;
    enum unit unit;
    const char *title; /* short head of a table's column */
    const char *help;
    bool is_measure; /* summed over rows (judged on the sum), against a property that every row of the flow knows */
    bool right;      /* align right in tables */
    /* implementation: how the value is found */
    const struct column *column[2]; /* one, or the pair; NULL for derived fields */
    int side;                       /* FIELD_BOTH, FIELD_ORIG, FIELD_RESP */
    bool (*number)(const struct flow_row *row, uint64_t *value);
    size_t (*text)(const struct flow_row *row, char *buf, size_t len);
};
enum { FIELD_BOTH, FIELD_ORIG, FIELD_RESP };

/* All fields in the order for --help and wide output; *count is set. */
const struct field *field_table(size_t *count);

/* By exact name, or NULL. `len` bytes of name. */
const struct field *field_named(const char *name, size_t len);

/* Numeric value; false if missing (compare false) or not numeric. */
bool field_number(const struct field *f, const struct flow_row *row, uint64_t *value);

/* Value for people (`exact` false: 1.5M, 213ms, 22:00:01.5) or machines (exact: digits; times RFC 3339), without
 * quotes. Returns the length; 0 and "" if missing. At most FIELD_TEXT_MAX bytes with the final 0. */
#define FIELD_TEXT_MAX 1100
size_t field_text(const struct field *f, const struct flow_row *row, bool exact, char *buf, size_t len);

/* Order of two rows by the field: <0, 0, >0; missing sorts before all. */
int field_compare(const struct field *f, const struct flow_row *a, const struct flow_row *b);

#endif
