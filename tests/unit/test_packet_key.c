/* packet: flow keys, and names for what is in them. */
#include "tests/unit/packet_expect.h"

static struct packet datagram_between(const char *from, unsigned from_port, const char *to, unsigned to_port)
{
    struct build b = build_new();
    build_udp(&b, from_port, to_port);
    build_ip4(&b, PROTO_UDP, from, to);
    return decode(&b, 101);
}

static struct packet icmp_between(unsigned type, unsigned code, const char *from, const char *to)
{
    struct build b = build_new();
    build_icmp(&b, type, code);
    build_ip4(&b, PROTO_ICMP, from, to);
    return decode(&b, 101);
}

static void both_directions_share_a_key(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        unsigned from_port, to_port, direction;
    } cases[] = {
        {"10.0.0.1", "10.0.0.2", 5000, 53, 0},  {"10.0.0.2", "10.0.0.1", 53, 5000, 1},
        {"10.0.0.9", "10.0.0.10", 1, 2, 0},     {"10.0.0.1", "10.0.0.1", 53, 5000, 0},
        {"10.0.0.1", "10.0.0.1", 5000, 53, 1},  {"10.0.0.1", "10.0.0.1", 53, 53, 0},
        {"9.255.255.255", "10.0.0.0", 2, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flow_key key, back;
        struct packet p = datagram_between(cases[i].from, cases[i].from_port, cases[i].to, cases[i].to_port);
        assert_int_equal(packet_key(&p, 3, &key), cases[i].direction);
        p = datagram_between(cases[i].to, cases[i].to_port, cases[i].from, cases[i].from_port);
        (void)packet_key(&p, 3, &back);
        assert_memory_equal(&key, &back, sizeof key);
        assert_true(memcmp(key.addr[0], key.addr[1], 16) <= 0);
    }
}

static void a_key_holds_what_it_says(void **state)
{
    (void)state;
    struct build b = datagram();
    build_ethernet(&b, ETHERTYPE_IP4);
    build_hex(&b, "08000000 000007 00");
    build_udp(&b, 50000, 4789);
    build_ip4(&b, PROTO_UDP, "192.0.2.1", "192.0.2.2");
    build_vlan(&b, 20, ETHERTYPE_IP4);
    build_vlan(&b, 10, 0x8100);
    build_ethernet(&b, 0x88a8);
    struct packet p = decode(&b, 1);
    struct flow_key key, other;
    memset(&key, 0xff, sizeof key); /* what was there before leaves no trace */
    assert_int_equal(packet_key(&p, 9, &key), 0);
    static const uint8_t a[16] = {10, 0, 0, 1}, c[16] = {10, 0, 0, 2};
    assert_memory_equal(key.addr[0], a, 16);
    assert_memory_equal(key.addr[1], c, 16);
    assert_int_equal(key.port[0], 1000);
    assert_int_equal(key.port[1], 53);
    assert_int_equal(key.interface, 9);
    assert_int_equal(key.tunnel_id, 7);
    assert_int_equal(key.vlan[0], 10);
    assert_int_equal(key.vlan[1], 20);
    assert_int_equal(key.ethertype, ETHERTYPE_IP4);
    assert_int_equal(key.family, FAMILY_IP4);
    assert_int_equal(key.proto, PROTO_UDP);
    assert_int_equal(key.tunnel, TUNNEL_VXLAN);
    assert_int_equal(key.has_ports, 1);
    assert_int_equal(key.reserved[0] | key.reserved[1], 0);
    (void)packet_key(&p, 8, &other);
    assert_memory_not_equal(&key, &other, sizeof key);
}

static void icmp_keys(void **state)
{
    (void)state;
    struct flow_key key, back;
    struct packet p = icmp_between(8, 0, "10.0.0.2", "10.0.0.1");
    assert_int_equal(packet_key(&p, 0, &key), 1);
    assert_int_equal(key.port[1], 8); /* who asked */
    assert_int_equal(key.port[0], 0);
    p = icmp_between(0, 0, "10.0.0.1", "10.0.0.2");
    assert_int_equal(packet_key(&p, 0, &back), 0);
    assert_memory_equal(&key, &back, sizeof key);

    p = icmp_between(8, 0, "10.0.0.1", "10.0.0.2"); /* the other one asks: another flow */
    (void)packet_key(&p, 0, &back);
    assert_memory_not_equal(&key, &back, sizeof key);

    p = icmp_between(3, 1, "10.0.0.2", "10.0.0.1"); /* no counterpart: the sender is endpoint 0 */
    assert_int_equal(packet_key(&p, 0, &key), 0);
    assert_int_equal(key.addr[0][3], 2);
    assert_int_equal(key.port[0], 3);
    assert_int_equal(key.port[1], 1);
}

static void icmp_counterparts(void **state)
{
    (void)state;
    static const uint8_t two_way4[] = {0, 8, 9, 10, 13, 14, 15, 16, 17, 18};
    static const uint8_t two_way6[] = {128, 129, 130, 131, 133, 134, 135, 136, 139, 140, 144, 145};
    unsigned count = 0;
    for (unsigned type = 0; type < 256; type++)
        count += packet_icmp_two_way(PROTO_ICMP, (uint8_t)type) + packet_icmp_two_way(PROTO_ICMP6, (uint8_t)type);
    assert_int_equal(count, sizeof two_way4 + sizeof two_way6);
    for (size_t i = 0; i < sizeof two_way4; i++)
        assert_true(packet_icmp_two_way(PROTO_ICMP, two_way4[i]));
    for (size_t i = 0; i < sizeof two_way6; i++)
        assert_true(packet_icmp_two_way(PROTO_ICMP6, two_way6[i]));
}

static void an_error_leads_to_its_flow(void **state)
{
    (void)state;
    struct build b = datagram();
    build_vlan(&b, 5, ETHERTYPE_IP4);
    build_ethernet(&b, 0x8100);
    struct packet sent = decode(&b, 1);
    b = datagram();
    build_icmp(&b, 3, 3);
    build_ip4(&b, PROTO_ICMP, B4, A4);
    build_vlan(&b, 5, ETHERTYPE_IP4);
    build_ethernet(&b, 0x8100);
    struct packet error = decode(&b, 1);
    struct flow_key key, quoted;
    unsigned direction = packet_key(&sent, 2, &key);
    assert_int_equal(packet_quoted_key(&error, 2, &quoted), direction);
    assert_memory_equal(&key, &quoted, sizeof key);
    assert_int_equal(packet_quoted_key(&sent, 2, &quoted), -1);
}

static void later_fragments_have_a_flow_of_their_own(void **state)
{
    (void)state;
    struct build b = datagram();
    struct packet first = decode(&b, 101);
    build_put16(build_data(&b) + 6, 100);
    struct packet later = decode(&b, 101);
    struct flow_key key, other;
    (void)packet_key(&first, 0, &key);
    (void)packet_key(&later, 0, &other);
    assert_int_equal(key.has_ports, 1);
    assert_int_equal(other.has_ports, 0);
    assert_int_equal(other.port[0] | other.port[1], 0);
    assert_int_equal(other.proto, PROTO_UDP);
}

static struct flow_key link_key(int link_type, unsigned type, const char *payload)
{
    struct build b = build_new();
    build_hex(&b, payload);
    if (link_type == 1)
        build_ethernet(&b, type);
    struct packet p = decode(&b, link_type);
    struct flow_key key;
    (void)packet_key(&p, 0, &key);
    return key;
}

static void keys_without_ip(void **state)
{
    (void)state;
    struct flow_key key = link_key(1, 0x88cc, "0000");
    assert_int_equal(key.family, FAMILY_LINK);
    assert_int_equal(key.ethertype, 0x88cc);
    assert_int_equal(key.addr[0][5], 1);
    assert_int_equal(key.addr[1][5], 2);
    assert_int_equal(link_key(1, 3, "424203").ethertype, 0x42);
    assert_int_equal(link_key(1, 3, "fe0203").ethertype, 0xfe);
    assert_int_equal(link_key(1, 8, "aaaa03 00000c 2000").ethertype, 0xaa);
    key = link_key(147, 0, "00112233");
    struct flow_key nothing = {.vlan = {VLAN_NONE, VLAN_NONE}};
    assert_memory_equal(&key, &nothing, sizeof key);
}

static void names(void **state)
{
    (void)state;
    static const struct {
        uint8_t family, proto;
        uint16_t ethertype;
        const char *name;
    } protocols[] = {
        {FAMILY_IP4, 6, 0x0800, "tcp"},   {FAMILY_IP6, 58, 0x86dd, "icmp6"},  {FAMILY_IP4, 132, 0x0800, "sctp"},
        {FAMILY_IP4, 253, 0x0800, "253"}, {FAMILY_IP4, 0, 0x0806, "arp"},     {FAMILY_LINK, 0, 0x88cc, "lldp"},
        {FAMILY_LINK, 0, 0x42, "stp"},    {FAMILY_LINK, 0, 0x4321, "0x4321"}, {FAMILY_LINK, 0, 0x0800, "ip"},
        {FAMILY_NONE, 0, 0, "0x0000"},
    };
    char text[64];
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        struct flow_key key = {
            .family = protocols[i].family, .proto = protocols[i].proto, .ethertype = protocols[i].ethertype};
        assert_string_equal(packet_proto_name(&key, text, sizeof text), protocols[i].name);
    }
    assert_string_equal(packet_link_name(1, text, sizeof text), "EN10MB");
    assert_string_equal(packet_link_name(101, text, sizeof text), "RAW");
    assert_string_equal(packet_link_name(276, text, sizeof text), "LINUX_SLL2");
    assert_string_equal(packet_link_name(147, text, sizeof text), "LINKTYPE 147");
    assert_string_equal(packet_link_name(-1, text, sizeof text), "LINKTYPE -1");
    assert_string_equal(packet_tunnel_name(TUNNEL_GENEVE), "geneve");
    assert_string_equal(packet_tunnel_name((enum packet_tunnel)9), "unknown");
}

static void addresses_as_text(void **state)
{
    (void)state;
    static const struct {
        uint8_t family, addr[16];
        const char *text;
    } cases[] = {
        {FAMILY_IP4, {192, 0, 2, 1}, "192.0.2.1"},
        {FAMILY_LINK, {2, 0, 0xab, 0, 0, 1}, "02:00:ab:00:00:01"},
        {FAMILY_NONE, {1, 2}, "-"},
        {FAMILY_IP6, {0}, "::"},
        {FAMILY_IP6, {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, "2001:db8:0:1:1:1:1:1"},
        {FAMILY_IP6, {0x20, 1, 0x0d, 0xb8, [7] = 1, [15] = 1}, "2001:db8:0:1::1"},
        {FAMILY_IP6, {0xfe, 0x80, [14] = 0xAB, [15] = 0xCD}, "fe80::abcd"},
    };
    char text[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(packet_addr_text(cases[i].family, cases[i].addr, text, sizeof text), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_share_a_key),
        cmocka_unit_test(a_key_holds_what_it_says),
        cmocka_unit_test(icmp_keys),
        cmocka_unit_test(icmp_counterparts),
        cmocka_unit_test(an_error_leads_to_its_flow),
        cmocka_unit_test(later_fragments_have_a_flow_of_their_own),
        cmocka_unit_test(keys_without_ip),
        cmocka_unit_test(names),
        cmocka_unit_test(addresses_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
