#include "common/app/quic_crypto.h"
#include "common/app/tls.h"
#include "common/base/bytes.h"
#include <string.h>

#define LONG_HEADER      0x80u
#define FIXED_BIT        0x40u
#define TYPE(first)      ((first) >> 4 & 3)
#define NUMBER_BYTES_MAX 4u

enum frame { FRAME_PADDING = 0, FRAME_PING = 1, FRAME_ACK = 2, FRAME_ACK_ECN = 3, FRAME_CRYPTO = 6 };

/* RFC 9000, 16 */
static uint64_t varint(struct bytes *b)
{
    uint8_t first = bytes_u8(b);
    if (first < 0x40)
        return first;
    size_t more = (1u << (first >> 6)) - 1;
    const uint8_t *p = bytes_take(b, more);
    uint64_t value = first & 0x3f;
    for (size_t i = 0; p && i < more; i++)
        value = value << 8 | p[i];
    return p ? value : 0;
}

void quic_gather_begin(struct quic_gather *g, void *window, size_t size)
{
    *g = (struct quic_gather){.window = window};
    g->size = (uint16_t)(size < QUIC_WINDOW_MAX ? size : QUIC_WINDOW_MAX);
}

/* ------------------------------------------------------------------ pieces of the hello */

/* Notes that bytes from .. to are there; false if there is no room for another piece. */
static bool note_piece(struct quic_gather *g, uint16_t from, uint16_t to)
{
    unsigned first = 0, last;
    while (first < g->pieces && g->piece[first].to < from)
        first++;
    for (last = first; last < g->pieces && g->piece[last].from <= to; last++) {
        from = g->piece[last].from < from ? g->piece[last].from : from;
        to = g->piece[last].to > to ? g->piece[last].to : to;
    }
    if (last == first && g->pieces == QUIC_PIECES_MAX)
        return false;
    memmove(&g->piece[first + 1], &g->piece[last], (g->pieces - last) * sizeof g->piece[0]);
    g->pieces = (uint16_t)(g->pieces + 1 - (last - first));
    g->piece[first].from = from;
    g->piece[first].to = to;
    return true;
}

static void put(struct quic_gather *g, uint64_t offset, const uint8_t *data, uint64_t len)
{
    if (offset >= g->size || len == 0)
        return;
    uint16_t n = (uint16_t)(len < g->size - offset ? len : g->size - offset);
    if (note_piece(g, (uint16_t)offset, (uint16_t)(offset + n)))
        memcpy(g->window + offset, data, n);
}

/* ------------------------------------------------------------------ frames */

static void skip_ack(struct bytes *b, bool with_ecn)
{
    (void)varint(b);
    (void)varint(b);
    uint64_t ranges = varint(b);
    (void)varint(b);
    for (uint64_t i = 0; i < ranges && bytes_left(b); i++) {
        (void)varint(b);
        (void)varint(b);
    }
    for (unsigned i = 0; i < 3 && with_ecn; i++)
        (void)varint(b);
}

/* Most of a packet is padding, often. */
static void skip_padding(struct bytes *b)
{
    static const uint8_t zeros[64];
    while (bytes_left(b) >= sizeof zeros && memcmp(b->p, zeros, sizeof zeros) == 0)
        b->p += sizeof zeros;
    while (bytes_left(b) && *b->p == FRAME_PADDING)
        b->p++;
}

/* RFC 9000, 12.4: those that an Initial may have; at another (its close), and at one that is broken, nothing more is read. */
static void read_frames(struct quic_gather *g, struct bytes b)
{
    while (bytes_left(&b)) {
        uint64_t type = varint(&b);
        if (type == FRAME_CRYPTO) {
            uint64_t offset = varint(&b), len = varint(&b);
            const uint8_t *data = len <= bytes_left(&b) ? bytes_take(&b, (size_t)len) : NULL;
            if (!data)
                return;
            put(g, offset, data, len);
        } else if (type == FRAME_ACK || type == FRAME_ACK_ECN)
            skip_ack(&b, type == FRAME_ACK_ECN);
        else if (type == FRAME_PADDING)
            skip_padding(&b);
        else if (type != FRAME_PING)
            return;
    }
}

/* ------------------------------------------------------------------ packets */

/* A packet with a long header, as it lies in the datagram. */
struct long_packet {
    const uint8_t *at;
    const struct quic_version *version;
    uint32_t number; /* of the version */
    struct bytes id; /* of the destination */
    size_t header;   /* bytes up to the packet's number */
    size_t sealed;   /* bytes from there on */
    bool is_initial;
};

static bool next_packet(struct bytes *b, struct long_packet *p)
{
    *p = (struct long_packet){.at = b->p};
    uint8_t first = bytes_u8(b);
    p->number = bytes_be32(b);
    p->version = quic_version_of(p->number);
    p->id = bytes_sub(b, bytes_u8(b));
    bytes_skip(b, bytes_u8(b)); /* id of the source */
    if (b->bad || !p->version || !(first & LONG_HEADER) || !(first & FIXED_BIT) || TYPE(first) == p->version->retry ||
        bytes_left(&p->id) > QUIC_ID_MAX)
        return false;
    p->is_initial = TYPE(first) == p->version->initial;
    uint64_t token = p->is_initial ? varint(b) : 0;
    if (token > bytes_left(b))
        return false;
    bytes_skip(b, (size_t)token);
    uint64_t length = varint(b);
    p->header = (size_t)(b->p - p->at);
    if (b->bad || length > bytes_left(b))
        return false;
    p->sealed = (size_t)length;
    bytes_skip(b, p->sealed);
    return true;
}

/* Takes the mask off the header (RFC 9001, 5.4), and opens what it protects. The first numbers are small: none is completed. */
static bool open_packet(struct quic *q, const struct quic_keys *k, const struct long_packet *p, struct bytes *plain)
{
    uint8_t mask[5], *header = quic_header_room(q);
    if (p->sealed < NUMBER_BYTES_MAX + QUIC_SAMPLE || p->header + NUMBER_BYTES_MAX > QUIC_PACKET_MAX ||
        !quic_mask(q, k, p->at + p->header + NUMBER_BYTES_MAX, mask))
        return false;
    memcpy(header, p->at, p->header + NUMBER_BYTES_MAX);
    header[0] ^= mask[0] & 0x0f;
    size_t bytes = (header[0] & 3u) + 1u;
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++) {
        header[p->header + i] ^= mask[1 + i];
        number = number << 8 | header[p->header + i];
    }
    size_t sealed = p->sealed - bytes;
    const uint8_t *opened = quic_open(q, k, number, header, p->header + bytes, p->at + p->header + bytes, sealed);
    *plain = bytes_of(opened, opened ? sealed - QUIC_TAG : 0);
    return opened;
}

static bool derive(struct quic *q, struct quic_gather *g, const struct long_packet *p, struct quic_keys *keys)
{
    if (g->derived == QUIC_KEYS_MAX)
        return false;
    g->derived++;
    return quic_derive(q, p->version, p->id.p, bytes_left(&p->id), keys);
}

/* By the keys that fit before; else by those of its own id, which are other ones behind a Retry (RFC 9001, 5.2). */
static bool read_initial(struct quic *q, struct quic_gather *g, const struct long_packet *p)
{
    size_t id_len = bytes_left(&p->id);
    struct bytes plain;
    struct quic_keys keys;
    bool same = g->version == p->number && g->id_len == id_len && memcmp(g->id, p->id.p, id_len) == 0;
    bool opened = g->version == p->number && open_packet(q, &g->keys, p, &plain);
    if (!opened && (same || !derive(q, g, p, &keys) || !open_packet(q, &keys, p, &plain)))
        return false;
    if (!opened) {
        if (g->version)
            g->pieces = 0; /* a new connection, with its own hello */
        g->version = p->number;
        g->id_len = (uint8_t)id_len;
        memcpy(g->id, p->id.p, id_len);
        g->keys = keys;
    }
    read_frames(g, plain);
    return true;
}

/* ------------------------------------------------------------------ datagrams */

/* What there is, now that a packet was read. */
static enum quic_result judge(struct quic_gather *g)
{
    size_t have = g->pieces && g->piece[0].from == 0 ? g->piece[0].to : 0;
    if (have && g->window[0] != TLS_CLIENT_HELLO)
        return QUIC_OVER;
    if (have < TLS_HANDSHAKE_HEADER)
        return QUIC_MORE;
    size_t len = (size_t)g->window[1] << 16 | (size_t)g->window[2] << 8 | g->window[3];
    bool whole = have - TLS_HANDSHAKE_HEADER >= len;
    if (!whole && have < g->size)
        return QUIC_MORE;
    g->body = g->window + TLS_HANDSHAKE_HEADER;
    g->body_len = whole ? len : have - TLS_HANDSHAKE_HEADER;
    return whole ? QUIC_HELLO : QUIC_TOO_LONG;
}

enum quic_result quic_read(struct quic *q, struct quic_gather *g, const void *datagram, size_t len)
{
    struct bytes b = bytes_of(datagram, len);
    struct long_packet p;
    bool any = false;
    if (++g->datagrams > QUIC_DATAGRAMS_MAX) {
        g->datagrams = QUIC_DATAGRAMS_MAX;
        return QUIC_OVER;
    }
    for (unsigned i = 0; i < QUIC_PACKETS_MAX && bytes_left(&b) && next_packet(&b, &p); i++)
        any = (p.is_initial && read_initial(q, g, &p)) || any;
    return any ? judge(g) : QUIC_NONE;
}
