/*
 * eval: judging a filter. Private to common/filter.
 *
 * Packets and rows are judged by the same walk over the same view of one packet: a real packet, or all packets of
 * one class (direction, later fragment or not) of a flow, which share everything that flow words ask for. So a row
 * and its packets cannot disagree.
 */
#ifndef FLEETDUMP_FILTER_EVAL_H
#define FLEETDUMP_FILTER_EVAL_H

#include "common/filter/tree.h"

enum scope {
    SCOPE_PART,   /* a row, others of the flow unknown */
    SCOPE_SUM,    /* all that is known of the flow */
    SCOPE_PACKET, /* one packet of it */
};

/* Index 0 of pairs is the sender, 1 the receiver. */
struct view {
    enum scope scope;
    const struct flow_row *flow; /* NULL: connection words compare false */
    const uint8_t *addr[2];
    uint16_t port[2];
    uint16_t ethertype;
    uint16_t vlan[2];
    uint32_t tunnel_id;
    uint8_t tunnel;
    uint8_t family, proto;
    bool has_ports;
    bool may_reject; /* rows: libpcap may reject packets for a word that was passed, whatever the other words say */
    /* SCOPE_PACKET */
    const struct packet *packet;
    bool outermost; /* inside outer ( ... ) */
    bool stopped;   /* libpcap rejected the packet, or an error: the whole filter is NO */
    int code;
    struct error *e;
};

/* The truth of a tree. Walks from left to right and stops where the rest cannot matter, as libpcap's programs do. */
enum truth eval(const struct node *n, struct view *v);

/* The truth of a leaf that flow words, connection words and measures make; eval_leaf.c. */
enum truth eval_leaf(const struct node *n, const struct view *v);

/* Packet words on a packet; eval_packet.c. */
enum truth eval_packet_word(const struct node *n, struct view *v);

/* The view of a packet's outermost IP header; eval_packet.c. */
struct view eval_outer_view(const struct view *v);

#endif
