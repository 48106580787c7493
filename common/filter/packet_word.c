/* packet_word: words that libpcap alone understands go to it as they stand; here is only said how far they reach. */
#include "common/filter/parse.h"
#include <stdlib.h>

struct node *packet_word_node(struct parser *p, char *text, enum reach reach, uint32_t at)
{
    struct error wrong = ERROR_INIT;
    struct node *n = parser_node(p, NODE_PCAP);
    if (!n) {
        free(text);
        return NULL;
    }
    n->text = text;
    n->pcap.reach = reach;
    if (!p->for_libpcap && pcap_word_check(text, &wrong) != 0)
        return complain(p, at, wrong.code, "%s", wrong.text);
    return n;
}

static bool expect_number(struct parser *p)
{
    if (parser_take(p, TOKEN_NUMBER))
        return true;
    complain_expected(p, "a number");
    return false;
}

/* A name of libpcap's; some of them are words elsewhere. */
static bool take_name(struct parser *p)
{
    return parser_take(p, TOKEN_NAME) || parser_take(p, TOKEN_NUMBERED);
}

static bool expect_name(struct parser *p, bool number_too)
{
    if (take_name(p) || (number_too && parser_take(p, TOKEN_NUMBER)))
        return true;
    complain_expected(p, number_too ? "a name or a number" : "a name");
    return false;
}

static bool byte_compared(struct parser *p)
{
    if (!expect_number(p))
        return false;
    int sign = p->token.kind;
    if (sign != '=' && sign != '<' && sign != '>' && sign != '&' && sign != '|') {
        complain_expected(p, "=, <, >, & or |");
        return false;
    }
    parser_next(p);
    return expect_number(p);
}

static bool close(struct parser *p)
{
    if (parser_take(p, ')'))
        return true;
    complain_expected(p, "')'");
    return false;
}

/* [N], [( N )] */
static bool optional_number(struct parser *p)
{
    if (p->token.kind != '(' || parser_peek(p).kind != TOKEN_NUMBER) {
        (void)parser_take(p, TOKEN_NUMBER);
        return true;
    }
    parser_next(p);
    return expect_number(p) && close(p);
}

/* N, > N, ( N or N ... ) */
static bool listed(struct parser *p)
{
    if (token_compares(&p->token))
        parser_next(p);
    else if (parser_take(p, '(')) {
        do {
            if (!expect_number(p))
                return false;
        } while (parser_take(p, TOKEN_OR));
        return close(p);
    }
    return expect_number(p);
}

/* type T [subtype S]; the words before and behind are names here. */
static bool wlan_type(struct parser *p)
{
    return expect_name(p, true) && (!parser_take(p, TOKEN_WLAN_SUBTYPE) || expect_name(p, true));
}

/* What follows the word; it complains. */
static bool take_rest(struct parser *p, const struct token *word)
{
    switch (word->kind) {
    case TOKEN_PLAIN:
        return true;
    case TOKEN_COMPARED:
    case TOKEN_NUMBERED:
        return expect_number(p);
    case TOKEN_NAMED:
        return expect_name(p, word->value != 0);
    case TOKEN_BYTE:
        return byte_compared(p);
    case TOKEN_SESSION:
        return optional_number(p);
    case TOKEN_LISTED:
        return listed(p);
    case TOKEN_LLC:
        (void)take_name(p);
        return true;
    case TOKEN_WLAN_TYPE:
        return wlan_type(p);
    case TOKEN_WLAN_SUBTYPE:
    case TOKEN_WLAN_DIR:
        return expect_name(p, true);
    default:
        return false;
    }
}

static bool is_packet_word(int kind)
{
    return (kind >= TOKEN_COMPARED && kind != TOKEN_LENGTH && kind <= TOKEN_WLAN_DIR);
}

struct node *parse_packet_word(struct parser *p)
{
    uint32_t at = p->token.at;
    if (p->token.kind == TOKEN_PROTOCOL) /* wlan type */
        parser_next(p);
    struct token word = p->token;
    if (!is_packet_word(word.kind))
        return complain_expected(p, "a word such as host, net, port, tcp or from, or an address");
    parser_next(p);
    if (!take_rest(p, &word))
        return NULL;
    char *text = parser_copy(p, at, p->last.end);
    return text ? packet_word_node(p, text, REACH_WHOLE, at) : NULL;
}
