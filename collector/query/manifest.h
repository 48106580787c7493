/*
 * manifest: what an answer holds and what inside the question is missing, per agent; as JSON, as sentences, and as the
 * answer's code.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_MANIFEST_H
#define FLEETDUMP_COLLECTOR_QUERY_MANIFEST_H

#include "collector/store/store.h"
#include "common/base/buffer.h"

#define MANIFEST_PAUSES_MAX 16u

struct manifest_agent {
    char *name;
    uint64_t flows, packets, bytes; /* in the answer (flows: not where it is made of packets) */
    uint64_t exchanges;             /* likewise, where it is made of them */
    uint64_t chunks;                /* looked at */
    struct counters counters;       /* of the chunks inside the question */
    uint64_t gaps, gap_packets;     /* items that are not to come */
    uint64_t gap_by[GAP_EXPIRED + 1];
    uint64_t missing_bodies[BODY_EXPIRED + 1]; /* that hold packets of the answer, by state */
    uint64_t missing_packets; /* at most: of the frames in them that are wanted; flows-only chunks count their flows'
                                 packets */
    uint64_t damaged;         /* chunks that could not be read */
    uint64_t open_streams;    /* captures and streams that may have captured more inside the question (reach.h) */
    uint64_t reaches_ns;      /* until then data of them is here; 0: nothing is */
    char why[256];            /* it is not: of one of them; "": its agent just goes on */
    struct manifest_pause {
        uint64_t from_ns, to_ns;
    } pauses[MANIFEST_PAUSES_MAX];              /* nobody captured */
    uint64_t pause_count;                       /* of these times; may be more than are listed */
    uint64_t dropped;                           /* streams of which rows and packets were dropped, */
    uint64_t dropped_first_ns, dropped_last_ns; /* of these packet times */
    char problem[256];                          /* the first one, in words */
};

struct manifest {
    struct manifest_agent *agents;
    size_t count;
    bool counts_packets;   /* the answer is made of packets: bodies matter */
    bool counts_exchanges; /* it is made of exchanges */
    bool hides_numbers;
};

/* The agent's entry, made if new; NULL without memory. */
struct manifest_agent *manifest_agent(struct manifest *m, const char *name);
void manifest_free(struct manifest *m);

/* Accounts for a chunk, gap or end inside the question. */
void manifest_chunk(struct manifest_agent *a, const struct store_chunk *c);
void manifest_dropped(struct manifest_agent *a, const struct store_dropped_info *d);
/* Something may have been captured inside the question that is not here. */
void manifest_open(struct manifest_agent *a, uint64_t reaches_ns, const char *why);
/* Nobody captured between two streams of a capture. Captures that paused at the same time count once. */
void manifest_paused(struct manifest_agent *a, uint64_t from_ns, uint64_t to_ns);
/* A chunk that could not be read: it costs itself only. */
void manifest_damaged(struct manifest_agent *a, const struct error *why);

/* For those who may not see all that was counted: leaves what is missing (losses), not how much passed: that is null in
 * the JSON ("chunks", "missing_packets", all of "counters" that count no losses). */
void manifest_hide_numbers(struct manifest *m);
void manifest_hide_counters(struct counters *c); /* COUNTER_HIDDEN */

/* Whether nothing inside the question is missing. */
bool manifest_complete(const struct manifest *m);

/* Appends one line for each agent that lacks something: "web-1: 12 packets dropped by the kernel, ..."; nothing if
 * complete. */
void manifest_say(const struct manifest *m, struct buffer *out);

/* The whole as a JSON object, malloc'ed; NULL without memory. Times of the question as given. */
char *manifest_json(const struct manifest *m, const char *filter, uint64_t since_ns, uint64_t until_ns);

#endif
