/* exchange_write: the exchanges of a chunk as a block, alike ones together, as they are small then. */
#ifndef FLEETDUMP_AGENT_CAPTURE_EXCHANGE_WRITE_H
#define FLEETDUMP_AGENT_CAPTURE_EXCHANGE_WRITE_H

#include "common/rows/block.h"
#include "common/rows/flow_row.h"

/* Appends a block of the n exchanges to out, ordered by application, the end of the name that was asked for, the name,
 * and the path; those that are alike in this as they are given. ERROR_LIMIT, ERROR_MEMORY. */
MUST_CHECK int exchanges_write(struct block_writer *w, const struct exchange_row *rows, size_t n, struct buffer *out,
                               struct error *e);

#endif
