#include "common/app/dns.h"
#include "common/app/names.h"
#include "common/packet/packet.h"
#include <string.h>

#define FLAG_RESPONSE  0x8000u
#define FLAG_TRUNCATED 0x0200u
#define OPCODE(flags)  ((flags) >> 11 & 0xf)
#define RCODE(flags)   ((flags)&0xf)
#define POINTER        0xc0u
#define LABEL_MAX      63u /* RFC 1035, 3.1 */
#define PLAUSIBLE_MAX  64u /* records of one section */
#define CLASS_CHAOS    3u
#define CLASS_HESIOD   4u
#define CLASS_NONE     254u
#define CLASS_ANY      255u
#define CLASS_MDNS     0x8000u

/* ------------------------------------------------------------------ names */

struct dns_labels dns_labels_at(const struct bytes *b)
{
    return (struct dns_labels){.at = *b};
}

int dns_labels_next(struct dns_labels *l, const uint8_t **label, size_t *len)
{
    for (;;) {
        uint8_t length = bytes_u8(&l->at);
        if ((length & POINTER) != POINTER) {
            *label = bytes_take(&l->at, length);
            *len = length;
            l->total += length + 1u;
            return l->at.bad || length > LABEL_MAX || l->total > DNS_NAME_MAX ? -1 : length > 0;
        }
        size_t target = (size_t)(length & ~POINTER) << 8 | bytes_u8(&l->at);
        if (l->at.bad || ++l->pointers > DNS_POINTERS_MAX || target >= (size_t)(l->at.end - l->at.start))
            return -1;
        l->at.p = l->at.start + target;
    }
}

void dns_skip_name(struct bytes *b)
{
    for (size_t total = 0; !b->bad && total < DNS_NAME_MAX;) {
        uint8_t length = bytes_u8(b);
        if ((length & POINTER) == POINTER)
            bytes_skip(b, 1);
        if (length == 0 || (length & POINTER) == POINTER)
            return;
        if (length > LABEL_MAX)
            break;
        bytes_skip(b, length);
        total += length + 1u;
    }
    b->bad = true;
}

bool dns_name_text(const struct bytes *b, struct app_text *t)
{
    struct dns_labels l = dns_labels_at(b);
    const uint8_t *label;
    size_t len;
    int more;
    for (unsigned n = 0; (more = dns_labels_next(&l, &label, &len)) > 0; n++) {
        if (n)
            app_text_add(t, ".");
        app_text_quote(t, label, len, APP_TEXT_LABEL);
    }
    if (more == 0 && l.total == 1)
        app_text_add(t, ".");
    return more == 0;
}

/* ------------------------------------------------------------------ questions and records */

bool dns_question_next(struct bytes *b, struct dns_question *out)
{
    *out = (struct dns_question){.name = *b};
    dns_skip_name(b);
    out->type = bytes_be16(b);
    out->class = bytes_be16(b);
    return !b->bad;
}

bool dns_record_next(struct bytes *b, struct dns_record *out)
{
    *out = (struct dns_record){.name = *b};
    dns_skip_name(b);
    out->type = bytes_be16(b);
    out->class = bytes_be16(b);
    out->ttl = bytes_be32(b);
    out->data = bytes_sub(b, bytes_be16(b));
    out->data.start = b->start;
    return !b->bad;
}

/* ------------------------------------------------------------------ answers as text */

static void add_address(uint8_t family, const struct bytes *data, struct app_text *t)
{
    uint8_t addr[16] = {0};
    char text[46];
    memcpy(addr, data->p, bytes_left(data));
    app_text_add(t, packet_addr_text(family, addr, text, sizeof text));
}

static bool add_strings(struct bytes data, struct app_text *t)
{
    for (unsigned n = 0; bytes_left(&data) && !t->cut; n++) {
        struct bytes string = bytes_sub(&data, bytes_u8(&data));
        if (string.bad)
            return false;
        app_text_add(t, n ? " \"" : "\"");
        app_text_quote(t, string.p, bytes_left(&string), APP_TEXT_PLAIN);
        app_text_add(t, "\"");
    }
    return true;
}

/* `numbers` of 16 bits, then a name. */
static bool add_numbered(struct bytes data, unsigned numbers, struct app_text *t)
{
    while (numbers--)
        app_text_addf(t, "%u ", bytes_be16(&data));
    return !data.bad && dns_name_text(&data, t);
}

static bool add_other(uint16_t type, struct app_text *t)
{
    const char *name = name_of(app_dns_types, type);
    if (name)
        app_text_add(t, name);
    else
        app_text_addf(t, "TYPE%u", type); /* RFC 3597 */
    return true;
}

static bool add_data(const struct dns_record *r, struct app_text *t)
{
    size_t len = bytes_left(&r->data);
    switch (r->type) {
    case DNS_A:
    case DNS_AAAA:
        if (len != (r->type == DNS_A ? 4u : 16u))
            return false;
        add_address(r->type == DNS_A ? FAMILY_IP4 : FAMILY_IP6, &r->data, t);
        return true;
    case DNS_NS:
    case DNS_CNAME:
    case DNS_PTR:
    case DNS_DNAME:
    case DNS_SOA:
        return add_numbered(r->data, 0, t);
    case DNS_MX:
    case DNS_SVCB:
    case DNS_HTTPS:
        return add_numbered(r->data, 1, t);
    case DNS_SRV:
        return add_numbered(r->data, 3, t);
    case DNS_TXT:
        return add_strings(r->data, t);
    default:
        return add_other(r->type, t);
    }
}

/* ------------------------------------------------------------------ messages */

static void read_header(struct bytes *b, struct dns_message *m)
{
    m->id = bytes_be16(b);
    uint16_t flags = bytes_be16(b);
    m->response = flags & FLAG_RESPONSE;
    m->truncated = flags & FLAG_TRUNCATED;
    m->opcode = (uint8_t)OPCODE(flags);
    m->rcode = (uint16_t)RCODE(flags);
    m->questions = bytes_be16(b);
    m->answers = bytes_be16(b);
    m->authority = bytes_be16(b);
    m->additional = bytes_be16(b);
}

static bool read_questions(struct bytes *b, struct dns_message *m)
{
    struct app_text name = app_text_in(m->name, sizeof m->name);
    struct dns_question q;
    m->type = m->class = m->name_len = 0;
    for (unsigned i = 0; i < m->questions; i++) {
        if (!dns_question_next(b, &q))
            return false;
        if (i == 0 && dns_name_text(&q.name, &name)) {
            m->type = q.type;
            m->class = q.class;
            m->name_len = (uint16_t)name.len;
        } else if (i == 0) {
            m->name[0] = '\0';
            return false;
        }
    }
    return true;
}

static bool read_answers(struct bytes *b, struct dns_message *m)
{
    struct app_text t = app_text_in(m->answers_text, sizeof m->answers_text);
    struct dns_record r;
    bool sound = true;
    for (unsigned i = 0; i < m->answers && sound; i++) {
        sound = dns_record_next(b, &r);
        if (!sound || t.cut)
            continue;
        struct app_text before = t;
        app_text_add(&t, i ? ", " : "");
        sound = add_data(&r, &t);
        if (!sound && !t.cut) { /* dots may stand in what was there before */
            t = before;
            t.at[t.len] = '\0';
        }
    }
    m->answers_len = (uint16_t)t.len;
    return sound;
}

/* The upper bits of the rcode stand in the upper byte of the TTL (RFC 6891, 6.1.3). */
static bool read_rest(struct bytes *b, struct dns_message *m)
{
    struct dns_record r;
    for (unsigned i = 0; i < (unsigned)m->authority + m->additional; i++) {
        if (!dns_record_next(b, &r))
            return false;
        if (r.type == DNS_OPT && i >= m->authority)
            m->rcode = (uint16_t)((m->rcode & 0xf) | r.ttl >> 24 << 4);
    }
    return true;
}

static enum app_read read_message(struct bytes *b, struct dns_message *m)
{
    m->answers_text[0] = '\0';
    m->answers_len = 0;
    read_header(b, m);
    if (b->bad)
        return APP_READ_INVALID;
    return read_questions(b, m) && read_answers(b, m) && read_rest(b, m) ? APP_READ_WHOLE : APP_READ_CUT;
}

enum app_read dns_read(const void *data, size_t len, struct dns_message *out)
{
    struct bytes b = bytes_of(data, len);
    return read_message(&b, out);
}

static bool is_class(uint16_t class)
{
    uint16_t plain = class & (uint16_t)~CLASS_MDNS;
    return plain == 1 || plain == CLASS_CHAOS || plain == CLASS_HESIOD || plain == CLASS_NONE || plain == CLASS_ANY;
}

static bool is_plausible(const void *data, size_t len)
{
    struct bytes b = bytes_of(data, len);
    struct dns_message m;
    read_header(&b, &m);
    bool few = m.questions <= 1 && m.answers <= PLAUSIBLE_MAX && m.authority <= PLAUSIBLE_MAX &&
               m.additional <= PLAUSIBLE_MAX && m.questions + m.answers > 0;
    if (!few || m.opcode > DNS_UPDATE || !name_of(app_dns_rcodes, m.rcode) || (!m.response && m.rcode))
        return false;
    b = bytes_of(data, len);
    return read_message(&b, &m) == APP_READ_WHOLE && bytes_left(&b) == 0 && (m.questions == 0 || is_class(m.class));
}

/* Most of what is none has another number of questions, and is not worth more work. */
bool dns_plausible(const void *data, size_t len)
{
    const uint8_t *header = data;
    return len >= DNS_HEADER && !header[4] && header[5] <= 1 && is_plausible(data, len);
}
