/* tcp_flight: the segments of one end without ack: when they are answered, how much is in flight. Private to
 * tcp_analysis. */
#ifndef FLEETDUMP_COLLECTOR_LADDER_TCP_FLIGHT_H
#define FLEETDUMP_COLLECTOR_LADDER_TCP_FLIGHT_H

#include "collector/ladder/tcp_analysis.h"

struct tcp_unacked {
    uint64_t time_ns;
    uint32_t number, seq, next;
};

struct tcp_flight {
    uint8_t sacks; /* of its end's latest segment */
    uint32_t sack_bytes;
    uint32_t pushed;
    bool push_last;
    struct tcp_unacked *unacked; /* in the order sent; owned */
    uint32_t count, room;
};

/* All are acked; what it owns stays. */
void tcp_flight_begin(struct tcp_flight *f);
void tcp_flight_free(struct tcp_flight *f);

bool tcp_flight_is_full(const struct tcp_flight *f);

/* The segment is kept until it is acked, if there is room and it takes a number. */
MUST_CHECK int tcp_flight_keep(struct tcp_flight *f, const struct tcp_segment *s, struct error *e);

/* Forgets the segments of the other end's that this one acks; the oldest that ends right at its ack is what it
 * answers. */
void tcp_flight_take_acks(struct tcp_flight *others, const struct tcp_segment *s, struct tcp_reading *out);

/* From the first to the last number that its sender has without ack, without what the other end has selectively. */
void tcp_flight_count(struct tcp_flight *f, const struct tcp_flight *others, const struct tcp_side *its,
                      const struct tcp_segment *s, struct tcp_reading *out);

/* What a retransmission repeats; before it is kept. `its` is as it was before the segment. */
void tcp_flight_find_rto(const struct tcp_flight *f, const struct tcp_side *its, const struct tcp_segment *s,
                         struct tcp_reading *out);

#endif
