/*
 * reach: how far the data of streams that have not ended has come, against the time of the question.
 *
 * A stream that has ended is all here (bodies aside: chunks account for theirs). One that has not may have captured
 * what has not come yet, and lacks nothing inside the question only if it reaches until its end: `until`, or the time
 * at which it was asked, if that is earlier. It reaches
 *   - to where agents were heard to have handed over all (struct query_reach), of captures that were ordered
 *   - to the time at which its last chunk was sealed (store_stream_info.sealed_ns)
 * Files that are being read reach nowhere before they end: their packets come in any order.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_REACH_H
#define FLEETDUMP_COLLECTOR_QUERY_REACH_H

#include "collector/query/manifest.h"
#include "collector/query/query.h"

/* Accounts in the manifest for what open streams that the scan names may lack. To be called before the chunks are
 * scanned: what comes meanwhile is not in the answer. */
MUST_CHECK int reach_account(struct store_reader *r, const struct store_scan *scan, const struct query_live *live,
                             struct manifest *m, struct error *e);

#endif
