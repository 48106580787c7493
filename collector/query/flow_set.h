/*
 * flow_set: the flows of a question, each the sum of its rows, found by flow id. Owns what its rows point to.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_FLOW_SET_H
#define FLEETDUMP_COLLECTOR_QUERY_FLOW_SET_H

#include "common/base/error.h"
#include "common/rows/flow_row.h"

struct flow_set_entry {
    struct flow_row sum; /* key.interface is a place of the plan (places.h), not a chunk's interface */
    bool selected;       /* the filter holds for the sum */
    bool maybe;          /* only its packets can tell */
    bool other_vantage;  /* the same connection is taken from another vantage */
};

struct flow_set;

/* At most `most` flows. NULL without memory. */
struct flow_set *flow_set_new(size_t most);
void flow_set_free(struct flow_set *s);

/* Adds a row to its flow's sum (rows of one stream in the order of its chunks). Text is copied. ERROR_LIMIT says what
 * to do about too many flows. */
MUST_CHECK int flow_set_add(struct flow_set *s, const struct flow_row *row, struct error *e);

size_t flow_set_count(const struct flow_set *s);
struct flow_set_entry *flow_set_at(struct flow_set *s, size_t i); /* in order of first appearance */
struct flow_set_entry *flow_set_find(struct flow_set *s, uint64_t flow_id);

/* A copy of the text that lives as long as the set; equal texts are stored once. {NULL, 0} without memory. */
struct text flow_set_text(struct flow_set *s, const char *data, size_t len);

#endif
