/* ICMP (RFC 792 and IANA's list of types and codes), ICMPv6 (RFC 4443, 4861), ARP (RFC 826). */
#include "collector/ladder/said_inside.h"
#include <string.h>

#define CODED(type, code) ((uint32_t)(type) << 8 | (code))

static const struct name_of types4[] = {{0, "echo reply"},           {3, "destination unreachable"},
                                        {4, "source quench"},        {5, "redirect"},
                                        {8, "echo request"},         {9, "router advertisement"},
                                        {10, "router solicitation"}, {11, "time exceeded"},
                                        {12, "parameter problem"},   {13, "timestamp request"},
                                        {14, "timestamp reply"},     {17, "address mask request"},
                                        {18, "address mask reply"},  {0, NULL}};

static const struct name_of codes4[] = {{CODED(3, 0), "network unreachable"},
                                        {CODED(3, 1), "host unreachable"},
                                        {CODED(3, 2), "protocol unreachable"},
                                        {CODED(3, 3), "port unreachable"},
                                        {CODED(3, 4), "fragmentation needed"},
                                        {CODED(3, 5), "source route failed"},
                                        {CODED(3, 9), "network prohibited"},
                                        {CODED(3, 10), "host prohibited"},
                                        {CODED(3, 13), "administratively prohibited"},
                                        {CODED(5, 0), "for the network"},
                                        {CODED(5, 1), "for the host"},
                                        {CODED(11, 0), "in transit"},
                                        {CODED(11, 1), "in reassembly"},
                                        {0, NULL}};

static const struct name_of types6[] = {{1, "destination unreachable"},
                                        {2, "packet too big"},
                                        {3, "time exceeded"},
                                        {4, "parameter problem"},
                                        {128, "echo request"},
                                        {129, "echo reply"},
                                        {130, "multicast listener query"},
                                        {131, "multicast listener report"},
                                        {132, "multicast listener done"},
                                        {133, "router solicitation"},
                                        {134, "router advertisement"},
                                        {135, "neighbor solicitation"},
                                        {136, "neighbor advertisement"},
                                        {137, "redirect"},
                                        {143, "multicast listener report"},
                                        {0, NULL}};

static const struct name_of codes6[] = {
    {CODED(1, 0), "no route"},         {CODED(1, 1), "administratively prohibited"},
    {CODED(1, 2), "beyond scope"},     {CODED(1, 3), "address unreachable"},
    {CODED(1, 4), "port unreachable"}, {CODED(1, 5), "source address failed policy"},
    {CODED(1, 6), "route rejected"},   {CODED(3, 0), "in transit"},
    {CODED(3, 1), "in reassembly"},    {0, NULL}};

static bool is_echo(const struct packet *p)
{
    return p->net.proto == PROTO_ICMP ? p->icmp_type == 8 || p->icmp_type == 0
                                      : p->icmp_type == 128 || p->icmp_type == 129;
}

static void add_quoted(const struct packet_net *q, struct words *w)
{
    char from[46], to[46];
    if (q->family == FAMILY_NONE)
        return;
    packet_addr_text(q->family, q->addr[0], from, sizeof from);
    packet_addr_text(q->family, q->addr[1], to, sizeof to);
    if (q->has_ports)
        words_add(w, ", quotes %s port %u to %s port %u", from, q->port[0], to, q->port[1]);
    else
        words_add(w, ", quotes %s to %s", from, to);
}

/* Behind type, code and checksum: id and number of an echo, MTU of what was too big. */
static void add_rest(const struct packet *p, struct words *w)
{
    struct bytes b = bytes_of(p->data, p->captured);
    bytes_skip(&b, p->transport_offset + 4);
    uint16_t high = bytes_be16(&b), low = bytes_be16(&b);
    if (b.bad)
        return;
    if (is_echo(p))
        words_add(w, ", id %u, seq %u", high, low);
    else if (p->net.proto == PROTO_ICMP ? p->icmp_type == 3 && p->icmp_code == 4 : p->icmp_type == 2)
        words_add(w, ", MTU %u", low);
}

void said_icmp(const struct packet *p, struct words *w)
{
    bool is4 = p->net.proto == PROTO_ICMP;
    const char *type = name_of(is4 ? types4 : types6, p->icmp_type);
    const char *code = name_of(is4 ? codes4 : codes6, CODED(p->icmp_type, p->icmp_code));
    words_next(w, SAID_ICMP);
    if (type)
        words_add(w, "%s%s%s", type, code ? ": " : "", code ? code : "");
    else
        words_add(w, "type %u, code %u", p->icmp_type, p->icmp_code);
    if (p->transport_offset)
        add_rest(p, w);
    add_quoted(&p->quoted, w);
}

void said_arp(const struct packet *p, struct words *w)
{
    struct bytes b = bytes_of(p->data, p->captured);
    char sender[46], target[46], mac[46];
    uint8_t link[16] = {0};
    bytes_skip(&b, p->net_offset + 4);
    uint8_t hardware = bytes_u8(&b);
    bytes_skip(&b, 1);
    uint16_t operation = bytes_be16(&b);
    const uint8_t *from = bytes_take(&b, 6);
    if (b.bad || p->net.family != FAMILY_IP4)
        return;
    packet_addr_text(FAMILY_IP4, p->net.addr[0], sender, sizeof sender);
    packet_addr_text(FAMILY_IP4, p->net.addr[1], target, sizeof target);
    words_next(w, SAID_ARP);
    if (operation == 1)
        words_add(w, "who has %s? tell %s", target, sender);
    else if (operation == 2 && hardware == 6) {
        memcpy(link, from, 6);
        words_add(w, "%s is at %s", sender, packet_addr_text(FAMILY_LINK, link, mac, sizeof mac));
    } else
        words_add(w, "operation %u", operation);
}
