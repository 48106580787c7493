/*
 * relation: recognises comparisons of packet bytes, `arithmetic comparison arithmetic`, which go to libpcap as they
 * stand. It builds nothing: a parenthesis may begin such a comparison or an expression, and only trying tells.
 */
#include "common/filter/parse.h"

struct reader {
    const struct parser *p;
    struct token t;
    uint32_t end; /* of the token before t */
    unsigned depth;
    bool loads;     /* bytes of some header */
    bool not_inner; /* of a header below IP, or the length of the whole */
};

static void next(struct reader *r)
{
    r->end = r->t.end;
    r->t = lex(r->p->text, r->p->len, r->t.end);
}

static bool take(struct reader *r, int kind)
{
    if (r->t.kind != kind)
        return false;
    next(r);
    return true;
}

static bool sum(struct reader *r);

static bool nested_sum(struct reader *r)
{
    if (r->depth == FILTER_DEPTH_MAX)
        return false;
    r->depth++;
    bool ok = sum(r);
    r->depth--;
    return ok;
}

/* tcp[13], ip[2:2] */
static bool load(struct reader *r)
{
    r->loads = true;
    if (!protocol_of((enum protocol_word)r->t.value)->inner)
        r->not_inner = true;
    next(r);
    if (!take(r, '[') || !nested_sum(r) || (take(r, ':') && !take(r, TOKEN_NUMBER)))
        return false;
    return take(r, ']');
}

static bool operand(struct reader *r)
{
    while (take(r, '-'))
        ;
    switch (r->t.kind) {
    case TOKEN_NUMBER:
        next(r);
        return true;
    case TOKEN_LENGTH:
        r->not_inner = true;
        next(r);
        return true;
    case TOKEN_PROTOCOL:
        return load(r);
    case '(':
        next(r);
        return nested_sum(r) && take(r, ')');
    default:
        return false;
    }
}

static bool takes_operator(struct reader *r)
{
    switch (r->t.kind) {
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '&':
    case '|':
    case '^':
    case TOKEN_LSH:
    case TOKEN_RSH:
        next(r);
        return true;
    default:
        return false;
    }
}

static bool sum(struct reader *r)
{
    do {
        if (!operand(r))
            return false;
    } while (takes_operator(r));
    return true;
}

uint32_t relation_end(const struct parser *p, uint32_t at, enum reach *reach, uint32_t *wrong_at)
{
    struct reader r = {.p = p, .t = lex(p->text, p->len, at)};
    uint32_t end = 0;
    if (sum(&r) && token_compares(&r.t)) {
        next(&r);
        if (sum(&r))
            end = r.end;
    }
    *reach = r.loads && !r.not_inner ? REACH_INNER : REACH_WHOLE;
    *wrong_at = r.t.at;
    return end;
}
