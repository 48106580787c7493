/*
 * sink: where sealed items go: a stream of the spool, or a folder of chunk files.
 *
 * Used by one thread at a time, the compressor's.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_SINK_H
#define FLEETDUMP_AGENT_CAPTURE_SINK_H

#include "agent/ship/spool.h"
#include <stdatomic.h>

struct sink {
    /* The file for the body of item seq, empty: its fd, owned by the caller. */
    int (*open_body)(struct sink *s, uint64_t seq, struct error *e);
    /* Makes the item durable under its name. ERROR_FULL: nothing has changed, it may be tried again. */
    int (*seal)(struct sink *s, uint64_t seq, const void *head, size_t len, bool with_body, int body_fd,
                struct error *e);
    /* Whether `need` more bytes may be written; may wait until they may. */
    int (*room)(struct sink *s, uint64_t need, struct error *e);
    /* A write or seal found the disk full, as `why` says: 0 if it shall be tried again, after a pause. */
    int (*full)(struct sink *s, const struct error *why, struct error *e);
    void (*close)(struct sink *s);
    struct counter_page *page; /* NULL if nobody keeps count */
    /* Told, if there is one, after each item that has become durable, by the thread that sealed it. */
    void (*sealed)(void *context);
    void *sealed_context;
};

/* A folder (made if it is missing): <seq>.pcapng.zst and <seq>.head as in the spool. ERROR_EXISTS if it has items
 * already: two streams in one folder would be mistaken for one. */
MUST_CHECK int sink_folder(const char *path, struct sink **out, struct error *e);

/* How to wait for room in the spool. */
struct sink_wait {
    const atomic_bool *stop;                                  /* gives up waiting with ERROR_CANCELLED */
    bool (*somebody_ships)(void *context);                    /* else there is no use in waiting */
    void (*waiting)(void *context, const struct error *full); /* called when waiting begins */
    void (*over)(void *context);                              /* NULL, or called when there is room again */
    void *context;
};

/* A stream of the spool, which the sink does not close. `wait` is copied; NULL to fail with ERROR_FULL at once. */
MUST_CHECK int sink_spool(struct spool *spool, struct spool_stream *stream, const struct sink_wait *wait,
                          struct sink **out, struct error *e);

static inline void sink_close(struct sink *s)
{
    if (s)
        s->close(s);
}

#endif
