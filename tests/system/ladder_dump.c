/*
 * ladder_dump FILE.pcapng: our reading of each packet, one line of tab-separated columns (the first line names them),
 * for comparison with tshark's: of TCP segments what tcp_analysis finds (else these columns are empty), and what is
 * said in any packet. Connections are told apart by addresses, protocol and ports alone, as tshark does.
 */
#include "collector/ladder/said.h"
#include "collector/ladder/tcp_analysis.h"
#include "common/base/hash.h"
#include "common/chunk/pcapng.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACES_MAX 65536
#define SLOTS          (1u << 20)

struct endpoints {
    uint8_t addr[2][16];
    uint16_t port[2];
    uint16_t family, proto;
};

struct connection {
    struct endpoints ends;
    struct tcp_analysis *analysis;
    struct said *said;
    struct connection *next;
};

static struct connection *slots[SLOTS];
static int links[INTERFACES_MAX];
static uint32_t frame;

static void die(const char *what)
{
    fprintf(stderr, "ladder_dump: %s\n", what);
    exit(1);
}

static long read_file(void *context, void *buf, size_t len, struct error *e)
{
    size_t n = fread(buf, 1, len, context);
    return n || !ferror((FILE *)context) ? (long)n : error_set(e, ERROR_SYSTEM, "cannot read");
}

static void set_end(struct endpoints *ends, unsigned to, const struct packet *p, unsigned from)
{
    memcpy(ends->addr[to], p->net.addr[from], sizeof ends->addr[to]);
    ends->port[to] = p->net.port[from];
}

/* Returns which end sent the packet. */
static unsigned endpoints_of(const struct packet *p, struct endpoints *ends)
{
    int order = memcmp(p->net.addr[0], p->net.addr[1], 16);
    unsigned from = order > 0 || (order == 0 && p->net.port[0] > p->net.port[1]);
    memset(ends, 0, sizeof *ends);
    ends->family = p->net.family;
    ends->proto = p->net.proto;
    set_end(ends, from, p, 0);
    set_end(ends, !from, p, 1);
    return from;
}

static struct connection *connection_of(const struct endpoints *ends)
{
    struct connection **slot = &slots[hash64(ends, sizeof *ends) % SLOTS], *c;
    for (c = *slot; c; c = c->next)
        if (memcmp(&c->ends, ends, sizeof *ends) == 0)
            return c;
    c = calloc(1, sizeof *c);
    if (!c || tcp_analysis_new(&c->analysis, NULL) || said_new(&c->said, NULL))
        die("no memory");
    c->ends = *ends;
    c->next = *slot;
    return *slot = c;
}

static void print_findings(uint16_t findings)
{
    for (const struct tcp_finding_name *n = tcp_finding_names; n->name; n++)
        if (findings & n->finding)
            printf("%s ", n->name);
}

static void print_reading(const struct tcp_segment *s, const struct tcp_analysis *a, const struct tcp_reading *r)
{
    printf("%u\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t", s->whole, s->seq, s->ack, r->seq, r->ack, r->next, s->length,
           s->flags, r->window, r->duplicate);
    printf("%u\t%u\t%lld\t%u\t%u\t%u\t%lld\t%lld\t", r->duplicate_of, r->acks, (long long)r->acks_after_ns,
           r->in_flight, r->in_flight ? r->pushed : 0, r->rto_of, (long long)r->rto_ns,
           (long long)tcp_analysis_handshake_ns(a));
    print_findings(r->findings);
}

static void print_tcp(const struct packet *p, uint64_t time_ns, struct tcp_analysis *a, unsigned from)
{
    struct tcp_segment s;
    struct tcp_reading reading;
    tcp_segment_read(p, time_ns, frame, &s);
    if (tcp_analysis_next(a, from, &s, &reading, NULL))
        die("no memory");
    print_reading(&s, a, &reading);
}

static void print_packet(const struct packet *p, uint64_t time_ns)
{
    char from[46], to[46];
    struct endpoints ends;
    struct words words;
    unsigned sender = endpoints_of(p, &ends);
    struct connection *c = connection_of(&ends);
    printf("%u\t%s\t%s\t", frame, packet_addr_text(p->net.family, p->net.addr[0], from, sizeof from),
           packet_addr_text(p->net.family, p->net.addr[1], to, sizeof to));
    if (p->has_tcp)
        print_tcp(p, time_ns, c->analysis, sender);
    else
        printf("\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t");
    if (said_packet(c->said, sender, p, &words, NULL))
        die("no memory");
    printf("\t%s\n", words.text);
}

static void take(const struct pcapng_packet *packet)
{
    struct packet p;
    uint8_t *copy = malloc(packet->captured ? packet->captured : 1); /* so that an address sanitizer sees its end */
    if (!copy)
        die("no memory");
    memcpy(copy, packet->data, packet->captured);
    packet_decode(links[packet->interface], copy, packet->captured, packet->wire, &p);
    frame++;
    print_packet(&p, packet->time_ns);
    free(copy);
}

static void free_all(void)
{
    for (size_t i = 0; i < SLOTS; i++)
        for (struct connection *c = slots[i], *next; c; c = next) {
            next = c->next;
            tcp_analysis_free(c->analysis);
            said_free(c->said);
            free(c);
        }
}

int main(int argc, char **argv)
{
    struct error e = ERROR_INIT;
    struct pcapng_reader *reader = NULL;
    struct pcapng_item item;
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!f || pcapng_reader_new(read_file, f, &reader, &e))
        die("give one file that can be read");
    printf("frame\tfrom\tto\twhole\traw_seq\traw_ack\tseq\tack\tnext\tlength\tflags\twindow\tduplicate\tduplicate_of"
           "\tacks\tacks_after\tin_flight\tpushed\trto_of\trto\thandshake\tfindings\twords\n");
    int r;
    while ((r = pcapng_reader_next(reader, &item, &e)) == 0 && item.kind != PCAPNG_ITEM_END) {
        if (item.kind == PCAPNG_ITEM_INTERFACE && item.interface < INTERFACES_MAX)
            links[item.interface] = item.interface_info.link_type;
        else if (item.kind == PCAPNG_ITEM_PACKET)
            take(&item.packet);
    }
    if (r)
        die(e.text);
    pcapng_reader_free(reader);
    fclose(f);
    free_all();
    return 0;
}
