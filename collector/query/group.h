/*
 * group: which group a row belongs to: those that have the same values of the --by fields.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_GROUP_H
#define FLEETDUMP_COLLECTOR_QUERY_GROUP_H

#include "common/net/message.h"
#include "common/rows/field.h"

#define GROUP_BY_MAX 8u

struct group_by {
    const struct field *fields[GROUP_BY_MAX];
    uint32_t count;
};

/* The question's fields. ERROR_USAGE names the one that does not exist, or that groups alone have. */
MUST_CHECK int group_by_of(const struct message_query *q, struct group_by *by, struct error *e);

struct group_map;

/* NULL without memory. `by` must live as long. */
struct group_map *group_map_new(const struct group_by *by);
void group_map_free(struct group_map *m); /* NULL is fine */

/* The number of the row's group, from 0 in order of first appearance; ERROR_MEMORY. */
MUST_CHECK int64_t group_map_of(struct group_map *m, const struct flow_row *row, struct error *e);

#endif
