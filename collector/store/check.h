/*
 * check: one partition against itself: what store_check walks and store_reindex decides by.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_CHECK_H
#define FLEETDUMP_COLLECTOR_STORE_CHECK_H

#include "collector/store/store_impl.h"

struct checking {
    void (*say)(void *context, const char *text);
    void *context;
    struct store_report *report;
    bool bodies; /* read every body, not only their records' headers */
    /* of streams over partitions in order: number of the next item, plus one; NULL: not compared */
    struct epoch_map *cursors;
};

/* Says a finding and counts it. */
void check_say(struct checking *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* All that a partition's files say of each other. Fails only where the check itself does (memory). */
MUST_CHECK int check_partition(struct checking *c, const struct partition *p, struct error *e);

#endif
