/*
 * spool: what waits on the agent's disk to be shipped, and how capturers and the shipper share it.
 *
 *   SPOOL/install            16 random bytes in hex: this installation
 *   SPOOL/shipper.lock       held by the one shipper
 *   SPOOL/refused-<link>     why the collector did not let it in (refusal.h)
 *   SPOOL/clock              how far this clock is from the collector's (likewise)
 *   SPOOL/<epoch>/           a stream; epoch as 32 hex digits
 *       writer.lock          held by the capturer for as long as it lives
 *       counters             its counter page (counter_page.h), shared memory
 *       <seq>.open           the body being written (seq as 16 hex digits)
 *       <seq>.pcapng.zst     the body of a sealed chunk
 *       <seq>.head           a sealed item: from the moment this name exists, it will be shipped or accounted for
 *       <seq>.evicted        instead of the body: given up for want of room; one line says why (head_gap_name)
 *   SPOOL/<epoch>.new/       a stream being made, under a lock that all who make one share; <epoch>.done/ one being
 *                            removed
 *   SPOOL/damaged/           files that were not what they should be (outbox.h), the newest few
 *
 * The newest head of a stream stays, acked or not, until a newer one is there or the stream is over: it says where the
 * stream goes on. An item is sealed by: sync the body, rename .open to .pcapng.zst, write the head beside it
 * (.head.tmp), sync, rename, sync the directory. A body without a head is a cut chunk: the recovery reads it. Only the
 * shipper unlinks, after acks (also below the quota: it evicts the oldest bodies first, then turns the oldest items
 * into GAP items). A stream whose writer.lock is free and that has no END item is recovered, by the agent, never by
 * hand.
 */
#ifndef FLEETDUMP_AGENT_SHIP_SPOOL_H
#define FLEETDUMP_AGENT_SHIP_SPOOL_H

#include "agent/ship/counter_page.h"
#include "common/base/error.h"
#include "common/chunk/head.h"
#include <stdbool.h>
#include <stdint.h>

struct spool_limits {
    uint64_t quota_bytes; /* all files of all streams together */
    uint64_t floor_bytes; /* free space on the file system that we never go below */
};

struct spool;

/* Opens (and makes) the spool folder. ERROR_SYSTEM, ERROR_REFUSED name path and right. */
MUST_CHECK int spool_open(const char *path, const struct spool_limits *limits, struct spool **out, struct error *e);
void spool_close(struct spool *s);
const uint8_t *spool_install(const struct spool *s); /* 16 bytes */

/* Whether a process ships what is in the spool folder of that path. */
bool spool_shipped(const char *path);

/* Whether `need` more bytes may be written now: 0, or ERROR_FULL that says whether quota or floor, the numbers, and
 * what to do; *gap (may be NULL) gets GAP_QUOTA or GAP_DISK. */
MUST_CHECK int spool_room(struct spool *s, uint64_t need, int *gap, struct error *e);

/* This process waits for room: for it, room ends a quarter below the quota, so that it never makes the shipper give up
 * what others captured. For streams of EVICT_NEVER (counter_page.h). */
void spool_set_patient(struct spool *s);

/* Whether waiting for room has no end: what fills the spool are bodies that are being written by processes that wait
 * for room themselves, so that none of them can be sealed and shipped. *ahead: how many of those come before this
 * stream, in an order that all see alike: they are to give up first. May be so for a moment; only what lasts counts. */
bool spool_is_stuck(struct spool *s, const uint8_t epoch[EPOCH_SIZE], unsigned *ahead);

/* Bytes used by all streams (of the last look, at most some 100 ms old). */
uint64_t spool_used(struct spool *s);

/* ------------------------------------------------------------ the capturer's side */
struct spool_stream;

/* What a counter page says from the first moment on (counter_page.h). */
struct spool_stream_start {
    const char *agent;
    const char *capture;
    uint64_t wall_ns;
    enum counter_page_evict evict;
};

/* A new stream of this epoch: folder, lock, counter page. From the moment the folder has its name all of it is there,
 * durably. */
MUST_CHECK int spool_stream_new(struct spool *s, const uint8_t epoch[EPOCH_SIZE],
                                const struct spool_stream_start *start, struct spool_stream **out, struct error *e);

/* Takes over a stream whose writer is gone, for recovery. ERROR_BUSY if its writer lives. What a crash left between two
 * names is put right: a body whose head was not written is <seq>.open again, leftovers of no item are removed. */
MUST_CHECK int spool_stream_adopt(struct spool *s, const uint8_t epoch[EPOCH_SIZE], struct spool_stream **out,
                                  struct error *e);
struct counter_page *spool_stream_counters(struct spool_stream *t);

/* The names of agent and capture: from the counter page, or for want of one from the newest head; else "". */
void spool_stream_names(struct spool_stream *t, char agent[HEAD_NAME_MAX + 1], char capture[HEAD_NAME_MAX + 1]);

/* Opens <seq>.open, emptied, for writing (adopt: the existing one, as it is, for reading and writing); returns the fd
 * (owned by the caller) or a code. */
MUST_CHECK int spool_stream_open_body(struct spool_stream *t, uint64_t seq, struct error *e);

/* Seals item seq: `head` is its encoded head; with_body tells whether <seq>.open is its body (body_fd, which is synced;
 * the caller closes it). ERROR_FULL: nothing changed, and it may be tried again when there is room. After any other
 * error the stream is to be closed, and recovered. */
MUST_CHECK int spool_stream_seal(struct spool_stream *t, uint64_t seq, const void *head, size_t head_length,
                                 bool with_body, int body_fd, struct error *e);

/* Gives up the open body of seq (nothing in it counts any more). */
MUST_CHECK int spool_stream_discard(struct spool_stream *t, uint64_t seq, struct error *e);

/* Next free seq: one behind the last sealed item. *open_body tells whether <seq>.open exists for it, *ended whether the
 * last item is an END. */
MUST_CHECK int spool_stream_position(struct spool_stream *t, uint64_t *seq, bool *open_body, bool *ended,
                                     struct error *e);

/* Releases the lock; the folder stays for the shipper. */
void spool_stream_close(struct spool_stream *t);

/* ------------------------------------------------------------ both sides */
struct spool_stream_info {
    uint8_t epoch[EPOCH_SIZE];
    bool writer_alive;
    bool ended;         /* its last item is an END */
    uint64_t first_seq; /* of the items that are here */
    uint64_t next_seq;
    uint64_t bytes;
};
/* All streams here, oldest first: malloc'ed array. */
MUST_CHECK int spool_list(struct spool *s, struct spool_stream_info **out, size_t *count, struct error *e);

#endif
