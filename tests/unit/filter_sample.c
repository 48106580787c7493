#include "tests/unit/filter_sample.h"

#include <stddef.h>
#include <string.h>

#define ETHERNET                                                                                                       \
    "\2\0\0\0\0\2"                                                                                                     \
    "\2\0\0\0\0\1"
#define IP4(proto)   "\x45\0\0\0\0\x07\0\0\x40" proto "\0\0"
#define IP6(next)    "\x60\0\0\0\0\0" next "\x40"
#define HOST_1       "\x0a\0\0\1"
#define HOST_5       "\x0a\0\0\5"
#define HOST_6       "\x0a\0\0\6"
#define LINK_1       "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define GLOBAL_1     "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define ALL_NODES    "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define TCP(flags)   "\0\0\0\1\0\0\0\0\x50" flags "\x10\0\0\0\0\0"
#define UDP          "\0\x0a\0\0hi"
#define ARP(opcode)  "\0\1\x08\0\6\4\0" opcode "\2\0\0\0\0\1" HOST_5 "\2\0\0\0\0\2" HOST_1
#define OUTER(proto) IP4(proto) "\xc0\xa8\0\1\xc0\xa8\0\2"

/* Lengths of IP and UDP around what follows are filled in by `fix`: the offsets of 16-bit fields that count from
 * `from` to the end. */
struct fix {
    uint16_t at, from;
};

struct recipe {
    char letter;
    const char *data;
    uint32_t len;
    struct fix fixes[4];
};

#define R(letter, data, ...)                                                                                           \
    {                                                                                                                  \
        letter, data, sizeof(data) - 1,                                                                                \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }

static const struct recipe recipes[SAMPLES] = {
    /* a, b: a TCP connection to port 80, its SYN and the answer */
    R('a', ETHERNET "\x08\0" IP4("\6") HOST_5 HOST_1 "\x9c\x40\0\x50" TCP("\2"), {16, 14}),
    R('b', ETHERNET "\x08\0" IP4("\6") HOST_1 HOST_5 "\0\x50\x9c\x40" TCP("\x12"), {16, 14}),
    /* c: UDP to a multicast address, both ports 5353 */
    R('c',
      ETHERNET "\x08\0" IP4("\x11") HOST_5 "\xe0\0\0\xfb"
                                           "\x14\xe9\x14\xe9" UDP,
      {16, 14}),
    /* d: UDP over IPv6 to port 53 */
    R('d', ETHERNET "\x86\xdd" IP6("\x11") LINK_1 GLOBAL_1 "\xcf\x08\0\x35" UDP, {18, 54}),
    /* e, f: ICMP, ICMPv6 echo requests */
    R('e', ETHERNET "\x08\0" IP4("\1") HOST_5 HOST_1 "\x08\0\0\0\0\1\0\1", {16, 14}),
    R('f', ETHERNET "\x86\xdd" IP6("\x3a") LINK_1 ALL_NODES "\x80\0\0\0\0\1\0\1", {18, 54}),
    /* g, h: ARP, RARP */
    R('g', ETHERNET "\x08\x06" ARP("\1")),
    R('h', ETHERNET "\x80\x35" ARP("\3")),
    /* i, j: the first and the last fragment of UDP to port 53 */
    R('i',
      ETHERNET "\x08\0"
               "\x45\0\0\0\0\x09\x20\0\x40\x11\0\0" HOST_5 HOST_1 "\3\xe8\0\x35\1\0\0\0hi",
      {16, 14}),
    R('j',
      ETHERNET "\x08\0"
               "\x45\0\0\0\0\x09\0\x1f\x40\x11\0\0" HOST_5 HOST_1 "rest",
      {16, 14}),
    /* k: VLAN 5; l: VLAN 5 in VLAN 100 */
    R('k', ETHERNET "\x81\0\0\5\x08\0" IP4("\6") HOST_5 HOST_1 "\x9c\x41\1\xbb" TCP("\x10"), {20, 18}),
    R('l', ETHERNET "\x88\xa8\0\x64\x81\0\0\5\x08\0" IP4("\x11") HOST_6 HOST_1 "\x9c\x41\2\x02" UDP, {24, 22}),
    /* m: TCP to port 22 in GRE; n: UDP to port 7 in VXLAN 100 */
    R('m', ETHERNET "\x08\0" OUTER("\x2f") "\0\0\x08\0" IP4("\6") HOST_5 HOST_1 "\x9c\x42\0\x16" TCP("\x18"), {16, 14},
      {40, 38}),
    R('n',
      ETHERNET "\x08\0" OUTER("\x11") "\xc0\0\x12\xb5\0\0\0\0\x08\0\0\0\0\0\x64\0" ETHERNET "\x08\0" IP4("\x11")
          HOST_6 HOST_1 "\0\7\0\7" UDP,
      {16, 14}, {38, 34}, {66, 64}),
    /* o: SCTP, both ports 9 */
    R('o', ETHERNET "\x08\0" IP4("\x84") HOST_5 HOST_1 "\0\x09\0\x09\0\0\0\1\0\0\0\0", {16, 14}),
    /* p: LLDP */
    R('p', "\1\x80\xc2\0\0\x0e"
           "\2\0\0\0\0\1"
           "\x88\xcc"
           "\2\7\4\2\0\0\0\0\1\0\0"),
    /* q: TCP to port 80 under an MPLS label 100 */
    R('q', ETHERNET "\x88\x47\0\6\x41\x40" IP4("\6") HOST_5 HOST_1 "\x9c\x43\0\x50" TCP("\x10"), {20, 18}),
    /* r: TCP over IPv6 to port 80 behind a hop-by-hop header */
    R('r',
      ETHERNET "\x86\xdd" IP6("\0") LINK_1 GLOBAL_1 "\6\0\1\4\0\0\0\0"
                                                    "\x9c\x44\0\x50" TCP("\x10"),
      {18, 54}),
};

struct flow_row sample_row(const struct packet *p)
{
    struct flow_row row = {0};
    unsigned direction = packet_key(p, 0, &row.key);
    for (unsigned id = FLOW_ADDR_0; id <= FLOW_ID; id++)
        column_add(&row.has, id);
    for (unsigned id = FLOW_START; id <= FLOW_LATER_FRAGMENTS_1; id++)
        column_add(&row.has, id);
    column_add(&row.has, FLOW_ORIGINATOR);
    row.flow_id = UINT64_C(0x7f3a000000000001);
    row.start_ns = row.first_ns = 1000;
    row.last_ns = 2000;
    row.packets[direction] = 1;
    row.bytes[direction] = p->wire;
    row.later_fragments[direction] = p->net.fragment == FRAGMENT_LATER;
    row.originator = (uint8_t)direction;
    return row;
}

static void make(const struct recipe *recipe, struct sample *s)
{
    s->letter = recipe->letter;
    s->len = recipe->len;
    memcpy(s->data, recipe->data, recipe->len);
    for (const struct fix *fix = recipe->fixes; fix->at; fix++) {
        uint32_t length = s->len - fix->from;
        s->data[fix->at] = (uint8_t)(length >> 8);
        s->data[fix->at + 1] = (uint8_t)length;
    }
    packet_decode(1, s->data, s->len, s->len, &s->packet);
    s->row = sample_row(&s->packet);
}

const struct sample *samples(void)
{
    static struct sample made[SAMPLES];
    for (size_t i = 0; i < SAMPLES && !made[SAMPLES - 1].letter; i++)
        make(&recipes[i], &made[i]);
    return made;
}

const struct sample *sample(char letter)
{
    for (size_t i = 0; i < SAMPLES; i++)
        if (samples()[i].letter == letter)
            return &samples()[i];
    return NULL;
}
