/*
 * Payloads from a stranger, as a conversation of segments and datagrams: what is said stays within its limits and is
 * printable, whatever came before. A byte that says how, two of length, then the payload; again and again.
 */
#include "collector/ladder/said.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FROM = 1, DNS = 2, UDP = 4, CUT = 8, BACK = 16, GAP = 32, SYN = 64, ICMP = 128 };

static void check(const struct words *w)
{
    if (w->len >= sizeof w->text || w->text[w->len] != 0)
        abort();
    for (size_t i = 0; i < w->len; i++)
        if (w->text[i] < ' ' || w->text[i] > '~')
            abort();
}

/* A copy of exactly this size, with a byte before the payload, so that its offset is not 0. */
static void say(struct said *s, uint8_t how, const uint8_t *data, uint32_t len, uint32_t *next)
{
    struct words words;
    uint8_t *copy = malloc(len + 1u);
    if (!copy)
        return;
    copy[0] = 0;
    memcpy(copy + 1, data, len);
    struct packet p = {.data = copy,
                       .captured = 1 + len,
                       .wire = 1 + len + (how & CUT ? 100 : 0),
                       .net = {.family = FAMILY_IP4, .has_ports = true, .port = {how & DNS ? 53 : 443, 4000}},
                       .payload_offset = 1,
                       .payload_length = len + (how & CUT ? 100 : 0),
                       .transport_offset = 1,
                       .tcp_flags = how & SYN ? TCP_SYN : TCP_ACK};
    p.net.proto = how & ICMP ? PROTO_ICMP : how & UDP ? PROTO_UDP : PROTO_TCP;
    p.has_tcp = p.net.proto == PROTO_TCP;
    p.has_icmp = p.net.proto == PROTO_ICMP;
    p.icmp_type = len ? data[0] : 0;
    p.tcp_seq = *next - (how & BACK ? len / 2 : 0) + (how & GAP ? 10 : 0);
    *next = p.tcp_seq + p.payload_length;
    if (said_packet(s, how & FROM, &p, &words, NULL) == 0)
        check(&words);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct said *s;
    uint32_t next[2] = {0, 0xfffffff0u};
    if (said_new(&s, NULL))
        return 0;
    for (unsigned i = 0; i < SEGMENTS_MAX && len >= 3; i++) {
        uint8_t how = data[0];
        size_t size = (size_t)data[1] << 8 | data[2];
        data += 3;
        len -= 3;
        size = size < len ? size : len;
        say(s, how, data, (uint32_t)size, &next[how & FROM]);
        data += size;
        len -= size;
    }
    said_free(s);
    return 0;
}
