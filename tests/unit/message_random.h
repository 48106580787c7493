/*
 * message_random: random messages of every kind, and whether two are the same: by hand, so that a field that the tables lack shows.
 */
#ifndef FLEETDUMP_TESTS_MESSAGE_RANDOM_H
#define FLEETDUMP_TESTS_MESSAGE_RANDOM_H

#include "common/net/message.h"
#include "tests/unit/support.h"

extern uint64_t random_state;

/* From random_state on, which is the seed. */
uint64_t random_draw(void);
/* Of that type; its texts, lists and data are good until the next is drawn. */
void message_draw(enum message_type type, struct message *m);
void message_assert_same(const struct message *x, const struct message *y);

#endif
