/* primitive: what begins with a word. */
#include "common/base/suggest.h"
#include "common/filter/parse.h"
#include <stdlib.h>
#include <string.h>

#define VLAN_ID_MAX 4095u
#define VNI_MAX     0xffffffu

/* --- Words without qualifiers --- */

/* tcp, ip, stp, ... alone */
static struct node *protocol_alone(struct parser *p)
{
    struct token t = p->token;
    const struct protocol *known = protocol_of((enum protocol_word)t.value);
    if (t.value == PROTOCOL_LINK)
        return complain(p, t.at, ERROR_USAGE, "'%.*s' needs what comes behind it: host MAC, proto N, multicast, [N]",
                        (int)(t.end - t.at), p->text + t.at);
    struct node *n;
    if (known->ethertype) {
        n = parser_node(p, NODE_ETHERTYPE);
        if (n)
            n->ethertype = known->ethertype;
    } else if (known->number && t.value != PROTOCOL_AH) {
        n = parser_node(p, NODE_PROTO);
        if (n) {
            n->proto = known->number;
            n->nets = known->nets;
        }
    } else {
        char *text = parser_copy(p, t.at, t.end);
        n = text ? packet_word_node(p, text, t.value == PROTOCOL_AH ? REACH_EITHER : REACH_WHOLE, t.at) : NULL;
    }
    parser_next(p);
    return n;
}

/* [protocol] multicast, broadcast */
static struct node *cast(struct parser *p, enum protocol_word protocol)
{
    uint32_t at = p->token.at;
    bool broadcast = p->token.value != 0;
    parser_next(p);
    if (protocol == PROTOCOL_NONE || protocol == PROTOCOL_LINK) {
        char *text = parser_copy(p, at, p->last.end);
        return text ? packet_word_node(p, text, REACH_WHOLE, at) : NULL;
    }
    if (broadcast)
        return complain(p, at, ERROR_USAGE,
                        "broadcast needs the network's mask, which is not known: write dst host and the address, or "
                        "broadcast alone for the link level");
    if (protocol != PROTOCOL_IP && protocol != PROTOCOL_IP6)
        return complain(p, at, ERROR_USAGE, "multicast goes with ip, ip6 or ether");
    struct node *n = parser_node(p, NODE_MULTICAST);
    if (n)
        n->nets = protocol_of(protocol)->nets;
    return n;
}

/* N or ( N ), if it follows. */
static bool take_number(struct parser *p, uint32_t *value)
{
    struct token t = p->token.kind == '(' ? parser_peek(p) : p->token;
    if (t.kind != TOKEN_NUMBER)
        return false;
    bool open = parser_take(p, '(');
    *value = t.value;
    parser_next(p);
    return !open || parser_take(p, ')');
}

/* vlan [N], geneve [N], vxlan [N] */
static struct node *tag(struct parser *p, enum node_kind kind, uint32_t most)
{
    struct token t = p->token;
    struct node *n = parser_node(p, kind);
    if (!n)
        return NULL;
    parser_next(p);
    uint32_t at = p->token.at;
    n->tag.tunnel = (uint8_t)t.value;
    n->tag.any = !take_number(p, &n->tag.id);
    if (!n->tag.any && n->tag.id > most)
        return complain(p, at, ERROR_USAGE, "'%.*s' has ids from 0 to %u", (int)(t.end - t.at), p->text + t.at, most);
    return n;
}

/* mpls alone is for our decoder, which looks through labels; their values are for libpcap. */
static struct node *mpls(struct parser *p)
{
    uint32_t label, at = p->token.at;
    parser_next(p);
    if (!take_number(p, &label))
        return parser_node(p, NODE_MPLS);
    char *text = parser_copy(p, at, p->last.end);
    return text ? packet_word_node(p, text, REACH_WHOLE, at) : NULL;
}

/* unanswered, refused, external */
static struct node *fact(struct parser *p)
{
    struct node *n = parser_node(p, NODE_FACT);
    if (n)
        n->fact = (enum fact)p->token.value;
    parser_next(p);
    return n;
}

static struct node *outer(struct parser *p)
{
    struct qualifiers none = {0};
    uint32_t at = p->token.at;
    struct node *n = parser_node(p, NODE_OUTER);
    parser_next(p);
    if (n && p->token.kind != '(')
        return complain_expected(p, "'(' and what the outer header must be");
    if (!n || !parser_enter(p))
        return NULL;
    parser_next(p);
    n->child = parse_expression(p, &none);
    if (!n->child)
        return NULL;
    if (!parser_take(p, ')'))
        return complain_expected(p, "'and', 'or' or ')'");
    parser_leave(p);
    for (const struct node *inside = p->f->nodes; inside != n; inside = inside->older)
        if (node_is_connection_word(inside) || inside->kind == NODE_AGENT || inside->kind == NODE_CAPTURE ||
            inside->kind == NODE_OUTER)
            return complain(p, at, ERROR_USAGE, "outer takes addresses, ports and protocols of one header, not '%s'",
                            inside->text);
    return n;
}

/* --- Qualifiers --- */

static bool take_direction(struct parser *p, struct qualifiers *q)
{
    q->direction = (enum direction)p->token.value;
    q->direction_token = p->token;
    parser_next(p);
    int joined = p->token.kind;
    if ((joined != TOKEN_AND && joined != TOKEN_OR) || q->direction == DIRECTION_WLAN)
        return true;
    parser_next(p);
    uint32_t both = DIRECTION_SRC + DIRECTION_DST;
    if (p->token.kind != TOKEN_DIRECTION || p->token.value + q->direction != both) {
        complain_expected(p, q->direction == DIRECTION_SRC ? "'dst' behind 'src or', 'src and'"
                                                           : "'src' behind 'dst or', 'dst and'");
        return false;
    }
    parser_next(p);
    q->direction = joined == TOKEN_AND ? DIRECTION_BOTH : DIRECTION_EITHER;
    return true;
}

static struct node *protocol_late(struct parser *p, const struct token *before)
{
    return complain(p, p->token.at, ERROR_USAGE, "the protocol comes first: '%.*s %.*s ...'",
                    (int)(p->token.end - p->token.at), p->text + p->token.at, (int)(before->end - before->at),
                    p->text + before->at);
}

/* [protocol] [src|dst|...] [host|net|port|portrange] and [protocol] proto, before a value. */
static struct node *qualified(struct parser *p, struct qualifiers *q)
{
    *q = (struct qualifiers){.set = true};
    if (p->token.kind == TOKEN_PROTOCOL) {
        q->protocol = (enum protocol_word)p->token.value;
        q->protocol_token = p->token;
        parser_next(p);
    }
    bool directed = p->token.kind == TOKEN_DIRECTION;
    if (directed && !take_direction(p, q))
        return NULL;
    if (p->token.kind == TOKEN_TYPE || (p->token.kind == TOKEN_PROTO && !directed)) {
        q->subject = (enum subject)p->token.value;
        parser_next(p);
    } else if (p->token.kind == TOKEN_PROTOCOL) {
        return protocol_late(p, &p->last);
    }
    return parse_operand(p, q);
}

/* from, to */
static struct node *role(struct parser *p, struct qualifiers *q)
{
    *q = (struct qualifiers){.set = true, .direction = (enum direction)p->token.value};
    parser_next(p);
    if (p->token.kind == TOKEN_TYPE) {
        q->subject = (enum subject)p->token.value;
        parser_next(p);
    }
    return parse_operand(p, q);
}

/* agent, capture, id, community-id, state */
static struct node *keyed(struct parser *p, struct qualifiers *q)
{
    *q = (struct qualifiers){.set = true, .subject = (enum subject)p->token.value};
    parser_next(p);
    return parse_operand(p, q);
}

/* --- FIELD OP VALUE --- */

static enum comparison comparison_of(int kind)
{
    switch (kind) {
    case '=':
        return COMPARE_EQ;
    case TOKEN_NEQ:
        return COMPARE_NE;
    case '<':
        return COMPARE_LT;
    case TOKEN_LEQ:
        return COMPARE_LE;
    case '>':
        return COMPARE_GT;
    default:
        return COMPARE_GE;
    }
}

/* The column whose numbers have names, or NULL. */
static const struct column *named_numbers(const struct field *f)
{
    const struct column *c = f->exchange ? f->exchange : f->column[0];
    return c && c->type == COLUMN_UINT && c->value_name ? c : NULL;
}

/* By the name of the value (rcode = NXDOMAIN), or as a number in the field's unit. */
static int field_value(const struct field *f, const char *text, uint64_t *value, struct error *e)
{
    const struct column *c = named_numbers(f);
    struct suggest meant;
    suggest_begin(&meant, text, strlen(text));
    for (uint64_t v = 0; c && v <= column_most(c); v++) {
        const char *name = c->value_name(v);
        if (name && strcasecmp(name, text) == 0) {
            *value = v;
            return 0;
        }
        if (name)
            suggest_consider(&meant, name);
    }
    if (!c || (text[0] && strspn(text, "0123456789") == strlen(text)))
        return units_parse(f->unit, text, value, e);
    return error_set(e, ERROR_USAGE, "'%.40s' is no value of %s%s%s%s", text, f->name,
                     meant.word ? ": did you mean '" : ", and no number", meant.word ? meant.word : "",
                     meant.word ? "'?" : "");
}

/* The value behind a sign, or behind the field if there is none. */
static bool take_value(struct parser *p)
{
    uint32_t at = token_compares(&p->token) ? p->token.end : p->token.at;
    if (token_compares(&p->token))
        p->last = p->token;
    p->token = lex_raw(p->text, p->len, at);
    if (p->token.kind == TOKEN_NAME || p->token.kind == TOKEN_STRING)
        return true;
    complain_expected(p, "a value to compare with");
    return false;
}

/* FIELD = *: whatever it is, so there is one. */
static bool is_any(const char *text)
{
    return strcmp(text, "*") == 0;
}

static struct node *any_compared(struct parser *p, const struct field *f)
{
    return complain(p, p->token.at, ERROR_USAGE,
                    "'*' is any value: write '%s = *' for those that have one, 'not %s = *' for the others", f->name,
                    f->name);
}

static struct node *field_compared(struct parser *p, const struct field *f)
{
    struct error wrong = ERROR_INIT;
    struct node *n = parser_node(p, NODE_FIELD);
    parser_next(p);
    if (!n)
        return NULL;
    n->field.field = f;
    n->field.comparison = token_compares(&p->token) ? comparison_of(p->token.kind) : COMPARE_EQ;
    if (!take_value(p))
        return NULL;
    char *text = parser_text(p, &p->token);
    bool any = text && is_any(text);
    int code = text && !any ? field_value(f, text, &n->field.value, &wrong) : 0;
    free(text);
    if (any && n->field.comparison != COMPARE_EQ)
        return any_compared(p, f);
    if (any)
        n->field.comparison = COMPARE_GE; /* than 0, which every number is */
    if (code)
        return complain(p, p->token.at, ERROR_USAGE, "%s", wrong.text);
    parser_next(p);
    return text ? n : NULL;
}

static struct node *text_compared(struct parser *p, const struct field *f)
{
    struct node *n = parser_node(p, NODE_TEXT);
    parser_next(p);
    if (!n)
        return NULL;
    n->match.field = f;
    n->match.other = p->token.kind == TOKEN_NEQ;
    if (!take_value(p) || !(n->match.pattern = parser_text(p, &p->token)))
        return NULL;
    if (n->match.other && is_any(n->match.pattern))
        return any_compared(p, f);
    parser_next(p);
    return n;
}

/* Which texts do not have. */
static bool is_order(int kind)
{
    return kind == '<' || kind == '>' || kind == TOKEN_LEQ || kind == TOKEN_GEQ;
}

/* The next token is a name, and a comparison or a value follows. */
static struct node *compared(struct parser *p)
{
    struct token t = p->token;
    const char *name = p->text + t.at;
    size_t len = t.end - t.at;
    const struct field *f = field_named(name, len);
    if (p->for_libpcap && f)
        return complain(p, t.at, ERROR_USAGE, "'%.*s' is known of flows, but a capture's filter judges each packet",
                        (int)len, name);
    if (f && f->kind == FIELD_NUMBER)
        return field_compared(p, f);
    if (f && !token_is_word(&t) && (named_numbers(f) || !is_order(parser_peek(p).kind)))
        return (named_numbers(f) ? field_compared : text_compared)(p, f);
    if (f && token_is_word(&t))
        return complain(p, t.at, ERROR_USAGE, "'%.*s' is text, not a number: write '%.*s VALUE' without a sign",
                        (int)len, name, (int)len, name);
    if (f)
        return complain(p, t.at, ERROR_USAGE, "'%.*s' is text: it is compared by = and !=, with * and ? in the value",
                        (int)len, name);
    const char *instead = word_meant(name, len, true);
    return complain(p, t.at, ERROR_USAGE, "no field is called '%.*s'%s%s%s", (int)len, name,
                    instead ? ": did you mean '" : "", instead ? instead : "", instead ? "'?" : "");
}

/* --- All of them --- */

/* A comparison of packet bytes that did not come out as one. */
static struct node *broken_relation(struct parser *p)
{
    enum reach reach;
    uint32_t wrong_at;
    (void)relation_end(p, p->token.at, &reach, &wrong_at);
    return complain(p, wrong_at, ERROR_USAGE,
                    "a comparison of packet bytes goes wrong here: expected something like tcp[13] & 2 != 0");
}

static struct node *protocol(struct parser *p, struct qualifiers *q)
{
    struct token after = parser_peek(p);
    enum protocol_word word = (enum protocol_word)p->token.value;
    switch (after.kind) {
    case '[':
        return broken_relation(p);
    case TOKEN_CAST:
        parser_next(p);
        return cast(p, word);
    case TOKEN_DIRECTION:
    case TOKEN_TYPE:
    case TOKEN_PROTO:
        return qualified(p, q);
    case TOKEN_WLAN_TYPE:
    case TOKEN_WLAN_SUBTYPE:
    case TOKEN_WLAN_DIR:
        return parse_packet_word(p);
    default:
        return protocol_alone(p);
    }
}

static bool only_of_flows(int kind)
{
    return kind == TOKEN_ROLE || kind == TOKEN_PLACE || kind == TOKEN_KEY || kind == TOKEN_OUTER || kind == TOKEN_FACT;
}

static struct node *by_kind(struct parser *p, struct qualifiers *q)
{
    switch (p->token.kind) {
    case TOKEN_PROTOCOL:
        return protocol(p, q);
    case TOKEN_DIRECTION:
    case TOKEN_TYPE:
    case TOKEN_PROTO:
        return qualified(p, q);
    case TOKEN_ROLE:
        return role(p, q);
    case TOKEN_PLACE:
    case TOKEN_KEY:
        return keyed(p, q);
    case TOKEN_FACT:
        return fact(p);
    case TOKEN_CAST:
        return cast(p, PROTOCOL_NONE);
    case TOKEN_VLAN:
        return tag(p, NODE_VLAN, VLAN_ID_MAX);
    case TOKEN_TUNNEL:
        return tag(p, NODE_TUNNEL, VNI_MAX);
    case TOKEN_MPLS:
        return mpls(p);
    case TOKEN_OUTER:
        return outer(p);
    case TOKEN_GATEWAY:
        return complain(p, p->token.at, ERROR_USAGE,
                        "gateway would look up names: write 'ether host MAC and not host ADDRESS'");
    case '-':
    case TOKEN_LENGTH:
    case TOKEN_NUMBER:
        return broken_relation(p);
    default:
        return parse_packet_word(p);
    }
}

struct node *parse_primitive(struct parser *p, struct qualifiers *q)
{
    struct token t = p->token, after = parser_peek(p);
    q->set = false;
    if (parser_at_field_value(p))
        return compared(p);
    bool may_be_field = t.kind == TOKEN_NAME || (token_is_word(&t) && t.kind != TOKEN_LENGTH && t.kind != TOKEN_LISTED);
    if (may_be_field && token_compares(&after) && p->text[t.at] != '\\' &&
        (t.kind == TOKEN_NAME || field_named(p->text + t.at, t.end - t.at) ||
         word_elsewhere(p->text + t.at, t.end - t.at)))
        return compared(p);
    if (p->for_libpcap && only_of_flows(t.kind))
        return complain(p, t.at, ERROR_USAGE, "'%.*s' is known of flows, but a capture's filter judges each packet",
                        (int)(t.end - t.at), p->text + t.at);
    return by_kind(p, q);
}

static bool wants_text(const struct node *n)
{
    return node_is_packet_word(n) || node_is_connection_word(n) || n->kind == NODE_FACT || n->kind == NODE_AGENT ||
           n->kind == NODE_CAPTURE;
}

bool parser_label(struct parser *p, struct node *newest, uint32_t at)
{
    for (struct node *n = p->f->nodes; n != newest; n = n->older)
        if (!n->text && wants_text(n) && !(n->text = parser_copy(p, at, p->last.end)))
            return false;
    return true;
}
