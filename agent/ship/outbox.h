/*
 * outbox: the shipper's side of the spool: what is there to be shipped, and what becomes of it. Knows no network; the
 * uplink (uplink.h) moves the cursors.
 *
 * Each stream has four: head_next and body_next are the collector's (message.h), head_sent and body_sent where the
 * present connection is. What lies below body_next is removed, but for the newest head of a stream that goes on
 * (spool.h). A stream is over when its END and all before it are known to the collector and its writer has let go.
 *
 * Damage costs what is damaged and needs nobody's hand. A head that does not decode becomes a GAP (GAP_DAMAGED), a body
 * that does not fit its head becomes one that will not come; the files are set aside in SPOOL/damaged (the newest
 * OUTBOX_DAMAGED_MAX of them, and OUTBOX_DAMAGED_BYTES). A seq that is missing becomes a GAP as well.
 *
 * Runs in one process (shipper.lock) and one thread. File operations are done at once: they are local and small, but
 * for the reading of a body before it is sent.
 */
#ifndef FLEETDUMP_AGENT_SHIP_OUTBOX_H
#define FLEETDUMP_AGENT_SHIP_OUTBOX_H

#include "agent/ship/spool.h"
#include "common/base/buffer.h"
#include "common/net/message.h"

#define OUTBOX_STREAMS_MAX                                                                                             \
    (NET_STREAMS_MAX / 2) /* known at a time; fewer if the process may not open twice as many files */
#define OUTBOX_DAMAGED_MAX   32u
#define OUTBOX_DAMAGED_BYTES (UINT64_C(64) << 20)

struct outbox_item {
    uint64_t seq;
    uint64_t last_seq;  /* of a GAP whose head was read; else = seq */
    uint64_t sealed_ns; /* wall clock; orders items of different streams */
    uint64_t head_cost; /* bytes on disk */
    uint64_t body_cost;
    bool has_body; /* the file is there */
    bool evicted;  /* the file that says so is there */
    uint8_t kind;  /* enum head_kind; 0: not read yet, and the fields below not known */
    uint8_t body;  /* enum body_state */
    uint64_t body_length;
    uint64_t body_hash;
    uint64_t flying_head; /* bytes sent and not acked */
    uint64_t flying_body;
};

struct outbox_stream {
    uint8_t epoch[EPOCH_SIZE];
    char name[2 * EPOCH_SIZE + 1];
    int dirfd;
    const struct counter_page *page; /* NULL if it is damaged */
    char agent[HEAD_NAME_MAX + 1];
    char capture[HEAD_NAME_MAX + 1];
    struct outbox_item *items; /* by seq */
    size_t count;
    size_t room;
    bool ended;     /* the newest item is an END */
    bool announced; /* on this connection */
    bool known;     /* the collector has told its cursors on this connection */
    uint64_t head_next, body_next;
    uint64_t head_sent, body_sent;
    /* head_next when the connection began: what lies below was sent earlier, maybe in another form */
    uint64_t head_met;
    struct error refusal; /* code 0: none */
    uint64_t refused_ns;  /* when it was: monotonic */
    struct error stuck;   /* code 0, or why nothing of it can be sent at the moment */
    bool seen;            /* by the scan in progress */
    bool abandoned;       /* the uplink's: somebody was told */
    void *watch;          /* the uplink's */
};

struct outbox {
    struct spool *spool;
    int lock_fd;
    struct outbox_stream **streams;
    size_t count;
    size_t room;
    size_t most;                                     /* streams; further ones wait in the spool for a scan */
    size_t passed_over;                              /* by the last scan, for want of a place */
    uint64_t flying;                                 /* sum over all items */
    uint64_t evicted_bodies, evicted_items, damaged; /* since the start */
    struct error full; /* code 0, or why there is no room although all that may be given up was */
    /* Called when a stream is dropped (over, or its folder vanished), before it is freed; may be NULL */
    void (*on_drop)(void *context, struct outbox_stream *t);
    void *context;
};

/* Takes shipper.lock (ERROR_BUSY names the holder) and scans. The spool must outlive it. */
MUST_CHECK int outbox_open(struct spool *s, struct outbox **out, struct error *e);
void outbox_close(struct outbox *o);

/* Looks at all folders: new streams and items are found (as many as there are places), vanished ones dropped, leftovers
 * of streams that never were or are over removed. */
MUST_CHECK int outbox_scan(struct outbox *o, struct error *e);

/* A file of that name was made, renamed or removed in the stream's folder. */
void outbox_note(struct outbox *o, struct outbox_stream *t, const char *name);

struct outbox_stream *outbox_find(struct outbox *o, const uint8_t epoch[EPOCH_SIZE]);

/* Forgets what a connection that is over had sent. */
void outbox_disconnected(struct outbox *o);

/* The collector's word: after STREAM (`first`) or an ACK. ERROR_CONFLICT if it says it has what was never sent. What it
 * needs no more is removed; t is dropped, and *t NULL, if it is over. */
MUST_CHECK int outbox_acked(struct outbox *o, struct outbox_stream **t, uint64_t head_next, uint64_t body_next,
                            bool first, struct error *e);

/* Drops the stream, and removes its folder, if it is over and its writer has let go. True if so. */
bool outbox_finish(struct outbox *o, struct outbox_stream *t);

/* The item whose head is to be sent next, holes before it filled; NULL if there is none or the stream is stuck. */
struct outbox_item *outbox_head_due(struct outbox *o, struct outbox_stream *t);

/* Reads and verifies its head; if it is damaged the item is a GAP from now on, and that is read. Any error: the stream
 * is to wait. */
MUST_CHECK int outbox_read_head(struct outbox *o, struct outbox_stream *t, struct outbox_item *item,
                                struct buffer *head, struct error *e);

/* What is to be told next of the bodies whose heads were sent. */
enum outbox_fate { FATE_NONE, FATE_SEND, FATE_GONE, FATE_LATER };
/* FATE_SEND: *item has a body to be sent; FATE_GONE: say that the body of *seq will not come, because of *gap;
 * FATE_NONE: nothing more; FATE_LATER: not at the moment (the stream is stuck). Skips items without a body. */
enum outbox_fate outbox_body_due(struct outbox *o, struct outbox_stream *t, struct outbox_item **item, uint64_t *seq,
                                 int *gap);

/* Opens a body after a look at all its bytes. After an error it was set aside if it is damaged, and outbox_body_due
 * says so; else the item has it still, and the stream is to wait. */
MUST_CHECK int outbox_open_body(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, struct error *e);
void outbox_damaged_body(struct outbox *o, struct outbox_stream *t, struct outbox_item *item, const char *why);

/* Gives up bodies, then items, oldest first, until there is room below the quota and above the floor; only of streams
 * whose capturer does not wait instead (counter_page.h), and nothing that is being sent. Sets o->full. */
void outbox_make_room(struct outbox *o);

/* ------------------------------------------------------------ between the files of outbox */
struct outbox_item *outbox_item(struct outbox_stream *t, uint64_t seq);
/* The first item that ends at or behind seq; t->items + t->count if there is none. */
struct outbox_item *outbox_item_from(struct outbox_stream *t, uint64_t seq);
/* One behind all that it has sealed. */
uint64_t outbox_next_seq(const struct outbox_stream *t);
MUST_CHECK int outbox_look(struct outbox *o, struct outbox_stream *t, uint64_t seq, struct error *e);
/* Leaves of a body that was given up nothing but the reason, in at most OUTBOX_WHY_MAX bytes. */
#define OUTBOX_WHY_MAX 64
void outbox_empty_evicted(const struct outbox_stream *t, uint64_t seq, int gap);
/* Lists the stream's folder again. */
MUST_CHECK int outbox_rescan(struct outbox *o, struct outbox_stream *t, struct error *e);
void outbox_set_aside(struct outbox *o, struct outbox_stream *t, const char *name, bool keep);

/* Writes a GAP as item seq, in place of what is there. `was` (may be NULL) is the head that it replaces. */
MUST_CHECK int outbox_write_gap(struct outbox *o, struct outbox_stream *t, uint64_t seq, uint64_t last_seq, int gap,
                                const struct chunk_head *was, struct error *e);
/* Reads the item's head and fills in what was not known; `head` keeps the bytes that *h points into. */
MUST_CHECK int outbox_decode(struct outbox_stream *t, struct outbox_item *item, struct buffer *head,
                             struct chunk_head *h, struct error *e);

#endif
