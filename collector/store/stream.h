/*
 * stream: where a stream stands: its cursors, as the writer's thread remembers them.
 *
 * A cache of what the databases say, filled at first use and forgotten as a whole after a failed group or a drop.
 * head_next is the greatest that any partition (or the catalog) recorded. body_next is not recorded anywhere: it is the
 * first item whose body is waited for, else head_next.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_STREAM_H
#define FLEETDUMP_COLLECTOR_STORE_STREAM_H

#include "collector/store/partition.h"

struct store;

/* A chunk whose body has not come. */
struct stream_waiting {
    uint64_t seq;
    struct partition *partition; /* in the store's list, as long as the cache lives */
};

struct stream {
    uint8_t epoch[EPOCH_SIZE];
    char *agent, *capture; /* owned; NULL: never heard of */
    uint64_t head_next;
    bool ended;
    bool restored;                  /* items may be missing before the next one */
    uint64_t first_ns, last_ns;     /* of its packets; first > last if there is none */
    struct stream_waiting *waiting; /* by seq; [waiting_at, waiting_end) */
    size_t waiting_at, waiting_end, waiting_size;
};

/* The stream, read from disk if it is not remembered. */
MUST_CHECK int stream_get(struct store *s, const uint8_t epoch[EPOCH_SIZE], struct stream **out, struct error *e);
uint64_t stream_body_next(const struct stream *t);

/* Adds a chunk to wait for, behind all others; takes its head's names if the stream has none. */
MUST_CHECK int stream_wait(struct stream *t, const struct stream_waiting *w, struct error *e);
MUST_CHECK int stream_name(struct stream *t, const char *agent, const char *capture, struct error *e);

/* The first chunk waited for, or NULL; and done with it. */
const struct stream_waiting *stream_front(const struct stream *t);
void stream_pop(struct stream *t);

/* The item of one partition that stands for this seq, by any connection to it: 1, or 0 if it is not there. */
struct head_row;
MUST_CHECK int stream_find_in(struct db *db, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct head_row *row,
                              struct error *e);

/* The stored item that stands for this seq, with its encoded head's hash: 1, or 0 if it is not stored (any more). */
MUST_CHECK int stream_find_item(struct store *s, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct head_row *row,
                                struct error *e);

/* Forgets all. */
void stream_forget_all(struct store *s);

/* The same, if that are more than STREAMS_KNOWN_MAX: an agent may ask for any. Not between the parts of a group. */
#define STREAMS_KNOWN_MAX 65536u
void stream_forget_most(struct store *s);

#endif
