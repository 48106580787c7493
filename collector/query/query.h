/*
 * query: from a question (message_query) to its answer; runs on a worker thread, reads the store, writes through a
 * sink.
 *
 *   filter + names -> plan -> scan of row blocks -> sums by flow -> filter on the sums -> FLOWS: sort, limit, groups ->
 * blocks
 *                                                                                       -> PULL: frames -> packets ->
 * exact filter -> merge by time -> pcapng
 *
 * Every answer ends with an outcome: code, a sentence, and the manifest (JSON): per agent what the answer holds, and
 * what inside the question is missing.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_QUERY_H
#define FLEETDUMP_COLLECTOR_QUERY_QUERY_H

#include "collector/store/store.h"
#include "common/net/message.h"
#include <stdatomic.h>

#define QUERY_FLOWS_MAX       4000000u /* flows that one question may sum up */
#define QUERY_ROWS_DEFAULT    1000000u /* flows in an answer without a limit of its own */
#define QUERY_FRAMES_OPEN_MAX 8192u    /* frames whose times overlap, open at once while merging */

/* Where an answer goes. Returns 0, or a negative code to stop (ERROR_CANCELLED when the client went away). Blocks while
 * the client is slow. */
struct query_sink {
    int (*write)(void *context, const void *data, size_t len, bool end_of_block, struct error *e);
    void *context;
};

/* How far the data of a capture on one agent has come, as those know who talk to the agent. */
struct query_reach {
    char *agent, *capture;
    uint64_t reaches_ns; /* all that it captured until then is in the store; 0: not known */
    bool stopped;        /* it captures no more */
    char *why;           /* it may lack something: "is not connected since ..." */
};

/* What is known of an agent as of somebody who connects. */
struct query_agent {
    char *name;
    bool connected, silent; /* silent: it does not answer */
    char *problem;          /* why it is not here, in words; NULL: none that is known */
    char *waits;            /* what is to be captured there and is not, and why; NULL: nothing */
};

/* What the store does not know: who is connected, and what may have been captured and not have come. An open stream of
 * a capture that is in `reaches` is judged by that; others by the time at which their last chunk was sealed. */
struct query_live {
    uint64_t asked_ns; /* when the question came: nobody can ask for what came behind it */
    /* those that are connected or have a problem, sorted by strcmp; for the list of agents alone */
    struct query_agent *agents;
    size_t agent_count;
    struct query_reach *reaches;
    size_t reach_count;
    char problem[ERROR_TEXT_MAX]; /* for the status: why nothing is taken in; "": it is */
    bool ordered;                 /* there is an order of a capture that the question names, whatever came of it */
};

/* A capture whose filter may be seen: both are to be the same, since a name may be another's later. */
struct query_capture {
    char *name, *filter;
};

/* What whoever asks is bound to: nothing else is answered. Not all kinds of questions can be held to all of it:
 * rights.h of the server refuses those before.
 *
 *   agents    the question's own list: these names, and there are no others
 *   filter    is true for each packet, and for all packets of each flow that is shown (also where the filter of the
 *             question has `or` and `not`); numbers that count other packets too are left out. Without names, measures
 *             and states
 *   snaplen   packets are cut to it; so is what the question's filter is judged on
 *   since_ns  no packet is older, and no row holds an older one
 *
 * What that left out is in the manifest, as "bounds": {"labels", "filter", "snaplen", "since", "flows_left_out",
 * "exchanges_left_out", "rows_left_out", "packets_cut"}. */
struct query_bounds {
    bool hides_filters; /* what captures were told to capture is null and not in files, but of these: */
    const struct query_capture *shown;
    size_t shown_count;
    bool agents;
    const char *labels; /* that chose the agents, for the manifest; NULL: none */
    const char *filter; /* NULL: none */
    uint32_t snaplen;   /* 0: none */
    uint64_t since_ns;  /* 0: none */
};

/* A manifest that says nothing but what the asker is bound to: JSON, malloc'ed; NULL if that is nothing. */
char *query_bounds_manifest(const struct query_bounds *b);

struct query_outcome {
    int code;                      /* 0, ERROR_INCOMPLETE, or what failed */
    char text[ERROR_TEXT_MAX];     /* for the user, if code != 0 or the answer is empty */
    char *manifest;                /* JSON, malloc'ed, or NULL */
    uint64_t rows, packets, bytes; /* that came back: flows; packets; bytes of the answer */
};

/* Answers q from the store and `live`, within the bounds (NULL: none). *cancel set to true by another thread stops it
 * with ERROR_CANCELLED. Never returns an error of its own: all is in *out. */
void query_run(struct store *s, const struct message_query *q, const struct query_bounds *bounds,
               const struct query_live *live, const struct query_sink *sink, const atomic_bool *cancel,
               struct query_outcome *out);

#endif
