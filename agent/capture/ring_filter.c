/*
 * ring_filter: two programs made one (bpf_or), not two texts: the user's filter keeps its meaning whatever stands in it (`vlan`
 * moves all that comes behind it), and where it ends by reading past a packet's end, tcpdump with this filter has nothing either.
 *
 * Nothing is optimised, as everywhere here: libpcap 1.10's optimiser drops comparisons that matter (common/filter/pcap_word.c). Only
 * what would be too long for the kernel is.
 */
#include "agent/capture/ring_filter.h"
#include "common/filter/capture_filter.h"
#include "common/packet/packet.h"
#include <string.h>

/* Errors that quote a packet, as the decoder knows them (RFC 792, RFC 4443); fragments without the ports. In IPv6 also the
 * first one, whose ports libpcap does not look for. */
#define COMPANIONS                                                                                                     \
    "(icmp and (icmp[0] = 3 or icmp[0] = 4 or icmp[0] = 5 or icmp[0] = 11 or icmp[0] = 12)) or ip[6:2] & 0x1fff != 0 " \
    "or (icmp6 and ip6[40] >= 1 and ip6[40] <= 4) or ip6[6] = 44"

#define LINKTYPE_ETHERNET   1
#define LINKTYPE_RAW        101
#define LINKTYPE_LINUX_SLL  113
#define LINKTYPE_LINUX_SLL2 276

#define IP6_FRAGMENT 44

static int compile(pcap_t *pcap, const char *text, struct bpf_program *program, struct error *e)
{
    int failed = pcap_compile(pcap, program, text, 0, PCAP_NETMASK_UNKNOWN);
    if (!failed && program->bf_len > BPF_PROGRAM_MAX) {
        pcap_freecode(program);
        failed = pcap_compile(pcap, program, text, 1, PCAP_NETMASK_UNKNOWN);
    }
    return failed ? error_set(e, ERROR_USAGE, "libpcap on '%.80s': %s", text, pcap_geterr(pcap)) : 0;
}

static void add_companions(pcap_t *pcap, struct ring_filter *f)
{
    struct bpf_program companions;
    if (compile(pcap, COMPANIONS, &companions, NULL))
        return;
    f->companions = f->own_kernel = bpf_or(&f->wanted, &companions, &f->kernel);
    pcap_freecode(&companions);
}

/* In front of what else there is: a `vlan` of the user's moves only what comes behind it. */
static void add_forbidden(pcap_t *pcap, const struct forbid *forbid, struct ring_filter *f)
{
    struct bpf_program forbidden, all;
    struct buffer text = {.limit = 1u << 16};
    forbid_filter(forbid, &text);
    buffer_u8(&text, 0);
    if (!text.failed && compile(pcap, (const char *)text.data, &forbidden, NULL) == 0) {
        if (bpf_but(&forbidden, &f->kernel, &all)) {
            if (f->own_kernel)
                bpf_free(&f->kernel);
            f->kernel = all;
            f->own_kernel = true;
        }
        pcap_freecode(&forbidden);
    }
    buffer_free(&text);
}

int ring_filter_make(pcap_t *pcap, const char *text, bool companions, const struct forbid *forbid,
                     struct ring_filter *f, struct error *e)
{
    *f = (struct ring_filter){0};
    int code = text[0] ? capture_filter_check(text, e) : 0;
    if (!code)
        code = compile(pcap, text, &f->wanted, e);
    if (code)
        return code;
    if (companions && text[0])
        add_companions(pcap, f);
    if (!f->own_kernel)
        f->kernel = f->wanted;
    if (forbid && forbid_any(forbid))
        add_forbidden(pcap, forbid, f);
    return 0;
}

void ring_filter_free(struct ring_filter *f)
{
    if (f->own_kernel)
        bpf_free(&f->kernel);
    pcap_freecode(&f->wanted);
    *f = (struct ring_filter){0};
}

/* ---------------------------------------------------------------- the look */

static unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static bool is_tag(unsigned ethertype)
{
    return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

/* Where the network header begins and what it is; false if we do not know this link type. */
static bool find_net(int link_type, const uint8_t *data, uint32_t captured, uint32_t *at, unsigned *ethertype)
{
    uint32_t type_at = 0;
    switch (link_type) {
    case LINKTYPE_ETHERNET:
        type_at = 12;
        while (type_at + 2 <= captured && is_tag(be16(data + type_at)))
            type_at += 4;
        *at = type_at + 2;
        break;
    case LINKTYPE_LINUX_SLL2:
        *at = 20;
        break;
    case LINKTYPE_LINUX_SLL:
        type_at = 14;
        *at = 16;
        break;
    case LINKTYPE_RAW:
        *at = 0;
        *ethertype = captured && data[0] >> 4 == 6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4;
        return true;
    default:
        return false;
    }
    *ethertype = type_at + 2 <= captured ? be16(data + type_at) : 0;
    return true;
}

bool ring_filter_may_be_companion(int link_type, const uint8_t *data, uint32_t captured)
{
    uint32_t at;
    unsigned ethertype;
    if (!find_net(link_type, data, captured, &at, &ethertype))
        return true;
    const uint8_t *net = data + at;
    if (ethertype == ETHERTYPE_IP4)
        return at + 10 <= captured && ((be16(net + 6) & 0x1fff) != 0 || net[9] == PROTO_ICMP);
    if (ethertype == ETHERTYPE_IP6)
        return at + 7 <= captured && (net[6] == IP6_FRAGMENT || net[6] == PROTO_ICMP6);
    return false;
}
