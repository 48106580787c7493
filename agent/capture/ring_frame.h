/*
 * ring_frame: what stands in front of a packet in a ring of TPACKET_V3 (linux/if_packet.h), and libpcap does not tell:
 * which way it went, and whether its outermost VLAN tag was beside it, so that the kernel's filter did not see it.
 *
 * A packet's frame begins with a header that says how far behind it the packet is (tp_mac); libpcap takes up some of
 * the room between to put a tag or a cooked header in front. So the header is found backwards, known by its time and by
 * pointing to this packet. That stays inside the block: with what libpcap has it reserve, the kernel puts a packet 72
 * to 104 bytes behind the beginning of its frame, and the first frame of a block 48 behind that of the block.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_RING_FRAME_H
#define FLEETDUMP_AGENT_CAPTURE_RING_FRAME_H

#include <linux/if_packet.h>
#include <pcap/pcap.h>
#include <stdint.h>

#define RING_FRAME_ALIGN 8u /* V3_ALIGNMENT */
#define RING_FRAME_LEAST ((uint32_t)sizeof(struct tpacket3_hdr))
#define RING_FRAME_MOST  104u

_Static_assert(sizeof(struct tpacket3_hdr) % TPACKET_ALIGNMENT == 0, "the address follows the header at once");

/* Whether the header of this packet is `back` bytes in front of it. */
static inline const struct tpacket3_hdr *ring_frame_try(const struct pcap_pkthdr *h, const uint8_t *data, uint32_t back)
{
    const struct tpacket3_hdr *t = (const void *)(data - back);
    uint32_t added = h->len - t->tp_len;
    bool same =
        t->tp_mac == back + added && t->tp_nsec == (uint32_t)h->ts.tv_usec && t->tp_sec == (uint32_t)h->ts.tv_sec;
    return same ? t : NULL;
}

/* The packet's header, or NULL. `data` as libpcap gave it; *back: where the last one was, to begin with. */
static inline const struct tpacket3_hdr *ring_frame(const struct pcap_pkthdr *h, const uint8_t *data, uint32_t *back)
{
    uint32_t misaligned = (uint32_t)((uintptr_t)data % RING_FRAME_ALIGN);
    const struct tpacket3_hdr *t = NULL;
    if (*back % RING_FRAME_ALIGN == misaligned && (t = ring_frame_try(h, data, *back)))
        return t;
    for (uint32_t b = RING_FRAME_LEAST + misaligned; !t && b <= RING_FRAME_MOST; b += RING_FRAME_ALIGN)
        if ((t = ring_frame_try(h, data, b)))
            *back = b;
    return t;
}

/* Bytes that libpcap put in front: 4 of a tag, 20 of LINUX_SLL2, or 0. */
static inline uint32_t ring_frame_added(const struct pcap_pkthdr *h, const struct tpacket3_hdr *t)
{
    return h->len - t->tp_len;
}

#define RING_FRAME_AHEAD 256u /* of the next packet: what stands in front of it, and its headers */

/* Has the next packet of the block fetched into the cache while this one is worked on: the kernel wrote it on another
 * processor. */
static inline void ring_frame_fetch_next(const struct tpacket3_hdr *t)
{
    if (!t || !t->tp_next_offset)
        return;
    const uint8_t *next = (const uint8_t *)t + t->tp_next_offset;
    for (uint32_t at = 0; at < RING_FRAME_AHEAD; at += 64)
        __builtin_prefetch(next + at);
}

static inline const struct sockaddr_ll *ring_frame_address(const struct tpacket3_hdr *t)
{
    return (const void *)(t + 1);
}

#endif
