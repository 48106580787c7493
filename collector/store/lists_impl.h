/*
 * lists_impl: streams over all partitions, added up: lists.c gives captures, streams and agents by them, pauses.c the
 * times between them.
 */
#ifndef FLEETDUMP_STORE_LISTS_IMPL_H
#define FLEETDUMP_STORE_LISTS_IMPL_H

#include "collector/store/reader.h"

/* A stream over all partitions. */
struct listed {
    struct portion sum; /* with its own texts: those of the latest portion */
    uint64_t stored_bytes;
    uint64_t body_next;
};

struct listing {
    struct listed *items;
    size_t count, size;
    struct epoch_map by_epoch; /* values: number in items, plus one */
};

void listing_free(struct listing *l);
uint64_t time_least(uint64_t a, uint64_t b);
uint64_t time_greatest(uint64_t a, uint64_t b);
/* All streams. Sorting the items makes the map useless: what needs it comes before. */
MUST_CHECK int listing_streams(struct store_reader *r, struct listing *l, struct error *e);
/* For qsort of items. */
int listing_by_capture(const void *a, const void *b);
/* Of items, those that the scan names come first, and only they count; what is freed later stays the same. */
size_t listing_keep_wanted(struct listing *l, const struct store_scan *scan);
/* Files are read long after their packets passed, or all at once. */
bool head_was_live(const struct head_row *h);

#endif
