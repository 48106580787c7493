#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

struct build build_new(void)
{
    return (struct build){.start = BUILD_ROOM};
}

uint8_t *build_data(struct build *b)
{
    return b->room + b->start;
}

uint32_t build_length(const struct build *b)
{
    return (uint32_t)(BUILD_ROOM - b->start);
}

uint8_t *build_zero(struct build *b, size_t n)
{
    assert_true(n <= b->start);
    b->start -= n;
    memset(b->room + b->start, 0, n);
    return b->room + b->start;
}

static unsigned digit(char c)
{
    assert_true(isxdigit((unsigned char)c));
    return (unsigned)(isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
}

uint8_t *build_hex(struct build *b, const char *digits)
{
    size_t n = 0;
    for (const char *c = digits; *c; c++)
        n += *c != ' ';
    assert_true(n % 2 == 0);
    uint8_t *at = build_zero(b, n / 2), *out = at;
    for (const char *c = digits; *c; c++) {
        if (*c == ' ')
            continue;
        *out++ = (uint8_t)(digit(c[0]) << 4 | digit(c[1]));
        c++;
    }
    return at;
}

void build_put16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

void build_put32(uint8_t *at, uint32_t v)
{
    build_put16(at, v >> 16);
    build_put16(at + 2, v & 0xffff);
}

void build_payload(struct build *b, size_t n)
{
    uint8_t *at = build_zero(b, n);
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(i + 1);
}

uint8_t *build_tcp(struct build *b, unsigned from, unsigned to, unsigned flags)
{
    uint8_t *h = build_hex(b, "0000 0000 01020304 05060708 50 00 1000 0000 0000");
    build_put16(h, from);
    build_put16(h + 2, to);
    h[13] = (uint8_t)flags;
    return h;
}

uint8_t *build_udp(struct build *b, unsigned from, unsigned to)
{
    uint8_t *h = build_zero(b, 8);
    build_put16(h, from);
    build_put16(h + 2, to);
    build_put16(h + 4, build_length(b));
    return h;
}

uint8_t *build_icmp(struct build *b, unsigned type, unsigned code)
{
    uint8_t *h = build_zero(b, 8);
    h[0] = (uint8_t)type;
    h[1] = (uint8_t)code;
    return h;
}

uint8_t *build_ip4(struct build *b, unsigned proto, const char *from, const char *to)
{
    uint8_t *h = build_hex(b, "4500 0000 1234 0000 40 00 0000 00000000 00000000");
    build_put16(h + 2, build_length(b));
    h[9] = (uint8_t)proto;
    assert_int_equal(inet_pton(AF_INET, from, h + 12), 1);
    assert_int_equal(inet_pton(AF_INET, to, h + 16), 1);
    return h;
}

uint8_t *build_ip6(struct build *b, unsigned next, const char *from, const char *to)
{
    unsigned length = build_length(b);
    uint8_t *h = build_zero(b, 40);
    h[0] = 0x60;
    build_put16(h + 4, length);
    h[6] = (uint8_t)next;
    h[7] = 64;
    assert_int_equal(inet_pton(AF_INET6, from, h + 8), 1);
    assert_int_equal(inet_pton(AF_INET6, to, h + 24), 1);
    return h;
}

uint8_t *build_extension(struct build *b, unsigned next)
{
    uint8_t *h = build_zero(b, 8);
    h[0] = (uint8_t)next;
    return h;
}

uint8_t *build_fragment6(struct build *b, unsigned next, unsigned offset, unsigned more, uint32_t id)
{
    uint8_t *h = build_extension(b, next);
    build_put16(h + 2, offset | more);
    build_put32(h + 4, id);
    return h;
}

uint8_t *build_ethernet(struct build *b, unsigned type)
{
    uint8_t *h = build_hex(b, "020000000002 020000000001 0000");
    build_put16(h + 12, type);
    return h;
}

uint8_t *build_vlan(struct build *b, unsigned id, unsigned type)
{
    uint8_t *h = build_zero(b, 4);
    build_put16(h, id);
    build_put16(h + 2, type);
    return h;
}

uint8_t *build_mpls(struct build *b, unsigned label, unsigned bottom)
{
    uint8_t *h = build_zero(b, 4);
    build_put32(h, label << 12 | bottom << 8 | 64);
    return h;
}
