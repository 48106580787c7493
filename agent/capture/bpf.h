/*
 * bpf: runs a classic BPF program (bpf(4)) on a packet as the Linux kernel does on a socket: what the kernel knows
 * beside the bytes (the VLAN tag that it has taken out of them, the direction) is there too, at the offsets of
 * linux/filter.h, where libpcap's own interpreter, made for files, finds nothing.
 *
 * Pure. Slow against the kernel's compiled code: for packets that have to be judged twice.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_BPF_H
#define FLEETDUMP_AGENT_CAPTURE_BPF_H

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>

#define BPF_PROGRAM_MAX 4096u /* instructions that Linux takes (BPF_MAXINSNS) */

struct bpf_packet {
    const uint8_t *data;
    uint32_t captured, wire;
    bool tagged; /* the 4 bytes at tag_at are the tag, and not there for the program */
    uint32_t tag_at;
    uint8_t packet_type; /* PACKET_HOST, ..., PACKET_OUTGOING */
    uint32_t interface;  /* the kernel's index */
};

/* What the program returns: how many bytes of the packet are wanted; 0: none. A program that reads past the packet's
 * end, and one that is wrong, return 0. */
uint32_t bpf_run(const struct bpf_program *program, const struct bpf_packet *p);

/* A new program, to be freed by bpf_free, that returns what `first` does, and where that is 0 what `second` does. False
 * without memory, or if it would be longer than BPF_PROGRAM_MAX. Where `first` reads past the packet's end it ends the
 * whole. */
bool bpf_or(const struct bpf_program *first, const struct bpf_program *second, struct bpf_program *out);
/* A new program that returns 0 where `forbidden` does not, and else what `rest` does; with the same limits. Where
 * `forbidden` reads past the packet's end, it is 0. */
bool bpf_but(const struct bpf_program *forbidden, const struct bpf_program *rest, struct bpf_program *out);
void bpf_free(struct bpf_program *program);

#endif
