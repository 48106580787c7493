/* DNS (RFC 1035): header, first question, first answers. */
#include "collector/ladder/said_inside.h"
#include "common/app/dns.h"
#include <string.h>

#define ANSWERS_SHOWN 3u

#define FLAG_RESPONSE  0x8000u
#define FLAG_TRUNCATED 0x0200u

static const struct name_of opcodes[] = {{0, "query"},  {1, "inverse query"}, {2, "status query"},
                                         {4, "notify"}, {5, "update"},        {0, NULL}};

/* Whether a name is whole, and follows the rules. */
static bool is_sound(const struct bytes *name)
{
    struct dns_labels l = dns_labels_at(name);
    const uint8_t *label;
    size_t len;
    int more;
    while ((more = dns_labels_next(&l, &label, &len)) > 0)
        ;
    return more == 0;
}

/* As it was sent; as much of it as there is. */
static void add_name(const struct bytes *name, struct words *w)
{
    struct dns_labels l = dns_labels_at(name);
    const uint8_t *label;
    size_t len;
    int more;
    for (unsigned i = 0; (more = dns_labels_next(&l, &label, &len)) > 0; i++) {
        words_add(w, "%s", i ? "." : "");
        words_quote(w, label, len);
    }
    if (more == 0 && l.total == 1)
        words_add(w, ".");
}

static void add_type(struct words *w, uint16_t type)
{
    const char *name = name_of(app_dns_types, type);
    if (name)
        words_add(w, "%s", name);
    else
        words_add(w, "TYPE%u", type);
}

static void add_address(uint8_t family, const struct bytes *data, struct words *w)
{
    uint8_t addr[16] = {0};
    char text[46];
    memcpy(addr, data->p, bytes_left(data));
    words_add(w, "%s", packet_addr_text(family, addr, text, sizeof text));
}

static void add_data(const struct dns_record *r, struct words *w)
{
    struct bytes b = r->data;
    size_t len = bytes_left(&b);
    uint16_t type = r->type;
    if (type == DNS_A && len == 4)
        add_address(FAMILY_IP4, &b, w);
    else if (type == DNS_AAAA && len == 16)
        add_address(FAMILY_IP6, &b, w);
    else if (type == DNS_TXT && len > 1)
        words_quote(w, b.p + 1, b.p[0] < len ? b.p[0] : len - 1);
    else if (type == DNS_CNAME || type == DNS_NS || type == DNS_PTR || type == DNS_DNAME || type == DNS_SOA) {
        if (type != DNS_PTR)
            words_add(w, "%s ", name_of(app_dns_types, type));
        add_name(&b, w);
    } else if (type == DNS_MX || type == DNS_SRV || type == DNS_HTTPS || type == DNS_SVCB) {
        unsigned first = bytes_be16(&b), weight = type == DNS_SRV ? bytes_be16(&b) : 0;
        unsigned port = type == DNS_SRV ? bytes_be16(&b) : 0;
        add_type(w, type);
        words_add(w, type == DNS_SRV ? " %u %u %u " : " %u ", first, weight, port);
        add_name(&b, w);
    } else {
        add_type(w, type);
        words_add(w, " of %zu bytes", len);
    }
}

static void read_answers(struct bytes *b, unsigned count, struct words *w)
{
    struct dns_record r;
    for (unsigned i = 0; i < count && i < ANSWERS_SHOWN; i++) {
        words_add(w, "%s", i ? ", " : ": ");
        if (!dns_record_next(b, &r) || !is_sound(&r.name)) {
            words_add(w, "(cut)");
            return;
        }
        add_data(&r, w);
    }
    if (count > ANSWERS_SHOWN)
        words_add(w, " and %u more", count - ANSWERS_SHOWN);
}

static bool read_questions(struct bytes *b, unsigned count, struct words *w)
{
    struct dns_question q;
    for (unsigned i = 0; i < count; i++) {
        if (!dns_question_next(b, &q) || !is_sound(&q.name))
            return false;
        if (i > 0)
            continue;
        words_add(w, " ");
        add_type(w, q.type);
        words_add(w, " ");
        add_name(&q.name, w);
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
