/*
 * join: asks a collector for a certificate: connects, makes sure by its authority's fingerprint that it is the right
 * one, and only then says what it wants. Blocks; runs a loop of its own.
 */
#ifndef FLEETDUMP_NET_JOIN_H
#define FLEETDUMP_NET_JOIN_H

#include "common/net/ca.h"
#include "common/net/token.h"

#define JOIN_CONNECT_MS 10000u /* to connect and shake hands; and then to be answered */

struct join_wish {
    const char *collector;    /* where it is */
    const uint8_t *ca_sha256; /* of its authority's certificate */
    const uint8_t *secret;    /* of a token; NULL: to be approved */
    uint8_t kind;             /* that we are to be */
    const char *name;         /* likewise */
    const struct buffer *key; /* ours, PEM: it is not sent */
    /* Called once if an administrator is to approve it (then it is asked again and again), with what tells us apart
     * from others who may ask for the same name; false: not to wait. */
    bool (*waits)(void *context, const char *key_fingerprint);
    void *context;
};

struct join_answer {
    struct buffer certificate, ca; /* PEM */
    char **labels;
    uint32_t label_count;
    char collector[HEAD_NAME_MAX + 1]; /* the name in its certificate */
    struct identity made;
};

/* ERROR_REFUSED and others with the collector's reason; ERROR_UNREACHABLE; ERROR_INVALID and ERROR_CONFLICT: what it
 * gave is not what was asked for. Free the answer in any case. */
MUST_CHECK int join_ask(const struct join_wish *w, struct join_answer *answer, struct error *e);
void join_answer_free(struct join_answer *a);

#endif
