/*
 * lexer: the next token of a filter's text. The same tokens as libpcap's scanner makes (longest match first), and
 * 'quoted' or "quoted" text and @names. Private to common/filter. Pure: a token says where it stands, and lexing
 * goes on from any place.
 */
#ifndef FLEETDUMP_FILTER_LEXER_H
#define FLEETDUMP_FILTER_LEXER_H

#include <stdbool.h>
#include <stdint.h>

/* Characters that stand for themselves are their own kind; '=' is also "==", '!' also "not". */
enum token_kind {
    TOKEN_END = 256,
    TOKEN_BAD,         /* a character that begins nothing */
    TOKEN_UNCLOSED,    /* a quote that does not end */
    TOKEN_BAD_ADDRESS, /* looks like an IPv6 or link address, is none */
    TOKEN_BAD_NUMBER,  /* above 32 bits, or 09 */
    /* Values */
    TOKEN_NUMBER, /* value */
    TOKEN_DOTTED, /* 10.1, 10.0.0.1: digits and dots */
    TOKEN_IP6,
    TOKEN_MAC,
    TOKEN_SHORT_LINK, /* $7f: an ARCnet or MS/TP address */
    TOKEN_NAME,       /* any other word, also \escaped */
    TOKEN_STRING,     /* quoted */
    TOKEN_AT,         /* @name */
    /* Signs of more than one character */
    TOKEN_GEQ,
    TOKEN_LEQ,
    TOKEN_NEQ,
    TOKEN_LSH,
    TOKEN_RSH,
    /* Words, by what the parser does with them */
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_PROTOCOL,  /* value: enum protocol_word */
    TOKEN_DIRECTION, /* value: enum direction */
    TOKEN_TYPE,      /* value: enum subject */
    TOKEN_PROTO,     /* value: enum subject */
    TOKEN_MASK,
    TOKEN_CAST, /* value: 1 is broadcast */
    TOKEN_VLAN,
    TOKEN_MPLS,
    TOKEN_TUNNEL, /* value: enum packet_tunnel */
    TOKEN_ROLE,   /* value: enum direction */
    TOKEN_PLACE,  /* value: enum subject; a pattern follows */
    TOKEN_KEY,    /* value: enum subject; a text follows */
    TOKEN_FACT,   /* value: enum fact; stands alone */
    TOKEN_OUTER,
    TOKEN_GATEWAY,
    TOKEN_COMPARED, /* less N */
    TOKEN_LENGTH,
    TOKEN_BYTE,
    TOKEN_PLAIN,    /* stands alone */
    TOKEN_NUMBERED, /* a number follows */
    TOKEN_NAMED,    /* a name follows; value 1: or a number */
    TOKEN_SESSION,  /* a number may follow */
    TOKEN_LISTED,   /* a number, a comparison or (N or M ...) follows */
    TOKEN_LLC,
    TOKEN_WLAN_TYPE,
    TOKEN_WLAN_SUBTYPE,
    TOKEN_WLAN_DIR,
};

struct token {
    int kind;
    uint32_t at, end; /* bytes of the text */
    uint32_t value;
};

/* The token at or after `at`, white space skipped. */
struct token lex(const char *text, uint32_t len, uint32_t at);

/* The same, but all up to white space, ( ) | & ! , is one TOKEN_NAME (or TOKEN_STRING if quoted): patterns, values
 * with units. */
struct token lex_raw(const char *text, uint32_t len, uint32_t at);

/* Whether the text is a word of the language, so that no value can be written like that without a backslash. */
bool token_is_word(const struct token *t);

/* Comparison signs: = != < <= > >=. */
bool token_compares(const struct token *t);

#endif
