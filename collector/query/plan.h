/*
 * plan: a question made ready, and the first pass that every one about flows or packets needs: scan, sum by flow,
 * select.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_PLAN_H
#define FLEETDUMP_COLLECTOR_QUERY_PLAN_H

#include "collector/query/after.h"
#include "collector/query/explain.h"
#include "collector/query/flow_set.h"
#include "collector/query/manifest.h"
#include "collector/query/places.h"
#include "collector/query/query.h"

struct plan {
    struct message_query question;     /* as it was asked, but no older than the bounds */
    const struct message_query *q;     /* it */
    const struct query_bounds *bounds; /* never NULL */
    const struct query_live *live;
    const struct query_sink *sink;
    const atomic_bool *cancel;
    struct store_reader *reader;
    struct filter_address *addresses; /* of names */
    struct filter_name *names;
    struct filter *filter; /* the question's, and what it is bound to */
    struct filter *asked;  /* the question's alone; it is `filter` where there are no bounds */
    struct filter *forced; /* what it is bound to alone; NULL: nothing */
    struct store_scan scan;
    struct after *after; /* of a question that goes on; NULL: it takes all */
    struct flow_set *flows;
    struct places places;
    struct manifest manifest;
    struct explain explain;
    uint64_t chunks_seen, rows_seen; /* inside the question's time, agents and captures */
    uint64_t exchanges_seen;         /* of the application that is asked for, in the question's time */
    uint64_t selected;               /* flows, or exchanges */
    uint64_t running;                /* of the selected exchanges: those that had not ended in what is here */
    uint64_t shared;                 /* of the selected exchanges: those that several vantages saw */
    bool any_time;                   /* plan_rows gives rows of any time */
    uint64_t packets, duplicates; /* of a pull: written; left out because another capture on the interface has them */
    uint64_t several_vantages;    /* of a pull, or sums over flows: connections taken from one of several vantages */
    uint64_t flows_left_out, exchanges_left_out, rows_left_out, packets_cut; /* for the bounds' sake */
    uint64_t rows, bytes;                                                    /* written: rows of flows; bytes */
};

/* Compiles the filter and opens a reader. */
MUST_CHECK int plan_open(struct plan *p, struct store *s, const struct message_query *q,
                         const struct query_bounds *bounds, const struct query_live *live,
                         const struct query_sink *sink, const atomic_bool *cancel, struct error *e);
void plan_close(struct plan *p);

/* Looks at all chunks that may hold something for the question and calls `chunk` for each, which reads it (damage costs
 * that chunk alone); fills places and the manifest's losses. */
typedef int plan_chunk_fn(void *context, struct store_chunk *c, struct error *e);
MUST_CHECK int plan_scan(struct plan *p, plan_chunk_fn *chunk, void *context, struct error *e);

/* Sums all flows that may be selected, marks those that are, fills places and the manifest's losses. */
MUST_CHECK int plan_sum(struct plan *p, struct error *e);

/* ERROR_CANCELLED if the client went away. */
MUST_CHECK int plan_cancelled(const struct plan *p, struct error *e);

/* A chunk's rows, for a second pass: calls `each` for every row that may matter, with key.interface = its place. They
 * have these columns (ended by 0; NULL: all), the interface and times besides. */
typedef int plan_row_fn(void *context, const struct store_chunk *c, const struct flow_row *row, struct error *e);
MUST_CHECK int plan_rows(struct plan *p, struct store_chunk *c, const uint8_t *columns, plan_row_fn *each,
                         void *context, struct error *e);

/* Whether numbers that count more than the asker may see are to be left out. */
bool plan_hides_numbers(const struct plan *p);

/* A capture's filter, or NULL if it is not for the asker: it tells what others look for. */
const char *plan_shown_filter(const struct plan *p, const char *capture, const char *filter);

/* Writes through the sink in pieces of at most NET_PIECE_MAX; the last one ends the block. */
MUST_CHECK int plan_write(struct plan *p, const void *data, size_t len, bool end_of_block, struct error *e);

#endif
