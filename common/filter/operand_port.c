/* operand_port: ports, and protocols by number. */
#include "common/filter/parse.h"
#include <stdlib.h>
#include <string.h>

/* --- Ports --- */

static bool port_fits(struct parser *p, const struct qualifiers *q)
{
    enum protocol_word word = q->protocol;
    if (word == PROTOCOL_NONE || word == PROTOCOL_TCP || word == PROTOCOL_UDP || word == PROTOCOL_SCTP)
        return true;
    char protocol[TOKEN_TEXT_MAX];
    operand_written(p, &q->protocol_token, protocol);
    complain(p, q->protocol_token.at, ERROR_USAGE,
             "'%s' has no ports: expected tcp, udp, sctp or nothing before 'port'", protocol);
    return false;
}

static bool named_port(struct parser *p, const char *name, uint16_t *port, uint8_t *proto)
{
    if (value_port(name, port, proto))
        return true;
    complain(p, p->token.at, ERROR_USAGE, "no port is called '%.40s': expected a number or a name of /etc/services",
             name);
    return false;
}

/* The protocol by the name of the port and the one before it must agree. */
static bool join_protocols(struct parser *p, const struct qualifiers *q, const char *name, uint8_t *proto)
{
    uint8_t asked = protocol_of(q->protocol)->number;
    if (asked && *proto && asked != *proto) {
        complain(p, p->token.at, ERROR_USAGE, "'%.40s' is a port of %s alone", name,
                 *proto == PROTO_TCP ? "tcp" : "udp");
        return false;
    }
    if (asked)
        *proto = asked;
    return true;
}

static bool read_port(struct parser *p, uint32_t value, uint16_t *port)
{
    *port = (uint16_t)value;
    if (value <= UINT16_MAX)
        return true;
    complain(p, p->token.at, ERROR_USAGE, "ports go to 65535");
    return false;
}

/* One side of a range: digits or a name. */
static bool range_end(struct parser *p, const char *text, uint16_t *port, uint8_t *proto)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end)
        return named_port(p, text, port, proto);
    *proto = 0;
    return read_port(p, value > UINT16_MAX ? UINT32_MAX : (uint32_t)value, port);
}

static bool read_range(struct parser *p, char *text, struct node *n)
{
    uint8_t proto;
    char *dash = strchr(text, '-');
    if (!dash) {
        complain(p, p->token.at, ERROR_USAGE, "'%.40s' is no range of ports: expected N-M", text);
        return false;
    }
    *dash = 0;
    bool ok = range_end(p, text, &n->port.first, &n->port.proto) && range_end(p, dash + 1, &n->port.last, &proto);
    *dash = '-';
    if (ok && proto != n->port.proto)
        n->port.proto = 0;
    return ok;
}

/* The token's port or ports into the node. */
static bool read_ports(struct parser *p, const struct qualifiers *q, struct node *n)
{
    struct token t = p->token;
    n->port.proto = protocol_of(q->protocol)->number;
    if (t.kind == TOKEN_NUMBER) {
        bool ok = read_port(p, t.value, &n->port.first);
        n->port.last = n->port.first;
        return ok;
    }
    if (t.kind != TOKEN_NAME && t.kind != TOKEN_STRING) {
        if (t.kind == TOKEN_DOTTED || t.kind == TOKEN_IP6)
            complain(p, t.at, ERROR_USAGE, "an address where a port is expected: write host before it");
        complain_expected(p, q->subject == SUBJECT_PORT ? "a port's number or name" : "a range of ports, N-M");
        return false;
    }
    char *text = parser_text(p, &t);
    bool ok = text && (q->subject == SUBJECT_PORTRANGE ? read_range(p, text, n)
                                                       : named_port(p, text, &n->port.first, &n->port.proto));
    if (q->subject == SUBJECT_PORT)
        n->port.last = n->port.first;
    ok = ok && join_protocols(p, q, text, &n->port.proto);
    free(text);
    return ok;
}

struct node *operand_port(struct parser *p, const struct qualifiers *q)
{
    struct node *n = port_fits(p, q) ? parser_node(p, NODE_PORT) : NULL;
    if (!n || !read_ports(p, q, n))
        return NULL;
    n->direction = (uint8_t)q->direction;
    if (q->direction == DIRECTION_WLAN)
        return complain(p, q->direction_token.at, ERROR_USAGE, "link addresses have no ports: expected src or dst");
    if (n->port.first > n->port.last) {
        uint16_t last = n->port.first;
        n->port.first = n->port.last;
        n->port.last = last;
    }
    parser_next(p);
    return n;
}

/* --- Protocols by number --- */

/* Extension headers are looked through, tags and labels too: only the packet itself says whether it has one. */
static bool is_looked_through(uint8_t number, uint8_t nets)
{
    static const uint8_t extensions[] = {0, 43, 44, 60, 135, 139, 140};
    return number == 51 || (nets & NETS_IP6 && memchr(extensions, number, sizeof extensions));
}

/* The ethertypes that libpcap compares with the type field alone and that our decoder stops at. */
static bool is_simple_ethertype(uint32_t ethertype)
{
    static const uint16_t others[] = {0x809b, 0x80f3, 0x8100, 0x88a8, 0x9100, 0x8847, 0x8848, 0x8864};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i] == ethertype)
            return false;
    return ethertype >= 0x600;
}

/* A number, or a name by the table that the protocol before it asks for; *known is false for names that libpcap may
 * know. */
static bool protocol_number(struct parser *p, bool link, uint32_t *value, bool *known)
{
    struct token t = p->token;
    *value = t.value;
    *known = true;
    if (t.kind == TOKEN_NUMBER)
        return true;
    if (t.kind != TOKEN_NAME) {
        if (token_is_word(&t))
            complain(p, t.at, ERROR_USAGE, "a word that is meant as a name needs a backslash: \\%.*s",
                     (int)(t.end - t.at), p->text + t.at);
        complain_expected(p, "a protocol's number or name");
        return false;
    }
    char *name = parser_text(p, &t);
    uint8_t number = 0;
    uint16_t ethertype = 0;
    *known = name && (link ? value_ethertype(name, &ethertype) : value_ip_protocol(name, &number));
    *value = link ? ethertype : number;
    if (name && !*known && !link)
        complain(p, t.at, ERROR_USAGE,
                 "no IP protocol is called '%.40s': expected a number or a name of /etc/protocols", name);
    free(name);
    return *known || (link && !p->code);
}

static struct node *link_protocol(struct parser *p, const struct qualifiers *q)
{
    uint32_t value;
    bool known;
    if (!protocol_number(p, true, &value, &known))
        return NULL;
    if (!known || !is_simple_ethertype(value))
        return operand_for_libpcap(p, q, REACH_WHOLE);
    if (value > UINT16_MAX)
        return complain(p, p->token.at, ERROR_USAGE, "ethertypes go to 0xffff");
    struct node *n = parser_node(p, NODE_ETHERTYPE);
    if (n)
        n->ethertype = (uint16_t)value;
    parser_next(p);
    return n;
}

static struct node *ip_protocol(struct parser *p, const struct qualifiers *q)
{
    uint32_t value;
    bool known;
    uint8_t nets = protocol_of(q->protocol)->nets & (NETS_IP | NETS_IP6);
    if (!protocol_number(p, false, &value, &known))
        return NULL;
    if (value > UINT8_MAX)
        return complain(p, p->token.at, ERROR_USAGE, "IP protocols go to 255");
    if (is_looked_through((uint8_t)value, nets))
        return operand_for_libpcap(p, q, REACH_EITHER);
    struct node *n = parser_node(p, NODE_PROTO);
    if (n) {
        n->proto = (uint8_t)value;
        n->nets = nets;
    }
    parser_next(p);
    return n;
}

struct node *operand_protocol(struct parser *p, const struct qualifiers *q)
{
    bool ip = q->protocol == PROTOCOL_NONE || q->protocol == PROTOCOL_IP || q->protocol == PROTOCOL_IP6;
    if (ip && q->subject == SUBJECT_PROTO)
        return ip_protocol(p, q);
    if (ip && (p->token.kind == TOKEN_NUMBER || p->token.kind == TOKEN_NAME))
        return operand_for_libpcap(p, q, REACH_EITHER);
    if (ip)
        return complain_expected(p, "a protocol's number or name");
    if (q->subject == SUBJECT_PROTO && q->protocol == PROTOCOL_LINK)
        return link_protocol(p, q);
    if (q->subject == SUBJECT_PROTO && (q->protocol == PROTOCOL_ISO || q->protocol == PROTOCOL_ISIS))
        return operand_for_libpcap(p, q, REACH_WHOLE);
    char word[TOKEN_TEXT_MAX];
    return complain(p, q->protocol_token.at, ERROR_USAGE,
                    "'%s' carries no protocols: expected ip, ip6, ether, iso or nothing before it",
                    operand_written(p, &q->protocol_token, word));
}
