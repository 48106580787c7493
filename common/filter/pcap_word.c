/* pcap_word: libpcap as the judge of packet words. All names were refused before, so that it asks no resolver. */
#include "common/filter/tree.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKTYPE_RAW 101

/* The LINKTYPE_ values of files are those of DLT_ but for these (https://www.tcpdump.org/linktypes.html). */
static const struct {
    int link_type, dlt;
} differing[] = {
    {100, DLT_ATM_RFC1483}, {101, DLT_RAW},    {102, DLT_SLIP_BSDOS}, {103, DLT_PPP_BSDOS},
    {106, DLT_ATM_CLIP},    {107, DLT_FRELAY}, {246, DLT_PFSYNC},
};

int pcap_word_dlt(int link_type)
{
    for (size_t i = 0; i < sizeof differing / sizeof *differing; i++)
        if (differing[i].link_type == link_type)
            return differing[i].dlt;
    return link_type;
}

static int compile(int dlt, const char *text, struct bpf_program *program, struct error *e)
{
    pcap_t *dead = pcap_open_dead(dlt, (int)PACKET_SNAPLEN_MAX);
    if (!dead)
        return error_set(e, ERROR_MEMORY, "no memory for the filter");
    int code = 0;
    /* Not optimised: the optimiser refuses what can never match, so what always does would have no opposite, and is not
     * always right (see capture_filter.c). */
    if (pcap_compile(dead, program, text, 0, PCAP_NETMASK_UNKNOWN) != 0)
        code = error_set(e, ERROR_USAGE, "libpcap on '%.80s': %s", text, pcap_geterr(dead));
    pcap_close(dead);
    return code;
}

/* Ethernet first: its message is the most useful one. The others know the words of their own. */
static const int link_types[] = {
    DLT_EN10MB, DLT_LINUX_SLL2,   DLT_LINUX_SLL, DLT_IEEE802_11, DLT_PFLOG, DLT_SUNATM,           DLT_MTP2,
    DLT_ERF,    DLT_ARCNET_LINUX, DLT_SLIP,      DLT_RAW,        DLT_PPP,   DLT_IEEE802_11_RADIO, DLT_BACNET_MS_TP,
};

int pcap_word_check(const char *text, struct error *e)
{
    struct bpf_program program;
    int code = compile(link_types[0], text, &program, e);
    for (size_t i = 1; code == ERROR_USAGE && i < sizeof link_types / sizeof *link_types; i++)
        code = compile(link_types[i], text, &program, NULL);
    if (code == 0)
        pcap_freecode(&program);
    return code;
}

static int compile_both(const char *text, int link_type, struct pcap_word *w, struct error *e)
{
    char *opposite = NULL;
    int dlt = pcap_word_dlt(link_type);
    int code = compile(dlt, text, &w->yes, e);
    if (code)
        return code;
    if (asprintf(&opposite, "not (%s)", text) < 0) {
        opposite = NULL;
        code = error_set(e, ERROR_MEMORY, "no memory for the filter");
    }
    if (!code)
        code = compile(dlt, opposite, &w->no, e);
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

int pcap_word_match(struct node *n, const struct packet *p, bool outermost, enum pcap_verdict *verdict, struct error *e)
{
    /* Where we look through tags, labels and tunnels, words about IP and above are about what we see. */
    bool inside = n->pcap.inner && !p->plain && !outermost && p->net_length != 0;
    uint32_t skip = inside ? p->net_offset : 0;
    struct pcap_word *w;
    int code = word_for(n, inside ? LINKTYPE_RAW : p->link_type, &w, e);
    if (code)
        return code;
    struct pcap_pkthdr h = {.caplen = p->captured - skip, .len = p->wire - skip};
    *verdict = PCAP_REJECTED;
    if (pcap_offline_filter(&w->yes, &h, p->data + skip))
        *verdict = PCAP_YES;
    else if (pcap_offline_filter(&w->no, &h, p->data + skip))
        *verdict = PCAP_NO;
    return 0;
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
