#include "common/net/message_shape.h"

#include "common/packet/packet.h"
#include "proto/fleetdump.pb-c.h"

#define MESSAGE_NAME_MAX     HEAD_NAME_MAX
#define MESSAGE_TEXT_MAX     (ERROR_TEXT_MAX - 1)
#define MESSAGE_DOCUMENT_MAX NET_FRAME_MAX
#define FIELD_SORT_MAX       255u

/* A field by its names in the plain struct `p` and the protobuf struct `w`, which are the same but for counts. */
#define FIELD(p, w, kind_, field, least_, most_)                                                                       \
    {                                                                                                                  \
        .name = #field, .kind = kind_, .at = offsetof(struct p, field), .wire_at = offsetof(Fleetdump__##w, field),    \
        .least = least_, .most = most_                                                                                 \
    }
#define BYTES(p, w, field, count, least_, most_)                                                                       \
    {                                                                                                                  \
        .name = #field, .kind = FIELD_DATA, .at = offsetof(struct p, field), .count_at = offsetof(struct p, count),    \
        .wire_at = offsetof(Fleetdump__##w, field), .least = least_, .most = most_                                     \
    }
#define MANY(p, w, kind_, field, count, most_, shape_)                                                                 \
    {                                                                                                                  \
        .name = #field, .kind = kind_, .at = offsetof(struct p, field), .count_at = offsetof(struct p, count),         \
        .wire_at = offsetof(Fleetdump__##w, n_##field), .wire_list_at = offsetof(Fleetdump__##w, field),               \
        .most = most_, .shape = shape_                                                                                 \
    }
#define END                                                                                                            \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

/* ------------------------------------------------------------ parts of messages */
static const struct message_field address_fields[] = {
    FIELD(net_address, Address, FIELD_U8, family, FAMILY_LINK, FAMILY_IP6),
    {.name = "address",
     .kind = FIELD_ADDRESS,
     .at = offsetof(struct net_address, addr),
     .wire_at = offsetof(Fleetdump__Address, address)},
    FIELD(net_address, Address, FIELD_U64, from_ns, 0, 0),
    FIELD(net_address, Address, FIELD_U64, to_ns, 0, 0),
    END,
};
static const struct message_shape address_shape = {"address", &fleetdump__address__descriptor,
                                                   sizeof(struct net_address), address_fields, NULL};

static const struct message_field name_fields[] = {
    FIELD(net_name, Name, FIELD_NAME, name, 0, MESSAGE_NAME_MAX),
    MANY(net_name, Name, FIELD_LIST, addresses, address_count, NET_LIST_MAX, &address_shape),
    END,
};
static const struct message_shape name_shape = {"name", &fleetdump__name__descriptor, sizeof(struct net_name),
                                                name_fields, NULL};

static const char *check_request(const void *plain)
{
    const struct capture_request *r = plain;
    return r->end_ns && r->end_ns <= r->start_ns ? "it ends before it starts" : NULL;
}

static const struct message_field request_fields[] = {
    FIELD(capture_request, CaptureRequest, FIELD_ID, id, 1, 0),
    FIELD(capture_request, CaptureRequest, FIELD_NAME, name, 0, MESSAGE_NAME_MAX),
    FIELD(capture_request, CaptureRequest, FIELD_LINES, filter, 0, REQUEST_FILTER_MAX),
    MANY(capture_request, CaptureRequest, FIELD_NAMES, on, on_count, NET_STRINGS_MAX, NULL),
    MANY(capture_request, CaptureRequest, FIELD_NAMES, labels, label_count, NET_STRINGS_MAX, NULL),
    MANY(capture_request, CaptureRequest, FIELD_NAMES, interfaces, interface_count, REQUEST_INTERFACES_MAX, NULL),
    FIELD(capture_request, CaptureRequest, FIELD_U32, snaplen, 0, PACKET_SNAPLEN_MAX),
    FIELD(capture_request, CaptureRequest, FIELD_U8, keep, KEEP_PACKETS, KEEP_FLOWS),
    FIELD(capture_request, CaptureRequest, FIELD_FLAG, companions, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_U64, packets, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_U64, bytes, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_U64, rate, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_U64, start_ns, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_U64, end_ns, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_U64, issued_ns, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_U64, expires_ns, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_ID, nonce, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_NAME, who, 0, MESSAGE_NAME_MAX),
    BYTES(capture_request, CaptureRequest, signature, signature_length, 0, REQUEST_SIGNATURE_MAX),
    FIELD(capture_request, CaptureRequest, FIELD_U64, for_ns, 0, 0),
    FIELD(capture_request, CaptureRequest, FIELD_U32, cutoff, 0, UINT32_MAX),
    END,
};
static const struct message_shape request_shape = {"request", &fleetdump__capture_request__descriptor,
                                                   sizeof(struct capture_request), request_fields, check_request};

/* One request, as a list of at most one in the plain struct and an optional message on the wire. */
#define REQUEST(p, w)                                                                                                  \
    {                                                                                                                  \
        .name = "request", .kind = FIELD_ONE, .at = offsetof(struct p, request),                                       \
        .count_at = offsetof(struct p, request_count), .wire_at = offsetof(Fleetdump__##w, request),                   \
        .shape = &request_shape                                                                                        \
    }

static const struct message_field order_fields[] = {
    REQUEST(net_order, Order),
    FIELD(net_order, Order, FIELD_U64, wait_ns, 0, 0),
    FIELD(net_order, Order, FIELD_U64, left_ns, 0, 0),
    FIELD(net_order, Order, FIELD_U64, end_ns, 0, 0),
    END,
};

static const char *check_order(const void *plain)
{
    return ((const struct net_order *)plain)->request_count ? NULL : "an order without a request";
}
static const struct message_shape order_shape = {"order", &fleetdump__order__descriptor, sizeof(struct net_order),
                                                 order_fields, check_order};

/* ------------------------------------------------------------ messages */
static const struct message_field hello_fields[] = {
    FIELD(message_hello, Hello, FIELD_U32, protocol, 0, UINT32_MAX),
    FIELD(message_hello, Hello, FIELD_U8, role, ROLE_AGENT_CONTROL, ROLE_CLIENT),
    FIELD(message_hello, Hello, FIELD_NAME, software, 0, MESSAGE_NAME_MAX),
    FIELD(message_hello, Hello, FIELD_U64, features, 0, 0),
    FIELD(message_hello, Hello, FIELD_NAME, agent, 0, MESSAGE_NAME_MAX),
    FIELD(message_hello, Hello, FIELD_ID, install, 0, 0),
    MANY(message_hello, Hello, FIELD_NAMES, labels, label_count, NET_STRINGS_MAX, NULL),
    MANY(message_hello, Hello, FIELD_LIST, addresses, address_count, NET_LIST_MAX, &address_shape),
    FIELD(message_hello, Hello, FIELD_U64, wall_ns, 0, 0),
    FIELD(message_hello, Hello, FIELD_U64, mono_ns, 0, 0),
    END,
};

static const struct message_field welcome_fields[] = {
    FIELD(message_welcome, Welcome, FIELD_U32, protocol, 0, UINT32_MAX),
    FIELD(message_welcome, Welcome, FIELD_NAME, software, 0, MESSAGE_NAME_MAX),
    FIELD(message_welcome, Welcome, FIELD_U64, features, 0, 0),
    FIELD(message_welcome, Welcome, FIELD_NAME, collector, 0, MESSAGE_NAME_MAX),
    FIELD(message_welcome, Welcome, FIELD_U64, wall_ns, 0, 0),
    END,
};

static const struct message_field refuse_fields[] = {
    FIELD(message_refuse, Refuse, FIELD_I32, code, 0, 0),
    FIELD(message_refuse, Refuse, FIELD_TEXT, text, 0, MESSAGE_TEXT_MAX),
    FIELD(message_refuse, Refuse, FIELD_ID, epoch, 0, 0),
    FIELD(message_refuse, Refuse, FIELD_U64, seq, 0, 0),
    FIELD(message_refuse, Refuse, FIELD_U8, part, 0, PART_BODY),
    END,
};

static const struct message_field stream_fields[] = {
    FIELD(message_stream, Stream, FIELD_ID, epoch, 1, 0),
    FIELD(message_stream, Stream, FIELD_NAME, capture, 0, MESSAGE_NAME_MAX),
    END,
};

/* What lies below both cursors is durable, and a body's fate is never known before its head. */
static const char *check_cursors(uint64_t head_next, uint64_t body_next)
{
    return body_next > head_next ? "body_next is greater than head_next" : NULL;
}

static const char *check_stream_state(const void *plain)
{
    const struct message_stream_state *m = plain;
    return check_cursors(m->head_next, m->body_next);
}

static const struct message_field stream_state_fields[] = {
    FIELD(message_stream_state, StreamState, FIELD_ID, epoch, 1, 0),
    FIELD(message_stream_state, StreamState, FIELD_U64, head_next, 0, 0),
    FIELD(message_stream_state, StreamState, FIELD_U64, body_next, 0, 0),
    END,
};

static const char *check_piece(const void *plain)
{
    const struct message_piece *m = plain;
    return m->offset > m->total || m->length > m->total - m->offset ? "the piece reaches over the total" : NULL;
}

static const struct message_field piece_fields[] = {
    FIELD(message_piece, Piece, FIELD_ID, epoch, 1, 0),
    FIELD(message_piece, Piece, FIELD_U64, seq, 0, 0),
    FIELD(message_piece, Piece, FIELD_U8, part, PART_HEAD, PART_BODY),
    FIELD(message_piece, Piece, FIELD_U64, total, 0, 0),
    FIELD(message_piece, Piece, FIELD_U64, offset, 0, 0),
    BYTES(message_piece, Piece, data, length, 1, NET_PIECE_MAX),
    END,
};

static const struct message_field body_fate_fields[] = {
    FIELD(message_body_fate, BodyFate, FIELD_ID, epoch, 1, 0),
    FIELD(message_body_fate, BodyFate, FIELD_U64, seq, 0, 0),
    FIELD(message_body_fate, BodyFate, FIELD_U8, state, BODY_EVICTED, BODY_EVICTED),
    FIELD(message_body_fate, BodyFate, FIELD_U8, gap, GAP_QUOTA, GAP_EXPIRED),
    END,
};

static const char *check_ack(const void *plain)
{
    const struct message_ack *m = plain;
    return check_cursors(m->head_next, m->body_next);
}

static const struct message_field ack_fields[] = {
    FIELD(message_ack, Ack, FIELD_ID, epoch, 1, 0),
    FIELD(message_ack, Ack, FIELD_U64, head_next, 0, 0),
    FIELD(message_ack, Ack, FIELD_U64, body_next, 0, 0),
    END,
};

static const struct message_field status_fields[] = {
    FIELD(message_status, Status, FIELD_LINES, json, 0, MESSAGE_DOCUMENT_MAX),
    END,
};

static const struct message_field query_fields[] = {
    FIELD(message_query, Query, FIELD_U8, kind, QUERY_AGENTS, QUERY_EXCHANGES),
    FIELD(message_query, Query, FIELD_LINES, filter, 0, HEAD_FILTER_MAX),
    MANY(message_query, Query, FIELD_LIST, names, name_count, NET_STRINGS_MAX, &name_shape),
    FIELD(message_query, Query, FIELD_U64, since_ns, 0, 0),
    FIELD(message_query, Query, FIELD_U64, until_ns, 0, 0),
    FIELD(message_query, Query, FIELD_NAME, capture, 0, MESSAGE_NAME_MAX),
    MANY(message_query, Query, FIELD_NAMES, agents, agent_count, NET_STRINGS_MAX, NULL),
    FIELD(message_query, Query, FIELD_NAME, sort, 0, FIELD_SORT_MAX),
    FIELD(message_query, Query, FIELD_U64, limit, 0, 0),
    MANY(message_query, Query, FIELD_NAMES, by, by_count, NET_STRINGS_MAX, NULL),
    FIELD(message_query, Query, FIELD_U8, vantage, VANTAGE_AUTO, VANTAGE_ALL),
    FIELD(message_query, Query, FIELD_FLAG, packets_only, 0, 0),
    FIELD(message_query, Query, FIELD_U32, link_type, 0, UINT32_MAX),
    FIELD(message_query, Query, FIELD_ID, epoch, 0, 0),
    FIELD(message_query, Query, FIELD_U64, seq, 0, 0),
    FIELD(message_query, Query, FIELD_U64, deadline_ms, 0, 0),
    FIELD(message_query, Query, FIELD_U64, fresh_ms, 0, 0),
    FIELD(message_query, Query, FIELD_NAME, after, 0, NET_AFTER_MAX),
    FIELD(message_query, Query, FIELD_NAME, app, 0, MESSAGE_NAME_MAX),
    END,
};

static const struct message_field result_fields[] = {
    BYTES(message_result, Result, data, length, 0, NET_PIECE_MAX),
    FIELD(message_result, Result, FIELD_FLAG, end_of_block, 0, 0),
    END,
};

static const struct message_field done_fields[] = {
    FIELD(message_done, Done, FIELD_I32, code, 0, 0),
    FIELD(message_done, Done, FIELD_TEXT, text, 0, MESSAGE_TEXT_MAX),
    FIELD(message_done, Done, FIELD_LINES, manifest, 0, MESSAGE_DOCUMENT_MAX),
    END,
};

static const char *check_command(const void *plain)
{
    const struct message_command *m = plain;
    bool asks = m->kind == COMMAND_CHECK || m->kind == COMMAND_START;
    return asks && !m->request_count ? "a capture without a request" : NULL;
}

static const struct message_field command_fields[] = {
    FIELD(message_command, Command, FIELD_U8, kind, COMMAND_CHECK, COMMAND_REMOVE),
    REQUEST(message_command, Command),
    FIELD(message_command, Command, FIELD_NAME, which, 0, MESSAGE_NAME_MAX),
    FIELD(message_command, Command, FIELD_FLAG, partial, 0, 0),
    FIELD(message_command, Command, FIELD_U64, wait_ms, 0, 0),
    FIELD(message_command, Command, FIELD_NAME, who, 0, MESSAGE_NAME_MAX),
    END,
};

static const struct message_field orders_fields[] = {
    MANY(message_orders, Orders, FIELD_LIST, orders, order_count, NET_ORDERS_MAX, &order_shape),
    END,
};

static const char *check_check(const void *plain)
{
    return ((const struct message_check *)plain)->request_count ? NULL : "a check without a request";
}

static const struct message_field check_fields[] = {
    FIELD(message_check, Check, FIELD_U64, token, 0, 0),
    REQUEST(message_check, Check),
    END,
};

static const struct message_field checked_fields[] = {
    FIELD(message_checked, Checked, FIELD_U64, token, 0, 0),
    FIELD(message_checked, Checked, FIELD_I32, code, 0, 0),
    FIELD(message_checked, Checked, FIELD_TEXT, text, 0, MESSAGE_TEXT_MAX),
    MANY(message_checked, Checked, FIELD_NAMES, interfaces, interface_count, NET_STRINGS_MAX, NULL),
    FIELD(message_checked, Checked, FIELD_U64, packets_per_s, 0, 0),
    FIELD(message_checked, Checked, FIELD_U64, bytes_per_s, 0, 0),
    FIELD(message_checked, Checked, FIELD_U64, free_bytes, 0, 0),
    END,
};

static const struct message_field capture_state_fields[] = {
    FIELD(message_capture_state, CaptureState, FIELD_ID, id, 1, 0),
    FIELD(message_capture_state, CaptureState, FIELD_U8, phase, PHASE_PENDING, PHASE_MISSED),
    FIELD(message_capture_state, CaptureState, FIELD_TEXT, text, 0, MESSAGE_TEXT_MAX),
    MANY(message_capture_state, CaptureState, FIELD_NAMES, interfaces, interface_count, NET_STRINGS_MAX, NULL),
    FIELD(message_capture_state, CaptureState, FIELD_U64, left_ns, 0, 0),
    FIELD(message_capture_state, CaptureState, FIELD_U64, packets, 0, 0),
    FIELD(message_capture_state, CaptureState, FIELD_U64, bytes, 0, 0),
    FIELD(message_capture_state, CaptureState, FIELD_U64, packets_per_s, 0, 0),
    FIELD(message_capture_state, CaptureState, FIELD_U64, bytes_per_s, 0, 0),
    FIELD(message_capture_state, CaptureState, FIELD_U64, kernel_drops, 0, 0),
    FIELD(message_capture_state, CaptureState, FIELD_U64, other_drops, 0, 0),
    FIELD(message_capture_state, CaptureState, FIELD_U64, own, 0, 0),
    FIELD(message_capture_state, CaptureState, FIELD_U64, forbidden, 0, 0),
    END,
};

static const struct message_field flush_fields[] = {
    FIELD(message_flush, Flush, FIELD_U64, token, 0, 0),
    FIELD(message_flush, Flush, FIELD_NAME, capture, 0, MESSAGE_NAME_MAX),
    END,
};

static const struct message_field flushed_fields[] = {
    FIELD(message_flushed, Flushed, FIELD_U64, token, 0, 0),
    FIELD(message_flushed, Flushed, FIELD_I32, code, 0, 0),
    FIELD(message_flushed, Flushed, FIELD_TEXT, text, 0, MESSAGE_TEXT_MAX),
    END,
};

static const struct message_field clock_fields[] = {
    FIELD(message_clock, Clock, FIELD_U64, sent_ns, 0, 0),
    FIELD(message_clock, Clock, FIELD_U64, received_ns, 0, 0),
    FIELD(message_clock, Clock, FIELD_U64, replied_ns, 0, 0),
    END,
};

static const struct message_field admin_fields[] = {
    FIELD(message_admin, Admin, FIELD_U8, kind, ADMIN_ENROLL, ADMIN_AUDIT),
    FIELD(message_admin, Admin, FIELD_LINES, json, 0, ADMIN_JSON_MAX),
    END,
};

static const char *check_enroll(const void *plain)
{
    uint32_t length = ((const struct message_enroll *)plain)->secret_length;
    return length == 0 || length == ENROLL_SECRET ? NULL : "a secret of another length";
}

static const struct message_field enroll_fields[] = {
    BYTES(message_enroll, Enroll, secret, secret_length, 0, ENROLL_SECRET),
    FIELD(message_enroll, Enroll, FIELD_LINES, request, 0, ENROLL_PEM_MAX),
    END,
};

static const struct message_field enrolled_fields[] = {
    FIELD(message_enrolled, Enrolled, FIELD_I32, code, 0, 0),
    FIELD(message_enrolled, Enrolled, FIELD_TEXT, text, 0, MESSAGE_TEXT_MAX),
    FIELD(message_enrolled, Enrolled, FIELD_LINES, certificate, 0, ENROLL_PEM_MAX),
    FIELD(message_enrolled, Enrolled, FIELD_LINES, ca, 0, ENROLL_PEM_MAX),
    MANY(message_enrolled, Enrolled, FIELD_NAMES, labels, label_count, NET_STRINGS_MAX, NULL),
    FIELD(message_enrolled, Enrolled, FIELD_U64, again_ms, 0, 0),
    END,
};

#define SHAPE(type, p, check_)                                                                                         \
    [type] = {#p, &fleetdump__##p##__descriptor, sizeof(struct message_##p), p##_fields, check_}
static const struct message_shape shapes[] = {
    SHAPE(MESSAGE_HELLO, hello, NULL),
    SHAPE(MESSAGE_WELCOME, welcome, NULL),
    SHAPE(MESSAGE_REFUSE, refuse, NULL),
    SHAPE(MESSAGE_STREAM, stream, NULL),
    SHAPE(MESSAGE_STREAM_STATE, stream_state, check_stream_state),
    SHAPE(MESSAGE_PIECE, piece, check_piece),
    SHAPE(MESSAGE_BODY_FATE, body_fate, NULL),
    SHAPE(MESSAGE_ACK, ack, check_ack),
    SHAPE(MESSAGE_STATUS, status, NULL),
    SHAPE(MESSAGE_QUERY, query, NULL),
    SHAPE(MESSAGE_RESULT, result, NULL),
    SHAPE(MESSAGE_DONE, done, NULL),
    SHAPE(MESSAGE_COMMAND, command, check_command),
    SHAPE(MESSAGE_ORDERS, orders, NULL),
    SHAPE(MESSAGE_CHECK, check, check_check),
    SHAPE(MESSAGE_CHECKED, checked, NULL),
    SHAPE(MESSAGE_CAPTURE_STATE, capture_state, NULL),
    SHAPE(MESSAGE_FLUSH, flush, NULL),
    SHAPE(MESSAGE_FLUSHED, flushed, NULL),
    SHAPE(MESSAGE_CLOCK, clock, NULL),
    SHAPE(MESSAGE_ADMIN, admin, NULL),
    SHAPE(MESSAGE_ENROLL, enroll, check_enroll),
    SHAPE(MESSAGE_ENROLLED, enrolled, NULL),
};

const struct message_shape *message_shape(int type)
{
    if (type < 0 || (size_t)type >= sizeof(shapes) / sizeof(shapes[0]) || !shapes[type].name)
        return NULL;
    return &shapes[type];
}

const struct message_shape *message_request_shape(void)
{
    return &request_shape;
}

const char *message_type_name(int type)
{
    const struct message_shape *s = message_shape(type);
    return s ? s->name : "unknown";
}

bool message_type_is_known(int type)
{
    return message_shape(type) != NULL;
}

const char *capture_phase_name(int phase)
{
    static const char *const names[] = {
        [PHASE_PENDING] = "pending", [PHASE_REFUSED] = "refused", [PHASE_WAITING] = "waiting",
        [PHASE_RUNNING] = "running", [PHASE_STOPPED] = "stopped", [PHASE_FAILED] = "failed",
        [PHASE_MISSED] = "missed"};
    return phase >= PHASE_PENDING && phase <= PHASE_MISSED ? names[phase] : "unknown";
}

const char *capture_keep_name(int keep)
{
    static const char *const names[] = {[KEEP_PACKETS] = "packets", [KEEP_HEADERS] = "headers", [KEEP_FLOWS] = "flows"};
    return keep >= KEEP_PACKETS && keep <= KEEP_FLOWS ? names[keep] : "unknown";
}
