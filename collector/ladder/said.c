/* Which protocol a payload belongs to, and following TCP to where messages begin. */
#include "collector/ladder/said_inside.h"
#include "common/app/dns.h"
#include "common/base/buffer.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLES_MAX   8u
#define HELD_MAX    (66u << 10) /* a whole DNS message or TLS record */
#define DNS_PREFIX  2u
#define CUT         "..."
#define SEPARATOR   "; "
#define HELLO_BYTES 6u

/* ------------------------------------------------------------------ words */

const char *said_protocol_name(enum said_protocol protocol)
{
    static const char *const names[] = {
        [SAID_HTTP] = "http", [SAID_TLS] = "tls", [SAID_DNS] = "dns", [SAID_ICMP] = "icmp", [SAID_ARP] = "arp"};
    return protocol < sizeof names / sizeof names[0] ? names[protocol] : NULL;
}

static void append(struct words *w, const char *text, size_t len)
{
    size_t most = sizeof w->text - sizeof CUT;
    if (w->len > most)
        return;
    if (len > most - w->len) {
        len = most - w->len;
        snprintf(w->text + w->len + len, sizeof CUT, CUT);
        memcpy(w->text + w->len, text, len);
        w->len = most + sizeof CUT - 1;
        return;
    }
    memcpy(w->text + w->len, text, len);
    w->len += len;
    w->text[w->len] = 0;
}

void words_add(struct words *w, const char *fmt, ...)
{
    char text[SAID_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0)
        append(w, text, strlen(text));
}

void words_quote(struct words *w, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len && w->len <= sizeof w->text - sizeof CUT; i++) {
        char text[8];
        int n = snprintf(text, sizeof text, p[i] >= ' ' && p[i] < 0x7f ? "%c" : "\\x%02x", p[i]);
        append(w, text, (size_t)n);
    }
}

void words_next(struct words *w, enum said_protocol protocol)
{
    if (w->len)
        append(w, SEPARATOR, strlen(SEPARATOR));
    if (w->protocol == SAID_NOTHING)
        w->protocol = protocol;
}

/* ------------------------------------------------------------------ a direction of TCP */

struct hole {
    uint32_t from, to; /* numbers; none if equal */
};

struct stream {
    bool known;
    uint32_t next; /* number behind what was read */
    struct hole holes[HOLES_MAX];
    unsigned last_hole;
    enum said_protocol protocol; /* of the message at hand: TLS, DNS, or NOTHING between messages */
    uint32_t skip;               /* bytes of it that nobody reads */
    struct buffer held;          /* its beginning */
    struct said_tls tls;
};

struct said {
    struct stream stream[2];
    bool is_tls; /* a hello was seen */
};

static bool before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static void lose(struct stream *t)
{
    buffer_clear(&t->held);
    t->skip = 0;
    t->protocol = SAID_NOTHING;
}

/* The length of the message that is held, or 0 if that is not known yet; UINT32_MAX: it is none. */
static uint32_t message_length(const struct stream *t)
{
    const uint8_t *p = t->held.data;
    if (t->protocol == SAID_DNS)
        return t->held.len < DNS_PREFIX ? 0 : DNS_PREFIX + (uint32_t)(p[0] << 8 | p[1]);
    if (t->held.len < TLS_RECORD_HEADER)
        return 0;
    uint32_t length = tls_record_length(p);
    return length ? length : UINT32_MAX;
}

static void read_message(struct stream *t, size_t len, struct words *w)
{
    if (t->protocol == SAID_TLS)
        said_tls(&t->tls, t->held.data, len, w);
    else if (len > DNS_PREFIX)
        said_dns(t->held.data + DNS_PREFIX, len - DNS_PREFIX, w);
}

/* Reads the messages that are held as a whole. TLS goes on with another record, whatever it is. */
static void read_messages(struct stream *t, struct words *w)
{
    uint32_t length;
    while (t->held.len && (length = message_length(t)) != 0) {
        if (length == UINT32_MAX) {
            lose(t);
            return;
        }
        bool skipped = t->protocol == SAID_TLS && !said_tls_readable(t->held.data[0]);
        if (!skipped && t->held.len < length)
            return;
        uint32_t taken = t->held.len < length ? (uint32_t)t->held.len : length;
        if (!skipped)
            read_message(t, taken, w);
        t->skip = length - taken;
        memmove(t->held.data, t->held.data + taken, t->held.len - taken);
        t->held.len -= taken;
    }
    if (t->held.len == 0 && t->protocol == SAID_DNS)
        t->protocol = SAID_NOTHING;
}

/* What begins with this packet, where no message is at hand. */
static enum said_protocol recognize(struct said *s, bool dns, const uint8_t *data, size_t len, struct words *w)
{
    if (dns)
        return SAID_DNS;
    if (tls_begins(data, len))
        s->is_tls = true;
    else if (said_http(data, len, w) || !s->is_tls || len < TLS_RECORD_HEADER || !tls_record_length(data))
        return SAID_NOTHING;
    return SAID_TLS;
}

/* Bytes in order: `len` of them are there, `missing` behind them are not. */
static int read_bytes(struct said *s, struct stream *t, bool dns, const uint8_t *data, size_t len, uint32_t missing,
                      struct words *w, struct error *e)
{
    size_t skipped = t->skip < len ? t->skip : len;
    t->skip -= (uint32_t)skipped;
    data += skipped;
    len -= skipped;
    if (len && t->protocol == SAID_NOTHING)
        t->protocol = recognize(s, dns, data, len, w);
    if (len && t->protocol != SAID_NOTHING) {
        t->held.limit = HELD_MAX;
        buffer_append(&t->held, data, len);
        if (t->held.failed)
            return error_set(e, ERROR_MEMORY, "no memory to read what was said");
        read_messages(t, w);
    }
    if (missing == 0)
        return 0;
    if (t->held.len == 0 && t->skip >= missing) {
        t->skip -= missing;
        return 0;
    }
    if (t->held.len > (t->protocol == SAID_TLS ? TLS_RECORD_HEADER : DNS_PREFIX)) /* what there is of it */
        read_message(t, t->held.len, w);
    lose(t);
    return 0;
}

/* ------------------------------------------------------------------ gaps */

static void note_hole(struct stream *t, uint32_t from, uint32_t to)
{
    t->last_hole = (t->last_hole + 1) % HOLES_MAX;
    t->holes[t->last_hole] = (struct hole){from, to};
}

/* Whether a segment fills a hole, or its beginning. */
static bool fills_hole(struct stream *t, uint32_t seq, uint32_t end)
{
    for (unsigned i = 0; i < HOLES_MAX; i++) {
        struct hole *h = &t->holes[i];
        if (h->from == h->to || before(seq, h->from) || !before(seq, h->to))
            continue;
        h->from = before(end, h->to) ? end : h->to;
        return true;
    }
    return false;
}

/* A segment that came late stands for itself. */
static int read_late(struct said *s, bool dns, const uint8_t *data, size_t len, uint32_t missing, struct words *w,
                     struct error *e)
{
    struct stream alone = {0};
    int r = read_bytes(s, &alone, dns, data, len, missing, w, e);
    buffer_free(&alone.held);
    return r;
}

static int read_tcp(struct said *s, struct stream *t, bool dns, const struct packet *p, struct words *w,
                    struct error *e)
{
    uint32_t seq = p->tcp_seq + ((p->tcp_flags & TCP_SYN) != 0), end = seq + p->payload_length, old = 0;
    uint32_t have = p->payload_offset < p->captured ? p->captured - p->payload_offset : 0;
    const uint8_t *data = p->data + p->payload_offset;
    if (have > p->payload_length)
        have = p->payload_length;
    if (!t->known || (p->tcp_flags & TCP_SYN)) {
        lose(t);
        t->known = true;
        t->next = seq;
    }
    if (p->payload_length == 0)
        return 0;
    if (before(seq, t->next) && fills_hole(t, seq, end))
        return read_late(s, dns, data, have, p->payload_length - have, w, e);
    if (!before(t->next, end))
        return 0;
    if (before(t->next, seq)) {
        note_hole(t, t->next, seq);
        lose(t);
    } else
        old = t->next - seq;
    t->next = end;
    uint32_t length = p->payload_length - old;
    have = have > old ? have - old : 0;
    return read_bytes(s, t, dns, data + old, have, length - have, w, e);
}

/* ------------------------------------------------------------------ packets */

int said_new(struct said **out, struct error *e)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : error_set(e, ERROR_MEMORY, "no memory to read what was said");
}

void said_free(struct said *s)
{
    if (!s)
        return;
    buffer_free(&s->stream[0].held);
    buffer_free(&s->stream[1].held);
    free(s);
}

static bool is_dns(const struct packet_net *net)
{
    for (unsigned i = 0; i < 2; i++)
        if (net->has_ports &&
            (net->port[i] == DNS_PORT || net->port[i] == DNS_PORT_MDNS || net->port[i] == DNS_PORT_LLMNR))
            return true;
    return false;
}

static void read_datagram(const struct packet *p, struct words *w)
{
    uint32_t have = p->payload_offset < p->captured ? p->captured - p->payload_offset : 0;
    if (p->payload_offset && is_dns(&p->net))
        said_dns(p->data + p->payload_offset, have < p->payload_length ? have : p->payload_length, w);
}

int said_packet(struct said *s, unsigned from, const struct packet *p, struct words *out, struct error *e)
{
    *out = (struct words){.len = 0};
    if (p->has_tcp && p->net.fragment == FRAGMENT_NONE)
        return read_tcp(s, &s->stream[from], is_dns(&p->net), p, out, e);
    if (p->net.proto == PROTO_UDP && p->net.fragment != FRAGMENT_LATER)
        read_datagram(p, out);
    else if (p->has_icmp)
        said_icmp(p, out);
    else if (p->ethertype == ETHERTYPE_ARP)
        said_arp(p, out);
    return 0;
}
