#include "common/rows/field_derived.h"

#include "common/packet/community_id.h"

#include <stdio.h>
#include <string.h>

unsigned field_endpoint(const struct flow_row *row, int side)
{
    unsigned originator = column_has(&row->has, FLOW_ORIGINATOR) ? row->originator & 1 : 0;
    return side == FIELD_RESP ? 1 - originator : originator;
}

static bool has(const struct flow_row *row, unsigned id)
{
    return column_has(&row->has, id);
}

static bool is_icmp(const struct flow_row *row)
{
    const struct flow_key *key = &row->key;
    return (key->family == FAMILY_IP4 && key->proto == PROTO_ICMP) ||
           (key->family == FAMILY_IP6 && key->proto == PROTO_ICMP6);
}

/* --- Addresses and ports ----------------------------------------------------------------------------------------- */

static size_t address(const struct flow_row *row, int side, char *buf, size_t len)
{
    unsigned end = field_endpoint(row, side);
    if (!has(row, FLOW_ADDR_0 + end) || !has(row, FLOW_FAMILY) || row->key.family == FAMILY_NONE)
        return 0;
    char text[64];
    packet_addr_text(row->key.family, row->key.addr[end], text, sizeof(text));
    return (size_t)snprintf(buf, len, "%s", text);
}

static bool port(const struct flow_row *row, int side, uint64_t *value)
{
    unsigned end = field_endpoint(row, side);
    if (!has(row, FLOW_PORT_0 + end) || !has(row, FLOW_HAS_PORTS) || !row->key.has_ports)
        return false;
    *value = row->key.port[end];
    return true;
}

/* "10.0.0.1:80", "[2001:db8::1]:80"; the address alone where there are no ports. */
static size_t endpoint(const struct flow_row *row, int side, char *buf, size_t len)
{
    char text[64];
    uint64_t number;
    if (address(row, side, text, sizeof(text)) == 0)
        return 0;
    if (!port(row, side, &number))
        return (size_t)snprintf(buf, len, "%s", text);
    bool brackets = row->key.family == FAMILY_IP6;
    return (size_t)snprintf(buf, len, "%s%s%s:%u", brackets ? "[" : "", text, brackets ? "]" : "", (unsigned)number);
}

static size_t client(const struct flow_row *row, char *buf, size_t len)
{
    return endpoint(row, FIELD_ORIG, buf, len);
}

static size_t server(const struct flow_row *row, char *buf, size_t len)
{
    return endpoint(row, FIELD_RESP, buf, len);
}

static size_t orig_addr(const struct flow_row *row, char *buf, size_t len)
{
    return address(row, FIELD_ORIG, buf, len);
}

static size_t resp_addr(const struct flow_row *row, char *buf, size_t len)
{
    return address(row, FIELD_RESP, buf, len);
}

static bool orig_port(const struct flow_row *row, uint64_t *value)
{
    return port(row, FIELD_ORIG, value);
}

static bool resp_port(const struct flow_row *row, uint64_t *value)
{
    return port(row, FIELD_RESP, value);
}

/* Whether port[] of the key holds what an ICMP header said; both 0 stand for a header that was not read. */
static bool icmp_known(const struct flow_row *row)
{
    return has(row, FLOW_PROTO) && has(row, FLOW_FAMILY) && has(row, FLOW_PORT_0) && has(row, FLOW_PORT_1) &&
           is_icmp(row) && (row->key.port[0] || row->key.port[1]);
}

static bool icmp_two_way(const struct flow_row *row)
{
    return packet_icmp_two_way(row->key.proto, (uint8_t)row->key.port[0]);
}

static bool icmp_type(const struct flow_row *row, uint64_t *value)
{
    if (!icmp_known(row))
        return false;
    *value = row->key.port[icmp_two_way(row) ? field_endpoint(row, FIELD_ORIG) : 0];
    return true;
}

static bool icmp_code(const struct flow_row *row, uint64_t *value)
{
    if (!icmp_known(row) || icmp_two_way(row))
        return false;
    *value = row->key.port[1];
    return true;
}

/* --- The rest of the key ----------------------------------------------------------------------------------------- */

static size_t proto_text(const struct flow_row *row, char *buf, size_t len)
{
    if (!has(row, FLOW_PROTO) || !has(row, FLOW_FAMILY) || !has(row, FLOW_ETHERTYPE))
        return 0;
    char text[64];
    packet_proto_name(&row->key, text, sizeof(text));
    return (size_t)snprintf(buf, len, "%s", text);
}

static bool proto_number(const struct flow_row *row, uint64_t *value)
{
    *value = row->key.proto;
    return has(row, FLOW_PROTO) && has(row, FLOW_FAMILY) &&
           (row->key.family == FAMILY_IP4 || row->key.family == FAMILY_IP6);
}

static size_t ethertype_text(const struct flow_row *row, char *buf, size_t len)
{
    return has(row, FLOW_ETHERTYPE) ? (size_t)snprintf(buf, len, "0x%04x", row->key.ethertype) : 0;
}

static bool vlan_outer(const struct flow_row *row, uint64_t *value)
{
    *value = row->key.vlan[0];
    return has(row, FLOW_VLAN_0) && row->key.vlan[0] != VLAN_NONE;
}

static bool vlan_inner(const struct flow_row *row, uint64_t *value)
{
    *value = row->key.vlan[1];
    return has(row, FLOW_VLAN_1) && row->key.vlan[1] != VLAN_NONE;
}

static bool tunnel(const struct flow_row *row, uint64_t *value)
{
    *value = row->key.tunnel;
    return has(row, FLOW_TUNNEL) && row->key.tunnel != TUNNEL_NONE;
}

static bool tunnel_id(const struct flow_row *row, uint64_t *value)
{
    *value = row->key.tunnel_id;
    return has(row, FLOW_TUNNEL_ID) && has(row, FLOW_TUNNEL) && row->key.tunnel != TUNNEL_NONE;
}

static size_t community(const struct flow_row *row, char *buf, size_t len)
{
    static const uint8_t needed[] = {FLOW_ADDR_0, FLOW_ADDR_1, FLOW_PORT_0,   FLOW_PORT_1,
                                     FLOW_FAMILY, FLOW_PROTO,  FLOW_HAS_PORTS};
    for (size_t i = 0; i < sizeof(needed); i++)
        if (!has(row, needed[i]))
            return 0;
    char text[COMMUNITY_ID_SIZE];
    return community_id(&row->key, 0, text) ? (size_t)snprintf(buf, len, "%s", text) : 0;
}

static size_t id_text(const struct flow_row *row, char *buf, size_t len)
{
    return has(row, FLOW_ID) ? (size_t)snprintf(buf, len, "%016llx", (unsigned long long)row->flow_id) : 0;
}

/* --- What happened ----------------------------------------------------------------------------------------------- */

static bool duration(const struct flow_row *row, uint64_t *value)
{
    if (!has(row, FLOW_START) || !has(row, FLOW_LAST))
        return false;
    *value = row->last_ns > row->start_ns ? row->last_ns - row->start_ns : 0;
    return true;
}

static bool state(const struct flow_row *row, uint64_t *value)
{
    *value = row->state;
    return has(row, FLOW_STATE) && row->state != FLOW_STATE_UNKNOWN;
}

static bool flags_of(const struct flow_row *row, int side, uint64_t *value)
{
    bool known = false;
    *value = 0;
    for (unsigned i = 0; i < 2; i++)
        if ((side == FIELD_BOTH || i == field_endpoint(row, side)) && has(row, FLOW_TCP_FLAGS_0 + i)) {
            *value |= row->tcp_flags[i];
            known = true;
        }
    return known;
}

static size_t flags_text(bool known, uint64_t flags, char *buf, size_t len)
{
    static const char letters[] = "FSRPAUEC"; /* by bit */
    char text[9];
    size_t n = 0;
    for (unsigned bit = 8; known && bit-- > 0;)
        if (flags >> bit & 1)
            text[n++] = letters[bit];
    text[n] = 0;
    return (size_t)snprintf(buf, len, "%s", text);
}

#define FLAGS(which, side)                                                                                             \
    static bool flags_##which(const struct flow_row *row, uint64_t *value)                                             \
    {                                                                                                                  \
        return flags_of(row, side, value);                                                                             \
    }                                                                                                                  \
    static size_t flags_##which##_text(const struct flow_row *row, char *buf, size_t len)                              \
    {                                                                                                                  \
        uint64_t flags = 0;                                                                                            \
        bool known = flags_of(row, side, &flags);                                                                      \
        return flags_text(known, flags, buf, len);                                                                     \
    }
FLAGS(both, FIELD_BOTH)
FLAGS(orig, FIELD_ORIG)
FLAGS(resp, FIELD_RESP)

static bool mean(bool known, uint64_t sum, uint64_t count, uint64_t *value)
{
    *value = known && count ? sum / count : 0;
    return known && count;
}

static bool rtt_of(const struct flow_row *row, int side, uint64_t *value)
{
    unsigned end = field_endpoint(row, side);
    bool known = has(row, FLOW_RTT_COUNT_0 + end) && has(row, FLOW_RTT_SUM_0 + end);
    return mean(known, row->rtt_sum[end], row->rtt_count[end], value);
}

static bool orig_rtt(const struct flow_row *row, uint64_t *value)
{
    return rtt_of(row, FIELD_ORIG, value);
}

static bool resp_rtt(const struct flow_row *row, uint64_t *value)
{
    return rtt_of(row, FIELD_RESP, value);
}

static bool wait_mean(const struct flow_row *row, uint64_t *value)
{
    return mean(has(row, FLOW_REPLIES) && has(row, FLOW_WAIT_SUM), row->wait_sum, row->replies, value);
}

/* --- The table --------------------------------------------------------------------------------------------------- */

#define TEXT(name_, fn)   .name = (name_), .kind = FIELD_TEXT, .text = (fn)
#define NUMBER(name_, fn) .name = (name_), .kind = FIELD_NUMBER, .number = (fn)
#define ENUM(name_, fn)   .name = (name_), .kind = FIELD_TEXT, .number = (fn)

const struct field_derived field_derived[] = {
    {{TEXT("id", id_text), .help = "names the flow: 16 hex digits"}, FLOW_ID, {FLOW_ID}},
    {{TEXT("orig_addr", orig_addr), .side = FIELD_ORIG, .help = "address of the originator (client)"},
     0,
     {FLOW_ADDR_0, FLOW_ADDR_1, FLOW_FAMILY, FLOW_ORIGINATOR}},
    {{NUMBER("orig_port", orig_port), .side = FIELD_ORIG, .help = "port of the originator (client)"},
     0,
     {FLOW_PORT_0, FLOW_PORT_1, FLOW_HAS_PORTS, FLOW_ORIGINATOR}},
    {{TEXT("resp_addr", resp_addr), .side = FIELD_RESP, .help = "address of the responder (server)"},
     0,
     {FLOW_ADDR_0, FLOW_ADDR_1, FLOW_FAMILY, FLOW_ORIGINATOR}},
    {{NUMBER("resp_port", resp_port), .side = FIELD_RESP, .help = "port of the responder (server)"},
     0,
     {FLOW_PORT_0, FLOW_PORT_1, FLOW_HAS_PORTS, FLOW_ORIGINATOR}},
    {{TEXT("client", client), .side = FIELD_ORIG, .help = "address and port of the originator"},
     0,
     {FLOW_ADDR_0, FLOW_ADDR_1, FLOW_PORT_0, FLOW_PORT_1, FLOW_HAS_PORTS, FLOW_FAMILY, FLOW_ORIGINATOR}},
    {{TEXT("server", server), .side = FIELD_RESP, .help = "address and port of the responder"},
     0,
     {FLOW_ADDR_0, FLOW_ADDR_1, FLOW_PORT_0, FLOW_PORT_1, FLOW_HAS_PORTS, FLOW_FAMILY, FLOW_ORIGINATOR}},
    {{.name = "proto", .kind = FIELD_TEXT, .number = proto_number, .text = proto_text},
     FLOW_PROTO,
     {FLOW_PROTO, FLOW_FAMILY, FLOW_ETHERTYPE}},
    {{NUMBER("icmp_type", icmp_type), .help = "ICMP type, of a query and its reply that of the query"},
     0,
     {FLOW_PORT_0, FLOW_PORT_1, FLOW_FAMILY, FLOW_PROTO, FLOW_ORIGINATOR}},
    {{NUMBER("icmp_code", icmp_code), .help = "ICMP code, of types that nothing replies to"},
     0,
     {FLOW_PORT_0, FLOW_PORT_1, FLOW_FAMILY, FLOW_PROTO}},
    {{TEXT("ethertype", ethertype_text)}, FLOW_ETHERTYPE, {FLOW_ETHERTYPE}},
    {{NUMBER("vlan", vlan_outer)}, FLOW_VLAN_0, {FLOW_VLAN_0}},
    {{NUMBER("inner_vlan", vlan_inner)}, FLOW_VLAN_1, {FLOW_VLAN_1}},
    {{ENUM("tunnel", tunnel)}, FLOW_TUNNEL, {FLOW_TUNNEL}},
    {{NUMBER("tunnel_id", tunnel_id)}, FLOW_TUNNEL_ID, {FLOW_TUNNEL_ID, FLOW_TUNNEL}},
    {{TEXT("community_id", community), .help = "Community ID v1, with seed 0"},
     0,
     {FLOW_ADDR_0, FLOW_ADDR_1, FLOW_PORT_0, FLOW_PORT_1, FLOW_FAMILY, FLOW_PROTO, FLOW_HAS_PORTS}},
    {{NUMBER("duration", duration), .unit = UNIT_NS, .is_measure = true,
      .help = "from the flow's start to its last packet in the time asked for"},
     0,
     {FLOW_START, FLOW_LAST}},
    {{ENUM("state", state), .is_measure = true}, FLOW_STATE, {FLOW_STATE}},
    {{TEXT("tcp_flags", flags_both_text), .number = flags_both, .is_measure = true},
     FLOW_TCP_FLAGS_0,
     {FLOW_TCP_FLAGS_0, FLOW_TCP_FLAGS_1}},
    {{TEXT("orig_tcp_flags", flags_orig_text), .number = flags_orig, .side = FIELD_ORIG, .is_measure = true,
      .help = "of the originator: TCP flags seen, of CEUAPRSF"},
     0,
     {FLOW_TCP_FLAGS_0, FLOW_TCP_FLAGS_1, FLOW_ORIGINATOR}},
    {{TEXT("resp_tcp_flags", flags_resp_text), .number = flags_resp, .side = FIELD_RESP, .is_measure = true,
      .help = "of the responder: TCP flags seen, of CEUAPRSF"},
     0,
     {FLOW_TCP_FLAGS_0, FLOW_TCP_FLAGS_1, FLOW_ORIGINATOR}},
    {{NUMBER("orig_rtt", orig_rtt), .unit = UNIT_NS, .side = FIELD_ORIG, .is_measure = true,
      .help = "mean round trip of what the originator sent: from where it was captured to the responder and back"},
     0,
     {FLOW_RTT_COUNT_0, FLOW_RTT_COUNT_1, FLOW_RTT_SUM_0, FLOW_RTT_SUM_1, FLOW_ORIGINATOR}},
    {{NUMBER("resp_rtt", resp_rtt), .unit = UNIT_NS, .side = FIELD_RESP, .is_measure = true,
      .help = "mean round trip of what the responder sent: from where it was captured to the originator and back"},
     0,
     {FLOW_RTT_COUNT_0, FLOW_RTT_COUNT_1, FLOW_RTT_SUM_0, FLOW_RTT_SUM_1, FLOW_ORIGINATOR}},
    {{NUMBER("wait", wait_mean), .unit = UNIT_NS, .is_measure = true,
      .help = "mean wait from a request's last byte to its reply's first"},
     0,
     {FLOW_REPLIES, FLOW_WAIT_SUM}},
};
const size_t field_derived_count = sizeof(field_derived) / sizeof(*field_derived);
