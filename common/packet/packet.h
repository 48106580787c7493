/*
 * packet: bytes of a captured packet -> struct packet, the one view of a packet that everything else uses.
 *
 * The decoder looks through VLAN tags (802.1Q, 802.1ad, 0x9100), SNAP, PPPoE, MPLS and tunnels (GRE, IP in IP, VXLAN on
 * 4789 and 8472, GENEVE; not Teredo, ERSPAN, PPTP, GTP) to the innermost IP packet. It is pure, allocates nothing, and
 * never fails: what cannot be read ends the decoding at that layer with `end` saying whether the packet was cut
 * (PACKET_TRUNCATED: the capture's snaplen or a frame too short for a header) or breaks a protocol's rules
 * (PACKET_INVALID); all that was read before stays valid. A packet without readable IP still has a link-level view.
 *
 * A tunnel is looked through once an IP or ARP header is read inside. Until then the view is that of the tunnel's own
 * packet (proto 47, say, or UDP port 4789): so for tunnels that carry something else, and for UDP that only has a
 * tunnel's port, which is nothing invalid. The first fragment of a fragmented tunnel packet is looked through too;
 * outer.fragment says so.
 *
 * Later fragments (offset > 0) have no ports. Lengths claimed by headers are never trusted beyond what was captured,
 * nor believed beyond what was on the wire.
 */
#ifndef FLEETDUMP_PACKET_PACKET_H
#define FLEETDUMP_PACKET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Headers looked through at the most, over all layers; deeper nesting ends as PACKET_INVALID. */
#define PACKET_DEPTH_MAX 16

/* Largest captured length that we handle anywhere (libpcap's MAXIMUM_SNAPLEN). */
#define PACKET_SNAPLEN_MAX 262144u

enum packet_end { PACKET_OK, PACKET_TRUNCATED, PACKET_INVALID };

/* Which kind of addresses a packet or flow has. Stored: never renumber. */
enum packet_family {
    FAMILY_NONE = 0, /* none known: unknown link type, or no link header */
    FAMILY_LINK = 1, /* 6-byte link addresses, ethertype says what it is */
    FAMILY_IP4 = 4,  /* also ARP and RARP for IPv4 (ethertype 0x0806/0x8035): sender and target protocol address */
    FAMILY_IP6 = 6,
};

/* The innermost tunnel that was looked through. Stored: never renumber. */
enum packet_tunnel { TUNNEL_NONE = 0, TUNNEL_GRE = 1, TUNNEL_IPIP = 2, TUNNEL_VXLAN = 3, TUNNEL_GENEVE = 4 };
const char *packet_tunnel_name(enum packet_tunnel tunnel);

enum packet_fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

#define VLAN_NONE 0xffffu

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_ECE 0x40
#define TCP_CWR 0x80

#define ETHERTYPE_IP4  0x0800
#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_RARP 0x8035
#define ETHERTYPE_IP6  0x86dd

#define PROTO_ICMP  1
#define PROTO_TCP   6
#define PROTO_UDP   17
#define PROTO_ICMP6 58
#define PROTO_SCTP  132

/* Addresses, protocol and ports of one IP (or ARP) header: index 0 is the sender, 1 the receiver. IPv4 and link
 * addresses stand in the first bytes, the rest is 0. */
struct packet_net {
    uint8_t addr[2][16];
    uint16_t port[2]; /* host order; ICMP: type and counterpart or code, see flow_key; else 0 without has_ports */
    uint8_t family;   /* enum packet_family */
    uint8_t proto;    /* IP protocol after extension headers and AH (the last one read, if they are cut); else 0 */
    uint8_t fragment; /* enum packet_fragment */
    bool has_ports;   /* TCP, UDP, SCTP (and UDP-Lite, DCCP) with both ports read */
};

struct packet {
    /* As given to packet_decode */
    const uint8_t *data;
    uint32_t captured; /* bytes at data */
    uint32_t wire;     /* length on the wire */
    int link_type;     /* LINKTYPE_ value of the pcap file format, not a DLT_ of the platform */

    enum packet_end end;
    /* No tag, label, tunnel, extension header, fragment, and the headers whole: libpcap's host, net, port and proto
     * words see in this packet what we see. False wherever in doubt (UDP-Lite and DCCP, foreign byte order, unknown
     * link types, ...). */
    bool plain;

    /* Link layer, outermost */
    bool has_mac;
    uint8_t mac[2][6];  /* sender, receiver; Linux cooked knows the sender alone, the other is 0 */
    uint16_t ethertype; /* of the innermost payload; 0 for 802.3 LLC, also for SNAP whose id is no ethertype */
    uint16_t lsap;      /* DSAP << 8 | SSAP for 802.3 LLC; 0xffff for IPX right in 802.3 */
    uint8_t vlans;      /* tags seen, may be more than the two kept */
    uint16_t vlan[2];   /* ids, outermost first; VLAN_NONE where there is none */
    uint8_t mpls;       /* labels looked through */

    struct packet_net net;   /* innermost */
    struct packet_net outer; /* outermost IP header if a tunnel was looked through, else family FAMILY_NONE */
    enum packet_tunnel tunnel;
    uint32_t tunnel_id; /* VNI or GRE key; 0 where there is none */
    uint8_t tunnels;    /* looked through: with two there is an IP header between `outer` and `net` */

    /* Innermost IP */
    uint32_t fragment_id; /* IPv4 identification or that of the IPv6 fragment header */
    uint32_t net_offset;  /* of the innermost IP or ARP header in data */
    uint32_t net_length;  /* as its header claims; at most, and where that says 0 (jumbo, TSO), what is on the wire */
    uint8_t hop_limit;

    /* Transport. All offsets are in data, and may be at or past `captured` */
    uint32_t transport_offset; /* 0: none, or a later fragment */
    uint32_t payload_offset;   /* after the transport header, in later fragments after the IP header; 0: cut, none */
    uint32_t payload_length;   /* as claimed by the headers, on the wire, in this fragment; may pass `captured` */
    uint32_t tcp_seq, tcp_ack;
    uint16_t tcp_window;
    uint8_t tcp_flags; /* 0 and has_tcp false if the first 20 bytes are cut or their data offset is impossible */
    bool has_tcp;
    uint8_t icmp_type, icmp_code; /* ICMP and ICMPv6; has_icmp */
    bool has_icmp;
    struct packet_net quoted; /* ICMP error: the flow that it quotes, as its sender sent it; else FAMILY_NONE */
};

/* Decodes one packet. `data` must stay valid while `p` is used. wire < captured is taken as wire = captured. */
void packet_decode(int link_type, const uint8_t *data, uint32_t captured, uint32_t wire, struct packet *p);

#define PACKET_HEADERS_OTHER 64u /* taken for headers of a packet without IP */

/* Where the headers end, in bytes of `data`: behind the transport header, or behind the quoted one, of which an ICMP
 * error tells; may pass `captured`. A packet that was cut there has the same headers. */
uint32_t packet_headers(const struct packet *p);

/*
 * What makes packets belong to one flow. Compared and hashed as bytes: no padding, unused bytes are 0.
 * Endpoints stand in canonical order: (addr, port) of endpoint 0 <= that of endpoint 1, by memcmp of the address, then
 * port. ICMP has no ports: as in Community ID and Zeek, a query's type and its reply's type stand in port[] (echo
 * request 8 and reply 0: endpoint of the requester has 8, the other 0); types without a counterpart keep (type, code)
 * and the packet's own order, sender first; (0, 0) if the type is not known (cut, or a later fragment). FAMILY_LINK:
 * link addresses in addr; FAMILY_NONE: all 0.
 */
struct flow_key {
    uint8_t addr[2][16];
    uint16_t port[2];
    uint32_t interface; /* index in the chunk's interface table */
    uint32_t tunnel_id;
    uint16_t vlan[2];   /* VLAN_NONE where there is none */
    uint16_t ethertype; /* 0x0800 and 0x86dd for IP; for LLC the DSAP (0x42 is STP), smaller than any ethertype */
    uint8_t family;     /* enum packet_family */
    uint8_t proto;
    uint8_t tunnel;    /* enum packet_tunnel */
    uint8_t has_ports; /* the packet's has_ports: a flow of later fragments alone has 0 */
    uint8_t reserved[2];
};
_Static_assert(sizeof(struct flow_key) == 56, "flow_key has no padding");

/* The key of a packet's flow; returns the packet's direction: 0 if endpoint 0 sent it, else 1. */
unsigned packet_key(const struct packet *p, uint32_t interface, struct flow_key *key);

/* The key of the flow that an ICMP error quotes, on the same interface, VLAN and tunnel; returns the direction of the
 * quoted packet, or -1 if p quotes none. */
int packet_quoted_key(const struct packet *p, uint32_t interface, struct flow_key *key);

/* For ICMP keys: true if the type in port[] has a counterpart, so that both directions share the flow. */
bool packet_icmp_two_way(uint8_t proto, uint8_t type);

/* "tcp", "udp", "icmp6", "sctp", ... or the number; for link-level flows the ethertype ("arp", "lldp", "0x88cc").
 * Returns buf. */
char *packet_proto_name(const struct flow_key *key, char *buf, size_t len);

/* An address of the family as text (IPv6 by RFC 5952, link as aa:bb:..). Returns buf (at least 46 bytes). */
char *packet_addr_text(uint8_t family, const uint8_t addr[16], char *buf, size_t len);

/* The LINKTYPE_ value's name as libpcap prints it ("EN10MB", "LINUX_SLL2") or "LINKTYPE 147". Returns buf. */
char *packet_link_name(int link_type, char *buf, size_t len);

#endif
