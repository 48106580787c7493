/* key: which flow a packet belongs to, and in which direction it goes. */
#include "common/packet/decode.h"
#include <string.h>

/* Whether the sender is endpoint 1. */
static bool swapped(const struct packet_net *net)
{
    bool icmp = net->proto == PROTO_ICMP || net->proto == PROTO_ICMP6;
    if (icmp && (net->port[0] || net->port[1]) && !packet_icmp_two_way(net->proto, (uint8_t)net->port[0]))
        return false;
    int order = memcmp(net->addr[0], net->addr[1], sizeof net->addr[0]);
    return order > 0 || (order == 0 && net->port[0] > net->port[1]);
}

static unsigned net_key(const struct packet *p, const struct packet_net *net, uint16_t ethertype, uint32_t interface,
                        struct flow_key *key)
{
    unsigned from = swapped(net);
    memcpy(key->addr[from], net->addr[0], sizeof net->addr[0]);
    memcpy(key->addr[1 - from], net->addr[1], sizeof net->addr[1]);
    key->port[from] = net->port[0];
    key->port[1 - from] = net->port[1];
    key->interface = interface;
    key->tunnel_id = p->tunnel_id;
    key->vlan[0] = p->vlan[0];
    key->vlan[1] = p->vlan[1];
    key->ethertype = ethertype;
    key->family = net->family;
    key->proto = net->proto;
    key->tunnel = (uint8_t)p->tunnel;
    key->has_ports = net->has_ports;
    memset(key->reserved, 0, sizeof key->reserved);
    return from;
}

unsigned packet_key(const struct packet *p, uint32_t interface, struct flow_key *key)
{
    uint16_t ethertype = p->ethertype;
    if (ethertype == 0)
        ethertype = p->lsap >> 8;
    return net_key(p, &p->net, ethertype, interface, key);
}

int packet_quoted_key(const struct packet *p, uint32_t interface, struct flow_key *key)
{
    if (p->quoted.family == FAMILY_NONE)
        return -1;
    uint16_t ethertype = p->quoted.family == FAMILY_IP6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4;
    return (int)net_key(p, &p->quoted, ethertype, interface, key);
}
