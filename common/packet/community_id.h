/*
 * community_id: Community ID v1 flow hashing (https://github.com/corelight/community-id-spec), seed as given (0 unless
 * agreed otherwise). Derived from the key alone, so no row stores it.
 */
#ifndef FLEETDUMP_PACKET_COMMUNITY_ID_H
#define FLEETDUMP_PACKET_COMMUNITY_ID_H

#include "common/packet/packet.h"

/* "1:" and 28 base64 characters and a 0 byte. */
#define COMMUNITY_ID_SIZE 31

/* Fills out; false (and out "") for flows that the specification does not define (no IP, later fragments of ported
 * protocols). */
bool community_id(const struct flow_key *key, uint16_t seed, char out[COMMUNITY_ID_SIZE]);

/* Whether text has the form of a v1 id. */
bool community_id_valid(const char *text);

#endif
