/*
 * order: a capture as this host runs it: what crosses from the shipper, which speaks to the network, to the monitor,
 * which is privileged. Fixed layout, at most ORDER_SIZE_MAX bytes, no pointers: the monitor accepts nothing else, and
 * checks each field (order_check) before it looks at any.
 *
 *   shipper --[struct monitor_request]--> monitor --[fork]--> capturer
 *   shipper <--[struct monitor_report]--- monitor <--[struct monitor_report]-- capturer
 *
 * Over SOCK_SEQPACKET, one struct a packet; what has another size or another magic is refused and logged.
 *
 * An order is kept in a file SPOOL.orders/<id> (root's, beside the spool, which others may write), with what it has
 * used up of its limits, so that it goes on after a restart of the agent until its limits end it, also without a
 * collector.
 */
#ifndef FLEETDUMP_AGENT_ORDER_H
#define FLEETDUMP_AGENT_ORDER_H

#include "common/net/message.h"
#include "common/packet/packet.h"
#include <stddef.h>

#define ORDER_FOLDER     ".orders"   /* behind the path of the spool: where orders are kept */
#define ORDER_MAGIC      0x31524f46u /* "FOR1" */
#define ORDER_SIZE_MAX   4096u
#define ORDER_NAME_MAX   64u /* of an interface glob, of an interface */
#define ORDER_TEXT_MAX   512u
#define ORDER_LISTED_MAX 16u /* interfaces named in a report; more are told by their number */

struct order {
    uint32_t magic;
    uint32_t snaplen; /* 0: whole packets */
    uint8_t id[16];
    char name[HEAD_NAME_MAX + 1];
    char filter[REQUEST_FILTER_MAX + 1];
    char interfaces[REQUEST_INTERFACES_MAX][ORDER_NAME_MAX]; /* globs; the first "" ends the list; none: the default */
    char who[ORDER_NAME_MAX];
    uint8_t keep; /* enum capture_keep */
    uint8_t companions;
    uint8_t collector_family; /* the collector's address as the shipper sees it: its own traffic is left out; 0: none */
    uint8_t no_apps;          /* what applications say is not looked at: the policy's, or nothing is kept but headers */
    uint8_t collector_address[16];
    uint8_t http_blank; /* enum http_blank (agent/capture/conversation.h): the policy's */
    uint16_t collector_port;
    uint32_t cutoff;                   /* payload kept of each direction of a flow; 0: all */
    uint32_t payload;                  /* most bytes kept behind a packet's headers; 0: all (none: KEEP_HEADERS) */
    uint64_t packets, bytes, rate;     /* limits; 0: none */
    uint64_t start_ns;                 /* this host's wall clock; 0: at once */
    uint64_t end_ns;                   /* 0: never */
    uint64_t used_packets, used_bytes; /* by streams that are over; the monitor's */
};
/* Orders are compared as a whole. */
_Static_assert(offsetof(struct order, payload) == offsetof(struct order, cutoff) + 4, "no byte without a name");

/* Checks every field: texts terminated and clean, values within their ranges. ERROR_INVALID names the field. */
MUST_CHECK int order_check(const struct order *o, struct error *e);

/* The globs of its interfaces; returns how many. They are the order's. */
size_t order_globs(const struct order *o, const char *globs[REQUEST_INTERFACES_MAX]);

/* A time of the collector's clock by this host's, which is clock_ns ahead of it; UINT64_MAX stays. */
uint64_t order_local_ns(uint64_t collector_ns, int64_t clock_ns);

/* From a request that came over the wire, with the times that remain (net_order), of which for_ns leaves no more than
 * it says; ERROR_LIMIT for what does not fit. */
MUST_CHECK int order_from_request(const struct capture_request *r, uint64_t wait_ns, uint64_t left_ns,
                                  uint64_t now_wall_ns, struct order *o, struct error *e);

enum monitor_request_kind {
    REQUEST_START = 1,   /* what is asked for; one of the same id is left as it is */
    REQUEST_STOP = 2,    /* id, text: why */
    REQUEST_CHECK = 3,   /* what is asked for, token */
    REQUEST_FLUSH = 4,   /* id, token: have the capturer seal what it has; answered by REPORT_FLUSHED */
    REQUEST_RECOVER = 5, /* id: an epoch whose writer died */
};

/*
 * What is asked for is either the bytes that an operator signed (common/net/signature.h), of which the monitor decodes
 * nothing before it has verified them; or, where the host's policy takes orders without signature, an order of fixed
 * layout. Of what the shipper adds to a signed one nothing can widen it: left_ns only shortens it, clock_ns is believed
 * within ORDER_CLOCK_MOST_NS.
 */
struct monitor_request {
    uint32_t magic; /* ORDER_MAGIC */
    uint32_t kind;
    uint64_t token;
    uint8_t id[16];
    char text[ORDER_NAME_MAX]; /* STOP: why, in words */
    int64_t clock_ns; /* START, CHECK, signed: this host's clock minus the collector's, by the shipper's estimate */
    uint64_t left_ns; /* START, signed: until it ends by the collector's word; UINT64_MAX: never */
    uint8_t collector_address[16]; /* signed: as in struct order */
    uint16_t collector_port;
    uint8_t collector_family;
    uint8_t reserved;
    uint16_t signature_length; /* 0: nobody signed it, `order` it is */
    uint16_t bytes_length;
    union {
        struct order order;
        struct {
            uint8_t signature[REQUEST_SIGNATURE_MAX];
            uint8_t bytes[REQUEST_SIGNED_MAX];
        } by;
    };
};
_Static_assert(sizeof(struct monitor_request) <= ORDER_SIZE_MAX, "a request fits into 4 KiB");

#define ORDER_CLOCK_MOST_NS (UINT64_C(300) * 1000000000)

/* An order as it is kept: as it was asked for, before the policy narrows it, so that it can be judged again. */
struct order_record {
    struct order order;
    uint64_t accepted_ns; /* this host's wall clock */
    uint32_t over;        /* not 0: the policy or its owner ended it for good */
    uint16_t signature_length, bytes_length;
    char over_text[ORDER_TEXT_MAX];
    uint8_t signature[REQUEST_SIGNATURE_MAX];
    uint8_t bytes[REQUEST_SIGNED_MAX];
};

enum monitor_report_kind {
    REPORT_STATE = 1,   /* phase, text, interfaces, counters */
    REPORT_CHECKED = 2, /* token, code, text, interfaces, rates */
    REPORT_FLUSHED =
        3, /* token; epoch and next_seq of each stream: all below it is to be acknowledged; streams 0: nothing runs */
};

#define REPORT_STREAMS_MAX 16u

struct monitor_report {
    uint32_t magic;
    uint32_t kind;
    uint64_t token;
    uint8_t id[16]; /* of the order */
    int32_t code;
    uint32_t phase; /* enum capture_phase */
    char text[ORDER_TEXT_MAX];
    uint32_t interface_count; /* may be more than are listed */
    uint32_t stream_count;
    char interfaces[ORDER_LISTED_MAX][ORDER_NAME_MAX];
    struct {
        uint8_t epoch[EPOCH_SIZE];
        uint64_t next_seq;
    } streams[REPORT_STREAMS_MAX];
    uint64_t end_ns; /* this host's wall clock; 0: never */
    uint64_t packets, bytes, packets_per_s, bytes_per_s, kernel_drops, other_drops, own, forbidden;
};
_Static_assert(sizeof(struct monitor_report) <= ORDER_SIZE_MAX, "a report fits into 4 KiB");

/* Whether what came is a request or report of ours; the sender's size is checked, texts are terminated. */
bool monitor_request_is_sound(const struct monitor_request *r, size_t len);
bool monitor_report_is_sound(struct monitor_report *r, size_t len);

/* Whether a monitor runs the orders of this spool. */
bool order_is_locked(const char *spool);

/* The lock of the one monitor that runs the orders of this spool: its fd; ERROR_BUSY, after half a second, names the
 * holder. */
MUST_CHECK int order_lock(const char *spool, struct error *e);

/* As order_check, for what is read from a file. */
MUST_CHECK int order_record_check(const struct order_record *o, struct error *e);

/* The file. order_load_all calls `each` for every order kept; a damaged file is removed and logged. */
MUST_CHECK int order_save(const char *spool, const struct order_record *o, struct error *e);
MUST_CHECK int order_remove(const char *spool, const uint8_t id[16], struct error *e);
MUST_CHECK int order_load_all(const char *spool, void (*each)(void *context, const struct order_record *o),
                              void *context, struct error *e);

/* ids of signed orders that were here, each until it expires: none is taken twice. Kept in a file beside the orders; a
 * damaged one, or one that has ORDER_SEEN_MAX, lets no signed order be taken (ERROR_CORRUPT, ERROR_LIMIT say what to
 * do). */
#define ORDER_SEEN_MAX 65536u
struct order_seen {
    uint8_t id[16];
    uint64_t until_ns; /* this host's wall clock; UINT64_MAX: for ever */
};
struct order_seen_list {
    struct order_seen *items;
    size_t count;
};
MUST_CHECK int order_seen_load(const char *spool, struct order_seen_list *list, struct error *e);
bool order_seen_has(const struct order_seen_list *list, const uint8_t id[16]);
/* Durable when it returns; forgets those that expired before now_ns. */
MUST_CHECK int order_seen_add(const char *spool, struct order_seen_list *list, const uint8_t id[16], uint64_t until_ns,
                              uint64_t now_ns, struct error *e);

#endif
