/*
 * renew: a certificate of ours gets a later end, on a connection that it made: the same key and name, asked for by
 * ENROLL.
 */
#ifndef FLEETDUMP_NET_RENEW_H
#define FLEETDUMP_NET_RENEW_H

#include "common/net/ca.h"
#include "common/net/message.h"

/* Two thirds of its life are over. */
bool renew_is_due(const struct identity *ours, uint64_t now_ns);

/* The ENROLL for the key in the folder (key.pem); renew_request_free frees what it points to. */
MUST_CHECK int renew_request(const char *folder, const struct identity *ours, struct message *m, struct error *e);
void renew_request_free(struct message *m);

/* Looks at what came, as nothing is believed that can be looked at, and replaces cert.pem; and ca.pem, if what came
 * is the same authority's, renewed. */
MUST_CHECK int renew_take(const char *folder, const struct identity *ours, const struct message_enrolled *m,
                          struct error *e);

#endif
