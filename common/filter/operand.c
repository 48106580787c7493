/* operand: values, judged by the qualifiers before them; patterns, ids and states. */
#include "common/filter/parse.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *operand_written(const struct parser *p, const struct token *t, char buf[TOKEN_TEXT_MAX])
{
    snprintf(buf, TOKEN_TEXT_MAX, "%.*s", (int)(t->end - t->at), p->text + t->at);
    return buf;
}

/* --- For libpcap: qualifiers and value, put together --- */

struct node *operand_for_libpcap(struct parser *p, const struct qualifiers *q, enum reach reach)
{
    static const char *const directions[] = {
        [DIRECTION_EITHER] = "", [DIRECTION_SRC] = "src", [DIRECTION_DST] = "dst", [DIRECTION_BOTH] = "src and dst"};
    static const char *const subjects[] = {[SUBJECT_ANY] = "",
                                           [SUBJECT_HOST] = "host",
                                           [SUBJECT_NET] = "net",
                                           [SUBJECT_PORT] = "port",
                                           [SUBJECT_PORTRANGE] = "portrange",
                                           [SUBJECT_PROTO] = "proto",
                                           [SUBJECT_PROTOCHAIN] = "protochain"};
    const struct token *protocol = &q->protocol_token, *direction = &q->direction_token;
    struct token t = p->token;
    char *text;
    char direction_text[TOKEN_TEXT_MAX];
    const char *end =
        q->direction == DIRECTION_WLAN ? operand_written(p, direction, direction_text) : directions[q->direction];
    const char *type = !*end && q->subject == SUBJECT_ANY ? "host" : subjects[q->subject];
    if (asprintf(&text, "%.*s%s%s%s%s%s%.*s", (int)(protocol->end - protocol->at), p->text + protocol->at,
                 protocol->end ? " " : "", end, *end ? " " : "", type, *type ? " " : "", (int)(t.end - t.at),
                 p->text + t.at) < 0)
        return complain(p, t.at, ERROR_MEMORY, "no memory for the filter");
    parser_next(p);
    return packet_word_node(p, text, reach, t.at);
}

/* --- Patterns, ids, states --- */

static struct node *pattern(struct parser *p, const struct qualifiers *q)
{
    struct node *n = parser_node(p, q->subject == SUBJECT_AGENT ? NODE_AGENT : NODE_CAPTURE);
    if (!n || !(n->pattern = parser_text(p, &p->token)))
        return NULL;
    parser_next(p);
    return n;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct node *flow_id(struct parser *p)
{
    struct node *n = parser_node(p, NODE_ID);
    struct token t = p->token;
    if (!n)
        return NULL;
    for (uint32_t i = t.at; i < t.end; i++) {
        int digit = hex_digit(p->text[i]);
        if (digit < 0 || n->id.digits == 16)
            return complain(p, i, ERROR_USAGE, "an id has at most 16 hexadecimal digits and nothing else");
        n->id.value |= (uint64_t)digit << (60 - 4 * n->id.digits);
        n->id.digits++;
    }
    parser_next(p);
    return n;
}

static struct node *community(struct parser *p)
{
    struct node *n = parser_node(p, NODE_COMMUNITY_ID);
    char *text = n ? parser_text(p, &p->token) : NULL;
    if (!text)
        return NULL;
    bool ok = community_id_valid(text);
    if (ok)
        snprintf(n->community_id, sizeof n->community_id, "%s", text);
    else
        complain(p, p->token.at, ERROR_USAGE, "no Community ID: expected 1: and 28 characters of base64");
    free(text);
    parser_next(p);
    return ok ? n : NULL;
}

static struct node *states(struct parser *p)
{
    struct node *n = parser_node(p, NODE_STATE);
    if (!n)
        return NULL;
    for (;;) {
        struct token t = p->token;
        uint64_t state;
        if (t.kind != TOKEN_NAME || !flow_state_parse(p->text + t.at, t.end - t.at, &state))
            return complain(p, t.at, ERROR_USAGE,
                            "expected states of S0, S1, SF, REJ, S2, S3, RSTO, RSTR, RSTOS0, RSTRH, SH, SHR, OTH");
        n->states |= UINT32_C(1) << state;
        parser_next(p);
        if (p->token.kind != ',')
            return n;
        p->token = lex_raw(p->text, p->len, p->token.end);
    }
}

/* Values that are no tokens of libpcap's: all up to the next space or sign. */
static struct node *raw(struct parser *p, const struct qualifiers *q)
{
    p->token = lex_raw(p->text, p->len, p->token.at);
    if (p->token.kind != TOKEN_NAME && p->token.kind != TOKEN_STRING)
        return complain_expected(p, q->subject == SUBJECT_ID ? "hexadecimal digits" : "a value");
    switch (q->subject) {
    case SUBJECT_ID:
        return flow_id(p);
    case SUBJECT_COMMUNITY_ID:
        return community(p);
    case SUBJECT_STATE:
        return states(p);
    default:
        return pattern(p, q);
    }
}

/* --- ( A or B ), not A --- */

static struct node *list(struct parser *p, const struct qualifiers *q)
{
    uint32_t open = p->token.at;
    if (!parser_enter(p))
        return NULL;
    parser_next(p);
    struct node *first = parse_operand(p, q), *tail = first, *chain = parser_chain(p, first);
    while (chain && (p->token.kind == TOKEN_AND || p->token.kind == TOKEN_OR)) {
        bool or_before = p->token.kind == TOKEN_OR;
        parser_next(p);
        struct node *n = parse_operand(p, q);
        if (!n)
            return NULL;
        chain_add(&tail, n, or_before);
    }
    if (chain && p->token.kind == TOKEN_END)
        return complain(p, open, ERROR_USAGE, "this parenthesis is never closed");
    if (chain && !parser_take(p, ')'))
        return complain_expected(p, "'or', 'and' or ')'");
    parser_leave(p);
    return chain;
}

static struct node *negated(struct parser *p, const struct qualifiers *q)
{
    struct node *n = parser_enter(p) ? parser_node(p, NODE_NOT) : NULL;
    if (!n)
        return NULL;
    parser_next(p);
    n->child = parse_operand(p, q);
    parser_leave(p);
    return n->child ? n : NULL;
}

struct node *parse_operand(struct parser *p, const struct qualifiers *q)
{
    if (p->token.kind == '(')
        return list(p, q);
    if (p->token.kind == '!')
        return negated(p, q);
    switch (q->subject) {
    case SUBJECT_ANY:
    case SUBJECT_HOST:
    case SUBJECT_NET:
        return operand_address(p, q);
    case SUBJECT_PORT:
    case SUBJECT_PORTRANGE:
        return operand_port(p, q);
    case SUBJECT_PROTO:
    case SUBJECT_PROTOCHAIN:
        return operand_protocol(p, q);
    default:
        return raw(p, q);
    }
}
