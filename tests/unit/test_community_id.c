/* community_id: the specification's published baselines. */
#include "common/packet/community_id.h"
#include "tests/unit/support.h"
#include <arpa/inet.h>
#include <string.h>

struct baseline {
    uint8_t proto;
    const char *from, *to;
    int from_port, to_port; /* ICMP: type and code; -1: none */
    const char *id, *id_seed1;
};

#define LL1 "fe80::200:86ff:fe05:80da"
#define LL2 "fe80::260:97ff:fe07:69ea"
#define G1  "3ffe:507:0:1:200:86ff:fe05:80da"
#define G2  "3ffe:501:0:1001::2"
#define M1  "2001:470:e5bf:dead:4957:2174:e82c:4887"
#define M2  "2607:f8b0:400c:c03::1a"

/* From the specification's baseline_deflt.json and baseline_seed1.json. */
static const struct baseline baselines[] = {
    {58, LL1, LL2, 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=", "1:kHa1FhMYIT6Ym2Vm2AOtoOARDzY="},
    {58, LL2, LL1, 136, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=", "1:kHa1FhMYIT6Ym2Vm2AOtoOARDzY="},
    {58, LL2, LL1, 135, 0, "1:zavyT/cezQr1fmImYCwYnMXbgck=", "1:2hSqmsDZ2kdcY9kbiUzOEBic0iM="},
    {58, LL1, LL2, 136, 0, "1:zavyT/cezQr1fmImYCwYnMXbgck=", "1:2hSqmsDZ2kdcY9kbiUzOEBic0iM="},
    {58, "3ffe:501:1800:2345::2", G1, 3, 0, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ=", "1:lVEtCZpYu84Xqaa++3lXFyuu2n4="},
    {58, "3ffe:501:410:0:2c0:dfff:fe47:33e", G1, 1, 4,
     "1:hLZd0XGWojozrvxqE0dWB1iM6R0=", "1:W8MHwXpWzpoSTD+cGcaJr4u0ys8="},
    {58, G1, G2, 128, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg=", "1:GfZxjAkDk2MkegpBYHV6tadtFXQ="},
    {58, G2, G1, 129, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg=", "1:GfZxjAkDk2MkegpBYHV6tadtFXQ="},
    {58, LL1, "ff02::2", 133, 0, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0=", "1:L7Ka0ZMYu+J3bL4ulW2PrqyXNo8="},
    {58, LL2, "ff02::1", 134, 0, "1:pkvHqCL88/tg1k4cPigmZXUtL00=", "1:K/ee5UCqAMAQXDorP5nSa2CGLjc="},
    {1, "192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=", "1:03g6IloqVBdcZlPyX8r0hgoE7kA="},
    {1, "192.168.0.1", "192.168.0.89", 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=", "1:03g6IloqVBdcZlPyX8r0hgoE7kA="},
    {1, "10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM=", "1:XjUibYHaafLQ3pxQeiMI8g25q20="},
    {6, M1, M2, 63943, 25, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=", "1:eJYTW6AOzFLlSUoESovMjnu7rMw="},
    {6, M2, M1, 25, 63943, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=", "1:eJYTW6AOzFLlSUoESovMjnu7rMw="},
    {132, "192.168.170.8", "192.168.170.56", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=", "1:5w3ZRjeKBzqT3zsaEECDGjUbYeg="},
    {132, "192.168.170.56", "192.168.170.8", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=", "1:5w3ZRjeKBzqT3zsaEECDGjUbYeg="},
    {6, "128.232.110.120", "66.35.250.204", 34855, 80,
     "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "1:3V71V58M3Ksw/yuFALMcW0LAHvc="},
    {6, "66.35.250.204", "128.232.110.120", 80, 34855,
     "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "1:3V71V58M3Ksw/yuFALMcW0LAHvc="},
    {17, "192.168.1.52", "8.8.8.8", 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ=", "1:Q9We8WO3piVF8yEQBNJF4uiSVrI="},
    {17, "8.8.8.8", "192.168.1.52", 53, 54585, "1:d/FP5EW3wiY1vCndhwleRRKHowQ=", "1:Q9We8WO3piVF8yEQBNJF4uiSVrI="},
    {46, "10.1.12.1", "10.1.12.2", -1, -1, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw=", "1:rYir8gphR31noO9iDRQmF/BteEI="},
    {46, "10.1.12.2", "10.1.12.1", -1, -1, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw=", "1:rYir8gphR31noO9iDRQmF/BteEI="},
};

static void put16(uint8_t *at, int v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

/* Makes the packet, and decodes it: key and id as they come about in life. */
static struct flow_key key_of(const struct baseline *b)
{
    uint8_t data[80] = {0}, *h = data;
    bool six = strchr(b->from, ':') != NULL;
    uint32_t length = six ? 80 : 60;
    if (six) {
        h[0] = 0x60;
        put16(h + 4, 40);
        h[6] = b->proto;
        assert_int_equal(inet_pton(AF_INET6, b->from, h + 8), 1);
        assert_int_equal(inet_pton(AF_INET6, b->to, h + 24), 1);
        h += 40;
    } else {
        h[0] = 0x45;
        put16(h + 2, 60);
        h[9] = b->proto;
        assert_int_equal(inet_pton(AF_INET, b->from, h + 12), 1);
        assert_int_equal(inet_pton(AF_INET, b->to, h + 16), 1);
        h += 20;
    }
    if (b->proto == PROTO_ICMP || b->proto == PROTO_ICMP6) {
        h[0] = (uint8_t)b->from_port;
        h[1] = (uint8_t)b->to_port;
    } else if (b->from_port >= 0) {
        put16(h, b->from_port);
        put16(h + 2, b->to_port);
        put16(h + 4, b->proto == PROTO_UDP ? 40 : 0);
        h[12] = 0x50;
    }
    struct packet p;
    struct flow_key key;
    packet_decode(101, data, length, length, &p);
    assert_int_equal(p.end, PACKET_OK);
    (void)packet_key(&p, 5, &key);
    return key;
}

static void baselines_hold(void **state)
{
    (void)state;
    char id[COMMUNITY_ID_SIZE];
    for (size_t i = 0; i < sizeof baselines / sizeof *baselines; i++) {
        struct flow_key key = key_of(&baselines[i]);
        assert_true(community_id(&key, 0, id));
        assert_string_equal(id, baselines[i].id);
        assert_true(community_id_valid(id));
        assert_true(community_id(&key, 1, id));
        assert_string_equal(id, baselines[i].id_seed1);
    }
}

static void nothing_but_the_flow_counts(void **state)
{
    (void)state;
    struct flow_key key = key_of(&baselines[17]);
    char id[COMMUNITY_ID_SIZE];
    key.interface = 77;
    key.vlan[0] = 5;
    key.tunnel = TUNNEL_GRE;
    key.tunnel_id = 9;
    assert_true(community_id(&key, 0, id));
    assert_string_equal(id, baselines[17].id);
}

static void flows_without_an_id(void **state)
{
    (void)state;
    char id[COMMUNITY_ID_SIZE] = "x";
    struct flow_key later = key_of(&baselines[17]);
    later.has_ports = 0;
    later.port[0] = later.port[1] = 0;
    assert_false(community_id(&later, 0, id));
    assert_string_equal(id, "");
    struct flow_key icmp_later = key_of(&baselines[10]);
    icmp_later.port[0] = icmp_later.port[1] = 0;
    assert_false(community_id(&icmp_later, 0, id));
    struct flow_key arp = {.family = FAMILY_IP4, .ethertype = ETHERTYPE_ARP};
    assert_false(community_id(&arp, 0, id));
    struct flow_key lldp = {.family = FAMILY_LINK, .ethertype = 0x88cc};
    assert_false(community_id(&lldp, 0, id));
    struct flow_key broken = {.family = FAMILY_LINK, .ethertype = ETHERTYPE_IP4};
    assert_false(community_id(&broken, 0, id));
}

static void the_form_of_an_id(void **state)
{
    (void)state;
    assert_true(community_id_valid("1:LQU9qZlK+B5F3KDmev6m5PMibrg="));
    static const char *const wrong[] = {
        "",
        "1",
        "1:",
        "2:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        "1:LQU9qZlK+B5F3KDmev6m5PMibrg",
        "1:LQU9qZlK+B5F3KDmev6m5PMibrg==",
        "1:LQU9qZlK+B5F3KDmev6m5PMibrh=", /* bits beyond the 20th byte */
        "1:LQU9qZlK+B5F3KDmev6m5PMibr=",
        "1:LQU9qZlK+B5F3KDmev6m5PMib!g=",
        "1:LQU9qZlK+B5F3KDmev6m5PMibrgA",
        " 1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(community_id_valid(wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(baselines_hold),
        cmocka_unit_test(nothing_but_the_flow_counts),
        cmocka_unit_test(flows_without_an_id),
        cmocka_unit_test(the_form_of_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
