/* originator: the rules in the order of the header, the first that decides wins. */
#include "agent/capture/originator.h"
#include <stdlib.h>

/* Services that are met on these ports so often that a packet from there is an answer. Ascending. */
static const uint16_t tcp_services[] = {
    20,   21,   22,    23,    25,    43,    49,    53,    70,    79,    80,    81,    88,   102,  110,  111,
    113,  119,  135,   139,   143,   179,   389,   443,   445,   465,   502,   513,   514,  515,  543,  544,
    548,  554,  563,   585,   587,   614,   631,   636,   853,   873,   989,   990,   992,  993,  995,  1080,
    1099, 1194, 1433,  1434,  1521,  1723,  1883,  2049,  2181,  2375,  2376,  2379,  2404, 2811, 3000, 3128,
    3260, 3268, 3269,  3306,  3389,  3690,  4222,  4444,  5000,  5060,  5061,  5222,  5223, 5269, 5432, 5601,
    5671, 5672, 5900,  5984,  5985,  5986,  6000,  6379,  6443,  6666,  6667,  6668,  6669, 6697, 7001, 8000,
    8008, 8080, 8081,  8086,  8088,  8123,  8443,  8500,  8883,  8888,  9000,  9042,  9090, 9092, 9100, 9200,
    9300, 9418, 10050, 10051, 10250, 11211, 15672, 20000, 27017, 44818, 50051, 61616,
};
static const uint16_t udp_services[] = {
    53,   67,   69,   88,   111,  123,  137,  138,  161,  162,  389,   443,   464,   500,
    514,  520,  623,  853,  1194, 1434, 1645, 1646, 1701, 1812, 1813,  1900,  2049,  2055,
    2123, 2152, 3074, 3478, 3544, 3702, 4433, 4500, 4739, 4789, 5004,  5060,  5061,  5246,
    5247, 5353, 5355, 5683, 6081, 6343, 8472, 9993, 9995, 9996, 11211, 20000, 47808, 51820,
};

/* ICMP types that ask for the type that answers them. */
static const uint8_t icmp_requests[] = {8, 10, 13, 15, 17, 42};
static const uint8_t icmp6_requests[] = {128, 130, 133, 135, 139, 144};

static int compare_ports(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

bool originator_known_port(uint8_t proto, uint16_t port)
{
    if (proto == PROTO_UDP)
        return bsearch(&port, udp_services, COUNT(udp_services), sizeof port, compare_ports);
    return proto == PROTO_TCP && bsearch(&port, tcp_services, COUNT(tcp_services), sizeof port, compare_ports);
}

static bool is_group(const struct flow_key *key, unsigned endpoint)
{
    const uint8_t *a = key->addr[endpoint];
    if (key->family == FAMILY_IP4)
        return a[0] >= 224; /* multicast, and the broadcast 255.255.255.255 */
    return key->family == FAMILY_IP6 ? a[0] == 0xff : key->family == FAMILY_LINK && (a[0] & 1);
}

static bool is_request(const struct packet *p)
{
    const uint8_t *types = p->net.proto == PROTO_ICMP ? icmp_requests : icmp6_requests;
    size_t count = p->net.proto == PROTO_ICMP ? COUNT(icmp_requests) : COUNT(icmp6_requests);
    for (size_t i = 0; i < count; i++)
        if (types[i] == p->icmp_type)
            return true;
    return false;
}

/* Who asked, if the packet says so: the sender (1), the receiver (-1), or not known (0). */
static int by_packet(const struct packet *p)
{
    if (p->has_tcp && (p->tcp_flags & TCP_SYN))
        return p->tcp_flags & TCP_ACK ? -1 : 1;
    if (p->has_icmp && packet_icmp_two_way(p->net.proto, p->icmp_type))
        return is_request(p) ? 1 : -1;
    return 0;
}

static bool lower_port_tells(const struct flow_key *key)
{
    uint16_t low = key->port[0] < key->port[1] ? key->port[0] : key->port[1];
    uint16_t high = key->port[0] < key->port[1] ? key->port[1] : key->port[0];
    return low != high && (key->proto == PROTO_TCP || (low < 1024 && high >= 1024));
}

static bool listens(const struct listeners *l, const struct flow_key *key, unsigned endpoint)
{
    return key->proto == PROTO_TCP && listeners_has(l, key->family, key->addr[endpoint], key->port[endpoint]);
}

unsigned originator_choose(const struct listeners *listeners, const struct packet *p, const struct flow_key *key,
                           unsigned sender, enum originator_by *by)
{
    int told = by_packet(p);
    bool group = is_group(key, !sender);
    *by = ORIGINATOR_SYN;
    if (told > 0 || (told < 0 && !group))
        return told > 0 ? sender : !sender;
    *by = ORIGINATOR_FIRST_SEEN;
    if (!key->has_ports || group)
        return sender;
    bool waits[2] = {listens(listeners, key, 0), listens(listeners, key, 1)};
    if (waits[0] != waits[1]) {
        *by = ORIGINATOR_LISTENING;
        return waits[0];
    }
    bool known[2] = {originator_known_port(key->proto, key->port[0]), originator_known_port(key->proto, key->port[1])};
    if (known[0] != known[1]) {
        *by = ORIGINATOR_KNOWN_PORT;
        return known[0];
    }
    if (!lower_port_tells(key))
        return sender;
    *by = ORIGINATOR_LOWER_PORT;
    return key->port[0] < key->port[1];
}
