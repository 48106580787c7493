#include "tests/unit/flow_table_support.h"

#include <string.h>

struct flow_table *table_with(const struct flow_table_options *o)
{
    struct flow_table *t;
    assert_int_equal(flow_table_new(o, &t, NULL), 0);
    return t;
}

struct flow_table *table_of(uint32_t max_flows)
{
    struct flow_table_options o = {.epoch = {1, 2, 3}, .max_flows = max_flows};
    return table_with(&o);
}

void table_give_on(struct flow_table *t, struct build *b, uint32_t interface, double seconds, uint32_t frame)
{
    struct packet p;
    packet_decode(ETHERNET, build_data(b), build_length(b), build_length(b), &p);
    uint64_t time_ns = T0 + (uint64_t)(int64_t)(seconds * 1e9);
    (void)flow_table_advance(t, time_ns);
    flow_table_packet(t, &p, interface, time_ns, frame);
}

void table_give(struct flow_table *t, struct build *b, double seconds)
{
    table_give_on(t, b, 0, seconds, FLOW_FRAME_NONE);
}

struct build packet_tcp(const char *from, unsigned from_port, const char *to, unsigned to_port, unsigned flags,
                        uint32_t seq, size_t payload)
{
    struct build b = build_new();
    build_payload(&b, payload);
    uint8_t *h = build_tcp(&b, from_port, to_port, flags);
    build_put32(h + 4, seq);
    build_ip4(&b, PROTO_TCP, from, to);
    build_ethernet(&b, ETHERTYPE_IP4);
    return b;
}

struct build packet_udp(const char *from, unsigned from_port, const char *to, unsigned to_port, size_t payload)
{
    struct build b = build_new();
    build_payload(&b, payload);
    build_udp(&b, from_port, to_port);
    build_ip4(&b, PROTO_UDP, from, to);
    build_ethernet(&b, ETHERTYPE_IP4);
    return b;
}

struct flow_row *table_rows(struct flow_table *t, size_t count)
{
    struct flow_row *rows;
    size_t n;
    assert_int_equal(flow_table_rows(t, &rows, &n, NULL), 0);
    assert_int_equal(n, count);
    return rows;
}

struct build packet_icmp_error(const char *router, struct build *quoted)
{
    struct build b = build_new();
    size_t length = 28; /* the quoted header and 8 bytes, without its Ethernet header */
    memcpy(build_zero(&b, length), build_data(quoted) + 14, length);
    build_icmp(&b, 3, 1);
    build_ip4(&b, PROTO_ICMP, router, A);
    build_ethernet(&b, ETHERTYPE_IP4);
    return b;
}
