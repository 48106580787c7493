/*
 * packet_build: packets made by hand, from the inside out: first the payload, then each header in front of what is there,
 * with lengths that fit. Checksums stay 0. A field that a test wants otherwise is poked afterwards, at the offset that
 * build_at gives.
 *
 *     struct build b = build_new();
 *     build_payload(&b, 100);
 *     build_tcp(&b, 1234, 80, TCP_SYN);
 *     build_ip4(&b, 6, "10.0.0.1", "10.0.0.2");
 *     build_ethernet(&b, 0x0800);
 *     packet_decode(1, build_data(&b), build_length(&b), build_length(&b), &p);
 */
#ifndef FLEETDUMP_TESTS_PACKET_BUILD_H
#define FLEETDUMP_TESTS_PACKET_BUILD_H

#include <stddef.h>
#include <stdint.h>

#define BUILD_ROOM 4096

struct build {
    uint8_t room[BUILD_ROOM];
    size_t start; /* the packet is room[start ..] */
};

struct build build_new(void);
uint8_t *build_data(struct build *b);
uint32_t build_length(const struct build *b);

/* Puts bytes in front: n zeros, or as hexadecimal digits with spaces between bytes or not; returns the place. */
uint8_t *build_zero(struct build *b, size_t n);
uint8_t *build_hex(struct build *b, const char *digits);
void build_put16(uint8_t *at, unsigned v);
void build_put32(uint8_t *at, uint32_t v);

void build_payload(struct build *b, size_t n); /* bytes 0x01 0x02 ... */

/* Transport */
uint8_t *build_tcp(struct build *b, unsigned from, unsigned to,
                   unsigned flags); /* seq 0x01020304, ack 0x05060708, window 0x1000 */
uint8_t *build_udp(struct build *b, unsigned from, unsigned to);
uint8_t *build_icmp(struct build *b, unsigned type, unsigned code); /* 8 bytes; also for ICMPv6 */

/* Network; the returned place is the header's first byte. Hop limit 64, identification 0x1234. */
uint8_t *build_ip4(struct build *b, unsigned proto, const char *from, const char *to);
uint8_t *build_ip6(struct build *b, unsigned next, const char *from, const char *to);
uint8_t *build_extension(struct build *b, unsigned next); /* 8 bytes */
uint8_t *build_fragment6(struct build *b, unsigned next, unsigned offset, unsigned more,
                         uint32_t id); /* offset in bytes */

/* Link */
uint8_t *build_ethernet(struct build *b, unsigned type); /* 02:00:00:00:00:01 -> 02:00:00:00:00:02 */
uint8_t *build_vlan(struct build *b, unsigned id, unsigned type);
uint8_t *build_mpls(struct build *b, unsigned label, unsigned bottom);

#endif
