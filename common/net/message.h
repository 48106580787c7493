/*
 * message: what agents, collector and command line say to each other, as plain structs; on the wire each is one frame
 * (frame header, then a protobuf message of proto/fleetdump.proto). Conversion is here and nowhere else.
 *
 * Agent's data connection:    HELLO ->          <- WELCOME       (or REFUSE, then the connection is closed)
 *                             STREAM ->         <- STREAM_STATE  what of this stream the collector has
 *                             PIECE... ->       <- ACK           heads in order of seq; bodies in order of seq, each
 *                                                                behind its head
 *                             BODY_FATE ->      <- ACK           a body that will not come
 *                                               <- REFUSE        of one stream: it is skipped until it is named again
 * Agent's control connection: HELLO ->          <- WELCOME
 *                             STATUS ->                          now and then
 *                                               <- ORDERS        all captures that this agent is to run, now and at
 *                                                                each change; what is not in it ends
 *                             CAPTURE_STATE ->                   of each capture: at every change of phase, and of
 *                                                                those that run now and then
 *                             CHECKED ->        <- CHECK         could this capture be run? nothing is started
 *                             FLUSHED ->        <- FLUSH         all that was captured until now is to be handed over:
 *                                                                answered once the collector has acknowledged it
 *                             CLOCK ->          <- CLOCK         the offset of the clocks (RFC 5905, 8: the agent
 *                                                                computes it)
 * Client's connection:        HELLO ->          <- WELCOME
 *                             QUERY ->          <- RESULT..., DONE  (close to cancel)
 *                             COMMAND ->        <- DONE          its manifest says what came of it, per agent
 *                             ADMIN ->          <- DONE          its manifest is the answer
 * Of somebody without a certificate, as the first and only message:
 *                             ENROLL ->         <- ENROLLED      then the connection is closed
 * Of an agent (control) or client that was welcomed, to renew its certificate:
 *                             ENROLL ->         <- ENROLLED
 *
 * A stream has two cursors at the collector: head_next, the seq of the first item it does not have; body_next, the
 * first seq whose body's fate it does not know (= head_next if it knows all). Acks move them; what lies below both is
 * durable and must be forgotten by the sender. Items without a body (flows only, GAP, END) have no fate to wait for. A
 * BODY_FATE for one of those, or below body_next, is ignored: the sender may have lost what it knew of the item.
 *
 * Other releases: NET_PROTOCOL changes only where nothing else helps; who speaks another one is refused, and both sides
 * name both. Within one, fields that a reader does not know are skipped, those that a writer did not know read as 0 or
 * empty, and a message of an unknown type is skipped behind the first one of a connection. What has to be understood to
 * be obeyed (a request: its limits) is refused if it has unknown fields.
 *
 * The pieces of a part (one head or one body) follow each other without anything in between; a connection that ends
 * amid them leaves nothing, and the part comes again from its first byte.
 */
#ifndef FLEETDUMP_NET_MESSAGE_H
#define FLEETDUMP_NET_MESSAGE_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/chunk/head.h"

#define NET_PROTOCOL     1u
#define NET_PORT_DEFAULT 4741
#define NET_FRAME_MAX    (1u << 20)   /* payload of a frame */
#define NET_HELLO_MAX    (64u << 10)  /* payload of the first frame of a connection */
#define NET_PIECE_MAX    (256u << 10) /* bytes in a PIECE or RESULT */
#define NET_STRINGS_MAX  4096u        /* in any list of a message */
#define NET_LIST_MAX     65536u
#define NET_STREAMS_MAX  4096u       /* that one data connection may name and that are not over */
#define NET_AFTER_MAX    (56u << 10) /* bytes of a mark */
#define NET_ORDERS_MAX   64u         /* captures that one agent runs at once */
#define ADMIN_JSON_MAX   (64u << 10)
#define ENROLL_PEM_MAX   (32u << 10) /* a request; certificates, each */
#define ENROLL_SECRET    16u         /* bytes */

/* What one host accepts of a capture fits into a request of fixed layout (agent/order.h). */
#define REQUEST_FILTER_MAX     2000u
#define REQUEST_INTERFACES_MAX 16u
#define REQUEST_SIGNATURE_MAX  256u
#define REQUEST_SIGNED_MAX     3584u /* bytes that are signed, without the signature */

/* Frame header, 8 bytes: 'F' 'D' | version u8 (NET_PROTOCOL) | type u8 (enum message_type) | payload length u32
 * little-endian */
#define NET_HEADER_SIZE 8u

/* On the wire: never renumber. */
enum message_type {
    MESSAGE_HELLO = 1,
    MESSAGE_WELCOME = 2,
    MESSAGE_REFUSE = 3,
    MESSAGE_STREAM = 4,
    MESSAGE_STREAM_STATE = 5,
    MESSAGE_PIECE = 6,
    MESSAGE_BODY_FATE = 7,
    MESSAGE_ACK = 8,
    MESSAGE_STATUS = 9,
    MESSAGE_QUERY = 10,
    MESSAGE_RESULT = 11,
    MESSAGE_DONE = 12,
    MESSAGE_COMMAND = 13,
    MESSAGE_ORDERS = 14,
    MESSAGE_CHECK = 15,
    MESSAGE_CHECKED = 16,
    MESSAGE_CAPTURE_STATE = 17,
    MESSAGE_FLUSH = 18,
    MESSAGE_FLUSHED = 19,
    MESSAGE_CLOCK = 20,
    MESSAGE_ADMIN = 21,
    MESSAGE_ENROLL = 22,
    MESSAGE_ENROLLED = 23,
};
const char *message_type_name(int type);
bool message_type_is_known(int type);

enum net_role { ROLE_AGENT_CONTROL = 1, ROLE_AGENT_DATA = 2, ROLE_CLIENT = 3 };
enum net_part { PART_HEAD = 1, PART_BODY = 2 };
enum query_kind {
    QUERY_AGENTS = 1,
    QUERY_CAPTURES = 2,
    QUERY_STATUS = 3,
    QUERY_FLOWS = 4,
    QUERY_PULL = 5,
    QUERY_CHUNKS = 6,
    QUERY_EXPORT = 7,
    QUERY_ORDERS = 8, /* captures as ordered, with the state of each agent; the newest first */
    QUERY_EXCHANGES = 9
};
/* Which vantage of a connection that several saw: see DESIGN "pull". */
enum query_vantage { VANTAGE_AUTO = 0, VANTAGE_ALL = 1 };

/* All strings are terminated and owned by the message (message_free); NULL reads as "". */
struct net_address {
    uint8_t family; /* enum packet_family */
    uint8_t addr[16];
    uint64_t from_ns, to_ns; /* in HELLO 0 */
};

struct net_name { /* a name in a filter and what it stands for; see struct filter_name */
    char *name;
    struct net_address *addresses;
    uint32_t address_count;
};

/* What releases before did not do, and who asks for it must know. */
#define FEATURE_CUTOFF UINT64_C(1) /* agent: keeps to capture_request.cutoff */

struct message_hello {
    uint32_t protocol;   /* NET_PROTOCOL */
    uint8_t role;        /* enum net_role */
    char *software;      /* "fleetdump 0.1" */
    uint64_t features;   /* FEATURE_: bits both sides know are used */
    char *agent;         /* agents: name */
    uint8_t install[16]; /* agents: random, made once and kept beside the spool; tells two hosts of one name apart */
    char **labels;       /* "role=web" */
    uint32_t label_count;
    struct net_address *addresses; /* of the host's interfaces */
    uint32_t address_count;
    uint64_t wall_ns, mono_ns;
};

struct message_welcome {
    uint32_t protocol;
    char *software;
    uint64_t features;
    char *collector;
    uint64_t wall_ns;
};

struct message_refuse {
    int32_t code; /* enum error_code */
    char *text;
    uint8_t epoch[EPOCH_SIZE]; /* all 0: the connection; else this stream (it stays on the agent and is named in its
                                  status) */
    uint64_t seq;
    uint8_t part;
};

struct message_stream {
    uint8_t epoch[EPOCH_SIZE];
    char *capture;
};

struct message_stream_state {
    uint8_t epoch[EPOCH_SIZE];
    uint64_t head_next, body_next;
};

struct message_piece {
    uint8_t epoch[EPOCH_SIZE];
    uint64_t seq;
    uint8_t part;
    uint64_t total;  /* length of the whole part */
    uint64_t offset; /* pieces come in order without holes */
    const uint8_t *data;
    uint32_t length; /* at most NET_PIECE_MAX */
};

struct message_body_fate {
    uint8_t epoch[EPOCH_SIZE];
    uint64_t seq;
    uint8_t state; /* BODY_EVICTED */
    uint8_t gap;   /* enum head_gap: why */
};

struct message_ack {
    uint8_t epoch[EPOCH_SIZE];
    uint64_t head_next, body_next;
};

struct message_status {
    char *json; /* object: spool bytes and items, quota, free disk, streams and their state, refusals */
};

struct message_query {
    uint8_t kind; /* enum query_kind */
    char *filter;
    struct net_name *names;
    uint32_t name_count;
    uint64_t since_ns, until_ns; /* inclusive; 0 and UINT64_MAX: unbounded */
    char *capture;               /* glob, "" for any */
    char **agents;               /* globs; none: any */
    uint32_t agent_count;
    char *sort;     /* field name, "" for the default (time); a leading '-' for descending */
    uint64_t limit; /* rows; 0 for the collector's own limit */
    char **by;      /* fields to group by; none: no groups */
    uint32_t by_count;
    uint8_t vantage;      /* enum query_vantage */
    uint8_t packets_only; /* pull: exactly the packets, also with connection words */
    /* pull: only this LINKTYPE_; UINT32_MAX for any (then more than one is an error that lists them) */
    uint32_t link_type;
    uint8_t epoch[EPOCH_SIZE]; /* EXPORT: which chunk */
    uint64_t seq;
    uint64_t deadline_ms; /* 0: the collector's limit */
    /* FLOWS, EXCHANGES, PULL: how long to wait for agents to hand over what they captured until now; 0: not */
    uint64_t fresh_ms;
    /* PULL: "" for all; else only what came since an earlier answer: its manifest's "next", or "0" to begin */
    char *after;
    char *app; /* EXCHANGES: of this application (http, dns, tls), "" for any */
};

/* FLOWS: row blocks (common/rows/block.h), each ending with `end_of_block`; EXCHANGES: the same in pairs, a block of
 * flow rows and one of exchange rows, row by row one line of the answer; PULL, EXPORT: bytes of the file; AGENTS,
 * CAPTURES, STATUS, CHUNKS: a JSON document. */
struct message_result {
    const uint8_t *data;
    uint32_t length; /* at most NET_PIECE_MAX */
    uint8_t end_of_block;
};

struct message_done {
    int32_t code;   /* 0, ERROR_INCOMPLETE, or what failed */
    char *text;     /* the sentence for the user if code != 0 */
    char *manifest; /* JSON object: per agent what the answer holds and what it lacks */
};

/* Stored and signed: never renumber. */
enum capture_keep { KEEP_PACKETS = 0, KEEP_HEADERS = 1, KEEP_FLOWS = 2 };

/* Of a capture on one agent. Stored: never renumber. */
enum capture_phase {
    PHASE_PENDING = 1, /* ordered, the agent has not said anything of it (it may be away) */
    PHASE_REFUSED = 2, /* text says why */
    PHASE_WAITING = 3, /* for its start, or for an interface; text says which */
    PHASE_RUNNING = 4,
    PHASE_STOPPED = 5, /* text says why: "its time is over", "stopped by ...", "10000 packets" */
    PHASE_FAILED = 6,  /* text says why; it is tried again */
    PHASE_MISSED = 7   /* it was over before the agent came */
};
/* An agent's text of one that it was told to stop: it does not know by whom. */
#define CAPTURE_WAITS_TIME   "for its time to start"
#define CAPTURE_TOLD_TO_STOP "stopped by the collector's word"
#define CAPTURE_TIME_IS_OVER "its time is over"
#define CAPTURE_HOST_ENDED                                                                                             \
    "ended by this host: " /* what its policy says follows: before its time, and not by a limit of the order */
/* The collector's text of an agent that was revoked while it ran. */
#define CAPTURE_REVOKED "was revoked"
const char *capture_phase_name(int phase);
const char *capture_keep_name(int keep);

/* A standing order: who, where, filter, limits. What is signed are the bytes of the protobuf message without its
 * signature. Times are the collector's wall clock. */
struct capture_request {
    uint8_t id[16]; /* random */
    char *name;   /* of the capture; unique among orders and streams; "": the collector takes the id's first 8 digits */
    char *filter; /* pcap-filter(7), names resolved; at most REQUEST_FILTER_MAX */
    char **on;    /* globs of agents' names; */
    uint32_t on_count;
    char **labels; /* each "role=web,dc=fra": all of them; one of the strings is enough; values are globs */
    uint32_t label_count;
    char **interfaces; /* globs; "any"; none: the default (up, with an address, without a master, no loopback) */
    uint32_t interface_count;
    uint32_t snaplen;
    uint8_t keep;       /* enum capture_keep */
    uint8_t companions; /* ICMP errors that quote a captured connection and later fragments come along */
    uint32_t cutoff;    /* payload kept of each direction of a flow, its first bytes; 0: all. Of agents with
                           FEATURE_CUTOFF alone: others would not keep to it */
    uint64_t packets;   /* most per agent; 0: no limit; likewise below */
    uint64_t bytes;     /* on the wire, kept */
    uint64_t rate;      /* bytes per second; more is dropped and counted */
    uint64_t start_ns;  /* 0: at once */
    uint64_t end_ns;    /* 0: until it is stopped */
    uint64_t for_ns;    /* so long from when the collector starts it, and not beyond end_ns; 0: until end_ns */
    uint64_t issued_ns, expires_ns; /* the request itself is good between */
    uint8_t nonce[16];
    char *who; /* as its certificate names the client; in plain text "user@host", as it says */
    const uint8_t *signature;
    uint32_t signature_length;
};

enum command_kind {
    COMMAND_CHECK = 1, /* who would capture on what: nothing is started */
    COMMAND_START = 2, /* as CHECK, then start it everywhere; if one agent says no, nowhere, unless `partial` */
    COMMAND_STOP = 3,
    COMMAND_REMOVE = 4 /* forget a capture that is over; what it captured stays */
};

struct message_command {
    uint8_t kind;                    /* enum command_kind */
    struct capture_request *request; /* CHECK, START: one */
    uint32_t request_count;
    char *which; /* STOP, REMOVE: name (glob) or the beginning of an id */
    uint8_t partial;
    uint64_t wait_ms; /* for the agents' answers; 0: the collector's default */
    char *who;        /* STOP, REMOVE: likewise; CHECK, START: it stands in the request */
};

struct net_order {
    struct capture_request *request; /* one */
    uint32_t request_count;
    uint64_t wait_ns; /* until it starts, from now on */
    uint64_t left_ns; /* until it ends, from now on; UINT64_MAX: never; 0: its time is over */
    uint64_t end_ns;  /* that end by the collector's clock, for whoever reads this late; 0: never, or it does not say */
};

struct message_orders {
    struct net_order *orders;
    uint32_t order_count; /* at most NET_ORDERS_MAX */
};

struct message_check {
    uint64_t token;
    struct capture_request *request; /* one */
    uint32_t request_count;
};

struct message_checked {
    uint64_t token;
    /* 0, or why it cannot run: ERROR_USAGE (filter), ERROR_NOT_FOUND (interface), ERROR_REFUSED, ERROR_FULL, ... */
    int32_t code;
    char *text;
    char **interfaces; /* that it would capture on */
    uint32_t interface_count;
    uint64_t packets_per_s, bytes_per_s; /* passing there now, before the filter */
    uint64_t free_bytes;                 /* that the spool may still take */
};

struct message_capture_state {
    uint8_t id[16];
    uint8_t phase; /* enum capture_phase */
    char *text;
    char **interfaces; /* that it captures on now */
    uint32_t interface_count;
    uint64_t left_ns;        /* UINT64_MAX: no end */
    uint64_t packets, bytes; /* kept, since the capture's start, over all its streams */
    uint64_t packets_per_s, bytes_per_s;
    uint64_t kernel_drops, other_drops;
    uint64_t own;       /* packets of fleetdump's own connections, left out */
    uint64_t forbidden; /* those that the host's policy forbids, left out */
};

/* Of captures that run, and of those that stopped or failed: whatever of their streams is in the spool. FLUSHED with
 * code 0 says that all that they captured until the FLUSH came is acknowledged, heads and bodies. */
struct message_flush {
    uint64_t token;
    char *capture; /* glob, "" for all */
};

struct message_flushed {
    uint64_t token;
    int32_t code; /* 0, or what could not be handed over */
    char *text;
};

/* The agent sends with received_ns and replied_ns 0; the collector sends it back with all three. Wall clocks. */
struct message_clock {
    uint64_t sent_ns, received_ns, replied_ns;
};

/* Who may connect and what they may do: collector/server/admin.h has what each wants and answers. */
enum admin_kind {
    ADMIN_ENROLL = 1,
    ADMIN_APPROVE = 2,
    ADMIN_REVOKE = 3,
    ADMIN_CREDENTIALS = 4,
    ADMIN_USER_ADD = 5,
    ADMIN_USER_LIST = 6,
    ADMIN_USER_REMOVE = 7,
    ADMIN_AUDIT = 8
};

struct message_admin {
    uint8_t kind; /* enum admin_kind */
    char *json;   /* object of at most ADMIN_JSON_MAX bytes, "" for an empty one */
};

/* Asks for a certificate (collector/server/enroll.h). With a secret: that of a token. Without: to be approved, or, on a
 * connection whose certificate says who we are, the same with a later end. */
struct message_enroll {
    const uint8_t *secret; /* ENROLL_SECRET bytes, or none */
    uint32_t secret_length;
    char *request; /* PKCS #10, PEM */
};

struct message_enrolled {
    int32_t code;      /* 0, ERROR_BUSY (again_ms), or why not */
    char *text;        /* the sentence for the user if code != 0 */
    char *certificate; /* PEM; what stands between it and the authority follows it */
    char *ca;          /* PEM */
    char **labels;     /* agents: "role=web", as the administrator said */
    uint32_t label_count;
    uint64_t again_ms; /* it waits to be approved: ask again then, on a new connection */
};

struct message {
    enum message_type type;
    union {
        struct message_hello hello;
        struct message_welcome welcome;
        struct message_refuse refuse;
        struct message_stream stream;
        struct message_stream_state stream_state;
        struct message_piece piece;
        struct message_body_fate body_fate;
        struct message_ack ack;
        struct message_status status;
        struct message_query query;
        struct message_result result;
        struct message_done done;
        struct message_command command;
        struct message_orders orders;
        struct message_check check;
        struct message_checked checked;
        struct message_capture_state capture_state;
        struct message_flush flush;
        struct message_flushed flushed;
        struct message_clock clock;
        struct message_admin admin;
        struct message_enroll enroll;
        struct message_enrolled enrolled;
    };
    void *memory; /* owned by message_decode; freed by message_free */
};

/* Appends one whole frame (header and payload). ERROR_LIMIT if the payload would pass NET_FRAME_MAX. */
MUST_CHECK int message_encode(const struct message *m, struct buffer *out, struct error *e);

/* Decodes the payload of a frame of this type. Checks every length and enum; ERROR_INVALID names the message and the
 * field. piece.data and result.data point into memory that belongs to m. */
MUST_CHECK int message_decode(int type, const void *payload, size_t len, struct message *m, struct error *e);
void message_free(struct message *m);

/* The bytes of a request alone, without its signature: what is signed. Fields stand in the order of their numbers,
 * those that are 0 or empty are left out but for ids; so the same request always makes the same bytes. */
MUST_CHECK int message_encode_request(const struct capture_request *r, struct buffer *out, struct error *e);

/* The way back: `m` becomes a CHECK with that request and token 0. ERROR_VERSION if these are not the bytes that
 * message_encode_request would make, as when a newer program signed fields that are not known here: they might say that
 * less was meant. */
MUST_CHECK int message_decode_request(const void *bytes, size_t len, struct message *m, struct error *e);

/* A copy that owns all it points to, as one that was decoded. */
MUST_CHECK int message_copy(const struct message *m, struct message *copy, struct error *e);

/* Reads a frame header: ERROR_INVALID "not a fleetdump peer", ERROR_VERSION with both versions, ERROR_LIMIT if longer
 * than `limit`. */
MUST_CHECK int message_header(const uint8_t header[NET_HEADER_SIZE], size_t limit, int *type, size_t *length,
                              struct error *e);

#endif
