/*
 * ingest: the one thread that writes the store. Others hand it jobs; it takes all that wait, commits their parts as one
 * group, and hands the jobs back to the loop with their results.
 *
 * While the disk is full parts wait here, are tried again at most once a second, and go on by themselves when there is
 * room; all other jobs are done meanwhile, so that agents are greeted and questions of state answered. After any other
 * failure of the disk each part is tried alone: what fails again is handed back with its error (the agent has it
 * still), what does not need the damaged place goes on.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_INGEST_H
#define FLEETDUMP_COLLECTOR_SERVER_INGEST_H

#include "collector/store/store.h"
#include "common/base/buffer.h"
#include <uv.h>

#define INGEST_QUEUE_BYTES (128u << 20) /* of parts that wait, and */
#define INGEST_QUEUE_JOBS  1024u        /* jobs of any kind: each may hold a file; above either sessions stop reading */
#define INGEST_GROUP_MOST  256u         /* parts in one commit */

enum ingest_kind {
    INGEST_HEAD,
    INGEST_BODY,
    INGEST_FATE,
    INGEST_STATE,
    INGEST_AGENT,
    INGEST_ORDER,
    INGEST_ORDER_REMOVE,
    INGEST_CALL
};

struct ingest_job {
    struct ingest_job *next;
    enum ingest_kind kind;
    void *owner; /* the session, for `done`; of orders: what orders_keep.c put there */
    uint8_t epoch[EPOCH_SIZE];
    uint64_t seq;
    struct buffer head; /* HEAD: its bytes; ORDER: the request's */
    int body_fd;        /* BODY: a memfd, owned */
    uint64_t body_length;
    uint8_t fate, gap; /* FATE */
    uint8_t install[16];
    uint64_t arrived_ns;
    uint64_t certified_ns;             /* AGENT: since when its certificate is good; 0: it has none */
    char serial[STORE_SERIAL_MAX + 1]; /* AGENT: of its certificate, or "" */
    /* AGENT: malloc'ed, owned (labels: as it says; when it is done, as they count); the name also of parts and STATE:
     * who sends (NULL: whoever) */
    char *name, *software, *labels, *peer, *status_json;
    struct filter_address *addresses;
    uint32_t address_count;
    /* ORDER, ORDER_REMOVE: as struct store_order; texts malloc'ed, owned */
    struct {
        uint8_t id[16];
        uint64_t created_ns, ended_ns;
        char *why, *agents;
    } order;
    /* CALL: `owner` is what both get */
    int (*work)(void *owner, struct store *s, struct error *e);
    void (*worked)(void *owner, int result, const struct error *e);
    /* results */
    int result;
    struct error error;
    uint64_t head_next, body_next; /* the stream's cursors after it (HEAD, BODY, FATE, STATE) */
    bool over;                     /* the stream ended, and nothing of it is waited for */
    struct chunk_head decoded;     /* used by the thread only */
};

struct ingest;

/* Starts the thread on an open store; `done` is called on the loop for each job, which it must free. */
MUST_CHECK int ingest_start(uv_loop_t *loop, struct store *store, void (*done)(struct ingest_job *job),
                            struct ingest **out, struct error *e);

struct ingest_job *ingest_job_new(enum ingest_kind kind, void *owner); /* NULL without memory; body_fd is -1 */
void ingest_job_free(struct ingest_job *job);

void ingest_submit(struct ingest *i, struct ingest_job *job);

/* Lets the thread do something of the caller's to the store (the catalog, that is), behind what was submitted before;
 * `worked` is then called on the loop: with ERROR_CANCELLED if the collector stops before. */
MUST_CHECK int ingest_call(struct ingest *i, int (*work)(void *owner, struct store *s, struct error *e),
                           void (*worked)(void *owner, int result, const struct error *e), void *owner,
                           struct error *e);

/* Why nothing is taken in (a full disk), though it is tried again; "": it is. */
void ingest_problem(struct ingest *i, char text[ERROR_TEXT_MAX]);

/* Whether more waits than may; and whether so little does (half of it) that sessions may read on. */
bool ingest_is_full(struct ingest *i);
bool ingest_has_room(struct ingest *i);

/* Ends the thread after the group at hand; jobs that wait are handed back as ERROR_CANCELLED. Call before the loop is
 * closed, then run the loop until `closed`. */
void ingest_stop(struct ingest *i);
void ingest_free(struct ingest *i);

#endif
