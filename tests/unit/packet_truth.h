/*
 * packet_truth: what must hold for any packet, by hand or by chance.
 */
#ifndef FLEETDUMP_TESTS_PACKET_TRUTH_H
#define FLEETDUMP_TESTS_PACKET_TRUTH_H

#include "common/packet/community_id.h"
#include "common/packet/packet.h"
#include <string.h>

#define TRUTH(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return #condition;                                                                                         \
    } while (0)

static inline bool truth_ip(const struct packet_net *net)
{
    return net->family == FAMILY_IP4 || net->family == FAMILY_IP6;
}

static inline bool truth_same_addresses(const struct packet_net *a, const struct packet_net *b)
{
    return a->family == b->family && memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

/* Headers that are looked through, so that the protocol is not known as long as one of them is the last read. */
static inline bool truth_extension(uint8_t proto)
{
    return proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60 || proto == 135 || proto == 139 ||
           proto == 140;
}

/* Returns what does not hold within p, or NULL. */
static inline const char *truth_of_packet(const struct packet *p)
{
    TRUTH(p->wire >= p->captured);
    TRUTH(!p->plain || (p->end == PACKET_OK && p->vlans == 0 && p->mpls == 0 && p->tunnel == TUNNEL_NONE));
    TRUTH((p->tunnel == TUNNEL_NONE) == (p->outer.family == FAMILY_NONE));
    TRUTH(p->net_offset <= p->captured && p->transport_offset <= p->captured);
    TRUTH(p->payload_offset == 0 || p->payload_offset >= p->transport_offset);
    TRUTH(p->payload_length == 0 || p->payload_length <= p->wire - p->net_offset);
    TRUTH(!p->has_tcp || p->payload_offset >= p->transport_offset + 20);
    TRUTH(!(p->has_tcp && p->has_icmp));
    TRUTH(p->quoted.family == FAMILY_NONE || p->has_icmp);
    TRUTH(p->net.fragment != FRAGMENT_LATER || (!p->net.has_ports && p->transport_offset == 0));
    TRUTH(p->vlans > 0 || p->vlan[0] == VLAN_NONE);
    TRUTH(p->vlans > 1 || p->vlan[1] == VLAN_NONE);
    return NULL;
}

/* Returns what does not hold for the keys and ids of p, or NULL. */
static inline const char *truth_of_key(const struct packet *p)
{
    struct flow_key key, back_key;
    struct packet back = *p;
    char id[COMMUNITY_ID_SIZE], text[64];
    unsigned direction = packet_key(p, 7, &key);
    TRUTH(direction <= 1);
    TRUTH(memcmp(key.addr[direction], p->net.addr[0], 16) == 0 && key.port[direction] == p->net.port[0]);
    TRUTH(memcmp(key.addr[1 - direction], p->net.addr[1], 16) == 0 && key.port[1 - direction] == p->net.port[1]);
    TRUTH(!community_id(&key, 0, id) || community_id_valid(id));
    TRUTH(*packet_proto_name(&key, text, sizeof text));
    bool one_way = p->has_icmp && !packet_icmp_two_way(p->net.proto, p->icmp_type);
    if (!one_way) { /* the answer to p belongs to the same flow */
        memcpy(back.net.addr[0], p->net.addr[1], 16);
        memcpy(back.net.addr[1], p->net.addr[0], 16);
        back.net.port[0] = p->net.port[1];
        back.net.port[1] = p->net.port[0];
        (void)packet_key(&back, 7, &back_key);
        TRUTH(memcmp(&key, &back_key, sizeof key) == 0);
    }
    int quoted = packet_quoted_key(p, 7, &key);
    TRUTH((quoted >= 0) == (p->quoted.family != FAMILY_NONE));
    return NULL;
}

/* `less` and `more` are views of the same packet, less of it captured in the first: what is known there must stay true. */
static inline const char *truth_of_cut(const struct packet *less, const struct packet *more)
{
    if (less->end != PACKET_TRUNCATED) { /* the cut did not matter */
        struct packet same = *less;
        same.data = more->data;
        same.captured = more->captured;
        same.quoted = more->quoted;
        TRUTH(same.end == more->end && same.plain == more->plain && same.vlans == more->vlans);
        TRUTH(same.tunnel == more->tunnel && same.ethertype == more->ethertype);
        TRUTH(memcmp(&same.net, &more->net, sizeof same.net) == 0);
        TRUTH(memcmp(&same.outer, &more->outer, sizeof same.outer) == 0);
        TRUTH(same.net_length == more->net_length && same.payload_length == more->payload_length);
        TRUTH(same.payload_offset == more->payload_offset && same.has_tcp == more->has_tcp);
        TRUTH(same.tcp_seq == more->tcp_seq && same.tcp_flags == more->tcp_flags);
    }
    TRUTH(!less->has_mac || memcmp(less->mac, more->mac, sizeof less->mac) == 0);
    TRUTH(less->vlans <= more->vlans && less->mpls <= more->mpls);
    TRUTH(less->vlans < 1 || less->vlan[0] == more->vlan[0]);
    TRUTH(less->vlans < 2 || less->vlan[1] == more->vlan[1]);
    if (!truth_ip(&less->net))
        return NULL;
    TRUTH(truth_ip(&more->net));
    if (more->outer.family != FAMILY_NONE)
        TRUTH(truth_same_addresses(&more->outer, less->outer.family ? &less->outer : &less->net));
    if (less->net_offset != more->net_offset) /* went on into a tunnel */
        return NULL;
    TRUTH(truth_same_addresses(&less->net, &more->net) && less->net_length == more->net_length);
    TRUTH(less->net.proto == more->net.proto || truth_extension(less->net.proto));
    TRUTH(!less->net.has_ports || memcmp(less->net.port, more->net.port, sizeof less->net.port) == 0);
    TRUTH(!less->transport_offset || less->transport_offset == more->transport_offset);
    TRUTH(!less->payload_offset || less->payload_offset == more->payload_offset);
    TRUTH(!less->payload_offset || less->payload_length == more->payload_length);
    TRUTH(!less->has_tcp || (more->has_tcp && less->tcp_seq == more->tcp_seq && less->tcp_flags == more->tcp_flags));
    TRUTH(!less->has_icmp || (more->has_icmp && less->icmp_type == more->icmp_type));
    TRUTH(!less->quoted.family || truth_same_addresses(&less->quoted, &more->quoted));
    TRUTH(!less->quoted.has_ports || memcmp(less->quoted.port, more->quoted.port, sizeof less->quoted.port) == 0);
    return NULL;
}

#endif
