/*
 * ring: live interfaces, by libpcap (AF_PACKET, TPACKET_V3). One handle an interface, non-blocking; the caller polls.
 *
 * Always nanoseconds. The kernel filter lets through what the capture's filter matches and, with companions, every ICMP
 * error and later fragment besides; ring_packet.wanted tells the two apart. Kernel counters are 32 bits wide and wrap;
 * those told here do not.
 *
 * libpcap's words about an interface that is down, gone or renamed are not relied on: the kernel is asked, by the
 * interface's index.
 *
 * Opened with privileges (CAP_NET_RAW), by the process and thread that reads; afterwards none are needed. Not used by
 * several threads.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_RING_H
#define FLEETDUMP_AGENT_CAPTURE_RING_H

#include "agent/forbid.h"
#include "common/base/error.h"
#include "common/chunk/pcapng.h"
#include <stdbool.h>

#define RING_NAME_MAX  64u
#define RING_RETIRE_MS 50 /* a packet waits so long at most in a block that is not full */

struct ring_options {
    const char *filter;          /* pcap-filter(7); "" for all */
    const struct forbid *forbid; /* left out by the kernel, as far as it sees that (outermost headers); NULL: nothing */
    bool companions;
    uint32_t snaplen;    /* 0: PACKET_SNAPLEN_MAX */
    uint32_t ring_bytes; /* of each interface; rounded up to blocks of 256 KiB */
    bool promiscuous;    /* also packets for others that the network brings here */
};

struct ring;

/* Opens the interface ("any" is one, of link type LINUX_SLL2; VLAN tags do not show there). ERROR_NOT_FOUND;
 * ERROR_UNREACHABLE: it is down; ERROR_REFUSED names the capability that is missing; ERROR_USAGE: the filter does not
 * compile for its link type, with libpcap's words. */
MUST_CHECK int ring_open(const char *name, const struct ring_options *o, struct ring **out, struct error *e);
void ring_close(struct ring *r); /* NULL is fine */

/* What pcapng says of it; texts are valid until the ring is closed or renamed (ring_renamed). The MAC address is that
 * of the opening. */
const struct pcapng_interface *ring_interface(const struct ring *r);
int ring_fd(const struct ring *r); /* to poll for POLLIN */

struct ring_packet {
    struct pcapng_packet packet; /* data are valid during the call; `interface` is 0; `flags` tell the direction */
    bool wanted;                 /* the capture's own filter matches; else it is a possible companion */
};
#define RING_PACKETS 16u /* given together at the most */
typedef int ring_packets_fn(void *context, const struct ring_packet *p, size_t n, struct error *e);

/* Gives all packets that are there now, at most `most`, to `take`, some at a time; a nonzero return of it ends that.
 * Returns how many, or a negative code: that of `take`; or, if there are no packets, ERROR_NOT_FOUND: the interface is
 * gone; ERROR_UNREACHABLE: it is down (the ring stays usable, packets come again when it is up, whatever its name is
 * then). */
MUST_CHECK int ring_read(struct ring *r, unsigned most, ring_packets_fn *take, void *context, struct error *e);

/* Packets dropped since the ring was opened: by the kernel because the ring was full; by the interface (its FIFO). */
void ring_drops(struct ring *r, uint64_t *kernel, uint64_t *interface);

/* Whether the interface has another name than ring_interface told: 1, and it tells the new one from now on; 0;
 * ERROR_NOT_FOUND if it is gone. */
int ring_renamed(struct ring *r);

/* Something to poll for POLLIN: an interface of this host was made, removed, renamed, or changed its state. Needs no
 * privileges, but the network that is meant. ring_watch_take makes it quiet again. */
MUST_CHECK int ring_watch_open(struct error *e);
void ring_watch_take(int fd);

/* ---------------------------------------------------------------- choosing interfaces */
struct ring_choice {
    char name[RING_NAME_MAX];
    unsigned index; /* the kernel's, which outlives names and is not used again; 0: any */
};
/* The interfaces that are up and fit one of the globs ("any" is taken literally), or, without globs, those that are up,
 * have an address, have no master and are no loopback. malloc'ed, by the kernel's index; there may be none. */
MUST_CHECK int ring_choose(const char *const *globs, size_t count, struct ring_choice **out, size_t *chosen,
                           struct error *e);

/* ERROR_NOT_FOUND, in words for the case that there are none, with those that exist. */
int ring_none(const char *const *globs, size_t count, struct error *e);

/* Whether the filter compiles for the interface's link type (asked without opening it for long). As ring_open. */
MUST_CHECK int ring_check(const char *name, const struct ring_options *o, struct error *e);

#endif
