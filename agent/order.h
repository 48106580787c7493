/*
 * order: a capture as this host runs it: what crosses from the shipper, which speaks to the network, to the monitor, which
 * is privileged. Fixed layout, at most ORDER_SIZE_MAX bytes, no pointers: the monitor accepts nothing else, and checks each
 * field (order_check) before it looks at any.
 *
 *   shipper --[struct monitor_request]--> monitor --[fork]--> capturer
 *   shipper <--[struct monitor_report]--- monitor <--[struct monitor_report]-- capturer
 *
 * Over SOCK_SEQPACKET, one struct a packet; what has another size or another magic is refused and logged.
 *
 * An order is kept in a file SPOOL.orders/<id> (root's, beside the spool, which others may write), with what it has used up of its limits, so that it goes on after a restart of
 * the agent until its limits end it, also without a collector.
 */
#ifndef FLEETDUMP_AGENT_ORDER_H
#define FLEETDUMP_AGENT_ORDER_H

#include "common/net/message.h"
#include "common/packet/packet.h"

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
    uint8_t reserved;
    uint8_t collector_address[16];
    uint16_t collector_port;
    uint8_t reserved2[6];
    uint64_t packets, bytes, rate;     /* limits; 0: none */
    uint64_t start_ns;                 /* this host's wall clock; 0: at once */
    uint64_t end_ns;                   /* 0: never */
    uint64_t used_packets, used_bytes; /* by streams that are over; the monitor's */
};

/* Checks every field: texts terminated and clean, values within their ranges. ERROR_INVALID names the field. */
MUST_CHECK int order_check(const struct order *o, struct error *e);

/* The globs of its interfaces; returns how many. They are the order's. */
size_t order_globs(const struct order *o, const char *globs[REQUEST_INTERFACES_MAX]);

/* From a request that came over the wire, with the times that remain (net_order); ERROR_LIMIT for what does not fit. */
MUST_CHECK int order_from_request(const struct capture_request *r, uint64_t wait_ns, uint64_t left_ns,
                                  uint64_t now_wall_ns, struct order *o, struct error *e);

enum monitor_request_kind {
    REQUEST_START = 1,   /* order; one of the same id is left as it is */
    REQUEST_STOP = 2,    /* order.id, text: why */
    REQUEST_CHECK = 3,   /* order, token */
    REQUEST_FLUSH = 4,   /* order.id, token: have the capturer seal what it has; answered by REPORT_FLUSHED */
    REQUEST_RECOVER = 5, /* order.id: an epoch whose writer died */
};

struct monitor_request {
    uint32_t magic; /* ORDER_MAGIC */
    uint32_t kind;
    uint64_t token;
    char text[ORDER_NAME_MAX]; /* STOP: why, in words */
    struct order order;
};
_Static_assert(sizeof(struct monitor_request) <= ORDER_SIZE_MAX, "a request fits into 4 KiB");

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
    uint64_t packets, bytes, packets_per_s, bytes_per_s, kernel_drops, other_drops, own;
};
_Static_assert(sizeof(struct monitor_report) <= ORDER_SIZE_MAX, "a report fits into 4 KiB");

/* Whether what came is a request or report of ours; the sender's size is checked, texts are terminated. */
bool monitor_request_is_sound(const struct monitor_request *r, size_t len);
bool monitor_report_is_sound(struct monitor_report *r, size_t len);

/* The lock of the one monitor that runs the orders of this spool: its fd; ERROR_BUSY names the holder. */
MUST_CHECK int order_lock(const char *spool, struct error *e);

/* The file. order_load_all calls `each` for every order kept; a damaged file is removed and logged. */
MUST_CHECK int order_save(const char *spool, const struct order *o, struct error *e);
MUST_CHECK int order_remove(const char *spool, const uint8_t id[16], struct error *e);
MUST_CHECK int order_load_all(const char *spool, void (*each)(void *context, const struct order *o), void *context,
                              struct error *e);

#endif
