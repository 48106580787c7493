/*
 * message_impl: what message.c (messages to bytes, frames) and message_read.c (bytes to messages) share.
 */
#ifndef FLEETDUMP_COMMON_NET_MESSAGE_IMPL_H
#define FLEETDUMP_COMMON_NET_MESSAGE_IMPL_H

#include "common/net/arena.h"
#include "common/net/message_shape.h"

#define MEMORY_MAX                                                                                                     \
    ((size_t)24 << 20) /* of one decoded message: small things in long lists take more than on the wire */

#define ID_SIZE 16u

/* One field being converted, and where. */
struct conversion {
    struct arena *arena;
    const struct message_shape *shape;
    const struct message_field *field;
    struct error *e;
};

/* ERROR_INVALID, which names message and field. */
int message_invalid(const struct conversion *c, const char *what);
/* ERROR_LIMIT, likewise. */
int message_no_memory(const struct conversion *c);
/* Bytes of an address of the family; 0: there is none such. */
size_t message_address_size(uint8_t family);
/* NULL if the text is one for the field. */
const char *message_string_problem(const struct message_field *f, const char *text);
/* 0 if the number is one for the field. */
int message_range(const struct conversion *c, uint64_t value);

#endif
