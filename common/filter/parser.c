/* parser: expressions and terms; the parser's helpers; filter_compile. */
#include "common/filter/capture_filter.h"
#include "common/filter/parse.h"
#include <stdlib.h>
#include <string.h>

/* --- Helpers --- */

void parser_next(struct parser *p)
{
    p->last = p->token;
    p->token = lex(p->text, p->len, p->token.end);
}

bool parser_take(struct parser *p, int kind)
{
    if (p->token.kind != kind)
        return false;
    parser_next(p);
    return true;
}

struct token parser_peek(const struct parser *p)
{
    return lex(p->text, p->len, p->token.end);
}

static bool begins_what_follows(int kind)
{
    return kind == TOKEN_END || kind == TOKEN_AND || kind == TOKEN_OR || kind == ')' || kind == '(' || kind == '!' ||
           kind == ',';
}

bool parser_at_field_value(const struct parser *p)
{
    struct token after = parser_peek(p);
    return p->token.kind == TOKEN_NAME && p->text[p->token.at] != '\\' && !begins_what_follows(after.kind) &&
           !token_compares(&after) && field_named(p->text + p->token.at, p->token.end - p->token.at);
}

bool parser_enter(struct parser *p)
{
    if (p->depth++ < FILTER_DEPTH_MAX)
        return true;
    complain(p, p->token.at, ERROR_LIMIT, "nested deeper than %u levels", FILTER_DEPTH_MAX);
    return false;
}

void parser_leave(struct parser *p)
{
    p->depth--;
}

struct node *parser_node(struct parser *p, enum node_kind kind)
{
    struct node *n = tree_node(p->f, kind);
    if (!n && p->f->node_count == FILTER_NODES_MAX)
        complain(p, p->token.at, ERROR_LIMIT, "more than %u words and values", FILTER_NODES_MAX);
    else if (!n)
        complain(p, p->token.at, ERROR_MEMORY, "no memory for the filter");
    return n;
}

char *parser_copy(struct parser *p, uint32_t at, uint32_t end)
{
    char *copy = strndup(p->text + at, end - at);
    if (!copy)
        complain(p, at, ERROR_MEMORY, "no memory for the filter");
    return copy;
}

char *parser_text(struct parser *p, const struct token *t)
{
    bool quoted = t->kind == TOKEN_STRING;
    bool escaped = t->kind == TOKEN_NAME && p->text[t->at] == '\\';
    return parser_copy(p, t->at + (quoted || escaped), t->end - quoted);
}

struct node *parser_chain(struct parser *p, struct node *first)
{
    struct node *chain = first ? parser_node(p, NODE_CHAIN) : NULL;
    if (chain)
        chain->child = first;
    return chain;
}

void chain_add(struct node **tail, struct node *n, bool or_before)
{
    n->or_before = or_before;
    (*tail)->next = n;
    *tail = n;
}

/* --- Terms --- */

static struct node *parse_term(struct parser *p, struct qualifiers *q);

static struct node *negated_term(struct parser *p, struct qualifiers *q)
{
    struct node *n = parser_enter(p) ? parser_node(p, NODE_NOT) : NULL;
    if (!n)
        return NULL;
    parser_next(p);
    n->child = parse_term(p, q);
    parser_leave(p);
    return n->child ? n : NULL;
}

/* What a value alone repeats is after the parenthesis what it was before. */
static struct node *parenthesis(struct parser *p, const struct qualifiers *q)
{
    struct qualifiers inside = *q;
    uint32_t open = p->token.at;
    if (!parser_enter(p))
        return NULL;
    parser_next(p);
    struct node *n = parse_expression(p, &inside);
    if (n && !parser_take(p, ')')) {
        if (p->token.kind == TOKEN_END)
            return complain(p, open, ERROR_USAGE, "this parenthesis is never closed");
        return complain_expected(p, "'and', 'or' or ')'");
    }
    parser_leave(p);
    return n;
}

/* A comparison of packet bytes, if one stands here. */
static bool try_relation(struct parser *p, struct node **n)
{
    enum reach reach;
    uint32_t wrong_at, at = p->token.at, end = relation_end(p, at, &reach, &wrong_at);
    if (!end)
        return false;
    char *text = parser_copy(p, at, end);
    *n = text ? packet_word_node(p, text, reach, at) : NULL;
    p->last = p->token;
    p->token = lex(p->text, p->len, end);
    return true;
}

/* A value without a word before it. */
static struct node *bare_value(struct parser *p, struct qualifiers *q)
{
    int kind = p->token.kind;
    if (q->set)
        return parse_operand(p, q);
    if (kind == TOKEN_NUMBER)
        return complain(p, p->token.at, ERROR_USAGE,
                        "a number needs a word before it that says what it is, such as port");
    if (kind == TOKEN_MAC)
        return complain(p, p->token.at, ERROR_USAGE, "a link address is written 'ether host MAC'");
    if (kind == TOKEN_NAME && !p->for_libpcap && field_named(p->text + p->token.at, p->token.end - p->token.at))
        return complain(p, p->token.end, ERROR_USAGE, "'%.*s' is compared with a value, which is missing here",
                        (int)(p->token.end - p->token.at), p->text + p->token.at);
    if (kind != TOKEN_DOTTED && kind != TOKEN_IP6 && kind != TOKEN_AT)
        return complain_expected(p, "a word such as host, net, port, tcp or from, or an address");
    if (p->for_libpcap)
        return complain(p, p->token.at, ERROR_USAGE,
                        "a capture's filter says what an address is: 'host' or 'net' before it");
    *q = (struct qualifiers){.set = true};
    if (parser_peek(p).kind == '/')
        q->subject = SUBJECT_NET;
    return parse_operand(p, q);
}

static bool begins_value(int kind)
{
    return kind >= TOKEN_NUMBER && kind <= TOKEN_AT;
}

static struct node *parse_term(struct parser *p, struct qualifiers *q)
{
    struct node *n;
    int kind = p->token.kind;
    if (kind == '!')
        return negated_term(p, q);
    if ((kind == '(' || kind == '-' || kind == TOKEN_NUMBER || kind == TOKEN_PROTOCOL || kind == TOKEN_LENGTH) &&
        try_relation(p, &n)) {
        q->set = false;
        return n;
    }
    if (kind == '(')
        return parenthesis(p, q);
    struct token after = parser_peek(p);
    bool compares = (kind == TOKEN_NAME && token_compares(&after)) || parser_at_field_value(p);
    uint32_t at = p->token.at;
    struct node *newest = p->f->nodes;
    n = begins_value(kind) && !compares ? bare_value(p, q) : parse_primitive(p, q);
    return n && parser_label(p, newest, at) ? n : NULL;
}

static void *complain_end(struct parser *p, int closing)
{
    int kind = p->token.kind;
    struct token *last = &p->last;
    int word_length = (int)(last->end - last->at);
    const char *word = p->text + last->at, *value = p->text + p->token.at;
    int value_length = (int)(p->token.end - p->token.at);
    if (last->kind == TOKEN_PROTOCOL && kind == TOKEN_NUMBER)
        return complain(p, p->token.at, ERROR_USAGE, "'%.*s' and a number: write '%.*s port %.*s'", word_length, word,
                        word_length, word, value_length, value);
    if (last->kind == TOKEN_PROTOCOL && (kind == TOKEN_DOTTED || kind == TOKEN_IP6))
        return complain(p, p->token.at, ERROR_USAGE, "'%.*s' and an address: write '%.*s and host %.*s'", word_length,
                        word, word_length, word, value_length, value);
    return complain_expected(p, closing == ')' ? "'and', 'or' or ')'" : "'and', 'or' or the end");
}

struct node *parse_expression(struct parser *p, struct qualifiers *q)
{
    struct node *first = parse_term(p, q);
    struct node *chain = first;
    if (first && (p->token.kind == TOKEN_AND || p->token.kind == TOKEN_OR))
        chain = parser_chain(p, first);
    for (struct node *tail = first; chain && (p->token.kind == TOKEN_AND || p->token.kind == TOKEN_OR);) {
        bool or_before = p->token.kind == TOKEN_OR;
        parser_next(p);
        struct node *n = parse_term(p, q);
        if (!n)
            return NULL;
        chain_add(&tail, n, or_before);
    }
    int closing = p->depth ? ')' : TOKEN_END;
    if (chain && p->token.kind != ')' && p->token.kind != TOKEN_END)
        return complain_end(p, closing);
    return chain;
}

/* --- The whole --- */

static struct node *parse_all(struct parser *p)
{
    struct qualifiers none = {0};
    p->token = lex(p->text, p->len, 0);
    if (p->token.kind == TOKEN_END)
        return parser_node(p, NODE_CHAIN);
    struct node *root = parse_expression(p, &none);
    if (root && p->token.kind != TOKEN_END)
        return complain_expected(p, "'and', 'or' or the end");
    return root;
}

static int parse(struct parser *p, struct filter **out)
{
    size_t len = strlen(p->text);
    *out = NULL;
    if (len > FILTER_TEXT_MAX)
        return error_set(p->e, ERROR_LIMIT, "a filter of %zu bytes: at most %u are allowed", len, FILTER_TEXT_MAX);
    p->len = (uint32_t)len;
    p->f = calloc(1, sizeof *p->f);
    if (!p->f)
        return error_set(p->e, ERROR_MEMORY, "no memory for the filter");
    p->f->root = parse_all(p);
    if (!p->f->root) {
        filter_free(p->f);
        return p->code;
    }
    *out = p->f;
    return 0;
}

int filter_compile(const char *text, const struct filter_names *names, struct filter **out, struct error *e)
{
    struct parser p = {.text = text, .names = names, .e = e};
    return parse(&p, out);
}

static int each_name(struct parser *p, void (*each)(void *context, const char *name), void *context)
{
    struct filter *f;
    p->collecting = true;
    int code = parse(p, &f);
    for (uint32_t i = 0; i < p->collected_count; i++) {
        if (code == 0)
            each(context, p->collected[i]);
        free(p->collected[i]);
    }
    filter_free(f);
    return code;
}

int filter_each_name(const char *text, void (*each)(void *context, const char *name), void *context, struct error *e)
{
    struct parser p = {.text = text, .e = e};
    return each_name(&p, each, context);
}

int capture_filter_each_name(const char *text, void (*each)(void *context, const char *name), void *context,
                             struct error *e)
{
    struct parser p = {.text = text, .for_libpcap = true, .e = e};
    return each_name(&p, each, context);
}

int capture_filter_expand(const char *text, const struct filter_names *names, struct buffer *out, struct error *e)
{
    struct parser p = {.text = text, .for_libpcap = true, .names = names, .expanded = out, .e = e};
    struct filter *f;
    int code = parse(&p, &f);
    filter_free(f);
    if (code)
        return code;
    buffer_append(out, text + p.expanded_to, p.len - p.expanded_to);
    return out->failed ? error_set(e, ERROR_MEMORY, "no memory for the filter") : 0;
}

int filter_parse_capture(const char *text, struct error *e)
{
    struct parser p = {.text = text, .for_libpcap = true, .e = e};
    struct filter *f;
    int code = parse(&p, &f);
    filter_free(f);
    return code;
}
