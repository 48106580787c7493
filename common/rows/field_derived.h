/*
 * field_derived: the fields that are more than a column's value.
 */
#ifndef FLEETDUMP_ROWS_FIELD_DERIVED_H
#define FLEETDUMP_ROWS_FIELD_DERIVED_H

#include "common/rows/field.h"

/* The endpoint that stands on that side: of FIELD_ORIG the originator, endpoint 0 if it is not known. */
unsigned field_endpoint(const struct flow_row *row, int side);

/* Fields as in field.h, but for `needs` and `column`, which are made from these ids (0: no more); those in `column`
 * give unit, names and help where the field has none of its own. */
struct field_derived {
    struct field field;
    uint8_t column; /* 0: none */
    uint8_t needs[12];
};
extern const struct field_derived field_derived[];
extern const size_t field_derived_count;

#endif
