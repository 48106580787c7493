/*
 * store_place: a store in a folder of its own, for cmocka.
 */
#ifndef FLEETDUMP_TESTS_STORE_PLACE_H
#define FLEETDUMP_TESTS_STORE_PLACE_H

#include "tests/unit/store_support.h"

struct place {
    char *path;
    struct store *s;
    struct error e;
    struct seen seen;
};

/* For cmocka: *state is a place. */
int place_make(void **state);
int place_remove(void **state);
/* As after a restart. */
void place_reopen(struct place *p, const struct store_config *config);
/* What the store says is the next head and body of the stream. */
void place_assert_cursors(struct place *p, uint8_t stream, uint64_t head_next, uint64_t body_next);

#endif
