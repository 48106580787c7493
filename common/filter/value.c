/* value: what the texts of addresses, ports and protocols mean. Ports and protocols by the tables that libpcap asks,
 * with the common ones here for machines that have no /etc/services or /etc/protocols. */
#include "common/filter/parse.h"
#include <netdb.h>
#include <netinet/in.h>
#include <pcap/namedb.h>
#include <string.h>
#include <strings.h>

bool value_ip4(const char *text, uint32_t *addr, unsigned *bits)
{
    *addr = 0;
    *bits = 0;
    for (;;) {
        uint32_t part = 0;
        if (*text < '0' || *text > '9' || *bits == 32)
            return false;
        for (; *text >= '0' && *text <= '9'; text++) {
            part = part * 10 + (uint32_t)(*text - '0');
            if (part > 255)
                return false;
        }
        *addr = *addr << 8 | part;
        *bits += 8;
        if (*text == 0)
            return true;
        if (*text++ != '.')
            return false;
    }
}

struct known {
    const char *name;
    uint16_t number;
    uint8_t proto; /* of a port; 0: TCP and UDP */
};

static const struct known ports[] = {
    {"ftp", 21, PROTO_TCP},     {"ssh", 22, PROTO_TCP},
    {"telnet", 23, PROTO_TCP},  {"smtp", 25, PROTO_TCP},
    {"domain", 53, 0},          {"bootps", 67, PROTO_UDP},
    {"bootpc", 68, PROTO_UDP},  {"tftp", 69, PROTO_UDP},
    {"http", 80, PROTO_TCP},    {"kerberos", 88, 0},
    {"pop3", 110, PROTO_TCP},   {"sunrpc", 111, 0},
    {"ntp", 123, PROTO_UDP},    {"imap2", 143, PROTO_TCP},
    {"snmp", 161, 0},           {"snmp-trap", 162, 0},
    {"bgp", 179, PROTO_TCP},    {"ldap", 389, 0},
    {"https", 443, 0},          {"syslog", 514, PROTO_UDP},
    {"ldaps", 636, 0},          {"imaps", 993, PROTO_TCP},
    {"pop3s", 995, PROTO_TCP},  {"nfs", 2049, 0},
    {"mysql", 3306, PROTO_TCP}, {"postgresql", 5432, PROTO_TCP},
    {"sip", 5060, 0},           {"mdns", 5353, PROTO_UDP},
    {"redis", 6379, PROTO_TCP},
};

static const struct known ip_protocols[] = {
    {"icmp", 1, 0}, {"igmp", 2, 0},  {"tcp", 6, 0},        {"udp", 17, 0},  {"gre", 47, 0},   {"esp", 50, 0},
    {"ah", 51, 0},  {"ospf", 89, 0}, {"ipv6-icmp", 58, 0}, {"pim", 103, 0}, {"vrrp", 112, 0}, {"sctp", 132, 0},
};

/* libpcap's names that are no service access points of LLC. */
static const struct known ethertypes[] = {
    {"ip", ETHERTYPE_IP4, 0}, {"ip6", ETHERTYPE_IP6, 0}, {"arp", ETHERTYPE_ARP, 0}, {"rarp", ETHERTYPE_RARP, 0},
    {"aarp", 0x80f3, 0},      {"atalk", 0x809b, 0},      {"decnet", 0x6003, 0},     {"lat", 0x6004, 0},
    {"loopback", 0x9000, 0},  {"mopdl", 0x6001, 0},      {"moprc", 0x6002, 0},      {"sca", 0x6007, 0},
};

static const struct known *find(const struct known *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

#define FIND(table, name) find(table, sizeof table / sizeof *table, name)

bool value_port(const char *name, uint16_t *port, uint8_t *proto)
{
    int number, protocol;
    if (pcap_nametoport(name, &number, &protocol) && number >= 0 && number <= UINT16_MAX) {
        *port = (uint16_t)number;
        *proto = protocol == PROTO_TCP || protocol == PROTO_UDP || protocol == PROTO_SCTP ? (uint8_t)protocol : 0;
        return true;
    }
    const struct known *k = FIND(ports, name);
    if (k) {
        *port = k->number;
        *proto = k->proto;
    }
    return k;
}

bool value_ip_protocol(const char *name, uint8_t *number)
{
    struct protoent entry, *found = NULL;
    char buf[1024];
    if (getprotobyname_r(name, &entry, buf, sizeof buf, &found) == 0 && found) {
        *number = (uint8_t)entry.p_proto;
        return entry.p_proto >= 0 && entry.p_proto <= UINT8_MAX;
    }
    const struct known *k = FIND(ip_protocols, name);
    if (k)
        *number = (uint8_t)k->number;
    return k;
}

bool value_ethertype(const char *name, uint16_t *ethertype)
{
    const struct known *k = FIND(ethertypes, name);
    if (k)
        *ethertype = k->number;
    return k;
}
