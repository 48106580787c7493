/* A segment on its way through the rules. Private to tcp_findings. */
#ifndef FLEETDUMP_TCP_TCP_INSIDE_H
#define FLEETDUMP_TCP_TCP_INSIDE_H

#include "common/tcp/tcp_findings.h"

#define SCALE_UNKNOWN (-1)
#define SCALE_NONE    (-2)

struct tcp_step {
    const struct tcp_segment *s;
    const struct tcp_talk *t;
    struct tcp_side *its, *other;
    uint16_t found;
};

/* As time differences are compared: one that is negative is very long. */
static inline uint64_t tcp_since(const struct tcp_segment *s, uint64_t time_ns)
{
    return s->time_ns - time_ns;
}

/* tcp_rules.c: whether no rule can hold, as of nearly all segments, found out cheaply; false if they have to be
 * asked. */
bool tcp_rules_find_nothing(const struct tcp_step *p);
/* Findings by what the segment is, and why it comes again. They only look. */
void tcp_rules_alone(struct tcp_step *p);
void tcp_rules_again(struct tcp_step *p);

#endif
