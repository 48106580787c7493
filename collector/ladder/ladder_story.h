/*
 * ladder_story: which packets open and close a TCP connection, and what that comes to. Told in order of the rows, by
 * their sequence numbers.
 *
 * Opening. The SYNs are the first of each end without ACK.
 *   three-way      a SYN of one end alone (1 of 3), the first SYN+ACK of the other (2), the first segment without SYN
 *                  and RST of the one that acks the other's SYN (3)
 *   simultaneous   SYNs of both (1 and 2 of 4), and of each the first segment that acks the other's (3 and 4)
 *
 * Closing. The FINs are the first of each end; the *first FIN* is the earlier one, of the closer; *acked* means by the
 * other end's first segment that acks it.
 *   three-way      the second FIN is what acks the first (2 of 3), and is acked (3)
 *   four-way       the first FIN is acked (2 of 4) before the second (3), and that is acked (4)
 *   half-close     as four-way, but the other end sent new payload with its ack of the first FIN or later
 *   simultaneous   the second FIN does not ack the first (1 and 2 of 4); each is acked (3 and 4)
 *   closing        there is no second FIN
 *   reset          an RST, unless all FINs were acked before
 *   refused        an RST of an end that has neither sent a SYN nor anything before, to an end that has sent a SYN
 *
 * A SYN that begins the connection anew (reused_ports) begins another story: marks are those of each, the ladder's
 * story is the last one.
 */
#ifndef FLEETDUMP_COLLECTOR_LADDER_LADDER_STORY_H
#define FLEETDUMP_COLLECTOR_LADDER_LADDER_STORY_H

#include "collector/ladder/ladder.h"
#include "common/base/buffer.h"

/* "handshake 3 of 3", "close 1 of 4: the client ends"; `from` is who sent the row. Nothing if it is no step. */
void ladder_step_text(const struct ladder_step *step, uint8_t from, struct buffer *out);
/* "three-way handshake in 12.3ms, four-way close by the client after 231ms" */
void ladder_story_text(const struct ladder *l, struct buffer *out);
/* A mark's name for programs: "three-way", "four-way", "half-close", "simultaneous", "reset", ...; NULL for PLAIN. */
const char *ladder_mark_name(uint8_t mark);
const char *ladder_side_name(uint8_t side); /* "client", "server" */

#endif
