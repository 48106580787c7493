/*
 * ladder_script: a ladder by hand. Packets are written as "A > SA 0 1 +10 @5.25 w0 i7 h63 =text", separated by ';':
 * where it was seen (A, B, ...: vantages "host-a/eth0", ...; left out: A), who sends (> the client), flags (S A F R P, or -
 * for none), sequence number and ack relative to the ends' starts, +bytes of payload, @milliseconds (else one after the
 * packet before), window, IP identification (else the number of the packet in the script), hop limit; =text is the payload,
 * with _ for spaces and ~ for the end of a line, #digits its bytes in hexadecimal. "A > udp +10" and "A > icmp 8 0" are datagrams.
 */
#ifndef FLEETDUMP_TESTS_LADDER_SCRIPT_H
#define FLEETDUMP_TESTS_LADDER_SCRIPT_H

#include "collector/ladder/ladder.h"

/* 2026-11-22 00:00:00 UTC */
#define SCRIPT_START_NS UINT64_C(1795305600000000000)

/* Makes it and finishes it; the test fails if that does. */
struct ladder *ladder_script(const char *script);

#endif
