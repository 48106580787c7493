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

struct query_outcome {
    int code;                  /* 0, ERROR_INCOMPLETE, or what failed */
    char text[ERROR_TEXT_MAX]; /* for the user, if code != 0 or the answer is empty */
    char *manifest;            /* JSON, malloc'ed, or NULL */
};

/* Answers q from the store. *cancel set to true by another thread stops it with ERROR_CANCELLED. Never returns an error
 * of its own: all is in *out. */
void query_run(struct store *s, const struct message_query *q, const struct query_sink *sink, const atomic_bool *cancel,
               struct query_outcome *out);

#endif
