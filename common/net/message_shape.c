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
    FIELD(message_query, Query, FIELD_U8, kind, QUERY_AGENTS, QUERY_EXPORT),
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
};

const struct message_shape *message_shape(int type)
{
    if (type < 0 || (size_t)type >= sizeof(shapes) / sizeof(shapes[0]) || !shapes[type].name)
        return NULL;
    return &shapes[type];
}

const char *message_type_name(int type)
{
    const struct message_shape *s = message_shape(type);
    return s ? s->name : "unknown";
}
