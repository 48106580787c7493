/*
 * packet_dump FILE.pcapng: our view of each packet, one line of tab-separated columns (the first line names them), for
 * comparison with what other programs see. The file has little-endian section header, interface description and
 * enhanced packet blocks alone, as packet_corpus.py writes it.
 *
 * The last column holds what libpcap's filters say otherwise than we do about a packet that we call plain; it is to be
 * empty.
 */
#include "common/base/bytes.h"
#include "common/packet/community_id.h"
#include "common/packet/packet.h"
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACES_MAX 65536
#define LINKS_MAX      310
#define CACHE_SIZE     4096

enum word {
    WORD_IP,
    WORD_IP6,
    WORD_ARP,
    WORD_RARP,
    WORD_TCP,
    WORD_UDP,
    WORD_SCTP,
    WORD_ICMP,
    WORD_ICMP6,
    WORD_PORT,
    WORD_NET,
    WORDS,
};

static const char *const words[WORDS] = {
    "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "portrange 0-65535", "net 0.0.0.0/0"};

/* The filters for one link type: the words, and those made for one packet, the latest of each hash. */
struct link {
    pcap_t *handle;
    struct bpf_program word[WORDS];
    struct {
        char *text;
        struct bpf_program program;
    } cache[CACHE_SIZE];
};

static struct link *links[LINKS_MAX];
static int interface_links[INTERFACES_MAX];
static unsigned interfaces;

static void die(const char *what)
{
    fprintf(stderr, "packet_dump: %s\n", what);
    exit(1);
}

/* A word that can match nothing on this link type is no error to us: the program stays empty. */
static void compile(struct link *link, struct bpf_program *program, const char *text)
{
    *program = (struct bpf_program){.bf_len = 0};
    if (pcap_compile(link->handle, program, text, 1, PCAP_NETMASK_UNKNOWN) == 0)
        return;
    if (!strstr(pcap_geterr(link->handle), "rejects all packets")) {
        fprintf(stderr, "packet_dump: %s: %s\n", text, pcap_geterr(link->handle));
        exit(1);
    }
}

static struct link *link_of(int link_type)
{
    if (links[link_type])
        return links[link_type];
    int dlt = link_type == 101 || link_type == 14 ? DLT_RAW : link_type;
    struct link *link = calloc(1, sizeof *link);
    if (!link || !(link->handle = pcap_open_dead(dlt, PACKET_SNAPLEN_MAX)))
        die("no memory");
    for (unsigned i = 0; i < WORDS; i++)
        compile(link, &link->word[i], words[i]);
    return links[link_type] = link;
}

static bool matches(const struct bpf_program *program, const struct packet *p)
{
    struct pcap_pkthdr header = {.caplen = p->captured, .len = p->wire};
    return program->bf_len && pcap_offline_filter(program, &header, p->data) != 0;
}

static bool matches_text(struct link *link, const char *text, const struct packet *p)
{
    unsigned hash = 5381;
    for (const char *c = text; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    unsigned slot = hash % CACHE_SIZE;
    if (!link->cache[slot].text || strcmp(link->cache[slot].text, text) != 0) {
        if (link->cache[slot].text)
            pcap_freecode(&link->cache[slot].program);
        free(link->cache[slot].text);
        compile(link, &link->cache[slot].program, text);
        link->cache[slot].text = strdup(text);
    }
    return matches(&link->cache[slot].program, p);
}

/* What we would answer for a word. */
static bool answer(const struct packet *p, enum word word)
{
    bool ip4 = p->ethertype == ETHERTYPE_IP4, ip6 = p->ethertype == ETHERTYPE_IP6;
    bool ip = (ip4 || ip6) && (p->net.family == FAMILY_IP4 || p->net.family == FAMILY_IP6);
    switch (word) {
    case WORD_IP:
        return ip4;
    case WORD_IP6:
        return ip6;
    case WORD_ARP:
        return p->ethertype == ETHERTYPE_ARP;
    case WORD_RARP:
        return p->ethertype == ETHERTYPE_RARP;
    case WORD_TCP:
        return ip && p->net.proto == PROTO_TCP;
    case WORD_UDP:
        return ip && p->net.proto == PROTO_UDP;
    case WORD_SCTP:
        return ip && p->net.proto == PROTO_SCTP;
    case WORD_ICMP:
        return ip4 && p->net.proto == PROTO_ICMP;
    case WORD_ICMP6:
        return ip6 && p->net.proto == PROTO_ICMP6;
    case WORD_PORT:
        return p->net.has_ports;
    case WORD_NET:
        return p->net.family == FAMILY_IP4;
    case WORDS:
        break;
    }
    return false;
}

/* The packet's own addresses, protocol and ports, which must match, and a neighbour's, which must not. */
static void describe(const struct packet *p, bool neighbour, char *text, size_t len)
{
    uint8_t to[16];
    char addr[2][46];
    size_t last = p->net.family == FAMILY_IP6 ? 15 : 3;
    memcpy(to, p->net.addr[1], sizeof to);
    to[last] ^= neighbour ? 1 : 0;
    packet_addr_text(p->net.family, p->net.addr[0], addr[0], sizeof addr[0]);
    packet_addr_text(p->net.family, to, addr[1], sizeof addr[1]);
    int n = snprintf(text, len, "src host %s and dst host %s", addr[0], addr[1]);
    if (p->ethertype == ETHERTYPE_IP4 || p->ethertype == ETHERTYPE_IP6)
        n += snprintf(text + n, len - (size_t)n, " and %s proto %u", p->ethertype == ETHERTYPE_IP4 ? "ip" : "ip6",
                      p->net.proto);
    if (p->net.has_ports)
        snprintf(text + n, len - (size_t)n, " and src port %u and dst port %u", p->net.port[0], p->net.port[1]);
}

static void print_disagreement(const struct packet *p)
{
    if (!p->plain)
        return;
    struct link *link = link_of(p->link_type);
    for (unsigned i = 0; i < WORDS; i++)
        if (matches(&link->word[i], p) != answer(p, i))
            printf("%s; ", words[i]);
    if (p->net.family != FAMILY_IP4 && p->net.family != FAMILY_IP6)
        return;
    char text[256];
    describe(p, false, text, sizeof text);
    if (!matches_text(link, text, p))
        printf("%s; ", text);
    describe(p, true, text, sizeof text);
    if (matches_text(link, text, p))
        printf("not (%s); ", text);
}

static void print_net(const struct packet_net *net)
{
    char addr[2][46];
    printf("\t%u\t%s\t%s\t%u\t", net->family, packet_addr_text(net->family, net->addr[0], addr[0], sizeof addr[0]),
           packet_addr_text(net->family, net->addr[1], addr[1], sizeof addr[1]), net->proto);
    if (net->has_ports)
        printf("%u\t%u", net->port[0], net->port[1]);
    else
        printf("-\t-");
    printf("\t%u", net->fragment);
}

static void print_mac(bool known, const uint8_t mac[6])
{
    uint8_t addr[16] = {0};
    char text[46];
    memcpy(addr, mac, 6);
    printf("\t%s", packet_addr_text(known ? FAMILY_LINK : FAMILY_NONE, addr, text, sizeof text));
}

static void print_header(void)
{
    printf("frame\twire\tend\tplain\tethertype\tlsap\tvlans\tvlan0\tvlan1\tmpls\ttunnel\ttunnel_id\tmac0\tmac1");
    for (unsigned i = 0; i < 3; i++) {
        static const char *const prefix[] = {"", "outer.", "quoted."};
        printf("\t%sfamily\t%ssrc\t%sdst\t%sproto\t%ssport\t%sdport\t%sfragment", prefix[i], prefix[i], prefix[i],
               prefix[i], prefix[i], prefix[i], prefix[i]);
    }
    printf("\tid\tnet_length\thop_limit\ttransport\tpayload_offset\tpayload_length\thas_tcp\tseq\tack\tflags\twindow"
           "\thas_icmp\ticmp_type\ticmp_code\tcommunity_id\tlibpcap\n");
}

static void print_packet(unsigned frame, const struct packet *p)
{
    static const char *const ends[] = {"ok", "truncated", "invalid"};
    char id[COMMUNITY_ID_SIZE];
    struct flow_key key;
    (void)packet_key(p, 0, &key);
    (void)community_id(&key, 0, id);
    printf("%u\t%u\t%s\t%d\t%u\t%u\t%u\t%u\t%u\t%u\t%s\t%u", frame, p->wire, ends[p->end], p->plain, p->ethertype,
           p->lsap, p->vlans, p->vlan[0], p->vlan[1], p->mpls, packet_tunnel_name(p->tunnel), p->tunnel_id);
    print_mac(p->has_mac, p->mac[0]);
    print_mac(p->has_mac, p->mac[1]);
    print_net(&p->net);
    print_net(&p->outer);
    print_net(&p->quoted);
    printf("\t%u\t%u\t%u\t%u\t%u\t%u\t%d\t%u\t%u\t%u\t%u\t%d\t%u\t%u\t%s\t", p->fragment_id, p->net_length,
           p->hop_limit, p->transport_offset, p->payload_offset, p->payload_length, p->has_tcp, p->tcp_seq, p->tcp_ack,
           p->tcp_flags, p->tcp_window, p->has_icmp, p->icmp_type, p->icmp_code, id);
    print_disagreement(p);
    printf("\n");
}

static void interface_block(struct bytes *body)
{
    if (interfaces == INTERFACES_MAX)
        die("too many interfaces");
    interface_links[interfaces++] = bytes_le16(body);
}

static void packet_block(struct bytes *body, unsigned frame)
{
    struct packet p;
    uint32_t interface = bytes_le32(body);
    bytes_skip(body, 8);
    uint32_t captured = bytes_le32(body), wire = bytes_le32(body);
    const uint8_t *data = bytes_take(body, captured);
    if (!data || interface >= interfaces)
        die("bad packet block");
    /* A copy of exactly this size: a read past the end is seen by the address sanitizer. */
    uint8_t *copy = malloc(captured ? captured : 1);
    if (!copy)
        die("no memory");
    memcpy(copy, data, captured);
    packet_decode(interface_links[interface], copy, captured, wire, &p);
    print_packet(frame, &p);
    free(copy);
}

int main(int argc, char **argv)
{
    static uint8_t block[PACKET_SNAPLEN_MAX + 1024];
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    unsigned frame = 0;
    if (!f)
        die("give one file that can be read");
    print_header();
    while (fread(block, 8, 1, f) == 1) {
        struct bytes head = bytes_of(block, 8);
        uint32_t type = bytes_le32(&head), length = bytes_le32(&head);
        if (length < 12 || length > sizeof block || fread(block, length - 8, 1, f) != 1)
            die("bad block");
        struct bytes body = bytes_of(block, length - 12);
        if (type == 1)
            interface_block(&body);
        else if (type == 6)
            packet_block(&body, ++frame);
    }
    fclose(f);
    for (unsigned i = 0; i < LINKS_MAX; i++)
        if (links[i])
            pcap_close(links[i]->handle);
    return 0;
}
