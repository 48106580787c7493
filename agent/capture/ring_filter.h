/* ring_filter: what the kernel lets through to a ring, and which of it the capture asked for. Private to ring.c. */
#ifndef FLEETDUMP_AGENT_CAPTURE_RING_FILTER_H
#define FLEETDUMP_AGENT_CAPTURE_RING_FILTER_H

#include "agent/capture/bpf.h"
#include "agent/forbid.h"
#include "common/base/error.h"

struct ring_filter {
    struct bpf_program wanted; /* the capture's own filter */
    struct bpf_program kernel; /* that, or companions; without what is forbidden */
    bool companions;           /* it lets companions through */
    bool own_kernel;           /* it is not `wanted` */
};

/* Compiles for the handle's link type. What is forbidden (NULL: nothing) goes into the kernel's program as far as there
 * is place: the packets that come are judged again (forbid.h). Without a filter, and for link types that libpcap sees
 * no IP in, there are no companions. ERROR_USAGE with libpcap's words; names of hosts are refused. Freed by
 * ring_filter_free in any case. */
MUST_CHECK int ring_filter_make(pcap_t *pcap, const char *text, bool companions, const struct forbid *forbid,
                                struct ring_filter *f, struct error *e);
void ring_filter_free(struct ring_filter *f);

/* False if the packet can only have come because it is wanted: a look at few bytes. */
bool ring_filter_may_be_companion(int link_type, const uint8_t *data, uint32_t captured);

#endif
