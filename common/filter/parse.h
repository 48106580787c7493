/*
 * parse: what the parts of the parser share. Private to common/filter.
 *
 * Recursive descent with one token of lookahead. A function that parses something returns its node, or NULL after it
 * has complained; the first complaint is the one that is kept.
 */
#ifndef FLEETDUMP_FILTER_PARSE_H
#define FLEETDUMP_FILTER_PARSE_H

#include "common/base/buffer.h"
#include "common/filter/tree.h"

/* What stands before a value and is repeated for the next one ("port 80 or 443"). */
struct qualifiers {
    bool set;
    enum protocol_word protocol;
    enum direction direction;
    enum subject subject;
    /* As written, for libpcap: ether, wlan, ...; addr1, ra, ... */
    struct token protocol_token, direction_token;
};

struct parser {
    const char *text;
    uint32_t len;
    struct token token; /* the next one */
    struct token last;  /* the one before */
    struct filter *f;
    const struct filter_names *names;
    bool for_libpcap;        /* a capture's own filter: what libpcap does not know, or would look up, is refused */
    bool collecting;         /* names are collected, not looked up */
    struct buffer *expanded; /* the text with addresses in place of names is written there, up to the last name */
    uint32_t expanded_to;    /* of the text */
    char *collected[FILTER_NAMES_MAX]; /* owned */
    uint32_t collected_count;
    unsigned depth;
    int code; /* of the first complaint */
    struct error *e;
};

/* complain.c: says what is wrong at a place of the text, with the text and a caret below the place. Returns NULL. */
void *complain(struct parser *p, uint32_t at, int code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same for the next token: "...: expected WHAT", and what was probably meant instead. */
void *complain_expected(struct parser *p, const char *what);

/* parser.c */
void parser_next(struct parser *p);
bool parser_take(struct parser *p, int kind);       /* goes past the next token if it is of that kind */
struct token parser_peek(const struct parser *p);   /* the token after the next */
bool parser_at_field_value(const struct parser *p); /* at a field's name with a value behind it, without a sign */
bool parser_enter(struct parser *p); /* one level deeper; complains and returns false past FILTER_DEPTH_MAX */
void parser_leave(struct parser *p);
struct node *parser_node(struct parser *p, enum node_kind kind); /* complains if there are too many */
struct node *parser_chain(struct parser *p, struct node *first); /* a chain that begins with it */
bool parser_label(struct parser *p, struct node *newest,
                  uint32_t at); /* gives nodes made after `newest` their text, from `at` on */
void chain_add(struct node **tail, struct node *n, bool or_before);
char *parser_copy(struct parser *p, uint32_t at, uint32_t end); /* complains without memory */
char *parser_text(struct parser *p, const struct token *t);     /* a value's text without quotes or backslash */
struct node *parse_expression(struct parser *p, struct qualifiers *q);

/* primitive.c: a primitive that begins with a word; sets what the next value alone repeats. */
struct node *parse_primitive(struct parser *p, struct qualifiers *q);

/* operand.c: a value with its qualifiers: an address, a port, ( A or B ), not A. */
struct node *parse_operand(struct parser *p, const struct qualifiers *q);
struct node *operand_address(struct parser *p, const struct qualifiers *q);  /* operand_address.c */
struct node *operand_port(struct parser *p, const struct qualifiers *q);     /* operand_port.c: one or a range */
struct node *operand_protocol(struct parser *p, const struct qualifiers *q); /* operand_port.c: proto, protochain */
/* Qualifiers and value, put together as a packet word. */
struct node *operand_for_libpcap(struct parser *p, const struct qualifiers *q, enum reach reach);
/* The token as written, for messages; cut. Returns buf. */
#define TOKEN_TEXT_MAX 64
const char *operand_written(const struct parser *p, const struct token *t, char buf[TOKEN_TEXT_MAX]);

/* packet_word.c: words for libpcap alone, from their first token on. */
struct node *parse_packet_word(struct parser *p);
/* Takes over the text, even if it fails. `at` is where it is complained about. */
struct node *packet_word_node(struct parser *p, char *text, enum reach reach, uint32_t at);

/* relation.c: whether `arithmetic comparison arithmetic` stands at `at`: returns its end, or 0; *wrong_at is the place
 * that spoils it. */
uint32_t relation_end(const struct parser *p, uint32_t at, enum reach *reach, uint32_t *wrong_at);

/* value.c: texts of values, without a parser. False if they are none. */
bool value_ip4(const char *text, uint32_t *addr, unsigned *bits);  /* 10.1 is 16 bits, in the lowest bits of addr */
bool value_port(const char *name, uint16_t *port, uint8_t *proto); /* by name; proto 0: more than one */
bool value_ip_protocol(const char *name, uint8_t *number);
bool value_ethertype(const char *name, uint16_t *ethertype);

#endif
