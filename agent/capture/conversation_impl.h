/*
 * conversation_impl: what the parts of conversations share.
 *
 *   conversation.c          flows: whose application is looked for, read, over
 *   conversation_stream.c   TCP: segments to bytes in order
 *   conversation_rows.c     exchanges and what stays with a flow
 *   conversation_wait.c     what is over by itself if nothing comes
 *   app_*.c                 one application each
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_CONVERSATION_IMPL_H
#define FLEETDUMP_AGENT_CAPTURE_CONVERSATION_IMPL_H

#include "agent/capture/conversation.h"
#include "common/app/detect.h"
#include "common/app/http.h"

#define CONVERSATION_LOOK_MAX                                                                                          \
    DETECT_BYTES /* from the beginning of a direction; they tell its application, or nothing does */

#define QUIC_HELLO_WINDOW 8192u /* of a hello in QUIC; what is longer is read as far as that */

/* Bytes of one packet on their way to a reader. */
struct hearing {
    struct conversations *all;
    struct conversation *v;
    const struct conversation_packet *packet; /* NULL at the flow's end */
    uint64_t flow_id;
    uint64_t time_ns;
    uint64_t first_ns; /* when the first `old` bytes were seen */
    size_t old;
    unsigned side;    /* endpoint that sent them */
    unsigned running; /* rows that were asked for exchanges that go on */
    bool at_start;    /* they begin a segment */
};

/* What is over by itself if nothing comes; all of them stand in one heap, by since when they wait. */
struct waiter {
    struct waiter *above, *below[2]; /* nobody below has waited for longer */
    uint64_t since_ns;
    uint32_t way_down; /* waiters on the right way down, this one included */
    uint32_t flow;     /* the caller's name for it */
};

/* An application. Functions that it does not need are NULL. */
struct app_reader {
    size_t state_size;
    size_t window; /* most bytes that `take` may leave for another time */
    void (*begin)(struct hearing *h);
    /* TCP: takes bytes from the front; what it leaves is given again with more behind it. */
    size_t (*take)(struct hearing *h, const uint8_t *data, size_t len);
    /* How many of the bytes that come next it would only count; UINT64_MAX: all. */
    uint64_t (*ahead)(const struct conversation *v, unsigned side);
    /* Of what it left, the rest will not be seen. */
    void (*cut)(struct hearing *h, const uint8_t *data, size_t len);
    /* n bytes that follow were not seen. */
    void (*missed)(struct hearing *h, uint64_t n);
    /* The side has sent its last byte. */
    void (*closed)(struct hearing *h);
    /* UDP: `wire` bytes, of which len are there. */
    void (*datagram)(struct hearing *h, const uint8_t *data, size_t len, size_t wire);
    /* Adds a row (EXCHANGE_RUNNING) for each exchange that goes on, oldest first; exchange_add says of which there is
     * one. */
    void (*running)(struct hearing *h);
    /* So late is it now that this one is over. */
    void (*overdue)(struct hearing *h, struct waiter *w);
    /* The flow ends: so do its exchanges. Frees what hangs on the state, which itself is freed by the caller. */
    void (*end)(struct hearing *h, uint8_t reason);
};

/* A segment that waits. */
struct held {
    struct held *next;
    uint64_t time_ns;
    uint32_t seq, length; /* as claimed */
    uint32_t from, have;  /* of it are here: `have` bytes from offset `from` on; what stands before is only counted */
    uint8_t data[];
};

struct direction {
    uint32_t next; /* number of the next byte */
    bool known;    /* `next` is */
    bool deaf;     /* nothing more is read */
    bool has_fin, closed;
    uint32_t fin;
    struct held *held; /* ascending */
    uint8_t held_count;
    uint8_t *pending; /* bytes that a reader left, or that tell no application yet */
    uint32_t pending_len, pending_room;
    uint64_t pending_ns;
};

/* A text that stays with the flow. */
struct remark {
    char *text; /* NULL: nothing was said */
    uint16_t len, room;
};

struct conversation {
    struct conversation *next, *previous;
    struct conversation *older,
        *younger;                     /* of those with a reader, or that wait for one, by when they were heard, about */
    struct conversation_place *place; /* during a call */
    uint32_t flow;                    /* the caller's name for it */
    uint32_t memory;                  /* that it takes, of all's */
    bool heard;                       /* since it came to its place among them */
    bool gave_up;                     /* for want of memory */
    bool stopped;                     /* it is not among them any more: what it said is all that is left */
    const struct app_reader *reader;  /* NULL: not known yet */
    void *state;
    struct direction *direction; /* [2], of TCP while somebody reads */

    /* What stays with the flow */
    const char *app;
    struct remark sni, alpn, ja4, http_host, dns_name, software[2];
    uint16_t tls_version, tls_cipher;
    uint8_t tls_alert;
    bool has_tls_version, has_tls_cipher, has_tls_alert;
    bool counts;              /* exchanges, ... */
    bool answers_have_status; /* ... and statuses */
    uint32_t ordinal;
    uint16_t status; /* since the row began, like what follows */
    uint32_t exchanges, status_class[EXCHANGE_STATUS_CLASSES];
};

/* ---------------------------------------------------------------- conversation.c */

/* Memory for the flow, zeroed, within the limits of the flow and of all; NULL if there is none. */
void *conversation_alloc(struct hearing *h, size_t size);
/* The same memory, or some (of NULL), with another size; what is new is not zeroed. NULL: it is as it was. */
void *conversation_resize(struct hearing *h, void *memory, size_t size);
void conversation_release(struct conversations *all, struct conversation *v, void *memory); /* NULL is fine */

/* A reader's: nothing more of this side is worth reading, or it broke the rules; of both: the conversation is over. */
void conversation_deafen(struct hearing *h, unsigned side);
/* Without memory: the flow is not listened to any more. */
void conversation_give_up(struct hearing *h);
/* Bytes of an application that is not known yet; whether they tell it, or that nothing will. */
enum looked { LOOK_MORE, LOOK_FOUND, LOOK_STRANGE };
enum looked conversation_look(struct hearing *h, const uint8_t *data, size_t len);

const char *conversation_app(const struct conversation_place *place); /* its name, or NULL */

static inline bool conversation_is_over(const struct hearing *h)
{
    return h->v->place->phase == CONVERSATION_OVER;
}

/* ---------------------------------------------------------------- conversation_stream.c */

void stream_packet(struct conversations *all, struct conversation *v, const struct conversation_packet *k,
                   const uint8_t *data, size_t len);
/* What waits is given to readers, across what is missing. */
void stream_end(struct conversations *all, struct conversation *v, uint64_t flow_id);
void stream_free(struct conversations *all, struct conversation *v);

/* ---------------------------------------------------------------- conversation_wait.c */

/* Begins and ends to wait. */
void conversation_wait(struct hearing *h, struct waiter *w, uint64_t since_ns);
void conversation_wait_no_more(struct conversations *all, struct waiter *w);

/* ---------------------------------------------------------------- conversation_rows.c */

/* Remembers a text, if it is another than that before and not empty. */
void conversation_say(struct hearing *h, struct remark *where, const char *text, size_t len);
void conversation_status(struct conversation *v, unsigned status);

/* A row for an exchange that ended, or goes on, with flow, ordinal and application; NULL without memory, and for one
 * that goes on when the chunk is full, or behind CONVERSATION_RUNNING_MAX others of the flow. Fill it in before
 * anything else is called; texts are copied by exchange_text, which adds the column. */
struct exchange_row *exchange_add(struct hearing *h, uint32_t ordinal, uint8_t outcome, uint64_t time_ns);
void exchange_text(struct hearing *h, struct exchange_row *r, unsigned column, struct text *where, const char *text,
                   size_t len);

/* A number of the row, which has it from now on. */
#define EXCHANGE_PUT(r, column, member, value)                                                                         \
    do {                                                                                                               \
        (r)->member = (value);                                                                                         \
        column_add(&(r)->has, (column));                                                                               \
    } while (0)

/* From the earlier time to the later; 0 if clocks say otherwise. */
static inline uint64_t exchange_since(uint64_t later_ns, uint64_t earlier_ns)
{
    return later_ns > earlier_ns ? later_ns - earlier_ns : 0;
}

/* How an exchange ended that had no reply, or not all of it, when its flow ended for that reason. */
uint8_t exchange_left(uint8_t reason, uint8_t otherwise);

struct exchanges {
    struct exchange_row *rows;
    size_t count, room;
    size_t running;           /* of them: the last ones, which go on */
    size_t untold;            /* that go on as well, but have no row */
    struct text_block *texts; /* newest first */
    size_t text_bytes;
    size_t share; /* bytes of the budget that they may fill before the chunk is to be sealed, ... */
    bool full;    /* ... which it is now */
};

void exchanges_init(struct exchanges *x, uint64_t budget);
void exchanges_free(struct conversations *all);

struct conversations {
    struct conversations_options options;
    struct conversations_stats stats;
    struct conversation *first;
    struct conversation *oldest, *youngest; /* of those that are listened to */
    uint64_t stays; /* memory of the others, which comes back with the ends of their flows: part of stats.memory */
    struct waiter *waiting; /* the one that has waited for longest, above the others */
    struct exchanges exchanges;
    struct quic *quic; /* NULL: what QUIC says cannot be read */
    uint8_t quic_window[QUIC_HELLO_WINDOW];
    struct ja4 *ja4;            /* NULL: hellos have no fingerprints */
    struct http_head http_head; /* the one that is being read */
};

#define CONVERSATIONS_SPARE 8u /* so many parts of the memory there are: one is kept free */

/* Little memory is left. */
static inline bool conversations_are_short(const struct conversations *all)
{
    uint64_t limit = all->options.memory - all->options.memory / CONVERSATIONS_SPARE;
    return all->stats.memory + all->stats.exchange_memory > limit;
}

static inline uint64_t exchanges_bytes(const struct exchanges *x)
{
    return x->count * sizeof *x->rows + x->text_bytes;
}

/* To write them down gives a part of the memory back. */
static inline bool exchanges_are_many(const struct conversations *all)
{
    return exchanges_bytes(&all->exchanges) >= all->options.memory / CONVERSATIONS_SPARE;
}

extern const struct app_reader app_http_reader, app_dns_reader, app_tls_reader, app_ssh_reader, app_quic_reader;

#endif
