#include "common/filter/capture_filter.h"
#include "common/filter/tree.h"
#include <stdlib.h>

/* libpcap 1.10's optimiser drops comparisons that matter: "ip host (1.1.1.1 and 2.2.2.2 or 1.1.1.1 or 3.3.3.3)" misses packets from 3.3.3.3. */
#define NOT_OPTIMISED 0

struct capture_filter {
    struct bpf_program program;
};

int capture_filter_new(const char *text, int link_type, uint32_t snaplen, struct capture_filter **out, struct error *e)
{
    *out = NULL;
    int code = filter_parse_capture(text, e);
    if (code)
        return code;
    struct capture_filter *f = calloc(1, sizeof *f);
    pcap_t *dead =
        pcap_open_dead(pcap_word_dlt(link_type), (int)(snaplen < PACKET_SNAPLEN_MAX ? snaplen : PACKET_SNAPLEN_MAX));
    if (!f || !dead)
        code = error_set(e, ERROR_MEMORY, "no memory for the filter");
    else if (pcap_compile(dead, &f->program, text, NOT_OPTIMISED, PCAP_NETMASK_UNKNOWN) != 0)
        code = error_set(e, ERROR_USAGE, "libpcap on '%.80s': %s", text, pcap_geterr(dead));
    if (dead)
        pcap_close(dead);
    if (code) {
        free(f);
        return code;
    }
    *out = f;
    return 0;
}

void capture_filter_free(struct capture_filter *f)
{
    if (!f)
        return;
    pcap_freecode(&f->program);
    free(f);
}

bool capture_filter_match(const struct capture_filter *f, const uint8_t *data, uint32_t captured, uint32_t wire)
{
    struct pcap_pkthdr h = {.caplen = captured, .len = wire};
    return pcap_offline_filter(&f->program, &h, data) != 0;
}
