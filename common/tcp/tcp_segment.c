/* The headers of a segment, and its options. */
#include "common/tcp/tcp_segment.h"
#include "common/base/bytes.h"

enum {
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    OPTION_SCALE = 3,
    OPTION_SACK_PERMITTED = 4,
    OPTION_SACK = 5,
    OPTION_STAMP = 8,
    OPTION_MPTCP = 30,
};

#define HEADER_BYTES      20u
#define STAMP_ALONE       0x0101080au /* NOP, NOP, kind 8, length 10 */
#define STAMP_ALONE_BYTES 12u
#define OFFSET_FLAGS      12u
#define SCALE_MAX         14u /* RFC 7323, 2.3 */
#define MPTCP_CAPABLE     0u
#define MPTCP_JOIN        1u
#define MPTCP_FASTCLOSE   7u

static void read_sacks(struct bytes b, struct tcp_segment *s)
{
    s->sacks = 0;
    s->sack_bytes = 0;
    while (bytes_left(&b) >= 8) {
        uint32_t left = bytes_be32(&b), right = bytes_be32(&b);
        if (s->sacks == TCP_SACKS_MAX)
            return;
        if (s->sacks++ == 0) {
            s->sack_left = left;
            s->sack_right = right;
        }
        s->sack_bytes += right - left;
    }
}

/* MP_CAPABLE counts with its key alone, as that says to which connection the subflow belongs. */
static void read_mptcp(struct bytes b, struct tcp_segment *s)
{
    size_t length = bytes_left(&b) + 2;
    unsigned subtype = bytes_u8(&b) >> 4;
    bool named = length == 12 || length == 20 || length == 22 || length == 24;
    if (!b.bad && subtype <= MPTCP_FASTCLOSE && (subtype != MPTCP_CAPABLE || named))
        s->mptcp |= (uint8_t)(1u << subtype);
}

static void read_option(unsigned kind, struct bytes b, struct tcp_segment *s)
{
    size_t length = bytes_left(&b);
    if (kind == OPTION_MSS && length == 2)
        s->mss = bytes_be16(&b);
    else if (kind == OPTION_SCALE && length == 1) {
        uint8_t scale = bytes_u8(&b);
        s->scale = (int8_t)(scale > SCALE_MAX ? SCALE_MAX : scale);
    } else if (kind == OPTION_SACK_PERMITTED && length == 0)
        s->sack_permitted = true;
    else if (kind == OPTION_SACK)
        read_sacks(b, s);
    else if (kind == OPTION_STAMP && length == 8) {
        s->has_stamp = true;
        s->stamp = bytes_be32(&b);
        s->echo = bytes_be32(&b);
    } else if (kind == OPTION_MPTCP)
        read_mptcp(b, s);
}

/* Nearly all segments have these alone (RFC 7323, appendix A). */
static bool is_stamp_alone(struct bytes b, struct tcp_segment *s)
{
    if (bytes_left(&b) != STAMP_ALONE_BYTES || bytes_be32(&b) != STAMP_ALONE)
        return false;
    s->has_stamp = true;
    s->stamp = bytes_be32(&b);
    s->echo = bytes_be32(&b);
    return true;
}

static void read_options(struct bytes b, struct tcp_segment *s)
{
    if (is_stamp_alone(b, s))
        return;
    while (bytes_left(&b)) {
        unsigned kind = bytes_u8(&b);
        if (kind == OPTION_END)
            return;
        if (kind == OPTION_NOP)
            continue;
        unsigned length = bytes_u8(&b);
        if (b.bad || length < 2)
            return;
        struct bytes option = bytes_sub(&b, length - 2);
        if (b.bad)
            return;
        read_option(kind, option, s);
    }
}

/* Whether the packet has room for the header that it claims. */
static bool fits(const struct packet *p)
{
    return p->payload_offset <= p->net_offset + p->net_length;
}

void tcp_segment_read(const struct packet *p, uint64_t time_ns, uint32_t number, struct tcp_segment *s)
{
    const uint8_t *header = p->data + p->transport_offset;
    *s = (struct tcp_segment){
        .time_ns = time_ns,
        .number = number,
        .seq = p->tcp_seq,
        .ack = p->tcp_ack,
        .length = p->payload_length,
        .whole = p->net.fragment == FRAGMENT_NONE && fits(p),
        .flags = (uint16_t)((header[OFFSET_FLAGS] & 0xf) << 8 | header[OFFSET_FLAGS + 1]),
        .window = p->tcp_window,
        .scale = -1,
    };
    uint32_t begin = p->transport_offset + HEADER_BYTES;
    uint32_t end = p->payload_offset < p->captured ? p->payload_offset : p->captured;
    if (begin < end && fits(p))
        read_options(bytes_of(header + HEADER_BYTES, end - begin), s);
}
