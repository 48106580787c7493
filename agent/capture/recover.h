/*
 * recover: ends a stream whose writer died.
 *
 * What is whole in the cut body becomes a chunk (SEAL_RECOVERED) with rows made anew from its packets; what the counter
 * page says was kept and is not there is counted as CRASH_LOST; then comes the END item. Flows of the chunk end with
 * FLOW_END_FORCED.
 *
 * May be killed and run again at any point: each step leaves a state from which the next run goes on.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_RECOVER_H
#define FLEETDUMP_AGENT_CAPTURE_RECOVER_H

#include "agent/capture/flow_table.h"
#include "agent/ship/spool.h"

struct recovered {
    uint64_t packets; /* saved */
    uint64_t lost;    /* kept, but not saved */
};

struct recover_options {
    const char *agent; /* whose the stream is, if nothing of it says so any more */
    bool without_body; /* the cut body is not read: a process died of it */
    struct flow_timeouts timeouts;
    uint8_t http_blank; /* enum http_blank (conversation.h): what HTTP said and the new rows do not tell */
};

/* ERROR_BUSY: the writer lives. A stream that has its END is left as it is. A body that cannot be read is given up, and
 * what it held counted as lost. */
MUST_CHECK int recover_stream(struct spool *spool, const uint8_t epoch[EPOCH_SIZE], const struct recover_options *o,
                              struct recovered *r, struct error *e);

#endif
