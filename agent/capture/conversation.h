/*
 * conversation: what the applications at both ends of a flow say to each other: the flow's application, names and
 * numbers that stay with it, and its exchanges (a request and its reply), which become rows of the open chunk.
 *
 * Payload is looked at only as long as that tells something: until the application is known, and then where its reader
 * wants content. A flow of which nothing is to be learned costs its packets one comparison.
 *
 * TCP: each direction's bytes come to readers in order and once. Bytes seen before are passed over; a segment ahead of
 * others waits for them, with up to CONVERSATION_HELD_MAX others. What was not seen is given up as missing when the
 * other end acknowledged it and the sender went on, when no more can wait, and at the flow's end. What a reader would
 * only count need not be seen at all. Bytes cut off by the snaplen are missing where content is wanted.
 *
 * Memory: what is remembered of all flows together has a limit, and so has what is remembered of one
 * (CONVERSATION_FLOW_MAX); a flow that would pass either is not listened to any more, which is counted. Before the
 * limit of all is reached, those that were silent longest give way (conversations_pressed), unless the memory is full
 * of what stays with flows, as that would free next to nothing: their exchanges end as open, what they said stays, they
 * are not listened to any more, and are counted as well. The exchanges of the open chunk count as well; it is to be
 * sealed when they are too many, or fill half of the limit, or less of it when memory is short (conversations_full).
 *
 * Pure: packets and their times are the arguments.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_CONVERSATION_H
#define FLEETDUMP_AGENT_CAPTURE_CONVERSATION_H

#include "common/base/error.h"
#include "common/packet/packet.h"
#include "common/rows/flow_row.h"

#define CONVERSATION_HELD_MAX      16u    /* segments of a direction that wait for those before them */
#define CONVERSATION_EXCHANGES_MAX 65536u /* of a chunk: then it is to be sealed */
#define CONVERSATION_RUNNING_MAX   16u    /* exchanges of a flow that are told while they go on: the oldest ones */
#define CONVERSATION_FLOW_MAX      98304u /* bytes that are remembered of one flow: hostile ones cannot take all */

/* What HTTP says and no row is to tell. Stored in orders: never renumber. */
enum http_blank {
    HTTP_BLANK_PATH = 1,
    HTTP_BLANK_HOST = 2,
    HTTP_BLANK_USER_AGENT = 4,
    HTTP_BLANK_SERVER = 8,
    HTTP_BLANK_CONTENT_TYPE = 16,
    HTTP_BLANK_ALL = 31
};

struct conversations_options {
    uint64_t memory; /* for what is remembered of flows */
    /* bytes of each packet's payload that may be looked at; 0: none, nothing is known of applications */
    uint32_t payload;
    uint32_t exchanges;   /* 0 for CONVERSATION_EXCHANGES_MAX */
    uint8_t http_blank;   /* of enum http_blank: forgotten as soon as it was read */
    uint64_t dns_wait_ns; /* a DNS query that has waited for longer is unanswered */
};

struct conversations_stats {
    uint64_t unheard; /* flows that were not listened to (on), and exchanges without a row, for want of memory */
    uint64_t untold;  /* for each chunk, exchanges that went on and had no row, of flows that had one */
    uint64_t memory;  /* in use by flows, with what allocating takes */
    uint64_t exchange_memory; /* by the exchanges of the open chunk */
};

struct conversations; /* of all flows of a table */
struct conversation;  /* of one */

enum conversation_phase {
    CONVERSATION_LOOKING, /* the application is not known yet */
    CONVERSATION_READING,
    CONVERSATION_OVER /* nothing more is to be learned */
};

/* What a flow has of it; all 0 at its beginning. */
struct conversation_place {
    struct conversation *it; /* NULL: nothing is remembered, yet or for good */
    uint8_t phase;           /* enum conversation_phase */
    uint8_t app;             /* enum app; APP_UNKNOWN: not known yet, or for good */
    uint8_t strange;         /* bit 0, 1: what endpoint 0, 1 said is of no application that we know */
    uint8_t looked;          /* payloads looked at in vain */
};

struct conversation_packet {
    const struct packet *p; /* with a transport, no later fragment */
    uint64_t flow_id;
    uint32_t flow; /* the caller's name for it, not 0: what conversations_due gives */
    uint64_t time_ns;
    unsigned sender;
    unsigned originator; /* the endpoint that is taken for the client */
    bool originator_is_sure;
    /* TCP: of each end the next number that the other one waits for, as far as its acks tell, and the first one of its
     * data; if known */
    uint32_t acked[2], first[2];
    bool has_acked[2], has_first[2];
    uint32_t sent[2]; /* likewise: one past the greatest number that each end has sent, as far as that was seen */
    bool has_sent[2];
    uint32_t window; /* of the other end's bytes: how many the sender takes at most ahead of what it acknowledged */
};

/* Once in a process that will not be allowed to open files any more: readers of what is encrypted fetch their
 * ciphers. */
void conversations_prepare(void);

MUST_CHECK int conversations_new(const struct conversations_options *o, struct conversations **out, struct error *e);
void conversations_free(struct conversations *all); /* all flows' as well */

/* Whether the packet needs to be given. */
static inline bool conversation_wants(const struct conversation_place *place, const struct packet *p)
{
    return place->phase != CONVERSATION_OVER && (p->payload_length || (p->tcp_flags & (TCP_FIN | TCP_RST)));
}
void conversation_packet(struct conversations *all, struct conversation_place *place,
                         const struct conversation_packet *k);

/* Whether little memory is left, and giving way brings some back. Then *flow is the one that is to give way: of the few
 * that were silent longest the one that holds most; not `but`. */
bool conversations_pressed(struct conversations *all, uint32_t but, uint32_t *flow);
void conversation_give_way(struct conversations *all, struct conversation_place *place, uint64_t flow_id,
                           uint64_t last_ns);

/* Packet time goes on, also without packets: while there is such a flow, has to be told by conversation_overdue that
 * what waits in it is over, once for each. In the order of the times since when they wait, whatever came first. */
bool conversations_due(const struct conversations *all, uint64_t now_ns, uint32_t *flow);
void conversation_overdue(struct conversations *all, struct conversation_place *place, uint64_t flow_id,
                          uint64_t now_ns);

/* The flow ends, for this reason (enum flow_end): its exchanges end. What it said stays until conversation_forget. */
void conversation_end(struct conversations *all, struct conversation_place *place, uint64_t flow_id, uint64_t last_ns,
                      uint8_t reason);
void conversation_forget(struct conversations *all, struct conversation_place *place);

/* Fills in what is known of the flow, since the last conversation_next where it is a count; texts are good until the
 * next packet. */
void conversation_fill(const struct conversation_place *place, struct flow_row *r);
void conversation_next(struct conversation_place *place);

/* Adds a row for each of the flow's exchanges that goes on, as it stands (EXCHANGE_RUNNING): behind those that ended,
 * until another one ends. Of a flow the first CONVERSATION_RUNNING_MAX, and only what the chunk has room for: once it
 * is full by exchanges there are no more, which is counted. */
void conversation_running(struct conversations *all, struct conversation_place *place, uint64_t flow_id);
void conversations_forget_running(struct conversations *all);

/* Exchanges of the open chunk, in the order in which they ended; good until the next call. */
bool conversations_full(const struct conversations *all);
size_t conversations_exchanges(const struct conversations *all, const struct exchange_row **rows);
void conversations_next(struct conversations *all);

void conversations_stats(const struct conversations *all, struct conversations_stats *s);
uint64_t conversations_unheard(const struct conversations *all); /* one of them */

#endif
