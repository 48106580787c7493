/*
 * tcp_script: TCP segments written as text, for tests.
 *
 * "> S 0" or "< SA 0 1 +10 w0 s7 m1460 k @5": who sends (> is endpoint 0), flags (S A F R P, or - for none), the sequence number relative to the
 * sender's start, the acknowledged one relative to the other's, +bytes, wWINDOW, sSCALE, mMSS, k (SACK permitted), @milliseconds (else one
 * after the segment before).
 */
#ifndef FLEETDUMP_TESTS_TCP_SCRIPT_H
#define FLEETDUMP_TESTS_TCP_SCRIPT_H

#include "common/tcp/tcp_segment.h"

#define TCP_SCRIPT_T0_MS 1000000u /* the time of @0 */

extern const uint32_t tcp_script_starts[2]; /* one wraps soon */

/* Where a script is; all 0 at its beginning. */
struct tcp_script {
    uint32_t number;
    uint64_t ms;
};

/* Reads one segment, changing the text; returns its sender. */
unsigned tcp_script_segment(struct tcp_script *r, char *text, struct tcp_segment *s);

#endif
