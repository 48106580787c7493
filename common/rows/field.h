/*
 * field: what people see of a flow, or of one of its exchanges: the names used in filters (`bytes > 1M`), output
 * columns, --sort, --by and JSON.
 *
 * Made from the column table: a pair of columns X.0, X.1 gives the fields X (both; of measures only), orig_X and resp_X
 * (by originator); every other column gives one field of its name; some are derived (duration, orig_addr, resp_port,
 * community_id, ...). The columns of exchanges are fields of their names too; of a name that both have (time, status,
 * sni, ...) a row that is about an exchange (flow_row.exchange) has the exchange's value, another one the flow's. One
 * table, field_table.
 */
#ifndef FLEETDUMP_ROWS_FIELD_H
#define FLEETDUMP_ROWS_FIELD_H

#include "common/rows/flow_row.h"

/* FIELD_NUMBER: digits (times: RFC 3339), compared with units in filters. FIELD_TEXT: all else, also the names of
 * enumerations, whose numbers field_number gives. */
enum field_kind { FIELD_NUMBER, FIELD_TEXT };

struct field {
    const char *name;
    enum field_kind kind;
    enum unit unit;
    const char *title; /* short head of a table's column */
    const char *help;
    /* Changes from row to row (sums, extremes, latest state): judged on the merged row of the flow. Else a property
     * that every row of the flow knows. */
    bool is_measure;
    bool right;              /* align right in tables */
    struct column_set needs; /* columns that the value is made from: what must be read and merged to have it */
    /* implementation: how the value is found */
    const struct column *column[2]; /* one, or the pair; NULL for derived fields, and for what exchanges alone have */
    const struct column *exchange;  /* of the table exchange; NULL: only flows have it */
    int side;                       /* FIELD_BOTH, FIELD_ORIG, FIELD_RESP */
    bool (*number)(const struct flow_row *row, uint64_t *value);
    size_t (*text)(const struct flow_row *row, char *buf, size_t len);
};
enum { FIELD_BOTH, FIELD_ORIG, FIELD_RESP };

/* Whether flows have it, or exchanges alone do. */
static inline bool field_is_of_flows(const struct field *f)
{
    return f->column[0] || f->number || f->text;
}

/* Whether exchanges have it: of flows what says the same of all their packets. */
static inline bool field_is_of_exchanges(const struct field *f)
{
    return f->exchange || !f->is_measure;
}

/* The application whose exchanges alone have it ("dns"); NULL: it is not of one alone. */
const char *field_app(const struct field *f);

/* Whether only groups of flows or exchanges have it: sums, counts, percentiles. */
bool field_is_of_groups(const struct field *f);

/* All fields in the order for --help and wide output; *count is set. */
const struct field *field_table(size_t *count);

/* By exact name, or a short one (rcode for dns_rcode), '-' being as good as '_'; or NULL. `len` bytes of name. */
const struct field *field_named(const char *name, size_t len);

/* Numeric value, of enumerations their number; false if missing (compare false) or not numeric. */
bool field_number(const struct field *f, const struct flow_row *row, uint64_t *value);

/* Value for people (`exact` false: 1.5M, 213ms, local time) or machines (exact: digits; times RFC 3339), without
 * quotes; enumerations by name either way. Control characters, and what is no UTF-8, come as \xNN. Returns the length;
 * 0 and "" if missing. buf should have FIELD_TEXT_MAX bytes: what does not fit is cut. */
#define FIELD_TEXT_MAX 1100
size_t field_text(const struct field *f, const struct flow_row *row, bool exact, char *buf, size_t len);

/* Order of two rows by the field: <0, 0, >0; missing sorts before all. Addresses by value, enumerations by their
 * number. */
int field_compare(const struct field *f, const struct flow_row *a, const struct flow_row *b);

#endif
