/* pcap_word: libpcap as the judge of packet words. All names were refused before, so that it asks no resolver. */
#include "common/filter/tree.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKTYPE_RAW 101

/* A handle of a file without packets. */
static pcap_t *open_file(int link_type, uint32_t snaplen)
{
    struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snaplen, link_type;
    } header = {0xa1b2c3d4, 2, 4, 0, 0, snaplen, (uint32_t)link_type};
    char problem[PCAP_ERRBUF_SIZE];
    FILE *file = fmemopen(&header, sizeof header, "r");
    pcap_t *pcap = file ? pcap_fopen_offline(file, problem) : NULL;
    if (file && !pcap)
        fclose(file);
    return pcap;
}

int pcap_word_compile(int link_type, uint32_t snaplen, const char *text, struct bpf_program *program, struct error *e)
{
    pcap_t *pcap = open_file(link_type, snaplen);
    if (!pcap)
        return error_set(e, ERROR_MEMORY, "no memory for the filter");
    int code = 0;
    /* Not optimised. The optimiser refuses what can never match, so what always does would have no opposite. And
     * libpcap 1.10's drops comparisons that matter: "ip host (1.1.1.1 and 2.2.2.2 or 1.1.1.1 or 3.3.3.3)" misses
     * packets from 3.3.3.3. */
    if (pcap_compile(pcap, program, text, 0, PCAP_NETMASK_UNKNOWN) != 0)
        code = error_set(e, ERROR_USAGE, "libpcap on '%.80s': %s", text, pcap_geterr(pcap));
    pcap_close(pcap);
    return code;
}

/* Ethernet first: its message is the most useful one. The others know the words of their own. */
static const int link_types[] = {
    1 /* Ethernet */,
    276 /* Linux cooked v2 */,
    113 /* Linux cooked */,
    105 /* 802.11 */,
    117 /* PFLOG */,
    123 /* SunATM */,
    140 /* MTP2 */,
    197 /* ERF */,
    129 /* ARCnet of Linux */,
    8 /* SLIP */,
    101 /* RAW */,
    9 /* PPP */,
    127 /* radiotap */,
    165 /* BACnet MS/TP */,
};

int pcap_word_check(const char *text, struct error *e)
{
    struct bpf_program program;
    int code = pcap_word_compile(link_types[0], PACKET_SNAPLEN_MAX, text, &program, e);
    for (size_t i = 1; code == ERROR_USAGE && i < sizeof link_types / sizeof *link_types; i++)
        code = pcap_word_compile(link_types[i], PACKET_SNAPLEN_MAX, text, &program, NULL);
    if (code == 0)
        pcap_freecode(&program);
    return code;
}

static int compile_both(const char *text, int link_type, struct pcap_word *w, struct error *e)
{
    char *opposite = NULL;
    int code = pcap_word_compile(link_type, PACKET_SNAPLEN_MAX, text, &w->yes, e);
    if (code)
        return code;
    if (asprintf(&opposite, "not (%s)", text) < 0) {
        opposite = NULL;
        code = error_set(e, ERROR_MEMORY, "no memory for the filter");
    }
    if (!code)
        code = pcap_word_compile(link_type, PACKET_SNAPLEN_MAX, opposite, &w->no, e);
    if (code)
        pcap_freecode(&w->yes);
    else
        w->link_type = link_type;
    free(opposite);
    return code;
}

static int word_for(struct node *n, int link_type, struct pcap_word **out, struct error *e)
{
    for (*out = n->pcap.compiled; *out; *out = (*out)->next)
        if ((*out)->link_type == link_type)
            return 0;
    struct pcap_word *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(e, ERROR_MEMORY, "no memory for the filter");
    int code = compile_both(n->text, link_type, w, e);
    if (code) {
        free(w);
        return code == ERROR_USAGE ? error_set(e, ERROR_UNSUPPORTED, "link type %d: %s", link_type, e ? e->text : "")
                                   : code;
    }
    w->next = n->pcap.compiled;
    n->pcap.compiled = w;
    *out = w;
    return 0;
}

static int judge(struct node *n, const struct packet *p, bool inside, enum pcap_verdict *verdict, struct error *e)
{
    uint32_t skip = inside ? p->net_offset : 0;
    struct pcap_word *w;
    int code = word_for(n, inside ? LINKTYPE_RAW : p->link_type, &w, e);
    if (code)
        return code;
    const uint8_t *data = skip ? p->data + skip : p->data; /* an empty packet may have none */
    struct pcap_pkthdr h = {.caplen = p->captured - skip, .len = p->wire - skip};
    *verdict = PCAP_REJECTED;
    if (pcap_offline_filter(&w->yes, &h, data))
        *verdict = PCAP_YES;
    else if (pcap_offline_filter(&w->no, &h, data))
        *verdict = PCAP_NO;
    return 0;
}

int pcap_word_match(struct node *n, const struct packet *p, bool outermost, enum pcap_verdict *verdict, struct error *e)
{
    /* Where we look through tags, labels and tunnels, words about IP and above are about what we see. */
    bool inside = n->pcap.reach != REACH_WHOLE && !p->plain && !outermost && p->net_length != 0;
    int code = judge(n, p, inside, verdict, e);
    enum pcap_verdict whole;
    if (code == 0 && inside && n->pcap.reach == REACH_EITHER && judge(n, p, false, &whole, NULL) == 0 &&
        whole == PCAP_YES)
        *verdict = PCAP_YES;
    return code;
}

void pcap_word_free(struct pcap_word *w)
{
    for (struct pcap_word *next; w; w = next) {
        next = w->next;
        pcap_freecode(&w->yes);
        pcap_freecode(&w->no);
        free(w);
    }
}
