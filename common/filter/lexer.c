/* lexer: as libpcap's scanner, of all that could begin here the longest wins. */
#include "common/filter/lexer.h"
#include "common/filter/words.h"
#include <arpa/inet.h>
#include <string.h>

#define IP6_TEXT_MAX 45

struct input {
    const char *p;
    uint32_t left;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c)
{
    return is_alnum(c) || c == '-' || c == '_' || c == '.';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static uint32_t run(struct input in, bool (*belongs)(char))
{
    uint32_t n = 0;
    while (n < in.left && belongs(in.p[n]))
        n++;
    return n;
}

/* A name does not end with - or _. */
static uint32_t name_length(struct input in)
{
    if (!in.left || !is_alnum(in.p[0]))
        return 0;
    uint32_t n = run(in, is_name_char);
    while (in.p[n - 1] == '-' || in.p[n - 1] == '_')
        n--;
    return n;
}

static bool is_hex_number(struct input in)
{
    return in.left > 2 && in.p[0] == '0' && (in.p[1] == 'x' || in.p[1] == 'X') && is_hex(in.p[2]);
}

static uint32_t number_length(struct input in)
{
    if (!is_hex_number(in))
        return run(in, is_digit);
    in.p += 2;
    in.left -= 2;
    return 2 + run(in, is_hex);
}

/* Two to four decimal numbers with dots between. */
static uint32_t dotted_length(struct input in)
{
    uint32_t n = run(in, is_digit), parts = 1, end = 0;
    while (n && parts < 4 && n + 1 < in.left && in.p[n] == '.' && is_digit(in.p[n + 1])) {
        n++;
        n += run((struct input){in.p + n, in.left - n}, is_digit);
        parts++;
        end = n;
    }
    return end;
}

static bool is_ip6_char(char c)
{
    return is_hex(c) || c == ':' || c == '.';
}

static uint32_t ip6_length(struct input in)
{
    uint32_t n = run(in, is_ip6_char);
    if (n > IP6_TEXT_MAX)
        n = IP6_TEXT_MAX;
    if (!memchr(in.p, ':', n))
        return 0;
    for (; n >= 2; n--) {
        char text[IP6_TEXT_MAX + 1];
        uint8_t addr[16];
        memcpy(text, in.p, n);
        text[n] = 0;
        if (inet_pton(AF_INET6, text, addr) == 1)
            return n;
    }
    return 0;
}

/* `groups` groups of `least` to `most` hex digits. */
static uint32_t groups_length(struct input in, unsigned groups, uint32_t least, uint32_t most, char separator)
{
    uint32_t at = 0;
    for (unsigned i = 0; i < groups; i++) {
        if (i && (at == in.left || in.p[at++] != separator))
            return 0;
        uint32_t n = run((struct input){in.p + at, in.left - at}, is_hex);
        if (n < least)
            return 0;
        at += n < most ? n : most;
    }
    return at;
}

static uint32_t mac_length(struct input in)
{
    static const char separators[] = ":-.";
    for (const char *s = separators; *s; s++) {
        uint32_t n = groups_length(in, 6, 1, 2, *s);
        if (n)
            return n;
    }
    uint32_t n = groups_length(in, 3, 4, 4, '.');
    return n ? n : groups_length(in, 1, 12, 12, ':');
}

/* At least two colons among hex digits, but no address. */
static uint32_t bad_address_length(struct input in)
{
    uint32_t n = run(in, is_ip6_char), colons = 0;
    for (uint32_t i = 0; i < n; i++)
        colons += in.p[i] == ':';
    return colons >= 2 ? n : 0;
}

static void read_number(struct input in, struct token *t)
{
    bool hex = is_hex_number(in);
    uint32_t base = hex ? 16 : in.p[0] == '0' ? 8 : 10;
    uint64_t value = 0;
    for (uint32_t i = hex ? 2 : 0; i < t->end - t->at; i++) {
        char c = in.p[i];
        uint32_t digit = is_digit(c) ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a' + 10);
        value = value * base + digit;
        if (digit >= base || value > UINT32_MAX) {
            t->kind = TOKEN_BAD_NUMBER;
            return;
        }
    }
    t->value = (uint32_t)value;
}

static void read_word(struct input in, struct token *t)
{
    const struct word *w = word_named(in.p, t->end - t->at);
    if (w) {
        t->kind = w->token;
        t->value = w->value;
    }
}

/* What begins with a letter, a digit or a colon; false if nothing does. */
static bool lex_word(struct input in, struct token *t)
{
    const struct {
        int kind;
        uint32_t length;
    } found[] = {
        {TOKEN_MAC, mac_length(in)}, {TOKEN_NUMBER, number_length(in)}, {TOKEN_DOTTED, dotted_length(in)},
        {TOKEN_IP6, ip6_length(in)}, {TOKEN_NAME, name_length(in)},
    };
    uint32_t longest = 0;
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        if (found[i].length > longest) {
            longest = found[i].length;
            t->kind = found[i].kind;
        }
    }
    uint32_t bad = bad_address_length(in);
    bool address = t->kind == TOKEN_IP6 || t->kind == TOKEN_MAC;
    if (bad > longest && (!address || in.p[longest] == ':')) {
        longest = bad;
        t->kind = TOKEN_BAD_ADDRESS;
    }
    t->end = t->at + longest;
    if (t->kind == TOKEN_NAME)
        read_word(in, t);
    else if (t->kind == TOKEN_NUMBER)
        read_number(in, t);
    return longest > 0;
}

static bool ends_escape(char c)
{
    return c == ' ' || c == '!' || c == '(' || c == ')' || c == '\n' || c == '\t';
}

static bool goes_on_escape(char c)
{
    return !ends_escape(c);
}

static bool lex_quoted(struct input in, struct token *t)
{
    if (in.p[0] != '\'' && in.p[0] != '"')
        return false;
    const char *close = memchr(in.p + 1, in.p[0], in.left - 1);
    t->kind = close ? TOKEN_STRING : TOKEN_UNCLOSED;
    t->end = t->at + (close ? (uint32_t)(close - in.p) + 1 : in.left);
    return true;
}

/* \escaped, $7f, @name. */
static bool lex_prefixed(struct input in, struct token *t)
{
    struct input rest = {in.p + 1, in.left - 1};
    uint32_t n = 0;
    if (in.p[0] == '\\') {
        n = run(rest, goes_on_escape);
        t->kind = TOKEN_NAME;
    } else if (in.p[0] == '$') {
        n = run(rest, is_hex);
        n = n > 2 ? 2 : n;
        t->kind = TOKEN_SHORT_LINK;
    } else if (in.p[0] == '@') {
        n = name_length(rest);
        t->kind = TOKEN_AT;
    }
    t->end = t->at + 1 + n;
    return n > 0;
}

static bool lex_sign(struct input in, struct token *t)
{
    static const struct {
        char text[3];
        int kind;
    } pairs[] = {
        {">=", TOKEN_GEQ}, {"<=", TOKEN_LEQ}, {"!=", TOKEN_NEQ}, {"==", '='},
        {"<<", TOKEN_LSH}, {">>", TOKEN_RSH}, {"&&", TOKEN_AND}, {"||", TOKEN_OR},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (in.left >= 2 && memcmp(in.p, pairs[i].text, 2) == 0) {
            t->kind = pairs[i].kind;
            t->end = t->at + 2;
            return true;
        }
    }
    if (!strchr("+-*/%:[]!<>()&|^=,", in.p[0]))
        return false;
    t->kind = (unsigned char)in.p[0];
    t->end = t->at + 1;
    return true;
}

static struct token start(const char *text, uint32_t len, uint32_t at, struct input *in)
{
    while (at < len && is_space(text[at]))
        at++;
    *in = (struct input){text + at, len - at};
    return (struct token){.kind = TOKEN_END, .at = at, .end = at};
}

struct token lex(const char *text, uint32_t len, uint32_t at)
{
    struct input in;
    struct token t = start(text, len, at, &in);
    if (!in.left || lex_word(in, &t) || lex_quoted(in, &t) || lex_prefixed(in, &t) || lex_sign(in, &t))
        return t;
    t.kind = TOKEN_BAD;
    t.end = t.at + 1;
    return t;
}

static bool is_raw_char(char c)
{
    return !is_space(c) && !strchr("()|&!,", c);
}

struct token lex_raw(const char *text, uint32_t len, uint32_t at)
{
    struct input in;
    struct token t = start(text, len, at, &in);
    if (!in.left || lex_quoted(in, &t))
        return t;
    uint32_t n = run(in, is_raw_char);
    t.kind = n ? TOKEN_NAME : TOKEN_BAD;
    t.end = t.at + (n ? n : 1);
    return t;
}

bool token_is_word(const struct token *t)
{
    return t->kind >= TOKEN_AND || t->kind == '!';
}

bool token_compares(const struct token *t)
{
    return t->kind == '=' || t->kind == '<' || t->kind == '>' || t->kind == TOKEN_GEQ || t->kind == TOKEN_LEQ ||
           t->kind == TOKEN_NEQ;
}
