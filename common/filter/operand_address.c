/* operand_address: addresses, networks, names of hosts. */
#include "common/filter/parse.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool takes_addresses(enum protocol_word word)
{
    return word == PROTOCOL_NONE || word == PROTOCOL_IP || word == PROTOCOL_IP6 || word == PROTOCOL_ARP ||
           word == PROTOCOL_RARP;
}

/* --- Addresses --- */

static struct node *address_node(struct parser *p, const struct qualifiers *q, enum node_kind kind, uint8_t nets)
{
    struct node *n = parser_node(p, kind);
    if (n) {
        n->direction = (uint8_t)q->direction;
        n->nets = protocol_of(q->protocol)->nets & nets;
    }
    return n;
}

/* Whether such an address may stand behind these qualifiers; complains if not. */
static bool address_fits(struct parser *p, const struct qualifiers *q, uint8_t nets)
{
    char protocol[TOKEN_TEXT_MAX], address[TOKEN_TEXT_MAX];
    const struct token *t = &p->token;
    operand_written(p, &q->protocol_token, protocol);
    operand_written(p, t, address);
    if (q->direction == DIRECTION_WLAN)
        complain(p, t->at, ERROR_USAGE, "'%s' takes link addresses alone",
                 operand_written(p, &q->direction_token, protocol));
    else if (!takes_addresses(q->protocol) && q->protocol == PROTOCOL_LINK)
        complain(p, t->at, ERROR_USAGE, "'%s' takes a link address (xx:xx:xx:xx:xx:xx), not '%s'", protocol, address);
    else if (!takes_addresses(q->protocol))
        complain(p, t->at, ERROR_USAGE, "'%s' does not go with an address: write '%s and host %s'", protocol, protocol,
                 address);
    else if (!(protocol_of(q->protocol)->nets & nets))
        complain(p, t->at, ERROR_USAGE, "an %s address never goes with '%s'", nets & NETS_IP6 ? "IPv6" : "IPv4",
                 protocol);
    else
        return true;
    return false;
}

static uint8_t leading_ones(const uint8_t mask[16])
{
    uint8_t n = 0;
    while (n < 128 && mask[n / 8] >> (7 - n % 8) & 1)
        n++;
    return n;
}

static void prefix_mask(uint8_t mask[16], unsigned bits)
{
    memset(mask, 0, 16);
    for (unsigned i = 0; i < bits; i++)
        mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static bool has_host_bits(const struct node *n)
{
    for (size_t i = 0; i < 16; i++)
        if (n->net.addr[i] & ~n->net.mask[i])
            return true;
    return false;
}

/* Behind the address: the length of its prefix. */
static bool take_prefix(struct parser *p, struct node *n, unsigned most)
{
    parser_next(p);
    if (p->token.kind != TOKEN_NUMBER || p->token.value > most) {
        char expected[TOKEN_TEXT_MAX];
        snprintf(expected, sizeof expected, "the prefix's length, a number from 0 to %u", most);
        complain_expected(p, expected);
        return false;
    }
    prefix_mask(n->net.mask, p->token.value);
    parser_next(p);
    return true;
}

/* mask 255.255.0.0 */
static bool take_mask(struct parser *p, struct node *n)
{
    char text[TOKEN_TEXT_MAX];
    uint32_t mask;
    unsigned bits;
    parser_next(p);
    if (p->token.kind != TOKEN_DOTTED || !value_ip4(operand_written(p, &p->token, text), &mask, &bits)) {
        complain_expected(p, "a mask such as 255.255.0.0");
        return false;
    }
    mask = htonl(mask << (32 - bits));
    memset(n->net.mask, 0, sizeof n->net.mask);
    memcpy(n->net.mask, &mask, sizeof mask);
    parser_next(p);
    return true;
}

/* What may follow an address, and whether it all fits together. */
static struct node *finish_net(struct parser *p, const struct qualifiers *q, struct node *n, const struct token *t)
{
    bool masked = p->token.kind == '/' || p->token.kind == TOKEN_MASK;
    char address[TOKEN_TEXT_MAX];
    operand_written(p, t, address);
    if (masked && q->subject != SUBJECT_NET)
        return complain(p, p->token.at, ERROR_USAGE, "a mask makes it a network: write net before it, not host");
    if (p->token.kind == '/' && !take_prefix(p, n, n->net.family == FAMILY_IP4 ? 32 : 128))
        return NULL;
    if (p->token.kind == TOKEN_MASK && n->net.family == FAMILY_IP6)
        return complain(p, p->token.at, ERROR_USAGE, "an IPv6 network is written ADDRESS/LENGTH");
    if (p->token.kind == TOKEN_MASK && !take_mask(p, n))
        return NULL;
    if (masked && has_host_bits(n))
        return complain(p, t->at, ERROR_USAGE, "'%s' has bits set that its mask does not cover", address);
    n->net.prefix = leading_ones(n->net.mask);
    return n;
}

static struct node *ip4_address(struct parser *p, const struct qualifiers *q)
{
    char text[TOKEN_TEXT_MAX];
    struct token t = p->token;
    uint32_t addr;
    unsigned bits;
    if (!value_ip4(operand_written(p, &t, text), &addr, &bits))
        return complain(p, t.at, ERROR_USAGE, "'%s' is no IPv4 address", text);
    struct node *n = address_fits(p, q, NETS_IP | NETS_ARP | NETS_RARP)
                         ? address_node(p, q, NODE_ADDRESS, NETS_IP | NETS_ARP | NETS_RARP)
                         : NULL;
    if (!n)
        return NULL;
    n->net.family = FAMILY_IP4;
    addr = htonl(addr << (32 - bits));
    memcpy(n->net.addr, &addr, sizeof addr);
    prefix_mask(n->net.mask, bits);
    parser_next(p);
    return finish_net(p, q, n, &t);
}

static struct node *ip6_address(struct parser *p, const struct qualifiers *q)
{
    char text[TOKEN_TEXT_MAX];
    struct token t = p->token;
    struct node *n = address_fits(p, q, NETS_IP6) ? address_node(p, q, NODE_ADDRESS, NETS_IP6) : NULL;
    if (!n)
        return NULL;
    if (inet_pton(AF_INET6, operand_written(p, &t, text), n->net.addr) != 1)
        return complain(p, t.at, ERROR_USAGE, "'%s' is no IPv6 address", text);
    n->net.family = FAMILY_IP6;
    prefix_mask(n->net.mask, 128);
    parser_next(p);
    return finish_net(p, q, n, &t);
}

/* net 10 is net 10.0.0.0/8, and net 0 the address 0.0.0.0. */
static struct node *net_number(struct parser *p, const struct qualifiers *q)
{
    struct token t = p->token;
    if (q->subject != SUBJECT_NET)
        return complain(p, t.at, ERROR_USAGE, "a number is no address: 'port %u'? 'net %u'?", t.value, t.value);
    struct node *n = address_fits(p, q, NETS_IP | NETS_ARP | NETS_RARP)
                         ? address_node(p, q, NODE_ADDRESS, NETS_IP | NETS_ARP | NETS_RARP)
                         : NULL;
    if (!n)
        return NULL;
    uint32_t addr = t.value;
    unsigned bits = 32;
    for (; addr && !(addr >> 24); addr <<= 8)
        bits -= 8;
    addr = htonl(addr);
    n->net.family = FAMILY_IP4;
    memcpy(n->net.addr, &addr, sizeof addr);
    prefix_mask(n->net.mask, bits);
    parser_next(p);
    if (p->token.kind == '/' && p->for_libpcap)
        return complain(p, t.at, ERROR_USAGE, "libpcap wants a network's number in full: %u.0.0.0", t.value);
    return finish_net(p, q, n, &t);
}

/* --- Names --- */

static struct node *collect(struct parser *p, struct node *n, char *name, uint32_t at)
{
    for (uint32_t i = 0; i < p->collected_count; i++) {
        if (strcmp(p->collected[i], name) == 0) {
            free(name);
            return n;
        }
    }
    if (p->collected_count == FILTER_NAMES_MAX) {
        free(name);
        return complain(p, at, ERROR_LIMIT, "more than %u names", FILTER_NAMES_MAX);
    }
    p->collected[p->collected_count++] = name;
    return n;
}

static int compare_addresses(const void *a, const void *b)
{
    const struct filter_address *x = a, *y = b;
    return x->family != y->family ? x->family - y->family : memcmp(x->addr, y->addr, sizeof x->addr);
}

static struct node *look_up(struct parser *p, struct node *n, const char *name, uint32_t at)
{
    const struct filter_name *found = NULL;
    for (uint32_t i = 0; p->names && i < p->names->count && !found; i++)
        if (strcmp(p->names->items[i].name, name) == 0)
            found = &p->names->items[i];
    const char *meant = found ? NULL : word_meant(name, strlen(name), false);
    if (!found)
        return complain(p, at, ERROR_NOT_FOUND, "no agent and no host is known as '%.64s'%s%s%s", name,
                        meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
    if (found->count > FILTER_NAME_ADDRESSES_MAX)
        return complain(p, at, ERROR_LIMIT, "'%.64s' has more than %u addresses", name, FILTER_NAME_ADDRESSES_MAX);
    if (!found->count)
        return n;
    size_t size = found->count * sizeof *found->addresses;
    n->name.items = malloc(size);
    if (!n->name.items)
        return complain(p, at, ERROR_MEMORY, "no memory for the filter");
    n->name.count = found->count;
    memcpy(n->name.items, found->addresses, size);
    qsort(n->name.items, n->name.count, sizeof *n->name.items, compare_addresses);
    return n;
}

/* Whether a name's i-th address is another one than those before it, and may stand behind this protocol. */
static bool is_meant(const struct node *n, uint32_t i, uint8_t nets)
{
    const struct filter_address *a = &n->name.items[i];
    bool again = i > 0 && compare_addresses(a, a - 1) == 0;
    return !again && nets & (a->family == FAMILY_IP6 ? NETS_IP6 : NETS_IP | NETS_ARP | NETS_RARP);
}

/* Writes the text up to the name, and the name's addresses in its place. */
static struct node *expand(struct parser *p, struct node *n, const struct qualifiers *q, const struct token *t)
{
    uint8_t nets = protocol_of(q->protocol)->nets;
    char text[TOKEN_TEXT_MAX], protocol[TOKEN_TEXT_MAX];
    uint32_t meant = 0, written = 0;
    for (uint32_t i = 0; i < n->name.count; i++)
        meant += is_meant(n, i, nets);
    if (meant == 0)
        return complain(p, t->at, ERROR_NOT_FOUND, "no address of '%s'%s%s is known", operand_written(p, t, text),
                        q->protocol_token.end ? " for " : "", operand_written(p, &q->protocol_token, protocol));
    buffer_append(p->expanded, p->text + p->expanded_to, t->at - p->expanded_to);
    for (uint32_t i = 0; i < n->name.count; i++)
        if (is_meant(n, i, nets))
            buffer_printf(p->expanded, "%s%s",
                          written++   ? " or "
                          : meant > 1 ? "("
                                      : "",
                          packet_addr_text(n->name.items[i].family, n->name.items[i].addr, text, sizeof text));
    if (meant > 1)
        buffer_u8(p->expanded, ')');
    p->expanded_to = t->end;
    return n;
}

static struct node *host_name(struct parser *p, const struct qualifiers *q)
{
    struct token t = p->token;
    if (p->for_libpcap && !p->collecting && !p->expanded)
        return complain(p, t.at, ERROR_USAGE, "a capture's filter takes addresses: names are not looked up");
    if (q->subject == SUBJECT_NET)
        return complain(p, t.at, ERROR_USAGE, "networks go by number, such as net 10.0.0.0/8");
    struct node *n = address_fits(p, q, NETS_ALL) ? address_node(p, q, NODE_NAME, NETS_ALL) : NULL;
    char *name = n ? parser_text(p, &t) : NULL;
    if (!name)
        return NULL;
    parser_next(p);
    if (p->collecting)
        return collect(p, n, name, t.at);
    n = look_up(p, n, name, t.at);
    free(name);
    return n && p->expanded ? expand(p, n, q, &t) : n;
}

struct node *operand_address(struct parser *p, const struct qualifiers *q)
{
    struct token t = p->token;
    bool link = q->protocol == PROTOCOL_LINK;
    switch (t.kind) {
    case TOKEN_DOTTED:
        return q->protocol == PROTOCOL_DECNET ? operand_for_libpcap(p, q, REACH_WHOLE) : ip4_address(p, q);
    case TOKEN_IP6:
        return ip6_address(p, q);
    case TOKEN_NUMBER:
        return net_number(p, q);
    case TOKEN_MAC:
    case TOKEN_SHORT_LINK:
        if (!link)
            return complain(p, t.at, ERROR_USAGE, "a link address is written 'ether host MAC'");
        return operand_for_libpcap(p, q, REACH_WHOLE);
    case TOKEN_NAME:
    case TOKEN_STRING:
    case TOKEN_AT:
        return host_name(p, q);
    default:
        return complain_expected(p, link ? "a link address" : "an address, a name or @AGENT");
    }
}
