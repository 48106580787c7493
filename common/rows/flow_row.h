/*
 * flow_row: what a chunk knows of one flow; the columns are described in columns_flow.c, which is the reference.
 *
 * Index [0] and [1] are the endpoints of the key in canonical order: packets[0] were sent by endpoint 0. Which of them
 * is the originator (client) says `originator`; field.h turns both into what people read (orig_packets, resp_packets).
 */
#ifndef FLEETDUMP_ROWS_FLOW_ROW_H
#define FLEETDUMP_ROWS_FLOW_ROW_H

#include "common/packet/packet.h"
#include "common/rows/column.h"

/* Stored: never renumber. */
enum originator_by {
    ORIGINATOR_UNKNOWN = 0,
    ORIGINATOR_SYN = 1,        /* sent the SYN, or received the SYN-ACK; ICMP: sent the request */
    ORIGINATOR_LISTENING = 2,  /* the other end's socket listens */
    ORIGINATOR_KNOWN_PORT = 3, /* the other end's port is a well-known one, its own is not */
    ORIGINATOR_LOWER_PORT = 4, /* the other end's port is the lower one (and differs) */
    ORIGINATOR_FIRST_SEEN = 5, /* sent the first packet seen */
};
const char *originator_by_name(uint64_t value); /* "syn", "known-port", ...; NULL for unknown values */

/* Zeek's conn_state (https://docs.zeek.org/en/master/scripts/base/protocols/conn/main.zeek.html). Stored: never
 * renumber. FLOW_STATE_UNKNOWN for flows without one (link level). */
enum flow_state {
    FLOW_STATE_UNKNOWN = 0,
    FLOW_STATE_S0,
    FLOW_STATE_S1,
    FLOW_STATE_SF,
    FLOW_STATE_REJ,
    FLOW_STATE_S2,
    FLOW_STATE_S3,
    FLOW_STATE_RSTO,
    FLOW_STATE_RSTR,
    FLOW_STATE_RSTOS0,
    FLOW_STATE_RSTRH,
    FLOW_STATE_SH,
    FLOW_STATE_SHR,
    FLOW_STATE_OTH,
};
const char *flow_state_name(uint64_t value);                          /* "S0", NULL for unknown */
bool flow_state_parse(const char *text, size_t len, uint64_t *value); /* any case */

/* IPFIX flowEndReason, with 0 for a flow that goes on. */
enum flow_end {
    FLOW_GOES_ON = 0,
    FLOW_END_IDLE = 1,
    FLOW_END_ACTIVE = 2,
    FLOW_END_DETECTED = 3,
    FLOW_END_FORCED = 4,
    FLOW_END_RESOURCES = 5
};
const char *flow_end_name(uint64_t value); /* "idle-timeout", ...; "ongoing" for 0, NULL for unknown values */

/* How an exchange ended. Stored: never renumber. */
enum exchange_outcome {
    EXCHANGE_COMPLETE = 1,   /* the reply was seen to its end */
    EXCHANGE_UNANSWERED = 2, /* no reply came: the flow ended, or the time for one */
    EXCHANGE_CUT = 3,        /* the connection was closed or reset, or fell silent, within the request or the reply */
    EXCHANGE_UNSEEN = 4,     /* bytes of it are missing in the capture */
    EXCHANGE_OPEN = 5,       /* it was not followed to its end: the capture ended, or had no memory for it any more */
    EXCHANGE_LATE = 6,       /* the reply came after a row told that the request is unanswered or unseen */
    EXCHANGE_RUNNING =
        7, /* it goes on behind the chunk: a later row of the same flow and number takes this one's place */
};
const char *exchange_outcome_name(uint64_t value); /* "complete", ...; NULL for unknown values */
#define EXCHANGE_STATUS_CLASSES 5u

#define FLOW_HISTORY_MAX 64 /* letters kept, in Zeek's notation */

struct flow_row {
    struct column_set has;

    struct flow_key key; /* key.interface is the chunk's interface; every key column is always known */
    uint64_t flow_id;    /* 64 bits that name this flow of this stream; printed as 16 hex digits */

    uint64_t start_ns; /* of the flow, sticky */
    uint64_t first_ns; /* of this row */
    uint64_t last_ns;

    uint64_t packets[2];
    uint64_t bytes[2];           /* as seen on the wire, link header included */
    uint64_t payload[2];         /* transport payload as claimed by headers; IP payload where there is no transport */
    uint32_t later_fragments[2]; /* of packets[]: those without ports */
    uint32_t syn[2];             /* TCP segments with SYN */
    uint32_t fin[2];
    uint32_t rst[2];
    uint8_t tcp_flags[2]; /* OR of all flags seen */

    uint8_t originator;    /* endpoint 0 or 1 */
    uint8_t originator_by; /* enum originator_by */
    uint8_t state;         /* enum flow_state, so far */
    uint8_t end_reason;    /* enum flow_end */
    struct text history;   /* Zeek's letters so far: upper case from the originator */

    uint64_t prior_packets; /* of both directions, in earlier rows of this flow */
    uint64_t prior_bytes;
    uint64_t capture_loss; /* packets that we or the kernel dropped on this interface while the flow was open, in this
                              chunk */

    uint32_t icmp_errors;    /* that quote this flow */
    uint8_t icmp_error_type; /* of the last one */
    uint8_t icmp_error_code;

    /* TCP, by what tcp_findings.h says; times in ns */
    uint32_t retrans[2];
    uint64_t retrans_bytes[2];
    uint32_t spurious[2];
    uint32_t fast[2];
    uint32_t out_of_order[2];
    uint32_t duplicate_acks[2];
    uint32_t zero_windows[2];
    uint32_t full_windows[2];
    uint32_t keep_alives[2];
    uint64_t gap_bytes[2];
    uint32_t acked_max[2];
    uint32_t lost_max[2];
    uint32_t rtt_count[2];
    uint64_t rtt_sum[2];
    uint64_t rtt_min[2];
    uint64_t rtt_max[2];
    uint16_t mss[2];
    uint8_t window_scale[2];
    uint8_t sack[2];
    uint32_t initial_seq[2];
    uint64_t handshake;
    uint64_t syn_answer;
    uint32_t replies;
    uint64_t wait_sum;
    uint64_t wait_max;

    /* What the application said */
    struct text app; /* app_name of common/app */
    struct text sni, alpn, ja4;
    uint16_t tls_version;
    uint16_t tls_cipher;
    uint8_t tls_alert;
    struct text http_host;
    struct text dns_name;
    struct text software[2];
    uint32_t exchanges;
    uint16_t status;
    uint32_t status_class[EXCHANGE_STATUS_CLASSES]; /* 1xx to 5xx */

    struct list frames; /* frames of the chunk's body that hold this flow's packets */

    /* Only in answers, never in a chunk */
    struct text agent;
    struct text interface_name;
    struct text capture;
    uint64_t flows; /* in grouped answers: how many flows */

    /* What the row is about instead of its flow, of which it then says the key and what is STICKY; NULL: nothing. No
     * column: blocks do not have it, field.h and filters look at it. */
    const struct exchange_row *exchange;
};

/* Column ids, on disk and on the wire: never renumber, never reuse. Pairs are n and n + 1 for endpoints 0 and 1. */
enum flow_column {
    FLOW_ADDR_0 = 1,
    FLOW_ADDR_1 = 2,
    FLOW_PORT_0 = 3,
    FLOW_PORT_1 = 4,
    FLOW_INTERFACE = 5,
    FLOW_TUNNEL_ID = 6,
    FLOW_VLAN_0 = 7, /* outer tag */
    FLOW_VLAN_1 = 8, /* inner tag */
    FLOW_ETHERTYPE = 9,
    FLOW_FAMILY = 10,
    FLOW_PROTO = 11,
    FLOW_TUNNEL = 12,
    FLOW_HAS_PORTS = 13,
    FLOW_ID = 14,
    FLOW_START = 16,
    FLOW_FIRST = 17,
    FLOW_LAST = 18,
    FLOW_PACKETS_0 = 20,
    FLOW_PACKETS_1 = 21,
    FLOW_BYTES_0 = 22,
    FLOW_BYTES_1 = 23,
    FLOW_PAYLOAD_0 = 24,
    FLOW_PAYLOAD_1 = 25,
    FLOW_LATER_FRAGMENTS_0 = 26,
    FLOW_LATER_FRAGMENTS_1 = 27,
    FLOW_SYN_0 = 28,
    FLOW_SYN_1 = 29,
    FLOW_FIN_0 = 30,
    FLOW_FIN_1 = 31,
    FLOW_RST_0 = 32,
    FLOW_RST_1 = 33,
    FLOW_TCP_FLAGS_0 = 34,
    FLOW_TCP_FLAGS_1 = 35,
    FLOW_ORIGINATOR = 36,
    FLOW_ORIGINATOR_BY = 37,
    FLOW_STATE = 38,
    FLOW_END_REASON = 39,
    FLOW_HISTORY = 40,
    FLOW_PRIOR_PACKETS = 41,
    FLOW_PRIOR_BYTES = 42,
    FLOW_CAPTURE_LOSS = 43,
    FLOW_ICMP_ERRORS = 44,
    FLOW_ICMP_ERROR_TYPE = 45,
    FLOW_ICMP_ERROR_CODE = 46,
    FLOW_FRAMES = 47,
    FLOW_RETRANS_0 = 48,
    FLOW_RETRANS_1 = 49,
    FLOW_RETRANS_BYTES_0 = 50,
    FLOW_RETRANS_BYTES_1 = 51,
    FLOW_SPURIOUS_0 = 52,
    FLOW_SPURIOUS_1 = 53,
    FLOW_FAST_0 = 54,
    FLOW_FAST_1 = 55,
    FLOW_OUT_OF_ORDER_0 = 56,
    FLOW_OUT_OF_ORDER_1 = 57,
    FLOW_DUPLICATE_ACKS_0 = 58,
    FLOW_DUPLICATE_ACKS_1 = 59,
    FLOW_ZERO_WINDOWS_0 = 60,
    FLOW_ZERO_WINDOWS_1 = 61,
    FLOW_FULL_WINDOWS_0 = 62,
    FLOW_FULL_WINDOWS_1 = 63,
    FLOW_KEEP_ALIVES_0 = 64,
    FLOW_KEEP_ALIVES_1 = 65,
    FLOW_GAP_BYTES_0 = 66,
    FLOW_GAP_BYTES_1 = 67,
    FLOW_ACKED_MAX_0 = 68,
    FLOW_ACKED_MAX_1 = 69,
    FLOW_LOST_MAX_0 = 70,
    FLOW_LOST_MAX_1 = 71,
    FLOW_RTT_COUNT_0 = 72,
    FLOW_RTT_COUNT_1 = 73,
    FLOW_RTT_SUM_0 = 74,
    FLOW_RTT_SUM_1 = 75,
    FLOW_RTT_MIN_0 = 76,
    FLOW_RTT_MIN_1 = 77,
    FLOW_RTT_MAX_0 = 78,
    FLOW_RTT_MAX_1 = 79,
    FLOW_MSS_0 = 80,
    FLOW_MSS_1 = 81,
    FLOW_WINDOW_SCALE_0 = 82,
    FLOW_WINDOW_SCALE_1 = 83,
    FLOW_SACK_0 = 84,
    FLOW_SACK_1 = 85,
    FLOW_INITIAL_SEQ_0 = 86,
    FLOW_INITIAL_SEQ_1 = 87,
    FLOW_HANDSHAKE = 88,
    FLOW_SYN_ANSWER = 89,
    FLOW_REPLIES = 90,
    FLOW_WAIT_SUM = 91,
    FLOW_WAIT_MAX = 92,
    FLOW_APP = 93,
    FLOW_SNI = 94,
    FLOW_ALPN = 95,
    FLOW_JA4 = 96,
    FLOW_TLS_VERSION = 97,
    FLOW_TLS_CIPHER = 98,
    FLOW_TLS_ALERT = 99,
    FLOW_HTTP_HOST = 100,
    FLOW_DNS_NAME = 101,
    FLOW_SOFTWARE_0 = 102,
    FLOW_SOFTWARE_1 = 103,
    FLOW_EXCHANGES = 104,
    FLOW_STATUS = 105,
    FLOW_STATUS_1XX = 106, /* one for each class */
    FLOW_STATUS_2XX = 107,
    FLOW_STATUS_3XX = 108,
    FLOW_STATUS_4XX = 109,
    FLOW_STATUS_5XX = 110,
    FLOW_ANSWER = 120, /* columns from here on are only in answers, never in a chunk */
    FLOW_AGENT = 120,
    FLOW_INTERFACE_NAME = 121,
    FLOW_CAPTURE = 122,
    FLOW_FLOWS = 123,
};

/* Whether applications said it: rows have it from then on, and some of it says what was said last. */
static inline bool flow_column_is_said(unsigned id)
{
    return id >= FLOW_APP && id <= FLOW_STATUS_5XX;
}

/* One request and its reply: of HTTP a request and its final response, of DNS a query, of TLS the handshake. It is in
 * the chunk in which it ended, which has a row of its flow too. */
struct exchange_row {
    struct column_set has;
    uint64_t flow_id;
    uint32_t ordinal;       /* 1: the flow's first */
    uint64_t time_ns;       /* of the request's first byte */
    uint64_t send_ns;       /* request's first byte to its last */
    uint64_t wait_ns;       /* request's last byte to reply's first */
    uint64_t duration_ns;   /* request's first byte to reply's last */
    uint64_t request_bytes; /* heads included */
    uint64_t reply_bytes;
    uint64_t request_body;
    uint64_t reply_body;
    uint8_t outcome; /* enum exchange_outcome */
    struct text app; /* "http", "dns", "tls" */
    struct text version;
    struct text method, http_host, path, content_type; /* HTTP */
    uint16_t status;
    struct text dns_name, dns_answers; /* DNS */
    uint16_t dns_type;
    uint8_t dns_rcode;
    struct text sni, alpn, ja4; /* TLS */
    uint16_t tls_cipher;
    uint8_t tls_alert;

    /* Only in grouped answers, never in a chunk; `wait` is the mean there */
    uint64_t exchanges;
    uint64_t errors;
    uint64_t unanswered;
    uint64_t wait_max;
    uint64_t wait_p95;
};

/* Column ids of the table exchange: never renumber, never reuse. */
enum exchange_column {
    EXCHANGE_FLOW_ID = 1,
    EXCHANGE_TIME = 2,
    EXCHANGE_WAIT = 3,
    EXCHANGE_DURATION = 4,
    EXCHANGE_REQUEST_BYTES = 5,
    EXCHANGE_REPLY_BYTES = 6,
    EXCHANGE_METHOD = 7,
    EXCHANGE_HTTP_HOST = 8,
    EXCHANGE_PATH = 9,
    EXCHANGE_CONTENT_TYPE = 10,
    EXCHANGE_STATUS = 11,
    EXCHANGE_DNS_NAME = 12,
    EXCHANGE_DNS_ANSWERS = 13,
    EXCHANGE_DNS_TYPE = 14,
    EXCHANGE_DNS_RCODE = 15,
    EXCHANGE_APP = 16,
    EXCHANGE_ORDINAL = 17,
    EXCHANGE_SEND = 18,
    EXCHANGE_REQUEST_BODY = 19,
    EXCHANGE_REPLY_BODY = 20,
    EXCHANGE_OUTCOME = 21,
    EXCHANGE_VERSION = 22,
    EXCHANGE_SNI = 23,
    EXCHANGE_ALPN = 24,
    EXCHANGE_JA4 = 25,
    EXCHANGE_TLS_CIPHER = 26,
    EXCHANGE_TLS_ALERT = 27,
    EXCHANGE_ANSWER = 120, /* columns from here on are only in answers, never in a chunk */
    EXCHANGE_EXCHANGES = 120,
    EXCHANGE_ERRORS = 121,
    EXCHANGE_NO_REPLY = 122,
    EXCHANGE_WAIT_MAX = 123,
    EXCHANGE_WAIT_P95 = 124,
};

#endif
