/*
 * har: exchanges of HTTP as an HTTP Archive 1.2 (http://www.softwareishard.com/blog/har-12-spec/), as browsers' tools
 * read it.
 *
 * What packets do not tell is what the format has for that: -1, an empty text, an empty list. Of each entry:
 *   request, response   method, URL (without its query), version, status, content type, sizes of the bodies as sent; of
 *                       the heads where there is no body (a body may have been sent in chunks, whose sizes are neither)
 *   timings             send, wait, receive; of a connection's first request also connect (the TCP handshake), dns (an
 *                       answer that the same client had for that name shortly before), and blocked (what is left of the
 *                       time between); ssl is -1: what is within TLS is not seen
 *   connection          the id of its flow
 *   _agent, _interface, _client, _request_bytes, _reply_bytes, _outcome
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_HAR_H
#define FLEETDUMP_COLLECTOR_CLI_HAR_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/rows/flow_row.h"

#define HAR_DNS_NS     UINT64_C(1000000000)  /* a connection that begins later after an answer is not due to it */
#define HAR_EARLIER_NS UINT64_C(10000000000) /* a name is asked for at most so long before a request */

/* Answers of DNS, to be looked up by client and name. */
struct har_names {
    struct har_name *items; /* owned */
    size_t count, cap;
    bool sorted;
};
/* Takes a row about an exchange of DNS into account. ERROR_MEMORY. */
MUST_CHECK int har_names_add(struct har_names *n, const struct flow_row *row, struct error *e);
void har_names_free(struct har_names *n);

/* Append the parts of the file. Between entries stands a comma, which har_entry puts if it is not the first. */
void har_begin(struct buffer *out);
MUST_CHECK int har_entry(const struct flow_row *row, struct har_names *names, bool first, struct buffer *out,
                         struct error *e);
void har_end(struct buffer *out);

#endif
