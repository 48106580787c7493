/*
 * explain: why an answer is empty: what was captured then, with which filter; or what there is at all.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_EXPLAIN_H
#define FLEETDUMP_COLLECTOR_QUERY_EXPLAIN_H

#include "collector/store/store.h"
#include "common/base/buffer.h"

struct explain {
    struct buffer captured; /* agents and their filters, for a sentence */
    unsigned count;
    uint64_t cut; /* chunks whose packets were not captured as a whole */
};

/* A chunk of the question's time, agents and captures was looked at. */
void explain_note(struct explain *x, const struct chunk_head *h);

/* ERROR_NOT_FOUND if no stream of a capture of that name is or was stored: it says which may be meant; a pattern may
 * fit nothing. Looks at those of the scan's agents. */
MUST_CHECK int explain_unknown(struct store_reader *r, const struct store_scan *scan, const char *glob,
                               struct error *e);

/* What was looked for. */
struct explain_what {
    bool exchanges;  /* else flows */
    const char *app; /* exchanges of this one; NULL, "": of any */
    uint64_t seen;   /* exchanges of it that were there */
};

/* The sentence about an empty answer, after `chunks` were looked at. */
void explain_empty(struct explain *x, struct store_reader *r, uint64_t chunks, const struct explain_what *what,
                   char text[ERROR_TEXT_MAX]);

#endif
