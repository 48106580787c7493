/* What is known of a connection, and a segment on its way through it. Private to tcp_analysis. */
#ifndef FLEETDUMP_COLLECTOR_LADDER_TCP_INSIDE_H
#define FLEETDUMP_COLLECTOR_LADDER_TCP_INSIDE_H

#include "collector/ladder/tcp_analysis.h"

#define UNSEEN_SAID   UINT32_MAX /* in place of a number of duplicates: an ack_lost_segment was found */
#define SCALE_UNKNOWN (-1)
#define SCALE_NONE    (-2)

struct tcp_unacked {
    uint64_t time_ns;
    uint32_t number, seq, next;
};

/* What is known of one end by the segments that it sent. Numbers of 0 are not known. */
struct tcp_side {
    bool has_base;
    uint32_t base; /* seq that is 0 in relative numbers */
    uint32_t next, gapless;
    uint32_t next_number; /* segment that made next, and its time */
    uint64_t next_ns;
    uint32_t last_ack, last_window;
    uint64_t last_ns;
    uint16_t last_findings;
    uint32_t first_of_ack; /* segment with which its ack became what it is */
    uint32_t duplicates;   /* of it, or UNSEEN_SAID */
    int8_t scale;
    bool unscaled_yet; /* it sent a SYN and no ACK without SYN since */
    bool seen_whole;   /* nothing that it sent is missing, as far as acks tell: what is in flight is known */
    uint8_t mptcp;
    uint8_t sacks; /* of its latest segment */
    uint32_t sack_bytes;
    uint32_t pushed;
    bool push_last;
    struct tcp_unacked *unacked; /* in the order sent; owned */
    uint32_t unacked_count, unacked_room;
};

struct tcp_analysis {
    struct tcp_side side[2];
    uint64_t syn_ns; /* latest SYN without ACK, 0: none */
    int64_t handshake_ns;
    bool mptcp_known;
    uint8_t mptcp;
};

/* A segment on its way through the rules. */
struct tcp_step {
    const struct tcp_segment *s;
    const struct tcp_analysis *a;
    struct tcp_side *its, *other;
    uint16_t found;
};

static inline bool tcp_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* As time differences are compared: one that is negative is very long. */
static inline uint64_t tcp_since(const struct tcp_segment *s, uint64_t time_ns)
{
    return s->time_ns - time_ns;
}

static inline bool tcp_is_plain(const struct tcp_segment *s)
{
    return !(s->flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

static inline bool tcp_takes_number(const struct tcp_segment *s)
{
    return (s->flags & (TCP_SYN | TCP_FIN)) != 0;
}

/* tcp_rules.c: findings by what the segment is, and why it comes again. They only look. */
void tcp_rules_alone(struct tcp_step *p);
void tcp_rules_again(struct tcp_step *p);

/* tcp_flight.c: segments without ack. */
/* Its end, and it is kept until it is acked. A SYN or FIN for which there is no room does not count. */
MUST_CHECK int tcp_flight_keep(struct tcp_step *p, uint32_t *next, struct error *e);
/* Forgets the segments that this one acks; the oldest that ends right at its ack is what it answers. */
void tcp_flight_take_acks(const struct tcp_step *p, struct tcp_reading *out);
void tcp_flight_count(const struct tcp_step *p, struct tcp_reading *out);
/* Of a retransmission, before it is kept. */
void tcp_flight_find_rto(const struct tcp_step *p, struct tcp_reading *out);

#endif
