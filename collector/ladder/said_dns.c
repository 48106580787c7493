/* DNS (RFC 1035): header, first question, first answers. */
#include "collector/ladder/said_inside.h"
#include <string.h>

#define ANSWERS_SHOWN 3u
#define NAME_MAX      255u /* RFC 1035, 3.1 */
#define POINTERS_MAX  64u

#define FLAG_RESPONSE  0x8000u
#define FLAG_TRUNCATED 0x0200u

static const struct name_of opcodes[] = {{0, "query"},  {1, "inverse query"}, {2, "status query"},
                                         {4, "notify"}, {5, "update"},        {0, NULL}};

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_PTR = 12,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
    TYPE_DNAME = 39,
    TYPE_SVCB = 64,
    TYPE_HTTPS = 65
};

/* A name, compressed or not, which `b` goes past; `w` may be NULL. False if it breaks the rules or is cut. */
static bool read_name(struct bytes *b, struct words *w)
{
    struct bytes at = *b;
    bool jumped = false;
    unsigned pointers = 0, total = 0;
    for (;;) {
        uint8_t length = bytes_u8(&at);
        if ((length & 0xc0) == 0xc0) {
            size_t target = (size_t)(length & 0x3f) << 8 | bytes_u8(&at);
            if (!jumped)
                *b = at;
            jumped = true;
            if (at.bad || ++pointers > POINTERS_MAX || target >= (size_t)(at.end - at.start))
                return false;
            at.p = at.start + target;
            continue;
        }
        const uint8_t *label = bytes_take(&at, length);
        total += length + 1u;
        if (at.bad || length & 0xc0 || total > NAME_MAX)
            return false;
        if (length == 0)
            break;
        if (w && total > length + 1u)
            words_add(w, ".");
        if (w)
            words_quote(w, label, length);
    }
    if (w && total == 1)
        words_add(w, ".");
    if (!jumped)
        *b = at;
    return true;
}

static void add_type(struct words *w, uint16_t type)
{
    const char *name = name_of(app_dns_types, type);
    if (name)
        words_add(w, "%s", name);
    else
        words_add(w, "TYPE%u", type);
}

static void add_address(struct bytes *data, uint8_t family, size_t len, struct words *w)
{
    uint8_t addr[16] = {0};
    char text[46];
    const uint8_t *p = bytes_take(data, len);
    if (!p)
        return;
    memcpy(addr, p, len);
    words_add(w, "%s", packet_addr_text(family, addr, text, sizeof text));
}

/* The data of a record; `whole` is the message, as names in it point back. */
static void add_data(const struct bytes *whole, size_t at, size_t len, uint16_t type, struct words *w)
{
    struct bytes b = *whole;
    b.p = b.start + at;
    if (type == TYPE_A && len == 4)
        add_address(&b, FAMILY_IP4, 4, w);
    else if (type == TYPE_AAAA && len == 16)
        add_address(&b, FAMILY_IP6, 16, w);
    else if (type == TYPE_TXT && len > 1)
        words_quote(w, b.p + 1, b.p[0] < len ? b.p[0] : len - 1);
    else if (type == TYPE_CNAME || type == TYPE_NS || type == TYPE_PTR || type == TYPE_DNAME || type == TYPE_SOA) {
        if (type != TYPE_PTR)
            words_add(w, "%s ", name_of(app_dns_types, type));
        (void)read_name(&b, w);
    } else if (type == TYPE_MX || type == TYPE_SRV || type == TYPE_HTTPS || type == TYPE_SVCB) {
        unsigned first = bytes_be16(&b), weight = type == TYPE_SRV ? bytes_be16(&b) : 0;
        unsigned port = type == TYPE_SRV ? bytes_be16(&b) : 0;
        add_type(w, type);
        words_add(w, type == TYPE_SRV ? " %u %u %u " : " %u ", first, weight, port);
        (void)read_name(&b, w);
    } else {
        add_type(w, type);
        words_add(w, " of %zu bytes", len);
    }
}

/* One record; false if it is cut or breaks the rules. */
static bool read_record(struct bytes *b, bool show, const char *before, struct words *w)
{
    if (!read_name(b, NULL))
        return false;
    uint16_t type = bytes_be16(b);
    bytes_skip(b, 6); /* class, TTL */
    uint16_t len = bytes_be16(b);
    size_t at = bytes_at(b);
    bytes_skip(b, len);
    if (b->bad)
        return false;
    if (show) {
        words_add(w, "%s", before);
        add_data(b, at, len, type, w);
    }
    return true;
}

static void read_answers(struct bytes *b, unsigned count, struct words *w)
{
    for (unsigned i = 0; i < count && i < ANSWERS_SHOWN; i++)
        if (!read_record(b, true, i ? ", " : ": ", w)) {
            words_add(w, "%s(cut)", i ? ", " : ": ");
            return;
        }
    if (count > ANSWERS_SHOWN)
        words_add(w, " and %u more", count - ANSWERS_SHOWN);
}

static bool read_questions(struct bytes *b, unsigned count, struct words *w)
{
    for (unsigned i = 0; i < count; i++) {
        struct bytes name = *b;
        if (!read_name(b, NULL))
            return false;
        uint16_t type = bytes_be16(b);
        bytes_skip(b, 2); /* class */
        if (b->bad)
            return false;
        if (i > 0)
            continue;
        words_add(w, " ");
        add_type(w, type);
        words_add(w, " ");
        (void)read_name(&name, w);
    }
    if (count > 1)
        words_add(w, " and %u more", count - 1);
    return true;
}

void said_dns(const uint8_t *data, size_t len, struct words *w)
{
    struct bytes b = bytes_of(data, len);
    bytes_skip(&b, 2); /* id */
    uint16_t flags = bytes_be16(&b), questions = bytes_be16(&b), answers = bytes_be16(&b);
    bytes_skip(&b, 4);
    if (b.bad)
        return;
    bool response = flags & FLAG_RESPONSE;
    const char *opcode = name_of(opcodes, flags >> 11 & 0xf), *rcode = name_of(app_dns_rcodes, flags & 0xf);
    words_next(w, SAID_DNS);
    words_add(w, "DNS %s", response && opcode && (flags >> 11 & 0xf) == 0 ? "" : opcode ? opcode : "message");
    if (response)
        words_add(w, "%s", (flags >> 11 & 0xf) == 0 ? "answer" : " answer");
    bool sound = read_questions(&b, questions, w);
    if (response && (flags & 0xf)) {
        words_add(w, ": %s", rcode ? rcode : "error");
        if (!rcode)
            words_add(w, " %u", flags & 0xfu);
    }
    if (response && sound && answers)
        read_answers(&b, answers, w);
    else if (response && sound && (flags & 0xf) == 0)
        words_add(w, ": no records");
    if (!sound)
        words_add(w, " (cut)");
    if (flags & FLAG_TRUNCATED)
        words_add(w, " (truncated: to be asked again over TCP)");
}
