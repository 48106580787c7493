#include "common/filter/capture_filter.h"
#include "common/filter/tree.h"
#include <stdlib.h>

struct capture_filter {
    struct bpf_program program;
};

int capture_filter_check(const char *text, struct error *e)
{
    return filter_parse_capture(text, e);
}

int capture_filter_new(const char *text, int link_type, uint32_t snaplen, struct capture_filter **out, struct error *e)
{
    *out = NULL;
    int code = capture_filter_check(text, e);
    if (code)
        return code;
    struct capture_filter *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(e, ERROR_MEMORY, "no memory for the filter");
    code = pcap_word_compile(link_type, snaplen, text, &f->program, e);
    if (code) {
        free(f);
        return code;
    }
    *out = f;
    return 0;
}

int capture_filter_compiles(const char *text, struct error *e)
{
    int code = capture_filter_check(text, e);
    return code ? code : pcap_word_check(text, e);
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
